//! What no honest log has, what other archives had, and what a disk or a hand did to the index.

use lineside_proto::ledger::{
    Bind, Boot, ClockLeaf, CloseReason, Correction, GapLeaf, GapReason, LeafBody, SessionEvent,
    SessionLeaf, Shutdown, UsageLeaf,
};
use lineside_proto::{CheckIn, Class, ClockStatus, State};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::Arc;

use super::super::model::Select;
use super::super::reach::Reach;
use super::super::sql::Value;
use super::super::write::Batch;
use super::super::{Cursor, FILE, Index, IndexError, Indexer, check, rebuild};
use super::laid::{Laid, at, machine, place};
use super::{embedded, equals, indexed};
use crate::archive::Shelf;
use ulid::Ulid;

pub(super) fn corrections(count: u64) -> Vec<LeafBody> {
    let correction = |refers| {
        LeafBody::Correction(Correction {
            refers,
            reason: "wrong".to_owned(),
            by: "p".to_owned(),
        })
    };
    (0..count).map(correction).collect()
}

pub(super) fn usage(session: Option<&str>, class: Option<Class>, ms: u64) -> UsageLeaf {
    UsageLeaf {
        machine: machine("press-01"),
        session: session.map(str::to_owned),
        class,
        from: at(0),
        to: at(3_600_000),
        span_boot: None,
        clock: None,
        mono_from_ms: 0,
        mono_to_ms: 3_600_000,
        ms: BTreeMap::from([(State::Run, ms)]),
        hold_over_ms: 0,
        good: 1,
        bad: 0,
        energy: None,
        hours: None,
        config: "sha256:x".to_owned(),
    }
}

pub(super) fn session(id: &str, event: SessionEvent, class: Class) -> SessionLeaf {
    let is_over = event == SessionEvent::Close;
    SessionLeaf {
        machine: machine("press-01"),
        session: id.to_owned(),
        event,
        booking: None,
        token: None,
        class,
        check_in: CheckIn::Local,
        by: Some("p-1".to_owned()),
        from: at(0),
        from_ms: 0,
        to: is_over.then(|| at(3_600_000)),
        to_ms: is_over.then_some(3_600_000),
        reason: is_over.then_some(CloseReason::CheckOut),
    }
}

#[test]
fn texts_and_numbers_beyond_all_bounds_are_bounded_in_every_store() {
    let laid = Laid::new();
    let grown = laid.grown(place("gw-a", 1), "a");
    let long = "s".repeat(3_000);
    let mut huge = usage(Some(&long), Some(Class::Own), (1 << 53) - 1);
    huge.good = (1 << 53) - 1;
    (huge.mono_from_ms, huge.mono_to_ms) = (0, (1 << 53) - 1);
    grown.grow(
        "boot\0one",
        1,
        vec![
            LeafBody::Session(session(&long, SessionEvent::Open, Class::Own)),
            LeafBody::Usage(huge),
            LeafBody::Usage(usage(Some("zero\0byte"), None, 5)),
            LeafBody::Correction(Correction {
                refers: 1,
                reason: "zero\0byte".to_owned(),
                by: "p\0".to_owned(),
            }),
            LeafBody::Correction(Correction {
                refers: 99,
                reason: String::new(),
                by: String::new(),
            }),
        ],
    );
    laid.publish(&grown);
    let index = embedded(&laid);
    indexed(&laid, &index);
    equals(&laid, &index);
    let gateways = index.gateways(&Select::default()).unwrap().rows;
    assert_eq!(
        (gateways[0].epochs[0].odd, gateways[0].epochs[0].unknown),
        (1, 0)
    );
    let sessions = index.sessions(&Select::default()).unwrap().rows;
    assert_eq!(sessions.len(), 2);
    let corrections = index.corrections(&Select::default()).unwrap().rows;
    assert_eq!(corrections[0].reason, "zero\u{fffd}byte");
    let hashed = corrections[0].session.clone().unwrap();
    assert!(hashed.starts_with("sha256:"), "{hashed}");
    assert_eq!(
        (&corrections[1].session, corrections[1].refers),
        (&None, 99)
    );
    let corrected = sessions.iter().find(|row| row.session == hashed).unwrap();
    assert!(corrected.is_corrected);
    assert_eq!(corrected.ms[&State::Run], 86_400_000);
    let unbooked = sessions.iter().find(|row| row.session != hashed).unwrap();
    assert_eq!(
        (unbooked.session.as_str(), unbooked.class),
        ("zero\u{fffd}byte", Class::Unb)
    );
}

