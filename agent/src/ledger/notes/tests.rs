use super::{Kept, MONTH_BYTES_MAX, NEWEST_MAX, Notes, hour, month_at, month_of};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const ORIGIN: &str = "lineside/s/g";

fn at(hours: i64) -> Time {
    Time::from_millis(1_795_420_800_000 + hours * 3_600_000)
}

fn note_of(origin: &str, size: u64, signers: u8) -> String {
    let root = Hash([u8::try_from(size % 251).unwrap(); 32]);
    let origin = origin.to_owned();
    let text = Checkpoint { origin, size, root }.to_string();
    let signers = (0..signers).map(|seed| {
        SignerKey::new(&format!("witness{seed}"), KeyKind::Ed25519, &[seed + 1; 32]).unwrap()
    });
    let signatures = signers.map(|key| key.sign(&text, at(0))).collect();
    Note { text, signatures }.to_string()
}

fn note(size: u64) -> String {
    note_of(ORIGIN, size, 1)
}

fn open(dir: &TempDir) -> Notes {
    Notes::open(dir.path(), ORIGIN)
}

fn get(notes: &Notes, size: u64) -> Option<Kept> {
    notes.place(size)?.read(size)
}

fn sizes(notes: &Notes) -> Vec<u64> {
    notes.sizes(0..u64::MAX)
}

fn month(dir: &Path, name: &str) -> std::path::PathBuf {
    dir.join("notes").join(name)
}

#[test]
fn the_first_of_each_hour_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut notes = open(&dir);
    assert!(sizes(&notes).is_empty());
    // 2026-11-23T08:00Z, and on until the new year.
    for (size, hours) in [
        (1, 0),
        (2, 0),
        (3, 1),
        (5, 1),
        (8, 200),
        (9, 1000),
        (11, 1000),
    ] {
        notes.keep(at(hours), &note(size));
    }
    // Set back: another hour is another hour.
    notes.keep(at(2), &note(12));
    for notes in [&notes, &open(&dir)] {
        assert_eq!(sizes(notes), [1, 3, 8, 9, 12]);
        assert_eq!(notes.sizes(3..9), [3, 8]);
        assert!(notes.sizes(9..9).is_empty());
        let expected = Kept {
            at: at(200),
            note: note(8),
        };
        assert_eq!(get(notes, 8), Some(expected));
        assert_eq!(get(notes, 2), None);
    }
    let mut names: Vec<_> = fs::read_dir(dir.path().join("notes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["2026-11", "2026-12", "2027-01"]);
    let mut notes = open(&dir);
    notes.keep(at(1000), &note(13));
    assert_eq!(sizes(&notes).len(), 5, "the hour of the last is remembered");
}

#[test]
fn a_note_gets_more_signatures_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut notes = open(&dir);
    notes.keep(at(0), &note(7));
    let signed = note_of(ORIGIN, 7, 3);
    notes.put(at(0), &signed).unwrap();
    assert_eq!(get(&notes, 7).unwrap().note, signed);
    assert_eq!(get(&open(&dir), 7).unwrap().note, signed);
    let other = note(7).replace(&Hash([7; 32]).to_string(), &Hash([8; 32]).to_string());
    for (text, why) in [
        (other.as_str(), "another tree"),
        ("junk", "no note"),
        (&note_of("lineside/s/other", 9, 1), "another log"),
        (&note_of(&format!("{ORIGIN}/e2"), 9, 1), "another epoch"),
    ] {
        assert!(notes.put(at(0), text).is_err(), "{why}");
    }
    assert_eq!(sizes(&notes), [7]);
}

