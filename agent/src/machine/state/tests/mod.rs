//! What a machine's state is after a trace.

mod any_trace;
mod trace;

use super::*;
use crate::sample::Value;
use trace::{FAST_STALE_MS, Input, map, trace, written};

/// The contract's example.
const EXTRUDER: &str = "DOWN 0 5000 fault != 0 || estop
RUN 2000 20000 running && speed > 5.0
IDLE 0 0 true";

/// Runs a trace from time 0; its transitions must be these, and the reason at the end.
fn check(rules: &str, text: &str, transitions: &[&str], reason: (ReasonCode, &str)) {
    let mut machine = StateMachine::new(map(rules), 0, 0);
    let mut out = Vec::new();
    for input in trace(text) {
        input.give(&mut machine, &mut out);
    }
    let found: Vec<String> = out.iter().map(written).collect();
    assert_eq!(found, transitions, "{rules}\n{text}");
    let standing = machine.standing();
    assert_eq!(
        (standing.reason, standing.reason_text.as_str()),
        reason,
        "{rules}\n{text}"
    );
}

const RUN_TEXT: (ReasonCode, &str) = (ReasonCode::Rule, "running && speed > 5.0");
const IDLE_TEXT: (ReasonCode, &str) = (ReasonCode::Rule, "true");
const DOWN_TEXT: (ReasonCode, &str) = (ReasonCode::Rule, "fault != 0 || estop");

#[test]
fn a_state_takes_effect_when_it_has_held_and_counts_from_its_onset() {
    // From UNKNOWN only `enter` counts; downwards in the file the longer of leave and enter, upwards
    // enter.
    check(
        EXTRUDER,
        "1000 fault=0 estop=0 running=1 speed=9
         2000 fault=0 estop=0 running=1 speed=9
         4000 fault=0 estop=0 running=1 speed=9
         6000 fault=0 estop=0 running=0 speed=0
         15000 fault=0 estop=0 running=0 speed=0
         24000 fault=0 estop=0 running=0 speed=0
         27000
         30000 fault=0 estop=1 running=0 speed=0
         31000 fault=0 estop=0 running=0 speed=0
         36500 fault=0 estop=0 running=0 speed=0",
        &[
            "RUN@2 1000/3000",
            "IDLE@3 6000/26000",
            "DOWN@1 30000/30000",
            "IDLE@3 31000/36000",
        ],
        IDLE_TEXT,
    );
    // A break begins the hold anew; a shorter one than `leave` changes nothing.
    check(
        EXTRUDER,
        "1000 fault=0 estop=0 running=1 speed=9
         2000 fault=0 estop=0 running=1 speed=0
         2500 fault=0 estop=0 running=1 speed=9
         9000 fault=0 estop=0 running=0 speed=0
         18000 fault=0 estop=0 running=0 speed=0
         27000 fault=0 estop=0 running=1 speed=9
         36000 fault=0 estop=0 running=0 speed=9",
        &["IDLE@3 2000/2000", "RUN@2 2500/4500"],
        RUN_TEXT,
    );
    // A hold ends before what is read at that very moment.
    check(
        EXTRUDER,
        "1000 fault=0 estop=0 running=1 speed=9
         3000 fault=0 estop=0 running=0 speed=0",
        &["RUN@2 1000/3000"],
        RUN_TEXT,
    );
}

#[test]
fn another_rule_of_the_same_state_takes_over_without_a_transition() {
    let rules = "RUN 0 5000 running
RUN 0 1000 speed > 5.0
IDLE 0 0 true";
    check(
        rules,
        "0 running=1 speed=9
         1000 running=0 speed=9
         2000 running=0 speed=0
         2500 running=0 speed=9",
        &["RUN@1 0/0"],
        (ReasonCode::Rule, "speed > 5.0"),
    );
    // The second rule's hold counts then.
    check(
        rules,
        "0 running=1 speed=9
         1000 running=0 speed=9
         2000 running=0 speed=0
         4000",
        &["RUN@1 0/0", "IDLE@3 2000/3000"],
        IDLE_TEXT,
    );
    // A candidate is a state: changing its rule does not break its onset.
    check(
        "DOWN 3000 0 estop\nDOWN 4000 0 fault != 0\nIDLE 0 0 true",
        "0 estop=0 fault=0
         1000 estop=1 fault=1
         2000 estop=0 fault=1
         9000",
        &["IDLE@3 0/0", "DOWN@2 1000/5000"],
        (ReasonCode::Rule, "fault != 0"),
    );
}

