//! How an agent takes up its stores: what earlier runs left is brought together, and the start becomes a leaf.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use lineside_proto::Identifier;
use lineside_proto::ledger::{Boot, Leaf, LeafBody, Shutdown};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::discipline::watch_discipline;
use super::{StartError, in_dir};
use crate::bookings::Bookings;
use crate::clock::{Clock, Discipline, Stamp};
use crate::config::Config;
use crate::config::model::Ledger as Settings;
use crate::ledger::{Ledger, LedgerError};
use crate::machine::account;
use crate::machine::memory::Folded;
use crate::maps::Maps;
use crate::outbox::Outbox;
use crate::progress::{Extent, Progress};
use crate::record::Entry;

/// Bytes of leaves that are read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// The mark of a clean stop, below the state directory.
const STOPPED: &str = "stopped";

/// Everything on disk, opened.
pub(super) struct Stores {
    pub(super) outbox: Outbox,
    pub(super) stream: String,
    pub(super) seq_next: BTreeMap<Identifier, u64>,
    pub(super) progress: Progress,
    pub(super) maps: Maps,
    pub(super) bookings: Bookings,
    pub(super) ledger: Ledger,
    pub(super) folded: Folded,
    pub(super) discipline: watch::Receiver<Discipline>,
}

/// Opens all stores of a state directory, and writes into the ledger that the agent started.
pub(super) fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    boot: &str,
    now: Stamp,
) -> Result<Stores, StartError> {
    let gateway = &config.gateway;
    let state_dir = &gateway.state_dir;
    let failed = in_dir(state_dir);
    // What it found damaged it has said in the log itself.
    let (outbox, recovered) = Outbox::open(&state_dir.join("outbox"), &gateway.outbox, now.wall)?;
    let progress = Progress::open(state_dir, boot).map_err(&failed)?;
    let maps = Maps::open(state_dir).map_err(&failed)?;
    let discipline = watch_discipline(Arc::clone(clock)).map_err(&failed)?;
    let letter = *discipline.borrow();
    let (ledger, folded) = open_ledger(config, &progress, boot, now, letter)?;
    let (site, id) = (gateway.site.clone(), gateway.id.clone());
    let bookings = Bookings::open(state_dir, site, id, &gateway.bookings, &gateway.sessions);
    Ok(Stores {
        outbox,
        stream: recovered.stream,
        seq_next: recovered.next_seq,
        progress,
        maps,
        bookings: bookings.map_err(failed)?,
        ledger,
        folded,
        discipline,
    })
}

/// Opens the ledger, brings together what earlier runs knew of the machines, and writes that the agent
/// started.
fn open_ledger(
    config: &Config,
    progress: &Progress,
    boot: &str,
    now: Stamp,
    clock: Discipline,
) -> Result<(Ledger, Folded), LedgerError> {
    let gateway = &config.gateway;
    let state_dir = &gateway.state_dir;
    let Settings {
        key,
        origin,
        witnesses,
    } = &gateway.ledger;
    let (ledger, opened) = Ledger::open_witnessed(state_dir, key, origin, witnesses)?;
    let mut folded = fold(&ledger, config, progress)?;
    let mut bodies = Vec::new();
    if opened.size == 0 {
        bodies.push(opened.genesis(&gateway.site, &gateway.id));
    }
    bodies.push(LeafBody::Boot(Boot {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: build(),
        previous: previous(state_dir, opened.size),
        clock: clock.status,
        error_ms: clock.error_ms,
    }));
    let entry = |body| Entry { at: now, body };
    let mut entries: Vec<Entry> = bodies.into_iter().map(entry).collect();
    if let Some(change) = ledger.untold_key_change()? {
        entries.push(entry(LeafBody::Key(change)));
    }
    entries.extend(retired(config, &mut folded, now));
    ledger.append(boot, &entries)?;
    Ok((ledger, folded))
}

/// What the progress record knows, and the leaves that were written after it.
fn fold(ledger: &Ledger, config: &Config, progress: &Progress) -> Result<Folded, LedgerError> {
    let recalled = progress.recalled(Extent {
        origin: &ledger.origin(),
        leaves: ledger.size(),
    });
    let named = |machine: &Identifier| config.machines.iter().any(|map| map.machine == *machine);
    let mut marks = recalled.iter().filter(|(machine, recalled)| {
        let running = recalled.memory.running.as_ref();
        named(machine) || running.is_some_and(|running| running.session.is_some())
    });
    let first = marks.next().map(|(_, recalled)| recalled.running_leaves);
    let mut from = marks
        .map(|(_, recalled)| recalled.running_leaves)
        .chain(first)
        .min()
        .unwrap_or(0);
    let mut folded = Folded::new(recalled);
    while from < ledger.size() {
        let part = ledger.read(from, READ_BYTES_MAX)?;
        let Some((last, _)) = part.last() else { break };
        from = last + 1;
        for (_, bytes) in &part {
            folded.fold(&Leaf::from_bytes(bytes)?);
        }
    }
    Ok(folded)
}

/// Ends the sessions of machines that are no longer configured.
fn retired(config: &Config, folded: &mut Folded, now: Stamp) -> Vec<Entry> {
    let named = |machine: &Identifier| config.machines.iter().any(|map| map.machine == *machine);
    let gone: Vec<_> = folded
        .machines()
        .filter(|machine| !named(machine))
        .cloned()
        .collect();
    let mut entries = Vec::new();
    for machine in gone {
        if let Some(memory) = folded.memory_mut(&machine) {
            entries.extend(account::retire(&machine, memory, now));
        }
    }
    entries
}

/// How the run before ended. Until this one ends well it counts as killed.
fn previous(state_dir: &Path, leaves: u64) -> Shutdown {
    let removed = fs::remove_file(state_dir.join(STOPPED));
    let synced = removed.and_then(|()| File::open(state_dir)?.sync_all());
    match synced {
        Ok(()) => Shutdown::Clean,
        Err(_) if leaves == 0 => Shutdown::None,
        Err(_) => Shutdown::Crash,
    }
}

/// Leaves word that this run ended well.
pub(super) fn say_stopped(state_dir: &Path) -> io::Result<()> {
    File::create(state_dir.join(STOPPED))?.sync_all()?;
    File::open(state_dir)?.sync_all()
}

/// `sha256:` and the hash of the running program's file; empty where the system does not show it.
fn build() -> String {
    let hash = || {
        let mut file = File::open("/proc/self/exe")?;
        let mut hash = Sha256::new();
        let mut part = vec![0; READ_BYTES_MAX];
        loop {
            let count = file.read(&mut part)?;
            if count == 0 {
                return Ok::<_, io::Error>(hash.finalize());
            }
            hash.update(part.get(..count).unwrap_or_default());
        }
    };
    hash().map_or_else(|_| String::new(), |hash| format!("sha256:{hash:x}"))
}
