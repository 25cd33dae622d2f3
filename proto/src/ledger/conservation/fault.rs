//! What can be wrong with the time that a ledger accounts for.

use crate::{Identifier, State};

/// Something that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("leaf {index}, machine {machine}: {fault}")]
pub struct Violation {
    /// The leaf.
    pub index: u64,
    /// Its machine.
    pub machine: Identifier,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Time that no leaf accounts for.
    #[error("nobody accounts for the time from {from_ms} to {to_ms} ms of the boot")]
    Hole {
        /// From when.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// Time that two leaves account for.
    #[error("the time from {from_ms} to {to_ms} ms of the boot is accounted for twice")]
    Overlap {
        /// From when.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// A span that ends before it begins.
    #[error("a span from {from_ms} to {to_ms} ms")]
    Backwards {
        /// From when.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// A usage leaf on the clock of a boot that no gap leaf leads to.
    #[error("time of boot {said}, while {known} is accounted for")]
    Boot {
        /// The boot that it names.
        said: String,
        /// The boot that the leaves before it are of.
        known: String,
    },
    /// The milliseconds by state are not the span's length.
    #[error("the states add up to {sum_ms} ms, of {length_ms} ms")]
    Sum {
        /// What they add up to.
        sum_ms: u64,
        /// The span's length.
        length_ms: u64,
    },
    /// A state's milliseconds are not what the state leaves say.
    #[error("{said_ms} ms of {state}, where the state leaves say {known_ms} ms")]
    States {
        /// The state.
        state: State,
        /// What the usage leaf says.
        said_ms: u64,
        /// What the state leaves say.
        known_ms: u64,
    },
    /// A span that goes on beyond the full hour.
    #[error("a span beyond the full UTC hour")]
    Hour,
    /// More HOLD beyond its cap than HOLD.
    #[error("more time beyond the cap of HOLD than HOLD")]
    Hold,
    /// A change from a state that the machine was not in.
    #[error("a change from {said}, while the state was {known}")]
    Chain {
        /// The state that it says was left.
        said: State,
        /// The state before.
        known: State,
    },
    /// A change from before what is accounted for, or before the change before it.
    #[error("a change at {since_ms} ms, after what was decided up to {known_ms} ms")]
    Late {
        /// Its onset.
        since_ms: i64,
        /// Up to when all was decided.
        known_ms: i64,
    },
    /// More changes than a check can keep that no usage leaf covers.
    #[error("more than {0} changes of state that no usage leaf covers")]
    Changes(usize),
    /// More machines than a gateway has.
    #[error("more than {0} machines")]
    Machines(usize),
    /// A session that begins again.
    #[error("session {0} begins a second time")]
    Again(String),
    /// A session that begins while another runs.
    #[error("session {next} begins while {running} runs")]
    Twofold {
        /// The one that runs.
        running: String,
        /// The one that begins.
        next: String,
    },
    /// A session that ends without having begun, or twice.
    #[error("session {0} ends and does not run")]
    Ends(String),
    /// Usage of a session that does not run.
    #[error("usage of session {0}, which does not run")]
    Stray(String),
    /// Usage outside the session that it is said to be of.
    #[error("usage of session {session} at {at_ms} ms, outside it")]
    Outside {
        /// The session.
        session: String,
        /// Where, on the boot's clock.
        at_ms: u64,
    },
    /// A gap on one boot's clock that says another length than its ends do.
    #[error("a gap of {said_ms:?} ms, where the boot's clock says {length_ms} ms")]
    Gap {
        /// What it says.
        said_ms: Option<u64>,
        /// What its ends say.
        length_ms: u64,
    },
    /// A gap without a length though the clock could be trusted at both ends.
    #[error("a gap without a length, though the clock could be trusted")]
    Untold,
    /// A booking whose outcome was said already.
    #[error("the outcome of booking {0} is said a second time")]
    Outcome(String),
}
