//! Finding out, at the start, what is there, what should be, and naming the difference.

use lineside_proto::{Identifier, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use ulid::Ulid;

use super::hold::Hold;
use super::index::{Contents, Index, IndexFile, first_in, name_of};
use super::owed;
use super::reader::{DAMAGED, Reader};
use super::reserve::Reserve;
use super::scan::scan;
use super::segment::{Segment, SegmentError};
use super::shelf::{Held, Limits, Shelf, Tail};
use super::store::Store;
use super::writer::Writer;
use super::{Recovered, StoreError, aside, disk};

struct Recovery<'a> {
    dir: &'a Path,
    now: Time,
    reserve: Reserve,
    shelf: Shelf,
    next_seq: BTreeMap<Identifier, u64>,
    /// Segments on disk that are not accounted for yet.
    found: BTreeSet<u64>,
    alarms: Vec<String>,
}

/// Opens the store of a directory, created where there is none.
pub(super) fn recover(
    dir: &Path,
    limits: Limits,
    now: Time,
) -> Result<(Store, Recovered), StoreError> {
    let disk_error = || StoreError::disk(dir);
    fs::create_dir_all(dir).map_err(disk_error())?;
    let hold = Hold::take(dir)?;
    let mut recovery = Recovery {
        dir,
        now,
        reserve: Reserve::find(dir, limits.reserve_bytes),
        shelf: Shelf::default(),
        next_seq: BTreeMap::new(),
        found: segments(dir).map_err(disk_error())?,
        alarms: Vec::new(),
    };
    let (file, index) = recovery
        .with_room(|| IndexFile::open(dir))
        .map_err(disk_error())?;
    let lost = index.is_none() && (file.is_damaged() || !recovery.found.is_empty());
    match index {
        Some(index) => recovery.account(index)?,
        None => recovery.begin(lost)?,
    }
    recovery.shelf.aside_bytes = aside::measure(dir);
    recovery.mark();
    recovery.finish(limits, file, hold)
}

