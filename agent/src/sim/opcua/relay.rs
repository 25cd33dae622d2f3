//! What lies before the server: everything that can go wrong with a connection.
//!
//! A server library sends only what is right, so the faults are made on the way. Both ends have the
//! same port number, the server's on another loopback address, so that the address that the server
//! tells its clients is the relay's.

use fastrand::Rng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Where the server itself listens.
const BEHIND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Ports that are tried until one is free at both ends; nearly always the first is.
const TRIES: usize = 16;
/// Bytes carried at once.
const CHUNK: usize = 64 * 1024;
/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 64;

/// What is wrong with the connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct LinkFaults {
    /// Every connection is closed as soon as it is there.
    pub(super) closed: bool,
    /// Nothing goes through, but connections stay.
    pub(super) frozen: bool,
    /// What the server says comes so much later.
    pub(super) late: Option<Duration>,
    /// Noise comes instead of what the server says.
    pub(super) garbage: bool,
}

/// Two listeners of one port.
pub(super) struct Ports {
    pub(super) front: TcpListener,
    pub(super) behind: TcpListener,
    pub(super) port: u16,
}

impl Ports {
    /// A port that the kernel chooses.
    ///
    /// # Errors
    ///
    /// None is free at both ends.
    pub(super) async fn bind() -> std::io::Result<Self> {
        let mut taken = std::io::ErrorKind::AddrInUse.into();
        for _ in 0..TRIES {
            let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = front.local_addr()?.port();
            match TcpListener::bind((BEHIND, port)).await {
                Ok(behind) => {
                    return Ok(Self {
                        front,
                        behind,
                        port,
                    });
                }
                Err(error) => taken = error,
            }
        }
        Err(taken)
    }
}

/// Carries connections until it is dropped.
pub(super) async fn relay(front: TcpListener, port: u16, faults: watch::Receiver<LinkFaults>) {
    let mut carried = JoinSet::new();
    loop {
        while carried.try_join_next().is_some() {}
        if carried.len() >= CONNECTIONS_MAX {
            carried.join_next().await;
        }
        let Ok((client, _)) = front.accept().await else {
            continue;
        };
        if !faults.borrow().closed {
            carried.spawn(carry(client, port, faults.clone()));
        }
    }
}

async fn carry(client: TcpStream, port: u16, faults: watch::Receiver<LinkFaults>) {
    let Ok(server) = TcpStream::connect(SocketAddr::from((BEHIND, port))).await else {
        return;
    };
    drop(client.set_nodelay(true).and(server.set_nodelay(true)));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let mut closed = faults.clone();
    tokio::select! {
        () = up(client_reads, server_writes, faults.clone()) => {}
        () = down(server_reads, client_writes, faults) => {}
        _ = closed.wait_for(|faults| faults.closed) => {}
    }
}

type Reads = tokio::net::tcp::OwnedReadHalf;
type Writes = tokio::net::tcp::OwnedWriteHalf;

async fn up(mut from: Reads, mut to: Writes, mut faults: watch::Receiver<LinkFaults>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if faults.wait_for(|faults| !faults.frozen).await.is_err() {
            return;
        }
        let Some(bytes) = chunk.get(..count) else {
            return;
        };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn down(mut from: Reads, mut to: Writes, mut faults: watch::Receiver<LinkFaults>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let Ok(now) = faults
            .wait_for(|faults| !faults.frozen)
            .await
            .map(|now| *now)
        else {
            return;
        };
        if let Some(late) = now.late {
            sleep(late).await;
        }
        let Some(bytes) = chunk.get_mut(..count) else {
            return;
        };
        if now.garbage {
            Rng::new().fill(bytes);
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
