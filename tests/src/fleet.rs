//! Many gateways at once, as far as a city's archive can tell: they publish leaves and checkpoints, answer requests,
//! and have their cards written down; each signs a ledger of its own. Some of them lie.
//!
//! They share a few connections, since topics name who speaks. What they say is made from their number and a seed.

mod gateway;
mod life;
mod wire;

use anyhow::{Context, Result};
use lineside::clock::{Clock as _, SystemClock};
use lineside_proto::{Time, content_type};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

pub use gateway::Gateway;
use gateway::Stood;
pub use wire::{Ear, Outgoing, Peer, Request, Wire};

use crate::wait;

/// How long the broker may take for what it was handed.
const FLUSH_MAX: Duration = Duration::from_secs(120);
/// How long a first connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// Answers that are made at once.
const ANSWERS_MAX: usize = 4;
/// When every ledger begins: half a day before this program did, since a witness looks whether its clock and the leaves
/// can be of one day.
static BEGIN_MS: LazyLock<i64> =
    LazyLock::new(|| SystemClock.now().wall.as_millis() - 12 * 3_600_000);

/// How many of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Pilot platforms.
    pub sites: usize,
    /// Gateways, shared evenly among them.
    pub gateways: usize,
    /// Machines of each.
    pub machines: u32,
    /// Connections.
    pub wires: usize,
}

impl Size {
    /// So many gateways of three machines, at two sites.
    pub fn small(gateways: usize) -> Self {
        Self {
            sites: 2,
            gateways,
            machines: 3,
            wires: 2,
        }
    }
}

/// The gateways that stand behind a connection.
#[derive(Default)]
struct Row {
    stood: Mutex<Vec<Arc<Stood>>>,
    /// Requests so far.
    asked: AtomicU64,
}

impl Row {
    fn all(&self) -> Vec<Arc<Stood>> {
        let stood = self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        stood.clone()
    }

    fn put(&self, place: usize, gateway: Gateway) {
        let mut stood = self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = Arc::new(Stood::new(gateway));
        match stood.get_mut(place) {
            Some(old) => *old = gateway,
            None => stood.push(gateway),
        }
    }
}

impl Ear for Row {
    fn connected(&self) -> Vec<Outgoing> {
        let mut kept = Vec::new();
        for stood in self.all() {
            let gateway = stood.lock();
            let status = serde_json::to_vec(&gateway.status()).unwrap_or_default();
            kept.push(Outgoing {
                expiry_s: gateway.status().max_age_s,
                content_type: content_type::JSON,
                ..Outgoing::kept(gateway.topics().status(), status)
            });
            if let Some(note) = gateway.note() {
                kept.push(Outgoing::kept(
                    gateway.topics().checkpoint(),
                    note.as_bytes(),
                ));
            }
        }
        kept
    }

    fn heard(&self, topic: &str, request: &Request) -> Vec<Outgoing> {
        let Some(to) = &request.response else {
            return Vec::new();
        };
        let asked = |stood: &Arc<Stood>| stood.lock().topics().request() == topic;
        let mut all: Vec<Arc<Stood>> = self.all().into_iter().filter(asked).collect();
        // Of two copies now the one is quicker, now the other.
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        if turn % 2 == 1 {
            all.reverse();
        }
        let answers = all.iter().flat_map(|stood| stood.answer(&request.payload));
        answers
            .map(|payload| Outgoing {
                correlation: request.correlation.clone(),
                ..Outgoing::new(to.clone(), payload)
            })
            .collect()
    }
}

/// Simulated gateways.
pub struct Fleet {
    size: Size,
    rows: Vec<Arc<Row>>,
    wires: Vec<Wire>,
    // Dropped after the connections.
    _runtime: Runtime,
}

impl Fleet {
    /// So many gateways, connected to the broker on this port. Their ledgers are empty.
    ///
    /// # Errors
    ///
    /// When there is no runtime, or the broker lets a connection wait for a minute.
    pub fn start(port: u16, size: Size) -> Result<Self> {
        Self::start_as(port, size, None)
    }

    /// The same, with the user name and password of whoever may speak for all gateways.
    ///
    /// # Errors
    ///
    /// When there is no runtime, or the broker lets a connection wait for a minute.
    pub fn start_as(port: u16, size: Size, user: Option<(&str, &str)>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(ANSWERS_MAX)
            .enable_all()
            .build()?;
        let wires = size.wires.max(1);
        let rows: Vec<Arc<Row>> = (0..wires).map(|_| Arc::new(Row::default())).collect();
        for number in 0..size.gateways {
            let row = rows.get(number % wires).context("a row")?;
            row.put(usize::MAX, one(number, size)?);
        }
        let entered = runtime.enter();
        let connected = (0..).zip(&rows).map(|(number, row): (u32, _)| {
            let peer = Peer {
                port,
                id: format!("fleet-{number}"),
                credentials: user.map(|(name, word)| (name.to_owned(), word.to_owned())),
                filter: "lineside/v1/+/+/request".to_owned(),
            };
            let ear: Arc<dyn Ear> = Arc::<Row>::clone(row);
            Wire::start(peer, ear)
        });
        let wires = connected.collect();
        drop(entered);
        let fleet = Self {
            size,
            rows,
            wires,
            _runtime: runtime,
        };
        // What a connection says of itself comes before anything that a test has a gateway do.
        let all = || fleet.wires.iter().all(|wire| wire.connections() > 0);
        wait::until_true("the fleet's connections", CONNECT_MAX, all)?;
        Ok(fleet)
    }

