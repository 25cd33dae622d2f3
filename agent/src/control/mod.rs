//! The local socket by which `status`, `apply` and `probe` talk to the running agent: one line of
//! JSON asks, one line answers. Reachable by root and the agent's own user, and by its group where the
//! state directory is open to that; it changes nothing but which of the configured machines are read.

mod client;
mod server;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use client::{AskError, ask};
pub use server::serve;

use crate::live::Live;
use crate::run::{Difference, Probed};
use lineside_proto::Identifier;

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
    /// It could not be done.
    Refused {
        /// Why, in English.
        en: String,
        /// Why, in Chinese.
        zh: String,
    },
}
