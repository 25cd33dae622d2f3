//! One extra read of some points over a running link, for a technician: raw words beside values.
//!
//! Each point is read by a request of its own, so that one bad address hides no other. Bounded in
//! points and in time; polls go on in between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::decode::{Raw, Read};
use super::job::single;
use super::plan::Request;
use super::schedule::Moment;
use crate::config::model::{MachineMap, ModbusSettings};
use crate::field::fault::LinkFault;
use crate::field::probe::{ProbeOrder, ProbeReading};
use crate::sample::{Bad, Value};

/// How long a probe reads; what is not reached by then is bad with `timeout`.
pub(super) const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// A probe under way.
#[derive(Debug)]
pub(super) struct Probe {
    map: Arc<MachineMap>,
    left: VecDeque<(Request, Read)>,
    readings: Vec<ProbeReading>,
    /// Units that failed to answer: one failure is enough for all their points.
    failed: BTreeMap<u8, Bad>,
    until: Moment,
    reply: oneshot::Sender<Result<Vec<ProbeReading>, LinkFault>>,
}

impl Probe {
    /// Begins a probe.
    pub(super) fn new(order: ProbeOrder, now: Moment) -> Self {
        let points = order.points.iter();
        let left = points.filter_map(|point| single(&order.map, *point));
        Self {
            left: left.collect(),
            map: order.map,
            readings: Vec::new(),
            failed: BTreeMap::new(),
            until: now.saturating_add(PROBE_TIME_MAX),
            reply: order.reply,
        }
    }

    /// What to ask next and how Modbus is spoken there; none when the probe is done.
    pub(super) fn ask(&mut self, now: Moment) -> Option<(&Request, &ModbusSettings)> {
        loop {
            let unit = self.left.front()?.0.unit_id;
            let bad = self.failed.get(&unit).copied();
            match bad.or((now >= self.until).then_some(Bad::Timeout)) {
                Some(bad) => self.settle(None, Err(bad)),
                None => break,
            }
        }
        let request = &self.left.front()?.0;
        let connection = self.map.connections.get(usize::from(request.connection))?;
        Some((request, connection.modbus()?.1))
    }

    /// Takes the answer to [`ask`](Self::ask).
    pub(super) fn answer(&mut self, raw: &Raw) {
        if let Some((_, read)) = self.left.front() {
            let (own, reading) = (read.raw(raw), read.decode(raw));
            self.settle(Some(own), reading);
        }
    }

    /// Takes an exception in answer to [`ask`](Self::ask).
    pub(super) fn except(&mut self, code: u8) {
        self.settle(None, Err(Bad::Exception(code)));
    }

    /// No valid answer to [`ask`](Self::ask) came.
    pub(super) fn fail(&mut self, bad: Bad) {
        if let Some((request, _)) = self.left.front() {
            self.failed.insert(request.unit_id, bad);
            self.settle(None, Err(bad));
        }
    }

    /// Ends the probe. Nobody may be waiting any more.
    pub(super) fn end(self) {
        drop(self.reply.send(Ok(self.readings)));
    }

    /// Ends the probe: the link is down.
    pub(super) fn abort(self, fault: LinkFault) {
        drop(self.reply.send(Err(fault)));
    }

    fn settle(&mut self, raw: Option<Raw>, reading: Result<Value, Bad>) {
        let asked = self.left.pop_front();
        self.readings.extend(asked.map(|(_, read)| ProbeReading {
            point: read.point,
            raw,
            node: None,
            reading,
        }));
    }
}
