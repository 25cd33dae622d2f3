mod hostile;
mod refused;
mod requests;

use super::desk::Desk;
use super::openapi::{ENDPOINTS, document};
use super::{PATIENCE, router};
use crate::config::model::{Console, Secret};
use crate::ledger::Ledger;
use crate::live::{Live, LiveMachine, LiveSession, UplinkFigures};
use crate::run::{Ask, PastSession, Refused};
use crate::serve::describe::check_references;
use crate::text;
use crate::text::Language;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use lineside_proto::{
    CheckIn, Class, Clock, ClockStatus, Identifier, LocalText, OutboxFigures, ReasonCode, State,
    Time,
};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

fn time() -> Time {
    Time::from_millis(1_795_420_800_000)
}

fn session(by: &str) -> LiveSession {
    LiveSession {
        session: "01J".to_owned(),
        booking: None,
        class: Class::Own,
        check_in: CheckIn::Local,
        by: Some(by.to_owned()),
        from: time(),
        expected_end: None,
    }
}

fn past() -> PastSession {
    PastSession {
        session: "01H".to_owned(),
        booking: None,
        class: Class::Own,
        check_in: CheckIn::Local,
        by: None,
        from: time(),
        to: Some(time()),
        reason: None,
        index: 7,
    }
}

fn live() -> Live {
    let machine = LiveMachine {
        machine: "mill".parse().unwrap(),
        name: LocalText::default(),
        state: State::Idle,
        since: time(),
        rule: None,
        reason: ReasonCode::Starting,
        reason_text: String::new(),
        available_now: State::Idle.available_now(),
        observed_at: None,
        points: Vec::new(),
        links: Vec::new(),
        session: Some(session("x")),
    };
    Live {
        site: "site".parse().unwrap(),
        gateway: "gw".parse().unwrap(),
        version: "0".to_owned(),
        started: time(),
        at: time(),
        clock: Clock {
            status: ClockStatus::U,
            offset_ms: None,
        },
        machines: vec![machine],
        uplink: UplinkFigures::default(),
        outbox: OutboxFigures::default(),
        ledger: None,
    }
}

/// An agent that has one machine, whose session somebody else already has open where the name says so.
async fn agent(mut asks: mpsc::Receiver<Ask>) {
    let mill: Identifier = "mill".parse().unwrap();
    while let Some(ask) = asks.recv().await {
        match ask {
            Ask::Live(reply) => drop(reply.send(live())),
            Ask::Sessions { machine, reply } => {
                assert_eq!(machine, mill);
                drop(reply.send(Ok(vec![past()])));
            }
            Ask::CheckIn { arrival, reply, .. } if arrival.machine != mill => {
                drop(reply.send(Err(Refused::UnknownMachine(arrival.machine))));
            }
            Ask::CheckIn { arrival, reply, .. } if arrival.booking.is_some() => {
                let text = text!("another session is open", "已有其他上机记录");
                drop(reply.send(Err(Refused::Conflict(text))));
            }
            Ask::CheckIn { arrival, reply, .. } => {
                drop(reply.send(Ok(session(&arrival.by))));
            }
            Ask::CheckOut {
                departure, reply, ..
            } => drop(reply.send(Ok(session(&departure.by)))),
            Ask::Reload { .. }
            | Ask::Probe { .. }
            | Ask::Correct { .. }
            | Ask::RotateKey { .. } => {
                panic!("the console does not ask this")
            }
        }
    }
}

struct Stand {
    dir: TempDir,
    console: Console,
    ledger: Ledger,
}

impl Stand {
    fn new(listen: &str, password: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tiles = dir.path().join("ledger/tile/0");
        fs::create_dir_all(tiles.join("000.p")).unwrap();
        fs::create_dir_all(tiles.join("001.p")).unwrap();
        fs::write(
            dir.path().join("ledger/checkpoint"),
            "lineside/site/gw\n300\n",
        )
        .unwrap();
        fs::write(dir.path().join("ledger/journal"), "secret").unwrap();
        fs::write(dir.path().join("salt"), [7; 32]).unwrap();
        fs::write(tiles.join("000"), [1; 8192]).unwrap();
        fs::write(tiles.join("000.p/44"), [1; 1408]).unwrap();
        fs::write(tiles.join("001.p/44"), [2; 1408]).unwrap();
        let console = Console {
            listen: listen.parse().unwrap(),
            password: password.map(|password| Secret(password.to_owned())),
        };
        let key = dir.path().join("key/ledger.key");
        let own = dir.path().join("own");
        let (ledger, _) = Ledger::open(&own, &key, "lineside/site/gw").unwrap();
        Self {
            dir,
            console,
            ledger,
        }
    }