impl Recovery<'_> {
    /// A new stream. Segments of a lost index are kept as they read.
    fn begin(&mut self, lost: bool) -> Result<(), StoreError> {
        let millis = u64::try_from(self.now.as_millis()).unwrap_or(0);
        let salt = fastrand::u128(..);
        self.shelf.stream = Ulid::from_parts(millis, salt).to_string();
        if lost {
            self.alarm("the outbox's index is lost: a new stream begins".to_owned());
        }
        for first in std::mem::take(&mut self.found) {
            let Some(segment) = self.open(first)? else {
                continue;
            };
            if let Some(contents) = self.guarded(first, || read_contents(&segment, first))? {
                self.shelf.end = contents.end;
                self.keep(contents);
            }
        }
        let head = self.shelf.closed.front();
        self.shelf.delivered = head.map_or(0, |held| held.contents.first);
        Ok(())
    }

    /// Compares the index with what is there.
    fn account(&mut self, index: Index) -> Result<(), StoreError> {
        self.shelf.stream = index.stream;
        self.shelf.end = index.end;
        self.shelf.delivered = index.delivered;
        self.shelf.owed = index.owed;
        self.shelf.at = index.at;
        self.next_seq = index.next_seq;
        for contents in index.segments {
            let found = self.found.contains(&contents.first);
            if contents.end <= index.delivered {
                continue;
            }
            if found {
                self.found.remove(&contents.first);
                self.keep(contents);
            } else {
                self.lose_all(&contents, "is missing");
            }
        }
        if let Some(contents) = index.tail {
            self.resume(contents)?;
        }
        for first in std::mem::take(&mut self.found) {
            self.adopt(first)?;
        }
        Ok(())
    }

    /// Goes on with the tail, and with what of it was stored and not yet counted.
    fn resume(&mut self, mut contents: Contents) -> Result<(), StoreError> {
        let first = contents.first;
        if !self.found.remove(&first) {
            self.lose_all(&contents, "is missing");
            return Ok(());
        }
        let opened = match self.open_segment(first)? {
            Ok(segment) => take_in(&segment, &mut contents).map(|whole| (segment, whole)),
            Err(text) => Err(SegmentError::Damaged(text)),
        };
        match opened {
            Ok((segment, true)) => {
                self.shelf.end = contents.end;
                contents.shares.pass(&mut self.next_seq);
                let oldest = contents.shares.from().unwrap_or(self.now);
                self.shelf.tail = Some(Tail {
                    bytes: disk::measure(&self.dir.join(contents.name())),
                    since: oldest.plus_millis(contents.shift_ms).min(self.now),
                    segment: Arc::new(segment),
                    contents,
                });
                Ok(())
            }
            Ok((segment, false)) => self.lose_part(contents, &segment),
            Err(SegmentError::Damaged(text)) => {
                self.set_aside(first, &text);
                self.lose_all(&contents, "could not be read");
                Ok(())
            }
            Err(SegmentError::Passing(error)) => Err(StoreError::disk(self.dir)(error)),
        }
    }

    /// The tail holds less than was durable.
    fn lose_part(&mut self, mut contents: Contents, segment: &Segment) -> Result<(), StoreError> {
        let first = contents.first;
        let seen = self.guarded(first, || scan(segment, first, Some(contents.end)).map(Some))?;
        let Some(seen) = seen else {
            self.lose_all(&contents, "could not be read");
            return Ok(());
        };
        let loss = owed::lost(&contents, &seen, self.shelf.delivered, DAMAGED);
        self.alarm(format!(
            "the outbox's segment {} ends too early: {} messages are lost, and named by gap documents",
            contents.name(),
            loss.messages
        ));
        self.shelf.lose(loss);
        contents.holes = true;
        self.keep(contents);
        Ok(())
    }

    /// A segment that the index does not name: what follows the end is taken in; what does not was on its
    /// way out, or never counted.
    fn adopt(&mut self, first: u64) -> Result<(), StoreError> {
        if first != self.shelf.end {
            if first > self.shelf.end {
                self.set_aside(first, "the index does not know it");
            } else {
                self.discard(first);
            }
            return Ok(());
        }
        let Some(segment) = self.open(first)? else {
            return Ok(());
        };
        let contents = self.guarded(first, || read_contents(&segment, first))?;
        drop(segment);
        match contents {
            Some(contents) if !contents.holes => {
                contents.shares.pass(&mut self.next_seq);
                self.shelf.end = contents.end;
                if let Some(tail) = self.shelf.close_tail() {
                    drop(tail);
                }
                self.keep(contents);
            }
            Some(_) | None => self.discard(first),
        }
        Ok(())
    }

    fn finish(
        mut self,
        limits: Limits,
        file: IndexFile,
        hold: Hold,
    ) -> Result<(Store, Recovered), StoreError> {
        let dir = self.dir;
        let free = (limits.free)(dir).map_err(StoreError::disk(dir))?;
        let reserve = std::mem::replace(&mut self.reserve, Reserve::find(dir, 0));
        let recovered = Recovered {
            stream: self.shelf.stream.clone(),
            next_seq: self.next_seq.clone(),
            alarms: self.alarms,
        };
        let mut writer =
            Writer::new(file, self.next_seq, reserve).map_err(StoreError::disk(dir))?;
        let (durable, _) = watch::channel(self.shelf.end);
        self.shelf.is_dirty = true;
        let tail = self.shelf.tail.as_ref().map(|tail| tail.contents.clone());
        let record = writer
            .note(&mut self.shelf, tail.as_ref())
            .map_err(StoreError::disk(dir))?;
        let written = match writer.index.write(&record) {
            Err(error) if disk::is_full(&error) && writer.reserve.release() => {
                writer.index.write(&record)
            }
            other => other,
        };
        written.map_err(StoreError::disk(dir))?;
        writer.reserve.ensure(free);
        let store = Store {
            dir: dir.to_owned(),
            limits,
            shelf: Mutex::new(self.shelf),
            writer: Mutex::new(writer),
            reader: Mutex::new(Reader::default()),
            door: Mutex::new(None),
            durable,
            hold,
        };
        Ok((store, recovered))
    }

    fn mark(&mut self) {
        let closed = self.shelf.closed.iter().map(|held| &held.contents);
        let all = closed.chain(self.shelf.tail.iter().map(|tail| &tail.contents));
        let marks: Vec<_> = all
            .filter_map(|contents| Some((contents.first, contents.shares.from()?)))
            .collect();
        for (position, from) in marks {
            self.shelf.marks.push(position, from);
        }
        self.shelf.marks.forget(self.shelf.delivered);
    }

    fn keep(&mut self, contents: Contents) {
        self.shelf.closed.push_back(Held {
            bytes: disk::measure(&self.dir.join(contents.name())),
            contents,
        });
    }

    fn lose_all(&mut self, contents: &Contents, how: &str) {
        if contents.end <= self.shelf.delivered.max(contents.first) {
            return;
        }
        let loss = owed::given_up(contents, None, DAMAGED);
        self.alarm(format!(
            "the outbox's segment {} {how}: {} messages are lost, and named by gap documents",
            contents.name(),
            loss.messages
        ));
        self.shelf.lose(loss);
    }

    /// Opens a segment; none if it had to be set aside.
    fn open(&mut self, first: u64) -> Result<Option<Segment>, StoreError> {
        match self.open_segment(first)? {
            Ok(segment) => Ok(Some(segment)),
            Err(text) => {
                self.set_aside(first, &text);
                Ok(None)
            }
        }
    }

    fn open_segment(&mut self, first: u64) -> Result<Result<Segment, String>, StoreError> {
        let path = self.dir.join(name_of(first));
        let opened = self.with_room(|| match Segment::open(&path) {
            Ok(segment) => Ok(Ok(segment)),
            Err(SegmentError::Damaged(text)) => Ok(Err(text)),
            Err(SegmentError::Passing(error)) => Err(error),
        });
        opened.map_err(StoreError::disk(&path))
    }

    /// What a call gives on an open segment; none if the segment had to be set aside.
    fn guarded<T>(
        &mut self,
        first: u64,
        call: impl FnOnce() -> Result<Option<T>, SegmentError>,
    ) -> Result<Option<T>, StoreError> {
        match call() {
            Ok(result) => Ok(result),
            Err(SegmentError::Damaged(text)) => {
                self.set_aside(first, &text);
                Ok(None)
            }
            Err(SegmentError::Passing(error)) => Err(StoreError::disk(self.dir)(error)),
        }
    }

    /// Tries again without the reserve where the disk is full.
    fn with_room<T>(&mut self, call: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match call() {
            Err(error) if disk::is_full(&error) && self.reserve.release() => call(),
            other => other,
        }
    }

    fn set_aside(&mut self, first: u64, why: &str) {
        let name = name_of(first);
        match aside::set_aside(self.dir, &name) {
            Ok(aside) => self.alarm(format!(
                "the outbox's segment {name} is set aside as {aside}: {why}"
            )),
            Err(error) => self.alarm(format!(
                "the outbox's segment {name} could not be set aside ({error}): {why}"
            )),
        }
    }

    fn discard(&mut self, first: u64) {
        let dir = self.dir.join(name_of(first));
        if let Err(error) = disk::remove(&dir) {
            tracing::warn!(%error, dir = %dir.display(), "a segment of the outbox could not be removed");
        }
    }

    fn alarm(&mut self, text: String) {
        tracing::error!("alarm: {text}");
        self.alarms.push(text);
    }
}

