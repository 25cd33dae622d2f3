//! A witness that lies, and keys that nobody knows: what they say stops no ledger, and moves no epoch.

use super::{ORIGIN, Place, grow, note, witness};
use crate::config::model::Witnesses;
use crate::ledger::head::{EPOCH_LEAP_MAX, origin};
use crate::ledger::{Ledger, Seen, Testimony, Witnessed, new_epoch};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash};

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
    let first = Some(format!("1000000 leaves of {ORIGIN}"));
    assert_eq!(contradictions(&ledger), [None, None, first.clone()]);
    grow(&ledger, 2);
    assert_eq!(ledger.sign().unwrap().unwrap().size, 5);
    assert_eq!(*ledger.durable().borrow(), 5);
    drop(ledger);
    let ledger = open(&place);
    assert!(ledger.suspended().is_none());
    assert_eq!(contradictions(&ledger), [None, None, first]);
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
        // The liar is furthest: what two have reached counts.
        (
            "of two heads",
            vec![shown(4, 99, &[3]), shown(1, 10, &[1])],
            (2, Some(10)),
        ),
        (
            "a later epoch",
            vec![shown(4, 9, &[1]), shown(4, 8, &[2])],
            (5, Some(8)),
        ),
    ] {
        let place = Place::new();
        let ledger = written(&place);
        let (last, before) = notes.split_last().unwrap();
        for note in before {
            assert_eq!(ledger.cosign(note).unwrap(), Witnessed::Disputed, "{what}");
        }
        assert_eq!(ledger.cosign(last).unwrap(), Witnessed::Conflict, "{what}");
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
        check(&shown(epoch, 5, &[1]), None, mine);
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
