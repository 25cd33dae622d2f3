//! What is sent of a ledger that witnesses cosign.

use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use std::time::Duration;

use super::super::leaves::tests::plain;
use super::Rig;
use super::peer::{Listener, Peer};
use crate::config::model::Witnesses;

fn witness() -> SignerKey {
    SignerKey::new("archive.example", KeyKind::Cosignature, &[5; 32]).unwrap()
}

fn start(listener: &Listener) -> Rig {
    let witnesses = Witnesses {
        keys: vec![witness().public().clone()],
        quorum: 1,
    };
    Rig::start_witnessed(listener.address(), 10, Duration::from_secs(2), &witnesses)
}

/// The newest note of the rig's ledger, cosigned and taken in.
fn cosign(rig: &Rig) {
    let note = rig.ledger.checkpoint().borrow().clone().unwrap();
    let mut note = Note::parse(&note).unwrap();
    let line = witness().sign(&note.text, Time::from_millis(1_795_420_800_000));
    note.signatures.push(line);
    rig.ledger.cosign(&note.to_string()).unwrap();
}

/// Takes so many publishes and acknowledges them; gives what the leaves among them are, and `note`.
async fn taken(peer: &mut Peer, count: usize) -> Vec<String> {
    let mut said = Vec::new();
    for publish in peer.take(count).await {
        peer.answer(publish.id, 0).await;
        said.push(match publish.topic.as_str() {
            "lineside/v1/s/g/ledger/leaf" => {
                let message: serde_json::Value = serde_json::from_str(&publish.payload).unwrap();
                message["index"].to_string()
            }
            "lineside/v1/s/g/ledger/checkpoint" => "note".to_owned(),
            other => other.to_owned(),
        });
    }
    said
}

#[tokio::test]
async fn what_was_not_cosigned_comes_again_with_a_new_connection_and_not_with_each() {
    let listener = Listener::bind().await;
    let rig = start(&listener);
    cosign(&rig);
    let first = rig.write(vec![plain(), plain()]);
    let mut peer = listener.welcome(&[]).await;
    let index = |place: u64| (first + place).to_string();
    assert_eq!(taken(&mut peer, 2).await, [index(0), index(1)]);
    let start = std::time::Instant::now();
    while rig.ledger.acknowledged() < first + 2 {
        assert!(start.elapsed() < super::PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rig.ledger.delivered(), first, "nobody has cosigned them");
    drop(peer);
    let mut peer = listener.welcome(&[]).await;
    assert_eq!(taken(&mut peer, 2).await, [index(0), index(1)]);
    drop(peer);
    // Not again so soon.
    let mut peer = listener.welcome(&[]).await;
    assert!(peer.is_quiet().await);
    rig.ledger.sign().unwrap();
    assert_eq!(taken(&mut peer, 1).await, ["note"]);
    cosign(&rig);
    assert_eq!(rig.ledger.delivered(), first + 2);
    drop(peer);
    rig.stop().await;
}

/// The broker's retained checkpoint may be all that tells of a restored backup.
#[tokio::test]
async fn a_cosignature_of_an_earlier_runs_head_does_not_publish_it() {
    let listener = Listener::bind().await;
    let rig = start(&listener);
    let mut peer = listener.welcome(&[]).await;
    cosign(&rig);
    assert!(peer.is_quiet().await);
    let index = rig.write(vec![plain()]).to_string();
    rig.ledger.sign().unwrap();
    assert_eq!(taken(&mut peer, 1).await, [index]);
    assert_eq!(taken(&mut peer, 1).await, ["note"]);
    cosign(&rig);
    assert!(peer.is_quiet().await, "the same head is not said twice");
    drop(peer);
    rig.stop().await;
}
