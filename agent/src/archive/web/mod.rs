//! What an archive serves over HTTP: every log as static files, the same requests as at a gateway, and what the ledgers
//! say in figures. It only reads: a POST is a question, or asks a witness for a signature.
//!
//! All of it is public, so that nobody is asked for a password and a page from anywhere may read it. It listens on
//! loopback unless it is told otherwise; TLS is for a reverse proxy before it.
//!
//! Bounds: `CONNECTIONS_MAX` connections, of which `LISTENERS_MAX` may listen to events, and of both an address's share; `PATIENCE` with slow peers;
//! `READS_AT_ONCE` readers of the directory, `REQUESTS_AT_ONCE` requests and `FIGURES_AT_ONCE` answers of the index: of each
//! an address has `SHARE`, and waits in a queue of `QUEUE` for it and for a place, until `REQUEST_TIME_MAX` after it asked;
//! those of `serve`. A request knows its time and ends by itself, a reader of the directory goes to its end, and the
//! index reckons for `FIGURES_TIME_MAX`, to the end of the request's time and as long as somebody waits: SQLite is
//! interrupted within a statement, and a statement of PostgreSQL is no longer waited for and cancelled.

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

use super::index::{Index, Wanted};
use super::{Library, Live};
use crate::clock::{Clock, SystemClock};
use crate::serve::problem::{Problem, method_not_allowed, nothing};
use crate::serve::requests::Requests;
use crate::serve::share::{Most, Places, Shares};
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

/// Who may read the directory at once, beside requests.
const READS_AT_ONCE: usize = 8;

/// Who may have the index reckon at once.
const FIGURES_AT_ONCE: usize = 8;

/// How long the index may reckon for one answer: less than our patience.
const FIGURES_TIME_MAX: Duration = Duration::from_secs(20);

/// Requests answered at once.
const REQUESTS_AT_ONCE: usize = 8;

/// From a request's receipt to its answer: less than our patience, so that an answer says why there is none.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(25);

/// Of eight places for reading, for requests and for the index, one address's.
const SHARE: Most = Most { far: 4, near: 6 };

/// Who of one address may wait for them: a browser has six connections, and a reverse proxy many browsers.
const QUEUE: Most = Most { far: 32, near: 64 };

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
    reads: Places,
    figures: Places,
    figures_max: Duration,
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
            requests: Requests::new(places(REQUESTS_AT_ONCE), REQUEST_TIME_MAX),
            reads: places(READS_AT_ONCE),
            figures: places(FIGURES_AT_ONCE),
            figures_max: FIGURES_TIME_MAX,
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
        let until = Instant::now() + REQUEST_TIME_MAX;
        let place = self.figures.take(sender, until).await.ok_or_else(busy)?;
        let until = until.min(Instant::now() + self.figures_max);
        let (wanted, waits) = Wanted::until(until);
        let reckoning = spawn_blocking(move || {
            let found = reckon(&wanted);
            drop(place);
            found
        });
        let found = reckoning.await.map_err(|_| Problem::stopping());
        drop(waits);
        found?
    }

    /// Reads on a thread that may wait for the disk; for whoever is at this address.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        sender: Option<&Sender>,
        read: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let until = Instant::now() + REQUEST_TIME_MAX;
        let place = self.reads.take(sender, until).await.ok_or_else(busy)?;
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

/// So many places, of which each address has its share.
fn places(at_once: usize) -> Places {
    Places::shared(at_once, Shares::queued(SHARE, QUEUE))
}

fn busy() -> Problem {
    let text = text!(
        "so many are asking, or so many from this address, that this found no place in time: ask again in some seconds",
        "请求过多，或来自此地址的请求过多，未能及时处理：请稍后再试"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
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
    let service = TowerToHyperService::new(router(Arc::new(desk), patience));
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

fn router(desk: Arc<Desk>, patience: Patience) -> Router {
    let witness = desk.witness.clone().unwrap_or_default();
    let mut routes = Router::new();
    for (path, answers) in ROUTES {
        routes = routes.route(path, answers());
    }
    routes
        .with_state(desk)
        .merge(witness)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(nothing)
        .layer(axum::middleware::from_fn_with_state(
            patience.request,
            guard::guard,
        ))
}
