use super::{Cosigned, Head, RESEND_MAX, RESEND_MIN, Resend, named};
use crate::clock::Stamp;
use crate::config::model::Witnesses;
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, SignerKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use std::path::Path;
use std::time::{Duration, Instant};

const ORIGIN: &str = "lineside/s/g";

fn key(seed: u8) -> SignerKey {
    SignerKey::new(&format!("w{seed}"), KeyKind::Cosignature, &[seed; 32]).unwrap()
}

fn witnesses(count: u8, quorum: usize) -> Witnesses {
    let keys = (1..=count).map(|seed| key(seed).public().clone()).collect();
    Witnesses { keys, quorum }
}

fn head(seed: u8, size: u64) -> Head {
    let head = Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: Hash([7; 32]),
    };
    let at = Time::from_millis(1_795_420_800_000);
    Head {
        key: key(seed).public().to_string(),
        size,
        root: head.root.to_string(),
        at,
        line: key(seed).sign(&head.to_string(), at).to_string(),
    }
}

fn open(dir: &Path, witnesses: &Witnesses) -> Cosigned {
    Cosigned::open(dir, witnesses, ORIGIN).unwrap()
}

#[test]
fn as_many_witnesses_as_are_wanted_decide() {
    let check = |of: u8, quorum: usize, seen: &[(u8, u64)], expected: Option<u64>| {
        let dir = tempfile::tempdir().unwrap();
        let cosigned = open(dir.path(), &witnesses(of, quorum));
        for (seed, size) in seen {
            cosigned.take(vec![head(*seed, *size)]).unwrap();
        }
        assert_eq!(cosigned.size(), expected, "{quorum} of {of}: {seen:?}");
    };
    check(0, 1, &[], None);
    check(1, 1, &[], Some(0));
    check(1, 1, &[(1, 5)], Some(5));
    check(1, 1, &[(1, 5), (1, 3)], Some(5));
    check(2, 1, &[(1, 5), (2, 9)], Some(9));
    check(2, 2, &[(1, 5)], Some(0));
    check(2, 2, &[(1, 5), (2, 9)], Some(5));
    check(3, 2, &[(3, 4), (1, 5), (2, 9), (3, 6)], Some(6));
}

#[test]
fn what_was_taken_in_is_known_after_a_start_and_only_of_those_who_still_count() {
    let dir = tempfile::tempdir().unwrap();
    let both = witnesses(2, 1);
    let cosigned = open(dir.path(), &both);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(cosigned.take(vec![head(1, 5), head(2, 9)]).unwrap());
    assert!(!cosigned.take(vec![head(1, 5), head(2, 8)]).unwrap());
    let mut forged = head(1, 50);
    forged.line = head(2, 50).line;
    cosigned.take(vec![forged]).unwrap();
    drop(cosigned);
    let sizes = |witnesses: &Witnesses, origin: &str| {
        let cosigned = Cosigned::open(dir.path(), witnesses, origin).unwrap();
        let heads = cosigned.heads().into_iter();
        heads.map(|head| head.size).collect::<Vec<_>>()
    };
    assert_eq!(
        sizes(&both, ORIGIN),
        [9],
        "what does not fit counts for nothing"
    );
    assert!(sizes(&witnesses(1, 1), ORIGIN).is_empty());
    assert!(sizes(&both, "lineside/s/g/e2").is_empty());
}

#[test]
fn an_anchor_is_due_once_an_hour_and_only_for_something_new() {
    const HOUR_MS: u64 = 3_600_000;
    let dir = tempfile::tempdir().unwrap();
    let one = witnesses(1, 1);
    let now = |boot_ms: u64| Stamp {
        boot_ms,
        wall: Time::from_millis(1_795_420_800_000).plus_millis(i64::try_from(boot_ms).unwrap()),
    };
    let cosigned = open(dir.path(), &one);
    assert_eq!(cosigned.anchor(now(0)), None);
    cosigned.take(vec![head(1, 5)]).unwrap();
    let anchor = cosigned.anchor(now(10)).unwrap();
    assert_eq!(
        (anchor.size, &anchor.cosignature),
        (5, &named(&head(1, 5).line))
    );
    cosigned.anchored(&anchor, now(10)).unwrap();
    assert_eq!(cosigned.anchor(now(10 * HOUR_MS)), None, "nothing new");
    cosigned.take(vec![head(1, 6)]).unwrap();
    assert_eq!(cosigned.anchor(now(HOUR_MS + 9)), None);
    assert_eq!(
        cosigned.anchor(now(HOUR_MS + 10)).map(|anchor| anchor.size),
        Some(6)
    );
    // A start: another boot clock, and the wall clock tells how long ago it was.
    let cosigned = open(dir.path(), &one);
    let started = |boot_ms: u64, wall_ms: i64| Stamp {
        boot_ms,
        wall: now(0).wall.plus_millis(wall_ms),
    };
    for (wall_ms, is_due) in [(1_000_000, false), (3_600_010, true), (-5_000_000, true)] {
        let found = cosigned.anchor(started(3, wall_ms));
        assert_eq!(found.is_some(), is_due, "{wall_ms}");
    }
}

#[test]
fn leaves_are_sent_again_at_growing_intervals_until_that_helps() {
    let start = Instant::now();
    let mut resend = Resend::default();
    let mut after = Duration::ZERO;
    let mut check = |pause: Duration, acknowledged: u64, cosigned: u64, expected: u64| {
        after += pause;
        let begun = resend.begin(acknowledged, cosigned, start + after);
        assert_eq!(begun, expected, "after {after:?}");
    };
    let second = Duration::from_secs(1);
    check(second, 100, 100, 100);
    check(second, 100, 120, 100);
    check(second, 150, 120, 120);
    check(second, 150, 120, 150);
    check(RESEND_MIN, 160, 120, 120);
    check(RESEND_MIN, 160, 120, 160);
    check(RESEND_MIN, 160, 120, 120);
    // It helps: the pause begins anew.
    check(RESEND_MIN, 200, 170, 170);
    check(second, 200, 170, 200);
    for _ in 0..20 {
        check(RESEND_MAX, 300, 170, 170);
        check(second, 300, 170, 300);
    }
}
