//! The recorder, driven as production drives it.

use super::*;
use crate::config::model::{External, Publish};
use crate::machine::testing::{machine, node, point, served};
use crate::sample::{Bad, Batch, Missed, Sample, Standing, Value};
use lineside_proto::{Gap, GapKind, ReasonCode};
use std::time::Duration;

fn at(ms: u64) -> Stamp {
    Stamp {
        boot_ms: ms,
        wall: Time::from_millis(1_795_420_800_000).plus_millis(ms as i64),
    }
}

fn recorder(resume: Resume) -> Recorder {
    let rules = [("RUN", "speed > 5"), ("IDLE", "true")];
    of(machine(vec![point("speed")], &rules), resume)
}

/// The same machine behind an OPC UA server.
fn subscribed(resume: Resume) -> Recorder {
    let rules = [("RUN", "speed > 5"), ("IDLE", "true")];
    of(served(&machine(vec![node("speed")], &rules)), resume)
}

fn of(map: Arc<MachineMap>, resume: Resume) -> Recorder {
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
        external: External::Withhold,
    };
    let mut recorder = Recorder::new(origin, telemetry, Rules::default(), "stream");
    recorder.join(Slot(3), map, resume, at(0));
    recorder
}

const FRESH: Resume = Resume {
    seq_next: 1,
    evidence: None,
    absent: false,
    memory: None,
    reason: GapReason::Agent,
};

fn reading(ms: u64, reading: Result<Value, Bad>) -> Input {
    let samples = vec![Sample { point: 0, reading }];
    Input::Seen(Observation::Batch(Batch {
        slot: Slot(3),
        group: 0,
        at: at(ms),
        source: None,
        samples,
    }))
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
fn each_of_several_changes_has_its_own_reason() {
    let mut recorder = recorder(FRESH);
    recorder.handle(&reading(0, Ok(Value::Int(9))));
    let commit = recorder.handle(&reading(20_000, Ok(Value::Int(9))));
    let told = commit.changes.iter();
    let told: Vec<_> = told
        .map(|change| (change.transition.to, change.reason.as_str()))
        .collect();
    assert_eq!(told, [(State::Unknown, ""), (State::Run, "speed > 5")]);
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
        memory: None,
        reason: GapReason::Agent,
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
        memory: None,
        reason: GapReason::Agent,
    };
    let mut recorder = recorder(resume.clone());
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
        memory: None,
        reason: GapReason::Agent,
    });
    let first = recorder.handle(&Input::Tick(at(0)));
    assert_eq!(first.availability[0].since, at(0).wall);
    // The time is set before the first reading.
    let samples = vec![Sample {
        point: 0,
        reading: Ok(Value::Int(9)),
    }];
    let commit = recorder.handle(&Input::Seen(Observation::Batch(Batch {
        slot: Slot(3),
        group: 0,
        at: Stamp {
            boot_ms: 5_000,
            wall: before.plus_millis(60_000),
        },
        source: None,
        samples,
    })));
    let gaps = gaps(&[commit]);
    assert_eq!(
        (gaps[0].from, gaps[0].to),
        (before, before.plus_millis(60_000))
    );
}

fn word(ms: u64) -> Input {
    Input::Seen(Observation::Standing(Standing {
        slot: Slot(3),
        group: 0,
        at: at(ms),
        points: [0].into(),
    }))
}

fn missed(from_ms: u64, to_ms: u64) -> Input {
    Input::Seen(Observation::Missed(Missed {
        slot: Slot(3),
        from: at(from_ms).wall,
        to: at(to_ms).wall,
        samples: Some(7),
        reason: "the server restarted".to_owned(),
    }))
}

#[test]
fn words_are_evidence_and_their_end_is_unknown() {
    let mut recorder = subscribed(FRESH);
    let mut commits = vec![recorder.handle(&reading(0, Ok(Value::Int(1))))];
    for second in 1..=3_600 {
        commits.push(recorder.handle(&word(second * 1_000)));
        commits.push(recorder.handle(&Input::Tick(at(second * 1_000 + 500))));
        let (_, evidence) = recorder.evidence().next().unwrap();
        let evidence = evidence.unwrap();
        assert_eq!(
            (evidence.boot_ms, evidence.wall),
            ((second * 1_000) as i64, at(second * 1_000).wall)
        );
    }
    let changes: Vec<_> = commits.iter().flat_map(|commit| &commit.changes).collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let documents: Vec<_> = commits
        .iter()
        .flat_map(|commit| &commit.availability)
        .collect();
    assert!(
        documents
            .iter()
            .all(|document| document.state == State::Idle)
    );
    let last = documents.last().unwrap();
    assert!(last.at.as_millis() - last.observed_at.unwrap().as_millis() <= 1_000);
    // One telemetry message a period of `full-every`, the last still open, and no gap.
    let telemetry = commits.iter().flat_map(|commit| &commit.records);
    assert_eq!(telemetry.count(), 6);
    let end = recorder.handle(&Input::Tick(at(3_610_000)));
    assert_eq!(end.changes[0].transition.to, State::Unknown);
    assert_eq!(end.changes[0].transition.since_ms, 3_600_000);
}

