//! What the city's witnesses have cosigned of this ledger: the newest head of each, durable.
//!
//! In `cosigned.0`, `cosigned.1` below the ledger's directory: a two-slot record of JSON. A cosignature counts only
//! where the log continues its head, which is checked when it comes and at each start; those of witnesses that are not
//! configured any more are left out.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lineside_proto::Time;
use lineside_proto::ledger::note::{Note, Signature, VerifierKey};
use lineside_proto::ledger::{Anchor, Checkpoint, Hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::LedgerError;
use crate::clock::Stamp;
use crate::config::model::Witnesses;
use crate::slots::{self, Slots};

/// The record below the ledger's directory.
const FILE: &str = "cosigned";

/// An anchor at most so often: it leads to a head, that to a cosignature, and that to the next anchor.
const ANCHOR_EVERY_MS: u64 = 3_600_000;

/// Leaves that nobody cosigns are sent again after so long at the earliest …
const RESEND_MIN: Duration = Duration::from_secs(600);
/// … and after twice as long each time that it did not help, up to this: what an archive that is away for weeks
/// has missed is brought to the broker, which may keep it all for the archive, a few times and not each minute.
const RESEND_MAX: Duration = Duration::from_secs(86_400);

/// A witness's newest cosignature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// The witness's verifier key.
    pub(super) key: String,
    /// Leaves.
    pub(super) size: u64,
    /// The root over them, base64.
    pub(super) root: String,
    /// When, by the witness's clock.
    pub(super) at: Time,
    /// The signature line.
    pub(super) line: String,
}

/// The record.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Record {
    /// The ledger's origin, its epoch included.
    origin: String,
    /// One a witness, the one that came last at the end.
    heads: Vec<Head>,
    /// The newest cosignature that an anchor names, and when that was written.
    anchored: Option<Anchored>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Anchored {
    cosignature: String,
    at: Time,
}

/// What the witnesses have cosigned.
#[derive(Debug)]
pub(super) struct Cosigned {
    witnesses: Witnesses,
    path: PathBuf,
    /// Held while the record is written; none before the first time.
    slots: Mutex<Option<Slots>>,
    /// As it is on disk.
    record: Mutex<Record>,
    /// When the last anchor was written, on the boot clock; none before the first since the start.
    anchored_ms: Mutex<Option<u64>>,
    resend: Mutex<Resend>,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holds a value that is replaced as a whole.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Head {
    /// The head as a checkpoint; none if its root is no hash.
    pub(super) fn checkpoint(&self, origin: &str) -> Option<Checkpoint> {
        Some(Checkpoint {
            origin: origin.to_owned(),
            size: self.size,
            root: Hash::from_base64(&self.root)?,
        })
    }

    /// Whether it is what its key has cosigned of a ledger.
    fn holds(&self, key: &VerifierKey, origin: &str) -> bool {
        let signature = Signature::parse(&self.line).ok();
        let note = self.checkpoint(origin).zip(signature);
        let note = note.map(|(head, signature)| Note {
            text: head.to_string(),
            signatures: vec![signature],
        });
        note.is_some_and(|note| note.verify(std::slice::from_ref(key)).is_ok())
    }
}

impl Cosigned {
    /// Opens the record of a ledger's directory, for the ledger of this origin.
    pub(super) fn open(
        dir: &Path,
        witnesses: &Witnesses,
        origin: &str,
    ) -> Result<Self, LedgerError> {
        let path = dir.join(FILE);
        let record = slots::look(&path).map_err(LedgerError::disk(&path))?;
        let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        let mut record = record
            .filter(|record| record.origin == origin)
            .unwrap_or_default();
        origin.clone_into(&mut record.origin);
        record.heads.retain(|head| {
            let mut keys = witnesses.keys.iter();
            let key = keys.find(|key| key.to_string() == head.key);
            key.is_some_and(|key| head.holds(key, origin))
        });
        Ok(Self {
            witnesses: witnesses.clone(),
            path,
            slots: Mutex::default(),
            record: Mutex::new(record),
            anchored_ms: Mutex::new(None),
            resend: Mutex::default(),
        })
    }

    /// The witnesses' keys.
    pub(super) fn keys(&self) -> &[VerifierKey] {
        &self.witnesses.keys
    }

    /// How many of them must have cosigned.
    pub(super) fn quorum(&self) -> usize {
        self.witnesses.quorum
    }

    /// What is known, one a witness.
    pub(super) fn heads(&self) -> Vec<Head> {
        held(&self.record).heads.clone()
    }

    /// The leaves that as many witnesses as are wanted have cosigned; none where no witness is configured.
    pub(super) fn size(&self) -> Option<u64> {
        if self.witnesses.keys.is_empty() {
            return None;
        }
        let record = held(&self.record);
        let mut sizes: Vec<u64> = record.heads.iter().map(|head| head.size).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        let place = self.witnesses.quorum.max(1) - 1;
        Some(sizes.get(place).copied().unwrap_or(0))
    }

