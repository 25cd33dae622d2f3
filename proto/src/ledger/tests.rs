//! A small log to the byte: what its formats are is in `testdata/ledger`, also for whoever builds a reader.

use super::edge::Edge;
use super::files::check;
use super::note::{KeyKind, Note, NoteError, SignerKey, VerifierKey};
use super::tile::{Kind, Tile, WIDTH, put_entry};
use super::verify::checkpoint;
use super::{Checkpoint, Correction, Hash, Leaf, LeafBody, LeafHead, jcs};
use crate::Time;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ORIGIN: &str = "lineside/site-01/gateway-01";
const START_MS: i64 = 1_795_420_800_000;
/// One full bundle, and some leaves of the next.
const LEAVES: u64 = WIDTH + 3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ledger")
}

fn leaf(index: u64) -> Vec<u8> {
    let at = Time::from_millis(START_MS + i64::try_from(index).unwrap() * 1000);
    let head = LeafHead {
        v: 1,
        index,
        at,
        boot: "5d1c1a3e-7f6b-4f1c-9d5f-4f0e2a7b9c11".to_owned(),
        mono_ms: index * 1000,
    };
    // Of each length of UTF-8, of what is escaped and of what is not.
    let reason = ["plain", "线边", "é\u{7f}\u{2028}", "😀", "\"\\/\n\u{1}"];
    let place = usize::try_from(index).unwrap() % reason.len();
    let body = LeafBody::Correction(Correction {
        refers: index,
        reason: reason[place].to_owned(),
        by: "p".to_owned(),
    });
    Leaf { head, body }.to_bytes().unwrap()
}

/// A checkpoint of a public log, as it was published: signed by the log in two ways, cosigned by four witnesses.
const PUBLIC: &str = "arche2025h1.staging.ct.transparency.dev\n\
    1432088532\n\
    U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n\
    \u{2014} arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n\
    \u{2014} arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n\
    \u{2014} transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n\
    \u{2014} witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n\
    \u{2014} remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n\
    \u{2014} witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n";
/// Its log's key, and that of one of the witnesses.
const PUBLIC_KEYS: [&str; 2] = [
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
];

#[test]
fn a_public_log_and_its_witness_are_verified() {
    let keys = PUBLIC_KEYS.map(|key| key.parse::<VerifierKey>().unwrap());
    assert_eq!(keys.each_ref().map(ToString::to_string), PUBLIC_KEYS);
    let note = Note::parse(PUBLIC).unwrap();
    assert_eq!(note.to_string(), PUBLIC);
    let verified = note.verify(&keys).unwrap();
    let cosigned = verified.iter().map(|one| one.cosigned);
    let at = Time::from_millis(0x6a12_2120 * 1000);
    assert_eq!(cosigned.collect::<Vec<_>>(), [None, Some(at)]);
    let head = checkpoint(PUBLIC, &keys, "arche2025h1.staging.ct.transparency.dev").unwrap();
    assert_eq!(head.size, 1_432_088_532);
    for key in &keys {
        let other = Note::parse(&PUBLIC.replace("\n1432088532\n", "\n1432088533\n")).unwrap();
        let said = other.verify(std::slice::from_ref(key));
        assert_eq!(said, Err(NoteError::Signature(key.name().to_owned())));
    }
}

/// The log's files by their paths.
fn made() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let (mut edge, mut bundle, mut peaks) =
        (Edge::default(), Vec::new(), super::tree::Range::default());
    let mut put = |tile: Tile, bytes: Vec<u8>| files.insert(tile.to_string(), bytes);
    for index in 0..LEAVES {
        let bytes = leaf(index);
        let hash = Hash::of_leaf(&bytes);
        peaks.push(hash, |_, _, _| {});
        put_entry(&mut bundle, &bytes).unwrap();
        for (tile, bytes) in edge.push(hash) {
            put(tile, bytes);
        }
        if (index + 1) % WIDTH == 0 || index + 1 == LEAVES {
            let tile = Tile {
                kind: Kind::Entries,
                index: index / WIDTH,
                width: index % WIDTH + 1,
            };
            put(tile, std::mem::take(&mut bundle));
        }
    }
    for (tile, bytes) in edge.partial() {
        put(tile, bytes);
    }
    let log = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap();
    let witness = SignerKey::new("archive.example", KeyKind::Cosignature, &[2; 32]).unwrap();
    let root = peaks.root();
    let (origin, size) = (ORIGIN.to_owned(), LEAVES);
    let text = Checkpoint { origin, size, root }.to_string();
    let at = Time::from_millis(START_MS + 300_000);
    let signatures = vec![log.sign(&text, at), witness.sign(&text, at)];
    let note = Note { text, signatures }.to_string();
    let line = |key: &VerifierKey| format!("{key}\n").into_bytes();
    files.insert("checkpoint".to_owned(), note.into_bytes());
    files.insert("log.vkey".to_owned(), line(log.public()));
    files.insert("witness.vkey".to_owned(), line(witness.public()));
    files
}

