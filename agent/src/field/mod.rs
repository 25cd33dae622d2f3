//! The rim towards the machines: what a device says becomes samples, what it doesn't say becomes
//! bad samples. Nothing here can write to a machine.
//!
//! One task owns each physical link; machines and connections that name one endpoint share it.
//! Bounds: the channel of batches is the caller's, and a link waits where it is full; probes queue
//! up to a few a link.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::model::{Endpoint, MachineMap};
use crate::live::LinkFigures;
use crate::sample::{Batch, Slot};
use crate::text;
use crate::text::Text;

use modbus::board::{Board, Counters};
use modbus::fault::LinkFault;
use modbus::job::JobSpec;
use modbus::link::{Link, LinkParts};
use modbus::probe::{PROBE_POINTS_MAX, ProbeOrder};
use modbus::transport;

pub mod modbus;

pub use modbus::probe::ProbeReading;

/// Probes that may wait for one link: several people, not a crowd.
const PROBES_WAITING_MAX: usize = 4;

/// How long a probe waits for its link: what it may read for, and as much again for those before it.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(20);

/// Why a probe gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// No such machine, or its map has changed since.
    #[error("no such machine")]
    UnknownMachine,
    /// The map has no such point.
    #[error("no point at place {0} of the map")]
    UnknownPoint(u16),
    /// More points than a probe may read.
    #[error("more than {PROBE_POINTS_MAX} points")]
    TooMany,
    /// The link is down.
    #[error("the link {endpoint} is down")]
    Down {
        /// The endpoint, as people write it.
        endpoint: String,
        /// Why.
        #[source]
        fault: LinkFault,
    },
    /// The link has too much to do, or is ending.
    #[error("the link {0} is busy")]
    Busy(String),
}

impl ProbeError {
    /// The failure for a person.
    pub fn text(&self) -> Text {
        match self {
            Self::UnknownMachine => text!("no such machine is being read", "没有在读取该设备"),
            Self::UnknownPoint(place) => {
                text!(
                    "no point at place {place} of the map",
                    "点表第 {place} 位没有点位"
                )
            }
            Self::TooMany => text!(
                "more than {PROBE_POINTS_MAX} points at once; name the points you want to see",
                "一次最多读取 {PROBE_POINTS_MAX} 个点位；请指定要查看的点位"
            ),
            Self::Down { endpoint, fault } => {
                let Text { en, zh } = fault.text();
                text!(
                    "the link {endpoint} is down: {en}",
                    "链路 {endpoint} 不通：{zh}"
                )
            }
            Self::Busy(endpoint) => text!(
                "the link {endpoint} is busy; try again in a moment",
                "链路 {endpoint} 繁忙，请稍后再试"
            ),
        }
    }
}

/// All links to machines.
pub struct Field {
    clock: Arc<dyn Clock>,
    batches: mpsc::Sender<Batch>,
    links: BTreeMap<Endpoint, Running>,
    machines: BTreeMap<Slot, Machine>,
}

/// A link's task and the ways to reach it.
struct Running {
    jobs: watch::Sender<Vec<JobSpec>>,
    probes: mpsc::Sender<ProbeOrder>,
    board: Arc<Board>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

/// A machine and the counters of its connections, in the order of its map.
struct Machine {
    map: Arc<MachineMap>,
    counters: Vec<Arc<Counters>>,
}

impl Field {
    /// No link yet; what is read will go into `batches`.
    pub fn new(clock: Arc<dyn Clock>, batches: mpsc::Sender<Batch>) -> Self {
        Self {
            clock,
            batches,
            links: BTreeMap::new(),
            machines: BTreeMap::new(),
        }
    }

    /// Reads exactly these machines from now on: starts, changes and ends links. A link whose jobs
    /// stay as they are is not touched; a machine that stays keeps its connection, its phase and
    /// what was learned of it while others on its link change. Waits for the links that end, each
    /// at most for the exchange that it is in.
    pub async fn apply(&mut self, machines: &[(Slot, Arc<MachineMap>)]) {
        self.take_machines(machines);
        let mut wanted = self.jobs();
        let ending: Vec<Endpoint> = self.links.keys().cloned().collect();
        for endpoint in ending {
            if !wanted.contains_key(&endpoint) {
                if let Some(link) = self.links.remove(&endpoint) {
                    link.end().await;
                }
            }
        }
        while let Some((endpoint, jobs)) = wanted.pop_first() {
            match self.links.entry(endpoint) {
                btree_map::Entry::Occupied(link) => link.get().take(jobs),
                btree_map::Entry::Vacant(place) => {
                    let endpoint = place.key().clone();
                    let (clock, batches) = (self.clock.clone(), self.batches.clone());
                    place.insert(Running::start(endpoint, clock, batches, jobs));
                }
            }
        }
    }

