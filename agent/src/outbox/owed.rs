//! Gap documents that are to be written: what went, and why.

use lineside_proto::{Gap, GapKind, Identifier};

use super::extent::{Extent, Shares};
use super::index::Contents;
use super::scan::Scan;

/// Gap documents kept apart at most; beyond that those of one machine and kind become one, which names
/// everything between them, too.
const OWED_MAX: usize = 512;

/// Holes named apart in one damaged segment and machine; beyond that one gap spans them all.
const HOLES_MAX: usize = 16;

/// Bytes of a reason at most, where reasons are joined.
const REASON_BYTES_MAX: usize = 300;

/// Adds a document, joined with one that it touches.
pub(super) fn owe(owed: &mut Vec<Gap>, gap: Gap) {
    let touching = owed.iter().position(|other| touch(other, &gap));
    let place = touching.or_else(|| {
        let full = owed.len() >= OWED_MAX;
        let akin = |other: &Gap| akin(other, &gap);
        full.then(|| owed.iter().position(akin)).flatten()
    });
    match place.and_then(|place| owed.get_mut(place)) {
        Some(other) => join(other, gap),
        None => owed.push(gap),
    }
}

/// What went, as documents, and how many messages that were.
#[derive(Debug, Default)]
pub(super) struct Loss {
    pub gaps: Vec<Gap>,
    pub messages: u64,
}

fn akin(one: &Gap, other: &Gap) -> bool {
    one.machine == other.machine && one.stream == other.stream && one.kind == other.kind
}

fn touch(one: &Gap, other: &Gap) -> bool {
    let after = |a: &Gap, b: &Gap| match (a.seq_to, b.seq_from) {
        (Some(to), Some(from)) => from <= to.saturating_add(1),
        (None, _) | (_, None) => false,
    };
    one.kind == GapKind::Outbox && akin(one, other) && after(one, other) && after(other, one)
}

fn join(one: &mut Gap, other: Gap) {
    let apart = one.seq_to < other.seq_from || other.seq_to < one.seq_from;
    one.samples = match (one.samples, other.samples) {
        (Some(ours), Some(theirs)) if apart => ours.checked_add(theirs),
        (_, _) => None,
    };
    one.seq_from = match (one.seq_from, other.seq_from) {
        (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
        (ours, theirs) => ours.or(theirs),
    };
    one.seq_to = one.seq_to.max(other.seq_to);
    one.from = one.from.min(other.from);
    one.to = one.to.max(other.to);
    let longer = one.reason.len() + other.reason.len() + 2;
    if !one.reason.contains(&other.reason) && longer <= REASON_BYTES_MAX {
        one.reason.push_str("; ");
        one.reason.push_str(&other.reason);
    }
}

fn gap(machine: &Identifier, stream: &str, extent: &Extent, reason: &str) -> Gap {
    Gap {
        v: 1,
        machine: machine.clone(),
        stream: stream.to_owned(),
        kind: GapKind::Outbox,
        from: extent.from,
        to: extent.to,
        seq_from: extent.seqs.map(|seqs| seqs.0),
        seq_to: extent.seqs.map(|seqs| seqs.1),
        samples: Some(extent.samples),
        reason: reason.to_owned(),
    }
}

/// What a gap document says of gap documents that are themselves lost.
fn gap_of_gaps(machine: &Identifier, stream: &str, extent: &Extent, reason: &str) -> Gap {
    Gap {
        samples: None,
        ..gap(machine, stream, extent, &format!("gap documents: {reason}"))
    }
}

/// What goes with a segment that is given up. `seen`: its undelivered records, where they could be read;
/// whatever could not is named as the index has it.
pub(super) fn given_up(contents: &Contents, seen: Option<&Scan>, reason: &str) -> Loss {
    let stream = &contents.stream;
    let whole = seen.filter(|scan| !scan.holes);
    let shares = whole.map_or(&contents.shares, |scan| &scan.shares);
    let mut loss = of_telemetry(shares, stream, reason);
    let gaps = &mut loss.gaps;
    gaps.extend(seen.iter().flat_map(|scan| scan.gaps.iter().cloned()));
    if whole.is_none() {
        gaps.extend(lost_gaps(contents, seen, reason));
    }
    loss
}

/// What goes with telemetry alone.
pub(super) fn of_telemetry(shares: &Shares, stream: &str, reason: &str) -> Loss {
    let mut loss = Loss::default();
    for (machine, extent) in shares.telemetry() {
        loss.messages = loss.messages.saturating_add(extent.messages);
        loss.gaps.push(gap(machine, stream, extent, reason));
    }
    loss
}

/// What a segment that stays has lost. `seen`: what could be read of it, from its beginning.
pub(super) fn lost(contents: &Contents, seen: &Scan, delivered: u64, reason: &str) -> Loss {
    let stream = &contents.stream;
    let mut loss = Loss::default();
    for (machine, extent) in contents.shares.telemetry() {
        let mut holes = seen.holes_of(machine, extent, contents.end, delivered);
        let missing = holes.iter().map(|(from, to)| to - from + 1);
        loss.messages = loss.messages.saturating_add(missing.sum());
        if holes.len() > HOLES_MAX {
            let hull = holes.first().map(|hole| hole.0);
            let hull = hull.zip(holes.last().map(|hole| hole.1));
            holes = hull.into_iter().collect();
        }
        for seqs in holes {
            let hole = Extent {
                seqs: Some(seqs),
                ..extent.clone()
            };
            loss.gaps.push(Gap {
                samples: None,
                ..gap(machine, stream, &hole, reason)
            });
        }
    }
    loss.gaps.extend(lost_gaps(contents, Some(seen), reason));
    loss
}

fn lost_gaps<'a>(
    contents: &'a Contents,
    seen: Option<&'a Scan>,
    reason: &'a str,
) -> impl Iterator<Item = Gap> + 'a {
    let found = move |machine: &Identifier| {
        seen.map_or(0, |scan| {
            let mut gaps = scan.shares.gaps();
            gaps.find(|(other, _)| *other == machine)
                .map_or(0, |(_, extent)| extent.messages)
        })
    };
    let short = contents
        .shares
        .gaps()
        .filter(move |(machine, extent)| found(machine) < extent.messages);
    short.map(move |(machine, extent)| gap_of_gaps(machine, &contents.stream, extent, reason))
}

