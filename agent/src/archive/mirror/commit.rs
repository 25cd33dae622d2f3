//! From what waits to what counts: leaves under a signed head go into tiles, and the head becomes the checkpoint.
//!
//! In two steps, so that many logs share one wait for the disk: the tiles and a draft of the checkpoint are written,
//! all is made durable, then the checkpoint gets its name, and once that is durable the record follows. Whatever a crash
//! leaves, the checkpoint that lies there speaks of tiles that are durable, and no record of a head that is not there.

use std::fs;
use std::path::PathBuf;

use lineside_proto::Time;
use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_proto::ledger::tile::{Kind as TileKind, Tile, WIDTH, put_entry};
use lineside_proto::ledger::tree::{Hash, Range};
use lineside_proto::ledger::{Genesis, Leaf, LeafBody};

use super::{AHEAD_LEAVES_MAX, Head, KEYS_MAX, Mirror, MirrorError, Text};
use crate::archive::alarm::Alarm;
use crate::archive::record::Record;
use crate::archive::succession::change_in;
use crate::archive::writes::Writes;

/// What is about to be committed.
#[derive(Debug)]
pub(in crate::archive) struct Step {
    hashes: Vec<Hash>,
    range: Range,
    /// The head that the leaves are under; none for a part of a longer stretch.
    head: Option<Head>,
    /// Full tiles and bundles: the partial ones before them are of no use any more.
    full: Vec<PathBuf>,
    /// What the first leaf says, if it is among them.
    pub(in crate::archive) genesis: Option<Genesis>,
}

/// What comes of looking at what waits.
#[derive(Debug)]
pub(in crate::archive) enum Stepped {
    /// Nothing can be committed.
    Nothing,
    /// This can.
    Ready(Step),
    /// What was signed contradicts itself, or what was given is not what was signed.
    Refused(Alarm),
}

impl Step {
    fn to(hashes: Vec<Hash>, range: Range, head: Option<Head>) -> Self {
        Self {
            hashes,
            range,
            head,
            full: Vec::new(),
            genesis: None,
        }
    }

    /// The size that the log will have.
    pub(in crate::archive) fn size(&self) -> u64 {
        self.range.size()
    }

    /// Whether a head is reached by it.
    pub(in crate::archive) fn reaches_head(&self) -> bool {
        self.head.is_some()
    }
}

impl Mirror {
    /// The leaf after those that are there without a hole.
    pub(super) fn covered(&self) -> u64 {
        let size = self.size();
        let whole = (size..).zip(self.ahead.keys());
        let count = whole.take_while(|(place, index)| place == *index).count();
        size + u64::try_from(count).unwrap_or(0)
    }

    /// What can be committed now: up to the furthest head that the leaves fit. Leaves that fit none are thrown away, to be
    /// asked for; if they had been asked for, or two signed heads contradict each other, that is an alarm.
    ///
    /// # Errors
    ///
    /// The tiles can't be read.
    pub(in crate::archive) fn step(&mut self, now_ms: u64) -> Result<Stepped, MirrorError> {
        if let Some(alarm) = self.claimed()? {
            return Ok(Stepped::Refused(alarm));
        }
        if self.is_stopped() || self.seen.is_empty() {
            return Ok(Stepped::Nothing);
        }
        self.reach(now_ms)
    }

