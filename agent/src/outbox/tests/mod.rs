//! The queue against a naive one, through damage, crashes and full disks.

mod city;
mod damage;
mod limits;
mod model;
mod threads;

use lineside_proto::{Gap, GapKind, Identifier, Time};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::shelf::Limits;
use super::{Outbox, Record, RecordKind, Recovered, disk};
use city::City;

const HOUR_MS: i64 = 3_600_000;

fn machine(number: usize) -> Identifier {
    format!("machine-{number}").parse().unwrap()
}

fn small() -> Limits {
    Limits {
        size_bytes_max: 1 << 30,
        age_max: Duration::from_secs(30 * 24 * 3600),
        segment_bytes: 1 << 20,
        reserve_bytes: 1 << 16,
        free: disk::free,
    }
}

/// A gateway with some machines that numbers its messages as the recorder does.
struct Line {
    dir: PathBuf,
    outbox: Option<Outbox>,
    recovered: Recovered,
    limits: Limits,
    next_seq: Vec<u64>,
    now: Time,
    random: fastrand::Rng,
}

impl Line {
    fn start(dir: &Path, limits: Limits) -> Self {
        let now = Time::from_millis(1_795_420_800_000);
        let mut line = Self {
            dir: dir.to_owned(),
            outbox: None,
            recovered: Recovered {
                stream: String::new(),
                next_seq: Default::default(),
                alarms: Vec::new(),
            },
            limits,
            next_seq: vec![0; 3],
            now,
            random: fastrand::Rng::with_seed(7),
        };
        line.open();
        line
    }

    fn open(&mut self) {
        let opened = Outbox::open_with(&self.dir, self.limits.clone(), self.now);
        let (outbox, recovered) = opened.unwrap();
        for (number, next) in self.next_seq.iter_mut().enumerate() {
            *next = recovered
                .next_seq
                .get(&machine(number))
                .copied()
                .unwrap_or(0);
        }
        self.outbox = Some(outbox);
        self.recovered = recovered;
    }

    fn close(&mut self) {
        self.outbox = None;
    }

    fn reopen(&mut self) {
        self.close();
        self.open();
    }

    fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().unwrap()
    }

    /// A message of about so many bytes that hardly compress.
    fn telemetry(&mut self, number: usize, bytes: usize) -> Record {
        let seq = self.next_seq[number];
        self.next_seq[number] += 1;
        let stream = &self.recovered.stream;
        let mut payload = format!("{stream} {seq} ").into_bytes();
        payload.extend(std::iter::repeat_with(|| self.random.u8(..)).take(bytes));
        Record {
            machine: machine(number),
            kind: RecordKind::Telemetry { seq, samples: 10 },
            from: self.now.plus_millis(-1000),
            to: self.now,
            payload,
        }
    }

    fn field_gap(&mut self, number: usize) -> Record {
        let gap = Gap {
            v: 1,
            machine: machine(number),
            stream: self.recovered.stream.clone(),
            kind: GapKind::Field,
            from: self.now.plus_millis(-500),
            to: self.now,
            seq_from: None,
            seq_to: None,
            samples: None,
            reason: format!("silence {}", self.random.u32(..)),
        };
        Record {
            machine: machine(number),
            kind: RecordKind::Gap,
            from: gap.from,
            to: gap.to,
            payload: serde_json::to_vec(&gap).unwrap(),
        }
    }

    /// Appends and commits so many messages, a second apart.
    fn fill(&mut self, city: &mut City, messages: usize, bytes: usize) {
        for number in 0..messages {
            self.now = self.now.plus_millis(1000);
            let record = self.telemetry(number % 2, bytes);
            city.expect(&self.recovered.stream, &record);
            self.outbox().append(vec![record]).unwrap();
            if number % 8 == 7 {
                self.commit();
            }
        }
        self.commit();
    }

    fn commit(&self) -> u64 {
        self.outbox().commit(self.now).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.dir).unwrap().flatten();
        let mut dirs: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("seg-")
            })
            .collect();
        dirs.sort();
        dirs
    }
}

/// Every message of the present stream has arrived or is named.
fn nothing_is_missing(line: &Line, city: &City) {
    for (number, next) in line.next_seq.iter().enumerate() {
        let missing = city.missing(&line.recovered.stream, &machine(number), *next);
        assert_eq!(missing, Vec::<u64>::new(), "machine {number}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
