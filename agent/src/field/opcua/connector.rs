//! The way to an OPC UA server on the wire: one TCP connection and the first words on it.
//!
//! The stock connector has no timeout, forgets why it failed and comes back at once. This one is
//! bounded, says what went wrong, and spreads its attempts.
//! It does not choose an endpoint and knows nothing of sessions.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use opcua::client::ConnectionSource;
use opcua::client::transport::{
    Connector as Connects, RequestRecv, SecureChannelState, StreamConnection, StreamConnector,
    StreamTransport, TransportConfiguration,
};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::core::comms::url::hostname_port_from_url;
use opcua::types::{DecodingOptions, EndpointDescription, Error, StatusCode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::FramedRead;

use super::certificate::Certificate;
use super::fault::OpcFault;
use super::nonce::{Kept, Nonces};
use super::session::MESSAGE_BYTES_MAX;
use crate::clock::Clock;

/// The port of a URL that names none.
const PORT: u16 = 4840;

/// The least time between two attempts: a server that drops connections at once keeps a session of
/// ours for each of them, and a crowd of agents must not storm a server that restarts.
const ATTEMPTS_APART: Duration = Duration::from_secs(1);

/// What is added to that at random at most, so that gateways don't come back in step.
const JITTER_MAX: Duration = Duration::from_millis(250);

/// Bytes kept of what a server says first: enough to tell what it speaks.
const OPENING_BYTES_MAX: usize = 16;

/// Bytes of one chunk at most; the agent asks for 64 KiB, and not every server heeds that.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Bytes of a message's header: its kind, how it continues, its size.
const HEADER_BYTES: usize = 8;

/// What a chunk says of itself after which more of its message comes.
const MORE: u8 = b'C';

/// The kinds of message that a server sends.
const KINDS: [&[u8]; 5] = [b"ACK", b"ERR", b"OPN", b"MSG", b"CLO"];

/// Connects to one server, again and again.
#[derive(Clone)]
pub(super) struct Connector {
    url: Arc<str>,
    timeout: Duration,
    guard: Option<Guard>,
    course: Arc<Mutex<Course>>,
    nonces: Arc<Mutex<Nonces>>,
}

/// A connection that was made.
type Line = Kept<StreamTransport<Overheard, OwnedWriteHalf>>;

/// The certificate that the server is known by, and the clock that it must be valid by.
#[derive(Clone)]
pub(super) struct Guard {
    pub certificate: Arc<Certificate>,
    pub clock: Arc<dyn Clock>,
}

/// How the attempts went.
#[derive(Default)]
struct Course {
    attempted: Option<Instant>,
    fault: Option<OpcFault>,
    /// Why we broke off the connection, if it was us.
    broken: Option<OpcFault>,
}

type Opening = Arc<Mutex<Vec<u8>>>;

impl Connector {
    /// A connector to the server at `url`; `timeout` bounds each attempt.
    pub(super) fn new(url: &str, timeout: Duration, guard: Option<Guard>) -> Self {
        Self {
            url: url.into(),
            timeout,
            guard,
            course: Arc::default(),
            nonces: Arc::default(),
        }
    }

    /// Why the last attempt failed; none if it reached the server.
    pub(super) fn fault(&self) -> Option<OpcFault> {
        self.course().fault.clone()
    }

    /// Why the connection was broken off from our side since this was asked last; none if it was not.
    pub(super) fn broken(&self) -> Option<OpcFault> {
        self.course().broken.take()
    }

    fn course(&self) -> std::sync::MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the next attempt may begin.
    async fn pause(&self) {
        let wait = {
            let mut course = self.course();
            let since = course.attempted.map(|at| at.elapsed());
            let apart = ATTEMPTS_APART + JITTER_MAX.mul_f64(fastrand::f64());
            let wait = since.map_or(Duration::ZERO, |since| apart.saturating_sub(since));
            course.attempted = Some(Instant::now() + wait);
            wait
        };
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        channel: Arc<SecureChannelState>,
        outgoing: RequestRecv,
        config: TransportConfiguration,
    ) -> Result<Line, OpcFault> {
        if let Some(guard) = &self.guard {
            guard.certificate.check_time(guard.clock.now().wall)?;
        }
        let opening = Opening::default();
        let dialled = Arc::new(Mutex::new(None));
        let stream = StreamConnector::new(
            |url: String, options: DecodingOptions| {
                let (opening, dialled) = (opening.clone(), dialled.clone());
                let (timeout, course) = (self.timeout, Arc::clone(&self.course));
                async move {
                    let heard = (opening, course);
                    let line = dial(&url, timeout, options, heard).await;
                    line.map_err(|fault| {
                        *dialled.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                        Error::new(StatusCode::BadCommunicationError, "no connection")
                    })
                }
            },
            self.url.to_string(),
        );
        let connected = stream.connect(Arc::clone(&channel), outgoing, config);
        let result = tokio::time::timeout(self.timeout, connected).await;
        let dialled = dialled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match result {
            Ok(Ok(transport)) => Ok(Kept::new(transport, channel, Arc::clone(&self.nonces))),
            Ok(Err(_)) => Err(dialled.unwrap_or_else(|| judge(&said(&opening)))),
            Err(_) => Err(OpcFault::Slow),
        }
    }
}

impl Connects for Connector {
    type Transport = Line;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        outgoing_recv: RequestRecv,
        config: TransportConfiguration,
    ) -> Result<Self::Transport, Error> {
        self.pause().await;
        let result = self.attempt(channel, outgoing_recv, config).await;
        self.course().fault = result.as_ref().err().cloned();
        result.map_err(|_| Error::new(StatusCode::BadCommunicationError, "no connection"))
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(&*self.url)
    }
}

