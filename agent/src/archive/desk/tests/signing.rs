//! Whose signature counts, and what a witness does not cosign.

use super::faults::witnessed;
use super::{Input, Said, copy, stamp};
use crate::archive::alarm::Kind;
use crate::archive::mirror::KEYS_MAX;
use crate::archive::witness::{Witness, with_signature};
use lineside_proto::Time;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::Note;
use std::fs;

fn head(note: &str) -> (Note, Checkpoint) {
    let note = Note::parse(note).unwrap();
    let head = Checkpoint::parse(&note.text).unwrap();
    (note, head)
}

#[test]
fn what_the_witness_cosigned_must_fit_before_anything_is_kept() {
    // Of as many leaves, and of more; the archive itself knows nothing of what was cosigned.
    for (count, kind) in [(20, Kind::TwoHeads), (30, Kind::Fork)] {
        let (mut city, mut plant, _other) = witnessed();
        let twin = plant.clone_disk();
        twin.write("cosigned elsewhere", 20);
        let (note, cosigned) = head(&twin.sign());
        let witness = Witness::open(&city.witness_key()).unwrap();
        let proof = twin.ledger.consistency(100, 120).unwrap();
        let now = stamp(city.seconds).wall;
        witness.cosign(&note, &cosigned, 100, &proof, now).unwrap();
        plant.write("shown here", count);
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        city.later(61);
        assert_eq!(city.kinds(), [kind]);
        assert_eq!((city.size(&plant, 1), city.cosigned.len()), (100, 1));
        let proofs = city.proofs();
        let known = proofs[0].known.as_ref().unwrap();
        assert_eq!(known.root, cosigned.root.to_string());
    }
}

#[test]
fn a_restored_copy_takes_no_other_history_than_the_cosigned_one() {
    for forged in [5, 50, 80] {
        let (mut city, mut plant, _other) = witnessed();
        let backup = tempfile::tempdir().unwrap();
        copy(&city.archive(), backup.path());
        let forger = plant.clone_disk();
        plant.write("own", 50);
        let inputs = plant.grown();
        city.pass(inputs, None);
        city.later(61);
        assert_eq!(city.cosigned.last().unwrap().1.size, 150);
        city.desk = None;
        fs::remove_dir_all(city.archive()).unwrap();
        fs::create_dir(city.archive()).unwrap();
        copy(backup.path(), &city.archive());
        city.start();
        // The broker is new as well, and keeps nothing.
        city.pass(vec![Input::Connected], None);
        forger.write("external", forged);
        let note = forger.sign();
        let mut inputs: Vec<Input> = (100..100 + forged as u64)
            .map(|index| forger.leaf(index))
            .collect();
        inputs.push(forger.head(&note));
        city.pass(inputs, Some(&forger));
        city.fetch(&forger);
        assert_eq!(city.size(&plant, 1), 100, "{forged}");
        let kinds = city.kinds();
        match forged {
            5 => assert_eq!(kinds, []),
            50 => assert_eq!(kinds, [Kind::TwoHeads]),
            _ => assert_eq!(kinds, [Kind::Fork]),
        }
        if forged == 5 {
            // The gateway itself goes on.
            city.fetch(&plant);
            for _ in 0..20 {
                city.fetch(&plant);
            }
            assert_eq!(city.kinds(), [Kind::Fork], "both are in hand");
        }
    }
}

#[test]
fn a_key_that_was_followed_signs_no_more() {
    let (mut city, mut plant, _other) = witnessed();
    let mut thief = plant.clone_disk();
    let old = plant.note();
    plant.rotate();
    plant.write("after", 4);
    let inputs = plant.grown();
    city.pass(inputs, None);
    plant.ledger.finish_rotation().unwrap();
    plant.write("later", 5);
    let inputs = plant.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 110);
    // Notes of before stay what they were.
    city.pass(vec![plant.head(&old)], None);
    assert_eq!(city.kinds(), []);
    // Whoever has the old key can sign nothing that goes on, neither here nor in a new epoch.
    for (restart, count) in [(false, 12), (true, 1)] {
        if restart {
            city.start();
            city.pass(vec![Input::Connected], None);
        }
        thief.write("forged", count);
        let note = thief.sign();
        city.pass(vec![thief.head(&note)], Some(&thief));
        city.fetch(&thief);
        assert_eq!((city.kinds(), city.size(&plant, 1)), (vec![], 110));
    }
    thief.next_epoch();
    let inputs = thief.grown();
    city.pass(inputs, Some(&thief));
    city.fetch(&thief);
    assert_eq!((city.kinds(), city.size(&thief, 2)), (vec![], 0));
    plant.write("still", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 120);
    // The new key begins one, and when the old epoch goes on, that is told.
    let twin = plant.clone_disk();
    plant.next_epoch();
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    assert_eq!(city.size(&plant, 2), 1);
    twin.write("goes on", 3);
    city.pass(vec![twin.head(&twin.sign())], Some(&plant));
    assert_eq!(city.kinds(), [Kind::OldEpoch]);
}

