//! One poll group over one connection: its requests, and the poll that is under way.
//!
//! Pure but for the counters: time and answers come in, batches go out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decode::{Raw, Read};
use super::plan::{Request, Wall};
use super::refusal::{Refusals, halves};
use super::schedule::Moment;
use crate::clock::Stamp;
use crate::config::model::{MachineMap, ModbusSettings};
use crate::field::job::JobSpec;
use crate::sample::{Bad, Batch, Sample};

/// How long a value that was read may wait for the rest of its poll: evidence must not come late.
pub(super) const HOLD_MAX: Duration = Duration::from_millis(250);

/// Exceptions that may be due to one point of a merged request, or to its length.
const SPLITS: [u8; 2] = [2, 3];

/// One poll group over one connection.
#[derive(Debug)]
pub(super) struct Job {
    spec: JobSpec,
    settings: ModbusSettings,
    points: Vec<u16>,
    units: BTreeSet<u8>,
    refusals: Refusals,
    plan: Vec<Ask>,
    poll: Poll,
    missed: bool,
}

/// A request and how its answer is taken apart.
#[derive(Debug)]
struct Ask {
    request: Request,
    reads: Vec<Read>,
    /// The refused request that this is a half of.
    half_of: Option<usize>,
}

/// The poll under way.
#[derive(Debug, Default)]
struct Poll {
    /// The next request of the plan.
    next: usize,
    /// Requests that come before it: halves of a refused one and points that are tried again.
    parts: Vec<Ask>,
    /// Requests that were refused and parted in this poll: the wall between the halves, and how
    /// many of them were read.
    parted: Vec<(Wall, u8)>,
    samples: Vec<Sample>,
    /// When the oldest of the samples was answered.
    oldest: Option<Moment>,
    /// When the newest was.
    newest: Option<Stamp>,
    /// Whether something was learned by which the plan changes.
    learned: bool,
}

/// What an exception did to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It was parted: the halves are asked next.
    Parted,
    /// Its points are bad in this poll.
    Bad,
    /// Its points were found not to exist; these are new among them.
    Found(Vec<u16>),
}

impl Ask {
    fn new(map: &MachineMap, request: Request, half_of: Option<usize>) -> Self {
        let reads = request.points.iter();
        let reads = reads.filter_map(|point| Read::of(map, &request, *point));
        Self {
            reads: reads.collect(),
            request,
            half_of,
        }
    }
}

impl Job {
    /// A job that has not been polled yet; none where the connection has no point in the group.
    pub(super) fn new(spec: JobSpec) -> Option<Self> {
        let connection = spec.map.connections.get(usize::from(spec.connection))?;
        let settings = connection.modbus()?.1.clone();
        let (mut points, mut units) = (Vec::new(), BTreeSet::new());
        for (place, point) in (0..).zip(&spec.map.points) {
            if (point.connection, point.group) == (spec.connection, spec.group) {
                points.push(place);
                units.extend(point.modbus().map(|address| address.unit_id));
            }
        }
        let mut job = Self {
            spec,
            settings,
            points,
            units,
            refusals: Refusals::default(),
            plan: Vec::new(),
            poll: Poll::default(),
            missed: false,
        };
        job.replan();
        (!job.points.is_empty()).then_some(job)
    }

    /// What it polls.
    pub(super) fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// How Modbus is spoken over its connection.
    pub(super) fn settings(&self) -> &ModbusSettings {
        &self.settings
    }

    /// Whether some of its points are behind this unit.
    pub(super) fn asks(&self, unit: u8) -> bool {
        self.units.contains(&unit)
    }

    /// Whether its last poll went without asking for some of its points.
    pub(super) fn missed(&self) -> bool {
        self.missed
    }

    /// Begins a poll.
    pub(super) fn begin(&mut self, now: Moment) {
        self.missed = false;
        self.poll.next = 0;
        self.poll.samples.reserve(self.points.len());
        let all = self.plan.is_empty();
        for (point, code) in self.refusals.refused() {
            let again = self.refusals.retries(point, all, now);
            match again.then(|| single(&self.spec.map, point)).flatten() {
                Some((request, _)) => {
                    self.poll
                        .parts
                        .push(Ask::new(&self.spec.map, request, None));
                }
                None => self.poll.samples.push(Sample {
                    point,
                    reading: Err(Bad::Exception(code)),
                }),
            }
        }
    }

    /// What to ask next; none when the poll is done.
    pub(super) fn ask(&self) -> Option<&Request> {
        let part = self.poll.parts.last();
        part.or_else(|| self.plan.get(self.poll.next))
            .map(|ask| &ask.request)
    }

    /// Takes the answer to [`ask`](Self::ask).
    pub(super) fn answer(&mut self, raw: &Raw, now: Moment, at: Stamp) {
        let part = self.poll.parts.pop();
        let Some(ask) = part.as_ref().or_else(|| self.plan.get(self.poll.next)) else {
            return;
        };
        self.poll
            .samples
            .extend(ask.reads.iter().map(|read| Sample {
                point: read.point,
                reading: read.decode(raw),
            }));
        self.poll.oldest.get_or_insert(now);
        self.poll.newest = Some(at);
        match &part {
            None => self.poll.next += 1,
            Some(part) => {
                self.poll.learned |= self.refusals.accept(&part.request.points);
                let half_of = part.half_of.and_then(|at| self.poll.parted.get_mut(at));
                if let Some((wall, read)) = half_of {
                    *read += 1;
                    if *read == 2 {
                        self.refusals.part(*wall);
                        self.poll.learned = true;
                    }
                }
            }
        }
    }

