//! A connection that is cut: the server takes the session back, so that none is left behind.

use futures_util::StreamExt;
use opcua::client::{SessionConnectMode, SessionPollResult};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::open::{clock, pinned};
use super::peer::{Peer, TIMEOUT, own};
use crate::config::model::{Identity, Security};
use crate::field::opcua::session::{Events, open};

/// Forwards to a server; each port sent cuts what runs and is where later connections lead.
async fn proxy(port: u16) -> (u16, watch::Sender<u16>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (cut, seen) = watch::channel(port);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut seen = seen.clone();
            let port = *seen.borrow_and_update();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let copied = tokio::io::copy_bidirectional(&mut near, &mut far);
                tokio::select! {
                    _ = copied => (),
                    _ = seen.changed() => (),
                }
            });
        }
    });
    (own, cut)
}

async fn reopened(events: &mut Events) -> SessionConnectMode {
    let next = async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if let SessionPollResult::Reconnected(mode) = event {
                return mode;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, next).await.unwrap()
}

#[tokio::test]
async fn a_cut_connection_takes_the_session_back() {
    let peer = Peer::start(true).await;
    let (port, cut) = proxy(peer.port).await;
    let directory = tempfile::tempdir().unwrap();
    let own = own(directory.path());
    for (security, identity) in [
        (Security::None, Identity::Anonymous),
        (pinned(), super::peer::password("secret")),
    ] {
        let mut server = peer.server(security, identity);
        server.url = format!("opc.tcp://127.0.0.1:{port}/");
        let mut opened = open(&server, &own, &clock()).await.unwrap();
        for _ in 0..2 {
            cut.send_modify(|_| ());
            let mode = reopened(&mut opened.events).await;
            assert!(
                matches!(mode, SessionConnectMode::ReactivatedSession(_)),
                "{server:?}: {mode:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_reconnect_to_an_impostor_fails() {
    let peer = Peer::start(true).await;
    let impostor = Peer::known_as("impostor", true).await;
    let (port, cut) = proxy(peer.port).await;
    let directory = tempfile::tempdir().unwrap();
    let mut server = peer.server(pinned(), Identity::Anonymous);
    server.url = format!("opc.tcp://127.0.0.1:{port}/");
    server.timeout = std::time::Duration::from_secs(3);
    let mut opened = open(&server, &own(directory.path()), &clock())
        .await
        .unwrap();
    cut.send_replace(impostor.port);
    let failed = async {
        loop {
            let event = opened.events.next().await.unwrap().unwrap();
            assert!(!matches!(event, SessionPollResult::Reconnected(_)));
            if matches!(event, SessionPollResult::ReconnectFailed(_)) {
                return;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, failed).await.unwrap();
    // Back at the pinned server, all is well.
    cut.send_replace(peer.port);
    reopened(&mut opened.events).await;
}
