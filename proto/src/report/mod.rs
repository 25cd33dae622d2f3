//! The report that evaluators read: figures by machine, site and line from verified totals, by a rule file.
//!
//! Pure: what is read from files comes in as bytes, the time as an argument.

mod anomaly;
mod document;
mod explanation;
mod figure;
mod formula;
mod score;

pub use anomaly::{ANOMALIES_EACH_MAX, Anomaly, AnomalyKind, DIFF_LINES_MAX, EVIDENCE_MAX};
pub use document::{
    Asset, Figures, GroupReport, LineReport, ListKind, ListUsed, MachineReport, Quota, REPORT_KIND,
    Report, RulesUsed, SessionReport, SiteReport, Source, Span, Sums,
};
pub use explanation::{Explanation, Loss, LossReason, Step};
pub use figure::{Basis, Coverage, Figure, Formula, FormulaSaid, HOUR_MS, Said, Unit};
pub use score::{Score, ScorePart, Withheld};
