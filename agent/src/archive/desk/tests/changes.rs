//! New epochs, copies that are damaged, proofs that the disk refuses, and processes that take over.

use super::faults::witnessed;
use super::{City, Input, Plant};
use crate::archive::alarm::Kind;
use crate::ledger::disk;
use crate::slots::{self, Slots};
use std::fs;
use std::os::unix::fs::symlink;

pub(super) fn cosigned(city: &City) -> Vec<(u32, u64)> {
    let of_one = city.cosigned.iter();
    let of_one = of_one.filter(|(place, _)| place.gateway.as_str() == "gw-1");
    of_one
        .map(|(place, head)| (place.epoch, head.size))
        .collect()
}

#[test]
fn an_epoch_that_was_not_heard_of_is_asked_for_and_stops_nothing() {
    for lost in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        // The second never came here, as where a directory of before it was put back.
        plant.next_epoch();
        plant.write("second", 5);
        plant.sign();
        plant.next_epoch();
        plant.write("third", 5);
        if lost {
            fs::remove_dir_all(plant.state().join("ledger.e2")).unwrap();
        }
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        for _ in 0..30 {
            city.fetch(&plant);
        }
        city.later(61);
        city.later(61);
        assert_eq!((city.size(&plant, 3), city.kinds()), (6, vec![]), "{lost}");
        let expected: &[_] = if lost {
            &[(1, 100)]
        } else {
            &[(1, 100), (2, 6), (3, 6)]
        };
        assert_eq!(cosigned(&city), expected);
        if lost {
            let why = city.record(&plant, 3).uncosigned.unwrap().why;
            assert!(why.contains("not found yet"), "{why}");
            // One more epoch cites what is here.
            plant.next_epoch();
            city.seconds += 3_600;
            let inputs = plant.grown();
            city.pass(inputs, Some(&plant));
            city.fetch(&plant);
            city.later(61);
            city.later(61);
            assert_eq!(cosigned(&city).last(), Some(&(4, 1)));
        }
    }
}

#[test]
fn the_last_head_of_an_epoch_is_cosigned_after_the_next_began() {
    for restart in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        plant.write("last", 10);
        let inputs = plant.grown();
        city.pass(inputs, None);
        plant.next_epoch();
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        assert_eq!(cosigned(&city), [(1, 100)]);
        if restart {
            city.start();
            city.pass(vec![Input::Connected], None);
            plant.write("new", 3);
            let inputs = plant.grown();
            city.pass(inputs, None);
        }
        city.later(61);
        assert_eq!(cosigned(&city), [(1, 100), (1, 110)], "{restart}");
        city.later(61);
        assert_eq!(cosigned(&city).last().unwrap().0, 2);
    }
}

#[test]
fn a_damaged_copy_is_told_and_fetched_anew() {
    let (mut city, mut plant, _other) = witnessed();
    city.desk = None;
    let dir = city.shelf().log_dir(&plant.place(1));
    let file = dir.join("tile/entries/000.p/100");
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.len() - 5;
    bytes[place] ^= 1;
    fs::write(&file, bytes).unwrap();
    city.start();
    city.pass(vec![Input::Connected], None);
    plant.write("b", 20);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    for _ in 0..5 {
        city.fetch(&plant);
    }
    assert_eq!(city.kinds(), [Kind::Damaged]);
    assert_eq!(city.size(&plant, 1), 120);
    assert!(
        city.archive()
            .join("damaged/zs/gw-1/e1/1/checkpoint")
            .exists()
    );
    let record = city.record(&plant, 1);
    assert_eq!((record.alarms, record.stopped), (1, None));
    city.later(61);
    assert_eq!(cosigned(&city).last(), Some(&(1, 120)));
}

#[test]
fn a_damaged_copy_gives_way_to_no_other_history() {
    let (mut city, mut plant, _other) = witnessed();
    let twin = plant.clone_disk();
    plant.write("known", 30);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.desk = None;
    let dir = city.shelf().log_dir(&plant.place(1));
    fs::write(dir.join("tile/entries/000.p/130"), "x").unwrap();
    // Nor what waited before.
    fs::remove_dir_all(city.archive().join("pending")).unwrap();
    city.start();
    city.pass(vec![Input::Connected], None);
    twin.write("forged", 60);
    city.pass(vec![twin.head(&twin.sign())], Some(&twin));
    for _ in 0..5 {
        city.fetch(&twin);
    }
    assert_eq!(city.kinds(), [Kind::Damaged, Kind::Fork]);
    assert_eq!(city.size(&plant, 1), 0);
}

