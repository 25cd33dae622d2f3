//! What an archive serves over HTTP: every log as static files, the same requests as at a gateway, and what the ledgers
//! say in figures. It only reads: a POST is a question, or asks a witness for a signature.
//!
//! All of it is public, so that nobody is asked for a password and a page from anywhere may read it. It listens on
//! loopback unless it is told otherwise; TLS is for a reverse proxy before it.
//!
//! Bounds: `CONNECTIONS_MAX` connections, of which `LISTENERS_MAX` may listen to events, and of both an address's share; `PATIENCE` with slow peers;
//! `READS_AT_ONCE` readers of the disk; `FIGURES_AT_ONCE` of the index, of which an address has its share, each for
//! `FIGURES_TIME_MAX` and as long as somebody waits; those of `serve`.

mod alarms;
mod events;
mod figures;
mod files;
mod guard;
mod logs;
mod openapi;
mod query;
mod requests;
#[cfg(test)]
mod tests;
pub mod witness;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

pub use openapi::document as openapi;

use super::index::Index;
use super::{Library, Live};
use crate::clock::{Clock, SystemClock};
use crate::serve::problem::{Problem, nothing};
use crate::serve::requests::Requests;
use crate::serve::share::{Most, Shares};
use crate::serve::{self, Bounds, Patience, Sender};
use crate::text;
use lineside_proto::Time;

/// Connections served at once; more wait.
const CONNECTIONS_MAX: usize = 1_024;

/// Of these, one address's. On this machine a reverse proxy speaks for many; what is left is for whoever looks after the
/// archive.
const CONNECTIONS_EACH: Most = Most {
    far: CONNECTIONS_MAX / 4,
    near: CONNECTIONS_MAX / 4 * 3,
};

/// Who may listen to events at once.
const LISTENERS_MAX: usize = 256;

/// Of these, one address's, likewise.
const LISTENERS_EACH: Most = Most {
    far: LISTENERS_MAX / 4,
    near: LISTENERS_MAX / 4 * 3,
};

/// Who may read the disk at once, beside requests.
const READS_AT_ONCE: usize = 8;

/// Who may have the index reckon at once.
const FIGURES_AT_ONCE: usize = 8;

/// Of these, one address's.
const FIGURES_EACH: Most = Most {
    far: FIGURES_AT_ONCE / 2,
    near: FIGURES_AT_ONCE / 4 * 3,
};

/// How long the index may reckon for one answer: less than our patience.
const FIGURES_TIME_MAX: Duration = Duration::from_secs(20);

/// Requests answered at once.
const REQUESTS_AT_ONCE: usize = 8;

/// From a request's receipt to its answer: less than our patience, so that an answer says why there is none.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(25);

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    request: Duration::from_secs(30),
    connection: Duration::from_secs(120),
};

/// How often it is looked whether what is believed has become too old.
const LOOK: Duration = Duration::from_secs(1);

/// What the API works with.
#[derive(Debug)]
pub struct Desk {
    library: Arc<Library>,
    live: Arc<Live>,
    requests: Requests,
    reads: Arc<Semaphore>,
    figures: Arc<Semaphore>,
    reckoning: Arc<Shares>,
    listeners: Arc<Semaphore>,
    listening: Arc<Shares>,
    started: Time,
    index: Option<Arc<Index>>,
    witness: Option<Router>,
}

impl Desk {
    /// Answers from a library, and with what is live.
    pub fn new(library: Arc<Library>, live: Arc<Live>) -> Self {
        Self {
            library,
            live,
            requests: Requests::new(REQUESTS_AT_ONCE, REQUEST_TIME_MAX),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            figures: Arc::new(Semaphore::new(FIGURES_AT_ONCE)),
            reckoning: Shares::new(FIGURES_EACH),
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
            listening: Shares::new(LISTENERS_EACH),
            started: SystemClock.now().wall,
            index: None,
            witness: None,
        }
    }

    /// The same with an index to be asked.
    #[must_use]
    pub fn with_index(self, index: Arc<Index>) -> Self {
        let index = Some(index);
        Self { index, ..self }
    }

    /// The same with a witness beside it.
    #[must_use]
    pub fn with_witness(self, routes: Router) -> Self {
        let witness = Some(routes);
        Self { witness, ..self }
    }

