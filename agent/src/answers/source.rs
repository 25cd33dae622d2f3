//! Where answers come from.

use lineside_proto::KeptCheckpoint;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::tile::Tile;
use lineside_proto::ledger::{Checkpoint, Hash};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

use super::copied::Before;
use super::question::{Code, Failure};

/// Where answers come from: a running gateway, a copy of its state directory, or somebody who keeps its leaves. Every
/// method may block on the disk. What is wrong is a [`Failure`] that says what whoever asks can do.
pub trait Source: Send + Sync {
    /// Leaves that can be read and proved.
    fn size(&self) -> u64;

    /// The newest signed note; none before the first was signed.
    fn checkpoint(&self) -> Option<Arc<str>>;

    /// The log's origin, its epoch included; none where no head tells it yet.
    fn origin(&self) -> Option<String> {
        let note = Note::parse(&self.checkpoint()?).ok()?;
        Some(Checkpoint::parse(&note.text).ok()?.origin)
    }

    /// The log of an epoch before this one that has this origin, if it is still here.
    fn before(&self, _origin: &str) -> Option<Before> {
        None
    }

    /// The verifier keys that the log signs with now, where that is known.
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// Leaves from an index on: their indexes and exact bytes; about so many bytes, at least one leaf if there is one.
    ///
    /// # Errors
    ///
    /// They can't be read.
    fn leaves(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure>;

    /// The proof that the first `old` leaves are still the first of `new`; both are within [`size`](Self::size).
    ///
    /// # Errors
    ///
    /// The tree can't be read.
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Failure>;

    /// The proof that a leaf is among the first `size`, which is within [`size`](Self::size).
    ///
    /// # Errors
    ///
    /// The tree can't be read.
    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Failure>;

    /// The bytes of a hash tile, cut to its width; none where there are not so many hashes.
    ///
    /// # Errors
    ///
    /// The tree can't be read.
    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, Failure>;

    /// The sizes of the kept notes within a range, smallest first.
    fn kept(&self, sizes: Range<u64>) -> Vec<u64>;

    /// The kept note of a size; none where it is damaged.
    fn kept_note(&self, size: u64) -> Option<KeptCheckpoint>;

    /// The text of a machine map by its hash (`sha256:` and 64 hexadecimal digits); none where it is not kept.
    fn map(&self, hash: &str) -> Option<String>;

    /// The text of a booking's token by its hash, likewise.
    fn token(&self, hash: &str) -> Option<String>;

    /// The gateway's status document.
    ///
    /// # Errors
    ///
    /// There is none here, or not yet.
    fn status(&self) -> Result<Value, Failure>;
}

/// The ledger's files can't be read, whatever it is.
pub(super) fn unreadable() -> Failure {
    Failure::new(
        Code::Unavailable,
        "the ledger can't be read at the moment: ask again in a minute, then look at the gateway",
    )
}
