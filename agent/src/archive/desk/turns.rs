//! Which of the epochs before that of now is at work: one at a time, as long as something of it is still to come, to be
//! cosigned or to be written down. What is to be done stands on the disk, so that nothing of it is lost.
//!
//! Bounds: `LOOKED_MAX` epochs; each is at work for `TURN_MS` where others wait; a minute between two rounds.

use std::collections::{BTreeMap, BTreeSet};

use lineside_proto::ledger::{Hash, PriorHead};

use super::gateway::Gateway;
use crate::archive::cards::Cards;
use crate::archive::mirror::{Mirror, MirrorError, NoteTaken};
use crate::archive::place::Place;
use crate::archive::shelf::Shelf;
use crate::archive::succession::cited_in;
use crate::logs::chain;

/// How long a log that can't be read or written rests, and how long it is until all have their turn again.
const REST_MS: u64 = 60_000;
/// How long one is at work where others wait.
const TURN_MS: u64 = 600_000;
/// How long one is at work at least before a late head of another takes its place.
const SWAP_MS: u64 = 5_000;
/// How often it is looked what the next epoch cites, and what a witness has cosigned meanwhile.
const LOOK_MS: u64 = 1_000;
/// How long one is left alone for which nothing more was to be done, and how often it is looked for others.
const DONE_MS: u64 = 3_600_000;
/// Epochs that are looked at, the newest: more than are ever cosigned.
const LOOKED_MAX: usize = 64;

/// The state of that. Times are on the boot clock.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// When an epoch is looked for that has something to be done; none while one is at work, or no other was before.
    pub(super) from_ms: Option<u64>,
    /// That what was read of an epoch's copy did not fit together.
    damage: Option<(u32, String)>,
    /// Those that had their turn in this round.
    tried: BTreeSet<u32>,
    /// Those for which nothing more was to be done, and when that was.
    done: BTreeMap<u32, u64>,
    since_ms: u64,
    /// Bytes of its leaves that waited when its turn was last over.
    ahead_bytes: usize,
    /// When it was last looked what the next one cites.
    cited_ms: Option<u64>,
    /// When what the witness cosigned was last put beside what is here.
    recalled_ms: Option<u64>,
}

impl Gateway {
    /// The copy of a log of this gateway that is at work: of now, or of an epoch before.
    pub(super) fn copy_of(&mut self, epoch: u32) -> Option<&mut Mirror> {
        self.copies().find(|copy| copy.place.epoch == epoch)
    }

    /// Whether an epoch is one that another has followed.
    pub(super) fn is_left(&self, epoch: u32) -> bool {
        let present = self.mirror().map(|mirror| mirror.place.epoch);
        present.is_none_or(|present| present != epoch)
    }

    /// Puts the log that was of now among those of before. Another that was at work has its turn later.
    pub(super) fn leave(&mut self, left: Option<Mirror>, now_ms: u64) {
        let Some(left) = left else { return };
        self.puts_back();
        self.turns.tried.insert(left.place.epoch);
        self.works_on(left, now_ms);
    }

    /// Takes the log that is at work away from it; what is to be done for it is done later.
    fn puts_back(&mut self) {
        if let Some(other) = self.leaving.take() {
            self.turns.tried.remove(&other.place.epoch);
        }
    }

    fn works_on(&mut self, left: Mirror, now_ms: u64) {
        self.leaving = Some(Box::new(left));
        self.turns.since_ms = now_ms;
        self.turns.ahead_bytes = 0;
        self.turns.cited_ms = None;
        self.turns.recalled_ms = None;
    }

    /// Whether something of the log of an epoch before is still to be done.
    fn waits_for(&self, left: &Mirror) -> bool {
        let epoch = left.place.epoch;
        left.is_wanting()
            || left.is_short()
            || self.signs() && !left.is_cosigned() && left.may_be_cosigned()
            || left.is_uncompared() && left.size() > 0
            || !left.record.unwritten.is_empty()
            || self.has_alarm(epoch)
            || !left.has_end() && !left.is_stopped()
    }

    /// Lets the log of an epoch before go once nothing more is to be done for it, or where others wait.
    pub(super) fn let_go(&mut self, shelf: &Shelf, now_ms: u64) {
        let Some(left) = self.leaving.as_deref() else {
            return;
        };
        if !self.waits_for(left) {
            let is_over = |at: u64| now_ms >= at.saturating_add(DONE_MS);
            self.turns.done.retain(|_, at| !is_over(*at));
            self.turns.done.insert(left.place.epoch, now_ms);
            if let Some(Err(error)) = self.leaving.take().map(|mut left| left.settle_texts()) {
                tracing::debug!(%error, "up to where texts were looked for can't be written down");
            }
        } else if now_ms >= self.turns.since_ms.saturating_add(TURN_MS) {
            self.turns.since_ms = now_ms;
            let (epoch, ahead) = (left.place.epoch, left.ahead_bytes());
            // What waits ahead of a head would be lost.
            let is_coming = ahead > self.turns.ahead_bytes;
            self.turns.ahead_bytes = ahead;
            if !is_coming && self.due(shelf, now_ms).into_iter().any(|due| due != epoch) {
                self.leaving = None;
            }
        }
        if self.leaving.is_none() {
            self.turns.from_ms = Some(now_ms);
        }
    }

