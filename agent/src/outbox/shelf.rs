//! What the store holds right now, as writer and readers share it. Locked only for moments.

use lineside_proto::{Gap, OutboxFigures, Time};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::index::Contents;
use super::marks::Marks;
use super::owed::{Loss, owe};
use super::segment::Segment;

/// Commits further apart than this tell of a clock that was set, or of an agent that did not run: a gateway
/// without a battery wakes in the past, and must not lose its backlog as too old when it learns the time.
const PAUSE_MS: i64 = 3_600_000;

/// What the store may use.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Bytes on disk at most.
    pub size_bytes_max: u64,
    /// How long an undelivered message is kept.
    pub age_max: Duration,
    /// Bytes on disk at which a segment is full.
    pub segment_bytes: u64,
    /// The reserve.
    pub reserve_bytes: u64,
    /// Asks how much room is left beside a directory.
    pub free: fn(&Path) -> std::io::Result<u64>,
}

/// A segment that is full.
#[derive(Debug)]
pub(super) struct Held {
    pub contents: Contents,
    /// On disk.
    pub bytes: u64,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Tail {
    pub contents: Contents,
    pub bytes: u64,
    /// When it was begun; its messages are about as old.
    pub since: Time,
    pub segment: Arc<Segment>,
}

/// The segments and marks.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The stream of what is appended.
    pub stream: String,
    /// Full segments, oldest first.
    pub closed: VecDeque<Held>,
    pub tail: Option<Tail>,
    /// Everything below is durable.
    pub end: u64,
    /// Everything below is acknowledged.
    pub delivered: u64,
    /// Gap documents that wait for the next commit.
    pub owed: Vec<Gap>,
    pub marks: Marks,
    /// Messages dropped since the store was opened.
    pub dropped: u64,
    /// Bytes of segments that were set aside.
    pub aside_bytes: u64,
    /// The index no longer says what this does.
    pub is_dirty: bool,
    /// A reader found no room to open a segment.
    pub is_room_needed: bool,
    /// The tail is to be closed: it can't be read, or the clock was set since.
    pub is_tail_done: bool,
    /// The time of the last commit.
    pub at: Option<Time>,
}

/// Where a reader goes on.
pub(super) struct Place {
    /// The position to read.
    pub position: u64,
    /// The segment's first position.
    pub first: u64,
    /// Where the segment's durable records end.
    pub end: u64,
    /// Whether positions are known to be missing.
    pub holes: bool,
    /// The tail, if that is it.
    pub tail: Option<Arc<Segment>>,
}

impl Shelf {
    /// The first place at or after a position that has durable records.
    pub(super) fn locate(&self, position: u64) -> Option<Place> {
        let closed = self.closed.iter().map(|held| (&held.contents, None));
        let tail = self.tail.iter();
        let tail = tail.map(|tail| (&tail.contents, Some(&tail.segment)));
        let (contents, tail) = closed
            .chain(tail)
            .find(|(contents, _)| contents.end > position)?;
        Some(Place {
            position: position.max(contents.first),
            first: contents.first,
            end: contents.end,
            holes: contents.holes,
            tail: tail.cloned(),
        })
    }

    /// The contents of the segment that begins at a position.
    pub(super) fn contents_mut(&mut self, first: u64) -> Option<&mut Contents> {
        let closed = self.closed.iter_mut().map(|held| &mut held.contents);
        let tail = self.tail.iter_mut().map(|tail| &mut tail.contents);
        closed.chain(tail).find(|contents| contents.first == first)
    }

    /// Takes a full segment off.
    pub(super) fn remove(&mut self, first: u64) -> Option<Held> {
        let place = self
            .closed
            .iter()
            .position(|held| held.contents.first == first)?;
        self.closed.remove(place)
    }

    /// No more is written to the tail; what is durable of it stays, as a full segment.
    pub(super) fn close_tail(&mut self) -> Option<Tail> {
        let tail = self.tail.take()?;
        self.is_tail_done = false;
        self.is_dirty = true;
        if tail.contents.end > tail.contents.first {
            self.closed.push_back(Held {
                bytes: tail.bytes,
                contents: tail.contents.clone(),
            });
        }
        Some(tail)
    }

    /// Takes note of the time of a commit. A jump of the clock makes nothing older.
    pub(super) fn pass_time(&mut self, now: Time) {
        let last = self.at.replace(now).unwrap_or(now);
        let jump = now.as_millis().saturating_sub(last.as_millis());
        if (0..=PAUSE_MS).contains(&jump) {
            return;
        }
        self.is_dirty = true;
        self.is_tail_done = self.tail.is_some();
        let closed = self.closed.iter_mut().map(|held| &mut held.contents);
        let tail = self.tail.as_mut().map(|tail| &mut tail.contents);
        for contents in closed.chain(tail) {
            contents.shift_ms = contents.shift_ms.saturating_add(jump);
        }
    }

    /// Takes note of what went.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.dropped = self.dropped.saturating_add(loss.messages);
        self.is_dirty = true;
        for gap in loss.gaps {
            owe(&mut self.owed, gap);
        }
    }

    /// Moves the delivered mark, never back.
    pub(super) fn acknowledge(&mut self, up_to: u64) {
        let up_to = up_to.min(self.end);
        if up_to > self.delivered {
            self.delivered = up_to;
            self.is_dirty = true;
            self.marks.forget(up_to);
        }
    }

    /// Bytes on disk, without the reserve.
    pub(super) fn bytes(&self) -> u64 {
        let closed = self.closed.iter().map(|held| held.bytes).sum::<u64>();
        let tail = self.tail.as_ref().map_or(0, |tail| tail.bytes);
        closed + tail + self.aside_bytes
    }

    /// What people see.
    pub(super) fn figures(&self) -> OutboxFigures {
        let closed = self.closed.iter().map(|held| &held.contents);
        let all = closed.chain(self.tail.iter().map(|tail| &tail.contents));
        let messages = all
            .map(|contents| {
                let first = contents.first.max(self.delivered);
                contents.end.saturating_sub(first)
            })
            .sum();
        OutboxFigures {
            messages,
            bytes: self.bytes(),
            oldest: (messages > 0).then(|| self.marks.oldest()).flatten(),
            dropped: self.dropped,
        }
    }
}
