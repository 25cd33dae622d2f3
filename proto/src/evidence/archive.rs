//! A zip file, read by its own directory and within bounds: what one reader takes for an entry must be what every
//! other takes for it, so whatever zip readers are known to disagree about is refused.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

use super::entry::{BUNDLE_BYTES_MAX, ENTRIES_MAX};

/// Bytes of a record's fixed part.
const HEADER: usize = 30;
const CENTRAL: usize = 46;
const END: usize = 22;
const LOCATOR: usize = 20;
const END64: usize = 56;

/// Bytes of the directory at most: [`ENTRIES_MAX`] records with the longest names that bundles have, and the extra
/// fields that zip writers add.
const DIRECTORY_BYTES_MAX: u64 = ENTRIES_MAX * 256;

/// Deflate makes nothing longer than by five bytes in each 16 KiB, however badly it is done.
const DEFLATE_OVER: u64 = 1024;

/// What is wrong with a zip file.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It can't be read from where it is.
    #[error("it can't be read")]
    Read(#[from] io::Error),
    /// Not a zip file, or a damaged one.
    #[error("no zip file, or a damaged one: {0}")]
    Form(&'static str),
    /// A zip file of a kind that bundles are not.
    #[error("{name}: {fault}")]
    Entry {
        /// The entry, as far as its name can be told.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// More than the bounds allow.
    #[error("{what}: {found}, of {max} at most")]
    Bound {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        max: u64,
    },
}

/// How an entry is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    Stored,
    Deflated,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    method: Method,
    offset: u64,
    packed: u64,
    bytes: u64,
}

/// A zip file.
#[derive(Debug)]
pub(super) struct Archive<R> {
    source: R,
    places: BTreeMap<String, Place>,
    /// Where the directory begins: all entries end before.
    directory: u64,
}

/// An entry's bytes as they are in the file, to be inflated anywhere.
#[derive(Debug)]
pub(super) struct Packed {
    method: Method,
    bytes: Vec<u8>,
}

impl Packed {
    /// The entry's own bytes. Whoever reads bounds them.
    pub(super) fn reader(&self) -> Box<dyn Read + '_> {
        match self.method {
            Method::Stored => Box::new(self.bytes.as_slice()),
            Method::Deflated => Box::new(DeflateDecoder::new(self.bytes.as_slice())),
        }
    }
}

/// Numbers out of a record, little-endian; 0 beyond its end, which is ruled out before.
fn number(record: &[u8], at: usize, bytes: usize) -> u64 {
    let field = record.get(at..at + bytes).unwrap_or_default();
    field
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn length(record: &[u8], at: usize) -> usize {
    usize::try_from(number(record, at, 2)).unwrap_or(0)
}

/// What the end of the file says of the directory.
struct Directory {
    count: u64,
    bytes: u64,
    offset: u64,
    /// Where the directory must end at the latest.
    before: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory.
    pub(super) fn open(mut source: R) -> Result<Self, ArchiveError> {
        let size = source.seek(SeekFrom::End(0))?;
        bound("bytes of the file", size, BUNDLE_BYTES_MAX)?;
        let found = find(&mut source, size)?;
        bound("entries", found.count, ENTRIES_MAX)?;
        bound("bytes of the directory", found.bytes, DIRECTORY_BYTES_MAX)?;
        if found.offset.checked_add(found.bytes) != Some(found.before) {
            return Err(ArchiveError::Form("its directory is not where it says"));
        }
        let records = read_at(&mut source, found.offset, found.bytes)?;
        let places = places(&records, found.count, found.offset)?;
        Ok(Self {
            source,
            places,
            directory: found.offset,
        })
    }

    /// The entries' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The length that the directory says of an entry.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        self.places.get(name).map(|place| place.bytes)
    }

    /// An entry of at most so many bytes, not inflated yet.
    pub(super) fn packed(&mut self, name: &str, bytes_max: u64) -> Result<Packed, ArchiveError> {
        let fault = |fault: &'static str| ArchiveError::Entry {
            name: name.to_owned(),
            fault,
        };
        let place = *self.places.get(name).ok_or_else(|| fault("is missing"))?;
        if place.bytes > bytes_max {
            return Err(ArchiveError::Bound {
                what: "bytes of an entry",
                found: place.bytes,
                max: bytes_max,
            });
        }
        if place.packed > place.bytes + place.bytes / 1024 + DEFLATE_OVER {
            return Err(fault("takes more bytes than deflating it could give"));
        }
        let header = read_at(&mut self.source, place.offset, HEADER as u64)?;
        let same = number(&header, 0, 4) == 0x0403_4b50
            && method(number(&header, 6, 2), number(&header, 8, 2)) == Ok(place.method);
        let (name_bytes, extra_bytes) = (length(&header, 26), length(&header, 28));
        let at = place.offset + HEADER as u64;
        let said = read_at(&mut self.source, at, name_bytes as u64)?;
        if !same || said != name.as_bytes() {
            return Err(fault("is another entry where it stands"));
        }
        let at = at + name_bytes as u64 + extra_bytes as u64;
        if at
            .checked_add(place.packed)
            .is_none_or(|end| end > self.directory)
        {
            return Err(fault("reaches into the directory"));
        }
        let bytes = read_at(&mut self.source, at, place.packed)?;
        let method = place.method;
        Ok(Packed { method, bytes })
    }
}

