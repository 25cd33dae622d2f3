//! One gateway's place at the desk: its log of now, and what was heard of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use lineside_proto::Identifier;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::{Checkpoint, verify};

use super::asking::Manners;
use super::later::Later;
use super::quota::Quota;
use super::turns::Turns;
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::cards::{Cards, epoch_of};
use crate::archive::mirror::{Mirror, MirrorError, NoteTaken, Step};
use crate::archive::place::Place;
use crate::archive::shelf::Shelf;
use crate::archive::succession::{Heirs, parsed};
use crate::archive::witness::Witness;
use crate::archive::writes::Writes;
use crate::ledger::disk;
use crate::ledger::head::EPOCH_LEAP_MAX;

/// How often something wrong with one gateway's messages is told.
const TOLD_MS: u64 = 600_000;

/// Alarms that wait for a copy to be recorded in.
const ALARMS_WAITING_MAX: usize = 8;

/// A gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    site: Identifier,
    gateway: Identifier,
    /// The origin of its first epoch.
    base: String,
    pub(super) mirror: Option<Mirror>,
    /// Not tried again before this moment.
    rest_until_ms: u64,
    /// Whether its copy changed since the last pass.
    pub(super) touched: bool,
    /// An older head that was shown, and when; until a newer one comes.
    pub(super) older: Option<(u64, Arc<str>)>,
    /// What was refused last: it is not written again.
    pub(super) refused: Option<(u32, Kind, Option<String>)>,
    /// Who cosigns; nobody if none.
    pub(super) witness: Option<Arc<Witness>>,
    /// What the witness cosigned last, as it was taken in: size and root.
    recalled: Option<(u64, String)>,
    /// What is to be refused once there is a copy to record it in, by epoch: what was found wrong when it was opened, or put
    /// beside what the witness cosigned, and what could not be recorded.
    pub(super) alarms: Vec<(u32, Alarm)>,
    /// That what was read of the copy did not fit together: it is set aside before it is opened again.
    damage: Option<String>,
    /// The log of an epoch before, as long as something of it is to be done.
    pub(super) leaving: Option<Box<Mirror>>,
    /// Which that is, and when another has its turn.
    pub(super) turns: Turns,
    /// When it was cosigned last, on the boot clock.
    pub(super) cosigned_ms: Option<u64>,
    /// Whether a head of an epoch before was published since the present one's was: gateways find the last word only.
    pub(super) is_overtaken: bool,
    told_ms: Option<u64>,
    /// What counts later.
    pub(super) later: Later,
    /// How it answers.
    pub(super) manners: Manners,
    /// Heads that it showed within this second.
    pub(super) quota: Quota,
    /// When an alarm of each kind was raised last of each epoch, on the boot clock.
    pub(super) raised: BTreeMap<(u32, Kind), u64>,
    /// Nobody else keeps its log.
    _lock: File,
}

impl Gateway {
    /// Takes a gateway's log; none if another process has it.
    pub(super) fn take(
        shelf: &Shelf,
        (site, gateway): (&Identifier, &Identifier),
        base: &str,
        witness: Option<Arc<Witness>>,
    ) -> io::Result<Option<Self>> {
        let dir = shelf.gateway_dir(site, gateway);
        disk::make_dirs(&dir)?;
        let lock = disk::lock(&dir.join("lock"))?;
        Ok(lock.map(|lock| Self {
            site: site.clone(),
            gateway: gateway.clone(),
            base: base.to_owned(),
            mirror: None,
            rest_until_ms: 0,
            touched: true,
            older: None,
            refused: None,
            witness,
            recalled: None,
            alarms: Vec::new(),
            damage: None,
            leaving: None,
            turns: Turns::default(),
            cosigned_ms: None,
            is_overtaken: false,
            told_ms: None,
            later: Later::default(),
            manners: Manners::default(),
            quota: Quota::default(),
            raised: BTreeMap::new(),
            _lock: lock,
        }))
    }

    /// Whether heads of its logs are cosigned here.
    pub(super) fn signs(&self) -> bool {
        self.witness.is_some()
    }

