//! What witnesses say of a ledger, and what comes of it.

use super::{ORIGIN, Place, facts, grow, note, witness};
use crate::config::model::Witnesses;
use crate::ledger::{Keys, Ledger, Witnessed};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use std::fs;

pub(super) fn two() -> Witnesses {
    Witnesses {
        keys: [1, 2].map(|seed| witness(seed).public().clone()).into(),
        quorum: 1,
    }
}

fn at(minutes: i64) -> Time {
    Time::from_millis(1_795_420_800_000 + minutes * 60_000)
}

pub(super) fn open(place: &Place) -> Ledger {
    let opened = Ledger::open_witnessed(&place.state(), &place.key(), ORIGIN, &two());
    opened.unwrap().0
}

/// A ledger of so many signed leaves.
pub(super) fn written(place: &Place, count: u64) -> Ledger {
    let ledger = open(place);
    grow(&ledger, count);
    ledger.sign().unwrap();
    ledger
}

/// A note with the cosignature of a witness more.
pub(super) fn cosigned(note: &str, seed: u8, minutes: i64) -> String {
    let mut note = Note::parse(note).unwrap();
    let line = witness(seed).sign(&note.text, at(minutes));
    note.signatures.push(line);
    note.to_string()
}

/// A head that only a witness has signed.
pub(super) fn bare(origin: &str, size: u64, root: Hash, seed: u8) -> String {
    let origin = origin.to_owned();
    let text = Checkpoint { origin, size, root }.to_string();
    let signatures = vec![witness(seed).sign(&text, at(0))];
    Note { text, signatures }.to_string()
}

fn signers(note: &str) -> Vec<String> {
    let note = Note::parse(note).unwrap();
    note.signatures.into_iter().map(|one| one.name).collect()
}

#[test]
fn what_a_witness_has_seen_is_delivered_and_kept() {
    let place = Place::new();
    let ledger = written(&place, 3);
    ledger.acknowledge(3);
    assert_eq!((ledger.cosigned(), ledger.delivered()), (Some(0), 0));
    assert_eq!(ledger.acknowledged(), 3);
    let first = note(&ledger);
    assert_eq!(
        ledger.cosign(&cosigned(&first, 1, 1)).unwrap(),
        Witnessed::More
    );
    assert_eq!(
        ledger.cosign(&cosigned(&first, 1, 1)).unwrap(),
        Witnessed::Known
    );
    assert_eq!((ledger.cosigned(), ledger.delivered()), (Some(3), 3));
    // The newest note, and the kept one: both say so, and the second witness adds to them.
    assert_eq!(
        ledger.cosign(&cosigned(&first, 2, 2)).unwrap(),
        Witnessed::More
    );
    assert_eq!(
        ledger.cosign(&cosigned(&first, 2, 9)).unwrap(),
        Witnessed::Known
    );
    for found in [note(&ledger), ledger.kept_note(3).unwrap().note] {
        assert_eq!(signers(&found), [ORIGIN, "w1.example", "w2.example"]);
        let keys = two().keys;
        let parsed = Note::parse(&found).unwrap();
        let times: Vec<_> = parsed
            .verify(&keys)
            .unwrap()
            .iter()
            .map(|one| one.cosigned)
            .collect();
        assert_eq!(times, [Some(at(1)), Some(at(2))], "the earlier of two");
    }
    // Acknowledged and cosigned: the lesser counts.
    grow(&ledger, 4);
    ledger.sign().unwrap();
    assert_eq!(
        ledger.cosign(&cosigned(&note(&ledger), 1, 3)).unwrap(),
        Witnessed::More
    );
    assert_eq!((ledger.cosigned(), ledger.delivered()), (Some(7), 3));
    drop(ledger);
    let ledger = open(&place);
    assert!(ledger.suspended().is_none());
    assert_eq!(ledger.cosigned(), Some(7));
    assert_eq!(signers(&note(&ledger)), [ORIGIN, "w1.example"]);
    let figures = ledger.witnesses(at(100));
    let sizes: Vec<_> = figures.iter().map(|one| (one.size, one.silent)).collect();
    assert_eq!(sizes, [(7, false), (3, true)], "{figures:?}");
    assert_eq!(figures[1].owed_since, Some(at(0)));
    assert!(!ledger.witnesses(at(14))[1].silent);
}

#[test]
fn each_hour_keeps_a_note_that_is_cosigned() {
    let place = Place::new();
    let ledger = written(&place, 3);
    let mut notes = vec![note(&ledger)];
    for _ in 0..3 {
        grow(&ledger, 2);
        ledger.sign().unwrap();
        notes.push(note(&ledger));
    }
    // All of one hour: the first of them was kept, and is not what the witnesses saw.
    assert_eq!(ledger.kept(0..100), [3]);
    ledger.cosign(&cosigned(&notes[1], 1, 1)).unwrap();
    assert_eq!(ledger.kept(0..100), [3, 5]);
    ledger.cosign(&cosigned(&notes[2], 1, 2)).unwrap();
    assert_eq!(ledger.kept(0..100), [3, 5, 7], "the newest beside it");
    ledger.cosign(&cosigned(&notes[3], 1, 2)).unwrap();
    assert_eq!(ledger.kept(0..100), [3, 5, 9], "the hour has one");
    ledger.cosign(&cosigned(&notes[3], 2, 2)).unwrap();
    ledger.cosign(&cosigned(&notes[3], 1, 2)).unwrap();
    assert_eq!(
        ledger.kept(0..100),
        [3, 5, 9],
        "the other witness had none in it"
    );
    ledger.cosign(&cosigned(&notes[0], 2, 3)).unwrap();
    let kept = ledger.kept_note(3).unwrap().note;
    assert_eq!(
        signers(&kept),
        [ORIGIN, "w2.example"],
        "where one is kept it is told all"
    );
    assert_eq!(
        signers(&ledger.kept_note(9).unwrap().note),
        [ORIGIN, "w1.example", "w2.example"]
    );
}

