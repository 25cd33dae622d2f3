//! What can go wrong with the ledger, and what its caller does then.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process holds the directory. Nothing was touched: end the other one.
    #[error("the ledger in {} is in use by another process", .dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process signs with the key, for another ledger. Nothing was touched: give each its own key.
    #[error("the key {} is in use by another process: no two ledgers may share one", .key.display())]
    KeyHeld {
        /// The key.
        key: PathBuf,
    },
    /// The disk is full. Stop: hours that can't be written must not be counted. What was reported
    /// durable is kept; it goes on when there is room.
    #[error("no room is left on the disk for the ledger, at {}", .path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// The disk refused. Stop.
    #[error("the ledger could not use {}", .path.display())]
    Disk {
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is on disk is not what was written. Restore it from the city's copy, or give it up for a new
    /// epoch; nothing of it was changed.
    #[error("the ledger is damaged at {}: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The signing key can't be used.
    #[error(transparent)]
    Key(#[from] super::keys::KeyError),
    /// A fact that can't be a leaf: a fault of the program.
    #[error("a fact can't be written as a leaf")]
    Leaf(#[from] lineside_proto::ledger::LeafError),
    /// The note that is to be cited as the last head can't be it. Nothing was changed.
    #[error("the note can't be cited as the last head: {0}")]
    Prior(String),
    /// A single witness has cosigned what goes beyond the head that would be cited: which of them it is only a person can
    /// tell, and names it. Nothing was changed.
    #[error(
        "the witness {witness} alone has cosigned {size} leaves of {origin}, which is not what would be cited: name the head to cite"
    )]
    Alone {
        /// The witness.
        witness: String,
        /// Leaves that it has cosigned.
        size: u64,
        /// Of which log.
        origin: String,
    },
    /// Nothing was heard of what the city has of the ledger, and it was lost, so that what the key's record tells may never
    /// have been sent; or no witness ever cosigned what is here, so that there may have been another. Nothing was changed.
    #[error(
        "nothing was heard of what the city has of a ledger that is not here or was never cosigned"
    )]
    Unheard,
    /// A leaf or a size beyond the ledger's end was asked for.
    #[error("there is no leaf or size {place} in a ledger of {size} leaves")]
    Beyond {
        /// What was asked for.
        place: u64,
        /// The ledger's size.
        size: u64,
    },
    /// An earlier write failed: nothing more is taken until the ledger was opened anew.
    #[error("the ledger takes nothing after a write that failed")]
    Broken,
}

impl LedgerError {
    /// For a failure of the disk at a path.
    pub(crate) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            let is_full = matches!(
                source.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            );
            if is_full {
                Self::Full { path }
            } else {
                Self::Disk { path, source }
            }
        }
    }

    /// For a file that does not hold what it should.
    pub(crate) fn damaged(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            what: what.into(),
        }
    }

    /// Whether files are not what they were: one that is gone as well.
    pub(crate) fn is_damage(&self) -> bool {
        let is_gone = |source: &io::Error| source.kind() == ErrorKind::NotFound;
        matches!(self, Self::Damaged { .. })
            || matches!(self, Self::Disk { source, .. } if is_gone(source))
    }

    /// Whether room on the disk would have helped.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
