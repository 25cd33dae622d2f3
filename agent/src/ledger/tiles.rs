//! The log's static files, and the tree's nodes read from them.
//!
//! The right edge, which no full tile holds yet, is kept in memory: for each level the hashes of the tile
//! that is growing, at most 255. When the log is opened it is worked out from the full tiles below it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use lineside_proto::ledger::edge::{Edge, root_of};
use lineside_proto::ledger::tile::{HEIGHT, Kind, TILE_BYTES_MAX, Tile, WIDTH, hashes};
use lineside_proto::ledger::tree::{Hash, peaks};

use super::LedgerError;
use super::disk;

/// The hash tiles of a log.
#[derive(Debug)]
pub(super) struct Tiles {
    dir: PathBuf,
    edge: Edge,
}

impl Tiles {
    /// The tiles of a log whose bundles hold `size` leaves, a multiple of [`WIDTH`].
    pub(super) fn open(dir: &Path, size: u64) -> Result<Self, LedgerError> {
        let edge = Edge::of_log(size, |level, index| full(dir, level, index))?;
        let dir = dir.to_owned();
        Ok(Self { dir, edge })
    }

    /// Takes in the hash of the next leaf. Gives the tiles that are full now.
    pub(super) fn push(&mut self, leaf: Hash) -> Vec<(Tile, Vec<u8>)> {
        self.edge.push(leaf)
    }

    /// The growing tiles, each as a partial one.
    pub(super) fn partial(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> {
        self.edge.partial()
    }

    /// A node of the tree.
    pub(super) fn node(&self, level: u8, index: u64) -> Result<Hash, LedgerError> {
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
    pub(super) fn peaks(&self, size: u64) -> Result<Vec<Hash>, LedgerError> {
        peaks(size)
            .map(|(level, index)| self.node(level, index))
            .collect()
    }
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
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, LedgerError> {
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
pub(super) fn put(dir: &Path, tile: Tile, bytes: &[u8]) -> Result<(), LedgerError> {
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