fn bound(what: &'static str, found: u64, max: u64) -> Result<(), ArchiveError> {
    if found > max {
        return Err(ArchiveError::Bound { what, found, max });
    }
    Ok(())
}

/// Reads so many bytes from a place. The caller has bounded them.
fn read_at(source: &mut (impl Read + Seek), at: u64, bytes: u64) -> Result<Vec<u8>, ArchiveError> {
    source.seek(SeekFrom::Start(at))?;
    let mut read = Vec::new();
    source.by_ref().take(bytes).read_to_end(&mut read)?;
    if read.len() as u64 != bytes {
        return Err(ArchiveError::Form("it breaks off"));
    }
    Ok(read)
}

/// Finds the record at the end of the file.
fn find(source: &mut (impl Read + Seek), size: u64) -> Result<Directory, ArchiveError> {
    const NONE: ArchiveError = ArchiveError::Form("it has no directory");
    let reach = size.min((END + LOCATOR + usize::from(u16::MAX)) as u64);
    let tail = read_at(source, size - reach, reach)?;
    let last = tail.len().checked_sub(END).ok_or(NONE)?;
    // The comment behind the record must end with the file.
    let ends = |at: &usize| {
        let record = tail.get(*at..).unwrap_or_default();
        number(record, 0, 4) == 0x0605_4b50 && END + length(record, 20) == record.len()
    };
    let place = (0..=last).rev().find(ends).ok_or(NONE)?;
    let record = tail.get(place..).unwrap_or_default();
    let before = size - reach + place as u64;
    let found = Directory {
        count: number(record, 10, 2),
        bytes: number(record, 12, 4),
        offset: number(record, 16, 4),
        before,
    };
    let disks = number(record, 4, 2) + number(record, 6, 2);
    if found.count == 0xffff || found.bytes == 0xffff_ffff || found.offset == 0xffff_ffff {
        let locator = place
            .checked_sub(LOCATOR)
            .and_then(|at| tail.get(at..place));
        return find_64(source, locator.ok_or(NONE)?, before);
    }
    if disks != 0 || number(record, 8, 2) != found.count {
        return Err(ArchiveError::Form("it is one of several parts"));
    }
    Ok(found)
}

/// The same for files of more than 65,535 entries or 4 GiB.
fn find_64(
    source: &mut (impl Read + Seek),
    locator: &[u8],
    before: u64,
) -> Result<Directory, ArchiveError> {
    const BAD: ArchiveError = ArchiveError::Form("its zip64 directory is not where it says");
    let at = number(locator, 8, 8);
    let fits = number(locator, 0, 4) == 0x0706_4b50
        && at.checked_add((END64 + LOCATOR) as u64) == Some(before);
    if !fits {
        return Err(BAD);
    }
    let record = read_at(source, at, END64 as u64)?;
    let whole = number(&record, 0, 4) == 0x0606_4b50
        && number(&record, 4, 8) == (END64 - 12) as u64
        && number(&record, 16, 8) == 0
        && number(&record, 24, 8) == number(&record, 32, 8);
    if !whole {
        return Err(BAD);
    }
    Ok(Directory {
        count: number(&record, 32, 8),
        bytes: number(&record, 40, 8),
        offset: number(&record, 48, 8),
        before: at,
    })
}

