//! The process of an archive: its connection to the broker, the thread at the desk, and who is told.
//!
//! ```text
//! broker ─► Intake ─► sorted ─► desk (one plain thread, a pass at a time) ─► acknowledged
//!              ▲                        │ questions, cosignatures
//!              └────────────────────────┘
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lineside_proto::Topics;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::asker::Asker;
use super::desk::{Asked, Desk, DeskError, Input, Output, Said, Terms};
use super::members::{JoinError, Members};
use super::place::Place;
use super::shelf::Shelf;
use super::sorted::{Sorted, filters, is_online, sort};
use super::witness::Witness;
use crate::clock::{Clock, SystemClock};
use crate::ledger::disk;
use crate::logs::chain;
use crate::uplink::mqtt::Peer;
use crate::uplink::mqtt::intake::{Arrival, Intake, Outlet, Post, Ticket};

/// What is taken in by one pass at most: enough that a wait for the disk serves many, little enough to hold.
const PASS_MAX: usize = 1_024;
/// Passes that wait for the desk.
const PASSES_MAX: usize = 4;
/// A pass is made at least this often, so that what is due is done.
const TICK: Duration = Duration::from_millis(250);
/// How long a desk rests whose disk refuses, before what it could not keep comes again.
const REST: Duration = Duration::from_secs(5);
/// What the desk has said and is not done yet.
const OUTPUTS_MAX: usize = 1_024;

/// What an archive is to do.
#[derive(Debug)]
pub struct Settings {
    /// The broker; the client id is made here.
    pub broker: Peer,
    /// The topics' prefix.
    pub prefix: String,
    /// Its directory.
    pub dir: PathBuf,
    /// The folder of enrolment cards.
    pub cards: PathBuf,
    /// Who cosigns; nobody if none.
    pub witness: Option<Witness>,
    /// The name that the processes of one directory share; alone if none.
    pub share: Option<String>,
}

/// Why an archive does not run.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Others work on the directory, or the disk refuses.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The disk refuses.
    #[error("the archive can't be opened")]
    Desk(#[from] DeskError),
    /// The disk refuses.
    #[error("{path}", path = path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The desk ended by itself, which it never does.
    #[error("the archive's desk ended: the log says why")]
    Ended,
}

/// One pass's worth of what came.
#[derive(Debug, Default)]
struct Batch {
    inputs: Vec<Input>,
    tickets: Vec<Ticket>,
}

/// Keeps an archive until it is cancelled.
///
/// # Errors
///
/// See [`ArchiveError`].
pub async fn run(settings: Settings, cancel: CancellationToken) -> Result<(), ArchiveError> {
    let Settings {
        mut broker,
        prefix,
        dir,
        cards,
        witness,
        share,
    } = settings;
    let members = Members::join(&dir, share.is_some())?;
    let shelf = Shelf::of(&dir);
    let logs = shelf.logs_dir();
    disk::make_dirs(&logs).map_err(|source| ArchiveError::Disk { path: logs, source })?;
    let name = format!("archive-{}-{}", name_of(&dir)?, members.me());
    broker.client_id = format!("lineside-{name}");
    let witness = witness.map(Arc::new);
    let desk = Desk::open(shelf, Terms { cards, witness }, members)?;
    let (intake, outlet) = Intake::start(broker, filters(&prefix, share.as_deref(), &name));
    let asker = Arc::new(Asker::new(&prefix, &name, outlet.clone()));
    let (batches, waiting) = mpsc::channel(PASSES_MAX);
    let (outputs, said) = mpsc::channel(OUTPUTS_MAX);
    let (ended, desk_ended) = oneshot::channel();
    let seat = Seat {
        desk,
        outlet: outlet.clone(),
        waiting,
        outputs,
        runtime: Handle::current(),
    };
    let spawned = thread::Builder::new()
        .name("archive".to_owned())
        .spawn(move || {
            seat.work();
            if ended.send(()).is_err() {
                tracing::debug!("nobody waits for the desk any more");
            }
        });
    spawned.map_err(|source| ArchiveError::Disk { path: dir, source })?;
    let mouth = Mouth {
        prefix: prefix.clone(),
        outlet,
        asker: Arc::clone(&asker),
        batches: batches.clone(),
    };
    let ear = Ear {
        prefix,
        name,
        asker,
        batches,
    };
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        () = ear.listen(intake) => Err(ArchiveError::Ended),
        () = mouth.speak(said) => Err(ArchiveError::Ended),
        _ = desk_ended => Err(ArchiveError::Ended),
    }
}

