use std::fs;
use std::io::Cursor;
use std::path::Path;

use super::{Plan, Sample, zip};
use crate::evidence::{Bundle, Entry, Trust};
use crate::ledger::conservation::Conservation;

/// Compares with a golden file, which `LINESIDE_BLESS=1` writes anew.
fn golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("LINESIDE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let expected = fs::read(&path).unwrap();
    assert!(
        bytes == expected,
        "{name}: LINESIDE_BLESS=1 writes the file anew"
    );
}

fn sealed(sample: &Sample, plan: &Plan) -> Vec<u8> {
    let (manifest, files) = sample.seal(plan).unwrap();
    zip(&manifest, &files).unwrap()
}

#[test]
fn the_golden_bundles_are_those_of_the_sample() {
    let sample = Sample::new();
    golden("honest.zip", &sealed(&sample, &sample.whole()));
    golden("middle.zip", &sealed(&sample, &sample.middle()));
    golden("trust.toml", sample.trust().as_bytes());
}

#[test]
fn the_sample_is_honest_and_of_use() {
    let sample = Sample::new();
    let mut conservation = Conservation::default();
    for leaf in &sample.leaves {
        conservation.take(leaf);
    }
    let report = conservation.report();
    assert_eq!(report.violations, []);
    assert_eq!(report.machines.len(), 3);
    let plan = sample.middle();
    assert!(
        plan.first >= 256 && plan.first < plan.end && plan.end < plan.size,
        "{plan:?}"
    );
    assert!(plan.start_size > 0 && plan.size % 256 != 0, "{plan:?}");
    let trust = Trust::parse(&sample.trust()).unwrap();
    assert_eq!(
        (
            trust.gateways.len(),
            trust.witnesses.len(),
            trust.issuers.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(
        (trust.maps.len(), trust.own.len(), trust.affiliates.len()),
        (3, 1, 1)
    );
}

#[test]
fn what_is_written_is_read_back() {
    let sample = Sample::new();
    let (manifest, files) = sample.seal(&sample.middle()).unwrap();
    let bytes = zip(&manifest, &files).unwrap();
    let mut bundle = Bundle::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(bundle.names(), []);
    assert_eq!(bundle.manifest().files.len(), files.len());
    for (path, content) in &files {
        assert_eq!(bundle.read(path).unwrap(), *content, "{path}");
        assert!(Entry::from_path(path).is_some());
    }
}
