//! One log's copy: what is in its tiles, what waits for a signed head, and which heads were shown.
//!
//! Leaves come unsigned, and in any order. They wait in memory (and in the archive's own write-ahead files) until a
//! head that a trusted key has signed covers them and their root is the one that it commits to; only then they go into
//! tiles. What does not fit is thrown away and asked for from the gateway itself. Plain code: no clock, no network.
//!
//! Bounds: `AHEAD_LEAVES_MAX` leaves and `AHEAD_BYTES_MAX` bytes ahead of the tiles, `SEEN_MAX` heads.

mod beside;
mod claim;
mod commit;
mod fetch;
mod noted;
mod proofs;
mod signed;
mod take;
mod texts;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use lineside_proto::Time;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use lineside_proto::ledger::tile::{Kind as TileKind, Tile, WIDTH};
use lineside_proto::ledger::tree::{Hash, Range};
use lineside_proto::ledger::{Checkpoint, Leaf, verify};

pub(super) use beside::VAIN_MAX;
pub(super) use commit::{Step, Stepped};
pub(super) use fetch::Question;
pub(super) use noted::KEYS_MAX;
pub(super) use noted::keys_at;
pub(super) use take::{LeafTaken, NoteTaken};

use self::beside::Beside;
use self::claim::{Claim, Coming};
use self::fetch::Fetch;
use self::texts::{Text, Texts};
use super::alarm::{Alarm, Kind};
use super::place::Place;
use super::record::{Record, Stopped};
use super::shelf::Shelf;
use super::succession::{change_in, changes_in, parsed};
use crate::ledger::notes::Notes;
use crate::ledger::tiles::{Taken, Tiles, bundle, leaves_of, take_bundles, take_tail};
use crate::ledger::{LedgerError, disk};
use crate::slots::Slots;

/// Leaves that are taken in beyond the tiles: a part that is asked for, and what comes meanwhile.
pub(super) const AHEAD_LEAVES_MAX: u64 = 8_192 + 256;
/// Bytes of them: leaves have four hundred bytes, and four kilobytes at most.
pub(super) const AHEAD_BYTES_MAX: usize = 8 << 20;
/// Heads beyond the checkpoint that are remembered; each must fit when the tiles reach it, so that none is forgotten: where
/// so many wait, no other is taken. A gateway signs one in five minutes, and they wait only while it does not answer.
const SEEN_MAX: usize = 256;
/// Bytes of leaves that are looked through for changes of keys at once.
const RECALLED_BYTES: usize = 1 << 20;

/// A head that a trusted key has signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// The note: its text and the trusted keys' signatures, and cosignatures.
    pub(super) note: Arc<str>,
    /// What it commits to.
    pub(super) checkpoint: Checkpoint,
}

/// Why a log can't be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum MirrorError {
    /// The disk refuses: try again later.
    #[error("the copy can't be read or written")]
    Disk(#[from] io::Error),
    /// Its files do not fit together: it must be fetched anew.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// It can't be used as it is: somebody must look at it.
    #[error("the copy can't be used: {0}")]
    Other(String),
}

impl From<LedgerError> for MirrorError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Disk { source, .. } => Self::Disk(source),
            damaged @ LedgerError::Damaged { .. } => Self::Damaged(crate::logs::chain(&damaged)),
            other @ (LedgerError::Held { .. }
            | LedgerError::KeyHeld { .. }
            | LedgerError::Full { .. }
            | LedgerError::Key(_)
            | LedgerError::Leaf(_)
            | LedgerError::Prior(_)
            | LedgerError::Alone { .. }
            | LedgerError::Unheard
            | LedgerError::Beyond { .. }
            | LedgerError::Broken) => Self::Other(crate::logs::chain(&other)),
        }
    }
}

