//! Kept notes: of those that are signed often one an hour (UTC) is kept for good, so that a period of long ago has
//! a signed head near its begin and its end; and of each hour one that each witness has cosigned, which need not be the
//! same. The newest that was cosigned is kept beside them until another is: nothing else may say so much.
//!
//! In `notes/` below the ledger's directory, a file a month (`2026-11`), a line a note: CRC-32 of what follows the
//! blank as eight hexadecimal digits, a blank, and `{"at":…,"note":…}`. Lines are only appended. A line that is torn
//! or does not fit its CRC is passed over, and takes no other with it. A later line over the same tree takes
//! the place of the earlier, so that a note can get more signatures. `newest` is such a line alone, written anew each time.
//! Another epoch begins with an empty folder.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use lineside_proto::Time;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note, Signature};
use serde::{Deserialize, Serialize};

use super::disk;

/// The folder below the ledger's directory.
const FOLDER: &str = "notes";
/// Bytes of a month's file at most: 744 notes, each written anew with each of sixteen witnesses' signatures.
const MONTH_BYTES_MAX: usize = 32 << 20;
/// Notes that are kept of an hour: its first, and at most one for each of sixteen witnesses.
const HOUR_NOTES_MAX: usize = 17;
/// Files that are looked at: 50 years. Of more the newest count.
const MONTHS_MAX: usize = 600;
/// Notes that are listed at most, so that memory is bounded whatever the files hold: 50 years of hours.
const NOTES_MAX: usize = 450_000;
/// Notes that are known where only the newest are of use: those of an hour, and of the one before it.
const NEWEST_MAX: usize = 2 * HOUR_NOTES_MAX;
/// Bytes of a month's file in which those are.
const NEWEST_BYTES: u64 = 256 << 10;
/// Files that are looked at for them: the newest by its name may be one of a time that never was.
const NEWEST_MONTHS: usize = 2;
/// Bytes of a line at most: a note in which everything is escaped, and what is around it.
const LINE_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + 128;
/// What stands before the JSON of a line.
const MARK_BYTES: usize = 9;

/// What stands in the place of the month of the newest cosigned note, and the name of its file.
const NEWEST: u32 = 0;
const NEWEST_FILE: &str = "newest";

/// A UTC hour.
const HOUR_MS: i64 = 3_600_000;

/// A kept note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// When the newest leaf that it speaks for was established.
    pub at: Time,
    /// The signed note.
    pub note: String,
}

/// Where a kept note stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    spot: Spot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spot {
    /// The year times 100, and the month.
    month: u32,
    offset: u64,
    length: usize,
}

#[derive(Serialize, Deserialize)]
struct Line {
    at: Time,
    note: String,
}

/// The kept notes of a ledger.
#[derive(Debug)]
pub(crate) struct Notes {
    dir: PathBuf,
    origin: String,
    spots: BTreeMap<u64, Spot>,
    /// Notes that are known at most.
    most: usize,
    /// The hour of the note that was kept last.
    hour: Option<i64>,
}

impl Notes {
    /// The notes of a ledger's directory that are of this origin. What can't be read counts as none.
    pub(crate) fn open(ledger: &Path, origin: &str) -> Self {
        let mut notes = Self::none(ledger, origin, NOTES_MAX);
        if notes.path(NEWEST).exists() {
            notes.look(NEWEST);
            // It is no note of an hour.
            notes.hour = None;
        }
        for month in notes.months(MONTHS_MAX) {
            notes.look(month);
        }
        notes
    }

    /// The same for whoever only adds notes: the newest alone are known, so that a thousand ledgers take little room.
    pub(crate) fn open_newest(ledger: &Path, origin: &str) -> Self {
        let mut notes = Self::none(ledger, origin, NEWEST_MAX);
        for month in notes.months(NEWEST_MONTHS) {
            notes.look_at_end(month);
        }
        notes
    }

    fn none(ledger: &Path, origin: &str, most: usize) -> Self {
        Self {
            dir: ledger.join(FOLDER),
            origin: origin.to_owned(),
            spots: BTreeMap::new(),
            most,
            hour: None,
        }
    }

