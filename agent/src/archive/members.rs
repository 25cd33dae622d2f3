//! The processes that keep one archive together: each has a folder below `pending/`, and holds its lock while it lives.
//!
//! Which of them keeps a gateway's log follows from their names alone (rendezvous hashing: Thaler and Ravishankar 1998),
//! so that nobody has to agree with anybody; the lock on the gateway's folder decides where they differ for a moment. A
//! process that ends, however it ends, gives its locks back.
//!
//! Beside its lock each says what all of them must have in common ([`Common`]), and whoever joins is measured by that.
//!
//! Bound: `MEMBERS_MAX` processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use lineside_proto::Identifier;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ledger::disk;

/// Processes of one archive at most: far more than two cores' worth of work needs.
const MEMBERS_MAX: usize = 64;

/// After this the files of a process that ended are of no use.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);
/// Files of a folder that are looked at.
const LISTED_MAX: usize = 1_000;
/// Bytes of what a member says of itself at most: a path, and two short names.
const COMMON_BYTES_MAX: usize = 64 << 10;

/// How often is tried whether another has done with joining, and how long is waited in between: 5 s in all, many times
/// what that takes on a slow disk.
const JOIN_TRIES: u32 = 500;
const JOIN_WAIT: Duration = Duration::from_millis(10);

/// What the processes of one archive have in common; beside each one's lock, in `common`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Common {
    /// The name by which they share the broker's messages; none for one alone.
    group: Option<String>,
    /// The hash of the witness's key, as topics end; none where none cosigns.
    witness: Option<String>,
    /// The folder of enrolment cards. It may differ: several hosts see it at different places.
    cards: String,
}

impl Common {
    /// Of a process with these arguments.
    pub(super) fn of(share: Option<&str>, witness: Option<[u8; 4]>, cards: &Path) -> Self {
        // Before it is made it has no other path than the one that it was given.
        let whole = fs::canonicalize(cards).or_else(|_| path::absolute(cards));
        Self {
            group: share.map(str::to_owned),
            witness: witness.map(|[a, b, c, d]| format!("{a:02x}{b:02x}{c:02x}{d:02x}")),
            cards: whole.as_deref().unwrap_or(cards).display().to_string(),
        }
    }

    /// What a member says; none of a process that says nothing yet.
    fn read(folder: &Path) -> Option<Self> {
        let bytes = disk::read(&folder.join("common"), COMMON_BYTES_MAX).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        disk::put(&folder.join("common"), &serde_json::to_vec(self)?)
    }

    /// Whether this process may work beside another.
    fn fits(&self, dir: &Path, other: &Self) -> Result<(), JoinError> {
        let differ = |what, mine: &Option<String>, theirs: &Option<String>| {
            let none = || "none".to_owned();
            Err(JoinError::Differs {
                dir: dir.to_owned(),
                what,
                mine: mine.clone().unwrap_or_else(none),
                theirs: theirs.clone().unwrap_or_else(none),
            })
        };
        if self.group != other.group {
            return differ("--share", &self.group, &other.group);
        }
        if self.witness != other.witness {
            return differ("--witness-key", &self.witness, &other.witness);
        }
        if self.cards != other.cards {
            let (mine, theirs) = (&self.cards, &other.cards);
            tracing::warn!(
                "this process takes its enrolment cards from {mine}, another of this archive from {theirs}: \
                 unless both hold the same cards, a gateway counts by one and not by the other"
            );
        }
        Ok(())
    }
}

/// Why a process can't take part.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Another works here and does not share.
    #[error(
        "another process works on {0}: give all of them --share with the same name, or another --dir"
    )]
    Held(PathBuf),
    /// Another works here, and is another archive.
    #[error(
        "another process works on {dir} with another {what} ({theirs}; here {mine}): give all of them the same, or another \
         --dir", dir = dir.display()
    )]
    Differs {
        /// The folder.
        dir: PathBuf,
        /// The argument that differs.
        what: &'static str,
        /// What this process has: a group's name, or the hash of a key.
        mine: String,
        /// What the other has.
        theirs: String,
    },
    /// All places are taken.
    #[error("{MEMBERS_MAX} processes work on {0} already")]
    Full(PathBuf),
    /// The disk refuses.
    #[error("{path}: {source}", path = path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// This process among those that keep an archive.
