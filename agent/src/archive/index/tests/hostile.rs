//! A ledger that is signed and sound, and meant to do harm.

use lineside_proto::ledger::{LeafBody, SessionEvent, StateLeaf};
use lineside_proto::{Class, State};
use std::sync::Arc;

use super::super::Indexer;
use super::super::fold::MACHINES_MAX;
use super::super::model::Select;
use super::laid::{Laid, at, machine, place};
use super::odd::{corrections, session};
use super::{PART_BYTES, embedded, equals, indexed};

#[test]
fn whose_a_correction_is_says_the_leaf_that_it_refers_to_in_whatever_batch() {
    for part_bytes in [1, PART_BYTES] {
        let laid = Laid::new();
        let grown = laid.grown(place("gw-a", 1), "a");
        // The same session opened thrice: its row names the last of these leaves only.
        let open = || LeafBody::Session(session("s-1", SessionEvent::Open, Class::Own));
        let bodies = [vec![open(), open(), open()], corrections(3)].concat();
        grown.grow("boot-1", 1, bodies);
        laid.publish(&grown);
        let index = embedded(&laid);
        let mut indexer = Indexer::new(laid.shelf(), Arc::clone(&index)).in_parts(part_bytes);
        indexer.round(&mut || false).unwrap();
        equals(&laid, &index);
        let rows = index.corrections(&Select::default()).unwrap().rows;
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.session.as_deref() == Some("s-1")));
    }
}

#[test]
fn machines_beyond_a_bound_are_in_no_table() {
    let laid = Laid::new();
    let grown = laid.grown(place("gw-a", 1), "a");
    for half in 0..2 {
        let numbers = (0..MACHINES_MAX).map(|number| half * MACHINES_MAX / 2 + number);
        let states = numbers.map(|number| {
            LeafBody::State(StateLeaf {
                machine: machine(&format!("m-{number}")),
                from: State::Idle,
                to: State::Run,
                since: at(0),
                since_ms: 0,
                rule: None,
                config: "sha256:x".to_owned(),
            })
        });
        grown.grow("boot-1", 1 + half, states.collect());
        laid.publish(&grown);
        indexed(&laid, &embedded(&laid));
    }
    let index = embedded(&laid);
    equals(&laid, &index);
    let row = index.gateways(&Select::default()).unwrap().rows.remove(0);
    assert_eq!(row.machines, MACHINES_MAX);
    assert_eq!(row.epochs[0].odd, MACHINES_MAX / 2);
}
