//! Whom a verifier trusts, as far as grades depend on it.

use std::collections::BTreeSet;

use crate::booking::IssuerKey;
use crate::{Identifier, Time};

/// What one who looks at the leaves believes of others. The empty one is that of `report.json`: nobody is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sight {
    /// Keys of those who may issue tokens.
    pub issuers: Vec<Issuer>,
    /// The platform's own organisations, in the tokens' pseudonyms.
    pub own: BTreeSet<String>,
    /// Its affiliates, likewise.
    pub affiliates: BTreeSet<String>,
    /// Maps that somebody approved.
    pub maps: Vec<ApprovedMap>,
    /// Heads that trusted witnesses have cosigned.
    pub witnessed: Vec<Witnessed>,
}

/// A key whose holder may issue tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    /// The key.
    pub key: IssuerKey,
    /// From when on tokens may have been issued; none: always.
    pub from: Option<Time>,
    /// Until when, itself not in it; none: for ever.
    pub to: Option<Time>,
}

/// A machine map that somebody approved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovedMap {
    /// For this site only.
    pub site: Option<Identifier>,
    /// For this gateway only.
    pub gateway: Option<Identifier>,
    /// For this machine.
    pub machine: Identifier,
    /// `sha256:` and the hash of its canonical text.
    pub hash: String,
}

/// A head that a trusted witness has cosigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Witnessed {
    /// Its leaves.
    pub size: u64,
    /// When, by the witness's clock.
    pub at: Time,
}
