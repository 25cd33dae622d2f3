//! The journal: the leaves that do not fill a bundle yet, durable one append after the other.
//!
//! A head (magic, the index of its first leaf, CRC-32 of both) and a frame a leaf: length, CRC-32 over the
//! leaf's index and bytes, the bytes; numbers little-endian. The first frame of an append is marked as *settled*:
//! all before it was durable when it was written. A frame that is torn or does not fit its CRC ends the journal.
//! Where a settled one follows, the disk has lost what it had promised to keep: what is left is put aside as
//! `journal.lost`, and as long as that is there nothing is signed. Where none follows, it was never reported durable,
//! or the signed head and the delivered mark show it. A journal is replaced as a whole when the leaves before it
//! are in a bundle.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lineside_proto::ledger::LEAF_BYTES_MAX;

use super::LedgerError;
use super::disk;

/// The file below the ledger's directory.
pub(super) const FILE: &str = "journal";

const MAGIC: [u8; 4] = *b"LSJ1";
const HEAD_BYTES: usize = 16;
const FRAME_HEAD_BYTES: usize = 8;

/// In a frame's length: it is settled.
const SETTLED: u32 = 1 << 31;
/// The same in the index that its CRC is over.
const SETTLED_INDEX: u64 = 1 << 63;

/// Holds what was left behind damage: not by a torn end, but by a disk that did not keep its promise.
pub(super) const LOST: &str = "journal.lost";

/// Leaves of a journal at most: all but one of a bundle, and one append on top of them.
const LEAVES_MAX: usize = 2 * 256 - 1;

/// The highest index of a first leaf: what fits a number of JSON. Whoever made a higher one up gets no further.
const FIRST_MAX: u64 = 1 << 53;

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
    /// aside as `journal.torn`, or as [`LOST`] if it is more than that. A new one begins with leaf 0.
    pub(super) fn open(dir: &Path) -> Result<(Self, u64, Vec<Vec<u8>>), LedgerError> {
        let path = dir.join(FILE);
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
            put_aside(dir, torn, first + leaves.len() as u64)?;
            file.set_len(end).map_err(failed())?;
            file.sync_all().map_err(failed())?;
        }
        Ok((Self { path, file, end }, first, leaves))
    }

    /// Replaces the journal by one that begins at `first` with these leaves; durable on return.
    pub(super) fn create(dir: &Path, first: u64, leaves: &[Vec<u8>]) -> Result<Self, LedgerError> {
        let path = dir.join(FILE);
        let mut whole = head(first).to_vec();
        for (index, leaf) in (first..).zip(leaves) {
            // Each is settled: they come to be there together.
            whole.extend_from_slice(&framed(index, std::slice::from_ref(leaf))?);
        }
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
    let path = dir.join(FILE);
    let bytes = match disk::read(&path, JOURNAL_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        other => other.map_err(LedgerError::disk(&path))?,
    };
    let bytes =
        bytes.ok_or_else(|| LedgerError::damaged(&path, "it is longer than a journal can be"))?;
    let first = head_of(&bytes)
        .ok_or_else(|| LedgerError::damaged(&path, "its head is not that of a journal"))?;
    let (leaves, used) = frames_of(bytes.get(HEAD_BYTES..).unwrap_or_default(), first);
    let bad = first + leaves.len() as u64;
    let rest = bytes.get(HEAD_BYTES + used..).unwrap_or_default();
    if is_lost(rest, bad) {
        let what = format!("leaf {bad} does not fit its CRC, and had been durable");
        return Err(LedgerError::damaged(path, what));
    }
    Ok((first, leaves))
}

/// Keeps what is cut off: for whoever wants to know, and so that a loss is not forgotten.
fn put_aside(dir: &Path, torn: &[u8], bad: u64) -> Result<(), LedgerError> {
    let bytes = torn.len();
    let lost = dir.join(LOST);
    if is_lost(torn, bad) && !lost.exists() {
        tracing::error!(
            bytes,
            leaf = bad,
            "the ledger's journal is damaged within: leaves that had been durable are lost; journal.lost holds what is left"
        );
        return disk::put(&lost, torn).map_err(LedgerError::disk(&lost));
    }
    tracing::warn!(
        bytes,
        "the end of the ledger's journal was torn, as by a power cut; it had not been reported durable"
    );
    // A full disk must not keep the ledger from opening.
    drop(fs::write(dir.join("journal.torn"), torn));
    Ok(())
}

/// Whether what follows a frame that does not fit, that of leaf `bad`, shows that it had been durable.
fn is_lost(torn: &[u8], bad: u64) -> bool {
    let candidates = (1..torn.len()).filter_map(|at| {
        let rest = torn.get(at..)?;
        let (length, is_settled) = length_of(rest)?;
        is_settled.then_some(rest.get(..FRAME_HEAD_BYTES + length)?)
    });
    // No text has bytes like those of a frame's head, so that there are no more candidates than frames.
    candidates.take(LEAVES_MAX).any(|frame| {
        let mut later = (bad..).skip(1).take(LEAVES_MAX);
        later.any(|index| frame_of(frame, index).is_some())
    })
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
    (first <= FIRST_MAX && bytes.get(..HEAD_BYTES)? == head(first)).then_some(first)
}

fn crc_of(index: u64, is_settled: bool, leaf: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let mark = if is_settled { SETTLED_INDEX } else { 0 };
    crc.update(&(index | mark).to_le_bytes());
    crc.update(leaf);
    crc.finalize()
}

/// The frames of leaves that are appended together, the first of which has this index and is settled.
pub(super) fn framed(first: u64, leaves: &[Vec<u8>]) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = Vec::new();
    for (index, leaf) in (first..).zip(leaves) {
        let length = u32::try_from(leaf.len()).unwrap_or(u32::MAX);
        if leaf.len() > LEAF_BYTES_MAX {
            return Err(lineside_proto::ledger::LeafError::TooLong(leaf.len()).into());
        }
        let is_settled = index == first;
        let mark = if is_settled { SETTLED } else { 0 };
        bytes.extend_from_slice(&(length | mark).to_le_bytes());
        bytes.extend_from_slice(&crc_of(index, is_settled, leaf).to_le_bytes());
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

/// The length that a frame says its leaf has, if it can be one, and whether it is settled.
fn length_of(frame: &[u8]) -> Option<(usize, bool)> {
    let word = u32::from_le_bytes(frame.get(..4)?.try_into().ok()?);
    let length = usize::try_from(word & !SETTLED).ok()?;
    let fits = (1..=LEAF_BYTES_MAX).contains(&length);
    fits.then_some((length, word & SETTLED != 0))
}

fn frame_of(bytes: &[u8], index: u64) -> Option<&[u8]> {
    let (length, is_settled) = length_of(bytes)?;
    let crc = u32::from_le_bytes(bytes.get(4..FRAME_HEAD_BYTES)?.try_into().ok()?);
    let leaf = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length)?;
    (crc == crc_of(index, is_settled, leaf)).then_some(leaf)
}

/// Removes what an interrupted replacement left.
pub(super) fn tidy(dir: &Path) {
    // There is none, usually.
    drop(fs::remove_file(dir.join("journal.new")));
}
