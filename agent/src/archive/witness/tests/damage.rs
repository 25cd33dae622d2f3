//! Crashes between record and signature, torn and damaged records, disks that refuse.

use std::fs;

use super::{Desk, Log, ORIGIN, at};
use crate::archive::witness::{MemoryError, Refusal, Witness};

fn ask(witness: &Witness, log: Log, old: u64, size: u64) -> Result<(), Refusal> {
    let proof = log.proof(old, size);
    let asked = witness.cosign(&log.note(size), &log.head(size), old, &proof, at(0));
    asked.map(drop)
}

fn size(witness: &Witness) -> u64 {
    witness.cosigned(ORIGIN).unwrap().map_or(0, |one| one.size)
}

#[test]
fn a_record_that_is_ahead_of_what_anybody_got_is_gone_on_from() {
    let (desk, log) = (Desk::new(), Log::new());
    ask(&desk.open(), log, 0, 5).unwrap();
    let before = fs::read(desk.slot(0)).unwrap();
    ask(&desk.open(), log, 5, 9).unwrap();
    // The answers were lost, or the crash came between the slots: whoever asked knows nothing of it.
    for torn in [None, Some(before)] {
        if let Some(before) = torn {
            fs::write(desk.slot(0), before).unwrap();
        }
        let witness = desk.open();
        assert!(matches!(
            ask(&witness, log, 5, 12),
            Err(Refusal::Conflict(9))
        ));
        assert_eq!(
            ask(&witness, Log::forked('b', 6), 9, 12)
                .unwrap_err()
                .status(),
            422
        );
        assert!(ask(&witness, log, 9, 9).is_ok());
    }
    assert!(ask(&desk.open(), log, 9, 12).is_ok());
}

/// What may become of a slot.
fn spoil(desk: &Desk, turn: u8, how: usize) {
    let path = desk.slot(turn);
    let mut bytes = fs::read(&path).unwrap();
    match how {
        0 => bytes.iter_mut().for_each(|byte| *byte = 0),
        1 => bytes[25] ^= 1,
        _ => bytes.truncate(19),
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn one_bad_slot_takes_nothing_with_it_and_two_stop_the_log() {
    let log = Log::new();
    for how in 0..3 {
        for turn in 0..2 {
            let desk = Desk::new();
            for (old, new) in [(0, 3), (3, 5), (5, 9)] {
                ask(&desk.open(), log, old, new).unwrap();
            }
            spoil(&desk, turn, how);
            assert_eq!(size(&desk.open()), 9, "{how} {turn}");
            let asked = ask(&desk.open(), Log::forked('b', 4), 5, 12);
            assert!(
                matches!(asked, Err(Refusal::Conflict(9))),
                "{how} {turn} {asked:?}"
            );
            // The next one is in both again.
            ask(&desk.open(), log, 9, 10).unwrap();
            spoil(&desk, 1 - turn, how);
            assert_eq!(size(&desk.open()), 10, "{how} {turn}");
            spoil(&desk, turn, how);
            for (old, new) in [(0, 3), (10, 11), (0, 0)] {
                let asked = ask(&desk.open(), log, old, new);
                let is_damaged = matches!(asked, Err(Refusal::Memory(MemoryError::Damaged(_))));
                assert!(is_damaged, "{how} {turn} {asked:?}");
            }
        }
    }
}

#[test]
fn a_first_record_that_was_torn_was_none() {
    let (desk, log) = (Desk::new(), Log::new());
    fs::write(desk.slot(0), [0; 64]).unwrap();
    assert_eq!(size(&desk.open()), 0);
    ask(&desk.open(), log, 0, 4).unwrap();
    assert_eq!(size(&desk.open()), 4);
}

#[test]
fn a_record_of_another_log_is_none_of_this() {
    let (desk, log) = (Desk::new(), Log::new());
    let other = Log {
        origin: "example.com/other",
        ..log
    };
    ask(&desk.open(), other, 0, 4).unwrap();
    for turn in 0..2 {
        let name = crate::archive::witness::memory::name(other.origin);
        fs::copy(
            desk.folder().join(format!("{name}.{turn}")),
            desk.slot(turn),
        )
        .unwrap();
    }
    assert_eq!(size(&desk.open()), 0);
    let asked = ask(&desk.open(), log, 4, 5);
    assert!(
        matches!(asked, Err(Refusal::Memory(MemoryError::Damaged(_)))),
        "{asked:?}"
    );
}

#[test]
fn a_disk_that_refuses_gets_no_signature() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    ask(&witness, log, 0, 4).unwrap();
    // A folder in the file's place can't be written, whoever asks.
    let (slot, aside) = (desk.slot(1), desk.dir.path().join("aside"));
    fs::rename(&slot, &aside).unwrap();
    fs::create_dir(&slot).unwrap();
    let asked = ask(&witness, log, 4, 5);
    assert!(
        matches!(asked, Err(Refusal::Memory(MemoryError::Disk { .. }))),
        "{asked:?}"
    );
    fs::remove_dir(&slot).unwrap();
    fs::rename(&aside, &slot).unwrap();
    ask(&witness, log, 4, 5).unwrap();
    fs::remove_dir_all(desk.folder()).unwrap();
    let asked = ask(&witness, log, 5, 6);
    assert!(
        matches!(asked, Err(Refusal::Memory(MemoryError::Disk { .. }))),
        "{asked:?}"
    );
}

#[test]
fn there_is_room_for_so_many_logs() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    ask(&witness, log, 0, 4).unwrap();
    for number in 1..crate::archive::witness::memory::ORIGINS_MAX {
        fs::write(desk.folder().join(format!("{number}.0")), "").unwrap();
    }
    let other = Log {
        origin: "example.com/other",
        ..log
    };
    let asked = ask(&witness, other, 0, 4);
    assert!(
        matches!(asked, Err(Refusal::Memory(MemoryError::Full))),
        "{asked:?}"
    );
    // Those that are known go on.
    assert!(ask(&witness, log, 4, 5).is_ok());
}