    /// How many gateways there are, without those that were added.
    pub fn count(&self) -> usize {
        self.size.gateways
    }

    /// Looks at a gateway, or changes it unseen.
    ///
    /// # Errors
    ///
    /// When there are not so many.
    pub fn with<T>(&self, number: usize, look: impl FnOnce(&mut Gateway) -> T) -> Result<T> {
        let stood = self.stood(number)?;
        let mut gateway: MutexGuard<'_, Gateway> = stood.lock();
        Ok(look(&mut gateway))
    }

    fn stood(&self, number: usize) -> Result<Arc<Stood>> {
        let row = self.rows.get(number % self.rows.len()).context("a row")?;
        let all = row.all();
        let stood = all.get(number / self.rows.len()).context("no such gateway");
        stood.cloned()
    }

    fn wire(&self, number: usize) -> Result<&Wire> {
        self.wires
            .get(number % self.wires.len())
            .context("no connection")
    }

    /// Puts another gateway in the place of one, which answers from now on; nothing is said of it.
    ///
    /// # Errors
    ///
    /// When there are not so many.
    pub fn replace(&self, number: usize, gateway: Gateway) -> Result<()> {
        let row = self.rows.get(number % self.rows.len()).context("a row")?;
        row.put(number / self.rows.len(), gateway);
        Ok(())
    }

    /// Adds one, which need not be another than those that are there; its number is returned.
    ///
    /// # Errors
    ///
    /// When there are no connections.
    pub fn add(&self, gateway: Gateway) -> Result<usize> {
        let row = self.rows.first().context("a row")?;
        row.put(usize::MAX, gateway);
        Ok((row.all().len() - 1) * self.rows.len())
    }

    /// The folder of a gateway's log in an archive: `site/gateway/e1`.
    ///
    /// # Errors
    ///
    /// When there are not so many.
    pub fn log(&self, number: usize) -> Result<String> {
        self.with(number, |gateway| gateway.log())
    }

    /// Writes the cards of all gateways into a folder, as a city's administrator does.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_cards(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir)?;
        for number in 0..self.count() {
            self.with(number, |gateway| write_card(dir, gateway))??;
        }
        Ok(())
    }

    /// A gateway writes so many leaves and publishes them.
    ///
    /// # Errors
    ///
    /// When the connections have ended.
    pub fn grow(&self, number: usize, count: u64) -> Result<()> {
        let messages = self.with(number, |gateway| {
            let topic = gateway.topics().leaf();
            let range = gateway.grow(count)?;
            let message = |index| Ok(Outgoing::new(topic.clone(), gateway.message(index)?));
            range.map(message).collect::<Result<Vec<_>>>()
        })??;
        let wire = self.wire(number)?;
        messages
            .into_iter()
            .try_for_each(|message| wire.publish(message))
    }

    /// A gateway writes one leaf of its own, and publishes it.
    ///
    /// # Errors
    ///
    /// What `write` says, or the connections have ended.
    pub fn write(
        &self,
        number: usize,
        write: impl FnOnce(&mut Gateway) -> Result<u64>,
    ) -> Result<()> {
        let message = self.with(number, |gateway| {
            let index = write(gateway)?;
            let topic = gateway.topics().leaf();
            Ok::<_, anyhow::Error>(Outgoing::new(topic, gateway.message(index)?))
        })??;
        self.say(number, message)
    }

    /// A gateway signs what it has and publishes that.
    ///
    /// # Errors
    ///
    /// When the connections have ended.
    pub fn sign(&self, number: usize) -> Result<()> {
        let checkpoint = self.with(number, |gateway| {
            let note = gateway.sign();
            Outgoing::kept(gateway.topics().checkpoint(), note.as_bytes())
        })?;
        self.say(number, checkpoint)
    }

    /// Publishes anything over a gateway's connection.
    ///
    /// # Errors
    ///
    /// When the connections have ended.
    pub fn say(&self, number: usize, outgoing: Outgoing) -> Result<()> {
        self.wire(number)?.publish(outgoing)
    }

    /// Waits until the broker has all that was published.
    ///
    /// # Errors
    ///
    /// When it has not after two minutes.
    pub fn flush(&self) -> Result<()> {
        let idle = || self.wires.iter().all(Wire::is_idle);
        wait::until_true("the broker to have it all", FLUSH_MAX, idle)
    }

    /// Publishes that the broker refused.
    pub fn refused(&self) -> u64 {
        self.wires.iter().map(Wire::refused).sum()
    }
}

/// The gateway of a number: `gw-0007` at `site-1`.
fn one(number: usize, size: Size) -> Result<Gateway> {
    let site = format!("site-{}", number % size.sites.max(1)).parse()?;
    let name = format!("gw-{number:04}").parse()?;
    let mut seed = [7; 32];
    for (byte, from) in seed.iter_mut().zip(number.to_le_bytes()) {
        *byte = from;
    }
    let begin = Time::from_millis(*BEGIN_MS);
    Gateway::new(&site, &name, size.machines, seed, begin)
}

/// Writes a gateway's card into a folder: `{site}-{gateway}.json`.
///
/// # Errors
///
/// When the disk refuses.
pub fn write_card(dir: &Path, gateway: &Gateway) -> Result<()> {
    let (site, name) = gateway.names();
    let path = dir.join(format!("{site}-{name}.json"));
    let card = serde_json::to_string_pretty(&gateway.card())?;
    fs::write(&path, card).with_context(|| path.display().to_string())
}