/// One log's copy.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) place: Place,
    dir: PathBuf,
    pub(super) record: Record,
    slots: Slots,
    keys: Vec<VerifierKey>,
    tiles: Tiles,
    range: Range,
    /// The leaves of the bundle that grows.
    tail: Vec<Vec<u8>>,
    /// The newest head whose leaves are all in tiles.
    pub(super) head: Option<Head>,
    /// Heads beyond the tiles.
    seen: BTreeMap<u64, Head>,
    ahead: BTreeMap<u64, Vec<u8>>,
    ahead_bytes: usize,
    notes: Notes,
    /// The hour of the cosigned note that was kept last.
    kept_hour: Option<i64>,
    fetch: Fetch,
    /// Leaves below which no head is reached: a larger one was cosigned, or was held, and must fit as well.
    floor: u64,
    /// Texts of maps and tokens that leaves name and the archive has not.
    texts: Texts,
    /// What the newest leaf in tiles says of its own time.
    last: Option<Time>,
    /// Changes of the key among the leaves that wait.
    coming: Vec<Coming>,
    /// A head that only a key can have signed of which nothing is known yet.
    claim: Claim,
    /// How it stands to the epochs beside it.
    beside: Beside,
}

impl Mirror {
    /// Opens a log's copy, or begins one. `keys` are those of its cards.
    pub(super) fn open(
        shelf: &Shelf,
        place: &Place,
        origin: &str,
        keys: &[VerifierKey],
    ) -> Result<Self, MirrorError> {
        let dir = shelf.log_dir(place);
        let kept = shelf.kept_dir(place);
        disk::make_dirs(&dir)?;
        disk::make_dirs(&kept)?;
        let slots = Slots::open(&kept.join("record"))?;
        let mut record = record_of(&slots, origin)?;
        let mut all = keys.to_vec();
        let more = parsed(&record.keys).into_iter();
        all.extend(more.filter(|key| !keys.contains(key)));
        let head = match head_on_disk(&dir, &all, origin) {
            Err(MirrorError::Damaged(_)) => {
                add_brought(&mut all, shelf, place, (origin, record.size));
                head_on_disk(&dir, &all, origin)?
            }
            other => other?,
        };
        let (size, root) = match &head {
            Some(head) if head.checkpoint.size >= record.size => {
                (head.checkpoint.size, Some(head.checkpoint.root))
            }
            _ => (record.size, Hash::from_base64(&record.root)),
        };
        let (tiles, range, tail) = grown(&dir, size)?;
        if size > 0 && Some(range.root()) != root {
            let what = format!("its {size} leaves have another root than was recorded");
            return Err(MirrorError::Damaged(what));
        }
        let recorded = record.size;
        if size > recorded {
            // Its name may not be durable yet, and the record must not be ahead of it.
            disk::sync(&dir)?;
        }
        record.size = size;
        record.root = range.root().to_string();
        let last = tail.last().and_then(|bytes| Leaf::from_bytes(bytes).ok());
        let last = last.map(|leaf| leaf.head.at).or(record.newest);
        let reaching = record.reaching.take();
        let looked = record.texts.min(size);
        let mut mirror = Self {
            place: place.clone(),
            notes: Notes::open_newest(&kept, origin),
            dir,
            record,
            slots,
            keys: all,
            tiles,
            range,
            last,
            tail,
            head,
            seen: BTreeMap::new(),
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
            kept_hour: None,
            fetch: Fetch::default(),
            floor: 0,
            texts: Texts::open(
                &shelf.gateway_dir(&place.site, &place.gateway),
                &kept,
                looked,
            ),
            coming: Vec::new(),
            claim: Claim::default(),
            beside: Beside::default(),
        };
        mirror.reaches(reaching);
        mirror.recall_keys(recorded)?;
        mirror.cited()?;
        Ok(mirror)
    }

    /// Goes on towards a head that leaves beyond the checkpoint are under.
    fn reaches(&mut self, note: Option<String>) {
        let head = note.and_then(|note| self.trusted(&note).ok());
        if let Some(head) = head.filter(|_| !self.is_stopped()) {
            self.record.reaching = Some(head.note.to_string());
            self.floor = head.checkpoint.size;
            self.seen.insert(head.checkpoint.size, head);
        }
    }

    /// Finds changes of keys beyond what was recorded: the checkpoint may have become durable before its record.
    fn recall_keys(&mut self, recorded: u64) -> Result<(), MirrorError> {
        let mut next = recorded;
        while next < self.size() {
            let leaves = self.read(next, RECALLED_BYTES)?;
            let Some((last, _)) = leaves.last() else {
                break;
            };
            next = last + 1;
            for (index, bytes) in &leaves {
                if let Some(change) = change_in(bytes) {
                    self.follow(*index, &change);
                }
            }
        }
        Ok(())
    }

