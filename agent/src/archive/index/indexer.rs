//! What brings the index up to where the logs are: it pulls, part by part, and goes on where it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use lineside_proto::LocalText;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::tile::{Kind, Tile, WIDTH, hashes};
use lineside_proto::ledger::{Checkpoint, Hash};
use serde::Deserialize;

use super::reach::Reach;
use super::write::{Batch, Cursor};
use super::{Index, IndexError, Place};
use crate::archive::Shelf;
use crate::ledger::{LedgerError, View};
use crate::logs::chain;
use crate::maps::Maps;

/// Bytes of leaves that are read and written together, near enough: some thousand leaves, some megabytes as rows.
pub(super) const PART_BYTES: usize = 1 << 20;

/// Parts of a log before the next log has its turn, so that a long one keeps nobody waiting.
const PARTS_A_TURN: usize = 8;

/// How often one looks without being woken.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// How long one waits after a first failure, and at most. What was written meanwhile makes the next a first one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How often one looks for the names of machines whose map's text was not there yet.
const NAMES_EVERY: Duration = Duration::from_secs(60);

/// Faults of logs that are remembered, so that each is told once.
const FAULTS_MAX: usize = 10_000;

/// What brings the index up to where the logs are.
#[derive(Debug)]
pub struct Indexer {
    shelf: Shelf,
    index: Arc<Index>,
    faults: BTreeMap<Place, String>,
    named: Option<Instant>,
    part_bytes: usize,
    /// Leaves that were written since this began.
    written: u64,
    /// Whether the tables were there once.
    is_begun: bool,
}

/// What a round did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Round {
    /// Leaves that were written.
    pub leaves: u64,
    /// Logs that have leaves that could not be read.
    pub faults: u64,
    /// Whether it was broken off.
    pub is_stopped: bool,
}

/// How far a log's turn came.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Turn {
    /// To its head.
    Done,
    /// Not to its head yet.
    More(Cursor),
    /// Nowhere.
    Fault,
}

impl Indexer {
    /// For the logs of a shelf.
    pub fn new(shelf: Shelf, index: Arc<Index>) -> Self {
        Self {
            shelf,
            index,
            faults: BTreeMap::new(),
            named: None,
            part_bytes: PART_BYTES,
            written: 0,
            is_begun: false,
        }
    }

    /// The same in smaller parts, so that few leaves are many batches.
    #[cfg(test)]
    pub(super) fn in_parts(mut self, part_bytes: usize) -> Self {
        self.part_bytes = part_bytes;
        self
    }

    /// Works until nobody can wake it any more; on a thread of its own. A word through `wakes` makes it look at once.
    pub fn run(mut self, wakes: &Receiver<()>) {
        let mut failed: Option<Duration> = None;
        loop {
            let mut is_woken = false;
            let before = self.written;
            let round = self.round(&mut || match wakes.try_recv() {
                Ok(()) => {
                    is_woken = true;
                    false
                }
                Err(TryRecvError::Empty) => false,
                Err(TryRecvError::Disconnected) => true,
            });
            let was_failing = failed.is_some();
            let last = failed.filter(|_| self.written == before);
            failed = match round {
                Ok(round) if round.is_stopped => return,
                Ok(_) => None,
                Err(error) => {
                    if last.is_none() {
                        let what = chain(&error);
                        tracing::warn!("the index is not written, and tried again: {what}");
                    }
                    Some(last.map_or(BACKOFF.0, |last| (last * 2).min(BACKOFF.1)))
                }
            };
            if failed.is_none() && was_failing {
                tracing::info!("the index is written again");
            }
            let is_over = match failed {
                Some(backoff) => pause(wakes, backoff),
                None if is_woken => false,
                None => matches!(
                    wakes.recv_timeout(LOOK_EVERY),
                    Err(RecvTimeoutError::Disconnected)
                ),
            };
            if is_over {
                return;
            }
        }
    }

