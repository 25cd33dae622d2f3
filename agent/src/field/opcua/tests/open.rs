//! What opens a session, and what is said where none opens.

use std::sync::Arc;

use opcua::types::{ReadValueId, TimestampsToReturn, VariableId};

use super::peer::{Peer, badge, own, pairs, password};
use crate::clock::{Clock, Stamp, SystemClock};
use crate::config::model::{Fingerprint, Identity, Security, SecurityMode, SecurityPolicy, Server};
use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::session::{Opened, open};
use crate::field::opcua::trust::check;
use futures_util::StreamExt;

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

struct InYears(i64);

impl Clock for InYears {
    fn now(&self) -> Stamp {
        let now = SystemClock.now();
        let wall = now.wall.plus_millis(self.0 * 366 * 24 * 3_600_000);
        Stamp { wall, ..now }
    }
}

fn secured(policy: SecurityPolicy, mode: SecurityMode, server: Option<Fingerprint>) -> Security {
    Security::Secured {
        policy,
        mode,
        server,
    }
}

pub(super) fn pinned() -> Security {
    secured(
        SecurityPolicy::Basic256Sha256,
        SecurityMode::SignAndEncrypt,
        Some(pairs().fingerprint("peer")),
    )
}

/// Reads the server's state over an open session.
async fn read(opened: Opened) {
    let Opened {
        session,
        mut events,
        ..
    } = opened;
    let what = [ReadValueId::from(opcua::types::NodeId::from(
        VariableId::Server_ServerStatus_State,
    ))];
    let read = session.read(&what, TimestampsToReturn::Both, 0.0);
    tokio::pin!(read);
    let values = loop {
        tokio::select! {
            values = &mut read => break values.unwrap(),
            event = events.next() => assert!(event.unwrap().is_ok()),
        }
    };
    assert!(values[0].value.is_some());
}

#[tokio::test]
async fn what_is_asked_for_opens() {
    let peer = Peer::start(true).await;
    let directory = tempfile::tempdir().unwrap();
    let own = own(directory.path());
    let pin = Some(pairs().fingerprint("peer"));
    let encrypted = SecurityMode::SignAndEncrypt;
    for (security, identity) in [
        (Security::None, Identity::Anonymous),
        (pinned(), Identity::Anonymous),
        (pinned(), password("secret")),
        (pinned(), badge()),
        (
            secured(SecurityPolicy::Basic256Sha256, SecurityMode::Sign, pin),
            password("secret"),
        ),
        (
            secured(SecurityPolicy::Aes128Sha256RsaOaep, encrypted, pin),
            Identity::Anonymous,
        ),
        (
            secured(SecurityPolicy::Aes256Sha256RsaPss, encrypted, pin),
            badge(),
        ),
    ] {
        let server = peer.server(security, identity);
        let opened = open(&server, &own, &clock()).await;
        read(opened.unwrap_or_else(|fault| panic!("{server:?}: {}", fault.text()))).await;
    }
}

async fn refusal(server: &Server, clock: &Arc<dyn Clock>) -> OpcFault {
    let directory = tempfile::tempdir().unwrap();
    match open(server, &own(directory.path()), clock).await {
        Ok(_) => panic!("{server:?} opened"),
        Err(fault) => fault,
    }
}

#[tokio::test]
async fn what_does_not_open_says_why_and_what_to_do() {
    let peer = Peer::start(true).await;
    let stranger = Some(Fingerprint([7; 32]));
    let secured_by = |server| {
        secured(
            SecurityPolicy::Basic256Sha256,
            SecurityMode::SignAndEncrypt,
            server,
        )
    };
    let line = format!("server-fingerprint = \"{}\"", pairs().fingerprint("peer"));
    for (security, identity, expected) in [
        (secured_by(None), Identity::Anonymous, line.as_str()),
        (
            secured_by(stranger),
            Identity::Anonymous,
            "another certificate",
        ),
        (secured_by(stranger), Identity::Anonymous, &line),
        (
            secured(
                SecurityPolicy::Aes128Sha256RsaOaep,
                SecurityMode::Sign,
                stranger,
            ),
            Identity::Anonymous,
            "does not offer Aes128-Sha256-RsaOaep Sign; it offers: Aes128-Sha256-RsaOaep SignAndEncrypt, ",
        ),
        (
            Security::None,
            badge(),
            "no certificate sign-in with this security; it takes: anonymous, certificate, user name",
        ),
        (pinned(), password("wrong"), "check user and password-file"),
    ] {
        let server = peer.server(security, identity);
        let text = refusal(&server, &clock()).await.text();
        assert!(text.en.contains(expected), "{server:?}: {text}");
        assert!(!text.zh.is_empty() && text.zh != text.en);
    }
}

#[test]
fn a_chain_is_told_apart_from_what_is_no_certificate() {
    let [own, issuer] = ["peer", "impostor"].map(|name| pairs().der(name));
    let cut = own[..own.len() - 1].to_vec();
    for (bytes, expected) in [
        (own.clone(), None),
        ([&own[..], &issuer].concat(), Some("issuers")),
        ([&own[..], b"\0"].concat(), Some("issuers")),
        (cut, Some("no certificate that can be read")),
        (Vec::new(), Some("no certificate that can be read")),
        (
            vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            Some("no certificate that can be read"),
        ),
    ] {
        let fault = check(&bytes, Some(pairs().fingerprint("peer"))).err();
        let said = fault.map(|fault| fault.text().en);
        match expected {
            None => assert_eq!(said, None),
            Some(part) => assert!(said.as_ref().unwrap().contains(part), "{said:?}"),
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_visibly() {
    let peer = Peer::start(true).await;
    let server = peer.server(pinned(), Identity::Anonymous);
    let later: Arc<dyn Clock> = Arc::new(InYears(1));
    let fault = refusal(&server, &later).await;
    assert!(matches!(fault, OpcFault::Expired(_)), "{fault}");
    let earlier: Arc<dyn Clock> = Arc::new(InYears(-1));
    let fault = refusal(&server, &earlier).await;
    assert!(matches!(fault, OpcFault::NotYetValid(_)), "{fault}");
}

#[tokio::test]
async fn a_server_that_does_not_trust_us_is_told_apart() {
    let peer = Peer::start(false).await;
    let server = peer.server(pinned(), Identity::Anonymous);
    let fault = refusal(&server, &clock()).await;
    assert!(matches!(fault, OpcFault::NotTrusted { .. }), "{fault:?}");
    assert!(fault.text().en.contains("own.der"), "{}", fault.text());
}

#[tokio::test]
async fn a_password_is_never_sent_in_the_clear() {
    let peer = Peer::start(false).await;
    let server = peer.server(Security::None, password("secret"));
    let fault = refusal(&server, &clock()).await;
    assert!(matches!(fault, OpcFault::PasswordInClear), "{fault}");
}
