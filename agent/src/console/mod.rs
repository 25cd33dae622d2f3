//! The console: the local API over HTTP on one port of the gateway, and the ledger as static files.
//!
//! It reads, answers the requests that come over MQTT, too, and takes down who uses a machine; nothing here changes a machine or the configuration. It
//! listens on loopback, or behind a password. A browser that somebody else's page runs in is kept out:
//! requests must name this gateway (`guard`), and a POST must come from our own page or from no page.
//!
//! Bounds: `CONNECTIONS_MAX` connections, `PATIENCE` with slow peers, and those of `serve`.

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
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

pub use desk::Desk;
pub use openapi::document as openapi;

use crate::serve::problem::{method_not_allowed, nothing};
use crate::serve::share::Most;
use crate::serve::{self, Bounds, Patience};

/// Connections served at once; more wait. A page needs six.
const CONNECTIONS_MAX: usize = 64;

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
    let bounds = Bounds {
        connections_max: CONNECTIONS_MAX,
        // Whoever may look at all may look from one place.
        each: Most {
            far: CONNECTIONS_MAX,
            near: CONNECTIONS_MAX,
        },
        patience,
    };
    let service = TowerToHyperService::new(router);
    tokio::spawn(serve::serve(listener, "console", service, bounds));
    Ok(address)
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
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(nothing)
        .with_state(desk)
        .layer(axum::middleware::from_fn_with_state(door, guard::guard))
}
