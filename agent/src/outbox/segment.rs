//! A segment: one sled database in a directory of its own. The only file that names sled.
//!
//! Every call into sled is guarded: what panics there comes back as [`SegmentError::Damaged`].

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use super::block::{Block, Key, first_of, key};
use super::pack::{self, Pack};
use super::{Record, block, disk};

/// The page cache of one database. A gateway has little memory, and the queue is read once, in order.
const CACHE_BYTES: u64 = 2 << 20;

/// sled lets go of its lock a little after a database is dropped: so often is it asked again …
const LOCK_TRIES: u32 = 40;
/// … after this pause each.
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Why a segment could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// What the disk holds is no longer what was written.
    #[error("{0}")]
    Damaged(String),
    /// The system refused; later it may not.
    #[error("the system refused")]
    Passing(#[source] io::Error),
}

/// One database.
pub(super) struct Segment {
    /// None only while it is being dropped, which is guarded like every other call.
    db: Option<sled::Db>,
    file: File,
    dir: PathBuf,
}

/// What stands at a position.
pub(super) enum Found {
    /// The pack that holds it.
    Pack(OpenPack),
    /// Nothing readable; the next pack begins there, if any follows.
    Hole(Option<u64>),
}

/// A pack that was read back.
#[derive(Debug)]
pub(super) struct OpenPack {
    /// Position of the first record.
    pub first: u64,
    /// The stream that the records belong to.
    pub stream: String,
    /// The records, at consecutive positions.
    pub records: Vec<Record>,
}

impl OpenPack {
    /// The position after the last record.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.records.len() as u64)
    }

    /// Whether it has the record at a position.
    pub(super) fn holds(&self, position: u64) -> bool {
        (self.first..self.end()).contains(&position)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Segment").field(&self.dir).finish()
    }
}

impl Segment {
    /// Creates an empty segment that is there, and sound, from the moment it can be seen.
    pub(super) fn create(store: &Path, name: &str) -> Result<Self, SegmentError> {
        let newborn = store.join(format!("new-{name}"));
        let dir = store.join(name);
        let born = (|| {
            disk::remove(&newborn)?;
            fs::create_dir(&newborn)
        })();
        born.map_err(SegmentError::Passing)?;
        drop(open_db(&newborn)?);
        let named = (|| {
            disk::sync_tree(&newborn)?;
            fs::rename(&newborn, &dir)?;
            disk::sync(store)
        })();
        named.map_err(SegmentError::Passing)?;
        Self::open(&dir)
    }

    /// Opens a segment, after what a crash may have left of sled's own snapshots is cleared away.
    pub(super) fn open(dir: &Path) -> Result<Self, SegmentError> {
        let path = dir.join("db");
        if !path.is_file() {
            return Err(SegmentError::Damaged("its file is missing".to_owned()));
        }
        clear_snapshots(dir, |name, length| {
            length == 0 || name.ends_with(".generating")
        })
        .map_err(SegmentError::Passing)?;
        let db = match open_db(dir) {
            // A snapshot only saves reading the log; one that is damaged costs no record.
            Err(SegmentError::Damaged(_)) => {
                clear_snapshots(dir, |_, _| true).map_err(SegmentError::Passing)?;
                open_db(dir)?
            }
            other => other?,
        };
        disk::sync_tree(dir).map_err(SegmentError::Passing)?;
        let file = File::open(&path).map_err(SegmentError::Passing)?;
        Ok(Self {
            db: Some(db),
            file,
            dir: dir.to_owned(),
        })
    }

    /// Stores a pack, its first record at `first`. Not durable before [`sync`](Self::sync).
    pub(super) fn put(&self, first: u64, pack: &Pack) -> Result<(), SegmentError> {
        for (key, value) in block::blocks_of(first, pack) {
            self.with(|db| db.insert(key, value))?;
        }
        Ok(())
    }

    /// Makes everything stored durable. `flush` alone leaves the file's size and the drive's cache
    /// unsynced.
    pub(super) fn sync(&self) -> Result<(), SegmentError> {
        self.with(|db| db.flush())?;
        self.file.sync_all().map_err(SegmentError::Passing)
    }

    /// What stands at a position.
    pub(super) fn find(&self, position: u64) -> Result<Found, SegmentError> {
        let mut first = position;
        if !self.with(|db| db.contains_key(key(position, 0)))? {
            let before = self.with(|db| db.get_lt(key(position, 0)))?;
            first = before
                .and_then(|(key, _)| first_of(&key))
                .unwrap_or(position);
        }
        if let Some(pack) = self.load(first)? {
            if pack.holds(position) {
                return Ok(Found::Pack(pack));
            }
        }
        // A pack that can't be read tells no length: the search goes on behind its first record.
        Ok(Found::Hole(self.next(position.saturating_add(1))?))
    }

