//! Telemetry of one machine: samples gathered into frames, frames into messages.
//!
//! Writes JSON straight from the samples: this is the path that every point takes each second. It
//! decides what is worth sending (deadband, failures only when they change, everything once per
//! `full-every`) and cuts messages by size before they get their number, so that each fits the outbox.

use lineside_proto::Time;
use std::sync::Arc;

use crate::clock::Stamp;
use crate::config::model::{MachineMap, Publish, Telemetry};
use crate::record::{Record, RecordKind};
use crate::sample::{Bad, Batch, Sample, Value};

/// A message is closed once its frames take so many bytes: about 500 floats, which compress to less
/// than one block of the outbox.
const FRAMES_BYTES_TARGET: usize = 12 * 1024;

/// A frame is closed after so many bytes, so that one reading of a large group is cut, too.
const FRAME_BYTES_MAX: usize = 10 * 1024;

/// Integers beyond this are written as texts: a double, all that many readers have, can't hold them.
const INTEGER_MAX: u64 = 1 << 53;

/// Gathers one machine's samples and numbers its messages.
#[derive(Debug)]
pub struct Frames {
    map: Arc<MachineMap>,
    stream: Arc<str>,
    seq_next: u64,
    batch_ms: i64,
    full_every_ms: i64,
    points: Vec<Sent>,
    open: Option<Open>,
    values: Vec<u8>,
    bad: Vec<u8>,
}

/// What a reader was last told of a point.
#[derive(Clone, Debug)]
struct Sent {
    /// `"name":`, ready to be copied; empty for a point that is not published.
    key: Box<[u8]>,
    told: Told,
    /// The period of `full-every` in which it was last told; none before the first time.
    period: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Told {
    Nothing,
    Number(f64),
    Other,
    Bad(Bad),
}

/// The message being gathered.
#[derive(Debug)]
struct Open {
    since_ms: i64,
    from: Time,
    to: Time,
    samples: u32,
    frames: Vec<u8>,
}

impl Frames {
    /// An empty gatherer; `seq_next` is the number that the machine's next message in this stream gets.
    pub fn new(
        map: Arc<MachineMap>,
        settings: &Telemetry,
        stream: Arc<str>,
        seq_next: u64,
    ) -> Self {
        let points = map
            .points
            .iter()
            .map(|point| {
                let published = match settings.publish {
                    Publish::All => true,
                    Publish::Listed => point.publish,
                    Publish::None => false,
                };
                let key = if published {
                    format!("\"{}\":", point.name)
                } else {
                    String::new()
                };
                Sent {
                    key: key.into_bytes().into(),
                    told: Told::Nothing,
                    period: None,
                }
            })
            .collect();
        Self {
            map,
            stream,
            seq_next,
            batch_ms: millis(settings.batch),
            full_every_ms: millis(settings.full_every).max(1),
            points,
            open: None,
            values: Vec::new(),
            bad: Vec::new(),
        }
    }

    /// The number that the next message gets.
    pub fn seq_next(&self) -> u64 {
        self.seq_next
    }

    /// Takes in what one reading gave; messages that are full by size go to `out`.
    pub fn take(&mut self, batch: &Batch, out: &mut Vec<Record>) {
        let mut samples = 0;
        for sample in &batch.samples {
            samples += u32::from(self.write(sample, batch.at));
            if self.values.len() + self.bad.len() >= FRAME_BYTES_MAX {
                self.close_frame(batch, samples, out);
                samples = 0;
            }
        }
        if samples > 0 {
            self.close_frame(batch, samples, out);
        }
    }

    /// Closes the open message if it has waited for `batch`.
    pub fn tick(&mut self, now_ms: i64, out: &mut Vec<Record>) {
        if self
            .open
            .as_ref()
            .is_some_and(|open| now_ms - open.since_ms >= self.batch_ms)
        {
            self.finish(out);
        }
    }

    /// Closes the open message.
    pub fn finish(&mut self, out: &mut Vec<Record>) {
        let Some(open) = self.open.take() else { return };
        let seq = self.seq_next;
        self.seq_next += 1;
        let machine = &self.map.machine;
        let head = format!(
            r#"{{"v":1,"machine":"{machine}","stream":"{}","seq":{seq},"frames":["#,
            self.stream
        );
        let mut payload = Vec::with_capacity(head.len() + open.frames.len() + 2);
        payload.extend_from_slice(head.as_bytes());
        payload.extend_from_slice(&open.frames);
        payload.extend_from_slice(b"]}");
        out.push(Record {
            machine: machine.clone(),
            kind: RecordKind::Telemetry {
                seq,
                samples: open.samples,
            },
            from: open.from,
            to: open.to,
            payload,
        });
    }