#[derive(Debug)]
pub(super) struct Members {
    dir: PathBuf,
    me: String,
    /// Those that live, this one among them.
    living: Vec<String>,
    _archive: File,
    _mine: File,
}

impl Members {
    /// Takes part in the archive of a directory: alone, or with others that share it and have the rest in common.
    pub(super) fn join(dir: &Path, common: &Common) -> Result<Self, JoinError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| JoinError::Disk { path, source }
        };
        let pending = dir.join("pending");
        disk::make_dirs(&pending).map_err(failed(&pending))?;
        let path = dir.join("lock");
        let archive = lock_file(&path).map_err(failed(&path))?;
        let wanted = if common.group.is_some() {
            FlockOperation::NonBlockingLockShared
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        flock(&archive, wanted).map_err(|_| JoinError::Held(dir.to_owned()))?;
        // One after the other: what a member says is then that of the process that holds its lock, not of one before.
        let path = pending.join("joining");
        let _joining = wait_for(&path).map_err(failed(&path))?;
        for folder in (1..=MEMBERS_MAX).map(|number| pending.join(format!("m{number}"))) {
            let lives = is_held(&folder.join("lock")).map_err(failed(&folder))?;
            if let Some(other) = lives.then(|| Common::read(&folder)).flatten() {
                common.fits(dir, &other)?;
            }
        }
        for number in 1..=MEMBERS_MAX {
            let me = format!("m{number}");
            let mine = pending.join(&me);
            disk::make_dirs(&mine).map_err(failed(&mine))?;
            let lock = disk::lock(&mine.join("lock")).map_err(failed(&mine))?;
            if let Some(lock) = lock {
                common.write(&mine).map_err(failed(&mine))?;
                let mut members = Self {
                    dir: pending,
                    living: vec![me.clone()],
                    me,
                    _archive: archive,
                    _mine: lock,
                };
                members.look().map_err(failed(dir))?;
                return Ok(members);
            }
        }
        Err(JoinError::Full(dir.to_owned()))
    }

    /// This process's name: the same again when it comes back.
    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// The folder of a member.
    pub(super) fn folder(&self, member: &str) -> PathBuf {
        self.dir.join(member)
    }

    /// The folders of all members that ever were.
    pub(super) fn folders(&self) -> impl Iterator<Item = (String, PathBuf)> + use<'_> {
        let names = (1..=MEMBERS_MAX).map(|number| format!("m{number}"));
        names
            .map(|name| (name.clone(), self.dir.join(name)))
            .filter(|(_, folder)| folder.is_dir())
    }

    /// Sees who lives now. Gives whether that has changed.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        let mut living = vec![self.me.clone()];
        for (name, folder) in self.folders() {
            if name != self.me && is_held(&folder.join("lock"))? {
                living.push(name);
            }
        }
        living.sort();
        let changed = living != self.living;
        self.living = living;
        Ok(changed)
    }

    /// Removes the folders of those that ended long ago: what was of use in them has been asked for since.
    pub(super) fn tidy(&self) {
        for (name, folder) in self.folders() {
            let is_old = written(&folder)
                .and_then(|at| at.elapsed().ok())
                .is_some_and(|age| age > FORGOTTEN_AFTER);
            if is_old && !self.living.contains(&name) {
                // What stays is tried again later.
                drop(fs::remove_dir_all(folder));
            }
        }
    }

    /// Whether this process is to keep a gateway's log.
    pub(super) fn is_mine(&self, site: &Identifier, gateway: &Identifier) -> bool {
        let weight = |member: &&String| -> [u8; 32] {
            let hash = Sha256::new()
                .chain_update(member.as_bytes())
                .chain_update(b"/")
                .chain_update(site.as_str())
                .chain_update(b"/")
                .chain_update(gateway.as_str());
            hash.finalize().into()
        };
        self.living.iter().max_by_key(weight) == Some(&self.me)
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Takes a file for this process alone, once the others have done.
fn wait_for(path: &Path) -> io::Result<File> {
    for _ in 0..JOIN_TRIES {
        if let Some(file) = disk::lock(path)? {
            return Ok(file);
        }
        thread::sleep(JOIN_WAIT);
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Whether somebody holds the lock of a file.
fn is_held(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        // Shared, so that two who look at once don't take each other for the holder.
        Ok(file) => Ok(flock(&file, FlockOperation::NonBlockingLockShared).is_err()),
    }
}

/// When a file of a folder was last written to; none for an empty one.
fn written(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.take(LISTED_MAX).flatten();
    let times = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    times.max()
}

#[cfg(test)]
mod tests {
    use super::{Common, JoinError, Members};
    use std::fs;
    use std::path::Path;

    fn common(share: &str, witness: Option<[u8; 4]>, cards: &Path) -> Common {
        Common::of(Some(share), witness, cards)
    }

    #[test]
    fn one_alone_or_several_that_share() {
        let dir = tempfile::tempdir().unwrap();
        let (one, some) = (Common::default(), common("city", None, dir.path()));
        let alone = Members::join(dir.path(), &one).unwrap();
        let refused = Members::join(dir.path(), &some);
        assert!(matches!(refused, Err(JoinError::Held(_))));
        drop(alone);
        let mut first = Members::join(dir.path(), &some).unwrap();
        let second = Members::join(dir.path(), &some).unwrap();
        assert_eq!((first.me(), second.me()), ("m1", "m2"));
        assert!(matches!(
            Members::join(dir.path(), &one),
            Err(JoinError::Held(_))
        ));
        assert!(first.look().unwrap());
        let gateways: Vec<_> = (0..100)
            .map(|number| format!("gw-{number}").parse().unwrap())
            .collect();
        let site = "zs".parse().unwrap();
        let mine = |members: &Members| {
            let of = gateways.iter().filter(|name| members.is_mine(&site, name));
            of.count()
        };
        let (a, b) = (mine(&first), mine(&second));
        assert_eq!(a + b, 100);
        assert!(a > 20 && b > 20, "{a} {b}");
        drop(second);
        assert!(first.look().unwrap());
        assert_eq!(mine(&first), 100);
        assert_eq!(Members::join(dir.path(), &some).unwrap().me(), "m2");
    }

    #[test]
    fn whoever_is_another_archive_is_refused_and_other_cards_are_only_told() {
        let dir = tempfile::tempdir().unwrap();
        let key = Some([0xab, 1, 2, 3]);
        let first = Members::join(dir.path(), &common("city", key, dir.path())).unwrap();
        let refused = |common: &Common, words: [&str; 3]| {
            let error = Members::join(dir.path(), common).unwrap_err();
            assert!(matches!(error, JoinError::Differs { .. }), "{error:?}");
            for word in words {
                assert!(error.to_string().contains(word), "{word}: {error}");
            }
        };
        let group = common("other", key, dir.path());
        refused(&group, ["--share", "(city;", "here other)"]);
        let witness = common("city", Some([0xcd, 1, 2, 3]), dir.path());
        refused(&witness, ["--witness-key", "(ab010203;", "here cd010203)"]);
        let none = common("city", None, dir.path());
        refused(&none, ["--witness-key", "(ab010203;", "here none)"]);
        let cards = common("city", key, &dir.path().join("elsewhere"));
        let second = Members::join(dir.path(), &cards).unwrap();
        assert_eq!(second.me(), "m2");
        // What a process said that ended, and one of an older version that says nothing, hold nobody off.
        drop(first);
        drop(second);
        let first = Members::join(dir.path(), &group).unwrap();
        fs::remove_file(first.folder("m1").join("common")).unwrap();
        assert_eq!(Members::join(dir.path(), &none).unwrap().me(), "m2");
        fs::write(first.folder("m1").join("common"), "{").unwrap();
        assert_eq!(Members::join(dir.path(), &none).unwrap().me(), "m2");
    }

    #[test]
    fn a_folder_of_cards_is_the_same_by_whatever_way() {
        let dir = tempfile::tempdir().unwrap();
        let cards = dir.path().join("cards");
        fs::create_dir(&cards).unwrap();
        let way = dir.path().join("way");
        std::os::unix::fs::symlink(&cards, &way).unwrap();
        let of = |cards| Common::of(None, None, cards);
        assert_eq!(of(&cards), of(&way));
        assert_ne!(of(&cards), of(&dir.path().join("others")));
    }
}
