//! Several epochs, of which not all were heard, or not to their end.

use super::changes::cosigned;
use super::epochs::wait;
use super::faults::witnessed;
use super::kept::give_map;
use super::{City, Input, Output, Plant, answer, id, stamp};
use crate::archive::alarm::Kind;
use crate::archive::cards::epoch_of;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::Note;
use std::fs;

/// More than so many leaves of a gateway's log of now come into tiles, and its head is not reached yet.
pub(super) fn fetch_part(city: &mut City, plant: &Plant, size: u64) {
    let head = Checkpoint::parse(&Note::parse(&plant.note()).unwrap().text).unwrap();
    let epoch = epoch_of(&plant.base(), &head.origin).unwrap();
    let mut answers = Vec::new();
    while city.record(plant, epoch).size <= size {
        city.seconds += 3;
        let asked = city.outputs(std::mem::take(&mut answers));
        answers.extend(asked.into_iter().filter_map(|output| match output {
            Output::Ask(asked) => Some(answer(asked, Some(plant))),
            Output::Cosigned { .. } | Output::Grown { .. } | Output::Alarm { .. } => None,
        }));
        assert!(city.seconds < 600);
    }
}

#[test]
fn a_copy_that_is_fetched_anew_accuses_nobody() {
    let mut city = City::new(false);
    let plant = Plant::new("gw-1");
    city.enrol(&plant);
    city.pass(vec![Input::Connected], None);
    plant.write("a", 4_999);
    plant.sign();
    // What others have of it, after its disk was lost.
    let mut cut = plant.clone_disk();
    plant.write("b", 4_000);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], None);
    fetch_part(&mut city, &plant, 0);
    let tile = city.shelf().log_dir(&plant.place(1)).join("tile/0/000");
    fs::write(tile, b"spoilt").unwrap();
    city.start();
    city.pass(vec![Input::Connected, plant.head(&note)], None);
    cut.next_epoch();
    cut.write("new", 5);
    let inputs = cut.grown();
    city.pass(inputs, None);
    city.later(11);
    let told = city.kinds();
    assert!(told.iter().all(|kind| *kind == Kind::Damaged), "{told:?}");
    assert_eq!(
        (city.size(&cut, 2), city.record(&cut, 2).compared),
        (6, false)
    );
    wait(&mut city, &cut, 10);
    assert!(!city.kinds().contains(&Kind::Prior), "{:?}", city.kinds());
}

#[test]
fn heads_of_two_epochs_before_undo_nobodys_work() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("unseen", 50);
    let first = plant.sign();
    plant.next_epoch();
    plant.write("second", 5);
    let inputs = plant.grown();
    city.pass(inputs, None);
    plant.write("unseen, too", 20);
    let second = plant.sign();
    plant.next_epoch();
    plant.write("third", 5);
    city.seconds += 3_601;
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.later(30);
    let at_work = |city: &mut City| {
        let desk = city.desk.as_mut().unwrap();
        let known = desk.gateways.get(&(id("zs"), plant.name.clone())).unwrap();
        known.leaving.as_deref().map(|left| left.place.epoch)
    };
    for (seconds, expected) in [(0, 1), (1, 1), (1, 1), (10, 2), (1, 2)] {
        city.seconds += seconds;
        let heads = [&second, &first].map(|note| plant.head(note));
        city.pass(heads.into(), None);
        assert_eq!(at_work(&mut city), Some(expected), "{seconds}");
    }
    wait(&mut city, &plant, 15);
    let sizes = [1, 2, 3].map(|epoch| city.size(&plant, epoch));
    assert_eq!((sizes, city.kinds()), ([150, 26, 6], vec![]));
}

#[test]
fn a_first_long_fetch_that_a_new_epoch_cuts_goes_on() {
    // Whether the new epoch cites the one before, and whether the archive begins again in between.
    for (cites, restarts) in [(true, false), (true, true), (false, true)] {
        let mut city = City::new(true);
        let mut plant = Plant::new("gw-1");
        city.enrol(&plant);
        city.pass(vec![Input::Connected], None);
        plant.write("a", 8_999);
        plant.sign();
        // A part of it comes, and then nobody answers.
        let note = plant.note();
        city.pass(vec![plant.head(&note)], None);
        fetch_part(&mut city, &plant, 0);
        let part = city.record(&plant, 1).size;
        assert!(part < 9_000 && city.size(&plant, 1) == 0, "{part}");
        if !cites {
            // Its disk is dead.
            fs::remove_dir_all(plant.state()).unwrap();
            fs::create_dir(plant.state()).unwrap();
            let key = plant.key();
            for end in [".head.0", ".head.1"] {
                let mut path = key.clone().into_os_string();
                path.push(end);
                drop(fs::remove_file(path));
            }
            plant.reopen();
        }
        plant.next_epoch();
        plant.write("new", 5);
        if restarts {
            city.start();
            city.pass(vec![Input::Connected], None);
        }
        let inputs = plant.grown();
        city.pass(inputs, None);
        if restarts {
            city.start();
            city.pass(vec![Input::Connected, plant.head(&plant.note())], None);
        }
        wait(&mut city, &plant, 6);
        let told = cosigned(&city);
        if cites {
            assert_eq!((city.size(&plant, 1), city.kinds()), (9_000, vec![]));
            assert!(
                told.contains(&(1, 9_000)) && told.contains(&(2, 6)),
                "{told:?}"
            );
        } else {
            assert_eq!((city.kinds(), told), (vec![Kind::Prior], vec![]));
        }
    }
}

