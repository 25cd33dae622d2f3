//! What is no OPC UA server, or not a healthy one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::peer::own;
use crate::clock::{Clock, SystemClock};
use crate::config::model::{Identity, Security, Server};
use crate::field::opcua::session::open;

const TIMEOUT: Duration = Duration::from_millis(500);

async fn text_of(url: String) -> String {
    let directory = tempfile::tempdir().unwrap();
    let server = Server {
        url,
        security: Security::None,
        identity: Identity::Anonymous,
        timeout: TIMEOUT,
        history: false,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = Instant::now();
    let fault = open(&server, &own(directory.path()), &clock).await.err();
    assert!(started.elapsed() < 10 * TIMEOUT);
    fault.unwrap().text().en
}

/// Something that answers the first bytes with these, and then falls silent or closes.
async fn something(answer: &'static [u8], stays: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 256];
            drop(stream.read(&mut buffer).await);
            drop(stream.write_all(answer).await);
            if stays {
                kept.push(stream);
            }
        }
    });
    format!("opc.tcp://127.0.0.1:{port}/")
}

#[tokio::test]
async fn what_is_no_server_is_said_in_time() {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let silent = something(b"", true).await;
    let shut = something(b"", false).await;
    let http = something(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await;
    let modbus = something(b"\0\0\0\0\0\x03\x01\x83\x01", true).await;
    let noise = something(&[0xa5; 4096], true).await;
    let wrong = something(b"ERRF\x10\0\0\0\0\0\x83\x80\xff\xff\xff\xff", false).await;
    let ack = something(
        b"ACKF\x1c\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0",
        true,
    )
    .await;
    for (url, expected) in [
        (format!("opc.tcp://127.0.0.1:{free}/"), "no connection"),
        (
            "opc.tcp://no-such-host.invalid/".to_owned(),
            "has no address",
        ),
        (silent, "no answer in time"),
        (shut, "closed the connection without a reason"),
        (http, "no OPC UA server (it began with \"HTTP/1.1 400"),
        (modbus, "no OPC UA server"),
        (noise, "no OPC UA server"),
        (wrong, "knows no endpoint of this URL"),
        (ack, "no answer in time"),
    ] {
        let said = text_of(url).await;
        assert!(said.contains(expected), "{said} instead of {expected}");
    }
}
