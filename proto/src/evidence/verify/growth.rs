//! The tree over the leaves as it grows: checks `tree` and `consistency`.

use std::collections::BTreeMap;

use super::checks::Checks;
use super::notes::Notes;
use super::parts::Part;
use super::proofs::Proofs;
use super::tiles::Tiles;
use crate::evidence::{Check, Manifest};
use crate::ledger::tile::{HEIGHT, WIDTH};
use crate::ledger::tree::{Hash, Range, check_consistency, peaks};
use crate::text;

/// The tree, and the roots that it had at the sizes that were asked for.
pub(super) struct Growth {
    range: Option<Range>,
    tiles: Tiles,
    /// Sizes that are still to come, the smallest last.
    wanted: Vec<u64>,
    roots: BTreeMap<u64, Hash>,
}

impl Growth {
    /// The tree of the leaves before the bundle's first. Its root will be asked for at these sizes.
    pub(super) fn new(
        first: u64,
        left: Option<Vec<Hash>>,
        tiles: Tiles,
        sizes: impl Iterator<Item = u64>,
        checks: &mut Checks,
    ) -> Self {
        let mut wanted: Vec<u64> = sizes.collect();
        wanted.sort_unstable();
        wanted.reverse();
        let is_there = left.is_some();
        let range = left.and_then(|left| Range::from_parts(first, left));
        if is_there && range.is_none() {
            checks.fail(Check::Tree, || {
                text!(
                    "proof/range.json: `left` has not as many subtrees as {first} leaves make up",
                    "proof/range.json：`left` 的子树数目与 {first} 条记录不符"
                )
            });
        }
        for ((level, index), node) in peaks(first).zip(range.iter().flat_map(Range::peaks)) {
            tiles.compare(level, index, *node, checks);
        }
        Self {
            range,
            tiles,
            wanted,
            roots: BTreeMap::new(),
        }
    }

    pub(super) fn take(&mut self, part: &Part, checks: &mut Checks) {
        let width = usize::try_from(WIDTH).unwrap_or(256);
        let mut blocks = part.blocks.iter();
        for hashes in part.hashes.chunks(width) {
            let Some(size) = self.range.as_ref().map(Range::size) else {
                return;
            };
            let block = blocks.next();
            let next = self.wanted.last().copied();
            let is_inside = next.is_some_and(|next| next < size.saturating_add(WIDTH));
            match block {
                Some(block) if !is_inside => self.push(HEIGHT, *block, checks),
                _ => hashes.iter().for_each(|hash| self.push(0, *hash, checks)),
            }
        }
    }

    fn push(&mut self, level: u8, hash: Hash, checks: &mut Checks) {
        let Some(range) = &mut self.range else { return };
        let tiles = &self.tiles;
        range.push_node(level, hash, |level, index, node| {
            tiles.compare(level, index, node, checks);
        });
        let size = range.size();
        while self.wanted.last().is_some_and(|next| *next <= size) {
            if self.wanted.pop() == Some(size) {
                self.roots.insert(size, range.root());
            }
        }
    }

    pub(super) fn finish(
        &self,
        manifest: &Manifest,
        proofs: &Proofs,
        notes: &Notes,
        checks: &mut Checks,
    ) {
        self.tree(manifest, proofs, notes, checks);
        self.consistency(manifest, proofs, notes, checks);
        let root = notes.end().map(|head| head.root);
        let range = self.range.as_ref();
        let tail = range.filter(|_| manifest.end == manifest.size);
        let tail = tail.map(Range::peaks);
        self.tiles.finish(manifest.size, root, tail, checks);
    }

    fn tree(&self, manifest: &Manifest, proofs: &Proofs, notes: &Notes, checks: &mut Checks) {
        let (end, size) = (manifest.end, manifest.size);
        let (Some(range), Some(right), Some(head)) = (&self.range, &proofs.right, notes.end())
        else {
            return checks.skip(&[Check::Tree]);
        };
        let found = range.root();
        if let Err(error) = check_consistency(end, size, right, found, head.root) {
            let root = head.root;
            checks.fail(
                Check::Tree,
                || text!(
                    "the leaves up to {end} give the root {found}, and checkpoint/end commits to {root} over {size}: {error}",
                    "到第 {end} 条为止的记录算出树根 {found}，checkpoint/end 对 {size} 条记录承诺的是 {root}：{error}"
                ),
            );
        }
    }

    fn consistency(
        &self,
        manifest: &Manifest,
        proofs: &Proofs,
        notes: &Notes,
        checks: &mut Checks,
    ) {
        let (old, new) = (manifest.start_size, manifest.size);
        if old == 0 {
            checks.note(Check::Consistency, || {
                text!(
                    "there is no older checkpoint to compare with",
                    "没有更早的签名存证点可供比较"
                )
            });
        }
        let heads = notes
            .start()
            .zip(notes.end())
            .zip(proofs.consistency.as_ref());
        match heads.filter(|_| old > 0) {
            Some(((start, end), hashes)) => {
                if let Err(error) = check_consistency(old, new, hashes, start.root, end.root) {
                    checks.fail(
                        Check::Consistency,
                        || text!("checkpoint/start of {old} leaves is not the beginning of checkpoint/end of {new}: {error}", "checkpoint/start（{old} 条记录）不是 checkpoint/end（{new} 条记录）的前身：{error}"),
                    );
                }
            }
            None if old > 0 => checks.skip(&[Check::Consistency]),
            None => {}
        }
        for (size, head) in notes.cosigned() {
            let known = self.roots.get(&size);
            let known = known.filter(|_| manifest.first < size && size <= manifest.end);
            if head.size != size || known != Some(&head.root) {
                checks.fail(
                    Check::Consistency,
                    || text!("checkpoint/cosigned/{size} does not have the root that the leaves give at {size}", "checkpoint/cosigned/{size} 的树根与记录在 {size} 处算出的不同"),
                );
            }
        }
    }
}
