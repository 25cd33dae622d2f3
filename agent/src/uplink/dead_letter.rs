//! Gap documents in place of records that the broker will never take.

use lineside_proto::{Gap, GapKind, Identifier, Time};
use serde::Deserialize;

use super::exchange::DeadLetter;
use crate::outbox::{Outbox, Record, RecordKind, StoreError};

/// Puts a gap document for each of these records into the outbox, adjacent ones of a machine in one, and
/// makes it durable. Blocks on the disk.
///
/// A record that is no longer in the outbox was dropped there, and said to be missing there.
///
/// # Errors
///
/// [`StoreError`] where the outbox can't be read or written; then none counts as replaced.
pub(super) fn bury(outbox: &Outbox, letters: &[DeadLetter], now: Time) -> Result<(), StoreError> {
    let mut gaps: Vec<Gap> = Vec::new();
    for letter in letters {
        let records = outbox.read(letter.position, 1)?;
        let found = records
            .into_iter()
            .find(|(position, _)| *position == letter.position);
        if let Some((_, record)) = found {
            note(&mut gaps, &record, letter.reason);
        }
    }
    let records: Vec<Record> = gaps.iter().map(Record::from).collect();
    if records.is_empty() {
        return Ok(());
    }
    outbox.append(records)?;
    outbox.commit(now)?;
    Ok(())
}

/// Adds a record to the gaps, to the newest of its machine where it follows on it.
fn note(gaps: &mut Vec<Gap>, record: &Record, reason: &str) {
    let RecordKind::Telemetry { seq, samples } = record.kind else {
        return;
    };
    let stream = stream(&record.payload);
    let samples = u64::from(samples);
    let last = gaps.iter_mut().rfind(|gap| gap.machine == record.machine);
    if let Some(last) = last {
        let follows = last.seq_to.is_some_and(|to| to.checked_add(1) == Some(seq));
        if follows && last.stream == stream && last.reason == reason {
            last.seq_to = Some(seq);
            last.from = last.from.min(record.from);
            last.to = last.to.max(record.to);
            last.samples = last.samples.map(|sum| sum.saturating_add(samples));
            return;
        }
    }
    gaps.push(gap(
        &record.machine,
        stream,
        (record.from, record.to),
        seq,
        samples,
        reason,
    ));
}

fn gap(
    machine: &Identifier,
    stream: String,
    (from, to): (Time, Time),
    seq: u64,
    samples: u64,
    reason: &str,
) -> Gap {
    Gap {
        v: 1,
        machine: machine.clone(),
        stream,
        kind: GapKind::Refused,
        from,
        to,
        seq_from: Some(seq),
        seq_to: Some(seq),
        samples: Some(samples),
        reason: reason.to_owned(),
    }
}

/// The stream that a telemetry document names.
fn stream(payload: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Named {
        stream: String,
    }
    serde_json::from_slice::<Named>(payload).map_or_else(|_| String::new(), |named| named.stream)
}

#[cfg(test)]
mod tests {
    use super::note;
    use crate::outbox::{Record, RecordKind};
    use lineside_proto::Time;

    fn record(machine: &str, seq: u64) -> Record {
        Record {
            machine: machine.parse().unwrap(),
            kind: RecordKind::Telemetry { seq, samples: 3 },
            from: Time::from_millis(i64::try_from(seq).unwrap() * 1000),
            to: Time::from_millis(i64::try_from(seq).unwrap() * 1000 + 999),
            payload: format!(
                r#"{{"v":1,"machine":"{machine}","stream":"S1","seq":{seq},"frames":[]}}"#
            )
            .into_bytes(),
        }
    }

    #[test]
    fn adjacent_records_of_a_machine_share_a_gap() {
        let mut gaps = Vec::new();
        for (machine, seq, reason) in [
            ("a", 1, "not authorised"),
            ("b", 7, "not authorised"),
            ("a", 2, "not authorised"),
            ("a", 4, "not authorised"),
            ("a", 5, "topic name invalid"),
        ] {
            note(&mut gaps, &record(machine, seq), reason);
        }
        let found: Vec<_> = gaps
            .iter()
            .map(|gap| (gap.machine.as_str(), gap.seq_from, gap.seq_to, gap.samples))
            .collect();
        let expected = [
            ("a", Some(1), Some(2), Some(6)),
            ("b", Some(7), Some(7), Some(3)),
            ("a", Some(4), Some(4), Some(3)),
            ("a", Some(5), Some(5), Some(3)),
        ];
        assert_eq!(found, expected);
        assert_eq!(gaps[0].stream, "S1");
        assert_eq!(gaps[0].from.as_millis(), 1000);
        assert_eq!(gaps[0].to.as_millis(), 2999);
    }
}
