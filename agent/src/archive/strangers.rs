//! Heads of gateways whose key nobody has enrolled: kept apart, to be looked at, and never mixed in.
//!
//! Bounds: `STRANGERS_MAX` files, one a gateway, each written once a minute at most; where there are so many, another takes
//! the place of the oldest once in `ROOM_MS`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note};
use lineside_proto::{Identifier, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::ledger::disk;

/// The folder below the archive's directory.
const FOLDER: &str = "strangers";
/// Strangers that are remembered at most.
const STRANGERS_MAX: usize = 256;
/// How long one note of a stranger stands before another takes its place.
const WRITTEN_MS: u64 = 60_000;

/// How often one takes the place of another at most, where there are so many.
const ROOM_MS: u64 = 1_000;

/// What a stranger showed, `strangers/{site}.{gateway}.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stranger {
    /// Version of the document: 1.
    pub v: u8,
    /// When, by the archive's clock.
    pub at: Time,
    /// The platform that its topic names.
    pub site: Identifier,
    /// The gateway that its topic names.
    pub gateway: Identifier,
    /// Why it is none of ours.
    pub reason: String,
    /// What it showed.
    pub note: String,
}

impl Stranger {
    /// Leaves of the head that it showed; none where that is no head.
    pub fn size(&self) -> Option<u64> {
        let note = Note::parse(&self.note).ok()?;
        Some(Checkpoint::parse(&note.text).ok()?.size)
    }

    /// Those that are kept in an archive's directory, in the order of their files; what can't be read is passed over.
    ///
    /// # Errors
    ///
    /// The folder can't be listed.
    pub fn list(archive: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(archive.join(FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut paths: Vec<PathBuf> = entries
            .take(STRANGERS_MAX)
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        let read = |path: &PathBuf| -> Option<Self> {
            let bytes = disk::read(path, 2 * NOTE_BYTES_MAX).ok()??;
            serde_json::from_slice(&bytes).ok()
        };
        Ok(paths.iter().filter_map(read).collect())
    }
}

/// Those who were met since the start.
#[derive(Debug)]
pub(super) struct Strangers {
    dir: PathBuf,
    /// The keys that each named last, and when that was written, on the boot clock.
    met: BTreeMap<Who, (Vec<String>, u64)>,
    /// Where so many were met, nobody takes another's place before this moment.
    room_from_ms: u64,
    /// Those who have a card now, and whose note is not taken yet.
    hoped: BTreeSet<Who>,
}

/// A platform, and its gateway.
type Who = (Identifier, Identifier);

impl Strangers {
    pub(super) fn of(archive: &Path) -> Self {
        Self {
            dir: archive.join(FOLDER),
            met: BTreeMap::new(),
            room_from_ms: 0,
            hoped: BTreeSet::new(),
        }
    }

    fn path(&self, (site, gateway): &Who) -> PathBuf {
        self.dir.join(format!("{site}.{gateway}.json"))
    }

    /// Remembers what a stranger shows, the newest of it; of each so often at most. Gives whether its keys are new.
    pub(super) fn meet(
        &mut self,
        (site, gateway): (&Identifier, &Identifier),
        (note, reason): (&str, &str),
        now: Stamp,
    ) -> io::Result<bool> {
        let who = (site.clone(), gateway.clone());
        self.hoped.remove(&who);
        match self.met.get(&who) {
            Some((_, at)) if now.boot_ms < at.saturating_add(WRITTEN_MS) => return Ok(false),
            None if self.met.len() >= STRANGERS_MAX => {
                // Whoever shows himself again is met again. Names by the thousand must not keep the disk busy.
                if now.boot_ms < self.room_from_ms {
                    return Ok(false);
                }
                self.room_from_ms = now.boot_ms.saturating_add(ROOM_MS);
                self.forget_oldest();
            }
            Some(_) | None => {}
        }
        let signers = signers(note);
        let known = self.met.get(&who);
        let is_new = known.is_none_or(|(known, _)| *known != signers);
        let path = self.path(&who);
        self.met.insert(who, (signers, now.boot_ms));
        if note.len() > NOTE_BYTES_MAX {
            return Ok(is_new);
        }
        let stranger = Stranger {
            v: 1,
            at: now.wall,
            site: site.clone(),
            gateway: gateway.clone(),
            reason: reason.to_owned(),
            note: note.to_owned(),
        };
        if !path.exists() {
            self.make_room()?;
        }
        disk::put(&path, &serde_json::to_vec_pretty(&stranger)?)?;
        Ok(is_new)
    }

    /// Of too many, the one that was met longest ago goes: made-up names must not hide whoever comes after them.
    fn forget_oldest(&mut self) {
        let oldest = self.met.iter().min_by_key(|(_, (_, at))| *at);
        if let Some(who) = oldest.map(|(who, _)| who.clone()) {
            self.met.remove(&who);
        }
    }

    /// The same of their files.
    fn make_room(&self) -> io::Result<()> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let about =
            |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
        let files: Vec<_> = entries.take(2 * STRANGERS_MAX).filter_map(about).collect();
        match files.iter().min().filter(|_| files.len() >= STRANGERS_MAX) {
            Some((_, oldest)) => fs::remove_file(oldest),
            None => Ok(()),
        }
    }

    /// Those whose notes lie there.
    pub(super) fn kept(&self) -> Vec<Who> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten();
        let names = entries.take(2 * STRANGERS_MAX).flatten();
        let who = |name: &str| {
            let (site, gateway) = name.strip_suffix(".json")?.split_once('.')?;
            Some((site.parse().ok()?, gateway.parse().ok()?))
        };
        let kept = names.filter_map(|entry| who(entry.file_name().to_str()?));
        kept.collect()
    }

