//! What a command of the agent said, for whoever called it.

use anyhow::{Context, Result, ensure};
use lineside::live::Live;
use serde_json::Value;

use crate::agent::command;
use crate::site::Site;

/// The end of a command.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// Runs a command on the files of a site.
    ///
    /// # Errors
    ///
    /// When it can't be started, or prints what is no text.
    pub fn on(site: &Site, arguments: &[&str]) -> Result<Self> {
        let config = site.config().display().to_string();
        let output = command(&[arguments, &["-c", &config]].concat())?;
        Ok(Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }

    /// Asserts that it did what it was asked for.
    ///
    /// # Errors
    ///
    /// With all it said, when it did not.
    pub fn done(self) -> Result<Self> {
        ensure!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        Ok(self)
    }

    /// Asserts that it failed with this exit code, printed no result, and said all of this.
    ///
    /// # Errors
    ///
    /// With all it said, when it was not so.
    pub fn failed(self, code: i32, words: &[&str]) -> Result<()> {
        let told = words.iter().all(|word| self.err.contains(word));
        ensure!(
            self.code == Some(code) && told && self.out.is_empty(),
            "not {code} with {words:?}: {self:?}"
        );
        Ok(())
    }

    /// The agent's snapshot, if `status --json` gave one: none where no agent answers yet.
    pub fn live(&self) -> Option<Live> {
        serde_json::from_str(&self.out).ok()
    }

    /// Its answer, as a program reads it.
    ///
    /// # Errors
    ///
    /// When it failed, or its answer is no JSON.
    pub fn json(self) -> Result<Value> {
        let said = self.done()?;
        serde_json::from_str(&said.out).with_context(|| said.out)
    }
}
