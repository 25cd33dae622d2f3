//! Pulls that are cut, and sources that lie.

mod lies;
mod resumed;
mod teller;

use lineside_proto::evidence::Bundle;
use lineside_proto::evidence::sample::{FIRST_DAY_MS, ORIGIN};
use lineside_proto::ledger::note::{KeyKind, SignerKey};
use lineside_proto::{Period, Time};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use self::teller::{Teller, Told};
use super::fetch::Progress;
use super::inquiry::Rhythm;
use super::plan::Wanted;
use super::pull::{Making, Pulled, pull};
use super::{Inquiry, PullError};

const DAY_MS: i64 = 86_400_000;

/// Days of the made-up line, from one to before another.
fn days(from: i64, to: i64) -> Wanted {
    let day = |day: i64| Time::from_millis(FIRST_DAY_MS + day * DAY_MS);
    Wanted {
        gateway: ("site-01".parse().unwrap(), "gateway-01".parse().unwrap()),
        period: Period {
            from: day(from),
            to: day(to),
        },
    }
}

async fn pulled(
    teller: &Teller,
    wanted: &Wanted,
    bundle: &Path,
    fresh: bool,
) -> Result<Pulled, PullError> {
    let inquiry = Inquiry::new(teller.clone(), Rhythm::default());
    let making = Making {
        wanted,
        bundle,
        fresh,
        made: Time::from_millis(0),
        by: "tests".to_owned(),
    };
    pull(inquiry, making, &Arc::new(Progress::default())).await
}

fn entry(bundle: &Path, path: &str) -> Vec<u8> {
    let mut bundle = Bundle::open(File::open(bundle).unwrap()).unwrap();
    bundle.read(path).unwrap()
}

#[tokio::test]
async fn a_bundle_holds_the_leaves_and_what_proves_them() {
    let told = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let size = told.bytes.len() as u64;
    assert!(size > 1000, "{size}");
    for (from, to, starts) in [(4, 6, true), (0, 8, false), (5, 20, true), (-5, 1, false)] {
        let path = dir.path().join(format!("{from}-{to}.zip"));
        let made = pulled(&Teller::honest(&told), &days(from, to), &path, false)
            .await
            .unwrap();
        let plan = &made.plan;
        assert!(
            plan.first % 256 == 0 && (plan.end % 256 == 0 || plan.end == plan.size),
            "{plan:?}"
        );
        let at = |index: u64| told.sample.leaves[usize::try_from(index).unwrap()].head.at;
        let day = |day: i64| Time::from_millis(FIRST_DAY_MS + day * DAY_MS);
        assert!(plan.first == 0 || at(plan.first) <= day(from - 1));
        assert!(plan.end == plan.size || at(plan.end - 1) >= day(to + 1));
        assert_eq!(made.span, Some((at(plan.first), at(plan.end - 1))));
        assert_eq!(plan.start.is_some(), starts, "{plan:?}");
        // The oldest kept note that holds the end, the newest that holds nothing of the bundle.
        let newest = told
            .kept
            .range(plan.end..)
            .next()
            .copied()
            .unwrap_or(told.signed);
        assert_eq!(plan.size, newest);
        let oldest = told.kept.range(..=plan.first).next_back().copied();
        assert_eq!(plan.start.as_ref().map(|(size, _)| *size), oldest);
        let seen = told.sample.cosigned.iter().map(|(size, _)| *size);
        let seen: Vec<u64> = seen
            .filter(|seen| *seen > plan.first && *seen <= plan.end)
            .collect();
        let ours: Vec<u64> = plan.cosigned.iter().map(|(size, _)| *size).collect();
        assert_eq!(ours, seen);
        let mut expected = Vec::new();
        for leaf in
            &told.bytes[usize::try_from(plan.first).unwrap()..usize::try_from(plan.end).unwrap()]
        {
            expected.extend_from_slice(leaf);
            expected.push(b'\n');
        }
        assert_eq!(
            entry(&path, &format!("leaves/{:010}.jsonl", plan.first)),
            expected
        );
        assert_eq!(
            entry(&path, "checkpoint/end"),
            told.note(plan.size).into_bytes()
        );
        // What a witness has signed below the end counts like what it signed before.
        let mut plan = plan.clone();
        let (between, size) = (seen.iter().max().copied(), plan.size);
        let (text, _) = plan.end_note.split_once("\n\n").unwrap();
        let own = plan
            .end_note
            .lines()
            .find(|line| line.starts_with('\u{2014}'));
        let own = format!("{text}\n\n{}\n", own.unwrap());
        plan.end_note.clone_from(&own);
        assert_eq!(plan.cosigned_to(), between);
        plan.end_note = format!("{own}\u{2014} city.example AAAAAAAA\n");
        assert_eq!(plan.cosigned_to(), Some(size));
        assert!(made.maps_missing.is_empty() && made.tokens_missing.is_empty());
        assert_eq!(made.found, Vec::<String>::new());
        assert!(!made.totals.machines.is_empty());
        assert!(!super::work::Work::beside(&path).exists());
    }
}

