//! Whom a verifier believes, as far as grades depend on it.

use crate::Time;
use crate::evidence::Trust;

/// What one who looks at the leaves believes of others. The empty one is that of `report.json`: nobody is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sight {
    /// Issuers, organisations and approved maps.
    pub trust: Trust,
    /// Heads that trusted witnesses have cosigned.
    pub witnessed: Vec<Witnessed>,
}

/// A head that a trusted witness has cosigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Witnessed {
    /// Its leaves.
    pub size: u64,
    /// When, by the witness's clock.
    pub at: Time,
}
