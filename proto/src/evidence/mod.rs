//! Evidence: a period's ledger as one file, the checks of it, and the hours that it proves.
//!
//! `proto/EVIDENCE.md` says all of it for whoever writes another verifier.

mod differences;
mod findings;
mod grade;
mod manifest;
mod tally;
mod totals;
mod verdict;

pub use differences::differences;
pub use findings::{FINDINGS_TOLD_MAX, Findings};
pub use grade::{Grade, Why};
pub use manifest::{ConsistencyProof, RangeProof, SessionProof, SessionProofs};
pub use manifest::{FileEntry, MANIFEST_KIND, Manifest, PART_LEAVES};
pub use tally::{ApprovedMap, Issuer, Sight, Witnessed};
pub use tally::{Scope, SessionPlace, TALLY_BYTES_MAX, TALLY_TOKEN_BYTES_MAX};
pub use tally::{Tallied, Tally, TreeEnd};
pub use totals::{MachineTotals, SessionTotals, TOTALS_KIND, Totals};
pub use verdict::{Check, CheckResult, Status, Verdict, Verification};
