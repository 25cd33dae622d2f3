//! The command line: one file a subcommand, thin.

pub mod check;
pub mod demo;
mod interrupt;
pub mod schema;
pub mod sim;
pub mod table;
pub mod watch;

use crate::text::{Language, Text};
use std::path::PathBuf;

/// What every command knows.
#[derive(Clone, Debug)]
pub struct Context {
    /// The gateway file (`-c`, else `LINESIDE_CONFIG`, else `/etc/lineside/gateway.toml`).
    pub config: PathBuf,
    /// The language to speak.
    pub language: Language,
}

/// How a command ends when it did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: a negative answer.
    Negative,
}

/// Why a command failed: decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: wrong usage.
    Usage(Text),
    /// Exit code 3: the configuration has faults, already rendered for a terminal.
    Configuration(String),
    /// Exit code 4: the store.
    Store(Text),
    /// Exit code 5: could not reach somebody.
    Unreachable(Text),
    /// Exit code 1: anything else.
    Other(anyhow::Error),
}
