//! Bundles: any file, and files that are sealed again so that what is inside is looked at.

use lineside_proto::evidence::sample::Sample;
use lineside_proto::evidence::{
    Bundle, Check, Manifest, Status, Totals, Trust, Verdict, Writer, differences, read_manifest,
    verify_bytes,
};
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::sync::LazyLock;

use super::documents::same;
use super::text;

/// Inflated bytes of one input's entries that are read: a hostile file may hold more than memory should.
const READ_BYTES_MAX: u64 = 16 << 20;

static TRUST: LazyLock<Trust> =
    LazyLock::new(|| Trust::parse(&Sample::new().trust()).expect("the sample's trust"));

pub(crate) fn raw(bytes: &[u8]) {
    if let Ok(mut bundle) = Bundle::open(Cursor::new(bytes)) {
        drop(bundle.names());
        let paths: Vec<String> = bundle.paths().map(str::to_owned).collect();
        let mut rest = READ_BYTES_MAX;
        for path in paths {
            let said = bundle.file(&path).map_or(0, |file| file.bytes);
            if said > rest {
                continue;
            }
            if let Ok(read) = bundle.read(&path) {
                assert_eq!(read.len() as u64, said);
                rest -= said;
            }
        }
    }
    judge(bytes);
}

fn judge(bytes: &[u8]) {
    for trust in [None, Some(&*TRUST)] {
        let seen = verify_bytes(bytes, trust);
        let mut checks = Check::ALL.iter();
        for result in &seen.checks {
            // In order, each once.
            assert!(checks.any(|check| *check == result.check));
            assert!(result.said.len() <= 100 && result.said.len() as u64 <= result.found);
        }
        let failed = seen
            .checks
            .iter()
            .any(|result| result.status == Status::Failed);
        assert_eq!(failed, seen.verdict == Verdict::Failed);
        assert!(trust.is_some() || seen.verdict != Verdict::Verified);
        let text = serde_json::to_vec(&seen).expect("what was seen can be written");
        same::<lineside_proto::evidence::Verification>(&text);
    }
}

/// The chunks of an input: a path, a line break, and what the file holds; 0xff stands between them. Tiles are
/// written as hexadecimal digits. `maps` and `tokens` get the name of their hash.
fn chunks(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let chunks = bytes.split(|byte| *byte == 0xff);
    let chunks = chunks.filter_map(|chunk| {
        let end = chunk.iter().position(|byte| *byte == b'\n')?;
        let path = text(&chunk[..end])?;
        let rest = &chunk[end + 1..];
        let digest = || format!("{:x}", Sha256::digest(rest));
        Some(match path {
            "maps" => (format!("maps/{}.json", digest()), rest.to_vec()),
            "tokens" => (format!("tokens/{}.jws", digest()), rest.to_vec()),
            _ if path.starts_with("tile/") => (path.to_owned(), unhex(rest)),
            _ => (path.to_owned(), rest.to_vec()),
        })
    });
    chunks.collect()
}

fn unhex(digits: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 0,
    };
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// A bundle of the input's chunks, with the right lengths and hashes.
pub(crate) fn sealed(bytes: &[u8]) {
    let mut manifest: Option<Manifest> = None;
    let mut writer = Writer::new(Cursor::new(Vec::new()));
    for (path, file) in chunks(bytes) {
        if path == "manifest.json" {
            manifest = serde_json::from_slice(&file).ok().or(manifest);
        } else {
            // A name that is no entry's, or twice: the writer refuses it.
            drop(writer.add(&path, &file));
        }
    }
    let Some(manifest) = manifest else { return };
    if let Ok(out) = writer.finish(manifest) {
        judge(out.get_ref());
    }
}

pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = read_manifest(bytes) {
        assert_eq!(manifest.v, 1);
        same::<Manifest>(bytes);
    }
}

pub(crate) fn trust(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(trust) = Trust::parse(text) {
        assert_eq!(Trust::parse(text).ok(), Some(trust.clone()));
        let (site, machine) = (
            "site-01".parse().expect("a name"),
            "m".parse().expect("a name"),
        );
        std::hint::black_box(trust.approves(&site, &site, &machine, "sha256:00"));
    }
}

pub(crate) fn totals(bytes: &[u8]) {
    let Some(totals) = same::<Totals>(bytes) else {
        return;
    };
    assert_eq!(differences(&totals, &totals).status(), Status::Ok);
    let mut other = totals.clone();
    other.size ^= 1;
    assert_eq!(differences(&totals, &other).status(), Status::Failed);
}
