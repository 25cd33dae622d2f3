//! What is kept beside the logs: texts, notes, alarms, and what was cosigned; each within its bounds.

use super::bounds::next_epoch;
use super::{City, Plant, START, answer, id, stamp};
use crate::archive::desk::{Asked, Input, Output};
use crate::archive::record::{Cosigned, Record};
use crate::hashed;
use crate::maps::Maps;
use crate::record::Entry;
use crate::slots::Slots;
use lineside_proto::Time;
use lineside_proto::ledger::{Audit, ConfigLeaf, LeafBody};
use serde_json::json;
use std::fs::{self, File};

/// A leaf that names a map.
fn name_map(plant: &Plant, hash: &str) {
    let entry = Entry {
        at: stamp(0),
        body: LeafBody::Config(ConfigLeaf {
            machine: id("m1"),
            map: hash.to_owned(),
            files: hash.to_owned(),
        }),
    };
    plant.ledger.append("boot", &[entry]).unwrap();
}

/// Keeps the text of a map at the gateway, and names it in a leaf. Gives its hash.
pub(super) fn give_map(plant: &Plant, text: &str) -> String {
    let hash = hashed::of(text.as_bytes());
    let maps = Maps::open(&plant.state()).unwrap();
    maps.keep_text(&hash, text).unwrap();
    name_map(plant, &hash);
    hash
}

/// Sends what is new of a gateway, and a head over all of it.
fn send(city: &mut City, plant: &mut Plant) {
    let mut inputs = plant.leaves();
    let note = if inputs.is_empty() {
        plant.note()
    } else {
        plant.sign()
    };
    inputs.push(plant.head(&note));
    city.pass(inputs, Some(plant));
}

/// Passes of a second each, in which the plant answers.
fn wait(city: &mut City, plant: &Plant, seconds: u64) {
    for _ in 0..seconds {
        city.seconds += 1;
        city.pass(Vec::new(), Some(plant));
    }
}

#[test]
fn a_text_that_was_not_there_is_asked_for_again() {
    for restarts in [false, true] {
        let mut city = City::new(false);
        let mut plant = Plant::new("gw-1");
        city.enrol(&plant);
        let text = "{\"points\":[]}";
        let hash = hashed::of(text.as_bytes());
        name_map(&plant, &hash);
        send(&mut city, &mut plant);
        wait(&mut city, &plant, 5);
        assert_eq!(city.questions, 1);
        wait(&mut city, &plant, 100);
        assert_eq!(city.questions, 1, "not so soon");
        plant.write("a", 1);
        send(&mut city, &mut plant);
        let record = city.shelf().record(&plant.place(1)).unwrap().unwrap();
        assert_eq!(record.texts, 3, "nothing stays behind for it");
        // It is there after all.
        let maps = Maps::open(&plant.state()).unwrap();
        maps.keep_text(&hash, text).unwrap();
        if restarts {
            city.start();
            send(&mut city, &mut plant);
            wait(&mut city, &plant, 5);
        } else {
            city.seconds += 600;
            wait(&mut city, &plant, 5);
        }
        assert_eq!(city.questions, 2, "{restarts}");
        let texts = city.shelf().gateway_dir(&id("zs"), &plant.name);
        assert_eq!(Maps::of(&texts).text(&hash).as_deref(), Some(text));
        // What is here is not asked for, however often it is named, and after a start.
        (0..20).for_each(|_| name_map(&plant, &hash));
        send(&mut city, &mut plant);
        city.start();
        send(&mut city, &mut plant);
        wait(&mut city, &plant, 700);
        assert_eq!(city.questions, 2, "{restarts}");
    }
}

#[test]
fn texts_for_which_there_was_no_room_are_found_later() {
    for restarts in [false, true] {
        let mut city = City::new(false);
        let mut plant = Plant::new("gw-1");
        city.enrol(&plant);
        let texts: Vec<_> = (0..70)
            .map(|number| format!("{{\"points\":[{number}]}}"))
            .collect();
        for text in &texts {
            give_map(&plant, text);
        }
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.sign()));
        city.pass(inputs, None);
        plant.write("a", 1);
        send(&mut city, &mut plant);
        if restarts {
            city.start();
            send(&mut city, &mut plant);
        }
        wait(&mut city, &plant, 120);
        let here = Maps::of(&city.shelf().gateway_dir(&id("zs"), &plant.name));
        let missing = texts
            .iter()
            .filter(|text| !here.has(&hashed::of(text.as_bytes())));
        assert_eq!(missing.count(), 0, "{restarts}");
    }
}

