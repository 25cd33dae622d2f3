//! A raw Modbus device: Modbus TCP, RTU over TCP, and RTU on a pseudo-terminal, many units on one
//! link, every answer made by us so that it can be wrong in every way.
//!
//! It answers functions 1 to 4; anything else gets exception 1 and is recorded, so that a test can
//! say that no other function was ever sent. It is no model of a machine; the plant writes its
//! registers. All links of a device share its units, faults and statistics, and end when it is dropped.

mod bank;
mod fault;
mod frame;
mod link;
mod reply;
mod statistics;
#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultKind, UnknownFault, When};
pub use statistics::{ARRIVALS_MAX, Arrival, FOREIGN_MAX, Statistics};

use crate::config::model::{Order, Table};
use bank::{Banks, words_of};
use fastrand::Rng;
use fault::Faults;
use frame::{Framing, Request};
use reply::Reply;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_serial::{SerialPort, SerialStream};

/// What a gateway says of a unit that it can't reach; a serial line says nothing.
const TARGET_FAILED: u8 = 11;

/// A device with any number of units and links. Dropping it ends its links.
#[derive(Debug)]
pub struct Device {
    shared: Arc<Shared>,
    links: Mutex<JoinSet<()>>,
}

/// A unit of a device: its registers and faults. Clones are the same unit.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    banks: Arc<Mutex<Banks>>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug)]
struct Shared {
    units: Mutex<BTreeMap<u8, Unit>>,
    faults: Mutex<Faults>,
    link: watch::Sender<LinkFaults>,
    statistics: Mutex<Statistics>,
    rng: Mutex<Rng>,
}

/// What is wrong with all links of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct LinkFaults {
    refuse: bool,
    frozen: bool,
    unsolicited: Option<Duration>,
    chatter: Option<Duration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// A device without units or links; the seed decides where chance does.
    pub fn new(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                units: Mutex::default(),
                faults: Mutex::default(),
                link: watch::Sender::default(),
                statistics: Mutex::default(),
                rng: Mutex::new(Rng::with_seed(seed)),
            }),
            links: Mutex::default(),
        }
    }

    /// The unit with this id, made if it is not there yet.
    pub fn unit(&self, id: u8) -> Unit {
        lock(&self.shared.units).entry(id).or_default().clone()
    }

    /// Serves Modbus TCP on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// No port could be had.
    pub async fn listen_tcp(&self) -> io::Result<SocketAddr> {
        self.listen(Framing::Tcp).await
    }

    /// Serves RTU frames over TCP on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// No port could be had.
    pub async fn listen_rtu_over_tcp(&self) -> io::Result<SocketAddr> {
        self.listen(Framing::Rtu).await
    }

    async fn listen(&self, framing: Framing) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = self.shared.clone();
        lock(&self.links).spawn(link::accept(shared, framing, address, listener));
        Ok(address)
    }

    /// Serves RTU on a pseudo-terminal; the path is what a client opens as its serial port. Must be
    /// called within a runtime.
    ///
    /// # Errors
    ///
    /// No pseudo-terminal could be had.
    pub fn open_pty(&self) -> io::Result<PathBuf> {
        let (ours, theirs) = SerialStream::pair()?;
        let path = theirs.name().ok_or(io::ErrorKind::NotFound)?;
        // The same end once more, as something that can be asked to give up its exclusive mark.
        let port = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        let shared = self.shared.clone();
        lock(&self.links).spawn(link::serve_line(shared, ours, port));
        Ok(path.into())
    }

    /// Makes something wrong with the whole device; of a kind, the newest stands.
    pub fn fault(&self, fault: impl Into<Fault>) {
        self.change(|faults| faults.set(fault.into()));
    }

    /// Nothing is wrong with the device as a whole any more; units keep their own faults.
    pub fn clear(&self) {
        self.change(Faults::clear);
    }

    /// What is wrong with the device as a whole.
    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.shared.faults).iter().collect()
    }

    fn change(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = lock(&self.shared.faults);
        change(&mut faults);
        let mut link = LinkFaults::default();
        for fault in faults.iter() {
            link.add(fault.kind);
        }
        self.shared.link.send_replace(link);
    }

    /// What the device has been asked so far.
    pub fn statistics(&self) -> Statistics {
        lock(&self.shared.statistics).clone()
    }
}

