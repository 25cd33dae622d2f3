//! The judgement of a stream: no hole that nobody names, nothing out of order, duplicates counted.

use anyhow::{Result, bail, ensure};
use lineside_proto::{Gap, Telemetry};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::subscriber::Message;

/// A telemetry message by its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
pub struct Key {
    /// The machine.
    pub machine: String,
    /// The stream.
    pub stream: String,
    /// Its number.
    pub seq: u64,
}

impl Key {
    /// The name of what was published on `topic`, if it is telemetry.
    pub fn of(topic: &str, payload: &[u8]) -> Option<Self> {
        if topic.contains("/telemetry/") {
            serde_json::from_slice(payload).ok()
        } else {
            None
        }
    }
}

/// What arrived of one machine's stream.
#[derive(Debug, Default)]
struct Stream {
    /// First receipts: the number and the payload.
    first: BTreeMap<u64, String>,
    highest: Option<u64>,
    duplicates: u64,
    /// Ranges that gap documents name.
    named: Vec<(u64, u64)>,
}

/// What a subscriber received of all streams.
#[derive(Debug, Default)]
pub struct Streams {
    streams: BTreeMap<(String, String), Stream>,
    reordered: Vec<String>,
}

/// What is to be said of all streams together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Telemetry messages that arrived at least once.
    pub messages: u64,
    /// Receipts beyond the first.
    pub duplicates: u64,
    /// Missing numbers that a gap document names.
    pub named: u64,
    /// Missing numbers that nobody names.
    pub holes: BTreeSet<Key>,
    /// First receipts that came after a higher number.
    pub reordered: Vec<String>,
}

impl Streams {
    /// Takes in what a subscriber received, in the order of receipt.
    ///
    /// # Errors
    ///
    /// When a document isn't what the contract says, or two differ under one number.
    pub fn of<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Result<Self> {
        let mut streams = Self::default();
        for message in messages {
            streams.take(message)?;
        }
        Ok(streams)
    }