/// Whatever is torn or changed: what is whole is there, what is not is not, and the next one is kept.
#[test]
fn damage_takes_no_more_than_it_must() {
    let check = |damage: &dyn Fn(&mut Vec<u8>), left: &[u64]| {
        let dir = tempfile::tempdir().unwrap();
        let mut notes = open(&dir);
        for size in 1..=4 {
            notes.keep(at(i64::try_from(size).unwrap()), &note(size));
        }
        let path = month(dir.path(), "2026-11");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        // What is known of before may have gone since: it is never taken for another.
        for size in 1..=4 {
            let found = get(&notes, size);
            assert!(found.is_none_or(|kept| kept.note == note(size)));
        }
        let mut notes = open(&dir);
        assert_eq!(sizes(&notes), left);
        notes.keep(at(20), &note(9));
        let all: Vec<u64> = left.iter().copied().chain([9]).collect();
        for notes in [&notes, &open(&dir)] {
            assert_eq!(sizes(notes), all);
            for size in &all {
                assert_eq!(get(notes, *size).unwrap().note, note(*size));
            }
        }
    };
    let dir = tempfile::tempdir().unwrap();
    open(&dir).keep(at(1), &note(1));
    let line = fs::read(month(dir.path(), "2026-11")).unwrap().len();
    check(&|_| {}, &[1, 2, 3, 4]);
    check(&Vec::clear, &[]);
    check(&|bytes| bytes.truncate(4 * line - 1), &[1, 2, 3, 4]);
    check(&|bytes| bytes.truncate(4 * line - 2), &[1, 2, 3]);
    check(&|bytes| bytes.truncate(3 * line + 4), &[1, 2, 3]);
    check(&|bytes| bytes[line + 30] ^= 1, &[1, 3, 4]);
    check(&|bytes| bytes[line] = b'x', &[1, 3, 4]);
    check(&|bytes| bytes[line - 1] = b' ', &[3, 4]);
    check(&|bytes| bytes[line + 30] = b'\n', &[1, 3, 4]);
    check(&|bytes| bytes[line + 30..2 * line].fill(0), &[1, 4]);
    check(
        &|bytes| bytes.splice(0..0, *b"\n\n\0\n").for_each(drop),
        &[1, 2, 3, 4],
    );
}

#[test]
fn nothing_in_the_folder_stops_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("notes");
    fs::create_dir_all(folder.join("2026-11")).unwrap();
    fs::write(folder.join("2026-13"), "x").unwrap();
    fs::write(folder.join("notes"), "x").unwrap();
    fs::write(folder.join("2026-12"), vec![b'\n'; MONTH_BYTES_MAX + 1]).unwrap();
    let mut notes = open(&dir);
    assert!(sizes(&notes).is_empty());
    notes.keep(at(0), &note(3));
    assert!(sizes(&notes).is_empty(), "its file is a folder");
    notes.keep(at(300), &note(4));
    assert!(sizes(&notes).is_empty(), "its file is full");
    notes.keep(at(1000), &note(5));
    assert_eq!(sizes(&notes), [5]);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "x").unwrap();
    let mut notes = open(&dir);
    notes.keep(at(0), &note(6));
    assert!(sizes(&notes).is_empty());
}

#[test]
fn months_are_those_of_utc() {
    assert_eq!(month_at(Time::from_millis(0)), Some(1970 * 100 + 1));
    assert_eq!(month_at(Time::MIN), Some(101));
    for name in [
        "2026-11x", "2026-00", "2026-13", "202-111", "+026-11", "2026_11", "",
    ] {
        assert_eq!(month_of(name), None, "{name}");
    }
    assert_eq!(hour(Time::from_millis(-1)), -1);
}

proptest! {
    #[test]
    fn junk_is_passed_over(junk in prop::collection::vec(any::<u8>(), 0..400), place in 0_usize..3) {
        let dir = tempfile::tempdir().unwrap();
        let mut notes = open(&dir);
        notes.keep(at(0), &note(1));
        notes.keep(at(1), &note(2));
        let path = month(dir.path(), "2026-11");
        let bytes = fs::read(&path).unwrap();
        let cut = bytes.len() / 2 * place;
        let all = [&bytes[..cut], b"\n", &junk, b"\n", &bytes[cut..]].concat();
        fs::write(&path, all).unwrap();
        prop_assert_eq!(sizes(&open(&dir)), [1, 2]);
    }
}

