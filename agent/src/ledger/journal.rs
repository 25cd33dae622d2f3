//! The journal: the leaves that do not fill a bundle yet, durable one append after the other.
//!
//! A head (magic, the index of its first leaf, CRC-32 of both) and a frame a leaf: length, CRC-32 over the
//! leaf's index and bytes, the bytes; numbers little-endian. A frame that is torn or does not fit its CRC ends
//! the journal: it was never reported durable, unless the disk lost what it had promised, which the signed
//! head and the delivered mark show. A journal is replaced as a whole when the leaves before it are in a bundle.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lineside_proto::ledger::LEAF_BYTES_MAX;

use super::LedgerError;
use super::disk;

const MAGIC: [u8; 4] = *b"LSJ1";
const HEAD_BYTES: usize = 16;
const FRAME_HEAD_BYTES: usize = 8;

/// Leaves of a journal at most: all but one of a bundle, and one append on top of them.
const LEAVES_MAX: usize = 2 * 256 - 1;

/// Bytes of a journal at most. Nothing writes a longer one.
const JOURNAL_BYTES_MAX: usize = HEAD_BYTES + LEAVES_MAX * (FRAME_HEAD_BYTES + LEAF_BYTES_MAX);

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the next frame goes.
    end: u64,
}

impl Journal {
    /// Opens the journal and gives the index of its first leaf and its leaves; a torn end is cut off, and kept
    /// aside as `journal.torn`. A new one begins with leaf 0.
    pub(super) fn open(dir: &Path) -> Result<(Self, u64, Vec<Vec<u8>>), LedgerError> {
        let path = dir.join("journal");
        if !path.exists() {
            // It is made before anything else and replaced in one step: without it this is no new ledger.
            if dir.join("tile").exists() || dir.join("checkpoint").exists() {
                return Err(LedgerError::damaged(path, "it is missing"));
            }
            return Ok((Self::create(dir, 0, &[])?, 0, Vec::new()));
        }
        let failed = || LedgerError::disk(&path);
        let bytes = disk::read(&path, JOURNAL_BYTES_MAX).map_err(failed())?;
        let bytes = bytes
            .ok_or_else(|| LedgerError::damaged(&path, "it is longer than a journal can be"))?;
        let first = head_of(&bytes)
            .ok_or_else(|| LedgerError::damaged(&path, "its head is not that of a journal"))?;
        let (leaves, used) = frames_of(bytes.get(HEAD_BYTES..).unwrap_or_default(), first);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(failed())?;
        let end = (HEAD_BYTES + used) as u64;
        let torn = bytes.get(HEAD_BYTES + used..).unwrap_or_default();
        if !torn.is_empty() {
            tracing::warn!(
                bytes = torn.len(),
                "the end of the ledger's journal was torn, as by a power cut; it had not been reported durable"
            );
            // For whoever wants to know; a full disk must not keep the ledger from opening.
            drop(fs::write(dir.join("journal.torn"), torn));
            file.set_len(end).map_err(failed())?;
            file.sync_all().map_err(failed())?;
        }
        Ok((Self { path, file, end }, first, leaves))
    }

    /// Replaces the journal by one that begins at `first` with these leaves; durable on return.
    pub(super) fn create(dir: &Path, first: u64, leaves: &[Vec<u8>]) -> Result<Self, LedgerError> {
        let path = dir.join("journal");
        let bytes = framed(first, leaves)?;
        let whole = [&head(first)[..], &bytes].concat();
        disk::put(&path, &whole).map_err(LedgerError::disk(&path))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(LedgerError::disk(&path))?;
        let end = whole.len() as u64;
        Ok(Self { path, file, end })
    }

    /// Appends leaves, the first of which has this index; durable on return. After an error nothing of it
    /// counts.
    pub(super) fn append(&mut self, first: u64, leaves: &[Vec<u8>]) -> Result<(), LedgerError> {
        let bytes = framed(first, leaves)?;
        let written = self.write(&bytes);
        if written.is_err() {
            // What was written in part must not stand before what comes next.
            let cut = self.file.set_len(self.end);
            drop(cut.and_then(|()| self.file.sync_all()));
        }
        written.map_err(LedgerError::disk(&self.path))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

/// The index of the first leaf of a journal and its whole leaves, read and left as it is.
pub(super) fn look(dir: &Path) -> Result<(u64, Vec<Vec<u8>>), LedgerError> {
    let path = dir.join("journal");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        other => other.map_err(LedgerError::disk(&path))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(JOURNAL_BYTES_MAX as u64).read_to_end(&mut bytes);
    read.map_err(LedgerError::disk(&path))?;
    let first = head_of(&bytes)
        .ok_or_else(|| LedgerError::damaged(&path, "its head is not that of a journal"))?;
    let (leaves, _) = frames_of(bytes.get(HEAD_BYTES..).unwrap_or_default(), first);
    Ok((first, leaves))
}

fn head(first: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let crc = crc32fast::hash(&first.to_le_bytes());
    for (place, byte) in MAGIC
        .iter()
        .chain(&first.to_le_bytes())
        .chain(&crc.to_le_bytes())
        .enumerate()
    {
        if let Some(spot) = head.get_mut(place) {
            *spot = *byte;
        }
    }
    head
}

fn head_of(bytes: &[u8]) -> Option<u64> {
    let first = u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?);
    (bytes.get(..HEAD_BYTES)? == head(first)).then_some(first)
}

fn crc_of(index: u64, leaf: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&index.to_le_bytes());
    crc.update(leaf);
    crc.finalize()
}

/// The frames of leaves, the first of which has this index.
pub(super) fn framed(first: u64, leaves: &[Vec<u8>]) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = Vec::new();
    for (index, leaf) in (first..).zip(leaves) {
        let length = u32::try_from(leaf.len()).unwrap_or(u32::MAX);
        if leaf.len() > LEAF_BYTES_MAX {
            return Err(lineside_proto::ledger::LeafError::TooLong(leaf.len()).into());
        }
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc_of(index, leaf).to_le_bytes());
        bytes.extend_from_slice(leaf);
    }
    Ok(bytes)
}

/// The leaves of whole frames, and how many bytes they take.
fn frames_of(bytes: &[u8], first: u64) -> (Vec<Vec<u8>>, usize) {
    let mut leaves = Vec::new();
    let mut used = 0;
    for index in first.. {
        let rest = bytes.get(used..).unwrap_or_default();
        let Some(leaf) = frame_of(rest, index) else {
            break;
        };
        used += FRAME_HEAD_BYTES + leaf.len();
        leaves.push(leaf.to_vec());
    }
    (leaves, used)
}

fn frame_of(bytes: &[u8], index: u64) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| (1..=LEAF_BYTES_MAX).contains(length))?;
    let crc = u32::from_le_bytes(bytes.get(4..FRAME_HEAD_BYTES)?.try_into().ok()?);
    let leaf = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length)?;
    (crc == crc_of(index, leaf)).then_some(leaf)
}

/// Removes what an interrupted replacement left.
pub(super) fn tidy(dir: &Path) {
    // There is none, usually.
    drop(fs::remove_file(dir.join("journal.new")));
}
