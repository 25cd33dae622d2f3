//! Topics below one gateway's root.

use crate::Identifier;

/// The content types that Lineside sets on its publishes.
pub mod content_type {
    /// Every document but the signed ones.
    pub const JSON: &str = "application/json";
    /// Bookings and check-ins, signed (RFC 7515).
    pub const JOSE: &str = "application/jose";
    /// A signed note: the ledger's checkpoint, a cosignature.
    pub const TEXT: &str = "text/plain";
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

    /// The ledger's leaves.
    pub fn leaf(&self) -> String {
        format!("{}/ledger/leaf", self.root)
    }

    /// The ledger's newest checkpoint.
    pub fn checkpoint(&self) -> String {
        format!("{}/ledger/checkpoint", self.root)
    }

    /// What a witness says of the ledger: the newest cosignature of any.
    pub fn cosignature(&self) -> String {
        format!("{}/ledger/cosignature", self.root)
    }

    /// The newest cosignature of one witness, by the hash of its key: of two, neither takes the other's place.
    pub fn cosignature_of(&self, [a, b, c, d]: [u8; 4]) -> String {
        format!(
            "{}/ledger/cosignature/{a:02x}{b:02x}{c:02x}{d:02x}",
            self.root
        )
    }

    /// A machine's sessions, and what became of its bookings.
    pub fn sessions(&self, machine: &Identifier) -> String {
        format!("{}/sessions/{machine}", self.root)
    }

    /// A machine's bookings, as the portal sends them.
    pub fn bookings(&self, machine: &Identifier) -> String {
        format!("{}/bookings/{machine}", self.root)
    }

    /// What became of them here.
    pub fn bookings_ack(&self, machine: &Identifier) -> String {
        format!("{}/bookings-ack/{machine}", self.root)
    }

    /// Questions to the gateway.
    pub fn request(&self) -> String {
        format!("{}/request", self.root)
    }

    /// Below this, and nowhere else, answers go.
    pub fn response(&self) -> String {
        format!("{}/response/", self.root)
    }
}
