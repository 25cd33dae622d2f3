//! The recorder, driven as production drives it.

use super::*;
use crate::config::model::Publish;
use crate::machine::testing::{machine, point};
use crate::sample::{Bad, Sample, Value};
use lineside_proto::ReasonCode;
use std::time::Duration;

fn at(ms: u64) -> Stamp {
    Stamp {
        boot_ms: ms,
        wall: Time::from_millis(1_795_420_800_000).plus_millis(ms as i64),
    }
}

fn recorder(resume: Resume) -> Recorder {
    let origin = Origin {
        site: "site".parse().unwrap(),
        gateway: "gw".parse().unwrap(),
        boot: "boot".to_owned(),
        heartbeat: Duration::from_secs(30),
    };
    let telemetry = Telemetry {
        batch: Duration::from_secs(1),
        full_every: Duration::from_secs(600),
        publish: Publish::All,
    };
    let mut recorder = Recorder::new(origin, telemetry, "stream");
    let map = machine(
        vec![point("speed")],
        &[("RUN", "speed > 5"), ("IDLE", "true")],
    );
    recorder.join(Slot(3), map, resume, at(0));
    recorder
}

const FRESH: Resume = Resume {
    seq_next: 1,
    evidence: None,
    absent: false,
};

fn reading(ms: u64, reading: Result<Value, Bad>) -> Input {
    let samples = vec![Sample { point: 0, reading }];
    Input::Batch(Batch {
        slot: Slot(3),
        group: 0,
        at: at(ms),
        samples,
    })
}

fn gaps(commits: &[Commit]) -> Vec<Gap> {
    let records = commits.iter().flat_map(|commit| &commit.records);
    records
        .filter_map(|record| serde_json::from_slice(&record.payload).ok())
        .collect()
}

#[test]
fn says_unknown_first_then_what_the_rules_give_then_heartbeats() {
    let mut recorder = recorder(FRESH);
    let first = recorder.handle(&Input::Tick(at(0)));
    assert_eq!(first.availability[0].state, State::Unknown);
    assert_eq!(first.availability[0].reason.code, ReasonCode::Starting);
    let run = recorder.handle(&reading(100, Ok(Value::Int(9))));
    assert_eq!(run.availability[0].state, State::Run);
    assert_eq!(run.availability[0].rule.as_deref(), Some("RUN@1"));
    assert_eq!(run.changes.len(), 1);
    let mut heartbeats = 0;
    for second in 1..=60 {
        let commit = recorder.handle(&reading(100 + second * 1_000, Ok(Value::Int(9))));
        assert!(commit.changes.is_empty());
        heartbeats += commit.availability.len();
    }
    assert_eq!(heartbeats, 2);
}

#[test]
fn a_silence_makes_the_machine_unknown_and_leaves_a_gap_when_it_ends() {
    let mut recorder = recorder(FRESH);
    let mut commits = vec![recorder.handle(&reading(1_000, Ok(Value::Int(9))))];
    for second in 2..20 {
        commits.push(recorder.handle(&reading(second * 1_000, Err(Bad::Timeout))));
    }
    let states: Vec<_> = commits.iter().flat_map(|commit| &commit.changes).collect();
    assert_eq!(states.len(), 2, "{states:?}");
    assert_eq!(states[1].transition.to, State::Unknown);
    assert_eq!(states[1].transition.since_ms, 1_000);
    assert_eq!(states[1].transition.decided_ms, 11_000);
    assert!(gaps(&commits).is_empty());
    commits.push(recorder.handle(&reading(20_000, Ok(Value::Int(9)))));
    let gaps = gaps(&commits);
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (gaps[0].kind, gaps[0].from, gaps[0].to),
        (GapKind::Field, at(1_000).wall, at(20_000).wall)
    );
}

#[test]
fn after_a_restart_unknown_begins_where_knowledge_ended_and_the_time_between_is_a_gap() {
    let evidence = Evidence {
        boot_ms: -5_000,
        wall: at(0).wall.plus_millis(-5_000),
    };
    let mut recorder = recorder(Resume {
        seq_next: 8,
        evidence: Some(evidence),
        absent: true,
    });
    let first = recorder.handle(&Input::Tick(at(0)));
    assert_eq!(first.availability[0].since, evidence.wall);
    let commits = [
        recorder.handle(&reading(700, Ok(Value::Int(1)))),
        recorder.finish(),
    ];
    let gaps = gaps(&commits);
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (gaps[0].kind, gaps[0].from, gaps[0].to),
        (GapKind::Agent, evidence.wall, at(700).wall)
    );
    let telemetry = &commits[1].records[0];
    assert!(matches!(
        telemetry.kind,
        crate::record::RecordKind::Telemetry { seq: 8, .. }
    ));
}

