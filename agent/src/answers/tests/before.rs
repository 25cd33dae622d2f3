//! Answers for a ledger that was put aside.

use super::{Rig, begin, code};
use crate::answers::{Answers, Code, Failure};
use crate::ledger::tests::copy_tree;
use crate::ledger::{Ledger, Testimony, new_epoch};
use serde_json::{Value, json};
use std::fs;

const ORIGIN: &str = "lineside/s/g";

/// Gives the rig's ledger up for a new epoch.
fn next_epoch(rig: Rig) -> Rig {
    let (state, key) = (rig.state(), rig.dir.path().join("key/ledger.key"));
    let Rig {
        ledger,
        map_hash,
        closed,
        dir,
    } = rig;
    drop(ledger);
    new_epoch(&state, &key, ORIGIN, "x", &Testimony::default()).unwrap();
    let (ledger, _) = Ledger::open(&state, &key, ORIGIN).unwrap();
    Rig {
        ledger,
        map_hash,
        closed,
        dir,
    }
}

/// The leaves of an hour of the first epoch.
fn hour(answers: &Answers, hour: i64) -> Result<Vec<Value>, Failure> {
    let at = |hours: i64| begin().plus_millis(hours * 3_600_000);
    let period = json!({"from": at(hour), "to": at(hour + 1), "origin": ORIGIN});
    answers.ask("usage.bundle", period)
}

/// What was learnt of its leaves is known at the next question, and forgotten where another ledger took its place.
#[test]
fn a_ledger_that_was_put_aside_is_read_through_once() {
    let rig = Rig::new();
    rig.hours(20);
    let backup = rig.dir.path().join("backup");
    copy_tree(&rig.state().join("ledger"), &backup);
    rig.hours(30);
    let rig = next_epoch(rig);
    rig.hours(1);
    let aside = rig.state().join("ledger.e1");
    let both = [rig.gateway(), rig.copy()];
    for answers in &both {
        let found = hour(answers, 0).unwrap();
        assert_eq!(
            (&found[0]["first"], &found[0]["last"]),
            (&json!(0), &json!(5))
        );
    }
    // Its first leaves can't be read any more, and need not.
    fs::remove_file(aside.join("tile/entries/000")).unwrap();
    for answers in &both {
        let found = hour(answers, 45).unwrap();
        let range = (&found[0]["first"], &found[0]["last"]);
        assert_eq!(range, (&json!(270), &json!(275)));
        assert_eq!(code(hour(answers, 0)), Code::Unavailable);
    }
    fs::rename(&aside, rig.dir.path().join("gone")).unwrap();
    fs::rename(&backup, &aside).unwrap();
    for answers in &both {
        assert_eq!(code(hour(answers, 45)), Code::NotFound);
        assert_eq!(hour(answers, 19).unwrap()[0]["last"], 119);
    }
    fs::remove_dir_all(&aside).unwrap();
    for answers in &both {
        assert_eq!(code(hour(answers, 19)), Code::NotFound);
    }
}