#[test]
fn what_counts_for_nothing_changes_nothing() {
    let place = Place::new();
    let ledger = written(&place, 3);
    let own = note(&ledger);
    let root = ledger.root_at(3).unwrap();
    let changed = cosigned(&own, 1, 1).replacen("\n3\n", "\n4\n", 1);
    let as_log = SignerKey::new("w1.example", KeyKind::Ed25519, &[1; 32]).unwrap();
    let mut signed_as_log = Note::parse(&own).unwrap();
    let line = as_log.sign(&signed_as_log.text, at(0));
    signed_as_log.signatures.push(line);
    for (what, note) in [
        ("nothing", String::new()),
        ("no note", "junk".to_owned()),
        ("no cosignature", own.clone()),
        ("a stranger's", cosigned(&own, 3, 1)),
        ("a changed text", changed),
        ("a signature of the wrong kind", signed_as_log.to_string()),
        ("another ledger", bare("lineside/site/gw2", 3, root, 1)),
        ("no epoch of ours", bare("lineside/site/gw/e1", 3, root, 1)),
        ("an empty one", bare(ORIGIN, 0, Hash::of_nothing(), 1)),
        ("no checkpoint", {
            let text = "lineside/site/gw\n3\n".to_owned();
            let signatures = vec![witness(1).sign(&text, at(0))];
            Note { text, signatures }.to_string()
        }),
    ] {
        let found = ledger.cosign(&note).unwrap();
        assert!(matches!(found, Witnessed::Foreign(_)), "{what}: {found:?}");
        assert!(ledger.suspended().is_none(), "{what}");
        assert_eq!(ledger.cosigned(), Some(0), "{what}");
    }
    // A good one beside a forged one, and without the log's own signature.
    let good = bare(ORIGIN, 3, root, 1);
    let mut mixed = Note::parse(&good).unwrap();
    let mut forged = witness(2).sign("something else\n", at(0));
    forged.name = "w2.example".to_owned();
    mixed.signatures.insert(0, forged);
    assert_eq!(ledger.cosign(&mixed.to_string()).unwrap(), Witnessed::More);
    assert_eq!(signers(&note(&ledger)), [ORIGIN, "w1.example"]);
}

/// A restored copy, a second gateway, a new disk: a witness has seen what is not here.
#[test]
fn a_head_that_is_not_continued_suspends_and_is_remembered() {
    let other = Hash([9; 32]);
    for (what, shown) in [
        ("more leaves", bare(ORIGIN, 10, other, 1)),
        ("other leaves", bare(ORIGIN, 2, other, 1)),
        ("a later epoch", bare("lineside/site/gw/e4", 2, other, 2)),
    ] {
        let place = Place::new();
        let ledger = written(&place, 3);
        assert_eq!(
            ledger.cosign(&shown).unwrap(),
            Witnessed::Conflict,
            "{what}"
        );
        let reason = ledger.suspended().unwrap();
        assert!(
            reason.contains("cosigned by the city's witness"),
            "{reason}"
        );
        assert_eq!(*ledger.durable().borrow(), 0);
        grow(&ledger, 20);
        assert!(ledger.sign().unwrap().is_none());
        drop(ledger);
        // The next start needs no broker to know.
        let ledger = open(&place);
        assert_eq!(ledger.suspended(), Some(reason), "{what}");
        assert_eq!(ledger.cosign(&shown).unwrap(), Witnessed::Conflict);
        drop(ledger);
        // Whoever does not trust the witness knows nothing of it.
        assert!(place.open().suspended().is_none());
    }
}

#[test]
fn a_log_that_lost_what_was_cosigned_is_noticed() {
    let place = Place::new();
    let ledger = written(&place, 3);
    let copy = place.dir.path().join("copy");
    super::copy_tree(&place.state(), &copy);
    grow(&ledger, 3);
    ledger.sign().unwrap();
    ledger.cosign(&cosigned(&note(&ledger), 1, 1)).unwrap();
    let record = ["cosigned.0", "cosigned.1"].map(|name| ledger.dir().join(name));
    let record = record.map(|path| fs::read(path).unwrap_or_default());
    drop(ledger);
    // The disk lost leaves and the record beside the key, and not what witnesses said.
    fs::remove_dir_all(place.state()).unwrap();
    super::copy_tree(&copy, &place.state());
    for (turn, bytes) in record.iter().enumerate() {
        fs::write(place.state().join(format!("ledger/cosigned.{turn}")), bytes).unwrap();
        fs::remove_file(format!("{}.head.{turn}", place.key().display())).unwrap();
    }
    let reason = open(&place).suspended().unwrap();
    assert!(reason.contains("a witness has cosigned more"), "{reason}");
}

#[test]
fn what_a_key_that_is_gone_signed_can_still_be_cosigned() {
    let place = Place::new();
    let ledger = written(&place, 3);
    let before = note(&ledger);
    ledger.rotate_key().unwrap();
    grow(&ledger, 1);
    ledger.sign().unwrap();
    ledger.finish_rotation().unwrap();
    ledger.append("boot", &facts(4, 1)).unwrap();
    ledger.sign().unwrap();
    assert_eq!(
        ledger.cosign(&cosigned(&before, 1, 1)).unwrap(),
        Witnessed::More
    );
    let kept = Note::parse(&ledger.kept_note(3).unwrap().note).unwrap();
    assert_eq!(kept.signatures.len(), 2);
    assert!(Keys::load(&place.key(), ORIGIN).unwrap().old().is_none());
}
