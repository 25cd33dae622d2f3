//! Whether a new epoch continues the one before: what its first leaf cites, beside what is held of that and what this
//! archive's witness cosigned of it. What lies between is given up.
//!
//! Nothing of an epoch is cosigned before that is found, and it is written down with the log. What can't be read or proved now
//! is looked at again. Two signed documents that contradict each other stop a log at once; one that another has followed is
//! given up, with an alarm, when nobody who answered for an hour could show that it continues the one before.

use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tree::check_consistency;

use super::before::{Before, Found};
use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::mirror::Mirror;
use crate::archive::place::Place;
use crate::archive::record::PriorWanted;
use crate::clock::Stamp;

/// After so many questions without a proof that a cited head continues what is held, somebody is told: over half a minute,
/// with growing pauses. It is asked for on and on.
const PRIOR_TRIES: u32 = 5;

/// What an answer about the epoch before is worth.
#[derive(Debug)]
pub(super) enum Answered {
    /// This is proved.
    Proved(PriorWanted),
    /// Whoever answered does not have it.
    Vain,
    /// Nothing.
    Nothing,
}

impl Desk {
    /// Compares what new epochs cite with what is known of those before, where that is not found yet.
    pub(super) fn compare_epochs(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let mut due: Vec<(Name, u32)> = Vec::new();
        for (name, known) in &mut self.gateways {
            let copies = known
                .copies()
                .filter(|copy| copy.is_to_compare(now.boot_ms));
            due.extend(copies.map(|copy| (name.clone(), copy.place.epoch)));
        }
        for (name, epoch) in due {
            self.compare_epoch((&name, epoch), now, out);
        }
    }

    fn compare_epoch(&mut self, (name, epoch): (&Name, u32), now: Stamp, out: &mut Vec<Output>) {
        let witness = self.terms.witness.clone();
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let base = known.base().to_owned();
        let Some(copy) = known.copy_of(epoch) else {
            return;
        };
        copy.compare_later(now.boot_ms);
        let place = copy.place.clone();
        let cited = match copy.cited() {
            Ok(Some(cited)) => cited.cloned(),
            Ok(None) => return,
            Err(error) => {
                known.lose(epoch, &error, now.boot_ms);
                return;
            }
        };
        let before = Before::of(&self.shelf, witness.as_deref(), &base, &place);
        let found = before.and_then(|before| match before {
            None => Ok(Found::Continues),
            Some(before) => {
                let named = cited
                    .as_ref()
                    .and_then(|cited| known.epoch_named(&cited.origin));
                before.compare(&self.shelf, cited.as_ref(), (named, epoch))
            }
        });
        match found {
            Ok(found) => self.found((name, epoch), found, now, out),
            Err(fault) => {
                let why = format!("the epoch before {place} can't be read: {fault}");
                self.complain(name, &why, now.boot_ms);
            }
        }
    }

    /// Takes in what came of the comparison.
    fn found(
        &mut self,
        (name, epoch): (&Name, u32),
        found: Found,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let place = known.place(epoch);
        let Some(copy) = known.copy_of(epoch) else {
            return;
        };
        let noted = match found {
            Found::Continues => {
                let written = copy.continues();
                known.turns.settled(epoch);
                written
            }
            Found::Shortens(fault, before) => {
                let alarm = contradiction(copy, Kind::Shorter, &fault, before);
                self.shortens((name, epoch), alarm, now, out);
                return;
            }
            Found::Damaged(before, what) => {
                tracing::warn!(log = %before, "the copy is damaged: {what}");
                known.is_damaged(before.epoch, what, now.boot_ms);
                return;
            }
            Found::Unproved(wanted) => copy.want_prior(wanted),
            Found::Unheard(origin) => {
                copy.want_unheard(&origin);
                Ok(())
            }
            Found::Unsettled(before) => {
                copy.is_to_settle();
                self.settle_before(name, &before, now, out);
                return;
            }
            Found::Contradicts(fault, before) => {
                let alarm = contradiction(copy, Kind::Prior, &fault, before);
                self.refuse_of((name, epoch), alarm, now, out);
                return;
            }
        };
        if let Err(error) = noted {
            tracing::warn!(%error, log = %place, "how it continues the epoch before can't be written down");
        }
    }

    /// An epoch gives up leaves that nobody here has cosigned: it goes on when that is told.
    fn shortens(
        &mut self,
        (name, epoch): (&Name, u32),
        alarm: Alarm,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let told = Some((epoch, alarm.kind, alarm.shown.clone()));
        self.refuse_of((name, epoch), alarm, now, out);
        let known = self.gateways.get_mut(name);
        let Some(known) = known.filter(|known| known.refused == told) else {
            return;
        };
        if let Some(Err(error)) = known.copy_of(epoch).map(Mirror::continues) {
            tracing::warn!(%error, "how an epoch continues the one before can't be written down");
        }
        known.turns.settled(epoch);
    }

