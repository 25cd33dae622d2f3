//! What counts as proof, and what anybody at the broker could have said.

use super::faults::witnessed;
use super::several::fetch_part;
use super::{City, Plant, Trouble, id, stamp};
use crate::answers::Answers;
use crate::archive::Cards;
use crate::archive::alarm::Kind;
use crate::archive::desk::{Asked, Input, Output, Said};
use crate::archive::inspection::inspect;
use crate::archive::mirror::Stepped;
use lineside_proto::Time;
use serde_json::{Value, json};

/// What a liar gives, where they answer at all.
type Lie = fn(&str) -> Option<Value>;

fn wrong_proof(method: &str) -> Option<Value> {
    let hashes = vec!["A".repeat(43) + "="];
    (method == "ledger.consistency").then(|| json!({"hashes": hashes}))
}

fn no_proof(method: &str) -> Option<Value> {
    (method == "ledger.consistency").then(|| json!({"hashes": []}))
}

fn wrong_tile(method: &str) -> Option<Value> {
    (method == "ledger.tile").then(|| json!({"bytes": "A".repeat(43) + "="}))
}

fn wrong_leaves(method: &str) -> Option<Value> {
    let leaf = r#"{"v":1,"index":100}"#;
    (method == "ledger.entries").then(|| json!({"first": 100, "next": 101, "leaves": [leaf]}))
}

/// Time goes by, and questions are answered by the plant, or with a lie.
fn lied_to(city: &mut City, plant: &Plant, lie: Lie) {
    let mut inputs = Vec::new();
    for _ in 0..20 {
        city.seconds += 3;
        for output in city.outputs(std::mem::take(&mut inputs)) {
            match output {
                Output::Ask(asked) => inputs.push(answered(asked, plant, lie)),
                Output::Alarm { alarm, .. } => assert_eq!(alarm.kind, Kind::Leaves),
                Output::Cosigned { .. } | Output::Grown { .. } => {}
            }
        }
    }
    // What is still asked is answered by nobody.
    for input in inputs {
        if let Input::Answer { asked, .. } = input {
            let result = Err(Trouble::Lost("off".to_owned()));
            city.outputs(vec![Input::Answer { asked, result }]);
        }
    }
}

fn answered(asked: Asked, plant: &Plant, lie: Lie) -> Input {
    let (method, params) = asked.call();
    let answers = Answers::of_copy(&plant.state()).unwrap();
    let honest = || {
        let failed = |failure| Trouble::from(lineside_proto::AnswerError::from(failure));
        answers.ask(method, params).map_err(failed)
    };
    let result = lie(method).map_or_else(honest, |lie| Ok(vec![lie]));
    Input::Answer { asked, result }
}

#[test]
fn an_answer_that_does_not_count_stops_nothing() {
    for lie in [wrong_proof, no_proof, wrong_leaves as Lie] {
        let (mut city, mut plant, _other) = witnessed();
        let stranger = Plant::new("gw-1");
        stranger.write("x", 120);
        plant.write("b", 20);
        let leaves = plant.leaves();
        let note = plant.sign();
        // Somebody else's leaf comes first: what is shown can't be told from a fork without asking.
        city.pass(vec![stranger.leaf(105), plant.head(&note)], None);
        let others: Vec<Input> = leaves
            .into_iter()
            .enumerate()
            .filter_map(|(place, leaf)| (place != 5).then_some(leaf))
            .collect();
        city.pass(others, None);
        lied_to(&mut city, &plant, lie);
        let place = plant.place(1);
        let record = city.shelf().record(&place).unwrap().unwrap();
        assert_eq!(record.stopped, None);
        assert_eq!((city.size(&plant, 1), city.cosigned.len()), (100, 1));
        let unproved = record.unproved.unwrap();
        assert_eq!((unproved.size, unproved.heads), (120, 1));
        assert!(unproved.since > Time::from_millis(super::START));
        // The gateway itself is heard.
        for _ in 0..200 {
            city.fetch(&plant);
        }
        assert_eq!(city.size(&plant, 1), 120);
        let record = city.shelf().record(&place).unwrap().unwrap();
        assert_eq!(record.unproved, None);
        city.later(61);
        assert_eq!(city.cosigned.last().unwrap().1.size, 120);
    }
}

