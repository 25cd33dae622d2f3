//! Making room: what is delivered, too old or too much leaves, and what that costs is named.

use bytesize::ByteSize;
use lineside_proto::Time;
use std::time::Duration;

use super::StoreError;
use super::aside;
use super::owed;
use super::scan::scan;
use super::shelf::Shelf;
use super::store::{Store, lock};
use super::writer::Writer;

/// Bytes on disk for each byte that is stored, at most: sled writes leaves anew as they fill.
const GROWTH: u64 = 4;

/// What a new segment takes on disk before anything is in it.
pub(super) const NEWBORN_BYTES: u64 = 640 << 10;

/// What opening a full segment to read it may take: sled fills up the last of its own 512 KiB segments and
/// writes a snapshot.
const OPENING_BYTES: u64 = 640 << 10;

/// A tail is closed when its oldest message has this share of the age limit, so that messages leave
/// about when they should.
const AGE_SHARE: i64 = 16;

impl Store {
    /// Lets go of what is delivered, too much or too old, before anything is written.
    pub(super) fn retire(&self, writer: &mut Writer, now: Time) -> Result<(), StoreError> {
        let ripe = self.is_tail_ripe(&lock(&self.shelf), now);
        if ripe {
            self.close_tail();
        }
        if lock(&self.shelf).aside_bytes > 0 && self.is_over(writer) {
            self.prune_aside();
        }
        while let Some((first, why)) = self.next_to_go(writer, now) {
            match why {
                Why::Delivered => drop(lock(&self.shelf).remove(first)),
                Why::Lost(reason) => self.shed(first, &reason),
            }
            writer.gone.push(first);
        }
        self.let_go(writer)
    }

    /// Removes segments that went, once the index says so.
    fn let_go(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if !writer.gone.is_empty() {
            lock(&self.shelf).is_dirty = true;
            self.write_index(writer)?;
            for first in writer.gone.drain(..) {
                self.discard(first);
            }
        }
        Ok(())
    }

    fn is_tail_ripe(&self, shelf: &Shelf, now: Time) -> bool {
        let horizon = now.plus_millis(-(age_ms(self.limits.age_max) / AGE_SHARE));
        shelf.is_tail_done
            || shelf.tail.as_ref().is_some_and(|tail| {
                let old = tail.since < horizon && tail.contents.end > tail.contents.first;
                tail.bytes >= self.limits.segment_bytes || old
            })
    }

    fn is_over(&self, writer: &Writer) -> bool {
        let used = lock(&self.shelf).bytes();
        used.saturating_add(self.limits.reserve_bytes)
            .saturating_add(need(writer))
            > self.limits.size_bytes_max
    }

    fn next_to_go(&self, writer: &Writer, now: Time) -> Option<(u64, Why)> {
        let over = self.is_over(writer);
        let age_max = self.limits.age_max;
        let shelf = lock(&self.shelf);
        let contents = &shelf.closed.front()?.contents;
        let newest = contents
            .shares
            .telemetry()
            .map(|(_, extent)| extent.to)
            .max();
        let why = if contents.end <= shelf.delivered {
            Why::Delivered
        } else if over {
            let cap = ByteSize(self.limits.size_bytes_max);
            Why::Lost(format!("the outbox was full (cap {cap})"))
        } else if newest.is_some_and(|newest| {
            newest.plus_millis(contents.shift_ms) < now.plus_millis(-age_ms(age_max))
        }) {
            Why::Lost(format!(
                "older than {}",
                humantime::format_duration(age_max)
            ))
        } else {
            return None;
        };
        Some((contents.first, why))
    }

    /// Takes a full segment off the shelf; what of it is undelivered becomes gap documents, and its gap
    /// documents are kept.
    fn shed(&self, first: u64, reason: &str) {
        let (contents, delivered) = {
            let mut shelf = lock(&self.shelf);
            let delivered = shelf.delivered;
            let Some(contents) = shelf.contents_mut(first) else {
                return;
            };
            (contents.clone(), delivered)
        };
        let from = delivered.max(first);
        let simple = from == first && contents.shares.gaps().next().is_none() && !contents.holes;
        let seen = if simple {
            None
        } else {
            let segment = self.enter(first);
            let seen = segment.and_then(|segment| {
                segment.map_or(Ok(None), |segment| {
                    scan(&segment, from, Some(contents.end)).map(Some)
                })
            });
            seen.unwrap_or_else(|error| {
                tracing::warn!(%error, segment = contents.name(), "shed unread");
                None
            })
        };
        let loss = owed::given_up(&contents, seen.as_ref(), reason);
        tracing::warn!(
            segment = contents.name(),
            messages = loss.messages,
            reason,
            "telemetry is dropped"
        );
        let mut shelf = lock(&self.shelf);
        shelf.remove(first);
        shelf.lose(loss);
    }

    fn prune_aside(&self) {
        if let Err(error) = aside::prune(&self.dir, 0) {
            tracing::warn!(%error, "segments that were set aside could not be removed");
        }
        lock(&self.shelf).aside_bytes = aside::measure(&self.dir);
    }

    /// Gives up what was set aside, or the reserve. False: there was neither.
    pub(super) fn give_up_spare(&self, writer: &mut Writer) -> bool {
        if lock(&self.shelf).aside_bytes > 0 {
            self.prune_aside();
            return true;
        }
        writer.reserve.release()
    }

    /// Gives up what can be spared, or else the oldest segment. False: there was nothing left.
    pub(super) fn make_room(&self, writer: &mut Writer) -> bool {
        if self.give_up_spare(writer) {
            return true;
        }
        if lock(&self.shelf).closed.is_empty() {
            self.close_tail();
        }
        let head = lock(&self.shelf)
            .closed
            .front()
            .map(|held| held.contents.first);
        let Some(first) = head else {
            return false;
        };
        self.shed(first, "the disk was full");
        writer.gone.push(first);
        self.let_go(writer).is_ok()
    }
}

enum Why {
    Delivered,
    Lost(String),
}

/// Bytes that a commit may take on disk, and a read after it.
pub(super) fn need(writer: &Writer) -> u64 {
    GROWTH
        .saturating_mul(writer.pending_bytes as u64)
        .saturating_add(NEWBORN_BYTES + OPENING_BYTES)
}

fn age_ms(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}
