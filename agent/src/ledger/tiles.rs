//! The log's static files, and the tree's nodes read from them.
//!
//! The right edge, which no full tile holds yet, is kept in memory: for each level the hashes of the tile
//! that is growing, at most 255. When the log is opened it is worked out from the full tiles below it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use lineside_proto::ledger::tile::{HEIGHT, Kind, LEVELS_MAX, Tile, WIDTH, hashes};
use lineside_proto::ledger::tree::{Hash, peaks};

use super::LedgerError;
use super::disk;

/// The hash tiles of a log.
#[derive(Debug)]
pub(super) struct Tiles {
    dir: PathBuf,
    /// The growing tile of each level.
    edge: Vec<Vec<Hash>>,
    /// Leaves.
    size: u64,
}

impl Tiles {
    /// The tiles of a log whose bundles hold `size` leaves, a multiple of [`WIDTH`].
    pub(super) fn open(dir: &Path, size: u64) -> Result<Self, LedgerError> {
        let mut tiles = Self {
            dir: dir.to_owned(),
            edge: vec![Vec::new(); usize::from(LEVELS_MAX)],
            size,
        };
        for level in 1..LEVELS_MAX {
            let count = size >> (HEIGHT * level);
            for index in (count / WIDTH * WIDTH)..count {
                let below = tiles.full(level - 1, index)?;
                if let Some(edge) = tiles.edge.get_mut(usize::from(level)) {
                    edge.push(root_of(&below));
                }
            }
        }
        Ok(tiles)
    }

    /// Takes in the hash of the next leaf. Gives the tiles that are full now.
    pub(super) fn push(&mut self, leaf: Hash) -> Vec<(Tile, Vec<u8>)> {
        let mut full = Vec::new();
        let mut hash = leaf;
        self.size += 1;
        for level in 0..LEVELS_MAX {
            let Some(edge) = self.edge.get_mut(usize::from(level)) else {
                break;
            };
            edge.push(hash);
            if (edge.len() as u64) < WIDTH {
                break;
            }
            let tile = Tile {
                kind: Kind::Hashes(level),
                index: (self.size >> (HEIGHT * level)) / WIDTH - 1,
                width: WIDTH,
            };
            full.push((tile, bytes_of(edge)));
            hash = root_of(edge);
            edge.clear();
        }
        full
    }

    /// The growing tiles, each as a partial one.
    pub(super) fn partial(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> {
        (0..LEVELS_MAX)
            .zip(&self.edge)
            .filter(|(_, edge)| !edge.is_empty())
            .map(|(level, edge)| {
                let tile = Tile {
                    kind: Kind::Hashes(level),
                    index: (self.size >> (HEIGHT * level)) / WIDTH,
                    width: edge.len() as u64,
                };
                (tile, bytes_of(edge))
            })
    }

    /// A node of the tree.
    pub(super) fn node(&self, level: u8, index: u64) -> Result<Hash, LedgerError> {
        let (tile_level, above) = (level / HEIGHT, level % HEIGHT);
        let first = index << above;
        let (tile, offset) = (first / WIDTH, first % WIDTH);
        let count = 1_usize << above;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let growing = (self.size >> (HEIGHT * tile_level)) / WIDTH;
        let edge = self
            .edge
            .get(usize::from(tile_level))
            .map_or(&[][..], Vec::as_slice);
        let read;
        let hashes = if tile == growing {
            edge
        } else {
            read = self.full(tile_level, tile)?;
            &read
        };
        let part = offset
            .checked_add(count)
            .and_then(|end| hashes.get(offset..end));
        part.map(root_of).ok_or(LedgerError::Beyond {
            place: (index + 1) << level,
            size: self.size,
        })
    }

    /// The peaks of the first `size` leaves.
    pub(super) fn peaks(&self, size: u64) -> Result<Vec<Hash>, LedgerError> {
        peaks(size)
            .map(|(level, index)| self.node(level, index))
            .collect()
    }

    fn full(&self, level: u8, index: u64) -> Result<Vec<Hash>, LedgerError> {
        let tile = Tile {
            kind: Kind::Hashes(level),
            index,
            width: WIDTH,
        };
        let path = self.dir.join(tile.to_string());
        let bytes = read(&path)?;
        hashes(&bytes, WIDTH).map_err(|error| LedgerError::damaged(&path, error.to_string()))
    }
}

/// Reads a file of the log, which must be there.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
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

fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The root over a power of two of hashes.
fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of_nothing(),
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            Hash::of_node(&root_of(left), &root_of(right))
        }
    }
}
