//! Room set aside on the disk, so that the store can be opened and can shed on a full one.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::disk;

const NAME: &str = "reserve";

/// A file of a fixed size that holds nothing.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// The reserve of a directory, as it was left.
    pub(super) fn find(dir: &Path, bytes: u64) -> Self {
        let path = dir.join(NAME);
        let held = fs::metadata(&path).is_ok_and(|data| data.len() == bytes);
        Self { path, bytes, held }
    }

    /// Gives the room free. False: there was none to give.
    pub(super) fn release(&mut self) -> bool {
        let removed = fs::remove_file(&self.path).is_ok();
        self.held = false;
        removed
    }

    /// Sets the room aside again, if it is not and `free` bytes leave twice as much.
    pub(super) fn ensure(&mut self, free: u64) {
        if self.held || free < self.bytes.saturating_mul(2) {
            return;
        }
        match self.fill() {
            Ok(()) => self.held = true,
            Err(error) => {
                tracing::debug!(%error, "no room for the outbox's reserve yet");
                self.release();
            }
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => zeros(&mut file, self.bytes)?,
            Err(errno) => return Err(errno.into()),
        }
        file.sync_all()?;
        self.path.parent().map_or(Ok(()), disk::sync)
    }
}

fn zeros(file: &mut File, bytes: u64) -> io::Result<()> {
    let copied = io::copy(&mut io::Read::take(io::repeat(0), bytes), file)?;
    if copied == bytes {
        file.flush()
    } else {
        Err(ErrorKind::WriteZero.into())
    }
}
