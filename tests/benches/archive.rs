//! What a city's archive costs: a thousand gateways with twenty machines each, at the year's average of leaves and at ten
//! times that; beside it, in the same run, a bare MQTT client that subscribes to the same and throws everything away. Then
//! how fast it takes in ledgers that it never saw.
//!
//! `cargo build --release -p lineside && cargo bench -p lineside-tests --bench archive` measures for a quarter of an
//! hour; `-- --for 60 --gateways 100` shorter and smaller. Gateways, broker and listener run beside it and don't count.
#![expect(
    clippy::print_stdout,
    reason = "it is a program for people and scripts"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context as _, Result, ensure};
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::Note;
use lineside_tests::agent::cpu_seconds;
use lineside_tests::archive::{Archive, Place, memory_kb, weight};
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::fleet::{Ear, Fleet, Outgoing, Peer, Request, Size, Wire};
use lineside_tests::process::Process;
use lineside_tests::wait;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const GATEWAYS: u64 = 1_000;
const MACHINES: u32 = 20;
/// Leaves of a machine in a day, by `findings/usage.md`.
const LEAVES_OF_DAY: u64 = 350;
const DAY_S: f64 = 86_400.0;
/// How long each rate is held.
const SPAN_S: u64 = 300;
/// How often a gateway signs.
const SIGN_EVERY: Duration = Duration::from_secs(300);
/// Ledgers that the archive never saw, and the leaves of each.
const NEW_LEDGERS: usize = 20;
const NEW_LEAVES: u64 = 50_000;
/// How long anything may take.
const LONG: Duration = Duration::from_secs(3_600);
/// What is subscribed to by the bare client.
const EVERYTHING: &str = "lineside/v1/+/+/#";
const TURN: Duration = Duration::from_millis(50);
const MB: f64 = 1e6;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(at) = words.iter().position(|word| word == "bare") {
        let port = words.get(at + 1).context("a port")?.parse()?;
        return Runtime::new()?.block_on(bare(port));
    }
    let option = |name: &str, usual: u64| -> Result<u64> {
        let at = words.iter().position(|word| word == name);
        let value = at.and_then(|at| words.get(at + 1));
        Ok(value.map_or(Ok(usual), |value| value.parse())?)
    };
    let span = Duration::from_secs(option("--for", SPAN_S)?);
    let gateways = usize::try_from(option("--gateways", GATEWAYS)?)?;
    let leaves = option("--leaves", NEW_LEAVES)?;
    if !words.iter().any(|word| word == "--catch-up") {
        steady(gateways, span)?;
    }
    catch_up(NEW_LEDGERS, leaves)
}

/// The child that subscribes to everything and keeps nothing.
async fn bare(port: u16) -> Result<()> {
    let mut options = MqttOptions::new("bare", "127.0.0.1", port);
    options.set_max_packet_size(Some(1 << 20));
    let (client, mut event_loop) = AsyncClient::new(options, 10);
    client.subscribe(EVERYTHING, QoS::AtLeastOnce).await?;
    loop {
        if let Event::Incoming(Incoming::SubAck(_)) = event_loop.poll().await? {
            eprintln!("ready");
        }
    }
}

/// How late heads are cosigned.
#[derive(Default)]
struct Lag {
    /// When heads were published that are not cosigned yet.
    waiting: BTreeMap<(String, u64), Instant>,
    /// How long the others took.
    taken: Vec<Duration>,
}

/// The same, for whoever hears the cosignatures.
#[derive(Default)]
struct Lags(Mutex<Lag>);

