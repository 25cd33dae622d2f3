//! What a disk loses after it had promised to keep it: noticed, and not forgotten by the next start.

use super::{ORIGIN, Place, grow};
use crate::ledger::{Ledger, LedgerError, Testimony, new_epoch};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

fn file(place: &Place, path: &str) -> PathBuf {
    place.state().join("ledger").join(path)
}

/// Leaves appended one by one, and the journal's length after each.
fn written(count: u64) -> (Place, Vec<u64>) {
    let place = Place::new();
    let ledger = place.open();
    let mut ends = Vec::new();
    for _ in 0..count {
        grow(&ledger, 1);
        ends.push(fs::metadata(file(&place, "journal")).unwrap().len());
    }
    (place, ends)
}

fn said(place: &Place) -> String {
    place.open().suspended().unwrap().to_string()
}

fn cut(place: &Place, end: u64) {
    let journal = fs::File::options().write(true).open(file(place, "journal"));
    journal.unwrap().set_len(end).unwrap();
}

fn flip(place: &Place, at: u64) {
    let path = file(place, "journal");
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    fs::write(&path, bytes).unwrap();
}

fn spoil_record(place: &Place) {
    for turn in 0..2 {
        fs::write(
            format!("{}.head.{turn}", place.key().display()),
            "no record",
        )
        .unwrap();
    }
}

#[test]
fn what_the_city_took_is_missed_after_the_ledger_has_grown_again() {
    let (place, ends) = written(20);
    let ledger = place.open();
    ledger.acknowledge(15);
    ledger.note_delivered().unwrap();
    drop(ledger);
    cut(&place, ends[9]);
    let ledger = place.open();
    let short = ledger.suspended().unwrap();
    assert!(
        short.contains("has taken 15 leaves, and there are 10"),
        "{short}"
    );
    let others = super::facts(50, 20);
    ledger.append("boot", &others).unwrap();
    ledger.note_delivered().unwrap();
    drop(ledger);
    let grown = said(&place);
    assert!(
        grown.contains("its first 15 leaves are not those that the city has taken"),
        "{grown}"
    );
    new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "the disk lies",
        &Testimony::default(),
    )
    .unwrap();
    assert!(place.open().suspended().is_none());
}

#[test]
fn a_mark_of_before_roots_were_noted_is_read() {
    let (place, _) = written(5);
    let path = file(&place, "delivered");
    drop(place.open());
    let mut slots = crate::slots::Slots::open(&path).unwrap();
    slots.write(&4_u64.to_le_bytes()).unwrap();
    drop(slots);
    let ledger = place.open();
    assert_eq!((ledger.delivered(), ledger.suspended()), (4, None));
    ledger.acknowledge(5);
    ledger.note_delivered().unwrap();
    let root = ledger.root_at(5).unwrap();
    drop(ledger);
    let record = crate::slots::Slots::open(&path).unwrap().read().unwrap();
    assert_eq!(record, [&5_u64.to_le_bytes()[..], &root.0].concat());
}

/// Damage within the journal, where later appends show that it had been durable.
#[test]
fn a_flip_within_the_journal_is_no_torn_end_and_is_not_forgotten() {
    let (place, ends) = written(20);
    // In the bytes of the leaf, in its CRC, in its length.
    for at in [ends[9] + 20, ends[9] + 5, ends[9]] {
        let good = fs::read(file(&place, "journal")).unwrap();
        flip(&place, at);
        let check = crate::ledger::check(&place.state(), &place.key(), ORIGIN).unwrap_err();
        assert!(
            check.to_string().contains("leaf 10 does not fit"),
            "{check}"
        );
        let ledger = place.open();
        let first = ledger.suspended().unwrap();
        assert!(first.contains("damaged within"), "{first}");
        assert_eq!((ledger.size(), *ledger.durable().borrow()), (10, 0));
        grow(&ledger, 300);
        drop(ledger);
        assert_eq!(said(&place), *first);
        let check = crate::ledger::check(&place.state(), &place.key(), ORIGIN).unwrap_err();
        assert!(check.to_string().contains("journal.lost"), "{check}");
        let left = fs::read(file(&place, "journal.lost")).unwrap();
        assert_eq!(left.len(), good.len() - usize::try_from(ends[9]).unwrap());
        new_epoch(
            &place.state(),
            &place.key(),
            ORIGIN,
            "a bad disk",
            &Testimony::default(),
        )
        .unwrap();
        let ledger = place.open();
        assert!(ledger.suspended().is_none());
        for _ in 0..20 {
            grow(&ledger, 1);
        }
        assert_eq!(
            fs::metadata(file(&place, "journal")).unwrap().len(),
            ends[19]
        );
    }
}

