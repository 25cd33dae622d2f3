//! What witnesses say over the command connection.

use super::{CHECKPOINT, Listener, PATIENCE, Peer, REQUEST, Rig, Said, Witnesses};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use tokio::time;

const COSIGNATURE: &str = "lineside/v1/s/g/ledger/cosignature";

fn witness(seed: u8) -> SignerKey {
    SignerKey::new("archive.example", KeyKind::Cosignature, &[seed; 32]).unwrap()
}

fn start(listener: &Listener) -> Rig {
    let witnesses = Witnesses {
        keys: vec![witness(1).public().clone()],
        quorum: 1,
    };
    Rig::start_witnessed(listener.address(), &witnesses)
}

/// Connected and subscribed, to what witnesses say, too.
async fn ready(listener: &Listener) -> Peer {
    let mut peer = listener.welcome(&[]).await;
    let filters = peer.grant(&[1, 1, 1, 1]).await;
    for filter in [REQUEST, CHECKPOINT, "lineside/v1/s/g/ledger/cosignature/#"] {
        assert!(filters.contains(filter), "{filter}");
    }
    peer
}

fn cosigned(text: &str, seed: u8) -> String {
    let signatures = vec![witness(seed).sign(text, Time::from_millis(1_795_420_800_000))];
    let text = text.to_owned();
    Note { text, signatures }.to_string()
}

async fn say(peer: &mut Peer, topic: &str, payload: &str, retained: bool) {
    let said = Said {
        topic,
        payload,
        retained,
        ..Said::default()
    };
    peer.say(&said).await;
}

#[tokio::test]
async fn cosignatures_are_taken_in_from_both_topics_and_others_are_ignored() {
    let listener = Listener::bind().await;
    let rig = start(&listener);
    rig.append(3, "x");
    let three = rig.ledger.sign().unwrap().unwrap().to_string();
    rig.append(2, "x");
    let five = rig.ledger.sign().unwrap().unwrap().to_string();
    let mut peer = ready(&listener).await;
    say(&mut peer, COSIGNATURE, &cosigned(&three, 1), true).await;
    rig.figures(|figures| figures.cosignatures == 1).await;
    assert_eq!(rig.ledger.cosigned(), Some(3));
    let own = format!("{COSIGNATURE}/0a1b2c3d");
    for (topic, payload) in [
        (COSIGNATURE, "junk".to_owned()),
        (COSIGNATURE, cosigned(&five, 2)),
        (&own, cosigned("lineside/s/g2\n5\nAAAA\n", 1)),
        (&own, cosigned(&five, 1).replacen("\n5\n", "\n4\n", 1)),
        ("lineside/v1/s/g/ledger/cosignatures", cosigned(&five, 1)),
    ] {
        say(&mut peer, topic, &payload, false).await;
    }
    rig.figures(|figures| figures.ignored == 5).await;
    assert_eq!(rig.ledger.cosigned(), Some(3));
    // Cleared, known, and new.
    say(&mut peer, COSIGNATURE, "", true).await;
    say(&mut peer, COSIGNATURE, &cosigned(&three, 1), false).await;
    say(&mut peer, &own, &cosigned(&five, 1), false).await;
    let figures = rig.figures(|figures| figures.cosignatures == 2).await;
    assert_eq!((rig.ledger.cosigned(), figures.ignored), (Some(5), 5));
    assert!(rig.ledger.suspended().is_none());
    rig.stop().await;
}

/// The first signature of a start waits for what the broker keeps, and that is told after the cosignatures.
#[tokio::test]
async fn what_a_witness_saw_is_known_before_anything_is_signed() {
    let listener = Listener::bind().await;
    let mut rig = start(&listener);
    rig.append(3, "x");
    let mut peer = ready(&listener).await;
    say(&mut peer, CHECKPOINT, "the kept one", true).await;
    let elsewhere = Checkpoint {
        origin: "lineside/s/g".to_owned(),
        size: 50,
        root: Hash([9; 32]),
    };
    say(
        &mut peer,
        COSIGNATURE,
        &cosigned(&elsewhere.to_string(), 1),
        true,
    )
    .await;
    let kept = time::timeout(PATIENCE, &mut rig.kept).await.unwrap();
    assert_eq!(kept.unwrap().as_deref(), Some("the kept one"));
    let reason = rig.ledger.suspended().unwrap();
    assert!(reason.contains("a head of 50 leaves"), "{reason}");
    assert!(rig.ledger.sign().unwrap().is_none());
    rig.stop().await;
}

#[tokio::test]
async fn nobody_asks_for_cosignatures_without_witnesses() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = listener.welcome(&[]).await;
    let filters = peer.grant(&[1, 1, 1]).await;
    assert!(!filters.contains("cosignature"), "{filters}");
    say(&mut peer, COSIGNATURE, "junk", false).await;
    rig.figures(|figures| figures.ignored == 1).await;
    rig.stop().await;
}