    /// The logs that are at work: that of now, and that of an epoch before while something of it is still to be done.
    pub(super) fn copies(&mut self) -> impl Iterator<Item = &mut Mirror> {
        self.mirror.iter_mut().chain(self.leaving.as_deref_mut())
    }

    pub(super) fn mirror(&self) -> Option<&Mirror> {
        self.mirror.as_ref()
    }

    pub(super) fn mirror_mut(&mut self) -> Option<&mut Mirror> {
        self.mirror.as_mut()
    }

    /// The log of now; opened if it is not. None while it rests.
    pub(super) fn open(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        now_ms: u64,
    ) -> Option<&mut Mirror> {
        if self.mirror.is_none() && now_ms >= self.rest_until_ms {
            // One that was gone over to counts, be it that nothing of it is in tiles yet: what the one before is cosigned
            // to hangs on it.
            let epochs = shelf.known_epochs(&self.site, &self.gateway);
            let epoch = epochs.ok().and_then(|epochs| epochs.last().copied());
            let epoch = epoch.unwrap_or(1).max(self.later.epoch());
            self.later.opens(epoch);
            let opened = match self.damage.take() {
                Some(what) => Err(MirrorError::Damaged(what)),
                None => self.open_epoch(shelf, cards, epoch),
            };
            let opened = match opened {
                Err(MirrorError::Damaged(what)) => self.open_anew(shelf, cards, epoch, what),
                Err(MirrorError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.open_anew(shelf, cards, epoch, "a file is missing".to_owned())
                }
                other => other,
            };
            match opened {
                Ok(mirror) => {
                    self.mirror = mirror;
                    self.recalls_next();
                    self.recalled = None;
                    self.recall();
                    self.open_left(shelf, cards, now_ms);
                }
                Err(error) => self.failed(&error, now_ms),
            }
        }
        self.mirror.as_mut()
    }

    /// Keeps the head of a later epoch until that may begin: what it cites of the one of now is not known until then, also
    /// over a start.
    pub(super) fn keeps_next(&mut self, epoch: u32, note: &str) {
        self.later.keep_next(epoch, note);
        let base = self.base.clone();
        let next = self.later.next_note();
        let Some((mirror, note)) = self.mirror_mut().zip(next) else {
            return;
        };
        let known = mirror.record.next.as_deref();
        let known = known
            .and_then(crate::archive::shelf::head)
            .and_then(|head| epoch_of(&base, &head.origin));
        if known.is_some_and(|known| known <= epoch) {
            return;
        }
        if let Err(error) = mirror.note_next(&note) {
            tracing::warn!(%error, log = %mirror.place, "that another epoch follows can't be written down");
        }
    }

    /// The same as it was before a start.
    fn recalls_next(&mut self) {
        let mirror = self.mirror();
        let present = mirror.map_or(0, |mirror| mirror.place.epoch);
        let next = mirror.and_then(|mirror| mirror.record.next.clone());
        let next = next.and_then(|note| Some((self.epoch_of(&note)?, note)));
        if let Some((epoch, note)) = next.filter(|(epoch, _)| *epoch > present) {
            self.later.keep_next(epoch, &note);
        }
    }