    fn desk(&self) -> Desk {
        let (asks, taken) = mpsc::channel(4);
        tokio::spawn(agent(taken));
        let named = (Language::En, "site/gw".to_owned());
        Desk::of(
            &self.console,
            self.dir.path(),
            named,
            asks,
            requests::known(&self.ledger),
        )
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let router = router(Arc::new(self.desk()), PATIENCE);
        let response = router.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 4 << 20).await.unwrap().to_vec();
        (head.status, head.headers, body)
    }

    async fn status(&self, request: Request<Body>) -> u16 {
        self.ask(request).await.0.as_u16()
    }
}

/// A request with these headers.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

const HOST: (&str, &str) = ("host", "localhost:8600");
const JSON: (&str, &str) = ("content-type", "application/json");

fn get(path: &str) -> Request<Body> {
    request("GET", path, &[HOST], "")
}

#[tokio::test]
async fn what_there_is_to_know_is_answered() {
    let stand = Stand::new("127.0.0.1:0", None);
    let (status, headers, body) = stand.ask(get("/api/v1/status")).await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    assert_eq!(&headers["cache-control"], "no-store");
    assert_eq!(&headers["x-content-type-options"], "nosniff");
    assert_eq!(serde_json::from_slice::<Live>(&body).unwrap(), live());
    let (_, _, body) = stand.ask(get("/api/v1/machines")).await;
    let machines: Vec<LiveMachine> = serde_json::from_slice(&body).unwrap();
    assert_eq!(machines, live().machines);
    let (_, _, body) = stand.ask(get("/api/v1/machines/mill")).await;
    assert_eq!(
        serde_json::from_slice::<LiveMachine>(&body).unwrap(),
        live().machines[0]
    );
    let (_, _, body) = stand.ask(get("/api/v1/machines/mill/sessions")).await;
    let sessions: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(sessions["open"]["session"], "01J");
    assert_eq!(sessions["recent"][0]["session"], "01H");
    for (path, expected) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/", 200),
        ("/api/v1/machines/press", 404),
        ("/api/v1/machines/PRESS%2f..", 404),
        ("/api/v1/machines/press/sessions", 404),
        ("/api/v1", 404),
        ("/metrics", 404),
        ("/api/v1/machines/mill/session/start", 405),
    ] {
        assert_eq!(stand.status(get(path)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn an_agent_that_has_ended_is_not_ready_but_its_process_lives() {
    let stand = Stand::new("127.0.0.1:0", None);
    let (asks, taken) = mpsc::channel(1);
    drop(taken);
    let desk = Desk::of(
        &stand.console,
        stand.dir.path(),
        (Language::En, String::new()),
        asks,
        requests::known(&stand.ledger),
    );
    let router = router(Arc::new(desk), PATIENCE);
    for (path, expected) in [("/healthz", 200), ("/readyz", 503), ("/api/v1/status", 503)] {
        let response = router.clone().oneshot(get(path)).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path}");
    }
}

#[tokio::test]
async fn the_ledger_is_served_and_nothing_beside_it() {
    let stand = Stand::new("127.0.0.1:0", None);
    let (status, headers, body) = stand.ask(get("/ledger/checkpoint")).await;
    assert_eq!(
        (status.as_u16(), &body[..]),
        (200, &b"lineside/site/gw\n300\n"[..])
    );
    assert_eq!(&headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(&headers["cache-control"], "no-store");
    let (status, headers, body) = stand.ask(get("/ledger/tile/0/000")).await;
    assert_eq!((status.as_u16(), body.len()), (200, 8192));
    assert_eq!(&headers["content-type"], "application/octet-stream");
    assert_eq!(&headers["cache-control"], "max-age=31536000, immutable");
    for (path, expected) in [
        ("/ledger/tile/0/001.p/44", 200),
        // Its full tile stands.
        ("/ledger/tile/0/000.p/44", 404),
        ("/ledger/tile/0/002", 404),
        ("/ledger/tile/entries/000", 404),
        ("/ledger/journal", 404),
        ("/ledger/", 404),
        ("/ledger/tile", 404),
        ("/ledger/tile/0/000/", 404),
        ("/ledger/../salt", 404),
        ("/ledger/..%2fsalt", 404),
        ("/ledger/tile/../../salt", 404),
        ("/ledger/tile/0/..%2f..%2f..%2fsalt", 404),
        ("/ledger/%2e%2e/salt", 404),
        ("/ledger/tile/0/000%00", 404),
        ("/ledger//etc/passwd", 404),
        ("/salt", 404),
    ] {
        assert_eq!(stand.status(get(path)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn somebody_checks_in_and_out() {
    let stand = Stand::new("127.0.0.1:0", None);
    let post = |path: &str, body: &str| request("POST", path, &[HOST, JSON], body);
    let start = "/api/v1/machines/mill/session/start";
    let (status, _, body) = stand.ask(post(start, r#"{"class":"OWN","by":"Li"}"#)).await;
    assert_eq!(status.as_u16(), 200);
    let opened: LiveSession = serde_json::from_slice(&body).unwrap();
    let by = opened.by.unwrap();
    assert!(by.len() == 16 && by != "Li", "{by}");
    let (status, _, body) = stand
        .ask(post(
            "/api/v1/machines/mill/session/stop",
            r#"{"by":" Li "}"#,
        ))
        .await;
    assert_eq!(status.as_u16(), 200);
    let closed: LiveSession = serde_json::from_slice(&body).unwrap();
    assert_eq!(closed.by, Some(by), "one person, one pseudonym");
    let long = format!(r#"{{"by":"{}"}}"#, "x".repeat(65));
    let huge = format!(r#"{{"by":"{}"}}"#, "x".repeat(17_000));
    for (path, body, expected) in [
        (start, "{}", 200),
        (start, "", 400),
        (start, "[]", 400),
        (start, "{\"by\":7}", 400),
        (start, "{\"who\":\"Li\"}", 400),
        (start, "{\"class\":\"EXT\"}", 400),
        (start, "{\"class\":\"OWN\",\"booking\":\"bk-1\"}", 400),
        (start, "{\"by\":\"a\\nb\"}", 400),
        (start, &long, 400),
        (start, &huge, 413),
        (start, "{\"booking\":\"bk-1\"}", 409),
        ("/api/v1/machines/press/session/start", "{}", 404),
        ("/api/v1/machines/a%20b/session/start", "{}", 404),
    ] {
        let shown = &body[..body.len().min(60)];
        assert_eq!(
            stand.status(post(path, body)).await,
            expected,
            "{path} {shown}"
        );
    }
    let (_, _, body) = stand.ask(post(start, "{\"booking\":\"bk-1\"}")).await;
    let refused: Value = serde_json::from_slice(&body).unwrap();
    let expected =
        json!({"error": "conflict", "en": "another session is open", "zh": "已有其他上机记录"});
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn pages_from_elsewhere_are_kept_out() {
    let stand = Stand::new("127.0.0.1:0", None);
    let path = "/api/v1/machines/mill/session/start";
    let check = async |headers: &[(&str, &str)], expected: u16| {
        let request = request("POST", path, headers, "{}");
        assert_eq!(stand.status(request).await, expected, "{headers:?}");
    };
    let (origin, site) = ("origin", "sec-fetch-site");
    check(&[HOST, JSON], 200).await;
    check(
        &[HOST, ("content-type", "application/json; charset=utf-8")],
        200,
    )
    .await;
    check(
        &[
            HOST,
            JSON,
            (origin, "http://localhost:8600"),
            (site, "same-origin"),
        ],
        200,
    )
    .await;
    check(&[HOST, JSON, (site, "none")], 200).await;
    check(&[HOST, JSON, (origin, "http://localhost:8601")], 403).await;
    check(&[HOST, JSON, (origin, "https://localhost:8600")], 403).await;
    check(&[HOST, JSON, (origin, "http://evil.example")], 403).await;
    check(&[HOST, JSON, (origin, "null")], 403).await;
    check(
        &[
            HOST,
            JSON,
            (origin, "http://localhost:8600"),
            (origin, "null"),
        ],
        403,
    )
    .await;
    check(&[HOST, JSON, (site, "cross-site")], 403).await;
    check(&[HOST, JSON, (site, "same-site")], 403).await;
    check(&[HOST], 415).await;
    check(&[HOST, ("content-type", "text/plain")], 415).await;
    check(
        &[HOST, ("content-type", "application/x-www-form-urlencoded")],
        415,
    )
    .await;
    check(&[HOST, JSON, ("content-type", "text/plain")], 415).await;
    // Names that were pointed here.
    for host in ["evil.example", "evil.example:8600", "10.0.0.1", ""] {
        check(&[("host", host), JSON], 421).await;
        let request = request("GET", "/ledger/checkpoint", &[("host", host)], "");
        assert_eq!(stand.status(request).await, 421, "{host}");
    }
    check(&[JSON], 421).await;
    check(&[HOST, ("host", "evil.example"), JSON], 421).await;
    let absolute = request("GET", "http://evil.example/api/v1/status", &[HOST], "");
    assert_eq!(stand.status(absolute).await, 421);
}

#[tokio::test]
async fn a_password_opens_everything_but_the_pulse() {
    let stand = Stand::new("10.0.0.5:0", Some("open sesame"));
    let host = ("host", "10.0.0.5:8600");
    let check = async |path: &str, said: Option<&str>, expected: u16| {
        let mut headers = vec![host];
        headers.extend(said.map(|said| ("authorization", said)));
        let (status, answered, _) = stand.ask(request("GET", path, &headers, "")).await;
        assert_eq!(status.as_u16(), expected, "{path} {said:?}");
        assert_eq!(answered.contains_key("www-authenticate"), expected == 401);
    };
    // printf 'li:open sesame' | base64, and others.
    let right = "Basic bGk6b3BlbiBzZXNhbWU=";
    check("/healthz", None, 200).await;
    for path in [
        "/",
        "/readyz",
        "/api/v1/status",
        "/ledger/checkpoint",
        "/ledger/tile/0/000",
        "/none",
    ] {
        check(path, None, 401).await;
    }
    check("/api/v1/status", Some(right), 200).await;
    check("/api/v1/status", Some("basic bGk6b3BlbiBzZXNhbWU="), 200).await;
    check("/ledger/checkpoint", Some(right), 200).await;
    for wrong in [
        "",
        "Basic",
        "Basic ",
        "Basic bGk6b3BlbiBzZXNhbQ==",
        "Basic bGk6",
        "Basic b3BlbiBzZXNhbWU=",
        "Basic !!!",
        "Bearer open sesame",
    ] {
        check("/api/v1/status", Some(wrong), 401).await;
    }
    let path = "/api/v1/machines/mill/session/start";
    let post = request("POST", path, &[host, JSON], "{}");
    assert_eq!(stand.status(post).await, 401);
}

#[tokio::test]
async fn every_endpoint_that_is_described_is_there() {
    let stand = Stand::new("127.0.0.1:0", None);
    fs::create_dir_all(stand.dir.path().join("ledger/tile/entries")).unwrap();
    fs::write(stand.dir.path().join("ledger/tile/entries/000"), "x").unwrap();
    let (_, _, page) = stand.ask(get("/")).await;
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("site/gw") && !page.contains("<script"),
        "{page}"
    );
    for endpoint in &ENDPOINTS {
        assert!(page.contains(endpoint.path), "{}", endpoint.path);
        let path = endpoint.path.replace("{machine}", "mill");
        let path = path.replace("{level}", "0").replace("{tile}", "000");
        let method = endpoint.method.to_uppercase();
        let asked = request(&method, &path, &[HOST, JSON], "{}");
        assert_eq!(stand.status(asked).await, 200, "{method} {path}");
    }
    let (_, _, body) = stand.ask(get("/api/v1/openapi.json")).await;
    let served: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(served, document());
}

#[test]
fn the_description_refers_to_nothing_that_is_not_in_it() {
    let document = document();
    check_references(&document, 30);
    let start = "/paths/~1api~1v1~1machines~1{machine}~1session~1start/post";
    let post = document.pointer(start).unwrap();
    assert!(post["responses"].get("409").is_some(), "{post}");
    let takes = &document["components"]["schemas"]["SessionStart"]["properties"];
    assert!(takes.get("by").is_some(), "{takes}");
}