#[test]
fn a_late_token_changes_the_class_of_all_of_a_session() {
    let laid = Laid::new();
    let grown = laid.grown(place("gw-a", 1), "a");
    grown.grow(
        "boot",
        1,
        vec![
            LeafBody::Session(session("s", SessionEvent::Open, Class::Unb)),
            LeafBody::Usage(usage(Some("s"), Some(Class::Unb), 7)),
            LeafBody::Session(session("s", SessionEvent::Close, Class::Unb)),
        ],
    );
    laid.publish(&grown);
    let index = embedded(&laid);
    indexed(&laid, &index);
    let bind = Bind {
        machine: machine("press-01"),
        session: "s".to_owned(),
        booking: "b".to_owned(),
        token: "sha256:t".to_owned(),
        class: Class::Ext,
        before: Class::Unb,
    };
    grown.grow("boot", 2, vec![LeafBody::Bind(bind)]);
    laid.publish(&grown);
    indexed(&laid, &index);
    equals(&laid, &index);
    let row = index.sessions(&Select::default()).unwrap().rows.remove(0);
    assert_eq!(
        (row.class, row.class_before),
        (Class::Ext, Some(Class::Unb))
    );
    assert_eq!((row.booking.as_deref(), row.bind), (Some("b"), Some(3)));
    let select = Select {
        from: Some(at(0)),
        to: Some(at(3_600_000)),
        ..Select::default()
    };
    let usage = index.usage(&select).unwrap().rows.remove(0);
    assert_eq!(usage.classes[0].class, Some(Class::Ext));
    assert_eq!(usage.classes[0].active_ms, 7);
}

#[test]
fn a_gap_gets_its_length_when_the_clock_is_set() {
    for is_same_batch in [true, false] {
        let laid = Laid::new();
        let grown = laid.grown(place("gw-a", 1), "a");
        let gap = GapLeaf {
            machine: machine("press-01"),
            from: at(0),
            to: at(0),
            from_boot: "before".to_owned(),
            mono_from_ms: 5,
            mono_to_ms: 1_000,
            ms: None,
            clock: ClockStatus::U,
            reason: GapReason::Agent,
        };
        let boot = Boot {
            version: "1".to_owned(),
            build: "sha256:b".to_owned(),
            previous: Shutdown::Crash,
            clock: ClockStatus::U,
            error_ms: None,
        };
        grown.grow("now", 1_500, vec![LeafBody::Boot(boot), LeafBody::Gap(gap)]);
        let index = embedded(&laid);
        if !is_same_batch {
            laid.publish(&grown);
            indexed(&laid, &index);
        }
        let clock = ClockLeaf {
            status: ClockStatus::S,
            before: ClockStatus::U,
            step_ms: None,
            error_ms: None,
            source: "kernel".to_owned(),
        };
        grown.grow(
            "now",
            60_000,
            vec![
                LeafBody::Clock(clock),
                LeafBody::Usage(usage(None, None, 1)),
            ],
        );
        laid.publish(&grown);
        indexed(&laid, &index);
        equals(&laid, &index);
        let here = Select {
            site: Some(grown.place.site.clone()),
            gateway: Some(grown.place.gateway.clone()),
            ..Select::default()
        };
        let gaps = index.gaps(&here).unwrap().rows;
        assert_eq!(gaps[0].length_ms, Some(1_000), "{is_same_batch}");
        // A usage leaf without a letter has that of its boot's clock then.
        let spans = index.spans(&here).unwrap().rows;
        assert_eq!(spans[0].clock, ClockStatus::S);
    }
}

#[test]
fn a_log_of_another_history_is_made_anew() {
    let (laid, _) = Laid::year(2);
    let index = embedded(&laid);
    let grown = laid.grown(place("gw-a", 1), "a");
    grown.grow("boot", 1, corrections(700));
    laid.publish(&grown);
    indexed(&laid, &index);
    // Another log of that name: longer, as long, and shorter, as a directory that was restored.
    for (key, count) in [("b", 900), ("c", 900), ("d", 300), ("e", 1)] {
        fs::remove_dir_all(laid.dir().join("states")).unwrap();
        let other = laid.grown(place("gw-a", 1), key);
        other.grow(key, 1, corrections(count));
        laid.publish(&other);
        assert_eq!(indexed(&laid, &index), count, "{key}");
        equals(&laid, &index);
    }
}

