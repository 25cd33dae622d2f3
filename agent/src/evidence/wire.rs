//! Asking over the city's broker: MQTT 5 requests, answered below `{root}/response/`.
//!
//! One connection asks all gateways. What it subscribes to is the gateways' status, and answers to this very
//! connection; when it breaks, another is made, and whoever waits for an answer is told to ask again.

use lineside_proto::{GatewayStatus, Identifier, Link, Topics};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use super::informant::{Informant, Trouble};
use super::questions::{Patience, Questions};
use crate::uplink::mqtt::answers::Answers;
use crate::uplink::mqtt::subscriber::{Message, News, Subscription};
use crate::uplink::mqtt::{Fault, Peer};

const PATIENCE: Patience = Patience {
    // A gateway works for half a minute at most, and a slow line brings a part in less.
    part: Duration::from_secs(45),
    // Sixteen parts of 128 KiB over such a line.
    whole: Duration::from_secs(720),
    // A person waits, and one who says no has mostly looked.
    refusal: Duration::ZERO,
    others: Duration::ZERO,
    expected: None,
    silence: "the gateway does not answer: is it running, and may this user ask it?",
};
/// How long is waited after a refusal where others may answer for the same gateway.
const REFUSAL: Duration = Duration::from_secs(3);
/// The same for texts, of which many may be nowhere.
const REFUSAL_TEXT: Duration = Duration::from_secs(1);
/// How long is waited for a second archive, where each says which logs it has.
const OTHERS: Duration = Duration::from_secs(3);
/// The same for the head of a log.
const OTHERS_HEAD: Duration = Duration::from_secs(1);
/// The same after a refusal, where an archive may have to read a log to say where a period begins: for half a minute at most.
const REFUSAL_PERIOD: Duration = Duration::from_secs(45);
/// For how long a broker may leave requests unacknowledged.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a question waits for a connection before it counts as lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The broker sends what it keeps without a pause: after so long a silence it was all.
const KEPT_SILENCE: Duration = Duration::from_millis(500);
/// How long to wait for a first status at all.
const KEPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Gateways that are remembered at most: far more than a city has.
const GATEWAYS_MAX: usize = 10_000;

/// Which gateways are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The topics' prefix.
    pub prefix: String,
    /// This site only.
    pub site: Option<Identifier>,
    /// This gateway only.
    pub gateway: Option<Identifier>,
}

/// What the broker keeps of a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Whether it says that it is there.
    pub online: bool,
}

/// Gateways by site and name.
pub type Gateways = BTreeMap<(Identifier, Identifier), Seen>;

