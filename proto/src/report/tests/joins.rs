//! Bundles that are joined, refused, or matched with lists.

use super::build::{
    assets, at, bookings, brought, bundle, bundle_of, idle, made, national, session,
};
use crate::Class;
use crate::evidence::{CheckResult, Grade, Status, Verdict, Why};
use crate::report::{
    AnomalyKind, BegunAnew, Evidence, HOUR_MS, ListFile, ListKind, ReportError, Rules, Span, report,
};

#[test]
fn adjoining_periods_of_a_machine_are_one() {
    let mut first = idle("m", 100);
    let mut begun = session("s", Class::Unb, Grade::A, 90, 10);
    begun.to = None;
    begun.close = None;
    first.sessions = vec![begun];
    first.active_ms = 10 * HOUR_MS;
    let mut second = idle("m", 50);
    let mut ended = session("s", Class::Ext, Grade::C, 90, 5);
    ended.from = None;
    ended.open = None;
    ended.to = Some(at(105));
    ended.why = vec![Why::Clock];
    second.sessions = vec![ended, session("later", Class::Own, Grade::B, 110, 1)];
    second.active_ms = 6 * HOUR_MS;
    let report = made(
        vec![
            bundle("2.zip", 100, 150, vec![second]),
            bundle("1.zip", 0, 100, vec![first]),
        ],
        &national(),
    );
    let only = &report.machines[0];
    assert_eq!(
        only.spans,
        [Span {
            from: at(0),
            to: at(150)
        }]
    );
    let [joined, later] = only.sessions.as_slice() else {
        panic!("{:?}", only.sessions)
    };
    assert_eq!(
        (joined.totals.class, joined.totals.grade),
        (Class::Ext, Grade::C)
    );
    assert_eq!(
        (joined.totals.from, joined.totals.to),
        (Some(at(90)), Some(at(105)))
    );
    assert_eq!(
        (joined.totals.open, joined.totals.close),
        (Some(1), Some(2))
    );
    assert_eq!(joined.totals.active_ms, 15 * HOUR_MS);
    assert_eq!(later.totals.session, "later");
    assert_eq!(only.figures.external.hundredths(), Some(1500));
    assert_eq!(only.sums.sessions, 2);
    let files: Vec<_> = report
        .sources
        .iter()
        .map(|source| source.file.as_str())
        .collect();
    assert_eq!(files, ["1.zip", "2.zip"]);
    assert!(
        report
            .anomalies
            .iter()
            .all(|anomaly| anomaly.kind != AnomalyKind::MissingPeriod)
    );
}

#[test]
fn a_hole_between_periods_stays_one_and_is_told() {
    let report = made(
        vec![
            bundle("1.zip", 0, 100, vec![idle("m", 100)]),
            bundle("2.zip", 130, 150, vec![]),
        ],
        &national(),
    );
    let only = &report.machines[0];
    assert_eq!(only.spans.len(), 2);
    // The second bundle does not name the machine: its time is not known.
    assert_eq!(only.coverage.period_ms(), 120 * HOUR_MS);
    assert_eq!(only.coverage.thousandths(), 833);
    let missing = report
        .anomalies
        .iter()
        .find(|a| a.kind == AnomalyKind::MissingPeriod)
        .unwrap();
    assert_eq!((missing.from, missing.to), (Some(at(100)), Some(at(130))));
    assert!(
        missing
            .text
            .en
            .contains("2026-03-06 04:00:00 to 2026-03-07 10:00:00"),
        "{}",
        missing.text.en
    );
}

#[test]
fn no_time_of_a_gateway_is_told_twice() {
    let check = |from: i64, gateway: &str, is_refused: bool| {
        let other = bundle_of(gateway, "2.zip", (from, 200), vec![]);
        let made = report(vec![bundle("1.zip", 0, 100, vec![]), other], &national());
        match made {
            Err(error @ ReportError::Overlap { .. }) if is_refused => {
                assert!(error.to_string().contains("1.zip and 2.zip"), "{error}");
                assert!(error.said().zh.contains("zs-polymer/gw"));
            }
            Ok(_) if !is_refused => {}
            other => panic!("{other:?}"),
        }
    };
    check(99, "gw", true);
    check(0, "gw", true);
    check(100, "gw", false);
    check(0, "gx", false);
}

/// A bundle of an epoch that counts between these hours.
fn epoch(number: u32, counted: (i64, i64), hours: u64) -> Evidence {
    let file = format!("e{number}.zip");
    let mut bundle = bundle(&file, 0, 100, vec![idle("m", hours)]);
    let totals = bundle.verification.totals.as_mut().unwrap();
    totals.origin = format!("example.org/zs/gw/e{number}");
    totals.machines[0].period_ms = 100 * HOUR_MS;
    bundle.observed.counted = Some(Span {
        from: at(counted.0),
        to: at(counted.1),
    });
    bundle
}

/// The second epoch, which cites so many leaves of the first.
fn second(size: u64) -> Evidence {
    let mut second = epoch(2, (60, 100), 40);
    second.observed.begun = Some(BegunAnew {
        at: at(55),
        reason: "the disk was lost".to_owned(),
        prior: "example.org/zs/gw/e1".to_owned(),
        size,
    });
    second
}