#[test]
fn a_batch_of_a_machine_that_left_is_forgotten() {
    let mut recorder = recorder(FRESH);
    recorder.handle(&reading(100, Ok(Value::Int(9))));
    let mut commit = Commit::default();
    let resume = recorder.leave(Slot(3), &mut commit).unwrap();
    assert_eq!(commit.records.len(), 1);
    assert_eq!(resume.seq_next, 2);
    assert!(!resume.absent);
    assert!(
        recorder
            .handle(&reading(200, Ok(Value::Int(9))))
            .records
            .is_empty()
    );
    assert_eq!(recorder.evidence().count(), 0);
}

#[test]
fn no_state_rests_on_a_reading_that_waited_and_the_reading_is_told_all_the_same() {
    let mut recorder = recorder(FRESH);
    recorder.handle(&reading(1_000, Ok(Value::Int(9))));
    let silent = recorder.handle(&Input::Tick(at(30_000)));
    assert_eq!(silent.changes[0].transition.to, State::Unknown);
    let late = recorder.handle(&reading(1_200, Ok(Value::Int(9))));
    assert!(late.changes.is_empty(), "{:?}", late.changes);
    let fresh = recorder.handle(&reading(30_100, Ok(Value::Int(9))));
    assert_eq!(fresh.changes[0].transition.to, State::Run);
    let told = recorder.finish();
    let records = [silent, late, fresh, told]
        .map(|commit| commit.records)
        .concat();
    let telemetry = records.iter().map(|record| match record.kind {
        crate::record::RecordKind::Telemetry { samples, .. } => samples,
        crate::record::RecordKind::Gap => 0,
    });
    assert_eq!(telemetry.sum::<u32>(), 3);
}

#[test]
fn a_machine_that_was_not_read_before_its_map_changed_keeps_what_an_earlier_run_knew() {
    let evidence = Evidence {
        boot_ms: -5_000,
        wall: at(0).wall.plus_millis(-5_000),
    };
    let resume = Resume {
        seq_next: 8,
        evidence: Some(evidence),
        absent: true,
    };
    let mut recorder = recorder(resume);
    recorder.handle(&reading(700, Err(Bad::Timeout)));
    recorder.handle(&Input::Tick(at(900)));
    let left = recorder.leave(Slot(3), &mut Commit::default()).unwrap();
    assert_eq!(
        (left.evidence, left.absent),
        (resume.evidence, resume.absent)
    );
}

#[test]
fn time_in_which_nobody_asked_is_a_gap() {
    let mut recorder = recorder(FRESH);
    let commits = [
        recorder.handle(&reading(1_000, Ok(Value::Int(9)))),
        recorder.handle(&reading(2_000, Ok(Value::Int(9)))),
        recorder.handle(&reading(60_000, Ok(Value::Int(9)))),
    ];
    let gaps = gaps(&commits);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(
        (gaps[0].from, gaps[0].to),
        (at(2_000).wall, at(60_000).wall)
    );
    // The same state again, but not the same one: a reader is told so.
    let said = &commits[2].availability;
    assert_eq!(
        (said[0].state, said[0].since),
        (State::Run, at(60_000).wall)
    );
}

#[test]
fn a_clock_that_lost_the_time_does_not_stretch_the_gap() {
    let before = at(0).wall.plus_millis(3_600_000);
    let mut recorder = recorder(Resume {
        seq_next: 8,
        evidence: Some(Evidence {
            boot_ms: 0,
            wall: before,
        }),
        absent: true,
    });
    let first = recorder.handle(&Input::Tick(at(0)));
    assert_eq!(first.availability[0].since, at(0).wall);
    // The time is set before the first reading.
    let samples = vec![Sample {
        point: 0,
        reading: Ok(Value::Int(9)),
    }];
    let commit = recorder.handle(&Input::Batch(Batch {
        slot: Slot(3),
        group: 0,
        at: Stamp {
            boot_ms: 5_000,
            wall: before.plus_millis(60_000),
        },
        samples,
    }));
    let gaps = gaps(&[commit]);
    assert_eq!(
        (gaps[0].from, gaps[0].to),
        (before, before.plus_millis(60_000))
    );
}
