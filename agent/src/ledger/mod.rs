//! The ledger: one log a gateway, as static files that foreign tools read (C2SP tlog-tiles), signed
//! checkpoints over it, and the journal of the leaves that fill no bundle yet.
//!
//! In `ledger/` below the state directory: `journal`, `tile/…`, `checkpoint` (the newest signed note), `delivered`,
//! `notes/` (signed notes, one an hour and those cosigned; see `notes`), `cosigned` (what the city's witnesses have seen), `elsewhere` (what others
//! hold that this ledger does not continue), `lock`, `journal.torn` (what a torn journal ended with, for whoever wants to know) and `journal.lost` (what is left
//! behind damage within it; see `journal`). Beside the key, outside:
//! `{key}.head`, what was signed last, and `{key}.lock`. A leaf is durable before [`Ledger::append`] returns;
//! a head is signed only after its leaves, its tiles and the record beside the key are durable, so that no
//! two heads of one size are ever signed, whatever crashes or is restored. Where the record and the log
//! disagree, nothing is signed or published any more ([`Ledger::suspended`]) until somebody opens a new epoch.
//! One process at a time holds the directory, and the key.
//!
//! Bounds: a leaf 4 KiB; in memory the leaves of one bundle (256) and 255 hashes a level.

mod check;
mod cosigned;
mod delivered;
pub(crate) mod disk;
mod elsewhere;
mod epoch;
mod error;
mod files;
pub(crate) mod head;
mod journal;
pub(crate) mod keys;
mod log;
pub(crate) mod notes;
mod reading;
mod state;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tiles;
mod view;
mod witnessed;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lineside_proto::ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use lineside_proto::ledger::{
    Checkpoint, Genesis, Hash, KeyLeaf, Leaf, LeafBody, LeafHead, PriorHead,
};
use lineside_proto::{Identifier, Time};
use tokio::sync::watch;

pub use check::{CheckError, Checked, check, origin};
pub use epoch::{Testimony, new_epoch};
pub use error::LedgerError;
pub use files::verify_files;
pub use keys::{KeyError, Keys};
pub use lineside_proto::ledger::note::change_text;
pub use view::{PutAside, View};
pub use witnessed::Witnessed;

use self::cosigned::Cosigned;
use self::delivered::Delivered;
use self::elsewhere::{Elsewhere, Judges};
use self::head::{Memory, Remembered, Signed};
use self::log::Log;
use self::notes::Notes;
use self::state::{Left, State};
use crate::config::model::Witnesses;
use crate::record::Entry;

/// The folder below the state directory.
const FOLDER: &str = "ledger";