    /// One extra read of these points over the running link, each by a request of its own, between
    /// the polls. Readings come by connection, then in the order asked for. What is not read within
    /// ten seconds is bad with `timeout`.
    ///
    /// # Errors
    ///
    /// Unknown machine or point, more than [`PROBE_POINTS_MAX`] points, a link that is down or busy.
    pub async fn probe(
        &self,
        slot: Slot,
        points: Vec<u16>,
    ) -> Result<Vec<ProbeReading>, ProbeError> {
        let machine = self.machines.get(&slot).ok_or(ProbeError::UnknownMachine)?;
        if points.len() > PROBE_POINTS_MAX {
            return Err(ProbeError::TooMany);
        }
        let mut by_connection: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for place in points {
            let point = machine.map.points.get(usize::from(place));
            let connection = point.ok_or(ProbeError::UnknownPoint(place))?.connection;
            by_connection.entry(connection).or_default().push(place);
        }
        let mut readings = Vec::new();
        for (connection, points) in by_connection {
            readings.extend(self.probe_connection(machine, connection, points).await?);
        }
        Ok(readings)
    }

    async fn probe_connection(
        &self,
        machine: &Machine,
        connection: u16,
        points: Vec<u16>,
    ) -> Result<Vec<ProbeReading>, ProbeError> {
        let connection = machine.map.connections.get(usize::from(connection));
        let endpoint = &connection.ok_or(ProbeError::UnknownMachine)?.endpoint;
        let link = self.links.get(endpoint).ok_or(ProbeError::UnknownMachine)?;
        let busy = || ProbeError::Busy(transport::describe(endpoint));
        let (reply, answer) = oneshot::channel();
        let order = ProbeOrder {
            map: machine.map.clone(),
            points,
            reply,
        };
        link.probes.try_send(order).map_err(|_| busy())?;
        let answer = tokio::time::timeout(PROBE_WAIT_MAX, answer).await;
        let answer = answer.map_err(|_| busy())?.map_err(|_| busy())?;
        answer.map_err(|fault| ProbeError::Down {
            endpoint: transport::describe(endpoint),
            fault,
        })
    }

    /// What the connections of a machine are going through, in the order of its map; nothing for an
    /// unknown machine. A connection without points has no link.
    pub fn figures(&self, slot: Slot) -> Vec<LinkFigures> {
        let Some(machine) = self.machines.get(&slot) else {
            return Vec::new();
        };
        let connections = machine.map.connections.iter().zip(&machine.counters);
        connections
            .filter_map(|(connection, counters)| {
                let link = self.links.get(&connection.endpoint)?;
                let endpoint = transport::describe(&connection.endpoint);
                let name = connection.name.as_str();
                Some(link.board.figures(name, &endpoint, counters))
            })
            .collect()
    }

    /// Ends all links, each after the exchange that it is in.
    pub async fn stop(self) {
        for link in self.links.values() {
            link.cancel.cancel();
        }
        for link in self.links.into_values() {
            link.end().await;
        }
    }

    /// Takes over the machines; those that stay keep their counters.
    fn take_machines(&mut self, machines: &[(Slot, Arc<MachineMap>)]) {
        let mut before = std::mem::take(&mut self.machines);
        for (slot, map) in machines {
            let known = before.remove(slot);
            let same = known.filter(|known| known.map.fingerprint == map.fingerprint);
            let machine = same.unwrap_or_else(|| Machine {
                map: map.clone(),
                counters: map.connections.iter().map(|_| Arc::default()).collect(),
            });
            self.machines.insert(*slot, machine);
        }
    }

    /// What each link is to poll.
    fn jobs(&self) -> BTreeMap<Endpoint, Vec<JobSpec>> {
        let mut jobs: BTreeMap<Endpoint, Vec<JobSpec>> = BTreeMap::new();
        for (slot, machine) in &self.machines {
            let mut used: Vec<(u16, u16)> = machine
                .map
                .points
                .iter()
                .map(|p| (p.connection, p.group))
                .collect();
            used.sort_unstable();
            used.dedup();
            for (connection, group) in used {
                let place = usize::from(connection);
                let settings = machine.map.connections.get(place);
                let counters = machine.counters.get(place);
                if let (Some(settings), Some(counters)) = (settings, counters) {
                    let spec = JobSpec {
                        slot: *slot,
                        map: machine.map.clone(),
                        connection,
                        group,
                        counters: counters.clone(),
                    };
                    jobs.entry(settings.endpoint.clone())
                        .or_default()
                        .push(spec);
                }
            }
        }
        jobs
    }
}

impl Running {
    fn start(
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
        batches: mpsc::Sender<Batch>,
        jobs: Vec<JobSpec>,
    ) -> Self {
        let (jobs, jobs_seen) = watch::channel(jobs);
        let (probes, probes_seen) = mpsc::channel(PROBES_WAITING_MAX);
        let board = Arc::<Board>::default();
        let cancel = CancellationToken::new();
        let link = Link::new(LinkParts {
            endpoint,
            clock,
            batches,
            board: board.clone(),
            jobs: jobs_seen,
            probes: probes_seen,
            cancel: cancel.clone(),
        });
        Self {
            jobs,
            probes,
            board,
            cancel,
            task: tokio::spawn(link.run()),
        }
    }

    /// Hands over what is to be polled, if that differs from what is.
    fn take(&self, jobs: Vec<JobSpec>) {
        self.jobs.send_if_modified(|present| {
            let same = present.len() == jobs.len()
                && present
                    .iter()
                    .zip(&jobs)
                    .all(|(present, job)| present.is(job));
            if !same {
                *present = jobs;
            }
            !same
        });
    }

    async fn end(self) {
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a link ended by a fault in the program");
        }
    }
}

#[cfg(test)]
mod tests;
