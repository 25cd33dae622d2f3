//! The rim towards the city: keeps a connection to the broker, shows it the board, and brings it the
//! outbox's records in order, each until that very record was acknowledged.
//!
//! What is said on the connection is worked out in `delivery`, without a connection. Nothing is kept
//! here that must survive: what was not acknowledged is in the outbox or on the board.

mod backoff;
pub mod board;
mod dead_letter;
mod delivery;
mod flight;
mod history;
pub mod mqtt;
mod outage;
mod refusal;
mod session;
mod shown;
#[cfg(test)]
pub(crate) mod tests;

use lineside_proto::{GatewayStatus, Topics};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::backoff::{Backoff, jitter};
use self::board::Board;
use self::mqtt::{Fault, Peer};
use self::outage::Outage;
use self::refusal::Refusals;
use self::session::{Ended, Session};
use crate::config::model;
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

/// Starts the uplink on the present tokio runtime.
///
/// `offline` is the will, and the last status after `cancel`. The newest `board` overtakes the records of
/// the `outbox`.
pub fn start(
    settings: &model::Uplink,
    topics: Topics,
    offline: GatewayStatus,
    outbox: Outbox,
    board: watch::Receiver<Board>,
    cancel: CancellationToken,
) -> Running {
    let password = settings.password.as_ref();
    let peer = Peer {
        host: settings.host.clone(),
        port: settings.port,
        // No identifier contains a colon, so that no two gateways can mean the same.
        client_id: format!("lineside:{}:{}", offline.site, offline.gateway),
        credentials: settings.username.clone().map(|user| {
            let password = password.map(|password| password.0.clone());
            (user, password.unwrap_or_default())
        }),
        keep_alive: settings.keep_alive,
    };
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

/// What outlives a connection.
struct Uplink {
    peer: Peer,
    window: u16,
    ack_timeout: Duration,
    topics: Topics,
    offline: Vec<u8>,
    outbox: Outbox,
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
