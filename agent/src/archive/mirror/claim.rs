//! Keys that are not known yet: a change of the key among the leaves that wait, and a head that only such a key can have
//! signed.
//!
//! A change proves itself, since the key before has signed it. A head whose key nobody knows proves nothing; it is a
//! reason to ask for the leaves below it, among which the change may be. Bounds: `COMING_MAX` changes, one head, and
//! leaves as many as wait ahead of any head.

use std::sync::Arc;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note, VerifierKey};

use super::commit::handed_over;
use super::fetch::{ENTRIES_MAX, Question};
use super::{AHEAD_BYTES_MAX, AHEAD_LEAVES_MAX, KEYS_MAX, Mirror, MirrorError, NoteTaken};
use crate::archive::alarm::Alarm;

/// Changes of the key that are looked at ahead of the tiles: half of those that a log may have at all.
const COMING_MAX: usize = KEYS_MAX / 2;
/// How long is waited after leaves were asked for in vain: anybody can show a head that no known key has signed.
const REST_MS: u64 = 60_000;

/// A change of the key, in a leaf that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Coming {
    at: u64,
    old: VerifierKey,
    new: VerifierKey,
}

impl Coming {
    /// The leaf that it stands in.
    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

/// A head that may be of a key that is not known yet.
#[derive(Debug, Default)]
pub(super) struct Claim {
    head: Option<(u64, Arc<str>)>,
    /// Whether leaves below it are being asked for.
    asks: bool,
    not_before_ms: u64,
}

impl Claim {
    /// A question has its answer. Gives whether it was asked for a claim.
    pub(super) fn answered(&mut self) -> bool {
        std::mem::take(&mut self.asks)
    }

    /// There was no answer that helps.
    pub(super) fn rest(&mut self, now_ms: u64) {
        self.head = None;
        self.not_before_ms = now_ms.saturating_add(REST_MS);
    }
}

impl Mirror {
    /// The keys that sign for so many leaves, those that waiting leaves hand over to among them.
    pub(super) fn keys_to(&self, size: u64) -> Vec<VerifierKey> {
        let mut keys = self.keys_at(size);
        for coming in self.coming.iter().filter(|coming| coming.at < size) {
            if keys.contains(&coming.old) && !keys.contains(&coming.new) {
                keys.push(coming.new.clone());
            }
        }
        keys
    }

    /// Takes note of a change of the key in a leaf that waits.
    pub(super) fn comes(&mut self, index: u64, leaf: &[u8]) {
        // It takes the place of whatever waited there.
        self.coming.retain(|coming| coming.at != index);
        if self.coming.len() >= COMING_MAX {
            return;
        }
        let Some((old, new)) = handed_over(leaf, &self.record.origin) else {
            return;
        };
        // Anybody can make up two keys that hand over to one another.
        if !self.keys_to(index.saturating_add(1)).contains(&old) {
            return;
        }
        self.coming.push(Coming {
            at: index,
            old,
            new,
        });
        self.coming.sort_by_key(|coming| coming.at);
        // One that came before may go on from this.
        let next = index.saturating_add(1);
        let later = self.ahead.range(next..).find_map(|(index, leaf)| {
            let (old, _) = handed_over(leaf, &self.record.origin)?;
            let is_known = self.coming.iter().any(|coming| coming.at == *index);
            let goes_on = !is_known && self.keys_to(index.saturating_add(1)).contains(&old);
            goes_on.then(|| (*index, leaf.clone()))
        });
        if let Some((index, leaf)) = later {
            self.comes(index, &leaf);
        }
    }

    /// Takes note of a head that no known key has signed, if it says that it is one of this log's.
    pub(super) fn claims(&mut self, text: &str) {
        if self.is_stopped() || text.len() > NOTE_BYTES_MAX {
            return;
        }
        let note = Note::parse(text).ok();
        let head = note
            .as_ref()
            .and_then(|note| Checkpoint::parse(&note.text).ok());
        let Some((note, head)) = note.zip(head) else {
            return;
        };
        let origin = &self.record.origin;
        let is_new = |hash| !self.keys.iter().any(|key| key.hash() == hash);
        let mut lines = note.signatures.iter();
        let is_signed = lines.any(|line| line.name == *origin && is_new(line.hash));
        if is_signed && head.origin == *origin && head.size > self.covered() {
            self.claim.head = Some((head.size, text.into()));
        }
    }

    /// Takes in the head that was claimed, once a change of the key is among the leaves. Gives the alarm that comes of it.
    pub(super) fn claimed(&mut self) -> Result<Option<Alarm>, MirrorError> {
        if self.coming.is_empty() {
            return Ok(None);
        }
        let Some((_, note)) = self.claim.head.take() else {
            return Ok(None);
        };
        Ok(match self.take_note(&note)? {
            NoteTaken::Refused(alarm) => Some(alarm),
            NoteTaken::Newer
            | NoteTaken::Known
            | NoteTaken::Older
            | NoteTaken::Full
            | NoteTaken::Stranger(_) => None,
        })
    }

    /// The leaves to be asked for that a claimed head speaks of.
    pub(super) fn claimed_wanted(&mut self, covered: u64, now_ms: u64) -> Option<Question> {
        let (size, _) = self.claim.head.as_ref()?;
        if now_ms < self.claim.not_before_ms {
            return None;
        }
        let is_full = covered - self.size() > AHEAD_LEAVES_MAX - ENTRIES_MAX
            || self.ahead_bytes > AHEAD_BYTES_MAX / 2;
        if *size <= covered || is_full {
            self.claim.rest(now_ms);
            return None;
        }
        let to = (*size).min(covered + ENTRIES_MAX);
        self.claim.asks = true;
        Some(Question::Entries { from: covered, to })
    }
}
