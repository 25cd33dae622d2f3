//! Leaves that no signed head covers yet, on disk before the broker is told that we have them.
//!
//! Each process of an archive writes files of its own, `pending/{member}/{number}.leaves`, for all gateways together, so
//! that one wait for the disk serves all. Whoever keeps a gateway's log reads the files of the others, too: leaves of one
//! gateway may reach any of them. A frame: length, CRC-32 over what follows, then one line `site/gateway/epoch/index` and
//! the leaf's bytes; numbers little-endian. A torn frame ends a file. One without an epoch, of an earlier version, is
//! passed over: nobody knows whose leaf it is. Nothing here is more than a help: what is missing is asked for from the
//! gateway.
//!
//! Bounds: a file `FILE_BYTES_MAX`, or twice what waits, if that is more; `FILES_KEPT` files; a new file begins with all
//! leaves that still wait. A start adds a file only behind one with leaves, and the next pass removes the oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lineside_proto::Identifier;
use lineside_proto::ledger::LEAF_BYTES_MAX;

use crate::ledger::disk;

/// Bytes after which another file begins.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Files that are kept, so that others can read them to their end.
const FILES_KEPT: u64 = 4;
const FRAME_HEAD_BYTES: usize = 8;
/// Bytes of a frame's contents at most: two identifiers, a number, a leaf.
const FRAME_BYTES_MAX: usize = LEAF_BYTES_MAX + 256;
/// Bytes that are read of one file at once.
const READ_BYTES_MAX: u64 = 4 << 20;
/// Files of one member that are looked at, the newest of all.
const LISTED_MAX: usize = 1_000;
/// Entries of a folder that are gone through: what a century of starts leaves.
const ENTRIES_MAX: usize = 1_000_000;
/// Numbers that are tried for a file whose name is taken: nobody else writes into this folder but by mistake.
const TAKEN_MAX: u64 = 1_000;
/// What ends a file's name.
const ENDING: &str = ".leaves";
/// The name of a file that is not whole yet.
const DRAFT: &str = "next.new";

/// A leaf that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Waiting {
    pub(super) site: Identifier,
    pub(super) gateway: Identifier,
    /// The epoch that was known when it came; a leaf itself names none.
    pub(super) epoch: u32,
    pub(super) index: u64,
    pub(super) leaf: Vec<u8>,
}

impl Waiting {
    fn frame(&self, into: &mut Vec<u8>) {
        let Self {
            site,
            gateway,
            epoch,
            index,
            ..
        } = self;
        let line = format!("{site}/{gateway}/{epoch}/{index}\n");
        let length = u32::try_from(line.len() + self.leaf.len()).unwrap_or(u32::MAX);
        let mut crc = crc32fast::Hasher::new();
        crc.update(line.as_bytes());
        crc.update(&self.leaf);
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(&crc.finalize().to_le_bytes());
        into.extend_from_slice(line.as_bytes());
        into.extend_from_slice(&self.leaf);
    }

    /// The frame at the beginning, with its length; none in place of one that can't be used. None where no whole frame is.
    fn read(bytes: &[u8]) -> Option<(Option<Self>, usize)> {
        let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        let crc = u32::from_le_bytes(bytes.get(4..FRAME_HEAD_BYTES)?.try_into().ok()?);
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let body = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length)?;
        if crc32fast::hash(body) != crc {
            return None;
        }
        Some((Self::of(body), FRAME_HEAD_BYTES + length))
    }

    fn of(body: &[u8]) -> Option<Self> {
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let (line, leaf) = body.split_at(end);
        let mut parts = std::str::from_utf8(line).ok()?.splitn(4, '/');
        Some(Self {
            site: parts.next()?.parse().ok()?,
            gateway: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok()?,
            index: parts.next()?.parse().ok()?,
            leaf: leaf.get(1..)?.to_vec(),
        })
    }
}

/// The files that this process writes.
#[derive(Debug)]
pub(super) struct Pending {
    dir: PathBuf,
    number: u64,
    file: File,
    bytes: u64,
    /// Bytes of it that were carried over from the file before.
    carried: u64,
    /// Files before this one.
    before: u64,
    buffer: Vec<u8>,
}