    /// The newest months of which there are files, in order.
    fn months(&self, most: usize) -> Vec<u32> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut months: Vec<u32> = entries
            .filter_map(|entry| month_of(entry.file_name().to_str()?))
            .collect();
        months.sort_unstable();
        let over = months.len().saturating_sub(most);
        months.split_off(over)
    }

    /// Takes note of what a month's file holds at its end.
    fn look_at_end(&mut self, month: u32) {
        let path = self.path(month);
        match end_of(&path) {
            Ok(Some((offset, bytes))) => self.take(month, offset, &bytes),
            Ok(None) => unreadable(&path, "it is no file"),
            Err(error) => unreadable(&path, &error.to_string()),
        }
    }

    /// Takes note of what a month's file holds.
    fn look(&mut self, month: u32) {
        let path = self.path(month);
        let bytes = match disk::read(&path, MONTH_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return unreadable(&path, "it is no file, or longer than one can be"),
            Err(error) => return unreadable(&path, &error.to_string()),
        };
        self.take(month, 0, &bytes);
    }

    /// Takes note of the lines of a month's file from this place on.
    fn take(&mut self, month: u32, offset: u64, bytes: &[u8]) {
        let mut offset = offset;
        let mut damaged = 0_u64;
        for text in bytes.split(|byte| *byte == b'\n') {
            let spot = Spot {
                month,
                offset,
                length: text.len(),
            };
            offset = offset.saturating_add(u64::try_from(text.len()).unwrap_or(0) + 1);
            if text.is_empty() {
                continue;
            }
            let Some((line, head)) = read(text).filter(|(_, head)| head.origin == self.origin)
            else {
                damaged += 1;
                continue;
            };
            self.insert(head.size, spot, line.at);
        }
        if damaged > 0 {
            tracing::warn!(
                path = %self.path(month).display(),
                damaged,
                "kept notes can't be read and are left out"
            );
        }
    }

    fn insert(&mut self, size: u64, spot: Spot, at: Time) {
        self.spots.insert(size, spot);
        if self.spots.len() > self.most {
            self.spots.pop_first();
        }
        self.hour = Some(hour(at));
    }

    fn path(&self, month: u32) -> PathBuf {
        if month == NEWEST {
            return self.dir.join(NEWEST_FILE);
        }
        let name = format!("{:04}-{:02}", month / 100, month % 100);
        self.dir.join(name)
    }

    /// The sizes within a range, smallest first.
    pub(crate) fn sizes(&self, sizes: Range<u64>) -> Vec<u64> {
        if sizes.is_empty() {
            return Vec::new();
        }
        self.spots.range(sizes).map(|(size, _)| *size).collect()
    }

    /// Where the note over so many leaves stands.
    pub(crate) fn place(&self, size: u64) -> Option<Place> {
        let spot = *self.spots.get(&size)?;
        let path = self.path(spot.month);
        Some(Place { path, spot })
    }

    /// Keeps a note, the newest leaf of which was established at this time, if it is the first of its hour. One that
    /// can't be written is not kept: the newest note stands all the same.
    pub(crate) fn keep(&mut self, at: Time, note: &str) {
        if self.hour == Some(hour(at)) {
            return;
        }
        if let Err(error) = self.put(at, note) {
            tracing::warn!(%error, "a signed note can't be kept");
        }
    }

    /// The same for a ledger of somebody else, whose times may be wrong: only hours after the one that was kept last, so
    /// that there are never more of them than have passed. A last hour that is still to come does not count.
    pub(crate) fn keep_later(&mut self, at: Time, note: &str, now: Time) {
        let is_kept = |kept: i64| hour(at) <= kept && kept <= hour(now);
        if !self.hour.is_some_and(is_kept) {
            self.keep(at, note);
        }
    }

    /// Keeps cosignatures of a tree of `size` leaves, the newest of which was established at this time: in the note that
    /// is kept of it, or with `note`, which has them, if one of these witnesses has cosigned no kept note of its hour. Given the same
    /// again, nothing is written. What can't be written is not kept.
    pub(super) fn cosign(&mut self, at: Time, note: &Note, lines: &[Signature], size: u64) {
        let place = self.place(size);
        let is_newest = place
            .as_ref()
            .is_some_and(|place| place.spot.month == NEWEST);
        let kept = place.and_then(|place| place.read(size));
        let kept_of_hour = kept.is_some();
        let lacks = self.lacks(at, lines, size);
        let (at, note) = match kept {
            Some(kept) => {
                let Ok(mut merged) = Note::parse(&kept.note) else {
                    return;
                };
                if !merge(&mut merged, lines) {
                    return;
                }
                (kept.at, merged)
            }
            None => (at, note.clone()),
        };
        let current = self.hour;
        let is_of_hour = lacks || kept_of_hour && !is_newest;
        let put = if is_of_hour {
            self.put(at, &note.to_string())
        } else {
            self.put_newest(at, &note.to_string())
        };
        if let Err(error) = put {
            tracing::warn!(%error, "a cosigned note can't be kept");
        }
        // The first of an hour is kept as if this had not come in between.
        self.hour = current.or(self.hour);
    }

    /// Whether one of these keys has signed none of the notes that are kept of this hour.
    fn lacks(&self, at: Time, lines: &[Signature], size: u64) -> bool {
        let mut lacking: Vec<&Signature> = lines.iter().collect();
        let before = self.spots.range(..size).rev();
        let after = self.spots.range(size.saturating_add(1)..);
        let sides: [&mut dyn Iterator<Item = _>; 2] = [&mut { before }, &mut { after }];
        for side in sides {
            let side = side.filter(|(_, spot)| spot.month != NEWEST);
            for (size, _) in side.take(HOUR_NOTES_MAX) {
                let kept = self.place(*size).and_then(|place| place.read(*size));
                let Some(kept) = kept.filter(|kept| hour(kept.at) == hour(at)) else {
                    break;
                };
                if let Ok(kept) = Note::parse(&kept.note) {
                    lacking.retain(|one| !has(&kept, one));
                }
            }
        }
        !lacking.is_empty()
    }

    /// Writes the newest note that was cosigned, in the place of the one before; durable on return.
    pub(crate) fn put_newest(&mut self, at: Time, note: &str) -> io::Result<()> {
        let head = head(note).filter(|head| head.origin == self.origin);
        let size = head.ok_or(io::ErrorKind::InvalidInput)?.size;
        let newest = self.spots.iter().find(|(_, spot)| spot.month == NEWEST);
        let newest = newest.map(|(size, _)| *size);
        let is_kept = newest != Some(size) && self.spots.contains_key(&size);
        if is_kept || newest.is_some_and(|newest| newest > size) {
            return Ok(());
        }
        let text = written(at, note)?;
        disk::make_dirs(&self.dir)?;
        disk::put(&self.path(NEWEST), &text)?;
        self.spots.retain(|_, spot| spot.month != NEWEST);
        let spot = Spot {
            month: NEWEST,
            offset: 0,
            length: text.len(),
        };
        self.spots.insert(size, spot);
        Ok(())
    }

    /// Writes a note; durable on return. One over a tree of which a note is kept takes that one's place; it must say
    /// the same.
    pub(crate) fn put(&mut self, at: Time, note: &str) -> io::Result<()> {
        let wrong = |what: &'static str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let head = head(note).filter(|head| head.origin == self.origin);
        let head = head.ok_or_else(|| wrong("no note of this ledger"))?;
        let before = self
            .place(head.size)
            .and_then(|place| place.read(head.size));
        let same = before.is_none_or(|before| self::head(&before.note).as_ref() == Some(&head));
        if !same {
            return Err(wrong("another tree of that size was signed"));
        }
        let month = month_at(at).ok_or_else(|| wrong("a time of no month"))?;
        let text = written(at, note)?;
        let path = self.path(month);
        let offset = append(&path, &text)?;
        let spot = Spot {
            month,
            offset,
            length: text.len(),
        };
        self.insert(head.size, spot, at);
        Ok(())
    }
}