    /// It has a card now: what it showed. Its file goes only when a note of its log is [`taken`](Self::taken).
    pub(super) fn hope(&mut self, who: &Who) -> Option<String> {
        let bytes = disk::read(&self.path(who), 2 * NOTE_BYTES_MAX).ok()??;
        let stranger: Stranger = serde_json::from_slice(&bytes).ok()?;
        self.met.remove(who);
        self.hoped.insert(who.clone());
        Some(stranger.note)
    }

    /// A note of its log is kept with the log: it is no stranger any more.
    pub(super) fn taken(&mut self, who: &Who) {
        if self.hoped.remove(who) {
            drop(fs::remove_file(self.path(who)));
        }
    }
}

/// The names and hashes of the keys that are said to have signed a note.
fn signers(note: &str) -> Vec<String> {
    let note = Note::parse(note);
    let signatures = note.map(|note| note.signatures).unwrap_or_default();
    let names = signatures.iter().take(8);
    names
        .map(|signature| format!("{}+{:02x?}", signature.name, signature.hash))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ROOM_MS, STRANGERS_MAX, Stranger, Strangers};
    use crate::clock::Stamp;
    use lineside_proto::Time;

    #[test]
    fn of_many_strangers_the_oldest_give_way_slowly() {
        let dir = tempfile::tempdir().unwrap();
        let mut strangers = Strangers::of(dir.path());
        let mut meet = |name: &str, boot_ms: u64| {
            let (site, gateway) = ("s".parse().unwrap(), name.parse().unwrap());
            let wall = Time::default();
            let said = ("no note", "no card");
            let met = strangers.meet((&site, &gateway), said, Stamp { boot_ms, wall });
            met.unwrap()
        };
        let listed = || {
            let all = Stranger::list(dir.path()).unwrap();
            let names = all.iter().map(|one| one.gateway.to_string());
            names.collect::<Vec<_>>()
        };
        for number in 0..STRANGERS_MAX as u64 {
            assert!(meet(&format!("made-up-{number}"), 1_000 + number));
        }
        // The first of those who come then has its place at once, the next after a while; each has a file.
        for (name, at, is_met) in [
            ("honest", 5_000, true),
            ("other", 5_000 + ROOM_MS - 1, false),
            ("other", 5_000 + ROOM_MS, true),
        ] {
            assert_eq!(meet(name, at), is_met, "{name}");
            assert_eq!(listed().iter().any(|known| known == name), is_met, "{name}");
            assert_eq!(listed().len(), STRANGERS_MAX);
        }
    }
}
