//! Reads a bundle within its bounds. What comes out of it is what its manifest says, or an error.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use sha2::{Digest, Sha256};

use super::archive::{Archive, ArchiveError, Packed};
use super::entry::{ENTRIES_MAX, Entry, MANIFEST_BYTES_MAX, hex, is_digest};
use super::{FileEntry, MANIFEST_KIND, Manifest};
use crate::text;
use crate::text::Text;

/// Characters of a text in the manifest at most.
const TEXT_CHARS_MAX: usize = 1024;

/// Why a file is no bundle that can be looked into.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No zip file within the bounds.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    /// No manifest, or one that says nothing.
    #[error("manifest.json: {0}")]
    Manifest(#[from] ManifestError),
    /// An entry that is missing, or is not what the manifest says.
    #[error("{path}: {fault}")]
    Entry {
        /// Its name.
        path: String,
        /// What is wrong.
        fault: EntryFault,
    },
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Too long.
    #[error("{0} bytes, of {MANIFEST_BYTES_MAX} at most")]
    TooLong(usize),
    /// No JSON, or other fields.
    #[error("not the fields of a manifest")]
    Shape(#[from] serde_json::Error),
    /// Another document, or a later version.
    #[error("it is `{kind}` of version {v}; this program knows `{MANIFEST_KIND}` of version 1")]
    Kind {
        /// What it says that it is.
        kind: String,
        /// Its version.
        v: u8,
    },
    /// Too many entries, or texts that are too long.
    #[error("more entries than {ENTRIES_MAX}, or a text longer than {TEXT_CHARS_MAX} characters")]
    Bounds,
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// It is not in the file.
    #[error("is missing")]
    Missing,
    /// The manifest does not name it.
    #[error("is not in the manifest")]
    Unnamed,
    /// Its zip record is bad.
    #[error("{0}")]
    Archive(#[source] ArchiveError),
    /// It can't be inflated.
    #[error("can't be inflated: it is damaged")]
    Inflate,
    /// It has another length.
    #[error("has {found} bytes, and the manifest says {said}")]
    Length {
        /// How many it has, or the first that is too many.
        found: u64,
        /// How many it should have.
        said: u64,
    },
    /// It is longer than any such entry may be.
    #[error("has {found} bytes, of {max} at most")]
    TooLong {
        /// How many the manifest says.
        found: u64,
        /// How many it may have.
        max: u64,
    },
    /// It has another hash.
    #[error("has the SHA-256 {found}, and the manifest says {said}: it was changed")]
    Hash {
        /// Its hash.
        found: String,
        /// What it should be.
        said: String,
    },
}

/// Reads a manifest.
///
/// # Errors
///
/// [`ManifestError`]. What it says of the bundle is not checked here: that is the check `bundle`.
pub fn read_manifest(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLong(bytes.len()));
    }
    let manifest: Manifest = serde_json::from_slice(bytes)?;
    if manifest.v != 1 || manifest.kind != MANIFEST_KIND {
        let kind = manifest.kind.chars().take(64).collect();
        let v = manifest.v;
        return Err(ManifestError::Kind { kind, v });
    }
    let texts = [&manifest.origin, &manifest.key, &manifest.by];
    let is_long = |text: &&String| text.chars().count() > TEXT_CHARS_MAX;
    if manifest.files.len() as u64 > ENTRIES_MAX || texts.iter().any(is_long) {
        return Err(ManifestError::Bounds);
    }
    Ok(manifest)
}

/// A bundle whose directory and manifest could be read.
#[derive(Debug)]
pub struct Bundle<R> {
    archive: Archive<R>,
    manifest: Manifest,
    files: BTreeMap<String, FileEntry>,
    /// Whether the manifest's entries are in order, and none twice.
    in_order: bool,
}

impl<R: Read + Seek> Bundle<R> {
    /// Opens a bundle: its directory and its manifest are read, nothing else.
    ///
    /// # Errors
    ///
    /// [`BundleError::Archive`], [`BundleError::Manifest`]; [`BundleError::Entry`] for a manifest that is missing or
    /// can't be inflated.
    pub fn open(source: R) -> Result<Self, BundleError> {
        let mut archive = Archive::open(source)?;
        let path = Entry::Manifest.to_string();
        let fault = |fault| BundleError::Entry {
            path: path.clone(),
            fault,
        };
        let said = archive.bytes(&path);
        let said = said.ok_or_else(|| fault(EntryFault::Missing))?;
        let packed = archive
            .packed(&path, MANIFEST_BYTES_MAX)
            .map_err(|error| fault(EntryFault::Archive(error)))?;
        let bytes = inflate(&packed, said).map_err(fault)?;
        let mut manifest = read_manifest(&bytes)?;
        let files = std::mem::take(&mut manifest.files);
        let in_order = files.is_sorted_by(|one, next| one.path < next.path);
        let files = files.into_iter().map(|file| (file.path.clone(), file));
        let mut bundle = Self {
            archive,
            files: files.collect(),
            manifest,
            in_order,
        };
        bundle.manifest.files = bundle.files.values().cloned().collect();
        Ok(bundle)
    }