    /// Leaves in tiles, from one on: about so many bytes.
    fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, MirrorError> {
        let mut taken = Taken::new(from, bytes_max);
        let bundled = self.size() / WIDTH * WIDTH;
        take_bundles(&self.dir, bundled, &mut taken)?;
        take_tail(bundled, &self.tail, &mut taken);
        Ok(taken.leaves())
    }

    /// The log's origin.
    pub(super) fn origin(&self) -> &str {
        &self.record.origin
    }

    /// Leaves in tiles.
    pub(super) fn size(&self) -> u64 {
        self.range.size()
    }

    /// Whether nothing more of it is taken.
    pub(super) fn is_stopped(&self) -> bool {
        self.record.stopped.is_some()
    }

    /// Bytes of leaves that wait.
    pub(super) fn ahead_bytes(&self) -> usize {
        self.ahead_bytes
    }

    /// The leaves that wait, in order.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.ahead
            .iter()
            .map(|(index, leaf)| (*index, leaf.as_slice()))
    }

    /// Whether a head was shown whose leaves are not all here.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_stopped()
            && self
                .newest()
                .is_some_and(|newest| newest.checkpoint.size > self.committed())
    }

    /// Whether anything of it is still to come: leaves under a head that was shown, or texts that leaves name.
    pub(super) fn is_wanting(&self) -> bool {
        self.is_behind() && !self.is_given_up()
            || !self.is_stopped() && (self.wants_texts() || self.is_to_look())
    }

    /// Whether all that is here was cosigned, or nothing of it is any more.
    pub(super) fn is_cosigned(&self) -> bool {
        let last = self
            .record
            .cosigned
            .as_ref()
            .map_or(0, |cosigned| cosigned.size);
        self.is_stopped() || last >= self.committed()
    }

    /// The newest head that was shown, committed or not.
    pub(super) fn newest(&self) -> Option<&Head> {
        self.seen.values().next_back().or(self.head.as_ref())
    }

    /// The keys that cards name now; those that a change of keys has brought stay.
    pub(super) fn enrol(&mut self, keys: &[VerifierKey]) {
        for key in keys {
            if !self.keys.contains(key) {
                self.keys.push(key.clone());
            }
        }
    }

    /// The proof that the first `old` leaves are still the first of `new`; both are in tiles.
    pub(super) fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.tiles.consistency(old, new)
    }

    /// The root over the first leaves, which are in tiles.
    pub(super) fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        self.tiles.root_at(size)
    }

    /// Notes that something was refused; after some kinds nothing more is taken. Gives whether it is to be written.
    pub(super) fn refuse(&mut self, alarm: &Alarm, proof: &str, at: Time) -> io::Result<()> {
        self.record.alarms += 1;
        if alarm.kind.stops() {
            self.record.prior = None;
            self.record.unproved = None;
        }
        self.record.disowned |= alarm.kind == Kind::Prior;
        if alarm.kind.stops() && self.record.stopped.is_none() {
            self.record.stopped = Some(Stopped {
                kind: alarm.kind.to_string(),
                text: alarm.text.clone(),
                proof: proof.to_owned(),
                at,
            });
            self.forget_ahead();
            self.seen.clear();
        }
        self.write_record()
    }

    /// Leaves of the newest head whose leaves are all here.
    pub(super) fn committed(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.checkpoint.size)
    }

    /// Takes in a note that was cosigned, or held before: no smaller head is reached without it.
    pub(super) fn recall(&mut self, note: &str, size: u64) -> Result<NoteTaken, MirrorError> {
        self.floor = self.floor.max(size);
        self.take_note(note)
    }

    /// The heads that were shown and are not in tiles, oldest first.
    pub(super) fn heads(self) -> impl Iterator<Item = Arc<str>> {
        self.seen.into_values().map(|head| head.note)
    }

    /// Forgets a leaf that waits: it could not be made durable.
    pub(super) fn forget_leaf(&mut self, index: u64) {
        if let Some(leaf) = self.ahead.remove(&index) {
            self.ahead_bytes -= leaf.len();
        }
        self.coming.retain(|coming| coming.at() != index);
    }

    fn forget_ahead(&mut self) {
        self.ahead.clear();
        self.coming.clear();
        self.ahead_bytes = 0;
    }

    fn write_record(&mut self) -> io::Result<()> {
        self.record.keys = self.keys.iter().map(ToString::to_string).collect();
        self.slots.write(&serde_json::to_vec(&self.record)?)
    }
}