#[test]
fn silence_ends_in_unknown_from_the_last_good_reading_on() {
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=0 speed=0
         5000 fault=0 estop=0 running=0 speed=0
         20000",
        &["IDLE@3 0/0", "UNKNOWN 5000/15000"],
        (ReasonCode::Stale, "fault, estop"),
    );
    // Timeouts are silence, and a link that is down is, too; the reason tells them apart.
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=0 speed=0
         5000 fault!timeout estop!timeout running!timeout speed!timeout
         12000 fault!link estop!link running!link speed!link",
        &["IDLE@3 0/0", "UNKNOWN 0/10000"],
        (ReasonCode::Link, "fault (link), estop (link)"),
    );
    // What the points that stay silent would say doesn't matter once a fresh one decides.
    check(
        EXTRUDER,
        "0 fault=0 estop=1 running=0 speed=0
         5000 estop=1
         12000 estop=1",
        &["DOWN@1 0/0"],
        DOWN_TEXT,
    );
    // A slow group keeps its own time.
    check(
        "MAINT 0 0 door\nIDLE 0 0 true",
        "0s door=0 mode=auto
         89999
         90000",
        &["IDLE@2 0/0", "UNKNOWN 0/90000"],
        (ReasonCode::Stale, "door"),
    );
}

#[test]
fn what_the_device_calls_bad_counts_at_once() {
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=0 speed=0
         1000 fault=0 estop=0 running=0 speed=0
         2000 fault!exception estop=0 running=0 speed=0",
        &["IDLE@3 0/0", "UNKNOWN 1000/2000"],
        (ReasonCode::Undecided, "fault (exception:2)"),
    );
    // Silence after it does not bring the value back.
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=0 speed=0
         1000 fault!range estop=0 running=0 speed=0
         2000 fault!timeout estop=0 running=0 speed=0",
        &["IDLE@3 0/0", "UNKNOWN 0/1000"],
        (ReasonCode::Undecided, "fault (timeout)"),
    );
    // A point that was lost while nothing depended on it makes UNKNOWN begin when something does.
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=0 speed=0
         1000 fault=0 estop=0 running=0 speed!range
         9000 fault=0 estop=0 running=0 speed!range
         10000 fault=0 estop=0 running=1 speed!range",
        &["IDLE@3 0/0", "UNKNOWN 10000/10000"],
        (ReasonCode::Undecided, "speed (range)"),
    );
    // So it does where another point, that is not needed, is lost at that very moment.
    check(
        "DOWN 0 0 estop && fault > 0\nRUN 0 0 speed > 5.0\nIDLE 0 0 true",
        "0 estop=0 fault=0 speed=9
         1000 estop=0 fault!range speed=9
         2000 estop=0 fault!range speed=9
         3000 estop=1 fault!range speed!range",
        &["RUN@2 0/0", "UNKNOWN 3000/3000"],
        (ReasonCode::Undecided, "fault (range)"),
    );
}

#[test]
fn a_pending_change_dies_with_unknown() {
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=1 speed=9
         3000 fault=0 estop=0 running=0 speed=0
         4000 fault=0 estop=0 running=0 speed=0
         5000 fault!range estop=0 running=0 speed=0
         6000 fault=0 estop=0 running=1 speed=9
         7000 fault!range
         8000 fault=0
         9000",
        &["RUN@2 0/2000", "UNKNOWN 4000/5000"],
        (ReasonCode::Undecided, "running && speed > 5.0"),
    );
}

