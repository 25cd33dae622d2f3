//! The working folder beside a bundle that is being made: what was received, until the bundle is whole.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::inquiry::PullError;
use super::plan::Plan;
use crate::text;

/// What is to be fetched, and the sign that the folder is ours.
const PLAN: &str = "plan.json";
/// Who holds the folder.
const LOCK: &str = "lock";
/// Bytes of a plan at most: notes of a year, one an hour, cosigned several times.
const PLAN_BYTES_MAX: u64 = 64 << 20;

/// A working folder. Held until it is dropped.
#[derive(Debug)]
pub struct Work {
    dir: PathBuf,
    _lock: File,
}

impl Work {
    /// The folder of a bundle: its path and `.part`.
    pub fn beside(bundle: &Path) -> PathBuf {
        let mut name = bundle.as_os_str().to_owned();
        name.push(".part");
        name.into()
    }

    /// Opens the folder, makes it where there is none; empties it where `fresh` says so.
    ///
    /// # Errors
    ///
    /// [`PullError::Held`]; [`PullError::Other`] for a folder that is not one of ours; [`PullError::File`].
    pub fn open(dir: &Path, fresh: bool) -> Result<Self, PullError> {
        match fs::create_dir(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // What lies in a folder of the same name by chance is not ours to delete.
                let mut inside = fs::read_dir(dir).map_err(PullError::file(dir))?;
                let is_ours = dir.join(LOCK).exists() || inside.next().is_none();
                if !is_ours {
                    return Err(PullError::Other(dir.to_owned()));
                }
            }
            Err(error) => return Err(PullError::file(dir)(error)),
        }
        let path = dir.join(LOCK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = options.open(&path).map_err(PullError::file(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                return Err(PullError::Held(dir.to_owned()));
            }
            Err(error) => return Err(PullError::file(path)(error.into())),
        }
        let work = Self {
            dir: dir.to_owned(),
            _lock: lock,
        };
        if fresh {
            work.clear()?;
        }
        for folder in ["leaves", "maps", "tokens"] {
            let path = work.dir.join(folder);
            fs::create_dir_all(&path).map_err(PullError::file(path))?;
        }
        Ok(work)
    }

    fn clear(&self) -> Result<(), PullError> {
        for name in ["leaves", "maps", "tokens"] {
            let path = self.dir.join(name);
            ignore_missing(fs::remove_dir_all(&path)).map_err(PullError::file(path))?;
        }
        for name in [PLAN, "hashes", "bundle.zip"] {
            let path = self.dir.join(name);
            ignore_missing(fs::remove_file(&path)).map_err(PullError::file(path))?;
        }
        Ok(())
    }

    /// Takes the folder away, with which nobody can go on. What stays makes no difference: it is opened again, or not.
    pub fn leave(&self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::debug!(%error, "an empty working folder stays");
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The plan that was kept; none where there is none, or it can't be read.
    pub fn plan(&self) -> Option<Plan> {
        let bytes = read(&self.dir.join(PLAN), PLAN_BYTES_MAX).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps a plan. What was fetched by another one is forgotten.
    ///
    /// # Errors
    ///
    /// [`PullError::File`].
    pub fn keep_plan(&self, plan: &Plan) -> Result<(), PullError> {
        let path = self.dir.join(PLAN);
        let bytes = serde_json::to_vec(plan)
            .map_err(io::Error::from)
            .map_err(PullError::file(&path))?;
        replace(&path, &bytes).map_err(PullError::file(path))
    }

    /// Where the leaves of a part are kept.
    pub fn part(&self, first: u64) -> PathBuf {
        self.dir.join("leaves").join(format!("{first:010}.jsonl"))
    }

    /// Where the hashes of the leaves are kept.
    pub fn hashes(&self) -> PathBuf {
        self.dir.join("hashes")
    }

    /// Where the bundle grows.
    pub fn bundle(&self) -> PathBuf {
        self.dir.join("bundle.zip")
    }

    /// A map or token that was kept before, if it is still the one of that hash.
    pub fn text(&self, kind: Kind, digest: &str, bytes_max: u64) -> Option<Vec<u8>> {
        let bytes = read(&self.dir.join(kind.folder()).join(digest), bytes_max).ok()??;
        (super::node::digest(&bytes) == digest).then_some(bytes)
    }

    /// Keeps a map or token. `digest` is 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`PullError::File`].
    pub fn keep_text(&self, kind: Kind, digest: &str, bytes: &[u8]) -> Result<(), PullError> {
        let path = self.dir.join(kind.folder()).join(digest);
        replace(&path, bytes).map_err(PullError::file(path))
    }

    /// Gives the finished bundle its name, and takes the folder away.
    ///
    /// # Errors
    ///
    /// [`PullError::File`] if the bundle can't be named. A folder that stays is only said.
    pub fn finish(&self, bundle: &Path) -> Result<(), PullError> {
        let made = self.bundle();
        fs::rename(&made, bundle).map_err(PullError::file(bundle))?;
        let above = bundle.parent().filter(|dir| !dir.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        // So that the name outlives a power cut.
        let synced = File::open(above).and_then(|dir| dir.sync_all());
        synced.map_err(PullError::file(above))?;
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            let dir = self.dir.display();
            tracing::warn!("{dir} could not be removed: {error}");
        }
        Ok(())
    }
}

/// What is kept by its hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A machine map.
    Map,
    /// A booking token.
    Token,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Map => "maps",
            Self::Token => "tokens",
        }
    }

    /// What it is, for people.
    pub fn words(self) -> text::Text {
        match self {
            Self::Map => text!("machine map", "设备点表"),
            Self::Token => text!("booking token", "预约令牌"),
        }
    }
}

/// A file's bytes; none if there is none, an error if there are more than `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::InvalidData, "too long"));
    }
    Ok(Some(bytes))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