impl Place {
    /// The note that stands here; none if it is not over so many leaves any more, or damaged.
    pub(crate) fn read(&self, size: u64) -> Option<Kept> {
        if self.spot.length > LINE_BYTES_MAX || !fs::metadata(&self.path).ok()?.is_file() {
            return None;
        }
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.spot.offset)).ok()?;
        let mut text = vec![0; self.spot.length];
        file.read_exact(&mut text).ok()?;
        let (Line { at, note }, head) = read(&text)?;
        (head.size == size).then_some(Kept { at, note })
    }
}

/// Whether a note bears a signature of the same key.
fn has(note: &Note, signature: &Signature) -> bool {
    let mut signatures = note.signatures.iter();
    signatures.any(|one| one.name == signature.name && one.hash == signature.hash)
}

/// Adds signatures of keys that have none in the note: of two cosignatures of one tree the earlier says more. Says
/// whether there were any.
pub(super) fn merge(note: &mut Note, lines: &[Signature]) -> bool {
    let before = note.signatures.len();
    for signature in lines {
        if !has(note, signature) {
            note.signatures.push(signature.clone());
        }
    }
    note.signatures.len() > before
}

/// The last lines of a file, and where they begin; none if it is no file.
fn end_of(path: &Path) -> io::Result<Option<(u64, Vec<u8>)>> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Ok(None);
    }
    let from = about.len().saturating_sub(NEWEST_BYTES);
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(NEWEST_BYTES).read_to_end(&mut bytes)?;
    if from == 0 {
        return Ok(Some((0, bytes)));
    }
    // The first line may have lost its begin.
    let torn = bytes.iter().position(|byte| *byte == b'\n');
    let whole = bytes.split_off(torn.map_or(bytes.len(), |torn| torn + 1));
    let offset = from.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
    Ok(Some((offset, whole)))
}