    /// The disk refuses the log of an epoch before: it is opened again after a while.
    pub(super) fn lose_left(&mut self, error: &MirrorError, now_ms: u64) {
        if let Some(left) = self.leaving.take() {
            if let MirrorError::Damaged(what) = error {
                self.turns.damage = Some((left.place.epoch, what.clone()));
            }
            let error = chain(error);
            tracing::warn!(log = %left.place, "what came late of it can't be kept for now: {error}");
        }
        self.turns.from_ms = Some(now_ms.saturating_add(REST_MS));
    }

    /// Opens the newest epoch before that of now for which something is to be done and that had no turn in this round.
    pub(super) fn open_left(&mut self, shelf: &Shelf, cards: &Cards, now_ms: u64) {
        self.turns.from_ms = None;
        if self.leaving.is_some() {
            return;
        }
        let due = self.due(shelf, now_ms);
        let next = due.iter().find(|epoch| !self.turns.tried.contains(epoch));
        let Some(next) = next.copied() else {
            self.turns.tried.clear();
            let rest = if due.is_empty() { DONE_MS } else { REST_MS };
            self.turns.from_ms = Some(now_ms.saturating_add(rest));
            return;
        };
        if let Err(error) = self.take_left(shelf, cards, next, now_ms) {
            let error = chain(&error);
            tracing::warn!(log = %self.place(next), "it can't be opened for now: {error}");
        }
        self.let_go(shelf, now_ms);
        if self.leaving.is_none() {
            self.turns.from_ms = Some(now_ms);
        }
    }

    /// The epochs before that of now for which something may be to be done, newest first.
    fn due(&self, shelf: &Shelf, now_ms: u64) -> Vec<u32> {
        let Some(present) = self.mirror().map(|mirror| mirror.place.epoch) else {
            return Vec::new();
        };
        let (site, gateway) = self.name();
        let known = shelf.known_epochs(site, gateway).unwrap_or_default();
        let before = known.into_iter().rev().filter(|epoch| *epoch < present);
        let before = before.take(LOOKED_MAX);
        let done = |epoch: &u32| self.turns.done.get(epoch).copied();
        let is_done = |at: u64| now_ms < at.saturating_add(DONE_MS);
        before
            .filter(|epoch| !done(epoch).is_some_and(is_done) || self.has_alarm(*epoch))
            .filter(|epoch| self.is_due(shelf, *epoch))
            .collect()
    }

    /// Whether an alarm of an epoch is to be recorded.
    fn has_alarm(&self, epoch: u32) -> bool {
        self.alarms.iter().any(|(known, _)| *known == epoch)
    }

    /// Whether something may be to be done for an epoch, by what is written down.
    fn is_due(&self, shelf: &Shelf, epoch: u32) -> bool {
        let Some(record) = shelf.record(&self.place(epoch)).ok().flatten() else {
            return true;
        };
        if !record.unwritten.is_empty() || self.has_alarm(epoch) {
            return true;
        }
        if record.stopped.is_some() {
            return false;
        }
        let cosigned = record.cosigned.as_ref().map_or(0, |cosigned| cosigned.size);
        let is_open = record.texts < record.size
            || record.reaching.is_some()
            || self.signs() && cosigned < record.size
            || epoch > 1 && !record.compared;
        let is_short = || match self.cited_of(shelf, epoch) {
            Some(Some(cited)) => {
                self.epoch_named(&cited.origin) == Some(epoch) && cited.size > record.size
            }
            Some(None) => false,
            // Its end is still to come.
            None => true,
        };
        is_open || is_short()
    }

    /// Puts the log of an epoch before to work, in the place of another.
    fn take_left(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
        now_ms: u64,
    ) -> Result<(), MirrorError> {
        self.puts_back();
        self.turns.tried.insert(epoch);
        self.turns.done.remove(&epoch);
        let damage = self.turns.damage.take_if(|(known, _)| *known == epoch);
        let opened = match damage {
            Some((_, what)) => Err(MirrorError::Damaged(what)),
            None => self.open_epoch(shelf, cards, epoch),
        };
        let opened = match opened {
            Err(MirrorError::Damaged(what)) => self.open_anew(shelf, cards, epoch, what),
            other => other,
        };
        if let Some(left) = opened? {
            self.works_on(left, now_ms);
            self.ends_left(shelf, now_ms);
            self.recall_left(now_ms);
        }
        Ok(())
    }

