//! What a stream of leaves adds up to: totals, grades, and whether sessions and tokens follow their rules.
//!
//! Leaves come in the order of their indexes, each once, and are not kept. What is kept follows the machines, the
//! sessions, days and maps of the bundle and the tokens' texts, and is bounded by [`TALLY_BYTES_MAX`].

mod sight;

pub use sight::{ApprovedMap, Issuer, Sight, Witnessed};

use super::{CheckResult, Totals};
use crate::ledger::{Hash, Leaf};
use crate::{Identifier, Time};

/// Bytes that a tally keeps at most, near enough: a year of twenty machines takes a quarter of it. A bundle that
/// needs more fails check `sessions`.
pub const TALLY_BYTES_MAX: usize = 256 << 20;

/// Bytes of a token at most.
pub const TALLY_TOKEN_BYTES_MAX: usize = 16 << 10;

/// Of what leaves are to be added up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The ledger's origin.
    pub origin: String,
    /// The period's begin.
    pub from: Time,
    /// The period's end, not in it.
    pub to: Time,
    /// The first leaf that will be taken in.
    pub first: u64,
}

/// The tree that the leaves are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeEnd {
    /// The leaf after the last that was taken in.
    pub end: u64,
    /// The leaves that the checkpoint commits to.
    pub size: u64,
    /// The root that it commits to.
    pub root: Hash,
}

/// The leaf by which a session of the period is proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionPlace {
    /// The machine.
    pub machine: Identifier,
    /// The session.
    pub session: String,
    /// Its closing leaf; the opening one where that is not in the bundle.
    pub index: u64,
}

/// What leaves add up to, as somebody sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tallied {
    /// The totals.
    pub totals: Totals,
    /// What came of check `sessions`, the proofs of `proof/sessions.json` left aside.
    pub sessions: CheckResult,
    /// What came of check `tokens`.
    pub tokens: CheckResult,
}

/// Leaves being added up.
#[derive(Clone, Debug)]
pub struct Tally {
    scope: Scope,
}

impl Tally {
    /// Nothing yet.
    pub fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// Takes in the next leaf.
    pub fn take(&mut self, leaf: &Leaf) {
        let _ = leaf;
    }

    /// Takes in a token's text, at any time. It is known by its SHA-256.
    pub fn take_token(&mut self, text: &[u8]) {
        let _ = text;
    }

    /// The sessions of the period that a leaf in the bundle proves, in order of that leaf. A session whose begin
    /// and end both lie outside the bundle has no such leaf and is not among them.
    pub fn sessions(&self) -> Vec<SessionPlace> {
        Vec::new()
    }

    /// What the leaves taken in so far add up to, as one sees them who believes as `sight` says. May be asked for
    /// several times.
    pub fn finish(&self, tree: &TreeEnd, sight: &Sight) -> Tallied {
        let _ = sight;
        let scope = &self.scope;
        let totals = Totals {
            v: 1,
            kind: super::TOTALS_KIND.to_owned(),
            site: scope.site.clone(),
            gateway: scope.gateway.clone(),
            origin: scope.origin.clone(),
            from: scope.from,
            to: scope.to,
            first: scope.first,
            end: tree.end,
            size: tree.size,
            root: tree.root.to_string(),
            machines: Vec::new(),
        };
        let none = super::Findings::default;
        Tallied {
            totals,
            sessions: none().result(super::Check::Sessions, String::new),
            tokens: none().result(super::Check::Tokens, String::new),
        }
    }
}
