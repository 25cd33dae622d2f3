//! What telemetry messages say, and what they leave unsaid.

use super::*;
use crate::machine::testing::{map, point};
use lineside_proto::Telemetry as Document;
use std::time::Duration;

fn settings() -> Telemetry {
    Telemetry {
        batch: Duration::from_secs(1),
        full_every: Duration::from_secs(600),
        publish: Publish::All,
        external: crate::config::model::External::Withhold,
    }
}

fn at(ms: u64) -> Stamp {
    Stamp {
        boot_ms: ms,
        wall: Time::from_millis(1_795_420_800_000).plus_millis(ms as i64),
    }
}

fn batch(ms: u64, readings: &[(u16, Result<Value, Bad>)]) -> Batch {
    let samples = readings.iter().map(|(point, reading)| Sample {
        point: *point,
        reading: reading.clone(),
    });
    Batch {
        slot: crate::sample::Slot(0),
        group: 0,
        at: at(ms),
        source: None,
        samples: samples.collect(),
    }
}

/// What the frames of all messages say, as `name=value` and `name!reason`, a text a frame.
fn check(deadband: Option<f64>, readings: &[(u64, Result<Value, Bad>)], expected: &[&str]) {
    let mut kind = point("p");
    kind.deadband = deadband;
    let mut frames = Frames::new(map(vec![kind]), &settings(), "s".into(), 7);
    let mut out = Vec::new();
    for (ms, reading) in readings {
        frames.take(&batch(*ms, &[(0, reading.clone())]), &mut out);
    }
    frames.finish(&mut out);
    let mut said = Vec::new();
    for (record, seq) in out.iter().zip(7..) {
        let document: Document = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(document.seq, seq);
        assert!(matches!(record.kind, RecordKind::Telemetry { seq: of, .. } if of == seq));
        for frame in document.frames {
            let values = frame
                .values
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let bad = frame
                .bad
                .iter()
                .map(|(name, reason)| format!("{name}!{reason}"));
            said.extend(values.chain(bad));
        }
    }
    assert_eq!(said, expected);
}

#[test]
fn tells_what_is_news() {
    let f = |value: f64| Ok(Value::Float(value));
    // Without a deadband every sample is sent.
    check(None, &[(0, f(1.0)), (1, f(1.0))], &["p=1.0", "p=1.0"]);
    // With one, a change of at least as much since what was last sent.
    check(
        Some(0.5),
        &[(0, f(1.0)), (1, f(1.4)), (2, f(1.5)), (3, f(1.1))],
        &["p=1.0", "p=1.5"],
    );
    // A failure once, another failure again, and the value after it even within the deadband.
    check(
        Some(0.5),
        &[
            (0, f(1.0)),
            (1, Err(Bad::Timeout)),
            (2, Err(Bad::Timeout)),
            (3, Err(Bad::Exception(2))),
            (4, f(1.0)),
        ],
        &["p=1.0", "p!timeout", "p!exception:2", "p=1.0"],
    );
    // Everything once per full-every.
    check(
        Some(0.5),
        &[(599_999, f(1.0)), (600_000, f(1.0)), (600_001, f(1.0))],
        &["p=1.0", "p=1.0"],
    );
}

#[test]
fn writes_every_kind_of_value() {
    for (value, expected) in [
        (Value::Bool(true), "p=true"),
        (Value::Int(-5), "p=-5"),
        (
            Value::Int(-9_007_199_254_740_993),
            "p=\"-9007199254740993\"",
        ),
        (Value::Uint(9_007_199_254_740_992), "p=9007199254740992"),
        (Value::Uint(u64::MAX), "p=\"18446744073709551615\""),
        (Value::Float32(0.1), "p=0.1"),
        (Value::Float(214.3), "p=214.3"),
        (Value::Text("a\"\u{7}线".into()), "p=\"a\\\"\\u0007线\""),
    ] {
        check(None, &[(0, Ok(value))], &[expected]);
    }
}

