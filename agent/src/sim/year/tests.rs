use super::{Trick, Year, YearSettings, make};
use crate::ledger::verify_files;
use crate::text::Language;
use jiff::civil::date;
use lineside_proto::booking::{Claims, IssuerKey, TOKEN_BYTES_MAX, verify};
use lineside_proto::ledger::conservation::Conservation;
use lineside_proto::ledger::files::BUNDLE_BYTES_MAX;
use lineside_proto::ledger::tile::entries;
use lineside_proto::ledger::{Leaf, LeafBody};
use lineside_proto::{Class, Identifier, Outcome, State};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn settings(days: usize, seed: u64) -> YearSettings {
    YearSettings {
        from: date(2025, 3, 1),
        days,
        machines: 3,
        seed,
    }
}

fn made(dir: &Path, days: usize, seed: u64) -> Year {
    make(&dir.join("year"), settings(days, seed), &mut |_| {}).unwrap()
}

/// All leaves, from the static files alone.
fn leaves(dir: &Path) -> Vec<Leaf> {
    let ledger = dir.join("year/state/ledger/tile/entries");
    let mut files: Vec<_> = fs::read_dir(&ledger)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut leaves = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (path, width) = match name.strip_suffix(".p") {
            Some(_) => {
                let mut widths: Vec<u64> = fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| {
                        entry
                            .unwrap()
                            .file_name()
                            .to_str()
                            .unwrap()
                            .parse()
                            .unwrap()
                    })
                    .collect();
                widths.sort_unstable();
                let width = *widths.last().unwrap();
                (path.join(width.to_string()), width)
            }
            None => (path, 256),
        };
        let bytes = fs::read(path).unwrap();
        assert!(bytes.len() <= BUNDLE_BYTES_MAX);
        for entry in entries(&bytes, width).unwrap() {
            leaves.push(Leaf::from_bytes(entry).unwrap());
        }
    }
    leaves
}

/// Activity by class, as leaves say it.
fn told(leaves: &[Leaf]) -> BTreeMap<Identifier, BTreeMap<Class, u64>> {
    let mut classes: BTreeMap<&str, Class> = BTreeMap::new();
    for leaf in leaves {
        if let LeafBody::Session(said) = &leaf.body {
            classes.entry(&said.session).or_insert(said.class);
        } else if let LeafBody::Bind(said) = &leaf.body {
            classes.insert(&said.session, said.class);
        }
    }
    let mut told: BTreeMap<Identifier, BTreeMap<Class, u64>> = BTreeMap::new();
    for leaf in leaves {
        let LeafBody::Usage(said) = &leaf.body else {
            continue;
        };
        let of = |state| said.ms.get(&state).copied().unwrap_or(0);
        let active = of(State::Run) + of(State::Setup) + of(State::Hold) - said.hold_over_ms;
        if active > 0 {
            let class = classes[said
                .session
                .as_deref()
                .expect("activity outside of sessions")];
            let machine = told.entry(said.machine.clone()).or_default();
            *machine.entry(class).or_default() += active;
        }
    }
    told
}

#[test]
fn a_month_adds_up_and_is_what_the_world_did() {
    for seed in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let year = made(dir.path(), 30, seed);
        let leaves = leaves(dir.path());
        assert_eq!(leaves.len() as u64, year.leaves);
        let mut conservation = Conservation::default();
        leaves.iter().for_each(|leaf| conservation.take(leaf));
        let report = conservation.report();
        let faults: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
        assert!(report.is_sound(), "{seed}: {faults:#?}");
        assert_eq!(told(&leaves), year.active_ms, "{seed}");
    }
}