    /// Writes a sample into the frame, if a reader needs to be told.
    fn write(&mut self, sample: &Sample, at: Stamp) -> bool {
        let Some(sent) = self.points.get_mut(usize::from(sample.point)) else {
            return false;
        };
        if sent.key.is_empty() {
            return false;
        }
        let period = at.millis() / self.full_every_ms;
        let again = sent.period != Some(period);
        let deadband = self
            .map
            .points
            .get(usize::from(sample.point))
            .and_then(|point| point.deadband);
        let told = match &sample.reading {
            Ok(value) => value.as_number().map_or(Told::Other, Told::Number),
            Err(bad) => Told::Bad(*bad),
        };
        if !again && !is_news(sent.told, told, deadband) {
            return false;
        }
        sent.told = told;
        sent.period = Some(period);
        match &sample.reading {
            Ok(value) => {
                begin_member(&mut self.values, &sent.key);
                write_value(&mut self.values, value);
            }
            Err(bad) => {
                begin_member(&mut self.bad, &sent.key);
                self.bad.extend_from_slice(format!("\"{bad}\"").as_bytes());
            }
        }
        true
    }

    fn close_frame(&mut self, batch: &Batch, samples: u32, out: &mut Vec<Record>) {
        let frame_bytes = self.values.len() + self.bad.len();
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.frames.len() + frame_bytes > FRAMES_BYTES_TARGET)
        {
            self.finish(out);
        }
        let wall = batch.at.wall;
        let open = self.open.get_or_insert_with(|| Open {
            since_ms: batch.at.millis(),
            from: wall,
            to: wall,
            samples: 0,
            frames: Vec::with_capacity(FRAMES_BYTES_TARGET),
        });
        if !open.frames.is_empty() {
            open.frames.push(b',');
        }
        let group = self
            .map
            .groups
            .get(usize::from(batch.group))
            .map_or("", |group| group.name.as_str());
        let head = format!(
            r#"{{"t_ms":{},"group":"{group}","values":{{"#,
            wall.as_millis()
        );
        open.frames.extend_from_slice(head.as_bytes());
        open.frames.append(&mut self.values);
        open.frames.push(b'}');
        if !self.bad.is_empty() {
            open.frames.extend_from_slice(br#","bad":{"#);
            open.frames.append(&mut self.bad);
            open.frames.push(b'}');
        }
        open.frames.push(b'}');
        open.samples += samples;
        open.from = open.from.min(wall);
        open.to = open.to.max(wall);
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a reader who was told `before` must be told `now`. Without a deadband every good sample
/// is news; a failure is news when it is a new one.
fn is_news(before: Told, now: Told, deadband: Option<f64>) -> bool {
    match (before, now) {
        (Told::Number(before), Told::Number(now)) => {
            deadband.is_none_or(|deadband| (now - before).abs() >= deadband)
        }
        (Told::Bad(before), Told::Bad(now)) => before != now,
        _ => true,
    }
}

fn begin_member(object: &mut Vec<u8>, key: &[u8]) {
    if !object.is_empty() {
        object.push(b',');
    }
    object.extend_from_slice(key);
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    // Writing to memory can't fail, and every float here is finite.
    let written = match value {
        Value::Bool(value) => serde_json::to_writer(&mut *out, value),
        Value::Int(value) if value.unsigned_abs() > INTEGER_MAX => {
            write_text(out, &value.to_string())
        }
        Value::Int(value) => serde_json::to_writer(&mut *out, value),
        Value::Uint(value) if *value > INTEGER_MAX => write_text(out, &value.to_string()),
        Value::Uint(value) => serde_json::to_writer(&mut *out, value),
        Value::Float32(value) => serde_json::to_writer(&mut *out, value),
        Value::Float(value) => serde_json::to_writer(&mut *out, value),
        Value::Text(value) => write_text(out, value),
    };
    debug_assert!(written.is_ok(), "a value that JSON can't hold");
}

fn write_text(out: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    serde_json::to_writer(out, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing::{map, point};
    use lineside_proto::Telemetry as Document;
    use std::time::Duration;

    fn settings() -> Telemetry {
        Telemetry {
            batch: Duration::from_secs(1),
            full_every: Duration::from_secs(600),
            publish: Publish::All,
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
}
