//! Whether a new epoch cites the last head of the one before: what lies between is given up.

use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Genesis, Hash, PriorHead};

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::place::Place;
use crate::archive::record::PriorWanted;
use crate::clock::Stamp;

/// After so many questions without a proof that a cited head continues what is held, somebody is told: over half a minute,
/// with growing pauses. It is asked for on and on.
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
            Some(prior) if prior.size > head.size && self.has_cosigned(&head.origin, prior) => {
                return;
            }
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
    ) {
        let known = self.gateways.get_mut(name);
        let Some(mirror) = known.and_then(Gateway::mirror_mut) else {
            return;
        };
        let Some(wanted) = mirror.record.prior.clone() else {
            mirror.prior_answered(0, now.boot_ms);
            return;
        };
        let joined = proof.ok().and_then(|proof| {
            let root = Hash::from_base64(&wanted.root)?;
            let to = Hash::from_base64(&wanted.to_root)?;
            check_consistency(wanted.size, wanted.to, &proof, root, to).ok()
        });
        let tries = wanted.tries.saturating_add(1);
        mirror.prior_answered(tries, now.boot_ms);
        if joined.is_some() {
            mirror.want_last(&wanted.origin);
        }
        let next = joined.is_none().then(|| PriorWanted {
            tries,
            ..wanted.clone()
        });
        if let Err(error) = mirror.want_prior(next) {
            tracing::warn!(%error, log = %mirror.place, "that a proof is wanted can't be noted");
        }
        if joined.is_none() && tries == PRIOR_TRIES {
            // Nobody may be left who could prove it, and nothing contradicts it: its leaves are kept, and not cosigned.
            tracing::error!(
                log = %mirror.place,
                cited = wanted.to,
                held = wanted.size,
                "its heads are not cosigned: nobody proves that the head of the epoch before that it cites continues what is held of that"
            );
        }
    }

    /// Takes in the newest head of the epoch before: what it commits to is fetched as well.
    pub(super) fn last_answered(
        &mut self,
        name: &Name,
        note: &str,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.gateways.get(name) else {
            return;
        };
        let cited = known.mirror().and_then(|mirror| mirror.cites().flatten());
        let head = crate::archive::shelf::head(note).filter(|head| {
            // What was signed beyond that is given up by the new epoch.
            cited.is_some_and(|cited| head.size <= cited.size)
        });
        if let Some(epoch) = head.and_then(|head| known.epoch_named(&head.origin)) {
            self.of_before(name, epoch, note, now, out);
        }
    }

    /// The epoch before is further now: compares what the present one cites with it, if that was still to be proved.
    pub(super) fn prior_held(&mut self, name: &Name, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let Some(wanted) = known
            .mirror()
            .and_then(|mirror| mirror.record.prior.clone())
        else {
            return;
        };
        let mut copies = known.copies();
        let left = copies.find(|copy| copy.origin() == wanted.origin);
        let held = left.and_then(|left| left.root_at(wanted.to).ok());
        let Some(held) = held else { return };
        drop(copies);
        let Some(mirror) = known.mirror_mut() else {
            return;
        };
        let epoch = mirror.place.epoch;
        if Hash::from_base64(&wanted.to_root) != Some(held) {
            let fault = format!(
                "the head of {} leaves that it cites is not the one that is known",
                wanted.to
            );
            self.refuse_prior(name, epoch, &fault, wanted.known, now, out);
        } else if let Err(error) = mirror.want_prior(None) {
            tracing::warn!(%error, log = %mirror.place, "that no proof is wanted any more can't be noted");
        }
    }

    /// Whether this archive's own witness has cosigned a head that is cited, whatever the copy holds.
    fn has_cosigned(&self, origin: &str, cited: &PriorHead) -> bool {
        let witness = self.terms.witness.as_ref();
        let last = witness.and_then(|witness| witness.last(origin).ok().flatten());
        last.is_some_and(|last| (last.size, &last.root) == (cited.size, &cited.root))
    }
}