    /// What an epoch cites is proved to continue what was held of the one before when that was asked for.
    pub(super) fn prior_proved(&mut self, (name, epoch): (&Name, u32), proved: &PriorWanted) {
        let witness = self.terms.witness.clone();
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let (base, place) = (known.base().to_owned(), known.place(epoch));
        let before = Before::of(&self.shelf, witness.as_deref(), &base, &place);
        let before = before.ok().flatten().filter(|before| {
            let is_same =
                (before.size, before.root.to_string()) == (proved.size, proved.root.clone());
            is_same && before.origin == proved.origin && before.is_settled
        });
        let Some(copy) = known.copy_of(epoch).filter(|_| before.is_some()) else {
            // More of it is here, or is to be found first.
            return;
        };
        if let Err(error) = copy.continues() {
            tracing::warn!(%error, log = %place, "how it continues the epoch before can't be written down");
        }
        known.turns.settled(epoch);
    }

    /// Another epoch continues one of which nobody shows that it continues the one before: the leaves between are given up
    /// with that, which is not to pass unseen.
    fn settle_before(&mut self, name: &Name, before: &Place, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        // One that stands still is not asked about any more.
        let record = self.shelf.record(before).ok().flatten();
        let is_over = record.is_some_and(|record| record.stopped.is_some());
        if !is_over && !known.turns.is_untold(before.epoch, now.boot_ms) {
            return;
        }
        let fault = "nobody shows that it continues the epoch before, of which leaves are missing: another followed it meanwhile";
        let head = self.shelf.head(before).ok().flatten();
        let alarm = Alarm {
            kind: Kind::Prior,
            text: format!("epoch {} begins, and {fault}", before.epoch),
            known: None,
            shown: head.map(|(note, _)| note.to_string()),
            proof: None,
        };
        self.refuse_of((name, before.epoch), alarm, now, out);
        self.compare_again(name);
    }

    /// Takes in the newest head of an epoch before: what it commits to is fetched as well.
    pub(super) fn last_answered(
        &mut self,
        name: &Name,
        note: &str,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let Some(head) = crate::archive::shelf::head(note) else {
            return;
        };
        let Some(epoch) = known.epoch_named(&head.origin) else {
            return;
        };
        // What was signed beyond what the next one cites is given up by that, and has it in it.
        let cited = known.cited_of(&self.shelf, epoch).flatten();
        let is_wanted = cited.is_some_and(|cited| head.origin == cited.origin);
        let is_wanted = is_wanted && !known.is_at_work(epoch, now.boot_ms);
        if is_wanted && known.shown(&self.shelf, &self.cards, epoch, note).is_some() {
            self.takes_late(name, (epoch, note), now, out);
        }
    }

    /// An epoch before is further now: what the one after it cites may be found.
    pub(super) fn compare_again(&mut self, name: &Name) {
        let known = self.gateways.get_mut(name);
        for copy in known.into_iter().flat_map(Gateway::copies) {
            copy.compare_again();
        }
    }
}

/// The alarm for an epoch that gives up leaves that are known.
fn contradiction(copy: &Mirror, kind: Kind, fault: &str, before: String) -> Alarm {
    Alarm {
        kind,
        text: format!("epoch {} begins, and {fault}", copy.place.epoch),
        known: Some(before).filter(|note| !note.is_empty()),
        shown: copy.newest().map(|newest| newest.note.to_string()),
        proof: None,
    }
}

/// Takes in the proof that a cited head continues what is held, or that there is none; `is_told` is whether anybody
/// answered.
pub(super) fn prior_answered(
    copy: &mut Mirror,
    proof: Option<Vec<Hash>>,
    is_told: bool,
    now: Stamp,
) -> Answered {
    let Some(wanted) = copy.record.prior.clone() else {
        copy.prior_answered(0, now.boot_ms);
        return Answered::Nothing;
    };
    let joined = proof.and_then(|proof| {
        let root = Hash::from_base64(&wanted.root)?;
        let to = Hash::from_base64(&wanted.to_root)?;
        check_consistency(wanted.size, wanted.to, &proof, root, to).ok()
    });
    let tries = wanted.tries.saturating_add(1);
    copy.prior_answered(tries, now.boot_ms);
    if joined.is_some() {
        return Answered::Proved(wanted);
    }
    if tries == PRIOR_TRIES {
        // Nobody may be left who could prove it, and nothing contradicts it: its leaves are kept, and not cosigned.
        tracing::error!(
            log = %copy.place,
            cited = wanted.to,
            held = wanted.size,
            "its heads are not cosigned: nobody proves that the head of the epoch before that it cites continues what is held of that"
        );
    }
    if is_told {
        Answered::Vain
    } else {
        Answered::Nothing
    }
}

/// Takes in the head of an epoch beside, or that there is none. `is_told` is whether anybody answered.
pub(super) fn head_answered(
    copy: &mut Mirror,
    origin: &str,
    (note, is_told): (Option<&str>, bool),
    now: Stamp,
) -> Answered {
    copy.head_answered(is_told.then_some(note.is_some()), now.boot_ms);
    if is_told && note.is_none() && origin != copy.origin() {
        Answered::Vain
    } else {
        Answered::Nothing
    }
}
