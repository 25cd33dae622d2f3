//! What a segment really holds, pack by pack.

use lineside_proto::{Gap, Identifier};
use std::collections::BTreeMap;

use super::extent::{Extent, Shares};
use super::pack::gap_of;
use super::segment::{Found, OpenPack, Segment, SegmentError};
use super::{Record, RecordKind};

/// What was found between two positions.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// What the records say.
    pub shares: Shares,
    /// The gap documents among them.
    pub gaps: Vec<Gap>,
    /// The stream of the first pack.
    pub stream: Option<String>,
    /// The position after the last record before the first hole.
    pub end: u64,
    /// Whether positions are missing.
    pub holes: bool,
    runs: BTreeMap<Identifier, Vec<Run>>,
}

/// Messages of one machine with consecutive seqs.
#[derive(Debug)]
struct Run {
    first: u64,
    last: u64,
    position: u64,
}

/// Reads a segment from one position up to another; `None`: up to wherever it ends without a hole.
pub(super) fn scan(segment: &Segment, from: u64, end: Option<u64>) -> Result<Scan, SegmentError> {
    let mut scan = Scan {
        end: from,
        ..Scan::default()
    };
    let mut position = from;
    while end.is_none_or(|end| position < end) {
        match segment.find(position)? {
            Found::Pack(pack) => {
                scan.take(&pack, position, end);
                position = pack.end();
            }
            Found::Hole(next) => {
                let inside = next.filter(|next| end.is_some_and(|end| *next < end));
                scan.holes |= end.is_some();
                match inside {
                    Some(next) => position = next,
                    None => break,
                }
            }
        }
        if !scan.holes {
            scan.end = position;
        }
    }
    Ok(scan)
}

impl Scan {
    fn take(&mut self, pack: &OpenPack, from: u64, end: Option<u64>) {
        self.stream.get_or_insert_with(|| pack.stream.clone());
        for (position, record) in (pack.first..).zip(&pack.records) {
            if position >= from && end.is_none_or(|end| position < end) {
                self.count(position, record);
            }
        }
    }

    fn count(&mut self, position: u64, record: &Record) {
        let mut extent = Extent {
            messages: 1,
            samples: 0,
            seqs: None,
            from: record.from,
            to: record.to,
        };
        match record.kind {
            RecordKind::Telemetry { seq, samples } => {
                extent.seqs = Some((seq, seq));
                extent.samples = samples.into();
                self.shares.add_telemetry(&record.machine, &extent);
                self.run(&record.machine, seq, position);
            }
            RecordKind::Gap => {
                let gap = gap_of(record);
                extent.seqs = gap.as_ref().and_then(|gap| gap.seq_from.zip(gap.seq_to));
                self.shares.add_gaps(&record.machine, &extent);
                self.gaps.extend(gap);
            }
        }
    }

    fn run(&mut self, machine: &Identifier, seq: u64, position: u64) {
        let runs = self.runs.entry(machine.clone()).or_default();
        match runs.last_mut() {
            Some(run) if run.last.checked_add(1) == Some(seq) => run.last = seq,
            Some(_) | None => runs.push(Run {
                first: seq,
                last: seq,
                position,
            }),
        }
    }

    /// The seqs of a machine that its extent names and that were not found, but for those before a
    /// message that is delivered already.
    pub(super) fn holes_of(
        &self,
        machine: &Identifier,
        extent: &Extent,
        end: u64,
        delivered: u64,
    ) -> Vec<(u64, u64)> {
        let Some((mut next, last)) = extent.seqs else {
            return Vec::new();
        };
        let mut holes = Vec::new();
        for run in self
            .runs
            .get(machine)
            .map(Vec::as_slice)
            .unwrap_or_default()
        {
            if run.first > next && run.position > delivered {
                holes.push((next, run.first - 1));
            }
            next = next.max(run.last.saturating_add(1));
        }
        if next <= last && end > delivered {
            holes.push((next, last));
        }
        holes
    }
}
