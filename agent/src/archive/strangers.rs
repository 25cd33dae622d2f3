//! Heads of gateways whose key nobody has enrolled: kept apart, to be looked at, and never mixed in.
//!
//! Bound: `STRANGERS_MAX` files, one a gateway.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note};
use lineside_proto::{Identifier, Time};
use serde::{Deserialize, Serialize};

use crate::ledger::disk;

/// The folder below the archive's directory.
const FOLDER: &str = "strangers";
/// Strangers that are remembered at most.
const STRANGERS_MAX: usize = 256;

/// What a stranger showed, `strangers/{site}.{gateway}.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    met: BTreeMap<(Identifier, Identifier), Vec<String>>,
}

impl Strangers {
    pub(super) fn of(archive: &Path) -> Self {
        Self {
            dir: archive.join(FOLDER),
            met: BTreeMap::new(),
        }
    }

    /// Remembers what a stranger shows, if it is one that was not met before. Gives whether it is new.
    pub(super) fn meet(
        &mut self,
        (site, gateway): (&Identifier, &Identifier),
        (note, reason): (&str, &str),
        at: Time,
    ) -> io::Result<bool> {
        let who = (site.clone(), gateway.clone());
        let signers = signers(note);
        if self.met.get(&who).is_some_and(|known| *known == signers) {
            return Ok(false);
        }
        if self.met.len() >= STRANGERS_MAX && !self.met.contains_key(&who) {
            return Ok(false);
        }
        self.met.insert(who, signers);
        if note.len() > NOTE_BYTES_MAX {
            return Ok(true);
        }
        let stranger = Stranger {
            v: 1,
            at,
            site: site.clone(),
            gateway: gateway.clone(),
            reason: reason.to_owned(),
            note: note.to_owned(),
        };
        let path = self.dir.join(format!("{site}.{gateway}.json"));
        let count =
            fs::read_dir(&self.dir).map_or(0, |entries| entries.take(STRANGERS_MAX).count());
        if count < STRANGERS_MAX || path.exists() {
            disk::put(&path, &serde_json::to_vec_pretty(&stranger)?)?;
        }
        Ok(true)
    }

    /// It has a card now.
    pub(super) fn enrolled(&mut self, site: &Identifier, gateway: &Identifier) {
        self.met.remove(&(site.clone(), gateway.clone()));
        drop(fs::remove_file(
            self.dir.join(format!("{site}.{gateway}.json")),
        ));
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
