//! The only wiring: what starts the parts, joins them by bounded channels, reloads and stops them.
//!
//! One recording thread, one task a physical link, two for the uplink, one for the supervisor, which
//! owns the field and answers questions. A part that ends early ends the agent: systemd starts it anew.

mod ask;
mod discipline;
mod opening;
mod probed;
mod recording;
mod sessions;
mod snapshot;
mod supervisor;

use lineside_proto::{GatewayStatus, Identifier, Topics};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use ask::{Arrival, Ask, Departure, Refused, Reply, Rotated, put};
pub use probed::{ProbeFailure, Probed, places, probed};
pub use sessions::PastSession;
pub use supervisor::{Difference, ReloadError};

use crate::answers::{self, Answers};
use crate::clock::{Clock, Discipline, SystemClock, boot_id};
use crate::config::Config;
use crate::config::model::Gateway;
use crate::field::Field;
use crate::field::opcua::Own;
use crate::ledger::{Ledger, LedgerError};
use crate::live::Live;
use crate::maps::Maps;
use crate::outbox::{Outbox, StoreError};
use crate::progress::Progress;
use crate::tokens::Tokens;
use crate::uplink;
use crate::uplink::board::{Board, Place, Retained, status_of};
use crate::uplink::commands::{self, Inbound};
use recording::{Intake, Outlet, Recording};
use supervisor::Supervisor;

/// Observations between the links and the recording thread: about a second's worth of ten large
/// machines. A full channel slows the links down, which skip and count what they miss.
const OBSERVATIONS_DEPTH: usize = 64;

/// Orders to the recording thread: a reload gives two for each machine.
const ORDERS_DEPTH: usize = 64;

/// Messages of portals that wait for the recording thread; the connection waits when more come.
const MAIL_DEPTH: usize = 16;

/// Questions to the supervisor that wait at once.
const ASKS_DEPTH: usize = 16;

/// How long the links, the recording thread and the uplink may each take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How often a snapshot is made while somebody looks.
const LIVE_EVERY: Duration = Duration::from_millis(250);

