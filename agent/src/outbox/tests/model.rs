//! Any order of actions: nothing durable is lost, doubled, changed or out of order.

use proptest::prelude::*;
use std::fs;
use std::path::Path;

use super::{City, Line, copy, small};

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
        share: f64,
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
        2 => (0.0..=1.0).prop_map(|share| Action::Acknowledge { share }),
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

/// The naive queue: what must come out, in order.
#[derive(Default)]
struct Naive {
    durable: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
}

fn run(actions: &[Action]) {
    let place = tempfile::tempdir().unwrap();
    let mut line = Line::start(&place.path().join("0"), small());
    let mut city = City::default();
    let mut naive = Naive::default();
    let stream = line.recovered.stream.clone();
    for (step, action) in actions.iter().enumerate() {
        match action {
            Action::Append {
                machine,
                bytes,
                count,
            } => {
                for _ in 0..*count {
                    line.now = line.now.plus_millis(700);
                    let record = line.telemetry(*machine, *bytes);
                    city.expect(&stream, &record);
                    naive.waiting.push(record.payload.clone());
                    line.outbox().append(vec![record]).unwrap();
                }
            }
            Action::Gap { machine } => {
                let record = line.field_gap(*machine);
                naive.waiting.push(record.payload.clone());
                line.outbox().append(vec![record]).unwrap();
            }
            Action::Commit => {
                let end = line.commit();
                naive.durable.append(&mut naive.waiting);
                assert_eq!(end, naive.durable.len() as u64);
                assert_eq!(*line.outbox().durable().borrow(), end);
            }
            Action::Read { bytes_max } => {
                city.read(line.outbox(), *bytes_max);
                assert_eq!(city.position, naive.durable.len() as u64);
            }
            Action::Acknowledge { share } => {
                let delivered = line.outbox().delivered();
                let ahead = city.position.saturating_sub(delivered);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a share of a small number"
                )]
                let up_to = delivered + (ahead as f64 * share) as u64;
                line.outbox().acknowledge(up_to);
                let left = naive.durable.len() as u64 - up_to;
                assert_eq!(line.outbox().figures().messages, left);
                assert_eq!(line.outbox().figures().oldest.is_some(), left > 0);
            }
            Action::Reopen => {
                line.reopen();
                naive.waiting.clear();
                city.rewind(line.outbox());
            }
            Action::Crash { tear: how } => {
                let next = place.path().join((step + 1).to_string());
                copy(&line.dir, &next);
                tear(&next, how);
                line.close();
                line.dir = next;
                line.open();
                naive.waiting.clear();
                city.rewind(line.outbox());
            }
        }
        assert_eq!(line.recovered.alarms, Vec::<String>::new());
        assert_eq!(line.recovered.stream, stream);
    }
    let delivered = usize::try_from(line.outbox().delivered()).unwrap();
    let read = line.outbox().read(0, usize::MAX).unwrap();
    let kept: Vec<_> = read.iter().map(|(position, _)| *position).collect();
    let left: Vec<_> = read
        .into_iter()
        .filter(|(position, _)| *position >= delivered as u64)
        .map(|(_, record)| record.payload)
        .collect();
    assert!(
        left == naive.durable[delivered..],
        "what is left, in order: {kept:?}"
    );
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
        run(&actions);
    }
}
