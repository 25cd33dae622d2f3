use std::collections::BTreeMap;

use crate::evidence::sample::{Files, Plan, Sample, zip};
use crate::evidence::{Check, Manifest, Status, Trust, Verdict, Verification, verify_bytes};

/// What is wrong or to be known, by its check.
fn told(verification: &Verification) -> BTreeMap<Check, (Status, String)> {
    let results = verification.checks.iter();
    let told = results.filter(|result| result.status != Status::Ok);
    told.map(|result| (result.check, (result.status, result.said.join("\n"))))
        .collect()
}

fn of(sample: &Sample, plan: &Plan, trust: Option<&Trust>) -> Verification {
    let (manifest, files) = sample.seal(plan).unwrap();
    verify_bytes(&zip(&manifest, &files).unwrap(), trust)
}

#[test]
fn honest_bundles_are_verified() {
    let sample = Sample::new();
    let trust = Trust::parse(&sample.trust()).unwrap();
    for plan in [sample.whole(), sample.middle()] {
        let verified = of(&sample, &plan, Some(&trust));
        let told = told(&verified);
        println!("{told:#?}");
        assert_eq!(verified.verdict, Verdict::Verified, "{told:#?}");
        let alone = of(&sample, &plan, None);
        assert_eq!(alone.verdict, Verdict::SelfConsistent);
        println!(
            "{}",
            serde_json::to_string_pretty(&verified.totals)
                .unwrap()
                .len()
        );
    }
}