#[test]
fn the_start_is_told_from_silence() {
    let starting = (ReasonCode::Starting, "fault, estop");
    check(EXTRUDER, "", &[], starting);
    check(EXTRUDER, "9999", &[], starting);
    check(EXTRUDER, "10000", &[], (ReasonCode::Stale, "fault, estop"));
    check(
        EXTRUDER,
        "1000 fault!timeout estop!timeout",
        &[],
        (ReasonCode::Stale, "fault (timeout), estop (timeout)"),
    );
    check(
        EXTRUDER,
        "1000 fault!link estop!link",
        &[],
        (ReasonCode::Link, "fault (link), estop (link)"),
    );
    check(
        "IDLE 0 0 true",
        "",
        &[],
        (ReasonCode::Starting, "fault, estop, running, speed, +2"),
    );
}

#[test]
fn a_rule_without_points_needs_a_fresh_one_all_the_same() {
    check(
        "IDLE 0 0 true",
        "1000s mode=auto
         50000 speed=1
         60000
         70000 speed!timeout
         91000",
        &["IDLE@1 1000/1000", "UNKNOWN 50000/91000"],
        (
            ReasonCode::Stale,
            "fault, estop, running, speed (timeout), +2",
        ),
    );
    check(
        "IDLE 0 0 true",
        "1000 speed=1 running=1
         2000 speed!range running=1
         3000 running!exception",
        &["IDLE@1 1000/1000", "UNKNOWN 2000/3000"],
        (
            ReasonCode::Undecided,
            "fault, estop, running (exception:2), speed (range), +2",
        ),
    );
    check(
        "RUN 0 0 speed > 5.0",
        "1000 speed=1",
        &[],
        (ReasonCode::Undecided, "no rule holds"),
    );
    check(
        "RUN 0 0 speed / fault > 5.0",
        "1000 speed=1 fault=0",
        &[],
        (ReasonCode::Undecided, "speed / fault > 5.0"),
    );
}

#[test]
fn changed_looks_back_over_what_was_really_watched() {
    let rules = "RUN 0 0 changed(speed, \"5s\")\nIDLE 0 0 true";
    // Not watched for long enough, then steady, then changed, then steady again, each at its time.
    check(
        rules,
        "1000 speed=1
         4000 speed=1
         7000 speed=1
         8000 speed=2
         13500 speed=2",
        &["IDLE@2 6000/6000", "RUN@1 8000/8000", "IDLE@2 13000/13000"],
        IDLE_TEXT,
    );
    // Over a silence nobody can say; a short denial is no silence.
    check(
        rules,
        "1000 speed=1
         7000 speed=1
         8000 speed!range
         9000 speed=1
         20000 speed=2",
        &[
            "IDLE@2 6000/6000",
            "UNKNOWN 7000/8000",
            "IDLE@2 9000/9000",
            "UNKNOWN 9000/19000",
        ],
        (ReasonCode::Undecided, "speed"),
    );
}

#[test]
fn what_stands_is_fresh_and_no_change() {
    // Without words UNKNOWN from 0, decided at 10000; with them nothing happens, until they end.
    let first = "0 fault=0 estop=0 running=0 speed=0";
    check(
        EXTRUDER,
        &format!(
            "{first}\n9999 ~fault ~estop ~running ~speed\n19998 ~fault ~estop ~running ~speed\n29997"
        ),
        &["IDLE@3 0/0"],
        IDLE_TEXT,
    );
    check(
        EXTRUDER,
        &format!("{first}\n9999 ~fault ~estop ~running ~speed\n30000"),
        &["IDLE@3 0/0", "UNKNOWN 9999/19999"],
        (ReasonCode::Stale, "fault, estop"),
    );
    // A word that comes late ends the doubt; one that leaves a point out does not.
    check(
        EXTRUDER,
        &format!("{first}\n15000 ~fault ~running ~speed\n17000 ~estop"),
        &["IDLE@3 0/0", "UNKNOWN 0/10000", "IDLE@3 17000/17000"],
        IDLE_TEXT,
    );
    // A lost link is over when its points stand again; what the server denied stays so.
    check(
        EXTRUDER,
        &format!(
            "{first}\n1000 fault!link estop!link running!link speed!link
             2000 ~fault ~estop ~running ~speed"
        ),
        &["IDLE@3 0/0"],
        IDLE_TEXT,
    );
    check(
        EXTRUDER,
        &format!("{first}\n1000 fault!range\n2000 fault!link\n3000 ~fault ~estop ~running ~speed"),
        &["IDLE@3 0/0", "UNKNOWN 0/1000"],
        (ReasonCode::Undecided, "fault (range)"),
    );
    // Nothing stands that was never told.
    check(
        EXTRUDER,
        "1000 ~fault ~estop ~running ~speed",
        &[],
        (ReasonCode::Starting, "fault, estop"),
    );
    // Standing is no change: it is steady since it came.
    check(
        "RUN 0 0 changed(speed, \"5s\")\nIDLE 0 0 true",
        "1000 speed=1
         2000 ~speed
         5000 ~speed
         7000 speed=2
         11000 ~speed
         13000 ~speed",
        &["IDLE@2 6000/6000", "RUN@1 7000/7000", "IDLE@2 12000/12000"],
        IDLE_TEXT,
    );
}

