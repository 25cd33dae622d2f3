//! A log verified anew, from its files alone: by whoever doubts an archive, or has put one back from a backup.
//!
//! Nothing that the archive says of itself is believed but what it recorded to have seen: that only makes the check
//! stricter. Memory: one bundle, the right edge of the tree, the log's kept heads, and hashes of the texts that its leaves
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use lineside_proto::ledger::files::FilesError;
use lineside_proto::ledger::note::{Note, NoteError, VerifierKey};
use lineside_proto::ledger::{
    Checkpoint, Genesis, Hash, KeyLeaf, Leaf, LeafBody, LeafError, verify,
};

use super::succession::Heirs;
use super::{Cards, Place, Shelf};
use crate::ledger::{LedgerError, View, verify_files};
use crate::maps::Maps;
use crate::tokens::Tokens;

/// Bytes of leaves that are read at once.
const READ_BYTES_MAX: usize = 1 << 20;
/// Changes of the key that are looked at: one a day for years.
const KEYS_MAX: usize = 4_096;
/// Texts that leaves name, at most: as many as a gateway keeps.
const TEXTS_MAX: usize = 500_000;

/// What a log was checked against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The key of its card, and those that it handed over to.
    Card,
    /// Only the key that its own first leaf names: nobody vouches for it.
    Itself,
}

/// A log that is sound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspected {
    /// What its newest head commits to.
    pub head: Checkpoint,
    /// What it was checked against.
    pub trust: Trust,
    /// Kept heads that are heads of this very log.
    pub notes: u64,
    /// The newest head that one of the named witnesses has cosigned.
    pub cosigned: Option<u64>,
    /// Maps that leaves name and the archive has not.
    pub maps_missing: u64,
    /// Tokens, likewise.
    pub tokens_missing: u64,
}

