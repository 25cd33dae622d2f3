//! The process of an archive: its connection to the broker, the thread at the desk, and who is told.
//!
//! ```text
//! broker ─► Intake ─► Ear ─► desk (one plain thread, a pass at a time) ─► acknowledged
//!        ▲                    │ cosignatures, questions
//!        └─ Outlet, Asker ◄── Mouth
//! broker ◄► Exchange: who is there, what machines do, requests, questions and answers
//! ```
//!
//! The desk waits for the mouth, and everybody who brings something for the desk; the mouth waits for nobody.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::asker::Asker;
use super::desk::{Desk, DeskError, Input, Terms};
use super::ear::Ear;
use super::exchange::{Exchange, Hearers};
use super::index::IndexError;
use super::members::{Common, JoinError, Members};
use super::mouth::Mouth;
use super::readers::Readers;
use super::seat;
use super::shelf::Shelf;
use super::sorted::ledger_filters;
use super::witness::{ForeignLogs, Target, Witness};
use crate::ledger::disk;
use crate::uplink::mqtt::Peer;
use crate::uplink::mqtt::intake::{Intake, Load, Ticket};

/// What is taken in by one pass, near enough: enough that a wait for the disk serves many, little enough to hold.
pub(super) const PASS_MAX: usize = 1_024;
/// Bundles of what came that wait for the desk; how much they hold together is bounded by its bytes.
const BATCHES_MAX: usize = 64;
/// Files that may be open: enough for ten thousand gateways.
const FILES_MAX: u64 = 65_536;
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
    /// How often a head of one gateway is cosigned at most.
    pub cosign_every: Duration,
    /// The name that the processes of one directory share; alone if none.
    pub share: Option<String>,
    /// Where the API listens; nowhere if none.
    pub listen: Option<SocketAddr>,
    /// The index in PostgreSQL; the directory's own if none.
    pub postgres: Option<String>,
    /// Other people's logs that the witness cosigns.
    pub foreign_logs: ForeignLogs,
    /// Other people's witnesses that our logs are shown to.
    pub submit: Vec<Target>,
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
    /// The API's address is taken, or not ours.
    #[error("{address} can't be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The index can't be used.
    #[error("the index can't be used")]
    Index(#[from] IndexError),
    /// The desk has not finished a pass for so long that only a new start helps: a disk that never answers, or a fault.
    #[error("the archive's desk has stood still for {max:?}: is the disk answering?", max = seat::STALL_MAX)]
    Stalled,
    /// The desk ended by itself, which it never does.
    #[error("the archive's desk ended: the log says why")]
    Ended,
}

/// What came together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) inputs: Vec<Input>,
    pub(super) tickets: Vec<Ticket>,
    /// The bytes of what came: others may come when this is dropped.
    pub(super) loads: Vec<Load>,
}

impl Batch {
    /// What came later goes behind.
    pub(super) fn add(&mut self, later: Self) {
        self.inputs.extend(later.inputs);
        self.tickets.extend(later.tickets);
        self.loads.extend(later.loads);
    }

    /// Of one input that nobody waits to have acknowledged.
    pub(super) fn of(input: Input) -> Self {
        Self {
            inputs: vec![input],
            ..Self::default()
        }
    }
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
        cosign_every,
        share,
        listen,
        postgres,
        foreign_logs,
        submit,
    } = settings;
    allow_files();
    let witness_hash = witness.as_ref().map(|witness| witness.key().hash());
    let common = Common::of(share.as_deref(), witness_hash, &cards);
    let members = Members::join(&dir, &common)?;
    let shelf = Shelf::of(&dir);
    let logs = shelf.logs_dir();
    disk::make_dirs(&logs).map_err(|source| ArchiveError::Disk { path: logs, source })?;
    let name = format!("archive-{}-{}", name_of(&dir)?, members.me());
    broker.client_id = format!("lineside-{name}");
    let witness = witness.map(Arc::new);
    let terms = Terms {
        cards,
        witness: witness.clone(),
        cosign_every,
    };
    let desk = Desk::open(shelf.clone(), terms, members)?;
    let readers = Readers::open(&shelf, postgres.as_deref(), desk.enrolled(), cancel.clone())?;
    if let Some(address) = listen {
        let witness = witness.map(|witness| (witness, foreign_logs));
        let serving = readers.serve(address, witness).await;
        let address = serving.map_err(|source| ArchiveError::Listen { address, source })?;
        tracing::info!(%address, "the archive's API listens");
    }
    let (exchange, answers) = Exchange::start(broker.clone(), &prefix, &name);
    let (intake, outlet) = Intake::start(broker, ledger_filters(&prefix, share.as_deref()));
    let asker = Arc::new(Asker::new(&prefix, &name, answers.clone()));
    let (batches, waiting) = mpsc::channel(BATCHES_MAX);
    let (outputs, said) = mpsc::channel(OUTPUTS_MAX);
    let seated = seat::take(desk, outlet.clone(), waiting, outputs);
    let seated = seated.map_err(|source| ArchiveError::Disk { path: dir, source })?;
    let hearers = Hearers {
        answering: readers.answering(&prefix, answers),
        live: Arc::clone(&readers.live),
        asker: Arc::clone(&asker),
        batches: batches.clone(),
    };
    let ear = Ear {
        prefix: prefix.clone(),
        name,
        batches: batches.clone(),
    };
    let mouth = Mouth::new(prefix, (outlet, asker), batches, readers, (shelf, submit));
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        () = ear.listen(intake) => Err(ArchiveError::Ended),
        () = exchange.listen(hearers) => Err(ArchiveError::Ended),
        () = mouth.speak(said) => Err(ArchiveError::Ended),
        is_stalled = seated.ended() => match is_stalled {
            true => Err(ArchiveError::Stalled),
            false => Err(ArchiveError::Ended),
        },
    }
}

/// Lets this process have as many files open as it may: two are for each gateway, and shells allow a thousand.
fn allow_files() {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: Some(now.maximum.unwrap_or(FILES_MAX).min(FILES_MAX)),
        maximum: now.maximum,
    };
    if now
        .current
        .is_some_and(|current| Some(current) < wanted.current)
    {
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "no more files may be open than {:?}", now.current);
        }
    }
}

/// The archive's own name, the same for ever: the broker knows it again by that.
fn name_of(dir: &Path) -> Result<String, ArchiveError> {
    let path = dir.join("name");
    let failed = |source| ArchiveError::Disk {
        path: path.clone(),
        source,
    };
    let shelf = Shelf::of(dir);
    if let Some(name) = shelf.name().map_err(failed)? {
        return Ok(name.to_string().to_lowercase());
    }
    let name = Ulid::new();
    // Two that begin at once: the first to link its draft has named the archive.
    let draft = dir.join(format!("name.{name}"));
    disk::put(&draft, name.to_string().as_bytes()).map_err(failed)?;
    let named = match fs::hard_link(&draft, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match shelf.name() {
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