    /// Takes an exception in answer to [`ask`](Self::ask).
    pub(super) fn except(&mut self, code: u8, now: Moment) -> Refused {
        let Some(request) = self.ask() else {
            return Refused::Bad;
        };
        if !SPLITS.contains(&code) {
            self.fail(Bad::Exception(code));
            return Refused::Bad;
        }
        let request = request.clone();
        match halves(&self.spec.map, &request) {
            Some((left, right, wall)) => {
                self.pass();
                let half_of = Some(self.poll.parted.len());
                self.poll.parted.push((wall, 0));
                for half in [right, left] {
                    self.poll
                        .parts
                        .push(Ask::new(&self.spec.map, half, half_of));
                }
                Refused::Parted
            }
            None => {
                let news = self.refusals.refuse(&request.points, code, now);
                self.poll.learned |= news;
                self.fail(Bad::Exception(code));
                if news {
                    Refused::Found(request.points)
                } else {
                    Refused::Bad
                }
            }
        }
    }

    /// Gives up [`ask`](Self::ask): its points are bad for this reason.
    pub(super) fn fail(&mut self, bad: Bad) {
        if let Some(request) = self.ask() {
            let points = request.points.clone();
            self.poll
                .samples
                .extend(points.into_iter().map(|point| Sample {
                    point,
                    reading: Err(bad),
                }));
            self.pass();
        }
    }

    /// Gives up [`ask`](Self::ask) without having asked.
    pub(super) fn miss(&mut self, bad: Bad) {
        self.missed = true;
        self.fail(bad);
    }

    /// Ends the poll: what it gave and was not yet sent.
    pub(super) fn end(&mut self, now: impl FnOnce() -> Stamp) -> Option<Batch> {
        self.poll.parted.clear();
        if std::mem::take(&mut self.poll.learned) {
            self.replan();
        }
        self.flush(now)
    }

    /// When what was read must be sent, complete or not.
    pub(super) fn flush_at(&self) -> Option<Moment> {
        self.poll
            .oldest
            .map(|oldest| oldest.saturating_add(HOLD_MAX))
    }

    /// What was read and not yet sent.
    pub(super) fn flush(&mut self, now: impl FnOnce() -> Stamp) -> Option<Batch> {
        self.poll.oldest = None;
        let at = self.poll.newest.take();
        if self.poll.samples.is_empty() {
            return None;
        }
        Some(Batch {
            slot: self.spec.slot,
            group: self.spec.group,
            at: at.unwrap_or_else(now),
            source: None,
            samples: std::mem::take(&mut self.poll.samples),
        })
    }

    fn pass(&mut self) {
        if self.poll.parts.pop().is_none() {
            self.poll.next += 1;
        }
    }

    fn replan(&mut self) {
        let requests = self.refusals.requests(&self.spec.map, &self.points);
        let asks = requests
            .into_iter()
            .map(|request| Ask::new(&self.spec.map, request, None));
        self.plan = asks.collect();
    }
}

/// The request for one point alone, and how its answer is read; none where the map has no such point.
pub(super) fn single(map: &MachineMap, place: u16) -> Option<(Request, Read)> {
    let point = map.points.get(usize::from(place))?;
    let address = point.modbus()?;
    let request = Request {
        connection: point.connection,
        unit_id: address.unit_id,
        table: address.table,
        start: address.start,
        count: address.width(),
        points: vec![place],
    };
    let read = Read::of(map, &request, place)?;
    Some((request, read))
}

#[cfg(test)]
mod tests {
    use super::{Job, JobSpec};
    use crate::clock::Stamp;
    use crate::config::model::{ByteOrder, Kind, Table};
    use crate::field::modbus::decode::Raw;
    use crate::field::modbus::sample_map;
    use crate::sample::Slot;
    use lineside_proto::Time;
    use std::sync::Arc;
    use std::time::Duration;

    fn job(points: u16) -> Job {
        let mut map = sample_map::map("127.0.0.1:502");
        for start in 0..points {
            sample_map::add(
                &mut map,
                1,
                Table::Holding,
                start,
                Kind::U16(ByteOrder::High),
            );
        }
        let spec = JobSpec {
            slot: Slot(0),
            map: Arc::new(map),
            connection: 0,
            group: 0,
            counters: Arc::default(),
        };
        Job::new(spec).unwrap()
    }

    /// One poll of a device that answers or refuses everything: how many requests it took, and how many
    /// points were good.
    fn poll(job: &mut Job, answers: bool, seconds: u64) -> (usize, usize) {
        let now = Duration::from_secs(seconds);
        let at = Stamp {
            boot_ms: seconds * 1000,
            wall: Time::default(),
        };
        let mut requests = 0;
        job.begin(now);
        while let Some(request) = job.ask().cloned() {
            requests += 1;
            if answers {
                let words = vec![7; usize::from(request.count)];
                job.answer(&Raw::Words(words), now, at);
            } else {
                job.except(2, now);
            }
        }
        let batch = job.end(|| at).unwrap();
        let good = batch.samples.iter().filter(|s| s.reading.is_ok());
        (requests, good.count())
    }

    #[test]
    fn a_device_that_refused_everything_while_it_started_is_read_again_soon() {
        let mut job = job(4);
        assert_eq!(poll(&mut job, true, 0), (1, 4));
        assert_eq!(poll(&mut job, false, 1), (7, 0));
        assert_eq!(poll(&mut job, false, 2), (0, 0));
        assert_eq!(poll(&mut job, false, 15), (0, 0));
        assert_eq!(poll(&mut job, false, 16), (1, 0), "one point asks for all");
        assert_eq!(poll(&mut job, true, 30), (0, 0));
        assert_eq!(poll(&mut job, true, 31), (1, 1));
        assert_eq!(poll(&mut job, true, 32), (4, 4));
        assert_eq!(poll(&mut job, true, 33), (1, 4));
    }
}
