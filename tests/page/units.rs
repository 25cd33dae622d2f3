//! What the page computes with, against our own and other implementations.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "small numbers that are made here"
)]

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lineside_proto::Time;
use lineside_proto::evidence::sample::Sample;
use lineside_proto::evidence::{Trust, tiles};
use lineside_proto::ledger::note::{KeyKind, SignerKey};
use lineside_proto::ledger::tile::{Kind, Tile};
use lineside_proto::ledger::{Hash, tree};
use lineside_tests::subscriber::peer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::io::Write;
use std::process::{Command, Stdio};

use crate::page_path;

/// Cases of chance, always the same.
const SEED: u64 = 8_032;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hashes() -> Value {
    let lengths = [
        0, 1, 3, 54, 55, 56, 57, 63, 64, 65, 111, 112, 113, 127, 128, 129, 255, 4097,
    ];
    let cases = lengths.map(|length| {
        let message: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
        json!({ "message": hex(&message), "sha256": hex(&Sha256::digest(&message)), "sha512": hex(&Sha512::digest(&message)) })
    });
    json!(cases)
}

/// Good signatures, and the same with a bit or two flipped somewhere; judged by ed25519-dalek, strictly.
fn signatures() -> Result<Value> {
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut cases = Vec::new();
    for round in 0..60_u8 {
        let mut seed = [0; 32];
        chance.fill(&mut seed);
        let signer = SignerKey::new("k", KeyKind::Ed25519, &seed)?;
        let mut message = vec![0; usize::from(round)];
        chance.fill(&mut message);
        let mut signature = signer.sign_bytes(&message);
        let mut key = *signer.public().key();
        for _ in 0..round % 3 {
            let bit = chance.usize(0..768);
            match bit / 8 {
                place @ 0..64 => signature[place] ^= 1 << (bit % 8),
                place => key[place - 64] ^= 1 << (bit % 8),
            }
        }
        let fits = lineside_proto::ledger::note::VerifierKey::new("k", KeyKind::Ed25519, &key)
            .is_ok_and(|key| key.verify_bytes(&message, &signature));
        cases.push(json!({ "key": hex(&key), "message": hex(&message), "signature": hex(&signature), "fits": fits }));
    }
    Ok(json!(cases))
}

/// Leaves and texts that are nearly leaves; judged by our own reader of canonical JSON.
fn canonical() -> Result<Value> {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let mut texts: Vec<String> = [
        r#"{"a":1,"b":[null,"x"]}"#,
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"a":1.0}"#,
        r#"{"a":1e2}"#,
        r#"{"a":-0}"#,
        r#"{"a":-1}"#,
        r#"{"a":true}"#,
        r#"{"a": 1}"#,
        r#"{"a":9007199254740991}"#,
        r#"{"a":9007199254740992}"#,
        r#"{"a":-9007199254740991}"#,
        r#"{"10":1,"9":2}"#,
        r#"{"9":1,"10":2}"#,
        r#"{"a":"\u0001\b\f\n\r\t\"\\"}"#,
        r#"{"a":"\u0008"}"#,
        r#"{"a":"\/"}"#,
        r#"{"a":"é温😀"}"#,
        r#"{"a":"\u00e9"}"#,
        r#"{"a":"\ud83d\ude00"}"#,
        r#"{"a":"\ud83d"}"#,
        r#"{"a":"\\ud83d"}"#,
        "{\"\u{ff5e}\":1,\"😀\":2}",
        "{\"😀\":1,\"\u{ff5e}\":2}",
        r#"{"__proto__":1}"#,
        r#"{"a":{"__proto__":{"b":1}}}"#,
        "\u{feff}{}",
        "{} ",
        "",
        "null",
        "1",
        "\"a\"",
        "[01]",
        "[1,]",
        "{\"a\":\"\u{7f}\u{2028}\"}",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([deep(1), deep(100), deep(127), deep(128), deep(500)]);
    for leaf in Sample::new().leaves.iter().step_by(40) {
        texts.push(String::from_utf8(leaf.to_bytes()?)?);
    }
    let cases = texts.iter().map(|text| {
        let fits = lineside_proto::ledger::jcs::check(text.as_bytes()).is_ok();
        json!({ "text": text, "fits": fits })
    });
    Ok(cases.collect())
}

fn times() -> Value {
    let texts = [
        "2026-11-29T08:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "0001-01-01T00:00:00.000Z",
        "9999-12-30T22:00:00.000Z",
        "2024-02-29T00:00:00.001Z",
        "2000-02-29T12:34:56.789Z",
    ];
    let good = texts.map(
        |text| json!({ "text": text, "millis": text.parse::<Time>().ok().map(Time::as_millis) }),
    );
    let bad = [
        "2026-11-29T08:00:00Z",
        "2026-11-29T08:00:00.000+00:00",
        "2026-02-29T00:00:00.000Z",
        "2026-13-01T00:00:00.000Z",
        "2026-11-29T24:00:00.000Z",
        "2026-11-29 08:00:00.000Z",
        "1900-02-29T00:00:00.000Z",
        "0000-01-01T00:00:00.000Z",
        "",
    ];
    let bad = bad.map(|text| json!({ "text": text, "millis": null }));
    good.into_iter().chain(bad).collect()
}

fn base64() -> Value {
    let texts = [
        "", "AA==", "AQ==", "AR==", "AAA=", "AAB=", "AAAA", "AAA", "A===", "AA=A", "AA==AA==",
        "-_==", " AA=", "====", "AAAA====",
    ];
    texts
        .map(|text| json!({ "text": text, "fits": STANDARD.decode(text).is_ok() }))
        .into_iter()
        .collect()
}

