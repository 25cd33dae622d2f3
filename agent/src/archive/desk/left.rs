//! What is signed of epochs that others have followed, and comes late: within what the next one cites it is taken, and
//! beyond that two gateways write.
//!
//! The gateway may still have such a log, put aside; another archive may hold more of it than this one.

use lineside_proto::ledger::Hash;

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::mirror::{Mirror, MirrorError, NoteTaken, Stepped};
use crate::archive::writes::Writes;
use crate::clock::Stamp;

/// Gateways in whose epochs before it is looked for something to do, in one pass.
const OPENED_LOGS: usize = 4;

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
        let is_late = match known.cited_of(&self.shelf, epoch) {
            // The first leaf of the next is still to come.
            None => return,
            Some(Some(cited)) => {
                let is_end = Hash::from_base64(&cited.root) == Some(beyond.root);
                cited.origin == beyond.origin
                    && (beyond.size < cited.size || beyond.size == cited.size && is_end)
            }
            Some(None) => false,
        };
        if !is_late {
            self.goes_on(name, epoch, note, now, out);
            return;
        }
        match known.late((&self.shelf, &self.cards), epoch, note, now.boot_ms) {
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
        let mut opens = OPENED_LOGS;
        for (name, known) in &mut self.gateways {
            if opens > 0 && known.turns.from_ms.is_some_and(|from| now.boot_ms >= from) {
                opens -= 1;
                known.open_left(&self.shelf, &self.cards, now.boot_ms);
            }
            if known.leaving.is_none() {
                continue;
            }
            known.ends_left(&self.shelf, now.boot_ms);
            known.let_go(&self.shelf, now.boot_ms);
            if !known.leaving.as_deref().is_some_and(Mirror::is_behind) {
                continue;
            }
            known.recall_left(now.boot_ms);
            let Some(left) = known.leaving.as_deref_mut() else {
                continue;
            };
            let before = left.committed();
            match step(left, &mut self.writes, now, out) {
                Ok(Some(alarm)) => told.push((name.clone(), left.place.epoch, alarm)),
                Ok(None) if left.committed() > before => grown.push(name.clone()),
                Ok(None) => {}
                Err(error) => {
                    known.lose_left(&error, now.boot_ms);
                    // What was written of it is no other log's concern.
                    drop(self.writes.settle());
                }
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
