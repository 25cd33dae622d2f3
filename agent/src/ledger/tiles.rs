//! The log's static files, and the tree's nodes read from them.
//!
//! The right edge, which no full tile holds yet, is kept in memory: for each level the hashes of the tile
//! that is growing, at most 255. When the log is opened it is worked out from the full tiles below it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use lineside_proto::ledger::edge::{Edge, root_of};
use lineside_proto::ledger::files::BUNDLE_BYTES_MAX;
use lineside_proto::ledger::tile::{HEIGHT, Kind, TILE_BYTES_MAX, Tile, WIDTH, entries, hashes};
use lineside_proto::ledger::tree::{self, Hash, peaks};

use super::LedgerError;
use super::disk;

/// The hash tiles of a log.
#[derive(Clone, Debug)]
pub(crate) struct Tiles {
    dir: PathBuf,
    edge: Edge,
}

impl Tiles {
    /// The tiles of a log whose bundles hold `size` leaves, a multiple of [`WIDTH`].
    pub(crate) fn open(dir: &Path, size: u64) -> Result<Self, LedgerError> {
        let edge = Edge::of_log(size, |level, index| full(dir, level, index))?;
        let dir = dir.to_owned();
        Ok(Self { dir, edge })
    }

    /// Takes in the hash of the next leaf. Gives the tiles that are full now.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<(Tile, Vec<u8>)> {
        self.edge.push(leaf)
    }

    /// The growing tiles, each as a partial one.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> {
        self.edge.partial()
    }

    /// A node of the tree.
    pub(crate) fn node(&self, level: u8, index: u64) -> Result<Hash, LedgerError> {
        let (tile_level, above) = (level / HEIGHT, level % HEIGHT);
        let first = index << above;
        let (tile, offset) = (first / WIDTH, first % WIDTH);
        let count = 1_usize << above;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let size = self.edge.size();
        let growing = (size >> (HEIGHT * tile_level)) / WIDTH;
        let read;
        let hashes = if tile == growing {
            self.edge.level(tile_level)
        } else {
            read = full(&self.dir, tile_level, tile)?;
            &read
        };
        let part = offset
            .checked_add(count)
            .and_then(|end| hashes.get(offset..end));
        part.map(root_of).ok_or(LedgerError::Beyond {
            place: index.saturating_add(1) << level,
            size,
        })
    }

    /// The peaks of the first `size` leaves.
    pub(crate) fn peaks(&self, size: u64) -> Result<Vec<Hash>, LedgerError> {
        peaks(size)
            .map(|(level, index)| self.node(level, index))
            .collect()
    }

    /// Leaves.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root over the first `size` leaves.
    pub(crate) fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        self.within(size)?;
        tree::root(size, |level, index| self.node(level, index))
    }

    /// The proof that a leaf is among the first `size`.
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.within(size)?;
        if index >= size {
            return Err(LedgerError::Beyond { place: index, size });
        }
        tree::inclusion(index, size, |level, index| self.node(level, index))
    }

    /// The proof that the first `old` leaves are still the first of `new`.
    pub(crate) fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.within(new)?;
        if old > new {
            return Err(LedgerError::Beyond {
                place: old,
                size: new,
            });
        }
        tree::consistency(old, new, |level, index| self.node(level, index))
    }

    /// The bytes of a hash tile, cut to its width; none where the log has not so many hashes there.
    pub(crate) fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, LedgerError> {
        let Kind::Hashes(level) = tile.kind else {
            return Ok(None);
        };
        let count = self
            .size()
            .checked_shr(u32::from(HEIGHT) * u32::from(level));
        let end = tile.index.checked_mul(WIDTH);
        let end = end.and_then(|first| first.checked_add(tile.width));
        let is_there = end.zip(count).is_some_and(|(end, count)| end <= count);
        if !is_there || tile.width > WIDTH {
            return Ok(None);
        }
        let growing = count.unwrap_or(0) / WIDTH;
        let width = usize::try_from(tile.width).unwrap_or(usize::MAX);
        let bytes = |hashes: &[Hash]| hashes.iter().take(width).flat_map(|hash| hash.0).collect();
        if tile.index == growing {
            return Ok(Some(bytes(self.edge.level(level))));
        }
        Ok(Some(bytes(&full(&self.dir, level, tile.index)?)))
    }

    fn within(&self, size: u64) -> Result<(), LedgerError> {
        if size > self.size() {
            return Err(LedgerError::Beyond {
                place: size,
                size: self.size(),
            });
        }
        Ok(())
    }
}

