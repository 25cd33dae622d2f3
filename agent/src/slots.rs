//! A small record that is replaced as a whole and survives whatever interrupts the writing.
//!
//! Two files, `{path}.0` and `{path}.1`, take turns. Each holds a head (magic, CRC-32, generation, length)
//! and the record; a write goes over the older one in place and is fsynced before it counts. Whatever
//! tears or flips one file leaves the other, which holds the record as it was one write before. In
//! place means that a record that does not grow can be written on a full disk.
//!
//! It does not lock the files and does not know what the record means. A record is at most
//! [`RECORD_BYTES_MAX`] long.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a record at most, so that a damaged length can't ask for more memory than a gateway has.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

const MAGIC: [u8; 4] = *b"LSR1";
const HEAD_BYTES: usize = 20;

/// Files grow in these steps, so that records of changing length seldom need new room on disk.
const GRAIN_BYTES: usize = 16 << 10;

/// A record in two files that take turns.
#[derive(Debug)]
pub struct Slots {
    files: [File; 2],
    /// The file with the newest good record.
    newest: Option<usize>,
    generation: u64,
    damaged: bool,
}

impl Slots {
    /// Opens the record, creating its files where there are none.
    ///
    /// # Errors
    /// When the files can't be created, read or synced.
    pub fn open(path: &Path) -> io::Result<Self> {
        let files = [open_slot(path, "0")?, open_slot(path, "1")?];
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        let mut slots = Self {
            files,
            newest: None,
            generation: 0,
            damaged: false,
        };
        for (place, file) in slots.files.iter().enumerate() {
            match load(file)? {
                Slot::Empty => {}
                Slot::Damaged => slots.damaged = true,
                Slot::Good(generation, _) => {
                    if slots.newest.is_none() || generation > slots.generation {
                        slots.newest = Some(place);
                        slots.generation = generation;
                    }
                }
            }
        }
        Ok(slots)
    }

    /// The newest good record; none where none was ever written or both are damaged.
    pub fn read(&self) -> Option<Vec<u8>> {
        let file = self.files.get(self.newest?)?;
        match load(file) {
            Ok(Slot::Good(_, record)) => Some(record),
            Ok(Slot::Empty | Slot::Damaged) | Err(_) => None,
        }
    }

    /// Whether one of the files held something that was no record when they were opened: a write was
    /// interrupted, or the disk is failing.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Replaces the record; when this returns it is on disk. After an error the record of before, or
    /// this one, stands.
    ///
    /// # Errors
    /// When the record is longer than [`RECORD_BYTES_MAX`], or the disk refuses it.
    pub fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let length = match u32::try_from(record.len()) {
            Ok(length) if record.len() <= RECORD_BYTES_MAX => length,
            Ok(_) | Err(_) => return Err(ErrorKind::FileTooLarge.into()),
        };
        let place = self.newest.map_or(0, |newest| 1 - newest);
        // A write that failed may have reached the disk, so its number is never given again.
        self.generation = self.generation.wrapping_add(1);
        let size = (HEAD_BYTES + record.len()).next_multiple_of(GRAIN_BYTES);
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(record);
        let crc = crc32fast::hash(bytes.get(8..).unwrap_or_default());
        if let Some(field) = bytes.get_mut(4..8) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        let [first, second] = &self.files;
        let file = if place == 0 { first } else { second };
        if file.metadata()?.len() < bytes.len() as u64 {
            bytes.resize(size, 0);
        }
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        self.newest = Some(place);
        Ok(())
    }
}

