//! The report that evaluators read: figures by machine, site and line from verified totals, by a rule file.
//!
//! Pure: what is read from files comes in as bytes, the time as an argument.

mod account;
mod anomaly;
mod assets;
mod bookings;
mod brought;
mod compile;
mod diff;
mod document;
mod explanation;
mod fault;
mod figure;
mod formula;
mod machine;
mod notice;
mod rules;
mod score;
pub mod shanghai;
mod sheet;
mod survey;

pub use anomaly::{ANOMALIES_EACH_MAX, Anomaly, AnomalyKind, DIFF_LINES_MAX, EVIDENCE_MAX};
pub use assets::{AssetRow, Assets};
pub use bookings::{Bookings, ListedBooking};
pub use brought::{Brought, Evidence, ListFile, ReportError};
pub use compile::report;
pub use document::{
    Asset, BegunAnew, Figures, GroupReport, LineReport, ListKind, ListUsed, MachineReport, Quota,
    REPORT_KIND, Report, RulesUsed, SessionReport, SiteReport, Source, Span, Sums,
};
pub use explanation::{Explanation, Loss, LossReason, Step};
pub use fault::{FAULTS_MAX, InputFault, InputFaults};
pub use figure::{Basis, Coverage, Figure, Formula, FormulaSaid, HOUR_MS, Unit};
pub use rules::{Part, Rules, Thresholds};
pub use score::{Score, ScorePart, Withheld};
pub use survey::{ClockChange, CorrectionSeen, EnergyDay, Hole, MachineObserved, MapChange};
pub use survey::{NonStop, Observed, Pause, Survey, Told};

#[cfg(test)]
mod tests;
