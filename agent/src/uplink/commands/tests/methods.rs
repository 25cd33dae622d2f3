//! What each method answers.

use super::super::super::tests::peer::Listener;
use super::{Rig, ask, asking, hash, part, read, ready, refusal, result};
use crate::uplink::board::{Board, Place, Retained};
use crate::uplink::tests::now;
use lineside_proto::{EntriesResult, Time};
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn every_method_answers() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    for method in ["ledger.checkpoint", "status"] {
        assert_eq!(refusal(&mut peer, method, json!(null)).await, "unavailable");
    }
    rig.append(700, "x");
    rig.ledger.sign().unwrap();
    let size = rig.ledger.size();
    let note = rig.ledger.checkpoint().borrow().clone().unwrap();
    let said = result(&mut peer, "ledger.checkpoint", json!(null)).await;
    let keys: Vec<String> = rig.ledger.keys().iter().map(ToString::to_string).collect();
    assert_eq!(said, json!({"checkpoint": *note, "keys": keys}));

    let said = result(&mut peer, "ledger.entries", json!({"from": 3, "to": 7})).await;
    let exact: Vec<String> = rig.ledger.read(3, 1 << 20).unwrap()[..4]
        .iter()
        .map(|(_, leaf)| String::from_utf8(leaf.clone()).unwrap())
        .collect();
    assert_eq!(said, json!({"first": 3, "next": 7, "leaves": exact}));
    let all = json!({"from": size, "to": size});
    let said = result(&mut peer, "ledger.entries", all).await;
    assert_eq!(said, json!({"first": size, "next": size, "leaves": []}));

    for (method, params) in [
        ("ledger.consistency", json!({"from": 3, "to": size})),
        ("ledger.inclusion", json!({"index": 3, "size": size})),
    ] {
        let said = result(&mut peer, method, params).await;
        let hashes = said["hashes"].as_array().unwrap();
        assert!(hashes.iter().all(|hash| hash.as_str().unwrap().len() == 44));
        assert!(!hashes.is_empty());
    }
    let status = json!({"v": 1, "link": "ONLINE"});
    let document = Retained {
        payload: status.to_string().into_bytes().into(),
        version: 1,
        made: Instant::now(),
        max_age: None,
    };
    let mut board = Board::default();
    board.documents.insert(Place::Status, document);
    rig.board.send_replace(board);
    assert_eq!(result(&mut peer, "status", json!(null)).await, status);

    let parts = ask(&mut peer, "config.get", json!({"hash": hash()})).await;
    assert!(parts.len() > 1);
    let pieces = parts.into_iter().map(|part| part.result.unwrap());
    let text: String = pieces
        .map(|part| part["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "m = \"试\"\n".repeat(20_000));
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    rig.append(3, "x");
    rig.ledger.sign().unwrap();
    let size = rig.ledger.size();
    for (method, params) in [
        ("ledger.consistency", json!({"from": 3, "to": size + 1})),
        ("ledger.inclusion", json!({"index": 3, "size": size + 1})),
        ("ledger.entries", json!({"from": 0, "to": size + 1})),
        ("config.get", json!({"hash": hash().replace("0a", "0b")})),
        (
            "usage.bundle",
            json!({"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}),
        ),
    ] {
        assert_eq!(
            refusal(&mut peer, method, params).await,
            "not-found",
            "{method}"
        );
    }
    assert_eq!(
        refusal(&mut peer, "config.set", json!({})).await,
        "unknown-method"
    );
    assert_eq!(
        refusal(&mut peer, "ledger.entries", json!({})).await,
        "bad-params"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_period_is_found_and_found_again_when_the_ledger_has_grown() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let base = rig.ledger.size();
    let at = |second: u64| now().plus_millis(i64::try_from(second).unwrap() * 1000);
    let period = |from: Time, to: Time| json!({"from": from, "to": to});
    rig.append(1000, "x");
    rig.ledger.sign().unwrap();
    let note = rig.ledger.checkpoint().borrow().clone().unwrap();
    // Each leaf's second is its index.
    for (from, to, first, last) in [
        (base + 300, base + 600, base + 300, base + 599),
        (base + 999, base + 5000, base + 999, base + 999),
    ] {
        let said = result(&mut peer, "usage.bundle", period(at(from), at(to))).await;
        let expected = json!({"first": first, "last": last, "size": base + 1000,
            "checkpoint": *note});
        assert_eq!(said, expected);
    }
    rig.append(100, "x");
    let later = period(at(base + 999), at(base + 5000));
    let said = result(&mut peer, "usage.bundle", later).await;
    assert_eq!(
        (&said["first"], &said["last"]),
        (&json!(base + 999), &json!(base + 1099))
    );
    rig.stop().await;
}

#[tokio::test]
async fn large_answers_come_in_parts_four_at_once_and_can_be_paged() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    rig.append(800, &"\"".repeat(1800));
    let size = rig.ledger.size();
    let request = json!({"id": "q", "method": "ledger.entries", "params": {"from": 0, "to": size}});
    peer.say(&asking(&request.to_string())).await;
    let first = peer.take(4).await;
    assert!(peer.is_quiet().await, "no more than four on their way");
    let mut next = 0;
    for publish in &first {
        assert!(publish.payload.len() <= 128 << 10);
        let part: EntriesResult = serde_json::from_value(read(publish).result.unwrap()).unwrap();
        assert_eq!(part.first, next);
        next = part.next;
        peer.answer(publish.id, 0).await;
    }
    let parts = read(&first[0]).parts;
    for _ in 4..parts {
        let part: EntriesResult =
            serde_json::from_value(part(&mut peer).await.result.unwrap()).unwrap();
        next = part.next;
    }
    assert!(next < size, "an answer is bounded");
    while next < size {
        let parts = ask(
            &mut peer,
            "ledger.entries",
            json!({"from": next, "to": size}),
        )
        .await;
        let last = parts.into_iter().next_back().unwrap().result.unwrap();
        assert!(last["next"].as_u64().unwrap() > next);
        next = last["next"].as_u64().unwrap();
    }
    assert_eq!(next, size);
    rig.stop().await;
}
