//! The ledger's way to the city.

use std::collections::BTreeSet;

use lineside_proto::ledger::LeafBody;
use lineside_proto::{LeafMessage, SessionDocument};

use super::super::leaves::tests::{plain, session};
use super::peer::{Listener, Publish};
use super::{Place, Rig, id, now, seqs};
use crate::clock::Stamp;
use crate::record::Entry;

impl Rig {
    /// Puts leaves into the ledger. Returns the first one's index.
    pub(super) fn write(&self, bodies: Vec<LeafBody>) -> u64 {
        let at = Stamp {
            boot_ms: 1,
            wall: now(),
        };
        let entries: Vec<_> = bodies.into_iter().map(|body| Entry { at, body }).collect();
        self.ledger.append("boot", &entries).unwrap().start
    }

    /// Signs, and tells for how many leaves.
    fn sign(&self) -> u64 {
        self.ledger.sign().unwrap();
        self.ledger.size()
    }

    /// Waits until the ledger was told that all leaves below are delivered.
    pub(super) async fn told(&self, mark: u64) {
        let start = std::time::Instant::now();
        while self.ledger.delivered() < mark {
            let found = self.ledger.delivered();
            assert!(start.elapsed() < super::PATIENCE, "delivered {found} only");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(self.ledger.delivered(), mark);
    }
}

/// A publish of the ledger, short: `leaf 7`, `session 7`, `note 8`; else the topic's end.
fn short(publish: &Publish) -> String {
    let topic = publish.topic.strip_prefix("lineside/v1/s/g/").unwrap();
    match topic {
        "ledger/leaf" => {
            let message: LeafMessage = serde_json::from_str(&publish.payload).unwrap();
            assert!(!publish.retained);
            let leaf: serde_json::Value = serde_json::from_str(&message.leaf).unwrap();
            assert_eq!(leaf["index"], message.index, "the exact leaf");
            format!("leaf {}", message.index)
        }
        "sessions/press" => {
            let document: SessionDocument = serde_json::from_str(&publish.payload).unwrap();
            assert!(!publish.retained);
            format!("session {}", document.index)
        }
        "ledger/checkpoint" => {
            assert!(publish.retained);
            format!("note {}", publish.payload.lines().nth(1).unwrap())
        }
        other => other.to_owned(),
    }
}

#[tokio::test]
async fn documents_follow_their_leaves_and_the_checkpoint_follows_all() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address(), 10);
    let first = rig.write(vec![plain(), session(), plain()]);
    let size = rig.sign();
    rig.write(vec![plain()]);
    let mut peer = listener.welcome(&[]).await;
    let taken = peer.take(5).await;
    let order: Vec<_> = taken.iter().map(short).collect();
    let expected = [
        format!("leaf {first}"),
        format!("leaf {}", first + 1),
        format!("session {}", first + 1),
        format!("leaf {}", first + 2),
        format!("leaf {}", first + 3),
    ];
    assert_eq!(order, expected);
    for publish in [0, 1, 3, 4] {
        peer.answer(taken[publish].id, 0).await;
    }
    rig.told(first + 1).await;
    assert!(peer.is_quiet().await, "the document is missing");
    peer.answer(taken[2].id, 0).await;
    rig.told(first + 4).await;
    let note = peer.publish().await.unwrap();
    assert_eq!(short(&note), format!("note {size}"));
    peer.answer(note.id, 0).await;
    // A reconnect says what is kept again, though nothing is new.
    drop(peer);
    let mut peer = listener.welcome(&[]).await;
    let again = peer.publish().await.unwrap();
    assert_eq!((short(&again), again.retained), (short(&note), true));
    peer.answer(again.id, 0).await;
    assert!(peer.is_quiet().await);
    drop(peer);
    rig.stop().await;
}

/// What a broker has taken, over all connections.
#[derive(Default)]
struct Taken {
    base: u64,
    accepted: BTreeSet<String>,
    newest_note: u64,
}

impl Taken {
    fn has_all_below(&self, size: u64) -> bool {
        (self.base..size).all(|below| self.accepted.contains(&format!("leaf {below}")))
    }

    /// Looks at a publish, `last` being the last leaf on this connection.
    fn look(&mut self, publish: &Publish, last: &mut Option<u64>) {
        let said = short(publish);
        if let Some(index) = said.strip_prefix("leaf ") {
            let index: u64 = index.parse().unwrap();
            match *last {
                Some(last) => assert_eq!(index, last + 1, "in order on one connection"),
                None => assert!(self.has_all_below(index), "begins with {index}"),
            }
            *last = Some(index);
        }
        if let Some(noted) = said.strip_prefix("note ") {
            let noted: u64 = noted.parse().unwrap();
            assert!(noted >= self.newest_note, "never back");
            assert!(
                self.has_all_below(noted),
                "checkpoint {noted} before its leaves"
            );
            self.newest_note = noted;
        }
    }
}