#[test]
fn a_log_whose_rows_are_half_deleted_is_made_anew() {
    let (laid, year) = Laid::year(2);
    let index = embedded(&laid);
    indexed(&laid, &index);
    change(&index, "UPDATE logs SET root = ''");
    change(&index, "DELETE FROM usage WHERE leaf < 200");
    assert_eq!(indexed(&laid, &index), year.leaves);
    equals(&laid, &index);
}

#[test]
fn leaves_of_a_kind_that_nobody_knows_are_counted() {
    let laid = Laid::new();
    let index = embedded(&laid);
    let grown = laid.grown(place("gw-a", 1), "a");
    let first = grown.grow("boot", 1, corrections(3));
    laid.publish(&grown);
    let known = super::laid::leaves(&laid.shelf(), &grown.place);
    let known = |place: usize| known[place].to_bytes().unwrap();
    let later = br#"{"at":"2025-03-01T00:00:00.000Z","boot":"b","index":1,"mono_ms":1,"type":"later","v":1}"#;
    let leaves = vec![
        (first, known(0)),
        (1, later.to_vec()),
        (2, b"no leaf".to_vec()),
        // A leaf that says that it is another.
        (3, known(1)),
        (4, Vec::new()),
    ];
    let after = Cursor {
        size: 5,
        root: "r".to_owned(),
    };
    let batch = Batch {
        place: &grown.place,
        origin: "o",
        before: &Cursor::default(),
        after: &after,
        leaves: &leaves,
        reach: Reach {
            names: &|_| None,
            leaf: &|_| Ok(None),
        },
    };
    index.write(&batch).unwrap();
    assert!(matches!(index.write(&batch), Err(IndexError::Moved)));
    let row = index.gateways(&Select::default()).unwrap().rows.remove(0);
    assert_eq!((row.epochs[0].size, row.epochs[0].unknown), (5, 4));
    assert_eq!(index.corrections(&Select::default()).unwrap().rows.len(), 1);
    // It is of no log that is there.
    assert_eq!(indexed(&laid, &index), 3);
    equals(&laid, &index);
}

#[test]
fn a_damaged_log_keeps_no_other_back() {
    let (laid, year) = Laid::year(2);
    let grown = laid.grown(place("gw-a", 1), "a");
    grown.grow("boot", 1, corrections(600));
    laid.publish(&grown);
    let bundle = laid.shelf().log_dir(&grown.place).join("tile/entries/001");
    let mut bytes = fs::read(&bundle).unwrap();
    let reason = bytes.windows(5).position(|part| part == b"wrong").unwrap();
    bytes[reason] = b'W';
    fs::write(&bundle, bytes).unwrap();
    let index = embedded(&laid);
    let mut indexer = Indexer::new(laid.shelf(), Arc::clone(&index));
    let round = indexer.round(&mut || false).unwrap();
    assert_eq!(round.faults, 1);
    assert!(round.leaves >= year.leaves, "{round:?}");
    assert!(matches!(
        check(&laid.shelf(), &index),
        Ok(checked) if checked.count == 1 && checked.behind > 0
            && checked.first[0].what.contains("is not the one in the tree")
    ));
}

/// Changes the index by hand.
fn change(index: &Index, sql: &str) {
    let mut changed = 0;
    index
        .store
        .write(&mut |session| {
            changed = session.run(sql, &[])?;
            Ok(())
        })
        .unwrap();
    assert!(changed > 0, "{sql}");
}

