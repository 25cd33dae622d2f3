//! HTTP/1.1 on a port of ours, with bounds: so many connections, so long a head, so much time. What is answered is the
//! console's or the archive's; what both answer alike is here: what each answer carries ([`head`]), what a path names ([`named`]), why not ([`problem`]), a log's static files ([`files`]),
//! requests ([`requests`]), and the description of an API ([`describe`]).

pub mod describe;
pub mod files;
pub mod head;
pub mod named;
pub mod page;
pub mod problem;
pub mod requests;
pub mod share;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::error::Error;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};

use share::{Most, Shares};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a request's body: a check-in has a few hundred, and so has a request to a ledger.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// After a connection could not be accepted: it is not tried again at once, since the reason is mostly that no more
/// files may be open.
const REST: Duration = Duration::from_secs(1);

/// How long a peer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For the head of a request, and until the next one begins.
    pub head: Duration,
    /// For a body, and for ourselves to answer.
    pub request: Duration,
    /// For everything on one connection: who reads slowly holds a place no longer, unless its [`Lease`] is renewed.
    pub connection: Duration,
}

/// What is served at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Connections at once; more wait.
    pub connections_max: usize,
    /// Of these, one address's: what it opens beyond them is closed at once.
    pub each: Most,
    /// How long each may take.
    pub patience: Patience,
}

/// How long a connection may last. Each request carries that of its connection among its extensions.
#[derive(Clone, Debug)]
pub struct Lease(watch::Sender<Instant>);

impl Lease {
    /// It ends so long from now, be that later or earlier than before.
    pub fn renew(&self, length: Duration) {
        self.0.send_replace(Instant::now() + length);
    }
}

/// Who sent a request. Each carries it among its extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender(pub IpAddr);

/// Accepts connections for ever, and serves each. `name` is for the log.
pub async fn serve<S, B>(listener: TcpListener, name: &'static str, service: S, bounds: Bounds)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let shares = Shares::new(bounds.each);
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(share) = shares.take(from.ip()) else {
                    tracing::debug!(%from, "an address has its share of the {name}'s connections");
                    continue;
                };
                let peer = (stream, Sender(from.ip()));
                let service = service.clone();
                tokio::spawn(async move {
                    converse(peer, name, service, bounds.patience).await;
                    drop((place, share));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the {name} can't be served for a moment");
                sleep(REST).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn converse<S, B>(
    (stream, sender): (TcpStream, Sender),
    name: &'static str,
    service: S,
    patience: Patience,
) where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (lease, mut ends) = watch::channel(Instant::now() + patience.connection);
    let lease = Lease(lease);
    let leased = Leased {
        service,
        lease,
        sender,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), leased);
    let mut connection = pin!(connection);
    loop {
        let end = *ends.borrow_and_update();
        tokio::select! {
            done = &mut connection => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection of the {name} broke off");
                }
                return;
            }
            () = sleep_until(end) => {
                tracing::debug!("a connection of the {name} took too long");
                return;
            }
            Ok(()) = ends.changed() => {}
        }
    }
}

/// A service whose requests carry the lease of their connection, and who sent them.
struct Leased<S> {
    service: S,
    lease: Lease,
    sender: Sender,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Leased<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> S::Future {
        request.extensions_mut().insert(self.lease.clone());
        request.extensions_mut().insert(self.sender);
        self.service.call(request)
    }
}
