//! The console: the local API over HTTP on one port of the gateway, and the ledger as static files.
//!
//! It reads, answers the requests that come over MQTT, too, and takes down who uses a machine; nothing here changes a machine or the configuration. It
//! listens on loopback, or behind a password. A browser that somebody else's page runs in is kept out:
//! requests must name this gateway (`guard`), and a POST must come from our own page or from no page.
//!
//! Bounds: `CONNECTIONS_MAX` connections, `HEAD_BYTES_MAX` of a request's head, `BODY_BYTES_MAX` of its
//! body, and `Patience` with slow peers.

mod api;
mod desk;
mod guard;
mod ledger;
mod openapi;
mod page;
mod problem;
mod requests;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub use desk::Desk;
pub use openapi::document as openapi;

/// Connections served at once; more wait. A page needs six.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a request's body: a check-in has a few hundred, and so has a request to the ledger.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// How long a peer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Patience {
    /// For the head of a request, and until the next one begins.
    head: Duration,
    /// For a body, and for ourselves to answer.
    request: Duration,
    /// For everything on one connection: who reads slowly holds a place no longer.
    connection: Duration,
}

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    request: Duration::from_secs(10),
    connection: Duration::from_secs(60),
};

/// Serves the console in the background until the runtime ends; gives the address that it listens on.
///
/// # Errors
///
/// The address can't be listened on.
pub async fn serve(desk: Desk) -> io::Result<SocketAddr> {
    serve_with(desk, PATIENCE).await
}

async fn serve_with(desk: Desk, patience: Patience) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(desk.listen()).await?;
    let address = listener.local_addr()?;
    let router = router(Arc::new(desk), patience);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        converse(stream, router, patience).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the console can't be served for a moment");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(address)
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, router: Router, patience: Patience) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(patience.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a console connection broke off"),
        Err(_) => tracing::debug!("a console connection took too long"),
    }
}

fn router(desk: Arc<Desk>, patience: Patience) -> Router {
    let door = guard::Door {
        desk: Arc::clone(&desk),
        patience: patience.request,
    };
    Router::new()
        .route("/", get(page::page))
        .route("/healthz", get(api::alive))
        .route("/readyz", get(api::ready))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/machines", get(api::machines))
        .route("/api/v1/machines/:machine", get(api::machine))
        .route("/api/v1/machines/:machine/sessions", get(api::sessions))
        .route("/api/v1/machines/:machine/session/start", post(api::start))
        .route("/api/v1/machines/:machine/session/stop", post(api::stop))
        .route("/api/v1/request", post(requests::request))
        .route("/api/v1/openapi.json", get(api::described))
        .route("/ledger/*path", get(ledger::file))
        .fallback(problem::nothing)
        .with_state(desk)
        .layer(axum::middleware::from_fn_with_state(door, guard::guard))
}
