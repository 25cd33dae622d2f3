//! Reports of made-up totals, with figures that were worked out by hand.

mod anomalies;
mod build;
mod figures;
mod golden;
mod joins;
mod whatever;
