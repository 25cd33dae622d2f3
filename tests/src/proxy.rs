//! A TCP proxy in this process: what lies between two programs, and what can go wrong there.

use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::mqtt::Cutter;
use crate::sequence::Key;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks that may wait for their time in one direction: with [`CHUNK`], 64 MB.
const CHUNKS_MAX: usize = 4096;
/// How long a connection to the target may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// From the one who connected.
    ToServer,
    /// From the one who was connected to.
    ToClient,
}

/// Sees all bytes, with the number of their connection: those to the server before they go on, those
/// to the client after they were handed to its socket.
pub type Tap = Box<dyn FnMut(u64, Direction, &[u8]) + Send>;

struct Shared {
    target: SocketAddr,
    tap: Mutex<Tap>,
    /// Connections that forward, by number: both sockets.
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    /// Connections that swallow what they are given.
    silent: Mutex<BTreeSet<u64>>,
    swallow_new: AtomicBool,
    delay_ms: AtomicU64,
    accepted: AtomicU64,
    stopped: AtomicBool,
}

/// A proxy on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({} to {})", self.address, self.shared.target)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// A proxy that forwards, and looks at nothing.
    ///
    /// # Errors
    ///
    /// When the kernel has no port.
    pub fn start(target: SocketAddr) -> Result<Self> {
        Self::tapped(target, Box::new(|_, _, _| {}))
    }

    /// A proxy that forwards and shows all bytes to `tap`.
    ///
    /// # Errors
    ///
    /// When the kernel has no port.
    pub fn tapped(target: SocketAddr, tap: Tap) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            tap: Mutex::new(tap),
            open: Mutex::default(),
            silent: Mutex::default(),
            swallow_new: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let acceptor = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if acceptor.stopped.load(Ordering::SeqCst) {
                    break;
                }
                Shared::connect(&acceptor, client);
            }
        });
        Ok(Self { address, shared })
    }

    /// Where to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were made so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Cuts every connection, in the middle of whatever it carries.
    pub fn cut(&self) {
        for (_, ends) in std::mem::take(&mut *lock(&self.shared.open)) {
            close(&ends);
        }
    }

    /// Makes the link half-open: connections stay, and so do new ones, but nothing comes through.
    pub fn freeze(&self) {
        self.shared.swallow_new.store(true, Ordering::SeqCst);
        let open: Vec<u64> = lock(&self.shared.open).keys().copied().collect();
        lock(&self.shared.silent).extend(open);
    }

    /// Ends [`freeze`](Self::freeze): what was frozen is cut, since bytes are missing from it.
    pub fn thaw(&self) {
        self.shared.swallow_new.store(false, Ordering::SeqCst);
        let silent = std::mem::take(&mut *lock(&self.shared.silent));
        let mut open = lock(&self.shared.open);
        for ends in silent.iter().filter_map(|number| open.remove(number)) {
            close(&ends);
        }
    }

    /// Holds back everything that goes to the client for so long.
    pub fn delay(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(ms, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listener wakes by a connection, sees the word and goes.
        drop(TcpStream::connect(self.address));
        self.cut();
    }
}

fn close(ends: &[TcpStream; 2]) {
    for end in ends {
        // An end that has closed by itself is closed all the same.
        drop(end.shutdown(Shutdown::Both));
    }
}

impl Shared {
    fn connect(shared: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect_timeout(&shared.target, CONNECT_MAX) else {
            drop(client.shutdown(Shutdown::Both));
            return;
        };
        let number = shared.accepted.load(Ordering::SeqCst);
        let nodelay = client.set_nodelay(true).and(server.set_nodelay(true));
        let copies = || Ok::<_, std::io::Error>([client.try_clone()?, server.try_clone()?]);
        let (Ok(()), Ok(ends), Ok(other)) = (nodelay, copies(), copies()) else {
            return;
        };
        if shared.swallow_new.load(Ordering::SeqCst) {
            lock(&shared.silent).insert(number);
        }
        lock(&shared.open).insert(number, ends);
        // Counted once it is what it is going to be: whoever waits for it may act on it at once.
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let [other_client, other_server] = other;
        for (from, to, direction) in [
            (client, other_server, Direction::ToServer),
            (server, other_client, Direction::ToClient),
        ] {
            let shared = Arc::clone(shared);
            thread::spawn(move || shared.forward(number, direction, from, to));
        }
    }