/// A gateway whose disk was lost: its ledger goes on in another epoch, and both tell of one period.
#[test]
fn two_epochs_tell_of_one_period_if_what_they_count_does_not_overlap() {
    let begun = second(0).observed.begun;
    let made = made(vec![second(0), epoch(1, (0, 50), 50)], &national());
    let told: Vec<_> = made.sources.iter().map(|source| &source.begun).collect();
    assert_eq!(told, [&None, &begun]);
    assert!(made.anomalies.is_empty(), "{:?}", made.anomalies);
    let files: Vec<_> = made.sources.iter().map(|source| &*source.file).collect();
    assert_eq!(files, ["e1.zip", "e2.zip"]);
    let only = &made.machines[0];
    assert_eq!(only.spans.len(), 1);
    assert_eq!(only.explanation.calendar_ms, 100 * HOUR_MS);
    let coverage = only.coverage;
    assert_eq!(
        (coverage.known_ms(), coverage.period_ms()),
        (90 * HOUR_MS, 100 * HOUR_MS)
    );
    let refused = |evidence| match report(evidence, &national()) {
        Err(ReportError::Overlap { file, other, .. }) => (file, other),
        other => panic!("{other:?}"),
    };
    let crossed = vec![epoch(1, (0, 50), 50), epoch(2, (49, 100), 51)];
    let names = ("e1.zip".to_owned(), "e2.zip".to_owned());
    assert_eq!(refused(crossed), names);
    // Those of one epoch are told apart by their periods, whatever lies between them.
    let mut later = bundle("later.zip", 90, 200, vec![]);
    later.verification.totals.as_mut().unwrap().origin = "example.org/zs/gw/e1".to_owned();
    let three = vec![later, epoch(1, (0, 50), 50), epoch(2, (60, 80), 20)];
    assert_eq!(
        refused(three),
        ("e1.zip".to_owned(), "later.zip".to_owned())
    );
}

/// The first epoch ends before what the second cites of it; of one that has more than was given, the end is known.
#[test]
fn leaves_that_the_next_epoch_cites_and_no_bundle_has_are_told() {
    for (size, end, lacking) in [
        (12, 12, None),
        (9, 9, Some(3)),
        (9, 8, None),
        (15, 15, None),
    ] {
        let mut first = epoch(1, (0, 50), 50);
        let totals = first.verification.totals.as_mut().unwrap();
        (totals.size, totals.end) = (size, end);
        let anomalies = made(vec![second(12), first], &national()).anomalies;
        let leaves = anomalies.iter().map(|found| found.numbers.get("leaves"));
        assert_eq!(leaves.flatten().next().copied(), lacking, "{anomalies:?}");
        assert_eq!(anomalies.len(), usize::from(lacking.is_some()));
        let mut kinds = anomalies.iter().map(|found| found.kind);
        assert!(kinds.all(|kind| kind == AnomalyKind::MissingPeriod));
    }
    // Nothing of the first is there; or there was nothing of it.
    for (size, told) in [(12, true), (0, false)] {
        let anomalies = made(vec![second(size)], &national()).anomalies;
        let kinds: Vec<_> = anomalies.iter().map(|found| found.kind).collect();
        assert_eq!(kinds == [AnomalyKind::MissingPeriod], told, "{anomalies:?}");
        assert_eq!(kinds.is_empty(), !told);
    }
}

#[test]
fn a_bundle_that_does_not_verify_is_refused_by_name_unless_somebody_insists() {
    let mut failed = bundle("bad.zip", 0, 100, vec![idle("m", 100)]);
    failed.verification.verdict = Verdict::Failed;
    failed.verification.checks = vec![CheckResult {
        check: crate::evidence::Check::Tree,
        status: Status::Failed,
        said: vec!["another root".to_owned()],
        found: 1,
    }];
    let mut unknown = failed.clone();
    unknown.verification.verdict = Verdict::SelfConsistent;
    let error = report(vec![failed.clone()], &national()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("bad.zip does not verify: another root"),
        "{error}"
    );
    let error = report(vec![unknown], &national()).unwrap_err();
    assert!(error.to_string().contains("--trust"), "{error}");
    let mut insists = national();
    insists.takes_unverified = true;
    let made = report(vec![failed.clone()], &insists).unwrap();
    assert!(!made.is_verified);
    assert_eq!(made.anomalies[0].kind, AnomalyKind::Unverified);
    assert_eq!(made.sources[0].said, ["another root"]);
    failed.verification.totals = None;
    let error = report(vec![failed], &insists).unwrap_err();
    assert_eq!(
        error,
        ReportError::Unread {
            file: "bad.zip".to_owned()
        }
    );
    assert_eq!(
        report(Vec::new(), &insists).unwrap_err(),
        ReportError::NoBundle
    );
}

#[test]
fn lists_say_what_they_are_and_which_lines_fit_nothing() {
    let mut brought = bookings(
        assets(
            brought(Rules::national().unwrap()),
            "machine,number\nlost,1\nm,2\n",
        ),
        "machine,booking,organisation,start,end\nlost,b,o,2026-03-02 08:00,2026-03-02 09:00\n",
    );
    let file = |kind, name: &str| ListFile {
        kind,
        file: name.to_owned(),
        sha256: "00".to_owned(),
    };
    brought.lists = vec![
        file(ListKind::Assets, "a.csv"),
        file(ListKind::Bookings, "b.csv"),
    ];
    let report_of = |machines| report(machines, &brought);
    let made = report_of(vec![bundle("1.zip", 0, 100, vec![idle("m", 100)])]).unwrap();
    let lists: Vec<_> = made
        .lists
        .iter()
        .map(|list| (list.rows, list.unused_lines.clone()))
        .collect();
    assert_eq!(lists, [(2, vec![2]), (1, vec![2])]);
    let two = vec![
        bundle("1.zip", 0, 100, vec![idle("m", 100)]),
        bundle_of("gx", "2.zip", (0, 100), vec![idle("m", 100)]),
    ];
    let error = report_of(two).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("line 3 of the asset list fits several machines m"),
        "{error}"
    );
}