    /// Where the next pack begins, at or after a position.
    pub(super) fn next(&self, position: u64) -> Result<Option<u64>, SegmentError> {
        let entry = self.with(|db| db.range(key(position, 0)..).next().transpose())?;
        Ok(entry.and_then(|(key, _)| first_of(&key)))
    }

    /// The end of the last pack that is there, whole or not; none: there is nothing.
    pub(super) fn last(&self) -> Result<Option<u64>, SegmentError> {
        let entry = self.with(|db| db.last())?;
        Ok(entry.and_then(|(key, value)| {
            let count = Block::parse(&value).map_or(1, |block| u64::from(block.count));
            Some(first_of(&key)?.saturating_add(count))
        }))
    }

    /// Removes every pack that begins at or after a position.
    pub(super) fn remove_from(&self, position: u64) -> Result<(), SegmentError> {
        while let Some((name, _)) = self.with(|db| db.get_gt(key(position, 0)))? {
            self.with(|db| db.remove(name))?;
        }
        self.with(|db| db.remove(key(position, 0)))?;
        self.sync()
    }

    fn with<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, SegmentError> {
        let closed = || SegmentError::Damaged("it is closed".to_owned());
        let db = self.db.as_ref().ok_or_else(closed)?;
        guard(|| call(db))
    }

    fn load(&self, first: u64) -> Result<Option<OpenPack>, SegmentError> {
        let mut body = Vec::new();
        let mut part = 0;
        loop {
            let name: Key = key(first, part);
            let Some(value) = self.with(|db| db.get(name))? else {
                return Ok(None);
            };
            let Some(block) = Block::parse(&value) else {
                return Ok(None);
            };
            if block.first != first || block.part != part {
                return Ok(None);
            }
            body.extend_from_slice(block.body);
            part += 1;
            if part == block.parts {
                let raw_bytes = usize::try_from(block.raw_bytes).unwrap_or(usize::MAX);
                let opened = pack::open(&body, raw_bytes, block.count);
                return Ok(opened.map(|(stream, records)| OpenPack {
                    first,
                    stream,
                    records,
                }));
            }
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let db = self.db.take();
        let closed = guard(|| {
            drop(db);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::debug!(%error, dir = %self.dir.display(), "a segment was closed unclean");
        }
    }
}

thread_local! {
    /// What panics on this thread now is caught, and said by whoever called.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls into sled. A panic is caught, and not printed besides.
fn caught<T>(call: impl FnOnce() -> T) -> thread::Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| print_unless_guarded(&*print, panic)));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result
}

fn print_unless_guarded(print: &dyn Fn(&PanicHookInfo<'_>), panic: &PanicHookInfo<'_>) {
    if !GUARDED.get() {
        print(panic);
    }
}

fn guard<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, SegmentError> {
    judge(caught(call))
}

fn judge<T>(called: thread::Result<sled::Result<T>>) -> Result<T, SegmentError> {
    match called {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) if disk::is_passing(&error) => {
            Err(SegmentError::Passing(error))
        }
        Ok(Err(error)) => Err(SegmentError::Damaged(error.to_string())),
        Err(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            let text = said.unwrap_or("no message");
            Err(SegmentError::Damaged(format!("sled panicked: {text}")))
        }
    }
}

fn open_db(dir: &Path) -> Result<sled::Db, SegmentError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let mut tries = 0;
    loop {
        let opened = caught(|| config.open());
        match &opened {
            Ok(Err(sled::Error::Io(error))) if is_locked(error) => {
                if tries == LOCK_TRIES {
                    return Err(SegmentError::Passing(ErrorKind::WouldBlock.into()));
                }
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            Ok(_) | Err(_) => return judge(opened),
        }
    }
}

/// sled says this only in words.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

fn clear_snapshots(dir: &Path, which: impl Fn(&str, u64) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && which(&name, entry.metadata()?.len()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{SegmentError, guard, print_unless_guarded};
    use std::panic::{PanicHookInfo, catch_unwind, set_hook, take_hook};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn a_panic_that_is_caught_is_said_and_not_printed() {
        let printed = Arc::new(AtomicUsize::new(0));
        let (counter, own, before) = (printed.clone(), thread::current().id(), take_hook());
        set_hook(Box::new(move |panic| {
            if thread::current().id() == own {
                let count = |_: &PanicHookInfo<'_>| {
                    counter.fetch_add(1, Ordering::Relaxed);
                };
                print_unless_guarded(&count, panic);
            } else {
                before(panic);
            }
        }));
        let result = guard::<()>(|| panic!("torn page {}", 7));
        let Err(SegmentError::Damaged(text)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(text, "sled panicked: torn page 7");
        assert_eq!(printed.load(Ordering::Relaxed), 0);
        assert!(catch_unwind(|| panic!("our own")).is_err());
        assert_eq!(printed.load(Ordering::Relaxed), 1);
    }
}