fn method(flags: u64, method: u64) -> Result<Method, &'static str> {
    // Bits 0, 6 and 13: encrypted in one of three ways; bit 5: a patch.
    if flags & (1 | 1 << 5 | 1 << 6 | 1 << 13) != 0 {
        return Err("is encrypted");
    }
    match method {
        0 => Ok(Method::Stored),
        8 => Ok(Method::Deflated),
        _ => Err("is neither stored nor deflated"),
    }
}

/// Reads the directory's records.
fn places(
    mut records: &[u8],
    count: u64,
    directory: u64,
) -> Result<BTreeMap<String, Place>, ArchiveError> {
    let mut places = BTreeMap::new();
    let mut sum: u64 = 0;
    for _ in 0..count {
        let (name, place, rest) = place(records)?;
        let fault = |fault: &'static str| ArchiveError::Entry {
            name: name.clone(),
            fault,
        };
        sum = sum.saturating_add(place.packed + HEADER as u64);
        if place.offset >= directory || sum > directory {
            return Err(fault("overlaps another entry"));
        }
        if place.method == Method::Stored && place.packed != place.bytes {
            return Err(fault("has two lengths"));
        }
        if places.insert(name.clone(), place).is_some() {
            return Err(fault("is there twice"));
        }
        records = rest;
    }
    if records.is_empty() {
        Ok(places)
    } else {
        Err(ArchiveError::Form(
            "its directory has more entries than it says",
        ))
    }
}

fn place(records: &[u8]) -> Result<(String, Place, &[u8]), ArchiveError> {
    const CUT: ArchiveError = ArchiveError::Form("its directory breaks off");
    let (record, rest) = records.split_at_checked(CENTRAL).ok_or(CUT)?;
    if number(record, 0, 4) != 0x0201_4b50 {
        return Err(ArchiveError::Form("its directory is damaged"));
    }
    let (name, rest) = rest.split_at_checked(length(record, 28)).ok_or(CUT)?;
    let (extra, rest) = rest.split_at_checked(length(record, 30)).ok_or(CUT)?;
    let (_, rest) = rest.split_at_checked(length(record, 32)).ok_or(CUT)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let fault = |fault: &'static str| ArchiveError::Entry {
        name: name.clone(),
        fault,
    };
    let method = method(number(record, 8, 2), number(record, 10, 2)).map_err(fault)?;
    let mut wide = Wide::of(extra);
    let mut wide = |short: u64| match short {
        0xffff_ffff => wide.next().ok_or_else(|| fault("lacks its zip64 lengths")),
        short => Ok(short),
    };
    // In this order, those that have no room in the record.
    let bytes = wide(number(record, 24, 4))?;
    let packed = wide(number(record, 20, 4))?;
    let offset = wide(number(record, 42, 4))?;
    let place = Place {
        method,
        offset,
        packed: packed.min(BUNDLE_BYTES_MAX + 1),
        bytes,
    };
    Ok((name, place, rest))
}

/// The numbers of the zip64 extra field.
struct Wide<'a>(&'a [u8]);

impl<'a> Wide<'a> {
    fn of(mut extra: &'a [u8]) -> Self {
        while let Some((head, rest)) = extra.split_at_checked(4) {
            let Some((field, rest)) = rest.split_at_checked(length(head, 2)) else {
                break;
            };
            if number(head, 0, 2) == 1 {
                return Self(field);
            }
            extra = rest;
        }
        Self(&[])
    }

    fn next(&mut self) -> Option<u64> {
        let (wide, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some(number(wide, 0, 8))
    }
}
