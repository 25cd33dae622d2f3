use super::View;
use crate::ledger::tests::{Place, facts, grow};
use crate::ledger::{Ledger, LedgerError};
use lineside_proto::ledger::tile::{Kind, Tile};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that can be read, the same as the ledger's.
fn compare(view: &View, ledger: &Ledger, size: u64) {
    assert_eq!(view.size(), size);
    let all = view.read(0, usize::MAX).unwrap();
    let expected = ledger.read(0, usize::MAX).unwrap();
    assert_eq!(all, expected[..all.len()]);
    assert_eq!(all.len() as u64, size);
    for from in [0, 1, 255, 256, 300, size.saturating_sub(1), size, size + 9] {
        for bytes_max in [1, 5000] {
            let part = view.read(from, bytes_max).unwrap();
            assert_eq!(part.is_empty(), from >= size, "{from}");
            assert!(
                part.iter()
                    .zip(from..)
                    .all(|((index, _), place)| *index == place)
            );
        }
    }
    for old in [1, 255, 256, 257, size]
        .into_iter()
        .filter(|old| *old <= size)
    {
        assert_eq!(
            view.consistency(old, size).unwrap(),
            ledger.consistency(old, size).unwrap()
        );
        assert_eq!(
            view.inclusion(old - 1, size).unwrap(),
            ledger.inclusion(old - 1, size).unwrap()
        );
    }
    assert!(matches!(
        view.inclusion(0, size + 1),
        Err(LedgerError::Beyond { .. })
    ));
    for level in 0..8 {
        for index in 0..4 {
            for width in [1, 37, 256] {
                let tile = Tile {
                    kind: Kind::Hashes(level),
                    index,
                    width,
                };
                let there = (size >> (8 * u32::from(level))) >= index * 256 + width;
                let bytes = view.tile(tile).unwrap();
                assert_eq!(
                    bytes.as_ref().map(Vec::len),
                    there.then_some(usize::try_from(width).unwrap() * 32)
                );
                if size == ledger.size() {
                    assert_eq!(bytes, ledger.tile(tile).unwrap());
                }
            }
        }
    }
}

/// The paths of all files below a directory, relative to it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&path), target).unwrap();
    }
}

#[test]
fn a_copy_shows_what_the_ledger_has() {
    let place = Place::new();
    let ledger = place.open();
    for count in [1, 254, 1, 1, 300, 512, 7] {
        grow(&ledger, count);
        let view = View::open(&place.state()).unwrap();
        compare(&view, &ledger, ledger.size());
        if count == 300 {
            ledger.sign().unwrap();
            let note = ledger.checkpoint().borrow().clone();
            assert_eq!(View::open(&place.state()).unwrap().checkpoint(), note);
        }
    }
    assert_eq!(ledger.kept(0..u64::MAX), [557]);
    let view = View::open(&place.state()).unwrap();
    assert_eq!(view.kept(0..u64::MAX), [557]);
    assert_eq!(view.kept_note(557), ledger.kept_note(557));
    assert_eq!(
        view.kept_note(557).unwrap().note,
        &*view.checkpoint().unwrap()
    );
}

#[test]
fn without_a_journal_there_is_what_was_signed() {
    let place = Place::new();
    let ledger = place.open();
    for (count, signs) in [(700, true), (3, false), (300, false)] {
        grow(&ledger, count);
        if signs {
            ledger.sign().unwrap();
        }
        let other = tempfile::tempdir().unwrap();
        copy(&place.state(), other.path());
        fs::remove_file(other.path().join("ledger/journal")).unwrap();
        compare(&View::open(other.path()).unwrap(), &ledger, 700);
    }
    // A full bundle has taken the partial one's place.
    assert!(!place.state().join("ledger/tile/entries/002.p").exists());
}

