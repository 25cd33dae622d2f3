//! What is dead at a server that lives.

use super::*;
use crate::clock::Clock;
use crate::field::opcua::about::namespaces;
use crate::field::opcua::drive::Driven;
use crate::field::opcua::item::Item;
use crate::field::opcua::note::Ear;
use crate::field::opcua::wanted::{Key, Work};
use crate::field::opcua::work;

#[tokio::test]
async fn an_item_that_no_longer_tells_of_changes_is_made_anew_and_what_it_kept_is_named() {
    let plant = Plant::start(&["a", "b"]).await;
    let (mut server, map) = machine("press", &plant.url(), &["a", "b"]);
    server.history = false;
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..2, 0).await;
    assert_eq!(&*bench.until_standing().await.points, &[0, 1]);
    plant.set_silently("b", 7);
    let mut missed = None;
    let mut is_true = false;
    bench
        .until(|seen| {
            match seen {
                Observation::Missed(named) => missed = Some(named.clone()),
                Observation::Batch(batch) => {
                    let b = batch.samples.iter().find(|sample| sample.point == 1);
                    is_true |= b.is_some_and(|sample| sample.reading == Ok(Value::Int(7)));
                }
                Observation::Standing(_) | Observation::History(_) => {}
            }
            (is_true && missed.is_some()).then_some(())
        })
        .await;
    let missed = missed.unwrap();
    assert!(missed.reason.ends_with("1 points: p1"), "{missed:?}");
    bench.end().await;
}

#[tokio::test]
async fn an_item_that_a_server_may_have_made_costs_its_subscription() {
    let plant = Plant::start(&["a"]).await;
    let wire = Wire::to(plant.port).await;
    let (mut server, map) = machine("press", &wire.url(), &["a"]);
    let directory = tempfile::tempdir().unwrap();
    let own = Own {
        directory: directory.path().to_owned(),
        uri: "urn:lineside:test:gw".to_owned(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let driven = Driven::new(session::open(&server, &own, &clock).await.unwrap());
    server.timeout = Duration::from_millis(200);
    let mut bench = work::Bench {
        session: Arc::clone(&driven.session),
        namespaces: Arc::default(),
        timeout: server.timeout,
    };
    bench.namespaces = Arc::new(namespaces(bench.clone()).await.unwrap());
    let items = Item::of(&jobs(&[(0, map)], &Arc::default())[0]);
    let work = |id, coming: Vec<_>| Work {
        key: Key(1),
        id,
        rhythm: items[0].rhythm,
        leaving: Vec::new(),
        coming,
        is_over: false,
    };
    let (notes, _heard) = mpsc::channel(8);
    let ear = || Ear {
        key: Key(1),
        clock: Arc::clone(&clock),
        notes: notes.clone(),
        spilled: Arc::default(),
    };
    let made = bench.clone().work(work(None, Vec::new()), ear()).await;
    assert!(made.id.is_some());
    assert_eq!(plant.subscriptions(), 1);
    wire.freeze(true);
    let coming = vec![(1, items[0].clone())];
    let worked = bench.clone().work(work(made.id, coming), ear()).await;
    assert_eq!(worked.id, None);
    assert!(worked.items[0].1.is_err(), "{worked:?}");
    let gone = async {
        while plant.subscriptions() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
}
