//! Those who read while an archive works: the API, whoever asks over the broker, the index.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{Note, VerifierKey};
use tokio_util::sync::CancellationToken;

use super::answering::Answering;
use super::index::{Index, IndexError, Indexer, LOCK};
use super::place::Place;
use super::shelf::Shelf;
use super::web::{self, Desk};
use super::witness::{ForeignLogs, Witness};
use super::{Library, Live, Roll};
use crate::clock::SystemClock;
use crate::ledger::disk;
use crate::uplink::mqtt::answers::Answers;

/// How often a process looks whether the index is free for it to write.
const TURN: Duration = Duration::from_secs(5);

/// The readers of one process.
#[derive(Debug)]
pub(super) struct Readers {
    library: Arc<Library>,
    pub(super) live: Arc<Live>,
    index: Arc<Index>,
    wakes: SyncSender<()>,
}

impl Readers {
    /// Opens the index, and begins to write it: of several processes one does. `roll` says who is enrolled.
    pub(super) fn open(
        shelf: &Shelf,
        postgres: Option<&str>,
        roll: Arc<Roll>,
        cancel: CancellationToken,
    ) -> Result<Self, IndexError> {
        let index = match postgres {
            Some(url) => Index::postgres(url)?,
            None => Index::embedded(shelf.dir())?,
        };
        let index = Arc::new(index);
        claimed(shelf, &index)?;
        let (wakes, woken) = sync_channel(1);
        let (of, to) = (shelf.clone(), Arc::clone(&index));
        let spawned = thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || write_index(of, to, &woken));
        if let Err(error) = spawned {
            tracing::error!(%error, "the index is not written");
        }
        Ok(Self {
            library: Arc::new(Library::of(shelf.clone(), cancel)),
            live: Arc::new(Live::new(Arc::new(SystemClock), roll)),
            index,
            wakes,
        })
    }

    /// Serves the API; with a witness, other people's logs may be shown to it. Our own it cosigns only when it holds
    /// their leaves, which nobody can ask it to skip. Gives the address that it listens on.
    pub(super) async fn serve(
        &self,
        listen: SocketAddr,
        witness: Option<(Arc<Witness>, ForeignLogs)>,
    ) -> io::Result<SocketAddr> {
        let desk = Desk::new(Arc::clone(&self.library), Arc::clone(&self.live));
        let mut desk = desk.with_index(Arc::clone(&self.index));
        if let Some((witness, logs)) = witness {
            let known = move |origin: &str| -> Vec<VerifierKey> { logs.keys(origin).to_vec() };
            desk = desk.with_witness(web::witness::router(witness, Arc::new(known)));
        }
        web::serve(listen, desk).await
    }

    /// Who answers over the broker.
    pub(super) fn answering(&self, prefix: &str, answers: Answers) -> Answering {
        let (library, live) = (Arc::clone(&self.library), Arc::clone(&self.live));
        Answering::new(prefix, library, live, answers)
    }

    /// A log has grown.
    pub(super) fn grown(&self, place: &Place, size: u64, root: String) {
        self.live.head(place, size, root, false);
        if self.wakes.try_send(()).is_err() {
            tracing::trace!("the index is about to look already");
        }
    }

    /// A head was cosigned.
    pub(super) fn cosigned(&self, place: &Place, note: &str) {
        let head = Note::parse(note).ok();
        let head = head.and_then(|note| Checkpoint::parse(&note.text).ok());
        if let Some(head) = head {
            self.live
                .head(place, head.size, head.root.to_string(), true);
        }
    }
}

/// Refuses an index that is not this archive's. One that is away now is looked at when it is there.
fn claimed(shelf: &Shelf, index: &Arc<Index>) -> Result<(), IndexError> {
    let (shelf, index) = (shelf.clone(), Arc::clone(index));
    // It waits for a server, which a task may not.
    let begun = thread::spawn(move || index.begin(&shelf)).join();
    match begun {
        Ok(Err(error @ (IndexError::Foreign(_) | IndexError::Later(_)))) => Err(error),
        Ok(Ok(()) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Writes the index for as long as anybody can wake it, once no other process does.
fn write_index(shelf: Shelf, index: Arc<Index>, woken: &Receiver<()>) {
    let path = shelf.dir().join(LOCK);
    let _turn: File = loop {
        match disk::lock(&path) {
            Ok(Some(turn)) => break turn,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the index can't be written for now"),
        }
        // Words meanwhile are for whoever writes it: they look by themselves.
        let waited = woken.recv_timeout(TURN);
        if waited == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
        if waited.is_ok() {
            thread::sleep(TURN);
        }
    };
    Indexer::new(shelf, index).run(woken);
}