impl Pending {
    /// Begins a new file in this member's folder; those of before stay until [`roll`](Self::roll).
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        disk::make_dirs(dir)?;
        let mut before = numbers(dir)?;
        let last = before.last().copied();
        // What can't be written to stays as it is, and the next number is used.
        let empty = last.and_then(|last| Some((last, open_empty(dir, last)?)));
        let (number, file) = match empty {
            Some(empty) => {
                before.pop();
                empty
            }
            None => create(dir, last.unwrap_or(0).saturating_add(1))?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            number,
            file,
            bytes: 0,
            carried: 0,
            before: before.len() as u64,
            buffer: Vec::new(),
        })
    }

    /// Adds a leaf; durable after [`settle`](Self::settle).
    pub(super) fn add(&mut self, waiting: &Waiting) {
        waiting.frame(&mut self.buffer);
    }

    /// Makes durable what was added.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self
            .file
            .write_all(&self.buffer)
            .and_then(|()| self.file.sync_data());
        if written.is_err() {
            // What was written in part must not stand before what comes next.
            let cut = self.file.set_len(self.bytes);
            drop(cut.and_then(|()| self.file.seek(SeekFrom::Start(self.bytes))));
            self.buffer.clear();
            return written;
        }
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Bytes of the file of now.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether another file should begin.
    pub(super) fn is_full(&self) -> bool {
        // Carrying over costs as much as was carried: not before as much has come anew.
        self.before >= FILES_KEPT || self.bytes - self.carried >= FILE_BYTES_MAX.max(self.carried)
    }

    /// Begins another file with the leaves that still wait, and removes the oldest. It has its name only once it is whole
    /// and durable: where the disk refuses, the file of now goes on, and nothing is left behind.
    pub(super) fn roll<'a>(
        &mut self,
        waiting: impl Iterator<Item = Waiting> + 'a,
    ) -> io::Result<()> {
        // One that is there already was not made by this process, or was not taken into use.
        let last = numbers(&self.dir)?.last().copied().unwrap_or(0);
        let number = self.number.max(last).saturating_add(1);
        let path = path_of(&self.dir, number);
        let draft = self.dir.join(DRAFT);
        let begun = begin(&draft, waiting).and_then(|begun| {
            fs::rename(&draft, &path)?;
            Ok(begun)
        });
        let (file, bytes) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                drop(fs::remove_file(&draft));
                return Err(error);
            }
        };
        if let Err(error) = disk::sync(&self.dir) {
            drop(fs::remove_file(&path));
            return Err(error);
        }
        (self.file, self.number) = (file, number);
        (self.bytes, self.carried) = (bytes, bytes);
        let kept = number.saturating_sub(FILES_KEPT);
        self.before = 0;
        for old in numbers(&self.dir)?.into_iter().filter(|old| *old <= kept) {
            match fs::remove_file(path_of(&self.dir, old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Writes a file that holds these leaves; durable on return. Gives it, and its length.
fn begin(path: &Path, waiting: impl Iterator<Item = Waiting>) -> io::Result<(File, u64)> {
    let mut file = File::create(path)?;
    let mut bytes = 0;
    let mut buffer = Vec::new();
    for one in waiting {
        one.frame(&mut buffer);
        if buffer.len() >= 1 << 20 {
            file.write_all(&buffer)?;
            bytes += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.write_all(&buffer)?;
    bytes += buffer.len() as u64;
    file.sync_all()?;
    Ok((file, bytes))
}

/// How far the files of others have been read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    places: BTreeMap<PathBuf, u64>,
}

impl Reading {
    /// Reads what a member has written since the last time, in order, of each file so much at once. What can't be read is
    /// left for later. Gives whether there is more.
    pub(super) fn next(&mut self, dir: &Path, mut leaf: impl FnMut(Waiting)) -> io::Result<bool> {
        let mut more = false;
        let paths: Vec<_> = numbers(dir)?
            .into_iter()
            .map(|number| path_of(dir, number))
            .collect();
        self.places
            .retain(|path, _| path.parent() != Some(dir) || paths.contains(path));
        for path in paths {
            let place = self.places.entry(path.clone()).or_default();
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let about = file.metadata()?;
            if !about.is_file() || about.len() <= *place {
                continue;
            }
            file.seek(SeekFrom::Start(*place))?;
            let mut bytes = Vec::new();
            file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
            let mut used = 0;
            while let Some((waiting, length)) = bytes.get(used..).and_then(Waiting::read) {
                used += length;
                waiting.into_iter().for_each(&mut leaf);
            }
            *place += used as u64;
            // A file that ends in a torn frame does not go on.
            more |= used > 0 && bytes.len() as u64 == READ_BYTES_MAX;
        }
        Ok(more)
    }
}

/// The numbers of a member's newest files, in order.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let number = |name: &str| name.strip_suffix(ENDING)?.parse().ok();
    let mut numbers = BTreeSet::new();
    for entry in entries.take(ENTRIES_MAX).flatten() {
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            numbers.insert(number);
            if numbers.len() > LISTED_MAX {
                numbers.pop_first();
            }
        }
    }
    Ok(numbers.into_iter().collect())
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}{ENDING}"))
}

/// The file of this number if nothing is in it: there are no more files after many starts than there were leaves.
fn open_empty(dir: &Path, number: u64) -> Option<File> {
    let file = OpenOptions::new().write(true).open(path_of(dir, number));
    file.ok()
        .filter(|file| file.metadata().is_ok_and(|about| about.len() == 0))
}

/// Makes the file of this number, or of the next that is not taken.
fn create(dir: &Path, number: u64) -> io::Result<(u64, File)> {
    let mut number = number;
    for _ in 0..TAKEN_MAX {
        let path = path_of(dir, number);
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.saturating_add(1);
            }
            Err(error) => return Err(error),
            Ok(file) => {
                disk::sync(dir)?;
                return Ok((number, file));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests;
