//! How a command ends, and with which exit code.

use std::io::Write;
use std::process::ExitCode;

use crate::text::{Language, Text};

/// How a command ends when it did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: a negative answer.
    Negative,
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Negative => ExitCode::from(1),
        }
    }
}

/// Why a command failed: decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: wrong usage.
    Usage(Text),
    /// Exit code 3: the configuration has faults, already rendered for a terminal.
    Configuration(String),
    /// Exit code 3: what was configured, or lies where it says, is wrong; nothing helps before a person corrects it.
    Correct(Text),
    /// Exit code 4: the store.
    Store(Text),
    /// Exit code 5: could not reach somebody.
    Unreachable(Text),
    /// Exit code 1: a negative answer, with its reason.
    Negative(Text),
    /// Exit code 1: anything else.
    Other(anyhow::Error),
}

impl Failure {
    /// Says what failed on standard error, and gives the exit code.
    pub fn report(&self, language: Language) -> ExitCode {
        if self.is_closed_pipe() {
            return ExitCode::SUCCESS;
        }
        let prefix = match language {
            Language::En => "error: ",
            Language::ZhCn => "错误：",
        };
        let (code, text) = match self {
            Self::Usage(text) => (2, format!("{prefix}{}\n", text.say(language))),
            Self::Configuration(report) => (3, report.clone()),
            Self::Correct(text) => (3, format!("{prefix}{}\n", text.say(language))),
            Self::Store(text) => (4, format!("{prefix}{}\n", text.say(language))),
            Self::Unreachable(text) => (5, format!("{prefix}{}\n", text.say(language))),
            Self::Negative(text) => (1, format!("{prefix}{}\n", text.say(language))),
            Self::Other(error) => (1, format!("{prefix}{error:#}\n")),
        };
        // A closed standard error leaves the exit code to speak.
        drop(std::io::stderr().write_all(text.as_bytes()));
        ExitCode::from(code)
    }

    /// Whoever reads what a command prints may stop when it has seen enough.
    fn is_closed_pipe(&self) -> bool {
        let Self::Other(error) = self else {
            return false;
        };
        let error = error.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use std::io::{Error, ErrorKind};

    #[test]
    fn only_a_reader_that_has_gone_is_no_failure() {
        for (failure, expected) in [
            (Failure::from(Error::from(ErrorKind::BrokenPipe)), true),
            (Failure::from(Error::from(ErrorKind::StorageFull)), false),
            (Failure::Other(anyhow::anyhow!("x")), false),
            (Failure::Configuration(String::new()), false),
        ] {
            assert_eq!(failure.is_closed_pipe(), expected, "{failure:?}");
        }
    }
}