#[test]
fn a_head_over_the_change_that_only_the_old_key_signed_is_not_taken() {
    let (mut city, mut plant, _other) = witnessed();
    let thief = plant.clone_disk();
    plant.rotate();
    let honest = plant.sign();
    // The thief has the very leaf, and the old key alone.
    let (note, _) = head(&honest);
    let key = thief.ledger.keys().remove(0);
    let mut stolen = note.clone();
    stolen.signatures.retain(|line| line.hash == key.hash());
    assert_eq!(stolen.signatures.len(), 1);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&stolen.to_string()));
    city.pass(inputs, Some(&plant));
    assert_eq!(city.size(&plant, 1), 100);
    let mut inputs = vec![plant.leaf(100)];
    inputs.push(plant.head(&honest));
    city.pass(inputs, Some(&plant));
    city.fetch(&plant);
    assert_eq!((city.size(&plant, 1), city.kinds()), (101, vec![]));
}

#[test]
fn a_time_of_the_future_is_not_taken_from_the_broker() {
    let (mut city, mut plant, _other) = witnessed();
    let place = tempfile::tempdir().unwrap();
    copy(&city.dir.path().join("keys"), place.path());
    fs::set_permissions(
        place.path(),
        fs::metadata(city.dir.path().join("keys"))
            .unwrap()
            .permissions(),
    )
    .unwrap();
    plant.write("b", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    // What this witness said while its clock was a year ahead.
    let (note, said) = head(&plant.note());
    let other = Witness::open(&place.path().join("witness.key")).unwrap();
    let proof = plant.ledger.consistency(100, 110).unwrap();
    let year = Time::from_millis(stamp(city.seconds).wall.as_millis() + 365 * 86_400_000);
    let line = other.cosign(&note, &said, 100, &proof, year).unwrap();
    let note = with_signature(&note, &line).to_string().into_bytes();
    city.pass(vec![plant.say(Said::Cosigned(note))], None);
    plant.write("c", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.later(61);
    assert_eq!(city.cosigned.last().unwrap().1.size, 120);
    assert_eq!(city.record(&plant, 1).uncosigned, None);
}

#[test]
fn a_clock_that_cannot_be_right_cosigns_nothing_and_says_so() {
    for (days, is_set, cosigns) in [
        (0, false, true),
        (2, true, true),
        (2, false, false),
        (-2, true, false),
    ] {
        let (mut city, mut plant, _other) = witnessed();
        let ask: fn(crate::clock::Stamp) -> bool = if is_set { |_| true } else { |_| false };
        city.desk.as_mut().unwrap().ask_clock = ask;
        plant.write("b", 10);
        let inputs = plant.grown();
        let mut now = stamp(city.seconds + 61);
        now.wall = Time::from_millis(now.wall.as_millis() + days * 86_400_000);
        let desk = city.desk.as_mut().unwrap();
        let outputs = desk.pass(inputs, now).unwrap();
        let cosigned = |output: &super::Output| matches!(output, super::Output::Cosigned { .. });
        assert_eq!(outputs.iter().any(cosigned), cosigns, "{days} {is_set}");
        let why = city
            .record(&plant, 1)
            .uncosigned
            .map(|uncosigned| uncosigned.why);
        assert_eq!(why.is_some(), !cosigns, "{why:?}");
        if let Some(why) = why {
            assert!(why.contains("clock"), "{why}");
        }
    }
}

#[test]
fn so_many_keys_of_one_log_count_and_no_more() {
    let (mut city, mut plant, _other) = witnessed();
    for _ in 0..KEYS_MAX + 5 {
        plant.rotate();
        let inputs = plant.grown();
        city.pass(inputs, None);
        plant.ledger.finish_rotation().unwrap();
    }
    let record = city.shelf().record(&plant.place(1)).unwrap().unwrap();
    assert_eq!(record.keys.len(), KEYS_MAX);
    // The leaf that names one more is the last that counts; nobody signs after it.
    assert_eq!((city.kinds(), record.size), (vec![], 100 + KEYS_MAX as u64));
}
