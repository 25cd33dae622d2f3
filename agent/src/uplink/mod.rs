//! The rim towards the city: keeps a connection to the broker, shows it the board, and brings it the
//! ledger's leaves and the outbox's records in order, each until that very one was acknowledged. A second
//! connection takes bookings and requests.
//!
//! What is said on the connection is worked out in `delivery`, without a connection. Nothing is kept
//! here that must survive: what was not acknowledged is in the ledger, in the outbox or on the board.

mod backoff;
pub mod board;
pub mod commands;
mod dead_letter;
mod delivery;
mod exchange;
mod feed;
mod flight;
mod leaves;
pub mod mqtt;
mod notes;
mod outage;
mod queue;
mod refusal;
mod session;
mod shown;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use lineside_proto::{GatewayStatus, Topics};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::backoff::{Backoff, jitter};
use self::board::Board;
use self::mqtt::{Fault, Peer};
use self::notes::Notes;
use self::outage::Outage;
use self::refusal::Refusals;
use self::session::{Ended, Session};
use self::store::Leaves;
use crate::config::model;
use crate::ledger::Ledger;
use crate::live::UplinkFigures;
use crate::outbox::Outbox;

/// A connection that lasted so long was of use: the waits between attempts begin anew after it.
const USEFUL_AFTER: Duration = Duration::from_secs(5);

/// The uplink at work.
#[derive(Debug)]
pub struct Running {
    /// How it fares.
    pub figures: watch::Receiver<UplinkFigures>,
    /// Ends after the uplink was cancelled: at once, or when the broker has taken the last status, or
    /// did not within a few seconds.
    pub task: JoinHandle<()>,
}

/// What the uplink brings to the broker.
#[derive(Debug)]
pub struct Sources {
    /// Telemetry and gaps.
    pub outbox: Outbox,
    /// Leaves, the documents that accompany them, and the checkpoints that are signed from the start of the
    /// uplink on. An older one is not said again: first the one that the broker keeps must have been compared
    /// with the ledger, and saying ours would replace it.
    pub ledger: Ledger,
    /// The retained documents; the newest overtake all that is stored.
    pub board: watch::Receiver<Board>,
}

/// Starts the uplink on the present tokio runtime.
///
/// `offline` is the will, and the last status after `cancel`; it names the gateway.
pub fn start(
    settings: &model::Uplink,
    topics: Topics,
    offline: GatewayStatus,
    sources: Sources,
    cancel: CancellationToken,
) -> Running {
    let Sources {
        outbox,
        ledger,
        board,
    } = sources;
    let peer = peer(settings, client_id(&offline));
    let mut signed = ledger.checkpoint();
    let notes = Notes::after(signed.borrow_and_update().as_deref());
    let (figures, watched) = watch::channel(UplinkFigures {
        broker: format!("{}:{}", settings.host, settings.port),
        ..UplinkFigures::default()
    });
    let uplink = Uplink {
        peer,
        window: settings.window,
        ack_timeout: settings.ack_timeout,
        topics,
        // The status has no part that could fail to be written.
        offline: serde_json::to_vec(&offline).unwrap_or_default(),
        outbox,
        leaves: Leaves {
            ledger,
            site: offline.site,
            gateway: offline.gateway,
        },
        signed,
        notes,
        board,
        cancel,
        figures,
        refusals: Refusals::default(),
        set_aside: HashMap::new(),
    };
    Running {
        figures: watched,
        task: tokio::spawn(uplink.run()),
    }
}

/// No identifier contains a colon, so that no two gateways can mean the same.
fn client_id(gateway: &GatewayStatus) -> String {
    format!("lineside:{}:{}", gateway.site, gateway.gateway)
}

fn peer(settings: &model::Uplink, client_id: String) -> Peer {
    let password = settings.password.as_ref();
    Peer {
        host: settings.host.clone(),
        port: settings.port,
        client_id,
        credentials: settings.username.clone().map(|user| {
            let password = password.map(|password| password.0.clone());
            (user, password.unwrap_or_default())
        }),
        keep_alive: settings.keep_alive,
    }
}

/// What outlives a connection.
struct Uplink {
    peer: Peer,
    window: u16,
    ack_timeout: Duration,
    topics: Topics,
    offline: Vec<u8>,
    outbox: Outbox,
    leaves: Leaves,
    /// Tells of checkpoints signed since the start.
    signed: watch::Receiver<Option<Arc<str>>>,
    notes: Notes,
    board: watch::Receiver<Board>,
    cancel: CancellationToken,
    figures: watch::Sender<UplinkFigures>,
    refusals: Refusals,
    /// Messages set aside, by topic.
    set_aside: HashMap<String, u64>,
}

impl Uplink {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut outage = Outage::new(Instant::now());
        while !self.cancel.is_cancelled() {
            let fault = match Session::connect(&mut self).await {
                Ok(session) => {
                    info!(broker = %self.figures.borrow().broker, "{}", outage.over(Instant::now()));
                    let since = Instant::now();
                    let ended = session.run(&mut self).await;
                    outage = Outage::new(Instant::now());
                    if since.elapsed() >= USEFUL_AFTER {
                        backoff.succeeded();
                    }
                    match ended {
                        Ended::Stopped => return,
                        Ended::Lost(fault) => fault,
                    }
                }
                Err(Ended::Stopped) => return,
                Err(Ended::Lost(fault)) => fault,
            };
            if let Some(line) = outage.failed(&fault, Instant::now()) {
                warn!(broker = %self.figures.borrow().broker, "{line}");
            }
            self.fell(&fault);
            let wait = jitter(backoff.failed(&fault));
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = time::sleep(wait) => {}
            }
        }
    }

    /// Says in the figures that there is no connection.
    fn fell(&self, fault: &Fault) {
        self.figures.send_modify(|figures| {
            figures.connected = false;
            figures.in_flight = 0;
            figures.fault = Some(fault.to_string());
        });
    }
}