#[test]
fn maps_of_one_gateway_have_a_bound() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    let dir = city
        .shelf()
        .gateway_dir(&id("zs"), &plant.name)
        .join("maps");
    fs::create_dir_all(&dir).unwrap();
    let filler = File::create(dir.join("0.json")).unwrap();
    for (bytes, is_kept) in [(63 << 20, true), ((64 << 20) - 3, false)] {
        filler.set_len(bytes).unwrap();
        let text = format!("{{\"is\":{is_kept}}}");
        let hash = hashed::of(text.as_bytes());
        name_map(&plant, &hash);
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.sign()));
        let desk = city.desk.as_mut().unwrap();
        let mut asked: Vec<Asked> = Vec::new();
        for turn in 0..2 {
            let now = stamp(city.seconds + turn);
            for output in desk.pass(std::mem::take(&mut inputs), now).unwrap() {
                if let Output::Ask(one) = output {
                    asked.push(one);
                }
            }
        }
        let asked = asked.remove(0);
        let result = Ok(vec![json!({"hash": hash, "text": text})]);
        city.pass(vec![Input::Answer { asked, result }], None);
        let kept = Maps::of(dir.parent().unwrap()).text(&hash);
        assert_eq!(kept.is_some(), is_kept, "{bytes}");
        city.later(300);
    }
}

#[test]
fn a_leaf_of_the_future_does_not_end_the_hours() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    city.pass(vec![Input::Connected], None);
    let write = |plant: &Plant, ms: i64| {
        let mut at = stamp(0);
        at.wall = Time::from_millis(START + ms);
        let body = LeafBody::Audit(Audit {
            who: "li".to_owned(),
            action: "apply".to_owned(),
            what: "it".to_owned(),
        });
        plant.ledger.append("boot", &[Entry { at, body }]).unwrap();
    };
    write(&plant, 0);
    send(&mut city, &mut plant);
    // Ten years ahead, once.
    write(&plant, 315_360_000_000);
    send(&mut city, &mut plant);
    for hour in 1..=5 {
        city.seconds = hour * 3_600 + 60;
        for minute in 0..3 {
            write(&plant, i64::try_from(city.seconds).unwrap() * 1_000);
            send(&mut city, &mut plant);
            city.later(61 + minute);
        }
        if hour == 3 {
            city.start();
            city.pass(vec![Input::Connected], None);
        }
    }
    let view = city.shelf().view(&plant.place(1)).unwrap();
    let kept = view.kept(0..u64::MAX);
    let hours: Vec<i64> = kept
        .iter()
        .map(|size| view.kept_note(*size).unwrap().at.as_millis() - START)
        .map(|ms| ms / 3_600_000)
        .collect();
    for hour in 0..=5 {
        let of_it = hours.iter().filter(|known| **known == hour).count();
        // The first that was signed, and one that was cosigned.
        assert!((1..=2).contains(&of_it), "{hour} of {hours:?}");
    }
    assert!(hours.iter().all(|hour| *hour <= 5), "{hours:?}");
}

#[test]
fn one_gateway_does_not_fill_the_witness_memory() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    for _ in 2..=34 {
        next_epoch(&mut plant);
    }
    plant.write("a", 3);
    send(&mut city, &mut plant);
    assert_eq!(city.size(&plant, 34), 4);
    // As if all epochs before had been cosigned.
    for epoch in 1..=32 {
        let place = plant.place(epoch);
        let (log, kept) = (city.shelf().log_dir(&place), city.shelf().kept_dir(&place));
        fs::create_dir_all(&log).unwrap();
        fs::write(log.join("checkpoint"), "x").unwrap();
        fs::create_dir_all(&kept).unwrap();
        let record = Record {
            cosigned: Some(Cosigned {
                size: 1,
                root: String::new(),
                at: Time::from_millis(START),
            }),
            ..Record::default()
        };
        let mut slots = Slots::open(&kept.join("record")).unwrap();
        slots.write(&serde_json::to_vec(&record).unwrap()).unwrap();
    }
    city.pass(vec![Input::Connected], None);
    city.later(70);
    assert_eq!(city.cosigned, []);
    let why = |city: &City| city.record(&plant, 34).uncosigned.map(|told| told.why);
    assert!(why(&city).unwrap().contains("32 epochs"));
    fs::remove_dir_all(city.shelf().kept_dir(&plant.place(7))).unwrap();
    city.later(70);
    assert_eq!((city.cosigned.len(), why(&city)), (1, None));
}

#[test]
fn answers_that_come_late_change_nothing() {
    let mut city = City::new(false);
    let plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 9);
    city.pass(vec![plant.head(&plant.sign())], None);
    let mut asked = Vec::new();
    for _ in 0..4 {
        city.seconds += 1;
        let desk = city.desk.as_mut().unwrap();
        for output in desk.pass(Vec::new(), stamp(city.seconds)).unwrap() {
            if let Output::Ask(one) = output {
                asked.push(one);
            }
        }
    }
    assert_eq!(asked.len(), 1, "one at a time");
    let late = answer(asked.remove(0), Some(&plant));
    city.start();
    city.pass(vec![late], None);
    assert_eq!(city.size(&plant, 1), 0);
}
