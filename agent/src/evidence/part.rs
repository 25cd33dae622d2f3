//! A part of the leaves: as many as a bundle has in one entry, kept in a file while they come.
//!
//! Whatever of a part is in the working folder is read again and checked as if it had just come. Several parts wait
//! for their turn in memory: as their bytes and what must be known of them, since leaves that were read take three times
//! as much.

use lineside_proto::evidence::{PART_LEAVES, Tally};
use lineside_proto::ledger::{Hash, LEAF_BYTES_MAX, Leaf, LeafError};
use lineside_proto::{EntriesResult, Time};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::inquiry::PullError;
use super::work::read;
use crate::text;

/// Bytes of a part at most.
const PART_BYTES_MAX: u64 = PART_LEAVES * (LEAF_BYTES_MAX as u64 + 1);

/// A part as far as it has come, every leaf of it canonical and at its place.
#[derive(Debug)]
pub struct Part {
    /// The leaves that it has when it is whole.
    pub range: Range<u64>,
    /// The exact bytes, each leaf followed by a line break.
    pub bytes: Vec<u8>,
    /// Their hashes.
    pub hashes: Vec<Hash>,
    /// What they name.
    pub named: Named,
    /// The times of the first and the last leaf.
    pub span: Option<(Time, Time)>,
    /// Where in the bytes those leaves are that add to totals.
    counting: Vec<Range<usize>>,
    file: File,
}

/// What leaves name, by the 64 digits of its hash.
#[derive(Debug, Default)]
pub struct Named {
    /// Machine maps.
    pub maps: BTreeSet<String>,
    /// Booking tokens.
    pub tokens: BTreeSet<String>,
}

impl Named {
    fn take(&mut self, leaf: &Leaf) {
        for (hash, named) in [
            (leaf.body.map(), &mut self.maps),
            (leaf.body.token(), &mut self.tokens),
        ] {
            let digits = hash.and_then(|hash| hash.strip_prefix("sha256:"));
            if let Some(digits) = digits.filter(|digits| is_digest(digits)) {
                if !named.contains(digits) {
                    named.insert(digits.to_owned());
                }
            }
        }
    }
}

/// Whether this is 64 hexadecimal digits, and so no part of a path but a name.
fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(digit)
}

impl Part {
    /// The parts that leaves are cut into.
    pub fn ranges(first: u64, end: u64) -> impl Iterator<Item = Range<u64>> {
        let mut from = first;
        std::iter::from_fn(move || {
            let to = (from / PART_LEAVES + 1)
                .saturating_mul(PART_LEAVES)
                .min(end);
            (from < to).then(|| std::mem::replace(&mut from, to)..to)
        })
    }

    /// Opens a part, with what is kept of it. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`PullError::File`].
    pub fn open(path: &Path, range: Range<u64>) -> Result<Self, PullError> {
        // What is too long to be a part was not written by us.
        let kept = read(path, PART_BYTES_MAX)
            .ok()
            .flatten()
            .unwrap_or_default();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options.open(path).map_err(PullError::file(path))?;
        let mut part = Self {
            range,
            bytes: Vec::with_capacity(kept.len()),
            hashes: Vec::new(),
            named: Named::default(),
            span: None,
            counting: Vec::new(),
            file,
        };
        for line in kept.split_inclusive(|byte| *byte == b'\n') {
            // A line that broke off, or that a disk changed, comes anew with all after it.
            let Some(leaf) = line.strip_suffix(b"\n") else {
                break;
            };
            if part.next() >= part.range.end || part.add(leaf).is_err() {
                break;
            }
        }
        let cut = part.file.set_len(part.bytes.len() as u64);
        cut.and_then(|()| part.file.seek(SeekFrom::End(0)))
            .map_err(PullError::file(path))?;
        Ok(part)
    }

    /// How many leaves are there.
    pub fn count(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// The leaf that comes next.
    pub fn next(&self) -> u64 {
        self.range.start + self.count()
    }

    /// Whether all leaves are there.
    pub fn is_whole(&self) -> bool {
        self.next() >= self.range.end
    }

    /// Takes in what was answered, and keeps it. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`PullError::Lies`] for what is not the next leaves, [`PullError::File`].
    pub fn take(&mut self, path: &Path, answer: Vec<EntriesResult>) -> Result<(), PullError> {
        let (before, next) = (self.bytes.len(), self.next());
        for entries in answer {
            let (from, said, count) = (self.next(), entries.first, entries.leaves.len() as u64);
            let fits =
                said == from && entries.next == from + count && entries.next <= self.range.end;
            if !fits {
                let (to, end) = (entries.next, self.range.end);
                return Err(PullError::Lies(text!(
                    "asked for leaves {from} to {end}, it gives {count} as {said} to {to}",
                    "请求的是第 {from} 至 {end} 条记录，返回的却是 {count} 条，标为 {said} 至 {to}"
                )));
            }
            for leaf in entries.leaves {
                self.add(leaf.as_bytes()).map_err(PullError::Lies)?;
            }
        }
        if self.next() == next {
            return Err(PullError::Lies(text!(
                "asked for leaf {next}, it gives none",
                "请求第 {next} 条记录，却没有返回"
            )));
        }
        let new = self.bytes.get(before..).unwrap_or_default();
        self.file.write_all(new).map_err(PullError::file(path))
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), text::Text> {
        let index = self.next();
        let leaf = Leaf::from_bytes(bytes)
            .map_err(|fault| text!("leaf {index}: {fault}", "第 {index} 条记录：{fault}"))?;
        let says = leaf.head.index;
        if says != index {
            return Err(text!(
                "leaf {index} says that it is leaf {says}",
                "第 {index} 条记录自称是第 {says} 条"
            ));
        }
        let at = leaf.head.at;
        self.span = Some((self.span.map_or(at, |(first, _)| first), at));
        self.named.take(&leaf);
        self.hashes.push(Hash::of_leaf(bytes));
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        if Tally::counts(&leaf.body) {
            self.counting.push(begin..self.bytes.len());
        }
        self.bytes.push(b'\n');
        Ok(())
    }

    /// The leaves that add to totals, in order. They were read before, so that none fails.
    pub fn counting(&self) -> impl Iterator<Item = Result<Leaf, LeafError>> {
        let places = self.counting.iter().cloned();
        places.map(|place| Leaf::from_bytes(self.bytes.get(place).unwrap_or_default()))
    }
}
