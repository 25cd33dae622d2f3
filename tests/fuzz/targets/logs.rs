//! Notes, keys, heads, tiles and proofs.

use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, Signature, SignerKey, VerifierKey};
use lineside_proto::ledger::tile::{Tile, entries, hashes, put_entry};
use lineside_proto::ledger::tree::{check_consistency, check_inclusion};
use lineside_proto::ledger::{Checkpoint, Hash, verify};

use super::text;

fn signers() -> [SignerKey; 2] {
    let signer = |name, kind, seed| SignerKey::new(name, kind, &[seed; 32]).expect("a name");
    [
        signer(
            "lineside.example/site-01/gateway-01/e1",
            KeyKind::Ed25519,
            1,
        ),
        signer("archive.example", KeyKind::Cosignature, 2),
    ]
}

pub(crate) fn note(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let signers = signers();
    let keys: Vec<VerifierKey> = signers.iter().map(|key| key.public().clone()).collect();
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
        let verified = note.verify(&keys).map(|signed| signed.len());
        assert!(verified.unwrap_or(1) > 0);
        // The same text signed by us: whatever else stands there.
        let at = Time::from_millis(1_772_380_800_000);
        let signatures = signers.iter().map(|key| key.sign(&note.text, at)).collect();
        let signed = Note { signatures, ..note };
        let again = Note::parse(&signed.to_string()).expect("a note that we wrote");
        assert_eq!(again, signed);
        assert_eq!(again.verify(&keys).expect("our signatures").len(), 2);
    }
    drop(verify::checkpoint(text, &keys, keys[0].name()));
    if let Ok(signature) = Signature::parse(text) {
        assert_eq!(signature.to_string(), text);
    }
}

pub(crate) fn vkey(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
        assert!(!key.verify_bytes(b"", &[0; 64]));
    }
}

pub(crate) fn checkpoint(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(head) = Checkpoint::parse(text) {
        assert_eq!(head.to_string(), text);
    }
}

pub(crate) fn tile(bytes: &[u8]) {
    if let Some(path) = text(bytes) {
        if let Some(tile) = Tile::from_path(path) {
            assert_eq!(tile.to_string(), path);
            assert!((1..=256).contains(&tile.width));
        }
    }
    let Some((width, bundle)) = bytes.split_first() else {
        return;
    };
    let width = u64::from(*width) + 1;
    if let Ok(found) = entries(bundle, width) {
        assert_eq!(found.len() as u64, width);
        let mut written = Vec::new();
        for entry in found {
            put_entry(&mut written, entry).expect("an entry that was read");
        }
        assert_eq!(written, bundle);
    }
    if let Ok(found) = hashes(bundle, width) {
        let written: Vec<u8> = found.iter().flat_map(|hash| hash.0).collect();
        assert_eq!(written, bundle);
    }
}

/// Two numbers, a leaf's hash, and a proof.
pub(crate) fn proof(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<16>() else {
        return;
    };
    let number = |from: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&numbers[from..from + 8]);
        u64::from_le_bytes(number)
    };
    let (one, other) = (number(0), number(8));
    let hashes: Vec<Hash> = rest
        .chunks_exact(32)
        .map(|chunk| {
            let mut hash = [0; 32];
            hash.copy_from_slice(chunk);
            Hash(hash)
        })
        .collect();
    let leaf = Hash::of_leaf(b"leaf");
    // No proof of chance gives the root of nothing.
    let root = Hash::of_nothing();
    assert!(check_inclusion(leaf, one, other, &hashes, root).is_err());
    let shown = check_consistency(one, other, &hashes, root, leaf);
    assert!(shown.is_err() || one == 0, "{one} {other}");
    if one == other {
        let same = check_consistency(one, other, &[], leaf, leaf);
        assert!(same.is_ok() || one == 0, "{one}");
    }
    // A small tree, proven and proven again with what was changed.
    let (index, size) = (one % 64, other % 64);
    if index < size {
        let leaves: Vec<Hash> = (0..size)
            .map(|leaf| Hash::of_leaf(&leaf.to_le_bytes()))
            .collect();
        honest(&leaves, index, &hashes);
    }
}

fn honest(leaves: &[Hash], index: u64, others: &[Hash]) {
    use lineside_proto::ledger::tree::{Range, consistency, inclusion};
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    let mut nodes = BTreeMap::new();
    let mut range = Range::default();
    let mut old_root = range.root();
    for (place, leaf) in (0_u64..).zip(leaves) {
        range.push(*leaf, |level, index, hash| {
            nodes.insert((level, index), hash);
        });
        if place == index {
            old_root = range.root();
        }
    }
    let size = leaves.len() as u64;
    let read = |level: u8, index: u64| Ok::<Hash, Infallible>(nodes[&(level, index)]);
    let leaf = leaves[usize::try_from(index).expect("a small tree")];
    let Ok(proof) = inclusion(index, size, read);
    assert!(check_inclusion(leaf, index, size, &proof, range.root()).is_ok());
    assert!(others == proof || check_inclusion(leaf, index, size, others, range.root()).is_err());
    let Ok(proof) = consistency(index + 1, size, read);
    assert!(check_consistency(index + 1, size, &proof, old_root, range.root()).is_ok());
    let other = check_consistency(index + 1, size, others, old_root, range.root());
    assert!(others == proof || other.is_err());
}