/// What our own tests' bundles hold, a bundle that was fetched holds, too.
#[tokio::test]
async fn a_fetched_bundle_is_that_of_the_samples() {
    let told = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    let made = pulled(&Teller::honest(&told), &days(4, 6), &path, false)
        .await
        .unwrap();
    let mut plan = told.sample.middle();
    plan.first = made.plan.first;
    plan.end = made.plan.end;
    plan.size = made.plan.size;
    plan.start_size = made.plan.start.as_ref().map_or(0, |(size, _)| *size);
    let (_, files) = told.sample.seal(&plan).unwrap();
    let mut bundle = Bundle::open(File::open(&path).unwrap()).unwrap();
    let ours: Vec<String> = bundle.paths().map(str::to_owned).collect();
    for (name, bytes) in &files {
        // More sessions than those of the period may be proven.
        let is_ours = name.starts_with("HOW-TO") || name == "report.json";
        if is_ours || name == "proof/sessions.json" {
            continue;
        }
        assert!(bundle.read(name).unwrap() == *bytes, "{name}");
    }
    let theirs: Vec<String> = files.into_keys().collect();
    let but = |names: &[String]| -> Vec<String> {
        names
            .iter()
            .filter(|name| !name.starts_with("HOW-TO"))
            .cloned()
            .collect()
    };
    assert_eq!(but(&ours), but(&theirs));
}

#[tokio::test]
async fn a_gateway_that_keeps_nothing_gives_the_newest_note_and_says_what_it_lacks() {
    let mut told = Told::new();
    told.kept.clear();
    told.sample.tokens.pop_first();
    told.sample.maps.clear();
    let told = Arc::new(told);
    let dir = tempfile::tempdir().unwrap();
    let older = Teller::new(&told, |_, method, answer| match method {
        "ledger.checkpoints" => Err(teller::no("unknown-method", "none")),
        _ => answer,
    });
    for (teller, name) in [(Teller::honest(&told), "a"), (older, "b")] {
        let path = dir.path().join(name);
        let made = pulled(&teller, &days(0, 8), &path, false).await.unwrap();
        assert_eq!(made.plan.size, told.signed);
        assert!(made.plan.cosigned.is_empty() && made.plan.start.is_none());
        assert!(!made.maps_missing.is_empty());
        assert_eq!(made.tokens_missing.len(), 1);
    }
}

#[tokio::test]
async fn a_period_of_which_the_ledger_says_nothing_gives_no_file() {
    let told = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    for (from, to) in [(100, 101), (-100, -90)] {
        let made = pulled(&Teller::honest(&told), &days(from, to), &path, false).await;
        assert!(matches!(made, Err(PullError::Nothing)), "{made:?}");
        assert!(!super::work::Work::beside(&path).exists());
    }
    let mut other = days(0, 8);
    other.gateway.1 = "gateway-02".parse().unwrap();
    let made = pulled(&Teller::honest(&told), &other, &path, false).await;
    assert!(
        matches!(&made, Err(PullError::Lies(text)) if text.en.contains("gateway-01")),
        "{made:?}"
    );
    assert!(!path.exists());
    // A folder of that name that is not ours stays as it is.
    let strange = dir.path().join("strange.zip");
    let beside = super::work::Work::beside(&strange);
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("thesis.txt"), "precious").unwrap();
    let made = pulled(&Teller::honest(&told), &days(0, 8), &strange, true).await;
    assert!(matches!(made, Err(PullError::Other(_))), "{made:?}");
    assert!(beside.join("thesis.txt").exists());
}

/// What the key before signed and a witness cosigned is worth as much after the key was changed.
#[tokio::test]
async fn notes_of_the_key_before_are_taken_along() {
    let mut told = Told::new();
    let key = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[77; 32]).unwrap();
    told.later = Some((told.signed - 20, key));
    let told = Arc::new(told);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.zip");
    let made = pulled(&Teller::honest(&told), &days(0, 20), &path, false).await;
    let plan = made.unwrap().plan;
    assert_eq!(plan.size, told.signed);
    let seen = told.sample.cosigned.iter().map(|(size, _)| *size);
    let seen: Vec<u64> = seen.filter(|seen| *seen <= plan.end).collect();
    let ours: Vec<u64> = plan.cosigned.iter().map(|(size, _)| *size).collect();
    assert!(ours.len() > 10, "{ours:?}");
    assert_eq!(ours, seen);
}
