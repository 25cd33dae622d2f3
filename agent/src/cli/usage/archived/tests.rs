//! Which epochs tell of a period, and what is said of those that can't be read.

mod lacking;

use clap::Parser;
use lineside_proto::{Period, Time};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::super::pull::Args;
use super::chosen;
use crate::archive::record::Uncosigned;
use crate::archive::testing::{City, name};
use crate::archive::web::{self, Desk};
use crate::archive::{Held, Library, Live, Place, Record, Standing};
use crate::cli::{Context, Failure, Outcome};
use crate::clock::SystemClock;
use crate::text::Language;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// Pulls the evidence of November; gives the exit and the names of the files that are there then.
fn pulled(source: &str, whose: &[&str], out: &Path) -> (Result<Outcome, Failure>, Vec<String>) {
    let wanted = ["--archive", source, "--from", "2026-11"];
    pull(&[&wanted, whose].concat(), out)
}

fn context() -> Context {
    Context {
        config: "none".into(),
        language: Language::En,
    }
}

fn pull(wanted: &[&str], out: &Path) -> (Result<Outcome, Failure>, Vec<String>) {
    let folder = format!("{}/", out.display());
    let words = ["pull", "-o", &folder];
    let Command { args } = Command::try_parse_from(words.iter().chain(wanted)).unwrap();
    let context = context();
    let done = super::super::pull::run(&args, &context);
    let listed = fs::read_dir(out).into_iter().flatten().flatten();
    let mut names: Vec<String> = listed
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    (done, names)
}

/// Those of whole bundles: beside them is what was received of others.
fn bundles(names: &[String]) -> Vec<&str> {
    let names = names.iter().map(String::as_str);
    names.filter(|name| name.ends_with(".zip")).collect()
}

/// A gateway that the archive has two epochs of, both of November. Gives the first one's place.
fn begun_anew(city: &City, gateway: &str) -> Place {
    let first = city.gateway("zs", gateway);
    first.grow(5, 0);
    city.keep(&first, None);
    let place = first.place.clone();
    let second = first.next_epoch(6);
    second.grow(5, 7);
    city.keep(&second, None);
    place
}

/// Whether it is said that something is missing that may come.
fn is_missing(done: &Result<Outcome, Failure>) -> bool {
    matches!(done, Err(Failure::Unreachable(_)))
}

#[test]
fn a_log_that_can_not_be_read_is_missed_and_not_passed_over() {
    let city = City::new();
    let place = begun_anew(&city, "rot");
    let alone = city.gateway("zs", "alone");
    alone.grow(5, 0);
    city.keep(&alone, None);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let library = Library::of(city.shelf(), CancellationToken::new());
    let live = Live::new(Arc::new(SystemClock), Arc::default());
    let desk = Desk::new(Arc::new(library), Arc::new(live));
    let served = web::serve("127.0.0.1:0".parse().unwrap(), desk);
    let url = format!("http://{}", runtime.block_on(served).unwrap());
    let dir = city.dir().display().to_string();

    let whole = [
        "rot-20261101-20261201-e1.zip",
        "rot-20261101-20261201-e2.zip",
    ];
    let whole = whole.map(|name| format!("zs-{name}"));
    let outs = tempfile::tempdir().unwrap();
    let rot = ["--site", "zs", "--gateway", "rot"];
    for (turn, source) in [&dir, &url].into_iter().enumerate() {
        let (done, names) = pulled(source, &rot, &outs.path().join(format!("whole-{turn}")));
        assert_eq!((done.unwrap(), names), (Outcome::Done, whole.to_vec()));
    }
    // Its head is damaged; its files were set aside to be fetched anew.
    let shelf = city.shelf();
    fs::write(shelf.log_dir(&place).join("checkpoint"), "junk").unwrap();
    let lost = &alone.place;
    fs::create_dir_all(shelf.aside_dir(lost)).unwrap();
    fs::rename(shelf.log_dir(lost), shelf.aside_dir(lost).join("1")).unwrap();
    city.record(lost, &Record::default());
    for (turn, source) in [&dir, &url].into_iter().enumerate() {
        let (done, names) = pulled(source, &rot, &outs.path().join(format!("part-{turn}")));
        assert!(is_missing(&done), "{source}: {done:?}");
        assert_eq!(names, whole[1..]);
        let out = outs.path().join(format!("all-{turn}"));
        let (done, names) = pulled(source, &["--all"], &out);
        assert!(is_missing(&done), "{source}: {done:?}");
        assert_eq!(names, whole[1..]);
        let only = ["--site", "zs", "--gateway", "alone"];
        let (done, names) = pulled(source, &only, &outs.path().join(format!("none-{turn}")));
        assert!(is_missing(&done), "{source}: {done:?}");
        assert!(names.is_empty(), "{names:?}");
    }
}