/// Why the agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be opened: exit code 4.
    #[error("the store can't be opened")]
    Store(#[from] StoreError),
    /// The ledger can't be opened: exit code 4.
    #[error("the ledger can't be opened")]
    Ledger(#[from] LedgerError),
    /// The state directory can't be used: exit code 4.
    #[error("the state directory {dir} can't be used")]
    StateDir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why the agent did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The store failed: exit code 4.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// The ledger failed: exit code 4.
    #[error("the ledger failed")]
    Ledger(#[source] LedgerError),
    /// A part did not end in time, or ended by itself.
    #[error("{0} ended unexpectedly or not in time")]
    Part(&'static str),
}

/// The running agent.
#[derive(Debug)]
pub struct Agent {
    asks: mpsc::Sender<Ask>,
    known: Arc<Answers>,
    live: watch::Receiver<Arc<Live>>,
    supervisor: JoinHandle<()>,
    recording: oneshot::Receiver<Result<(), StopError>>,
    uplink: JoinHandle<()>,
    /// Ends the supervisor, and with it the links and the recording thread.
    stop_field: CancellationToken,
    stop_uplink: CancellationToken,
}

impl Agent {
    /// Starts everything. `config_path` is what a reload reads again.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; what can't be *reached* never keeps the agent from starting.
    pub async fn start(config: Config, config_path: PathBuf) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let gateway = config.gateway.clone();
        prepare(&gateway.state_dir)?;
        let (boot, now) = (boot_id(), clock.now());
        let stores = opening::open(&config, &clock, &boot, now)?;
        let (outbox, ledger) = (stores.outbox.clone(), stores.ledger.clone());
        let (maps, discipline) = (stores.maps.clone(), stores.discipline.clone());
        let (board, board_seen) = watch::channel(cleared(&config, &stores.progress));
        let (observations, observations_taken) = mpsc::channel(OBSERVATIONS_DEPTH);
        let (orders, orders_taken) = mpsc::channel(ORDERS_DEPTH);
        let (mail, mail_taken) = mpsc::channel(MAIL_DEPTH);
        let (kept, kept_told) = oneshot::channel();
        let (machines, machines_seen) = watch::channel(Arc::default());
        let intake = Intake {
            observations: observations_taken,
            orders: orders_taken,
            mail: mail_taken,
            kept: Some(kept_told),
        };
        let (start, outlet) = ((boot, now.wall), Outlet { board, machines });
        let recording = Recording::new(&config, Arc::clone(&clock), start, stores, intake, outlet);
        let recording = spawn_recording(recording).map_err(in_dir(&gateway.state_dir))?;
        let (stop_uplink, stop_field) = (CancellationToken::new(), CancellationToken::new());
        let known = known(&gateway, &ledger, maps, &board_seen, &stop_uplink);
        let sources = Sources {
            outbox: outbox.clone(),
            ledger: ledger.clone(),
            known: Arc::clone(&known),
            board: board_seen,
        };
        let inbound = Inbound {
            machines: machines_seen,
            bookings: mail,
            kept,
            witnessed: ledger.witnessed(),
        };
        let uplink = start_uplink(&gateway, sources, inbound, &stop_uplink);
        let supervisor = Supervisor {
            clock: Arc::clone(&clock),
            started: now.wall,
            field: Field::new(clock, Own::of(&gateway), observations),
            gateway,
            config_path,
            machines: Vec::new(),
            slot_next: 0,
            texts: BTreeMap::new(),
            orders,
            outbox,
            ledger,
            discipline,
            uplink: uplink.figures.clone(),
        };
        let (asks, asks_taken) = mpsc::channel(ASKS_DEPTH);
        let (live, live_seen) = watch::channel(Arc::new(supervisor.live(Vec::new())));
        let supervisor = supervisor
            .start(config.machines, asks_taken, stop_field.clone())
            .await;
        keep_live(asks.clone(), live);
        Ok(Self {
            asks,
            known,
            live: live_seen,
            supervisor,
            recording,
            uplink: uplink.task,
            stop_field,
            stop_uplink,
        })
    }

    /// Snapshots, made anew a few times a second while somebody holds a receiver.
    pub fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.live.clone()
    }

    /// Where questions go: what `status`, `probe` and `apply` ask.
    pub fn asks(&self) -> mpsc::Sender<Ask> {
        self.asks.clone()
    }

    /// What requests are answered from.
    pub fn known(&self) -> Arc<Answers> {
        Arc::clone(&self.known)
    }

    /// Waits until a part ends by itself, which none should.
    pub async fn ended(&mut self) -> StopError {
        tokio::select! {
            result = &mut self.recording => match result {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => StopError::Part("the recorder"),
            },
            _ = &mut self.supervisor => StopError::Part("the supervisor"),
            _ = &mut self.uplink => StopError::Part("the uplink"),
        }
    }

    /// Stops: the links end their exchange, everything read becomes durable, the broker is told
    /// OFFLINE. Does nothing that recovery could not do without.
    ///
    /// # Errors
    ///
    /// What did not end in time, or a store that failed at the last commit.
    pub async fn stop(self) -> Result<(), StopError> {
        self.stop_field.cancel();
        let timeout = tokio::time::timeout(STOP_PATIENCE, self.supervisor).await;
        let field = timeout.map_err(|_| StopError::Part("the field"));
        let recorded = tokio::time::timeout(STOP_PATIENCE, self.recording).await;
        self.stop_uplink.cancel();
        let uplink = tokio::time::timeout(STOP_PATIENCE, self.uplink).await;
        field?.map_err(|_| StopError::Part("the supervisor"))?;
        match recorded {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) | Err(_) => return Err(StopError::Part("the recorder")),
        }
        uplink
            .map_err(|_| StopError::Part("the uplink"))?
            .map_err(|_| StopError::Part("the uplink"))
    }
}

/// What the uplink reads.
struct Sources {
    outbox: Outbox,
    ledger: Ledger,
    known: Arc<Answers>,
    board: watch::Receiver<Board>,
}

