//! What comes from the broker, sorted: leaves and heads go to the desk, statuses and availability to whoever asks for what
//! is live, requests to who answers them.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Live;
use super::answering::Answering;
use super::asker::Asker;
use super::desk::{Input, Said};
use super::live::Received;
use super::run::{Batch, PASS_MAX};
use super::sorted::{Sorted, is_online, sort};
use crate::clock::{Clock, SystemClock};
use crate::uplink::mqtt::intake::{Arrival, Intake};
use crate::uplink::mqtt::subscriber::Message;

/// What comes from the broker, on its way to the desk.
pub(super) struct Ear {
    pub(super) prefix: String,
    pub(super) name: String,
    pub(super) asker: Arc<Asker>,
    pub(super) live: Arc<Live>,
    pub(super) answering: Answering,
    pub(super) batches: mpsc::Sender<Batch>,
}

impl Ear {
    pub(super) async fn listen(self, mut intake: Intake) {
        let mut arrivals = Vec::new();
        while intake.next(&mut arrivals, PASS_MAX).await {
            let mut batch = Batch::default();
            for arrival in arrivals.drain(..) {
                self.take(arrival, &mut batch);
            }
            if self.batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Whether this archive asked it, be it another of its processes.
    fn is_own(&self, message: &Message) -> bool {
        let to = message.response_topic.as_deref();
        let asks = to.and_then(|topic| topic.rsplit('/').next());
        // Processes of one directory differ in what follows the last stroke.
        let family = |name: &str| name.rsplit_once('-').map(|(family, _)| family.to_owned());
        asks.is_some_and(|asks| family(asks) == family(&self.name))
    }

    fn take(&self, arrival: Arrival, batch: &mut Batch) {
        match arrival {
            Arrival::Connected(refused) => {
                tracing::info!("the broker is reached");
                for filter in refused {
                    tracing::warn!(filter, "the broker does not let this user hear everything");
                }
                batch.inputs.push(Input::Connected);
            }
            Arrival::Lost(fault) => {
                tracing::warn!("the broker is not reached: {fault}");
                self.asker.lost(&fault.to_string());
            }
            Arrival::Message(message, ticket) => {
                // Whatever it is: when the pass has kept what it brought, it need not come again.
                batch.tickets.push(ticket);
                match sort(&self.prefix, &self.name, &message.topic) {
                    Sorted::Said(site, gateway, kind) => batch.inputs.push(Input::Message {
                        site,
                        gateway,
                        said: kind.of(message.payload),
                    }),
                    Sorted::Status(site, gateway) => {
                        self.live.status(&site, &gateway, received(&message));
                        if is_online(&message.payload) {
                            let said = Said::Online;
                            batch.inputs.push(Input::Message {
                                site,
                                gateway,
                                said,
                            });
                        }
                    }
                    Sorted::Answer => self.asker.take(&message),
                    Sorted::Availability(site, gateway, machine) => {
                        let received = received(&message);
                        self.live.availability(&site, &gateway, &machine, received);
                    }
                    // What this archive lacks itself, only the gateway can answer.
                    Sorted::Request(..) if self.is_own(&message) => {}
                    Sorted::Request(site, gateway) => self.answering.take(site, gateway, message),
                    Sorted::Foreign => {}
                }
            }
        }
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