/// Adds the keys that leaves have brought which are not recorded: the checkpoint may have become durable before its record,
/// or the record may be lost.
fn add_brought(
    keys: &mut Vec<VerifierKey>,
    shelf: &Shelf,
    place: &Place,
    (origin, recorded): (&str, u64),
) {
    let view = shelf.view(place);
    let changes = view.and_then(|view| changes_in(&view, recorded));
    for (_, change) in changes.unwrap_or_default() {
        let brought = change.verified(origin);
        let brought = brought.filter(|(old, new)| keys.contains(old) && !keys.contains(new));
        if let Some((_, new)) = brought.filter(|_| keys.len() < KEYS_MAX) {
            keys.push(new);
        }
    }
}

/// The tree of so many leaves, and those of the bundle that grows.
fn grown(dir: &std::path::Path, size: u64) -> Result<(Tiles, Range, Vec<Vec<u8>>), MirrorError> {
    let first = size / WIDTH * WIDTH;
    let mut tiles = Tiles::open(dir, first)?;
    let range = Range::from_parts(first, tiles.peaks(first)?);
    let mut range = range
        .ok_or_else(|| MirrorError::Damaged("its tiles are not those of its size".to_owned()))?;
    let tail = tail_on_disk(dir, size)?;
    for leaf in &tail {
        let hash = Hash::of_leaf(leaf);
        range.push(hash, |_, _, _| {});
        // Fewer than a bundle: nothing gets full.
        drop(tiles.push(hash));
    }
    Ok((tiles, range, tail))
}

/// What is known of a log of this origin.
fn record_of(slots: &Slots, origin: &str) -> Result<Record, MirrorError> {
    let record = slots.read();
    let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    let mut record = record.unwrap_or_default();
    if !record.origin.is_empty() && record.origin != origin {
        // The card names another ledger now: what was is kept aside by whoever changed the card.
        return Err(MirrorError::Other(format!(
            "it is of the ledger {}, and the card names {origin}: move this folder away",
            record.origin
        )));
    }
    origin.clone_into(&mut record.origin);
    Ok(record)
}

/// The checkpoint that lies there; none where there is none yet.
fn head_on_disk(
    dir: &std::path::Path,
    keys: &[VerifierKey],
    origin: &str,
) -> Result<Option<Head>, MirrorError> {
    let path = dir.join("checkpoint");
    let bytes = match disk::read(&path, NOTE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let damaged = |what: &str| MirrorError::Damaged(format!("checkpoint: {what}"));
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| damaged("no text"))?;
    let checkpoint = verify::checkpoint(&text, keys, origin);
    let checkpoint = checkpoint.map_err(|error| damaged(&crate::logs::chain(&error)))?;
    let note = text.into();
    Ok(Some(Head { note, checkpoint }))
}

/// The leaves of the bundle that grew when the tiles had this size.
fn tail_on_disk(dir: &std::path::Path, size: u64) -> Result<Vec<Vec<u8>>, MirrorError> {
    let width = size % WIDTH;
    if width == 0 {
        return Ok(Vec::new());
    }
    let tile = |width| Tile {
        kind: TileKind::Entries,
        index: size / WIDTH,
        width,
    };
    let is_there = |tile: &Tile| dir.join(tile.to_string()).is_file();
    let found = [tile(width), tile(WIDTH)].into_iter().find(is_there);
    let found = found.unwrap_or_else(|| tile(width));
    let bytes = bundle(dir, found)?;
    let leaves = leaves_of(dir, found, &bytes)?;
    let count = usize::try_from(width).unwrap_or(0);
    Ok(leaves.into_iter().take(count).map(<[u8]>::to_vec).collect())
}