#[test]
fn cuts_messages_by_size_without_losing_a_sample() {
    let points: Vec<_> = (0..2_000)
        .map(|place| point(&format!("point_{place}")))
        .collect();
    let mut frames = Frames::new(map(points), &settings(), "s".into(), 1);
    let readings: Vec<_> = (0..2_000)
        .map(|place| (place, Ok(Value::Float(f64::from(place) / 7.0))))
        .collect();
    let mut out = Vec::new();
    frames.take(&batch(0, &readings), &mut out);
    frames.tick(999, &mut out);
    let before = out.len();
    frames.tick(1_000, &mut out);
    assert_eq!(
        out.len(),
        before + 1,
        "the rest waits for `batch`, and no longer"
    );
    let mut seen = 0;
    for (record, seq) in out.iter().zip(1..) {
        assert!(record.payload.len() <= FRAMES_BYTES_TARGET + FRAME_BYTES_MAX);
        let document: Document = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(document.seq, seq);
        seen += document
            .frames
            .iter()
            .map(|frame| frame.values.len())
            .sum::<usize>();
    }
    assert_eq!(seen, 2_000);
    let counted: u32 = out
        .iter()
        .map(|record| match record.kind {
            RecordKind::Telemetry { samples, .. } => samples,
            RecordKind::Gap => 0,
        })
        .sum();
    assert_eq!(counted, 2_000);
}

#[test]
fn publishes_what_is_listed() {
    let mut listed = point("listed");
    listed.publish = true;
    for (publish, expected) in [(Publish::All, 2), (Publish::Listed, 1), (Publish::None, 0)] {
        let settings = Telemetry {
            publish,
            ..settings()
        };
        let machine = map(vec![listed.clone(), point("other")]);
        let mut frames = Frames::new(machine, &settings, "s".into(), 1);
        let mut out = Vec::new();
        frames.take(
            &batch(0, &[(0, Ok(Value::Bool(true))), (1, Ok(Value::Bool(true)))]),
            &mut out,
        );
        frames.finish(&mut out);
        let values = out.first().map_or(0, |record| {
            let document: Document = serde_json::from_slice(&record.payload).unwrap();
            document.frames[0].values.len()
        });
        assert_eq!(values, expected);
    }
}

/// A word that these points stand, after a state machine has taken what was read before.
fn word(ms: u64, points: &[u16]) -> Standing {
    Standing {
        slot: crate::sample::Slot(0),
        group: 0,
        at: at(ms),
        points: points.into(),
    }
}

/// What the frames of these messages say, a text each: time, marks, values and failures.
fn said(out: &[Record]) -> Vec<String> {
    let documents = out
        .iter()
        .map(|record| serde_json::from_slice::<Document>(&record.payload).unwrap());
    let frames = documents.flat_map(|document| document.frames);
    let start = at(0).wall.as_millis();
    frames
        .map(|frame| {
            let mut text = (frame.t_ms - start).to_string();
            if let Some(source) = frame.src_ms {
                text.push_str(&format!(" src={}", source - start));
            }
            if frame.history {
                text.push_str(" history");
            }
            for (name, value) in frame.values {
                text.push_str(&format!(" {name}={value}"));
            }
            for (name, reason) in frame.bad {
                text.push_str(&format!(" {name}!{reason}"));
            }
            text
        })
        .collect()
}

