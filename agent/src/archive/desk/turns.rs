//! Which of the epochs before that of now is at work: one at a time, as long as something of it is still to come, to be
//! cosigned or to be written down. What is to be done stands on the disk, so that nothing of it is lost.
//!
//! Bounds: `LOOKED_MAX` epochs; each is at work for `TURN_MS` where others wait; a minute between two rounds; one that can't be
//! opened rests for `TURN_MS`. How often was asked in vain is in memory alone: an hour begins anew with each start.

use std::collections::{BTreeMap, BTreeSet};

use lineside_proto::ledger::Hash;

use super::cited::Citations;
use super::gateway::Gateway;
use crate::archive::cards::Cards;
use crate::archive::mirror::{Mirror, MirrorError, NoteTaken, VAIN_MAX};
use crate::archive::shelf::Shelf;
use crate::logs::chain;

/// How long a log that can't be read or written rests, and how long it is until all have their turn again.
const REST_MS: u64 = 60_000;
/// How long one is at work where others wait.
const TURN_MS: u64 = 600_000;
/// The same of one whose end is still to come.
const IDLE_MS: u64 = 10_000;
/// How long one is at work at least before a late head of another takes its place.
const SWAP_MS: u64 = 5_000;
/// For how long nobody must have it until an epoch is thought not to continue the one before: an hour.
const VAIN_MS: u64 = 3_600_000;
/// How often it is looked what the next epoch cites, and what a witness has cosigned meanwhile.
const LOOK_MS: u64 = 1_000;
/// How long one is left alone for which nothing more was to be done, and how often it is looked for others.
const DONE_MS: u64 = 3_600_000;
/// Epochs that are looked at, the newest: more than are ever cosigned.
pub(super) const LOOKED_MAX: usize = 64;

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
    /// Epochs that were asked about in vain whether they continue the one before: how often, and since when.
    vain: BTreeMap<u32, (u32, u64)>,
    /// Epochs that could not be opened, and when they are tried again.
    resting: BTreeMap<u32, u64>,
    /// What the first leaves of epochs cite, as far as they were read.
    pub(super) cited: Citations,
    since_ms: u64,
    /// Bytes of its leaves that waited when its turn was last over.
    ahead_bytes: usize,
    /// When it was last looked what the next one cites.
    cited_ms: Option<u64>,
    /// When what the witness cosigned was last put beside what is here.
    recalled_ms: Option<u64>,
}

impl Turns {
    /// An epoch has its first leaf here, which cites that one: something may be to be done for it.
    pub(super) fn is_cited(&mut self, epoch: u32) {
        self.tried.remove(&epoch);
        self.done.remove(&epoch);
    }

    /// Whoever answered did not have what tells whether an epoch continues the one before.
    pub(super) fn in_vain(&mut self, epoch: u32, now_ms: u64) {
        let (tries, _) = self.vain.entry(epoch).or_insert((0, now_ms));
        *tries = tries.saturating_add(1);
        if self.vain.len() > LOOKED_MAX {
            self.vain.pop_first();
        }
    }

    /// Whether nobody is thought to have that: whoever has it may be off for a while.
    pub(super) fn is_untold(&self, epoch: u32, now_ms: u64) -> bool {
        let vain = self.vain.get(&epoch);
        vain.is_some_and(|(tries, since_ms)| {
            *tries >= VAIN_MAX && now_ms >= since_ms.saturating_add(VAIN_MS)
        })
    }

    /// An epoch is found to continue the one before: those that follow it can be found to as well.
    pub(super) fn settled(&mut self, epoch: u32) {
        self.vain.remove(&epoch);
        self.tried.retain(|tried| *tried <= epoch);
    }
}

impl Gateway {
    /// The copy of a log of this gateway that is at work: of now, or of an epoch before.
    pub(super) fn copy_of(&mut self, epoch: u32) -> Option<&mut Mirror> {
        self.copies().find(|copy| copy.place.epoch == epoch)
    }

