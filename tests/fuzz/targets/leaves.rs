//! Leaves: one by one, added up, and as a ledger that is sealed honestly.

use lineside_proto::Time;
use lineside_proto::evidence::sample::{FIRST_DAY_MS, Plan, Sample, zip};
use lineside_proto::evidence::{
    Check, Scope, Sight, Status, Tally, TreeEnd, Trust, Verdict, verify_bytes,
};
use lineside_proto::ledger::conservation::Conservation;
use lineside_proto::ledger::{Hash, LEAF_BYTES_MAX, Leaf, jcs};
use std::sync::LazyLock;

/// Leaves of one input that are looked at: enough for every pair of them that means something.
const LEAVES_MAX: usize = 400;

const DAY_MS: i64 = 86_400_000;

pub(crate) fn leaf(bytes: &[u8]) {
    let read = Leaf::from_bytes(bytes);
    // The same by the longer way.
    let slow = || {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let is_canonical = jcs::canonical(&value).is_ok_and(|written| written == bytes);
        let leaf: Leaf = serde_json::from_slice(bytes).ok()?;
        (bytes.len() <= LEAF_BYTES_MAX && is_canonical && leaf.head.v == 1).then_some(leaf)
    };
    let shown = String::from_utf8_lossy(bytes);
    match (&read, slow()) {
        // Refused though serde would take it: a type as a number, or a time in another form than the one.
        (Err(_), Some(leaf)) => assert_ne!(leaf.to_bytes().ok().as_deref(), Some(bytes), "{shown}"),
        (read, slow) => assert_eq!(read.as_ref().ok(), slow.as_ref(), "{shown}"),
    }
    if let Ok(leaf) = read {
        let written = leaf.to_bytes().expect("what was read can be written");
        let again = Leaf::from_bytes(&written).expect("what was written can be read");
        assert_eq!(again, leaf, "{shown}");
        assert_eq!(again.to_bytes().ok(), Some(written));
    }
}

fn read(bytes: &[u8]) -> Vec<Leaf> {
    let lines = bytes.split(|byte| *byte == b'\n').take(LEAVES_MAX);
    // Whoever wrote them may have changed what makes them canonical: that is another target's.
    let leaves = lines.filter_map(|line| serde_json::from_slice::<Leaf>(line).ok());
    let mut leaves: Vec<Leaf> = leaves.filter(|leaf| leaf.to_bytes().is_ok()).collect();
    for (index, leaf) in (0..).zip(&mut leaves) {
        leaf.head.index = index;
        leaf.head.v = 1;
    }
    leaves.retain(|leaf| leaf.to_bytes().is_ok());
    leaves
}

fn period() -> (Time, Time) {
    let from = Time::from_millis(FIRST_DAY_MS);
    (from, from.plus_millis(8 * DAY_MS))
}

pub(crate) fn tally(bytes: &[u8]) {
    let leaves = read(bytes);
    let mut conservation = Conservation::default();
    let mut rest = Conservation::of_time(0);
    let (from, to) = period();
    let mut tally = Tally::new(Scope {
        site: "site-01".parse().expect("a name"),
        gateway: "gateway-01".parse().expect("a name"),
        origin: lineside_proto::evidence::sample::ORIGIN.to_owned(),
        from,
        to,
        first: 0,
    });
    for leaf in &leaves {
        conservation.take(leaf);
        rest.take(leaf);
        tally.take(leaf);
    }
    drop(conservation.report());
    drop(rest.report());
    let size = leaves.len() as u64;
    let tree = TreeEnd {
        end: size,
        size,
        root: Hash::of_nothing(),
    };
    let told = tally.finish(&tree, &Sight::default());
    const INTEGER_MAX: u64 = (1 << 53) - 1;
    for machine in &told.totals.machines {
        assert!(machine.known_ms <= machine.period_ms);
        assert!(machine.coverage_pm <= 1_000);
        assert!(machine.active_ms <= INTEGER_MAX && machine.outside_ms <= machine.active_ms);
    }
    assert_eq!(tally.finish(&tree, &Sight::default()), told);
}

/// Whoever seals whatever leaves honestly gets a bundle in which only what the leaves say can be wrong.
pub(crate) fn ledger(bytes: &[u8]) {
    static SAMPLE: LazyLock<(String, Trust)> = LazyLock::new(|| {
        let text = Sample::new().trust();
        let trust = Trust::parse(&text).expect("the sample's trust");
        (text, trust)
    });
    let leaves = read(bytes);
    if leaves.is_empty() {
        return;
    }
    let size = leaves.len() as u64;
    let mut sample = Sample::new();
    sample.leaves = leaves;
    let (from, to) = period();
    let plan = Plan {
        from,
        to,
        first: 0,
        end: size,
        size,
        start_size: size / 2,
        cosigned: vec![(size.div_ceil(3), to)],
    };
    let Ok((manifest, files)) = sample.seal(&plan) else {
        return;
    };
    let bundle = zip(&manifest, &files).expect("a bundle that we wrote");
    let seen = verify_bytes(&bundle, Some(&SAMPLE.1));
    for check in [
        Check::Bundle,
        Check::Tree,
        Check::Consistency,
        Check::Tiles,
        Check::Leaves,
        Check::Totals,
    ] {
        let result = seen.checks.iter().find(|result| result.check == check);
        let result = result.expect("every check is told");
        assert_ne!(result.status, Status::Failed, "{result:?}");
    }
    let failed = seen
        .checks
        .iter()
        .any(|result| result.status == Status::Failed);
    assert_eq!(failed, seen.verdict == Verdict::Failed);
}