/// Leaves that are read, one after the other, of about so many bytes and at least one.
#[derive(Debug)]
pub(crate) struct Taken {
    next: u64,
    room: usize,
    found: Vec<(u64, Vec<u8>)>,
    is_full: bool,
}

impl Taken {
    pub(crate) fn new(from: u64, bytes_max: usize) -> Self {
        Self {
            next: from,
            room: bytes_max,
            found: Vec::new(),
            is_full: false,
        }
    }

    /// The leaf that is wanted next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether no more leaves are wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// What was read.
    pub(crate) fn leaves(self) -> Vec<(u64, Vec<u8>)> {
        self.found
    }

    /// Takes in the next leaves, as far as there is room.
    fn take<'a>(&mut self, leaves: impl Iterator<Item = &'a [u8]>) {
        for leaf in leaves {
            if !self.found.is_empty() && leaf.len() > self.room {
                self.is_full = true;
                return;
            }
            self.room = self.room.saturating_sub(leaf.len());
            self.found.push((self.next, leaf.to_vec()));
            self.next += 1;
        }
        self.is_full = self.room == 0;
    }
}

/// Takes leaves out of full bundles, of which a log has those below `bundled`.
pub(crate) fn take_bundles(dir: &Path, bundled: u64, taken: &mut Taken) -> Result<(), LedgerError> {
    while taken.next < bundled && !taken.is_full {
        let tile = Tile {
            kind: Kind::Entries,
            index: taken.next / WIDTH,
            width: WIDTH,
        };
        let bytes = bundle(dir, tile)?;
        let leaves = leaves_of(dir, tile, &bytes)?;
        let skip = usize::try_from(taken.next % WIDTH).unwrap_or(0);
        taken.take(leaves.into_iter().skip(skip));
    }
    Ok(())
}

/// Takes leaves of the bundle that grows, the first of which is `first`.
pub(crate) fn take_tail(first: u64, tail: &[Vec<u8>], taken: &mut Taken) {
    let skip = taken.next.checked_sub(first);
    if let Some(skip) = skip.and_then(|skip| usize::try_from(skip).ok()) {
        taken.take(tail.iter().skip(skip).map(Vec::as_slice));
    }
}

/// The bytes of a bundle.
pub(crate) fn bundle(dir: &Path, tile: Tile) -> Result<Vec<u8>, LedgerError> {
    read(&dir.join(tile.to_string()), BUNDLE_BYTES_MAX)
}

/// The leaves in the bytes of a bundle.
pub(crate) fn leaves_of<'a>(
    dir: &Path,
    tile: Tile,
    bytes: &'a [u8],
) -> Result<Vec<&'a [u8]>, LedgerError> {
    entries(bytes, tile.width)
        .map_err(|error| LedgerError::damaged(dir.join(tile.to_string()), error.to_string()))
}

fn full(dir: &Path, level: u8, index: u64) -> Result<Vec<Hash>, LedgerError> {
    let tile = Tile {
        kind: Kind::Hashes(level),
        index,
        width: WIDTH,
    };
    let path = dir.join(tile.to_string());
    let bytes = read(&path, TILE_BYTES_MAX)?;
    hashes(&bytes, WIDTH).map_err(|error| LedgerError::damaged(&path, error.to_string()))
}

/// Reads a file of the log, which must be there and not be longer than that.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, LedgerError> {
    match disk::read(path, bytes_max) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(LedgerError::damaged(path, "it is longer than its kind")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(LedgerError::damaged(path, "it is missing"))
        }
        Err(error) => Err(LedgerError::disk(path)(error)),
    }
}

/// Writes a tile or bundle; durable on return. The partial ones that a full one follows go.
pub(crate) fn put(dir: &Path, tile: Tile, bytes: &[u8]) -> Result<(), LedgerError> {
    let path = dir.join(tile.to_string());
    disk::put(&path, bytes).map_err(LedgerError::disk(&path))?;
    if tile.is_full() {
        let mut partial = path.into_os_string();
        partial.push(".p");
        let partial = PathBuf::from(partial);
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, "partial tiles of a full one are still there");
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
