//! The durable queue of telemetry and gaps: what the city has not acknowledged yet, on disk.
//!
//! It numbers nothing that others see: a record comes with its `seq`, and gets a *position*, which rises over
//! all machines and means nothing outside. It keeps no states and no usage, and never holds in memory what it
//! could not store, beyond [`PENDING_BYTES_MAX`].
//!
//! # On disk
//!
//! ```text
//! outbox/
//!   lock                       held for life; says which process holds it
//!   index.0, index.1           the index, two slots in turn (`slots`)
//!   reserve                    room given up when the disk is full
//!   seg-00000000000000001234/  a segment: one sled database; the number is its first position
//!   bad-seg-…/                 set aside, at most three
//! ```
//!
//! A *record* is one message. Consecutive records are compressed together as a *pack* (`pack`), and a pack is
//! stored as *blocks* of at most 6 KB (`block`), each with a CRC of its own: a record may be longer than a
//! block, up to [`PAYLOAD_BYTES_MAX`]. A segment is full at about 4 MiB on disk. It is created under a temporary
//! name, synced, renamed, and its parent synced. Only the last one, the *tail*, is written; it and at most
//! one other are open.
//!
//! The *index* stands outside sled, since sled drops a damaged tail without a word. It names the stream, the
//! next `seq` of each machine, the delivered mark, for each segment its positions and, by machine, the range
//! of seqs and times and the number of messages and samples, and the gap documents that are owed.
//!
//! # A commit
//!
//! 1. What is delivered, too much or too old is let go: the index is written without it and with the gap
//!    documents that it costs, then the directories are removed.
//! 2. Packs are stored, gap documents that are owed among them; `flush()`, then `sync_all()` on the
//!    segment's file, which `flush()` alone leaves unsafe.
//! 3. The index is written and synced. Only now are the records durable, and only durable ones are read.
//!
//! A tail that refused anything is closed as it was at the last commit, and the next try uses a new one.
//!
//! # Recovery
//!
//! - The index rules. A segment that it names and that is missing, can't be opened or holds less than it
//!   should is a loss: gap documents name it, by the ranges in the index, and an alarm is raised. What can
//!   still be read of a segment is. What can't be opened is set aside.
//! - Whole packs behind the end that the index names were stored by a commit that was cut off, or the newer
//!   slot is damaged; they are taken in. Anything else behind it is removed.
//! - Segments below what the index names were on their way out, and are removed.
//! - Without an index a new stream begins; segments that can be read are sent as they are, in their old one.
//! - Damage in the middle of a full segment is found when it is read, and named then.
//!
//! # Bounds
//!
//! Age counts while the agent commits: a jump of the clock makes nothing older.
//! The directory's measured size, reserve included, stays within the cap; the oldest segment goes first,
//! whole, and what it had not delivered is named. Gap documents in it are stored anew. When the disk is
//! full, what was set aside goes first, then the reserve, then the oldest segments.

mod aside;
mod block;
mod disk;
mod error;
mod extent;
mod hold;
mod index;
mod marks;
mod owed;
mod pack;
mod reader;
mod recover;
mod reserve;
mod room;
mod scan;
mod segment;
mod shelf;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use lineside_proto::{Identifier, OutboxFigures, Time};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

use crate::config::model;
use shelf::Limits;
use store::{Store, lock};

pub use error::StoreError;

/// A payload's length at most. Far above what a machine says in a second (25 KB for 1,000 floats), within
/// what MQTT brokers take by default, and small enough to be held several times over.
pub const PAYLOAD_BYTES_MAX: usize = 128 << 10;

/// What may wait for a commit, compressed: some 15 s of 10,000 points a second while the disk is slow.
/// Beyond it the oldest goes and is named by a gap document.
pub const PENDING_BYTES_MAX: usize = 2 << 20;

/// The smallest cap that the store can keep to; a smaller one counts as this.
pub const SIZE_BYTES_MIN: u64 = 8 << 20;

/// The cap where none is set, or a tenth of the partition, if that is smaller.
const SIZE_BYTES_DEFAULT: u64 = 2 << 30;

/// A full segment on disk: large enough that creating and removing them costs little, small enough that
/// what sled keeps in memory for it, and what one loss costs, stay small.
const SEGMENT_BYTES: u64 = 4 << 20;

/// The reserve: room to open some segments and write the gap documents of what is shed.
const RESERVE_BYTES: u64 = 64 << 20;