fn unreadable(path: &Path, why: &str) {
    tracing::warn!(path = %path.display(), why, "kept notes can't be read and are left out");
}

fn hour(at: Time) -> i64 {
    at.as_millis().div_euclid(HOUR_MS)
}

/// The month of a file's name.
fn month_of(name: &str) -> Option<u32> {
    let (year, month) = name.split_once('-')?;
    let is_number = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|digit| digit.is_ascii_digit())
    };
    if !is_number(year, 4) || !is_number(month, 2) {
        return None;
    }
    let month = month
        .parse()
        .ok()
        .filter(|month| (1..=12).contains(month))?;
    year.parse::<u32>()
        .ok()?
        .checked_mul(100)?
        .checked_add(month)
}

/// The month of a time, UTC.
fn month_at(at: Time) -> Option<u32> {
    month_of(at.to_string().get(..7)?)
}

fn head(note: &str) -> Option<Checkpoint> {
    Checkpoint::parse(&Note::parse(note).ok()?.text).ok()
}

fn written(at: Time, note: &str) -> io::Result<Vec<u8>> {
    let line = Line {
        at,
        note: note.to_owned(),
    };
    let json = serde_json::to_vec(&line)?;
    let mut text = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    text.extend_from_slice(&json);
    if text.len() > LINE_BYTES_MAX {
        let what = "the note is longer than one can be";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(text)
}

fn read(text: &[u8]) -> Option<(Line, Checkpoint)> {
    let (mark, json) = text.split_at_checked(MARK_BYTES)?;
    if text.len() > LINE_BYTES_MAX || format!("{:08x} ", crc32fast::hash(json)).as_bytes() != mark {
        return None;
    }
    let line: Line = serde_json::from_slice(json).ok()?;
    let head = head(&line.note)?;
    Some((line, head))
}

/// Appends a line to a file; durable on return. Gives where it begins: behind a torn one, on a line of its own.
fn append(path: &Path, text: &[u8]) -> io::Result<u64> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    disk::make_dirs(parent)?;
    let is_new = !path.exists();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let mut bytes = Vec::with_capacity(text.len() + 2);
    if last != *b"\n" {
        bytes.push(b'\n');
    }
    let begin = length + u64::try_from(bytes.len()).unwrap_or(0);
    bytes.extend_from_slice(text);
    bytes.push(b'\n');
    let end = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    if usize::try_from(end).map_or(true, |end| end > MONTH_BYTES_MAX) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    file.write_all(&bytes)?;
    file.sync_all()?;
    if is_new {
        disk::sync(parent)?;
    }
    Ok(begin)
}

#[cfg(test)]
mod tests;
