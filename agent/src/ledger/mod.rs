//! The ledger: one log a gateway, as static files that foreign tools read (C2SP tlog-tiles), signed
//! checkpoints over it, and the journal of the leaves that fill no bundle yet.
//!
//! In `ledger/` below the state directory: `journal`, `tile/…`, `checkpoint` (the newest signed note), `delivered`.
//! Beside the key, outside: `{key}.head`, what was signed last. A leaf is durable before [`Ledger::append`] returns;
//! a head is signed only after its leaves, its tiles and the record beside the key are durable, so that no
//! two heads of one size are ever signed, whatever crashes or is restored. Where the record and the log
//! disagree, nothing is signed or published any more ([`Ledger::suspended`]) until somebody opens a new epoch.
//!
//! Bounds: a leaf 4 KiB; in memory the leaves of one bundle (256) and 255 hashes a level.

mod check;
mod disk;
mod error;
mod head;
mod journal;
mod keys;
mod log;
#[cfg(test)]
mod tests;
mod tiles;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lineside_proto::Identifier;
use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_proto::ledger::{
    Checkpoint, Genesis, Hash, KeyLeaf, Leaf, LeafBody, LeafHead, PriorHead, verify,
};
use tokio::sync::watch;

pub use check::{CheckError, Checked, check, origin};
pub use error::LedgerError;
pub use keys::{KeyError, Keys, change_text};

use self::head::{Memory, Signed};
use self::log::Log;
use crate::record::Entry;
use crate::slots::Slots;

/// The folder below the state directory.
const FOLDER: &str = "ledger";

/// Bytes of a checkpoint on disk that are read at most.
const CHECKPOINT_BYTES_MAX: u64 = 64 << 10;

/// Ledgers of one epoch that are put aside at most: each is the trace of an interrupted change.
const ASIDE_MAX: u32 = 100;

/// The ledger of a gateway. A handle: copies are of the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    delivered: Mutex<Delivered>,
    durable: watch::Sender<u64>,
    checkpoint: watch::Sender<Option<Arc<str>>>,
}

#[derive(Debug)]
struct State {
    log: Log,
    keys: Keys,
    memory: Memory,
    signed: Signed,
    suspended: Option<Arc<str>>,
}

#[derive(Debug)]
struct Delivered {
    slots: Slots,
    mark: u64,
    noted: u64,
}

/// What was found when a ledger was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its origin, the epoch included.
    pub origin: String,
    /// Its epoch, from 1.
    pub epoch: u32,
    /// The verifier key that signs it.
    pub key: String,
    /// The last signed head of the epoch before.
    pub prior: Option<PriorHead>,
    /// Leaves.
    pub size: u64,
}

/// What a checkpoint that somebody else kept says of this ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is a head of this very ledger.
    Ours,
    /// It is of another ledger, or nobody trusted has signed it.
    Foreign,
    /// It is signed by our key and this ledger does not continue it: signing has stopped.
    Conflict,
}

impl Opened {
    /// The first leaf of this ledger.
    pub fn genesis(&self, site: &Identifier, gateway: &Identifier) -> LeafBody {
        LeafBody::Genesis(Genesis {
            site: site.clone(),
            gateway: gateway.clone(),
            origin: self.origin.clone(),
            epoch: self.epoch,
            key: self.key.clone(),
            prior: self.prior.clone(),
        })
    }
}

