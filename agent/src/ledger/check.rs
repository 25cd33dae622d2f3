//! A check of the whole ledger on disk, by its files alone: nothing is opened for writing, so that it may be
//! made while an agent runs.
//!
//! Every leaf is read and hashed; the tiles must be those that the leaves give, the root the one that the
//! checkpoint commits to, the checkpoint signed by this gateway's key and not older than what the record
//! beside the key says was signed. Memory: one bundle and the right edge of the tree.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::tile::{Kind, Tile, WIDTH, entries};
use lineside_proto::ledger::verify::{self, Replay, VerifyError};
use lineside_proto::ledger::{Checkpoint, Hash};

use super::tiles::Tiles;
use super::{FOLDER, Keys, LedgerError, NOTE_BYTES_MAX, head, journal, keys};

/// What a check found, where all is well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// The checkpoint; none before the first leaf was signed.
    pub checkpoint: Option<Checkpoint>,
    /// Leaves on disk, those after the checkpoint too.
    pub leaves: u64,
    /// Tiles and bundles that were compared.
    pub files: u64,
}

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no ledger.
    #[error("there is no ledger in {}", .0.display())]
    Missing(PathBuf),
    /// A file says something else than the leaves do.
    #[error("{}: {what}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The log is not what its checkpoint commits to.
    #[error("{}", .path.display())]
    Log {
        /// Where that was found.
        path: PathBuf,
        /// What is wrong.
        source: VerifyError,
    },
    /// The ledger or its key can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl CheckError {
    fn file(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::File {
            path: path.into(),
            what: what.into(),
        }
    }

    fn log(path: impl Into<PathBuf>) -> impl FnOnce(VerifyError) -> Self {
        let path = path.into();
        move |source| Self::Log { path, source }
    }
}

/// The origin of the ledger that a key signs now, its epoch included. Makes no file.
///
/// # Errors
///
/// The record of what was signed last can't be read.
pub fn origin(key: &Path, base: &str) -> Result<String, LedgerError> {
    let signed = remembered(key)?;
    Ok(signed.map_or_else(
        || head::origin(base, 1),
        |signed| head::origin(base, signed.epoch),
    ))
}

/// What the record beside the key says, if there is one.
fn remembered(key: &Path) -> Result<Option<head::Signed>, LedgerError> {
    let record = keys::head_path(key);
    let slot = |turn: u8| {
        let mut name = record.clone().into_os_string();
        name.push(format!(".{turn}"));
        PathBuf::from(name).exists()
    };
    if slot(0) || slot(1) {
        Ok(super::open_memory(key)?.1)
    } else {
        Ok(None)
    }
}

/// Checks the ledger of a state directory. `base` is the configured origin.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check(state_dir: &Path, key: &Path, base: &str) -> Result<Checked, CheckError> {
    let dir = state_dir.join(FOLDER);
    if !dir.is_dir() {
        return Err(CheckError::Missing(dir));
    }
    // In the order of writing turned round: what is read later can only be newer.
    let signed = remembered(key)?;
    let origin = origin(key, base)?;
    let keys = Keys::load(key, &origin).map_err(LedgerError::from)?;
    let path = dir.join("checkpoint");
    let mut checking = Checking {
        dir: &dir,
        replay: Replay::default(),
        tiles: Tiles::open(&dir, 0)?,
        files: 0,
    };
    let checkpoint = match note(&path)? {
        None => None,
        Some(note) => {
            let head = verify::checkpoint(&note, &keys.all(), &origin);
            let head = head.map_err(CheckError::log(&path))?;
            checking.signed(&head, &path)?;
            Some(head)
        }
    };
    let size = checkpoint.as_ref().map_or(0, |head| head.size);
    if let Some(signed) = signed.filter(|signed| signed.size > size) {
        let newest = signed.size;
        return Err(CheckError::file(
            path,
            format!(
                "it is of {size} leaves, but a head of {newest} was signed: it is stale, or the ledger was cut off"
            ),
        ));
    }
    checking.unsigned(size)?;
    Ok(Checked {
        checkpoint,
        leaves: checking.replay.size(),
        files: checking.files,
    })
}

struct Checking<'a> {
    dir: &'a Path,
    replay: Replay,
    /// The tiles that the leaves give.
    tiles: Tiles,
    files: u64,
}

