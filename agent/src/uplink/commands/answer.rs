//! What the answers say: read from the ledger, the kept maps and the board. Blocks on the disk.

use lineside_proto::ledger::Hash;
use lineside_proto::{
    BundleResult, CheckpointResult, LeafPlace, LeafRange, Period, ProofResult, Time,
};
use serde::Deserialize;
use serde_json::Value;
use std::ops::Range;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::board::{Board, Place};
use super::super::notes::size;
use super::part::{Entries, Room, map_parts, value};
use super::periods::{Periods, is_in};
use super::question::{Call, Code, Failure};
use crate::ledger::{Ledger, LedgerError};

/// Bytes asked of the ledger at once: whoever appends waits for no more than that.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Gives the text of a machine map by its hash (`sha256:` and 64 hexadecimal digits).
pub type MapText = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What is known.
pub(super) struct Knowledge {
    pub(super) ledger: Ledger,
    pub(super) maps: MapText,
    pub(super) board: watch::Receiver<Board>,
    /// The times of the leaves. Made when a period is first asked for, kept from then on.
    pub(super) periods: Mutex<Periods>,
    /// Whether nobody waits for answers any more.
    pub(super) closed: CancellationToken,
}

impl Knowledge {
    /// Answers: the results of all parts.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and what to do.
    pub(super) fn answer(
        &self,
        call: &Call,
        room: Room,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        match call {
            Call::Checkpoint => Ok(vec![value(&CheckpointResult {
                checkpoint: self.checkpoint()?.to_string(),
                keys: self.ledger.keys().iter().map(ToString::to_string).collect(),
            })]),
            Call::Entries(range) => self.entries(*range, room, deadline),
            Call::Consistency(sizes) => self.consistency(*sizes),
            Call::Inclusion(place) => self.inclusion(*place),
            Call::Map(hash) => match (self.maps)(hash) {
                Some(text) => map_parts(room, hash, &text),
                None => Err(Failure::new(
                    Code::NotFound,
                    "no map of that hash is kept here: take the hash from a leaf of this gateway",
                )),
            },
            Call::Bundle(period) => self.bundle(*period, deadline),
            Call::Status => self.status(),
        }
    }

    fn checkpoint(&self) -> Result<Arc<str>, Failure> {
        self.ledger.checkpoint().borrow().clone().ok_or_else(|| {
            Failure::new(
                Code::Unavailable,
                "no checkpoint has been signed yet: ask again in five minutes",
            )
        })
    }

    fn status(&self) -> Result<Vec<Value>, Failure> {
        let board = self.board.borrow();
        let status = board.documents.get(&Place::Status);
        status
            .and_then(|status| serde_json::from_slice(&status.payload).ok())
            .map(|status| vec![status])
            .ok_or_else(|| {
                Failure::new(
                    Code::Unavailable,
                    "the gateway is starting: ask again in ten seconds",
                )
            })
    }

    /// Refuses what the ledger does not have yet.
    fn has(&self, size: u64) -> Result<(), Failure> {
        let leaves = self.ledger.size();
        if size <= leaves {
            return Ok(());
        }
        Err(Failure::new(
            Code::NotFound,
            format!("the ledger has {leaves} leaves: ask for these at most"),
        ))
    }

    fn entries(
        &self,
        range: LeafRange,
        room: Room,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        self.has(range.to)?;
        let mut entries = Entries::new(room, range.from)?;
        let mut full = false;
        self.each(range.from..range.to, deadline, |_, bytes| {
            let leaf = String::from_utf8(bytes).map_err(|_| unreadable())?;
            full = !entries.add(leaf)?;
            Ok(!full)
        })?;
        Ok(entries.finish())
    }

    fn consistency(&self, sizes: LeafRange) -> Result<Vec<Value>, Failure> {
        self.has(sizes.to)?;
        let hashes = self.ledger.consistency(sizes.from, sizes.to);
        proof(&hashes.map_err(|fault| failed(&fault))?)
    }

    fn inclusion(&self, place: LeafPlace) -> Result<Vec<Value>, Failure> {
        self.has(place.size)?;
        let hashes = self.ledger.inclusion(place.index, place.size);
        proof(&hashes.map_err(|fault| failed(&fault))?)
    }

    /// Reads leaves in order until `leaf` says that it is enough.
    fn each(
        &self,
        range: Range<u64>,
        deadline: Instant,
        mut leaf: impl FnMut(u64, Vec<u8>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut next = range.start;
        while next < range.end {
            if Instant::now() >= deadline || self.closed.is_cancelled() {
                return Err(late());
            }
            let read = self.ledger.read(next, READ_BYTES_MAX);
            let leaves = read.map_err(|fault| failed(&fault))?;
            if leaves.is_empty() {
                return Err(unreadable());
            }
            for (index, bytes) in leaves {
                if index != next {
                    return Err(unreadable());
                }
                if next >= range.end || !leaf(index, bytes)? {
                    return Ok(());
                }
                next += 1;
            }
        }
        Ok(())
    }

    fn bundle(&self, period: Period, deadline: Instant) -> Result<Vec<Value>, Failure> {
        let checkpoint = self.checkpoint()?;
        let size = size(&checkpoint).ok_or_else(unreadable)?;
        let mut periods = match self.periods.try_lock() {
            Ok(periods) => periods,
            // Times that were read are right, whatever became of who read them.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(
                    Code::Busy,
                    "another period is being looked up: ask again in some seconds",
                ));
            }
        };
        self.each(periods.next()..self.ledger.size(), deadline, |_, bytes| {
            periods.add(at(&bytes)?);
            Ok(true)
        })?;
        let mut first = None;
        for run in periods.candidates(period) {
            self.each(run, deadline, |index, bytes| {
                if is_in(at(&bytes)?, period) {
                    first = Some(index);
                }
                Ok(first.is_none())
            })?;
            if first.is_some() {
                break;
            }
        }
        let mut last = None;
        for run in periods.candidates(period).rev() {
            self.each(run, deadline, |index, bytes| {
                if is_in(at(&bytes)?, period) {
                    last = Some(index);
                }
                Ok(true)
            })?;
            if last.is_some() {
                break;
            }
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Err(Failure::new(
                Code::NotFound,
                "the ledger has no leaf of that period",
            ));
        };
        Ok(vec![value(&BundleResult {
            first,
            last,
            size,
            checkpoint: checkpoint.to_string(),
        })])
    }
}

fn proof(hashes: &[Hash]) -> Result<Vec<Value>, Failure> {
    let hashes = hashes.iter().map(Hash::to_string).collect();
    Ok(vec![value(&ProofResult { hashes })])
}

/// When a leaf was established.
fn at(bytes: &[u8]) -> Result<Time, Failure> {
    #[derive(Deserialize)]
    struct Dated {
        at: Time,
    }
    let dated: Dated = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
    Ok(dated.at)
}

fn failed(fault: &LedgerError) -> Failure {
    tracing::warn!("a request could not be answered: the ledger can't be read: {fault}");
    unreadable()
}

fn unreadable() -> Failure {
    Failure::new(
        Code::Unavailable,
        "the ledger can't be read at the moment: ask again in a minute, then look at the gateway",
    )
}

pub(super) fn late() -> Failure {
    Failure::new(
        Code::Busy,
        "it took too long: ask again, which goes on where this ended, or for less",
    )
}