/// Acknowledges at random, breaks off at random, while leaves are written and checkpoints signed.
#[tokio::test]
async fn after_any_break_the_leaves_go_on_in_order_and_without_a_hole() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 12);
        let base = rig.write(vec![plain()]);
        let mut taken = Taken {
            base,
            ..Taken::default()
        };
        for _ in 0..4 {
            let mut peer = listener.welcome(&[]).await;
            let mut outstanding: Vec<Publish> = Vec::new();
            let mut last = None;
            for step in 0..random.usize(3..40) {
                if step % 6 == 0 {
                    let bodies = (0..random.u64(4..12))
                        .map(|_| if random.bool() { plain() } else { session() });
                    rig.write(bodies.collect());
                    rig.sign();
                    rig.append(4, 10);
                }
                let Some(publish) = peer.publish().await else {
                    break;
                };
                taken.look(&publish, &mut last);
                outstanding.push(publish);
                while outstanding.len() > 2 || (!outstanding.is_empty() && random.bool()) {
                    // The oldest in its turn, so that the window moves on.
                    let is_full = outstanding.len() > 2;
                    let which = if is_full {
                        0
                    } else {
                        random.usize(..outstanding.len())
                    };
                    let next = outstanding.remove(which);
                    taken.accepted.insert(short(&next));
                    peer.answer(next.id, 0).await;
                }
            }
        }
        let size = rig.ledger.size();
        let mut peer = listener.welcome(&[]).await;
        let mut last = None;
        while taken.newest_note < size {
            let publish = peer.publish().await.unwrap();
            taken.look(&publish, &mut last);
            taken.accepted.insert(short(&publish));
            peer.answer(publish.id, 0).await;
        }
        assert!(taken.has_all_below(size), "a hole, seed {seed}");
        drop(peer);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_refused_ledger_waits_is_shown_and_holds_up_nothing_else() {
    for (topic, code) in [
        ("leaf", 0x87),
        ("leaf", 0x90),
        ("leaf", 0x99),
        ("session", 0x87),
    ] {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 20);
        let first = rig.write(vec![session()]);
        rig.append(3, 0);
        rig.sign();
        let mut peer = listener.welcome(&[]).await;
        for publish in peer.take(5).await {
            let refused = short(&publish).starts_with(topic);
            peer.answer(publish.id, if refused { code } else { 0 })
                .await;
        }
        rig.delivered(3).await;
        let figures = rig.figures(|figures| figures.refused == 1).await;
        let fault = figures.fault.unwrap();
        assert!(fault.contains(topic), "{fault}");
        rig.write(vec![plain()]);
        rig.append(1, 0);
        rig.show(&[(Place::Availability(id("press")), "free", 1)]);
        let mut rest = peer.take(2).await;
        rest.sort_by(|one, other| one.topic.cmp(&other.topic));
        assert_eq!(rest[0].payload, "free");
        assert_eq!(seqs(&rest[1..]), [3]);
        for publish in &rest {
            peer.answer(publish.id, 0).await;
        }
        rig.delivered(4).await;
        assert!(peer.is_quiet().await, "the ledger waits");
        assert_eq!(rig.ledger.delivered(), first);
        // A new connection is a new try.
        drop(peer);
        let mut peer = listener.welcome(&[]).await;
        let again = peer.acknowledge_until(if topic == "leaf" {
            "ledger/leaf"
        } else {
            "press"
        });
        drop(again.await);
        let note = peer.acknowledge_until("ledger/checkpoint").await;
        assert_eq!(short(&note), format!("note {}", first + 1));
        rig.told(first + 2).await;
        let figures = rig.figures(|figures| figures.fault.is_none()).await;
        assert!(figures.connected);
        drop(peer);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_leaf_larger_than_the_broker_takes_is_held_and_shown() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 20);
    let mut long = plain();
    if let LeafBody::Audit(audit) = &mut long {
        audit.what = "x".repeat(2000);
    }
    let first = rig.write(vec![plain(), long, plain()]);
    rig.append(2, 0);
    rig.sign();
    // 1,024 bytes at most.
    let mut peer = listener.welcome(&[0x27, 0, 0, 4, 0]).await;
    let taken = peer.take(3).await;
    let leaves: Vec<_> = taken
        .iter()
        .map(short)
        .filter(|said| said.contains("leaf"))
        .collect();
    assert_eq!(leaves, [format!("leaf {first}")]);
    for publish in &taken {
        peer.answer(publish.id, 0).await;
    }
    rig.delivered(2).await;
    rig.told(first + 1).await;
    assert!(peer.is_quiet().await, "the leaf is not skipped");
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    let fault = figures.fault.unwrap();
    let expected = format!("ledger/leaf#{}: packet too large", first + 1);
    assert!(fault.contains(&expected), "{fault}");
    drop(peer);
    // Somebody has raised the limit.
    let mut peer = listener.welcome(&[]).await;
    let note = peer.acknowledge_until("ledger/checkpoint").await;
    assert_eq!(short(&note), format!("note {}", first + 3));
    rig.told(first + 3).await;
    rig.figures(|figures| figures.fault.is_none()).await;
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn neither_backlog_starves_the_other() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    let first = rig.write((0..300).map(|_| plain()).collect());
    rig.append(2000, 2000);
    let mut peer = listener.welcome(&[]).await;
    let (mut leaves, mut before, mut beside) = (0, 0, 0);
    while leaves < 300 {
        let publish = peer.publish().await.unwrap();
        peer.answer(publish.id, 0).await;
        match (publish.topic.ends_with("ledger/leaf"), leaves) {
            (true, _) => leaves += 1,
            // The ledger is being read.
            (false, 0) => before += 1,
            (false, _) => beside += 1,
        }
    }
    assert!(
        before + beside < 2000,
        "the ledger does not wait for all history"
    );
    assert!(beside > 100, "nor history for the ledger: {beside}");
    while rig.ledger.delivered() < first + 300 || rig.outbox.delivered() < 2000 {
        tokio::select! {
            publish = peer.publish() => peer.answer(publish.unwrap().id, 0).await,
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
    }
    drop(peer);
    rig.stop().await;
}