    /// What the bundle says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The names of its entries, as the manifest has them.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether it has an entry of this name, by its manifest.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// What the manifest says of an entry.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.get(path)
    }

    /// An entry's bytes; checked against the manifest and the bounds.
    ///
    /// # Errors
    ///
    /// [`BundleError::Entry`].
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, BundleError> {
        let sealed = self.sealed(path)?;
        sealed.open().map_err(|fault| BundleError::Entry {
            path: path.to_owned(),
            fault,
        })
    }

    /// An entry that is still packed, so that another thread can open it.
    pub(super) fn sealed(&mut self, path: &str) -> Result<Sealed, BundleError> {
        let fault = |fault| BundleError::Entry {
            path: path.to_owned(),
            fault,
        };
        let file = self.files.get(path).cloned();
        let file = file.ok_or_else(|| fault(EntryFault::Unnamed))?;
        let max = Entry::from_path(path).map_or(0, |entry| entry.bytes_max());
        let found = file.bytes;
        if found > max {
            return Err(fault(EntryFault::TooLong { found, max }));
        }
        let Some(found) = self.archive.bytes(path) else {
            return Err(fault(EntryFault::Missing));
        };
        if found != file.bytes {
            let said = file.bytes;
            return Err(fault(EntryFault::Length { found, said }));
        }
        let packed = self.archive.packed(path, max);
        let packed = packed.map_err(|error| fault(EntryFault::Archive(error)))?;
        Ok(Sealed { file, packed })
    }

    /// Entries that are there, and which the manifest's numbers leave no place for.
    fn superfluous(&self) -> impl Iterator<Item = Entry> {
        let (old, new) = (self.manifest.start_size, self.manifest.size);
        let never = [
            (old == 0, Entry::Start),
            (old == 0 || old == new, Entry::Consistency),
        ];
        let never = never.into_iter().filter(|(is_so, _)| *is_so);
        never.filter_map(|(_, entry)| self.has(&entry.to_string()).then_some(entry))
    }

    /// What is wrong with its names, without opening an entry: those that bundles don't have, and those that the
    /// manifest has and the file not, or the other way round.
    pub fn names(&self) -> Vec<Text> {
        let mut found = Vec::new();
        let inside: BTreeSet<&str> = self.archive.names().collect();
        let named: BTreeSet<&str> = self.paths().collect();
        let manifest = Entry::Manifest.to_string();
        for path in inside.union(&named).copied() {
            if Entry::from_path(path).is_none() {
                let path: String = path.chars().take(200).collect();
                found.push(text!(
                    "entry {path:?}: a bundle has no entry of this name",
                    "条目 {path:?}：证据包里没有这种名称的条目"
                ));
            } else if path == manifest {
                if named.contains(path) {
                    found.push(text!(
                        "manifest.json names itself",
                        "manifest.json 列出了它自己"
                    ));
                }
            } else if !named.contains(path) {
                found.push(text!(
                    "entry {path}: it is not in the manifest: it was added later",
                    "条目 {path}：清单里没有它，是后来加进去的"
                ));
            } else if !inside.contains(path) {
                found.push(text!(
                    "entry {path}: the manifest names it, and it is missing",
                    "条目 {path}：清单里有它，文件里却没有"
                ));
            }
        }
        if !self.in_order {
            found.push(text!(
                "manifest.json: its entries are not in order of their paths, or one is there twice",
                "manifest.json：条目没有按路径排序，或者有重复"
            ));
        }
        for entry in self.superfluous() {
            found.push(text!(
                "entry {entry}: a bundle of this manifest has none",
                "条目 {entry}：清单所述的证据包不含此条目"
            ));
        }
        for file in self.files.values().filter(|file| !is_digest(&file.sha256)) {
            let path = &file.path;
            found.push(text!(
                "entry {path}: its hash in the manifest is no SHA-256 hash of 64 hexadecimal digits",
                "条目 {path}：清单里的哈希不是 64 位十六进制的 SHA-256"
            ));
        }
        found
    }
}

/// An entry that is still packed, and what the manifest says of it.
#[derive(Debug)]
pub(super) struct Sealed {
    file: FileEntry,
    packed: Packed,
}

impl Sealed {
    /// Inflates it whole and compares length and hash.
    pub(super) fn open(&self) -> Result<Vec<u8>, EntryFault> {
        let bytes = inflate(&self.packed, self.file.bytes)?;
        let hash = Sha256::digest(&bytes);
        let fault = self.compare(false, self.file.bytes, &hash);
        fault.map_or(Ok(bytes), Err)
    }

    /// Inflates it piece by piece, not further than one byte beyond what the manifest says.
    pub(super) fn reader(&self) -> Box<dyn Read + '_> {
        Box::new(self.packed.reader().take(self.file.bytes.saturating_add(1)))
    }

    /// What is wrong with what was read: nothing, if it has the length and the hash of the manifest.
    pub(super) fn compare(&self, is_bad: bool, found: u64, hash: &[u8]) -> Option<EntryFault> {
        let said = self.file.bytes;
        if is_bad {
            return Some(EntryFault::Inflate);
        }
        if found != said {
            return Some(EntryFault::Length { found, said });
        }
        let found = hex(hash);
        let said = &self.file.sha256;
        let said: String = said.chars().take(64).collect();
        (found != said).then_some(EntryFault::Hash { found, said })
    }

    /// Reads it through and gives its hash: for entries of which nothing else is asked.
    pub(super) fn digest(&self) -> Result<[u8; 32], EntryFault> {
        let mut hash = Sha256::new();
        let copied = std::io::copy(&mut self.reader(), &mut hash);
        let digest: [u8; 32] = hash.finalize().into();
        let (is_bad, found) = (copied.is_err(), copied.unwrap_or(0));
        self.compare(is_bad, found, &digest).map_or(Ok(digest), Err)
    }
}

/// Inflates what should have so many bytes, and not one more.
fn inflate(packed: &Packed, said: u64) -> Result<Vec<u8>, EntryFault> {
    // Bounded by whoever asks, and not touched before it is read.
    let mut bytes = Vec::with_capacity(usize::try_from(said).unwrap_or(0));
    let mut reader = packed.reader().take(said.saturating_add(1));
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|_| EntryFault::Inflate)?;
    let found = bytes.len() as u64;
    if found == said {
        Ok(bytes)
    } else {
        Err(EntryFault::Length { found, said })
    }
}
