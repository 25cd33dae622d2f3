//! A pack: consecutive records, compressed together.
//!
//! Raw, a pack is the stream's identifier and then the records, all integers little-endian, texts and
//! payloads after their length. It does not know its position: that is given when it is stored.

use lineside_proto::{Gap, Identifier, Time};
use std::io;

use super::extent::{Extent, Shares};
use super::{PAYLOAD_BYTES_MAX, Record, RecordKind};

/// A pack is closed when it is this long, uncompressed: long enough that the names of points, which
/// every message repeats, cost little, and short enough to be read quickly for one message.
pub(super) const PACK_BYTES: usize = 64 << 10;

/// A pack's length at most: one record may exceed [`PACK_BYTES`]. Bounds what a damaged length can ask for.
pub(super) const PACK_BYTES_MAX: usize = PACK_BYTES + PAYLOAD_BYTES_MAX + 1024;

/// The fast end of zstd: the point names compress at any level, and floats at none.
const LEVEL: i32 = 1;

const TELEMETRY: u8 = 0;
const GAP: u8 = 1;

/// The pack that records are appended to.
#[derive(Debug, Default)]
pub(super) struct Draft {
    raw: Vec<u8>,
    count: u32,
    shares: Shares,
}

/// A pack ready to be stored.
#[derive(Debug)]
pub(super) struct Pack {
    /// The compressed bytes.
    pub body: Vec<u8>,
    /// Their length before compression.
    pub raw_bytes: usize,
    /// Records in it; at least one.
    pub count: u32,
    /// What it says.
    pub shares: Shares,
}

impl Draft {
    /// Takes a record in. `named`: the seqs that a gap record names.
    pub(super) fn push(&mut self, stream: &str, record: &Record, named: Option<(u64, u64)>) {
        if self.raw.is_empty() {
            put_text(&mut self.raw, stream);
        }
        let mut extent = Extent {
            messages: 1,
            samples: 0,
            seqs: named,
            from: record.from,
            to: record.to,
        };
        match record.kind {
            RecordKind::Telemetry { seq, samples } => {
                self.raw.push(TELEMETRY);
                self.raw.extend_from_slice(&seq.to_le_bytes());
                self.raw.extend_from_slice(&samples.to_le_bytes());
                extent.samples = samples.into();
                extent.seqs = Some((seq, seq));
                self.shares.add_telemetry(&record.machine, &extent);
            }
            RecordKind::Gap => {
                self.raw.push(GAP);
                self.shares.add_gaps(&record.machine, &extent);
            }
        }
        put_text(&mut self.raw, record.machine.as_str());
        let times = [record.from, record.to].map(|time| time.as_millis().to_le_bytes());
        self.raw.extend_from_slice(times.as_flattened());
        let length = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
        self.raw.extend_from_slice(&length.to_le_bytes());
        self.raw.extend_from_slice(&record.payload);
        self.count += 1;
    }

    /// Whether it should be closed before more is taken in.
    pub(super) fn is_ripe(&self) -> bool {
        self.raw.len() >= PACK_BYTES
    }

    /// Closes the pack; none if it is empty.
    pub(super) fn close(
        &mut self,
        compressor: &mut zstd::bulk::Compressor<'static>,
    ) -> io::Result<Option<Pack>> {
        if self.count == 0 {
            return Ok(None);
        }
        let body = compressor.compress(&self.raw)?;
        let pack = Pack {
            body,
            raw_bytes: self.raw.len(),
            count: self.count,
            shares: std::mem::take(&mut self.shares),
        };
        self.raw.clear();
        self.count = 0;
        Ok(Some(pack))
    }
}

/// A compressor for packs, to be used many times.
pub(super) fn compressor() -> io::Result<zstd::bulk::Compressor<'static>> {
    zstd::bulk::Compressor::new(LEVEL)
}

/// Reads a pack's bytes back: the stream and the records. None: they are no pack of `count` records.
pub(super) fn open(body: &[u8], raw_bytes: usize, count: u32) -> Option<(String, Vec<Record>)> {
    if raw_bytes > PACK_BYTES_MAX {
        return None;
    }
    let raw = zstd::bulk::decompress(body, raw_bytes).ok()?;
    let mut rest = raw.as_slice();
    let stream = take_text(&mut rest)?.to_owned();
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(take_record(&mut rest)?);
    }
    rest.is_empty().then_some((stream, records))
}

/// The gap document in a gap record.
pub(super) fn gap_of(record: &Record) -> Option<Gap> {
    serde_json::from_slice(&record.payload).ok()
}

fn put_text(raw: &mut Vec<u8>, text: &str) {
    // Identifiers have at most 63 bytes and streams 26.
    raw.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    raw.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let [length] = take_array(rest)?;
    std::str::from_utf8(take(rest, length.into())?).ok()
}

fn take_record(rest: &mut &[u8]) -> Option<Record> {
    let kind = match take_array(rest)? {
        [TELEMETRY] => RecordKind::Telemetry {
            seq: u64::from_le_bytes(take_array(rest)?),
            samples: u32::from_le_bytes(take_array(rest)?),
        },
        [GAP] => RecordKind::Gap,
        [_] => return None,
    };
    let machine: Identifier = take_text(rest)?.parse().ok()?;
    let from = Time::from_millis(i64::from_le_bytes(take_array(rest)?));
    let to = Time::from_millis(i64::from_le_bytes(take_array(rest)?));
    let length = usize::try_from(u32::from_le_bytes(take_array(rest)?)).ok()?;
    Some(Record {
        machine,
        kind,
        from,
        to,
        payload: take(rest, length)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Draft, compressor, open};
    use crate::outbox::{Record, RecordKind};
    use lineside_proto::Time;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let kind = prop_oneof![
            Just(RecordKind::Gap),
            any::<(u64, u32)>().prop_map(|(seq, samples)| RecordKind::Telemetry { seq, samples }),
        ];
        let payload = prop::collection::vec(any::<u8>(), 0..300);
        (
            "[a-z0-9][a-z0-9_-]{0,62}",
            kind,
            any::<(i32, i32)>(),
            payload,
        )
            .prop_map(|(machine, kind, (from, to), payload)| Record {
                machine: machine.parse().unwrap(),
                kind,
                from: Time::from_millis(from.into()),
                to: Time::from_millis(to.into()),
                payload,
            })
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were(records in prop::collection::vec(record(), 1..20)) {
            let mut draft = Draft::default();
            for record in &records {
                draft.push("01J", record, None);
            }
            let pack = draft.close(&mut compressor().unwrap()).unwrap().unwrap();
            let (stream, read) = open(&pack.body, pack.raw_bytes, pack.count).unwrap();
            prop_assert_eq!(stream, "01J");
            prop_assert_eq!(read, records);
            prop_assert!(open(&pack.body, pack.raw_bytes, pack.count + 1).is_none());
            prop_assert!(draft.close(&mut compressor().unwrap()).unwrap().is_none());
        }

        #[test]
        fn any_bytes_are_no_pack_or_one(body in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = open(&body, 1000, 3);
            let whole = zstd::bulk::compress(&body, 1).unwrap();
            let _ = open(&whole, body.len(), 2);
        }
    }
}