#[test]
fn the_end_of_the_last_append_may_be_torn_and_what_came_whole_with_a_new_journal_may_not() {
    // One append of many leaves: no later one shows that it had ended.
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 20);
    drop(ledger);
    flip(&place, 300);
    let ledger = place.open();
    assert!(ledger.suspended().is_none());
    assert!(ledger.size() < 20);
    // A journal that was made anew with leaves in it.
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 250);
    grow(&ledger, 20);
    drop(ledger);
    flip(&place, 100);
    assert!(said(&place).contains("damaged within"));
}

#[test]
fn a_record_that_is_damaged_in_both_copies_leaves_a_way_out() {
    let (place, _) = written(20);
    let ledger = place.open();
    ledger.sign().unwrap();
    grow(&ledger, 1);
    ledger.sign().unwrap();
    drop(ledger);
    for epoch in 2..4 {
        spoil_record(&place);
        let refused = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap_err();
        assert!(refused.to_string().contains("ledger.key.head"), "{refused}");
        assert!(refused.to_string().contains("new-epoch"), "{refused}");
        new_epoch(
            &place.state(),
            &place.key(),
            ORIGIN,
            "a bad disk",
            &Testimony::default(),
        )
        .unwrap();
        let (ledger, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
        assert_eq!((opened.epoch, opened.size), (epoch, 0));
        assert_eq!(opened.prior.unwrap().size, 21);
        assert!(ledger.suspended().is_none());
        grow(&ledger, 21);
        ledger.sign().unwrap();
    }
}

#[test]
fn without_the_record_the_epoch_is_that_of_the_note_or_the_one_after_those_put_aside() {
    let forget = |place: &Place| {
        for turn in 0..2 {
            fs::remove_file(format!("{}.head.{turn}", place.key().display())).unwrap();
        }
    };
    let (place, _) = written(3);
    place.open().sign().unwrap();
    new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "x",
        &Testimony::default(),
    )
    .unwrap();
    forget(&place);
    let (ledger, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    assert_eq!((opened.epoch, opened.origin), (2, format!("{ORIGIN}/e2")));
    grow(&ledger, 3);
    ledger.sign().unwrap();
    drop(ledger);
    forget(&place);
    fs::remove_dir_all(place.state().join("ledger.e1")).unwrap();
    let (ledger, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    assert_eq!((opened.epoch, ledger.signed()), (2, 3));
    assert!(ledger.suspended().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whichever bit of the journal flips, leaves that had been durable are all there, or their loss is said; but
    /// for the last append, which might as well have been torn.
    #[test]
    fn no_flip_loses_durable_leaves_without_a_word(
        batches in prop::collection::vec(1_u64..60, 1..12),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let place = Place::new();
        let ledger = place.open();
        for count in &batches {
            grow(&ledger, *count);
        }
        let all = super::leaves(&ledger);
        drop(ledger);
        let path = file(&place, "journal");
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        match Ledger::open(&place.state(), &place.key(), ORIGIN) {
            Err(LedgerError::Damaged { path, .. }) => prop_assert!(path.ends_with("journal")),
            Err(error) => panic!("{error}"),
            Ok((ledger, _)) => {
                let left = super::leaves(&ledger);
                prop_assert_eq!(&left[..], &all[..left.len()]);
                let lost = (all.len() - left.len()) as u64;
                let is_last = lost <= batches[batches.len() - 1];
                prop_assert!(is_last || ledger.suspended().is_some(), "{} lost", lost);
            }
        }
    }
}
