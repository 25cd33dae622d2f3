//! A witness that lies or is alone with what it has seen, and keys that nobody knows: what they say stops no ledger, and
//! moves no epoch.

use super::{ORIGIN, Place, grow, note, witness};
use crate::config::model::Witnesses;
use crate::ledger::head::{EPOCH_LEAP_MAX, origin};
use crate::ledger::{Ledger, Seen, Testimony, Witnessed, new_epoch};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn at() -> Time {
    Time::from_millis(1_795_420_800_000)
}

fn keys() -> Vec<VerifierKey> {
    [1, 2, 3].map(|seed| witness(seed).public().clone()).into()
}

/// Two of three are wanted.
fn open(place: &Place) -> Ledger {
    let witnesses = Witnesses {
        keys: keys(),
        quorum: 2,
    };
    let opened = Ledger::open_witnessed(&place.state(), &place.key(), ORIGIN, &witnesses);
    opened.unwrap().0
}

fn written(place: &Place) -> Ledger {
    let ledger = open(place);
    grow(&ledger, 3);
    ledger.sign().unwrap();
    ledger
}

fn head(epoch: u32, size: u64) -> String {
    let checkpoint = Checkpoint {
        origin: origin(ORIGIN, epoch),
        size,
        root: Hash([9; 32]),
    };
    checkpoint.to_string()
}

/// A head that this ledger never had, cosigned by these.
fn shown(epoch: u32, size: u64, seeds: &[u8]) -> String {
    let text = head(epoch, size);
    let signatures = seeds.iter().map(|seed| witness(*seed).sign(&text, at()));
    let signatures = signatures.collect();
    Note { text, signatures }.to_string()
}

/// What each witness is said to contradict.
fn contradictions(ledger: &Ledger) -> Vec<Option<String>> {
    let figures = ledger.witnesses(at()).into_iter();
    figures.map(|witness| witness.contradicts).collect()
}