    /// Takes in one message.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn take(&mut self, message: &Message) -> Result<()> {
        if message.topic.contains("/telemetry/") {
            let document: Telemetry = serde_json::from_str(&message.payload)?;
            let machine = document.machine.to_string();
            ensure!(
                message.topic.ends_with(&format!("/telemetry/{machine}")),
                "{message:?}"
            );
            self.telemetry(machine, document.stream, document.seq, &message.payload)
        } else if message.topic.contains("/gaps/") {
            let gap: Gap = serde_json::from_str(&message.payload)?;
            if let (Some(from), Some(to)) = (gap.seq_from, gap.seq_to) {
                ensure!(from <= to, "a gap that ends before it begins: {gap:?}");
                let stream = self.streams.entry((gap.machine.to_string(), gap.stream));
                stream.or_default().named.push((from, to));
            }
            Ok(())
        } else {
            Ok(())
        }
    }

    fn telemetry(&mut self, machine: String, name: String, seq: u64, payload: &str) -> Result<()> {
        let stream = self
            .streams
            .entry((machine.clone(), name.clone()))
            .or_default();
        if let Some(first) = stream.first.get(&seq) {
            stream.duplicates += 1;
            if first != payload {
                bail!("two documents of {machine} under the number {seq} of {name}");
            }
            return Ok(());
        }
        if let Some(highest) = stream.highest.filter(|highest| *highest > seq) {
            let late = format!("{machine} {name}: {seq} after {highest}");
            self.reordered.push(late);
        }
        stream.highest = stream.highest.max(Some(seq));
        stream.first.insert(seq, payload.to_owned());
        Ok(())
    }

    /// The payloads that arrived of a machine, by number, whatever the stream.
    pub fn payloads(&self, machine: &str) -> Vec<&str> {
        let of_machine = self.streams.iter().filter(|((name, _), _)| name == machine);
        of_machine
            .flat_map(|(_, stream)| stream.first.values().map(String::as_str))
            .collect()
    }

    /// Streams that are known.
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// The judgement.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict {
            reordered: self.reordered.clone(),
            ..Verdict::default()
        };
        for ((machine, name), stream) in &self.streams {
            verdict.messages += stream.first.keys().map(|_| 1).sum::<u64>();
            verdict.duplicates += stream.duplicates;
            let Some(highest) = stream.highest else {
                continue;
            };
            // Numbers begin at 0 or 1: what is missing before the first receipt is a hole like any other.
            let missing = (1..=highest).filter(|seq| !stream.first.contains_key(seq));
            for seq in missing {
                if stream
                    .named
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&seq))
                {
                    verdict.named += 1;
                } else {
                    verdict.holes.insert(Key {
                        machine: machine.clone(),
                        stream: name.clone(),
                        seq,
                    });
                }
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Streams, Verdict};
    use crate::subscriber::Message;

    fn message(topic: &str, payload: String) -> Message {
        Message {
            topic: format!("lineside/v1/s/g/{topic}"),
            retain: false,
            dup: false,
            qos: 1,
            expiry_s: None,
            content_type: None,
            payload,
            at_ms: 0,
        }
    }

    fn telemetry(seq: u64) -> Message {
        let payload = format!(r#"{{"v":1,"machine":"m","stream":"A","seq":{seq},"frames":[]}}"#);
        message("telemetry/m", payload)
    }

    fn gap(from: u64, to: u64) -> Message {
        let payload = format!(
            r#"{{"v":1,"machine":"m","stream":"A","kind":"outbox","from":"2026-11-23T08:00:00.000Z",
                "to":"2026-11-23T08:00:01.000Z","seq_from":{from},"seq_to":{to},"samples":null,"reason":"full"}}"#
        );
        message("gaps/m", payload)
    }

    fn check(messages: &[Message], holes: &[u64], named: u64, duplicates: u64, reordered: usize) {
        let verdict = Streams::of(messages).unwrap().verdict();
        let found: Vec<u64> = verdict.holes.iter().map(|hole| hole.seq).collect();
        assert_eq!(found, holes, "{verdict:?}");
        assert_eq!(
            (verdict.named, verdict.duplicates, verdict.reordered.len()),
            (named, duplicates, reordered),
            "{verdict:?}"
        );
    }

    #[test]
    fn holes_duplicates_and_order_are_seen() {
        let all: Vec<Message> = (1..=5).map(telemetry).collect();
        check(&all, &[], 0, 0, 0);
        check(&[telemetry(0), telemetry(1)], &[], 0, 0, 0);
        check(&[telemetry(1), telemetry(4)], &[2, 3], 0, 0, 0);
        check(&[telemetry(3)], &[1, 2], 0, 0, 0);
        check(&[telemetry(1), gap(2, 3), telemetry(4)], &[], 2, 0, 0);
        check(&[telemetry(1), telemetry(4), gap(3, 3)], &[2], 1, 0, 0);
        check(&[telemetry(1), telemetry(2), telemetry(1)], &[], 0, 1, 0);
        check(&[telemetry(2), telemetry(1)], &[], 0, 0, 1);
        check(
            &[telemetry(1), telemetry(3), telemetry(2), telemetry(3)],
            &[],
            0,
            1,
            1,
        );
    }

    #[test]
    fn two_documents_under_one_number_are_refused() {
        let mut other = telemetry(1);
        other.payload = other
            .payload
            .replace("[]", r#"[{"t_ms":1,"group":"g","values":{}}]"#);
        assert!(Streams::of(&[telemetry(1), other]).is_err());
    }

    #[test]
    fn only_telemetry_has_a_key() {
        let key = Key {
            machine: "m".to_owned(),
            stream: "A".to_owned(),
            seq: 9,
        };
        let sent = telemetry(9);
        assert_eq!(Key::of(&sent.topic, sent.payload.as_bytes()), Some(key));
        assert_eq!(Key::of("lineside/v1/s/g/status", b"{}"), None);
        assert_eq!(Streams::default().verdict(), Verdict::default());
    }
}
