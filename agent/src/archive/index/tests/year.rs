//! What the index says of a sample year is what a verifier's tally says.

use lineside_proto::evidence::{Scope, Sight, Tally, Totals, TreeEnd};
use lineside_proto::ledger::{Hash, Leaf, LeafBody};
use lineside_proto::{Class, Time};
use std::collections::BTreeMap;

use super::super::Index;
use super::super::model::{Page, Select, SessionRow, UsageRow};
use super::super::rebuild;
use super::laid::{Laid, leaves, place};
use super::{embedded, equals, indexed};

fn totals(leaves: &[Leaf], from: Time, to: Time) -> Totals {
    let mut tally = Tally::new(Scope {
        site: "sample".parse().unwrap(),
        gateway: "gw-sample".parse().unwrap(),
        origin: "lineside/sample/gw-sample".to_owned(),
        from,
        to,
        first: 0,
    });
    for leaf in leaves {
        tally.take(leaf);
    }
    let end = leaves.len() as u64;
    let tree = TreeEnd {
        end,
        size: end,
        root: Hash::of_nothing(),
    };
    tally.finish(&tree, &Sight::default()).totals
}

/// All rows, in pages of so many.
pub(super) fn all<T>(
    limit: u32,
    select: &Select,
    ask: impl Fn(&Select) -> Result<Page<T>, super::super::IndexError>,
) -> Vec<T> {
    let mut select = Select {
        limit: Some(limit),
        ..select.clone()
    };
    let mut rows = Vec::new();
    loop {
        let page = ask(&select).unwrap();
        assert!(page.rows.len() <= limit as usize);
        rows.extend(page.rows);
        match page.next {
            Some(next) => select.after = Some(next),
            None => return rows,
        }
    }
}

fn of_period(from: Time, to: Time) -> Select {
    Select {
        from: Some(from),
        to: Some(to),
        ..Select::default()
    }
}

fn check_usage(index: &Index, leaves: &[Leaf], from: Time, to: Time) {
    let totals = totals(leaves, from, to);
    let rows: Vec<UsageRow> = all(2, &of_period(from, to), |select| index.usage(select));
    let mut rows: BTreeMap<_, _> = (rows.into_iter())
        .map(|row| (row.machine.clone(), row))
        .collect();
    for told in &totals.machines {
        let row = rows.remove(&told.machine).unwrap();
        assert_eq!(row.ms, told.ms);
        assert_eq!(row.period_ms, told.period_ms);
        assert_eq!(row.known_ms, told.known_ms);
        assert_eq!(row.coverage_pm, told.coverage_pm);
        assert_eq!(
            (row.active_ms, row.outside_ms),
            (told.active_ms, told.outside_ms)
        );
        assert_eq!((row.good, row.bad), (told.good, told.bad));
        let hours: BTreeMap<Class, u64> = (told.hours.iter())
            .map(|(class, grades)| (*class, grades.values().sum()))
            .collect();
        let classes: BTreeMap<Class, u64> = (row.classes.iter())
            .filter(|usage| usage.active_ms > 0)
            .filter_map(|usage| Some((usage.class?, usage.active_ms)))
            .collect();
        assert_eq!(classes, hours);
    }
    for row in rows.values() {
        assert_eq!((row.known_ms, row.active_ms, row.good), (0, 0, 0));
    }
}

#[test]
fn a_periods_sums_are_those_of_the_report() {
    let (laid, year) = Laid::year(20);
    let index = embedded(&laid);
    assert_eq!(indexed(&laid, &index), year.leaves);
    assert_eq!(indexed(&laid, &index), 0);
    let leaves = leaves(&laid.shelf(), &place("gw-sample", 1));
    let day = 86_400_000;
    for (from, to) in [
        (year.from, year.to),
        (
            year.from.plus_millis(-2 * day),
            year.to.plus_millis(2 * day),
        ),
        (
            year.from.plus_millis(3 * day),
            year.from.plus_millis(10 * day),
        ),
        (year.from, year.from.plus_millis(3_600_000)),
        (year.to.plus_millis(10 * day), year.to.plus_millis(11 * day)),
    ] {
        check_usage(&index, &leaves, from, to);
    }
    let checked = equals(&laid, &index);
    assert!(checked.rows > 1_000, "{checked:?}");
}