/// A proof that a tree of two, four, eight… leaves is continued begins with its root, and leaves that out.
#[test]
fn an_old_copy_that_goes_on_is_a_fork_whatever_the_number_of_leaves() {
    for held in [2, 3, 63, 64, 65, 256, 512] {
        let (mut city, mut plant) = (City::new(true), Plant::new("gw-1"));
        city.enrol(&plant);
        plant.write("a", held / 2 - 1);
        let old = plant.clone_disk();
        plant.write("a", held - held / 2);
        city.pass(plant.grown(), None);
        old.write("other", held + 10);
        let shown = old.sign();
        city.pass(vec![old.head(&shown)], None);
        for lie in [no_proof, wrong_proof as Lie] {
            lied_to(&mut city, &old, lie);
        }
        if held.is_power_of_two() {
            lied_to(&mut city, &old, wrong_tile);
        }
        assert_eq!(city.alarms, [], "{held}: by what anybody could say");
        for _ in 0..120 {
            city.fetch(&old);
        }
        let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [Kind::Fork], "{held}");
        assert_eq!(city.proofs().len(), 1);
        assert_eq!(city.size(&plant, 1), held as u64);
    }
}

#[test]
fn a_head_that_nobody_proves_is_not_taken_and_one_that_is_goes_on() {
    let (mut city, mut plant, _other) = witnessed();
    let twin = plant.clone_disk();
    twin.write("nobody has it", 40);
    let shown = twin.sign();
    city.pass(vec![plant.head(&shown)], Some(&plant));
    city.fetch(&plant);
    plant.write("b", 20);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], Some(&plant));
    for _ in 0..20 {
        city.fetch(&plant);
    }
    // The newest head is asked about in vain; the one before it is taken all the same.
    assert_eq!(city.size(&plant, 1), 120);
    let unproved = city
        .shelf()
        .record(&plant.place(1))
        .unwrap()
        .unwrap()
        .unproved;
    assert_eq!(unproved.unwrap().size, 140);
    // And when the log gets there, both are in hand.
    plant.write("c", 30);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [Kind::Fork]);
    assert_eq!(city.proofs().len(), 1);
    assert_eq!(city.size(&plant, 1), 120);
}

#[test]
fn two_heads_of_one_size_are_seen_however_many_wait() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 9);
    city.pass(plant.grown(), None);
    let twin = plant.clone_disk();
    for _ in 0..300 {
        plant.write("b", 1);
        let note = plant.sign();
        city.pass(vec![plant.head(&note)], None);
        city.later(1);
    }
    let record = |city: &City| city.shelf().record(&plant.place(1)).unwrap().unwrap();
    assert_eq!(city.alarms.len(), 0);
    // The first that is known stays known; of those for which there is no room, none is taken.
    twin.write("other", 1);
    city.pass(vec![twin.head(&twin.sign())], None);
    let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [Kind::TwoHeads]);
    assert!(record(&city).stopped.is_some());
}

#[test]
fn the_first_head_after_a_power_cut_is_published() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 9);
    city.pass(plant.grown(), None);
    let checkpoint = city.shelf().log_dir(&plant.place(1)).join("checkpoint");
    let before = std::fs::read(&checkpoint).unwrap();
    plant.write("b", 20);
    let note = plant.sign();
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&note));
    city.pass(inputs, None);
    // The record became durable, the checkpoint's name did not.
    city.desk = None;
    std::fs::write(&checkpoint, before).unwrap();
    city.start();
    city.pass(vec![Input::Connected, plant.head(&note)], None);
    city.later(4);
    assert_eq!(city.size(&plant, 1), 30);
    assert_eq!(city.cosigned.last().unwrap().1.size, 30);
    assert_eq!(city.questions, 0);
}

