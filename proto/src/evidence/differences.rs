//! Where two totals differ, value by value.

use super::{Findings, Totals};

/// Check `totals`: what a bundle's report says, against what its leaves give.
pub fn differences(said: &Totals, made: &Totals) -> Findings {
    let mut found = Findings::default();
    if said != made {
        found.fail(|| "report.json differs from what the leaves give".to_owned());
    }
    found
}
