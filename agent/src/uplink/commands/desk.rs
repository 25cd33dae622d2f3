//! Where requests wait for their turn, and are answered: a few at once, each for a bounded time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time;
use tracing::debug;

use super::super::mqtt::answers::{Answers as Outgoing, Reply};
use crate::answers::{Answers, Code, Failure, Question, Room, documents};

/// Requests answered at once: each may read the ledger, on a gateway of few cores.
const AT_ONCE: usize = 4;
/// Requests that wait; more are told to come again.
const WAITING_MAX: usize = 16;
/// From a request's receipt to its last part. Who asked will hardly wait longer.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Where an answer goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    /// The response topic.
    pub(super) topic: String,
    /// The request's correlation data.
    pub(super) correlation: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    address: Address,
    received: Instant,
}

/// Takes requests. Those at work end when it is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    queue: mpsc::Sender<Asked>,
    answers: Outgoing,
    _clerks: JoinSet<()>,
}

impl Desk {
    /// Opens on the present tokio runtime. `packet_bytes_max` is what the broker takes now.
    pub(super) fn open(
        knowledge: Arc<Answers>,
        answers: &Outgoing,
        packet_bytes_max: &watch::Sender<usize>,
    ) -> Self {
        let (queue, asked) = mpsc::channel(WAITING_MAX);
        let asked = Arc::new(Mutex::new(asked));
        let mut clerks = JoinSet::new();
        for _ in 0..AT_ONCE {
            let clerk = Clerk {
                knowledge: Arc::clone(&knowledge),
                answers: answers.clone(),
                packet_bytes_max: packet_bytes_max.subscribe(),
            };
            clerks.spawn(clerk.work(Arc::clone(&asked)));
        }
        Self {
            queue,
            answers: answers.clone(),
            _clerks: clerks,
        }
    }

    /// Takes a request. Returns whether somebody will hear of it: in a flood not even that we are busy can
    /// be told everybody.
    pub(super) fn take(&self, question: Question, address: Address, received: Instant) -> bool {
        let asked = Asked {
            question,
            address,
            received,
        };
        let Err(asked) = self.queue.try_send(asked) else {
            return true;
        };
        let Asked {
            question, address, ..
        } = asked.into_inner();
        let busy = "many requests are waiting: ask again in some seconds, one after the other";
        self.refuse(&question.id, address, Failure::new(Code::Busy, busy))
    }

    /// Answers at once that there is no answer. Returns whether there was room for that.
    pub(super) fn refuse(&self, id: &str, address: Address, failure: Failure) -> bool {
        let mut replies = replies(&address, documents(id, Err(failure)));
        replies
            .next()
            .is_some_and(|reply| self.answers.try_send(reply))
    }
}

fn replies(address: &Address, documents: Vec<Vec<u8>>) -> impl Iterator<Item = Reply> {
    let address = address.clone();
    documents.into_iter().map(move |payload| Reply {
        topic: address.topic.clone(),
        correlation: address.correlation.clone(),
        response_topic: None,
        payload,
    })
}

struct Clerk {
    knowledge: Arc<Answers>,
    answers: Outgoing,
    packet_bytes_max: watch::Receiver<usize>,
}

impl Clerk {
    async fn work(self, queue: Arc<Mutex<mpsc::Receiver<Asked>>>) {
        loop {
            let asked = queue.lock().await.recv().await;
            let Some(asked) = asked else {
                return;
            };
            self.answer(asked).await;
        }
    }

    async fn answer(&self, asked: Asked) {
        let Asked {
            question: Question { id, call },
            address,
            received,
        } = asked;
        let deadline = received + TIME_MAX;
        let room = Room::of(&id, self.payload_bytes_max(&address));
        let knowledge = Arc::clone(&self.knowledge);
        // It looks at the deadline itself, so that no more than we are ever read the ledger.
        let answered = task::spawn_blocking(move || knowledge.answer(&call, room, deadline));
        let result = answered.await.unwrap_or_else(|_| {
            let broken = "this could not be answered: look into the gateway's log";
            Err(Failure::new(Code::Unavailable, broken))
        });
        for reply in replies(&address, documents(&id, result)) {
            let sent = time::timeout_at(deadline.into(), self.answers.send(reply)).await;
            if !matches!(sent, Ok(true)) {
                debug!(
                    topic = address.topic,
                    "an answer was given up: it took too long"
                );
                return;
            }
        }
    }

    /// What the broker takes, without what surrounds an answer.
    fn payload_bytes_max(&self, address: &Address) -> usize {
        let bare = Reply {
            topic: address.topic.clone(),
            correlation: address.correlation.clone(),
            response_topic: None,
            payload: Vec::new(),
        };
        self.packet_bytes_max
            .borrow()
            .saturating_sub(bare.packet_bytes())
    }
}
