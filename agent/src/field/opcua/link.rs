//! One OPC UA server: the only task that speaks to it.
//!
//! It opens a session, keeps what is subscribed there equal to what is wanted, and hands on what
//! comes. It believes no session that is merely open: the server's clock must go on and its
//! subscriptions must be heard, or the session is torn down. What was lost meanwhile is filled from
//! the server's history or named. While the server is out of reach every poll group says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lineside_proto::Time;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::Own;
use super::fault::OpcFault;
use super::filling::Filling;
use super::freshness::Patience;
use super::gap::Gaps;
use super::item::Spot;
use super::note::NOTES_MAX;
use super::session::{self, SESSION_TIMEOUT};
use super::value::Word;
use super::wanted::Wanted;
use crate::config::model::Server;
use crate::field::LinkParts;
use crate::field::backoff::Backoff;
use crate::field::fault::LinkFault;
use crate::live::LinkPhase;
use crate::sample::{Bad, Batch, Missed, Observation, Sample, Slot};
use crate::text::Text;

mod gaps;
mod notes;
mod serve;
mod visit;

#[cfg(test)]
mod tests;

/// Sessions that may be left behind at a server, which keeps each until it times out: with the one at
/// work there are never more than three.
const LEFT_MAX: usize = 2;

/// One server at work.
pub(in crate::field) struct Link {
    server: Arc<Server>,
    own: Arc<Own>,
    parts: LinkParts,
    name: String,
    patience: Patience,
    notes_max: usize,
    wanted: Wanted,
    gaps: Gaps,
    /// Gaps that are being filled, which outlives a session.
    fillings: JoinSet<Filling>,
    /// What must be named of each if it can't be filled.
    filling: BTreeMap<Id, Missed>,
    /// Gaps whose filling was broken off: at most as many a machine as one may be tried.
    unfilled: Vec<(Filling, Missed)>,
    /// Points that were found to have no history.
    without_history: BTreeSet<Spot>,
    /// Points that can't be taken for what the map says, with what they are.
    unsupported: BTreeMap<Spot, Word>,
    /// The same, as it is shown.
    misfits: Option<OpcFault>,
    /// Namespaces that the server does not have; told when that changes.
    strange: BTreeSet<String>,
    /// The same, as it is shown.
    lacks: Option<OpcFault>,
    /// How many points the server last refused; told when that changes.
    refused: usize,
    backoff: Backoff,
    /// What the server's clock showed, if anything, when it was given up as frozen; none: it was not.
    stopped: Option<Option<Time>>,
    /// When sessions were left behind.
    left: VecDeque<Instant>,
    /// Whether a person was told that the link is down; none: nothing was told yet.
    told_down: Option<bool>,
    fault: LinkFault,
    /// Messages that found no room.
    spilled: Arc<AtomicU64>,
}

/// Why a session is over.
enum Down {
    /// The link is to end.
    Ended,
    /// It is lost, or could not be opened.
    Lost(OpcFault),
}

impl Link {
    /// A link that has not been opened yet.
    pub(in crate::field) fn new(server: Arc<Server>, own: Arc<Own>, parts: LinkParts) -> Self {
        Self {
            name: format!("opc-ua {}", server.url),
            server,
            own,
            parts,
            patience: Patience::USUAL,
            notes_max: NOTES_MAX,
            wanted: Wanted::default(),
            gaps: Gaps::default(),
            fillings: JoinSet::new(),
            filling: BTreeMap::new(),
            unfilled: Vec::new(),
            without_history: BTreeSet::new(),
            unsupported: BTreeMap::new(),
            misfits: None,
            strange: BTreeSet::new(),
            lacks: None,
            refused: 0,
            backoff: Backoff::default(),
            stopped: None,
            left: VecDeque::new(),
            told_down: None,
            fault: LinkFault::NotYet,
            spilled: Arc::default(),
        }
    }

    /// Works until it is cancelled or nobody takes what it hears.
    pub(in crate::field) async fn run(mut self) {
        self.take_jobs();
        loop {
            let down = match self.open().await {
                Ok(opened) => self.serve(opened).await,
                Err(down) => down,
            };
            let Down::Lost(fault) = down else {
                break;
            };
            let wait = self.backoff.fail();
            self.show(fault);
            self.tell_loss().await;
            self.parts.board.set_phase(LinkPhase::Backoff);
            // Cancelled: the next step ends.
            let wait = wait.max(self.room());
            let _ended = self.meanwhile(sleep(wait)).await;
        }
        self.name_gaps();
    }

    async fn open(&mut self) -> Result<session::Opened, Down> {
        self.parts.board.set_phase(LinkPhase::Connecting);
        let (server, own) = (Arc::clone(&self.server), Arc::clone(&self.own));
        let clock = Arc::clone(&self.parts.clock);
        let opening = async move { session::open(&server, &own, &clock).await };
        let opened = self.meanwhile(opening).await.ok_or(Down::Ended)?;
        opened.map_err(|fault| {
            if leaves_session(&fault) {
                self.leave();
            }
            Down::Lost(fault)
        })
    }

