//! Why a witness does not do what was asked, by what whoever asked does next.

use std::io;
use std::path::PathBuf;

use lineside_proto::ledger::note::NoteError;
use lineside_proto::ledger::tree::ProofError;

use super::memory::MemoryError;
use crate::ledger::KeyError;

/// Why a witness can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What can't be a witness's name.
    #[error("`{0}` can't be the name of a witness: no blanks, no `+`, 255 bytes at most")]
    Name(String),
    /// The key's file names no witness: it is a ledger's.
    #[error("{} is no witness's key: it names no witness", .0.display())]
    Unnamed(PathBuf),
    /// What was cosigned with the key is not known any more.
    #[error(
        "{} is missing: nobody knows what was cosigned with this key. Put it back; where nothing ever was, make the \
         folder anew, for its owner alone", .0.display()
    )]
    Forgotten(PathBuf),
    /// The record can't be read.
    #[error("what was cosigned can't be read")]
    Memory(#[from] MemoryError),
}

/// Why a head is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a head that can be cosigned: a fault of whoever asks.
    #[error("this is no checkpoint that can be cosigned")]
    Form,
    /// The older size is beyond the head.
    #[error("the old size {old} is beyond the checkpoint's size {size}")]
    Beyond {
        /// The older size.
        old: u64,
        /// The head's.
        size: u64,
    },
    /// Another size was cosigned last: this one. Ask again with a proof from there.
    #[error("the checkpoint that was cosigned last has {0} leaves")]
    Conflict(u64),
    /// A head of this size with another root was cosigned, or one without leaves has a root that is not that of nothing.
    #[error("this is another root of {0} leaves than the one that holds")]
    OtherRoot(u64),
    /// It does not continue what was cosigned last, or the proof is not its proof.
    #[error("the proof does not show that the checkpoint continues what was cosigned")]
    Proof(#[from] ProofError),
    /// Nothing of this log is cosigned any more: its history contradicts itself.
    #[error("nothing of this log is cosigned any more: {0}")]
    Stopped(String),
    /// The clock is behind what was cosigned last: set it right.
    #[error("the witness's clock is {behind_s} s behind what it cosigned last")]
    Clock {
        /// By so many seconds.
        behind_s: i64,
    },
    /// The record can't be read or written: nothing is signed without it.
    #[error("the witness can't keep what it cosigns")]
    Memory(#[from] MemoryError),
}

impl Refusal {
    /// The HTTP status by which the protocol says it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Form | Self::Beyond { .. } => 400,
            Self::Stopped(_) => 403,
            Self::Conflict(_) => 409,
            Self::OtherRoot(_) | Self::Proof(_) => 422,
            Self::Clock { .. } | Self::Memory(_) => 503,
        }
    }
}

/// Why a cosignature that somebody kept is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Two heads of one size were cosigned with this key. Nothing of this log is cosigned ever after.
    #[error("{0}")]
    Contradicted(String),
    /// That was so before.
    #[error("nothing of this log is cosigned any more: {0}")]
    Stopped(String),
    /// No cosignature of this key.
    #[error("this is no cosignature of this witness")]
    Foreign(#[from] NoteError),
    /// What was cosigned is no head.
    #[error("what was cosigned is no checkpoint")]
    Form,
    /// The record can't be read or written.
    #[error("the witness can't keep what it cosigned")]
    Memory(#[from] MemoryError),
}

impl MemoryError {
    /// For a failure of the disk at a path.
    pub(super) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { path, source }
    }
}
