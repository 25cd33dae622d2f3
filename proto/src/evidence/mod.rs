//! Evidence: a period's ledger as one file, the checks of it, and the hours that it proves.
//!
//! `proto/EVIDENCE.md` says all of it for whoever writes another verifier.

mod grade;
mod manifest;
mod totals;
mod verdict;

pub use grade::{Grade, Why};
pub use manifest::{ConsistencyProof, RangeProof, SessionProof, SessionProofs};
pub use manifest::{FileEntry, MANIFEST_KIND, Manifest, PART_LEAVES};
pub use totals::{MachineTotals, SessionTotals, TOTALS_KIND, Totals};
pub use verdict::{Check, CheckResult, Status, Verdict, Verification};
