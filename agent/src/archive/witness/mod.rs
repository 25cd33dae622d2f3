//! The witness: cosigns the heads of logs, each only if it continues what was cosigned before (C2SP tlog-witness 1.1,
//! tlog-cosignature).
//!
//! What it cosigned is remembered beside its key, in `{key}.cosigned/`: a directory of logs that was restored from an
//! old copy can't make it cosign a fork. A signature is given away only after the record of it is durable, so that the
//! record may be ahead of what anybody has, and never behind. Several threads and processes may cosign with one key.
//!
//! Bounds: `ORIGINS_MAX` logs in all, sizes below 2^63, and the size of a note.

mod add_checkpoint;
mod error;
mod known;
mod list;
mod memory;
mod submit;
mod target;
#[cfg(test)]
mod tests;

use std::path::Path;

use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, Signature, SignerKey, VerifierKey};
use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Checkpoint, Hash};

pub use add_checkpoint::{
    AddCheckpoint, Answer, BODY_BYTES_MAX, PROOF_LINES_MAX, RequestError, SIZE_TYPE, answer, latest,
};
pub use error::{AdoptError, Refusal, WitnessError};
pub use known::ForeignLogs;
pub use list::ListError;
pub use memory::MemoryError;
pub use submit::{ForeignWitness, SubmitError, Submitted};
pub use target::Target;

use self::memory::{Memory, Remembered};
use super::record::Cosigned;
use crate::ledger::keys;

/// Bytes of a witness's name at most: what other kinds of cosignatures have room for.
pub const NAME_BYTES_MAX: usize = 255;

/// The largest log: what others can write down, too.
const SIZE_MAX: u64 = (1 << 63) - 1;

/// So far the clock may be behind the newest cosignature: it is set a little now and then. That one's time is signed
/// again then. Whoever verifies takes half a minute of future without a word.
const BEHIND_MAX_MS: i64 = 10_000;

/// What was cosigned last of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Last {
    /// Leaves.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// The signed note, with this witness's line.
    pub note: Option<String>,
    /// The note that contradicted it first, where nothing more is cosigned; whoever signed it.
    pub refused: Option<String>,
}

/// A witness's key, and what was cosigned with it.
#[derive(Debug)]
pub struct Witness {
    key: SignerKey,
    memory: Memory,
}

impl Witness {
    /// Makes the key of a new witness, and the folder of what it cosigns; durable on return. The name is for ever: with
    /// another it is another witness.
    ///
    /// # Errors
    ///
    /// A name that can't be one, a key that is there already, a directory that is open to others, or the disk.
    pub fn create(path: &Path, name: &str) -> Result<Self, WitnessError> {
        let is_long = name.len() > NAME_BYTES_MAX;
        let is_wrong = is_long || name.contains(char::is_control);
        if is_wrong || signer(name, &[0; 32]).is_err() {
            return Err(WitnessError::Name(name.to_owned()));
        }
        if path.exists() {
            return Err(keys::KeyError::Exists(path.to_owned()).into());
        }
        // A key without its memory would be one that lost it.
        Memory::create(path)?;
        keys::make(path, Some(name))?;
        Self::open(path)
    }

    /// Opens the key of a witness and its memory.
    ///
    /// # Errors
    ///
    /// A key that can't be used or is no witness's, or whose memory is missing.
    pub fn open(path: &Path) -> Result<Self, WitnessError> {
        let (seed, name) = keys::open(path)?;
        let name = name.ok_or_else(|| WitnessError::Unnamed(path.to_owned()))?;
        Ok(Self {
            key: signer(&name, &seed)?,
            memory: Memory::open(path)?,
        })
    }

    /// The key by which its cosignatures are known.
    pub fn key(&self) -> &VerifierKey {
        self.key.public()
    }

    /// The newest head of a log that was cosigned; none where none was.
    ///
    /// # Errors
    ///
    /// The record can't be read.
    pub fn cosigned(&self, origin: &str) -> Result<Option<Cosigned>, WitnessError> {
        let known = self.memory.look(origin)?;
        Ok(known.map(|known| Cosigned {
            size: known.size,
            root: known.root,
            at: known.at,
        }))
    }

    /// The newest head of a log that was cosigned, with its note, which is there but where only the head was taken in.
    ///
    /// # Errors
    ///
    /// The record can't be read.
    pub fn last(&self, origin: &str) -> Result<Option<Last>, WitnessError> {
        let known = self.memory.look(origin)?;
        Ok(known.map(|known| Last {
            size: known.size,
            root: known.root,
            note: known.note,
            refused: known.stopped.and_then(|_| self.memory.refused(origin)),
        }))
    }