impl Ledger {
    /// Opens the ledger of a state directory, or begins one. `base` is the configured origin.
    ///
    /// # Errors
    ///
    /// See [`LedgerError`]: the agent must not run without a ledger.
    pub fn open(state_dir: &Path, key: &Path, base: &str) -> Result<(Self, Opened), LedgerError> {
        let dir = state_dir.join(FOLDER);
        // Makes the key and its directory where there are none.
        Keys::load_or_init(key, base)?;
        let (memory, remembered) = open_memory(key)?;
        let epoch = remembered.as_ref().map_or(1, |signed| signed.epoch);
        let origin = head::origin(base, epoch);
        let keys = Keys::load(key, &origin)?;
        let log = Log::open(&dir)?;
        let mut state = State {
            signed: remembered
                .clone()
                .unwrap_or_else(|| Signed::nothing(base, epoch, None)),
            log,
            keys,
            memory,
            suspended: None,
        };
        let kept = kept_note(&dir);
        state.suspended = state.judge(&origin, remembered.is_some(), kept.as_deref())?;
        if let Some(reason) = &state.suspended {
            tracing::error!("the ledger is neither signed nor published: {reason}");
        }
        let note = state.restore_note(&dir, kept)?;
        let delivered = open_delivered(&dir)?;
        let opened = Opened {
            origin,
            epoch,
            key: state.keys.public().to_string(),
            prior: state.signed.prior.clone(),
            size: state.log.size(),
        };
        let published = if state.suspended.is_some() {
            0
        } else {
            state.log.size()
        };
        let shared = Shared {
            dir,
            state: Mutex::new(state),
            delivered: Mutex::new(delivered),
            durable: watch::Sender::new(published),
            checkpoint: watch::Sender::new(note),
        };
        let shared = Arc::new(shared);
        Ok((Self { shared }, opened))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held has left at most a broken log, which says so itself.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn marks(&self) -> MutexGuard<'_, Delivered> {
        self.shared
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends facts; durable on return. Gives their indexes.
    ///
    /// # Errors
    ///
    /// After any, nothing more is taken until the ledger is opened anew; whether the facts are in it only
    /// that can tell.
    pub fn append(&self, boot: &str, entries: &[Entry]) -> Result<Range<u64>, LedgerError> {
        let mut state = self.state();
        let first = state.log.size();
        let mut leaves = Vec::with_capacity(entries.len());
        for (index, entry) in (first..).zip(entries) {
            let head = LeafHead {
                v: 1,
                index,
                at: entry.at.wall,
                boot: boot.to_owned(),
                mono_ms: entry.at.boot_ms,
            };
            let body = entry.body.clone();
            leaves.push(Leaf { head, body }.to_bytes()?);
        }
        state.log.append(leaves)?;
        let end = state.log.size();
        if state.suspended.is_none() {
            self.shared.durable.send_replace(end);
        }
        Ok(first..end)
    }

    /// Leaves, all of them durable.
    pub fn size(&self) -> u64 {
        self.state().log.size()
    }

    /// The size and the root now, signed or not.
    pub fn head(&self) -> (u64, Hash) {
        let state = self.state();
        (state.log.size(), state.log.root())
    }

    /// The ledger's origin, its epoch included.
    pub fn origin(&self) -> String {
        self.state().signed.origin.clone()
    }

    /// Leaves of the newest signed head.
    pub fn signed(&self) -> u64 {
        self.state().signed.size
    }

    /// The keys whose signature counts.
    pub fn keys(&self) -> Vec<VerifierKey> {
        self.state().keys.all()
    }

    /// Why nothing is signed or published; none while all is well.
    pub fn suspended(&self) -> Option<Arc<str>> {
        self.state().suspended.clone()
    }

    /// How many leaves may be published: all durable ones, as long as all is well.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// The newest signed note.
    pub fn checkpoint(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.checkpoint.subscribe()
    }

    /// The static files: `checkpoint` and `tile/…`.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Signs the present head, unless it is signed or the ledger is suspended. Tiles, the record beside the
    /// key and the note are durable on return.
    ///
    /// # Errors
    ///
    /// The disk refuses; what was signed before stands.
    pub fn sign(&self) -> Result<Option<Checkpoint>, LedgerError> {
        let mut state = self.state();
        if state.suspended.is_some() || state.log.size() == state.signed.size {
            return Ok(None);
        }
        state.log.put_partial()?;
        let signed = Signed {
            size: state.log.size(),
            root: state.log.root().to_string(),
            ..state.signed.clone()
        };
        let path = state.keys.head_path();
        let written = state.memory.write(&signed);
        // Written or not, it may be on disk: what is signed next must not contradict it.
        state.signed = signed;
        written.map_err(LedgerError::disk(path))?;
        let note = state.note(&self.shared.dir)?;
        self.shared.checkpoint.send_replace(Some(note));
        Ok(state.signed.checkpoint())
    }

    /// Compares with a checkpoint that somebody else kept, such as the broker's retained one.
    ///
    /// # Errors
    ///
    /// The ledger's own files can't be read.
    pub fn compare(&self, note: &str) -> Result<Seen, LedgerError> {
        let mut state = self.state();
        let keys = state.keys.all();
        let Ok(head) = verify::checkpoint(note, &keys, &state.signed.origin) else {
            return Ok(Seen::Foreign);
        };
        let continued = head.size <= state.log.size() && state.log.root_at(head.size)? == head.root;
        if continued {
            return Ok(Seen::Ours);
        }
        let reason = format!(
            "a head of {} leaves, signed by this gateway's key, is known elsewhere, and this ledger does not continue it",
            head.size
        );
        tracing::error!("the ledger is neither signed nor published any more: {reason}");
        state.suspended = Some(reason.into());
        Ok(Seen::Conflict)
    }

    /// Leaves from an index on: their indexes and exact bytes; about so many bytes, at least one leaf.
    ///
    /// # Errors
    ///
    /// The files can't be read.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
        self.state().log.read(from, bytes_max)
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        self.state().log.root_at(size)
    }