impl LinkFaults {
    fn add(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::Refuse => self.refuse = true,
            FaultKind::Frozen => self.frozen = true,
            FaultKind::Unsolicited(every) => self.unsolicited = Some(every),
            FaultKind::Chatter(every) => self.chatter = Some(every),
            FaultKind::Silent
            | FaultKind::Late(_)
            | FaultKind::WrongTransaction
            | FaultKind::WrongUnit
            | FaultKind::WrongFunction
            | FaultKind::Short
            | FaultKind::Long
            | FaultKind::BadCrc
            | FaultKind::Garbage
            | FaultKind::Cut
            | FaultKind::CloseMidFrame
            | FaultKind::Close
            | FaultKind::Split(_)
            | FaultKind::Exception(_)
            | FaultKind::NodeGone
            | FaultKind::BadStatus
            | FaultKind::Uncertain => {}
        }
    }
}

impl Unit {
    /// Writes registers from `start` on; what would lie beyond the last address is left out. In the
    /// tables of bits anything but 0 is true.
    pub fn set(&self, table: Table, start: u16, words: &[u16]) {
        lock(&self.banks).set(table, start, words);
    }

    /// Writes one coil, discrete input, or a register that is 0 or 1.
    pub fn set_bit(&self, table: Table, address: u16, on: bool) {
        self.set(table, address, &[u16::from(on)]);
    }

    /// Writes a 32-bit integer into two registers.
    pub fn set_u32(&self, table: Table, start: u16, value: u32, order: Order) {
        self.set(table, start, &words_of(value, order));
    }

    /// Writes a 32-bit float into two registers.
    pub fn set_f32(&self, table: Table, start: u16, value: f32, order: Order) {
        self.set_u32(table, start, value.to_bits(), order);
    }

    /// What a register holds; 0 or 1 for bits that were written as such.
    pub fn get(&self, table: Table, address: u16) -> u16 {
        lock(&self.banks).get(table, address)
    }

    /// Makes every request that touches the range fail with exception 2 (illegal address).
    pub fn forbid(&self, table: Table, range: RangeInclusive<u16>) {
        lock(&self.banks).forbid(table, range);
    }

    /// Makes all addresses legal again.
    pub fn permit_all(&self) {
        lock(&self.banks).permit_all();
    }

    /// Makes something wrong with this unit; of a kind, the newest stands. The kinds of a whole link
    /// have no effect on a unit.
    pub fn fault(&self, fault: impl Into<Fault>) {
        lock(&self.faults).set(fault.into());
    }

    /// Nothing is wrong with this unit any more.
    pub fn clear(&self) {
        lock(&self.faults).clear();
    }

    /// What is wrong with this unit.
    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.faults).iter().collect()
    }
}

impl Shared {
    fn link(&self) -> LinkFaults {
        *self.link.borrow()
    }

    /// Waits until the faults of the links are so.
    async fn until_link(&self, so: impl FnMut(&LinkFaults) -> bool) {
        // The sender lives as long as this, so that waiting can't fail.
        drop(self.link.subscribe().wait_for(so).await);
    }

    /// Counts a connection; false: it is to be closed at once.
    fn admit(&self) -> bool {
        let mut statistics = lock(&self.statistics);
        statistics.connections = statistics.connections.saturating_add(1);
        let closed = |fault: Fault| fault.kind == FaultKind::Close && fault.when == When::Always;
        !lock(&self.faults).iter().any(closed)
    }

    fn count_broken(&self) {
        let mut statistics = lock(&self.statistics);
        statistics.broken = statistics.broken.saturating_add(1);
    }

    /// The reply to a request, computed now even if it goes out late; none: silence.
    fn answer(&self, framing: Framing, request: &Request) -> Option<Reply> {
        lock(&self.statistics).record(Instant::now(), request.unit, &request.pdu);
        let Some(unit) = lock(&self.units).get(&request.unit).cloned() else {
            return match framing {
                Framing::Tcp => {
                    let function = request.pdu.first().copied().unwrap_or(0);
                    let pdu = bank::exception(function, TARGET_FAILED);
                    let frame = framing.wrap(request.transaction, request.unit, &pdu);
                    Some(Reply::of(frame))
                }
                Framing::Rtu => None,
            };
        };
        let mut rng = lock(&self.rng);
        let of_unit = lock(&unit.faults).strike(&mut rng);
        let of_device = lock(&self.faults).strike(&mut rng);
        let pdu = lock(&unit.banks).answer(&request.pdu);
        Reply::plan(framing, request, &pdu, of_unit.or(of_device), &mut rng)
    }

    /// An answer that nobody asked for: a plausible one, of the first unit.
    fn unsolicited(&self, framing: Framing) -> Vec<u8> {
        let unit = lock(&self.units).keys().next().copied().unwrap_or(1);
        framing.wrap(0, unit, &[3, 2, 0xFF, 0xFF])
    }
}