/// The ledger of a gateway. A handle: copies are of the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    /// The origin without an epoch.
    base: String,
    state: Mutex<State>,
    delivered: Mutex<Delivered>,
    notes: Mutex<Notes>,
    cosigned: Cosigned,
    /// Times of leaves that were asked for lately.
    times: Mutex<Vec<(u64, Time)>>,
    durable: watch::Sender<u64>,
    checkpoint: watch::Sender<Option<Arc<str>>>,
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
    /// Our key has signed it, or enough witnesses cosigned it, and this ledger does not continue it: signing has stopped.
    Conflict,
    /// Fewer witnesses than are wanted cosigned it, and this ledger does not continue it: it is remembered, and stops nothing.
    Disputed,
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
    /// Opens the ledger of a state directory, or begins one. `base` is the configured origin. Nobody cosigns it.
    ///
    /// # Errors
    ///
    /// See [`LedgerError`]: the agent must not run without a ledger.
    pub fn open(state_dir: &Path, key: &Path, base: &str) -> Result<(Self, Opened), LedgerError> {
        Self::open_witnessed(state_dir, key, base, &Witnesses::default())
    }

    /// The same with the city's witnesses.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_witnessed(
        state_dir: &Path,
        key: &Path,
        base: &str,
        witnesses: &Witnesses,
    ) -> Result<(Self, Opened), LedgerError> {
        let dir = state_dir.join(FOLDER);
        // Makes the key and its directory where there are none.
        Keys::load_or_init(key, base)?;
        let key_lock = lock_key(key)?;
        let (memory, remembered) = open_memory(key)?;
        let epoch = match &remembered {
            Some(signed) => signed.epoch,
            // Without the record, the last note says which epoch it is; or those that were put aside.
            None => epoch::noted(&dir, base).unwrap_or_else(|| epoch::aside(state_dir)),
        };
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
            newest: None,
            clock: None,
            suspended: None,
            _key_lock: key_lock,
        };
        let kept = kept_note(&dir);
        let delivered = Delivered::open(&dir)?;
        let left = Left {
            is_remembered: remembered.is_some(),
            kept: kept.as_deref(),
            delivered: delivered.recorded(),
        };
        let cosigned = Cosigned::open(&dir, witnesses, &origin)?;
        state.suspended = match state.judge(&origin, &left)? {
            Some(reason) => Some(reason),
            None => contradiction(&state, &dir, base, &cosigned)?,
        };
        if let Some(reason) = &state.suspended {
            tracing::error!(
                "the ledger is neither signed nor published: {reason}; `lineside status` says what to do"
            );
        }
        let note = state.restore_note(&dir, kept)?;
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
        let notes = Notes::open(&dir, &state.signed.origin);
        let shared = Shared {
            dir,
            base: base.to_owned(),
            cosigned,
            times: Mutex::default(),
            state: Mutex::new(state),
            delivered: Mutex::new(delivered),
            notes: Mutex::new(notes),
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

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> MutexGuard<'_, Vec<(u64, Time)>> {
        self.shared
            .times
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
        let known = state.clock.as_ref().filter(|(of, _)| of == boot);
        let mut mono_ms = known.map_or(0, |(_, mono_ms)| *mono_ms);
        let mut newest = None;
        for (index, entry) in (first..).zip(entries) {
            // Machines' facts are established side by side, some milliseconds apart; a ledger's clock only advances.
            // Both clocks move alike: what is read later takes the one for the other.
            mono_ms = mono_ms.max(entry.at.boot_ms);
            let later_ms = i64::try_from(mono_ms - entry.at.boot_ms).unwrap_or(0);
            let at = entry.at.wall.plus_millis(later_ms);
            newest = Some(at);
            let head = LeafHead {
                v: 1,
                index,
                at,
                boot: boot.to_owned(),
                mono_ms,
            };
            let body = entry.body.clone();
            leaves.push(Leaf { head, body }.to_bytes()?);
        }
        state.log.append(leaves)?;
        if newest.is_some() {
            state.newest = newest;
            state.clock = Some((boot.to_owned(), mono_ms));
        }
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
    /// key and the note are durable on return. The first note whose newest leaf is of another hour (UTC) than
    /// that of the note kept last is kept for good.
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
        if let Some(at) = state.newest {
            self.notes().keep(at, &note);
        }
        self.shared.checkpoint.send_replace(Some(note));
        Ok(state.signed.checkpoint())
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

    /// Moves the mark of what the broker has acknowledged forward, not beyond what may be published; durable with
    /// [`note_delivered`](Self::note_delivered).
    pub fn acknowledge(&self, mark: u64) {
        let mark = mark.min(*self.shared.durable.borrow());
        self.marks().advance(mark);
    }

    /// Makes that mark durable.
    ///
    /// # Errors
    ///
    /// The disk refuses; after a crash some leaves are sent again.
    pub fn note_delivered(&self) -> Result<(), LedgerError> {
        let Some(mark) = self.marks().unnoted() else {
            return Ok(());
        };
        let root = self.root_at(mark)?;
        self.marks().note(mark, root)
    }
}

/// Takes the key for this process alone: two ledgers must never be signed by one.
fn lock_key(key: &Path) -> Result<File, LedgerError> {
    let path = keys::lock_path(key);
    let held = || LedgerError::KeyHeld {
        key: key.to_owned(),
    };
    disk::lock(&path)
        .map_err(LedgerError::disk(path))?
        .ok_or_else(held)
}

/// Why a ledger must not be signed by what witnesses, and whoever else is trusted, have seen of it.
fn contradiction(
    state: &State,
    dir: &Path,
    base: &str,
    cosigned: &Cosigned,
) -> Result<Option<Arc<str>>, LedgerError> {
    let own = state.keys.all();
    let judges = Judges {
        base,
        own: &own,
        witnesses: cosigned.keys(),
        quorum: cosigned.quorum(),
    };
    let elsewhere = Elsewhere::open(dir).vouched(&judges);
    state.judge_cosigned(judges.base, &cosigned.heads(), elsewhere.as_ref())
}

fn open_memory(key: &Path) -> Result<(Memory, Option<Signed>), LedgerError> {
    let path = keys::head_path(key);
    let (memory, remembered) = Memory::open(&path).map_err(LedgerError::disk(&path))?;
    match remembered {
        Remembered::Nothing => Ok((memory, None)),
        Remembered::Signed(signed) => Ok((memory, Some(signed))),
        Remembered::Damaged => Err(LedgerError::damaged(
            path,
            "what was signed last can't be read in either copy: restore the folder of the key, or `lineside ledger new-epoch`",
        )),
    }
}

fn kept_note(dir: &Path) -> Option<String> {
    let bytes = disk::read(&dir.join("checkpoint"), NOTE_BYTES_MAX).ok()??;
    String::from_utf8(bytes).ok()
}
