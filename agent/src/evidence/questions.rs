//! Questions whose answers are waited for, and the answers as they come in parts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lineside_proto::{ANSWER_BYTES_MAX, Answer, Request, Topics};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::{self, Instant};

use super::informant::{BUSY, Parts, Trouble};
use crate::uplink::mqtt::answers::{Answers, Reply};

/// Values of one part of an answer at most, texts with all that is in them as one: leaves and hashes are texts, and some
/// hundred of them fill a part. Numbers by the ten thousand take twenty times their bytes when they are read.
const VALUES_MAX: usize = 2_048;

/// Whole answers to one question that are gathered at most: a city has two archives or three.
const ANSWERS_MAX: u32 = 8;

/// How long is waited for whoever is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// From one part of an answer to the next at most; one that came before brings nothing new.
    pub part: Duration,
    /// For the whole answer at most.
    pub whole: Duration,
    /// After a refusal, for an answer of somebody else: of two who answer for one gateway, the one that has nothing is
    /// the quicker.
    pub refusal: Duration,
    /// After the first whole answer, for those of others, all of which count then; nothing where the first does.
    pub others: Duration,
    /// How many answer, where that is known: when as many have said what they say, nobody else is waited for.
    pub expected: Option<u32>,
    /// What a silence is called.
    pub silence: &'static str,
}

/// The questions of one connection.
#[derive(Debug)]
pub struct Questions {
    /// Tells answers to this connection from those to others.
    name: String,
    asked: AtomicU64,
    waiting: Mutex<HashMap<Vec<u8>, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    /// Where its answer must come.
    topic: String,
    parts: Parts,
    /// Those of whole answers that came, and how many answers still may.
    results: Vec<Value>,
    open: u32,
    heard: watch::Sender<Heard>,
    done: oneshot::Sender<Result<Vec<Value>, Trouble>>,
}

/// What was heard last of whoever was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Heard {
    at: Instant,
    /// Whether parts of an answer have come, and others are still to come.
    is_open: bool,
    /// The first whole answer, where others are waited for.
    answered: Option<Instant>,
    /// The first refusal, but for who was busy: that one may have what another does not.
    refused: Option<(Instant, Trouble)>,
    /// Whether somebody was busy.
    is_busy: bool,
    /// Whole answers and refusals.
    said: u32,
}

impl Heard {
    /// Somebody refuses, perhaps since they are busy.
    fn refuse(&mut self, now: Instant, trouble: Trouble, is_busy: bool) {
        match &mut self.refused {
            Some((_, known)) if is_busy && !self.is_busy => *known = trouble,
            Some(_) => {}
            none => *none = Some((now, trouble)),
        }
        self.is_busy |= is_busy;
        self.said = self.said.saturating_add(1);
    }

    /// Until when is waited, and what is said then of whom nothing came.
    fn until(&self, patience: &Patience, last: Instant) -> (Instant, Trouble) {
        let silence = || Trouble::Lost(patience.silence.to_owned());
        let is_all = patience
            .expected
            .is_some_and(|expected| self.said >= expected);
        let more = |wait: Duration| if is_all { Duration::ZERO } else { wait };
        match (self.answered, self.refused.clone()) {
            (Some(at), refused) => {
                let busy = refused.filter(|_| self.is_busy).map(|(_, trouble)| trouble);
                (at + more(patience.others), busy.unwrap_or_else(silence))
            }
            // Whoever has nothing is the quicker; another's answer is on its way.
            (None, Some((at, trouble))) if !self.is_open => (at + more(patience.refusal), trouble),
            (None, _) => (last.min(self.at + patience.part), silence()),
        }
    }
}

