//! What comes in: leaves and signed heads, and what is wrong with them.

use lineside_proto::ledger::note::{KeyKind, Note};
use lineside_proto::ledger::{Checkpoint, Leaf, LeafBody, LeafError, LeafHead};

use super::{AHEAD_BYTES_MAX, AHEAD_LEAVES_MAX, Head, Mirror, MirrorError, SEEN_MAX};
use crate::archive::alarm::Alarm;

/// Signature lines of a note that are kept: the key, the one before it, and room.
const SIGNERS_MAX: usize = 4;

/// What became of a leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::archive) enum LeafTaken {
    /// It waits for a head.
    Kept,
    /// It is here already, or can't be used now and will be asked for.
    Passed,
    /// It is no leaf, or not one of this log.
    Bad(String),
}

/// What became of a head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::archive) enum NoteTaken {
    /// It is further than what is in tiles.
    Newer,
    /// It is known.
    Known,
    /// It is one of before.
    Older,
    /// No trusted key has signed it, or it is none of this log.
    Stranger(String),
    /// So many heads wait for their leaves that there is no room for this one.
    Full,
    /// It contradicts what was signed before.
    Refused(Alarm),
}

impl Mirror {
    /// Takes in a leaf as it was sent.
    pub(in crate::archive) fn take_leaf(&mut self, index: u64, bytes: Vec<u8>) -> LeafTaken {
        let size = self.size();
        if self.is_stopped() || index < size || self.ahead.contains_key(&index) {
            return LeafTaken::Passed;
        }
        let far = index - size >= AHEAD_LEAVES_MAX;
        if far || self.ahead_bytes + bytes.len() > AHEAD_BYTES_MAX {
            return LeafTaken::Passed;
        }
        let taken = self.put_ahead(index, bytes);
        if taken == LeafTaken::Kept {
            self.fetch.comes_unasked();
        }
        taken
    }

    /// Takes in a leaf that the gateway gave when it was asked: it takes the place of one that came by itself.
    pub(super) fn put_ahead(&mut self, index: u64, bytes: Vec<u8>) -> LeafTaken {
        if let Err(reason) = self.examine(index, &bytes) {
            return LeafTaken::Bad(reason);
        }
        self.comes(index, &bytes);
        self.ahead_bytes += bytes.len();
        if let Some(before) = self.ahead.insert(index, bytes) {
            self.ahead_bytes -= before.len();
        }
        LeafTaken::Kept
    }

    /// Whether this can be the leaf at that place.
    fn examine(&self, index: u64, bytes: &[u8]) -> Result<(), String> {
        let head = match Leaf::from_bytes(bytes) {
            Ok(leaf) => {
                if let LeafBody::Genesis(genesis) = &leaf.body {
                    let place = &self.place;
                    let fits = index == 0
                        && genesis.site == place.site
                        && genesis.gateway == place.gateway
                        && genesis.origin == self.record.origin
                        && genesis.epoch == place.epoch;
                    if !fits {
                        return Err("a ledger's first leaf that is not this ledger's".to_owned());
                    }
                } else if index == 0 {
                    return Err("a first leaf that does not begin a ledger".to_owned());
                }
                leaf.head
            }
            // Of a later version: canonical, but its shape is not known here. It is kept all the same.
            Err(LeafError::Shape(_) | LeafError::Version(_)) => {
                serde_json::from_slice::<LeafHead>(bytes).map_err(|error| error.to_string())?
            }
            Err(error @ (LeafError::TooLong(_) | LeafError::Form(_))) => {
                return Err(crate::logs::chain(&error));
            }
        };
        if head.index != index {
            return Err(format!("it says that it is leaf {}", head.index));
        }
        Ok(())
    }

    /// Takes in a signed head.
    ///
    /// # Errors
    ///
    /// The tiles can't be read.
    pub(in crate::archive) fn take_note(&mut self, text: &str) -> Result<NoteTaken, MirrorError> {
        let stranger = |reason: String| Ok(NoteTaken::Stranger(reason));
        let head = match self.trusted(text) {
            Ok(head) => head,
            Err(reason) => {
                self.claims(text);
                return stranger(reason);
            }
        };
        if self.is_stopped() {
            return Ok(NoteTaken::Known);
        }
        let size = head.checkpoint.size;
        if size == 0 {
            return stranger("it commits to nothing".to_owned());
        }
        let Some(known) = self
            .head
            .clone()
            .filter(|known| size <= known.checkpoint.size)
        else {
            return Ok(self.look_ahead(head));
        };
        if size == known.checkpoint.size {
            if head.checkpoint.root != known.checkpoint.root {
                return Ok(NoteTaken::Refused(Self::two_heads(&known, &head)));
            }
        } else if self.root_at(size)? != head.checkpoint.root {
            let proof = self.proof_of(size, &known.checkpoint)?;
            return Ok(NoteTaken::Refused(Self::fork(&known, &head, proof)));
        }
        let newest = self.newest().map_or(0, |newest| newest.checkpoint.size);
        Ok(if size < newest {
            NoteTaken::Older
        } else {
            NoteTaken::Known
        })
    }

    fn look_ahead(&mut self, head: Head) -> NoteTaken {
        let size = head.checkpoint.size;
        if let Some(known) = self.seen.get(&size) {
            if known.checkpoint.root == head.checkpoint.root {
                return NoteTaken::Known;
            }
            return NoteTaken::Refused(Self::two_heads(known, &head));
        }
        if self.seen.len() >= SEEN_MAX {
            return NoteTaken::Full;
        }
        let newest = self.seen.keys().next_back().copied();
        // An older one must fit all the same when the tiles reach it.
        self.seen.insert(size, head);
        if newest.is_some_and(|newest| size < newest) {
            NoteTaken::Older
        } else {
            NoteTaken::Newer
        }
    }

    /// Whether one of the log's keys has signed a note of it.
    pub(in crate::archive) fn has_signed(&self, note: &str) -> bool {
        self.trusted(note).is_ok()
    }

    /// A head that one of the log's keys has signed, with no other signatures but those.
    pub(super) fn trusted(&self, text: &str) -> Result<Head, String> {
        let note = Note::parse(text).map_err(|error| error.to_string())?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(|error| error.to_string())?;
        let keys = self.keys_to(checkpoint.size);
        let verified = note.verify(&keys).map_err(|error| error.to_string())?;
        let signers: Vec<_> = verified
            .iter()
            .filter(|one| one.key.kind() == KeyKind::Ed25519)
            .map(|one| (one.key.name().to_owned(), one.key.hash()))
            .collect();
        if signers.is_empty() {
            return Err("no key of this log has signed it".to_owned());
        }
        if checkpoint.origin != self.record.origin {
            return Err(format!("it is of the log {}", checkpoint.origin));
        }
        let mut signatures = Vec::new();
        for signature in note.signatures {
            let by = (signature.name.clone(), signature.hash);
            // A key that follows may have signed as well, and its leaf is still to come.
            let may_follow = signature.name == self.record.origin
                && !self.keys.iter().any(|key| key.hash() == signature.hash);
            if (signers.contains(&by) || may_follow) && !signatures.contains(&signature) {
                signatures.push(signature);
            }
        }
        signatures.sort_by_key(|line| !signers.contains(&(line.name.clone(), line.hash)));
        signatures.truncate(SIGNERS_MAX);
        let note = Note {
            text: note.text,
            signatures,
        };
        let note = note.to_string().into();
        Ok(Head { note, checkpoint })
    }
}
