//! Questions to gateways over the archive's own connection, and who waits for their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lineside_proto::{Answer, Request, Topics};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::{self, Instant};

use super::desk::Asked;
use crate::evidence::informant::{Parts, Trouble};
use crate::uplink::mqtt::intake::{Outlet, Post};
use crate::uplink::mqtt::subscriber::Message;

/// From one part of an answer to the next at most: a gateway works for half a minute at most.
const PART_TIMEOUT: Duration = Duration::from_secs(40);

/// Who asks.
#[derive(Debug)]
pub(super) struct Asker {
    prefix: String,
    /// Tells answers to this process from those to others.
    name: String,
    outlet: Outlet,
    asked: AtomicU64,
    pending: Mutex<HashMap<Vec<u8>, Pending>>,
}

#[derive(Debug)]
struct Pending {
    topic: String,
    parts: Parts,
    heard: watch::Sender<Instant>,
    done: oneshot::Sender<Result<Vec<Value>, Trouble>>,
}

impl Asker {
    pub(super) fn new(prefix: &str, name: &str, outlet: Outlet) -> Self {
        Self {
            prefix: prefix.to_owned(),
            name: name.to_owned(),
            outlet,
            asked: AtomicU64::new(0),
            pending: Mutex::new(HashMap::new()),
        }
    }

    /// The filter under which answers come.
    pub(super) fn filter(prefix: &str, name: &str) -> String {
        format!("{prefix}/+/+/response/{name}")
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for all parts of the answer.
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Vec<Value>, Trouble> {
        let topics = Topics::new(&self.prefix, &asked.place.site, &asked.place.gateway);
        let id = self.asked.fetch_add(1, Ordering::Relaxed).to_string();
        let (method, params) = asked.question.call();
        let request = Request {
            id: id.clone(),
            method: method.to_owned(),
            params,
        };
        let payload =
            serde_json::to_vec(&request).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        let topic = format!("{}{}", topics.response(), self.name);
        let correlation = id.into_bytes();
        let (done, mut answer) = oneshot::channel();
        let (heard, last) = watch::channel(Instant::now());
        let pending = Pending {
            topic: topic.clone(),
            parts: Parts::default(),
            heard,
            done,
        };
        self.pending().insert(correlation.clone(), pending);
        let _forget = Forget(self, correlation.clone());
        let post = Post {
            topic: topics.request(),
            payload,
            retained: false,
            response_topic: Some(topic),
            correlation: Some(correlation),
        };
        let lost = || Trouble::Lost("the connection is closed".to_owned());
        if !self.outlet.post(post).await {
            return Err(lost());
        }
        loop {
            let until = *last.borrow() + PART_TIMEOUT;
            match time::timeout_at(until, &mut answer).await {
                Ok(answer) => return answer.unwrap_or_else(|_| Err(lost())),
                Err(_) if *last.borrow() + PART_TIMEOUT > Instant::now() => {}
                Err(_) => return Err(Trouble::Lost("the gateway does not answer".to_owned())),
            }
        }
    }

    /// Takes in what came under the filter.
    pub(super) fn take(&self, message: Message) {
        let Some(correlation) = message.correlation else {
            return;
        };
        let mut waiting = self.pending();
        let Some(pending) = waiting.get_mut(&correlation) else {
            return;
        };
        if pending.topic != message.topic {
            return;
        }
        pending.heard.send_replace(Instant::now());
        let taken = match serde_json::from_slice::<Answer>(&message.payload) {
            Ok(answer) => pending.parts.take(answer),
            Err(fault) => Err(Trouble::Nonsense(fault.to_string())),
        };
        let done = match taken {
            Ok(None) => return,
            Ok(Some(results)) => Ok(results),
            Err(trouble) => Err(trouble),
        };
        if let Some(pending) = waiting.remove(&correlation) {
            // Whoever asked may have gone.
            drop(pending.done.send(done));
        }
    }

    /// The connection is no more: everybody who waits is told.
    pub(super) fn lost(&self, why: &str) {
        for (_, pending) in self.pending().drain() {
            drop(pending.done.send(Err(Trouble::Lost(why.to_owned()))));
        }
    }
}

/// Forgets a question that is not waited for any more.
struct Forget<'a>(&'a Asker, Vec<u8>);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.pending().remove(&self.1);
    }
}
