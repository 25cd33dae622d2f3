//! Peers that are slow, broken or too many, over a real socket.

use super::super::{CONNECTIONS_MAX, serve_with};
use super::Stand;
use crate::serve::Patience;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Short enough for a test, long enough for a slow machine to send a request at once.
const SHORT: Patience = Patience {
    head: Duration::from_millis(300),
    request: Duration::from_millis(300),
    connection: Duration::from_secs(60),
};

/// Sends bytes, and gives all that comes back until the other side closes.
async fn said(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before it has read everything.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let limit = Duration::from_secs(20);
    let read = tokio::time::timeout(limit, stream.read_to_end(&mut answer)).await;
    drop(read.expect("the console keeps the connection open"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bad_and_slow_peers_are_let_go() {
    let stand = Stand::new("127.0.0.1:0", None);
    let address = serve_with(stand.desk(), SHORT).await.unwrap();
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = said(address, good.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    let path = "/api/v1/machines/mill/session/start";
    let slow = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    for (bytes, expected) in [
        (huge.as_str(), "HTTP/1.1 431"),
        (&many, "HTTP/1.1 431"),
        ("\u{16}\u{3}\u{1}\r\n\r\n", "HTTP/1.1 400"),
        (
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 421",
        ),
        (&slow, "HTTP/1.1 503"),
        // Heads that never end, and none at all.
        ("GET / HTTP/1.1\r\nHost: local", ""),
        ("", ""),
    ] {
        let answer = said(address, bytes.as_bytes()).await;
        let shown: String = bytes.chars().take(60).collect();
        assert!(answer.starts_with(expected), "{shown:?}: {answer:?}");
        assert_eq!(
            answer.is_empty(),
            expected.is_empty(),
            "{shown:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn idle_peers_hold_their_places_only_for_a_moment() {
    let stand = Stand::new("127.0.0.1:0", None);
    let address = serve_with(stand.desk(), SHORT).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX + 6 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HT").await.unwrap();
        idle.push(stream);
    }
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = said(address, good.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let mut stand = Stand::new("127.0.0.1:0", None);
    let address = serve_with(stand.desk(), SHORT).await.unwrap();
    stand.console.listen = address;
    let error = serve_with(stand.desk(), SHORT).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
