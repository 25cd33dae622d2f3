//! Evidence fetched from a gateway or an archive: a period's ledger as one file, by whatever way it can be asked.
//!
//! Nothing that a source says is believed: each part is checked as it arrives, and the whole before the file
//! gets its name. The formats and the checks of the finished file are `proto`'s.

pub mod copied;
pub mod epochs;
pub mod fetch;
pub mod how;
pub mod http;
pub mod informant;
pub mod inquiry;
pub mod kept;
pub mod named;
mod node;
pub mod part;
pub mod period;
pub mod plan;
pub(crate) mod post;
pub mod pull;
pub mod questions;
mod scribe;
pub mod shelved;
#[cfg(test)]
mod tests;
mod whole;
pub mod wire;
pub mod work;

pub use informant::{Informant, Trouble};
pub use inquiry::{Inquiry, PullError};