fn next(place: &Place, prior: Option<&str>) -> Result<(u32, Option<u64>), String> {
    let keys = keys();
    let testimony = Testimony {
        witnesses: &keys,
        quorum: 2,
        prior,
        ..Testimony::default()
    };
    let begun = new_epoch(&place.state(), &place.key(), ORIGIN, "x", &testimony);
    begun.map_err(|error| error.to_string())?;
    let (_, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    Ok((opened.epoch, opened.prior.map(|prior| prior.size)))
}

#[test]
fn one_witness_of_three_stops_nothing_and_is_named() {
    let place = Place::new();
    let ledger = written(&place);
    for (epoch, size) in [(1, 1_000_000), (1, 2), (2, 7), (1_000, 7)] {
        let lie = shown(epoch, size, &[3]);
        assert_eq!(ledger.cosign(&lie).unwrap(), Witnessed::Disputed);
        assert_eq!(ledger.compare(&lie).unwrap(), Seen::Disputed);
    }
    let furthest = Some(format!("7 leaves of {ORIGIN}/e1000"));
    assert_eq!(contradictions(&ledger), [None, None, furthest.clone()]);
    grow(&ledger, 2);
    assert_eq!(ledger.sign().unwrap().unwrap().size, 5);
    assert_eq!(*ledger.durable().borrow(), 5);
    drop(ledger);
    let ledger = open(&place);
    assert!(ledger.suspended().is_none());
    assert_eq!(contradictions(&ledger), [None, None, furthest]);
    // It comes round, and cosigns what there is.
    let mut honest = Note::parse(&note(&ledger)).unwrap();
    let line = witness(3).sign(&honest.text, at());
    honest.signatures.push(line);
    assert_eq!(ledger.cosign(&honest.to_string()).unwrap(), Witnessed::More);
    assert_eq!(contradictions(&ledger), [None, None, None]);
    drop(ledger);
    assert_eq!(next(&place, None), Ok((2, Some(5))), "no epoch was moved");
}

#[test]
fn enough_witnesses_stop_it_together_or_one_by_one() {
    for (what, notes, cited) in [
        ("together", vec![shown(1, 10, &[1, 2])], (2, Some(10))),
        (
            "of one head",
            vec![shown(1, 10, &[1]), shown(1, 10, &[3])],
            (2, Some(10)),
        ),
        // What each has said furthest counts.
        (
            "one after the other",
            vec![shown(1, 7, &[3]), shown(1, 12, &[3]), shown(1, 12, &[1])],
            (2, Some(12)),
        ),
        (
            "a later epoch",
            vec![shown(4, 8, &[1]), shown(4, 8, &[2])],
            (5, Some(8)),
        ),
    ] {
        let place = Place::new();
        let ledger = written(&place);
        let said: Vec<Witnessed> = notes
            .iter()
            .map(|note| ledger.cosign(note).unwrap())
            .collect();
        assert_eq!(said.last(), Some(&Witnessed::Conflict), "{what}");
        let reason = ledger.suspended().unwrap();
        assert!(
            reason.contains("cosigned by the city's witnesses"),
            "{reason}"
        );
        drop(ledger);
        assert_eq!(open(&place).suspended(), Some(reason), "{what}");
        assert_eq!(next(&place, None), Ok(cited), "{what}");
    }
}

/// Adds cosignatures to a note.
fn cosigned(note: &str, seeds: &[u8]) -> String {
    let mut note = Note::parse(note).unwrap();
    let lines = seeds
        .iter()
        .map(|seed| witness(*seed).sign(&note.text, at()));
    let lines: Vec<_> = lines.collect();
    note.signatures.extend(lines);
    note.to_string()
}

/// A ledger of sixteen leaves; the notes over six of them, which two witnesses have cosigned, and over all, which one has.
fn seen(place: &Place) -> [String; 2] {
    let ledger = open(place);
    [(6, [1, 2].as_slice()), (10, &[1])].map(|(count, seeds)| {
        grow(&ledger, count);
        ledger.sign().unwrap();
        let note = cosigned(&note(&ledger), seeds);
        assert_eq!(ledger.cosign(&note).unwrap(), Witnessed::More);
        note
    })
}

/// One archive was away while the gateway lost its disk and its key: what both have is not the last that one has, and an
/// epoch that gives the rest up would be stopped by both.
#[test]
fn where_one_witness_has_more_than_the_others_a_person_names_the_head() {
    let check = |later: Option<&[u8]>, prior: Option<usize>, expected: Result<u64, &str>| {
        let place = Place::new();
        let notes = seen(&place);
        fs::remove_dir_all(place.dir.path()).unwrap();
        let ledger = open(&place);
        grow(&ledger, 2);
        // As a witness may show it: the lost key's signature would count for nothing anyway.
        let of = |seeds: &[u8], note: &str| {
            let text = Note::parse(note).unwrap().text;
            let signatures = seeds.iter().map(|seed| witness(*seed).sign(&text, at()));
            let signatures = signatures.collect();
            Note { text, signatures }.to_string()
        };
        let said = [
            of(&[1], &notes[0]),
            of(&[1], &notes[1]),
            of(&[2], &notes[0]),
        ];
        let said = said.map(|note| ledger.cosign(&note).unwrap());
        let stopped = [
            Witnessed::Disputed,
            Witnessed::Disputed,
            Witnessed::Conflict,
        ];
        assert_eq!(said, stopped);
        if let Some(seeds) = later {
            ledger.cosign(&of(seeds, &notes[1])).unwrap();
        }
        drop(ledger);
        let found = next(&place, prior.map(|prior| notes[prior].as_str()));
        match expected {
            Ok(size) => assert_eq!(found, Ok((2, Some(size)))),
            Err(why) => {
                let said = found.unwrap_err();
                assert!(said.contains(why), "{said}");
                let ledger = open(&place);
                assert!(ledger.suspended().is_some());
                assert_eq!((ledger.size(), ledger.origin().as_str()), (2, ORIGIN));
            }
        }
    };
    let lone = format!("w1.example alone has cosigned 16 leaves of {ORIGIN},");
    check(None, None, Err(&lone));
    // Whichever of the two a person names.
    check(None, Some(1), Ok(16));
    check(None, Some(0), Ok(6));
    // The other archive came back and has seen it, too.
    check(Some(&[2]), None, Ok(16));
    check(Some(&[1, 2]), None, Ok(16));
    // A third has it.
    check(Some(&[3]), None, Ok(16));
}

/// The key is here: what it signed counts by itself. Where a witness left its signature out, the witness is alone.
#[test]
fn where_the_key_was_kept_one_witness_beside_it_has_the_last_word() {
    for (is_signed, expected) in [(true, Ok((2, Some(16)))), (false, Err(()))] {
        let place = Place::new();
        let [six, sixteen] = seen(&place);
        fs::remove_dir_all(place.state()).unwrap();
        // The record came from a backup, too.
        for turn in 0..2 {
            fs::remove_file(format!("{}.head.{turn}", place.key().display())).unwrap();
        }
        let ledger = open(&place);
        grow(&ledger, 2);
        let mut sixteen = Note::parse(&sixteen).unwrap();
        if !is_signed {
            sixteen.signatures.retain(|line| line.name != ORIGIN);
        }
        ledger.cosign(&sixteen.to_string()).unwrap();
        assert_eq!(ledger.cosign(&six).unwrap(), Witnessed::Conflict);
        drop(ledger);
        let found = next(&place, None);
        assert_eq!(found.map_err(drop), expected, "{is_signed}");
    }
}

/// A ledger that was begun anew has outgrown what a single witness has, and nothing else is known.
#[test]
fn what_one_witness_contradicts_is_not_cited_unasked() {
    let place = Place::new();
    let ledger = written(&place);
    ledger.cosign(&shown(1, 2, &[1])).unwrap();
    assert!(ledger.suspended().is_none());
    let own = note(&ledger);
    drop(ledger);
    let refused = next(&place, None).unwrap_err();
    assert!(refused.contains("w1.example alone"), "{refused}");
    assert_eq!(next(&place, Some(&own)), Ok((2, Some(3))));
}

/// One says what contradicts the ledger again and again, while another comes round: neither is lost over the other.
#[test]
fn what_a_witness_says_is_not_lost_while_another_comes_round() {
    let witnesses = Witnesses {
        keys: keys(),
        quorum: 3,
    };
    for _ in 0..5 {
        let place = Place::new();
        let opened = Ledger::open_witnessed(&place.state(), &place.key(), ORIGIN, &witnesses);
        let ledger = opened.unwrap().0;
        grow(&ledger, 3);
        ledger.sign().unwrap();
        ledger.cosign(&shown(1, 9, &[3])).unwrap();
        let honest = cosigned(&note(&ledger), &[3]);
        let is_done = AtomicBool::new(false);
        let last = thread::scope(|scope| {
            let lies = scope.spawn(|| {
                let is_wanted = |size: &u64| *size == 10 || !is_done.load(Ordering::Acquire);
                let sizes = (10..10_000).take_while(is_wanted);
                sizes
                    .inspect(|size| {
                        ledger.cosign(&shown(1, *size, &[1])).unwrap();
                    })
                    .last()
            });
            assert_eq!(ledger.cosign(&honest).unwrap(), Witnessed::More);
            is_done.store(true, Ordering::Release);
            lies.join().unwrap()
        });
        let said = format!("{} leaves of {ORIGIN}", last.unwrap());
        assert_eq!(contradictions(&ledger), [Some(said), None, None]);
    }
}

#[test]
fn a_witness_beside_the_gateways_own_key_is_enough() {
    let place = Place::new();
    let ledger = written(&place);
    let text = head(1, 10);
    let own = crate::ledger::Keys::load(&place.key(), ORIGIN).unwrap();
    let mut signatures = own.sign(&text);
    signatures.push(witness(3).sign(&text, at()));
    let note = Note { text, signatures }.to_string();
    assert_eq!(ledger.cosign(&note).unwrap(), Witnessed::Conflict);
}

#[test]
fn no_word_uses_up_the_numbers_of_epochs() {
    let check = |note: &str, prior: Option<&str>, expected: Result<(u32, Option<u64>), &str>| {
        let place = Place::new();
        let ledger = written(&place);
        let mut own = Note::parse(&super::note(&ledger)).unwrap();
        own.signatures.push(witness(3).sign(&own.text, at()));
        ledger.cosign(&own.to_string()).unwrap();
        ledger.cosign(note).unwrap();
        ledger.compare(note).unwrap();
        drop(ledger);
        let found = next(&place, prior);
        match (&found, &expected) {
            (Err(said), Err(why)) => assert!(said.contains(why), "{said}"),
            _ => assert_eq!(
                found.as_ref().ok(),
                expected.as_ref().ok(),
                "{note} {found:?}"
            ),
        }
    };
    let mine = Ok((2, Some(3)));
    for epoch in [3, EPOCH_LEAP_MAX + 1, u32::MAX - 1, u32::MAX] {
        let name = origin(ORIGIN, epoch);
        let stranger = SignerKey::new(&name, KeyKind::Ed25519, &[8; 32]).unwrap();
        let text = head(epoch, 5);
        let signatures = vec![stranger.sign(&text, at())];
        let unknown = Note { text, signatures }.to_string();
        check(&unknown, None, mine);
        // One that says so alone moves nothing, and whoever begins an epoch says which it is.
        let is_near = epoch <= EPOCH_LEAP_MAX;
        let lone = if is_near {
            Err("alone has cosigned 5")
        } else {
            mine
        };
        check(&shown(epoch, 5, &[1]), None, lone);
        check(
            &shown(epoch, 5, &[1]),
            Some(&shown(1, 9, &[2])),
            Ok((2, Some(9))),
        );
    }
    // Enough of them, as far as an archive would follow: the next is the last that it takes.
    let most = EPOCH_LEAP_MAX;
    check(&shown(most, 5, &[1, 2]), None, Ok((most + 1, Some(5))));
    check(&shown(most + 1, 5, &[1, 2]), None, mine);
    check(&shown(u32::MAX, 5, &[1, 2]), None, mine);
    let far = shown(u32::MAX, 5, &[1, 2]);
    check(
        "junk",
        Some(&far),
        Err("no more than 1000 are ever skipped"),
    );
}
