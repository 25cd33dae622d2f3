//! `add-checkpoint`: what a log asks of a witness, and the answer. Pure but for the witness's memory.

use std::fmt;
use std::str;

use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, NOTE_BYTES_MAX, Note, NoteError, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash};

use super::Witness;
use super::error::{Refusal, WitnessError};
use crate::logs::chain;

/// Lines of a proof at most: one a level of the largest tree.
pub const PROOF_LINES_MAX: usize = 63;

/// Bytes of a request at most: a note, the old size, and a proof of lines of 45 bytes.
pub const BODY_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 + 45 * PROOF_LINES_MAX;

/// The content type of a size.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// A request: a head, and the proof that it continues one before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddCheckpoint {
    /// Leaves of the head that the witness is thought to have cosigned last; 0 for none.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The signed head.
    pub note: Note,
}

/// Why a text is no request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Longer than a request may be.
    #[error("a request has at most {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// No text.
    #[error("this is no UTF-8")]
    Text,
    /// No empty line after size and proof.
    #[error("there is no empty line before the checkpoint")]
    Form,
    /// The first line.
    #[error("the first line is `old` and a plain number")]
    Old,
    /// A line of the proof, from 1.
    #[error("line {0} of the proof is no SHA-256 hash in base64, or one too many")]
    Hash(usize),
    /// The head.
    #[error("the checkpoint can't be read")]
    Note(#[from] NoteError),
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`RequestError`] names what is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(RequestError::TooLong);
        }
        let body = str::from_utf8(body).map_err(|_| RequestError::Text)?;
        let (head, note) = body.split_once("\n\n").ok_or(RequestError::Form)?;
        let mut lines = head.split('\n');
        let digits = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = digits.and_then(plain).ok_or(RequestError::Old)?;
        let mut proof = Vec::new();
        for line in lines {
            let place = proof.len();
            let hash = Hash::from_base64(line).filter(|_| place < PROOF_LINES_MAX);
            proof.push(hash.ok_or(RequestError::Hash(place + 1))?);
        }
        let note = Note::parse(note)?;
        Ok(Self { old, proof, note })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.note)
    }
}

/// A number as it is written in one way only.
pub(super) fn plain(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// An answer by HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Words for a person.
    pub fn text(status: u16, words: &str) -> Self {
        Self {
            status,
            content_type: TEXT_TYPE,
            body: format!("{words}\n"),
        }
    }
}

/// Answers a request: the signature line of a head that is cosigned, or the status that says why it is not. `known`
/// gives the keys of a log by its origin, none for a log that is not known.
pub fn answer(
    witness: &Witness,
    known: &dyn Fn(&str) -> Vec<VerifierKey>,
    body: &[u8],
    now: Time,
) -> Answer {
    let asked = match AddCheckpoint::parse(body) {
        Ok(asked) => asked,
        Err(error @ RequestError::TooLong) => return Answer::text(413, &error.to_string()),
        Err(error) => return Answer::text(400, &chain(&error)),
    };
    let head = match Checkpoint::parse_extended(&asked.note.text) {
        Ok(head) => head,
        Err(error) => return Answer::text(400, &error.to_string()),
    };
    let keys = known(&head.origin);
    if keys.is_empty() {
        return Answer::text(404, "this log is not known here");
    }
    let note = match signed(&asked.note, keys, witness.key()) {
        Ok(note) => note,
        Err(error) => return Answer::text(403, &error.to_string()),
    };
    match witness.cosign(&note, &head, asked.old, &asked.proof, now) {
        Ok(signature) => Answer {
            status: 200,
            content_type: TEXT_TYPE,
            body: format!("{signature}\n"),
        },
        Err(refusal) => refused(&head, &refusal),
    }
}

/// The note with the signatures of the log alone, each of which fits.
fn signed(note: &Note, keys: Vec<VerifierKey>, own: &VerifierKey) -> Result<Note, NoteError> {
    // What this witness signed itself says nothing of the log.
    let is_log = |key: &VerifierKey| key.kind() == KeyKind::Ed25519 && key.key() != own.key();
    let keys: Vec<VerifierKey> = keys.into_iter().filter(is_log).collect();
    let verified = note.verify(&keys)?;
    let mut signatures = Vec::new();
    for one in verified {
        let hash = one.key.hash();
        let is_its = |line: &&lineside_proto::ledger::note::Signature| {
            line.name == one.key.name() && line.hash == hash
        };
        signatures.extend(note.signatures.iter().find(is_its).cloned());
    }
    Ok(Note {
        text: note.text.clone(),
        signatures,
    })
}

fn refused(head: &Checkpoint, refusal: &Refusal) -> Answer {
    let (origin, size, root) = (&head.origin, head.size, head.root);
    match refusal {
        Refusal::Conflict(known) => {
            return Answer {
                status: refusal.status(),
                content_type: SIZE_TYPE,
                body: format!("{known}\n"),
            };
        }
        Refusal::OtherRoot(_) | Refusal::Proof(_) | Refusal::Stopped(_) => {
            tracing::warn!(origin, size, %root, %refusal, "a head was not cosigned");
        }
        Refusal::Clock { .. } | Refusal::Memory(_) => {
            tracing::error!(origin, refusal = %chain(refusal), "a head could not be cosigned");
            // Paths are nobody's business outside.
            return Answer::text(refusal.status(), "the witness can't cosign at this time");
        }
        Refusal::Form | Refusal::Beyond { .. } => {}
    }
    Answer::text(refusal.status(), &chain(refusal))
}

/// The newest note of a log that was cosigned, by the SHA-256 of its origin in hex: what a monitor asks for.
///
/// # Errors
///
/// The record can't be read.
pub fn latest(witness: &Witness, origin_hash: &str) -> Result<Option<String>, WitnessError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if origin_hash.len() != 64 || !origin_hash.bytes().all(is_digit) {
        return Ok(None);
    }
    let known = witness.memory.look_named(origin_hash)?;
    Ok(known.and_then(|known| known.note))
}
