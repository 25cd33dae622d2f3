//! What an archive remembers of an epoch that has begun, and what it takes of those before it: over starts, lost copies,
//! and several epochs within an hour.

use super::changes::cosigned;
use super::epochs::{Backup, wait};
use super::faults::witnessed;
use super::several::fetch_part;
use super::{City, Input, Plant, Testimony, elsewhere, id, new_epoch, stamp};
use crate::archive::alarm::Kind;
use std::fs;
use std::io;

/// The gateway begins its next epoch, which cites this head of the present one.
fn next_epoch_citing(plant: &mut Plant, note: &str) {
    plant.ledger = elsewhere(&plant.dir.path().join("none"));
    let testimony = Testimony {
        prior: Some(note),
        ..Testimony::default()
    };
    let (state, key, base) = (plant.state(), plant.key(), plant.base());
    new_epoch(&state, &key, &base, "a new disk", &testimony).unwrap();
    plant.reopen();
    plant.sent = 0;
}

/// A gateway whose disk was lost after its last head came here and before that was cosigned, and the one in its place,
/// whose epoch cites what was.
fn replaced() -> (City, Plant, Plant) {
    let (mut city, mut plant, _other) = witnessed();
    let mut back = plant.clone_disk();
    plant.write("b", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 110);
    assert_eq!(cosigned(&city), [(1, 100)]);
    back.next_epoch();
    back.write("new", 5);
    (city, plant, back)
}

/// A gateway that was replaced when another archive's witness had cosigned 100 of its leaves; here are 110, of which none was.
fn uncosigned(witness: bool) -> (City, Plant) {
    let mut city = City::new(witness);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 99);
    let inputs = plant.grown();
    city.pass(inputs, None);
    let back = replaced_late(&mut city, &mut plant);
    (city, back)
}

/// The gateway in the place of one that was lost right after a head of ten more leaves, which came here.
fn replaced_late(city: &mut City, plant: &mut Plant) -> Plant {
    let mut back = plant.clone_disk();
    plant.write("b", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    back.next_epoch();
    back.write("new", 5);
    back
}

/// A gateway whose second epoch cites another history than the cosigned one, and more of it, which nobody can prove.
fn edited() -> (City, Plant) {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 49);
    plant.sign();
    let mut edited = plant.clone_disk();
    plant.write("true", 50);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.pass(vec![Input::Connected], None);
    city.later(4);
    assert_eq!(cosigned(&city), [(1, 100)]);
    edited.write("edited", 70);
    edited.sign();
    edited.next_epoch();
    fs::remove_dir_all(edited.state().join("ledger.e1")).unwrap();
    (city, edited)
}

#[test]
fn that_an_epoch_has_begun_is_known_over_a_start() {
    for restarts in [false, true] {
        let (mut city, _plant, mut back) = replaced();
        // Its head comes, its leaves do not yet.
        let note = back.sign();
        city.pass(vec![back.head(&note)], None);
        if restarts {
            city.start();
            city.pass(vec![Input::Connected], None);
        }
        city.later(61);
        city.later(61);
        let mut inputs = back.leaves();
        inputs.push(back.head(&note));
        city.pass(inputs, Some(&back));
        wait(&mut city, &back, 5);
        assert_eq!(
            (cosigned(&city), city.kinds()),
            (vec![(1, 100), (2, 6)], vec![]),
            "{restarts}"
        );
    }
}

#[test]
fn nothing_is_cosigned_beyond_what_an_epoch_cites_that_is_half_here() {
    let (mut city, _plant, back) = replaced();
    back.write("long", 9_000);
    let note = back.sign();
    city.pass(vec![back.head(&note)], None);
    fetch_part(&mut city, &back, 0);
    city.later(11);
    assert!(city.record(&back, 2).compared);
    assert!(!city.shelf().has_head(&back.place(2)));
    city.start();
    city.pass(vec![Input::Connected], None);
    city.later(61);
    city.later(61);
    city.pass(vec![back.head(&note)], Some(&back));
    wait(&mut city, &back, 10);
    assert_eq!(
        (cosigned(&city), city.kinds()),
        (vec![(1, 100), (2, 9_006)], vec![])
    );
}