    /// Brings all logs to where their heads are now. `is_over` is asked between parts.
    ///
    /// # Errors
    ///
    /// The store's; what was written stands. A log that can't be read keeps no other one back.
    pub fn round(&mut self, is_over: &mut dyn FnMut() -> bool) -> Result<Round, IndexError> {
        let mut done = Round::default();
        if !self.is_begun {
            self.index.begin(&self.shelf)?;
            self.is_begun = true;
        }
        let mut cursors = match self.index.cursors() {
            Err(IndexError::Odd(what)) => {
                tracing::warn!("the index is made anew: {what}");
                self.index.renew()?;
                BTreeMap::new()
            }
            other => other?,
        };
        let mut logs = self.shelf.logs()?;
        while !logs.is_empty() {
            let mut later = Vec::new();
            for place in logs {
                let cursor = cursors.remove(&place).unwrap_or_default();
                match self.turn(&place, cursor, &mut done, is_over)? {
                    Turn::Done => {
                        self.faults.remove(&place);
                    }
                    Turn::More(cursor) => {
                        cursors.insert(place.clone(), cursor);
                        later.push(place);
                    }
                    Turn::Fault => done.faults += 1,
                }
                if done.is_stopped {
                    return Ok(done);
                }
            }
            logs = later;
        }
        self.name()?;
        Ok(done)
    }

