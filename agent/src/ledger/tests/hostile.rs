//! What a crash, a restored backup, a second process or somebody's hand may leave in the directories.

use super::{ORIGIN, Place, copy_tree, grow, leaves, note};
use crate::ledger::{Ledger, LedgerError, Seen, Testimony, new_epoch, verify_files};
use crate::record::Entry;
use lineside_proto::ledger::{Checkpoint, LeafBody};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

fn file(place: &Place, path: &str) -> PathBuf {
    place.state().join("ledger").join(path)
}

fn refusal(place: &Place) -> String {
    let opened = Ledger::open(&place.state(), &place.key(), ORIGIN);
    match opened {
        Err(error @ LedgerError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn suspension(place: &Place) -> String {
    place.open().suspended().unwrap().to_string()
}

fn forget(place: &Place) {
    for turn in 0..2 {
        fs::remove_file(format!("{}.head.{turn}", place.key().display())).unwrap();
    }
}

/// A ledger of so many leaves, signed and closed.
fn written(count: u64) -> Place {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, count);
    ledger.sign().unwrap();
    place
}

#[test]
fn files_that_nobody_wrote_are_refused_before_they_are_read_whole() {
    let place = written(300);
    let long = |path: &str| {
        let path = file(&place, path);
        let bytes = fs::read(&path).unwrap();
        // Sparse: more than there is memory, if anybody read it.
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let said = refusal(&place);
        assert!(said.contains("longer than"), "{said}");
        fs::write(path, bytes).unwrap();
    };
    long("journal");
    long("tile/0/000");
    assert!(place.open().suspended().is_none());
    let bundle = file(&place, "tile/entries/000");
    let bytes = fs::read(&bundle).unwrap();
    File::options()
        .write(true)
        .open(&bundle)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let ledger = place.open();
    assert!(matches!(
        ledger.read(0, 10),
        Err(LedgerError::Damaged { .. })
    ));
    let checked = verify_files(ledger.dir(), &ledger.keys(), ORIGIN, &[]);
    let said = checked.unwrap_err().to_string();
    assert!(said.contains("tile/entries/000"), "{said}");
    fs::write(bundle, bytes).unwrap();
    assert_eq!(ledger.read(0, 10).unwrap().len(), 1);
}

#[test]
fn a_ledger_without_its_journal_is_no_new_one() {
    let place = written(300);
    let journal = file(&place, "journal");
    let bytes = fs::read(&journal).unwrap();
    fs::remove_file(&journal).unwrap();
    assert!(refusal(&place).contains("journal: it is missing"));
    assert!(!journal.exists(), "nothing is changed");
    fs::write(&journal, &bytes[..10]).unwrap();
    assert!(refusal(&place).contains("its head"));
    fs::write(&journal, &bytes).unwrap();
    assert!(place.open().suspended().is_none());
}

#[test]
fn what_the_disk_lost_after_it_promised_is_noticed_and_what_is_torn_is_kept_aside() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 20);
    ledger.acknowledge(15);
    ledger.note_delivered().unwrap();
    drop(ledger);
    let journal = file(&place, "journal");
    let bytes = fs::read(&journal).unwrap();
    let mut flipped = bytes.clone();
    let place_of = bytes.len() / 2;
    flipped[place_of] ^= 1;
    fs::write(&journal, flipped).unwrap();
    let said = suspension(&place);
    assert!(said.contains("the city has taken 15 leaves"), "{said}");
    assert_eq!(*place.open().durable().borrow(), 0);
    let kept = fs::metadata(&journal).unwrap().len()
        + fs::metadata(file(&place, "journal.torn")).unwrap().len();
    assert_eq!(kept, bytes.len() as u64);
}

