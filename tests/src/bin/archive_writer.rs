//! An archive to be cut off from power, and the judge of what it left.
//!
//! `write STORE` keeps an archive and its witness's key in STORE, and prints what it tells others: leaves that it has
//! acknowledged, heads that it has cosigned; and why it ended, if it does. The gateways that it hears go on from one writer
//! to the next, and begin anew with a new STORE; what they know lies in the folder for temporary files (`TMPDIR`), which must
//! not be cut off. `verify STORE LOG` judges what is left by what was printed.
#![expect(clippy::print_stdout, reason = "it is a program for tests and scripts")]

use anyhow::{Context, Result, bail, ensure};
use lineside::archive::run::{Settings, run};
use lineside::archive::witness::{ForeignLogs, Witness};
use lineside::clock::{Clock as _, SystemClock};
use lineside::uplink::mqtt::Peer;
use lineside_proto::{Time, Topics};
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::durable::{Listener, Said, Store, judge};
use lineside_tests::fleet::{Fleet, Gateway, Size, write_card};
use lineside_tests::proxy::Proxy;
use lineside_tests::wait;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// So many that a pass that all have part in asks for the whole file system to be made durable, and one that few have part
/// in for their files.
const GATEWAYS: usize = 6;
const MACHINES: u32 = 3;
/// From one turn of the gateways to the next.
const TURN: Duration = Duration::from_millis(20);
/// Half an hour: the gateways' clocks go faster than this machine's.
const BEFORE_MS: i64 = 1_800_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["write", dir] => {
            let ended = write(Path::new(dir));
            if let Err(error) = &ended {
                println!("E {error:?}");
            }
            ended
        }
        ["verify", dir, said] => {
            let said = Said::parse(&fs::read_to_string(said)?)?;
            let found = judge(&Store::new(Path::new(dir)), &beside().join("cards"), &said)?;
            println!("{found:?}");
            Ok(())
        }
        _ => bail!("write STORE, or verify STORE LOG"),
    }
}

/// What has power all the time.
fn beside() -> PathBuf {
    env::temp_dir().join("archive-writer")
}

fn write(dir: &Path) -> Result<()> {
    // It must not be begun from within the store, which it would hold.
    let broker = Mosquitto::start(Persistence::Off)?;
    let mut sizes = Sizes::open(!dir.exists())?;
    let fleet = gateways(broker.port(), &sizes)?;
    let mut listener = Listener::default();
    let tap = move |connection, direction, bytes: &[u8]| {
        for line in listener.hear(connection, direction, bytes) {
            println!("{line}");
        }
    };
    let proxy = Proxy::tapped(broker.address(), Box::new(tap))?;
    let settings = settings(dir, proxy.port())?;
    let runtime = Runtime::new()?;
    let archive = runtime.spawn(run(settings, CancellationToken::new()));
    while !archive.is_finished() {
        turn(&fleet, &mut sizes)?;
        wait::throughout(TURN, || Ok(()))?;
    }
    runtime.block_on(archive)??;
    bail!("the archive has ended")
}

fn settings(dir: &Path, port: u16) -> Result<Settings> {
    let store = Store::new(dir);
    let key = store.key();
    let witness = if key.exists() {
        Witness::open(&key)?
    } else {
        Witness::create(&key, "witness.test")?
    };
    Ok(Settings {
        broker: Peer {
            host: "127.0.0.1".to_owned(),
            port,
            client_id: String::new(),
            credentials: None,
            keep_alive: Duration::from_secs(30),
        },
        prefix: Topics::PREFIX.to_owned(),
        dir: store.archive(),
        cards: beside().join("cards"),
        witness: Some(witness),
        cosign_every: Duration::ZERO,
        share: None,
        listen: None,
        postgres: None,
        foreign_logs: ForeignLogs::default(),
        submit: Vec::new(),
    })
}

/// When the gateways' ledgers begin, and how many leaves each has told.
struct Sizes {
    begin: Time,
    sizes: Vec<u64>,
}

impl Sizes {
    fn path() -> PathBuf {
        beside().join("sizes")
    }

    fn open(is_new: bool) -> Result<Self> {
        if is_new || !Self::path().exists() {
            let begin = SystemClock.now().wall.as_millis() - BEFORE_MS;
            return Ok(Self {
                begin: Time::from_millis(begin),
                sizes: vec![0; GATEWAYS],
            });
        }
        let text = fs::read_to_string(Self::path())?;
        let mut words = text.split_whitespace();
        let begin = words.next().context("a begin")?.parse()?;
        let sizes: Result<Vec<u64>, _> = words.map(str::parse).collect();
        let sizes = sizes?;
        ensure!(sizes.len() == GATEWAYS, "{text}");
        let begin = Time::from_millis(begin);
        Ok(Self { begin, sizes })
    }

    /// What a gateway has told it must know again when this program was killed.
    fn tell(&mut self, number: usize, count: u64) -> Result<()> {
        *self.sizes.get_mut(number).context("a gateway")? += count;
        let words = self.sizes.iter().map(u64::to_string).collect::<Vec<_>>();
        let text = format!("{} {}\n", self.begin.as_millis(), words.join(" "));
        let draft = Self::path().with_extension("new");
        fs::write(&draft, text)?;
        Ok(fs::rename(draft, Self::path())?)
    }
}

/// The gateways with all that they told before, and their cards.
fn gateways(port: u16, sizes: &Sizes) -> Result<Fleet> {
    let none = Size {
        sites: 1,
        gateways: 0,
        machines: MACHINES,
        wires: 1,
    };
    let fleet = Fleet::start(port, none)?;
    // They are the same for each writer. One that is killed must not leave half a card.
    let cards = beside().join("cards");
    let draft = beside().join("cards.new");
    fs::create_dir_all(&draft)?;
    for (seed, size) in (0..).zip(&sizes.sizes) {
        let name = format!("gw-{seed}").parse()?;
        let mut gateway = Gateway::new(&"site".parse()?, &name, MACHINES, [seed; 32], sizes.begin)?;
        gateway.grow(*size)?;
        write_card(&draft, &gateway)?;
        let number = fleet.add(gateway)?;
        if *size > 0 {
            fleet.sign(number)?;
        }
    }
    if !cards.exists() {
        fs::rename(&draft, &cards)?;
    }
    Ok(fleet)
}

/// A gateway writes some leaves, and signs now and then; now and then all do.
fn turn(fleet: &Fleet, sizes: &mut Sizes) -> Result<()> {
    let all = fastrand::u8(..) < 8;
    let one = fastrand::usize(..GATEWAYS);
    for number in (0..GATEWAYS).filter(|number| all || *number == one) {
        let most = if fastrand::u8(..) < 8 { 300 } else { 15 };
        let count = fastrand::u64(1..=most);
        sizes.tell(number, count)?;
        fleet.grow(number, count)?;
        if all || fastrand::u8(..) < 90 {
            fleet.sign(number)?;
        }
    }
    Ok(())
}