#[test]
fn nothing_is_cosigned_beyond_what_an_epoch_cites_whose_copy_was_set_aside() {
    let (mut city, plant, mut back) = replaced();
    let inputs = back.grown();
    city.pass(inputs, Some(&back));
    wait(&mut city, &back, 3);
    assert_eq!(cosigned(&city), [(1, 100), (2, 6)]);
    // A file of it is lost, and the gateway is off.
    city.desk = None;
    fs::remove_dir_all(city.shelf().log_dir(&back.place(2)).join("tile/entries")).unwrap();
    fs::remove_dir_all(city.archive().join("pending")).unwrap();
    city.start();
    let note = back.note();
    city.pass(vec![Input::Connected, back.head(&note)], None);
    city.later(4);
    city.start();
    // A head of before comes late.
    city.pass(vec![Input::Connected, plant.head(&plant.note())], None);
    city.later(4);
    city.later(61);
    city.pass(vec![back.head(&note)], Some(&back));
    wait(&mut city, &back, 5);
    assert!(
        !cosigned(&city).contains(&(1, 110)),
        "{:?}",
        cosigned(&city)
    );
    assert_eq!(city.kinds(), [Kind::Damaged]);
    assert_eq!(city.size(&back, 2), 6);
}

#[test]
fn nothing_is_cosigned_beyond_what_an_epoch_may_cite_that_waits() {
    for restarts in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        // So many that the next has to wait for its turn.
        for words in ["second", "third", "fourth"] {
            plant.next_epoch();
            plant.write(words, 9);
            let inputs = plant.grown();
            city.pass(inputs, Some(&plant));
            wait(&mut city, &plant, 8);
        }
        plant.write("cosigned at once", 1);
        let inputs = plant.grown();
        city.pass(inputs, None);
        assert_eq!(cosigned(&city).last(), Some(&(4, 11)));
        // It is replaced once more, right after a head that was not cosigned yet.
        let mut back = replaced_late(&mut city, &mut plant);
        let inputs = back.grown();
        city.pass(inputs, Some(&back));
        assert_eq!(city.size(&back, 5), 0);
        if restarts {
            // The broker is away for a while.
            city.start();
            city.pass(vec![Input::Connected], None);
        }
        city.later(61);
        city.seconds += 3_600;
        city.pass(vec![back.head(&back.note())], Some(&back));
        wait(&mut city, &back, 5);
        let told = cosigned(&city);
        assert!(!told.contains(&(4, 21)), "{restarts}: {told:?}");
        assert_eq!((told.last(), city.kinds()), (Some(&(5, 6)), vec![]));
    }
}

#[test]
fn a_copy_that_rested_is_not_cosigned_on_while_the_next_waits() {
    let (mut city, _plant, mut back) = replaced();
    let now = stamp(city.seconds);
    let desk = city.desk.as_mut().unwrap();
    let known = desk.gateways.get_mut(&(id("zs"), id("gw-1"))).unwrap();
    // Again and again the disk refuses it: it rests for more than a minute.
    let error = io::Error::other("full").into();
    (0..5).for_each(|_| known.failed(&error, now.boot_ms));
    let inputs = back.grown();
    city.pass(inputs, Some(&back));
    (0..10).for_each(|_| city.later(10));
    city.pass(vec![back.head(&back.note())], Some(&back));
    wait(&mut city, &back, 5);
    assert_eq!(
        (cosigned(&city), city.kinds()),
        (vec![(1, 100), (2, 6)], vec![])
    );
}

#[test]
fn an_epoch_that_only_the_witness_or_the_next_one_knows_of_is_fetched() {
    for with_memory in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        let backup = Backup::of(&city);
        plant.next_epoch();
        plant.write("second", 5);
        let inputs = plant.grown();
        if with_memory {
            city.pass(inputs, Some(&plant));
            wait(&mut city, &plant, 2);
            assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
        }
        plant.next_epoch();
        plant.write("third", 5);
        backup.put_back(&mut city);
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        wait(&mut city, &plant, 10);
        let sizes = [1, 2, 3].map(|epoch| city.size(&plant, epoch));
        assert_eq!((sizes, city.kinds()), ([100, 6, 6], vec![]));
        assert_eq!(city.record(&plant, 2).cosigned.unwrap().size, 6);
    }
}

