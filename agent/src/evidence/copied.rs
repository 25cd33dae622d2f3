//! Asking a copy of a gateway's state directory.

use lineside_proto::AnswerError;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use tokio::task;

use super::informant::{BUSY, Informant, Trouble};
use crate::answers::{Answers, Failure};
use crate::ledger::LedgerError;

/// A copied state directory. Nothing in it is changed.
#[derive(Clone, Debug)]
pub struct Copied {
    answers: Arc<Answers>,
}

impl Copied {
    /// Opens it, by `ledger/`, `maps/` and `tokens/` in it.
    ///
    /// # Errors
    ///
    /// There is no ledger in it, or none that fits together.
    pub fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let answers = Arc::new(Answers::of_copy(state_dir)?);
        Ok(Self { answers })
    }
}

impl Informant for Copied {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        let answers = Arc::clone(&self.answers);
        let asking = task::spawn_blocking(move || answers.ask(method, params));
        match asking.await {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(failure)) => Err(trouble(failure)),
            Err(error) => Err(Trouble::Lost(error.to_string())),
        }
    }
}

/// What a failure to answer from files is: they do not become better by waiting, but another question may be at work.
pub(super) fn trouble(failure: Failure) -> Trouble {
    let error: AnswerError = failure.into();
    let trouble = Trouble::from(error.clone());
    let is_final = matches!(trouble, Trouble::Later(_)) && error.code != BUSY;
    if is_final {
        Trouble::No(error)
    } else {
        trouble
    }
}