#[test]
fn a_proof_that_the_disk_refuses_is_written_later() {
    let (mut city, mut plant, _other) = witnessed();
    let twin = plant.clone_disk();
    plant.write("b", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    let alarms = city.shelf().alarms_dir();
    fs::write(&alarms, "no folder").unwrap();
    twin.write("other", 10);
    city.pass(vec![twin.head(&twin.sign())], None);
    assert_eq!(city.kinds(), [Kind::TwoHeads]);
    let record = city.record(&plant, 1);
    assert_eq!(
        (
            record.unwritten.len(),
            record.stopped.unwrap().proof.as_str()
        ),
        (1, "")
    );
    city.start();
    city.pass(vec![Input::Connected], None);
    fs::remove_file(&alarms).unwrap();
    // Whoever opens the log finds it.
    city.pass(vec![plant.head(&plant.note())], None);
    city.later(11);
    let proofs = city.proofs();
    assert_eq!((proofs.len(), proofs[0].kind.as_str()), (1, "two-heads"));
    let record = city.record(&plant, 1);
    assert_eq!(record.unwritten.len(), 0);
    assert!(
        alarms
            .join(record.stopped.unwrap().proof)
            .join("shown.note")
            .exists()
    );
}

#[test]
fn a_stop_that_the_disk_refuses_is_made_when_it_can_be_written_down() {
    let (mut city, mut plant, _other) = witnessed();
    let twin = plant.clone_disk();
    plant.write("b", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.desk = None;
    // The record stands in the one file; there is no room for the next in the other.
    let record = city.shelf().kept_dir(&plant.place(1)).join("record");
    let held = slots::look(&record).unwrap().unwrap();
    let [first, second] = ["record.0", "record.1"].map(|file| record.with_file_name(file));
    fs::remove_file(&first).unwrap();
    fs::remove_file(&second).unwrap();
    Slots::open(&record).unwrap().write(&held).unwrap();
    fs::remove_file(&second).unwrap();
    symlink("/dev/full", &second).unwrap();
    city.start();
    city.pass(vec![Input::Connected], None);
    twin.write("other", 10);
    city.pass(vec![twin.head(&twin.sign())], None);
    assert_eq!(city.kinds(), [Kind::TwoHeads]);
    assert!(city.record(&plant, 1).stopped.is_none());
    // Nothing counts until it is written down, though the other does not show itself again.
    plant.write("c", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    (0..40).for_each(|_| city.later(3));
    assert_eq!((city.size(&plant, 1), city.cosigned.len()), (110, 1));
    fs::remove_file(&second).unwrap();
    (0..40).for_each(|_| city.later(3));
    let stopped = city.record(&plant, 1).stopped.unwrap();
    assert_eq!(stopped.kind, Kind::TwoHeads.word());
    assert_eq!((city.size(&plant, 1), city.cosigned.len()), (110, 1));
    let told = city.kinds();
    assert!(told.len() < 8, "{told:?}");
    assert!(told.iter().all(|kind| *kind == Kind::TwoHeads), "{told:?}");
    assert!(city.proofs().len() <= told.len());
}

#[test]
fn of_what_was_shown_to_another_process_the_last_is_not_all_that_counts() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    // The log is another's to write.
    let dir = city.shelf().gateway_dir(&plant.place(1).site, &plant.name);
    fs::create_dir_all(&dir).unwrap();
    let held = disk::lock(&dir.join("lock")).unwrap().unwrap();
    city.enrol(&plant);
    plant.write("a", 9);
    let mut inputs = plant.grown();
    // Whoever may write there, and has no key of the gateway, comes last.
    let other = Plant::new("gw-1");
    for _ in 0..3 {
        other.write("x", 20);
        inputs.push(plant.head(&other.sign()));
    }
    city.pass(inputs, None);
    city.later(30);
    assert_eq!(city.size(&plant, 1), 0);
    drop(held);
    (0..5).for_each(|_| city.later(11));
    assert_eq!(city.size(&plant, 1), 10);
}
