//! The judgement of a node that counts: every number arrived, or a gap document says that it is missing.

use anyhow::{Context, Result, ensure};
use lineside_proto::{Gap, GapKind};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use crate::subscriber::Message;

#[derive(Deserialize)]
struct Document {
    stream: String,
    seq: u64,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    t_ms: i64,
    #[serde(default)]
    history: bool,
    values: BTreeMap<String, Value>,
}

/// What came of a counting point.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Numbers that arrived while they were fresh.
    pub live: usize,
    /// Numbers that only the server's history brought.
    pub filled: usize,
    /// Missing numbers that a gap document covers.
    pub named: u64,
    /// Missing numbers that nobody names.
    pub holes: Vec<Hole>,
    /// Numbers that came after a higher one.
    pub reordered: Vec<u64>,
}

/// Numbers that nobody brought and nobody names: the last one before and the first one after them, each with
/// the time of its receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hole {
    /// Before.
    pub before: (u64, i64),
    /// After.
    pub after: (u64, i64),
}

/// Judges a point of a machine, from the messages of one subscriber.
///
/// # Errors
///
/// When a document isn't what the contract says, or nothing came.
pub fn judge(messages: &[&Message], machine: &str, point: &str) -> Result<Count> {
    let mut documents = BTreeMap::new();
    let mut gaps = Vec::new();
    for message in messages {
        if message.topic.ends_with(&format!("/telemetry/{machine}")) {
            let document: Document = serde_json::from_str(&message.payload)?;
            documents.insert((document.stream.clone(), document.seq), document);
        } else if message.topic.ends_with(&format!("/gaps/{machine}")) {
            let gap: Gap = serde_json::from_str(&message.payload)?;
            if gap.kind == GapKind::Field {
                gaps.push((gap.from.as_millis(), gap.to.as_millis()));
            }
        }
    }
    let mut count = Count::default();
    // Each number that arrived live, with the time of receipt.
    let mut live: Vec<(u64, i64)> = Vec::new();
    let mut history = BTreeSet::new();
    for frame in documents.values().flat_map(|document| &document.frames) {
        let Some(value) = frame.values.get(point) else {
            continue;
        };
        let value = value
            .as_f64()
            .with_context(|| format!("{point}: {value}"))?;
        let number = number(value)?;
        if frame.history {
            history.insert(number);
            continue;
        }
        match live.last() {
            // Everything is sent again once per `full-every`.
            Some((last, _)) if *last == number => {}
            Some((last, _)) if *last > number => count.reordered.push(number),
            Some(_) | None => live.push((number, frame.t_ms)),
        }
    }
    ensure!(!live.is_empty(), "nothing came of {machine} {point}");
    count.live = live.len();
    for pair in live.windows(2) {
        let [left, right] = pair else {
            continue;
        };
        let ((before, left_ms), (after, right_ms)) = (*left, *right);
        let missing: Vec<u64> = (before + 1..after)
            .filter(|number| !history.contains(number))
            .collect();
        count.filled += usize::try_from(after - before - 1)? - missing.len();
        if missing.is_empty() {
            continue;
        }
        let covers = |(from_ms, to_ms): &(i64, i64)| *from_ms <= right_ms && *to_ms >= left_ms;
        if gaps.iter().any(covers) {
            count.named += u64::try_from(missing.len())?;
        } else {
            count.holes.push(Hole {
                before: *left,
                after: *right,
            });
        }
    }
    Ok(count)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a number that a double holds"
)]
fn number(value: f64) -> Result<u64> {
    ensure!(
        (0.0..9e15).contains(&value) && value.fract() == 0.0,
        "{value} is no count"
    );
    Ok(value as u64)
}

#[cfg(test)]
mod tests {
    use super::{Count, Hole, judge};
    use crate::subscriber::Message;

    fn message(topic: &str, payload: String) -> Message {
        Message {
            topic: format!("lineside/v1/s/g/{topic}/m"),
            retain: false,
            dup: false,
            qos: 1,
            expiry_s: None,
            content_type: None,
            payload,
            at_ms: 0,
        }
    }

    fn frame(seq: u64, value: u64, history: bool) -> Message {
        let payload = format!(
            r#"{{"v":1,"machine":"m","stream":"A","seq":{seq},"frames":[{{"t_ms":{},"group":"g",
               "history":{history},"values":{{"n":{value}.0}}}}]}}"#,
            value * 1000
        );
        message("telemetry", payload)
    }

    fn gap(from_s: u64, to_s: u64) -> Message {
        let payload = format!(
            r#"{{"v":1,"machine":"m","stream":"A","kind":"field","from":"1970-01-01T00:00:{from_s:02}.000Z",
                "to":"1970-01-01T00:00:{to_s:02}.000Z","seq_from":null,"seq_to":null,"samples":null,"reason":"x"}}"#
        );
        message("gaps", payload)
    }

    fn hole(before: u64, after: u64) -> Hole {
        let at = |number: u64| (number, i64::try_from(number).unwrap() * 1000);
        Hole {
            before: at(before),
            after: at(after),
        }
    }

    fn check(messages: &[Message], expected: Count) {
        let messages: Vec<&Message> = messages.iter().collect();
        assert_eq!(judge(&messages, "m", "n").unwrap(), expected);
    }

    #[test]
    fn a_hole_is_filled_or_named_or_seen() {
        let whole = Count {
            live: 3,
            ..Count::default()
        };
        check(
            &[frame(1, 5, false), frame(2, 6, false), frame(3, 7, false)],
            whole,
        );
        let count = Count {
            live: 2,
            filled: 1,
            holes: vec![hole(5, 8)],
            ..Count::default()
        };
        check(
            &[frame(1, 5, false), frame(2, 8, false), frame(3, 6, true)],
            count,
        );
        let count = Count {
            live: 2,
            named: 2,
            ..Count::default()
        };
        check(&[frame(1, 5, false), gap(6, 7), frame(2, 8, false)], count);
        let count = Count {
            live: 2,
            holes: vec![hole(5, 8)],
            ..Count::default()
        };
        check(
            &[frame(1, 5, false), gap(20, 30), frame(2, 8, false)],
            count,
        );
        let count = Count {
            live: 2,
            reordered: vec![4],
            ..Count::default()
        };
        check(
            &[frame(1, 5, false), frame(2, 4, false), frame(3, 6, false)],
            count,
        );
    }
}
