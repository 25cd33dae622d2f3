//! Nodes of the tree out of leaves' hashes and tiles, so that proofs of single leaves need not be asked for.

use lineside_proto::ledger::Hash;
use lineside_proto::ledger::edge::root_of;
use lineside_proto::ledger::tile::{HEIGHT, Kind, Tile, WIDTH};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What is known of a tree: tiles, and the hashes of a run of leaves.
pub(super) struct Nodes<L> {
    tiles: BTreeMap<(u8, u64), Vec<Hash>>,
    /// Gives the hashes of the 256 leaves, or fewer at the end, of a place among such blocks.
    leaves: L,
    /// The block that was given last: proofs come in the order of their leaves.
    block: Option<(u64, Vec<Hash>)>,
}

impl<L> Nodes<L> {
    pub(super) fn new(leaves: L) -> Self {
        Self {
            tiles: BTreeMap::new(),
            leaves,
            block: None,
        }
    }

    /// Adds a hash tile.
    pub(super) fn add(&mut self, tile: Tile, hashes: Vec<Hash>) {
        if let Kind::Hashes(level) = tile.kind {
            self.tiles.insert((level, tile.index), hashes);
        }
    }

    /// The node at a level of the tree, and its place there; none where it is not known.
    ///
    /// # Errors
    ///
    /// Only those of who gives the leaves' hashes.
    pub(super) fn node<E>(&mut self, level: u8, index: u64) -> Result<Option<Hash>, E>
    where
        L: FnMut(u64) -> Result<Option<Vec<Hash>>, E>,
    {
        let (tile_level, height) = (level / HEIGHT, level % HEIGHT);
        let Some(from) = index.checked_shl(height.into()) else {
            return Ok(None);
        };
        let place = from / WIDTH;
        let known = match self.tiles.get(&(tile_level, place)) {
            Some(hashes) => Some(hashes),
            None if tile_level == 0 => self.block(place)?,
            None => None,
        };
        let begin = usize::try_from(from % WIDTH).unwrap_or(usize::MAX);
        let hashes = known.and_then(|hashes| hashes.get(begin..begin.checked_add(1 << height)?));
        Ok(hashes.map(root_of))
    }

    fn block<E>(&mut self, place: u64) -> Result<Option<&Vec<Hash>>, E>
    where
        L: FnMut(u64) -> Result<Option<Vec<Hash>>, E>,
    {
        if self.block.as_ref().is_none_or(|(known, _)| *known != place) {
            self.block = (self.leaves)(place)?.map(|hashes| (place, hashes));
        }
        Ok(self.block.as_ref().map(|(_, hashes)| hashes))
    }
}

/// The 64 hexadecimal digits of bytes' SHA-256.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::Nodes;
    use lineside_proto::evidence::tiles;
    use lineside_proto::ledger::Hash;
    use lineside_proto::ledger::tile::{HEIGHT, Kind};
    use lineside_proto::ledger::tree::{self, Range};
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    /// All complete nodes of a tree.
    fn tree(size: u64) -> (BTreeMap<(u8, u64), Hash>, Range) {
        let (mut nodes, mut range) = (BTreeMap::new(), Range::default());
        for leaf in 0..size {
            range.push(Hash::of_leaf(&leaf.to_be_bytes()), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
        }
        (nodes, range)
    }

    fn known(level: u8, index: u64, nodes: &BTreeMap<(u8, u64), Hash>) -> Result<Hash, ()> {
        nodes.get(&(level, index)).copied().ok_or(())
    }

    #[test]
    fn a_bundle_proves_its_leaves_by_its_own_leaves_and_tiles() {
        for (first, end, size) in [
            (0, 1, 1),
            (0, 300, 300),
            (256, 512, 700),
            (512, 768, 768),
            (256, 1024, 70_000),
            (65_536, 66_048, 70_000),
            (69_888, 70_000, 70_000),
        ] {
            let (all, range) = tree(size);
            let mut nodes = Nodes::new(|place: u64| {
                let from = place * 256;
                let leaves = from..(from + 256).min(end);
                let inside = from >= first && from < end;
                Ok::<_, Infallible>(inside.then(|| leaves.map(|leaf| all[&(0, leaf)]).collect()))
            });
            for tile in tiles(first, end, size) {
                let Kind::Hashes(level) = tile.kind else {
                    panic!()
                };
                let from = tile.index * 256;
                let hashes = (from..from + tile.width).map(|index| all[&(level * HEIGHT, index)]);
                nodes.add(tile, hashes.collect());
            }
            for leaf in (first..end).step_by(37).chain([first, end - 1]) {
                let proof = tree::inclusion(leaf, size, |level, index| {
                    nodes.node(level, index).unwrap().ok_or(())
                })
                .unwrap_or_else(|()| panic!("{leaf} of {first}..{end} of {size}"));
                let hash = Hash::of_leaf(&leaf.to_be_bytes());
                tree::check_inclusion(hash, leaf, size, &proof, range.root()).unwrap();
            }
        }
    }

    /// A leaf's proof in the tree that ends with it is what is before it.
    #[test]
    fn the_proof_of_the_last_leaf_is_the_subtrees_before_it() {
        let (all, _) = tree(700);
        for first in [1, 2, 3, 255, 256, 257, 512, 640, 699] {
            let mut proof =
                tree::inclusion(first, first + 1, |level, index| known(level, index, &all))
                    .unwrap();
            proof.reverse();
            let peaks: Vec<Hash> = tree::peaks(first)
                .map(|(level, index)| all[&(level, index)])
                .collect();
            assert_eq!(proof, peaks, "{first}");
        }
    }
}
