//! Asking until there is an answer: a few requests at a time, again after a cut, later where the gateway is
//! busy, and not for ever.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{self, Instant};

use super::informant::{Informant, Trouble};
use crate::text;
use crate::text::Text;

/// How patiently is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rhythm {
    /// Requests on their way at once, from 1.
    pub window: usize,
    /// The first wait before a question is asked again; it doubles.
    pub wait_first: Duration,
    /// The longest wait.
    pub wait_max: Duration,
    /// How long a gateway may put off one request, or say nothing at all, until it is given up.
    pub give_up: Duration,
    /// The same for a gateway that has not said anything yet.
    pub give_up_unheard: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            // As many as a gateway answers at once.
            window: 4,
            wait_first: Duration::from_millis(500),
            wait_max: Duration::from_secs(20),
            // A router restarts within this; whoever waits longer calls again, and goes on where it ended.
            give_up: Duration::from_secs(600),
            give_up_unheard: Duration::from_secs(100),
        }
    }
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// Nobody answers; what has come is kept, and the same command goes on with it.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// Somebody answers, and has put this off for so long that it is given up; otherwise as if nobody answered.
    #[error("no answer: {0}")]
    PutOff(String),
    /// The gateway says no.
    #[error("the gateway refuses {method}: {code}: {text}")]
    Refused {
        /// What it was asked.
        method: &'static str,
        /// Why, as a word.
        code: String,
        /// Why, in its words.
        text: String,
    },
    /// What the source says does not hold together.
    #[error("{0}")]
    Lies(Text),
    /// The ledger says nothing about the period.
    #[error("the ledger has no leaf of that period")]
    Nothing,
    /// A file of the working folder, or the bundle, can't be written or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The working folder is of another pull.
    #[error("{0} holds parts of another pull")]
    Other(PathBuf),
    /// Another process works in the folder.
    #[error("{0} is in use")]
    Held(PathBuf),
}

impl PullError {
    /// Binds a path to an error of the system.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// A gateway that is asked patiently.
#[derive(Debug)]
pub struct Inquiry<I> {
    informant: I,
    rhythm: Rhythm,
    places: Semaphore,
    /// When it last answered anything.
    heard: Mutex<Option<Instant>>,
    began: Instant,
}

impl<I: Informant> Inquiry<I> {
    /// Of this gateway. Must be made in a runtime.
    pub fn new(informant: I, rhythm: Rhythm) -> Self {
        Self {
            informant,
            rhythm,
            places: Semaphore::new(rhythm.window.max(1)),
            heard: Mutex::new(None),
            began: Instant::now(),
        }
    }

    /// Requests on their way at once.
    pub fn window(&self) -> usize {
        self.rhythm.window.max(1)
    }

    /// Asks until there is an answer. Gives the results of its parts, at least one.
    ///
    /// # Errors
    ///
    /// [`PullError::Refused`], [`PullError::Lies`] for what is no answer, [`PullError::Unreachable`] or
    /// [`PullError::PutOff`] when patience has come to its end.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<Vec<T>, PullError> {
        let params = serde_json::to_value(params).map_err(|fault| nonsense(method, &fault))?;
        // Never closed.
        let _place = self.places.acquire().await;
        let asked = Instant::now();
        let mut wait = self.rhythm.wait_first;
        loop {
            let (error, limit) = match self.informant.ask(method, params.clone()).await {
                Ok(results) => {
                    self.hear();
                    return results
                        .into_iter()
                        .map(|result| {
                            serde_json::from_value(result).map_err(|fault| nonsense(method, &fault))
                        })
                        .collect();
                }
                Err(Trouble::No(error)) => {
                    return Err(PullError::Refused {
                        method,
                        code: error.code,
                        text: error.text,
                    });
                }
                Err(Trouble::Nonsense(why)) => return Err(nonsense(method, &why)),
                Err(Trouble::Refused(why)) => return Err(PullError::Unreachable(why)),
                Err(Trouble::Later(why)) => {
                    self.hear();
                    (PullError::PutOff(why), asked + self.rhythm.give_up)
                }
                Err(Trouble::Lost(why)) => (PullError::Unreachable(why), self.until()),
            };
            let now = Instant::now();
            if now >= limit {
                return Err(error);
            }
            tracing::debug!(method, "asking again: {error}");
            time::sleep(wait.min(limit - now)).await;
            wait = (wait * 2).min(self.rhythm.wait_max);
        }
    }