#[test]
fn an_epoch_that_the_archive_never_had_is_named() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(5, 0);
    // The archive began after it.
    let second = first.next_epoch(6);
    second.grow(5, 7);
    city.keep(&second, None);
    let outs = tempfile::tempdir().unwrap();
    let dir = city.dir().display().to_string();
    let (done, names) = pulled(&dir, &["--all"], outs.path());
    assert!(is_missing(&done), "{done:?}");
    assert_eq!(names, ["zs-gw-20261101-20261201-e2.zip"]);
}

/// An epoch is lost, and the one that cites it was begun after the period.
#[test]
fn an_epoch_between_one_that_ended_and_one_after_the_period_is_named() {
    let (december, beyond) = (24 * 40, 24 * 45);
    // Until when the first epoch goes on, and what is said then.
    let check = |last: i64, expected: &str, missing: bool| {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(5, 0);
        first.grow(1, last);
        city.keep(&first, None);
        let second = first.next_epoch(last + 1);
        second.grow(5, last + 2);
        // The archive was away for all of it.
        let third = second.next_epoch(beyond);
        third.grow(5, beyond + 1);
        city.keep(&third, None);
        let outs = tempfile::tempdir().unwrap();
        let dir = city.dir().display().to_string();
        let (done, names) = pulled(&dir, &["--all"], outs.path());
        assert_eq!(is_missing(&done), missing, "{last}: {done:?}");
        assert!(missing || done.is_ok(), "{last}: {done:?}");
        assert_eq!(names, [expected], "{last}");
    };
    check(6, "zs-gw-20261101-20261201-e1.zip", true);
    check(december, "zs-gw-20261101-20261201.zip", false);
}

/// Everything that is held was begun after the period, and what was there before is not.
#[test]
fn an_epoch_before_all_that_began_after_the_period_is_named() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(5, 0);
    let mut gateway = first;
    for hour in [24 * 40, 24 * 50, 24 * 60] {
        gateway = gateway.next_epoch(hour);
        gateway.grow(5, hour + 1);
        city.keep(&gateway, None);
    }
    let outs = tempfile::tempdir().unwrap();
    let dir = city.dir().display().to_string();
    let (done, _) = pulled(&dir, &["--all"], outs.path());
    assert!(is_missing(&done), "{done:?}");
}

/// What the first leaf of the next epoch cites is not known where that leaf is gone.
#[test]
fn an_epoch_that_does_not_say_what_it_cites_is_named() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(5, 0);
    city.keep(&first, None);
    let second = first.next_epoch(24 * 40);
    second.grow(5, 24 * 40 + 1);
    city.keep(&second, None);
    let outs = tempfile::tempdir().unwrap();
    let dir = city.dir().display().to_string();
    let expected = ["zs-gw-20261101-20261201.zip"];
    let (done, names) = pulled(&dir, &["--all"], &outs.path().join("whole"));
    assert_eq!(
        (done.unwrap(), names),
        (Outcome::Done, expected.map(str::to_owned).to_vec())
    );
    let leaves = city.shelf().log_dir(&second.place).join("tile/entries");
    fs::rename(&leaves, leaves.with_extension("lost")).unwrap();
    let (done, names) = pulled(&dir, &["--all"], &outs.path().join("part"));
    assert!(is_missing(&done), "{done:?}");
    // It may have leaves of the period itself.
    assert_eq!(bundles(&names), ["zs-gw-20261101-20261201-e1.zip"]);
}

#[test]
fn what_two_archives_hold_is_held_together() {
    let held = |logs: Vec<Standing>, unreadable: &[u32]| Held {
        v: 1,
        site: name("s"),
        gateway: name("g"),
        logs,
        unreadable: unreadable.to_vec(),
        unlisted: false,
    };
    let sized = |epoch, size, alarms| Standing {
        size,
        alarms,
        ..log(epoch, 0, 1)
    };
    let one = held(vec![sized(1, 5, 2), sized(3, 9, 0)], &[2, 4]);
    let other = held(vec![sized(1, 7, 0), sized(2, 4, 0), sized(3, 8, 1)], &[4]);
    let both = held(vec![sized(1, 7, 2), sized(2, 4, 0), sized(3, 9, 1)], &[4]);
    for (first, second) in [(&one, &other), (&other, &one)] {
        let mut all = first.clone();
        all.join(second.clone());
        assert_eq!(all, both);
    }
    // What either witness cosigned beyond what it has counts, whatever else stands against the longer copy.
    let uncosigned = |size, beyond: Option<u64>| Standing {
        uncosigned: Some(Uncosigned {
            why: "words".to_owned(),
            beyond,
            since: Time::from_millis(0),
        }),
        ..sized(1, size, 0)
    };
    for (one, other) in [(None, Some(700)), (Some(650), Some(700)), (Some(700), None)] {
        let mut all = held(vec![uncosigned(600, one)], &[]);
        all.join(held(vec![uncosigned(500, other)], &[]));
        assert_eq!(all.logs, [uncosigned(600, Some(700))]);
    }
    // Times may be wrong on either side.
    let times = |size, first, newest| Standing {
        size,
        first: Some(Time::from_millis(first)),
        newest,
        ..log(1, 0, 0)
    };
    let newest = |at| Some(Time::from_millis(at));
    let mut all = held(vec![times(5, 10, newest(20))], &[]);
    all.join(held(vec![times(7, 15, newest(18))], &[]));
    assert_eq!(all.logs, [times(7, 10, newest(20))]);
    all.join(held(vec![times(8, 15, None)], &[]));
    assert_eq!(all.logs, [times(8, 10, None)]);
}

