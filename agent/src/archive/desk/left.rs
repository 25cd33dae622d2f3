//! The log of the epoch before: what was signed of it and is still on its way, after another epoch has followed it.
//!
//! The gateway may still have it, put aside; another archive may hold more of it than this one.

use lineside_proto::ledger::Hash;

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::cards::Cards;
use crate::archive::mirror::{Mirror, MirrorError, NoteTaken, Stepped};
use crate::archive::shelf::Shelf;
use crate::archive::writes::Writes;
use crate::clock::Stamp;
use crate::logs::chain;

/// How long a log that can't be read or written rests.
const LEFT_REST_MS: u64 = 60_000;

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

    /// Whether something of the log of an epoch before is still to come, to be cosigned, or to be written down.
    fn waits_for(&self, left: &Mirror) -> bool {
        let has_followed = self.mirror().is_some_and(|present| present.size() > 0);
        left.is_wanting()
            || left.is_short()
            || self.signs() && !left.is_cosigned()
            || left.is_uncompared() && left.size() > 0
            || !left.record.unwritten.is_empty()
            || self
                .alarms
                .iter()
                .any(|(epoch, _)| *epoch == left.place.epoch)
            || !has_followed && !left.is_stopped()
    }

    /// Lets the log of the epoch before go once nothing more is to be done for it.
    fn let_go(&mut self) {
        let left = self.leaving.take();
        self.leaving = left.filter(|left| self.waits_for(left));
    }

    /// The disk refuses the log of an epoch before: it is opened again after a while.
    pub(super) fn lose_left(&mut self, error: &MirrorError, now_ms: u64) {
        if let Some(left) = self.leaving.take() {
            if let MirrorError::Damaged(what) = error {
                self.left_damage = Some((left.place.epoch, what.clone()));
            }
            let error = chain(error);
            tracing::warn!(log = %left.place, "what came late of it can't be kept for now: {error}");
        }
        self.left_from_ms = Some(now_ms.saturating_add(LEFT_REST_MS));
    }

    /// Opens the newest epoch before that of now, where something of it is still to be done.
    pub(super) fn open_left(&mut self, shelf: &Shelf, cards: &Cards, now_ms: u64) {
        self.left_from_ms = None;
        let Some(epoch) = self.mirror().map(|mirror| mirror.place.epoch) else {
            return;
        };
        let epochs = shelf
            .epochs(self.name().0, self.name().1)
            .unwrap_or_default();
        let Some(before) = epochs.into_iter().rfind(|before| *before < epoch) else {
            return;
        };
        if self.leaving.is_none() && self.is_due_left(shelf, before) {
            if let Err(error) = self.take_left(shelf, cards, before) {
                self.lose_left(&error, now_ms);
            }
            self.let_go();
        }
    }

    /// Whether an epoch before may have something to be done, by what is written down.
    fn is_due_left(&self, shelf: &Shelf, before: u32) -> bool {
        let place = self.place(before);
        let Some(record) = shelf.record(&place).ok().flatten() else {
            return true;
        };
        let cosigned = record.cosigned.as_ref().map_or(0, |cosigned| cosigned.size);
        let cited = self.mirror().and_then(|mirror| mirror.cites().flatten());
        let is_short = cited.is_some_and(|cited| {
            self.epoch_named(&cited.origin) == Some(before) && cited.size > record.size
        });
        let is_open = record.texts < record.size
            || record.reaching.is_some()
            || self.signs() && cosigned < record.size
            || before > 1 && !record.compared
            || is_short;
        !record.unwritten.is_empty()
            || self.alarms.iter().any(|(epoch, _)| *epoch == before)
            || record.stopped.is_none() && is_open
    }

    /// Puts the log of an epoch before to work.
    fn take_left(&mut self, shelf: &Shelf, cards: &Cards, epoch: u32) -> Result<(), MirrorError> {
        let damage = self.left_damage.take_if(|(known, _)| *known == epoch);
        let opened = match damage {
            Some((_, what)) => Err(MirrorError::Damaged(what)),
            None => self.open_epoch(shelf, cards, epoch),
        };
        let opened = match opened {
            Err(MirrorError::Damaged(what)) => self.open_anew(shelf, cards, epoch, what),
            other => other,
        };
        self.leaving = opened?.map(Box::new);
        self.ends_left();
        self.recall_left();
        Ok(())
    }

    /// Tells the log of the epoch before what the one of now cites of it.
    fn ends_left(&mut self) {
        let cited = self
            .mirror
            .as_ref()
            .and_then(|mirror| mirror.cites().flatten());
        let Some((left, cited)) = self.leaving.as_deref_mut().zip(cited) else {
            return;
        };
        let root = Hash::from_base64(&cited.root);
        if let Some(root) = root.filter(|_| !left.has_end() && *left.origin() == cited.origin) {
            left.ends_at(cited.size, root);
        }
    }

    /// Puts what the witness cosigned last of the epoch before beside what is here of it.
    pub(super) fn recall_left(&mut self) {
        let Some((witness, left)) = self.witness.as_ref().zip(self.leaving.as_deref_mut()) else {
            return;
        };
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
    fn late(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
        note: &str,
    ) -> Result<NoteTaken, MirrorError> {
        if self.copy_of(epoch).is_none() {
            self.take_left(shelf, cards, epoch)?;
        }
        match self.copy_of(epoch) {
            Some(left) => left.take_note(note),
            None => Ok(NoteTaken::Known),
        }
    }
}