    fn reach(&mut self, now_ms: u64) -> Result<Stepped, MirrorError> {
        let (size, covered) = (self.size(), self.covered());
        let least = size.max(self.floor);
        let mut reached = self.seen.range(least..=covered.max(least));
        let reached = reached.next_back().map(|(reached, _)| *reached);
        // Leaves that were put into tiles before may be a head's just so: it is published without any more.
        let reached = reached.filter(|reached| *reached > size || size > self.committed());
        let reached = reached.filter(|reached| *reached <= covered);
        let part = self.fetch.part().filter(|part| *part <= covered);
        let Some(to) = reached.or(part) else {
            return Ok(Stepped::Nothing);
        };
        let mut range = self.range.clone();
        let mut hashes = Vec::new();
        let (mut fit, mut misfit) = (None, None);
        // Those that sign for the next size, and how many changes there were.
        let (mut keys, mut signing) = (self.keys.clone(), self.keys_at(size));
        let mut changes = self.record.followed.len();
        let mut unsigned = Vec::new();
        let mut look = |range: &Range, signing: &[VerifierKey]| match self.seen.get(&range.size()) {
            // A key that was followed by another signs no longer.
            Some(head) if !is_signed(head, signing) => unsigned.push(range.size()),
            Some(head) if head.checkpoint.root == range.root() => {
                let is_reached = range.size() >= self.floor;
                fit = is_reached
                    .then(|| (head.clone(), range.clone()))
                    .or(fit.take());
            }
            Some(head) => misfit = misfit.take().or(Some(head.clone())),
            None => {}
        };
        look(&range, &signing);
        let mut strays = false;
        for (_, leaf) in self.ahead.range(..to) {
            let hash = Hash::of_leaf(leaf);
            range.push(hash, |_, _, _| {});
            hashes.push(hash);
            strays |= self.strays(&range);
            // As when it is taken in: only a key that signs can name another, and only so often.
            let may_change = changes < KEYS_MAX && keys.len() < KEYS_MAX;
            let change = may_change
                .then(|| handed_over(leaf, &self.record.origin))
                .flatten();
            if let Some((old, new)) = change.filter(|(old, _)| signing.contains(old)) {
                signing.retain(|key| *key != old);
                signing.push(new.clone());
                keys.push(new);
                changes += 1;
            }
            look(&range, &signing);
        }
        self.drop_unsigned(&unsigned);
        let reached = fit.as_ref().map(|(head, _)| head.checkpoint.size);
        if strays && self.drop_strays(reached.or(part).unwrap_or(0)) {
            return Ok(Stepped::Nothing);
        }
        let fit = fit.map(|(head, range)| (signed_by(head, &keys), range));
        let Some((head, range)) = fit else {
            return Ok(match misfit {
                Some(head) if head.checkpoint.size > size => self
                    .misled(&head, now_ms)
                    .map_or(Stepped::Nothing, Stepped::Refused),
                Some(_) | None if to > size && part == Some(to) => {
                    Stepped::Ready(Step::to(hashes, range, None))
                }
                Some(_) | None => Stepped::Nothing,
            });
        };
        if let Some(other) = self.unlike(&head, misfit)? {
            let proof = self.proof_of(other.checkpoint.size, &head.checkpoint)?;
            return Ok(Stepped::Refused(Self::fork(&other, &head, proof)));
        }
        hashes.truncate(usize::try_from(range.size() - size).unwrap_or(0));
        Ok(Stepped::Ready(Step::to(hashes, range, Some(head))))
    }

    /// Forgets heads of sizes that no key signs for any more.
    fn drop_unsigned(&mut self, unsigned: &[u64]) {
        if let Some(newest) = unsigned.last() {
            // One line, since whoever has such a key can sign any number.
            let (heads, size) = (unsigned.len(), *newest);
            tracing::warn!(log = %self.place, heads, size, "heads are not taken: the key that signed them was followed by another");
        }
        self.seen.retain(|size, _| !unsigned.contains(size));
    }

    /// Forgets heads that are of other leaves than the next epoch cites, and go beyond those. Gives whether so many leaves
    /// do.
    fn drop_strays(&mut self, reached: u64) -> bool {
        let is_beyond = self.is_beyond_end(reached);
        if is_beyond {
            tracing::warn!(log = %self.place, "heads are not taken: they do not continue the one that the next epoch cites");
            self.forget_beyond_end();
            self.forget_ahead();
        }
        is_beyond
    }

