//! Ten ways to forge a log: each is refused by ours and by the reference implementation, with what is wrong.

use anyhow::{Context, Result, ensure};
use lineside::ledger::verify_files;
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_proto::ledger::tile::{Kind, Tile};
use lineside_tests::foreign;
use lineside_tests::forgery::change_leaves;
use lineside_tests::log::{self, Gateway, ORIGIN};
use std::error::Error;
use std::fs;
use std::path::Path;

use crate::foreign::Written;

/// Replaces the files by those of another log that the real code signs with the same key.
fn rewritten(written: &Written, dir: &Path, parts: &[(u64, &str)]) -> Result<()> {
    let place = tempfile::tempdir()?;
    let twin = Gateway::new(place.path());
    written.gateway().lend_key(&twin)?;
    let ledger = twin.open()?;
    for (count, history) in parts {
        log::grow(&ledger, *count, 50, history)?;
    }
    ledger.sign()?.context("nothing was signed")?;
    drop(ledger);
    fs::remove_dir_all(dir)?;
    log::copy(&twin.files(), dir)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}

struct Mutation {
    name: &'static str,
    make: fn(&Written, &Path) -> Result<()>,
    /// What ours must say.
    ours: &'static str,
    /// What the reference must say.
    foreign: &'static str,
}

const MUTATIONS: [Mutation; 12] = [
    Mutation {
        name: "a byte of a leaf flipped",
        make: |written, dir| {
            change_leaves(dir, written.size(), |all| {
                let leaf = all.get_mut(700).context("leaf")?;
                let text = String::from_utf8(leaf.clone())?;
                let changed = text.replacen("\"by\":\"li\"", "\"by\":\"lh\"", 1);
                ensure!(changed != text);
                *leaf = changed.into_bytes();
                Ok(())
            })
        },
        ours: "leaf 700 is not the one that its tile commits to: the leaf was changed",
        foreign: "leaf 700 is not in the tree that was signed",
    },
    Mutation {
        name: "a leaf dropped",
        make: |written, dir| {
            change_leaves(dir, written.size(), |all| {
                all.remove(700);
                Ok(())
            })
        },
        ours: "leaf 700 says that it is leaf 701: a leaf is missing",
        foreign: "leaf 700 says that it is leaf 701: one was dropped",
    },
    Mutation {
        name: "a leaf dropped from its bundle alone",
        make: |_, dir| {
            let path = dir.join("tile/entries/002");
            let bundle = fs::read(&path)?;
            let length = bundle.first_chunk::<2>().context("a length")?;
            let length = usize::from(u16::from_be_bytes(*length));
            fs::write(&path, bundle.get(2 + length..).context("a leaf")?)?;
            Ok(())
        },
        ours: "tile/entries/002 is damaged, or leaves were dropped from it",
        foreign: "tile/entries/002: the bundle holds 255 leaves, not 256",
    },
    Mutation {
        name: "two leaves in another order",
        make: |written, dir| {
            change_leaves(dir, written.size(), |all| {
                all.swap(700, 701);
                Ok(())
            })
        },
        ours: "leaf 700 says that it is leaf 701: a leaf is missing, or their order was changed",
        foreign: "leaf 700 says that it is leaf 701: one was dropped, or the order was changed",
    },
    Mutation {
        name: "the log truncated",
        make: |written, dir| {
            let last = Tile::of_log(written.size())
                .filter(|tile| tile.kind == Kind::Entries)
                .last();
            fs::remove_file(dir.join(last.context("a bundle")?.to_string()))?;
            Ok(())
        },
        ours: "tile/entries/005.p/195 is missing, but the checkpoint commits to 1475 leaves: the log was cut off",
        foreign: "tile/entries/005.p/195: open",
    },
    Mutation {
        name: "the log forked",
        make: |written, dir| rewritten(written, dir, &[(600, ""), (900, "another")]),
        ours: "the first 768 leaves are not those that were seen before: the log was forked or rewritten",
        foreign: "the log does not continue the checkpoint of 768 leaves seen before",
    },
    Mutation {
        name: "signed by another key",
        make: |_, dir| {
            let path = dir.join("checkpoint");
            let text = Note::parse(&fs::read_to_string(&path)?)?.text;
            let thief = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[9; 32])?;
            let signatures = vec![thief.sign(&text, Time::default())];
            fs::write(path, Note { text, signatures }.to_string())?;
            Ok(())
        },
        ours: "the checkpoint can't be trusted: no signature of a key that is trusted here",
        foreign: "the signature: note has no verifiable signatures",
    },
    Mutation {
        name: "a stale checkpoint",
        make: |written, dir| {
            let old = written.notes.get(3).context("a note")?;
            fs::write(dir.join("checkpoint"), old)?;
            Ok(())
        },
        ours: "the checkpoint is of 768 leaves, but 1475 were seen before: it is stale",
        foreign: "the checkpoint of 768 leaves is older than the one of 1475 seen before",
    },
    Mutation {
        name: "the checkpoint's size edited",
        make: |_, dir| {
            let path = dir.join("checkpoint");
            let text = fs::read_to_string(&path)?;
            fs::write(path, text.replace("\n1475\n", "\n1474\n"))?;
            Ok(())
        },
        ours: "the checkpoint can't be trusted: the signature of lineside/site/gw does not fit: the text was changed",
        foreign: "the signature: invalid signature for key lineside/site/gw",
    },
    Mutation {
        name: "a tile replaced",
        make: |_, dir| {
            fs::copy(dir.join("tile/0/000"), dir.join("tile/0/001"))?;
            Ok(())
        },
        ours: "tile/0/001 does not hold the hashes of the leaves: the tile was replaced or damaged",
        foreign: "tile/0/001 is not the tile of the leaves",
    },
    Mutation {
        name: "an upper tile replaced",
        make: |_, dir| {
            let path = dir.join("tile/1/000.p/5");
            let mut hashes = fs::read(&path)?;
            hashes.rotate_left(32);
            fs::write(path, hashes)?;
            Ok(())
        },
        ours: "tile/1/000.p/5 does not hold the hashes of the leaves: the tile was replaced or damaged",
        foreign: "tile/1/000.p/5 is not the tile of the leaves",
    },
    Mutation {
        name: "a shorter log signed anew",
        make: |written, dir| rewritten(written, dir, &[(1280, "")]),
        ours: "the checkpoint is of 1280 leaves, but 1475 were seen before: it is stale, or the log was shortened",
        foreign: "the checkpoint of 1280 leaves is older than the one of 1475 seen before",
    },
];

