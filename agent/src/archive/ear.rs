//! What comes of the ledgers, sorted for the desk.

use std::future;
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
        let mut silence = Silence::default();
        loop {
            tokio::select! {
                is_going_on = intake.next(&mut arrivals, PASS_MAX) => if !is_going_on {
                    return;
                },
                () = silence.is_long() => {
                    self.tell_silence();
                    continue;
                }
            }
            let mut batch = Batch::default();
            for arrival in arrivals.drain(..) {
                match &arrival {
                    Arrival::Connected(_) => silence.begin(),
                    Arrival::Message(..) => silence.end(),
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

/// Whether nothing is heard on a connection, which is told once.
#[derive(Debug, Default)]
struct Silence {
    /// When it is long; none where something was heard, or where it was told.
    until: Option<Instant>,
}

impl Silence {
    fn begin(&mut self) {
        self.until = Some(Instant::now() + SILENCE);
    }

    fn end(&mut self) {
        self.until = None;
    }

    /// Waits until it is long, once for each connection.
    async fn is_long(&mut self) {
        match self.until {
            Some(until) => time::sleep_until(until).await,
            None => future::pending().await,
        }
        self.until = None;
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
    use super::{SILENCE, Silence, in_words};
    use crate::uplink::mqtt::Fault;
    use std::time::Duration;
    use tokio::time;

    #[test]
    fn whoever_is_refused_is_told_what_to_check() {
        let refused = in_words(&Fault::Refused("not authorised".to_owned()));
        for word in ["refuses", "not authorised", "--user", "--password-file"] {
            assert!(refused.contains(word), "{word}: {refused}");
        }
        let lost = in_words(&Fault::lost("nothing listens there"));
        assert_eq!(lost, "nothing listens there");
    }

    /// Whether silence is told within `wait`.
    async fn is_told(silence: &mut Silence, wait: Duration) -> bool {
        time::timeout(wait, silence.is_long()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_once_for_each_connection_on_which_nothing_is_heard() {
        let mut silence = Silence::default();
        let long = SILENCE * 3;
        assert!(!is_told(&mut silence, long).await, "not connected yet");
        silence.begin();
        assert!(!is_told(&mut silence, SILENCE / 2).await);
        assert!(is_told(&mut silence, long).await);
        assert!(!is_told(&mut silence, long).await, "told already");
        silence.begin();
        assert!(!is_told(&mut silence, SILENCE / 2).await);
        silence.end();
        assert!(!is_told(&mut silence, long).await, "something was heard");
        silence.begin();
        assert!(is_told(&mut silence, long).await, "another connection");
    }
}
