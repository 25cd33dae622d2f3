//! Events, over a real socket.

use super::super::serve_with;
use super::{Stand, at, availability, fresh, name};
use crate::archive::alarm::AlarmDocument;
use crate::archive::events::EVENTS_MAX;
use crate::archive::web::{CONNECTIONS_EACH, LISTENERS_EACH, LISTENERS_MAX, PATIENCE};
use crate::clock::{Clock, SystemClock};
use lineside_proto::State;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

/// One who listens.
struct Ear {
    stream: BufReader<TcpStream>,
    id: String,
}

/// An event as it was sent.
#[derive(Debug)]
struct Heard {
    kind: String,
    data: String,
}

impl Ear {
    async fn open(address: SocketAddr, query: &str, after: Option<&str>) -> (u16, Self) {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::on(stream, query, after).await
    }

    /// The same from another address of this machine.
    async fn from(own: &str, address: SocketAddr) -> (u16, Self) {
        Self::on(connect(own, address).await, "", None).await
    }

    async fn on(mut stream: TcpStream, query: &str, after: Option<&str>) -> (u16, Self) {
        let after = after.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let head = format!(
            "GET /api/v1/events{query} HTTP/1.1\r\nHost: archive.example\r\nAccept: text/event-stream\r\n{after}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut ear = Self {
            stream: BufReader::new(stream),
            id: String::new(),
        };
        let first = ear.line().await;
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let mut head = String::new();
        loop {
            let line = ear.line().await;
            if line.is_empty() {
                break;
            }
            head += &line.to_lowercase();
            head.push('\n');
        }
        if status == 200 {
            assert!(head.contains("content-type: text/event-stream"), "{head}");
            assert!(head.contains("cache-control: no-store"), "{head}");
        }
        (status, ear)
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(LIMIT, self.stream.read_line(&mut line)).await;
        read.expect("nothing comes").unwrap();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The next event. What carries the chunks is passed over: their lengths stand on lines of their own.
    async fn next(&mut self) -> Heard {
        let (mut kind, mut data) = (String::new(), String::new());
        loop {
            let line = self.line().await;
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.id);
            } else if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data: ") {
                text.clone_into(&mut data);
            } else if line.is_empty() && !data.is_empty() {
                return Heard { kind, data };
            }
        }
    }
}

async fn connect(own: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let own = SocketAddr::new(own.parse().unwrap(), 0);
    socket.bind(own).unwrap();
    socket.connect(address).await.unwrap()
}

async fn serve(stand: &Stand) -> SocketAddr {
    let listen = "127.0.0.1:0".parse().unwrap();
    serve_with(listen, stand.desk(), PATIENCE).await.unwrap()
}

fn say(stand: &Stand, machine: &str, state: State) {
    let said = availability("gw", machine, state);
    let received = fresh(&said, SystemClock.now().boot_ms);
    stand
        .live
        .availability(&name("zs"), &name("gw"), &name(machine), received);
}

#[tokio::test]
async fn what_happens_is_told_and_whoever_comes_again_misses_nothing() {
    let stand = Stand::new();
    let address = serve(&stand).await;
    let (status, mut ear) = Ear::open(address, "", None).await;
    assert_eq!(status, 200);
    let begin = ear.next().await;
    assert_eq!(
        (&*begin.kind, &*begin.data),
        ("begin", "{\"goes_on\":false}")
    );
    say(&stand, "mill", State::Run);
    let heard = ear.next().await;
    assert_eq!(heard.kind, "availability");
    assert!(heard.data.contains("\"state\":\"RUN\""), "{heard:?}");
    let id = ear.id.clone();
    drop(ear);
    stand
        .live
        .head(&stand.first.place, 301, "r".to_owned(), true);
    let alarm = AlarmDocument {
        v: 1,
        at: at(0),
        site: "zs".to_owned(),
        gateway: "gw".to_owned(),
        epoch: 1,
        kind: "fork".to_owned(),
        text: "two\ntrees".to_owned(),
        stopped: true,
        known: None,
        shown: None,
        check: String::new(),
    };
    stand.live.alarm(&stand.first.place, &alarm);
    let (_, mut ear) = Ear::open(address, "", Some(&id)).await;
    assert_eq!(ear.next().await.data, "{\"goes_on\":true}");
    let heard = ear.next().await;
    assert_eq!(heard.kind, "head");
    assert!(heard.data.contains("\"size\":301"), "{heard:?}");
    let heard = ear.next().await;
    let again: AlarmDocument = serde_json::from_str(&heard.data).unwrap();
    assert_eq!((heard.kind.as_str(), again), ("alarm", alarm));
    // Of one site only.
    let (_, mut other) = Ear::open(address, "?site=ql", Some(&id)).await;
    assert_eq!(other.next().await.kind, "begin");
    let mut place = stand.first.place.clone();
    stand.live.head(&place, 302, "r".to_owned(), false);
    place.site = name("ql");
    stand.live.head(&place, 5, "r".to_owned(), false);
    let heard = other.next().await;
    assert!(heard.data.contains("\"site\":\"ql\""), "{heard:?}");
    let (status, _) = Ear::open(address, "?sites=ql", None).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn whoever_is_too_slow_is_cut_off_with_a_word_and_may_come_again() {
    let stand = Stand::new();
    let address = serve(&stand).await;
    let (_, mut ear) = Ear::open(address, "", None).await;
    ear.next().await;
    let id = ear.id.clone();
    // More than the socket and all that is kept can hold.
    let root = "r".repeat(2_000);
    for _ in 0..4 {
        for size in 0..u64::try_from(EVENTS_MAX).unwrap() {
            stand
                .live
                .head(&stand.first.place, size, root.clone(), false);
        }
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let read = timeout(LIMIT, ear.stream.read_to_end(&mut rest)).await;
    read.expect("it goes on for ever").unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        rest.contains(": too slow: events were missed"),
        "{} bytes",
        rest.len()
    );
    let (_, mut again) = Ear::open(address, "", Some(&id)).await;
    assert_eq!(again.next().await.data, "{\"goes_on\":false}");
}

#[tokio::test]
async fn so_many_may_listen_and_no_more() {
    let stand = Stand::new();
    let address = serve(&stand).await;
    let mut ears = Vec::new();
    for _ in 0..LISTENERS_EACH.near {
        let (status, ear) = Ear::open(address, "", None).await;
        assert_eq!(status, 200);
        ears.push(ear);
    }
    // One address has its share, and leaves the rest to others.
    assert_eq!(Ear::open(address, "", None).await.0, 503);
    for _ in LISTENERS_EACH.near..LISTENERS_MAX {
        let (status, ear) = Ear::from("127.0.0.2", address).await;
        assert_eq!(status, 200);
        ears.push(ear);
    }
    assert_eq!(Ear::from("127.0.0.3", address).await.0, 503);
    // Others are answered meanwhile.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let good = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(good.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn no_address_takes_all_connections() {
    let stand = Stand::new();
    let address = serve(&stand).await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_EACH.near {
        let mut stream = connect("127.0.0.2", address).await;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\n")
            .await
            .unwrap();
        held.push(stream);
    }
    // One more is closed at once; until all of them were accepted it may take its turn.
    let mut more = connect("127.0.0.2", address).await;
    let read = timeout(LIMIT, more.read(&mut [0; 1]))
        .await
        .expect("it stays open");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    let mut other = connect("127.0.0.3", address).await;
    let good = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    other.write_all(good.as_bytes()).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
}
