//! What a platform tries, and how it is refused.

use super::{City, Plant, Testimony, new_epoch};
use crate::archive::alarm::Kind;
use crate::archive::desk::{Input, Said};
use std::fs;

/// A city with a gateway of 100 leaves that were cosigned, and another that is well.
pub(super) fn witnessed() -> (City, Plant, Plant) {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    let other = Plant::new("gw-2");
    city.enrol(&plant);
    city.enrol(&other);
    plant.write("a", 99);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    inputs.push(Input::Connected);
    city.pass(inputs, None);
    city.later(4);
    assert_eq!(city.cosigned.len(), 1);
    (city, plant, other)
}

/// The alarm that must have been raised, by kind; the other gateway goes on, and this one's copy is as it was.
fn refused(city: &mut City, plant: &Plant, other: &mut Plant, kind: Kind, stopped: bool) {
    let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [kind]);
    let proofs = city.proofs();
    assert_eq!(proofs.len(), 1);
    assert_eq!(proofs[0].kind, kind.word());
    assert_eq!(proofs[0].gateway, "gw-1");
    assert!(proofs[0].known.is_some() && proofs[0].shown.is_some());
    let record = city.shelf().record(&plant.place(1)).unwrap().unwrap();
    assert_eq!(record.stopped.is_some(), stopped);
    assert_eq!(city.size(plant, 1), 100);
    let before = city.cosigned.len();
    other.write("o", 3);
    let mut inputs = other.leaves();
    inputs.push(other.head(&other.sign()));
    city.pass(inputs, None);
    city.later(61);
    let cosigned = &city.cosigned[before..];
    assert_eq!(cosigned.len(), 1, "the other alone");
    assert_eq!(cosigned[0].0, other.place(1));
}

#[test]
fn a_copy_of_a_disk_that_runs_beside_is_a_fork() {
    let (mut city, mut plant, mut other) = witnessed();
    let twin = plant.clone_disk();
    plant.write("mine", 10);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 110);
    for (count, kind) in [(4, Kind::Fork), (10, Kind::TwoHeads), (30, Kind::Fork)] {
        let (mut city, plant, mut other) = witnessed();
        let mut first = plant.clone_disk();
        let second = plant.clone_disk();
        first.write("mine", 10);
        let mut inputs = first.leaves();
        inputs.push(first.head(&first.sign()));
        city.pass(inputs, None);
        second.write("yours", count);
        city.pass(vec![second.head(&second.sign())], Some(&second));
        city.fetch(&second);
        let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [kind], "{count}");
        assert_eq!(city.size(&first, 1), 110);
        // It stays refused, whoever goes on, and after a start.
        city.start();
        city.pass(vec![Input::Connected], None);
        first.write("mine", 5);
        let mut inputs = first.leaves();
        inputs.push(first.head(&first.sign()));
        city.pass(inputs, Some(&first));
        city.later(120);
        assert_eq!(city.size(&first, 1), 110);
        assert!(city.cosigned.iter().all(|(_, head)| head.size == 100));
        assert_eq!(other.leaves().len(), 1);
    }
    drop(twin);
    assert_eq!(other.leaves().len(), 1);
}

#[test]
fn an_old_backup_that_goes_on_is_a_fork() {
    let (mut city, mut plant, mut other) = witnessed();
    let backup = plant.clone_disk();
    plant.write("mine", 10);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    // Shorter than what is known, and with other leaves.
    backup.write("again", 3);
    city.pass(vec![backup.head(&backup.sign())], Some(&backup));
    let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [Kind::Fork]);
    assert!(city.proofs()[0].stopped);
    assert_eq!(other.leaves().len(), 1);
}

#[test]
fn a_head_of_before_that_stays_is_told() {
    let (mut city, mut plant, mut other) = witnessed();
    let old = plant.note();
    plant.write("mine", 10);
    let mut inputs = plant.leaves();
    let newest = plant.sign();
    inputs.push(plant.head(&newest));
    city.pass(inputs, None);
    // For a moment it may be a broker that starts again.
    city.pass(vec![plant.head(&old)], None);
    city.later(10);
    city.pass(vec![plant.head(&newest)], None);
    city.later(30);
    assert_eq!(city.alarms.len(), 0);
    city.pass(vec![plant.head(&old)], None);
    city.later(21);
    let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [Kind::Shorter]);
    // It stops nothing: what continues the log is taken.
    plant.write("mine", 10);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 120);
    assert_eq!(other.leaves().len(), 1);
}