    /// The first leaf of an epoch is here: what it cites may not be.
    pub(super) fn begins(&mut self, epoch: u32, now_ms: u64) {
        let cites = self.copy_of(epoch).and_then(|copy| copy.cites()?.cloned());
        if let Some(cited) = cites.and_then(|cited| self.epoch_named(&cited.origin)) {
            self.turns.is_cited(cited);
            if self.leaving.is_none() {
                self.turns.from_ms = Some(now_ms);
            }
        }
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

    /// How long the log of an epoch before is at work where others wait; none where nothing more is to be done for it.
    fn turn_of(&self, left: &Mirror) -> Option<u64> {
        let ends = left.has_end() || left.is_stopped() || left.newest().is_none();
        if self.works_for(left) {
            Some(TURN_MS)
        } else {
            (!ends).then_some(IDLE_MS)
        }
    }

    /// Whether something is to be done for it now.
    fn works_for(&self, left: &Mirror) -> bool {
        let epoch = left.place.epoch;
        let is_uncosigned = self.signs() && !left.is_cosigned() && left.may_be_cosigned();
        left.is_wanting()
            || left.is_short() && !left.is_nowhere()
            || is_uncosigned && !left.is_uncompared()
            || left.is_uncompared() && left.size() > 0 && !left.is_unsettled()
            || !left.record.unwritten.is_empty()
            || self.has_alarm(epoch)
    }

    /// Lets the log of an epoch before go once nothing more is to be done for it, or where others wait.
    pub(super) fn let_go(&mut self, shelf: &Shelf, now_ms: u64) {
        let Some(left) = self.leaving.as_deref() else {
            return;
        };
        let Some(turn_ms) = self.turn_of(left) else {
            let is_over = |at: u64| now_ms >= at.saturating_add(DONE_MS);
            self.turns.done.retain(|_, at| !is_over(*at));
            if !left.is_unsettled() {
                self.turns.done.insert(left.place.epoch, now_ms);
            }
            if let Some(Err(error)) = self.leaving.take().map(|mut left| left.settle_texts()) {
                tracing::debug!(%error, "up to where texts were looked for can't be written down");
            }
            self.turns.from_ms = Some(now_ms);
            return;
        };
        if now_ms >= self.turns.since_ms.saturating_add(turn_ms) {
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

    /// The disk refuses the log of an epoch, or what lies there of it does not fit together.
    pub(super) fn lose(&mut self, epoch: u32, error: &MirrorError, now_ms: u64) {
        if self.is_left(epoch) {
            self.lose_left(error, now_ms);
        } else {
            self.failed(error, now_ms);
        }
    }

    /// What lies here of an epoch before does not fit together: it is set aside and fetched anew.
    pub(super) fn is_damaged(&mut self, epoch: u32, what: String, now_ms: u64) {
        self.leaving.take_if(|left| left.place.epoch == epoch);
        self.turns.damage = Some((epoch, what));
        self.turns.tried.remove(&epoch);
        self.turns.done.remove(&epoch);
        if self.leaving.is_none() {
            self.turns.from_ms = Some(now_ms);
        }
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
            self.turns.resting.retain(|_, until| now_ms < *until);
            let until = now_ms.saturating_add(TURN_MS);
            self.turns.resting.insert(next, until);
        }
        if self.leaving.is_none() {
            self.turns.from_ms = Some(now_ms);
        }
    }

    /// The epochs before that of now for which something may be to be done, newest first.
    fn due(&mut self, shelf: &Shelf, now_ms: u64) -> Vec<u32> {
        let Some(present) = self.mirror().map(|mirror| mirror.place.epoch) else {
            return Vec::new();
        };
        let (site, gateway) = self.name();
        let mut known = shelf.known_epochs(site, gateway).unwrap_or_default();
        known.retain(|epoch| *epoch < present);
        known.extend(self.missing(shelf, &known, present));
        known.sort_unstable();
        let before = known.into_iter().rev().take(LOOKED_MAX);
        let mut due = Vec::new();
        for epoch in before {
            let resting = self.turns.resting.get(&epoch);
            if resting.is_some_and(|until| now_ms < *until) {
                continue;
            }
            let done = self.turns.done.get(&epoch);
            let is_done = done.is_some_and(|at| now_ms < at.saturating_add(DONE_MS));
            if (!is_done || self.has_alarm(epoch)) && self.is_due(shelf, epoch) {
                due.push(epoch);
            }
        }
        due
    }

    /// Whether an alarm of an epoch is to be recorded.
    fn has_alarm(&self, epoch: u32) -> bool {
        self.alarms.iter().any(|(known, _)| *known == epoch)
    }

    /// Whether something may be to be done for an epoch, by what is written down.
    fn is_due(&mut self, shelf: &Shelf, epoch: u32) -> bool {
        let damage = self.turns.damage.as_ref();
        if damage.is_some_and(|(damaged, _)| *damaged == epoch) {
            return true;
        }
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
            || record.size > 0 && !matches!(shelf.head(&self.place(epoch)), Ok(Some(_)))
            || record.reaching.is_some()
            || self.signs() && cosigned < record.size
            || epoch > 1 && !record.compared;
        let mut is_short = || match self.cited_of(shelf, epoch) {
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

    /// Whether a late head of an epoch is not to take the place of what is at work: it is asked for in its turn. Heads of
    /// two epochs that come again and again must not undo each other's work.
    pub(super) fn is_at_work(&self, epoch: u32, now_ms: u64) -> bool {
        let left = self.leaving.as_deref();
        let is_new = now_ms < self.turns.since_ms.saturating_add(SWAP_MS);
        self.is_left(epoch) && is_new && left.is_some_and(|left| left.place.epoch != epoch)
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
            self.take_left(shelf, cards, epoch, now_ms)?;
        }
        match self.copy_of(epoch) {
            Some(left) => left.take_note(note),
            None => Ok(NoteTaken::Known),
        }
    }
}