#[test]
fn an_idle_machine_stays_idle_for_as_long_as_its_source_vouches_for_it() {
    let hour_ms = 3_600_000;
    let mut words: Vec<Input> = (1..=hour_ms / 1_000)
        .map(|second| Input {
            at_ms: second * 1_000,
            group: 0,
            samples: Vec::new(),
            standing: vec![0, 1, 2, 3],
        })
        .collect();
    let mut inputs = trace("0 fault=0 estop=0 running=0 speed=0");
    inputs.append(&mut words);
    let mut machine = StateMachine::new(map(EXTRUDER), 0, 0);
    let mut out = Vec::new();
    for input in &inputs {
        input.give(&mut machine, &mut out);
        assert_eq!(machine.standing().state, State::Idle);
        assert_eq!(machine.standing().observed_ms, Some(input.at_ms));
    }
    machine.advance(2 * hour_ms, &mut out);
    let found: Vec<String> = out.iter().map(written).collect();
    let end_ms = hour_ms + FAST_STALE_MS;
    assert_eq!(
        found,
        ["IDLE@3 0/0", &format!("UNKNOWN {hour_ms}/{end_ms}")]
    );
}

#[test]
fn previous_gives_hysteresis() {
    check(
        "RUN 0 0 speed > 8.0 || (previous == \"RUN\" && speed > 4.0)\nIDLE 0 0 true",
        "0 speed=6
         1000 speed=9
         2000 speed=6
         3000 speed=3
         4000 speed=6",
        &["IDLE@2 0/0", "RUN@1 1000/1000", "IDLE@2 3000/3000"],
        IDLE_TEXT,
    );
}

#[test]
fn a_state_that_had_one_moment_of_evidence_lasts_no_time() {
    check(
        EXTRUDER,
        "0 fault=0 estop=0 running=0 speed=0
         1000 fault=0 estop=1 running=0 speed=0
         11000",
        &["IDLE@3 0/0", "DOWN@1 1000/1000", "UNKNOWN 1000/11000"],
        (ReasonCode::Stale, "fault, estop"),
    );
}

#[test]
fn points_show_their_last_good_value_and_a_newer_failure() {
    let mut machine = StateMachine::new(map(EXTRUDER), 0, 0);
    let mut out = Vec::new();
    for input in trace("1000 speed=4\n2000 speed!timeout\n1500 running=1") {
        input.give(&mut machine, &mut out);
    }
    let speed = PointStanding {
        value: Some(&Value::Float(4.0)),
        good_ms: Some(1000),
        bad: Some(Bad::Timeout),
        bad_ms: Some(2000),
    };
    assert_eq!(machine.point(3), speed);
    // A time that goes back counts as the one before.
    assert_eq!(machine.point(2).good_ms, Some(2000));
    assert_eq!(machine.point(99).value, None);
    assert_eq!(machine.standing().observed_ms, Some(2000));
}