#[test]
fn one_process_at_a_time_holds_the_directory_and_the_key() {
    let place = written(1);
    let ledger = place.open();
    let again = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap_err();
    assert!(matches!(again, LedgerError::KeyHeld { .. }), "{again}");
    let other = place.dir.path().join("other");
    let other = Ledger::open(&other, &place.key(), ORIGIN).unwrap_err();
    assert!(matches!(other, LedgerError::KeyHeld { .. }), "{other}");
    let key = place.dir.path().join("other-keys/ledger.key");
    let held = Ledger::open(&place.state(), &key, ORIGIN).unwrap_err();
    assert!(matches!(held, LedgerError::Held { .. }), "{held}");
    let epoch = new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "x",
        &Testimony::default(),
    )
    .unwrap_err();
    assert!(matches!(epoch, LedgerError::KeyHeld { .. }), "{epoch}");
    drop(ledger);
    assert!(place.open().suspended().is_none());
}

#[test]
fn the_note_is_written_anew_where_it_is_damaged_and_believed_where_the_record_is_older() {
    let place = written(3);
    let good = fs::read_to_string(file(&place, "checkpoint")).unwrap();
    for bad in [
        good.replace("\n3\n", "\n2\n"),
        good.replace('\u{2014}', "-"),
        String::new(),
    ] {
        fs::write(file(&place, "checkpoint"), bad).unwrap();
        assert_eq!(note(&place.open()), good);
        assert_eq!(
            fs::read_to_string(file(&place, "checkpoint")).unwrap(),
            good
        );
    }
    // The folder of the key comes from a backup, and the journal lost its end.
    let keys = place.key().parent().unwrap().to_owned();
    let backup = place.dir.path().join("backup");
    copy_tree(&keys, &backup);
    let journal = fs::read(file(&place, "journal")).unwrap();
    let ledger = place.open();
    grow(&ledger, 5);
    ledger.sign().unwrap();
    drop(ledger);
    copy_tree(&backup, &keys);
    assert_eq!(place.open().signed(), 8);
    fs::write(file(&place, "journal"), journal).unwrap();
    let said = suspension(&place);
    assert!(said.contains("a head of 8 leaves was signed"), "{said}");
}

#[test]
fn a_conflict_ends_publication_at_once() {
    let place = written(3);
    let twin = Place::new();
    copy_tree(
        &place.dir.path().join("keys"),
        &twin.dir.path().join("keys"),
    );
    let keys = twin.dir.path().join("keys");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(keys, mode).unwrap();
    forget(&twin);
    let other = twin.open();
    grow(&other, 9);
    other.sign().unwrap();
    let ledger = place.open();
    assert_eq!(*ledger.durable().borrow(), 3);
    assert_eq!(ledger.compare(&note(&other)).unwrap(), Seen::Conflict);
    assert_eq!(*ledger.durable().borrow(), 0);
    grow(&ledger, 1);
    assert_eq!(*ledger.durable().borrow(), 0);
}

#[test]
fn an_epoch_that_was_interrupted_signs_nothing_until_it_is_asked_for_again() {
    let place = written(300);
    // The folder has moved, and the record does not know yet.
    let dir = place.state().join("ledger");
    fs::rename(&dir, place.state().join("ledger.e1")).unwrap();
    assert!(suspension(&place).contains("a head of 300 leaves was signed"));
    let aside = new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "a new disk",
        &Testimony::default(),
    )
    .unwrap();
    assert_eq!(aside, place.state().join("ledger.e1.2"));
    let (ledger, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    assert_eq!((opened.epoch, opened.prior.unwrap().size), (2, 300));
    assert!(ledger.suspended().is_none());
    drop(ledger);
    // A backup of the epoch before comes back before anything of the new one was signed.
    fs::remove_dir_all(&dir).unwrap();
    fs::rename(place.state().join("ledger.e1"), &dir).unwrap();
    let said = suspension(&place);
    assert_eq!(
        said,
        format!("its origin was {ORIGIN}, and is {ORIGIN}/e2 now")
    );
    // Without a record, the note that goes aside is remembered first.
    forget(&place);
    assert!(place.open().suspended().is_none(), "the note stands for it");
    forget(&place);
    new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "y",
        &Testimony::default(),
    )
    .unwrap();
    let (_, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    // The second was begun before, as what was put aside tells: it does not come twice.
    assert_eq!((opened.epoch, opened.prior.unwrap().size), (3, 300));
}

