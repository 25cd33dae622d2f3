//! Requests over the local API.

use super::super::{PATIENCE, router};
use super::{HOST, JSON, Stand, request};
use crate::answers::{Answers, Failure, Gateway, Source};
use crate::clock::Stamp;
use crate::console::Desk;
use crate::ledger::Ledger;
use crate::record::Entry;
use crate::serve::requests::LINES;
use crate::text::Language;
use axum::body::to_bytes;
use lineside_proto::ledger::tile::Tile;
use lineside_proto::ledger::{Audit, Hash, LeafBody};
use lineside_proto::{ANSWER_BYTES_MAX, Answer, EntriesResult, KeptCheckpoint, Time};
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// What requests are answered from.
pub(super) fn known(ledger: &Ledger) -> Arc<Answers> {
    let source = Gateway {
        ledger: ledger.clone(),
        maps: Arc::new(|_| None),
        tokens: Arc::new(|_| Some("a.b.c".to_owned())),
        status: Arc::new(|| Some(json!({"v": 1}))),
    };
    Arc::new(Answers::new(source, CancellationToken::new()))
}

const PATH: &str = "/api/v1/request";

fn append(stand: &Stand, count: u64, text: &str) {
    let entries: Vec<_> = (0..count)
        .map(|boot_ms| Entry {
            at: Stamp {
                boot_ms,
                wall: Time::from_millis(1_795_420_800_000),
            },
            body: LeafBody::Audit(Audit {
                who: "test".to_owned(),
                action: "apply".to_owned(),
                what: text.to_owned(),
            }),
        })
        .collect();
    stand.ledger.append("boot", &entries).unwrap();
}

fn parts(body: &[u8]) -> Vec<Answer> {
    assert_eq!(body.last(), Some(&b'\n'));
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| {
            assert!(line.len() <= ANSWER_BYTES_MAX + 1);
            serde_json::from_slice(line).unwrap()
        })
        .collect()
}

async fn ask(stand: &Stand, body: &str) -> Vec<Answer> {
    let (status, headers, body) = stand.ask(request("POST", PATH, &[HOST, JSON], body)).await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &LINES.parse().unwrap())
    );
    parts(&body)
}

#[tokio::test]
async fn an_answer_is_a_line_a_part() {
    let stand = Stand::new("127.0.0.1:0", None);
    append(&stand, 3, "x");
    stand.ledger.sign().unwrap();
    append(&stand, 900, &"y".repeat(3000));
    let answers = ask(
        &stand,
        r#"{"id":"q","method":"ledger.entries","params":{"from":0,"to":903}}"#,
    )
    .await;
    assert_eq!(answers.len(), 16);
    let mut next = 0;
    for (part, answer) in (1..).zip(answers) {
        assert_eq!((&*answer.id, answer.part, answer.parts), ("q", part, 16));
        let result: EntriesResult = serde_json::from_value(answer.result.unwrap()).unwrap();
        assert_eq!(result.first, next);
        let exact = stand.ledger.read(next, 1 << 20).unwrap();
        for (leaf, (_, bytes)) in result.leaves.iter().zip(exact) {
            assert_eq!(leaf.as_bytes(), bytes);
        }
        next = result.next;
    }
    assert!((500..903).contains(&next), "{next}");
    let note = stand.ledger.checkpoint().borrow().clone().unwrap();
    let keys = stand.ledger.keys();
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    for (method, params, expected) in [
        ("status", json!(null), json!({"v": 1})),
        (
            "ledger.checkpoint",
            json!(null),
            json!({"checkpoint": *note, "keys": keys}),
        ),
        (
            "token.get",
            json!({"hash": format!("sha256:{}", "0a".repeat(32))}),
            json!({"hash": format!("sha256:{}", "0a".repeat(32)), "text": "a.b.c"}),
        ),
    ] {
        let body = json!({"id": "7", "method": method, "params": params});
        let answers = ask(&stand, &body.to_string()).await;
        assert_eq!(answers[0].result, Some(expected), "{method}");
    }
}

