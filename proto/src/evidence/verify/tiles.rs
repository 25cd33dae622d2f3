//! The hash tiles of a bundle against its leaves, one another and the root: check `tiles`.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::checks::{Checks, chain};
use crate::evidence::{Bundle, Check, Entry, Manifest, tiles};
use crate::ledger::edge::root_of;
use crate::ledger::tile::{HEIGHT, Kind, Tile, WIDTH, hashes};
use crate::ledger::tree::{Hash, peaks};
use crate::text;

/// The tiles that there are, by level and place.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    tiles: BTreeMap<(u8, u64), (Tile, Vec<Hash>)>,
    is_whole: bool,
}

/// Reads the tiles that a bundle of these leaves must have.
pub(super) fn read<R: Read + Seek>(
    bundle: &mut Bundle<R>,
    manifest: &Manifest,
    checks: &mut Checks,
) -> Tiles {
    let wanted = tiles(manifest.first, manifest.end, manifest.size);
    let mut read = Tiles {
        is_whole: true,
        ..Tiles::default()
    };
    let paths = bundle.paths().filter_map(Entry::from_path);
    let others: Vec<Tile> = paths
        .filter_map(|entry| {
            if let Entry::Tile(tile) = entry {
                Some(tile)
            } else {
                None
            }
        })
        .filter(|tile| !wanted.contains(tile))
        .collect();
    for tile in others {
        checks.fail(Check::Tiles, || {
            text!(
                "{tile} is not of a tree of so many leaves, or does not belong here",
                "{tile} 不属于这棵树，或不该在此"
            )
        });
        checks.entry(bundle, &Entry::Tile(tile));
    }
    for tile in wanted {
        let path = Entry::Tile(tile);
        let bytes = match bundle.has(&path.to_string()) {
            true => checks.entry(bundle, &path),
            false => None,
        };
        let found = bytes.map(|bytes| hashes(&bytes, tile.width));
        let Kind::Hashes(level) = tile.kind else {
            continue;
        };
        match found {
            Some(Ok(hashes)) => {
                read.tiles.insert((level, tile.index), (tile, hashes));
            }
            Some(Err(error)) => {
                let why = chain(&error);
                checks.fail(Check::Tiles, || text!("{tile}: {why}", "{tile}:{why}"));
                read.is_whole = false;
            }
            None => {
                checks.fail(Check::Tiles, || text!("{tile} is missing", "缺少 {tile}"));
                read.is_whole = false;
            }
        }
    }
    read
}

impl Tiles {
    /// A node that the leaves give.
    pub(super) fn compare(&self, level: u8, index: u64, node: Hash, checks: &mut Checks) {
        if level == 0 || level % HEIGHT != 0 {
            return;
        }
        let Some((tile, hashes)) = self.tiles.get(&(level / HEIGHT, index / WIDTH)) else {
            return;
        };
        let place = usize::try_from(index % WIDTH).unwrap_or(0);
        if hashes.get(place).is_some_and(|hash| *hash != node) {
            let (from, to) = (index << level, ((index + 1) << level) - 1);
            checks.fail(
                Check::Tiles,
                || text!("{tile}: hash {place} is not that of leaves {from} to {to}: the tile or a leaf was changed", "{tile}：第 {place} 个哈希与第 {from} 至 {to} 条记录不符：树块或记录被改动"),
            );
        }
    }

    /// What tiles say of one another, and of the root. `tail` are the roots of the smallest subtrees at the end of
    /// the leaves where these end with the tree.
    pub(super) fn finish(
        &self,
        size: u64,
        root: Option<Hash>,
        tail: Option<&[Hash]>,
        checks: &mut Checks,
    ) {
        for ((level, index), (tile, hashes)) in &self.tiles {
            let parent = self.tiles.get(&(level + 1, index / WIDTH));
            let place = usize::try_from(index % WIDTH).unwrap_or(0);
            let said = parent.and_then(|(parent, hashes)| Some((parent, hashes.get(place)?)));
            let Some((parent, said)) = said.filter(|_| tile.is_full()) else {
                continue;
            };
            if root_of(hashes) != *said {
                checks.fail(Check::Tiles, || {
                    text!(
                        "{tile} is not the one that {parent} commits to at {place}",
                        "{tile} 不是 {parent} 第 {place} 个哈希所指的树块"
                    )
                });
            }
        }
        let Some(root) = root.filter(|_| self.is_whole) else {
            return;
        };
        if self.root(size, tail) != Some(root) {
            let edge = self.tiles.values().filter(|(tile, _)| !tile.is_full());
            let edge: Vec<String> = edge.map(|(tile, _)| tile.to_string()).collect();
            let edge = edge.join(", ");
            checks.fail(Check::Tiles, || {
                text!(
                    "the last tiles of all levels ({edge}) don't give the root {root}",
                    "各层最后的树块（{edge}）算不出树根 {root}"
                )
            });
        }
    }

    /// The root of the tree, by the tiles of its right edge.
    fn root(&self, size: u64, tail: Option<&[Hash]>) -> Option<Hash> {
        let mut tail = tail.map(|tail| {
            let low = usize::try_from((size % WIDTH).count_ones()).unwrap_or(0);
            tail.iter().skip(tail.len().saturating_sub(low))
        });
        let mut nodes = Vec::new();
        for (level, index) in peaks(size) {
            let tile = HEIGHT * (level / HEIGHT);
            let known = tail.as_mut().filter(|_| tile == 0);
            nodes.push(match known {
                Some(tail) => *tail.next()?,
                None => self.node(level, index)?,
            });
        }
        let right = nodes.pop().unwrap_or_else(Hash::of_nothing);
        let nodes = nodes.iter().rev();
        Some(nodes.fold(right, |right, left| Hash::of_node(left, &right)))
    }

    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        let (tile, above) = (level / HEIGHT, level % HEIGHT);
        let first = index << above;
        let (_, hashes) = self.tiles.get(&(tile, first / WIDTH))?;
        let from = usize::try_from(first % WIDTH).ok()?;
        let count = 1_usize << above;
        hashes.get(from..from + count).map(root_of)
    }
}
