//! Entries that nobody reads.

use super::bundles::{Parcel, check};
use super::*;

#[test]
fn entries_that_nobody_needs() {
    let copied = |p: &mut Parcel, from: &str, to: &str| {
        let bytes = p.files[from].clone();
        p.files.insert(to.to_owned(), bytes);
    };
    check(
        "an older head of nothing",
        |p| p.manifest.start_size = 0,
        Check::Bundle,
        "checkpoint/start: a bundle of this manifest has none",
    );
    check(
        "a proof of nothing",
        |p| {
            p.manifest.start_size = p.manifest.size;
            copied(p, "checkpoint/end", "checkpoint/start");
        },
        Check::Bundle,
        "proof/consistency.json: a bundle of this manifest has none",
    );
    // Whatever the manifest names is as long as it says, with the hash that it says.
    for (path, is_cut) in [
        ("leaves/0000016384.jsonl", false),
        ("leaves/0000016384.jsonl", true),
    ] {
        let mut parcel = Parcel::new();
        let first = parcel.named("leaves/");
        copied(&mut parcel, &first, path);
        if is_cut {
            parcel.files.remove(&first);
        }
        let mut bytes = zip(&parcel.manifest, &parcel.files).unwrap();
        let (mut manifest, files) = unzipped(&bytes);
        for file in &mut manifest.files {
            if file.path == path {
                file.sha256 = "0".repeat(64);
            }
        }
        bytes = zipped(&manifest, &files);
        let seen = verify_bytes(&bytes, Some(&parcel.honest.trust));
        refused(path, &seen, Check::Bundle, "it was changed");
        refused(path, &seen, Check::Leaves, "leaves/0000016384.jsonl");
    }
}

/// A bundle's manifest and other entries.
fn unzipped(bytes: &[u8]) -> (Manifest, Files) {
    let mut archive = ::zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut files = Files::new();
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        files.insert(entry.name().to_owned(), bytes);
    }
    let manifest = files.remove("manifest.json").unwrap();
    (serde_json::from_slice(&manifest).unwrap(), files)
}

/// A bundle of exactly this manifest.
fn zipped(manifest: &Manifest, files: &Files) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = ::zip::write::SimpleFileOptions::default();
    let manifest = serde_json::to_vec(manifest).unwrap();
    let entries = files.iter().map(|(path, bytes)| (path.as_str(), bytes));
    for (path, bytes) in entries.chain([("manifest.json", &manifest)]) {
        writer.start_file(path, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
