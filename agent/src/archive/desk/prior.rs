//! Whether a new epoch cites the last head of the one before: what lies between is given up.

use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Genesis, Hash};

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::place::Place;
use crate::archive::record::PriorWanted;
use crate::clock::Stamp;

/// How often the proof that a cited head continues what is held is asked for: over half a minute, with growing pauses.
const PRIOR_TRIES: u32 = 5;

impl Desk {
    /// Compares what a new epoch cites with the newest epoch before it that is held.
    pub(super) fn check_prior(
        &mut self,
        name: &Name,
        place: &Place,
        genesis: &Genesis,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let epochs = self.shelf.epochs(&place.site, &place.gateway);
        let epochs = epochs.unwrap_or_default();
        let before = epochs.into_iter().rfind(|epoch| *epoch < place.epoch);
        let Some(before) = before else { return };
        let old = Place {
            epoch: before,
            ..place.clone()
        };
        let Ok(Some((note, head))) = self.shelf.head(&old) else {
            return;
        };
        let record = self.shelf.record(&old).ok().flatten();
        let cosigned = record.and_then(|record| record.cosigned);
        let least = cosigned.map_or(head.size, |cosigned| cosigned.size);
        let root = |size: u64| self.shelf.view(&old).ok()?.root_at(size).ok();
        let fault = match &genesis.prior {
            None => format!(
                "it cites no head of epoch {before}, of which {} leaves are known",
                head.size
            ),
            Some(prior) if prior.origin != head.origin => format!(
                "it cites a head of {}, and not of epoch {before}, of which {} leaves are known",
                prior.origin, head.size
            ),
            Some(prior) if prior.size < least => format!(
                "it cites a head of {} leaves of epoch {before}, of which {least} are known: the leaves between are in this archive alone",
                prior.size
            ),
            Some(prior) if prior.size > head.size => {
                // It may be right: the last leaves did not come here before the epoch ended.
                let wanted = PriorWanted {
                    origin: head.origin,
                    size: head.size,
                    root: head.root.to_string(),
                    to: prior.size,
                    to_root: prior.root.clone(),
                    known: note.to_string(),
                    tries: 0,
                };
                let known = self.gateways.get_mut(name);
                if let Some(mirror) = known.and_then(Gateway::mirror_mut) {
                    if let Err(error) = mirror.want_prior(Some(wanted)) {
                        tracing::warn!(%error, log = %place, "that a proof is wanted can't be noted");
                    }
                }
                return;
            }
            Some(prior) if root(prior.size) != Hash::from_base64(&prior.root) => format!(
                "the head of {} leaves of epoch {before} that it cites is not the one that is known",
                prior.size
            ),
            Some(_) => return,
        };
        self.refuse_prior(name, place.epoch, &fault, note.to_string(), now, out);
    }

    fn refuse_prior(
        &mut self,
        name: &Name,
        epoch: u32,
        fault: &str,
        known: String,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let mirror = self.gateways.get(name).and_then(Gateway::mirror);
        let alarm = Alarm {
            kind: Kind::Prior,
            text: format!("epoch {epoch} begins, and {fault}"),
            known: Some(known),
            shown: mirror.and_then(|mirror| Some(mirror.newest()?.note.to_string())),
            proof: None,
        };
        self.refuse(name, alarm, now, out);
    }

    /// Takes in the proof that a cited head continues what is held, or that there is none.
    pub(super) fn prior_answered(
        &mut self,
        name: &Name,
        proof: Result<Vec<Hash>, String>,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let known = self.gateways.get_mut(name);
        let Some(mirror) = known.and_then(Gateway::mirror_mut) else {
            return;
        };
        mirror.unanswered(now.boot_ms);
        let Some(wanted) = mirror.record.prior.clone() else {
            return;
        };
        let joined = proof.ok().and_then(|proof| {
            let root = Hash::from_base64(&wanted.root)?;
            let to = Hash::from_base64(&wanted.to_root)?;
            check_consistency(wanted.size, wanted.to, &proof, root, to).ok()
        });
        let tries = wanted.tries + 1;
        let is_over = joined.is_some() || tries >= PRIOR_TRIES;
        let next = (!is_over).then(|| PriorWanted {
            tries,
            ..wanted.clone()
        });
        let epoch = mirror.place.epoch;
        if let Err(error) = mirror.want_prior(next) {
            tracing::warn!(%error, log = %mirror.place, "that a proof is wanted can't be noted");
        }
        if is_over && joined.is_none() {
            let fault = format!(
                "it cites a head of {} leaves, which nobody proves to continue the {} that are known",
                wanted.to, wanted.size
            );
            self.refuse_prior(name, epoch, &fault, wanted.known, now, out);
        }
    }
}
