//! What is lacking of an epoch that is held: a copy that is damaged, or that ends too early.

use clap::Parser;
use lineside_proto::{AnswerError, Period, Time};
use serde_json::Value;
use std::fs;
use std::sync::Arc;

use super::super::super::pull::{Job, failure};
use super::super::super::several;
use super::super::super::shown::Lack;
use super::super::Citations;
use super::{Command, begun_anew, bundles, context, is_missing, log, pull, pulled};
use crate::archive::record::{Uncosigned, Unproved};
use crate::archive::testing::{City, at, copy};
use crate::archive::{Record, Standing, Stopped};
use crate::cli::Outcome;
use crate::evidence::copied::Copied;
use crate::evidence::{Informant, Trouble};

/// One epoch's copy is damaged: the other is got all the same, and what is lacking is said.
#[test]
fn an_epoch_that_is_damaged_keeps_no_other_from_being_got() {
    let city = City::new();
    let place = begun_anew(&city, "gw");
    let leaves = city.shelf().log_dir(&place).join("tile/entries");
    fs::rename(&leaves, leaves.with_extension("lost")).unwrap();
    let outs = tempfile::tempdir().unwrap();
    let dir = city.dir().display().to_string();
    let (done, names) = pulled(&dir, &["--all"], outs.path());
    assert!(is_missing(&done), "{done:?}");
    assert_eq!(bundles(&names), ["zs-gw-20261101-20261201-e2.zip"]);
}

/// The archive was away for the end of an epoch: the next one cites more of it.
#[test]
fn leaves_that_are_cited_and_not_held_are_named() {
    // The hour of the last leaf that the archive has, and whether it may lack some of the period.
    let check = |last: i64, lacking: bool| {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(3, 0);
        first.grow(1, last);
        city.keep(&first, None);
        first.grow(3, last + 1);
        let second = first.next_epoch(last + 5);
        second.grow(5, last + 6);
        city.keep(&second, None);
        let outs = tempfile::tempdir().unwrap();
        let dir = city.dir().display().to_string();
        let (done, names) = pulled(&dir, &["--all"], outs.path());
        assert_eq!(is_missing(&done), lacking, "{last}: {done:?}");
        assert_eq!(done.is_ok(), !lacking, "{last}: {done:?}");
        let made = if lacking { 2 } else { 1 };
        assert_eq!(names.len(), made, "{names:?}");
    };
    check(4, true);
    check(24 * 10, false);
}

/// What is held of the epoch before ends long before the period, and the next one cites more.
#[test]
fn leaves_that_are_cited_and_may_be_of_the_period_are_named() {
    let (tenth, files) = (24 * 17, ["zs-gw-20261201-20270101-e2.zip"]);
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(3, 0);
    city.keep(&first, None);
    let early = city.dir().join("early");
    copy(&first.state.join("ledger"), &early);
    first.grow(3, tenth - 5);
    let second = first.next_epoch(tenth);
    second.grow(5, tenth + 1);
    city.keep(&second, None);
    let state = second.state.clone();
    drop(second);
    let aside = state.join("ledger.e1");
    fs::remove_dir_all(&aside).unwrap();
    copy(&early, &aside);
    let outs = tempfile::tempdir().unwrap();
    let (dir, state) = (
        city.dir().display().to_string(),
        state.display().to_string(),
    );
    for (turn, whence) in [
        ["--archive", &dir, "--all"].as_slice(),
        &["--state", &state],
    ]
    .into_iter()
    .enumerate()
    {
        let out = outs.path().join(turn.to_string());
        let wanted = [&["--from", "2026-12"], whence].concat();
        let (done, names) = pull(&wanted, &out);
        assert!(is_missing(&done), "{whence:?}: {done:?}");
        assert_eq!(names, files, "{whence:?}");
    }
}

/// A source that says of the first log that it has nothing of a period.
#[derive(Clone)]
struct Denies(Arc<Copied>);

impl Informant for Denies {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        if method == "usage.bundle" && params["origin"] == "lineside/zs/gw" {
            return Err(Trouble::No(AnswerError {
                code: "not-found".to_owned(),
                text: "another log".to_owned(),
            }));
        }
        self.0.ask(method, params).await
    }
}

