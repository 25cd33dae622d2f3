//! The record outside sled: what the segments must hold, and which number comes next.
//!
//! JSON, compressed, in a two-slot file. It is fsynced in each commit before anything counts as durable,
//! so that an emptied or damaged segment is known by what it should have held.

use lineside_proto::{Gap, Identifier, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

use super::extent::Shares;
use super::shelf::Shelf;
use crate::slots::{RECORD_BYTES_MAX, Slots};

const NAME: &str = "index";
const VERSION: u8 = 1;
const LEVEL: i32 = 1;

/// The record uncompressed, at most: it is mostly digits and repeats the machines' names.
const PLAIN_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;

/// What a segment must hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Position of the first record.
    pub first: u64,
    /// Position after the last record.
    pub end: u64,
    /// The stream of its records.
    pub stream: String,
    /// Whether some of its positions are known to be lost, and named.
    #[serde(default)]
    pub holes: bool,
    /// By how much the clock was set forward, or nobody committed, since: it does not count as age.
    #[serde(default)]
    pub shift_ms: i64,
    /// What its records say.
    pub shares: Shares,
}

impl Contents {
    /// An empty segment.
    pub(super) fn new(first: u64, stream: &str) -> Self {
        Self {
            first,
            end: first,
            stream: stream.to_owned(),
            holes: false,
            shift_ms: 0,
            shares: Shares::default(),
        }
    }

    /// The name of the segment's directory.
    pub(super) fn name(&self) -> String {
        name_of(self.first)
    }
}

/// The name of the directory whose first record has this position.
pub(super) fn name_of(first: u64) -> String {
    format!("seg-{first:020}")
}

/// The position in a directory's name; none if it is no segment's.
pub(super) fn first_in(name: &str) -> Option<u64> {
    name.strip_prefix("seg-")?.parse().ok()
}

/// What was read back.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Index {
    #[serde(rename = "v")]
    version: u8,
    pub stream: String,
    pub end: u64,
    pub delivered: u64,
    pub next_seq: BTreeMap<Identifier, u64>,
    pub segments: VecDeque<Contents>,
    pub tail: Option<Contents>,
    pub owed: Vec<Gap>,
    /// The time of the last commit that wrote this.
    pub at: Option<Time>,
}

#[derive(Serialize)]
struct Draft<'a> {
    v: u8,
    stream: &'a str,
    end: u64,
    delivered: u64,
    next_seq: &'a BTreeMap<Identifier, u64>,
    segments: Vec<&'a Contents>,
    tail: Option<&'a Contents>,
    owed: &'a [Gap],
    at: Option<Time>,
}

/// Where the record is kept.
#[derive(Debug)]
pub(super) struct IndexFile(Slots);

impl IndexFile {
    /// Opens it, with what it holds; none if it was never written, or nothing in it can be read.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<Index>)> {
        let slots = Slots::open(&dir.join(NAME))?;
        let index = slots.read().and_then(|record| {
            let plain = zstd::bulk::decompress(&record, PLAIN_BYTES_MAX).ok()?;
            let index: Index = serde_json::from_slice(&plain).ok()?;
            (index.version == VERSION).then_some(index)
        });
        Ok((Self(slots), index))
    }

    /// Whether a part of it was damaged when it was opened.
    pub(super) fn is_damaged(&self) -> bool {
        self.0.is_damaged()
    }

    /// Writes what [`encode`] made.
    pub(super) fn write(&mut self, record: &[u8]) -> io::Result<()> {
        self.0.write(record)
    }
}

/// The record of a shelf whose tail holds `tail`, and which owes `owed`.
pub(super) fn encode(
    shelf: &Shelf,
    next_seq: &BTreeMap<Identifier, u64>,
    tail: Option<&Contents>,
    owed: &[Gap],
) -> io::Result<Vec<u8>> {
    let draft = Draft {
        v: VERSION,
        stream: &shelf.stream,
        end: tail.map_or(shelf.end, |tail| tail.end),
        delivered: shelf.delivered,
        next_seq,
        segments: shelf.closed.iter().map(|held| &held.contents).collect(),
        tail,
        owed,
        at: shelf.at,
    };
    zstd::bulk::compress(&serde_json::to_vec(&draft)?, LEVEL)
}
