//! What is signed of epochs that others have followed, and comes late: within what the next one cites it is taken, and
//! beyond that two gateways write.
//!
//! The gateway may still have such a log, put aside; another archive may hold more of it than this one.

use lineside_proto::Time;
use lineside_proto::ledger::{Checkpoint, Hash, verify};

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::cards::Cards;
use crate::archive::mirror::{Mirror, MirrorError, NoteTaken, Stepped, keys_at};
use crate::archive::place::Place;
use crate::archive::shelf::Shelf;
use crate::archive::succession::{Heirs, parsed};
use crate::archive::writes::Writes;
use crate::clock::Stamp;

/// Why a log is not cosigned to what is cited of it.
const BEYOND: &str = "the next epoch cites fewer leaves of it than are here, or others, and no signed head of just so many came here";

/// Gateways in whose epochs before it is looked for something to do, in one pass.
const OPENED_LOGS: usize = 4;

/// What a head of an epoch that was given up shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// It goes beyond what is held of that.
    Beyond(Checkpoint),
    /// It is not of what is held.
    Other,
}

/// Whether a head is of the leaves that are held under another; what can't be read tells nothing.
fn is_of(shelf: &Shelf, place: &Place, head: &Checkpoint, held: &Checkpoint) -> bool {
    if head.size == held.size {
        return head.root == held.root;
    }
    let root = shelf.view(place).and_then(|view| view.root_at(head.size));
    root.is_ok_and(|root| root == head.root)
}

impl Gateway {
    /// What a head of an epoch that was given up shows, if that is anything new.
    pub(super) fn shown(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
        note: &str,
    ) -> Option<Shown> {
        let place = self.place(epoch);
        let heirs = Heirs::recorded(shelf, cards, &place)?;
        let (origin, mut keys) = cards.log(&place)?;
        keys.extend(heirs.keys);
        // A key that a change has brought signed that epoch, too.
        let record = shelf.record(&place).ok().flatten().unwrap_or_default();
        keys.extend(parsed(&record.keys));
        let size = crate::archive::shelf::head(note).map_or(0, |head| head.size);
        let keys = keys_at(&keys, &record.followed, size);
        let head = verify::checkpoint(note, &keys, &origin).ok()?;
        let held = match shelf.head(&place).ok()? {
            Some((_, held)) if head.size <= held.size => {
                let is_told = record.stopped.is_some() || is_of(shelf, &place, &head, &held);
                return (!is_told).then_some(Shown::Other);
            }
            Some((_, held)) => held.size,
            // An epoch that was never seen here tells nothing, but where this one follows it.
            None => {
                let cited = self.cited_of(shelf, epoch).flatten();
                cited.filter(|cited| cited.origin == origin).map(|_| 0)?
            }
        };
        (head.size > held).then_some(Shown::Beyond(head))
    }
}

impl Gateway {
    /// Notes why what is here of an epoch before is not cosigned, where its leaves go beyond what the next one cites.
    fn tells_left(&mut self, now: Time) {
        let signs = self.signs();
        let left = self.leaving.as_deref_mut();
        let Some(left) = left.filter(|left| signs && left.is_cited_without_a_head()) else {
            return;
        };
        if let Err(error) = left.note_uncosigned(Some(BEYOND.to_owned()), None, now) {
            tracing::warn!(%error, log = %left.place, "why a head is not cosigned can't be noted");
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
        let beyond = match known.shown(&self.shelf, &self.cards, epoch, note) {
            None => return,
            Some(Shown::Other) => {
                self.takes_late(name, (epoch, note), now, out);
                return;
            }
            Some(Shown::Beyond(beyond)) => beyond,
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
        if !known.is_at_work(epoch, now.boot_ms) {
            self.takes_late(name, (epoch, note), now, out);
        }
    }

    /// Takes in a head of an epoch that was followed.
    pub(super) fn takes_late(
        &mut self,
        name: &Name,
        (epoch, note): (u32, &str),
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
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
            known.tells_left(now.wall);
            known.let_go(&self.shelf, now.boot_ms);
            if !known.leaving.as_deref().is_some_and(Mirror::is_behind) {
                continue;
            }
            known.recall_left(now.boot_ms);
            let Some(left) = known.leaving.as_deref_mut() else {
                continue;
            };
            let (before, is_new) = (left.committed(), left.size() == 0);
            let epoch = left.place.epoch;
            match step(left, &mut self.writes, now, out) {
                Ok(Some(alarm)) => told.push((name.clone(), epoch, alarm)),
                Ok(None) if left.committed() > before => {
                    grown.push(name.clone());
                    if is_new {
                        known.begins(epoch, now.boot_ms);
                    }
                }
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
