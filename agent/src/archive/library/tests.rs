//! What an archive answers, whichever epoch is meant, and whatever can't be read.

use super::super::Held;
use super::super::testing::{City, Gateway, at, copy, name};
use super::{Library, OPENED_MAX};
use crate::answers::{Answers, Code, Failure, Room, call};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn library(city: &City) -> Library {
    Library::of(city.shelf(), CancellationToken::new())
}

fn ask(
    library: &Library,
    gateway: &str,
    epoch: Option<u32>,
    (method, params): (&str, Value),
) -> Result<Vec<Value>, Failure> {
    let (site, gateway) = (name("zs"), name(gateway));
    let call = call(method, params).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let room = Room::of("", usize::MAX);
    library.answer((&site, &gateway), epoch, &call, room, deadline)
}

fn period(from: i64, to: i64) -> (&'static str, Value) {
    ("usage.bundle", json!({"from": at(from), "to": at(to)}))
}

fn questions(size: u64) -> Vec<(&'static str, Value)> {
    vec![
        ("ledger.entries", json!({"from": 0, "to": size})),
        ("ledger.consistency", json!({"from": 3, "to": size})),
        ("ledger.inclusion", json!({"index": 2, "size": size})),
        ("ledger.tile", json!({"level": 0, "index": 0, "width": 5})),
        period(5, 9),
    ]
}

/// The same answers as from the gateway's own directory.
fn agrees(library: &Library, gateway: &Gateway, epoch: Option<u32>) {
    let own = Answers::of_copy(&gateway.state).unwrap();
    for (method, params) in questions(gateway.ledger.size()) {
        let answer = ask(library, "gw", epoch, (method, params.clone())).unwrap();
        assert_eq!(answer, own.ask(method, params).unwrap(), "{method}");
    }
}

#[test]
fn an_archive_answers_as_the_gateway_did_whichever_epoch_is_asked_for() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(600, 0);
    city.keep(&first, None);
    let library = library(&city);
    agrees(&library, &first, None);
    let checkpoint = ask(&library, "gw", None, ("ledger.checkpoint", json!(null))).unwrap();
    assert_eq!(checkpoint[0]["keys"], json!([first.opened.key]));
    let old = tempfile::tempdir().unwrap();
    let (place, from) = (first.place.clone(), first.state.clone());
    let leaves = ask(&library, "gw", Some(1), questions(600).remove(0)).unwrap();
    let second = first.next_epoch(700);
    second.grow(20, 701);
    city.keep(&second, None);
    // The gateway is gone.
    fs::rename(from, old.path().join("gone")).unwrap();
    let again = ask(&library, "gw", Some(1), questions(600).remove(0)).unwrap();
    assert_eq!(again, leaves);
    let newest = ask(&library, "gw", None, ("ledger.checkpoint", json!(null))).unwrap();
    let text = newest[0]["checkpoint"].as_str().unwrap();
    assert!(text.starts_with("lineside/zs/gw/e2\n"), "{text}");
    let held = ask(&library, "gw", None, ("status", json!(null))).unwrap();
    let logs = held[0]["logs"].as_array().unwrap();
    let told: Vec<_> = logs
        .iter()
        .map(|log| (&log["epoch"], &log["size"]))
        .collect();
    assert_eq!(told, [(&json!(1), &json!(601)), (&json!(2), &json!(21))]);
    assert_eq!(
        (&logs[0]["first"], &logs[0]["newest"]),
        (&json!(at(0)), &json!(at(599)))
    );
    // Whoever names a log gets that log's leaves, and no other's.
    let of = |origin: &str| {
        let params = json!({"from": 0, "to": 9, "origin": origin});
        ask(&library, "gw", None, ("ledger.entries", params))
    };
    let plain = json!({"from": 0, "to": 9});
    for (origin, epoch) in [("lineside/zs/gw", 1), ("lineside/zs/gw/e2", 2)] {
        let plain = ("ledger.entries", plain.clone());
        assert_eq!(of(origin), ask(&library, "gw", Some(epoch), plain));
    }
    assert_ne!(of("lineside/zs/gw"), of("lineside/zs/gw/e2"));
    for origin in ["lineside/zs/gw/e1", "lineside/zs/gw/e3", "x", ""] {
        assert_eq!(of(origin).unwrap_err().code, Code::NotFound, "{origin}");
    }
    for (origin, is_of_before) in [
        ("lineside/zs/gw", true),
        ("lineside/zs/gw/e2", false),
        ("x", false),
    ] {
        let params = json!({"from": 0, "to": 9, "origin": origin});
        let call = call("ledger.entries", params).unwrap();
        let told = library.is_of_before(&name("zs"), &name("gw"), &call);
        assert_eq!(told, is_of_before, "{origin}");
    }
    let one = ask(&library, "gw", Some(1), ("status", json!(null))).unwrap();
    assert_eq!(one[0]["logs"].as_array().unwrap().len(), 1);
    for (gateway, epoch, words) in [
        ("gx", None, "no ledger"),
        ("gw", Some(3), "other epochs of that ledger: 1, 2"),
    ] {
        let refused = ask(&library, gateway, epoch, ("status", json!(null))).unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        assert!(refused.text.contains(words), "{refused:?}");
    }
    assert_eq!(place.epoch, 1);
}