    /// Takes in heads that the log continues; durable on return. Says whether any was further than what was known of
    /// its witness.
    pub(super) fn take(&self, heads: Vec<Head>) -> Result<bool, LedgerError> {
        let mut slots = held(&self.slots);
        let mut next = held(&self.record).clone();
        let mut is_new = false;
        for head in heads {
            let known = next.heads.iter().position(|known| known.key == head.key);
            let before = known.and_then(|place| next.heads.get(place));
            if before.is_some_and(|before| before.size >= head.size) {
                continue;
            }
            if let Some(place) = known {
                next.heads.remove(place);
            }
            next.heads.push(head);
            is_new = true;
        }
        if is_new {
            self.write(&mut slots, next)?;
        }
        Ok(is_new)
    }

    fn write(&self, slots: &mut Option<Slots>, next: Record) -> Result<(), LedgerError> {
        let disk = || LedgerError::disk(&self.path);
        let slots = match slots {
            Some(slots) => slots,
            none => none.insert(Slots::open(&self.path).map_err(disk())?),
        };
        let bytes = serde_json::to_vec(&next).map_err(std::io::Error::from);
        let written = bytes.and_then(|bytes| slots.write(&bytes));
        written.map_err(disk())?;
        *held(&self.record) = next;
        Ok(())
    }

    /// The anchor that is due now: a cosignature came since the last one, which is an hour ago or more.
    pub(super) fn anchor(&self, now: Stamp) -> Option<Anchor> {
        let record = held(&self.record);
        let newest = record.heads.last()?;
        let cosignature = named(&newest.line);
        if let Some(anchored) = &record.anchored {
            let at_ms = *held(&self.anchored_ms);
            let since_ms = match at_ms {
                Some(at_ms) => now.boot_ms.saturating_sub(at_ms),
                // Of an earlier run; a clock that was set back since tells nothing.
                None => u64::try_from(now.wall.as_millis() - anchored.at.as_millis())
                    .unwrap_or(ANCHOR_EVERY_MS),
            };
            if anchored.cosignature == cosignature || since_ms < ANCHOR_EVERY_MS {
                return None;
            }
        }
        Some(Anchor {
            size: newest.size,
            cosignature,
        })
    }

    /// An anchor was written.
    pub(super) fn anchored(&self, anchor: &Anchor, now: Stamp) -> Result<(), LedgerError> {
        *held(&self.anchored_ms) = Some(now.boot_ms);
        let mut slots = held(&self.slots);
        let next = Record {
            anchored: Some(Anchored {
                cosignature: anchor.cosignature.clone(),
                at: now.wall,
            }),
            ..held(&self.record).clone()
        };
        self.write(&mut slots, next)
    }

    /// From which leaf on a new connection delivers, of a ledger that the broker has acknowledged so far.
    pub(super) fn resume(&self, acknowledged: u64, now: Instant) -> u64 {
        match self.size() {
            Some(cosigned) => held(&self.resend).begin(acknowledged, cosigned, now),
            None => acknowledged,
        }
    }
}

/// Whether one of these witnesses has cosigned anything of the log of a head, by what the ledger's directory remembers.
pub(super) fn is_seen(dir: &Path, keys: &[VerifierKey], head: &Checkpoint) -> bool {
    let bytes = slots::look(&dir.join(FILE)).ok().flatten();
    let record = bytes.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    let mut heads = record.iter().flat_map(|record| &record.heads);
    heads.any(|known| keys.iter().any(|key| known.holds(key, &head.origin)))
}

/// What an anchor calls a cosignature: the hash of its signature line, without the line break.
fn named(line: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(line))
}

/// When leaves that were acknowledged and not cosigned are sent again: with a new connection, and then after longer
/// and longer pauses as long as nothing more is cosigned.
#[derive(Debug, Default)]
struct Resend {
    last: Option<Instant>,
    pause: Duration,
    /// What was cosigned then.
    cosigned: u64,
}

impl Resend {
    fn begin(&mut self, acknowledged: u64, cosigned: u64, now: Instant) -> u64 {
        if cosigned >= acknowledged {
            return acknowledged;
        }
        if cosigned > self.cosigned {
            self.pause = RESEND_MIN;
        }
        if self.last.is_some_and(|last| now < last + self.pause) {
            return acknowledged;
        }
        let is_helpless = self.last.is_some() && cosigned == self.cosigned;
        self.pause = if is_helpless {
            (self.pause * 2).min(RESEND_MAX)
        } else {
            RESEND_MIN
        };
        (self.last, self.cosigned) = (Some(now), cosigned);
        cosigned
    }
}

#[cfg(test)]
mod tests;