/// What is wrong with a log, and where.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// It can't be read.
    #[error("its files can't be read")]
    Unreadable(#[from] LedgerError),
    /// There is no signed head.
    #[error("`checkpoint` is missing, or none")]
    NoHead,
    /// Nobody vouches for it.
    #[error("no card names the key of this gateway")]
    NoCard,
    /// Its first leaf is that of another log.
    #[error("leaf 0 says that it is the log {0}")]
    Genesis(String),
    /// A leaf is none.
    #[error("leaf {0} can't be read")]
    Leaf(u64),
    /// The files are not what was signed.
    #[error(transparent)]
    Files(#[from] FilesError<io::Error>),
    /// A kept head was not signed by this log.
    #[error("the kept head of {size} leaves is not signed by this log")]
    Kept {
        /// Its size.
        size: u64,
        /// Why.
        source: NoteError,
    },
    /// A cosignature of a known witness does not fit.
    #[error("the cosignature of the head of {size} leaves is not the witness's")]
    Cosignature {
        /// Its size.
        size: u64,
        /// Why.
        source: NoteError,
    },
    /// What was kept of it can't be read.
    #[error("its record can't be read")]
    Record(#[source] io::Error),
}

/// What one pass over the leaves finds.
#[derive(Debug, Default)]
struct Pass {
    genesis: Option<Genesis>,
    changes: Vec<KeyLeaf>,
    maps: BTreeSet<String>,
    tokens: BTreeSet<String>,
}

/// Checks a log. Without cards, its own first leaf is all that says whose it is. `witnesses` are those whose
/// cosignatures are checked.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn inspect(
    shelf: &Shelf,
    place: &Place,
    cards: Option<&Cards>,
    witnesses: &[VerifierKey],
) -> Result<Inspected, LogFault> {
    let record = shelf.record(place).map_err(LogFault::Record)?;
    if !shelf.has_head(place) {
        return Err(LogFault::NoHead);
    }
    let view = shelf.view(place)?;
    let note = view.checkpoint().ok_or(LogFault::NoHead)?;
    let pass = Pass::over(&view)?;
    let genesis = pass.genesis.as_ref().ok_or(LogFault::NoHead)?;
    let said = (&genesis.site, &genesis.gateway, genesis.epoch);
    if said != (&place.site, &place.gateway, place.epoch) {
        return Err(LogFault::Genesis(genesis.origin.clone()));
    }
    let (origin, keys, trust) = match cards {
        Some(cards) => {
            let heirs = Heirs::of_leaves(shelf, cards, place).ok_or(LogFault::NoCard)?;
            (heirs.origin, heirs.keys, Trust::Card)
        }
        None => {
            let key = genesis.key.parse().map_err(|_| LogFault::Leaf(0))?;
            (genesis.origin.clone(), vec![key], Trust::Itself)
        }
    };
    let now = handed_on(keys, &pass.changes, &origin);
    // First of all: where the card is wrong, everything else is, too.
    verify::checkpoint(&note, &now, &origin).map_err(FilesError::Log)?;
    // Heads of before a change are signed by the key of then, which the later one has signed for.
    let ever = handed_back(now.clone(), &pass.changes, &origin);
    let (mut seen, cosigned) = kept(&view, &ever, witnesses)?;
    let cosigned = cosigned.max(newest_cosigned(&note, witnesses)?);
    let notes = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    // What it held and what it cosigned. The record is ahead of the checkpoint only while a long stretch is fetched.
    let known = record.iter().flat_map(|record| {
        let cosigned = record.cosigned.iter();
        let cosigned = cosigned.map(|cosigned| (cosigned.size, &cosigned.root));
        let held = Some((record.size, &record.root)).filter(|_| record.reaching.is_none());
        cosigned.chain(held)
    });
    for (size, root) in known.filter(|(size, _)| *size > 0) {
        if let Some(root) = Hash::from_base64(root) {
            let origin = origin.clone();
            seen.entry(size)
                .or_insert(Checkpoint { origin, size, root });
        }
    }
    let seen: Vec<Checkpoint> = seen.into_values().collect();
    let head = verify_files(&shelf.log_dir(place), &now, &origin, &seen)?;
    let texts = shelf.gateway_dir(&place.site, &place.gateway);
    let (maps, tokens) = (Maps::of(&texts), Tokens::of(&texts));
    let missing = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let no_map = pass.maps.iter().filter(|hash| maps.text(hash).is_none());
    let no_token = pass.tokens.iter();
    let no_token = no_token.filter(|hash| tokens.text(hash).is_none());
    Ok(Inspected {
        head,
        trust,
        notes,
        cosigned,
        maps_missing: missing(no_map.count()),
        tokens_missing: missing(no_token.count()),
    })
}

impl Pass {
    fn over(view: &View) -> Result<Self, LogFault> {
        let mut pass = Self::default();
        let mut next = 0;
        while next < view.size() {
            let leaves = view.read(next, READ_BYTES_MAX)?;
            if leaves.is_empty() {
                return Err(LogFault::Leaf(next));
            }
            for (index, bytes) in leaves {
                match Leaf::from_bytes(&bytes) {
                    Ok(leaf) => pass.take(leaf),
                    // Of a later version: kept as it is, like any other.
                    Err(LeafError::Shape(_) | LeafError::Version(_)) => {}
                    Err(LeafError::TooLong(_) | LeafError::Form(_)) => {
                        return Err(LogFault::Leaf(index));
                    }
                }
                next = index.saturating_add(1);
            }
        }
        Ok(pass)
    }

    fn take(&mut self, leaf: Leaf) {
        for (found, named) in [
            (&mut self.maps, leaf.body.map()),
            (&mut self.tokens, leaf.body.token()),
        ] {
            if let Some(hash) = named.filter(|hash| !found.contains(*hash)) {
                if found.len() < TEXTS_MAX {
                    found.insert(hash.to_owned());
                }
            }
        }
        if let LeafBody::Genesis(genesis) = leaf.body {
            self.genesis.get_or_insert(genesis);
        } else if let LeafBody::Key(change) = leaf.body {
            if self.changes.len() < KEYS_MAX {
                self.changes.push(change);
            }
        }
    }
}

/// The keys by which a log's own leaves say that it is signed; none where they can't be read.
pub(super) fn own_keys(view: &View, origin: &str) -> Vec<VerifierKey> {
    let Ok(pass) = Pass::over(view) else {
        return Vec::new();
    };
    let first = pass.genesis.and_then(|genesis| genesis.key.parse().ok());
    handed_on(first.into_iter().collect(), &pass.changes, origin)
}

/// The keys that may sign now: those that are trusted, and those that they handed over to.
fn handed_on(mut keys: Vec<VerifierKey>, changes: &[KeyLeaf], origin: &str) -> Vec<VerifierKey> {
    for (old, new) in changes.iter().filter_map(|leaf| leaf.verified(origin)) {
        if keys.contains(&old) && !keys.contains(&new) {
            keys.push(new);
        }
    }
    keys
}

/// These, and the keys before them.
fn handed_back(mut keys: Vec<VerifierKey>, changes: &[KeyLeaf], origin: &str) -> Vec<VerifierKey> {
    let changes = changes.iter().rev();
    for (old, new) in changes.filter_map(|leaf| leaf.verified(origin)) {
        if keys.contains(&new) && !keys.contains(&old) {
            keys.push(old);
        }
    }
    keys
}

/// The size of a log's newest head, if one of the witnesses has cosigned it.
fn newest_cosigned(note: &str, witnesses: &[VerifierKey]) -> Result<Option<u64>, LogFault> {
    let note = Note::parse(note).map_err(|_| LogFault::NoHead)?;
    let head = Checkpoint::parse(&note.text).map_err(|_| LogFault::NoHead)?;
    let size = head.size;
    match note.verify(witnesses) {
        Ok(_) => Ok(Some(size)),
        Err(NoteError::Unsigned) => Ok(None),
        Err(source) => Err(LogFault::Cosignature { size, source }),
    }
}

/// The kept heads by their sizes, each signed by the log; and the newest that a witness has cosigned.
fn kept(
    view: &View,
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
) -> Result<(BTreeMap<u64, Checkpoint>, Option<u64>), LogFault> {
    let mut heads = BTreeMap::new();
    let mut cosigned = None;
    for size in view.kept(0..u64::MAX) {
        // One that is damaged is as good as none.
        let Some(note) = view.kept_note(size).map(|kept| kept.note) else {
            continue;
        };
        let Ok(note) = Note::parse(&note) else {
            continue;
        };
        note.verify(keys)
            .map_err(|source| LogFault::Kept { size, source })?;
        match note.verify(witnesses) {
            Ok(_) => cosigned = Some(size),
            Err(NoteError::Unsigned) => {}
            Err(source) => return Err(LogFault::Cosignature { size, source }),
        }
        if let Ok(head) = Checkpoint::parse(&note.text) {
            heads.insert(size, head);
        }
    }
    Ok((heads, cosigned))
}

#[cfg(test)]
mod tests;
