//! The texts that leaves name by their hashes: which are wanted, which the gateway did not have when it was asked, and
//! when it is asked again.
//!
//! Those that it did not have are written down, `absent.json` beside the record, so that the record need not stay behind
//! them. Bounds: `WANTED_MAX` texts of one log at once, `ABSENT_MAX` of those that were not had; leaves for whose texts
//! there was no room are looked through later, `LOOKED_LEAVES` at once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use lineside_proto::ledger::Leaf;

use super::commit::texts;
use super::fetch::Question;
use super::{Mirror, MirrorError};
use crate::hashed;
use crate::ledger::disk;
use crate::maps::Maps;
use crate::tokens::Tokens;

/// Texts that are wanted of one log at most; the rest is found when these are there.
pub(in crate::archive) const WANTED_MAX: usize = if cfg!(test) { 20 } else { 10_000 };
/// Leaves that are looked through for texts at once, and bytes of them: some milliseconds.
const LOOKED_LEAVES: u64 = 2_048;
const LOOKED_BYTES: usize = 1 << 20;
/// Texts that the gateway did not have and that are still asked for: some hundred kilobytes in memory. Beyond them the
/// gateway has lost what an archive can't do without it.
const ABSENT_MAX: usize = 1_000;
/// Bytes of the file that names them.
const FILE_BYTES_MAX: usize = 256 << 10;
/// The first pause before a text is asked for again that was not there: it may come with a restored disk, or be another
/// archive's. It doubles.
const PAUSE_FIRST_MS: u64 = 600_000;
/// The longest.
const PAUSE_MAX_MS: u64 = 86_400_000;

/// A text that leaves name by its hash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::archive) enum Text {
    Map(String),
    Token(String),
}

/// When a text is asked for again that was not there, on the boot clock.
#[derive(Clone, Copy, Default, Debug)]
struct Absent {
    from_ms: u64,
    pause_ms: u64,
}

/// The texts of one log that the archive has not.
#[derive(Debug)]
pub(super) struct Texts {
    /// Where those are that it has: `maps/` and `tokens/` of the gateway.
    dir: PathBuf,
    file: PathBuf,
    wanted: BTreeMap<Text, Option<Absent>>,
    /// Leaves below which all that they name is here, wanted, or known to be absent.
    looked: u64,
}

impl Texts {
    /// Those of a log that are known to be missing. `dir` is what is kept of the gateway, `kept` what is kept of the log.
    pub(super) fn open(dir: &Path, kept: &Path, looked: u64) -> Self {
        let file = kept.join("absent.json");
        let bytes = disk::read(&file, FILE_BYTES_MAX).ok().flatten();
        let known = bytes.and_then(|bytes| serde_json::from_slice::<Vec<Text>>(&bytes).ok());
        let known = known.unwrap_or_default().into_iter().take(ABSENT_MAX);
        Self {
            dir: dir.to_owned(),
            file,
            wanted: known.map(|text| (text, Some(Absent::default()))).collect(),
            looked,
        }
    }

    /// Takes in a text that a leaf names. Gives whether there was room for it.
    fn want(&mut self, text: Text) -> bool {
        if self.wanted.contains_key(&text) {
            return true;
        }
        let (Text::Map(hash) | Text::Token(hash)) = &text;
        if hashed::digits(hash).is_none() {
            // Nothing has such a hash.
            return true;
        }
        // An agent names its maps at each start.
        let is_here = match &text {
            Text::Map(hash) => Maps::of(&self.dir).has(hash),
            Text::Token(hash) => Tokens::of(&self.dir).has(hash),
        };
        if is_here {
            return true;
        }
        let has_room = self.wanted.len() < WANTED_MAX;
        if has_room {
            self.wanted.insert(text, None);
        }
        has_room
    }

    /// Takes in what a leaf names, if it is the next to be looked at and there is room.
    fn look(&mut self, index: u64, named: Vec<Text>) {
        if index == self.looked && named.into_iter().all(|text| self.want(text)) {
            self.looked += 1;
        }
    }

    /// The text that is to be asked for now: those first that were never asked for.
    fn next(&self, now_ms: u64) -> Option<&Text> {
        let mut new = self.wanted.iter().filter(|(_, absent)| absent.is_none());
        let is_due = |absent: &Option<Absent>| absent.is_some_and(|known| now_ms >= known.from_ms);
        let mut again = self.wanted.iter().filter(|(_, absent)| is_due(absent));
        let (text, _) = new.next().or_else(|| again.next())?;
        Some(text)
    }