impl Lags {
    fn lock(&self) -> MutexGuard<'_, Lag> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self, origin: &str, size: u64) {
        let key = (origin.to_owned(), size);
        self.lock().waiting.insert(key, Instant::now());
    }

    /// Forgets what was measured so far; gives it in words.
    fn told(&self) -> String {
        let mut inner = self.lock();
        let mut lags = std::mem::take(&mut inner.taken);
        let waiting = inner.waiting.len();
        drop(inner);
        lags.sort_unstable();
        let at =
            |part: usize| lags.get((lags.len() * part / 100).min(lags.len().saturating_sub(1)));
        let ms = |lag: Option<&Duration>| lag.map_or(0.0, |lag| lag.as_secs_f64() * 1000.0);
        format!(
            "{} heads cosigned, {:.0} ms after their publication at half, {:.0} ms at 99 %, {:.0} ms at most; {waiting} not cosigned",
            lags.len(),
            ms(at(50)),
            ms(at(99)),
            ms(lags.last()),
        )
    }
}

impl Ear for Lags {
    fn connected(&self) -> Vec<Outgoing> {
        Vec::new()
    }

    fn heard(&self, _: &str, message: &Request) -> Vec<Outgoing> {
        let now = Instant::now();
        let note = std::str::from_utf8(&message.payload).ok();
        let note = note.and_then(|text| Note::parse(text).ok());
        let Some(head) = note.and_then(|note| Checkpoint::parse(&note.text).ok()) else {
            return Vec::new();
        };
        let mut inner = self.lock();
        if let Some(since) = inner.waiting.remove(&(head.origin, head.size)) {
            let lag = now.saturating_duration_since(since);
            inner.taken.push(lag);
        }
        Vec::new()
    }
}

/// A fleet and its archive, and who listens.
struct Scene {
    fleet: Fleet,
    place: Place,
    archive: Archive,
    lags: Arc<Lags>,
    bare: Process,
    _listener: Wire,
    _runtime: Runtime,
    _broker: Mosquitto,
}

impl Scene {
    fn new(gateways: usize) -> Result<Self> {
        let broker = Mosquitto::start(Persistence::Off)?;
        let port = broker.port();
        let size = Size {
            sites: 20,
            gateways,
            machines: MACHINES,
            wires: 4,
        };
        let fleet = Fleet::start(port, size)?;
        let place = Place::new(port)?;
        fleet.write_cards(&place.cards())?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()?;
        let lags = Arc::new(Lags::default());
        let listener = {
            let _entered = runtime.enter();
            let peer = Peer {
                port,
                id: "listener".to_owned(),
                credentials: None,
                filter: "lineside/v1/+/+/ledger/cosignature".to_owned(),
            };
            let ear: Arc<dyn Ear> = Arc::<Lags>::clone(&lags);
            Wire::start(peer, ear)
        };
        let own = env::current_exe()?;
        let words = ["bare", &port.to_string()];
        let mut bare = Process::start("a bare client", own.to_str().context("own path")?, &words)?;
        bare.wait_for_error_line(0, "ready", LONG)?;
        Ok(Self {
            archive: place.start()?,
            fleet,
            place,
            lags,
            bare,
            _listener: listener,
            _runtime: runtime,
            _broker: broker,
        })
    }

    fn sign(&self, number: usize) -> Result<()> {
        self.fleet.with(number, |gateway| {
            self.lags.published(gateway.origin(), gateway.size());
        })?;
        self.fleet.sign(number)
    }

    /// Waits until the archive has all that was signed.
    fn caught_up(&self) -> Result<Duration> {
        let began = Instant::now();
        for number in 0..self.fleet.count() {
            let (log, size) = self
                .fleet
                .with(number, |gateway| (gateway.log(), gateway.signed_size()))?;
            let files = self.place.log(&log);
            wait::until(&log, LONG, || Ok((files.size()? >= size).then_some(())))
                .with_context(|| self.archive.log())?;
        }
        Ok(began.elapsed())
    }

    fn memory(&self) -> Result<String> {
        let now = self.archive.memory_kb("VmRSS:")?;
        let peak = self.archive.memory_kb("VmHWM:")?;
        Ok(format!("{now} KB resident, {peak} KB at most so far"))
    }

    fn cpu(&self) -> Result<(f64, f64)> {
        Ok((
            cpu_seconds(self.archive.id())?,
            cpu_seconds(self.bare.id())?,
        ))
    }

