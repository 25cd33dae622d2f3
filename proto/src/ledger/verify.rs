//! Checks of a whole log: that its leaves are what its checkpoint commits to, and that it continues what
//! was seen of it before.

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{KeyKind, Note, NoteError, VerifierKey};
use super::tree::{Hash, Range};
use super::{Leaf, LeafError};

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The checkpoint is no signed note, or nobody trusted has signed it.
    #[error("the checkpoint can't be trusted")]
    Note(#[from] NoteError),
    /// The signed text is no checkpoint.
    #[error("what is signed is no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another log.
    #[error("the checkpoint is of the log {found}, not of {wanted}")]
    Origin {
        /// The origin that it has.
        found: String,
        /// The origin that was asked for.
        wanted: String,
    },
    /// A leaf is none.
    #[error("leaf {index} can't be read")]
    Leaf {
        /// Its place.
        index: u64,
        /// Why.
        source: LeafError,
    },
    /// A leaf stands at another place than it says: one is missing, or the order was changed.
    #[error(
        "leaf {index} says that it is leaf {says}: a leaf is missing, or their order was changed"
    )]
    Place {
        /// Its place.
        index: u64,
        /// The place that it says.
        says: u64,
    },
    /// There are fewer leaves than the checkpoint commits to.
    #[error("the log ends after {leaves} leaves, its checkpoint commits to {size}: it was cut off")]
    Short {
        /// Leaves that are there.
        leaves: u64,
        /// Leaves that must be there.
        size: u64,
    },
    /// The leaves are not those that the checkpoint commits to.
    #[error("the {size} leaves have another root than the checkpoint: a leaf was changed")]
    Root {
        /// How many.
        size: u64,
    },
    /// The checkpoint is older than one that was seen before.
    #[error(
        "the checkpoint is of {size} leaves, but {seen} were seen before: it is stale, or the log was shortened"
    )]
    Stale {
        /// Its size.
        size: u64,
        /// The size that was seen.
        seen: u64,
    },
    /// The log does not continue what was seen of it before.
    #[error(
        "the first {size} leaves are not those that were seen before: the log was forked or rewritten"
    )]
    Fork {
        /// How many leaves had been seen.
        size: u64,
    },
}

/// Reads a checkpoint of this origin that one of the log's keys has signed.
///
/// # Errors
///
/// [`VerifyError::Note`], [`VerifyError::Checkpoint`], [`VerifyError::Origin`].
pub fn checkpoint(
    note: &str,
    keys: &[VerifierKey],
    origin: &str,
) -> Result<Checkpoint, VerifyError> {
    let note = Note::parse(note)?;
    let signed = note.verify(keys)?;
    if signed.iter().all(|one| one.key.kind() != KeyKind::Ed25519) {
        return Err(NoteError::Unsigned.into());
    }
    let checkpoint = Checkpoint::parse(&note.text)?;
    if checkpoint.origin != origin {
        return Err(VerifyError::Origin {
            found: checkpoint.origin,
            wanted: origin.to_owned(),
        });
    }
    Ok(checkpoint)
}

/// A log's leaves, taken in one after the other from its first on.
#[derive(Debug, Default)]
pub struct Replay {
    range: Range,
    /// What was seen before, by size; the smallest last.
    seen: Vec<(u64, Hash)>,
}

impl Replay {
    /// A log of which these heads were seen before.
    pub fn new(seen: impl IntoIterator<Item = (u64, Hash)>) -> Self {
        let mut seen: Vec<_> = seen.into_iter().collect();
        seen.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
        Self {
            range: Range::default(),
            seen,
        }
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// The root so far.
    pub fn root(&self) -> Hash {
        self.range.root()
    }

    /// Takes in the next leaf.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Leaf`], [`VerifyError::Place`], [`VerifyError::Fork`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Leaf, VerifyError> {
        self.compare()?;
        let index = self.range.size();
        let leaf = Leaf::from_bytes(bytes).map_err(|source| VerifyError::Leaf { index, source })?;
        let says = leaf.head.index;
        if says != index {
            return Err(VerifyError::Place { index, says });
        }
        self.range.push(Hash::of_leaf(bytes), |_, _, _| {});
        self.compare()?;
        Ok(leaf)
    }

    /// Says whether the leaves taken in are exactly those that a checkpoint commits to.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Short`], [`VerifyError::Root`], [`VerifyError::Stale`].
    pub fn finish(&mut self, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
        self.compare()?;
        let size = checkpoint.size;
        if let Some((seen, _)) = self.seen.first().filter(|(seen, _)| *seen > size) {
            return Err(VerifyError::Stale { size, seen: *seen });
        }
        if self.range.size() < size {
            return Err(VerifyError::Short {
                leaves: self.range.size(),
                size,
            });
        }
        if self.range.size() > size || self.range.root() != checkpoint.root {
            return Err(VerifyError::Root { size });
        }
        Ok(())
    }

    fn compare(&mut self) -> Result<(), VerifyError> {
        while let Some((size, root)) = self.seen.last().copied() {
            if size > self.range.size() {
                break;
            }
            self.seen.pop();
            if size == self.range.size() && root != self.range.root() {
                return Err(VerifyError::Fork { size });
            }
        }
        Ok(())
    }
}

/// Checks a whole log against its checkpoint and against heads that were seen of it before.
///
/// # Errors
///
/// [`VerifyError`] names the first thing that is wrong.
pub fn log<B: AsRef<[u8]>>(
    leaves: impl IntoIterator<Item = B>,
    note: &str,
    keys: &[VerifierKey],
    origin: &str,
    seen: &[Checkpoint],
) -> Result<Checkpoint, VerifyError> {
    let head = checkpoint(note, keys, origin)?;
    let newest = seen.iter().max_by_key(|seen| seen.size);
    if let Some(newer) = newest.filter(|newest| newest.size > head.size) {
        return Err(VerifyError::Stale {
            size: head.size,
            seen: newer.size,
        });
    }
    let mut replay = Replay::new(seen.iter().map(|seen| (seen.size, seen.root)));
    for leaf in leaves
        .into_iter()
        .take(usize::try_from(head.size).unwrap_or(usize::MAX))
    {
        replay.push(leaf.as_ref())?;
    }
    replay.finish(&head)?;
    Ok(head)
}
