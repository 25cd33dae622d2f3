mod before;

use super::{Answers, Code, Failure, Gateway, Room, call};
use crate::clock::Stamp;
use crate::ledger::Ledger;
use crate::machine::testing;
use crate::maps::Maps;
use crate::record::Entry;
use crate::tokens::Tokens;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lineside_proto::Time;
use lineside_proto::ledger::tile::{Tile, hashes};
use lineside_proto::ledger::{Audit, LeafBody};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const HOUR_MS: u64 = 3_600_000;

fn begin() -> Time {
    Time::from_millis(1_795_420_800_000)
}

fn token_hash() -> String {
    format!("sha256:{}", "0b".repeat(32))
}

/// A gateway with a state directory.
struct Rig {
    ledger: Ledger,
    map_hash: String,
    closed: CancellationToken,
    dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key/ledger.key");
        let state = dir.path().join("state");
        let (ledger, _) = Ledger::open(&state, &key, "lineside/s/g").unwrap();
        let mut map = testing::bare();
        map.hash = format!("sha256:{}", "0a".repeat(32));
        Maps::open(&state).unwrap().keep(&map).unwrap();
        let token = "a.b.c".to_owned();
        Tokens::open(&state)
            .unwrap()
            .keep(&[(token_hash(), token)])
            .unwrap();
        Self {
            ledger,
            map_hash: map.hash,
            closed: CancellationToken::new(),
            dir,
        }
    }

    fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state")
    }

    /// Appends so many leaves, ten minutes apart, and signs after each six.
    fn hours(&self, hours: u64) {
        let first = self.ledger.size();
        for hour in first / 6..first / 6 + hours {
            let leaves: Vec<_> = (hour * 6..hour * 6 + 6).map(leaf).collect();
            self.ledger.append("boot", &leaves).unwrap();
            self.ledger.sign().unwrap();
        }
    }

    fn gateway(&self) -> Answers {
        let (maps, state) = (Maps::of(&self.state()), self.state());
        let source = Gateway {
            ledger: self.ledger.clone(),
            maps: Arc::new(move |hash| maps.text(hash)),
            tokens: Arc::new(move |hash| Tokens::of(&state).text(hash)),
            status: Arc::new(|| Some(json!({"v": 1}))),
        };
        Answers::new(source, self.closed.clone())
    }

    fn copy(&self) -> Answers {
        Answers::of_copy(&self.state()).unwrap()
    }
}

fn leaf(index: u64) -> Entry {
    let millis = index * (HOUR_MS / 6);
    Entry {
        at: Stamp {
            boot_ms: millis,
            wall: begin().plus_millis(i64::try_from(millis).unwrap()),
        },
        body: LeafBody::Audit(Audit {
            who: "test".to_owned(),
            action: "apply".to_owned(),
            what: format!("\"{index}\""),
        }),
    }
}

fn code(answered: Result<Vec<Value>, Failure>) -> Code {
    let failure = answered.unwrap_err();
    assert!(!failure.text.is_empty());
    failure.code
}

/// Every way of asking that makes sense, and many that don't.
fn requests(rig: &Rig) -> Vec<(&'static str, Value)> {
    let size = rig.ledger.size();
    let at = |hours: i64| begin().plus_millis(hours * 3_600_000);
    let mut all = vec![
        ("ledger.checkpoint", json!(null)),
        ("config.get", json!({"hash": rig.map_hash})),
        ("config.get", json!({"hash": token_hash()})),
        ("token.get", json!({"hash": token_hash()})),
        ("token.get", json!({"hash": rig.map_hash})),
        ("usage.bundle", json!({"from": at(0), "to": at(24)})),
        ("usage.bundle", json!({"from": at(30), "to": at(31)})),
        ("usage.bundle", json!({"from": at(-9), "to": at(-8)})),
        ("nothing", json!({})),
    ];
    for (from, to) in [
        (0, size),
        (1, 7),
        (5, 5),
        (size, size),
        (0, size + 1),
        (7, 1),
        (256, 300),
    ] {
        for method in ["ledger.entries", "ledger.consistency", "ledger.checkpoints"] {
            all.push((method, json!({"from": from, "to": to})));
        }
        all.push(("ledger.inclusion", json!({"index": from, "size": to})));
    }
    for level in [0, 1, 2, 7, 8, 255] {
        for index in [0, 1, 2, 1 << 40, u64::MAX] {
            for width in [0, 1, 40, 255, 256, 257] {
                let wanted = json!({"level": level, "index": index, "width": width});
                all.push(("ledger.tile", wanted));
            }
        }
    }
    for newest in [false, true] {
        for limit in [1, 2, 1000] {
            let wanted = json!({"from": 10, "to": 100, "limit": limit, "newest": newest});
            all.push(("ledger.checkpoints", wanted));
        }
    }
    all
}

