//! The local socket by which commands talk to the running agent: one line of JSON asks, one line
//! answers. Reachable by root and the agent's own user, and by its group where the state directory is open
//! to that. It changes which of the configured machines are read, and takes down what people enter; who
//! asks is known by the socket itself.

mod caller;
mod client;
mod server;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use caller::name as user_name;
pub use client::{AskError, ask};
pub use server::serve;

use crate::live::{Live, LiveSession};
use crate::run::{Difference, Probed, Rotated};
use lineside_proto::{Class, Identifier};

/// The longest line that the agent reads: a probe of many named points.
const REQUEST_BYTES_MAX: u64 = 256 * 1024;

/// The longest line that a command reads: a snapshot of a large gateway.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where the socket is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// What is asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Request {
    /// A snapshot.
    Live,
    /// Read the configuration again: say what would change, or change it.
    Reload {
        /// Whether to change anything.
        apply: bool,
    },
    /// One extra reading.
    Probe {
        /// The machine.
        machine: Identifier,
        /// The points; none: all.
        points: Vec<String>,
    },
    /// Somebody at a machine begins to use it.
    CheckIn {
        /// The machine.
        machine: Identifier,
        /// The booking that it is for.
        booking: Option<String>,
        /// The class, where it is for none.
        class: Option<Class>,
        /// Who; none: the user who asks.
        by: Option<String>,
    },
    /// Somebody at a machine is done.
    CheckOut {
        /// The machine.
        machine: Identifier,
        /// Who; none: the user who asks.
        by: Option<String>,
    },
    /// A leaf of the ledger is wrong.
    Correct {
        /// Its index.
        refers: u64,
        /// What is right, and why.
        reason: String,
        /// Who says so.
        by: String,
    },
    /// A new signing key takes over.
    RotateKey {
        /// Whether to end a change that was begun.
        finish: bool,
    },
}

/// What is answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", content = "content")]
pub enum Answer {
    /// The snapshot.
    Live(Box<Live>),
    /// What changes, or changed.
    Reload(Difference),
    /// The readings.
    Probe(Vec<Probed>),
    /// The session that was opened, or closed.
    Session(LiveSession),
    /// The index of the leaf that was written.
    Written(u64),
    /// The keys before and after.
    Rotated(Rotated),
    /// It could not be done.
    Refused {
        /// Why, in English.
        en: String,
        /// Why, in Chinese.
        zh: String,
    },
}
