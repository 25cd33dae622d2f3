//! What is read of a ledger, while others append to it: its lock is held only to see how far it has come, and for
//! leaves that are in memory. What is on disk and full never changes, and is read without it.

use std::ops::Range;
use std::path::Path;

use lineside_proto::ledger::tile::Tile;
use lineside_proto::ledger::{Hash, KeyLeaf, Leaf, LeafBody};

use super::notes::Kept;
use super::tiles::{Taken, take_bundles};
use super::{Ledger, LedgerError};

/// Bytes of leaves that are read at once.
const READ_BYTES_MAX: usize = 1 << 20;

impl Ledger {
    /// The state directory that it is in.
    pub fn state_dir(&self) -> &Path {
        self.dir().parent().unwrap_or(self.dir())
    }

    /// Leaves from an index on: their indexes and exact bytes; about so many bytes, at least one leaf.
    ///
    /// # Errors
    ///
    /// The files can't be read.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
        let mut taken = Taken::new(from, bytes_max);
        loop {
            let bundled = {
                let state = self.state();
                let bundled = state.log.bundled();
                if taken.next() >= bundled {
                    state.log.take_tail(&mut taken);
                    return Ok(taken.leaves());
                }
                bundled
            };
            take_bundles(self.dir(), bundled, &mut taken)?;
            if taken.is_full() {
                return Ok(taken.leaves());
            }
        }
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        let tiles = self.state().log.tiles();
        tiles.root_at(size)
    }

    /// The proof that a leaf is among the first `size`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let tiles = self.state().log.tiles();
        tiles.inclusion(index, size)
    }

    /// The proof that the first `old` leaves are still the first of `new`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        let tiles = self.state().log.tiles();
        tiles.consistency(old, new)
    }

    /// The bytes of a hash tile, also of a width that the log had only once; none where it has no such hashes yet.
    ///
    /// # Errors
    ///
    /// The files can't be read.
    pub fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, LedgerError> {
        let tiles = self.state().log.tiles();
        tiles.tile(tile)
    }

    /// The sizes of the kept notes within a range, smallest first.
    pub fn kept(&self, sizes: Range<u64>) -> Vec<u64> {
        let sizes = sizes.start..sizes.end.min(self.size().saturating_add(1));
        self.notes().sizes(sizes)
    }

    /// The kept note of a size; none where there is none, or it is damaged.
    pub fn kept_note(&self, size: u64) -> Option<Kept> {
        let place = self.notes().place(size)?;
        place.read(size)
    }

    /// The leaf of a change of keys that is not in the ledger, because a crash came before it was appended. Reads
    /// the whole ledger as long as a change is not finished, and nothing otherwise.
    ///
    /// # Errors
    ///
    /// The files can't be read.
    pub fn untold_key_change(&self) -> Result<Option<KeyLeaf>, LedgerError> {
        let Some(change) = self.state().keys.change() else {
            return Ok(None);
        };
        let mut next = 0;
        loop {
            let part = self.read(next, READ_BYTES_MAX)?;
            let Some((last, _)) = part.last() else {
                return Ok(Some(change));
            };
            next = last + 1;
            let is_told = |bytes: &[u8]| {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                text.contains(&change.new)
                    && matches!(Leaf::from_bytes(bytes), Ok(Leaf { body: LeafBody::Key(leaf), .. }) if leaf.new == change.new)
            };
            if part.iter().any(|(_, bytes)| is_told(bytes)) {
                return Ok(None);
            }
        }
    }
}