#[test]
fn no_older_epoch_speaks_where_the_newest_can_not_be_read() {
    let city = City::new();
    let first = city.gateway("zs", "gw");
    first.grow(5, 0);
    city.keep(&first, None);
    let second = first.next_epoch(6);
    second.grow(5, 7);
    city.keep(&second, None);
    let shelf = city.shelf();
    let checkpoint = shelf.log_dir(&second.place).join("checkpoint");
    let map = ("config.get", json!({"hash": format!("sha256:{:064}", 0)}));
    let code = |epoch, question| ask(&library(&city), "gw", epoch, question).map_err(|no| no.code);
    let of = |origin: &str| ("ledger.checkpoint", json!({"origin": origin}));
    let without_text = code(None, map.clone());
    assert_eq!(without_text, Err(Code::NotFound));
    for damage in [Some("junk"), None] {
        match damage {
            Some(junk) => fs::write(&checkpoint, junk).unwrap(),
            None => fs::remove_file(&checkpoint).unwrap(),
        }
        let mut asked = questions(5);
        asked.push(("ledger.checkpoint", json!(null)));
        for question in asked {
            let method = question.0;
            for epoch in [None, Some(2)] {
                let answer = code(epoch, question.clone());
                assert_eq!(answer, Err(Code::Unavailable), "{method} {damage:?}");
            }
        }
        assert_eq!(code(None, of("lineside/zs/gw/e2")), Err(Code::Unavailable));
        assert_eq!(code(None, of("lineside/zs/gw/e3")), Err(Code::NotFound));
        assert_eq!(code(None, of("x")), Err(Code::NotFound));
        // Whoever names the older one gets it, and the texts that are kept for both.
        assert!(code(None, of("lineside/zs/gw")).is_ok());
        assert_eq!(code(None, map.clone()), without_text);
        let held = code(None, ("status", json!(null))).unwrap();
        assert_eq!(held[0]["unreadable"], json!([2]));
        let params = json!({"from": 0, "to": 1, "origin": "lineside/zs/gw"});
        let call = call("ledger.entries", params).unwrap();
        assert!(library(&city).is_of_before(&name("zs"), &name("gw"), &call));
    }
}

/// That nobody can say which logs there are is an answer: what others have is not all then.
#[test]
fn a_gateway_whose_logs_can_not_be_listed_is_not_denied() {
    let city = City::new();
    let gateway = city.gateway("zs", "gw");
    gateway.grow(3, 0);
    city.keep(&gateway, None);
    let library = library(&city);
    let (site, name) = (name("zs"), name("gw"));
    let ask = || ask(&library, "gw", None, ("status", Value::Null));
    let held: Held = serde_json::from_value(ask().unwrap().remove(0)).unwrap();
    assert!(held.is_readable());
    let dir = city.shelf().logs_dir().join("zs/gw");
    fs::rename(&dir, city.dir().join("away")).unwrap();
    fs::write(&dir, "no folder").unwrap();
    let said: Held = serde_json::from_value(ask().unwrap().remove(0)).unwrap();
    assert_eq!(said, Held::unlisted(site, name));
    // Beside another archive that can say it.
    for (mut one, other) in [(held.clone(), said.clone()), (said, held.clone())] {
        one.join(other);
        assert_eq!((&one.logs, one.is_readable()), (&held.logs, false));
    }
}

#[test]
fn a_log_that_grows_or_is_put_back_is_answered_as_it_is() {
    let city = City::new();
    let gateway = city.gateway("zs", "gw");
    gateway.grow(300, 0);
    city.keep(&gateway, None);
    let library = library(&city);
    let found = |from, to| ask(&library, "gw", None, period(from, to));
    assert_eq!(found(290, 400).unwrap()[0]["last"], 300);
    let backup = city.dir().join("backup");
    copy(&city.dir().join("logs"), &backup);
    gateway.grow(500, 300);
    city.keep(&gateway, None);
    agrees(&library, &gateway, None);
    assert_eq!(found(290, 400).unwrap()[0]["last"], 400);
    fs::remove_dir_all(city.dir().join("logs")).unwrap();
    fs::rename(backup, city.dir().join("logs")).unwrap();
    assert_eq!(found(290, 400).unwrap()[0]["last"], 300);
    assert_eq!(found(400, 500).unwrap_err().code, Code::NotFound);
}

#[test]
fn so_many_logs_are_open_and_no_more() {
    let city = City::new();
    let library = library(&city);
    let names: Vec<String> = (0..OPENED_MAX + 3)
        .map(|number| format!("g{number}"))
        .collect();
    for gateway in &names {
        let of = city.gateway("zs", gateway);
        of.grow(1, 0);
        city.keep(&of, None);
    }
    for _ in 0..2 {
        for gateway in &names {
            ask(&library, gateway, None, period(0, 1)).unwrap();
            assert!(library.opened().len() <= OPENED_MAX);
        }
    }
}