#[test]
fn what_is_held_names_what_can_not_be_read() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(3, 0);
    city.keep(&first, None);
    let place = first.place.clone();
    city.keep(&first.next_epoch(4), None);
    let shelf = city.shelf();
    let checkpoint = shelf.log_dir(&place).join("checkpoint");
    let found = || {
        let held = Held::of(&shelf, &name("zs"), &name("gw")).unwrap().unwrap();
        assert_eq!(Held::all(&shelf, |_, _| true).unwrap().first(), Some(&held));
        assert!(Held::all(&shelf, |_, _| false).unwrap().is_empty());
        let logs: Vec<u32> = held.logs.iter().map(|log| log.epoch).collect();
        (logs, held.unreadable)
    };
    assert_eq!(found(), (vec![1, 2], vec![]));
    fs::write(&checkpoint, "junk").unwrap();
    assert_eq!(found(), (vec![2], vec![1]));
    fs::remove_file(&checkpoint).unwrap();
    assert_eq!(found(), (vec![2], vec![1]));
    // The first head of a log is not there yet while its leaves are fetched.
    let begun = Record {
        size: 2,
        reaching: Some("note".to_owned()),
        ..Record::default()
    };
    city.record(&Place { epoch: 3, ..place }, &begun);
    assert_eq!(found(), (vec![2], vec![1]));
    assert!(
        Held::of(&shelf, &name("zs"), &name("gx"))
            .unwrap()
            .is_none()
    );
}

fn log(epoch: u32, first: i64, newest: i64) -> Standing {
    Standing {
        site: "s".parse().unwrap(),
        gateway: "g".parse().unwrap(),
        epoch,
        origin: String::new(),
        size: 1,
        root: String::new(),
        first: Some(Time::from_millis(first)),
        newest: Some(Time::from_millis(newest)),
        heard: None,
        cosigned: None,
        stopped: None,
        alarms: 0,
        unproved: None,
        uncosigned: None,
    }
}

#[test]
fn a_period_is_told_by_the_epochs_that_have_leaves_in_it() {
    let logs = [log(1, 100, 200), log(2, 300, 400), log(3, 400, 500)];
    for (from, to, expected) in [
        (150, 160, &[1][..]),
        (200, 201, &[1]),
        (150, 300, &[1]),
        (150, 301, &[1, 2]),
        (0, 1000, &[1, 2, 3]),
        (220, 280, &[1]),
        (400, 401, &[2, 3]),
        (600, 700, &[3]),
        // Before all: whoever asks is told that there is nothing.
        (0, 50, &[1]),
    ] {
        let period = Period {
            from: Time::from_millis(from),
            to: Time::from_millis(to),
        };
        let chosen = chosen(&logs, period);
        let epochs: Vec<u32> = chosen.iter().map(|log| log.epoch).collect();
        assert_eq!(epochs, expected, "{from} to {to}");
    }
    // One end can't be read: it may be anywhere.
    for (first, newest, expected) in [
        (None, Some(500), 2),
        (Some(100), None, 2),
        (Some(900), None, 1),
    ] {
        let at = |at: Option<i64>| at.map(Time::from_millis);
        let open = Standing {
            first: at(first),
            newest: at(newest),
            ..log(2, 0, 0)
        };
        let period = Period {
            from: Time::from_millis(150),
            to: Time::from_millis(450),
        };
        let chosen = chosen(&[log(1, 100, 200), open], period);
        assert_eq!(chosen.len(), expected, "{first:?} {newest:?}");
    }
    // Its clock was ahead when it began, and was set back.
    let logs = [log(1, 100, 200), log(2, 900, 400)];
    let period = Period {
        from: Time::from_millis(150),
        to: Time::from_millis(450),
    };
    assert_eq!(chosen(&logs, period).len(), 2);
}