    /// Has something reckoned by the index, on a thread that may wait; for whoever is at this address.
    async fn reckon<T: Send + 'static>(
        self: &Arc<Self>,
        sender: Option<&Sender>,
        reckon: impl FnOnce(&Wanted) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let share = sender.map(|sender| self.reckoning.take(sender.0).ok_or_else(crowded));
        let share = share.transpose()?;
        let place = Arc::clone(&self.figures).acquire_owned().await;
        let place = place.map_err(|_| Problem::stopping())?;
        let (wanted, waits) = Wanted::new(FIGURES_TIME_MAX);
        let reckoning = spawn_blocking(move || {
            let found = reckon(&wanted);
            drop((place, share));
            found
        });
        let found = reckoning.await.map_err(|_| Problem::stopping());
        drop(waits);
        found?
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.reads).acquire_owned().await;
        let place = place.map_err(|_| Problem::stopping())?;
        let desk = Arc::clone(self);
        let reading = spawn_blocking(move || {
            let found = read(&desk);
            // Held until the work is done, whether or not somebody still waits for it.
            drop(place);
            found
        });
        reading.await.map_err(|_| Problem::stopping())?
    }
}

fn crowded() -> Problem {
    let text = text!(
        "so many answers for this address are being reckoned: wait for them",
        "正在为该地址计算的应答过多：请等待其完成"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
}

/// Whether an answer is still waited for.
#[derive(Clone, Debug)]
struct Wanted {
    gone: Arc<AtomicBool>,
    until: Instant,
}

/// Somebody waits for an answer, as long as this is there.
struct Waits(Arc<AtomicBool>);

impl Wanted {
    fn new(most: Duration) -> (Self, Waits) {
        let gone = Arc::new(AtomicBool::new(false));
        let waits = Waits(Arc::clone(&gone));
        let until = Instant::now() + most;
        (Self { gone, until }, waits)
    }

    fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Serves in the background until the runtime ends; gives the address that it listens on.
///
/// # Errors
///
/// The address can't be listened on.
pub async fn serve(listen: SocketAddr, desk: Desk) -> io::Result<SocketAddr> {
    serve_with(listen, desk, PATIENCE).await
}

async fn serve_with(listen: SocketAddr, desk: Desk, patience: Patience) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let live = Arc::clone(&desk.live);
    tokio::spawn(async move {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            live.look();
        }
    });
    let bounds = Bounds {
        connections_max: CONNECTIONS_MAX,
        each: CONNECTIONS_EACH,
        patience,
    };
    let service = TowerToHyperService::new(router(desk, patience));
    tokio::spawn(serve::serve(listener, "archive", service, bounds));
    Ok(address)
}

/// A path, as the router writes it, and who answers there.
type Route = (&'static str, fn() -> MethodRouter<Arc<Desk>>);

/// Every route but the page's and the witness's.
const ROUTES: [Route; 21] = [
    ("/healthz", || get(logs::alive)),
    ("/readyz", || get(logs::ready)),
    ("/api/v1/status", || get(logs::status)),
    ("/api/v1/sites", || get(logs::sites)),
    ("/api/v1/gateways", || get(logs::gateways)),
    ("/api/v1/gateways/:site/:gateway/request", || {
        post(requests::newest)
    }),
    ("/api/v1/gateways/:site/:gateway/:epoch/request", || {
        post(requests::of_epoch)
    }),
    ("/api/v1/machines", || get(figures::machines)),
    ("/api/v1/sessions", || get(figures::sessions)),
    ("/api/v1/outcomes", || get(figures::outcomes)),
    ("/api/v1/usage", || get(figures::usage)),
    ("/api/v1/spans", || get(figures::spans)),
    ("/api/v1/gaps", || get(figures::gaps)),
    ("/api/v1/corrections", || get(figures::corrections)),
    ("/api/v1/availability", || get(logs::availability)),
    ("/api/v1/events", || get(events::events)),
    ("/api/v1/alarms", || get(alarms::alarms)),
    ("/api/v1/strangers", || get(logs::strangers)),
    ("/api/v1/openapi.json", || get(logs::described)),
    ("/logs/:site/:gateway/:epoch/*path", || get(files::file)),
    ("/", || get(logs::page)),
];

fn router(desk: Desk, patience: Patience) -> Router {
    let witness = desk.witness.clone().unwrap_or_default();
    let mut routes = Router::new();
    for (path, answers) in ROUTES {
        routes = routes.route(path, answers());
    }
    routes
        .with_state(Arc::new(desk))
        .merge(witness)
        .fallback(nothing)
        .layer(axum::middleware::from_fn_with_state(
            patience.request,
            guard::guard,
        ))
}