/// How the connection is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Reach {
    /// Nothing is known yet.
    Begins,
    Up,
    Down(Fault),
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    answers: Answers,
    prefix: String,
    link: watch::Receiver<Reach>,
    /// How many messages have come.
    messages: watch::Receiver<u64>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    questions: Questions,
    gateways: Mutex<Gateways>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    /// Connects on the present tokio runtime, and waits until that has worked once.
    ///
    /// # Errors
    ///
    /// Why it did not.
    pub async fn connect(mut peer: Peer, scope: &Scope) -> Result<Self, Fault> {
        let name = format!("pull-{:016x}", fastrand::u64(..));
        peer.client_id = format!("lineside-{name}");
        let one = |part: &Option<Identifier>| {
            part.as_ref()
                .map_or_else(|| "+".to_owned(), ToString::to_string)
        };
        let (prefix, site, gateway) = (&scope.prefix, one(&scope.site), one(&scope.gateway));
        let filters = vec![
            format!("{prefix}/{site}/{gateway}/response/{name}"),
            format!("{prefix}/{site}/{gateway}/status"),
        ];
        let needed = filters.first().cloned();
        let (subscription, answers) = Subscription::with_answers(peer, filters, ACK_TIMEOUT);
        let shared = Arc::new(Shared {
            questions: Questions::new(name),
            gateways: Mutex::default(),
        });
        let (link_sender, mut link) = watch::channel(Reach::Begins);
        let (counter, messages) = watch::channel(0);
        let desk = Desk {
            shared: Arc::clone(&shared),
            prefix: prefix.clone(),
            needed,
            link: link_sender,
            messages: counter,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(desk.run(subscription)));
        let begun = link.wait_for(|link| *link != Reach::Begins).await;
        let begun = begun.map_or_else(|_| Reach::Down(Fault::lost("closed")), |link| link.clone());
        if let Reach::Down(fault) = begun {
            return Err(fault);
        }
        Ok(Self {
            shared,
            answers,
            prefix: prefix.clone(),
            link,
            messages,
            _task: task,
        })
    }

    /// The gateways whose status the broker keeps.
    pub async fn gateways(&self) -> Gateways {
        let mut messages = self.messages.clone();
        let mut patience = KEPT_TIMEOUT;
        while let Ok(Ok(())) = time::timeout(patience, messages.changed()).await {
            patience = KEPT_SILENCE;
        }
        locked(&self.shared.gateways).clone()
    }

    /// Whether anybody answers for a gateway that has a ledger of it: an archive answers for one that is off. Waits so long
    /// for it at most.
    pub async fn is_answered(
        &self,
        (site, gateway): &(Identifier, Identifier),
        patience: Duration,
    ) -> bool {
        let topics = Topics::new(&self.prefix, site, gateway);
        let waits = Patience {
            part: patience,
            ..PATIENCE
        };
        let asked = self.ask(&topics, ("status", Value::Null), waits);
        match time::timeout(patience, asked).await {
            // Whoever is busy has something to say.
            Ok(Ok(_) | Err(Trouble::Later(_))) => true,
            Ok(Err(
                Trouble::No(_) | Trouble::Lost(_) | Trouble::Nonsense(_) | Trouble::Refused(_),
            ))
            | Err(_) => false,
        }
    }

    /// Asks a gateway.
    async fn ask(
        &self,
        topics: &Topics,
        question: (&str, Value),
        patience: Patience,
    ) -> Result<Vec<Value>, Trouble> {
        self.connected().await?;
        let questions = &self.shared.questions;
        let answered = questions.ask(&self.answers, topics, question, patience);
        answered.await
    }

    async fn connected(&self) -> Result<(), Trouble> {
        let mut link = self.link.clone();
        let up = time::timeout(CONNECT_TIMEOUT, link.wait_for(|link| *link == Reach::Up)).await;
        if matches!(up, Ok(Ok(_))) {
            return Ok(());
        }
        let now = self.link.borrow().clone();
        match now {
            Reach::Down(Fault::Refused(why)) => Err(Trouble::Refused(why)),
            Reach::Down(Fault::Lost(why)) => Err(Trouble::Lost(why)),
            Reach::Begins | Reach::Up => Err(Trouble::Lost("closed".to_owned())),
        }
    }
}

/// One gateway, over a broker.
#[derive(Clone, Debug)]
pub struct Wire {
    broker: Arc<Broker>,
    topics: Topics,
    gathers: Gathers,
}

/// Whether everybody is heard who says how much there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gathers {
    /// The first who answers counts.
    No,
    /// As many as are known to answer, or whoever does.
    All(Option<u32>),
    /// Whoever answers, of heads only: a gateway that is there, or archives for an epoch before that it may have lost.
    Heads,
}

impl Wire {
    /// To this gateway.
    pub fn new(broker: &Arc<Broker>, site: &Identifier, gateway: &Identifier) -> Self {
        Self {
            topics: Topics::new(&broker.prefix, site, gateway),
            broker: Arc::clone(broker),
            gathers: Gathers::No,
        }
    }

    /// About an epoch before of this gateway, which it may have lost: archives that answer in its place may each have another
    /// part of it.
    pub fn of_before(broker: &Arc<Broker>, site: &Identifier, gateway: &Identifier) -> Self {
        Self {
            gathers: Gathers::Heads,
            ..Self::new(broker, site, gateway)
        }
    }

    /// To several archives that answer for this gateway, which is off, as many as are known: one may have more than another,
    /// so that `status` and `ledger.checkpoint` are answered by a part of each, and nobody's refusal is the last word.
    pub fn gathering(
        broker: &Arc<Broker>,
        site: &Identifier,
        gateway: &Identifier,
        archives: Option<u32>,
    ) -> Self {
        Self {
            gathers: Gathers::All(archives),
            ..Self::new(broker, site, gateway)
        }
    }
}

impl Informant for Wire {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        let patience = patience(method, params.get("origin").is_some(), self.gathers);
        let question = (method, params);
        self.broker.ask(&self.topics, question, patience).await
    }
}

