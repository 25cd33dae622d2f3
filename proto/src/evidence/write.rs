//! Writes a bundle.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::entry::{Entry, hex};
use super::{FileEntry, Manifest};

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A name that bundles don't have, `manifest.json` (which is written at the end), or one that was used.
    #[error("{0:?} is no name of an entry, or was used already")]
    Name(String),
    /// More bytes than readers accept.
    #[error("{path} has more than {max} bytes")]
    TooLong {
        /// The entry.
        path: String,
        /// How many it may have.
        max: u64,
    },
    /// The file can't be written.
    #[error("the bundle can't be written")]
    Write(#[from] zip::result::ZipError),
    /// Likewise.
    #[error("the bundle can't be written")]
    Disk(#[from] std::io::Error),
    /// The manifest can't be written as JSON.
    #[error("the manifest can't be written")]
    Manifest(#[from] serde_json::Error),
}

/// An entry that is being written.
struct Open {
    path: String,
    max: u64,
    bytes: u64,
    hash: Sha256,
}

/// A bundle that is being written: the same entries in the same order give the same bytes.
pub struct Writer<W: Write + Seek> {
    zip: ZipWriter<W>,
    files: BTreeMap<String, FileEntry>,
    open: Option<Open>,
}

impl<W: Write + Seek> Writer<W> {
    /// An empty bundle.
    pub fn new(out: W) -> Self {
        Self {
            zip: ZipWriter::new(out),
            files: BTreeMap::new(),
            open: None,
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.begin(path)?;
        self.put(bytes)
    }

    /// Begins an entry whose bytes come piece by piece, by [`Self::put`]. The next entry ends it.
    ///
    /// # Errors
    ///
    /// [`WriteError::Name`], [`WriteError::Write`].
    pub fn begin(&mut self, path: &str) -> Result<(), WriteError> {
        self.close();
        let entry = Entry::from_path(path).filter(|entry| *entry != Entry::Manifest);
        let Some(entry) = entry.filter(|_| !self.files.contains_key(path)) else {
            return Err(WriteError::Name(path.to_owned()));
        };
        self.zip.start_file(path, options())?;
        self.open = Some(Open {
            path: path.to_owned(),
            max: entry.bytes_max(),
            bytes: 0,
            hash: Sha256::new(),
        });
        Ok(())
    }

    /// Adds bytes to the entry that was begun last; without one they have no place and are refused.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let Some(open) = &mut self.open else {
            return Err(WriteError::Name(String::new()));
        };
        open.bytes = open.bytes.saturating_add(bytes.len() as u64);
        if open.bytes > open.max {
            let (path, max) = (open.path.clone(), open.max);
            return Err(WriteError::TooLong { path, max });
        }
        open.hash.update(bytes);
        self.zip.write_all(bytes)?;
        Ok(())
    }

    /// Writes the manifest, with the entries that were added in place of its files, and the directory.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn finish(mut self, mut manifest: Manifest) -> Result<W, WriteError> {
        self.close();
        manifest.files = std::mem::take(&mut self.files).into_values().collect();
        let text = serde_json::to_vec(&manifest)?;
        let path = Entry::Manifest.to_string();
        let max = Entry::Manifest.bytes_max();
        if text.len() as u64 > max {
            return Err(WriteError::TooLong { path, max });
        }
        self.zip.start_file(path, options())?;
        self.zip.write_all(&text)?;
        Ok(self.zip.finish()?)
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let file = FileEntry {
                path: open.path.clone(),
                bytes: open.bytes,
                sha256: hex(&open.hash.finalize()),
            };
            self.files.insert(open.path, file);
        }
    }
}

/// Without times and rights, so that a bundle's bytes follow from its content.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
}
