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
use crate::sample::{Bad, Batch, Sample, Standing, Value};

use super::state::StateMachine;

mod withheld;

use withheld::Withheld;

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
    withheld: Withheld,
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

/// What a frame says of itself, besides its values.
#[derive(Clone, Copy, Debug)]
struct Head {
    kind: Kind,
    at: Stamp,
    group: u16,
    source: Option<Time>,
}

/// Where a frame's values come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A reading, just now.
    Reading,
    /// Readings before, which still stand.
    Standing,
    /// What the source remembers.
    History,
}

/// A value, or the reason why there is none.
type Reading<'a> = Result<&'a Value, Bad>;

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
            withheld: Withheld::default(),
        }
    }

    /// The number that the next message gets.
    pub fn seq_next(&self) -> u64 {
        self.seq_next
    }

    /// Takes in what one reading gave; messages that are full by size go to `out`.
    pub fn take(&mut self, batch: &Batch, out: &mut Vec<Record>) {
        self.withheld.note_skew(batch);
        self.tell(Head::of(batch, Kind::Reading), readings(batch), out);
    }

    /// Tells, of the points that a source says still stand, what a reader was not told in this
    /// period of `full-every`, or believes to have failed.
    pub fn stand(&mut self, standing: &Standing, states: &StateMachine, out: &mut Vec<Record>) {
        let head = Head {
            kind: Kind::Standing,
            at: standing.at,
            group: standing.group,
            source: None,
        };
        let known = |place: &u16| {
            let point = states.point(*place);
            let reading = point
                .bad
                .map_or_else(|| point.value.map(Ok), |bad| Some(Err(bad)));
            Some((*place, reading?))
        };
        self.tell(head, standing.points.iter().filter_map(known), out);
    }

    /// Tells what a source remembers of a time in which it was out of reach: all of it, whatever a
    /// reader was told since. `is_external` says of a time before the machine was taken in whether its values
    /// are to stay here.
    pub fn remember(
        &mut self,
        batch: &Batch,
        is_external: impl Fn(Time) -> bool,
        out: &mut Vec<Record>,
    ) {
        if self.keeps_history(batch, is_external, out) {
            return;
        }
        self.tell(Head::of(batch, Kind::History), readings(batch), out);
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

    /// Writes into frames what a reader needs to be told.
    fn tell<'a>(
        &mut self,
        head: Head,
        readings: impl Iterator<Item = (u16, Reading<'a>)>,
        out: &mut Vec<Record>,
    ) {
        let mut samples = 0;
        for (point, reading) in readings {
            samples += u32::from(self.write(head, point, reading));
            if self.values.len() + self.bad.len() >= FRAME_BYTES_MAX {
                self.close_frame(head, samples, out);
                samples = 0;
            }
        }
        if samples > 0 {
            self.close_frame(head, samples, out);
        }
    }

    /// Writes a reading into the frame, if a reader needs to be told.
    fn write(&mut self, head: Head, point: u16, reading: Reading<'_>) -> bool {
        let place = usize::from(point);
        let Some(sent) = self.points.get_mut(place) else {
            return false;
        };
        if sent.key.is_empty() {
            return false;
        }
        let period = head.at.millis() / self.full_every_ms;
        let told = match reading {
            Ok(value) => value.as_number().map_or(Told::Other, Told::Number),
            Err(bad) => Told::Bad(bad),
        };
        let is_wanted = match head.kind {
            Kind::Reading => {
                let point = self.map.points.get(place);
                is_news(sent.told, told, point.and_then(|point| point.deadband))
            }
            Kind::Standing => is_otherwise(sent.told, told),
            Kind::History => true,
        };
        if !is_wanted && sent.period == Some(period) {
            return false;
        }
        if self.withheld.keeps(place) {
            return false;
        }
        if head.kind != Kind::History {
            sent.told = told;
            sent.period = Some(period);
        }
        match reading {
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

    fn close_frame(&mut self, head: Head, samples: u32, out: &mut Vec<Record>) {
        let frame_bytes = self.values.len() + self.bad.len();
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.frames.len() + frame_bytes > FRAMES_BYTES_TARGET)
        {
            self.finish(out);
        }
        // What is remembered was true then, not now.
        let time = head.source.filter(|_| head.kind == Kind::History);
        let time = time.unwrap_or(head.at.wall);
        let open = self.open.get_or_insert_with(|| Open {
            since_ms: head.at.millis(),
            from: time,
            to: time,
            samples: 0,
            frames: Vec::with_capacity(FRAMES_BYTES_TARGET),
        });
        if !open.frames.is_empty() {
            open.frames.push(b',');
        }
        let group = self.map.groups.get(usize::from(head.group));
        head.write(
            group.map_or("", |group| group.name.as_str()),
            &mut open.frames,
        );
        open.frames.append(&mut self.values);
        open.frames.push(b'}');
        if !self.bad.is_empty() {
            open.frames.extend_from_slice(br#","bad":{"#);
            open.frames.append(&mut self.bad);
            open.frames.push(b'}');
        }
        open.frames.push(b'}');
        open.samples += samples;
        open.from = open.from.min(time);
        open.to = open.to.max(time);
    }
}

impl Head {
    fn of(batch: &Batch, kind: Kind) -> Self {
        Self {
            kind,
            at: batch.at,
            group: batch.group,
            source: batch.source,
        }
    }

    /// Begins a frame, up to its values.
    fn write(self, group: &str, out: &mut Vec<u8>) {
        let mut text = format!(r#"{{"t_ms":{}"#, self.at.wall.as_millis());
        if let Some(source) = self.source {
            text.push_str(&format!(r#","src_ms":{}"#, source.as_millis()));
        }
        text.push_str(&format!(r#","group":"{group}""#));
        if self.kind == Kind::History {
            text.push_str(r#","history":true"#);
        }
        text.push_str(r#","values":{"#);
        out.extend_from_slice(text.as_bytes());
    }
}

fn readings(batch: &Batch) -> impl Iterator<Item = (u16, Reading<'_>)> {
    let samples = batch.samples.iter();
    samples.map(|Sample { point, reading }| (*point, reading.as_ref().map_err(|bad| *bad)))
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

/// Whether a reader who was told `before` believes something else than `now`, though the point itself
/// did not change: a failure of the link hid it meanwhile.
fn is_otherwise(before: Told, now: Told) -> bool {
    let is_bad = |told| matches!(told, Told::Bad(_));
    before != now && (is_bad(before) || is_bad(now))
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
mod tests;