#[test]
fn what_stands_is_told_once_per_period_and_after_a_lost_link() {
    let machine = map(vec![point("a"), point("b"), point("c"), point("d")]);
    let mut frames = Frames::new(Arc::clone(&machine), &settings(), "s".into(), 1);
    let mut states = StateMachine::new(machine, 0, 0);
    let mut out = Vec::new();
    let mut read = |ms: u64,
                    readings: &[(u16, Result<Value, Bad>)],
                    frames: &mut Frames,
                    states: &mut StateMachine| {
        let batch = batch(ms, readings);
        states.apply(ms as i64, 0, &batch.samples, &mut Vec::new());
        frames.take(&batch, &mut out);
    };
    let one = || Ok(Value::Int(1));
    // `d` is never told, and nothing stands of it.
    read(
        1_000,
        &[(0, one()), (1, one()), (2, Err(Bad::Range))],
        &mut frames,
        &mut states,
    );
    let lost = [0, 1, 2].map(|point| (point, Err(Bad::Link)));
    read(500_000, &lost, &mut frames, &mut states);
    let mut stand = |ms: u64, points: &[u16], frames: &mut Frames| {
        let word = word(ms, points);
        states.stand(ms as i64, 0, points, &mut Vec::new());
        frames.stand(&word, &states, &mut out);
    };
    stand(501_000, &[0, 2, 3], &mut frames);
    stand(502_000, &[0, 2, 3], &mut frames);
    // A new period of ten minutes.
    stand(600_000, &[0, 1, 2, 3], &mut frames);
    stand(601_000, &[0, 1, 2, 3], &mut frames);
    stand(1_200_500, &[0], &mut frames);
    frames.finish(&mut out);
    assert_eq!(
        said(&out),
        [
            "1000 a=1 b=1 c!range",
            "500000 a!link b!link c!link",
            "501000 a=1 c!range",
            "600000 a=1 b=1 c!range",
            "1200500 a=1",
        ]
    );
}

#[test]
fn what_stands_is_cut_by_size_like_readings() {
    let points: Vec<_> = (0..2_000)
        .map(|place| point(&format!("point_{place}")))
        .collect();
    let machine = map(points);
    let mut frames = Frames::new(Arc::clone(&machine), &settings(), "s".into(), 1);
    let mut states = StateMachine::new(machine, 0, 0);
    let places: Vec<u16> = (0..2_000).collect();
    let readings: Vec<_> = places
        .iter()
        .map(|place| (*place, Ok(Value::Float(0.1))))
        .collect();
    states.apply(0, 0, &batch(0, &readings).samples, &mut Vec::new());
    let mut out = Vec::new();
    frames.stand(&word(1, &places), &states, &mut out);
    frames.finish(&mut out);
    assert!(out.len() > 1);
    assert!(
        out.iter()
            .all(|record| record.payload.len() <= FRAMES_BYTES_TARGET + FRAME_BYTES_MAX)
    );
    let values = said(&out)
        .iter()
        .map(|frame| frame.matches('=').count())
        .sum::<usize>();
    assert_eq!(values, 2_000);
}

#[test]
fn history_is_told_whole_and_changes_nothing_that_was_told() {
    let mut kind = point("p");
    kind.deadband = Some(1.0);
    let mut frames = Frames::new(map(vec![kind]), &settings(), "s".into(), 1);
    let mut out = Vec::new();
    let value = |value: f64| [(0, Ok(Value::Float(value)))];
    frames.take(&batch(5_000, &value(9.0)), &mut out);
    for (source, value) in [
        (1_000, value(5.0)),
        (2_000, value(5.0)),
        (3_000, [(0, Err(Bad::Range))]),
    ] {
        let remembered = Batch {
            source: Some(at(source).wall),
            ..batch(5_500, &value)
        };
        frames.remember(&remembered, |_| false, &mut out);
    }
    // Within the deadband of what was told before, and no failure has to be taken back.
    frames.take(&batch(6_000, &value(9.5)), &mut out);
    let live = Batch {
        source: Some(at(6_900).wall),
        ..batch(7_000, &value(11.0))
    };
    frames.take(&live, &mut out);
    frames.finish(&mut out);
    assert_eq!(
        said(&out),
        [
            "5000 p=9.0",
            "5500 src=1000 history p=5.0",
            "5500 src=2000 history p=5.0",
            "5500 src=3000 history p!range",
            "7000 src=6900 p=11.0",
        ]
    );
    // The message says things from then to now.
    assert_eq!((out[0].from, out[0].to), (at(1_000).wall, at(7_000).wall));
}

#[test]
fn what_is_not_published_is_not_remembered() {
    let settings = Telemetry {
        publish: Publish::Listed,
        external: crate::config::model::External::Withhold,
        ..settings()
    };
    let mut frames = Frames::new(map(vec![point("p")]), &settings, "s".into(), 1);
    let mut out = Vec::new();
    let reading = batch(1, &[(0, Ok(Value::Bool(true)))]);
    frames.remember(&reading, |_| false, &mut out);
    frames.finish(&mut out);
    assert_eq!(out, []);
}

