//! The end of an epoch that was followed before all of it was here.

use super::changes::cosigned;
use super::faults::witnessed;
use super::kept::give_map;
use super::{City, Input, Plant, id, stamp};
use crate::archive::alarm::Kind;
use crate::archive::cards::origin;
use crate::maps::Maps;
use lineside_proto::ledger::note::{KeyKind, SignerKey};
use lineside_proto::ledger::{Hash, verify};
use std::fs;

/// What was put aside is lost.
fn lose(plant: &Plant) {
    fs::remove_dir_all(plant.state().join("ledger.e1")).unwrap();
}

#[test]
fn a_cited_head_beyond_what_is_held_must_be_proved() {
    for proved in [true, false] {
        let (mut city, mut plant, _other) = witnessed();
        // Its last leaves did not come here.
        plant.write("unseen", 10);
        plant.sign();
        let before = plant.clone_disk();
        plant.next_epoch();
        lose(&plant);
        plant.write("new", 5);
        let inputs = plant.grown();
        city.pass(inputs, None);
        city.later(61);
        assert_eq!(city.size(&plant, 2), 6);
        assert_eq!(cosigned(&city), [(1, 100)], "it is not known yet");
        let why = city.record(&plant, 2).uncosigned.unwrap().why;
        assert!(why.contains("cites"), "{why}");
        // Also over a start.
        city.start();
        city.pass(vec![Input::Connected], None);
        for _ in 0..40 {
            city.fetch(if proved { &before } else { &plant });
        }
        city.later(61);
        assert_eq!(city.kinds(), []);
        if proved {
            assert_eq!(cosigned(&city), [(1, 100), (1, 110), (2, 6)]);
            assert_eq!(city.record(&plant, 2).uncosigned, None);
        } else {
            // Nothing contradicts it: its leaves are kept on, and the proof may still come.
            assert_eq!(cosigned(&city), [(1, 100)]);
            plant.write("newer", 5);
            let inputs = plant.grown();
            city.pass(inputs, Some(&plant));
            assert_eq!(city.size(&plant, 2), 11);
            city.seconds += 301;
            city.fetch(&before);
            city.later(61);
            city.later(61);
            assert_eq!(cosigned(&city).last(), Some(&(2, 11)));
        }
    }
}

#[test]
fn a_gateway_proves_what_it_put_aside() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("unseen", 10);
    plant.sign();
    plant.next_epoch();
    plant.write("new", 5);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    city.fetch(&plant);
    city.later(61);
    city.later(61);
    assert_eq!(city.size(&plant, 1), 110);
    assert_eq!(city.kinds(), []);
    assert_eq!(cosigned(&city), [(1, 100), (1, 110), (2, 6)]);
}

#[test]
fn what_is_here_of_an_epoch_counts_before_the_next_begins() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("last", 10);
    let mut inputs = plant.grown();
    plant.next_epoch();
    lose(&plant);
    plant.write("new", 5);
    inputs.extend(plant.grown());
    // As after a while in which the archive was off.
    city.pass(inputs, Some(&plant));
    assert_eq!((city.size(&plant, 1), city.size(&plant, 2)), (110, 6));
    city.later(61);
    city.later(61);
    assert_eq!(city.kinds(), []);
    assert_eq!(cosigned(&city), [(1, 100), (1, 110), (2, 6)]);
}

#[test]
fn what_waits_in_files_counts_before_the_next_epoch_begins() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("last", 10);
    let leaves = plant.leaves();
    city.pass(leaves, None);
    let last = plant.sign();
    city.start();
    plant.next_epoch();
    lose(&plant);
    let next = plant.grown();
    let mut inputs = vec![Input::Connected, plant.head(&last)];
    inputs.extend(next);
    city.pass(inputs, None);
    assert_eq!((city.size(&plant, 1), city.size(&plant, 2)), (110, 1));
}

#[test]
fn a_late_head_of_the_epoch_before_is_no_fault_within_what_is_cited() {
    for cited in [true, false] {
        let (mut city, mut plant, _other) = witnessed();
        let mut twin = plant.clone_disk();
        plant.write("unseen", 10);
        let late = plant.sign();
        plant.next_epoch();
        plant.write("new", 5);
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        if cited {
            // As another witness gives it.
            city.pass(vec![plant.head(&late)], Some(&plant));
            city.fetch(&plant);
            city.later(61);
            city.later(61);
            assert_eq!(city.size(&plant, 1), 110);
            assert_eq!(city.kinds(), []);
            assert_eq!(cosigned(&city), [(1, 100), (1, 110), (2, 6)]);
        } else {
            twin.write("of its own", 30);
            let inputs = twin.grown();
            city.pass(inputs, Some(&twin));
            assert_eq!(city.kinds(), [Kind::OldEpoch]);
        }
    }
}

