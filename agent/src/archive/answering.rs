//! Requests to gateways that are off, answered from the copy: whoever asks need not know where the answer comes from.
//!
//! Each archive at a broker gets each request, and answers if it holds the log that is meant. A gateway that is there answers
//! itself.
//!
//! Bounds: `AT_ONCE` answers, each for `TIME_MAX` and `SEND_MAX`; what comes beyond them is told to come again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lineside_proto::{Identifier, Topics};
use tokio::sync::Semaphore;
use tokio::{task, time};

use super::{Library, Live};
use crate::answers::{Call, Code, Failure, Question, Room, documents, read};
use crate::uplink::commands::response;
use crate::uplink::mqtt::answers::{Answers, Reply};
use crate::uplink::mqtt::subscriber::Message;

/// Requests answered at once: each reads the disk.
const AT_ONCE: usize = 4;
/// From a request's receipt to its answer. Who asked will hardly wait longer.
const TIME_MAX: Duration = Duration::from_secs(30);
/// For how long the parts of an answer may wait for the line.
const SEND_MAX: Duration = Duration::from_secs(60);

/// Who answers.
#[derive(Clone, Debug)]
pub(super) struct Answering {
    prefix: String,
    library: Arc<Library>,
    live: Arc<Live>,
    answers: Answers,
    places: Arc<Semaphore>,
}

impl Answering {
    pub(super) fn new(
        prefix: &str,
        library: Arc<Library>,
        live: Arc<Live>,
        answers: Answers,
    ) -> Self {
        Self {
            prefix: prefix.to_owned(),
            library,
            live,
            answers,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Takes a request; answers in the background, if the gateway does not.
    pub(super) fn take(&self, site: Identifier, gateway: Identifier, message: Message) {
        let is_online = self.live.is_online(&site, &gateway);
        let asked = read(&message.payload);
        // One that is there answers for itself, but for a log of before, which it may have lost.
        let names = |question: &Question| matches!(question.call, Call::Of { .. });
        let may_answer = is_online != Some(true) || asked.as_ref().is_ok_and(names);
        // A retained request would be answered with every connection.
        if message.retained || !may_answer {
            return;
        }
        let topics = Topics::new(&self.prefix, &site, &gateway);
        let correlation = message.correlation;
        let topic = message.response_topic.as_deref();
        let topic = match response(&topics, topic, correlation.as_deref()) {
            Ok(topic) => topic,
            Err(reason) => {
                tracing::debug!(%site, %gateway, "a request is not answered: {reason}");
                return;
            }
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            if is_online == Some(true) {
                return;
            }
            let busy = "many requests are waiting: ask again in some seconds, one after the other";
            let id = asked.map_or_else(|(id, _)| id, |question| question.id);
            for payload in documents(&id, Err(Failure::new(Code::Busy, busy))) {
                // Who hears nothing asks again, too.
                self.answers
                    .try_send(reply(&topic, correlation.as_deref(), payload));
            }
            return;
        };
        let this = self.clone();
        let received = message.received;
        tokio::spawn(async move {
            let documents = match asked {
                Ok(question) => {
                    this.answer((site, gateway, is_online), question, received)
                        .await
                }
                Err((id, failure)) => documents(&id, Err(failure)),
            };
            let sent = async {
                for payload in documents {
                    let reply = reply(&topic, correlation.as_deref(), payload);
                    if !this.answers.send(reply).await {
                        return;
                    }
                }
            };
            if time::timeout(SEND_MAX, sent).await.is_err() {
                tracing::debug!("an answer is given up: the way to the broker is slow");
            }
            // Held until all of it is on its way: so much of the archive's memory waits for a slow line at most.
            drop(place);
        });
    }

    async fn answer(
        &self,
        (site, gateway, is_online): (Identifier, Identifier, Option<bool>),
        question: Question,
        received: Instant,
    ) -> Vec<Vec<u8>> {
        let Question { id, call } = question;
        // As the gateway cuts it, which may answer the same.
        let room = Room::of(&id, usize::MAX);
        let library = Arc::clone(&self.library);
        let answered = task::spawn_blocking(move || {
            let speaks = match is_online {
                // What is not held here is not denied: another archive may have it, or the gateway itself.
                Some(false) | None => library.holds(&site, &gateway, &call),
                Some(true) => library.is_of_before(&site, &gateway, &call),
            };
            let deadline = received + TIME_MAX;
            speaks.then(|| library.answer((&site, &gateway), None, &call, room, deadline))
        });
        let result = answered.await.unwrap_or_else(|_| {
            let broken = "this could not be answered: look into the archive's log";
            Some(Err(Failure::new(Code::Unavailable, broken)))
        });
        result.map_or_else(Vec::new, |result| documents(&id, result))
    }
}

fn reply(topic: &str, correlation: Option<&[u8]>, payload: Vec<u8>) -> Reply {
    Reply {
        topic: topic.to_owned(),
        correlation: correlation.map(<[u8]>::to_vec),
        response_topic: None,
        payload,
    }
}
