//! A server that takes only a few nodes at once, as small controllers do.

use opcua::types::{DateTime, Variant};

use super::memory::Memory;
use super::*;
use crate::config::model::NodeKind;

#[tokio::test]
async fn a_server_that_takes_only_a_few_at_once_is_asked_for_no_more() {
    let names: Vec<String> = (0..12).map(|number| format!("n{number}")).collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let plant = Plant::start_narrow(0, &nodes, Memory::default(), 5).await;
    let (server, map) = machine("press", &plant.url(), &nodes);
    let mut bench = Bench::start(&server, &[(0, map.clone())], 64);
    bench.until_all(0..12, 0).await;

    let (reply, answer) = oneshot::channel();
    let order = ProbeOrder {
        map: Arc::new(map),
        points: (0..12).collect(),
        reply,
    };
    bench.probes.send(order).await.unwrap();
    let readings = answer.await.unwrap().unwrap();
    let read: Vec<_> = readings.into_iter().map(|one| one.reading).collect();
    assert_eq!(read, vec![Ok(Value::Int(0)); 12]);

    plant.remove("n11");
    bench
        .until(|seen| {
            let samples = &batch(seen)?.samples;
            let gone = samples.iter().find(|sample| sample.point == 11)?;
            let bad = gone.reading.as_ref().err()?;
            (bad.to_string() == "bad:BadNodeIdUnknown").then_some(())
        })
        .await;
    bench.end().await;
}

/// Together they are more than this server can send in one message.
#[tokio::test]
async fn elements_of_long_arrays_come_in_messages_that_a_server_can_send() {
    let names: Vec<String> = (0..60).map(|number| format!("long{number}")).collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let plant = Plant::start(&nodes).await;
    let put = |value: i32| {
        for node in &nodes {
            let array = Variant::from(vec![value; 2_000]);
            plant.put(node, array, DateTime::now());
        }
    };
    put(7);
    let (server, mut map) = machine("press", &plant.url(), &[]);
    let point = |node: &&str| sample_map::point(node, node, NodeKind::Number, Some(1_999));
    map.points.extend(nodes.iter().map(point));
    let mut bench = Bench::start(&server, &[(0, map.clone())], 64);
    bench.until_all(0..60, 7).await;
    put(8);
    bench.until_all(0..60, 8).await;

    let (reply, answer) = oneshot::channel();
    let order = ProbeOrder {
        map: Arc::new(map),
        points: (0..60).collect(),
        reply,
    };
    bench.probes.send(order).await.unwrap();
    let readings = answer.await.unwrap().unwrap();
    let read: Vec<_> = readings.into_iter().map(|one| one.reading).collect();
    assert_eq!(read, vec![Ok(Value::Int(8)); 60]);
    assert_eq!(bench.figures().fault, None);
    bench.end().await;
}

#[tokio::test]
async fn history_that_never_ends_is_named_and_a_narrow_server_fills_the_rest() {
    let names: Vec<String> = (0..6).map(|number| format!("h{number}")).collect();
    let mut nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    nodes.extend(["hloop", "hvoid"]);
    let plant = Plant::start_narrow(0, &nodes, Memory::default(), 3).await;
    let (server, map) = machine("press", &plant.url(), &nodes);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..8, 0).await;
    for node in &nodes {
        plant.put(node, Variant::Int32(1), DateTime::now());
    }
    bench.until_all(0..8, 1).await;
    let memory = plant.memory.clone();
    for value in 2..6 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        nodes.iter().for_each(|node| plant.remember(node, value));
    }
    let port = plant.kill().await;
    let plant = Plant::start_narrow(port, &nodes, memory, 3).await;
    let mut filled = std::collections::BTreeSet::new();
    let missed = bench
        .until(|seen| match seen {
            Observation::History(batch) => {
                let read = batch
                    .samples
                    .iter()
                    .map(|one| (one.point, one.reading.clone()));
                filled.extend(read.map(|(point, reading)| (point, format!("{reading:?}"))));
                None
            }
            Observation::Missed(missed) => Some(missed.reason.clone()),
            Observation::Batch(_) | Observation::Standing(_) => None,
        })
        .await;
    assert!(missed.ends_with("history: 2 points: p6, p7"), "{missed}");
    let complete = (0..6)
        .all(|point| (2..6).all(|value| filled.contains(&(point, format!("Ok(Int({value}))")))));
    assert!(complete, "{filled:?}");
    bench.end().await;
    drop(plant);
}
