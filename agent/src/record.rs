//! What the recorder hands on: messages for the outbox, facts for the ledger. Plain data.

use lineside_proto::ledger::LeafBody;
use lineside_proto::{Gap, Identifier, Time};

use crate::clock::Stamp;

/// A fact that is to become a leaf of the ledger: all of it but its index and its boot id.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// When it was established.
    pub at: Stamp,
    /// The fact.
    pub body: LeafBody,
}

/// What the queue keeps: one message to the city.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The machine that it is about.
    pub machine: Identifier,
    /// What it is.
    pub kind: RecordKind,
    /// The time of the oldest thing it says.
    pub from: Time,
    /// The time of the newest thing it says.
    pub to: Time,
    /// The document, as it goes out; at most as long as the outbox takes.
    pub payload: Vec<u8>,
}

impl From<&Gap> for Record {
    fn from(gap: &Gap) -> Self {
        Self {
            machine: gap.machine.clone(),
            kind: RecordKind::Gap,
            from: gap.from,
            to: gap.to,
            // A gap has only texts and numbers: writing it can't fail.
            payload: serde_json::to_vec(gap).unwrap_or_default(),
        }
    }
}

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordKind {
    /// A telemetry document.
    Telemetry {
        /// Its number in the machine's stream: the one after the last, beginning with 0.
        seq: u64,
        /// Samples in it.
        samples: u32,
    },
    /// A gap document.
    Gap,
}