#[test]
fn the_newest_alone_are_known_to_whoever_only_adds() {
    let dir = tempfile::tempdir().unwrap();
    let mut notes = open(&dir);
    for hours in 0..2_000 {
        notes.keep(at(hours), &note(u64::try_from(hours).unwrap() + 1));
    }
    // A file of a time that never was.
    fs::write(month(dir.path(), "2099-01"), b"").unwrap();
    let mut newest = Notes::open_newest(dir.path(), ORIGIN);
    let known = sizes(&newest);
    assert!(
        known.len() <= NEWEST_MAX && known.last() == Some(&2_000),
        "{known:?}"
    );
    assert_eq!(get(&newest, 2_000), get(&notes, 2_000));
    // The hour goes on as if all were known.
    newest.keep_later(at(1_999), &note(2_001), at(1_999));
    assert_eq!(sizes(&newest).last(), Some(&2_000));
    newest.keep_later(at(1_990), &note(2_001), at(2_000));
    assert_eq!(sizes(&newest).last(), Some(&2_000), "hours go forwards");
    newest.keep_later(at(2_000), &note(2_001), at(2_000));
    newest.put(at(2_000), &note_of(ORIGIN, 2_001, 2)).unwrap();
    assert!(newest.put(at(2_000), &note_of("other", 2_001, 2)).is_err());
    assert_eq!(
        get(&open(&dir), 2_001).unwrap().note,
        note_of(ORIGIN, 2_001, 2)
    );
    assert_eq!(sizes(&open(&dir)).len(), 2_001);
    assert!(sizes(&newest).len() <= NEWEST_MAX);
    // One that was kept of a time to come does not end the hours.
    newest.put(at(90_000), &note(2_002)).unwrap();
    newest.keep_later(at(2_001), &note(2_003), at(2_001));
    assert_eq!(sizes(&newest).last(), Some(&2_003));
}

#[test]
fn the_newest_that_was_cosigned_is_kept_beside_those_of_the_hours() {
    let dir = tempfile::tempdir().unwrap();
    let mut notes = open(&dir);
    notes.keep(at(0), &note(10));
    for size in [11, 12, 13] {
        notes.put_newest(at(0), &note_of(ORIGIN, size, 2)).unwrap();
        assert_eq!(sizes(&notes), [10, size]);
    }
    // An older one, and one of a size that is kept, say nothing more.
    notes.put_newest(at(0), &note(12)).unwrap();
    notes.put_newest(at(0), &note(10)).unwrap();
    let mut again = open(&dir);
    assert_eq!(sizes(&again), [10, 13]);
    assert_eq!(get(&again, 13).unwrap().note, note_of(ORIGIN, 13, 2));
    // It is no note of its hour: the first of the next is kept, and of its own none was.
    again.keep(at(1), &note(14));
    again.keep(at(1), &note(15));
    again.put_newest(at(1), &note(16)).unwrap();
    assert_eq!(sizes(&again), [10, 14, 16]);
    // A torn one is passed over.
    fs::write(month(dir.path(), "newest"), "torn").unwrap();
    assert_eq!(sizes(&open(&dir)), [10, 14]);
    let mut alone = Notes::open(&dir.path().join("none"), ORIGIN);
    alone.put_newest(at(0), &note(5)).unwrap();
    let mut alone = Notes::open(&dir.path().join("none"), ORIGIN);
    alone.keep(at(0), &note(6));
    assert_eq!(sizes(&alone), [5, 6]);
}

#[test]
fn of_each_hour_one_cosigned_note_is_kept_and_the_newest_with_all_who_signed_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut notes = open(&dir);
    let parse = |size, signers| Note::parse(&note_of(ORIGIN, size, signers)).unwrap();
    for size in [10, 20, 30] {
        let one = parse(size, 1);
        notes.cosign(at(0), &one, &one.signatures, size);
    }
    assert_eq!(sizes(&notes), [10, 30]);
    // Another witness has cosigned the newest, too: it is one that is kept of the hour.
    let two = parse(30, 2);
    notes.cosign(at(0), &two, &two.signatures, 30);
    for notes in [notes, open(&dir)] {
        assert_eq!(sizes(&notes), [10, 30]);
        let kept = get(&notes, 30).unwrap();
        assert_eq!(Note::parse(&kept.note).unwrap().signatures.len(), 2);
    }
}
