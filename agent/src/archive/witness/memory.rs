//! What was cosigned last, a record a log: `{key}.cosigned/{SHA-256 of the origin}.0` and `.1`.
//!
//! Both slots get each record, one after the other: a cosignature that was given away is in both, so that a slot that
//! goes bad afterwards takes nothing with it, and a slot that was torn in writing held nothing that was given away.
//! Beside it `.lock`, held while one cosigns, and `.refused`, the first note that contradicted the record: the proof,
//! together with the note in the record, that the log has two histories.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use lineside_proto::Time;
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::WitnessError;
use crate::ledger::{disk, keys};
use crate::slots::{self, Slots};

/// Logs that are remembered: a city of a thousand gateways, each with many epochs, and others' logs. A record takes
/// 32 KiB.
pub(super) const ORIGINS_MAX: usize = 16_384;

/// How often a log that another cosigns is asked for, and how long is waited in between: 2 s in all, many times what
/// one cosignature takes on a slow disk.
const LOCK_TRIES: u32 = 400;
const LOCK_WAIT: Duration = Duration::from_millis(5);

/// Why a record can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Another process holds it too long.
    #[error("another process holds {}", .0.display())]
    Busy(PathBuf),
    /// It is damaged: nobody knows what was cosigned last. Restore it, or begin with a new key.
    #[error("the record {} is damaged: what was cosigned last is not known", .0.display())]
    Damaged(PathBuf),
    /// More logs than are remembered.
    #[error("{ORIGINS_MAX} logs are remembered, and there is no room for one more")]
    Full,
    /// The disk refused.
    #[error("{} can't be used", .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What was cosigned last of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) origin: String,
    pub(super) size: u64,
    /// Base64.
    pub(super) root: String,
    pub(super) at: Time,
    /// The whole signed note, with this witness's line; none where only its head was taken in.
    pub(super) note: Option<String>,
    /// Why nothing more is cosigned.
    pub(super) stopped: Option<String>,
}

impl Remembered {
    /// The root as a hash.
    pub(super) fn root(&self) -> Result<Hash, MemoryError> {
        let damaged = || MemoryError::Damaged(PathBuf::from(&self.origin));
        Hash::from_base64(&self.root).ok_or_else(damaged)
    }
}

/// The folder.
#[derive(Debug)]
pub(super) struct Memory {
    dir: PathBuf,
}

impl Memory {
    fn of(key: &Path) -> Self {
        let dir = keys::beside(key, ".cosigned");
        Self { dir }
    }

    /// Makes the folder of a new key; one that is there stays.
    pub(super) fn create(key: &Path) -> Result<(), WitnessError> {
        keys::make_directory(&keys::directory(key))?;
        Ok(keys::make_directory(&Self::of(key).dir)?)
    }

    /// The folder of a key.
    pub(super) fn open(key: &Path) -> Result<Self, WitnessError> {
        let memory = Self::of(key);
        if !memory.dir.is_dir() {
            return Err(WitnessError::Forgotten(memory.dir));
        }
        keys::check_directory(&memory.dir)?;
        Ok(memory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What is remembered of a log now, whoever cosigns meanwhile. None where nothing is, or it is damaged: whoever
    /// holds it finds out.
    pub(super) fn look(&self, origin: &str) -> Result<Option<Remembered>, MemoryError> {
        let known = self.look_named(&name(origin))?;
        Ok(known.filter(|known| known.origin == origin))
    }

    /// The same by the name of the record.
    pub(super) fn look_named(&self, name: &str) -> Result<Option<Remembered>, MemoryError> {
        let path = self.path(name);
        let bytes = slots::look(&path).map_err(MemoryError::disk(&path))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The first note that contradicted the record, if it was kept.
    pub(super) fn refused(&self, origin: &str) -> Option<String> {
        let path = self.path(&format!("{}.refused", name(origin)));
        let bytes = disk::read(&path, NOTE_BYTES_MAX).ok()??;
        String::from_utf8(bytes).ok()
    }

    /// Takes a log's record for this thread alone.
    pub(super) fn hold(&self, origin: &str) -> Result<Held, MemoryError> {
        let name = name(origin);
        let path = self.path(&name);
        let first = self.path(&format!("{name}.0"));
        if !first.exists() && self.records()? >= ORIGINS_MAX {
            return Err(MemoryError::Full);
        }
        let lock = lock(&self.path(&format!("{name}.lock")))?;
        let slots = Slots::open(&path).map_err(MemoryError::disk(&path))?;
        let damaged = || MemoryError::Damaged(path.clone());
        let known = match slots.read() {
            Some(bytes) => {
                let known: Option<Remembered> = serde_json::from_slice(&bytes).ok();
                Some(
                    known
                        .filter(|known| known.origin == origin)
                        .ok_or_else(damaged)?,
                )
            }
            // Where a slot was never written, nothing was given away.
            None if slots.is_damaged() && !self.is_new(&name)? => return Err(damaged()),
            None => None,
        };
        Ok(Held {
            _lock: lock,
            slots,
            known,
            path,
        })
    }

    /// Whether one of a record's slots has never been written.
    fn is_new(&self, name: &str) -> Result<bool, MemoryError> {
        for turn in ["0", "1"] {
            let path = self.path(&format!("{name}.{turn}"));
            let about = fs::metadata(&path).map_err(MemoryError::disk(&path))?;
            if about.len() == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn records(&self) -> Result<usize, MemoryError> {
        let listed = fs::read_dir(&self.dir).map_err(MemoryError::disk(&self.dir))?;
        let is_record =
            |entry: &fs::DirEntry| entry.path().extension().is_some_and(|end| end == "0");
        Ok(listed.flatten().filter(is_record).count())
    }
}

/// A log's record, held.
#[derive(Debug)]
pub(super) struct Held {
    _lock: File,
    slots: Slots,
    known: Option<Remembered>,
    path: PathBuf,
}

impl Held {
    /// What is remembered; none where nothing was ever cosigned.
    pub(super) fn known(&self) -> Option<&Remembered> {
        self.known.as_ref()
    }

    /// Replaces the record; durable in both slots on return.
    pub(super) fn write(&mut self, next: Remembered) -> Result<(), MemoryError> {
        let failed = MemoryError::disk(&self.path);
        let bytes = serde_json::to_vec(&next).map_err(io::Error::from);
        let written = bytes.and_then(|bytes| {
            self.slots.write(&bytes)?;
            self.slots.write(&bytes)
        });
        written.map_err(failed)?;
        self.known = Some(next);
        Ok(())
    }

    /// Keeps a note that contradicts the record, as far as the disk lets it: refused it is in any case.
    pub(super) fn keep_refused(&self, note: &Note) {
        let path = keys::beside(&self.path, ".refused");
        tracing::warn!(record = %self.path.display(), proof = %path.display(), "a log has two heads of one size");
        if path.exists() {
            return;
        }
        if let Err(error) = disk::put(&path, note.to_string().as_bytes()) {
            tracing::warn!(%error, proof = %path.display(), "the second head could not be kept");
        }
    }
}

/// The name of a log's record.
pub(super) fn name(origin: &str) -> String {
    format!("{:x}", Sha256::digest(origin))
}

/// Takes a lock file, as soon as others let it go.
fn lock(path: &Path) -> Result<File, MemoryError> {
    for _ in 0..LOCK_TRIES {
        if let Some(file) = disk::lock(path).map_err(MemoryError::disk(path))? {
            return Ok(file);
        }
        thread::sleep(LOCK_WAIT);
    }
    Err(MemoryError::Busy(path.to_owned()))
}