    /// A head below another that is not of its leaves: `misfit`, or one of a size that tiles were put to before.
    fn unlike(&self, head: &Head, misfit: Option<Head>) -> Result<Option<Head>, MirrorError> {
        let below = |other: &Head| other.checkpoint.size < head.checkpoint.size;
        if let Some(misfit) = misfit.filter(below) {
            return Ok(Some(misfit));
        }
        for (size, other) in self.seen.range(..self.size()) {
            if self.root_at(*size)? != other.checkpoint.root {
                return Ok(Some(other.clone()));
            }
        }
        Ok(None)
    }

    /// Writes the leaves into tiles, and the checkpoint as a draft.
    ///
    /// # Errors
    ///
    /// The disk refuses: the copy is to be opened anew.
    pub(in crate::archive) fn write(
        &mut self,
        step: &mut Step,
        writes: &mut Writes,
    ) -> Result<(), MirrorError> {
        let hashes = std::mem::take(&mut step.hashes);
        for hash in hashes {
            let Some((_, leaf)) = self.ahead.pop_first() else {
                break;
            };
            self.ahead_bytes -= leaf.len();
            self.learn(&leaf, step);
            self.tail.push(leaf);
            for (tile, bytes) in self.tiles.push(hash) {
                let path = self.dir.join(tile.to_string());
                writes.put(&path, &bytes)?;
                step.full.push(path);
            }
            if self.tail.len() as u64 == WIDTH {
                let index = self.tiles.size() / WIDTH - 1;
                step.full.push(self.put_bundle(index, writes)?);
                self.tail.clear();
            }
        }
        self.range = step.range.clone();
        if let Some(head) = &step.head {
            for (tile, bytes) in self.tiles.partial() {
                writes.put(&self.dir.join(tile.to_string()), &bytes)?;
            }
            if !self.tail.is_empty() {
                self.put_bundle(self.size() / WIDTH, writes)?;
            }
            writes.draft(&self.dir.join("checkpoint"), head.note.as_bytes())?;
        }
        Ok(())
    }

    /// Writes the bundle that grows, or is full now. Gives its path.
    fn put_bundle(&self, index: u64, writes: &mut Writes) -> Result<PathBuf, MirrorError> {
        let mut bundle = Vec::new();
        for leaf in &self.tail {
            put_entry(&mut bundle, leaf)
                .map_err(|error| MirrorError::Damaged(error.to_string()))?;
        }
        let tile = Tile {
            kind: TileKind::Entries,
            index,
            width: self.tail.len() as u64,
        };
        let path = self.dir.join(tile.to_string());
        writes.put(&path, &bundle)?;
        Ok(path)
    }

    /// Takes note of what a leaf says that the archive must know.
    fn learn(&mut self, bytes: &[u8], step: &mut Step) {
        let index = self.tiles.size();
        let Ok(leaf) = Leaf::from_bytes(bytes) else {
            self.names(index, Vec::new());
            return;
        };
        self.record.newest = Some(leaf.head.at);
        self.last = Some(leaf.head.at);
        self.names(index, texts(&leaf.body));
        match leaf.body {
            LeafBody::Genesis(genesis) => step.genesis = Some(genesis),
            LeafBody::Key(change) => self.follow(leaf.head.index, &change),
            LeafBody::Config(_)
            | LeafBody::Boot(_)
            | LeafBody::Booking(_)
            | LeafBody::Audit(_)
            | LeafBody::Clock(_)
            | LeafBody::State(_)
            | LeafBody::Session(_)
            | LeafBody::Usage(_)
            | LeafBody::Gap(_)
            | LeafBody::Anchor(_)
            | LeafBody::Bind(_)
            | LeafBody::Correction(_)
            | LeafBody::Summary(_) => {}
        }
    }

    /// Gives the checkpoint its name, once its tiles are durable.
    ///
    /// # Errors
    ///
    /// The disk refuses: the copy is to be opened anew.
    pub(in crate::archive) fn publish(
        &self,
        step: &Step,
        writes: &mut Writes,
    ) -> Result<(), MirrorError> {
        if step.reaches_head() {
            writes.publish(&self.dir.join("checkpoint"))?;
        }
        Ok(())
    }

