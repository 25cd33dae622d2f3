//! New epochs, copies that are damaged, and proofs that the disk refuses.

use super::City;
use super::faults::witnessed;
use crate::archive::alarm::Kind;
use std::fs;

pub(super) fn cosigned(city: &City) -> Vec<(u32, u64)> {
    let of_one = city.cosigned.iter();
    let of_one = of_one.filter(|(place, _)| place.gateway.as_str() == "gw-1");
    of_one
        .map(|(place, head)| (place.epoch, head.size))
        .collect()
}

#[test]
fn an_epoch_is_compared_with_the_newest_that_is_held() {
    let (mut city, mut plant, _other) = witnessed();
    // The second never came here: what the third cites says nothing of the first.
    plant.next_epoch();
    plant.sign();
    plant.next_epoch();
    plant.write("new past", 5);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    city.fetch(&plant);
    city.later(61);
    assert_eq!(city.kinds(), [Kind::Prior]);
    assert_eq!(cosigned(&city), [(1, 100)]);
    assert!(city.record(&plant, 3).stopped.is_some());
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
            city.pass(vec![super::Input::Connected], None);
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
    city.pass(vec![super::Input::Connected], None);
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
    city.pass(vec![super::Input::Connected], None);
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
    city.pass(vec![super::Input::Connected], None);
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