impl Questions {
    /// Those of a connection that hears what comes to `…/response/{name}`.
    pub fn new(name: String) -> Self {
        Self {
            name,
            asked: AtomicU64::new(0),
            waiting: Mutex::new(HashMap::new()),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for all parts of the answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn ask(
        &self,
        answers: &Answers,
        topics: &Topics,
        (method, params): (&str, Value),
        patience: Patience,
    ) -> Result<Vec<Value>, Trouble> {
        let (question, pending) = self.pose(topics, (method, params), patience)?;
        if !answers.send(question).await {
            return Err(Trouble::Lost("the connection is closed".to_owned()));
        }
        pending.answer().await
    }

    /// Makes a question of it, and waits for its answer from now on.
    fn pose(
        &self,
        topics: &Topics,
        (method, params): (&str, Value),
        patience: Patience,
    ) -> Result<(Reply, Pending<'_>), Trouble> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed).to_string();
        let request = Request {
            id: id.clone(),
            method: method.to_owned(),
            params,
        };
        let payload =
            serde_json::to_vec(&request).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        let topic = format!("{}{}", topics.response(), self.name);
        let correlation = id.into_bytes();
        let (done, answer) = oneshot::channel();
        let (heard, hears) = watch::channel(Heard {
            at: Instant::now(),
            is_open: false,
            answered: None,
            refused: None,
            is_busy: false,
            said: 0,
        });
        let gathers = !patience.others.is_zero();
        let waiting = Waiting {
            topic: topic.clone(),
            parts: Parts::default(),
            results: Vec::new(),
            open: if gathers { ANSWERS_MAX } else { 1 },
            heard,
            done,
        };
        self.waiting().insert(correlation.clone(), waiting);
        let pending = Pending {
            questions: self,
            patience,
            correlation: correlation.clone(),
            heard: hears,
            answer,
        };
        let question = Reply {
            topic: topics.request(),
            correlation: Some(correlation),
            response_topic: Some(topic),
            payload,
        };
        Ok((question, pending))
    }

    /// Takes in what came to a response topic.
    pub fn take(&self, topic: &str, correlation: &[u8], payload: &[u8]) {
        let mut all = self.waiting();
        let Some(waiting) = all.get_mut(correlation) else {
            return;
        };
        if waiting.topic != topic {
            return;
        }
        let now = Instant::now();
        let missing = waiting.parts.missing();
        let (taken, is_busy) = match part(payload) {
            Ok(answer) => {
                let code = answer.error.as_ref().map(|error| error.code.as_str());
                let is_busy = code == Some(BUSY);
                (waiting.parts.take(answer), is_busy)
            }
            Err(fault) => (Err(Trouble::Nonsense(fault)), false),
        };
        let results = match taken {
            Ok(Some(results)) => results,
            Ok(None) => {
                if waiting.parts.missing() != missing {
                    waiting.heard.send_modify(|heard| {
                        (heard.at, heard.is_open) = (now, true);
                    });
                }
                return;
            }
            Err(trouble) => {
                waiting
                    .heard
                    .send_modify(|heard| heard.refuse(now, trouble, is_busy));
                return;
            }
        };
        waiting.results.extend(results);
        waiting.open = waiting.open.saturating_sub(1);
        if waiting.open > 0 {
            waiting.parts = Parts::default();
            waiting.heard.send_modify(|heard| {
                heard.is_open = false;
                heard.said = heard.said.saturating_add(1);
                heard.answered.get_or_insert(now);
            });
            return;
        }
        if let Some(waiting) = all.remove(correlation) {
            // Whoever asked may have gone.
            drop(waiting.done.send(Ok(waiting.results)));
        }
    }

    /// Tells everybody who waits that nothing comes any more.
    pub fn end(&self, trouble: &Trouble) {
        for (_, waiting) in self.waiting().drain() {
            drop(waiting.done.send(Err(trouble.clone())));
        }
    }
}

/// Reads a part of an answer. Anybody whom the broker lets may have sent it.
fn part(payload: &[u8]) -> Result<Answer, String> {
    if payload.len() > ANSWER_BYTES_MAX || values(payload) > VALUES_MAX {
        return Err("a part of an answer that is larger than any".to_owned());
    }
    serde_json::from_slice(payload).map_err(|fault| fault.to_string())
}

/// How many values a document may hold: what stands between its marks, outside of texts.
fn values(document: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for letter in document {
        match letter {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

/// A question whose answer is waited for. Forgotten when it is dropped.
#[derive(Debug)]
struct Pending<'a> {
    questions: &'a Questions,
    patience: Patience,
    correlation: Vec<u8>,
    heard: watch::Receiver<Heard>,
    answer: oneshot::Receiver<Result<Vec<Value>, Trouble>>,
}

impl Pending<'_> {
    /// Waits for all parts of the answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    async fn answer(mut self) -> Result<Vec<Value>, Trouble> {
        let patience = self.patience;
        let last = Instant::now() + patience.whole;
        loop {
            let heard = self.heard.borrow_and_update().clone();
            let (until, trouble) = heard.until(&patience, last);
            tokio::select! {
                biased;
                answer = &mut self.answer => {
                    let closed = |_| Err(Trouble::Lost("the connection is closed".to_owned()));
                    return answer.unwrap_or_else(closed);
                }
                // Gone with the answer, which is there then.
                Ok(()) = self.heard.changed() => {}
                () = time::sleep_until(until) => {
                    let gathered = self.gathered().filter(|_| !heard.is_busy);
                    return gathered.ok_or(trouble);
                }
            }
        }
    }

    /// What whole answers have brought, if there are any.
    fn gathered(&self) -> Option<Vec<Value>> {
        let waiting = self.questions.waiting().remove(&self.correlation)?;
        (!waiting.results.is_empty()).then_some(waiting.results)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.questions.waiting().remove(&self.correlation);
    }
}

#[cfg(test)]
mod tests;