/// What requests are answered from, over MQTT and over the local API.
fn known(
    gateway: &Gateway,
    ledger: &Ledger,
    maps: Maps,
    board: &watch::Receiver<Board>,
    stop: &CancellationToken,
) -> Arc<Answers> {
    let state_dir = gateway.state_dir.clone();
    let source = answers::Gateway {
        ledger: ledger.clone(),
        maps: Arc::new(move |hash| maps.text(hash)),
        tokens: Arc::new(move |hash| Tokens::of(&state_dir).text(hash)),
        status: status_of(board.clone()),
    };
    Arc::new(Answers::new(source, stop.clone()))
}

fn start_uplink(
    gateway: &Gateway,
    sources: Sources,
    inbound: Inbound,
    stop: &CancellationToken,
) -> uplink::Running {
    let topics = Topics::new(&gateway.uplink.prefix, &gateway.site, &gateway.id);
    let offline = GatewayStatus::offline(gateway.site.clone(), gateway.id.clone());
    let Sources {
        outbox,
        ledger,
        known,
        board,
    } = sources;
    let settings = &gateway.uplink;
    let (settings_of, topics_of) = (settings.clone(), topics.clone());
    let (gateway_of, stop_of) = (offline.clone(), stop.clone());
    let mut inbound = inbound;
    tokio::spawn(async move {
        // Bookings that came before the machines have joined would be taken for a stranger's.
        if inbound.machines.changed().await.is_ok() {
            // Ends with the uplink, by the same word.
            drop(commands::start(
                &settings_of,
                topics_of,
                &gateway_of,
                inbound,
                known,
                stop_of,
            ));
        }
    });
    let sources = uplink::Sources {
        outbox,
        ledger,
        board,
    };
    uplink::start(settings, topics, offline, sources, stop.clone())
}

/// Makes the state directory, closed to all but us and our group.
fn prepare(dir: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(dir)
        .map_err(in_dir(dir))
}

/// For what went wrong in the state directory.
fn in_dir(dir: &Path) -> impl Fn(std::io::Error) -> StartError {
    let dir = dir.to_owned();
    move |source| StartError::StateDir {
        dir: dir.clone(),
        source,
    }
}

/// A board that clears what the broker may still keep of machines that are no longer configured.
fn cleared(config: &Config, progress: &Progress) -> Board {
    let mut board = Board::default();
    let configured =
        |machine: &Identifier| config.machines.iter().any(|map| map.machine == *machine);
    for machine in progress.machines().filter(|machine| !configured(machine)) {
        for place in Place::all_of(machine) {
            let nothing = Retained {
                payload: Vec::new().into(),
                version: 0,
                made: Instant::now(),
                max_age: None,
            };
            board.documents.insert(place, nothing);
        }
    }
    board
}

fn spawn_recording(
    recording: Recording,
) -> std::io::Result<oneshot::Receiver<Result<(), StopError>>> {
    let (done, recorded) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || {
            // Nobody waits any more where the agent was dropped without a stop.
            drop(done.send(recording.run(&runtime)));
        })?;
    Ok(recorded)
}

/// Keeps the live snapshot fresh as long as the agent runs and somebody looks.
fn keep_live(asks: mpsc::Sender<Ask>, live: watch::Sender<Arc<Live>>) {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(LIVE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            // The agent itself holds one receiver.
            if live.receiver_count() <= 1 {
                if asks.is_closed() || live.is_closed() {
                    return;
                }
                continue;
            }
            let (reply, answer) = oneshot::channel();
            if asks.send(Ask::Live(reply)).await.is_err() {
                return;
            }
            if let Ok(snapshot) = answer.await {
                live.send_replace(Arc::new(snapshot));
            }
        }
    });
}

/// How far the clock can be trusted, for a snapshot.
fn clock_document(discipline: Discipline) -> lineside_proto::Clock {
    let error_ms = discipline.error_ms;
    lineside_proto::Clock {
        status: discipline.status,
        offset_ms: error_ms.and_then(|error_ms| i64::try_from(error_ms).ok()),
    }
}
