//! What an archive hears and asks on a second connection, whose session ends with it: who is there, what machines are
//! doing, requests to gateways that are off, and its own questions with their answers. None of it must come again after
//! a pause, and a stopped archive must get no share of the requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Live;
use super::answering::Answering;
use super::asker::Asker;
use super::desk::{Input, Said};
use super::live::Received;
use super::run::Batch;
use super::sorted::{Sorted, exchange_filters, family, is_online, sort};
use crate::clock::{Clock, SystemClock};
use crate::uplink::mqtt::answers::Answers;
use crate::uplink::mqtt::subscriber::{Message, News, Subscription};
use crate::uplink::mqtt::{Fault, Peer};

/// For how long the broker may leave questions and answers unacknowledged.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// The connection.
pub(super) struct Exchange {
    prefix: String,
    name: String,
    subscription: Subscription,
}

/// Who is told what comes.
pub(super) struct Hearers {
    pub(super) asker: Arc<Asker>,
    pub(super) live: Arc<Live>,
    pub(super) answering: Answering,
    pub(super) batches: mpsc::Sender<Batch>,
}

impl Exchange {
    /// Connects, and again after each loss. `name` tells answers to this process from those to others.
    pub(super) fn start(mut peer: Peer, prefix: &str, name: &str) -> (Self, Answers) {
        peer.client_id = format!("lineside-{name}-exchange");
        let filters = exchange_filters(prefix, name);
        let (subscription, answers) = Subscription::with_answers(peer, filters, ACK_TIMEOUT);
        let exchange = Self {
            prefix: prefix.to_owned(),
            name: name.to_owned(),
            subscription,
        };
        (exchange, answers)
    }

    /// Listens for as long as the runtime lives.
    pub(super) async fn listen(mut self, hearers: Hearers) {
        while let Some(news) = self.subscription.next().await {
            match news {
                News::Connected(granted) => {
                    for filter in granted.refused {
                        tracing::warn!(filter, "the broker does not let this user hear everything");
                    }
                }
                News::Message(message) => {
                    if self.take(message, &hearers).await.is_none() {
                        return;
                    }
                }
                News::Refused(why) => {
                    tracing::warn!("a question or an answer is not taken: {why}");
                }
                News::Lost(fault) => {
                    if let Fault::Refused(why) = &fault {
                        tracing::warn!("questions and answers: {why}");
                    }
                    hearers.asker.lost(&fault.to_string());
                }
            }
        }
    }

    /// None when nobody is at the desk any more.
    async fn take(&self, message: Message, hearers: &Hearers) -> Option<()> {
        match sort(&self.prefix, &self.name, &message.topic) {
            Sorted::Status(site, gateway) => {
                hearers.live.status(&site, &gateway, received(&message));
                let said = if is_online(&message.payload) {
                    Said::Online
                } else {
                    Said::Offline
                };
                let input = Input::Message {
                    site,
                    gateway,
                    said,
                };
                hearers.batches.send(Batch::of(input)).await.ok()?;
            }
            Sorted::Availability(site, gateway, machine) => {
                let received = received(&message);
                let live = &hearers.live;
                live.availability(&site, &gateway, &machine, received);
            }
            Sorted::Answer => hearers.asker.take(&message),
            // What this archive lacks itself, another may have, which hears it, too.
            Sorted::Request(..) if self.is_own(&message) => {}
            Sorted::Request(site, gateway) => hearers.answering.take(site, gateway, message),
            Sorted::Said(..) | Sorted::Foreign => {}
        }
        Some(())
    }

    /// Whether this archive asked it, be it another of its processes.
    fn is_own(&self, message: &Message) -> bool {
        let to = message.response_topic.as_deref();
        let asks = to.and_then(|topic| topic.rsplit('/').next());
        asks.is_some_and(|asks| family(asks) == family(&self.name))
    }
}

/// A message, as what is live takes it in.
fn received(message: &Message) -> Received<'_> {
    Received {
        payload: &message.payload,
        at_ms: SystemClock.now().boot_ms,
        expiry_s: message.expiry_s,
        retained: message.retained,
    }
}