    /// Writes the record, once the checkpoint's name is durable.
    ///
    /// # Errors
    ///
    /// The disk refuses: the copy is to be opened anew.
    pub(in crate::archive) fn keep(
        &mut self,
        mut step: Step,
        heard: Time,
    ) -> Result<(), MirrorError> {
        let size = self.size();
        if let Some(head) = step.head.take() {
            if let Some(last) = self.last_at(heard) {
                self.notes.keep_later(last, &head.note, heard);
            }
            self.head = Some(head);
        }
        // What is below the checkpoint fitted; what is below a part is looked at when a head is reached.
        let beyond = self.committed() + 1;
        self.seen = self.seen.split_off(&beyond);
        self.ahead = self.ahead.split_off(&size);
        self.coming.retain(|coming| coming.at() >= size);
        self.ahead_bytes = self.ahead.values().map(Vec::len).sum();
        debug_assert!(self.ahead.len() as u64 <= AHEAD_LEAVES_MAX);
        self.fetch.advanced();
        // A part has no head of its own: the one that it is under must not be forgotten.
        let reaching = self
            .seen
            .values()
            .next_back()
            .filter(|_| size > self.committed());
        let reaching = reaching.map(|head| head.note.to_string());
        let unproved = self.record.unproved.take();
        let unproved = unproved.filter(|_| !self.seen.is_empty());
        let texts = self.texts_to();
        let beyond = self.record.beyond || self.is_beyond_end(size);
        self.record = Record {
            size,
            beyond,
            root: self.range.root().to_string(),
            heard: Some(heard),
            texts,
            reaching,
            unproved,
            ..std::mem::take(&mut self.record)
        };
        for full in std::mem::take(&mut step.full) {
            let mut partial = full.into_os_string();
            partial.push(".p");
            // There is none, usually.
            drop(fs::remove_dir_all(partial));
        }
        Ok(self.write_record()?)
    }
}

/// Whether one of these keys has signed a head.
fn is_signed(head: &Head, keys: &[VerifierKey]) -> bool {
    Note::parse(&head.note)
        .is_ok_and(|note| note.verify(keys).is_ok_and(|signed| !signed.is_empty()))
}

/// A head with the signatures of these keys alone.
fn signed_by(head: Head, keys: &[VerifierKey]) -> Head {
    let Ok(mut note) = Note::parse(&head.note) else {
        return head;
    };
    let known = |name: &str, hash: [u8; 4]| {
        keys.iter()
            .any(|key| key.name() == name && key.hash() == hash)
    };
    note.signatures.retain(|line| known(&line.name, line.hash));
    Head {
        note: note.to_string().into(),
        ..head
    }
}

/// The key that a leaf hands over from, and to, if it does.
pub(super) fn handed_over(leaf: &[u8], origin: &str) -> Option<(VerifierKey, VerifierKey)> {
    change_in(leaf)?.verified(origin)
}

/// The texts that a leaf names.
pub(super) fn texts(body: &LeafBody) -> Vec<Text> {
    let token = |hash: &Option<String>| hash.clone().map(Text::Token);
    match body {
        LeafBody::Config(config) => vec![Text::Map(config.map.clone())],
        LeafBody::Booking(booking) => token(&booking.token).into_iter().collect(),
        LeafBody::Session(session) => token(&session.token).into_iter().collect(),
        LeafBody::Bind(bind) => vec![Text::Token(bind.token.clone())],
        LeafBody::Genesis(_)
        | LeafBody::Boot(_)
        | LeafBody::Key(_)
        | LeafBody::Audit(_)
        | LeafBody::Clock(_)
        | LeafBody::State(_)
        | LeafBody::Usage(_)
        | LeafBody::Gap(_)
        | LeafBody::Anchor(_)
        | LeafBody::Correction(_)
        | LeafBody::Summary(_) => Vec::new(),
    }
}