impl ConnectionSource for Connector {
    type Builder = Self;

    fn get_connector(&self, _: &EndpointDescription) -> Result<Self, Error> {
        Ok(self.clone())
    }
}

/// Makes the TCP connection.
async fn dial(
    url: &str,
    timeout: Duration,
    options: DecodingOptions,
    (opening, course): (Opening, Arc<Mutex<Course>>),
) -> Result<StreamConnection<Overheard, OwnedWriteHalf>, OpcFault> {
    let (host, port) = hostname_port_from_url(url, PORT).map_err(|_| OpcFault::WrongUrl)?;
    let addresses = tokio::net::lookup_host(format!("{host}:{port}")).await;
    let addresses = addresses.map_err(|error| OpcFault::Unresolved(Arc::new(error)))?;
    let stream = first(addresses.collect(), timeout, TcpStream::connect).await;
    let stream = stream.map_err(|error| {
        if error.kind() == io::ErrorKind::TimedOut {
            OpcFault::Slow
        } else {
            OpcFault::Unreachable(Arc::new(error))
        }
    })?;
    // Answers to small requests must not wait for more to send.
    drop(stream.set_nodelay(true));
    let (inner, write) = stream.into_split();
    let read = Overheard {
        inner,
        opening,
        course,
        frames: Frames::default(),
    };
    let framed = FramedRead::new(read, TcpCodec::new(options));
    Ok(StreamConnection::new(framed, write, url.to_owned()))
}

