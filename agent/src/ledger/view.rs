//! A ledger's directory as it lies there: a copy, or one that an agent works on. Nothing is locked or written, no key
//! is wanted, and nothing that the files say is trusted: whoever reads them checks what they get.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::tile::{Kind, Tile, WIDTH};
use lineside_proto::ledger::{Checkpoint, Hash};

use super::notes::{Kept, Notes};
use super::tiles::{self, Taken, Tiles, take_bundles, take_tail};
use super::{FOLDER, LedgerError, epoch, journal, kept_note};

/// The highest size that a checkpoint may say: what fits a number of JSON.
const SIZE_MAX: u64 = 1 << 53;

/// Leaves of a full bundle.
const BUNDLE_LEAVES: usize = 256;

/// What a ledger's directory held when it was opened. Full tiles and bundles are read when they are wanted.
#[derive(Debug)]
pub struct View {
    dir: PathBuf,
    tiles: Tiles,
    /// Leaves that are in full bundles.
    first: u64,
    /// Those after them.
    tail: Vec<Vec<u8>>,
    note: Option<Arc<str>>,
    notes: Notes,
}

/// A ledger of an epoch before that was put aside, as it lies there: it differs from another that took its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PutAside {
    dir: PathBuf,
    /// Its newest signed note.
    note: Option<String>,
    /// Its journal: which file, how long, and when it was written.
    journal: Option<(u64, u64, SystemTime)>,
}

impl PutAside {
    /// Looks for the ledger with this origin.
    pub fn find(state_dir: &Path, origin: &str) -> Option<Self> {
        let dir = epoch::put_aside(state_dir, origin)?;
        let journal = fs::metadata(dir.join(journal::FILE)).ok();
        let journal =
            journal.and_then(|file| Some((file.ino(), file.len(), file.modified().ok()?)));
        Some(Self {
            note: kept_note(&dir),
            journal,
            dir,
        })
    }

    /// Looks at it.
    ///
    /// # Errors
    ///
    /// What lies there does not fit together.
    pub fn open(&self) -> Result<View, LedgerError> {
        View::of_log(&self.dir, &self.dir)
    }
}

impl View {
    /// Looks at the ledger of a state directory. It has the leaves of the journal, or those of the newest signed note
    /// where that is further or there is no journal.
    ///
    /// # Errors
    ///
    /// There is no ledger, or what lies there does not fit together.
    pub fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let dir = state_dir.join(FOLDER);
        Self::of_log(&dir, &dir)
    }

    /// The same of a log's files in one directory, and the folder of its kept notes, `notes/`, in another.
    ///
    /// # Errors
    ///
    /// There is no log, or what lies there does not fit together.
    pub fn of_log(dir: &Path, kept: &Path) -> Result<Self, LedgerError> {
        let dir = dir.to_owned();
        if !dir.is_dir() {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(LedgerError::disk(&dir)(missing));
        }
        let note: Option<Arc<str>> = kept_note(&dir).map(Into::into);
        let head = note.as_deref().and_then(head);
        let head = head.filter(|head| head.size <= SIZE_MAX);
        let origin = head
            .as_ref()
            .map_or_else(String::new, |head| head.origin.clone());
        let (mut first, mut leaves) = match journal::look(&dir) {
            Err(error) if head.is_some() => {
                tracing::warn!(%error, "leaves that are not signed yet are left out");
                (0, Vec::new())
            }
            other => other?,
        };
        if let Some(head) = head.filter(|head| head.size > after(first, &leaves)) {
            // The journal was copied before the rest, or not at all.
            first = head.size / WIDTH * WIDTH;
            leaves = signed_tail(&dir, head.size)?;
        }
        if first % WIDTH != 0 {
            let what = "it does not begin at a full bundle";
            return Err(LedgerError::damaged(dir.join("journal"), what));
        }
        if leaves.len() >= BUNDLE_LEAVES {
            // A journal that is about to begin anew: its bundle is written already, or comes to be.
            if is_bundled(&dir, first) {
                leaves.drain(..BUNDLE_LEAVES);
                first += WIDTH;
            }
            leaves.truncate(BUNDLE_LEAVES - 1);
        }
        let mut tiles = Tiles::open(&dir, first)?;
        for leaf in &leaves {
            // Fewer than a bundle: nothing gets full.
            drop(tiles.push(Hash::of_leaf(leaf)));
        }
        Ok(Self {
            notes: Notes::open(kept, &origin),
            dir,
            tiles,
            first,
            tail: leaves,
            note,
        })
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.tiles.size()
    }

    /// The newest signed note.
    pub fn checkpoint(&self) -> Option<Arc<str>> {
        self.note.clone()
    }

    /// Leaves from an index on: their indexes and bytes; about so many bytes, at least one leaf.
    ///
    /// # Errors
    ///
    /// The files can't be read, or are none.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
        let mut taken = Taken::new(from, bytes_max);
        take_bundles(&self.dir, self.first, &mut taken)?;
        if !taken.is_full() {
            take_tail(self.first, &self.tail, &mut taken);
        }
        Ok(taken.leaves())
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        self.tiles.root_at(size)
    }

    /// The proof that a leaf is among the first `size`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.tiles.inclusion(index, size)
    }

    /// The proof that the first `old` leaves are still the first of `new`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Beyond`], or the files can't be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.tiles.consistency(old, new)
    }

    /// The bytes of a hash tile, cut to its width; none where it has no such hashes.
    ///
    /// # Errors
    ///
    /// The files can't be read.
    pub fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, LedgerError> {
        self.tiles.tile(tile)
    }

    /// The sizes of the kept notes within a range, smallest first.
    pub fn kept(&self, sizes: Range<u64>) -> Vec<u64> {
        let end = sizes.end.min(self.size().saturating_add(1));
        self.notes.sizes(sizes.start..end)
    }

    /// The kept note of a size; none where there is none, or it is damaged.
    pub fn kept_note(&self, size: u64) -> Option<Kept> {
        self.notes.place(size)?.read(size)
    }
}

fn head(note: &str) -> Option<Checkpoint> {
    Checkpoint::parse(&Note::parse(note).ok()?.text).ok()
}

/// The leaf after these.
fn after(first: u64, leaves: &[Vec<u8>]) -> u64 {
    first.saturating_add(u64::try_from(leaves.len()).unwrap_or(u64::MAX))
}

/// Whether the bundle that begins at a leaf, and what is written before it, is on disk.
fn is_bundled(dir: &Path, first: u64) -> bool {
    let tile = |kind| Tile {
        kind,
        index: first / WIDTH,
        width: WIDTH,
    };
    let kinds = [Kind::Entries, Kind::Hashes(0)];
    kinds
        .into_iter()
        .all(|kind| dir.join(tile(kind).to_string()).is_file())
}

/// The leaves of the bundle that grew when a tree of this size was signed. A full one may have taken its place since.
fn signed_tail(dir: &Path, size: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
    let count = size % WIDTH;
    if count == 0 {
        return Ok(Vec::new());
    }
    let partial = Tile {
        kind: Kind::Entries,
        index: size / WIDTH,
        width: count,
    };
    let whole = Tile {
        width: WIDTH,
        ..partial
    };
    let is_there = |tile: &Tile| dir.join(tile.to_string()).is_file();
    let tile = [partial, whole]
        .into_iter()
        .find(is_there)
        .unwrap_or(partial);
    let bytes = tiles::bundle(dir, tile)?;
    let leaves = tiles::leaves_of(dir, tile, &bytes)?.into_iter();
    let count = usize::try_from(count).unwrap_or(0);
    Ok(leaves.take(count).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests;