    /// Cosigns a head that continues what was cosigned before: `old` leaves, which `proof` joins to it. The head is the
    /// note's, whose signatures the caller has checked. A head that was cosigned already is signed again, with the
    /// time of now; never another of its size.
    ///
    /// Waits for the disk, and for others with this key: for a thread that may. The record of it is durable on return. It may be ahead of what anybody got to see: after a crash, or where the
    /// disk failed late.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why nothing was signed.
    pub fn cosign(
        &self,
        note: &Note,
        head: &Checkpoint,
        old: u64,
        proof: &[Hash],
        now: Time,
    ) -> Result<Signature, Refusal> {
        if !note.text.starts_with(&head.to_string()) || head.size > SIZE_MAX {
            return Err(Refusal::Form);
        }
        if old > head.size {
            return Err(Refusal::Beyond {
                old,
                size: head.size,
            });
        }
        let mut held = self.memory.hold(&head.origin)?;
        let known = held.known();
        if let Some(why) = known.and_then(|known| known.stopped.as_ref()) {
            return Err(Refusal::Stopped(why.clone()));
        }
        let (size, root) = match known {
            Some(known) => (known.size, known.root()?),
            None => (0, Hash::of_nothing()),
        };
        let is_other = size > 0 && head.size == size && head.root != root;
        if is_other {
            held.keep_refused(note);
        }
        if old != size {
            return Err(Refusal::Conflict(size));
        }
        if is_other || (head.size == 0 && head.root != Hash::of_nothing()) {
            return Err(Refusal::OtherRoot(head.size));
        }
        check_consistency(old, head.size, proof, root, head.root)?;
        let at = moment(now, held.known().map(|known| known.at))?;
        let signature = self.key.sign(&note.text, at);
        let mut cosigned = note.clone();
        cosigned.signatures.push(signature.clone());
        held.write(Remembered {
            origin: head.origin.clone(),
            size: head.size,
            root: head.root.to_string(),
            at,
            note: Some(cosigned.to_string()),
            stopped: None,
        })?;
        Ok(signature)
    }

    /// Takes in that a head was cosigned with this key, where the record does not know of it: it was restored, or
    /// another copy of the key was used. Says whether the record changed; it only ever moves forward.
    ///
    /// # Errors
    ///
    /// [`AdoptError::Contradicted`] if another head of that size was cosigned: nothing of this log is cosigned ever
    /// after. Else the record can't be read or written.
    pub fn adopt(&self, head: &Checkpoint, at: Time) -> Result<bool, AdoptError> {
        self.take(head, at, None)
    }

    /// The same for a note that has a cosignature of this witness, which is checked. The log's signatures are not. A time
    /// of the future does not count: nothing would be cosigned until then because this host's clock was wrong once.
    ///
    /// # Errors
    ///
    /// Those of [`Witness::adopt`], and [`AdoptError::Foreign`] for a note without a cosignature of this key.
    pub fn adopt_note(&self, note: &Note, now: Time) -> Result<bool, AdoptError> {
        let keys = [self.key().clone()];
        let verified = note.verify(&keys)?;
        let at = verified.iter().find_map(|one| one.cosigned);
        let head = Checkpoint::parse_extended(&note.text).map_err(|_| AdoptError::Form)?;
        let at = at.ok_or(AdoptError::Form)?;
        // In whole seconds, as it may be signed again.
        let now = Time::from_millis(now.as_millis().div_euclid(1000) * 1000);
        self.take(&head, at.min(now), Some(note))
    }

    fn take(&self, head: &Checkpoint, at: Time, note: Option<&Note>) -> Result<bool, AdoptError> {
        if head.size > SIZE_MAX {
            return Err(AdoptError::Form);
        }
        let mut held = self.memory.hold(&head.origin)?;
        let root = head.root.to_string();
        let mut next = Remembered {
            origin: head.origin.clone(),
            size: head.size,
            root,
            at,
            note: note.map(Note::to_string),
            stopped: None,
        };
        if let Some(known) = held.known() {
            if let Some(why) = &known.stopped {
                return Err(AdoptError::Stopped(why.clone()));
            }
            if known.size > 0 && known.size == head.size && known.root != next.root {
                let (size, one, other) = (known.size, &known.root, &next.root);
                let why = format!("two heads of {size} leaves were cosigned: {one} and {other}");
                let stopped = Remembered {
                    stopped: Some(why.clone()),
                    ..known.clone()
                };
                held.write(stopped)?;
                if let Some(note) = note {
                    held.keep_refused(note);
                }
                return Err(AdoptError::Contradicted(why));
            }
            if known.size >= head.size {
                // The time only.
                next = Remembered {
                    at: known.at.max(at),
                    ..known.clone()
                };
            }
            next.at = next.at.max(known.at);
            if next == *known {
                return Ok(false);
            }
        }
        held.write(next)?;
        Ok(true)
    }
}

fn signer(name: &str, seed: &[u8; 32]) -> Result<SignerKey, WitnessError> {
    let key = SignerKey::new(name, KeyKind::Cosignature, seed);
    key.map_err(|_| WitnessError::Name(name.to_owned()))
}

/// The second that a cosignature is of; never before the one before it.
fn moment(now: Time, before: Option<Time>) -> Result<Time, Refusal> {
    let at = now.as_millis().div_euclid(1000) * 1000;
    let before = before.map_or(0, Time::as_millis);
    if at <= 0 || before - at > BEHIND_MAX_MS {
        return Err(Refusal::Clock {
            behind_s: before.saturating_sub(at) / 1000,
        });
    }
    Ok(Time::from_millis(at.max(before)))
}

/// A note with one more signature line; it takes the place of an older one of the same key.
pub fn with_signature(note: &Note, signature: &Signature) -> Note {
    let is_other = |one: &&Signature| one.name != signature.name || one.hash != signature.hash;
    let mut signatures: Vec<Signature> = note.signatures.iter().filter(is_other).cloned().collect();
    signatures.push(signature.clone());
    Note {
        text: note.text.clone(),
        signatures,
    }
}