#[test]
fn an_edited_leaf_is_a_fork() {
    let (mut city, plant, mut other) = witnessed();
    // The same key signs another ledger from its first leaf on.
    let forger = plant.clone_disk();
    fs::remove_dir_all(forger.state().join("ledger")).unwrap();
    let mut head = forger.key().into_os_string();
    head.push(".head.0");
    fs::remove_file(&head).unwrap();
    let head = head.to_string_lossy().replace(".head.0", ".head.1");
    drop(fs::remove_file(head));
    let mut forger = forger;
    forger.reopen();
    forger.write("edited", 119);
    city.pass(vec![forger.head(&forger.sign())], Some(&forger));
    city.fetch(&forger);
    refused(&mut city, &plant, &mut other, Kind::Fork, true);
}

#[test]
fn a_new_epoch_cites_the_last_head_or_is_told() {
    for (lost, expected) in [(false, vec![]), (true, vec![Kind::Prior])] {
        let (mut city, mut plant, mut other) = witnessed();
        if lost {
            // What nobody else saw is given up, too.
            plant.write("unseen", 10);
            plant.sign();
        }
        let backup = plant.clone_disk();
        plant.write("b", 10);
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.sign()));
        city.pass(inputs, Some(&plant));
        let mut replaced = if lost { backup } else { plant };
        city.later(61);
        let seen = city.cosigned.last().unwrap().1.size;
        replaced.ledger = super::elsewhere(&replaced.dir.path().join("none"));
        new_epoch(
            &replaced.state(),
            &replaced.key(),
            &replaced.base(),
            "a new disk",
            &Testimony::default(),
        )
        .unwrap();
        replaced.reopen();
        replaced.sent = 0;
        replaced.write("new", 6);
        let mut inputs = replaced.leaves();
        inputs.push(replaced.head(&replaced.sign()));
        city.pass(inputs, Some(&replaced));
        city.fetch(&replaced);
        assert_eq!(city.size(&replaced, 2), 7, "lost: {lost}");
        assert_eq!(city.size(&replaced, 1), seen);
        let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, expected);
        city.later(61);
        // What gives up leaves that are known is not cosigned.
        let epoch = if lost { 1 } else { 2 };
        assert_eq!(city.cosigned.last().unwrap().0, replaced.place(epoch));
        assert_eq!(city.record(&replaced, 2).stopped.is_some(), lost);
        assert_eq!(other.leaves().len(), 1);
    }
}

#[test]
fn an_archive_that_was_restored_cosigns_nothing_older() {
    let (mut city, mut plant, _other) = witnessed();
    let backup = tempfile::tempdir().unwrap();
    super::copy(&city.archive(), backup.path());
    plant.write("b", 50);
    let mut inputs = plant.leaves();
    let note = plant.sign();
    inputs.push(plant.head(&note));
    city.pass(inputs, None);
    city.later(61);
    assert_eq!(city.cosigned.last().unwrap().1.size, 150);
    // The directory is that of before; the broker keeps what was cosigned since.
    city.desk = None;
    fs::remove_dir_all(city.archive()).unwrap();
    fs::create_dir(city.archive()).unwrap();
    super::copy(backup.path(), &city.archive());
    city.start();
    let before = city.cosigned.len();
    city.pass(
        vec![
            Input::Connected,
            plant.say(Said::Cosigned(note.into_bytes())),
        ],
        Some(&plant),
    );
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 150, "fetched anew");
    city.later(61);
    plant.write("c", 1);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    city.later(61);
    let sizes: Vec<u64> = city.cosigned[before..]
        .iter()
        .map(|(_, head)| head.size)
        .collect();
    assert!(sizes.iter().all(|size| *size >= 150), "{sizes:?}");
    assert_eq!(city.alarms.len(), 0);
}
