//! What a healthy gateway sends, whatever the network does to it.

use super::{City, Plant, id, stamp};
use crate::archive::Stranger;
use crate::archive::desk::{Input, Said};
use crate::archive::pending::{Pending, Waiting};
use lineside_proto::ledger::note::Note;
use std::fs;

#[test]
fn leaves_under_a_head_are_kept_and_others_wait() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 9);
    city.pass(plant.leaves(), None);
    assert_eq!(city.size(&plant, 1), 0, "nothing is signed");
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], None);
    assert_eq!(city.size(&plant, 1), 10);
    // The head first, its leaves in any order, some twice.
    plant.write("b", 700);
    let note = plant.sign();
    let mut leaves = plant.leaves();
    leaves.reverse();
    leaves.extend((500..520).map(|index| plant.leaf(index)));
    city.pass(vec![plant.head(&note)], None);
    city.pass(leaves, None);
    assert_eq!(city.size(&plant, 1), 710);
    assert_eq!((city.questions, city.alarms.len()), (0, 0));
}

#[test]
fn what_did_not_come_is_asked_for() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 600);
    let mut leaves = plant.leaves();
    leaves.remove(300);
    leaves.truncate(400);
    let note = plant.sign();
    leaves.push(plant.head(&note));
    city.pass(leaves, Some(&plant));
    assert_eq!(city.size(&plant, 1), 0);
    assert_eq!(city.questions, 0, "it may be on its way");
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 601);
    // Nothing at all came, and far more than one answer holds.
    plant.write("b", 12_000);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], Some(&plant));
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 12_601);
    assert_eq!(city.alarms.len(), 0);
}

#[test]
fn a_gateway_that_is_off_is_asked_again_when_it_is_back() {
    let mut city = City::new(false);
    let plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 20);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], None);
    for _ in 0..100 {
        city.later(3);
    }
    assert!(city.questions < 15, "{} questions", city.questions);
    city.pass(vec![plant.say(Said::Online)], Some(&plant));
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 21);
}

#[test]
fn leaves_from_elsewhere_do_no_harm() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    let other = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 50);
    other.write("x", 80);
    // Somebody writes to the topic who is not the gateway.
    city.pass((0..80).map(|index| other.leaf(index)).collect(), None);
    for garbage in [
        &b""[..],
        b"{}",
        b"\xff",
        b"{\"index\":1e300,\"leaf\":\"\"}",
        b"{\"index\":18446744073709551615,\"leaf\":\"x\"}",
    ] {
        city.pass(vec![plant.say(Said::Leaf(garbage.to_vec()))], None);
        city.pass(vec![plant.say(Said::Head(garbage.to_vec()))], None);
        city.pass(vec![plant.say(Said::Cosigned(garbage.to_vec()))], None);
    }
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, Some(&plant));
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 51);
    assert_eq!(city.alarms.len(), 0, "nobody signed what was wrong");
}

#[test]
fn a_restart_goes_on_with_what_waited() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 300);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    plant.write("b", 40);
    city.pass(plant.leaves(), None);
    for _ in 0..3 {
        city.start();
        city.later(1);
    }
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], None);
    assert_eq!(city.size(&plant, 1), 341);
    assert_eq!(city.questions, 0);
}

#[test]
fn what_another_process_took_in_is_read() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 30);
    let folder = city.archive().join("pending/m9");
    fs::create_dir_all(&folder).unwrap();
    let mut pending = Pending::open(&folder).unwrap();
    for index in 0..31 {
        let (_, leaf) = plant.ledger.read(index, 1).unwrap().remove(0);
        pending.add(&Waiting {
            site: id("zs"),
            gateway: plant.name.clone(),
            epoch: 1,
            index,
            leaf,
        });
    }
    pending.settle().unwrap();
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], None);
    city.later(1);
    city.later(1);
    assert_eq!(city.size(&plant, 1), 31);
    assert_eq!(city.questions, 0);
    assert_eq!(plant.leaves().len(), 31);
}

#[test]
fn heads_are_cosigned_once_a_minute_and_only_forwards() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    let grow = |city: &mut City, plant: &mut Plant| {
        plant.write("a", 5);
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.sign()));
        city.pass(inputs, None);
    };
    grow(&mut city, &mut plant);
    city.later(30);
    assert_eq!(city.cosigned.len(), 0, "the broker was not heard yet");
    city.pass(vec![Input::Connected], None);
    city.later(4);
    assert_eq!(city.cosigned.len(), 1);
    for _ in 0..12 {
        grow(&mut city, &mut plant);
        city.later(10);
    }
    let sizes: Vec<u64> = city.cosigned.iter().map(|(_, head)| head.size).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes.is_sorted());
    // What is stored and what is kept carries the line.
    let place = plant.place(1);
    city.later(60);
    let (note, head) = city.shelf().head(&place).unwrap().unwrap();
    let signatures = Note::parse(&note).unwrap().signatures;
    assert_eq!(signatures.len(), 2);
    let record = city.shelf().record(&place).unwrap().unwrap();
    assert_eq!(record.cosigned.unwrap().size, head.size);
    let view = city.shelf().view(&place).unwrap();
    let kept = view.kept(0..head.size + 1);
    let is_cosigned = |size: &u64| view.kept_note(*size).unwrap().note.contains("city/w1");
    assert!(kept.iter().any(is_cosigned), "{kept:?}");
    assert_eq!(stamp(0).boot_ms, 1_000_000);
}

#[test]
fn a_stranger_is_kept_apart() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    let impostor = Plant::new("gw-1");
    plant.write("a", 5);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 0);
    let apart = city.archive().join("strangers/zs.gw-1.json");
    assert!(apart.exists());
    let listed = Stranger::list(&city.archive()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].gateway, plant.name);
    city.enrol(&plant);
    city.fetch(&plant);
    assert!(!apart.exists(), "it has a card now, and its log is taken");
    impostor.write("b", 7);
    city.pass(vec![impostor.head(&impostor.sign())], Some(&impostor));
    city.fetch(&impostor);
    assert!(apart.exists());
    assert_eq!(city.size(&plant, 1), 6);
    assert_eq!(city.alarms.len(), 0);
}
