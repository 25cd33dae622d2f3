//! The only wiring: what starts the parts, joins them by bounded channels, reloads and stops them.
//!
//! One recording thread, one task a physical link, two for the uplink, one for the supervisor, which
//! owns the field and answers questions. A part that ends early ends the agent: systemd starts it anew.

mod maps;
mod probed;
mod progress;
mod recording;
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

pub use maps::Maps;
pub use probed::{ProbeFailure, Probed, places, probed};
pub use supervisor::{Ask, Difference, ReloadError};

use crate::clock::{Clock, SystemClock, boot_id};
use crate::config::Config;
use crate::config::model::Gateway;
use crate::field::Field;
use crate::field::opcua::Own;
use crate::live::Live;
use crate::machine::availability::Origin;
use crate::machine::memory::Folded;
use crate::machine::recorder::Recorder;
use crate::machine::session::Rules;
use crate::outbox::{Outbox, StoreError};
use crate::uplink;
use crate::uplink::board::{Board, Place, Retained};
use progress::Progress;
use recording::{Recording, clock_status};
use supervisor::Supervisor;

/// Observations between the links and the recording thread: about a second's worth of ten large
/// machines. A full channel slows the links down, which skip and count what they miss.
const OBSERVATIONS_DEPTH: usize = 64;

/// Orders to the recording thread: a reload gives two for each machine.
const ORDERS_DEPTH: usize = 64;

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
    /// A part did not end in time, or ended by itself.
    #[error("{0} ended unexpectedly or not in time")]
    Part(&'static str),
}

/// The running agent.
#[derive(Debug)]
pub struct Agent {
    asks: mpsc::Sender<Ask>,
    live: watch::Receiver<Arc<Live>>,
    supervisor: JoinHandle<()>,
    recording: oneshot::Receiver<Result<(), StoreError>>,
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
        let boot = boot_id();
        let now = clock.now();
        // What it found damaged it has said in the log itself.
        let (outbox, recovered) =
            Outbox::open(&gateway.state_dir.join("outbox"), &gateway.outbox, now.wall)?;
        let state_dir_error = |source| StartError::StateDir {
            dir: gateway.state_dir.clone(),
            source,
        };
        let progress = Progress::open(&gateway.state_dir, &boot).map_err(state_dir_error)?;
        let origin = Origin {
            site: gateway.site.clone(),
            gateway: gateway.id.clone(),
            boot,
            heartbeat: gateway.heartbeat,
        };

        let (board, board_seen) = watch::channel(cleared(&config, &progress));
        let (observations, observations_taken) = mpsc::channel(OBSERVATIONS_DEPTH);
        let (orders, orders_taken) = mpsc::channel(ORDERS_DEPTH);
        let recording = Recording {
            clock: Arc::clone(&clock),
            recorder: recorder(&origin, &gateway, &recovered.stream),
            origin,
            started: now.wall,
            outbox: outbox.clone(),
            folded: Folded::new(progress.recalled(0)),
            progress,
            seq_next: recovered.next_seq,
            commit_every: gateway.outbox.commit,
            board,
            observations: observations_taken,
            orders: orders_taken,
            awaited: config.machines.len(),
        };
        let recording = spawn_recording(recording).map_err(state_dir_error)?;

        let stop_uplink = CancellationToken::new();
        let stop_field = CancellationToken::new();
        let uplink = start_uplink(&gateway, &outbox, board_seen, &stop_uplink);
        let own = Own::of(&gateway);
        let supervisor = Supervisor {
            clock: Arc::clone(&clock),
            started: now.wall,
            gateway,
            config_path,
            field: Field::new(clock, own, observations),
            machines: Vec::new(),
            slot_next: 0,
            texts: BTreeMap::new(),
            orders,
            outbox,
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

    /// Waits until a part ends by itself, which none should.
    pub async fn ended(&mut self) -> StopError {
        tokio::select! {
            result = &mut self.recording => match result {
                Ok(Err(error)) => StopError::Store(error),
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
            Ok(Ok(result)) => result.map_err(StopError::Store)?,
            Ok(Err(_)) | Err(_) => return Err(StopError::Part("the recorder")),
        }
        uplink
            .map_err(|_| StopError::Part("the uplink"))?
            .map_err(|_| StopError::Part("the uplink"))
    }
}

fn start_uplink(
    gateway: &Gateway,
    outbox: &Outbox,
    board: watch::Receiver<Board>,
    stop: &CancellationToken,
) -> uplink::Running {
    let topics = Topics::new(&gateway.uplink.prefix, &gateway.site, &gateway.id);
    let offline = GatewayStatus::offline(gateway.site.clone(), gateway.id.clone());
    uplink::start(
        &gateway.uplink,
        topics,
        offline,
        outbox.clone(),
        board,
        stop.clone(),
    )
}

/// The recorder, without machines.
fn recorder(origin: &Origin, gateway: &Gateway, stream: &str) -> Recorder {
    let rules = Rules {
        check_in: gateway.bookings.check_in,
        idle_close: gateway.sessions.idle_close,
    };
    Recorder::new(origin.clone(), gateway.telemetry.clone(), rules, stream)
}

/// Makes the state directory, closed to all but us and our group.
fn prepare(dir: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(dir)
        .map_err(|source| StartError::StateDir {
            dir: dir.to_owned(),
            source,
        })
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
) -> std::io::Result<oneshot::Receiver<Result<(), StoreError>>> {
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
fn clock_document(clock: &dyn Clock) -> lineside_proto::Clock {
    lineside_proto::Clock {
        status: clock_status(clock.now()),
        offset_ms: None,
    }
}