    /// What a later epoch cites of this one: the first that cites it, else the next whose first leaf is here; none while that
    /// of none is.
    pub(super) fn cited_of(&self, shelf: &Shelf, epoch: u32) -> Option<Option<PriorHead>> {
        let (site, gateway) = self.name();
        let at_work: Vec<&Mirror> = self
            .mirror()
            .into_iter()
            .chain(self.leaving.as_deref())
            .collect();
        let mut known = shelf.known_epochs(site, gateway).ok()?;
        known.extend(at_work.iter().map(|copy| copy.place.epoch));
        known.retain(|next| *next > epoch);
        known.sort_unstable();
        known.dedup();
        let mut nearest = None;
        for next in known.into_iter().take(LOOKED_MAX) {
            let cited = match at_work.iter().find(|copy| copy.place.epoch == next) {
                Some(copy) => copy.cites().map(Option::<&PriorHead>::cloned),
                None => first_leaf(shelf, &self.place(next)),
            };
            // One of which nothing came says nothing.
            let Some(cited) = cited else { continue };
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

    /// Tells the log of an epoch before what the next one cites of it.
    pub(super) fn ends_left(&mut self, shelf: &Shelf, now_ms: u64) {
        let is_late = |at: u64| now_ms >= at.saturating_add(LOOK_MS);
        let left = self.leaving.as_deref().filter(|left| !left.has_end());
        let due = left.filter(|_| self.turns.cited_ms.is_none_or(is_late));
        let Some((epoch, origin)) = due.map(|left| (left.place.epoch, left.origin().to_owned()))
        else {
            return;
        };
        self.turns.cited_ms = Some(now_ms);
        let Some(cited) = self.cited_of(shelf, epoch) else {
            return;
        };
        let cited = cited.filter(|cited| cited.origin == origin);
        let end = cited.and_then(|cited| Some((cited.size, Hash::from_base64(&cited.root)?)));
        if let Some(left) = self.leaving.as_deref_mut() {
            left.ends_at(end);
        }
    }

    /// Puts what the witness cosigned last of the epoch before beside what is here of it.
    pub(super) fn recall_left(&mut self, now_ms: u64) {
        let Some((witness, left)) = self.witness.as_ref().zip(self.leaving.as_deref_mut()) else {
            return;
        };
        let last = self.turns.recalled_ms;
        if last.is_some_and(|last| now_ms < last.saturating_add(LOOK_MS)) {
            return;
        }
        self.turns.recalled_ms = Some(now_ms);
        // What can't be read now refuses when it is to cosign.
        let last = witness.last(left.origin()).ok().flatten();
        let last = last.filter(|last| !left.is_stopped() && last.size > left.committed());
        let note = last.and_then(|last| Some((last.note?, last.size)));
        let Some((note, size)) = note else { return };
        match left.recall(&note, size) {
            Ok(NoteTaken::Refused(mut alarm)) => {
                std::mem::swap(&mut alarm.known, &mut alarm.shown);
                self.alarms.push((left.place.epoch, alarm));
            }
            Ok(
                NoteTaken::Newer
                | NoteTaken::Known
                | NoteTaken::Older
                | NoteTaken::Full
                | NoteTaken::Stranger(_),
            ) => {}
            Err(error) => {
                tracing::warn!(log = %left.place, "what was cosigned can't be compared: {}", chain(&error));
            }
        }
    }

    /// Takes in a head of an epoch before that came late.
    pub(super) fn late(
        &mut self,
        (shelf, cards): (&Shelf, &Cards),
        epoch: u32,
        note: &str,
        now_ms: u64,
    ) -> Result<NoteTaken, MirrorError> {
        if self.copy_of(epoch).is_none() {
            let is_new = now_ms < self.turns.since_ms.saturating_add(SWAP_MS);
            if self.leaving.is_some() && is_new {
                // It is asked for in its turn: heads of two epochs that come again and again must not undo each other's work.
                return Ok(NoteTaken::Known);
            }
            self.take_left(shelf, cards, epoch, now_ms)?;
        }
        match self.copy_of(epoch) {
            Some(left) => left.take_note(note),
            None => Ok(NoteTaken::Known),
        }
    }
}

/// What the first leaf of a log cites, if that can be read.
fn first_leaf(shelf: &Shelf, place: &Place) -> Option<Option<PriorHead>> {
    let view = shelf.view(place).ok()?;
    let (_, first) = view.read(0, 1).ok()?.into_iter().next()?;
    cited_in(&first)
}
