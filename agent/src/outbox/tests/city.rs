//! The far end: takes what is read, and says what is missing.

use lineside_proto::{Gap, GapKind, Identifier};
use std::collections::{BTreeMap, BTreeSet};

use super::super::{Outbox, Record, RecordKind};

type Machine = (String, Identifier);

/// A consumer with a perfect memory.
#[derive(Default)]
pub(super) struct City {
    /// What was appended and may arrive, by stream, machine and seq.
    sent: BTreeMap<Machine, BTreeMap<u64, Vec<u8>>>,
    /// Seqs that arrived.
    got: BTreeMap<Machine, BTreeSet<u64>>,
    /// Seqs that a gap document names.
    named: BTreeMap<Machine, Vec<(u64, u64)>>,
    /// Gap documents that arrived.
    pub gaps: Vec<Gap>,
    pub position: u64,
    last: BTreeMap<Machine, u64>,
    /// The disk had no room to open a segment.
    is_hungry: bool,
}

impl City {
    /// Takes note of what was given to the queue.
    pub(super) fn expect(&mut self, stream: &str, record: &Record) {
        if let RecordKind::Telemetry { seq, .. } = record.kind {
            let machine = (stream.to_owned(), record.machine.clone());
            let sent = self.sent.entry(machine).or_default();
            sent.insert(seq, record.payload.clone());
        }
    }

    /// Reads everything that is there from where it stands, without acknowledging it.
    pub(super) fn read(&mut self, outbox: &Outbox, bytes_max: usize) -> usize {
        let mut count = 0;
        loop {
            let records = match outbox.read(self.position, bytes_max) {
                Err(error) if error.is_full() => {
                    self.is_hungry = true;
                    return count;
                }
                other => other.unwrap(),
            };
            self.is_hungry = false;
            if records.is_empty() {
                return count;
            }
            for (position, record) in records {
                assert!(position >= self.position, "positions rise");
                self.position = position + 1;
                self.take(&record);
                count += 1;
            }
        }
    }

    /// Begins to read again at the delivered mark, as after a reconnect.
    pub(super) fn rewind(&mut self, outbox: &Outbox) {
        self.position = outbox.delivered();
        self.last.clear();
    }

    /// Reads everything, acknowledges it and lets the queue say what it owes, until nothing comes.
    pub(super) fn drain(&mut self, outbox: &Outbox, now: lineside_proto::Time) {
        self.rewind(outbox);
        loop {
            outbox.commit(now).unwrap();
            let before = self.position;
            let count = self.read(outbox, 100_000);
            outbox.acknowledge(self.position);
            if self.is_hungry {
                // What is acknowledged makes room for what follows.
                assert!(self.position > before, "reading goes on");
            } else if count == 0 {
                outbox.commit(now).unwrap();
                if self.read(outbox, 1) == 0 {
                    return;
                }
            }
        }
    }

    fn take(&mut self, record: &Record) {
        match record.kind {
            RecordKind::Telemetry { seq, samples } => {
                assert_eq!(samples, 10);
                let text = String::from_utf8_lossy(&record.payload);
                let stream = text.split(' ').next().unwrap().to_owned();
                let machine = (stream, record.machine.clone());
                let sent = self.sent.get(&machine).and_then(|sent| sent.get(&seq));
                assert!(
                    sent == Some(&record.payload),
                    "{machine:?} {seq} is as it was sent"
                );
                if let Some(last) = self.last.insert(machine.clone(), seq) {
                    assert!(last < seq, "{machine:?}: {seq} after {last}");
                }
                self.got.entry(machine).or_default().insert(seq);
            }
            RecordKind::Gap => {
                let gap: Gap = serde_json::from_slice(&record.payload).unwrap();
                if let (Some(from), Some(to)) = (gap.seq_from, gap.seq_to) {
                    assert_eq!(gap.kind, GapKind::Outbox);
                    let machine = (gap.stream.clone(), gap.machine.clone());
                    self.named.entry(machine).or_default().push((from, to));
                }
                self.gaps.push(gap);
            }
        }
    }

    /// Seqs below `next` that neither arrived nor are named.
    pub(super) fn missing(&self, stream: &str, machine: &Identifier, next: u64) -> Vec<u64> {
        let machine = (stream.to_owned(), machine.clone());
        let got = self.got.get(&machine);
        let named = self.named.get(&machine);
        (0..next)
            .filter(|seq| {
                let arrived = got.is_some_and(|got| got.contains(seq));
                let known = named.into_iter().flatten();
                let mut known = known.filter(|(from, to)| (from..=to).contains(&seq));
                !arrived && known.next().is_none()
            })
            .collect()
    }

    /// Messages of a stream and machine that arrived.
    pub(super) fn arrived(&self, stream: &str, machine: &Identifier) -> usize {
        let machine = (stream.to_owned(), machine.clone());
        self.got.get(&machine).map_or(0, BTreeSet::len)
    }
}