#[test]
fn history_tells_and_judges_nothing() {
    let mut recorder = subscribed(FRESH);
    recorder.handle(&reading(20_000, Ok(Value::Int(1))));
    let evidence = recorder.evidence().next().unwrap().1;
    let Input::Seen(Observation::Batch(batch)) = reading(20_100, Ok(Value::Int(9))) else {
        unreachable!();
    };
    let commit = recorder.handle(&Input::Seen(Observation::History(Batch {
        source: Some(at(5_000).wall),
        ..batch
    })));
    assert!(commit.changes.is_empty() && commit.availability.is_empty());
    assert_eq!(recorder.evidence().next().unwrap().1, evidence);
    let records = recorder.finish().records;
    let document: lineside_proto::Telemetry = serde_json::from_slice(&records[0].payload).unwrap();
    let marks: Vec<_> = document
        .frames
        .iter()
        .map(|frame| (frame.history, frame.src_ms))
        .collect();
    assert_eq!(
        marks,
        [(false, None), (true, Some(at(5_000).wall.as_millis()))]
    );
}

#[test]
fn a_subscription_names_its_own_gaps_and_no_outage_is_told_twice() {
    let mut recorder = subscribed(FRESH);
    let mut commits = vec![
        recorder.handle(&reading(1_000, Ok(Value::Int(9)))),
        recorder.handle(&reading(2_000, Err(Bad::Link))),
        recorder.handle(&Input::Tick(at(60_000))),
        recorder.handle(&reading(61_000, Ok(Value::Int(9)))),
    ];
    assert!(gaps(&commits).is_empty());
    commits.push(recorder.handle(&missed(1_000, 61_000)));
    let gaps = gaps(&commits);
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (gaps[0].kind, gaps[0].from, gaps[0].to, gaps[0].samples),
        (GapKind::Field, at(1_000).wall, at(61_000).wall, Some(7))
    );
    assert_eq!(gaps[0].reason, "the server restarted");
}

#[test]
fn a_word_about_nothing_good_is_no_evidence() {
    let known = Evidence {
        boot_ms: -5_000,
        wall: at(0).wall.plus_millis(-5_000),
    };
    let mut recorder = subscribed(Resume {
        seq_next: 1,
        evidence: Some(known),
        absent: true,
        memory: None,
        reason: GapReason::Agent,
    });
    let mut commits = vec![
        recorder.handle(&word(500)),
        recorder.handle(&reading(1_000, Err(Bad::Range))),
        recorder.handle(&word(2_000)),
    ];
    assert_eq!(recorder.evidence().next().unwrap().1, Some(known));
    commits.push(recorder.handle(&reading(3_000, Ok(Value::Int(1)))));
    commits.push(recorder.handle(&word(4_000)));
    let evidence = recorder.evidence().next().unwrap().1.unwrap();
    assert_eq!(evidence.boot_ms, 4_000);
    // The agent's absence ends with the first good value, not with a word.
    let gaps = gaps(&commits);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].kind, gaps[0].to), (GapKind::Agent, at(3_000).wall));
}

#[test]
fn another_companys_slot_and_session_keep_process_values_here() {
    use lineside_proto::booking::Allowed;
    let mut recorder = recorder(FRESH);
    let samples = |commit: &Commit| -> u32 {
        let records = commit.records.iter();
        let told = records.map(|record| match record.kind {
            crate::record::RecordKind::Telemetry { samples, .. } => samples,
            crate::record::RecordKind::Gap => 0,
        });
        told.sum()
    };
    let booking = Booking {
        id: "bk".to_owned(),
        token: Some("sha256:0".to_owned()),
        class: Class::Ext,
        start: at(600_000).wall,
        end: at(1_200_000).wall,
        issued: at(0).wall,
        data: Allowed::None,
    };
    recorder.handle(&Input::Bookings {
        machine: "m".parse().unwrap(),
        bookings: [booking].into(),
        at: at(500),
    });
    let mut told = Vec::new();
    for second in 1..1_600 {
        // Somebody comes before the start: the session is theirs from then on.
        let value = if (300..320).contains(&second) { 9 } else { 1 };
        let commit = recorder.handle(&reading(second * 1_000, Ok(Value::Int(value))));
        told.push(samples(&commit));
    }
    let sum = |seconds: std::ops::Range<usize>| told[seconds].iter().sum::<u32>();
    assert!(sum(0..298) >= 296, "{}", sum(0..298));
    // It is over when the grace after its end has passed without activity.
    assert_eq!(sum(302..1_498), 0);
    assert!(sum(1_502..1_599) > 90, "{}", sum(1_502..1_599));
    let withheld = recorder.finish();
    assert!(
        gaps(&[withheld]).is_empty(),
        "what was withheld is named by then"
    );
}