    /// The origin of its first epoch.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn place(&self, epoch: u32) -> Place {
        Place {
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            epoch,
        }
    }

    pub(super) fn open_epoch(
        &self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
    ) -> Result<Option<Mirror>, MirrorError> {
        let place = self.place(epoch);
        let record = shelf.record(&place)?;
        let is_known = record.is_some_and(|record| !record.keys.is_empty());
        let heirs = if is_known {
            // Whatever followed which key stands in the record.
            Heirs::after(cards, &place, &[], &[])
        } else {
            Heirs::recorded(shelf, cards, &place)
        };
        let Some(heirs) = heirs else {
            return Ok(None);
        };
        begin(shelf, &place, &heirs).map(Some)
    }

    /// Sets a copy aside whose files do not fit together, and begins it anew.
    pub(super) fn open_anew(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
        what: String,
    ) -> Result<Option<Mirror>, MirrorError> {
        let place = self.place(epoch);
        let Some(heirs) = Heirs::recorded(shelf, cards, &place) else {
            return Ok(None);
        };
        let known = Mirror::set_aside(shelf, &place, &heirs.origin, &heirs.keys)?;
        self.turns.cited.forgets(epoch);
        let alarm = Alarm {
            kind: Kind::Damaged,
            text: format!(
                "the copy did not fit together ({what}): it is set aside in damaged/, and fetched anew"
            ),
            known,
            shown: None,
            proof: None,
        };
        self.alarms.push((epoch, alarm));
        self.open_epoch(shelf, cards, epoch)
    }

    /// Puts what the witness cosigned last beside what was shown, if that is not done. Gives whether there was any.
    pub(super) fn recall(&mut self) -> bool {
        let Some((witness, mirror)) = self.witness.as_ref().zip(self.mirror.as_mut()) else {
            return false;
        };
        // What can't be read now refuses when it is to cosign.
        let Ok(Some(last)) = witness.last(mirror.origin()) else {
            return false;
        };
        let told = Some((last.size, last.root.clone()));
        if mirror.is_stopped() || self.recalled == told {
            return false;
        }
        self.recalled = told;
        let recalled = last.note.map(|note| mirror.recall(&note, last.size));
        match recalled {
            Some(Ok(NoteTaken::Refused(mut alarm))) => {
                std::mem::swap(&mut alarm.known, &mut alarm.shown);
                self.alarms.push((mirror.place.epoch, alarm));
            }
            Some(Err(error)) => {
                let error = crate::logs::chain(&error);
                tracing::warn!(log = %mirror.place, "what was cosigned can't be compared: {error}");
                self.recalled = None;
                return false;
            }
            Some(Ok(
                NoteTaken::Newer
                | NoteTaken::Known
                | NoteTaken::Older
                | NoteTaken::Full
                | NoteTaken::Stranger(_),
            ))
            | None => {}
        }
        self.touched = true;
        true
    }

    /// Writes what is to be committed.
    pub(super) fn write(
        &mut self,
        step: &mut Step,
        writes: &mut Writes,
    ) -> Result<(), MirrorError> {
        match &mut self.mirror {
            Some(mirror) => mirror.write(step, writes),
            None => Ok(()),
        }
    }

    /// The disk refused, or what lies there does not fit together.
    pub(super) fn failed(&mut self, error: &MirrorError, now_ms: u64) {
        if let MirrorError::Damaged(what) = error {
            self.damage = Some(what.clone());
        }
        let heads = self.mirror.take().map(|mirror| mirror.heads());
        self.later.rest(heads.into_iter().flatten());
        self.rest_until_ms = now_ms.saturating_add(self.later.pause_ms());
        if self.is_to_be_told(now_ms) {
            let log = format!("{}/{}", self.site, self.gateway);
            let why = crate::logs::chain(error);
            tracing::error!(log, "the copy of a log can't be kept for now: {why}");
        }
    }

    /// An alarm that could not be recorded: it is raised again once there is a copy to record it in.
    pub(super) fn is_to_refuse(&mut self, epoch: u32, alarm: Alarm) {
        self.raised.remove(&(epoch, alarm.kind));
        if self.alarms.contains(&(epoch, alarm.clone())) {
            return;
        }
        self.alarms.push((epoch, alarm));
        // What stops a log before what does not.
        self.alarms.sort_by_key(|(_, alarm)| !alarm.kind.stops());
        self.alarms.truncate(ALARMS_WAITING_MAX);
    }

    /// What is to be refused now: of logs whose copies are there.
    pub(super) fn alarms(&mut self) -> Vec<(u32, Alarm)> {
        let epochs: Vec<u32> = self.copies().map(|copy| copy.place.epoch).collect();
        let all = std::mem::take(&mut self.alarms).into_iter();
        let (due, rest) = all.partition(|(epoch, _)| epochs.contains(epoch));
        self.alarms = rest;
        due
    }

    /// Whether something that is wrong is to be told, or was told not long ago.
    pub(super) fn is_to_be_told(&mut self, now_ms: u64) -> bool {
        let quiet = self
            .told_ms
            .is_some_and(|told| now_ms < told.saturating_add(TOLD_MS));
        if !quiet {
            self.told_ms = Some(now_ms);
        }
        !quiet
    }

    /// The epoch that a note is of; none if it is no note of this ledger.
    pub(super) fn epoch_of(&self, note: &str) -> Option<u32> {
        let head = Checkpoint::parse(&Note::parse(note).ok()?.text).ok()?;
        self.epoch_named(&head.origin)
    }

    /// The epoch that an origin is of; none if it is none of this ledger.
    pub(super) fn epoch_named(&self, origin: &str) -> Option<u32> {
        epoch_of(&self.base, origin)
    }

    /// Its platform, and its own name.
    pub(super) fn name(&self) -> (&Identifier, &Identifier) {
        (&self.site, &self.gateway)
    }

    /// Goes over to the log of a later epoch, if a key of the gateway has signed this head of it. Gives whether it did.
    pub(super) fn go_over(
        &mut self,
        shelf: &Shelf,
        cards: &Cards,
        (epoch, note): (u32, &str),
        now_ms: u64,
    ) -> Result<bool, MirrorError> {
        let now = self.mirror.as_ref().map_or(0, |mirror| mirror.place.epoch);
        if epoch <= now || epoch > now.saturating_add(EPOCH_LEAP_MAX) {
            return Ok(false);
        }
        let place = self.place(epoch);
        let Some(heirs) = self.heirs(cards, &place) else {
            return Ok(false);
        };
        if !begins(&heirs, note) {
            return Ok(false);
        }
        let mut mirror = begin(shelf, &place, &heirs)?;
        let before = self.mirror.as_ref();
        // Where nothing was known of an epoch before, this is the first.
        let is_first =
            before.is_none_or(|before| before.newest().is_none()) && !self.later.has_begun();
        let leaves = if is_first {
            self.later.begun(epoch)
        } else {
            self.later.went_over(epoch, now_ms)
        };
        for (index, leaf) in leaves {
            mirror.take_leaf(index, leaf);
        }
        // The pause between cosignatures is the gateway's, whatever its epochs.
        let left = self.mirror.replace(mirror);
        self.leave(left, now_ms);
        self.recalled = None;
        self.recall();
        self.older = None;
        self.touched = true;
        Ok(true)
    }

    /// Whether a key of the gateway has signed the head of a later epoch.
    pub(super) fn has_begun(&self, cards: &Cards, (epoch, note): (u32, &str)) -> bool {
        let heirs = self.heirs(cards, &self.place(epoch));
        heirs.is_some_and(|heirs| begins(&heirs, note))
    }

    /// Who may begin a later epoch: a key that a change has brought, too, and none that was followed.
    fn heirs(&self, cards: &Cards, place: &Place) -> Option<Heirs> {
        let Some(mirror) = &self.mirror else {
            return Heirs::after(cards, place, &[], &[]);
        };
        let (signers, followed) = mirror.signers();
        let followed: Vec<String> = followed.iter().map(|one| one.key.clone()).collect();
        Heirs::after(cards, place, &signers, &parsed(&followed))
    }
}

/// Whether one of the heirs has signed a head of an epoch. One that commits to nothing begins nothing: each costs folders,
/// and a log in every witness's memory.
fn begins(heirs: &Heirs, note: &str) -> bool {
    let head = verify::checkpoint(note, &heirs.keys, &heirs.origin);
    head.is_ok_and(|head| head.size > 0)
}

/// Opens a log's copy, or begins one, which the heirs sign.
fn begin(shelf: &Shelf, place: &Place, heirs: &Heirs) -> Result<Mirror, MirrorError> {
    let mut mirror = Mirror::open(shelf, place, &heirs.origin, &heirs.keys)?;
    mirror.follow_before(&heirs.over)?;
    Ok(mirror)
}