    /// Waits for something while nothing can be asked. None: the link is to end.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        tokio::pin!(future);
        loop {
            let parts = &mut self.parts;
            tokio::select! {
                biased;
                () = parts.cancel.cancelled() => return None,
                output = &mut future => return Some(output),
                changed = parts.jobs.changed() => {
                    changed.ok()?;
                    self.take_jobs();
                }
                order = parts.probes.recv(), if self.told_down == Some(true) => {
                    order?.refuse(self.fault.clone());
                }
            }
        }
    }

    /// A session is left behind.
    fn leave(&mut self) {
        self.left.push_back(Instant::now());
    }

    /// How long to wait until the server has room for another session of ours.
    fn room(&mut self) -> Duration {
        let now = Instant::now();
        self.left.retain(|left| *left + SESSION_TIMEOUT > now);
        let over = self.left.len().checked_sub(LEFT_MAX);
        let until = over.and_then(|over| self.left.get(over));
        until.map_or(Duration::ZERO, |left| {
            (*left + SESSION_TIMEOUT).saturating_duration_since(now)
        })
    }

    /// Takes over what is to be read; what stays keeps its items and what was learned.
    fn take_jobs(&mut self) {
        let specs = self.parts.jobs.borrow_and_update().clone();
        self.wanted.take(&specs);
        let stays = |slot: Slot| specs.iter().any(|spec| spec.slot == slot);
        self.gaps.retain(stays);
        self.filling.retain(|_, missed| stays(missed.slot));
        self.unfilled.retain(|(_, missed)| stays(missed.slot));
        self.without_history.retain(|spot| stays(spot.slot));
        self.unsupported.retain(|spot, _| stays(spot.slot));
        if self.misfits.is_some() {
            self.name_misfits();
        }
        self.gauge();
    }

    /// Counts what is wanted and what is there, by connection.
    fn gauge(&self) {
        let mut counts = BTreeMap::new();
        for item in self.wanted.items() {
            let counters = &item.spec.counters;
            let count = counts
                .entry(Arc::as_ptr(counters))
                .or_insert((counters, 0, 0));
            count.1 += 1;
            count.2 += u64::from(self.wanted.is_made(item.spot));
        }
        for (counters, wanted, made) in counts.into_values() {
            counters.set_items(wanted, made);
        }
    }

    /// Every poll group says that the link is down. Gives how long that took.
    async fn tell_loss(&mut self) -> Duration {
        let at = self.parts.clock.now();
        let mut groups: BTreeMap<(Slot, u16), Vec<Sample>> = BTreeMap::new();
        for item in self.wanted.items() {
            let samples = groups.entry((item.spot.slot, item.spec.group)).or_default();
            samples.push(Sample {
                point: item.spot.point,
                reading: Err(Bad::Link),
            });
        }
        let mut stalled = Duration::ZERO;
        for ((slot, group), samples) in groups {
            let batch = Batch {
                slot,
                group,
                at,
                source: None,
                samples,
            };
            stalled += self.send(Observation::Batch(batch)).await;
        }
        stalled
    }

    /// Hands something on, however long that takes; where nobody takes it any more, the link ends.
    /// Gives how long it took.
    async fn send(&mut self, observation: Observation) -> Duration {
        let observation = match self.parts.observations.try_reserve() {
            Ok(place) => {
                place.send(observation);
                return Duration::ZERO;
            }
            Err(_) => observation,
        };
        let begun = Instant::now();
        tokio::select! {
            biased;
            sent = self.parts.observations.send(observation) => if sent.is_err() {
                self.parts.cancel.cancel();
            },
            () = self.parts.cancel.cancelled() => {}
        }
        begun.elapsed()
    }

    fn show(&mut self, fault: OpcFault) {
        let fault = LinkFault::OpcUa(fault);
        self.parts.board.set_fault(&fault);
        if self.told_down != Some(true) {
            self.told_down = Some(true);
            warn!(link = %self.name, fault = %fault.text(), "link is down");
        }
        self.fault = fault;
    }

    /// Shows what is wrong though the server speaks, or that nothing is.
    fn show_lasting(&self) {
        let faults = [&self.lacks, &self.misfits].into_iter().flatten();
        let text = faults.map(OpcFault::text).reduce(|one, other| Text {
            en: format!("{}; {}", one.en, other.en),
            zh: format!("{}；{}", one.zh, other.zh),
        });
        self.parts.board.set_lasting(text);
    }

    /// The server speaks.
    fn well(&mut self) {
        self.backoff.succeed();
        if self.told_down != Some(false) {
            self.told_down = Some(false);
            self.parts.board.clear_fault();
            info!(link = %self.name, "link is up");
        }
        let spilled = self.spilled.swap(0, Ordering::Relaxed);
        if spilled > 0 {
            warn!(link = %self.name, spilled, "messages came faster than they could be taken, or with more than was asked for");
        }
    }
}

/// Whether a server that gave this fault may keep a session that nobody uses.
fn leaves_session(fault: &OpcFault) -> bool {
    matches!(
        fault,
        OpcFault::UserRefused(_)
            | OpcFault::NotTrusted { .. }
            | OpcFault::Unproven
            | OpcFault::Nonsense(_)
            | OpcFault::Status(_)
    )
}