#[test]
fn a_copy_answers_as_the_gateway_does() {
    let rig = Rig::new();
    for hours in [0, 1, 60, 50] {
        rig.hours(hours);
        let (gateway, copy) = (rig.gateway(), rig.copy());
        for (method, params) in requests(&rig) {
            let mut expected = gateway.ask(method, params.clone());
            // Only who holds the keys knows which they are now.
            if let Ok([Value::Object(result)]) = expected.as_deref_mut() {
                result.remove("keys");
            }
            assert_eq!(
                copy.ask(method, params.clone()),
                expected,
                "{method} {params}"
            );
        }
    }
    assert_eq!(
        rig.gateway().ask("status", json!(null)),
        Ok(vec![json!({"v": 1})])
    );
    assert_eq!(
        code(rig.copy().ask("status", json!(null))),
        Code::Unavailable
    );
    let parts = rig.copy().ask("token.get", json!({"hash": token_hash()}));
    assert_eq!(
        parts,
        Ok(vec![json!({"hash": token_hash(), "text": "a.b.c"})])
    );
    for method in ["token.get", "config.get"] {
        let unknown = json!({"hash": format!("sha256:{}", "0c".repeat(32))});
        assert_eq!(code(rig.copy().ask(method, unknown)), Code::NotFound);
    }
}

#[test]
fn nothing_is_written_into_a_copy() {
    let rig = Rig::new();
    rig.hours(3);
    let state = rig.state();
    fs::remove_dir_all(state.join("maps")).unwrap();
    fs::remove_dir_all(state.join("tokens")).unwrap();
    let list = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort_unstable();
        names
    };
    let before = (list(&state), list(&state.join("ledger")));
    let copy = rig.copy();
    for (method, params) in requests(&rig) {
        drop(copy.ask(method, params));
    }
    assert_eq!((list(&state), list(&state.join("ledger"))), before);
    assert!(Answers::of_copy(rig.dir.path()).is_err());
}

#[test]
fn kept_checkpoints_come_oldest_first_and_can_be_paged() {
    let rig = Rig::new();
    rig.hours(40);
    let answers = rig.gateway();
    let ask = |params: Value| -> (Vec<u64>, u64) {
        let parts = answers.ask("ledger.checkpoints", params).unwrap();
        let notes = parts
            .iter()
            .flat_map(|part| part["checkpoints"].as_array().unwrap());
        let sizes = notes.map(|note| {
            let size = note["size"].as_u64().unwrap();
            let text = note["checkpoint"].as_str().unwrap();
            assert!(text.starts_with(&format!("lineside/s/g\n{size}\n")));
            let hours = i64::try_from(size / 6 - 1).unwrap();
            let newest = begin().plus_millis(hours * 3_600_000 + 3_000_000);
            assert_eq!(note["at"], json!(newest));
            size
        });
        (
            sizes.collect(),
            parts.last().unwrap()["next"].as_u64().unwrap(),
        )
    };
    let all: Vec<u64> = (1..=40).map(|hour| hour * 6).collect();
    let everything = u64::MAX;
    for (params, sizes, next) in [
        (json!({"from": 0, "to": everything}), &all[..], everything),
        (json!({"from": 6, "to": 18}), &all[..2], 18),
        (json!({"from": 7, "to": 18, "limit": 1}), &all[1..2], 18),
        (json!({"from": 0, "to": 99, "limit": 3}), &all[..3], 24),
        (
            json!({"from": 0, "to": 99, "limit": 2, "newest": true}),
            &all[14..16],
            99,
        ),
        (json!({"from": 500, "to": 999}), &[], 999),
        (json!({"from": 9, "to": 9}), &[], 9),
    ] {
        assert_eq!(ask(params.clone()), (sizes.to_vec(), next), "{params}");
    }
    // In small pieces.
    let room = Room::of("id", 1400);
    let soon = Instant::now() + Duration::from_secs(60);
    for newest in [false, true] {
        let (mut from, mut sizes) = (0, Vec::new());
        while from < 1000 {
            let wanted = json!({"from": from, "to": 1000, "newest": newest});
            let wanted = call("ledger.checkpoints", wanted).unwrap();
            let parts = answers.answer(&wanted, room, soon).unwrap();
            assert!(parts.len() > 1 && parts.len() <= 16);
            assert!(parts.iter().all(|part| part.to_string().len() <= 1400));
            for part in &parts {
                let notes = part["checkpoints"].as_array().unwrap();
                sizes.extend(notes.iter().map(|note| note["size"].as_u64().unwrap()));
            }
            let next = parts.last().unwrap()["next"].as_u64().unwrap();
            assert!(next > from);
            from = next;
        }
        assert!(
            if newest {
                all.ends_with(&sizes)
            } else {
                sizes == all
            },
            "{sizes:?}"
        );
    }
}

