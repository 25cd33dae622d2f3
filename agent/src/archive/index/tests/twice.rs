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