#[test]
fn what_was_copied_in_between_is_left_out_or_refused() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 250);
    let before = tempfile::tempdir().unwrap();
    copy(&place.state(), before.path());
    grow(&ledger, 500);
    ledger.sign().unwrap();
    let after = tempfile::tempdir().unwrap();
    copy(&place.state(), after.path());
    // The journal is older than the rest.
    fs::copy(
        before.path().join("ledger/journal"),
        after.path().join("ledger/journal"),
    )
    .unwrap();
    compare(&View::open(after.path()).unwrap(), &ledger, 750);
    // The rest is older than the journal.
    fs::copy(
        place.state().join("ledger/journal"),
        before.path().join("ledger/journal"),
    )
    .unwrap();
    assert!(matches!(
        View::open(before.path()),
        Err(LedgerError::Damaged { .. })
    ));
    // A torn end.
    let path = after.path().join("ledger/journal");
    fs::copy(place.state().join("ledger/journal"), &path).unwrap();
    grow(&ledger, 2);
    let whole = fs::read(place.state().join("ledger/journal")).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    compare(&View::open(after.path()).unwrap(), &ledger, 751);
}

#[test]
fn a_journal_that_is_about_to_begin_anew_loses_nothing_signed() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 300);
    let all: Vec<Vec<u8>> = ledger
        .read(0, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|(_, leaf)| leaf)
        .collect();
    let head = |first: u64| {
        let crc = crc32fast::hash(&first.to_le_bytes());
        [b"LSJ1", &first.to_le_bytes()[..], &crc.to_le_bytes()].concat()
    };
    let frames = crate::ledger::journal::framed(0, &all).unwrap();
    let path = place.state().join("ledger/journal");
    fs::write(&path, [head(0), frames.clone()].concat()).unwrap();
    compare(&View::open(&place.state()).unwrap(), &ledger, 300);
    fs::remove_dir_all(place.state().join("ledger/tile")).unwrap();
    let view = View::open(&place.state()).unwrap();
    assert_eq!(view.size(), 255);
    assert_eq!(view.read(0, usize::MAX).unwrap().len(), 255);
    // Numbers that nobody could have counted to.
    for first in [u64::MAX, u64::MAX - 255, (1 << 53) + 256, 1 << 52, 512, 3] {
        fs::write(&path, [head(first), frames.clone()].concat()).unwrap();
        assert!(View::open(&place.state()).is_err(), "{first}");
    }
}

#[test]
fn made_up_sizes_are_refused() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 300);
    ledger.sign().unwrap();
    let path = place.state().join("ledger/checkpoint");
    let note = fs::read_to_string(&path).unwrap();
    for size in [
        "18446744073709551615",
        "9007199254740992",
        "9007199254740993",
        "70000",
        "65536",
    ] {
        fs::write(&path, note.replace("\n300\n", &format!("\n{size}\n"))).unwrap();
        // Beyond what any note may say the journal counts alone.
        match View::open(&place.state()) {
            Ok(view) => assert_eq!(view.size(), 300, "{size}"),
            Err(error) => assert!(
                matches!(error, LedgerError::Damaged { .. }),
                "{size}: {error}"
            ),
        }
    }
    assert!(View::open(Path::new("/nowhere")).is_err());
    assert!(View::open(place.dir.path()).is_err());
}

/// Whatever is changed in the files, reading them ends, and panics never.
#[test]
fn damaged_files_never_panic() {
    let place = Place::new();
    let ledger = place.open();
    ledger.append("b", &facts(0, 600)).unwrap();
    ledger.sign().unwrap();
    drop(ledger);
    let all = files(&place.state());
    let index = any::<prop::sample::Index>;
    let changes = (index(), index(), any::<u8>(), 0_u8..4);
    let mut runner = TestRunner::default();
    let read = runner.run(&changes, |(which, cut, byte, kind)| {
        let path = place.state().join(&all[which.index(all.len())]);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        if !bytes.is_empty() {
            let at = cut.index(bytes.len());
            match kind {
                0 => bytes[at] ^= byte,
                1 => bytes.truncate(at),
                2 => bytes.extend_from_slice(&[byte; 70]),
                _ => bytes[at..].fill(byte),
            }
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(view) = View::open(&place.state()) {
            read_all(&view);
        }
        fs::write(&path, &whole).unwrap();
        Ok(())
    });
    read.unwrap();
}

fn read_all(view: &View) {
    let size = view.size();
    drop(view.read(0, usize::MAX));
    drop(view.inclusion(0, size));
    drop(view.consistency(1, size));
    for size in view.kept(0..u64::MAX) {
        drop(view.kept_note(size));
    }
    for level in 0..8 {
        for (index, width) in [(0, 1), (0, 256), (u64::MAX, 256)] {
            let kind = Kind::Hashes(level);
            drop(view.tile(Tile { kind, index, width }));
        }
    }
}