    /// Asks for what has one part.
    ///
    /// # Errors
    ///
    /// As [`Inquiry::ask`].
    pub async fn ask_one<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<T, PullError> {
        let mut results = self.ask(method, params).await?;
        match (results.pop(), results.pop()) {
            (Some(result), None) => Ok(result),
            _ => Err(nonsense(method, &"more than one part")),
        }
    }

    fn hear(&self) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = Some(Instant::now());
    }

    /// Until when silence is borne.
    fn until(&self) -> Instant {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard {
            Some(heard) => heard + self.rhythm.give_up,
            None => self.began + self.rhythm.give_up_unheard,
        }
    }
}

fn nonsense(method: &str, what: &impl std::fmt::Display) -> PullError {
    PullError::Lies(text!(
        "what it answers to {method} is no answer: {what}",
        "对 {method} 的应答无效：{what}"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Informant, Inquiry, PullError, Rhythm, Trouble};
    use lineside_proto::AnswerError;
    use serde_json::{Value, json};
    use std::sync::Mutex;
    use std::time::Duration;

    const RHYTHM: Rhythm = Rhythm {
        window: 1,
        wait_first: Duration::from_millis(1),
        wait_max: Duration::from_millis(4),
        give_up: Duration::from_millis(90),
        give_up_unheard: Duration::from_millis(30),
    };

    /// Says these things, the last for ever.
    struct Script(Mutex<Vec<Result<Vec<Value>, Trouble>>>);

    impl Informant for Script {
        async fn ask(&self, _: &'static str, _: Value) -> Result<Vec<Value>, Trouble> {
            let mut script = self.0.lock().unwrap();
            if script.len() > 1 {
                script.remove(0)
            } else {
                script[0].clone()
            }
        }
    }

    async fn said(
        script: Vec<Result<Vec<Value>, Trouble>>,
    ) -> (Result<Vec<u32>, PullError>, Duration) {
        let inquiry = Inquiry::new(Script(Mutex::new(script)), RHYTHM);
        let began = tokio::time::Instant::now();
        let said = inquiry.ask("status", json!({})).await;
        (said, began.elapsed())
    }

    fn lost() -> Result<Vec<Value>, Trouble> {
        Err(Trouble::Lost("cut".to_owned()))
    }

    fn later() -> Result<Vec<Value>, Trouble> {
        Err(Trouble::Later("busy".to_owned()))
    }

    #[tokio::test]
    async fn it_asks_again_and_not_for_ever() {
        let good = || Ok(vec![json!(1), json!(2)]);
        let (answer, took) = said(vec![lost(), later(), lost(), good()]).await;
        assert_eq!(answer.unwrap(), [1, 2]);
        assert!(took >= Duration::from_millis(1 + 2 + 4), "{took:?}");
        let (answer, took) = said(vec![lost()]).await;
        assert!(matches!(answer, Err(PullError::Unreachable(why)) if why == "cut"));
        assert!(took >= RHYTHM.give_up_unheard, "{took:?}");
        let (answer, took) = said(vec![later()]).await;
        assert!(matches!(answer, Err(PullError::PutOff(why)) if why == "busy"));
        assert!(took >= RHYTHM.give_up, "{took:?}");
        // Whoever was heard once is waited for longer.
        let (answer, took) = said(vec![later(), lost()]).await;
        assert!(matches!(answer, Err(PullError::Unreachable(_))));
        assert!(took >= RHYTHM.give_up, "{took:?}");
    }

    #[tokio::test]
    async fn no_is_no() {
        let no = |code: &str| {
            let (code, text) = (code.to_owned(), "why".to_owned());
            Err(Trouble::No(AnswerError { code, text }))
        };
        let (answer, _) = said(vec![no("not-found"), Ok(vec![json!(1)])]).await;
        assert!(matches!(answer, Err(PullError::Refused { code, .. }) if code == "not-found"));
        let (answer, _) = said(vec![Err(Trouble::Refused("password".to_owned()))]).await;
        assert!(matches!(answer, Err(PullError::Unreachable(_))));
        for wrong in [Ok(vec![json!("x")]), Err(Trouble::Nonsense("x".to_owned()))] {
            let (answer, _) = said(vec![wrong]).await;
            assert!(matches!(answer, Err(PullError::Lies(_))));
        }
    }
}