    fn forward(
        self: Arc<Self>,
        number: u64,
        direction: Direction,
        mut from: TcpStream,
        to: TcpStream,
    ) {
        let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
        let writer = Arc::clone(&self);
        let writing = thread::spawn(move || {
            let mut to = to;
            let mut waiting = VecDeque::new();
            loop {
                let due = waiting.front().map(|(due, _): &(Instant, Vec<u8>)| *due);
                let next = match due {
                    None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(due) => {
                        receiver.recv_timeout(due.saturating_duration_since(Instant::now()))
                    }
                };
                match next {
                    Ok(chunk) => waiting.push_back(chunk),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                while waiting
                    .front()
                    .is_some_and(|(due, _)| *due <= Instant::now())
                {
                    let Some((_, bytes)) = waiting.pop_front() else {
                        break;
                    };
                    if !writer.pass(number, direction, &bytes, &mut to) {
                        return;
                    }
                }
            }
        });
        let mut buffer = vec![0; CHUNK];
        while let Ok(count) = from.read(&mut buffer) {
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let delay = match direction {
                Direction::ToServer => 0,
                Direction::ToClient => self.delay_ms.load(Ordering::SeqCst),
            };
            let due = Instant::now() + Duration::from_millis(delay);
            if sender.send((due, bytes.to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
        drop(writing.join());
        if let Some(ends) = lock(&self.open).remove(&number) {
            close(&ends);
        }
    }

    /// Whether the connection still forwards.
    fn pass(&self, number: u64, way: Direction, bytes: &[u8], to: &mut TcpStream) -> bool {
        if lock(&self.silent).contains(&number) {
            return true;
        }
        match way {
            Direction::ToServer => {
                (lock(&self.tap))(number, way, bytes);
                to.write_all(bytes).is_ok()
            }
            Direction::ToClient => {
                let written = to.write_all(bytes).is_ok();
                if written {
                    (lock(&self.tap))(number, way, bytes);
                }
                written
            }
        }
    }
}

/// What a broker has acknowledged, as seen on the wire: the excuse for a hole where a broker that was
/// killed lost what it had taken over.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged(Arc<Mutex<BTreeSet<Key>>>);

impl Acknowledged {
    /// A tap that writes down every telemetry message whose PUBACK, of a reason below 0x80, was
    /// handed to the client.
    pub fn tap(&self) -> Tap {
        let acknowledged = self.clone();
        let mut cutters: BTreeMap<(u64, Direction), Cutter> = BTreeMap::new();
        let mut sent: BTreeMap<(u64, u16), Key> = BTreeMap::new();
        Box::new(move |number, direction, bytes| {
            let packets = cutters.entry((number, direction)).or_default().take(bytes);
            for packet in packets {
                match direction {
                    Direction::ToServer => {
                        let Some(publish) = packet.publish() else {
                            continue;
                        };
                        let key = Key::of(&publish.topic, &publish.payload);
                        let place = (number, publish.id);
                        match key {
                            Some(key) => drop(sent.insert(place, key)),
                            None => drop(sent.remove(&place)),
                        }
                    }
                    Direction::ToClient => {
                        let Some((id, reason)) = packet.puback() else {
                            continue;
                        };
                        if let Some(key) = sent.remove(&(number, id)).filter(|_| reason < 0x80) {
                            lock(&acknowledged.0).insert(key);
                        }
                    }
                }
            }
        })
    }

    /// What was acknowledged so far.
    pub fn keys(&self) -> BTreeSet<Key> {
        lock(&self.0).clone()
    }
}