#[test]
fn what_a_new_epoch_gives_up_is_not_cosigned_afterwards() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("b", 50);
    plant.sign();
    let mut cut = plant.clone_disk();
    plant.write("c", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    assert_eq!(
        (city.size(&plant, 1), cosigned(&city)),
        (160, vec![(1, 100)])
    );
    cut.next_epoch();
    cut.write("new", 5);
    let inputs = cut.grown();
    city.pass(inputs, Some(&cut));
    wait(&mut city, &cut, 4);
    assert!(
        rests(&mut city, &cut),
        "what is given up is not tried again and again"
    );
    assert_eq!(
        (cosigned(&city), city.kinds()),
        (vec![(1, 100), (2, 6)], vec![])
    );
}

#[test]
fn of_several_epochs_before_each_gets_what_is_missing() {
    for restarts in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        let first = plant.sent;
        plant.write("unseen", 50);
        plant.sign();
        // The archive is off for two epochs.
        for words in ["second", "third", "fourth"] {
            plant.next_epoch();
            plant.write(words, 4);
            // It names a text, which comes after its leaves.
            give_map(&plant, &format!("{{\"points\":[\"{words}\"]}}"));
            plant.sign();
        }
        assert_eq!(first, 100);
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.note()));
        city.pass(inputs, Some(&plant));
        wait(&mut city, &plant, 3);
        if restarts {
            city.start();
            city.pass(vec![Input::Connected, plant.head(&plant.note())], None);
        }
        wait(&mut city, &plant, 20);
        let sizes = [1, 2, 3, 4].map(|epoch| city.size(&plant, epoch));
        assert_eq!(
            (sizes, city.kinds()),
            ([150, 6, 6, 6], vec![]),
            "{restarts}"
        );
        let told = cosigned(&city);
        for expected in [(1, 150), (2, 6), (3, 6), (4, 6)] {
            assert!(told.contains(&expected), "{restarts}: {told:?}");
        }
        assert_eq!(told.last(), Some(&(4, 6)), "{told:?}");
        // All is done, and none of it is looked through again and again.
        for epoch in 1..=3 {
            let record = city.record(&plant, epoch);
            assert_eq!(record.texts, record.size, "{epoch}");
        }
        assert!(rests(&mut city, &plant));
    }
}

/// Whether no epoch before is at work, and none is looked for soon.
fn rests(city: &mut City, plant: &Plant) -> bool {
    let soon = stamp(city.seconds + 600).boot_ms;
    let desk = city.desk.as_mut().unwrap();
    let known = desk.gateways.get(&(id("zs"), plant.name.clone())).unwrap();
    known.leaving.is_none() && known.turns.from_ms.is_none_or(|from| from > soon)
}

#[test]
fn the_memory_of_the_witness_outlives_the_directory_whatever_epochs_are_skipped() {
    let (mut city, mut plant, _other) = witnessed();
    let mut back = plant.clone_disk();
    plant.next_epoch();
    plant.write("second", 5);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    wait(&mut city, &plant, 3);
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
    city.desk = None;
    fs::remove_dir_all(city.archive()).unwrap();
    fs::create_dir(city.archive()).unwrap();
    city.start();
    city.pass(vec![Input::Connected], None);
    // It forgets the second, and skips the third.
    let before = back.place(1);
    back.next_epoch();
    back.next_epoch();
    back.next_epoch();
    back.write("fourth", 5);
    let inputs = back.grown();
    city.pass(inputs, Some(&back));
    wait(&mut city, &back, 3);
    assert_eq!(before.epoch, 1);
    let seen = cosigned(&city);
    assert!(seen.contains(&(2, 6)), "{seen:?}");
    assert!(seen.iter().all(|(epoch, _)| *epoch < 4), "{seen:?}");
}