/// Whoever answered first about the epoch before was not the one that has it.
#[tokio::test]
async fn a_log_that_is_denied_and_has_leaves_of_the_period_is_named() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(5, 0);
    let second = first.next_epoch(6);
    second.grow(5, 7);
    let state = second.state.clone();
    drop(second);
    let outs = tempfile::tempdir().unwrap();
    let folder = format!("{}/", outs.path().display());
    let words = ["pull", "--state", "x", "--from", "2026-11", "-o", &folder];
    let Command { args } = Command::try_parse_from(words).unwrap();
    let context = context();
    let job = Job {
        args: &args,
        context: &context,
        period: Period {
            from: at(-200),
            to: at(200),
        },
    };
    let source = Denies(Arc::new(Copied::open(&state).unwrap()));
    let sources = (source.clone(), source, None);
    let got = several::pull(&job, sources, job.rhythm(), failure).await;
    assert!(!got.unwrap());
    let names = fs::read_dir(outs.path()).unwrap().flatten();
    let names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    assert_eq!(bundles(&names).len(), 1, "{names:?}");
}

/// What an archive knows of, and does not have.
#[test]
fn leaves_that_were_cosigned_and_are_not_held_are_named() {
    let check = |record: Record, lacking: bool| {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(5, 0);
        city.keep(&first, None);
        city.record(&first.place, &record);
        let outs = tempfile::tempdir().unwrap();
        let dir = city.dir().display().to_string();
        let (done, names) = pulled(&dir, &["--all"], outs.path());
        assert_eq!(is_missing(&done), lacking, "{done:?}");
        assert_eq!(names, ["zs-gw-20261101-20261201.zip"]);
    };
    let since = Time::from_millis(0);
    let uncosigned = |beyond: Option<u64>| Record {
        uncosigned: Some(Uncosigned {
            why: "words".to_owned(),
            beyond,
            since,
        }),
        ..Record::default()
    };
    let unproved = |stopped: Option<Stopped>| Record {
        unproved: Some(Unproved {
            size: 50,
            heads: 1,
            since,
        }),
        stopped,
        ..Record::default()
    };
    check(uncosigned(None), false);
    check(uncosigned(Some(50)), true);
    check(unproved(None), true);
    let stopped = Stopped {
        kind: "fork".to_owned(),
        text: "two trees".to_owned(),
        proof: "proof".to_owned(),
        at: since,
    };
    check(unproved(Some(stopped)), false);
}

/// A head that nobody proved was given up with the epoch that the next one does not cite it of.
#[test]
fn what_was_given_up_is_not_lacking() {
    let city = City::new();
    let place = begun_anew(&city, "gw");
    let record = Record {
        unproved: Some(Unproved {
            size: 50,
            heads: 1,
            since: Time::from_millis(0),
        }),
        ..Record::default()
    };
    city.record(&place, &record);
    let outs = tempfile::tempdir().unwrap();
    let dir = city.dir().display().to_string();
    let (done, names) = pulled(&dir, &["--all"], outs.path());
    assert_eq!((done.unwrap(), names.len()), (Outcome::Done, 2));
}

/// Whoever answers gives nothing of the period, though leaves of it are known, or may be.
#[test]
fn leaves_that_are_withheld_are_named() {
    let period = Period {
        from: Time::from_millis(150),
        to: Time::from_millis(450),
    };
    let check = |log: Standing, cited: Option<u64>, expected: Option<Lack>| {
        let mut citations = Citations::default();
        citations.cited.extend(cited.map(|size| (log.epoch, size)));
        assert_eq!(citations.withheld(period, &log), expected, "{log:?}");
    };
    check(log(1, 160, 500), None, Some(Lack::Withheld));
    check(log(1, 100, 440), None, Some(Lack::Withheld));
    check(log(1, 100, 500), None, None);
    check(log(1, 100, 120), None, None);
    check(log(1, 100, 120), Some(1), None);
    let short = Lack::Short { given: 1, known: 9 };
    check(log(1, 100, 120), Some(9), Some(short));
    check(log(1, 100, 500), Some(9), None);
}
