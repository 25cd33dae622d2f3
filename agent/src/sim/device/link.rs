//! The tasks of a device: accepting, reading requests, sending replies, disturbing the line.

use rustix::fd::OwnedFd;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::frame::{Framing, Taken};
use super::reply::Reply;

/// Connections at once; a real device takes fewer.
const CONNECTIONS_MAX: usize = 256;
/// Replies waiting to be written on one link; more and the device stops reading.
const REPLIES_MAX: usize = 64;
/// Replies that are late on purpose on one link; more are never sent.
const LATE_MAX: usize = 64;
/// Bytes of an unfinished request; the longest request is 260.
const BUFFER_BYTES_MAX: usize = 1024;
/// Silence after which what has come on a serial line is all there is. Real lines wait 3.5
/// characters; here the client may be preempted in the middle of a frame.
const SILENCE: Duration = Duration::from_millis(50);
/// How long a peer may leave bytes unread. On a serial line they are then lost, as on a wire to which
/// nobody listens; a connection is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the port's exclusive mark is taken off. A client sets it on opening; if it is killed, the
/// kernel keeps the mark while our end is open, and only root could open the port again.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);
/// Pause before a port that could not be had again is tried again.
const REBIND_PAUSE: Duration = Duration::from_millis(20);

/// Serves connections until it is dropped, closing the port while connections are refused.
pub(super) async fn accept(
    shared: Arc<Shared>,
    framing: Framing,
    address: SocketAddr,
    first: TcpListener,
) {
    let mut bound = Some(first);
    let mut connections = JoinSet::new();
    loop {
        let Some(listener) = &bound else {
            shared.until_link(|link| !link.refuse).await;
            bound = TcpListener::bind(address).await.ok();
            if bound.is_none() {
                sleep(REBIND_PAUSE).await;
            }
            continue;
        };
        tokio::select! {
            () = shared.until_link(|link| link.refuse) => {
                bound = None;
                connections.abort_all();
            }
            accepted = listener.accept() => {
                while connections.try_join_next().is_some() {}
                if let Ok((stream, _)) = accepted {
                    if shared.admit() && connections.len() < CONNECTIONS_MAX {
                        connections.spawn(serve(shared.clone(), framing, stream));
                    }
                }
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, framing: Framing, stream: TcpStream) {
    // Without no-delay the answers of a fast test would wait for acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "simulated device: no-delay refused");
    }
    let (reader, writer) = split(stream);
    let (replies, queue) = mpsc::channel(REPLIES_MAX);
    tokio::select! {
        () = listen(&shared, framing, reader, replies.clone()) => {}
        () = speak(writer, queue, true) => {}
        () = disturb(&shared, framing, false, replies) => {}
    }
}

/// Serves one serial line until it is dropped. `port` is the client's end, kept open so that the line
/// lives while no client has it.
pub(super) async fn serve_line<S>(shared: Arc<Shared>, stream: S, port: OwnedFd)
where
    S: AsyncRead + AsyncWrite,
{
    let (reader, writer) = split(stream);
    let (replies, queue) = mpsc::channel(REPLIES_MAX);
    tokio::select! {
        () = listen(&shared, Framing::Rtu, reader, replies.clone()) => {}
        () = speak(writer, queue, false) => {}
        () = disturb(&shared, Framing::Rtu, true, replies) => {}
        () = release(port) => {}
    }
}

async fn release(port: OwnedFd) {
    loop {
        if let Err(error) = rustix::termios::ioctl_tiocnxcl(&port) {
            tracing::debug!(%error, "simulated line: exclusive mark kept");
        }
        sleep(RELEASE_INTERVAL).await;
    }
}

/// Reads requests and hands their replies on; returns when the peer is gone or talks nonsense on TCP.
async fn listen<S: AsyncRead>(
    shared: &Arc<Shared>,
    framing: Framing,
    mut reader: ReadHalf<S>,
    replies: mpsc::Sender<Reply>,
) {
    let late = Arc::new(Semaphore::new(LATE_MAX));
    let mut buffer = Vec::new();
    loop {
        shared.until_link(|link| !link.frozen).await;
        let silent = tokio::select! {
            biased;
            () = shared.until_link(|link| link.frozen) => continue,
            read = receive(framing, &mut reader, &mut buffer) => match read {
                Ok(silent) => silent,
                Err(_) => return,
            },
        };
        loop {
            match framing.take(&mut buffer, silent) {
                Taken::Frame(request) => {
                    if let Some(reply) = shared.answer(framing, &request) {
                        send(reply, &replies, &late).await;
                    }
                }
                Taken::Broken => {
                    shared.count_broken();
                    if framing == Framing::Tcp {
                        return;
                    }
                }
                Taken::More => break,
            }
            if buffer.is_empty() {
                break;
            }
        }
    }
}

/// Appends what arrives; true: nothing came, the sender has paused in an unfinished frame.
async fn receive<S: AsyncRead>(
    framing: Framing,
    reader: &mut ReadHalf<S>,
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut chunk = [0; 512];
    let read = reader.read(&mut chunk);
    let count = if buffer.is_empty() || framing == Framing::Tcp {
        read.await?
    } else {
        match timeout(SILENCE, read).await {
            Ok(count) => count?,
            Err(_) => return Ok(true),
        }
    };
    if count == 0 || buffer.len() > BUFFER_BYTES_MAX {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.extend(chunk.iter().take(count));
    Ok(false)
}

async fn send(mut reply: Reply, replies: &mpsc::Sender<Reply>, late: &Arc<Semaphore>) {
    if reply.delay.is_zero() {
        // A closed queue means that the link is being dropped.
        drop(replies.send(reply).await);
        return;
    }
    let Ok(permit) = late.clone().try_acquire_owned() else {
        return;
    };
    let replies = replies.clone();
    tokio::spawn(async move {
        sleep(std::mem::take(&mut reply.delay)).await;
        drop(replies.send(reply).await);
        drop(permit);
    });
}

/// Writes replies; returns when the connection is to be closed.
async fn speak<S: AsyncWrite>(
    mut writer: WriteHalf<S>,
    mut queue: mpsc::Receiver<Reply>,
    closes: bool,
) {
    while let Some(reply) = queue.recv().await {
        let mut pause = Duration::ZERO;
        for chunk in &reply.chunks {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            pause = reply.pause;
            match timeout(WRITE_TIMEOUT, writer.write_all(chunk)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) if closes => return,
                Err(_) => break,
            }
        }
        if reply.close && closes {
            return;
        }
    }
}

/// Sends what nobody asked for, while a fault says so.
async fn disturb(shared: &Shared, framing: Framing, serial: bool, replies: mpsc::Sender<Reply>) {
    loop {
        let link = shared.link();
        let (every, frame) = match (link.unsolicited, link.chatter) {
            (_, Some(every)) if serial => (every, foreign_exchange(framing)),
            (Some(every), _) => (every, shared.unsolicited(framing)),
            _ => {
                shared.until_link(|new| *new != link).await;
                continue;
            }
        };
        tokio::select! {
            () = shared.until_link(|new| *new != link) => {}
            () = sleep(every) => drop(replies.send(Reply::of(frame)).await),
        }
    }
}

/// What another master on the line asks of a unit that is not ours, and the answer.
fn foreign_exchange(framing: Framing) -> Vec<u8> {
    let mut bytes = framing.wrap(0, 247, &[3, 0, 0, 0, 1]);
    bytes.extend(framing.wrap(0, 247, &[3, 2, 0, 0]));
    bytes
}
