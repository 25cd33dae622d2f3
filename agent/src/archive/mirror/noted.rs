//! What a log's record notes beside its leaves: whose signature counts, what waits, and what is wrong.

use std::fs;
use std::io;
use std::path::Path;

use lineside_proto::Time;
use lineside_proto::ledger::KeyLeaf;
use lineside_proto::ledger::note::VerifierKey;

use super::{Mirror, head_on_disk};
use crate::archive::alarm::Alarm;
use crate::archive::place::Place;
use crate::archive::record::{Followed, Record, Uncosigned, Unproved};
use crate::archive::shelf::Shelf;
use crate::ledger::disk;
use crate::slots::Slots;

/// Keys of one log at most: one a month for ten years. Each is tried for each head, and stands in the record.
pub(in crate::archive) const KEYS_MAX: usize = 128;

/// Alarms whose folders wait for the disk: one of each kind.
const UNWRITTEN_MAX: usize = 7;

/// Copies of one log that are set aside at most: none of them is removed here, since it may be all that there is.
const ASIDE_MAX: u32 = 4;

impl Mirror {
    /// Moves a log's files away whose parts do not fit together, so that it is fetched anew: under the head that was known,
    /// if that can be read. Gives the known head's note.
    pub(in crate::archive) fn set_aside(
        shelf: &Shelf,
        place: &Place,
        origin: &str,
        keys: &[VerifierKey],
    ) -> io::Result<Option<String>> {
        let (dir, kept) = (shelf.log_dir(place), shelf.kept_dir(place));
        let mut slots = Slots::open(&kept.join("record"))?;
        let record = slots.read();
        let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        let record = record.unwrap_or_default();
        let mut all = keys.to_vec();
        all.extend(record.keys.iter().filter_map(|key| key.parse().ok()));
        let known = head_on_disk(&dir, &all, origin).ok().flatten();
        let known = known.map(|head| head.note.to_string());
        let aside = shelf.aside_dir(place);
        let mut free = (1..=ASIDE_MAX).map(|turn| aside.join(turn.to_string()));
        let free = free.find(|path| !path.exists()).ok_or_else(|| {
            io::Error::other(format!(
                "it was set aside {ASIDE_MAX} times: look at the disk, and then remove {}",
                aside.display()
            ))
        })?;
        disk::make_dirs(&aside)?;
        fs::rename(&dir, &free)?;
        let anew = Record {
            size: 0,
            root: String::new(),
            texts: 0,
            reaching: known.clone().or(record.reaching.clone()),
            ..record
        };
        slots.write(&serde_json::to_vec(&anew)?)?;
        Ok(known)
    }

    /// The keys that sign for so many leaves.
    pub(in crate::archive) fn keys_at(&self, size: u64) -> Vec<VerifierKey> {
        keys_at(&self.keys, &self.record.followed, size)
    }

    /// The keys that sign now, and those that others have followed.
    pub(in crate::archive) fn signers(&self) -> (Vec<VerifierKey>, &[Followed]) {
        (self.keys_at(u64::MAX), &self.record.followed)
    }

    /// Takes in that a leaf hands over from one key to another.
    pub(super) fn follow(&mut self, index: u64, change: &KeyLeaf) {
        if self.record.followed.len() >= KEYS_MAX || self.keys.len() >= KEYS_MAX {
            tracing::warn!(log = %self.place, "the log has had {KEYS_MAX} keys, and another does not count");
            return;
        }
        let Some((old, new)) = change.verified(&self.record.origin) else {
            return;
        };
        // A key that nobody knows, or that does not sign any more, can't name another.
        if !self.keys_at(index.saturating_add(1)).contains(&old) {
            return;
        }
        if !self.keys.contains(&new) {
            tracing::info!(log = %self.place, key = %new, "the log has a new key, signed by the one before");
            self.keys.push(new);
        }
        let key = old.to_string();
        self.record.followed.push(Followed { key, at: index });
    }

    /// Notes that keys were followed before this log began, and writes that down before anything of it counts. So is what
    /// was found anew where there was no record.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(in crate::archive) fn follow_before(&mut self, keys: &[VerifierKey]) -> io::Result<()> {
        let before = self.record.followed.len();
        for key in keys.iter().map(ToString::to_string) {
            if !self.record.followed.iter().any(|known| known.key == key) {
                self.record.followed.push(Followed { key, at: 0 });
            }
        }
        let is_first = self.place.epoch == 1 && self.size() == 0;
        let is_new = self.record.keys.is_empty() && !is_first;
        if is_new || self.record.followed.len() > before {
            self.write_record()?;
        }
        Ok(())
    }

    /// Notes why the newest head is not cosigned, none where it is; and the leaves that were cosigned before, where the copy has
    /// fewer.
    pub(in crate::archive) fn note_uncosigned(
        &mut self,
        why: Option<String>,
        beyond: Option<u64>,
        now: Time,
    ) -> io::Result<()> {
        let before = self.record.uncosigned.as_ref();
        let since = before.map_or(now, |before| before.since);
        let uncosigned = why.map(|why| Uncosigned { why, beyond, since });
        if self.record.uncosigned == uncosigned {
            return Ok(());
        }
        self.record.uncosigned = uncosigned;
        self.write_record()
    }

    /// Keeps an alarm whose folder can't be written; with the record that follows.
    pub(in crate::archive) fn keep_alarm(&mut self, alarm: &Alarm, at: Time) {
        if self.record.unwritten.len() < UNWRITTEN_MAX {
            self.record.unwritten.push((at, alarm.clone()));
        }
    }

    /// Writes the folders of alarms that are kept.
    pub(in crate::archive) fn write_alarms(&mut self, alarms: &Path) -> io::Result<()> {
        while let Some((at, alarm)) = self.record.unwritten.first().cloned() {
            let name = alarm.write(alarms, &self.place, at)?;
            let stopped = self.record.stopped.as_mut();
            if let Some((stopped, name)) = stopped.zip(name) {
                if stopped.at == at {
                    stopped.proof = name;
                }
            }
            self.record.unwritten.remove(0);
            self.write_record()?;
        }
        Ok(())
    }

    /// Notes which head nobody proves to continue what is held; for whoever looks.
    pub(in crate::archive) fn note_unproved(&mut self, now: Time) -> io::Result<()> {
        let newest = self.seen.keys().next_back().copied();
        let unproved = newest.map(|size| Unproved {
            size,
            heads: self.seen.len() as u64,
            since: self
                .record
                .unproved
                .as_ref()
                .map_or(now, |before| before.since),
        });
        if unproved == self.record.unproved {
            return Ok(());
        }
        self.record.unproved = unproved;
        self.write_record()
    }
}

/// Those of a log's keys that sign for so many leaves: one that another has followed signs for smaller trees alone.
pub(in crate::archive) fn keys_at(
    keys: &[VerifierKey],
    followed: &[Followed],
    size: u64,
) -> Vec<VerifierKey> {
    let is_over = |key: &&VerifierKey| {
        let key = key.to_string();
        followed
            .iter()
            .any(|known| known.key == key && size > known.at)
    };
    keys.iter().filter(|key| !is_over(key)).cloned().collect()
}
