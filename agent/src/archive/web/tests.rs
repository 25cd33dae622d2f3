//! The routes, without a socket; and events over a real one.

mod asked;
mod crowd;
mod events;
mod refused;

use super::openapi::{ENDPOINTS, document};
use super::{Desk, PATIENCE, ROUTES, router};
use crate::archive::alarm::{AlarmDocument, HeadDocument};
use crate::archive::index::{Index, Indexer};
use crate::archive::live::tests::{availability, fresh, status};
use crate::archive::testing::{City, Gateway, at, name};
use crate::archive::{Library, Live};
use crate::clock::{Clock, SystemClock};
use crate::serve::describe::check_references;
use crate::serve::requests::LINES;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use lineside_proto::{Answer, Link, State};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// A city with two gateways, one of which is there.
struct Stand {
    city: City,
    live: Arc<Live>,
    first: Gateway,
}

impl Stand {
    fn new() -> Self {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(300, 0);
        city.keep(&first, Some(at(300)));
        let other = city.gateway("ql", "gw");
        other.grow(3, 0);
        city.keep(&other, None);
        let live = Arc::new(Live::new(Arc::new(SystemClock), Arc::default()));
        let now = SystemClock.now().boot_ms;
        let said = status("gw", Link::Online);
        live.status(&name("zs"), &name("gw"), fresh(&said, now));
        let said = availability("gw", "mill", State::Idle);
        live.availability(&name("zs"), &name("gw"), &name("mill"), fresh(&said, now));
        Self { city, live, first }
    }

    fn desk(&self) -> Desk {
        let library = Library::of(self.city.shelf(), CancellationToken::new());
        Desk::new(Arc::new(library), Arc::clone(&self.live))
    }

