//! Any order of actions: nothing durable is lost, doubled, changed or out of order.

use proptest::prelude::*;
use std::fs;
use std::path::Path;

use super::{City, Line, Record, copy, small};

#[derive(Clone, Debug)]
enum Action {
    Append {
        machine: usize,
        bytes: usize,
        count: usize,
    },
    Gap {
        machine: usize,
    },
    Commit,
    Read {
        bytes_max: usize,
    },
    Acknowledge {
        ahead: u64,
    },
    Reopen,
    Crash {
        tear: Tear,
    },
}

#[derive(Clone, Debug)]
enum Tear {
    Nothing,
    TornLog(usize),
    EmptySnapshot,
    HalfBorn,
    Unfinished,
}

fn action() -> impl Strategy<Value = Action> {
    let tear = prop_oneof![
        Just(Tear::Nothing),
        (1..20_000_usize).prop_map(Tear::TornLog),
        Just(Tear::EmptySnapshot),
        Just(Tear::HalfBorn),
        Just(Tear::Unfinished),
    ];
    prop_oneof![
        6 => (0..3_usize, prop_oneof![1..200_usize, 5_000..120_000_usize], 1..6_usize)
            .prop_map(|(machine, bytes, count)| Action::Append { machine, bytes, count }),
        1 => (0..3_usize).prop_map(|machine| Action::Gap { machine }),
        4 => Just(Action::Commit),
        3 => (1..200_000_usize).prop_map(|bytes_max| Action::Read { bytes_max }),
        2 => (0..40_u64).prop_map(|ahead| Action::Acknowledge { ahead }),
        1 => Just(Action::Reopen),
        2 => tear.prop_map(|tear| Action::Crash { tear }),
    ]
}

fn tear(dir: &Path, how: &Tear) {
    let mut segments: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("seg-")
        })
        .collect();
    segments.sort();
    let tail = segments.last();
    match how {
        Tear::Nothing => {}
        Tear::TornLog(bytes) => {
            if let Some(tail) = tail {
                let mut log = fs::read(tail.join("db")).unwrap();
                log.extend((0..*bytes).map(|byte| u8::try_from(byte % 255).unwrap()));
                fs::write(tail.join("db"), log).unwrap();
            }
        }
        Tear::EmptySnapshot => {
            if let Some(tail) = tail {
                fs::write(tail.join("snap.00000000FFFFFFFF"), b"").unwrap();
                fs::write(tail.join("snap.0000000000000001.generating"), b"x").unwrap();
            }
        }
        Tear::HalfBorn => fs::create_dir(dir.join("new-seg-00000000000000000009")).unwrap(),
        Tear::Unfinished => fs::write(dir.join("reserve"), b"").unwrap(),
    }
}

/// The queue beside a naive one: what must come out, in order.
struct Pair {
    place: tempfile::TempDir,
    line: Line,
    city: City,
    durable: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    crashes: usize,
}

impl Pair {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        Self {
            line: Line::start(&place.path().join("0"), small()),
            place,
            city: City::default(),
            durable: Vec::new(),
            waiting: Vec::new(),
            crashes: 0,
        }
    }

    fn append(&mut self, record: Record) {
        self.city.expect(&self.line.recovered.stream, &record);
        self.waiting.push(record.payload.clone());
        self.line.outbox().append(vec![record]).unwrap();
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Append {
                machine,
                bytes,
                count,
            } => {
                for _ in 0..*count {
                    self.line.now = self.line.now.plus_millis(700);
                    let record = self.line.telemetry(*machine, *bytes);
                    self.append(record);
                }
            }
            Action::Gap { machine } => {
                let record = self.line.field_gap(*machine);
                self.append(record);
            }
            Action::Commit => {
                let end = self.line.commit();
                self.durable.append(&mut self.waiting);
                assert_eq!(end, self.durable.len() as u64);
                assert_eq!(*self.line.outbox().durable().borrow(), end);
            }
            Action::Read { bytes_max } => {
                self.city.read(self.line.outbox(), *bytes_max);
                assert_eq!(self.city.position, self.durable.len() as u64);
            }
            Action::Acknowledge { ahead } => {
                let outbox = self.line.outbox();
                let up_to = self.city.position.min(outbox.delivered() + ahead);
                outbox.acknowledge(up_to);
                let left = self.durable.len() as u64 - outbox.delivered();
                assert_eq!(outbox.figures().messages, left);
                assert_eq!(outbox.figures().oldest.is_some(), left > 0);
            }
            Action::Reopen => {
                self.line.close();
                self.open();
            }
            Action::Crash { tear: how } => {
                self.crashes += 1;
                let next = self.place.path().join(self.crashes.to_string());
                copy(&self.line.dir, &next);
                tear(&next, how);
                self.line.close();
                self.line.dir = next;
                self.open();
            }
        }
    }

    fn open(&mut self) {
        let stream = self.line.recovered.stream.clone();
        self.line.open();
        assert_eq!(self.line.recovered.alarms, Vec::<String>::new());
        assert_eq!(self.line.recovered.stream, stream);
        self.waiting.clear();
        self.city.rewind(self.line.outbox());
    }

    fn finish(self) {
        let outbox = self.line.outbox();
        let delivered = outbox.delivered();
        let read = outbox.read(delivered, usize::MAX).unwrap();
        let positions: Vec<_> = read.iter().map(|(position, _)| *position).collect();
        let payloads: Vec<_> = read.into_iter().map(|(_, record)| record.payload).collect();
        let left = self
            .durable
            .get(usize::try_from(delivered).unwrap()..)
            .unwrap();
        assert!(payloads == left, "what is left, in order: {positions:?}");
    }
}

/// Each case syncs the disk many times.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.div_ceil(32),
        max_shrink_iters: 200,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn behaves_as_a_naive_queue(actions in prop::collection::vec(action(), 1..60)) {
        let mut pair = Pair::start();
        actions.iter().for_each(|action| pair.act(action));
        pair.finish();
    }
}
