//! What comes of the ledgers, sorted for the desk.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use super::desk::Input;
use super::run::{Batch, PASS_MAX};
use super::sorted::{Sorted, sort};
use crate::uplink::mqtt::Fault;
use crate::uplink::mqtt::intake::{Arrival, Intake};

/// After so long without a word below the prefix it is said that the prefix may be another.
const SILENCE: Duration = Duration::from_secs(60);

/// What comes from the broker, on its way to the desk.
pub(super) struct Ear {
    pub(super) prefix: String,
    pub(super) name: String,
    pub(super) batches: mpsc::Sender<Batch>,
}

impl Ear {
    pub(super) async fn listen(self, mut intake: Intake) {
        let mut arrivals = Vec::new();
        // Until something was heard.
        let mut silent_until = None;
        loop {
            let next = intake.next(&mut arrivals, PASS_MAX);
            let is_going_on = match silent_until {
                Some(until) => match time::timeout_at(until, next).await {
                    Ok(is_going_on) => is_going_on,
                    Err(_) => {
                        self.tell_silence();
                        silent_until = None;
                        continue;
                    }
                },
                None => next.await,
            };
            if !is_going_on {
                return;
            }
            let mut batch = Batch::default();
            for arrival in arrivals.drain(..) {
                match &arrival {
                    Arrival::Connected(_) => silent_until = Some(Instant::now() + SILENCE),
                    Arrival::Message(..) => silent_until = None,
                    Arrival::Lost(_) => {}
                }
                self.take(arrival, &mut batch);
            }
            if self.batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    fn tell_silence(&self) {
        let prefix = &self.prefix;
        tracing::warn!(
            "nothing is heard below `{prefix}`: do the gateways publish to this broker, under this prefix, and may this user read it?"
        );
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
                tracing::warn!("the broker is not reached: {}", in_words(&fault));
            }
            Arrival::Message(message, ticket, load) => {
                // Whatever it is: when the pass has kept what it brought, it need not come again.
                batch.tickets.push(ticket);
                batch.loads.push(load);
                if let Sorted::Said(site, gateway, kind) =
                    sort(&self.prefix, &self.name, &message.topic)
                {
                    batch.inputs.push(Input::Message {
                        site,
                        gateway,
                        said: kind.of(message.payload),
                    });
                }
            }
        }
    }
}

/// Why the broker is not reached, and what to do where waiting does not help.
fn in_words(fault: &Fault) -> String {
    match fault {
        Fault::Lost(_) => fault.to_string(),
        Fault::Refused(_) => format!(
            "{fault}; check --user and --password-file, and that the broker lets this user in"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;
    use crate::uplink::mqtt::Fault;

    #[test]
    fn whoever_is_refused_is_told_what_to_check() {
        let refused = in_words(&Fault::Refused("not authorised".to_owned()));
        for word in ["refuses", "not authorised", "--user", "--password-file"] {
            assert!(refused.contains(word), "{word}: {refused}");
        }
        let lost = in_words(&Fault::lost("nothing listens there"));
        assert_eq!(lost, "nothing listens there");
    }
}