/// The archive's own name, the same for ever: the broker knows it again by that.
fn name_of(dir: &Path) -> Result<String, ArchiveError> {
    let path = dir.join("name");
    let failed = |source| ArchiveError::Disk {
        path: path.clone(),
        source,
    };
    let read = || match fs::read_to_string(&path) {
        Ok(name) => Ok(name.trim().parse::<Ulid>().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(name) = read().map_err(failed)? {
        return Ok(name.to_string().to_lowercase());
    }
    let name = Ulid::new();
    // Two that begin at once: the first to link its draft has named the archive.
    let draft = dir.join(format!("name.{name}"));
    disk::put(&draft, name.to_string().as_bytes()).map_err(failed)?;
    let named = match fs::hard_link(&draft, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match read() {
            Ok(Some(first)) => Ok(first),
            // What stood there was none.
            Ok(None) => fs::rename(&draft, &path).map(|()| name),
            Err(error) => Err(error),
        },
        linked => linked.map(|()| name),
    };
    drop(fs::remove_file(&draft));
    let named = named.map_err(failed)?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed)?;
    Ok(named.to_string().to_lowercase())
}

/// The thread at the desk.
struct Seat {
    desk: Desk,
    outlet: Outlet,
    waiting: mpsc::Receiver<Batch>,
    outputs: mpsc::Sender<Output>,
    runtime: Handle,
}

impl Seat {
    fn work(mut self) {
        let clock = SystemClock;
        loop {
            let next = self
                .runtime
                .block_on(async { time::timeout(TICK, self.waiting.recv()).await });
            let batch = match next {
                Ok(Some(batch)) => batch,
                Ok(None) => return,
                Err(_) => Batch::default(),
            };
            match self.desk.pass(batch.inputs, clock.now()) {
                Ok(outputs) => {
                    self.outlet.acknowledge(batch.tickets);
                    for output in outputs {
                        if self.outputs.blocking_send(output).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    tracing::error!("nothing can be kept for now: {}", chain(&error));
                    self.outlet.reconnect();
                    thread::sleep(REST);
                }
            }
        }
    }
}

/// What comes from the broker, on its way to the desk.
struct Ear {
    prefix: String,
    name: String,
    asker: Arc<Asker>,
    batches: mpsc::Sender<Batch>,
}

impl Ear {
    async fn listen(self, mut intake: Intake) {
        let mut arrivals = Vec::new();
        while intake.next(&mut arrivals, PASS_MAX).await {
            let mut batch = Batch::default();
            for arrival in arrivals.drain(..) {
                self.take(arrival, &mut batch);
            }
            if self.batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    fn take(&self, arrival: Arrival, batch: &mut Batch) {
        match arrival {
            Arrival::Connected(refused) => {
                tracing::info!("the broker is reached");
                for filter in refused {
                    tracing::warn!(filter, "the broker does not let this user hear everything");
                }
                batch.inputs.push(Input::Connected);
            }
            Arrival::Lost(fault) => {
                tracing::warn!("the broker is not reached: {fault}");
                self.asker.lost(&fault.to_string());
            }
            Arrival::Message(message, ticket) => {
                // Whatever it is: when the pass has kept what it brought, it need not come again.
                batch.tickets.push(ticket);
                match sort(&self.prefix, &self.name, &message.topic) {
                    Sorted::Said(site, gateway, kind) => batch.inputs.push(Input::Message {
                        site,
                        gateway,
                        said: kind.of(message.payload),
                    }),
                    Sorted::Status(site, gateway) => {
                        if is_online(&message.payload) {
                            let said = Said::Online;
                            batch.inputs.push(Input::Message {
                                site,
                                gateway,
                                said,
                            });
                        }
                    }
                    Sorted::Answer => self.asker.take(message),
                    Sorted::Availability(..) | Sorted::Request(..) | Sorted::Foreign => {}
                }
            }
        }
    }
}

/// What the desk says, on its way out.
struct Mouth {
    prefix: String,
    outlet: Outlet,
    asker: Arc<Asker>,
    batches: mpsc::Sender<Batch>,
}

impl Mouth {
    async fn speak(self, mut said: mpsc::Receiver<Output>) {
        while let Some(output) = said.recv().await {
            match output {
                Output::Ask(asked) => self.ask(asked),
                Output::Cosigned { place, note, key } => self.cosigned(&place, &note, key).await,
                Output::Grown { .. } | Output::Alarm { .. } => {}
            }
        }
    }

    fn ask(&self, asked: Asked) {
        let (asker, batches) = (Arc::clone(&self.asker), self.batches.clone());
        // As many at once as the desk allows itself.
        tokio::spawn(async move {
            let result = asker.ask(&asked).await;
            let batch = Batch {
                inputs: vec![Input::Answer { asked, result }],
                tickets: Vec::new(),
            };
            // An archive that ends needs no answers.
            drop(batches.send(batch).await);
        });
    }

    async fn cosigned(&self, place: &Place, note: &str, key: [u8; 4]) {
        let topics = Topics::new(&self.prefix, &place.site, &place.gateway);
        for topic in [topics.cosignature_of(key), topics.cosignature()] {
            let post = Post {
                topic,
                payload: note.as_bytes().to_vec(),
                retained: true,
                response_topic: None,
                correlation: None,
            };
            self.outlet.post(post).await;
        }
    }
}
