//! Topics below one gateway's root.

use crate::Identifier;

/// The content types that Lineside sets on its publishes.
pub mod content_type {
    /// Every document.
    pub const JSON: &str = "application/json";
}

/// The topics of one gateway: `{prefix}/{site}/{gateway}/…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// The prefix unless a setting says otherwise.
    pub const PREFIX: &str = "lineside/v1";

    /// The topics of a gateway.
    pub fn new(prefix: &str, site: &Identifier, gateway: &Identifier) -> Self {
        Self {
            root: format!("{prefix}/{site}/{gateway}"),
        }
    }

    /// `{prefix}/{site}/{gateway}`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The gateway's status, and its will.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }

    /// A machine's availability.
    pub fn availability(&self, machine: &Identifier) -> String {
        format!("{}/availability/{machine}", self.root)
    }

    /// A machine's telemetry.
    pub fn telemetry(&self, machine: &Identifier) -> String {
        format!("{}/telemetry/{machine}", self.root)
    }

    /// A machine's gaps.
    pub fn gaps(&self, machine: &Identifier) -> String {
        format!("{}/gaps/{machine}", self.root)
    }

    /// What a machine is.
    pub fn map(&self, machine: &Identifier) -> String {
        format!("{}/map/{machine}", self.root)
    }
}