#[test]
fn a_damaged_note_is_passed_over() {
    let rig = Rig::new();
    rig.hours(4);
    let answers = rig.gateway();
    let path = rig.state().join("ledger/notes/2026-11");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let first = |newest: bool| {
        let wanted = json!({"from": 0, "to": 13, "limit": 2, "newest": newest});
        let parts = answers.ask("ledger.checkpoints", wanted).unwrap();
        let notes = parts[0]["checkpoints"].as_array().unwrap().clone();
        notes
            .iter()
            .map(|note| note["size"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(first(false), [12]);
    assert_eq!(first(true), [12]);
}

/// Tiles of every signed size are had, however much the log has grown since.
#[test]
fn tiles_of_any_signed_size() {
    let rig = Rig::new();
    rig.hours(100);
    for answers in [rig.gateway(), rig.copy()] {
        for size in rig.ledger.kept(0..u64::MAX) {
            let all = Tile::of_log(size);
            for tile in all.filter(|tile| tile.to_string().split('/').nth(1) != Some("entries")) {
                let level: u8 = tile.to_string().split('/').nth(1).unwrap().parse().unwrap();
                let wanted = json!({"level": level, "index": tile.index, "width": tile.width});
                let parts = answers.ask("ledger.tile", wanted).unwrap();
                let bytes = BASE64.decode(parts[0]["bytes"].as_str().unwrap()).unwrap();
                assert_eq!(hashes(&bytes, tile.width).unwrap().len() as u64, tile.width);
            }
        }
    }
}

#[test]
fn whoever_names_another_log_gets_nothing_of_this_one() {
    let rig = Rig::new();
    rig.hours(2);
    let (gateway, copy) = (rig.gateway(), rig.copy());
    for (origin, answers) in [
        ("lineside/s/g", true),
        ("lineside/s/g/e2", false),
        ("lineside/s", false),
        ("", false),
    ] {
        for method in ["ledger.entries", "ledger.consistency"] {
            let plain = json!({"from": 1, "to": 5});
            let named = json!({"from": 1, "to": 5, "origin": origin});
            for source in [&gateway, &copy] {
                let answer = source.ask(method, named.clone());
                if answers {
                    assert_eq!(answer, source.ask(method, plain.clone()), "{method}");
                } else {
                    assert_eq!(code(answer), Code::NotFound, "{method} {origin}");
                }
            }
        }
    }
}

#[test]
fn an_answer_ends_at_its_deadline() {
    let rig = Rig::new();
    rig.hours(2);
    let answers = rig.gateway();
    let room = Room::of("id", usize::MAX);
    let wanted = call("ledger.entries", json!({"from": 0, "to": 5})).unwrap();
    assert_eq!(
        code(answers.answer(&wanted, room, Instant::now())),
        Code::Busy
    );
    rig.closed.cancel();
    let soon = Instant::now() + Duration::from_secs(60);
    assert_eq!(code(answers.answer(&wanted, room, soon)), Code::Busy);
}

#[test]
fn small_packets_are_refused_with_a_word() {
    let rig = Rig::new();
    rig.hours(60);
    let answers = rig.gateway();
    let soon = Instant::now() + Duration::from_secs(60);
    for (method, params, bytes, expected) in [
        (
            "ledger.tile",
            json!({"level": 0, "index": 0, "width": 256}),
            11_200,
            None,
        ),
        (
            "ledger.tile",
            json!({"level": 0, "index": 0, "width": 256}),
            11_000,
            Some(Code::Unavailable),
        ),
        (
            "ledger.checkpoints",
            json!({"from": 0, "to": 99}),
            420,
            Some(Code::Unavailable),
        ),
        (
            "token.get",
            json!({"hash": token_hash()}),
            300,
            Some(Code::Unavailable),
        ),
    ] {
        let wanted = call(method, params).unwrap();
        let answered = answers.answer(&wanted, Room::of("id", bytes), soon);
        assert_eq!(
            answered.err().map(|failure| failure.code),
            expected,
            "{method} {bytes}"
        );
    }
}

/// Numbers of all sizes are answered or refused, from a ledger as from a copy.
#[test]
fn any_numbers_are_answered_or_refused() {
    let rig = Rig::new();
    rig.hours(50);
    let both = [rig.gateway(), rig.copy()];
    let number = || prop_oneof![any::<u64>(), 0_u64..400];
    let numbers = (number(), number(), number(), any::<u8>(), any::<u16>());
    let mut runner = TestRunner::default();
    let asked = runner.run(&numbers, |(a, b, c, level, width)| {
        for answers in &both {
            for method in ["ledger.entries", "ledger.consistency", "ledger.checkpoints"] {
                drop(answers.ask(method, json!({"from": a, "to": b})));
            }
            let newest = json!({"from": a, "to": b, "limit": c, "newest": true});
            drop(answers.ask("ledger.checkpoints", newest));
            drop(answers.ask("ledger.inclusion", json!({"index": a, "size": b})));
            let tile = json!({"level": level, "index": c, "width": width});
            drop(answers.ask("ledger.tile", tile));
        }
        Ok(())
    });
    asked.unwrap();
}