#[test]
fn sessions_are_those_of_the_report() {
    let (laid, year) = Laid::year(12);
    let index = embedded(&laid);
    indexed(&laid, &index);
    let leaves = leaves(&laid.shelf(), &place("gw-sample", 1));
    let (from, to) = (
        year.from.plus_millis(-10_000_000_000),
        year.to.plus_millis(10_000_000_000),
    );
    let rows: Vec<SessionRow> = all(7, &Select::default(), |select| index.sessions(select));
    let ends: Vec<_> = rows.iter().map(|row| row.to.unwrap_or(Time::MAX)).collect();
    assert!(ends.is_sorted());
    let mut rows: BTreeMap<_, _> = (rows.into_iter())
        .map(|row| ((row.machine.clone(), row.session.clone()), row))
        .collect();
    let totals = totals(&leaves, from, to);
    let mut count = 0;
    for machine in &totals.machines {
        for told in &machine.sessions {
            let key = (machine.machine.clone(), told.session.clone());
            let row = rows.remove(&key).unwrap();
            assert_eq!(
                (row.class, row.booking, row.token),
                (told.class, told.booking.clone(), told.token.clone())
            );
            assert_eq!((row.from, row.to), (told.from, told.to));
            assert_eq!((row.check_in, row.reason), (told.check_in, told.reason));
            assert_eq!((row.open, row.close), (told.open, told.close));
            assert_eq!((&row.ms, row.active_ms), (&told.ms, told.active_ms));
            assert_eq!(row.energy_mwh, told.energy_mwh);
            count += 1;
        }
    }
    assert!(rows.is_empty(), "{rows:?}");
    assert!(count > 20, "{count}");
}

#[test]
fn outcomes_gaps_corrections_states_and_names_are_those_of_the_leaves() {
    let (laid, _) = Laid::year(12);
    let index = embedded(&laid);
    indexed(&laid, &index);
    let shelf = laid.shelf();
    let leaves = leaves(&shelf, &place("gw-sample", 1));
    let of = |wanted: fn(&LeafBody) -> bool| -> Vec<u64> {
        let all = leaves.iter().filter(|leaf| wanted(&leaf.body));
        all.map(|leaf| leaf.head.index).collect()
    };
    let here = Select {
        site: Some("sample".parse().unwrap()),
        gateway: Some("gw-sample".parse().unwrap()),
        ..Select::default()
    };
    let mut outcomes: Vec<u64> = all(5, &here, |select| index.outcomes(select))
        .iter()
        .map(|row| row.leaf)
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, of(|body| matches!(body, LeafBody::Booking(_))));
    let mut gaps: Vec<u64> = all(5, &here, |select| index.gaps(select))
        .iter()
        .map(|row| row.leaf)
        .collect();
    gaps.sort_unstable();
    assert_eq!(gaps, of(|body| matches!(body, LeafBody::Gap(_))));
    let mut spans: Vec<u64> = all(100, &here, |select| index.spans(select))
        .iter()
        .map(|row| row.leaf)
        .collect();
    spans.sort_unstable();
    assert_eq!(spans, of(|body| matches!(body, LeafBody::Usage(_))));
    let corrections: Vec<u64> = all(5, &here, |select| index.corrections(select))
        .iter()
        .map(|row| row.leaf)
        .collect();
    assert_eq!(
        corrections,
        of(|body| matches!(body, LeafBody::Correction(_)))
    );
    for row in all(1, &here, |select| index.machines(select)) {
        let states = leaves.iter().rev().find_map(|leaf| {
            let LeafBody::State(said) = &leaf.body else {
                return None;
            };
            (said.machine == row.machine).then_some((said, leaf.head.index))
        });
        let (said, leaf) = states.unwrap();
        let state = row.state.unwrap();
        assert_eq!(
            (state.state, state.since, state.leaf),
            (said.to, said.since, leaf)
        );
        assert_eq!(row.map.as_ref(), Some(&said.config));
        assert!(row.name.is_some(), "{}", row.machine);
    }
}

#[test]
fn a_rebuilt_index_is_the_one_that_grew() {
    let (laid, _) = Laid::year(18);
    let leaves = leaves(&laid.shelf(), &place("gw-sample", 1));
    let index = embedded(&laid);
    let (first, second) = (
        laid.grown(place("gw-b", 1), "b"),
        laid.grown(place("gw-b", 2), "b2"),
    );
    let mut at = 0;
    for part in [1, 255, 1, 700, 256, 3, 1_000] {
        first.repeat(&leaves[at..at + part]);
        laid.publish(&first);
        at += part;
        indexed(&laid, &index);
        equals(&laid, &index);
    }
    second.repeat(&leaves[at..]);
    laid.publish(&second);
    indexed(&laid, &index);
    let grown = equals(&laid, &index);
    let ask = |index: &Index| {
        let select = Select::default();
        let here = Select {
            site: Some("sample".parse().unwrap()),
            gateway: Some("gw-b".parse().unwrap()),
            ..Select::default()
        };
        (
            all(1, &select, |select| index.sites(select)),
            all(1, &select, |select| index.gateways(select)),
            all(2, &select, |select| index.machines(select)),
            all(9, &here, |select| index.sessions(select)),
        )
    };
    let before = ask(&index);
    let epochs: Vec<u32> = before.1[0].epochs.iter().map(|row| row.epoch).collect();
    assert_eq!(epochs, [1, 2]);
    assert_eq!((before.0[0].gateways, before.0[0].machines), (2, 6));
    let round = rebuild(&laid.shelf(), &index).unwrap();
    assert_eq!(round.leaves, 2 * leaves.len() as u64);
    assert_eq!(ask(&index), before);
    assert_eq!(equals(&laid, &index), grown);
}