/// Connects to the first of a host's addresses that answers. Each has its share of the time: one that leads
/// nowhere must not cost the others theirs.
async fn first<S, F: Future<Output = io::Result<S>>>(
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<S> {
    let share = timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failure = None;
    for address in addresses {
        match tokio::time::timeout(share, connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = Some(error),
            // What another said tells more.
            Err(_) => _ = failure.get_or_insert_with(|| io::ErrorKind::TimedOut.into()),
        }
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// What a failed greeting means, from what the server said.
fn judge(said: &[u8]) -> OpcFault {
    if said.is_empty() {
        return OpcFault::Closed;
    }
    if said.starts_with(b"ERR") {
        let code = said.get(8..12).and_then(|bytes| bytes.try_into().ok());
        if let Some(code) = code {
            return OpcFault::of_status(StatusCode::from(u32::from_le_bytes(code)));
        }
    }
    if KINDS.iter().any(|kind| said.starts_with(kind)) {
        // It began well.
        return OpcFault::Nonsense(StatusCode::BadDecodingError);
    }
    OpcFault::Foreign {
        opening: said.escape_ascii().to_string(),
    }
}

fn said(opening: &Opening) -> Vec<u8> {
    opening
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The reading half of a connection: its first bytes are remembered, and it breaks off where what comes
/// can't be a message. The crate would wait for any size that is announced, and sum up chunks of it.
pub(super) struct Overheard {
    inner: OwnedReadHalf,
    opening: Opening,
    course: Arc<Mutex<Course>>,
    frames: Frames,
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().get(before..).unwrap_or_default();
        {
            let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            let room = OPENING_BYTES_MAX.saturating_sub(opening.len());
            opening.extend(read.iter().take(room));
        }
        if self.frames.take(read) {
            return polled;
        }
        let broken = match self.frames.is_long() {
            true => OpcFault::LongMessage(MESSAGE_BYTES_MAX),
            false => OpcFault::Nonsense(StatusCode::BadDecodingError),
        };
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        course.broken = Some(broken);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

/// Where in a stream of messages the bytes stand.
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    body_left: usize,
    /// Bytes of the message that came in chunks before.
    message: usize,
}

impl Frames {
    /// Whether the message that came last has more bytes than it may.
    fn is_long(&self) -> bool {
        self.message > MESSAGE_BYTES_MAX
    }

    /// Takes the next bytes; false: they belong to no message.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let (_, rest) = bytes.split_at(self.body_left.min(bytes.len()));
                self.body_left -= bytes.len() - rest.len();
                bytes = rest;
                continue;
            }
            let wanted = HEADER_BYTES - self.header.len();
            let (head, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header.extend(head);
            bytes = rest;
            let kind = self.header.get(..3);
            if kind.is_some_and(|kind| !KINDS.contains(&kind)) {
                return false;
            }
            let size = self.header.get(4..).and_then(|size| size.try_into().ok());
            if let Some(size) = size.map(u32::from_le_bytes) {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                if !(HEADER_BYTES..=CHUNK_BYTES_MAX).contains(&size) {
                    return false;
                }
                self.message += size;
                if self.is_long() {
                    return false;
                }
                if self.header.get(3) != Some(&MORE) {
                    self.message = 0;
                }
                self.body_left = size - HEADER_BYTES;
                self.header.clear();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_tells_what_it_is() {
        let refused = [b"ERRF\x10\0\0\0".as_slice(), &0x8083_0000_u32.to_le_bytes()].concat();
        for (said, expected) in [
            (b"".as_slice(), "closed"),
            (&refused, "no such endpoint"),
            (b"HTTP/1.1 400 Bad", "speaks another protocol"),
            (b"\0\0\0\0\0\x03\x01\x83\x01", "speaks another protocol"),
            (b"ERRF", "makes no sense"),
            (b"ACKF\x1c\0\0\0\xa5\xa5", "makes no sense"),
            (b"ERRATIC", "makes no sense"),
        ] {
            let fault = judge(said).to_string();
            assert!(fault.contains(expected), "{said:?}: {fault}");
        }
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_costs_the_others_nothing() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        // By their ports: 1 leads nowhere, 2 refuses, others answer.
        let connect = |address: SocketAddr| async move {
            match address.port() {
                1 => std::future::pending().await,
                2 => Err(io::ErrorKind::ConnectionRefused.into()),
                port => Ok(port),
            }
        };
        for (ports, expected) in [
            (vec![1, 3], Ok(3)),
            (vec![2, 1, 4, 3], Ok(4)),
            (vec![1, 2], Err(io::ErrorKind::ConnectionRefused)),
            (vec![2, 1], Err(io::ErrorKind::ConnectionRefused)),
            (vec![1], Err(io::ErrorKind::TimedOut)),
            (vec![], Err(io::ErrorKind::NotFound)),
        ] {
            let addresses: Vec<SocketAddr> = ports.iter().map(|port| at(*port)).collect();
            let timeout = Duration::from_millis(80);
            let found = first(addresses, timeout, connect).await;
            assert_eq!(found.map_err(|error| error.kind()), expected, "{ports:?}");
        }
    }

    #[test]
    fn messages_pass_in_any_pieces_and_nothing_else_does() {
        let message = |kind: &[u8], size: u32, body: usize| {
            [kind, b"F", &size.to_le_bytes(), &vec![1; body]].concat()
        };
        let fine = [
            message(b"ACK", 28, 20),
            message(b"MSG", 8, 0),
            message(b"MSG", 70_008, 70_000),
        ]
        .concat();
        for piece in [1, 3, 8, 9, 1000, fine.len()] {
            let mut frames = Frames::default();
            assert!(
                fine.chunks(piece).all(|bytes| frames.take(bytes)),
                "{piece}"
            );
            assert!(!frames.take(b"HTTP"));
        }
        let chunk =
            |more: u8| [b"MSG", &[more][..], &70_008_u32.to_le_bytes(), &[1; 70_000]].concat();
        let mut frames = Frames::default();
        let most = MESSAGE_BYTES_MAX / 70_008;
        // A message in chunks has a limit, and the next begins anew.
        for more in [b"C".repeat(most - 1), b"F".repeat(2), b"C".repeat(most)].concat() {
            assert!(frames.take(&chunk(more)));
        }
        assert!(!frames.is_long());
        assert!(!frames.take(&chunk(b'F')) && frames.is_long());
        for wrong in [
            message(b"MSG", 7, 0),
            message(b"MSG", 2 << 20, 0),
            b"GET".to_vec(),
        ] {
            let mut frames = Frames::default();
            assert!(!frames.take(&wrong) && !frames.is_long());
        }
    }
}