#[test]
fn ten_forgeries_are_named_by_ours_and_by_the_reference() -> Result<()> {
    let written = Written::new()?;
    let seen: Vec<_> = written
        .notes
        .iter()
        .map(|note| log::head(note))
        .collect::<Result<_>>()?;
    let keys: &[VerifierKey] = &written.keys;
    let place = tempfile::tempdir()?;
    let untouched = place.path().join("untouched");
    log::copy(&written.gateway().files(), &untouched)?;
    verify_files(&untouched, keys, ORIGIN, &seen)?;
    foreign::reference(&written.question(&untouched, &written.notes))?;
    for (number, mutation) in MUTATIONS.iter().enumerate() {
        let name = mutation.name;
        let dir = place.path().join(number.to_string());
        log::copy(&written.gateway().files(), &dir)?;
        (mutation.make)(&written, &dir).context(name)?;
        let ours = verify_files(&dir, keys, ORIGIN, &seen).err();
        let ours = ours.map(|error| chain(&error)).context(name)?;
        let question = written.question(&dir, &written.notes);
        let foreign = foreign::reference(&question).err().context(name)?;
        let foreign = foreign.to_string();
        eprintln!("{name}\n  ours:    {ours}\n  foreign: {foreign}");
        ensure!(ours.contains(mutation.ours), "{name}: ours says {ours}");
        ensure!(
            foreign.contains(mutation.foreign),
            "{name}: the reference says {foreign}"
        );
    }
    Ok(())
}
