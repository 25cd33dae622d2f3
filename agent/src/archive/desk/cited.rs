//! What epochs cite of those before them, in their first leaves.

use std::collections::{BTreeMap, BTreeSet};

use lineside_proto::ledger::{Hash, PriorHead};

use super::gateway::Gateway;
use super::turns::LOOKED_MAX;
use crate::archive::place::Place;
use crate::archive::shelf::Shelf;
use crate::archive::succession::cited_in;
use crate::ledger::LedgerError;
use crate::logs::chain;

/// Citations that were read, by the epochs that cite: of the newest `LOOKED_MAX`. Heads of old epochs may come often, and a
/// first leaf never changes.
#[derive(Debug, Default)]
pub(super) struct Citations(BTreeMap<u32, Option<PriorHead>>);

impl Citations {
    fn keeps(&mut self, epoch: u32, cited: &Option<PriorHead>) {
        self.0.insert(epoch, cited.clone());
        if self.0.len() > LOOKED_MAX {
            self.0.pop_first();
        }
    }

    /// The copy of an epoch is begun anew.
    pub(super) fn forgets(&mut self, epoch: u32) {
        self.0.remove(&epoch);
    }
}

impl Gateway {
    /// Epochs that others cite and of which nothing is here: before this archive began, or its directory was lost.
    pub(super) fn missing(&mut self, shelf: &Shelf, known: &[u32], present: u32) -> BTreeSet<u32> {
        let citing = known.iter().rev().take(LOOKED_MAX).chain([&present]);
        let mut missing = BTreeSet::new();
        for epoch in citing {
            let cited = self.cited_by(shelf, *epoch).flatten();
            let cited = cited.filter(|cited| cited.size > 0);
            let cited = cited.and_then(|cited| self.epoch_named(&cited.origin));
            missing.extend(cited.filter(|epoch| *epoch < present && !known.contains(epoch)));
        }
        missing
    }

    /// What the first leaf of an epoch cites, if that is here.
    fn cited_by(&mut self, shelf: &Shelf, epoch: u32) -> Option<Option<PriorHead>> {
        let left = self.leaving.as_deref();
        let mut at_work = self.mirror().into_iter().chain(left);
        if let Some(copy) = at_work.find(|copy| copy.place.epoch == epoch) {
            return copy.cites().map(Option::<&PriorHead>::cloned);
        }
        if let Some(cited) = self.turns.cited.0.get(&epoch) {
            return Some(cited.clone());
        }
        let place = self.place(epoch);
        let cited = match first_leaf(shelf, &place) {
            Ok(cited) => cited?,
            Err(error) => {
                if shelf.has_head(&place) && error.is_damage() {
                    tracing::warn!(log = %place, "the copy is damaged: {}", chain(&error));
                    self.is_damaged(epoch, chain(&error), 0);
                }
                return None;
            }
        };
        self.turns.cited.keeps(epoch, &cited);
        Some(cited)
    }

    /// What a later epoch cites of this one: the first that cites it, else the next whose first leaf is here; none while that
    /// of none is.
    pub(super) fn cited_of(&mut self, shelf: &Shelf, epoch: u32) -> Option<Option<PriorHead>> {
        let (site, gateway) = self.name();
        let mut known = shelf.known_epochs(site, gateway).ok()?;
        let at_work = self.mirror().into_iter().chain(self.leaving.as_deref());
        known.extend(at_work.map(|copy| copy.place.epoch));
        known.retain(|next| *next > epoch);
        known.sort_unstable();
        known.dedup();
        let mut nearest = None;
        for next in known.into_iter().take(LOOKED_MAX) {
            // One of which nothing came says nothing.
            let Some(cited) = self.cited_by(shelf, next) else {
                continue;
            };
            let of = cited
                .as_ref()
                .and_then(|cited| self.epoch_named(&cited.origin));
            if of == Some(epoch) {
                return Some(cited);
            }
            // What cites a later one says nothing of this.
            if of.is_some_and(|of| of > epoch) {
                break;
            }
            nearest = nearest.or(Some(cited));
        }
        nearest
    }
}

/// What the first leaf of a log cites; none where that is not here, or is no first leaf.
fn first_leaf(shelf: &Shelf, place: &Place) -> Result<Option<Option<PriorHead>>, LedgerError> {
    let view = shelf.view(place)?;
    let Some((_, first)) = view.read(0, 1)?.into_iter().next() else {
        return Ok(None);
    };
    if shelf.proved_root(place, 1)? != Hash::of_leaf(&first) {
        let what = "its first leaf is not that of its tree";
        return Err(LedgerError::damaged(shelf.log_dir(place), what));
    }
    Ok(cited_in(&first))
}
