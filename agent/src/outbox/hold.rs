//! The lock that keeps a second process out of the directory.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use super::StoreError;

const NAME: &str = "lock";

/// The directory is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Hold(#[expect(dead_code, reason = "the open file holds the lock")] File);

impl Hold {
    /// Takes the directory, and writes into its lock file who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::disk(&path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut text = String::new();
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(StoreError::Held {
                dir: dir.to_owned(),
                pid,
            });
        }
        // Who holds it is for people; on a full disk the lock holds without.
        let said = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = said {
            tracing::debug!(%error, "the lock file does not say who holds it");
        }
        Ok(Self(file))
    }
}