/// How long answers are waited for; whether the question names a log, and whether several are heard.
fn patience(method: &str, names_log: bool, gathers: Gathers) -> Patience {
    let (is_gathered, expected) = match gathers {
        Gathers::No | Gathers::Heads => (false, None),
        Gathers::All(archives) => (true, archives),
    };
    // A gateway may have lost a log of before, and say so before an archive has looked for it.
    let refusal = match method {
        "usage.bundle" if gathers != Gathers::No => REFUSAL_PERIOD,
        // Whoever has nothing is the quicker.
        "status" if is_gathered => OTHERS,
        _ if names_log => REFUSAL,
        // Of two archives one may not have the text.
        "config.get" | "token.get" | "status" => REFUSAL_TEXT,
        _ => Duration::ZERO,
    };
    let others = match method {
        "status" if is_gathered => OTHERS,
        "ledger.checkpoint" if gathers != Gathers::No => OTHERS_HEAD,
        _ => Duration::ZERO,
    };
    Patience {
        refusal,
        others,
        expected,
        ..PATIENCE
    }
}

/// Where what comes is sorted.
struct Desk {
    shared: Arc<Shared>,
    prefix: String,
    /// The filter without which nothing can be asked.
    needed: Option<String>,
    link: watch::Sender<Reach>,
    messages: watch::Sender<u64>,
}

impl Desk {
    async fn run(self, mut subscription: Subscription) {
        while let Some(news) = subscription.next().await {
            match news {
                News::Connected(granted) => {
                    let refused = self
                        .needed
                        .as_ref()
                        .is_some_and(|needed| granted.refused.contains(needed));
                    let link = if refused {
                        let words = "it does not let this user hear answers (…/response/…)";
                        Reach::Down(Fault::Refused(words.to_owned()))
                    } else {
                        Reach::Up
                    };
                    self.link.send_replace(link);
                }
                News::Message(message) => {
                    self.take(message);
                    self.messages.send_modify(|count| *count += 1);
                }
                News::Refused(why) => self.shared.questions.end(&Trouble::Refused(why)),
                News::Lost(fault) => {
                    self.shared.questions.end(&Trouble::Lost(fault.to_string()));
                    self.link.send_replace(Reach::Down(fault));
                }
            }
        }
        self.shared
            .questions
            .end(&Trouble::Lost("closed".to_owned()));
    }

    fn take(&self, message: Message) {
        let Some(rest) = message.topic.strip_prefix(&self.prefix) else {
            return;
        };
        if let Some(gateway) = rest.strip_suffix("/status") {
            self.status(gateway, &message.payload);
            return;
        }
        if let Some(correlation) = message.correlation {
            let questions = &self.shared.questions;
            questions.take(&message.topic, &correlation, &message.payload);
        }
    }

    fn status(&self, path: &str, payload: &[u8]) {
        let mut names = path.trim_start_matches('/').split('/').map(str::parse);
        let (Some(Ok(site)), Some(Ok(gateway)), None) = (names.next(), names.next(), names.next())
        else {
            return;
        };
        let mut gateways = locked(&self.shared.gateways);
        match serde_json::from_slice::<GatewayStatus>(payload) {
            Ok(status) if gateways.len() < GATEWAYS_MAX => {
                let online = status.link == Link::Online;
                gateways.insert((site, gateway), Seen { online });
            }
            Ok(_) => {}
            // A status that was taken away is empty.
            Err(_) => {
                gateways.remove(&(site, gateway));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Duration, Gathers, OTHERS, OTHERS_HEAD, REFUSAL, REFUSAL_PERIOD, REFUSAL_TEXT, patience,
    };

    #[test]
    fn no_is_the_last_word_only_of_whoever_answers_alone() {
        const NONE: Duration = Duration::ZERO;
        for (method, names_log, gathers, refusal, others) in [
            ("status", false, false, REFUSAL_TEXT, NONE),
            ("status", false, true, OTHERS, OTHERS),
            ("ledger.checkpoint", true, false, REFUSAL, NONE),
            ("ledger.checkpoint", true, true, REFUSAL, OTHERS_HEAD),
            ("ledger.entries", false, false, NONE, NONE),
            ("ledger.entries", true, true, REFUSAL, NONE),
            ("usage.bundle", false, false, NONE, NONE),
            ("usage.bundle", true, false, REFUSAL, NONE),
            ("usage.bundle", true, true, REFUSAL_PERIOD, NONE),
            ("config.get", false, true, REFUSAL_TEXT, NONE),
            ("token.get", false, false, REFUSAL_TEXT, NONE),
        ] {
            let gathers = if gathers {
                Gathers::All(Some(2))
            } else {
                Gathers::No
            };
            let said = patience(method, names_log, gathers);
            assert_eq!(
                (said.refusal, said.others),
                (refusal, others),
                "{method} {names_log} {gathers:?}"
            );
        }
    }
}