/// Where the cap is small: so many segments fit it …
const SEGMENTS_MIN: u64 = 16;
/// … and the reserve takes this share of it.
const RESERVE_SHARE: u64 = 16;

pub use crate::record::{Record, RecordKind};

/// What the store has found at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The stream of what is appended from now on.
    pub stream: String,
    /// The next `seq` of each machine; 0 for one that is not here.
    pub next_seq: BTreeMap<Identifier, u64>,
    /// What people must hear of: damage, and what it cost.
    pub alarms: Vec<String>,
}

/// The durable queue. Cheap to clone; every call may block on the disk, but for [`delivered`](Self::delivered),
/// [`acknowledge`](Self::acknowledge) and [`figures`](Self::figures).
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Store>);

impl Outbox {
    /// Opens the queue in a directory of its own, created where there is none, and recovers what is there.
    ///
    /// # Errors
    /// [`StoreError::Held`] if another process uses the directory; [`StoreError::Full`] or
    /// [`StoreError::Disk`] if the disk refuses. Damage is no error: see [`Recovered::alarms`].
    pub fn open(
        dir: &Path,
        settings: &model::Outbox,
        now: Time,
    ) -> Result<(Self, Recovered), StoreError> {
        let size = match settings.size_bytes_max {
            Some(size) => size,
            None => default_size(dir)?,
        };
        Self::open_with(dir, limits(size, settings), now)
    }

    fn open_with(dir: &Path, limits: Limits, now: Time) -> Result<(Self, Recovered), StoreError> {
        let (store, recovered) = recover::recover(dir, limits, now)?;
        Ok((Self(Arc::new(store)), recovered))
    }

    /// Takes records in, to be made durable by the next commit. All or none.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] or [`StoreError::NotAGap`] for what can never be stored.
    pub fn append(&self, records: Vec<Record>) -> Result<(), StoreError> {
        self.0.append(&records)
    }

    /// Makes everything appended durable, and the delivered mark, and gives the end position. Before it
    /// writes it lets go of what is delivered, too old or too much. Without anything new it touches no disk.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Disk`]; what was appended waits for the next commit, reading
    /// and acknowledging go on.
    pub fn commit(&self, now: Time) -> Result<u64, StoreError> {
        self.0.commit(now)
    }

    /// The durable end: every record below it may be read.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.0.durable.subscribe()
    }

    /// Everything below it is acknowledged.
    pub fn delivered(&self) -> u64 {
        lock(&self.0.shelf).delivered
    }

    /// Durable records from a position on, or from the first there is behind it, up to about `bytes_max`
    /// bytes of payload, but at least one. Positions rise; what was dropped or damaged is left out.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Disk`]: try again later. Damage is no error: it is named by a
    /// gap document, and reading goes on behind it.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Record)>, StoreError> {
        self.0.read(from, bytes_max)
    }

    /// Everything below `up_to` was acknowledged and may go. Durable with the next commit.
    pub fn acknowledge(&self, up_to: u64) {
        lock(&self.0.shelf).acknowledge(up_to);
    }

    /// Makes the delivered mark durable, and nothing else: whoever acknowledges much between two commits
    /// bounds by it what is sent again after a crash.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn note_delivered(&self) -> Result<(), StoreError> {
        let mut writer = lock(&self.0.writer);
        self.0.write_index(&mut writer).map(drop)
    }

    /// What people see of the queue.
    pub fn figures(&self) -> OutboxFigures {
        lock(&self.0.shelf).figures()
    }

    /// The last commit of this process. The directory is free for another once every clone is dropped.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn close(&self, now: Time) -> Result<(), StoreError> {
        self.commit(now).map(drop)
    }
}

/// The smaller of the default and a tenth of the partition of `dir`, or of where it will be.
fn default_size(dir: &Path) -> Result<u64, StoreError> {
    let there = dir.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new("."));
    let partition = disk::partition(there).map_err(StoreError::disk(there))?;
    Ok(SIZE_BYTES_DEFAULT.min(partition / 10))
}

fn limits(size: u64, settings: &model::Outbox) -> Limits {
    let size = size.max(SIZE_BYTES_MIN);
    Limits {
        size_bytes_max: size,
        age_max: settings.age_max,
        segment_bytes: SEGMENT_BYTES.min(size / SEGMENTS_MIN),
        reserve_bytes: RESERVE_BYTES.min(size / RESERVE_SHARE),
        free: disk::free,
    }
}
