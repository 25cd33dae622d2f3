//! A log verified anew, from its files alone: by whoever doubts an archive, or has put one back from a backup.
//!
//! Nothing that the archive says of itself is believed but what it recorded to have seen: that only makes the check
//! stricter. Memory: one bundle, the right edge of the tree, the log's kept heads, and hashes of the texts that its leaves
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use lineside_proto::ledger::files::FilesError;
use lineside_proto::ledger::note::{Note, NoteError, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Genesis, Hash, KeyLeaf, Leaf, LeafBody, verify};

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
            let (origin, keys) = cards.log(place).ok_or(LogFault::NoCard)?;
            (origin, keys, Trust::Card)
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
    // What it held and what it cosigned: the record is written after the checkpoint, so that it is never ahead.
    let known = record.iter().flat_map(|record| {
        let cosigned = record.cosigned.iter();
        let cosigned = cosigned.map(|cosigned| (cosigned.size, &cosigned.root));
        cosigned.chain([(record.size, &record.root)])
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
                let leaf = Leaf::from_bytes(&bytes).map_err(|_| LogFault::Leaf(index))?;
                pass.take(leaf);
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
mod tests {
    use super::{Inspected, LogFault, Trust, inspect};
    use crate::archive::testing::{City, Gateway, at};
    use crate::archive::{Cards, Record, Shelf};
    use crate::ledger::notes::Notes;
    use crate::logs::chain;
    use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
    use std::fs;
    use std::path::Path;

    fn filled() -> (City, Gateway) {
        let city = City::new();
        let gateway = city.gateway("zs", "gw");
        gateway.grow(300, 0);
        city.keep(&gateway, Some(at(299)));
        gateway.grow(250, 300);
        city.keep(&gateway, Some(at(549)));
        city.card(&gateway);
        (city, gateway)
    }

    fn cards(city: &City) -> Cards {
        Cards::load(&city.dir().join("gateways")).unwrap().0
    }

    fn found(city: &City, of: &Gateway) -> Result<Inspected, LogFault> {
        let witnesses = [city.witness.public().clone()];
        inspect(&city.shelf(), &of.place, Some(&cards(city)), &witnesses)
    }

    #[test]
    fn a_sound_log_is_found_sound_by_its_card_and_by_its_own_word() {
        let (city, gateway) = filled();
        let sound = found(&city, &gateway).unwrap();
        assert_eq!((sound.head.size, sound.trust), (551, Trust::Card));
        assert_eq!((sound.notes, sound.cosigned), (2, Some(551)));
        let alone = inspect(&city.shelf(), &gateway.place, None, &[]).unwrap();
        assert_eq!((alone.trust, alone.cosigned), (Trust::Itself, None));
        let second = gateway.next_epoch(600);
        second.grow(5, 601);
        city.keep(&second, None);
        let sound = found(&city, &second).unwrap();
        assert_eq!(sound.head.origin, "lineside/zs/gw/e2");
    }

    #[test]
    fn a_key_counts_that_a_trusted_one_handed_over_to() {
        let (city, gateway) = filled();
        gateway.rotate(600);
        gateway.grow(3, 601);
        city.keep(&gateway, None);
        let sound = found(&city, &gateway).unwrap();
        assert_eq!((sound.head.size, sound.notes), (555, 4));
    }

    #[test]
    fn a_cosignature_on_the_newest_head_counts_like_a_kept_one() {
        let (city, gateway) = filled();
        let notes = city.shelf().kept_dir(&gateway.place).join("notes");
        fs::remove_dir_all(notes).unwrap();
        let path = city.shelf().log_dir(&gateway.place).join("checkpoint");
        let mut note = Note::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let line = city.witness.sign(&note.text, at(550));
        note.signatures.retain(|known| known.hash != line.hash);
        fs::write(&path, note.to_string()).unwrap();
        assert_eq!(found(&city, &gateway).unwrap().cosigned, None);
        note.signatures.push(line);
        fs::write(&path, note.to_string()).unwrap();
        assert_eq!(found(&city, &gateway).unwrap().cosigned, Some(551));
    }

    fn flip(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    fn check(words: &str, spoil: &dyn Fn(&City, &Gateway, &Path)) {
        let (city, gateway) = filled();
        let dir = city.shelf().log_dir(&gateway.place);
        spoil(&city, &gateway, &dir);
        let said = chain(&found(&city, &gateway).unwrap_err());
        assert!(said.contains(words), "{words}: {said}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        check("leaf", &|_, _, dir| flip(&dir.join("tile/entries/000")));
        check("tile/0/000", &|_, _, dir| flip(&dir.join("tile/0/000")));
        check("tile/0/001", &|_, _, dir| {
            fs::remove_file(dir.join("tile/0/001")).unwrap();
        });
        check("missing", &|_, _, dir| {
            fs::remove_file(dir.join("checkpoint")).unwrap()
        });
        check("cosignature of the head of 551 leaves", &|city, _, dir| {
            // A bit of its signature; its name and the key's hash are as they were.
            let path = dir.join("checkpoint");
            let note = fs::read_to_string(&path).unwrap();
            let note = Note::parse(&note).unwrap();
            let good = city.witness.sign(&note.text, at(550));
            let bad = city.witness.sign(&format!("{}x\n", note.text), at(550));
            assert_eq!((&good.name, good.hash), (&bad.name, bad.hash));
            let mut note = note;
            note.signatures.retain(|line| line.hash != bad.hash);
            note.signatures.push(bad);
            fs::write(path, note.to_string()).unwrap();
        });
        check("no card", &|city, _, _| {
            fs::remove_dir_all(city.dir().join("gateways")).unwrap();
        });
        check("can't be trusted", &|city, gateway, _| {
            let origin = &gateway.opened.origin;
            let other = SignerKey::new(origin, KeyKind::Ed25519, &[3; 32]).unwrap();
            let path = city.dir().join("gateways/zs-gw.json");
            let card = fs::read_to_string(&path).unwrap();
            let card = card.replace(&gateway.opened.key, &other.public().to_string());
            fs::write(path, card).unwrap();
        });
        check(
            "leaf 0 says that it is the log lineside/zs/other",
            &|city, gateway, dir| {
                let other = city.gateway("zs", "other");
                other.grow(600, 0);
                city.keep(&other, None);
                let from = city.shelf().log_dir(&other.place);
                fs::remove_dir_all(dir).unwrap();
                fs::rename(from, dir).unwrap();
                assert_eq!(gateway.place.epoch, 1);
            },
        );
    }

    #[test]
    fn heads_that_were_kept_of_it_must_be_its_own() {
        // An older directory than that of which a head was cosigned.
        check("551 were seen before", &|city, gateway, _| {
            let shelf = Shelf::of(&city.dir());
            let known = shelf.record(&gateway.place).unwrap().unwrap();
            fs::remove_dir_all(shelf.kept_dir(&gateway.place).join("notes")).unwrap();
            put_back(city, gateway, 301);
            city.record(&gateway.place, &known);
        });
        check("not signed by this log", &|city, gateway, _| {
            let kept = city.shelf().kept_dir(&gateway.place);
            let origin = &gateway.opened.origin;
            let other = SignerKey::new(origin, KeyKind::Ed25519, &[3; 32]).unwrap();
            let root = "A".repeat(43);
            let text = format!("{origin}\n7\n{root}=\n");
            let line = other.sign(&text, at(0));
            let mut notes = Notes::open(&kept, origin);
            notes.put(at(7), &format!("{text}\n{line}\n")).unwrap();
        });
        check("not the witness's", &|city, gateway, _| {
            let kept = city.shelf().kept_dir(&gateway.place);
            let view = city.shelf().view(&gateway.place).unwrap();
            let note = view.kept_note(551).unwrap().note;
            let mut notes = Notes::open(&kept, &gateway.opened.origin);
            let (text, _) = note.split_once("\n\n").unwrap();
            // Of another text, by the right key.
            let line = city.witness.sign(&format!("{text}x\n"), at(550));
            let signed = note.lines().rfind(|line| !line.contains("city.example"));
            let signed = signed.unwrap();
            notes
                .put(at(550), &format!("{text}\n\n{signed}\n{line}\n"))
                .unwrap();
        });
    }

    /// The log as it was at an older head, which is kept.
    fn put_back(city: &City, gateway: &Gateway, size: u64) {
        let note = gateway.ledger.kept_note(size).unwrap().note;
        let path = city.shelf().log_dir(&gateway.place).join("checkpoint");
        fs::write(path, note).unwrap();
    }

    #[test]
    fn texts_that_are_not_here_are_counted() {
        let (city, gateway) = filled();
        let hash = format!("sha256:{}", "0a".repeat(32));
        gateway.names(600, &hash);
        city.keep(&gateway, None);
        city.record(&gateway.place, &Record::default());
        let sound = found(&city, &gateway).unwrap();
        assert_eq!((sound.maps_missing, sound.tokens_missing), (1, 0));
        let none: &[VerifierKey] = &[];
        assert!(inspect(&city.shelf(), &gateway.place, None, none).is_ok());
    }
}
