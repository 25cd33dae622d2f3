//! Files that are written together and made durable together: of a thousand logs that grow at once, each file for
//! itself would cost a thousand waits for the disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;

use crate::ledger::disk::make_dirs;

/// Files up to which each is made durable for itself; beyond them the whole file system is asked once.
const FILES_APART_MAX: usize = 24;

/// Files that were written and are not durable yet.
#[derive(Debug)]
pub(super) struct Writes {
    /// Somewhere on the file system.
    root: File,
    files: Vec<PathBuf>,
    dirs: BTreeSet<PathBuf>,
}

impl Writes {
    /// On the file system of this directory.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            root: File::open(dir)?,
            files: Vec::new(),
            dirs: BTreeSet::new(),
        })
    }

    /// Writes a file under its own name at once. For what nobody reads before something else says that it is there.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.draft(path, bytes)?;
        fs::rename(draft_of(path), path)?;
        self.files.pop();
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Writes what a file will hold under another name; it gets its own by [`publish`](Self::publish).
    pub(super) fn draft(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !self.dirs.contains(parent) {
            make_dirs(parent)?;
        }
        let draft = draft_of(path);
        File::create(&draft)?.write_all(bytes)?;
        self.files.push(draft);
        self.dirs.insert(parent.to_owned());
        Ok(())
    }

    /// Gives a durable draft its name.
    pub(super) fn publish(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(draft_of(path), path)?;
        if let Some(parent) = path.parent() {
            self.dirs.insert(parent.to_owned());
        }
        Ok(())
    }

    /// Makes durable whatever was written since the last time, or nothing can be said of it.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let files = std::mem::take(&mut self.files);
        let dirs = std::mem::take(&mut self.dirs);
        if files.len() + dirs.len() > FILES_APART_MAX {
            return Ok(syncfs(&self.root)?);
        }
        for path in files {
            File::open(path)?.sync_all()?;
        }
        for path in dirs {
            File::open(path)?.sync_all()?;
        }
        Ok(())
    }
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::Writes;
    use std::fs;

    #[test]
    fn a_draft_has_its_name_only_when_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let mut writes = Writes::open(dir.path()).unwrap();
        let file = |name: &str| dir.path().join(name);
        for count in [1, 60] {
            for number in 0..count {
                let path = file(&format!("tile/{number}/a"));
                writes.put(&path, b"tile").unwrap();
            }
            writes.draft(&file("checkpoint"), b"head").unwrap();
            assert!(!file("checkpoint").exists());
            writes.settle().unwrap();
            writes.publish(&file("checkpoint")).unwrap();
            writes.settle().unwrap();
            assert_eq!(fs::read(file("checkpoint")).unwrap(), b"head");
            fs::remove_file(file("checkpoint")).unwrap();
        }
        assert_eq!(fs::read(file("tile/59/a")).unwrap(), b"tile");
    }
}
