//! A session with an OPC UA server, opened exactly as the map asks or not at all.
//!
//! It subscribes to nothing and decides no retries beyond those of the crate, which reconnects by
//! itself while its events are polled. Bounds: the constants below, and the server's `timeout` for
//! each of the two steps, asking for the endpoints and opening.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use opcua::client::{
    ClientBuilder, ClientConfig, IdentityToken, Session, SessionBuilder, SessionPollResult,
};
use opcua::crypto::CertificateStore;
use opcua::sync::RwLock;
use opcua::types::{EndpointDescription, StatusCode};

use super::certificate::Certificate;
use super::connector::{Connector, Guard};
use super::fault::OpcFault;
use super::own::WARNING_MS;
use super::{Own, endpoint, identity, trust};
use crate::clock::Clock;
use crate::config::model::{Security, Server};

/// How often the session is proved alive; twice without an answer, and it is opened anew.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Failed proofs after which the connection is given up.
const KEEP_ALIVES_FAILED_MAX: u64 = 2;

/// How long the server keeps a session that it no longer hears of: short, since each one lost takes
/// one of its few places.
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a publish request may wait for something to tell.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);

/// The wait before another attempt to take the session up again. It does not grow: after
/// [`SESSION_TIMEOUT`] the session is given up, and until then each second of waiting is a second of data.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is said that our certificate ends: a warning a day is seen, and floods no log.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Elements of an array at most: more than any answer that is asked for, and a waveform that is one value.
const ARRAY_LENGTH_MAX: usize = 50_000;

/// Bytes of a message at most: more than the largest answer that is asked for. Decoded it may take seventy times
/// as much, where a server means harm, and even that must not cost the agent its life.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// Chunks of a message at most: some servers send 8 KiB each.
const CHUNKS_MAX: usize = 256;

/// What happens to a session; nothing happens to it unless this is polled. Ends where the session
/// ends for good.
pub(super) type Events =
    Pin<Box<dyn Stream<Item = Result<SessionPollResult, StatusCode>> + Send + 'static>>;

/// A session that is open, and the loop that keeps it so (to be driven by the caller).
pub(super) struct Opened {
    /// The session.
    pub session: Arc<Session>,
    /// Its events, from the first connection on, which has been polled already.
    pub events: Events,
    /// What makes its connections.
    pub connector: Connector,
}

/// Opens a session exactly as the map asks, or says why not. Bounded by twice the server's `timeout`.
///
/// # Errors
///
/// Why there is no session, in a form that says what to do.
pub(super) async fn open(
    server: &Server,
    own: &Own,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, OpcFault> {
    let offered = endpoint::ask(&server.url, server.timeout, own).await?;
    let chosen = endpoint::choose(offered, server)?;
    let token = identity::token(&server.identity)?;
    let prepared = prepare(server, own, clock, &chosen).await?;
    let Prepared { store, guard, ours } = prepared;
    let connector = Connector::new(&server.url, server.timeout, guard);
    let config = config(server, own);
    let (session, events) = build(&config, chosen, token, connector.clone(), store)?;
    match tokio::time::timeout(server.timeout, connected(events)).await {
        Ok(Ok(events)) => {
            let events = match ours {
                Some(ours) => {
                    let own = own.clone();
                    told_daily(events, Arc::clone(clock), move |now| {
                        announce(&own, &ours, now);
                    })
                }
                None => events,
            };
            Ok(Opened {
                session,
                events,
                connector,
            })
        }
        Ok(Err(status)) => {
            let about_user = identity::unproven(status, &server.identity, &server.security);
            let fault = connector.fault().or(about_user);
            let fault = fault.unwrap_or_else(|| OpcFault::of_status(status));
            Err(match ours {
                Some(_) => fault.shown_as(own.certificate_path()),
                None => fault,
            })
        }
        Err(_) => Err(OpcFault::Slow),
    }
}

/// What the crate trusts and shows, and what must hold at every connection.
struct Prepared {
    store: CertificateStore,
    guard: Option<Guard>,
    ours: Option<Certificate>,
}

async fn prepare(
    server: &Server,
    own: &Own,
    clock: &Arc<dyn Clock>,
    endpoint: &EndpointDescription,
) -> Result<Prepared, OpcFault> {
    let Security::Secured { policy, server, .. } = &server.security else {
        return Ok(Prepared {
            store: trust::empty_store(own),
            guard: None,
            ours: None,
        });
    };
    let der = endpoint.server_certificate.as_ref().to_vec();
    let certificate = trust::check(&der, *server)?;
    let now = clock.now().wall;
    certificate.check_time(now)?;
    if !endpoint::algorithms(*policy).is_valid_keylength(certificate.key_bits) {
        let key_bits = Some(certificate.key_bits);
        return Err(OpcFault::BadCertificate { key_bits });
    }
    let own = own.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let ours = own.prepare(now).map_err(OpcFault::Own)?;
        trust::store(&own, &der).map(|store| (store, ours))
    });
    let (store, ours) = prepared
        .await
        .map_err(|_| OpcFault::Nonsense(StatusCode::BadInternalError))??;
    let guard = Guard {
        certificate: Arc::new(certificate),
        clock: Arc::clone(clock),
    };
    Ok(Prepared {
        store,
        guard: Some(guard),
        ours: Some(ours),
    })
}