    /// Holds a rate for a while, and tells what it cost.
    fn hold(&self, times: u64, span: Duration) -> Result<()> {
        let count = self.fleet.count();
        let day = LEAVES_OF_DAY * u64::from(MACHINES) * times * u64::try_from(count)?;
        let rate = day as f64 / DAY_S;
        let (cpu, bare) = self.cpu()?;
        let began = Instant::now();
        let (mut leaves, mut signed) = (0, 0);
        let all = u64::try_from(count)?;
        while began.elapsed() < span {
            let passed = began.elapsed();
            while (leaves as f64) < passed.as_secs_f64() * rate {
                self.fleet.grow(usize::try_from(leaves % all)?, 1)?;
                leaves += 1;
            }
            // Spread evenly, as gateways that started at different times are.
            let due = passed.as_secs_f64() / SIGN_EVERY.as_secs_f64() * all as f64;
            while (signed as f64) < due {
                self.sign(usize::try_from(signed % all)?)?;
                signed += 1;
            }
            wait::throughout(TURN, || Ok(()))?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let behind = self.caught_up()?;
        let (cpu_then, bare_then) = self.cpu()?;
        let (cpu, bare) = (cpu_then - cpu, bare_then - bare);
        println!(
            "{count} gateways of {MACHINES} machines, {times} times the average: {leaves} leaves and {signed} heads in {seconds:.0} s ({rate:.0} leaves/s)"
        );
        println!(
            "  the archive: {cpu:.2} CPU s, {:.2} % of a core, {:.0} µs a leaf; {}",
            100.0 * cpu / seconds,
            1e6 * cpu / leaves as f64,
            self.memory()?
        );
        println!(
            "  a bare client: {bare:.2} CPU s, {:.2} % of a core; {} KB resident",
            100.0 * bare / seconds,
            memory_kb(self.bare.id(), "VmRSS:")?
        );
        println!("  {}", self.lags.told());
        println!("  behind at the end: {:.2} s", behind.as_secs_f64());
        Ok(())
    }
}

fn steady(gateways: usize, span: Duration) -> Result<()> {
    let scene = Scene::new(gateways)?;
    let began = Instant::now();
    for number in 0..gateways {
        scene.fleet.grow(number, 2 + u64::from(MACHINES))?;
        scene.sign(number)?;
    }
    scene.caught_up()?;
    println!(
        "{gateways} new gateways are there after {:.1} s; {}",
        began.elapsed().as_secs_f64(),
        scene.memory()?
    );
    drop(scene.lags.told());
    for times in [1, 10] {
        scene.hold(times, span)?;
    }
    let (bytes, files) = weight(&scene.place.dir())?;
    println!("on disk: {:.1} MB in {files} files", bytes as f64 / MB);
    ensure!(scene.place.alarms()?.is_empty(), "alarms");
    scene.archive.stop()
}

fn catch_up(gateways: usize, leaves: u64) -> Result<()> {
    let scene = Scene::new(gateways)?;
    let mut bytes = 0;
    for number in 0..gateways {
        bytes += scene.fleet.with(number, |gateway| {
            let range = gateway.grow(leaves)?;
            let lengths = range.filter_map(|index| gateway.leaf(index).map(str::len));
            anyhow::Ok(lengths.sum::<usize>())
        })??;
    }
    let (cpu, _) = scene.cpu()?;
    let began = Instant::now();
    for number in 0..gateways {
        scene.sign(number)?;
    }
    scene.caught_up()?;
    let seconds = began.elapsed().as_secs_f64();
    let (cpu_then, _) = scene.cpu()?;
    let all = leaves as f64 * gateways as f64;
    println!(
        "{gateways} ledgers of {leaves} leaves that it never saw, {:.0} MB: there after {seconds:.1} s ({:.0} leaves/s, {:.1} MB/s), {:.1} CPU s, {:.0} µs a leaf; {}",
        bytes as f64 / MB,
        all / seconds,
        bytes as f64 / MB / seconds,
        cpu_then - cpu,
        1e6 * (cpu_then - cpu) / all,
        scene.memory()?
    );
    scene.archive.stop()
}
