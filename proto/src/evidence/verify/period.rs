//! Whether the leaves cover the period: check `period`.

use super::checks::Checks;
use crate::Time;
use crate::evidence::{Check, Manifest};
use crate::ledger::{Genesis, Leaf, LeafBody};
use crate::text;

/// Times of leaves that are kept at most: a day's worth for each note is not needed, the notes' sizes are few.
#[derive(Debug, Default)]
pub(super) struct Period {
    first: Option<(u64, Time)>,
    last: Option<(u64, Time)>,
    /// The last leaf before the period's end.
    last_inside: Option<u64>,
    genesis: Option<Genesis>,
    /// The times of the leaves before certain sizes, in order of the sizes; and those that are still to come.
    times: Vec<(u64, Time)>,
    wanted: Vec<u64>,
}

impl Period {
    /// Times will be asked for of these sizes.
    pub(super) fn new(sizes: impl Iterator<Item = u64>) -> Self {
        let mut wanted: Vec<u64> = sizes.filter(|size| *size > 0).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.reverse();
        Self {
            wanted,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, leaf: &Leaf, manifest: &Manifest) {
        let (index, at) = (leaf.head.index, leaf.head.at);
        self.first.get_or_insert((index, at));
        self.last = Some((index, at));
        if at < manifest.to {
            self.last_inside = Some(index);
        }
        while self.wanted.last().is_some_and(|size| *size - 1 <= index) {
            if let Some(size) = self.wanted.pop().filter(|size| *size - 1 == index) {
                self.times.push((size, at));
            }
        }
        if let LeafBody::Genesis(genesis) = &leaf.body {
            self.genesis.get_or_insert_with(|| genesis.clone());
        }
    }

    /// When a tree of this size ended; where its last leaf is not in the bundle: the time of the bundle's leaf that
    /// is nearest, or the period's end without leaves.
    pub(super) fn time_of(&self, size: u64, manifest: &Manifest) -> Time {
        let known = self.times.iter().find(|(known, _)| *known == size);
        let near = if size <= manifest.first {
            self.first
        } else {
            self.last
        };
        known.or(near.as_ref()).map_or(manifest.to, |(_, at)| *at)
    }

    /// The last leaf before the period's end.
    pub(super) fn last_inside(&self) -> Option<u64> {
        self.last_inside
    }

    pub(super) fn finish(&self, manifest: &Manifest, checks: &mut Checks) {
        let (from, to) = (manifest.from, manifest.to);
        let (Some((index, at)), Some((_, last_at))) = (self.first, self.last) else {
            return checks.fail(Check::Period, || {
                text!("there are no leaves at all", "一条记录也没有")
            });
        };
        if index > 0 && at > from {
            checks.fail(
                Check::Period,
                || text!("the first leaf, {index}, is of {at}, after the period's begin {from}: what came before is missing", "首条记录（第 {index} 条）的时间是 {at}，晚于时段开始 {from}：之前的内容缺失"),
            );
        }
        if last_at < to {
            checks.note(
                Check::Period,
                || text!("the last leaf is of {last_at}, before the period's end {to}: what follows counts as unknown", "最后一条记录的时间是 {last_at}，早于时段结束 {to}：之后的时间按未知计"),
            );
        }
        let Some(genesis) = &self.genesis else { return };
        let pairs = [
            ("site", genesis.site.as_str(), manifest.site.as_str()),
            (
                "gateway",
                genesis.gateway.as_str(),
                manifest.gateway.as_str(),
            ),
            ("origin", &genesis.origin, &manifest.origin),
        ];
        for (name, found, wanted) in pairs {
            if found != wanted {
                checks.fail(Check::Period, || {
                    text!(
                        "genesis names the {name} {found}, and the manifest {wanted}",
                        "创世记录的 {name} 是 {found}，清单却是 {wanted}"
                    )
                });
            }
        }
    }
}
