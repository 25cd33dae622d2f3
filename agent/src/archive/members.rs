//! The processes that keep one archive together: each has a folder below `pending/`, and holds its lock while it lives.
//!
//! Which of them keeps a gateway's log follows from their names alone (rendezvous hashing: Thaler and Ravishankar 1998),
//! so that nobody has to agree with anybody; the lock on the gateway's folder decides where they differ for a moment. A
//! process that ends, however it ends, gives its locks back.
//!
//! Bound: `MEMBERS_MAX` processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lineside_proto::Identifier;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::ledger::disk;

/// Processes of one archive at most: far more than two cores' worth of work needs.
const MEMBERS_MAX: usize = 64;

/// After this the files of a process that ended are of no use.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);
/// Files of a folder that are looked at.
const LISTED_MAX: usize = 1_000;

/// Why a process can't take part.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Another works here and does not share.
    #[error(
        "another process works on {0}: give all of them --share with the same name, or another --dir"
    )]
    Held(PathBuf),
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
    /// Takes part in the archive of a directory: alone, or with others that share it.
    pub(super) fn join(dir: &Path, shares: bool) -> Result<Self, JoinError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| JoinError::Disk { path, source }
        };
        let pending = dir.join("pending");
        disk::make_dirs(&pending).map_err(failed(&pending))?;
        let path = dir.join("lock");
        let archive = lock_file(&path).map_err(failed(&path))?;
        let wanted = if shares {
            FlockOperation::NonBlockingLockShared
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        flock(&archive, wanted).map_err(|_| JoinError::Held(dir.to_owned()))?;
        for number in 1..=MEMBERS_MAX {
            let me = format!("m{number}");
            let mine = pending.join(&me);
            disk::make_dirs(&mine).map_err(failed(&mine))?;
            let lock = disk::lock(&mine.join("lock")).map_err(failed(&mine))?;
            if let Some(lock) = lock {
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
    use super::{JoinError, Members};

    #[test]
    fn one_alone_or_several_that_share() {
        let dir = tempfile::tempdir().unwrap();
        let alone = Members::join(dir.path(), false).unwrap();
        let refused = Members::join(dir.path(), true);
        assert!(matches!(refused, Err(JoinError::Held(_))));
        drop(alone);
        let mut first = Members::join(dir.path(), true).unwrap();
        let second = Members::join(dir.path(), true).unwrap();
        assert_eq!((first.me(), second.me()), ("m1", "m2"));
        assert!(matches!(
            Members::join(dir.path(), false),
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
        assert_eq!(Members::join(dir.path(), true).unwrap().me(), "m2");
    }
}