    async fn ask(&self, request: Request<Body>) -> (u16, HeaderMap, Vec<u8>) {
        let response = router(Arc::new(self.desk()), PATIENCE)
            .oneshot(request)
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 16 << 20).await.unwrap().to_vec();
        (head.status.as_u16(), head.headers, body)
    }

    async fn get(&self, path: &str) -> (u16, HeaderMap, Vec<u8>) {
        self.ask(request("GET", path, "")).await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, headers, body) = self.get(path).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        assert_eq!(&headers["content-type"], "application/json", "{path}");
        serde_json::from_str(&text).unwrap()
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn logs_are_served_as_files_and_nothing_beside_them() {
    let stand = Stand::new();
    let (status, headers, body) = stand.get("/logs/zs/gw/e1/checkpoint").await;
    let own = fs::read(stand.first.state.join("ledger/checkpoint")).unwrap();
    assert_eq!((status, body), (200, own));
    assert_eq!(&headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(&headers["cache-control"], "no-cache");
    assert_eq!(&headers["access-control-allow-origin"], "*");
    assert_eq!(&headers["x-content-type-options"], "nosniff");
    for path in ["tile/entries/000", "tile/0/000", "tile/entries/001.p/45"] {
        let (status, headers, body) = stand.get(&format!("/logs/zs/gw/e1/{path}")).await;
        let own = fs::read(stand.first.state.join("ledger").join(path)).unwrap();
        assert_eq!((status, body), (200, own), "{path}");
        assert_eq!(&headers["content-type"], "application/octet-stream");
        assert_eq!(&headers["cache-control"], "max-age=31536000, immutable");
    }
    fs::write(stand.city.dir().join("secret"), "x").unwrap();
    fs::write(stand.city.dir().join("logs/secret"), "x").unwrap();
    for path in [
        "/logs/zs/gw/e1/tile/0/002",
        "/logs/zs/gw/e2/checkpoint",
        "/logs/zs/gw/e01/checkpoint",
        "/logs/zs/gw/1/checkpoint",
        "/logs/zs/none/e1/checkpoint",
        "/logs/ZS/gw/e1/checkpoint",
        "/logs/zs/gw/e1/",
        "/logs/zs/gw/e1",
        "/logs/secret",
        "/logs/zs/gw/e1/journal",
        "/logs/zs/gw/e1/../../../secret",
        "/logs/zs/gw/e1/tile/..%2f..%2fcheckpoint",
        "/logs/..%2f/gw/e1/checkpoint",
        "/logs/%2e%2e/%2e%2e/e1/checkpoint",
        "/logs/zs/gw/e1/checkpoint%00",
        "/logs/zs/gw/e1/checkpoint/",
        "/kept/zs/gw/e1/record.0",
        "/secret",
    ] {
        assert_eq!(stand.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn what_there_is_is_told() {
    let stand = Stand::new();
    let status = stand.json("/api/v1/status").await;
    let logs = &status["logs"];
    assert_eq!(
        (&logs["gateways"], &logs["logs"], &logs["leaves"]),
        (&json!(2), &json!(2), &json!(305))
    );
    assert_eq!(
        (&status["live"]["online"], &status["live"]["machines"]),
        (&json!(1), &json!(1))
    );
    let sites = stand.json("/api/v1/sites").await;
    let names: Vec<_> = sites
        .as_array()
        .unwrap()
        .iter()
        .map(|site| &site["site"])
        .collect();
    assert_eq!(names, ["ql", "zs"]);
    let gateways = stand.json("/api/v1/gateways").await;
    let online: Vec<_> = gateways
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["online"])
        .collect();
    assert_eq!(online, [&Value::Null, &json!(true)]);
    let one = stand.json("/api/v1/gateways?site=zs&gateway=gw").await;
    let log = &one[0]["logs"][0];
    assert_eq!(
        (&log["size"], &log["cosigned"]["size"]),
        (&json!(301), &json!(301))
    );
    assert_eq!(stand.json("/api/v1/gateways?site=none").await, json!([]));
    let machines = stand.json("/api/v1/availability").await;
    assert_eq!(
        (&machines[0]["machine"], &machines[0]["available_now"]),
        (&json!("mill"), &json!("yes"))
    );
    assert_eq!(stand.json("/api/v1/availability?site=ql").await, json!([]));
    for (path, expected) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/", 200),
        ("/api/v1/gateways?sites=zs", 400),
        ("/api/v1/gateways?site=ZS", 400),
        ("/api/v1/gateways?site=zs&site=ql", 400),
        ("/api/v1/alarms?limit=0", 400),
        ("/api/v1/alarms?limit=1001", 400),
        ("/api/v1/alarms?limit=x", 400),
        ("/api/v1/machines", 503),
        ("/api/v1", 404),
        ("/metrics", 404),
        ("/add-checkpoint", 404),
        ("/api/v1/gateways/zs/gw/request", 405),
    ] {
        assert_eq!(stand.get(path).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn a_request_is_answered_as_at_the_gateway() {
    let stand = Stand::new();
    let path = "/api/v1/gateways/zs/gw/request";
    let body = r#"{"id":"7","method":"ledger.entries","params":{"from":0,"to":3}}"#;
    let (status, headers, answer) = stand.ask(request("POST", path, body)).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &LINES.parse().unwrap())
    );
    assert_eq!(&headers["access-control-allow-origin"], "*");
    let answer: Answer = serde_json::from_slice(&answer).unwrap();
    let leaves = answer.result.unwrap()["leaves"].as_array().unwrap().len();
    assert_eq!(leaves, 3);
    let of_epoch = "/api/v1/gateways/zs/gw/e1/request";
    let status = r#"{"id":"7","method":"status","params":null}"#;
    let huge = format!(r#"{{"id":"{}"}}"#, "x".repeat(20_000));
    for (path, body, expected, words) in [
        (of_epoch, status, 200, "\"size\":301"),
        (path, status, 200, "\"epoch\":1"),
        (path, "{}", 200, "bad-params"),
        (
            "/api/v1/gateways/zs/gw/e2/request",
            status,
            200,
            "not-found",
        ),
        ("/api/v1/gateways/zs/none/request", status, 200, "not-found"),
        ("/api/v1/gateways/zs/gw/e0/request", status, 404, "nothing"),
        ("/api/v1/gateways/zs/G/request", status, 404, "nothing"),
        (path, &huge, 413, "body"),
    ] {
        let (status, _, answer) = stand.ask(request("POST", path, body)).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, expected, "{path} {answer}");
        assert!(answer.contains(words), "{path} {answer}");
    }
    let (status, headers, _) = stand.ask(request("OPTIONS", path, "")).await;
    assert_eq!(status, 204);
    assert_eq!(&headers["access-control-allow-methods"], "GET, HEAD, POST");
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(
            stand.ask(request(method, path, "")).await.0,
            405,
            "{method}"
        );
    }
}

#[tokio::test]
async fn what_was_refused_is_listed_the_newest_first() {
    let stand = Stand::new();
    let dir = stand.city.shelf().alarms_dir();
    for (folder, gateway) in [
        ("2026-01-zs-gw-e1-fork", "gw"),
        ("2026-02-zs-gx-e1-fork", "gx"),
    ] {
        fs::create_dir_all(dir.join(folder)).unwrap();
        let head = Some(HeadDocument {
            size: 1,
            root: "r".to_owned(),
        });
        let document = AlarmDocument {
            v: 1,
            at: at(0),
            site: "zs".to_owned(),
            gateway: gateway.to_owned(),
            epoch: 1,
            kind: "fork".to_owned(),
            text: "two trees".to_owned(),
            stopped: true,
            known: head.clone(),
            shown: head,
            check: String::new(),
        };
        let document = serde_json::to_vec(&document).unwrap();
        fs::write(dir.join(folder).join("alarm.json"), document).unwrap();
    }
    // Still being written, or no alarm.
    fs::create_dir_all(dir.join("2026-03-zs-gw-e1-fork")).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    let all = stand.json("/api/v1/alarms").await;
    let proofs: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["proof"])
        .collect();
    assert_eq!(proofs, ["2026-02-zs-gx-e1-fork", "2026-01-zs-gw-e1-fork"]);
    assert_eq!(all[0]["text"], "two trees");
    let one = stand
        .json("/api/v1/alarms?site=zs&gateway=gw&limit=5")
        .await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(
        stand
            .json("/api/v1/alarms?limit=1")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_index_is_asked_where_there_is_one() {
    let stand = Stand::new();
    let index = Arc::new(Index::embedded(&stand.city.dir()).unwrap());
    let mut indexer = Indexer::new(stand.city.shelf(), Arc::clone(&index));
    indexer.round(&mut || false).unwrap();
    let router = router(Arc::new(stand.desk().with_index(index)), PATIENCE);
    let (from, to) = (at(0), at(24));
    let usage = format!("/api/v1/usage?from={from}&to={to}");
    for (path, expected) in [
        ("/api/v1/machines", 200),
        ("/api/v1/sessions?site=zs&limit=5", 200),
        ("/api/v1/outcomes?booking=bk-1", 200),
        ("/api/v1/corrections", 200),
        (
            &format!("/api/v1/spans?site=zs&gateway=gw&from={from}&to={to}"),
            200,
        ),
        (
            &format!("/api/v1/gaps?site=zs&gateway=gw&from={from}&to={to}"),
            200,
        ),
        (&usage, 200),
        (&format!("{usage}&by=site"), 200),
        (&format!("{usage}&by=day"), 200),
        (&format!("{usage}&by=all"), 200),
        (&format!("{usage}&by=moon"), 400),
        ("/api/v1/usage", 400),
        (&format!("/api/v1/usage?from={to}&to={from}"), 400),
        ("/api/v1/sessions?limit=0", 400),
        ("/api/v1/sessions?limit=99999", 400),
        ("/api/v1/sessions?class=XYZ", 400),
        ("/api/v1/sessions?machines=mill", 400),
        ("/api/v1/sessions?after=%00%ff", 400),
    ] {
        let response = router
            .clone()
            .oneshot(request("GET", path, ""))
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = String::from_utf8_lossy(&body);
        assert_eq!(status, expected, "{path}: {body}");
    }
}

#[tokio::test]
async fn every_route_is_described_and_everything_described_is_there() {
    let stand = Stand::new();
    let described: BTreeSet<String> = ENDPOINTS
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    assert_eq!(described.len(), ENDPOINTS.len());
    let mut routed: BTreeSet<String> = BTreeSet::new();
    for (path, answers) in ROUTES {
        let path: Vec<String> = path
            .split('/')
            .map(|part| {
                part.strip_prefix(':')
                    .map_or_else(|| part.to_owned(), |name| format!("{{{name}}}"))
            })
            .collect();
        let path = path.join("/");
        let shown = format!("{:?}", answers());
        let method = if shown.contains("post: BoxedHandler") {
            "post"
        } else {
            "get"
        };
        match path.strip_suffix("/*path") {
            Some(log) => {
                for file in ["checkpoint", "tile/{level}/{tile}", "tile/entries/{tile}"] {
                    routed.insert(format!("{method} {log}/{file}"));
                }
            }
            // The page is for people.
            None if path == "/" => {}
            None => {
                routed.insert(format!("{method} {path}"));
            }
        }
    }
    // Where there is a witness, its routes are put beside these.
    routed.insert("post /add-checkpoint".to_owned());
    routed.insert("get /{log}/checkpoint".to_owned());
    assert_eq!(routed, described);
    let (_, _, page) = stand.get("/").await;
    let page = String::from_utf8(page).unwrap();
    for endpoint in ENDPOINTS {
        assert!(page.contains(endpoint.path), "{}", endpoint.path);
    }
    assert_eq!(stand.json("/api/v1/openapi.json").await, document());
}

#[test]
fn the_description_refers_to_nothing_that_is_not_in_it() {
    let document = document();
    check_references(&document, 50);
    let usage = document
        .pointer("/paths/~1api~1v1~1usage/get/parameters")
        .unwrap();
    let from = usage
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "from")
        .unwrap();
    assert_eq!(
        (&from["in"], &from["required"]),
        (&json!("query"), &json!(true))
    );
    let events = document.pointer("/paths/~1api~1v1~1events/get/parameters");
    let events = events.and_then(|list| list.as_array()).unwrap();
    let mut headers = events.iter().filter(|one| one["in"] == "header");
    assert_eq!(headers.next().unwrap()["name"], "Last-Event-ID");
    assert_eq!(headers.next(), None);
}
