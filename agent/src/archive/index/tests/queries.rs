//! What is asked: narrowed rows, pages, and what is refused.

use lineside_proto::Time;
use lineside_proto::ledger::{ConfigLeaf, LeafBody};

use super::super::IndexError;
use super::super::model::{Select, SessionRow};
use super::laid::{Laid, at, machine, place};
use super::odd::usage;
use super::year::all;
use super::{embedded, equals, indexed};

fn is_wanted(row: &SessionRow, select: &Select) -> bool {
    fn fits<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == found)
    }
    fits(select.site.as_ref(), &row.site)
        && fits(select.gateway.as_ref(), &row.gateway)
        && fits(select.machine.as_ref(), &row.machine)
        && fits(select.class.as_ref(), &row.class)
        && (select.booking.is_none() || select.booking == row.booking)
        && (select.from).is_none_or(|from| row.to.unwrap_or(Time::MAX) > from)
        && select.to.is_none_or(|to| row.from.unwrap() < to)
}

#[test]
fn rows_are_narrowed_by_what_is_said() {
    let (laid, year) = Laid::year(6);
    let other = laid.grown(place("gw-b", 1), "b");
    other.repeat(&super::laid::leaves(&laid.shelf(), &place("gw-sample", 1)));
    laid.publish(&other);
    let index = embedded(&laid);
    indexed(&laid, &index);
    let every = all(1_000, &Select::default(), |select| index.sessions(select));
    let machine = every[0].machine.clone();
    let noon = year.from.plus_millis(12 * 3_600_000);
    let booked = every.iter().find_map(|row| row.booking.clone()).unwrap();
    let parsed = |name: &str| Some(name.parse().unwrap());
    for select in [
        Select {
            gateway: parsed("gw-b"),
            ..Select::default()
        },
        Select {
            site: parsed("elsewhere"),
            ..Select::default()
        },
        Select {
            machine: Some(machine),
            ..Select::default()
        },
        Select {
            class: Some(every[0].class),
            ..Select::default()
        },
        Select {
            booking: Some(booked),
            ..Select::default()
        },
        Select {
            to: Some(noon),
            ..Select::default()
        },
        Select {
            from: Some(noon),
            ..Select::default()
        },
        Select {
            from: Some(noon),
            to: Some(noon.plus_millis(1)),
            ..Select::default()
        },
    ] {
        let rows = all(3, &select, |select| index.sessions(select));
        let wanted = every.iter().filter(|row| is_wanted(row, &select));
        let wanted: Vec<_> = wanted.cloned().collect();
        assert_eq!(rows, wanted, "{select:?}");
    }
}

#[test]
fn what_can_not_be_answered_is_refused() {
    let laid = Laid::new();
    let index = embedded(&laid);
    let day = |days: i64| Some(Time::from_millis(days * 86_400_000));
    let plain = Select::default();
    let here = Select {
        site: Some("a".parse().unwrap()),
        gateway: Some("b".parse().unwrap()),
        ..Select::default()
    };
    let refused = |result: Result<(), IndexError>| matches!(result, Err(IndexError::Asked(_)));
    for limit in [0, 1_001] {
        let select = Select {
            limit: Some(limit),
            ..here.clone()
        };
        assert!(refused(index.sites(&select).map(drop)));
        assert!(refused(index.sessions(&select).map(drop)));
        assert!(refused(index.spans(&select).map(drop)));
    }
    let after = Select {
        after: Some("x".to_owned()),
        ..here.clone()
    };
    assert!(refused(index.gaps(&after).map(drop)));
    assert!(refused(index.machines(&after).map(drop)));
    let backwards = Select {
        from: day(2),
        to: day(1),
        ..here.clone()
    };
    assert!(refused(index.outcomes(&backwards).map(drop)));
    assert!(refused(index.corrections(&backwards).map(drop)));
    assert!(refused(index.spans(&plain).map(drop)));
    assert!(refused(index.gaps(&plain).map(drop)));
    assert!(refused(index.usage(&plain).map(drop)));
    let long = Select {
        from: day(0),
        to: day(401),
        ..plain.clone()
    };
    assert!(refused(index.usage(&long).map(drop)));
    let year = Select {
        from: day(0),
        to: day(400),
        ..plain
    };
    assert!(index.usage(&year).unwrap().rows.is_empty());
    assert!(index.sites(&here).unwrap().rows.is_empty());
}

#[test]
fn a_machine_whose_clock_was_ahead_at_first_is_in_the_sums_of_before() {
    const HOUR: u64 = 3_600_000;
    let laid = Laid::new();
    let grown = laid.grown(place("gw-a", 1), "a");
    let config = LeafBody::Config(ConfigLeaf {
        machine: machine("press-01"),
        map: "sha256:x".to_owned(),
        files: "sha256:x".to_owned(),
    });
    let index = embedded(&laid);
    // Eleven years ahead, and then set back; the hour is told of when it is over.
    for (boot, mono_ms, leaf) in [
        ("a", 11 * 8_766 * HOUR, config),
        ("b", HOUR, LeafBody::Usage(usage(None, None, HOUR))),
    ] {
        grown.grow(boot, mono_ms, vec![leaf]);
        laid.publish(&grown);
        indexed(&laid, &index);
    }
    equals(&laid, &index);
    let select = Select {
        from: Some(at(0)),
        to: Some(at(HOUR)),
        ..Select::default()
    };
    let rows = index.usage(&select).unwrap().rows;
    let told: Vec<u64> = rows.iter().map(|row| row.active_ms).collect();
    assert_eq!(told, [HOUR]);
    let row = index.machines(&Select::default()).unwrap().rows.remove(0);
    assert_eq!((row.first, row.newest), (at(0), at(11 * 8_766 * HOUR)));
}
