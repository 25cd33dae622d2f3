//! Hours that are signed more than once.

use lineside_proto::Class;
use lineside_proto::ledger::{LeafBody, UsageLeaf};

use super::super::model::Select;
use super::laid::{Laid, at, place};
use super::odd::usage;
use super::{embedded, equals, indexed};

/// Whoever signs an hour again and again has one hour, and the row says so; in one batch or in many.
#[test]
fn an_hour_counts_once_however_often_it_is_signed() {
    const HOUR: u64 = 3_600_000;
    let span = |boot: Option<&str>, from: u64, to: u64, ms: u64| {
        LeafBody::Usage(UsageLeaf {
            span_boot: boot.map(str::to_owned),
            mono_from_ms: from,
            mono_to_ms: to,
            ..usage(Some("s"), Some(Class::Ext), ms)
        })
    };
    let check = |what: &str, leaves: Vec<LeafBody>, expected: (u64, u64)| {
        let laid = Laid::new();
        let grown = laid.grown(place("gw-a", 1), "a");
        let index = embedded(&laid);
        for (mono_ms, leaf) in (1..).zip(leaves) {
            grown.grow("b", mono_ms, vec![leaf]);
            laid.publish(&grown);
            indexed(&laid, &index);
        }
        equals(&laid, &index);
        let select = Select {
            from: Some(at(0)),
            to: Some(at(3_600_000)),
            ..Select::default()
        };
        let row = index.usage(&select).unwrap().rows.remove(0);
        let sums = (row.active_ms, row.overlaps);
        assert_eq!(sums, expected, "{what}");
        let known = (row.known_ms, row.good, row.classes.len());
        let counted = expected.0.min(1);
        assert_eq!(known.2 as u64, counted, "{what}: {known:?}");
        let session = index.sessions(&Select::default()).unwrap().rows.remove(0);
        assert_eq!((session.active_ms, session.overlaps), expected, "{what}");
    };
    let hour = || span(None, 0, HOUR, HOUR);
    check("once", vec![hour()], (HOUR, 0));
    check("five times", (0..5).map(|_| hour()).collect(), (HOUR, 4));
    let half = || span(None, 0, HOUR / 2, HOUR / 2);
    let rest = || span(None, HOUR / 2, HOUR, HOUR / 2);
    check("in parts", vec![half(), rest()], (HOUR, 0));
    check(
        "the whole after a part",
        vec![half(), hour(), rest()],
        (HOUR, 1),
    );
    check("backwards", vec![rest(), half()], (HOUR / 2, 1));
    let before = || span(Some("a"), 0, 10, 10);
    check(
        "another boot's clock",
        vec![before(), hour()],
        (HOUR + 10, 0),
    );
    let between = vec![hour(), before(), hour(), before()];
    check("two clocks in turn", between, (HOUR + 10, 2));
    check("longer than it is", vec![span(None, 0, 10, HOUR)], (0, 1));
    check("no time at all", vec![span(None, 5, 5, HOUR); 5], (0, 5));
    check(
        "an end before the begin",
        vec![span(None, 9, 5, HOUR)],
        (0, 1),
    );
}

/// Of two boots or epochs nobody can tell here which hour is true: the row says how much of the time that is.
#[test]
fn time_that_two_boots_or_epochs_tell_is_said() {
    const MINUTE: u64 = 60_000;
    type Told = (u32, &'static str, u64, u64);
    let check = |what: &str, told: &[Told], expected: (u64, u64)| {
        let laid = Laid::new();
        let index = embedded(&laid);
        for epoch in [1, 2] {
            let grown = laid.grown(place("gw-a", epoch), &format!("k{epoch}"));
            let of_it = told.iter().filter(|told| told.0 == epoch);
            for (mono_ms, (_, boot, from, to)) in (1..).zip(of_it) {
                let (from, to) = (from * MINUTE, to * MINUTE);
                let leaf = LeafBody::Usage(UsageLeaf {
                    from: at(from),
                    to: at(to),
                    mono_from_ms: from,
                    mono_to_ms: to,
                    ..usage(None, None, to - from)
                });
                grown.grow(boot, mono_ms, vec![leaf]);
            }
            if told.iter().any(|told| told.0 == epoch) {
                laid.publish(&grown);
            }
        }
        indexed(&laid, &index);
        equals(&laid, &index);
        let select = Select {
            from: Some(at(0)),
            to: Some(at(120 * MINUTE)),
            ..Select::default()
        };
        let row = index.usage(&select).unwrap().rows.remove(0);
        let sums = (row.active_ms / MINUTE, row.repeated_ms / MINUTE);
        assert_eq!((sums, row.overlaps), (expected, 0), "{what}");
    };
    let whole: Told = (1, "b", 0, 60);
    check("one", &[whole, (1, "b", 60, 120)], (120, 0));
    check("another boot later", &[whole, (1, "c", 61, 100)], (99, 0));
    check("a clock set back", &[whole, (1, "c", 58, 100)], (102, 2));
    check("the hour again", &[whole, (1, "c", 0, 60)], (120, 60));
    check("another epoch", &[whole, (2, "c", 20, 50)], (90, 30));
    check(
        "within a longer one",
        &[(1, "b", 0, 90), (2, "c", 10, 20), (2, "d", 30, 40)],
        (110, 20),
    );
    check(
        "beyond the period",
        &[(1, "b", 60, 180), (2, "c", 60, 180)],
        (240, 60),
    );
}
