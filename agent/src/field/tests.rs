use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::modbus::sample_map;
use super::opcua::Own;
use super::{Field, ProbeError, REVIVE_AFTER};
use crate::clock::SystemClock;
use crate::config::model::{ByteOrder, Endpoint, Kind, MachineMap, Table};
use crate::live::{LinkFigures, LinkPhase};
use crate::sample::{Bad, Batch, Observation, Slot, Value};

use device::{Act, CARRIERS, Carrier, Device};

mod answers;
mod device;
mod lines;
mod polls;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(5);

const U16: Kind = Kind::U16(ByteOrder::High);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// No test here speaks to an OPC UA server.
fn own() -> Own {
    Own {
        directory: "/nonexistent".into(),
        uri: String::new(),
    }
}

/// Modbus gives batches and nothing else.
fn batch_of(seen: Observation) -> Batch {
    match seen {
        Observation::Batch(batch) => batch,
        other @ (Observation::Standing(_) | Observation::History(_) | Observation::Missed(_)) => {
            panic!("{other:?}")
        }
    }
}

/// A machine behind this endpoint with `u16` points at these holding registers of unit 1, read
/// every 10 ms.
fn machine(name: &str, endpoint: &Endpoint, starts: &[u16]) -> MachineMap {
    let mut map = sample_map::map("");
    map.machine = name.parse().unwrap();
    map.fingerprint = format!("{name} {starts:?}");
    sample_map::set_endpoint(&mut map, endpoint);
    let settings = sample_map::settings(&mut map);
    (settings.timeout, settings.quiet) = (ms(500), ms(40));
    map.groups[0].interval = ms(10);
    for start in starts {
        sample_map::add(&mut map, 1, Table::Holding, *start, U16);
    }
    map
}

/// The field with the place where its batches come out.
struct Bench {
    field: Field,
    observations: mpsc::Receiver<Observation>,
}

impl Bench {
    async fn start(machines: Vec<MachineMap>) -> Self {
        let (sender, observations) = mpsc::channel(64);
        let mut bench = Self {
            field: Field::new(Arc::new(SystemClock), own(), sender),
            observations,
        };
        bench.apply(machines).await;
        bench
    }

    /// Reads these machines; the n-th has slot n.
    async fn apply(&mut self, machines: Vec<MachineMap>) {
        let slots = (0..).map(Slot);
        let machines: Vec<_> = slots.zip(machines.into_iter().map(Arc::new)).collect();
        self.field.apply(&machines).await;
    }

    async fn batch(&mut self) -> Batch {
        let next = tokio::time::timeout(PATIENCE, self.observations.recv());
        batch_of(next.await.expect("a batch in time").expect("a sender"))
    }

    /// The readings of the next batch, by point.
    async fn readings(&mut self) -> BTreeMap<u16, Result<Value, Bad>> {
        let samples = self.batch().await.samples;
        samples
            .into_iter()
            .map(|sample| (sample.point, sample.reading))
            .collect()
    }

    /// Takes batches until one is as wished.
    async fn until(&mut self, wished: impl Fn(&Batch) -> bool) -> Batch {
        let search = async {
            loop {
                let batch = self.batch().await;
                if wished(&batch) {
                    return batch;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("such a batch in time")
    }

    fn figures(&self) -> LinkFigures {
        self.field.figures(Slot(0)).remove(0)
    }

    /// Takes batches until the first machine's link is in this phase.
    async fn until_phase(&mut self, phase: LinkPhase) {
        let search = async {
            while self.figures().phase != phase {
                // Batches must not pile up meanwhile.
                drop(tokio::time::timeout(ms(5), self.observations.recv()).await);
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("{:?}", self.figures()));
    }
}

fn all_good(batch: &Batch) -> bool {
    batch.samples.iter().all(|sample| sample.reading.is_ok())
}

fn uint(value: u16) -> Result<Value, Bad> {
    Ok(Value::Uint(u64::from(value)))
}

#[test]
fn no_code_can_write_to_a_machine() {
    // Put together here, so that this file is no hit itself.
    let forbidden: Vec<String> = [
        ("write", "_single"),
        ("write", "_multiple"),
        ("masked", "_write"),
        ("Write", "Single"),
        ("Write", "Multiple"),
        ("Mask", "Write"),
        ("Request::", "Custom"),
        ("client::", "Writer"),
        ("prelude::", "Writer"),
        ("modbus::", "prelude"),
    ]
    .map(|(head, tail)| format!("{head}{tail}"))
    .into();
    let mut files = 0;
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for word in &forbidden {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
            let library = text.contains(&["tokio", "_modbus::"].concat());
            let its_place = path.ends_with("field/modbus/exchange.rs");
            assert_eq!(library, its_place, "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 30, "the tree was searched");
}