#[test]
fn epochs_of_before_the_archive_began_are_fetched() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    for words in ["first", "second", "third"] {
        plant.write(words, 5);
        plant.sign();
        plant.next_epoch();
    }
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    city.pass(vec![Input::Connected], None);
    wait(&mut city, &plant, 10);
    let sizes = [1, 2, 3, 4].map(|epoch| city.size(&plant, epoch));
    assert_eq!((sizes, city.kinds()), ([6, 6, 6, 1], vec![]));
    let mut told = cosigned(&city);
    assert_eq!(told.last(), Some(&(4, 1)));
    told.sort_unstable();
    told.dedup();
    assert_eq!(told, [(1, 6), (2, 6), (3, 6), (4, 1)]);
}

#[test]
fn what_was_put_aside_may_go_beyond_what_is_cited() {
    // Of an epoch of which a part is here, and of one that was never heard of.
    for unheard in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        if unheard {
            plant.next_epoch();
        }
        plant.write("unseen", 10);
        let last = plant.sign();
        plant.write("cosigned by nobody", 10);
        plant.sign();
        next_epoch_citing(&mut plant, &last);
        plant.write("new", 5);
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        wait(&mut city, &plant, 10);
        assert_eq!(city.kinds(), []);
        if unheard {
            assert_eq!(city.size(&plant, 2), 21);
            assert_eq!(cosigned(&city).last(), Some(&(3, 6)));
        } else {
            // What goes beyond is kept, and not cosigned.
            let why = city.record(&plant, 1).uncosigned.unwrap().why;
            assert!(why.contains("the next epoch cites"), "{why}");
            assert_eq!(city.size(&plant, 1), 120);
            assert_eq!(cosigned(&city), [(1, 100), (2, 6)]);
        }
    }
}

#[test]
fn what_is_given_up_of_another_history_is_not_taken_for_what_is_cited() {
    let (mut city, mut plant, _other) = witnessed();
    let twin = plant.clone_disk();
    plant.write("unseen", 10);
    let last = plant.sign();
    next_epoch_citing(&mut plant, &last);
    plant.write("new", 5);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.later(11);
    // Whoever answers for the epoch before has another one, and more of it.
    twin.write("forged", 30);
    twin.sign();
    wait(&mut city, &twin, 10);
    assert_eq!((city.size(&plant, 1), city.kinds()), (100, vec![]));
    wait(&mut city, &plant, 70);
    assert_eq!((city.size(&plant, 1), city.kinds()), (110, vec![]));
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
}

#[test]
fn a_fork_of_an_epoch_that_was_followed_is_told_whatever_is_held() {
    for (count, kind) in [(4, Kind::Fork), (10, Kind::TwoHeads)] {
        let (mut city, mut plant, _other) = witnessed();
        let mut twin = plant.clone_disk();
        plant.write("own", 10);
        let inputs = plant.grown();
        city.pass(inputs, None);
        city.later(61);
        plant.next_epoch();
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        city.later(61);
        twin.write("other", count);
        let inputs = twin.grown();
        city.pass(inputs, Some(&twin));
        let told: Vec<_> = city
            .alarms
            .iter()
            .map(|(place, kind)| (place.epoch, *kind))
            .collect();
        assert_eq!(told, [(1, kind)]);
        assert_eq!(city.proofs().len(), 1);
        assert_eq!(city.record(&plant, 2).stopped, None);
    }
}

#[test]
fn leaves_that_nobody_here_cosigned_are_not_given_up_in_silence_and_stop_nothing() {
    for witness in [false, true] {
        let (mut city, mut back) = uncosigned(witness);
        let inputs = back.grown();
        city.pass(inputs, Some(&back));
        wait(&mut city, &back, 3);
        assert_eq!(city.kinds(), [Kind::Shorter]);
        assert_eq!(city.record(&back, 2).stopped, None);
        let told = &city.proofs()[0].check;
        assert!(told.contains("of the epoch before"), "{told}");
        back.write("newer", 5);
        let inputs = back.grown();
        city.pass(inputs, Some(&back));
        assert_eq!(city.size(&back, 2), 11);
    }
}