    /// The proof that a leaf is among the first `size`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.state().log.inclusion(index, size)
    }

    /// The proof that the first `old` leaves are still the first of `new`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.state().log.consistency(old, new)
    }

    /// Begins to sign with a new key beside the old one; the fact is to be appended next.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn rotate_key(&self) -> Result<KeyLeaf, KeyError> {
        self.state().keys.rotate()
    }

    /// Ends a change of keys: only the new one signs from now on.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn finish_rotation(&self) -> Result<(), KeyError> {
        self.state().keys.finish_rotation()
    }

    /// The delivered mark: every leaf below it has reached the city.
    pub fn delivered(&self) -> u64 {
        self.marks().mark
    }

    /// Moves the delivered mark forward; durable with [`note_delivered`](Self::note_delivered).
    pub fn acknowledge(&self, mark: u64) {
        let mut delivered = self.marks();
        delivered.mark = delivered.mark.max(mark);
    }

    /// Makes the delivered mark durable.
    ///
    /// # Errors
    ///
    /// The disk refuses; after a crash some leaves are sent again.
    pub fn note_delivered(&self) -> Result<(), LedgerError> {
        let mut delivered = self.marks();
        if delivered.mark == delivered.noted {
            return Ok(());
        }
        let mark = delivered.mark;
        let path = self.shared.dir.join("delivered");
        let written = delivered.slots.write(&mark.to_le_bytes());
        written.map_err(LedgerError::disk(path))?;
        delivered.noted = mark;
        Ok(())
    }
}

impl State {
    /// Why this ledger must not be signed, if there is a reason.
    fn judge(
        &mut self,
        origin: &str,
        is_remembered: bool,
        kept: Option<&str>,
    ) -> Result<Option<Arc<str>>, LedgerError> {
        let said = |reason: String| Ok(Some(reason.into()));
        if !is_remembered {
            // The record is gone, or the ledger is new. A note of our own key is as good a witness.
            let Some(note) = kept else { return Ok(None) };
            match verify::checkpoint(note, &self.keys.all(), origin) {
                Ok(head) => {
                    self.signed.size = head.size;
                    self.signed.root = head.root.to_string();
                }
                Err(_) => {
                    return said(
                        "it was signed by another key, or under another origin".to_owned(),
                    );
                }
            }
        }
        if self.signed.origin != origin {
            return said(format!(
                "its origin was {}, and is {origin} now",
                self.signed.origin
            ));
        }
        let (size, leaves) = (self.signed.size, self.log.size());
        if size > leaves {
            return said(format!(
                "a head of {size} leaves was signed, and there are {leaves}: the disk was replaced, or an old copy restored"
            ));
        }
        if self.log.root_at(size)?.to_string() != self.signed.root {
            return said(format!(
                "its first {size} leaves are not those that were signed: an old copy was restored and continued"
            ));
        }
        Ok(None)
    }

    /// The newest note, written anew where a crash came between the record and the note.
    fn restore_note(
        &self,
        dir: &Path,
        kept: Option<String>,
    ) -> Result<Option<Arc<str>>, LedgerError> {
        if self.suspended.is_some() || self.signed.size == 0 {
            return Ok(kept.map(Into::into));
        }
        let head = kept.as_deref().and_then(|note| Note::parse(note).ok());
        let head = head.and_then(|note| Checkpoint::parse(&note.text).ok());
        match (head, kept) {
            (Some(head), Some(note)) if head.size == self.signed.size => Ok(Some(note.into())),
            (_, _) => self.note(dir).map(Some),
        }
    }