#[test]
fn whatever_was_changed_in_the_index_is_found() {
    let (laid, _) = Laid::year(3);
    for (sql, table) in [
        (
            "UPDATE usage SET run_ms = run_ms + 1 WHERE leaf = (SELECT MAX(leaf) FROM usage)",
            "usage",
        ),
        (
            "DELETE FROM usage WHERE leaf = (SELECT MIN(leaf) FROM usage)",
            "usage",
        ),
        ("DELETE FROM usage", "usage"),
        (
            "UPDATE sessions SET class = 'EXT' WHERE class <> 'EXT'",
            "sessions",
        ),
        ("UPDATE sessions SET session = session || 'x'", "sessions"),
        ("UPDATE outcomes SET leaf = leaf + 100000", "outcomes"),
        ("UPDATE machines SET name_en = 'x'", "machines"),
        (
            "UPDATE states SET state = 'RUN' WHERE state <> 'RUN'",
            "states",
        ),
        ("DELETE FROM boots", "boots"),
        ("UPDATE logs SET newest_ms = newest_ms + 1", "logs"),
        ("UPDATE logs SET root = 'x'", "logs"),
        ("UPDATE logs SET gateway = 'gw-else'", "logs"),
    ] {
        drop(fs::remove_file(laid.dir().join(FILE)));
        let index = embedded(&laid);
        indexed(&laid, &index);
        equals(&laid, &index);
        change(&index, sql);
        let checked = check(&laid.shelf(), &index).unwrap();
        assert!(checked.count > 0, "{sql}");
        assert_eq!(checked.first[0].table, table, "{sql}: {checked:?}");
    }
}

#[test]
fn a_damaged_or_older_file_is_made_anew_and_a_later_one_is_left() {
    let (laid, year) = Laid::year(2);
    let file = laid.dir().join(FILE);
    fs::write(
        &file,
        "no database at all, but long enough to be looked at".repeat(100),
    )
    .unwrap();
    assert_eq!(indexed(&laid, &embedded(&laid)), year.leaves);
    let version = |version: &str| {
        let index = embedded(&laid);
        change(
            &index,
            &format!("UPDATE about SET text = '{version}' WHERE name = 'version'"),
        );
    };
    version("0");
    assert_eq!(indexed(&laid, &embedded(&laid)), year.leaves);
    version("99");
    assert!(matches!(
        Index::embedded(laid.dir()),
        Err(IndexError::Later(_))
    ));
}

#[test]
fn an_index_that_another_user_made_is_its_directorys_owners() {
    let laid = Laid::new();
    // Only root may give a file away; whoever else runs this owns all of it already.
    let other = 65_534;
    let given = chown(laid.dir(), Some(other), Some(other)).is_ok();
    let index = embedded(&laid);
    Index::give(laid.dir()).unwrap();
    let of = |path: &Path| fs::metadata(path).unwrap().uid();
    for file in [FILE, "index.sqlite-wal", "index.sqlite-shm"] {
        let owner = of(&laid.dir().join(file));
        assert_eq!((owner, owner == other), (of(laid.dir()), given), "{file}");
    }
    drop(index);
}

#[test]
fn an_index_is_of_one_archive() {
    let (laid, year) = Laid::year(2);
    let named = |name: Ulid| fs::write(laid.dir().join("name"), name.to_string()).unwrap();
    let shelf = Shelf::of(laid.dir());
    let (first, second) = (Ulid::new(), Ulid::new());
    named(first);
    assert_eq!(indexed(&laid, &embedded(&laid)), year.leaves);
    assert_eq!(indexed(&laid, &embedded(&laid)), 0);
    named(second);
    let index = embedded(&laid);
    let refused = Indexer::new(shelf.clone(), Arc::clone(&index)).round(&mut || false);
    let Err(IndexError::Foreign(owner)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(owner, first.to_string());
    // It is neither read nor made anew by another.
    let is_foreign = |error: IndexError| matches!(error, IndexError::Foreign(_));
    assert!(is_foreign(rebuild(&shelf, &index).unwrap_err()));
    assert!(is_foreign(check(&shelf, &index).unwrap_err()));
    assert!(is_foreign(index.machines(&Select::default()).unwrap_err()));
    drop(index);
    named(first);
    let index = embedded(&laid);
    assert_eq!(check(&shelf, &index).unwrap().count, 0);
    assert_eq!(rebuild(&shelf, &index).unwrap().leaves, year.leaves);
}

#[test]
fn values_stay_what_they_are() {
    let laid = Laid::new();
    let index = embedded(&laid);
    for value in [
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::Text("温度 '\"$1?".to_owned()),
    ] {
        let mut found = Vec::new();
        index
            .store
            .read(None, &mut |sql| {
                found = sql.ask("SELECT $1", std::slice::from_ref(&value))?;
                Ok(())
            })
            .unwrap();
        assert_eq!(found.remove(0).rest(), [value]);
    }
}