#[test]
fn an_edited_history_is_not_cosigned_by_way_of_an_epoch_that_nobody_proves() {
    let (mut city, mut edited) = edited();
    let inputs = edited.grown();
    city.pass(inputs, Some(&edited));
    wait(&mut city, &edited, 30);
    edited.next_epoch();
    edited.write("as if nothing had been", 5);
    let inputs = edited.grown();
    city.pass(inputs, Some(&edited));
    wait(&mut city, &edited, 20);
    assert_eq!((cosigned(&city), city.kinds()), (vec![(1, 100)], vec![]));
    // It may be cosigned on once the city was told.
    wait(&mut city, &edited, 60);
    let told: Vec<_> = city
        .alarms
        .iter()
        .map(|(place, kind)| (place.epoch, *kind))
        .collect();
    assert_eq!(told, [(2, Kind::Prior)]);
    let told = &city.proofs()[0].check;
    assert!(told.contains("nobody showed"), "{told}");
    assert_eq!(cosigned(&city).last(), Some(&(3, 6)));
}

#[test]
fn that_leaves_are_given_up_is_told_though_another_alarm_was_just_raised() {
    let (mut city, mut back) = uncosigned(false);
    let first = back.sign();
    back.write("newer", 5);
    let second = back.sign();
    // Its heads come the wrong way round, and stay so.
    city.pass(vec![back.head(&second)], None);
    city.pass(vec![back.head(&first)], None);
    city.later(21);
    assert_eq!(city.kinds(), [Kind::Shorter]);
    let mut inputs = back.leaves();
    inputs.push(back.head(&second));
    city.pass(inputs, Some(&back));
    wait(&mut city, &back, 10);
    assert_eq!(city.size(&back, 2), 11);
    assert_eq!(city.kinds(), [Kind::Shorter, Kind::Shorter]);
    assert!(city.record(&back, 2).compared);
}

#[test]
fn a_stop_for_another_reason_hides_nothing_of_what_is_given_up() {
    let (mut city, mut edited) = edited();
    let twin = edited.clone_disk();
    let inputs = edited.grown();
    city.pass(inputs, Some(&edited));
    wait(&mut city, &edited, 5);
    // Another head of as many leaves.
    edited.write("x", 1);
    let inputs = edited.grown();
    city.pass(inputs, Some(&edited));
    twin.write("y", 1);
    let note = twin.sign();
    city.pass(vec![edited.head(&note)], Some(&edited));
    edited.next_epoch();
    edited.write("as if nothing had been", 5);
    // Its head comes before its leaves, which are asked for.
    let note = edited.sign();
    city.pass(vec![edited.head(&note)], None);
    city.later(1);
    wait(&mut city, &edited, 5);
    assert_eq!(city.kinds(), [Kind::TwoHeads, Kind::Prior]);
    assert_eq!(cosigned(&city).last(), Some(&(3, 6)));
}

#[test]
fn an_epoch_that_cites_fewer_leaves_than_a_long_fetch_has_brought_is_compared() {
    let mut city = City::new(true);
    let plant = Plant::new("gw-1");
    city.enrol(&plant);
    city.pass(vec![Input::Connected], None);
    plant.write("a", 3_999);
    plant.sign();
    // Another archive's witness cosigned so many; the rest is lost with the disk.
    let mut back = plant.clone_disk();
    plant.write("b", 5_000);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], None);
    fetch_part(&mut city, &plant, 4_000);
    assert!(!city.shelf().has_head(&plant.place(1)));
    back.next_epoch();
    back.write("new", 5);
    let inputs = back.grown();
    city.pass(inputs, Some(&back));
    wait(&mut city, &back, 5);
    assert_eq!(city.kinds(), [Kind::Shorter]);
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
}