/// Reads the tail on behind what the index names, and removes what is of no use there. False: it holds
/// less than the index names.
fn take_in(segment: &Segment, contents: &mut Contents) -> Result<bool, SegmentError> {
    let last = segment.last()?.unwrap_or(contents.first);
    if last < contents.end {
        return Ok(false);
    }
    let seen = scan(segment, contents.end, None)?;
    if segment.next(seen.end)?.is_some() {
        segment.remove_from(seen.end)?;
    }
    contents.end = seen.end;
    contents.shares.merge(&seen.shares);
    Ok(true)
}

/// What a segment holds that the index says nothing about; none if that is nothing.
fn read_contents(segment: &Segment, first: u64) -> Result<Option<Contents>, SegmentError> {
    let end = segment.last()?.unwrap_or(first);
    let seen = scan(segment, first, Some(end))?;
    let stream = seen.stream.clone();
    Ok(stream.map(|stream| Contents {
        first,
        end,
        stream,
        holes: seen.holes,
        shift_ms: 0,
        shares: seen.shares,
    }))
}

/// The first positions of the segments in a directory. What was never finished is removed.
fn segments(dir: &Path) -> io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("new-") {
            disk::remove(&entry.path())?;
        }
        found.extend(first_in(&name));
    }
    Ok(found)
}
