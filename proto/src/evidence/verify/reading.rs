//! Takes the leaves in, in their order: everything that is asked of them at once.

use super::checks::Checks;
use super::clock::Clock;
use super::growth::Growth;
use super::maps::Named;
use super::notes::Notes;
use super::parts::Part;
use super::period::Period;
use super::proofs::Proofs;
use super::tiles::Tiles;
use crate::evidence::{Check, Manifest, Scope, Tally};
use crate::ledger::conservation::Conservation;
use crate::ledger::{Hash, KeyLeaf, LeafBody};
use crate::text::Text;

/// Changes of the key that are looked at: one a week for ten years.
const KEYS_MAX: usize = 520;

/// What is known of the leaves so far.
pub(super) struct Reading<'a> {
    manifest: &'a Manifest,
    root: Option<Hash>,
    pub(super) tally: Tally,
    pub(super) period: Period,
    pub(super) named: Named,
    growth: Growth,
    proofs: Proofs,
    conservation: Conservation,
    clock: Clock,
    keys: Vec<(u64, KeyLeaf)>,
    is_broken: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        notes: &Notes,
        mut proofs: Proofs,
        tiles: Tiles,
        checks: &mut Checks,
    ) -> Self {
        let sizes = || notes.cosigned().map(|(size, _)| size);
        let ends = [manifest.start_size, manifest.size];
        let left = proofs.left.take();
        Self {
            manifest,
            root: notes.end().map(|head| head.root),
            tally: Tally::new(Scope {
                site: manifest.site.clone(),
                gateway: manifest.gateway.clone(),
                origin: manifest.origin.clone(),
                from: manifest.from,
                to: manifest.to,
                first: manifest.first,
            }),
            period: Period::new(sizes().chain(ends)),
            named: Named::default(),
            growth: Growth::new(manifest.first, left, tiles, sizes(), checks),
            proofs,
            conservation: Conservation::of_time(manifest.first),
            clock: Clock::default(),
            keys: Vec::new(),
            is_broken: false,
        }
    }

    /// Whether a leaf could not be read: nothing that rests on each of them can be said.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Changes of the key, each with its leaf's index.
    pub(super) fn keys(&self) -> &[(u64, KeyLeaf)] {
        &self.keys
    }

    /// Takes in the next part.
    pub(super) fn take(&mut self, part: Part, checks: &mut Checks) {
        self.growth.take(&part, checks);
        if let Some(bad) = part.bad {
            checks.fail(Check::Leaves, || bad);
            self.is_broken = true;
        }
        if self.is_broken {
            return;
        }
        for (leaf, hash) in part.leaves.iter().zip(&part.hashes) {
            self.period.take(leaf, self.manifest);
            self.named.take(leaf, self.manifest, checks);
            self.clock.take(&leaf.head, checks);
            self.conservation.take(leaf);
            self.tally.take(leaf);
            self.proofs.take(leaf, *hash, self.manifest.size, self.root);
            if let LeafBody::Key(key) = &leaf.body {
                if self.keys.len() < KEYS_MAX {
                    self.keys.push((leaf.head.index, key.clone()));
                }
            }
        }
    }

    /// Checks `tree`, `consistency` and `tiles`.
    pub(super) fn finish_tree(&self, notes: &Notes, checks: &mut Checks) {
        self.growth
            .finish(self.manifest, &self.proofs, notes, checks);
    }

    /// Check `time`.
    pub(super) fn finish_time(&mut self, checks: &mut Checks) {
        let report = std::mem::take(&mut self.conservation).report();
        for violation in &report.violations {
            let (index, machine) = (violation.index, &violation.machine);
            let zh = violation.fault.zh_cn();
            checks.fail(Check::Time, || Text {
                en: violation.to_string(),
                zh: format!("第 {index} 条记录，设备 {machine}：{zh}"),
            });
        }
        // Those that were not kept: there are more findings than are told.
        let told = report.violations.len() as u64;
        for _ in told..report.violations_count {
            checks.fail(Check::Time, Text::default);
        }
    }

    /// The proofs' part of check `sessions`.
    pub(super) fn finish_sessions(self, checks: &mut Checks) {
        let wanted = self.tally.sessions();
        self.proofs.finish(&wanted, checks);
    }
}
