//! Which map a leaf names.

#![expect(clippy::wildcard_enum_match_arm, reason = "the leaves that matter")]

use super::*;
use crate::ledger::LeafBody;

/// The machine that gets another map.
const MACHINE: &str = "extruder-01";

/// Changes the maps that state or usage leaves of the machine name after it got another one; its old map is approved.
fn check(what: &str, change: impl Fn(&mut LeafBody, &str)) {
    let honest = Honest::new();
    let mut sample = copy();
    let mut configs = sample.leaves.iter().filter_map(|leaf| match &leaf.body {
        LeafBody::Config(said) if said.machine.as_str() == MACHINE => {
            Some((leaf.head.index, said.map.clone()))
        }
        _ => None,
    });
    let (_, old) = configs.next().unwrap();
    let (since, _) = configs.next_back().unwrap();
    for leaf in sample
        .leaves
        .iter_mut()
        .filter(|leaf| leaf.head.index > since)
    {
        change(&mut leaf.body, &old);
    }
    assert!(sample.leaves != honest.sample.leaves, "{what}");
    let plan = sample.whole();
    let (manifest, files) = sample.seal(&plan).unwrap();
    let verified = verify_bytes(&zip(&manifest, &files).unwrap(), Some(&honest.trust));
    refused(what, &verified, Check::Maps, "was in force");
}

#[test]
fn leaves_name_the_map_that_is_in_force() {
    let all = |body: &mut LeafBody, old: &str| match body {
        LeafBody::State(said) if said.machine.as_str() == MACHINE => said.config = old.into(),
        LeafBody::Usage(said) if said.machine.as_str() == MACHINE => said.config = old.into(),
        _ => {}
    };
    check("all", all);
    check("states", |body, old| {
        if matches!(body, LeafBody::State(_)) {
            all(body, old);
        }
    });
    check("usage", |body, old| {
        if matches!(body, LeafBody::Usage(_)) {
            all(body, old);
        }
    });
}
