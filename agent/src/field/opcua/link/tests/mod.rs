//! The link against a real server in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::SystemClock;
use crate::config::model::MachineMap;
use crate::field::board::{Board, Counters};
use crate::field::job::JobSpec;
use crate::field::opcua::sample_map;
use crate::field::probe::ProbeOrder;
use crate::live::LinkFigures;
use crate::sample::{Standing, Value};
use plant::{Plant, Wire};

mod dead;
mod flow;
mod loss;
mod memory;
mod narrow;
mod plant;

/// How long a test waits for what must happen.
const LIMIT: Duration = Duration::from_secs(20);

/// Impatient, so that tests are quick.
const QUICK: Patience = Patience {
    pace: Duration::from_millis(100),
    believed: Duration::from_millis(800),
    frozen: Duration::from_millis(1_500),
    silent: Duration::from_millis(1_500),
    settled: Duration::from_millis(500),
    audit: Duration::from_millis(200),
};

/// A link at work, and what comes of it.
struct Bench {
    jobs: watch::Sender<Vec<JobSpec>>,
    probes: mpsc::Sender<ProbeOrder>,
    seen: mpsc::Receiver<Observation>,
    board: Arc<Board>,
    counters: Arc<Counters>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    _own: tempfile::TempDir,
}

fn jobs(machines: &[(u32, MachineMap)], counters: &Arc<Counters>) -> Vec<JobSpec> {
    let job = |(slot, map): &(u32, MachineMap)| JobSpec {
        slot: Slot(*slot),
        map: Arc::new(map.clone()),
        connection: 0,
        group: 0,
        counters: Arc::clone(counters),
    };
    machines.iter().map(job).collect()
}

impl Bench {
    fn start(server: &Server, machines: &[(u32, MachineMap)], room: usize) -> Self {
        let (observations, seen) = mpsc::channel(room);
        let counters = Arc::<Counters>::default();
        let (jobs, jobs_seen) = watch::channel(jobs(machines, &counters));
        let (probes, probes_seen) = mpsc::channel(4);
        let board = Arc::<Board>::default();
        let cancel = CancellationToken::new();
        let parts = LinkParts {
            clock: Arc::new(SystemClock),
            observations,
            board: Arc::clone(&board),
            jobs: jobs_seen,
            probes: probes_seen,
            cancel: cancel.clone(),
        };
        let directory = tempfile::tempdir().unwrap();
        let own = Arc::new(Own {
            directory: directory.path().to_owned(),
            uri: "urn:lineside:test:gw".to_owned(),
        });
        let mut link = Link::new(Arc::new(server.clone()), own, parts);
        link.patience = QUICK;
        link.notes_max = 8;
        Self {
            jobs,
            probes,
            seen,
            board,
            counters,
            cancel,
            task: tokio::spawn(link.run()),
            _own: directory,
        }
    }

    async fn next(&mut self) -> Observation {
        let next = tokio::time::timeout(LIMIT, self.seen.recv());
        next.await.expect("something in time").expect("a link")
    }

    /// Takes what comes until something is as wished.
    async fn until<T>(&mut self, mut wished: impl FnMut(&Observation) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wished(&self.next().await) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(LIMIT, search).await;
        found.unwrap_or_else(|_| panic!("{:?}", self.figures()))
    }

    /// Takes what comes until this point of this machine has this value.
    async fn until_value(&mut self, slot: u32, point: u16, value: i64) {
        self.until_reading(slot, point, Ok(Value::Int(value))).await;
    }

    async fn until_reading(&mut self, slot: u32, point: u16, reading: Result<Value, Bad>) {
        self.until(|seen| {
            let batch = batch(seen).filter(|batch| batch.slot == Slot(slot))?;
            let mut samples = batch.samples.iter();
            samples.find(|sample| sample.point == point && sample.reading == reading)?;
            Some(())
        })
        .await;
    }

    /// Takes what comes until every one of these points of machine 0 has this value.
    async fn until_all(&mut self, points: std::ops::Range<u16>, value: i64) {
        let mut left: std::collections::BTreeSet<u16> = points.collect();
        self.until(|seen| {
            for sample in &batch(seen)?.samples {
                if sample.reading == Ok(Value::Int(value)) {
                    left.remove(&sample.point);
                }
            }
            left.is_empty().then_some(())
        })
        .await;
    }

    /// Takes what comes until somebody vouches for points of machine 0.
    async fn until_standing(&mut self) -> Standing {
        self.until(|seen| {
            if let Observation::Standing(standing) = seen {
                return Some(standing.clone());
            }
            None
        })
        .await
    }

    /// Takes what comes until this is shown as the link's fault.
    async fn until_fault(&mut self, wished: impl Fn(Option<&str>) -> bool) {
        while !wished(self.figures().fault.as_deref()) {
            self.next().await;
        }
    }

    /// Takes what comes until so many points of machine 0 have texts.
    async fn until_texts(&mut self, count: usize) -> Vec<(u16, crate::field::Texts)> {
        let board = Arc::clone(&self.board);
        let told = || Some(board.texts(Slot(0))).filter(|texts| texts.len() == count);
        self.until(|_| told()).await
    }

    fn figures(&self) -> LinkFigures {
        self.board.figures("main", "there", &self.counters)
    }

    async fn end(self) {
        self.cancel.cancel();
        drop(self.seen);
        tokio::time::timeout(LIMIT, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

fn batch(seen: &Observation) -> Option<&Batch> {
    match seen {
        Observation::Batch(batch) => Some(batch),
        Observation::Standing(_) | Observation::History(_) | Observation::Missed(_) => None,
    }
}

/// A machine behind a server with these nodes.
fn machine(name: &str, url: &str, nodes: &[&str]) -> (Server, MachineMap) {
    let server = sample_map::server(url);
    let mut map = sample_map::map(name, &Arc::new(server.clone()));
    sample_map::add(&mut map, nodes);
    map.groups[0].interval = Duration::from_millis(50);
    map.groups[0].stale_after = Duration::from_millis(600);
    (server, map)
}