#[tokio::test]
async fn what_can_t_be_answered_says_why() {
    let stand = Stand::new("127.0.0.1:0", None);
    for (body, code) in [
        (
            r#"{"id":"7","method":"config.set","params":{}}"#,
            "unknown-method",
        ),
        (
            r#"{"id":"7","method":"ledger.entries","params":{"from":1,"to":0}}"#,
            "bad-params",
        ),
        (
            r#"{"id":"7","method":"ledger.entries","params":{"from":0,"to":9}}"#,
            "not-found",
        ),
        (r#"{"id":"7","method":"ledger.checkpoint"}"#, "unavailable"),
        ("{}", "bad-params"),
        ("[]", "bad-params"),
        ("", "bad-params"),
        ("\u{0}", "bad-params"),
    ] {
        let answers = ask(&stand, body).await;
        let error = answers[0].error.clone().unwrap();
        assert_eq!((answers.len(), &*error.code), (1, code), "{body}");
    }
    let huge = format!(r#"{{"id":"{}"}}"#, "x".repeat(17_000));
    let deep = "[".repeat(16_000);
    let form = ("content-type", "text/plain");
    let elsewhere = ("origin", "http://example.org");
    let named = ("host", "example.org");
    let status = r#"{"id":"7","method":"status"}"#;
    for (headers, body, expected) in [
        (vec![HOST, JSON], huge.as_str(), 413),
        (vec![HOST, JSON], &deep, 200),
        (vec![HOST], status, 415),
        (vec![HOST, form], status, 415),
        (vec![HOST, JSON, elsewhere], status, 403),
        (vec![named, JSON], status, 421),
        (vec![HOST, JSON], status, 200),
    ] {
        let asked = request("POST", PATH, &headers, body);
        assert_eq!(stand.status(asked).await, expected, "{headers:?}");
    }
    assert_eq!(stand.status(request("GET", PATH, &[HOST], "")).await, 405);
    let locked = Stand::new("127.0.0.1:0", Some("open sesame"));
    let asked = request("POST", PATH, &[HOST, JSON], status);
    assert_eq!(locked.status(asked).await, 401);
}

/// A source that answers when it is let, and counts who waits in it.
#[derive(Default)]
struct Gated {
    waiting: AtomicUsize,
    most: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
}

struct Slow(Arc<Gated>);

impl Source for Slow {
    fn size(&self) -> u64 {
        0
    }
    fn checkpoint(&self) -> Option<Arc<str>> {
        None
    }
    fn leaves(&self, _: u64, _: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        Ok(Vec::new())
    }
    fn consistency(&self, _: u64, _: u64) -> Result<Vec<Hash>, Failure> {
        Ok(Vec::new())
    }
    fn inclusion(&self, _: u64, _: u64) -> Result<Vec<Hash>, Failure> {
        Ok(Vec::new())
    }
    fn tile(&self, _: Tile) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }
    fn kept(&self, _: Range<u64>) -> Vec<u64> {
        Vec::new()
    }
    fn kept_note(&self, _: u64) -> Option<KeptCheckpoint> {
        None
    }
    fn map(&self, _: &str) -> Option<String> {
        None
    }
    fn token(&self, _: &str) -> Option<String> {
        None
    }
    fn status(&self) -> Result<Value, Failure> {
        let waiting = self.0.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(waiting, Ordering::SeqCst);
        let mut open = self.0.open.lock().unwrap();
        while !*open {
            open = self.0.opened.wait(open).unwrap();
        }
        drop(open);
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(json!({"v": 1}))
    }
}

#[tokio::test]
async fn few_are_answered_at_once_and_the_others_wait() {
    let stand = Stand::new("127.0.0.1:0", None);
    let gated = Arc::new(Gated::default());
    let known = Arc::new(Answers::new(
        Slow(Arc::clone(&gated)),
        CancellationToken::new(),
    ));
    let (asks, _taken) = mpsc::channel(1);
    let named = (Language::En, String::new());
    let desk = Desk::of(&stand.console, stand.dir.path(), named, asks, known);
    let router = router(Arc::new(desk), PATIENCE);
    let mut all = Vec::new();
    for _ in 0..6 {
        let asked = request(
            "POST",
            PATH,
            &[HOST, JSON],
            r#"{"id":"7","method":"status"}"#,
        );
        all.push(tokio::spawn(router.clone().oneshot(asked)));
    }
    while gated.waiting.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    *gated.open.lock().unwrap() = true;
    gated.opened.notify_all();
    for asked in all {
        let response = asked.await.unwrap().unwrap();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(parts(&body)[0].result, Some(json!({"v": 1})));
    }
    assert_eq!(gated.most.load(Ordering::SeqCst), 2);
}
