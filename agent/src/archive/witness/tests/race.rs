//! Many at once with one key, each for a history of its own: whatever comes first holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use lineside_proto::ledger::Hash;

use super::{Desk, Log, at};
use crate::archive::witness::{Refusal, Witness};

/// Leaves that the histories have in common.
const FORK: u64 = 11;
const RUNNERS: u64 = 4;
const ROUNDS: u64 = 40;

/// Goes on from whatever was cosigned, as a log does that has its own history; notes what was signed.
fn run(witness: &Witness, log: Log, seed: u64, signed: &Mutex<Vec<(u64, Hash)>>) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut old = 0;
    for _ in 0..ROUNDS {
        let size = (old + dice.u64(0..4)).min(60);
        let head = log.head(size);
        let asked = witness.cosign(&log.note(size), &head, old, &log.proof(old, size), at(0));
        match asked {
            Ok(_) => {
                signed.lock().unwrap().push((size, head.root));
                old = size;
            }
            Err(Refusal::Conflict(size)) => old = size,
            Err(Refusal::Proof(_) | Refusal::OtherRoot(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn of_two_histories_only_one_is_ever_cosigned() {
    for seed in 0..4 {
        let desk = Desk::new();
        let signed = Arc::new(Mutex::new(Vec::new()));
        let start = Barrier::new(usize::try_from(RUNNERS).unwrap());
        thread::scope(|scope| {
            for runner in 0..RUNNERS {
                let (desk, signed, start) = (&desk, &signed, &start);
                scope.spawn(move || {
                    // Opened anew, as another process would.
                    let witness = desk.open();
                    let history = if runner % 2 == 0 { 'a' } else { 'b' };
                    start.wait();
                    let log = Log::forked(history, FORK);
                    run(&witness, log, seed * RUNNERS + runner, signed);
                });
            }
        });
        let mut heads: BTreeMap<u64, Hash> = BTreeMap::new();
        for (size, root) in signed.lock().unwrap().iter() {
            let one = *heads.entry(*size).or_insert(*root);
            assert_eq!(one, *root, "two roots of {size} leaves were cosigned");
        }
        assert!(heads.len() > 5, "{heads:?}");
        let is_one = |history| {
            let log = Log::forked(history, FORK);
            heads
                .iter()
                .all(|(size, root)| log.head(*size).root == *root)
        };
        assert!(is_one('a') != is_one('b') || *heads.keys().last().unwrap() <= FORK);
    }
}
