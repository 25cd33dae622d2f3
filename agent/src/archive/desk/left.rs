//! The log of the epoch before: what was signed of it and is still on its way, after another epoch has followed it.
//!
//! The gateway may still have it, put aside; another archive may hold more of it than this one.

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

impl Gateway {
    /// The copy of a log of this gateway that is at work: of now, or of the epoch before.
    pub(super) fn copy_of(&mut self, epoch: u32) -> Option<&mut Mirror> {
        self.copies().find(|copy| copy.place.epoch == epoch)
    }

    /// Whether an epoch is one that another has followed.
    pub(super) fn is_left(&self, epoch: u32) -> bool {
        let present = self.mirror().map(|mirror| mirror.place.epoch);
        present.is_none_or(|present| present != epoch)
    }

    /// Keeps a log that another epoch has followed, as long as something of it is still to come or to be cosigned.
    pub(super) fn leave(&mut self, left: Option<Mirror>) {
        let signs = self.signs();
        let left = left.filter(|left| left.is_wanting() || signs && left.head.is_some());
        self.leaving = left.map(Box::new);
    }

    /// Lets the log of the epoch before go once all of it is here, and nobody here is to cosign it.
    fn let_go(&mut self) {
        let signs = self.signs();
        let waits = |left: &Mirror| left.is_wanting() || signs && !left.is_cosigned();
        if self.leaving.as_deref().is_some_and(|left| !waits(left)) {
            self.leaving = None;
        }
    }

    /// The disk refuses the log of the epoch before: what is still to come of it is asked for after the next start.
    pub(super) fn lose_left(&mut self, error: &MirrorError) {
        if let Some(left) = self.leaving.take() {
            let error = chain(error);
            tracing::warn!(log = %left.place, "what came late of it can't be kept: {error}");
        }
    }

    /// Takes in a head of the epoch before that came late.
    fn late(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
        note: &str,
    ) -> Result<NoteTaken, MirrorError> {
        if self.copy_of(epoch).is_none() {
            let left = self.open_epoch(shelf, cards, epoch)?;
            self.leaving = left.map(Box::new);
        }
        match self.copy_of(epoch) {
            Some(left) => left.take_note(note),
            None => Ok(NoteTaken::Known),
        }
    }
}

impl Desk {
    /// Takes in a head of an epoch that was followed. Within what the next epoch cites it came late; beyond that, two
    /// gateways write.
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
            Some(Some(Some(cited))) => cited.origin == beyond.origin && beyond.size <= cited.size,
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
                tracing::warn!(log = %format!("{}/{}", name.0, name.1), epoch, "a late head can't be taken: {}", chain(&error));
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
            known.let_go();
            let Some(left) = known.leaving.as_deref_mut().filter(|left| left.is_behind()) else {
                continue;
            };
            let before = left.committed();
            match step(left, &mut self.writes, now, out) {
                Ok(Some(alarm)) => told.push((name.clone(), left.place.epoch, alarm)),
                Ok(None) if left.committed() > before => grown.push(name.clone()),
                Ok(None) => {}
                Err(error) => known.lose_left(&error),
            }
        }
        for name in grown {
            self.prior_held(&name, now, out);
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
        left.publish(step, now.wall, writes)?;
        writes.settle()?;
        if reaches_head {
            out.push(Output::Grown {
                place: left.place.clone(),
                size,
                root: left.record.root.clone(),
            });
        }
    }
}