#[test]
fn a_log_is_written_to_the_byte_as_it_was() {
    for (path, bytes) in made() {
        let golden = folder().join(&path);
        if std::env::var_os("LINESIDE_BLESS").is_some() {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, &bytes).unwrap();
        }
        let expected = fs::read(&golden).unwrap();
        assert!(
            bytes == expected,
            "{path}: LINESIDE_BLESS=1 writes the file anew"
        );
    }
}

#[test]
fn the_log_that_was_written_is_verified() {
    let key = |name: &str| -> VerifierKey {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        text.trim_end().parse().unwrap()
    };
    let read = |path: &str, bytes_max: usize| match fs::read(folder().join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(|mut bytes| {
            bytes.truncate(bytes_max);
            Some(bytes)
        }),
    };
    let keys = [key("log.vkey"), key("witness.vkey")];
    let head = check(read, &keys, ORIGIN, &[]).unwrap();
    assert_eq!((head.size, head.origin.as_str()), (LEAVES, ORIGIN));
    let note = fs::read_to_string(folder().join("checkpoint")).unwrap();
    let note = Note::parse(&note).unwrap();
    let verified = note.verify(&keys).unwrap();
    let times: Vec<_> = verified.iter().map(|one| one.cosigned).collect();
    assert_eq!(times, [None, Some(Time::from_millis(START_MS + 300_000))]);
    // A witness alone makes no log.
    assert!(check(read, &keys[1..], ORIGIN, &[]).is_err());
}

/// The examples of RFC 8785, as far as they are of what leaves are made of.
#[test]
fn texts_and_names_are_written_as_rfc_8785_has_them() {
    let check = |text: &str, expected: &str| {
        let value = serde_json::from_str(text).unwrap();
        let bytes = jcs::canonical(&value).unwrap();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        jcs::check(&bytes).unwrap();
        if text != expected {
            let said = jcs::check(text.as_bytes());
            assert!(matches!(said, Err(jcs::JcsError::Form)), "{text}");
        }
    };
    // Section 3.2.2.
    check(
        r#"{"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#,
        r#"{"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
    );
    // Section 3.2.3: by UTF-16 units, in which an emoji stands before U+FB33.
    check(
        r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#,
        "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}",
    );
    check(
        "[\"\\b\\f\\t\\u001f\\u007f\"]",
        "[\"\\b\\f\\t\\u001f\u{7f}\"]",
    );
    check("[ ]", "[]");
    check("{\"b\":{ },\"a\":null}", "{\"a\":null,\"b\":{}}");
    check(
        "[9007199254740991,-9007199254740991,0]",
        "[9007199254740991,-9007199254740991,0]",
    );
}

#[test]
fn what_leaves_are_not_made_of_has_no_canonical_form() {
    let check = |text: &str, is_it: fn(&jcs::JcsError) -> bool| {
        let said = jcs::check(text.as_bytes()).unwrap_err();
        assert!(is_it(&said), "{text}: {said:?}");
    };
    let number = |error: &jcs::JcsError| matches!(error, jcs::JcsError::Number(_));
    for text in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551616",
        "1.0",
        "1e2",
        "-0",
        "[{\"a\":0.5}]",
    ] {
        check(text, number);
    }
    check("[true]", |error| matches!(error, jcs::JcsError::Bool));
    check("{\"a\":1,\"a\":1}", |error| {
        matches!(error, jcs::JcsError::Form)
    });
    for text in ["", "{", "[1]x", "\"\\ud800\"", "01", "\u{feff}1"] {
        check(text, |error| matches!(error, jcs::JcsError::Json(_)));
    }
    let deep = "[".repeat(100_000);
    check(&deep, |error| matches!(error, jcs::JcsError::Json(_)));
    let broken = jcs::check(b"\"\xff\"");
    assert!(matches!(broken, Err(jcs::JcsError::Json(_))));
}