impl Desk {
    /// Takes in a head of an epoch that was followed. Within what the next epoch cites it came late; beyond that, or beside
    /// it, two gateways write.
    pub(super) fn of_before(
        &mut self,
        name: &Name,
        epoch: u32,
        note: &str,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let Some(beyond) = known.beyond(&self.shelf, &self.cards, epoch, note) else {
            return;
        };
        let cited = known.mirror().map(Mirror::cites);
        let is_late = match cited {
            // Its first leaf is still to come.
            Some(None) => return,
            Some(Some(Some(cited))) => {
                let is_end = Hash::from_base64(&cited.root) == Some(beyond.root);
                cited.origin == beyond.origin
                    && (beyond.size < cited.size || beyond.size == cited.size && is_end)
            }
            Some(Some(None)) | None => false,
        };
        if !is_late {
            self.goes_on(name, epoch, note, now, out);
            return;
        }
        match known.late(&self.shelf, &self.cards, epoch, note) {
            Ok(NoteTaken::Refused(alarm)) => self.refuse_of((name, epoch), alarm, now, out),
            Ok(
                NoteTaken::Newer
                | NoteTaken::Known
                | NoteTaken::Older
                | NoteTaken::Stranger(_)
                | NoteTaken::Full,
            ) => {}
            Err(error) => {
                known.lose_left(&error, now.boot_ms);
            }
        }
    }

    /// An epoch goes on that another has followed.
    fn goes_on(&mut self, name: &Name, epoch: u32, note: &str, now: Stamp, out: &mut Vec<Output>) {
        let mirror = self.gateways.get(name).and_then(Gateway::mirror);
        let Some(mirror) = mirror else { return };
        let present = mirror.place.epoch;
        let alarm = Alarm {
            kind: Kind::OldEpoch,
            text: format!(
                "epoch {epoch} goes on, which epoch {present} has followed: two gateways write this ledger"
            ),
            known: mirror.newest().map(|newest| newest.note.to_string()),
            shown: Some(note.to_owned()),
            proof: None,
        };
        self.refuse(name, alarm, now, out);
    }

    /// Puts into tiles what came late of epochs before.
    pub(super) fn commit_left(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let (mut told, mut grown) = (Vec::new(), Vec::new());
        for (name, known) in &mut self.gateways {
            if known.left_from_ms.is_some_and(|from| now.boot_ms >= from) {
                known.open_left(&self.shelf, &self.cards, now.boot_ms);
            }
            if known.leaving.is_none() {
                continue;
            }
            known.ends_left();
            known.let_go();
            if !known.leaving.as_deref().is_some_and(Mirror::is_behind) {
                continue;
            }
            known.recall_left();
            let Some(left) = known.leaving.as_deref_mut() else {
                continue;
            };
            let before = left.committed();
            match step(left, &mut self.writes, now, out) {
                Ok(Some(alarm)) => told.push((name.clone(), left.place.epoch, alarm)),
                Ok(None) if left.committed() > before => grown.push(name.clone()),
                Ok(None) => {}
                Err(error) => known.lose_left(&error, now.boot_ms),
            }
        }
        for name in grown {
            self.compare_again(&name);
        }
        for (name, epoch, alarm) in told {
            self.refuse_of((&name, epoch), alarm, now, out);
        }
    }
}

/// Commits what there is of one log, by itself: few are ever left behind. Gives what contradicts it.
fn step(
    left: &mut Mirror,
    writes: &mut Writes,
    now: Stamp,
    out: &mut Vec<Output>,
) -> Result<Option<Alarm>, MirrorError> {
    loop {
        let mut step = match left.step(now.boot_ms)? {
            Stepped::Nothing => return Ok(None),
            Stepped::Refused(alarm) => return Ok(Some(alarm)),
            Stepped::Ready(step) => step,
        };
        left.write(&mut step, writes)?;
        writes.settle()?;
        let (size, reaches_head) = (step.size(), step.reaches_head());
        left.publish(&step, writes)?;
        writes.settle()?;
        left.keep(step, now.wall)?;
        if reaches_head {
            out.push(Output::Grown {
                place: left.place.clone(),
                size,
                root: left.record.root.clone(),
            });
        }
    }
}