    /// A log's turn. What is wrong with the log itself is told, once.
    fn turn(
        &mut self,
        place: &Place,
        cursor: Cursor,
        done: &mut Round,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Turn, IndexError> {
        let fault = match self.advance(place, cursor, done, is_over) {
            Err(error @ (IndexError::Log { .. } | IndexError::Leaf { .. })) => chain(&error),
            other => return other,
        };
        if self.faults.get(place) != Some(&fault) && self.faults.len() < FAULTS_MAX {
            tracing::warn!("not in the index: {fault}");
            self.faults.insert(place.clone(), fault);
        }
        Ok(Turn::Fault)
    }

    fn advance(
        &mut self,
        place: &Place,
        mut cursor: Cursor,
        done: &mut Round,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Turn, IndexError> {
        let head = self.shelf.head(place);
        let Some((_, head)) =
            head.map_err(|error| unread(place)(disk(&self.shelf, place, error)))?
        else {
            return Ok(Turn::Done);
        };
        if head.size == cursor.size && head.root.to_string() == cursor.root {
            return Ok(Turn::Done);
        }
        let log = Log::open(&self.shelf, place)?;
        if !log.continues(&cursor)? {
            tracing::warn!(
                "log {place}: its rows are of another history, and made anew from the tiles"
            );
            self.index.clear(place)?;
            cursor = Cursor::default();
        }
        for _ in 0..PARTS_A_TURN {
            if cursor.size >= log.size {
                return Ok(Turn::Done);
            }
            if is_over() {
                done.is_stopped = true;
                return Ok(Turn::Done);
            }
            let part = self.part_bytes;
            let before = cursor.size;
            cursor = log.write(&self.index, cursor, (log.size, part), done)?;
            self.written += cursor.size - before;
        }
        Ok(Turn::More(cursor))
    }

    fn name(&mut self) -> Result<(), IndexError> {
        let now = Instant::now();
        if self.named.is_some_and(|named| now - named < NAMES_EVERY) {
            return Ok(());
        }
        let shelf = &self.shelf;
        self.index.name(&|place, map| name(shelf, place, map))?;
        self.named = Some(now);
        Ok(())
    }
}

/// Waits for so long, whoever wakes; says whether it is over.
fn pause(wakes: &Receiver<()>, pause: Duration) -> bool {
    let end = Instant::now() + pause;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match wakes.recv_timeout(left) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

/// A log, to be read into an index.
pub(super) struct Log<'a> {
    shelf: &'a Shelf,
    place: &'a Place,
    view: View,
    origin: String,
    /// Leaves below its signed head.
    pub(super) size: u64,
}

impl<'a> Log<'a> {
    pub(super) fn open(shelf: &'a Shelf, place: &'a Place) -> Result<Self, IndexError> {
        // The kept notes are of no use here, and there are thousands of them: none lie in the log's own folder.
        let dir = shelf.log_dir(place);
        let view = View::of_log(&dir, &dir).map_err(unread(place))?;
        let note = view.checkpoint();
        let note = note.as_deref().and_then(|note| Note::parse(note).ok());
        let head = note.and_then(|note| Checkpoint::parse(&note.text).ok());
        Ok(Self {
            shelf,
            place,
            origin: head
                .as_ref()
                .map(|head| head.origin.clone())
                .unwrap_or_default(),
            size: head.map_or(0, |head| head.size).min(view.size()),
            view,
        })
    }

    /// Whether the log's first leaves are those that the cursor tells.
    pub(super) fn continues(&self, cursor: &Cursor) -> Result<bool, IndexError> {
        Ok(cursor.size <= self.size && self.root(cursor.size)? == cursor.root)
    }

    fn root(&self, size: u64) -> Result<String, IndexError> {
        let root = self.view.root_at(size).map_err(unread(self.place))?;
        Ok(root.to_string())
    }

    /// Writes the next leaves, not beyond `end`, and about so many bytes of them; gives how far the index is then.
    pub(super) fn write(
        &self,
        index: &Index,
        before: Cursor,
        (end, part_bytes): (u64, usize),
        done: &mut Round,
    ) -> Result<Cursor, IndexError> {
        let (leaves, size) = self.read(before.size, (end, part_bytes))?;
        let root = self.root(size)?;
        let after = Cursor { size, root };
        index.write(&Batch {
            place: self.place,
            origin: &self.origin,
            before: &before,
            after: &after,
            leaves: &leaves,
            reach: Reach {
                names: &|map| name(self.shelf, self.place, map),
                leaf: &|leaf| {
                    let (leaves, _) = self.read(leaf, (leaf.saturating_add(1), 1))?;
                    Ok(leaves.into_iter().next().map(|(_, bytes)| bytes))
                },
            },
        })?;
        done.leaves += size - before.size;
        Ok(after)
    }

    /// The next leaves, and the one after the last of them.
    #[expect(clippy::type_complexity, reason = "used twice, here")]
    fn read(
        &self,
        from: u64,
        (end, part_bytes): (u64, usize),
    ) -> Result<(Vec<(u64, Vec<u8>)>, u64), IndexError> {
        let read = self.view.read(from, part_bytes);
        let mut leaves = read.map_err(unread(self.place))?;
        leaves.retain(|(leaf, _)| *leaf < end);
        self.compare(&leaves)?;
        let Some((last, _)) = leaves.last() else {
            let what = "its bundles end before its head".to_owned();
            let path = self.shelf.log_dir(self.place);
            return Err(unread(self.place)(LedgerError::Damaged { path, what }));
        };
        let next = last.saturating_add(1);
        Ok((leaves, next))
    }

    /// Whether the leaves from here on can be read, so that whoever writes the index comes to the log's end.
    pub(super) fn sound(&self, from: u64) -> Result<(), IndexError> {
        let mut next = from;
        while next < self.size {
            (_, next) = self.read(next, (self.size, PART_BYTES))?;
        }
        Ok(())
    }

    /// Whether these leaves are those of the tree: what rots on a disk is not told as verified.
    fn compare(&self, leaves: &[(u64, Vec<u8>)]) -> Result<(), IndexError> {
        let mut tile: Option<(u64, Vec<Hash>)> = None;
        for (leaf, bytes) in leaves {
            let number = leaf / WIDTH;
            if tile.as_ref().is_none_or(|(held, _)| *held != number) {
                tile = Some((number, self.hashes(number)?));
            }
            let place = usize::try_from(leaf % WIDTH).unwrap_or(usize::MAX);
            let known = tile.as_ref().and_then(|(_, hashes)| hashes.get(place));
            if known != Some(&Hash::of_leaf(bytes)) {
                return Err(IndexError::Leaf {
                    place: self.place.clone(),
                    leaf: *leaf,
                });
            }
        }
        Ok(())
    }

    /// The hashes of the leaves of a bundle, as the tree has them.
    fn hashes(&self, number: u64) -> Result<Vec<Hash>, IndexError> {
        let width = (self.view.size() - number * WIDTH).min(WIDTH);
        let tile = Tile {
            kind: Kind::Hashes(0),
            index: number,
            width,
        };
        let bytes = self.view.tile(tile).map_err(unread(self.place))?;
        Ok(bytes
            .and_then(|bytes| hashes(&bytes, width).ok())
            .unwrap_or_default())
    }
}

fn unread(place: &Place) -> impl FnOnce(LedgerError) -> IndexError + use<> {
    let place = place.clone();
    move |source| IndexError::Log { place, source }
}

fn disk(shelf: &Shelf, place: &Place, source: std::io::Error) -> LedgerError {
    let path = shelf.log_dir(place).join("checkpoint");
    LedgerError::Disk { path, source }
}

/// What is wanted of a map's text.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: LocalText,
}

/// A machine's name, as the text of its map gives it.
fn name(shelf: &Shelf, place: &Place, map: &str) -> Option<LocalText> {
    let dir = shelf.gateway_dir(&place.site, &place.gateway);
    let text = Maps::of(&dir).text(map)?;
    let Named { name } = serde_json::from_str(&text).ok()?;
    super::records::name(name.zh_cn, name.en)
}
