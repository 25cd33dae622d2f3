//! The growing right edge of a log's tiles: leaves go in by their hashes, full tiles come out.

use super::tile::{HEIGHT, Kind, LEVELS_MAX, Tile, WIDTH};
use super::tree::Hash;

/// The tiles of each level that are not full yet: at most 255 hashes a level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            size: 0,
            levels: vec![Vec::new(); usize::from(LEVELS_MAX)],
        }
    }
}

impl Edge {
    /// The edge of a log of so many leaves, a multiple of [`WIDTH`]. `full` gives the hashes of a full tile by its
    /// level and place.
    ///
    /// # Errors
    ///
    /// Only the reader's own.
    pub fn of_log<E>(
        size: u64,
        mut full: impl FnMut(u8, u64) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut edge = Self {
            size,
            ..Self::default()
        };
        for (level, growing) in (0_u8..).zip(&mut edge.levels).skip(1) {
            let count = size >> (HEIGHT * level);
            for index in (count / WIDTH * WIDTH)..count {
                growing.push(root_of(&full(level - 1, index)?));
            }
        }
        Ok(edge)
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of a level's growing tile.
    pub fn level(&self, level: u8) -> &[Hash] {
        self.levels
            .get(usize::from(level))
            .map_or(&[], Vec::as_slice)
    }

    /// Takes in the hash of the next leaf. Gives the tiles that are full now.
    pub fn push(&mut self, leaf: Hash) -> Vec<(Tile, Vec<u8>)> {
        let mut full = Vec::new();
        let mut hash = leaf;
        self.size += 1;
        for (level, growing) in (0_u8..).zip(&mut self.levels) {
            growing.push(hash);
            if u64::try_from(growing.len()).is_ok_and(|length| length < WIDTH) {
                break;
            }
            let tile = Tile {
                kind: Kind::Hashes(level),
                index: (self.size >> (HEIGHT * level)) / WIDTH - 1,
                width: WIDTH,
            };
            full.push((tile, bytes_of(growing)));
            hash = root_of(growing);
            growing.clear();
        }
        full
    }

    /// The growing tiles, each as a partial one.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> {
        (0_u8..)
            .zip(&self.levels)
            .filter(|(_, growing)| !growing.is_empty())
            .map(|(level, growing)| {
                let count = self.size >> (HEIGHT * level);
                let tile = Tile {
                    kind: Kind::Hashes(level),
                    index: count / WIDTH,
                    width: count % WIDTH,
                };
                (tile, bytes_of(growing))
            })
    }
}

fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The root over a power of two of hashes.
pub fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of_nothing(),
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            Hash::of_node(&root_of(left), &root_of(right))
        }
    }
}