#[cfg(test)]
mod tests {
    use super::{OWED_MAX, owe};
    use lineside_proto::{Gap, GapKind, Time};

    fn gap(kind: GapKind, seqs: Option<(u64, u64)>, reason: &str) -> Gap {
        let from = Time::from_millis(seqs.map_or(0, |seqs| i64::try_from(seqs.0).unwrap()));
        Gap {
            v: 1,
            machine: "press".parse().unwrap(),
            stream: "01J".to_owned(),
            kind,
            from,
            to: from.plus_millis(1),
            seq_from: seqs.map(|seqs| seqs.0),
            seq_to: seqs.map(|seqs| seqs.1),
            samples: Some(10),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn documents_that_touch_become_one() {
        let mut owed = Vec::new();
        owe(&mut owed, gap(GapKind::Outbox, Some((5, 9)), "full"));
        owe(&mut owed, gap(GapKind::Outbox, Some((10, 12)), "full"));
        owe(&mut owed, gap(GapKind::Outbox, Some((20, 21)), "full"));
        owe(&mut owed, gap(GapKind::Field, None, "silent"));
        owe(&mut owed, gap(GapKind::Field, None, "silent"));
        assert_eq!(owed.len(), 4, "{owed:?}");
        let first = owed.first().unwrap();
        assert_eq!(
            (first.seq_from, first.seq_to, first.samples),
            (Some(5), Some(12), Some(20))
        );
        assert_eq!((first.from.as_millis(), first.to.as_millis()), (5, 11));
        assert_eq!(first.reason, "full");
        owe(&mut owed, gap(GapKind::Outbox, Some((4, 6)), "old"));
        let first = owed.first().unwrap();
        assert_eq!(
            (first.seq_from, first.seq_to, first.samples),
            (Some(4), Some(12), None)
        );
        assert_eq!(first.reason, "full; old");
    }

    #[test]
    fn there_are_never_too_many() {
        let mut owed = Vec::new();
        for number in 0..3 * OWED_MAX as u64 {
            owe(
                &mut owed,
                gap(
                    GapKind::Outbox,
                    Some((number * 10, number * 10 + 1)),
                    "full",
                ),
            );
            owe(&mut owed, gap(GapKind::Field, None, "silent"));
        }
        assert!(owed.len() <= OWED_MAX, "{}", owed.len());
        for number in 0..3 * OWED_MAX as u64 {
            let named =
                |gap: &Gap| gap.seq_from <= Some(number * 10) && gap.seq_to > Some(number * 10);
            assert!(owed.iter().any(named), "{number}");
        }
    }
}
