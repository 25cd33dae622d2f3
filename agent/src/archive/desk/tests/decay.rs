//! Bits that change on the archive's own disk, and files that are gone from it: they tell against no gateway.

use super::changes::cosigned;
use super::epochs::{cut_within, wait};
use super::faults::witnessed;
use super::{City, Input, Plant, id, stamp};
use crate::archive::alarm::Kind;
use std::fs;

/// One bit of the first tile of hashes is another; every tile of before is full.
fn decay(city: &City, plant: &Plant, place: usize) {
    let tile = city.shelf().log_dir(&plant.place(1)).join("tile/0/000");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[place] ^= 1;
    fs::write(&tile, bytes).unwrap();
}

/// Nothing stands still: the copy was set aside, and is whole again.
fn mended(city: &mut City, plant: &Plant, (epoch, size): (u32, u64)) {
    for _ in 0..40 {
        city.fetch(plant);
        city.later(61);
    }
    assert_eq!(city.kinds(), [Kind::Damaged]);
    assert_eq!(city.size(plant, 1), 400);
    let record = city.record(plant, epoch);
    assert_eq!(record.stopped, None);
    assert_eq!(record.cosigned.map(|last| last.size), Some(size));
}

/// A gateway of 400 leaves of which 100 were cosigned.
fn grown() -> (City, Plant, String) {
    let (mut city, mut plant, _other) = witnessed();
    let old = plant.note();
    plant.write("b", 300);
    let inputs = plant.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 400);
    (city, plant, old)
}

#[test]
fn a_tile_that_went_bad_is_no_fork_when_a_head_comes_again() {
    let (mut city, plant, old) = grown();
    decay(&city, &plant, 1_000);
    city.pass(vec![plant.head(&old)], None);
    mended(&mut city, &plant, (1, 400));
}

#[test]
fn a_tile_that_went_bad_is_no_fork_when_a_head_is_cosigned() {
    let (mut city, plant, _old) = grown();
    decay(&city, &plant, 3_210);
    city.later(61);
    mended(&mut city, &plant, (1, 400));
}

#[test]
fn a_tile_that_went_bad_accuses_no_new_epoch() {
    let (mut city, mut cut) = cut_within();
    decay(&city, &cut, 1_000);
    let inputs = cut.grown();
    city.pass(inputs, Some(&cut));
    wait(&mut city, &cut, 10);
    assert_eq!(
        (city.kinds(), city.size(&cut, 1)),
        (vec![Kind::Damaged], 320)
    );
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
}

/// One character of what the first leaf of an epoch cites is another.
fn flip(city: &City, plant: &Plant, epoch: u32) {
    let log = city.shelf().log_dir(&plant.place(epoch));
    let path = log.join("tile/entries/000");
    let mut bytes = fs::read(&path).unwrap();
    let key = b"\"root\":\"";
    let at = bytes.windows(key.len()).position(|part| part == key);
    let at = at.unwrap() + key.len() + 3;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    fs::write(&path, bytes).unwrap();
}

/// The second epoch is here, and nobody has proved what it cites of the first. Its last head before.
fn unproved() -> (City, Plant, String) {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("unseen", 10);
    let last = plant.sign();
    plant.next_epoch();
    plant.write("new", 300);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.later(30);
    assert!(!city.record(&plant, 2).compared);
    assert_eq!(city.size(&plant, 2), 301);
    city.desk = None;
    (city, plant, last)
}

#[test]
fn a_first_leaf_that_went_bad_stops_no_log_and_accuses_nobody() {
    for late in [false, true] {
        let (mut city, plant, last) = unproved();
        flip(&city, &plant, 2);
        city.start();
        let mut inputs = vec![Input::Connected, plant.head(&plant.note())];
        // As the other witness cosigns it.
        inputs.extend(late.then(|| plant.head(&last)));
        city.pass(inputs, None);
        wait(&mut city, &plant, 30);
        assert_eq!(city.kinds(), [Kind::Damaged], "{late}");
        assert_eq!(city.record(&plant, 2).stopped, None);
        assert_eq!(cosigned(&city).last(), Some(&(2, 301)));
    }
}

#[test]
fn a_first_bundle_that_went_bad_or_is_gone_is_fetched_anew() {
    for gone in [false, true] {
        let (mut city, plant, _last) = unproved();
        let log = city.shelf().log_dir(&plant.place(2));
        let path = log.join("tile/entries/000");
        if gone {
            fs::remove_file(path).unwrap();
        } else {
            fs::write(path, "spoilt").unwrap();
        }
        city.start();
        let inputs = vec![Input::Connected, plant.head(&plant.note())];
        city.pass(inputs, Some(&plant));
        wait(&mut city, &plant, 30);
        let sizes = (city.size(&plant, 1), city.size(&plant, 2));
        assert_eq!((sizes, city.kinds()), ((110, 301), vec![Kind::Damaged]));
        assert_eq!(cosigned(&city).last(), Some(&(2, 301)), "{gone}");
    }
}

#[test]
fn a_first_bundle_that_went_bad_while_an_epoch_is_not_heard_of_is_fetched_anew() {
    let (mut city, mut plant, _other) = witnessed();
    plant.next_epoch();
    plant.write("second", 10);
    plant.sign();
    plant.next_epoch();
    plant.write("third", 300);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.later(30);
    assert!(!city.record(&plant, 3).compared);
    city.desk = None;
    let log = city.shelf().log_dir(&plant.place(3));
    fs::write(log.join("tile/entries/000"), "spoilt").unwrap();
    city.start();
    let inputs = vec![Input::Connected, plant.head(&plant.note())];
    city.pass(inputs, Some(&plant));
    wait(&mut city, &plant, 30);
    assert_eq!(cosigned(&city).last(), Some(&(3, 301)));
    assert_eq!(city.size(&plant, 2), 11);
}

#[test]
fn a_copy_that_can_t_be_set_aside_any_more_holds_up_no_other() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("unseen", 10);
    plant.sign();
    for words in ["second", "third", "fourth"] {
        plant.next_epoch();
        plant.write(words, 5);
        let inputs = plant.grown();
        city.pass(inputs, None);
        city.later(1);
    }
    assert_eq!(city.size(&plant, 4), 6);
    city.desk = None;
    let place = plant.place(3);
    for turn in 1..=4 {
        let aside = city.shelf().aside_dir(&place);
        fs::create_dir_all(aside.join(turn.to_string())).unwrap();
    }
    let log = city.shelf().log_dir(&place);
    fs::remove_dir_all(log.join("tile/entries")).unwrap();
    city.start();
    let inputs = vec![Input::Connected, plant.head(&plant.note())];
    city.pass(inputs, Some(&plant));
    wait(&mut city, &plant, 30);
    assert_eq!(city.size(&plant, 1), 110);
    // It is not tried in every pass.
    let mut looks = 0;
    for _ in 0..120 {
        city.seconds += 1;
        city.pass(Vec::new(), Some(&plant));
        let desk = city.desk.as_ref().unwrap();
        let known = desk.gateways.get(&(id("zs"), id("gw-1"))).unwrap();
        let now = stamp(city.seconds).boot_ms;
        looks += usize::from(known.turns.from_ms == Some(now));
    }
    assert!(looks < 12, "{looks}");
}
