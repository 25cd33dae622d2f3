//! The rim towards the machines: what a device says becomes samples, what it doesn't say becomes
//! bad samples. Nothing here can write to a machine.
//!
//! One task owns each physical link; machines and connections that name one endpoint share it.
//! Bounds: the channel of observations is the caller's, and a link waits where it is full; probes queue
//! up to a few a link.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::model::MachineMap;
use crate::live::LinkFigures;
use crate::sample::{Observation, Slot};
use crate::text;
use crate::text::Text;

use board::{Board, Counters};
use fault::LinkFault;
use job::JobSpec;
use opcua::Own;
use probe::{PROBE_POINTS_MAX, ProbeOrder};

mod backoff;
mod board;
pub mod fault;
mod job;
pub mod modbus;
pub mod opcua;
mod probe;
mod route;
mod scaling;

pub use board::Texts;
pub use probe::{NodeRaw, ProbeReading};
pub use route::Route;

/// Probes that may wait for one link: several people, not a crowd.
const PROBES_WAITING_MAX: usize = 4;

/// How long a probe waits for its link: what it may read for, and as much again for those before it.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(20);

/// A link that a fault in the program ended is left alone for so long since its start, so that a
/// fault which comes back at once doesn't fill the log.
const REVIVE_AFTER: Duration = Duration::from_secs(10);

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
    own: Arc<Own>,
    observations: mpsc::Sender<Observation>,
    links: BTreeMap<Route, Running>,
    machines: BTreeMap<Slot, Machine>,
    texts_changed: Arc<Notify>,
}

/// What a link's task is given, whatever it speaks.
struct LinkParts {
    /// Where time comes from.
    clock: Arc<dyn Clock>,
    /// Where what it hears goes.
    observations: mpsc::Sender<Observation>,
    /// Where it shows itself.
    board: Arc<Board>,
    /// What it reads.
    jobs: watch::Receiver<Vec<JobSpec>>,
    /// What it reads once more.
    probes: mpsc::Receiver<ProbeOrder>,
    /// Ends it.
    cancel: CancellationToken,
}

/// A link's task and the ways to reach it.
struct Running {
    jobs: watch::Sender<Vec<JobSpec>>,
    probes: mpsc::Sender<ProbeOrder>,
    board: Arc<Board>,
    cancel: CancellationToken,
    started: Instant,
    task: JoinHandle<()>,
}

/// A machine and the counters of its connections, in the order of its map.
struct Machine {
    map: Arc<MachineMap>,
    counters: Vec<Arc<Counters>>,
}

impl Field {
    /// No link yet; what is read will go into `observations`. `own` is what OPC UA servers know
    /// the agent by.
    pub fn new(clock: Arc<dyn Clock>, own: Own, observations: mpsc::Sender<Observation>) -> Self {
        Self {
            clock,
            own: Arc::new(own),
            observations,
            links: BTreeMap::new(),
            machines: BTreeMap::new(),
            texts_changed: Arc::default(),
        }
    }

    /// Reads exactly these machines from now on: starts, changes and ends links. A link whose jobs
    /// stay as they are is not touched; a machine that stays keeps its connection, its phase and
    /// what was learned of it while others on its link change. Waits for the links that end, each
    /// at most for the exchange that it is in.
    pub async fn apply(&mut self, machines: &[(Slot, Arc<MachineMap>)]) {
        self.take_machines(machines);
        let mut wanted = self.jobs();
        let ending: Vec<Route> = self.links.keys().cloned().collect();
        for route in ending {
            if !wanted.contains_key(&route) {
                if let Some(link) = self.links.remove(&route) {
                    link.end().await;
                }
            }
        }
        while let Some((route, jobs)) = wanted.pop_first() {
            match self.links.get(&route) {
                Some(link) => link.take(jobs),
                None => self.start(route, jobs),
            }
        }
    }

    fn start(&mut self, route: Route, jobs: Vec<JobSpec>) {
        let link = Running::start(
            route.clone(),
            Arc::clone(&self.own),
            self.clock.clone(),
            self.observations.clone(),
            Board::new(Arc::clone(&self.texts_changed)).into(),
            jobs,
        );
        self.links.insert(route, link);
    }

    /// Starts links anew whose tasks ended though nobody ended them: by a fault in the program. To be
    /// called every now and then; each link comes back at most every ten seconds.
    pub async fn revive(&mut self) {
        let lost = self.links.iter().filter(|(_, link)| link.is_lost());
        let lost: Vec<Route> = lost.map(|(route, _)| route.clone()).collect();
        for route in lost {
            if let Some(link) = self.links.remove(&route) {
                link.end().await;
            }
            if let Some(jobs) = self.jobs().remove(&route) {
                self.start(route, jobs);
            }
        }
    }

    /// One extra read of these points over the running link, each by a request of its own, between
    /// the polls. Readings come by connection, then in the order asked for. What is not read within
    /// ten seconds is bad with `timeout`.
    ///
    /// # Errors
    ///
    /// Unknown machine or point, more than 256 points, a link that is down or busy.
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
        let route = Route::of(connection.ok_or(ProbeError::UnknownMachine)?);
        let link = self.links.get(&route).ok_or(ProbeError::UnknownMachine)?;
        let busy = || ProbeError::Busy(route.to_string());
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
            endpoint: route.to_string(),
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
                let route = Route::of(connection);
                let link = self.links.get(&route)?;
                let name = connection.name.as_str();
                Some(link.board.figures(name, &route.to_string(), counters))
            })
            .collect()
    }

    /// The texts of a machine's enumerations, by point, as far as its servers have told them.
    pub fn texts(&self, slot: Slot) -> Vec<(u16, Texts)> {
        let mut texts: Vec<_> = self
            .links
            .values()
            .flat_map(|link| link.board.texts(slot))
            .collect();
        texts.sort_unstable();
        texts
    }

    /// Waits until a server has told other texts than before.
    pub async fn texts_changed(&self) {
        self.texts_changed.notified().await;
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
    fn jobs(&self) -> BTreeMap<Route, Vec<JobSpec>> {
        let mut jobs: BTreeMap<Route, Vec<JobSpec>> = BTreeMap::new();
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
                    jobs.entry(Route::of(settings)).or_default().push(spec);
                }
            }
        }
        jobs
    }
}

impl Running {
    fn start(
        route: Route,
        own: Arc<Own>,
        clock: Arc<dyn Clock>,
        observations: mpsc::Sender<Observation>,
        board: Arc<Board>,
        jobs: Vec<JobSpec>,
    ) -> Self {
        let (jobs, jobs_seen) = watch::channel(jobs);
        let (probes, probes_seen) = mpsc::channel(PROBES_WAITING_MAX);
        let cancel = CancellationToken::new();
        let parts = LinkParts {
            clock,
            observations,
            board: board.clone(),
            jobs: jobs_seen,
            probes: probes_seen,
            cancel: cancel.clone(),
        };
        let task = match route {
            Route::Modbus(endpoint) => tokio::spawn(modbus::link::Link::new(endpoint, parts).run()),
            Route::OpcUa(server) => tokio::spawn(opcua::link::Link::new(server, own, parts).run()),
        };
        Self {
            jobs,
            probes,
            board,
            cancel,
            started: Instant::now(),
            task,
        }
    }

    fn is_lost(&self) -> bool {
        self.task.is_finished() && self.started.elapsed() >= REVIVE_AFTER
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
