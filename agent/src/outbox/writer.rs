//! Appending and committing.

use lineside_proto::{Gap, Identifier, Time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::disk;
use super::index::{self, Contents, IndexFile, name_of};
use super::owed::{self, owe};
use super::pack::{self, Draft, Pack};
use super::reserve::Reserve;
use super::room::{NEWBORN_BYTES, need};
use super::segment::Segment;
use super::shelf::{Shelf, Tail};
use super::store::{Store, lock};
use super::{PAYLOAD_BYTES_MAX, PENDING_BYTES_MAX, Record, RecordKind, StoreError};

/// How often room is made before a commit gives up. Few: where others take what is given up, the backlog must
/// not go within a moment.
const ROOM_TRIES: u32 = 4;

/// The writing side.
pub(super) struct Writer {
    pub index: IndexFile,
    pub next_seq: BTreeMap<Identifier, u64>,
    pub reserve: Reserve,
    compressor: zstd::bulk::Compressor<'static>,
    draft: Draft,
    pending: VecDeque<Pack>,
    /// Compressed bytes of what is pending.
    pub pending_bytes: usize,
    /// Gap documents that the index names and no segment holds yet.
    owing: Vec<Gap>,
    /// Segments that are off the shelf, and go once the index says so.
    pub gone: Vec<u64>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("pending_bytes", &self.pending_bytes)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer with nothing to write.
    pub(super) fn new(
        index: IndexFile,
        next_seq: BTreeMap<Identifier, u64>,
        reserve: Reserve,
    ) -> std::io::Result<Self> {
        Ok(Self {
            index,
            next_seq,
            reserve,
            compressor: pack::compressor()?,
            draft: Draft::default(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            owing: Vec::new(),
            gone: Vec::new(),
        })
    }

    /// The index of the shelf as it is, its tail as given.
    pub(super) fn note(
        &mut self,
        shelf: &mut Shelf,
        tail: Option<&Contents>,
    ) -> std::io::Result<Vec<u8>> {
        let mut owed = self.owing.clone();
        for gap in &shelf.owed {
            owe(&mut owed, gap.clone());
        }
        shelf.is_dirty = false;
        index::encode(shelf, &self.next_seq, tail, &owed)
    }

    fn close_draft(&mut self) -> std::io::Result<()> {
        if let Some(pack) = self.draft.close(&mut self.compressor)? {
            self.pending_bytes += pack.body.len();
            self.pending.push_back(pack);
        }
        Ok(())
    }

    fn pack_gaps(&mut self, stream: &str) -> std::io::Result<Vec<Pack>> {
        let mut packs = Vec::new();
        let mut draft = Draft::default();
        for gap in &self.owing {
            let record = Record::from(gap);
            draft.push(stream, &record, gap.seq_from.zip(gap.seq_to));
            if draft.is_ripe() {
                packs.extend(draft.close(&mut self.compressor)?);
            }
        }
        packs.extend(draft.close(&mut self.compressor)?);
        Ok(packs)
    }
}

impl Store {
    /// Takes records into the open pack.
    pub(super) fn append(&self, records: &[Record]) -> Result<(), StoreError> {
        let named: Vec<_> = records.iter().map(check).collect::<Result<_, _>>()?;
        let stream = lock(&self.shelf).stream.clone();
        let mut writer = lock(&self.writer);
        for (record, named) in records.iter().zip(named) {
            writer.draft.push(&stream, record, named);
            if writer.draft.is_ripe() {
                writer.close_draft().map_err(StoreError::disk(&self.dir))?;
            }
        }
        while writer.pending_bytes > PENDING_BYTES_MAX {
            self.drop_pending(&mut writer, &stream);
        }
        Ok(())
    }

    fn drop_pending(&self, writer: &mut Writer, stream: &str) {
        let Some(pack) = writer.pending.pop_front() else {
            writer.pending_bytes = 0;
            return;
        };
        writer.pending_bytes -= pack.body.len();
        pack.shares.pass(&mut writer.next_seq);
        let mut loss = owed::of_telemetry(&pack.shares, stream, "the disk took nothing");
        let records = pack::open(&pack.body, pack.raw_bytes, pack.count);
        let (_, records) = records.unwrap_or_default();
        let gaps = records
            .iter()
            .filter(|record| record.kind == RecordKind::Gap);
        loss.gaps.extend(gaps.filter_map(pack::gap_of));
        lock(&self.shelf).lose(loss);
    }

    /// Makes everything appended durable, making room first where it must.
    pub(super) fn commit(&self, now: Time) -> Result<u64, StoreError> {
        let mut writer = lock(&self.writer);
        writer.close_draft().map_err(StoreError::disk(&self.dir))?;
        lock(&self.shelf).pass_time(now);
        if std::mem::take(&mut lock(&self.shelf).is_room_needed) {
            // Opening a segment takes a little room; messages are not given up for it.
            self.give_up_spare(&mut writer);
        }
        let mut tries = 0;
        loop {
            let result = self.try_commit(&mut writer, now);
            let full = result.as_ref().is_err_and(StoreError::is_full);
            if !full || tries == ROOM_TRIES || !self.make_room(&mut writer) {
                return result;
            }
            tries += 1;
        }
    }

    fn try_commit(&self, writer: &mut Writer, now: Time) -> Result<u64, StoreError> {
        self.retire(writer, now)?;
        let stream = {
            let mut shelf = lock(&self.shelf);
            for gap in std::mem::take(&mut shelf.owed) {
                owe(&mut writer.owing, gap);
            }
            shelf.stream.clone()
        };
        let gaps = writer
            .pack_gaps(&stream)
            .map_err(StoreError::disk(&self.dir))?;
        if writer.pending.is_empty() && gaps.is_empty() {
            return self.write_index(writer);
        }
        let free = (self.limits.free)(&self.dir).map_err(StoreError::disk(&self.dir))?;
        if free < need(writer) {
            return Err(StoreError::Full {
                dir: self.dir.clone(),
            });
        }
        let stored = self
            .open_tail(&stream, now)
            .and_then(|(segment, contents)| self.store(writer, &segment, contents, &gaps));
        match stored {
            Ok(end) => {
                writer.reserve.ensure(free);
                Ok(end)
            }
            Err(error) => {
                // What sled may have half written is left behind, outside what the index names.
                self.close_tail();
                Err(error)
            }
        }
    }

    pub(super) fn write_index(&self, writer: &mut Writer) -> Result<u64, StoreError> {
        let mut shelf = lock(&self.shelf);
        if !shelf.is_dirty {
            return Ok(shelf.end);
        }
        let tail = shelf.tail.as_ref().map(|tail| tail.contents.clone());
        let record = writer.note(&mut shelf, tail.as_ref());
        let end = shelf.end;
        drop(shelf);
        let written = record.and_then(|record| writer.index.write(&record));
        written.map_err(|error| {
            lock(&self.shelf).is_dirty = true;
            StoreError::disk(&self.dir)(error)
        })?;
        Ok(end)
    }

    fn open_tail(&self, stream: &str, now: Time) -> Result<(Arc<Segment>, Contents), StoreError> {
        let mut shelf = lock(&self.shelf);
        if let Some(tail) = &shelf.tail {
            return Ok((Arc::clone(&tail.segment), tail.contents.clone()));
        }
        let contents = Contents::new(shelf.end, stream);
        drop(shelf);
        self.discard(contents.first);
        let segment = Segment::create(&self.dir, &contents.name());
        let segment = Arc::new(segment.map_err(|error| self.refusal(error))?);
        shelf = lock(&self.shelf);
        shelf.tail = Some(Tail {
            contents: contents.clone(),
            bytes: NEWBORN_BYTES,
            since: now,
            segment: Arc::clone(&segment),
        });
        Ok((segment, contents))
    }

    fn store(
        &self,
        writer: &mut Writer,
        segment: &Segment,
        mut contents: Contents,
        gaps: &[Pack],
    ) -> Result<u64, StoreError> {
        let mut marks = Vec::new();
        let pending = std::mem::take(&mut writer.pending);
        let put = pending.iter().chain(gaps).try_for_each(|pack| {
            segment.put(contents.end, pack)?;
            marks.extend(pack.shares.from().map(|from| (contents.end, from)));
            contents.end = contents.end.saturating_add(pack.count.into());
            contents.shares.merge(&pack.shares);
            Ok(())
        });
        let durable = put.and_then(|()| segment.sync());
        writer.pending = pending;
        durable.map_err(|error| self.refusal(error))?;
        contents.shares.pass(&mut writer.next_seq);
        let owing = std::mem::take(&mut writer.owing);
        let record = writer.note(&mut lock(&self.shelf), Some(&contents));
        if let Err(error) = record.and_then(|record| writer.index.write(&record)) {
            writer.owing = owing;
            return Err(StoreError::disk(&self.dir)(error));
        }
        writer.pending.clear();
        writer.pending_bytes = 0;
        Ok(self.publish(contents, marks))
    }

    fn publish(&self, contents: Contents, marks: Vec<(u64, Time)>) -> u64 {
        let bytes = disk::measure(&self.dir.join(contents.name()));
        let end = contents.end;
        let mut shelf = lock(&self.shelf);
        shelf.end = end;
        for (position, from) in marks {
            shelf.marks.push(position, from);
        }
        let delivered = shelf.delivered;
        shelf.marks.forget(delivered);
        if let Some(tail) = &mut shelf.tail {
            // A reader may have found holes meanwhile.
            let holes = tail.contents.holes;
            tail.contents = Contents { holes, ..contents };
            tail.bytes = bytes;
        }
        drop(shelf);
        self.durable.send_replace(end);
        end
    }

    pub(super) fn close_tail(&self) {
        let Some(tail) = lock(&self.shelf).close_tail() else {
            return;
        };
        let first = tail.contents.first;
        drop(tail.segment);
        let dir = self.dir.join(name_of(first));
        let bytes = disk::measure(&dir);
        let mut shelf = lock(&self.shelf);
        match shelf.closed.back_mut() {
            Some(held) if held.contents.first == first => held.bytes = bytes,
            Some(_) | None => {
                drop(shelf);
                self.discard(first);
            }
        }
    }
}

/// Refuses what can't be stored; for a gap, the seqs that it names.
fn check(record: &Record) -> Result<Option<(u64, u64)>, StoreError> {
    if record.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(StoreError::TooLarge {
            bytes: record.payload.len(),
        });
    }
    match record.kind {
        RecordKind::Telemetry { .. } => Ok(None),
        RecordKind::Gap => {
            let gap = pack::gap_of(record).ok_or_else(|| StoreError::NotAGap {
                machine: record.machine.to_string(),
            })?;
            Ok(gap.seq_from.zip(gap.seq_to))
        }
    }
}