impl Checking<'_> {
    /// The leaves that are signed, and their tiles.
    fn signed(&mut self, head: &Checkpoint, note: &Path) -> Result<(), CheckError> {
        for index in 0..head.size.div_ceil(WIDTH) {
            let bundle = Tile {
                kind: Kind::Entries,
                index,
                width: (head.size - index * WIDTH).min(WIDTH),
            };
            let (path, bytes) = self.read(bundle)?;
            let leaves = entries(&bytes, bundle.width);
            let leaves = leaves.map_err(|error| CheckError::file(&path, error.to_string()))?;
            for leaf in leaves {
                let pushed = self.replay.push(leaf);
                pushed.map_err(CheckError::log(&path))?;
                for (tile, expected) in self.tiles.push(Hash::of_leaf(leaf)) {
                    self.compare(tile, &expected)?;
                }
            }
        }
        let partial: Vec<_> = self.tiles.partial().collect();
        for (tile, expected) in partial {
            self.compare(tile, &expected)?;
        }
        let finished = self.replay.finish(head);
        finished.map_err(CheckError::log(note))
    }

    /// The leaves after them, from the journal.
    fn unsigned(&mut self, size: u64) -> Result<(), CheckError> {
        let path = self.dir.join("journal");
        let (first, leaves) = journal::look(self.dir)?;
        let end = first.saturating_add(u64::try_from(leaves.len()).unwrap_or(u64::MAX));
        if first > size || end < size {
            let what = format!(
                "it holds the leaves from {first} to {end}, but {size} are signed: it was cut off, or an old copy restored"
            );
            return Err(CheckError::file(path, what));
        }
        let skip = usize::try_from(size - first).unwrap_or(usize::MAX);
        for leaf in leaves.iter().skip(skip) {
            let pushed = self.replay.push(leaf);
            pushed.map_err(CheckError::log(&path))?;
        }
        Ok(())
    }

    fn compare(&mut self, tile: Tile, expected: &[u8]) -> Result<(), CheckError> {
        let (path, bytes) = self.read(tile)?;
        if bytes == expected {
            return Ok(());
        }
        let what = "its hashes are not those of the leaves";
        Err(CheckError::file(path, what))
    }

    /// A tile or bundle; where a partial one is gone, as much of the full one.
    fn read(&mut self, tile: Tile) -> Result<(PathBuf, Vec<u8>), CheckError> {
        self.files += 1;
        let full = Tile {
            width: WIDTH,
            ..tile
        };
        for found in [tile, full] {
            let path = self.dir.join(found.to_string());
            match fs::read(&path) {
                Ok(bytes) => return Ok((path, part(bytes, tile, found))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(LedgerError::disk(path)(source).into()),
            }
        }
        let path = self.dir.join(tile.to_string());
        Err(CheckError::file(path, "it is missing"))
    }
}

/// As much of a full tile or bundle as the partial one held; what is no tile stays as it is.
fn part(bytes: Vec<u8>, wanted: Tile, found: Tile) -> Vec<u8> {
    if wanted == found {
        return bytes;
    }
    let width = usize::try_from(wanted.width).unwrap_or(usize::MAX);
    let length = match wanted.kind {
        Kind::Hashes(_) => width.saturating_mul(32),
        Kind::Entries => entries(&bytes, found.width).map_or(usize::MAX, |entries| {
            let taken = entries.iter().take(width);
            taken.map(|entry| entry.len() + 2).sum()
        }),
    };
    bytes.get(..length).map(<[u8]>::to_vec).unwrap_or(bytes)
}

fn note(path: &Path) -> Result<Option<String>, CheckError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LedgerError::disk(path)(source).into()),
        Ok(data) if data.len() > NOTE_BYTES_MAX as u64 => {
            return Err(CheckError::file(path, "it is too long for a checkpoint"));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(LedgerError::disk(path))?;
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| CheckError::file(path, "it is no text"))
}

#[cfg(test)]
mod tests {
    use super::{CheckError, check, origin};
    use crate::clock::Stamp;
    use crate::ledger::{Ledger, new_epoch};
    use crate::logs::chain;
    use crate::record::Entry;
    use lineside_proto::Time;
    use lineside_proto::ledger::{Audit, LeafBody};
    use std::fs;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    const BASE: &str = "lineside/site/gw";

    struct Stand {
        dir: TempDir,
    }

