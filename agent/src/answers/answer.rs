//! What the answers say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::tile::{Kind, Tile};
use lineside_proto::ledger::{Checkpoint, Hash};
use lineside_proto::{
    BundleResult, CheckpointResult, CheckpointsWanted, LeafPlace, LeafRange, Period, ProofResult,
    TileResult, TileWanted, Time,
};
use serde::Deserialize;
use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::copied::{Before, Copied};
use super::part::{Entries, Noted, Room, map_parts, token_parts, value};
use super::periods::{Periods, is_in};
use super::question::{Call, Code, Failure, call};
use super::source::{Source, unreadable};
use crate::ledger::LedgerError;

/// Bytes of leaves that are read at once. Six answers at once hold no more than this and what they send.
const READ_BYTES_MAX: usize = 1 << 20;

/// How long an answer from a copy may take: its leaves are read through once.
const COPY_TIME_MAX: Duration = Duration::from_secs(600);

/// Answers from one source.
pub struct Answers {
    source: Box<dyn Source>,
    /// The times of the leaves. Made when a period is first asked for, kept from then on.
    periods: Arc<Mutex<Periods>>,
    /// The ledger of an epoch before that was asked for last: opened once, and read by one at a time like this one.
    before: Mutex<Option<(Before, Arc<Self>)>>,
    /// Whether nobody waits for answers any more.
    closed: CancellationToken,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    /// Answers from a source, until `closed` is cancelled.
    pub fn new(source: impl Source + 'static, closed: CancellationToken) -> Self {
        Self {
            source: Box::new(source),
            periods: Arc::default(),
            before: Mutex::default(),
            closed,
        }
    }

    /// Answers from a source that goes on from this one's, whose leaves are the first of its own: what was learnt of
    /// them need not be read again.
    pub fn onwards(&self, source: impl Source + 'static) -> Self {
        Self {
            source: Box::new(source),
            periods: Arc::clone(&self.periods),
            before: Mutex::default(),
            closed: self.closed.clone(),
        }
    }

    /// Answers from a copied state directory, by `ledger/`, `maps/` and `tokens/` in it. Writes nothing.
    ///
    /// # Errors
    ///
    /// There is no ledger in it, or none that fits together.
    pub fn of_copy(state_dir: &Path) -> Result<Self, LedgerError> {
        let copied = Copied::open(state_dir)?;
        Ok(Self::new(copied, CancellationToken::new()))
    }

    /// Answers a method with its parameters, as large as parts may be: the results of all parts. Blocks.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and what to do.
    pub fn ask(&self, method: &str, params: Value) -> Result<Vec<Value>, Failure> {
        let room = Room::of("", usize::MAX);
        self.answer(&call(method, params)?, room, Instant::now() + COPY_TIME_MAX)
    }

    /// Answers: the results of all parts. Blocks.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and what to do.
    pub fn answer(
        &self,
        call: &Call,
        room: Room,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        if Instant::now() >= deadline {
            return Err(late());
        }
        match call {
            Call::Checkpoint => Ok(vec![value(&CheckpointResult {
                checkpoint: self.checkpoint()?.to_string(),
                keys: self.source.keys(),
            })]),
            Call::Checkpoints(wanted) => self.checkpoints(*wanted, room, deadline),
            Call::Entries(range) => self.entries(*range, room, deadline),
            Call::Consistency(sizes) => self.consistency(*sizes),
            Call::Inclusion(place) => self.inclusion(*place),
            Call::Tile(wanted) => self.tile(*wanted, room),
            Call::Map(hash) => match self.source.map(hash) {
                Some(text) => map_parts(room, hash, &text),
                None => Err(Failure::new(
                    Code::NotFound,
                    "no map of that hash is kept here: take the hash from a leaf of this gateway",
                )),
            },
            Call::Token(hash) => match self.source.token(hash) {
                Some(text) => token_parts(room, hash, &text),
                None => Err(Failure::new(
                    Code::NotFound,
                    "no booking's token of that hash is kept here: take the hash from a leaf of this gateway; the oldest of many go",
                )),
            },
            Call::Bundle(period) => self.bundle(*period, deadline),
            Call::Status => Ok(vec![self.source.status()?]),
            Call::Of { origin, call } => {
                let here = self.source.origin();
                if here.as_ref() == Some(origin) {
                    return self.answer(call, room, deadline);
                }
                if let Some(before) = self.before(origin) {
                    return before.answer(call, room, deadline);
                }
                Err(Failure::new(
                    Code::NotFound,
                    match here {
                        Some(here) => {
                            format!("the log here is {here}, which is not the one that is meant")
                        }
                        None => "no head says yet which log is here: ask again in five minutes"
                            .to_owned(),
                    },
                ))
            }
        }
    }