    fn absent(&mut self, text: Text, now_ms: u64) -> io::Result<()> {
        let count = self.wanted.values().flatten().count();
        let known = self.wanted.get(&text).copied().flatten();
        if known.is_none() && count >= ABSENT_MAX {
            self.wanted.remove(&text);
            return Ok(());
        }
        let doubled = known.map_or(0, |known| known.pause_ms.saturating_mul(2));
        let pause_ms = doubled.clamp(PAUSE_FIRST_MS, PAUSE_MAX_MS);
        let absent = Absent {
            from_ms: now_ms.saturating_add(pause_ms),
            pause_ms,
        };
        self.wanted.insert(text, Some(absent));
        if known.is_none() {
            self.write()?;
        }
        Ok(())
    }

    fn has(&mut self, text: &Text) -> io::Result<()> {
        match self.wanted.remove(text) {
            Some(Some(_)) => self.write(),
            Some(None) | None => Ok(()),
        }
    }

    fn write(&self) -> io::Result<()> {
        let absent = self.wanted.iter().filter(|(_, absent)| absent.is_some());
        let names: Vec<&Text> = absent.map(|(text, _)| text).collect();
        disk::put(&self.file, &serde_json::to_vec(&names)?)
    }
}

impl Mirror {
    /// A leaf that goes into tiles names these texts.
    pub(super) fn names(&mut self, index: u64, texts: Vec<Text>) {
        self.texts.look(index, texts);
    }

    /// Leaves below which the texts need not be looked for again.
    pub(super) fn texts_to(&self) -> u64 {
        if self.wants_texts() {
            self.record.texts
        } else {
            self.texts.looked
        }
    }

    /// Writes down up to where texts were looked for, if that is further than the record says: there may be no commit any
    /// more that would.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(in crate::archive) fn settle_texts(&mut self) -> io::Result<()> {
        let texts = self.texts_to();
        if texts <= self.record.texts {
            return Ok(());
        }
        self.record.texts = texts;
        self.write_record()
    }

    /// Whether there are leaves whose texts were not looked for, and room for them.
    pub(in crate::archive) fn is_to_look(&self) -> bool {
        self.texts.looked < self.size() && !self.wants_texts() && !self.is_stopped()
    }

    /// Looks for the texts of leaves for which there was no room when they came, or that were not fetched before the last
    /// end.
    ///
    /// # Errors
    ///
    /// The leaves can't be read.
    pub(in crate::archive) fn look(&mut self) -> Result<(), MirrorError> {
        let end = self.size().min(self.texts.looked + LOOKED_LEAVES);
        let leaves = self.read(self.texts.looked, LOOKED_BYTES)?;
        for (index, bytes) in leaves.into_iter().filter(|(index, _)| *index < end) {
            let leaf = Leaf::from_bytes(&bytes);
            let named = leaf.map_or_else(|_| Vec::new(), |leaf| texts(&leaf.body));
            self.texts.look(index, named);
        }
        Ok(())
    }

    /// Whether there are texts that were not asked for yet.
    pub(super) fn wants_texts(&self) -> bool {
        self.texts.wanted.values().any(Option::is_none)
    }

    pub(super) fn text_wanted(&self, now_ms: u64) -> Option<Question> {
        Some(match self.texts.next(now_ms)? {
            Text::Map(hash) => Question::Map(hash.clone()),
            Text::Token(hash) => Question::Token(hash.clone()),
        })
    }

    /// The gateway does not have the text that it was asked for, or it can't be kept: it is asked again much later.
    ///
    /// # Errors
    ///
    /// That can't be written down.
    pub(in crate::archive) fn has_no_text(&mut self, now_ms: u64) -> io::Result<()> {
        let text = self.text_answered();
        text.map_or(Ok(()), |text| self.texts.absent(text, now_ms))
    }

    /// The text is kept now.
    ///
    /// # Errors
    ///
    /// That can't be written down.
    pub(in crate::archive) fn has_text(&mut self, question: &Question) -> io::Result<()> {
        drop(self.text_answered());
        self.need_not_wait();
        match question {
            Question::Map(hash) => self.texts.has(&Text::Map(hash.clone())),
            Question::Token(hash) => self.texts.has(&Text::Token(hash.clone())),
            Question::Entries { .. }
            | Question::Consistency { .. }
            | Question::Peak { .. }
            | Question::Last { .. }
            | Question::Prior { .. } => Ok(()),
        }
    }
}