    impl Stand {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("state")).unwrap();
            Self { dir }
        }

        fn state(&self) -> PathBuf {
            self.dir.path().join("state")
        }

        fn key(&self) -> PathBuf {
            self.dir.path().join("keys/ledger.key")
        }

        fn open(&self) -> Ledger {
            Ledger::open(&self.state(), &self.key(), BASE).unwrap().0
        }

        fn check(&self) -> Result<super::Checked, CheckError> {
            check(&self.state(), &self.key(), BASE)
        }

        fn file(&self, path: &str) -> PathBuf {
            self.state().join("ledger").join(path)
        }
    }

    fn write(ledger: &Ledger, count: usize) {
        let entry = |number: usize| Entry {
            at: Stamp {
                boot_ms: 1,
                wall: Time::from_millis(1_795_420_800_000),
            },
            body: LeafBody::Audit(Audit {
                who: "li".to_owned(),
                action: "apply".to_owned(),
                what: number.to_string(),
            }),
        };
        let entries: Vec<Entry> = (0..count).map(entry).collect();
        ledger.append("boot", &entries).unwrap();
    }

    /// 700 leaves signed in two steps, and 5 more.
    fn filled() -> Stand {
        let stand = Stand::new();
        let ledger = stand.open();
        write(&ledger, 300);
        ledger.sign().unwrap();
        write(&ledger, 400);
        ledger.sign().unwrap();
        write(&ledger, 5);
        stand
    }

    #[test]
    fn a_sound_ledger_is_found_sound_also_while_it_is_open() {
        let stand = Stand::new();
        assert!(matches!(stand.check(), Err(CheckError::Missing(_))));
        let ledger = stand.open();
        let empty = stand.check().unwrap();
        assert_eq!((empty.checkpoint, empty.leaves), (None, 0));
        write(&ledger, 3);
        assert_eq!(stand.check().unwrap().leaves, 3);
        drop(ledger);
        let stand = filled();
        let ledger = stand.open();
        let checked = stand.check().unwrap();
        let head = checked.checkpoint.unwrap();
        assert_eq!((head.size, checked.leaves), (700, 705));
        assert_eq!(head.origin, BASE);
        assert_eq!(ledger.root_at(700).unwrap(), head.root);
        // Three bundles, as many tiles of leaves, and one above them.
        assert_eq!(checked.files, 7);
    }

    #[test]
    fn the_origin_is_that_of_the_epoch() {
        let stand = filled();
        assert_eq!(origin(&stand.key(), BASE).unwrap(), BASE);
        new_epoch(&stand.state(), &stand.key(), BASE, "a new disk").unwrap();
        let second = format!("{BASE}/e2");
        assert_eq!(origin(&stand.key(), BASE).unwrap(), second);
        let ledger = stand.open();
        write(&ledger, 2);
        ledger.sign().unwrap();
        assert_eq!(stand.check().unwrap().checkpoint.unwrap().origin, second);
        let elsewhere = tempfile::tempdir().unwrap();
        let key = elsewhere.path().join("none.key");
        assert_eq!(origin(&key, BASE).unwrap(), BASE);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn whatever_is_changed_is_found_and_named() {
        fn flip(path: &Path) {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        let spoiled = |spoil: &dyn Fn(&Stand), place: &str, words: &str| {
            let stand = filled();
            spoil(&stand);
            let said = chain(&stand.check().unwrap_err());
            assert!(
                said.contains(place) && said.contains(words),
                "{place} {words}: {said}"
            );
        };
        let at = |path: &'static str| move |stand: &Stand| flip(&stand.file(path));
        spoiled(&at("tile/entries/000"), "tile/entries/000", "");
        spoiled(&at("tile/entries/002.p/188"), "tile/entries/002.p/188", "");
        spoiled(&at("tile/0/001"), "tile/0/001", "not those of the leaves");
        spoiled(
            &at("tile/1/000.p/2"),
            "tile/1/000.p/2",
            "not those of the leaves",
        );
        spoiled(&at("checkpoint"), "checkpoint", "");
        let gone =
            |path: &'static str| move |stand: &Stand| fs::remove_file(stand.file(path)).unwrap();
        spoiled(&gone("tile/0/000"), "tile/0/000", "missing");
        spoiled(&gone("tile/entries/001"), "tile/entries/001", "missing");
        spoiled(
            &gone("checkpoint"),
            "checkpoint",
            "a head of 700 was signed",
        );
        spoiled(&gone("journal"), "journal", "");
        let cut = |stand: &Stand| {
            let journal = fs::File::options().write(true).open(stand.file("journal"));
            journal.unwrap().set_len(200).unwrap();
        };
        spoiled(&cut, "journal", "700 are signed");
        let other_key = |stand: &Stand| {
            fs::remove_file(stand.key()).unwrap();
            crate::ledger::Keys::init(&stand.key()).unwrap();
        };
        spoiled(&other_key, "checkpoint", "can't be trusted");
    }
}
