//! Bits that change on the archive's own disk: they tell against no gateway.

use super::changes::cosigned;
use super::epochs::wait;
use super::faults::witnessed;
use super::{City, Input, Plant};
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
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 299);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.pass(vec![Input::Connected], None);
    city.later(4);
    assert_eq!(cosigned(&city), [(1, 300)]);
    // The next epoch cites more than was cosigned and less than is held.
    plant.write("b", 20);
    plant.sign();
    let mut cut = plant.clone_disk();
    plant.write("c", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    cut.next_epoch();
    cut.write("new", 5);
    decay(&city, &plant, 1_000);
    let inputs = cut.grown();
    city.pass(inputs, Some(&cut));
    wait(&mut city, &cut, 10);
    assert_eq!(
        (city.kinds(), city.size(&cut, 1)),
        (vec![Kind::Damaged], 320)
    );
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
}