fn shapes() -> (Value, Value) {
    let paths = [
        (1, 0, 256),
        (1, 999, 3),
        (2, 1_234_067, 256),
        (3, 1_000, 255),
    ]
    .map(|(level, index, width)| {
        let tile = Tile {
            kind: Kind::Hashes(level),
            index,
            width,
        };
        json!({ "level": level, "index": index, "width": width, "path": tile.to_string() })
    });
    let spans = [
        (0, 0, 0),
        (0, 200, 200),
        (0, 700, 700),
        (0, 512, 700),
        (256, 768, 1143),
        (65_536, 65_792, 200_000),
        (0, 65_536, 65_536),
        (131_072, 16_900_000, 16_900_001),
    ];
    let edges = spans.map(|(first, end, size)| {
        let paths: Vec<String> = tiles(first, end, size)
            .iter()
            .map(Tile::to_string)
            .collect();
        json!({ "first": first, "end": end, "size": size, "paths": paths })
    });
    (json!(paths), json!(edges))
}

fn proofs() -> (Value, Value) {
    let leaves: Vec<Hash> = (0..70_u8).map(|at| Hash::of_leaf(&[at])).collect();
    fn node(leaves: &[Hash], level: u8, index: u64) -> Hash {
        match level {
            0 => leaves[index as usize],
            _ => Hash::of_node(
                &node(leaves, level - 1, 2 * index),
                &node(leaves, level - 1, 2 * index + 1),
            ),
        }
    }
    let read = |level, index| Ok::<Hash, std::convert::Infallible>(node(&leaves, level, index));
    let root = |size| {
        tree::root(size, read)
            .map(|hash| hex(&hash.0))
            .unwrap_or_default()
    };
    let proof = |hashes: Vec<Hash>| hashes.iter().map(|hash| hex(&hash.0)).collect::<Vec<_>>();
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    for size in [1_u64, 2, 3, 7, 8, 9, 31, 64, 65, 70] {
        for index in (0..size).step_by(3) {
            let Ok(hashes) = tree::inclusion(index, size, read);
            inclusion.push(json!({ "index": index, "size": size, "leaf": hex(&leaves[index as usize].0), "hashes": proof(hashes), "root": root(size) }));
        }
        for from in 0..=size {
            let Ok(hashes) = tree::consistency(from, size, read);
            consistency.push(json!({ "from": from, "to": size, "hashes": proof(hashes), "one": root(from), "other": root(size) }));
        }
    }
    (json!(inclusion), json!(consistency))
}

/// Trust files; judged by our own reader.
fn trust(gateway: &str) -> Value {
    let whole = Sample::new().trust();
    let mut texts = vec![
        whole.clone(),
        String::new(),
        "# nothing\n".to_owned(),
        whole.replace('\n', "\r\n"),
        gateway.to_owned(),
    ];
    for (from, to) in [
        ("[[gateway]]", "[gateway]"),
        ("[organisations]", "[[organisations]]"),
        ("site = \"site-01\"\n", ""),
        ("origin = ", "origins = "),
        ("\"site-01\"", "'site-01'"),
        ("\"site-01\"", "site-01"),
        ("\"site-01\"", "\"Site 01\""),
        ("\"site-01\"", "\"site\\u002d01\""),
        ("from = 2026-01-01\nto", "from = 2026-13-01\nto"),
        ("from = 2026-01-01\nto", "from = 2028-01-01\nto"),
        (
            "from = 2026-01-01\nto",
            "from = 2026-01-01T08:00:00+08:00\nto",
        ),
        ("from = 2026-01-01\nto", "from = \"2026-01-01\"\nto"),
        ("from = 2026-01-01\nto", "from = 1\nto"),
        (
            "from = 2026-01-01\nto",
            "from = 2026-01-01\nfrom = 2026-01-02\nto",
        ),
        ("sha256:", "sha256-"),
        ("[\"org-own\"]", "[\"org-own\", ]"),
        ("[\"org-own\"]", "\"org-own\""),
        ("[\"org-own\"]", "[1]"),
        ("[\"org-own\"]", "[]"),
        ("\"OKP\"", "\"RSA\""),
        ("\"use\":\"sig\"", "\"use\":\"enc\""),
        ("\"use\":\"sig\"", "\"d\":\"AAAA\""),
        ("machine = \"mixer-01\"\n", ""),
        ("[[witness]]\n", "[[witness]]\n[[witness]]\n"),
        ("key = \"archive.example+", "key = \"archive+"),
        ("'{\"kty\"", "'''{\"kty\""),
    ] {
        texts.push(whole.replacen(from, to, 1));
    }
    texts
        .iter()
        .map(|text| json!({ "text": text, "fits": Trust::parse(text).is_ok() }))
        .collect()
}

#[test]
fn what_the_page_computes_is_what_others_compute() -> Result<()> {
    let whole = Sample::new().trust();
    let gateway = whole.split("from = ").next().context("no gateway")?;
    let ((paths, edges), (inclusion, consistency)) = (shapes(), proofs());
    let cases = json!({ "hashes": hashes(), "signatures": signatures()?, "canonical": canonical()?, "times": times(), "base64": base64(),
        "tiles": paths, "edges": edges, "inclusion": inclusion, "consistency": consistency, "gateway": gateway, "trust": trust(gateway) });
    let mut node = Command::new("node")
        .arg(peer("page_units.js"))
        .arg(page_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("node: tests/setup.sh installs it")?;
    node.stdin
        .take()
        .context("no input")?
        .write_all(cases.to_string().as_bytes())?;
    let out = node.wait_with_output()?;
    ensure!(out.status.success(), "node failed");
    let said: Value = serde_json::from_slice(&out.stdout)?;
    assert_eq!(said["wrong"], json!([]));
    assert!(said["count"].as_u64() > Some(800), "{said}");
    Ok(())
}