#[test]
fn a_record_speaks_of_no_head_whose_name_is_not_durable() {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 9);
    city.pass(plant.grown(), None);
    let checkpoint = city.shelf().log_dir(&plant.place(1)).join("checkpoint");
    let before = std::fs::read(&checkpoint).unwrap();
    plant.write("b", 20);
    let note = plant.sign();
    let desk = city.desk.as_mut().unwrap();
    let (name, now) = ((id("zs"), plant.name.clone()), stamp(60));
    for input in plant.leaves() {
        if let Input::Message {
            said: Said::Leaf(leaf),
            ..
        } = input
        {
            desk.leaf(name.clone(), &leaf, now.boot_ms);
        }
    }
    desk.head(name.clone(), note.as_bytes(), now, &mut Vec::new());
    let mirror = desk.gateways.get_mut(&name).unwrap().mirror_mut().unwrap();
    let Stepped::Ready(mut step) = mirror.step(now.boot_ms).unwrap() else {
        panic!("nothing to commit");
    };
    mirror.write(&mut step, &mut desk.writes).unwrap();
    desk.writes.settle().unwrap();
    mirror.publish(&step, &mut desk.writes).unwrap();
    assert_ne!(std::fs::read(&checkpoint).unwrap(), before);
    // The power goes before the name is durable.
    city.desk = None;
    std::fs::write(&checkpoint, before).unwrap();
    let (cards, _) = Cards::load(&city.dir.path().join("cards")).unwrap();
    let found = inspect(&city.shelf(), &plant.place(1), Some(&cards), &[]).unwrap();
    assert_eq!(found.head.size, 10);
    city.start();
    city.pass(vec![plant.head(&note)], None);
    assert_eq!(city.size(&plant, 1), 10, "its leaves were never settled");
    city.fetch(&plant);
    assert_eq!(city.size(&plant, 1), 30);
    assert_eq!(city.kinds(), []);
}

#[test]
fn wrong_leaves_up_to_a_power_of_two_hold_nothing_up() {
    let mut city = City::new(false);
    let plant = Plant::new("gw-1");
    city.enrol(&plant);
    let mut twin = plant.clone_disk();
    twin.write("forged", 4_200);
    // They come by themselves, and before those that were signed.
    city.pass(twin.leaves(), None);
    plant.write("a", 4_500);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], Some(&plant));
    for _ in 0..4 {
        city.fetch(&plant);
    }
    assert_eq!(city.size(&plant, 1), 4_501);
    assert_eq!(city.kinds(), []);
}

#[test]
fn of_two_that_write_one_log_the_one_that_answers_is_asked_about_its_own_heads() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 59);
    let inputs = plant.grown();
    city.pass(inputs, None);
    let mut twin = plant.clone_disk();
    // A size at which a proof leaves out what it leads from.
    twin.write("of its own", 4);
    let inputs = twin.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&twin, 1), 64);
    plant.write("b", 2);
    for turn in 0..3 {
        for one in [&plant, &twin] {
            one.write("on", 5 + turn);
            city.pass(vec![one.head(&one.sign())], None);
        }
    }
    // It can prove something about any of these sizes.
    plant.write("more", 10);
    for _ in 0..8 {
        city.seconds += 60;
        city.fetch(&plant);
    }
    assert_eq!(city.kinds(), [Kind::Fork]);
}

#[test]
fn an_old_fork_is_told_while_a_long_stretch_is_fetched() {
    for restarts in [false, true] {
        let mut city = City::new(true);
        let mut plant = Plant::new("gw-1");
        city.enrol(&plant);
        let twin = plant.clone_disk();
        twin.write("forged", 49);
        let forged = twin.sign();
        plant.write("a", 99);
        let inputs = plant.grown();
        city.pass(inputs, None);
        plant.write("long", 9_000);
        let note = plant.sign();
        city.pass(vec![plant.head(&note)], None);
        // Some of it is in tiles, and its head is not reached.
        fetch_part(&mut city, &plant, 100);
        // One leaf further on comes by itself, and waits in a file.
        city.outputs(vec![plant.leaf(9_090)]);
        if restarts {
            city.start();
        }
        city.pass(vec![plant.head(&forged), Input::Connected], None);
        assert_eq!((city.kinds(), city.proofs().len()), (vec![Kind::Fork], 1));
    }
}