/// The events of a session that may stay open for years: at its start, and on the first event of
/// each day from then on, the wall time is told.
fn told_daily(
    events: Events,
    clock: Arc<dyn Clock>,
    tell: impl Fn(lineside_proto::Time) + Send + 'static,
) -> Events {
    let mut last = clock.now();
    tell(last.wall);
    Box::pin(events.inspect(move |_| {
        let now = clock.now();
        if now.boot_ms.saturating_sub(last.boot_ms) >= DAY_MS {
            last = now;
            tell(now.wall);
        }
    }))
}

/// Says in time that our certificate ends.
fn announce(own: &Own, ours: &Certificate, now: lineside_proto::Time) {
    if now.plus_millis(WARNING_MS) > ours.until {
        tracing::warn!(
            certificate = %own.certificate_path().display(),
            until = %ours.until,
            "the agent's own OPC UA certificate ends soon: renew it by `lineside trust MACHINE --renew` and have the servers trust it"
        );
    }
}

fn config(server: &Server, own: &Own) -> ClientConfig {
    ClientBuilder::new()
        .application_name("Lineside")
        .application_uri(own.uri.as_str())
        .product_uri("urn:lineside")
        .session_name(own.uri.as_str())
        .session_retry_limit(-1)
        .session_retry_initial(RETRY)
        .session_retry_max(RETRY)
        .keep_alive_interval(KEEP_ALIVE)
        .max_failed_keep_alive_count(KEEP_ALIVES_FAILED_MAX)
        .request_timeout(server.timeout)
        .publish_timeout(PUBLISH_TIMEOUT)
        .session_timeout(u32::try_from(SESSION_TIMEOUT.as_millis()).unwrap_or(u32::MAX))
        // What is subscribed is ours to know, and to make anew.
        .recreate_subscriptions(false)
        .max_array_length(ARRAY_LENGTH_MAX)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_chunk_count(CHUNKS_MAX)
        .into_config()
}

type Loop = opcua::client::SessionEventLoop<Connector>;

fn build(
    config: &ClientConfig,
    endpoint: EndpointDescription,
    token: IdentityToken,
    connector: Connector,
    store: CertificateStore,
) -> Result<(Arc<Session>, Loop), OpcFault> {
    let build = || {
        SessionBuilder::new(config)
            .user_identity_token(token)
            .connect_to_endpoint_directly(endpoint)?
            .with_connector(connector)
            .build(Arc::new(RwLock::new(store)))
    };
    build().map_err(|error| OpcFault::of_status(error.status()))
}

/// Polls until the session is open.
async fn connected(events: Loop) -> Result<Events, StatusCode> {
    // The crate panics on some answers (a password to encrypt, and a server without a certificate);
    // such a session ends as if the server had said nonsense.
    let events = AssertUnwindSafe(events.enter()).catch_unwind();
    let events = events.map(|event| event.unwrap_or(Err(StatusCode::BadUnknownResponse)));
    let mut events: Events = Box::pin(events);
    loop {
        match events.next().await {
            Some(Ok(SessionPollResult::Reconnected(_))) => return Ok(events),
            Some(Ok(SessionPollResult::ReconnectFailed(status))) | Some(Err(status)) => {
                return Err(status);
            }
            Some(Ok(_)) => (),
            None => return Err(StatusCode::BadConnectionClosed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stamp;
    use lineside_proto::Time;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// An hour later at each look.
    struct Hourly(AtomicU64);

    impl Clock for Hourly {
        fn now(&self) -> Stamp {
            let hours = self.0.fetch_add(1, Ordering::Relaxed);
            Stamp {
                boot_ms: hours * DAY_MS / 24,
                wall: Time::from_millis(i64::try_from(hours).unwrap()),
            }
        }
    }

    #[tokio::test]
    async fn a_session_that_stays_open_is_told_of_each_day() {
        let events = (0..60).map(|_| Err(StatusCode::BadTimeout));
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let events = told_daily(
            Box::pin(futures_util::stream::iter(events)),
            Arc::new(Hourly(AtomicU64::new(0))),
            move |now| seen.lock().unwrap().push(now.as_millis()),
        );
        assert_eq!(events.count().await, 60);
        assert_eq!(*told.lock().unwrap(), [0, 24, 48]);
    }
}