/// The newest good record at a path, read and left as it is; none where there is none. Whoever writes may be at it.
///
/// # Errors
/// When a file is there and can't be read.
pub fn look(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut newest: Option<(u64, Vec<u8>)> = None;
    for turn in ["0", "1"] {
        let file = match File::open(slot_path(path, turn)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Slot::Good(generation, record) = load(&file)? {
            if newest.as_ref().is_none_or(|(known, _)| generation > *known) {
                newest = Some((generation, record));
            }
        }
    }
    Ok(newest.map(|(_, record)| record))
}

fn slot_path(path: &Path, turn: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(turn);
    name.into()
}

enum Slot {
    Empty,
    Damaged,
    Good(u64, Vec<u8>),
}

fn open_slot(path: &Path, turn: &str) -> io::Result<File> {
    let name = slot_path(path, turn);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(name)
}

fn load(file: &File) -> io::Result<Slot> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Slot::Empty);
    }
    let bound = RECORD_BYTES_MAX + HEAD_BYTES + GRAIN_BYTES;
    let mut bytes = Vec::new();
    let mut start = file;
    io::Seek::rewind(&mut start)?;
    start.take(bound as u64).read_to_end(&mut bytes)?;
    Ok(parse(&bytes).map_or(Slot::Damaged, |(generation, record)| {
        Slot::Good(generation, record.to_vec())
    }))
}

fn parse(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if bytes.get(..4)? != MAGIC {
        return None;
    }
    let crc = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    let generation = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    let length = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
    let end = HEAD_BYTES.checked_add(usize::try_from(length).ok()?)?;
    if crc32fast::hash(bytes.get(8..end)?) != crc {
        return None;
    }
    Some((generation, bytes.get(HEAD_BYTES..end)?))
}

#[cfg(test)]
mod tests {
    use super::{GRAIN_BYTES, HEAD_BYTES, Slots};
    use proptest::prelude::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn file(path: &Path, turn: usize) -> PathBuf {
        path.with_extension(turn.to_string())
    }

    #[test]
    fn the_newest_record_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        let mut slots = Slots::open(&path).unwrap();
        assert_eq!(slots.read(), None);
        for length in [0, 1, 5, 100_000, 3, GRAIN_BYTES - HEAD_BYTES, GRAIN_BYTES] {
            let record = vec![u8::try_from(length % 251).unwrap(); length];
            slots.write(&record).unwrap();
            assert_eq!(slots.read(), Some(record.clone()), "{length}");
            assert_eq!(Slots::open(&path).unwrap().read(), Some(record));
        }
        assert!(!Slots::open(&path).unwrap().is_damaged());
        assert!(slots.write(&vec![0; super::RECORD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn both_damaged_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        let mut slots = Slots::open(&path).unwrap();
        for turn in 0..2 {
            slots.write(b"abc").unwrap();
            fs::write(file(&path, turn), b"LSR1 and then nothing of use").unwrap();
        }
        let mut slots = Slots::open(&path).unwrap();
        assert_eq!(slots.read(), None);
        assert!(slots.is_damaged());
        slots.write(b"new").unwrap();
        assert_eq!(Slots::open(&path).unwrap().read().unwrap(), b"new");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever happens to the file that was written last, the record of before is read, and the
        /// next write stands.
        #[test]
        fn damage_to_one_file_leaves_the_record_of_before(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 2..6),
            cut in any::<prop::sample::Index>(),
            flip in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("record");
            let mut slots = Slots::open(&path).unwrap();
            for record in &records {
                slots.write(record).unwrap();
            }
            drop(slots);
            let last = file(&path, (records.len() - 1) % 2);
            let mut bytes = fs::read(&last).unwrap();
            let used = HEAD_BYTES + records.last().unwrap().len();
            match flip {
                Some(place) => bytes[place.index(used)] ^= 0x10,
                None => bytes.truncate(cut.index(used)),
            }
            fs::write(&last, bytes).unwrap();
            let mut slots = Slots::open(&path).unwrap();
            prop_assert_eq!(slots.read(), records.get(records.len() - 2).cloned());
            slots.write(b"after").unwrap();
            prop_assert_eq!(Slots::open(&path).unwrap().read().unwrap(), b"after");
        }
    }
}