    /// Signs the remembered head and writes the note; durable on return.
    fn note(&self, dir: &Path) -> Result<Arc<str>, LedgerError> {
        let path = dir.join("checkpoint");
        let head = self.signed.checkpoint();
        let head =
            head.ok_or_else(|| LedgerError::damaged(self.keys.head_path(), "it holds no root"))?;
        let text = head.to_string();
        let signatures = self.keys.sign(&text);
        let note = Note { text, signatures }.to_string();
        disk::put(&path, note.as_bytes()).map_err(LedgerError::disk(&path))?;
        Ok(note.into())
    }
}

/// Gives up the ledger of a state directory for a new epoch: the old one is moved aside and kept, and the
/// next start begins an empty one whose first leaf cites the last head that was signed. Gives the folder
/// that holds the old one now.
///
/// # Errors
///
/// An agent runs on it ([`LedgerError::Held`]), there is no key, or the disk refuses; then nothing has changed.
pub fn new_epoch(
    state_dir: &Path,
    key: &Path,
    base: &str,
    reason: &str,
) -> Result<PathBuf, LedgerError> {
    let dir = state_dir.join(FOLDER);
    let (mut memory, remembered) = open_memory(key)?;
    let epoch = remembered.as_ref().map_or(1, |signed| signed.epoch);
    let aside = free_name(state_dir, epoch)?;
    let kept =
        kept_note(&dir).and_then(|note| Checkpoint::parse(&Note::parse(&note).ok()?.text).ok());
    let last = remembered
        .as_ref()
        .filter(|signed| signed.size > 0)
        .and_then(Signed::checkpoint);
    let prior = last.or(kept).map(|head| PriorHead {
        origin: head.origin,
        size: head.size,
        root: head.root.to_string(),
        reason: reason.to_owned(),
    });
    let next = Signed::nothing(base, epoch.saturating_add(1), prior);
    fs::create_dir_all(&dir).map_err(LedgerError::disk(&dir))?;
    let lock = log::lock(&dir)?;
    // The folder first: a crash in between leaves a record that no ledger fits, and nothing is signed.
    fs::rename(&dir, &aside).map_err(LedgerError::disk(&aside))?;
    disk::sync(state_dir).map_err(LedgerError::disk(state_dir))?;
    memory.write(&next).map_err(LedgerError::disk(key))?;
    drop(lock);
    Ok(aside)
}

/// Where the ledger of an epoch is put aside.
fn free_name(state_dir: &Path, epoch: u32) -> Result<PathBuf, LedgerError> {
    let plain = state_dir.join(format!("{FOLDER}.e{epoch}"));
    let others = (2..ASIDE_MAX).map(|turn| state_dir.join(format!("{FOLDER}.e{epoch}.{turn}")));
    let mut names = std::iter::once(plain.clone()).chain(others);
    let free = names.find(|path| !path.exists());
    free.ok_or_else(|| LedgerError::damaged(plain, "too many ledgers were put aside"))
}

fn open_memory(key: &Path) -> Result<(Memory, Option<Signed>), LedgerError> {
    let path = keys::head_path(key);
    Memory::open(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData => LedgerError::damaged(&path, source.to_string()),
        _ => LedgerError::disk(&path)(source),
    })
}

fn open_delivered(dir: &Path) -> Result<Delivered, LedgerError> {
    let path = dir.join("delivered");
    let slots = Slots::open(&path).map_err(LedgerError::disk(&path))?;
    let mark = slots.read().and_then(|bytes| bytes.try_into().ok());
    let mark = mark.map_or(0, u64::from_le_bytes);
    Ok(Delivered {
        slots,
        mark,
        noted: mark,
    })
}

fn kept_note(dir: &Path) -> Option<String> {
    let path = dir.join("checkpoint");
    let fits = fs::metadata(&path).ok()?.len() <= CHECKPOINT_BYTES_MAX;
    fits.then(|| fs::read_to_string(path).ok()).flatten()
}
