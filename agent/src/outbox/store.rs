//! The store as a whole: its directory, its locks and who takes them.
//!
//! Locks are taken in the order writer or reader, then door, then shelf. The shelf is held for moments
//! only; nothing is compressed, read or synced under it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

use super::hold::Hold;
use super::index::name_of;
use super::reader::Reader;
use super::segment::{Segment, SegmentError};
use super::shelf::{Limits, Shelf};
use super::writer::Writer;
use super::{StoreError, disk};

/// Everything behind an [`Outbox`](super::Outbox).
#[derive(Debug)]
pub(super) struct Store {
    pub dir: PathBuf,
    pub limits: Limits,
    pub shelf: Mutex<Shelf>,
    pub writer: Mutex<Writer>,
    pub reader: Mutex<Reader>,
    /// The one full segment that is open, by its first position. Who opens, removes or renames a full
    /// segment holds this.
    pub door: Mutex<Option<(u64, Arc<Segment>)>>,
    pub durable: watch::Sender<u64>,
    #[expect(dead_code, reason = "keeps other processes out as long as it lives")]
    pub hold: Hold,
}

/// Locks; a panic elsewhere left nothing half done that matters more than going on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens a full segment; none if it is no longer on the shelf.
    pub(super) fn enter(&self, first: u64) -> Result<Option<Arc<Segment>>, SegmentError> {
        let mut door = lock(&self.door);
        if let Some((open, segment)) = door.as_ref() {
            if *open == first {
                return Ok(Some(Arc::clone(segment)));
            }
        }
        *door = None;
        let listed = lock(&self.shelf)
            .closed
            .iter()
            .any(|held| held.contents.first == first);
        if !listed {
            return Ok(None);
        }
        let dir = self.dir.join(name_of(first));
        let segment = Arc::new(Segment::open(&dir)?);
        let bytes = disk::measure(&dir);
        let mut shelf = lock(&self.shelf);
        let mut closed = shelf.closed.iter_mut();
        if let Some(held) = closed.find(|held| held.contents.first == first) {
            held.bytes = bytes;
        }
        drop(shelf);
        *door = Some((first, Arc::clone(&segment)));
        Ok(Some(segment))
    }

    /// Shuts the full segment that is open, if it is this one, and keeps the door while `act` works on
    /// its directory.
    pub(super) fn shut<T>(&self, first: u64, act: impl FnOnce() -> T) -> T {
        let mut door = lock(&self.door);
        if door.as_ref().is_some_and(|(open, _)| *open == first) {
            *door = None;
        }
        act()
    }

    /// Removes the directory of a segment that is off the shelf.
    pub(super) fn discard(&self, first: u64) {
        let dir = self.dir.join(name_of(first));
        if let Err(error) = self.shut(first, || disk::remove(&dir)) {
            // It is found again, and removed, at the next start.
            tracing::warn!(%error, dir = %dir.display(), "a segment of the outbox could not be removed");
        }
    }

    /// What a segment's refusal means to the caller.
    pub(super) fn refusal(&self, error: SegmentError) -> StoreError {
        let source = match error {
            SegmentError::Passing(source) => source,
            SegmentError::Damaged(text) => std::io::Error::other(text),
        };
        let error = StoreError::disk(&self.dir)(source);
        if error.is_full() {
            lock(&self.shelf).is_room_needed = true;
        }
        error
    }
}
