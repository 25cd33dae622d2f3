//! Evidence: a period's ledger as one file, the checks of it, and the hours that it proves.
//!
//! `proto/EVIDENCE.md` says all of it for whoever writes another verifier.

mod archive;
mod command;
mod differences;
mod entry;
mod findings;
mod grade;
mod manifest;
mod page;
mod read;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod tally;
#[cfg(test)]
mod tampering;
mod tell;
mod totals;
mod trust;
mod verdict;
mod verify;
mod write;

pub use archive::ArchiveError;
pub use command::{EXIT_OTHERWISE, EXIT_USAGE, EXIT_VERIFIED, command, verify_file};
pub use differences::{differences, differences_in};
pub use entry::{BUNDLE_BYTES_MAX, ENTRIES_MAX, Entry, tiles};
pub use findings::{FINDINGS_TOLD_MAX, Findings};
pub use grade::{Grade, Why};
pub use manifest::{ConsistencyProof, RangeProof, SessionProof, SessionProofs};
pub use manifest::{FileEntry, MANIFEST_KIND, Manifest, PART_LEAVES};
pub use page::PAGE;
pub use read::{Bundle, BundleError, EntryFault, ManifestError, read_manifest};
pub use tally::{Scope, SessionPlace, Sight, Tallied, Tally, TreeEnd, Witnessed};
pub use tally::{TALLY_BYTES_MAX, TALLY_TOKEN_BYTES_MAX, activity};
pub use tell::tell;
pub use totals::{MachineTotals, SessionTotals, TOTALS_KIND, Totals};
pub use trust::{ApprovedMap, Trust, TrustError, TrustedGateway, TrustedIssuer, TrustedWitness};
pub use trust::{TRUST_BYTES_MAX, Validity};
pub use verdict::{Check, CheckResult, Status, Verdict, Verification};
pub use verify::{verify, verify_bytes};
pub use write::{WriteError, Writer};
