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
use crate::archive::alarm::Kind;
use crate::archive::cards::{Cards, epoch_of, named};
use crate::archive::mirror::{Mirror, MirrorError};
use crate::archive::place::Place;
use crate::archive::shelf::Shelf;
use crate::ledger::disk;
use crate::ledger::head::EPOCH_LEAP_MAX;

/// How often something wrong with one gateway's messages is told.
const TOLD_MS: u64 = 600_000;

/// A gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    site: Identifier,
    gateway: Identifier,
    /// The origin of its first epoch.
    base: String,
    mirror: Option<Mirror>,
    /// Not tried again before this moment.
    rest_until_ms: u64,
    /// Whether its copy changed since the last pass.
    pub(super) touched: bool,
    /// An older head that was shown, and when; until a newer one comes.
    pub(super) older: Option<(u64, Arc<str>)>,
    /// What was refused last: it is not written again.
    pub(super) refused: Option<(Kind, Option<String>)>,
    /// When it was cosigned last, on the boot clock.
    pub(super) cosigned_ms: Option<u64>,
    told_ms: Option<u64>,
    /// What counts later.
    pub(super) later: Later,
    /// How it answers.
    pub(super) manners: Manners,
    /// Heads that it showed within this second.
    pub(super) quota: Quota,
    /// When an alarm of each kind was raised last, on the boot clock.
    pub(super) raised: BTreeMap<Kind, u64>,
    /// Nobody else keeps its log.
    _lock: File,
}

impl Gateway {
    /// Takes a gateway's log; none if another process has it.
    pub(super) fn take(
        shelf: &Shelf,
        (site, gateway): (&Identifier, &Identifier),
        base: &str,
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
            cosigned_ms: None,
            told_ms: None,
            later: Later::default(),
            manners: Manners::default(),
            quota: Quota::default(),
            raised: BTreeMap::new(),
            _lock: lock,
        }))
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
            let epochs = shelf.epochs(&self.site, &self.gateway);
            let epoch = epochs.ok().and_then(|epochs| epochs.last().copied());
            // One that was gone over to counts, be it that nothing of it is in tiles yet.
            let epoch = epoch.unwrap_or(1).max(self.later.epoch());
            self.later.opens(epoch);
            let opened = self.open_epoch(shelf, cards, epoch);
            match opened {
                Ok(mirror) => self.mirror = mirror,
                Err(error) => self.failed(&error, now_ms),
            }
        }
        self.mirror.as_mut()
    }

    fn place(&self, epoch: u32) -> Place {
        Place {
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            epoch,
        }
    }

    fn open_epoch(
        &self,
        shelf: &Shelf,
        cards: &Cards,
        epoch: u32,
    ) -> Result<Option<Mirror>, MirrorError> {
        let place = self.place(epoch);
        let Some((origin, keys)) = cards.log(&place) else {
            return Ok(None);
        };
        Mirror::open(shelf, &place, &origin, &keys).map(Some)
    }

    /// The disk refused, or what lies there does not fit together.
    pub(super) fn failed(&mut self, error: &MirrorError, now_ms: u64) {
        let heads = self.mirror.take().map(|mirror| mirror.heads());
        self.later.rest(heads.into_iter().flatten());
        self.rest_until_ms = now_ms.saturating_add(self.later.pause_ms());
        if self.is_to_be_told(now_ms) {
            let log = format!("{}/{}", self.site, self.gateway);
            let why = crate::logs::chain(error);
            tracing::error!(log, "the copy of a log can't be kept for now: {why}");
        }
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
        let Some((origin, mut keys)) = cards.log(&place) else {
            return Ok(false);
        };
        // A key that a change has brought signs the next epoch, too.
        if let Some(mirror) = &self.mirror {
            keys.extend(mirror.keys().iter().filter_map(|key| named(key, &origin)));
        }
        if verify::checkpoint(note, &keys, &origin).is_err() {
            return Ok(false);
        }
        let mut mirror = Mirror::open(shelf, &place, &origin, &keys)?;
        let before = self.mirror.as_ref();
        // Where nothing was known of an epoch before, this is the first.
        let is_first = before.is_none_or(|before| before.newest().is_none());
        let leaves = if is_first {
            self.later.begun(epoch)
        } else {
            self.later.went_over(epoch, now_ms)
        };
        for (index, leaf) in leaves {
            mirror.take_leaf(index, leaf);
        }
        // The pause between cosignatures is the gateway's, whatever its epochs.
        self.mirror = Some(mirror);
        self.older = None;
        self.touched = true;
        Ok(true)
    }

    /// A head of an epoch that was given up, if it goes beyond what is held of that: then two run.
    pub(super) fn beyond(&self, shelf: &Shelf, cards: &Cards, epoch: u32, note: &str) -> bool {
        let place = self.place(epoch);
        let Some((origin, keys)) = cards.log(&place) else {
            return false;
        };
        let Ok(head) = verify::checkpoint(note, &keys, &origin) else {
            return false;
        };
        match shelf.head(&place) {
            Ok(Some((_, held))) => head.size > held.size,
            // An epoch that was never seen here, or can't be read: it tells nothing.
            Ok(None) | Err(_) => false,
        }
    }
}
