//! A check of the whole ledger on disk: its static files as anybody may check them, and what only this gateway
//! has: the record beside the key, and the leaves that are not signed yet. Nothing is opened for writing, so
//! that it may be made while an agent runs. Memory: one bundle and the right edge of the tree.

use std::io;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::files::FilesError;
use lineside_proto::ledger::tile::{Kind, Tile, WIDTH, entries};
use lineside_proto::ledger::{Checkpoint, Leaf};

use super::files::verify_files;
use super::{FOLDER, Keys, LedgerError, head, journal, keys, tiles};

/// Bytes of a bundle at most: 256 leaves, and the length of each.
const BUNDLE_BYTES_MAX: usize = 256 * (lineside_proto::ledger::LEAF_BYTES_MAX + 2);

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
    /// The static files are not what was signed.
    #[error("the ledger in {} does not hold", .dir.display())]
    Files {
        /// The ledger's directory.
        dir: PathBuf,
        /// What is wrong.
        source: FilesError<io::Error>,
    },
    /// A leaf that is not signed yet is none, or not in its place.
    #[error("{}: leaf {index} is none, or not in its place", .path.display())]
    Leaf {
        /// The file.
        path: PathBuf,
        /// The leaf.
        index: u64,
    },
    /// The journal does not go on where the signed leaves end.
    #[error("{}: it holds the leaves from {first} to {end}, but {size} are signed: it was cut off, or an old copy restored", .path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Its first leaf.
        first: u64,
        /// The first leaf that it does not hold.
        end: u64,
        /// Leaves that are signed.
        size: u64,
    },
    /// The ledger or its key can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The origin of the ledger that a key signs now, its epoch included. Makes no file.
///
/// # Errors
///
/// The record of what was signed last can't be read.
pub fn origin(key: &Path, base: &str) -> Result<String, LedgerError> {
    let signed = remembered(key)?;
    let epoch = signed.map_or(1, |signed| signed.epoch);
    Ok(head::origin(base, epoch))
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
    let signed = remembered(key)?.filter(|signed| signed.size > 0);
    let origin = origin(key, base)?;
    let keys = Keys::load(key, &origin).map_err(LedgerError::from)?;
    let seen: Vec<Checkpoint> = signed
        .and_then(|signed| signed.checkpoint())
        .into_iter()
        .collect();
    let checkpoint = match verify_files(&dir, &keys.all(), &origin, &seen) {
        Ok(head) => Some(head),
        Err(FilesError::NoCheckpoint) if seen.is_empty() => None,
        Err(source) => return Err(CheckError::Files { dir, source }),
    };
    let size = checkpoint.as_ref().map_or(0, |head| head.size);
    let files = Tile::of_log(size).count();
    Ok(Checked {
        checkpoint,
        leaves: unsigned(&dir, size)?,
        files: u64::try_from(files).unwrap_or(u64::MAX),
    })
}

/// Checks the leaves after those that are signed; gives how many there are in all.
fn unsigned(dir: &Path, size: u64) -> Result<u64, CheckError> {
    let lost = dir.join(journal::LOST);
    if lost.exists() {
        let what = "it is what was left when leaves that had been durable were lost";
        return Err(LedgerError::damaged(lost, what).into());
    }
    let (first, leaves) = journal::look(dir)?;
    let end = first.saturating_add(u64::try_from(leaves.len()).unwrap_or(u64::MAX));
    let path = dir.join("journal");
    if end < size {
        return Err(CheckError::Journal {
            path,
            first,
            end,
            size,
        });
    }
    // Those that filled a bundle since have left the journal.
    for index in (size / WIDTH)..(first / WIDTH) {
        let tile = Tile {
            kind: Kind::Entries,
            index,
            width: WIDTH,
        };
        let path = dir.join(tile.to_string());
        let bytes = tiles::read(&path, BUNDLE_BYTES_MAX)?;
        let bundle = entries(&bytes, WIDTH);
        let bundle = bundle.map_err(|error| LedgerError::damaged(&path, error.to_string()))?;
        in_place(&path, index * WIDTH, bundle.into_iter())?;
    }
    in_place(&path, first, leaves.iter().map(Vec::as_slice))?;
    Ok(end)
}

/// Whether each is a leaf, and says that it is the one that it is.
fn in_place<'a>(
    path: &Path,
    first: u64,
    leaves: impl Iterator<Item = &'a [u8]>,
) -> Result<(), CheckError> {
    for (index, bytes) in (first..).zip(leaves) {
        if !Leaf::from_bytes(bytes).is_ok_and(|leaf| leaf.head.index == index) {
            return Err(CheckError::Leaf {
                path: path.to_owned(),
                index,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CheckError, check, origin};
    use crate::clock::Stamp;
    use crate::ledger::{Ledger, Testimony, new_epoch};
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
        // So many more that a bundle is full beyond what is signed.
        write(&ledger, 300);
        assert_eq!(stand.check().unwrap().leaves, 1_005);
    }

    #[test]
    fn the_origin_is_that_of_the_epoch() {
        let stand = filled();
        assert_eq!(origin(&stand.key(), BASE).unwrap(), BASE);
        new_epoch(
            &stand.state(),
            &stand.key(),
            BASE,
            "a new disk",
            &Testimony::default(),
        )
        .unwrap();
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
        spoiled(&at("tile/entries/000"), "leaf 1", "");
        spoiled(&at("tile/entries/002.p/188"), "tile/entries/002.p/188", "");
        spoiled(
            &at("tile/0/001"),
            "tile/0/001",
            "does not hold the hashes of the leaves",
        );
        spoiled(
            &at("tile/1/000.p/2"),
            "tile/1/000.p/2",
            "does not hold the hashes of the leaves",
        );
        spoiled(&at("checkpoint"), "checkpoint", "");
        let gone =
            |path: &'static str| move |stand: &Stand| fs::remove_file(stand.file(path)).unwrap();
        spoiled(&gone("tile/0/000"), "tile/0/000", "missing");
        spoiled(&gone("tile/entries/001"), "tile/entries/001", "missing");
        spoiled(&gone("checkpoint"), "checkpoint", "there is no checkpoint");
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