#[test]
fn a_fork_of_the_epoch_before_stops_that_one_only() {
    let (mut city, mut plant, _other) = witnessed();
    let twin = plant.clone_disk();
    plant.write("unseen", 10);
    let last = plant.sign();
    plant.next_epoch();
    plant.write("new", 5);
    let inputs = plant.grown();
    city.pass(inputs, None);
    // Within what is cited, and with other leaves, which its writer gives: they count only below the head that is cited.
    twin.write("forged", 5);
    city.pass(vec![plant.head(&twin.sign())], Some(&twin));
    city.fetch(&twin);
    city.later(61);
    assert_eq!((city.size(&plant, 1), city.kinds()), (100, vec![]));
    assert_eq!(cosigned(&city), [(1, 100)]);
    // The gateway proves another history of that epoch.
    city.pass(vec![plant.head(&last)], Some(&plant));
    city.seconds += 60;
    city.fetch(&plant);
    let [(place, kind)] = &city.alarms[..] else {
        panic!("{:?}", city.kinds());
    };
    assert_eq!((place.epoch, *kind), (1, Kind::Fork));
    assert_eq!(city.proofs().len(), 1);
    assert!(city.record(&plant, 1).stopped.is_some());
    assert_eq!(city.record(&plant, 2).stopped, None);
    city.later(61);
    city.later(61);
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
}

#[test]
fn texts_of_the_epoch_before_are_fetched_after_the_next_began() {
    for restarts in [false, true] {
        let mut city = City::new(false);
        let mut plant = Plant::new("gw-1");
        city.enrol(&plant);
        let text = "{\"points\":[]}";
        let hash = give_map(&plant, text);
        let inputs = plant.grown();
        city.pass(inputs, None);
        plant.next_epoch();
        let inputs = plant.grown();
        city.pass(inputs, None);
        if restarts {
            city.start();
            city.pass(vec![plant.head(&plant.note())], None);
        }
        for _ in 0..5 {
            city.seconds += 60;
            city.fetch(&plant);
        }
        let texts = city.shelf().gateway_dir(&id("zs"), &plant.name);
        assert_eq!(
            Maps::of(&texts).text(&hash).as_deref(),
            Some(text),
            "{restarts}"
        );
    }
}

/// A gateway whose key changed while the archive did not hear it; its last head is by the new key alone.
fn rotated(city: &mut City, plant: &mut Plant) -> String {
    plant.write("a", 10);
    plant.rotate();
    plant.write("b", 10);
    plant.sign();
    plant.ledger.finish_rotation().unwrap();
    plant.write("c", 10);
    city.seconds += 1;
    plant.sign()
}

#[test]
fn a_head_by_a_new_key_counts_with_the_leaf_that_names_it() {
    for leaves_came in [true, false] {
        let (mut city, mut plant, _other) = witnessed();
        let card = city.dir.path().join("cards/gw-1.json");
        let of_before = fs::read_to_string(&card).unwrap();
        let note = rotated(&mut city, &mut plant);
        assert_eq!(fs::read_to_string(card).unwrap(), of_before);
        let mut inputs = if leaves_came { plant.leaves() } else { vec![] };
        inputs.push(plant.head(&note));
        city.pass(inputs, Some(&plant));
        city.fetch(&plant);
        assert_eq!(city.size(&plant, 1), 131, "{leaves_came}");
        city.later(61);
        assert_eq!(
            (city.kinds(), cosigned(&city).last()),
            (vec![], Some(&(1, 131)))
        );
    }
}

#[test]
fn a_head_that_nobody_has_signed_holds_nothing_up() {
    let (mut city, plant, _other) = witnessed();
    // Another gateway's, under this one's name.
    let foreign = Plant::new("gw-1");
    foreign.write("forged", 200);
    let forged = foreign.sign();
    for _ in 0..5 {
        city.pass(vec![plant.head(&forged)], Some(&plant));
        city.fetch(&plant);
    }
    assert!(city.questions <= 4, "{}", city.questions);
    plant.write("b", 10);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], Some(&plant));
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 110);
    assert_eq!(city.kinds(), []);
}

#[test]
fn a_key_in_other_hands_begins_no_epoch_once_its_card_says_so() {
    let (mut city, mut plant, _other) = witnessed();
    let mut thief = plant.clone_disk();
    // The thief even hands the key over to another.
    let card = city.dir.path().join("cards/gw-1.json");
    let ended = fs::read_to_string(&card).unwrap();
    let ended = ended.replace("\"v\":1", "\"v\":1,\"last_epoch\":1");
    thief.rotate();
    let inputs = thief.grown();
    city.pass(inputs, None);
    fs::write(city.dir.path().join("cards/old.json"), ended).unwrap();
    city.later(11);
    thief.next_epoch();
    let inputs = thief.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 2), 0, "it is a stranger's");
    // The gateway goes on with a new key, and a new card.
    fs::remove_file(plant.key()).unwrap();
    plant.next_epoch();
    let of_now = plant.card();
    fs::write(city.dir.path().join("cards/new.json"), of_now).unwrap();
    city.later(11);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    assert_eq!(city.size(&plant, 2), 1);
}

#[test]
fn a_head_of_no_leaves_begins_no_epoch() {
    let (mut city, plant, _other) = witnessed();
    let (seed, _) = crate::ledger::keys::open(&plant.key()).unwrap();
    for epoch in 2..5 {
        let origin = origin(&plant.base(), epoch);
        let signer = SignerKey::new(&origin, KeyKind::Ed25519, &seed).unwrap();
        let text = format!("{origin}\n0\n{}\n", Hash::of_nothing());
        let line = signer.sign(&text, stamp(0).wall);
        let note = format!("{text}\n{line}\n");
        assert!(verify::checkpoint(&note, &[signer.public().clone()], &origin).is_ok());
        city.pass(vec![plant.head(&note)], Some(&plant));
        assert!(
            !city.shelf().log_dir(&plant.place(epoch)).exists(),
            "{epoch}"
        );
    }
}
