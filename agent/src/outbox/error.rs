//! What can go wrong with the store, and what its caller does then.

use std::io;
use std::path::PathBuf;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the directory. Nothing was touched: end the other one, or use another
    /// state directory.
    #[error("{} is in use by {}", .dir.display(), holder(*.pid))]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, where it said so.
        pid: Option<u32>,
    },
    /// The disk is full, and giving up the reserve and the oldest telemetry did not make enough room.
    /// What was appended waits (at most [`PENDING_BYTES_MAX`](super::PENDING_BYTES_MAX), then the oldest
    /// goes and is named by a gap document) for the next commit: go on appending and committing, and
    /// tell people to make room.
    #[error("no room is left on the disk of {}", .dir.display())]
    Full {
        /// The directory.
        dir: PathBuf,
    },
    /// A payload is longer than [`PAYLOAD_BYTES_MAX`](super::PAYLOAD_BYTES_MAX). None of the records of
    /// that call was taken: cut the message before it gets its number.
    #[error("a message of {bytes} bytes is too large for the outbox")]
    TooLarge {
        /// The payload's length.
        bytes: usize,
    },
    /// The payload of a gap record is no gap document. None of the records of that call was taken.
    #[error("a gap record of {machine} holds no gap document")]
    NotAGap {
        /// The record's machine.
        machine: String,
    },
    /// The disk refused. What was appended waits as with [`Full`](Self::Full): try again with the next
    /// commit or read.
    #[error("the outbox could not use {}", .path.display())]
    Disk {
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl StoreError {
    pub(super) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            if super::disk::is_full(&source) {
                Self::Full { dir: path }
            } else {
                Self::Disk { path, source }
            }
        }
    }

    /// Whether room on the disk would have helped.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