    /// The answers of an epoch before, if its ledger is still here. One that took another's place is opened anew.
    fn before(&self, origin: &str) -> Option<Arc<Self>> {
        let found = self.source.before(origin)?;
        // What it holds is replaced as a whole. One opens at a time: the others get what that opened.
        let mut kept = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = kept.as_ref().filter(|(of, _)| *of == found) {
            return Some(Arc::clone(known));
        }
        let opened = Arc::new(Self::new(found.open()?, self.closed.clone()));
        *kept = Some((found, Arc::clone(&opened)));
        Some(opened)
    }

    fn checkpoint(&self) -> Result<Arc<str>, Failure> {
        self.source.checkpoint().ok_or_else(|| {
            Failure::new(
                Code::Unavailable,
                "no checkpoint has been signed yet: ask again in five minutes",
            )
        })
    }

    /// Refuses what the ledger does not have yet.
    fn has(&self, size: u64) -> Result<(), Failure> {
        let leaves = self.source.size();
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

    fn checkpoints(
        &self,
        wanted: CheckpointsWanted,
        room: Room,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let sizes = self.source.kept(wanted.from..wanted.to);
        let limit = wanted.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(usize::MAX);
        if wanted.newest {
            let notes = self.newest_notes(&sizes, limit, room, deadline)?;
            return Ok(notes.finish(wanted.to));
        }
        let mut noted = Noted::new(room)?;
        for size in sizes {
            if noted.count() >= limit {
                return Ok(noted.finish(size));
            }
            self.in_time(deadline)?;
            // One that is damaged is as good as none.
            let Some(note) = self.source.kept_note(size) else {
                continue;
            };
            if !noted.add(note)? {
                return Ok(noted.finish(size));
            }
        }
        Ok(noted.finish(wanted.to))
    }

    /// As many of the newest notes as are wanted and have room.
    fn newest_notes(
        &self,
        sizes: &[u64],
        limit: usize,
        room: Room,
        deadline: Instant,
    ) -> Result<Noted, Failure> {
        let mut noted = Noted::new(room)?;
        let mut budget = noted.budget();
        let mut found = Vec::new();
        for size in sizes.iter().rev() {
            if found.len() >= limit {
                break;
            }
            self.in_time(deadline)?;
            let Some(note) = self.source.kept_note(*size) else {
                continue;
            };
            let Some(left) = budget.checked_sub(Noted::bytes(&note)) else {
                break;
            };
            budget = left;
            found.push(note);
        }
        for note in found.into_iter().rev() {
            noted.add(note)?;
        }
        Ok(noted)
    }

    fn in_time(&self, deadline: Instant) -> Result<(), Failure> {
        if Instant::now() >= deadline || self.closed.is_cancelled() {
            return Err(late());
        }
        Ok(())
    }

    fn tile(&self, wanted: TileWanted, room: Room) -> Result<Vec<Value>, Failure> {
        let tile = Tile {
            kind: Kind::Hashes(wanted.level),
            index: wanted.index,
            width: u64::from(wanted.width),
        };
        let bytes = self.source.tile(tile)?.ok_or_else(|| {
            let leaves = self.source.size();
            Failure::new(
                Code::NotFound,
                format!("a ledger of {leaves} leaves has not so many hashes there"),
            )
        })?;
        let result = TileResult {
            bytes: BASE64.encode(bytes),
        };
        room.holds(result.bytes.len())?;
        Ok(vec![value(&result)])
    }

    fn consistency(&self, sizes: LeafRange) -> Result<Vec<Value>, Failure> {
        self.has(sizes.to)?;
        proof(&self.source.consistency(sizes.from, sizes.to)?)
    }

    fn inclusion(&self, place: LeafPlace) -> Result<Vec<Value>, Failure> {
        self.has(place.size)?;
        proof(&self.source.inclusion(place.index, place.size)?)
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
            self.in_time(deadline)?;
            let leaves = self.source.leaves(next, READ_BYTES_MAX)?;
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
        let size = size_of(&checkpoint).ok_or_else(unreadable)?;
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
        self.each(periods.next()..self.source.size(), deadline, |_, bytes| {
            periods.add(at(&bytes)?);
            Ok(true)
        })?;
        // Those who answer from later leaves may have read further.
        let leaves = self.source.size();
        let here = |run: Range<u64>| run.start..run.end.min(leaves);
        let mut first = None;
        for run in periods.candidates(period).map(here) {
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
        for run in periods.candidates(period).rev().map(here) {
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

/// The leaves that a note speaks for.
fn size_of(note: &str) -> Option<u64> {
    let note = Note::parse(note).ok()?;
    Some(Checkpoint::parse(&note.text).ok()?.size)
}

fn late() -> Failure {
    Failure::new(
        Code::Busy,
        "it took too long: ask again, which goes on where this ended, or for less",
    )
}