#[test]
fn what_is_withheld_stays_here_and_is_named() {
    use lineside_proto::booking::Allowed;
    let mut frames = Frames::new(
        map(vec![point("p"), point("q")]),
        &settings(),
        "s".into(),
        1,
    );
    let mut out = Vec::new();
    let both = |ms: u64, value: f64| {
        let value = Value::Float(value);
        batch(ms, &[(0, Ok(value.clone())), (1, Ok(value))])
    };
    frames.take(&both(1_000, 1.0), &mut out);
    // What was gathered and not sent is withheld, too.
    frames.withhold(Some(&Allowed::None), at(1_500), &mut out);
    frames.take(&both(2_000, 2.0), &mut out);
    frames.withhold(Some(&Allowed::None), at(3_601_500), &mut out);
    frames.take(&both(3_602_000, 3.0), &mut out);
    let only_q = Allowed::Points(vec!["q".parse().unwrap()]);
    frames.withhold(Some(&only_q), at(3_603_000), &mut out);
    frames.take(&both(3_604_000, 4.0), &mut out);
    frames.withhold(Some(&Allowed::All), at(3_605_000), &mut out);
    frames.take(&both(3_606_000, 5.0), &mut out);
    // What a source remembers of that time comes too late to be told.
    let remembered = |source: u64| Batch {
        source: Some(at(source).wall),
        ..batch(3_606_500, &[(0, Ok(Value::Float(9.0)))])
    };
    frames.remember(&remembered(2_500), |_| false, &mut out);
    frames.remember(&remembered(500), |_| false, &mut out);
    frames.finish(&mut out);
    let gaps = out.iter().filter(|record| record.kind == RecordKind::Gap);
    let gaps: Vec<_> = gaps
        .map(|record| {
            let gap: lineside_proto::Gap = serde_json::from_slice(&record.payload).unwrap();
            assert_eq!(gap.kind, lineside_proto::GapKind::Withheld);
            let ms = |time: Time| time.as_millis() - at(0).wall.as_millis();
            (ms(gap.from), ms(gap.to), gap.samples.unwrap())
        })
        .collect();
    assert_eq!(
        gaps,
        [
            (1_000, 3_601_500, 4),
            (3_601_500, 3_603_000, 2),
            (3_603_000, 3_605_000, 1),
            (2_500, 2_500, 1),
        ]
    );
    let told = out
        .into_iter()
        .filter(|record| record.kind != RecordKind::Gap);
    assert_eq!(
        said(&told.collect::<Vec<_>>()),
        [
            "3604000 q=4.0",
            "3606000 p=5.0 q=5.0",
            "3606500 src=500 history p=9.0"
        ]
    );
}

#[test]
fn a_source_whose_clock_is_wrong_tells_nothing_that_is_withheld() {
    use lineside_proto::booking::Allowed;
    const HOUR_MS: u64 = 3_600_000;
    for theirs in [0, 2 * HOUR_MS] {
        let mut frames = Frames::new(map(vec![point("p")]), &settings(), "s".into(), 1);
        let mut out = Vec::new();
        let value = [(0, Ok(Value::Float(1.0)))];
        // Ours is one hour after the start of its time; theirs an hour behind or ahead.
        let source = |ms: u64| Some(at(theirs + ms).wall);
        let live = |ms: u64| Batch {
            source: source(ms),
            ..batch(HOUR_MS + ms, &value)
        };
        let old = Batch {
            source: Some(at(0).wall),
            ..live(1_000)
        };
        frames.take(&old, &mut out);
        frames.take(&live(2_000), &mut out);
        frames.finish(&mut out);
        frames.withhold(Some(&Allowed::None), at(HOUR_MS + 3_000), &mut out);
        frames.withhold(None, at(HOUR_MS + 9_000), &mut out);
        out.clear();
        frames.remember(
            &Batch {
                source: source(5_000),
                ..batch(HOUR_MS + 10_000, &value)
            },
            |_| false,
            &mut out,
        );
        frames.finish(&mut out);
        let kinds: Vec<_> = out.iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [RecordKind::Gap], "{theirs}");
    }
}