#[test]
fn a_change_of_keys_that_was_interrupted_ends_well_from_wherever_it_stood() {
    let beside =
        |place: &Place, suffix: &str| PathBuf::from(format!("{}{suffix}", place.key().display()));
    // Before the new key had its place.
    let place = written(1);
    fs::hard_link(place.key(), beside(&place, ".old")).unwrap();
    fs::write(beside(&place, ".next"), "half").unwrap();
    fs::write(beside(&place, ".draft"), "half").unwrap();
    let ledger = place.open();
    assert_eq!(ledger.keys().len(), 1);
    assert_eq!(ledger.untold_key_change().unwrap(), None);
    let leaf = ledger.rotate_key().unwrap();
    assert_eq!(ledger.keys().len(), 2);
    drop(ledger);
    // Before the leaf was appended.
    let ledger = place.open();
    assert_eq!(ledger.untold_key_change().unwrap(), Some(leaf.clone()));
    grow(&ledger, 300);
    let at = super::facts(0, 1).remove(0).at;
    let body = LeafBody::Key(leaf);
    ledger.append("boot", &[Entry { at, body }]).unwrap();
    assert_eq!(ledger.untold_key_change().unwrap(), None);
    ledger.sign().unwrap();
    ledger.finish_rotation().unwrap();
    assert_eq!(ledger.untold_key_change().unwrap(), None);
    drop(ledger);
    assert_eq!(place.open().keys().len(), 1);
    // A new key is whole or not there.
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.key()).unwrap();
    fs::write(beside(&place, ".draft"), "half").unwrap();
    assert!(place.open().suspended().is_none());
}

#[test]
fn after_a_write_that_failed_nothing_is_taken_or_signed_and_what_was_durable_is_kept() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 200);
    // No tile can be written.
    fs::write(file(&place, "tile"), "").unwrap();
    let facts = super::facts(200, 100);
    assert!(matches!(
        ledger.append("boot", &facts),
        Err(LedgerError::Disk { .. })
    ));
    assert!(matches!(
        ledger.append("boot", &facts),
        Err(LedgerError::Broken)
    ));
    assert!(matches!(ledger.sign(), Err(LedgerError::Broken)));
    assert_eq!(*ledger.durable().borrow(), 200);
    drop(ledger);
    fs::remove_file(file(&place, "tile")).unwrap();
    let ledger = place.open();
    assert!(ledger.size() >= 200);
    ledger.sign().unwrap();
    assert_eq!(leaves(&ledger).len() as u64, ledger.size());
}

#[test]
fn a_great_append_is_cut_so_that_the_journal_stays_short() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 100);
    grow(&ledger, 2000);
    ledger.sign().unwrap();
    let head = ledger.head();
    let journal = fs::metadata(file(&place, "journal")).unwrap().len();
    assert!(journal < 256 * 300, "{journal}");
    drop(ledger);
    let ledger = place.open();
    assert_eq!((ledger.head(), leaves(&ledger).len()), (head, 2100));
}

#[test]
fn partial_tiles_go_when_the_full_one_is_there_and_the_older_checkpoint_still_verifies() {
    let place = Place::new();
    let ledger = place.open();
    for _ in 0..30 {
        grow(&ledger, 8);
        ledger.sign().unwrap();
    }
    let count = |path: &str| fs::read_dir(file(&place, path)).unwrap().count();
    assert_eq!(
        (count("tile/0/000.p"), count("tile/entries/000.p")),
        (30, 30)
    );
    grow(&ledger, 30);
    assert!(!file(&place, "tile/0/000.p").exists());
    assert!(!file(&place, "tile/entries/000.p").exists());
    let check =
        |seen: &[Checkpoint]| verify_files(Path::new(ledger.dir()), &ledger.keys(), ORIGIN, seen);
    let older = check(&[]).unwrap();
    assert_eq!(older.size, 240);
    ledger.sign().unwrap();
    assert_eq!(check(&[older]).unwrap().size, 270);
}
