//! What flows while all is well.

use opcua::types::{DateTime, Variant};

use super::memory::Memory;
use super::*;
use crate::config::model::Address;
use crate::field::Texts;

#[tokio::test]
async fn values_flow_and_an_idle_machine_is_vouched_for() {
    let plant = Plant::start(&["a", "b"]).await;
    let (server, map) = machine("press", &plant.url(), &["a", "b"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..2, 0).await;
    plant.set_at("a", 7, 2_000_000_000_123);
    let source = bench
        .until(|seen| {
            let batch = batch(seen)?;
            let seven = |sample: &&Sample| sample.reading == Ok(Value::Int(7));
            batch.samples.iter().find(seven)?;
            Some(batch.source.unwrap().as_millis())
        })
        .await;
    assert_eq!(source, 2_000_000_000_123);
    let mut before = None;
    for _ in 0..4 {
        let standing = bench.until_standing().await;
        assert_eq!((standing.slot, &*standing.points), (Slot(0), &[0, 1][..]));
        assert!(before.is_none_or(|before| standing.at.boot_ms > before));
        before = Some(standing.at.boot_ms);
    }
    let figures = bench.figures();
    let of = figures.subscribed.unwrap();
    assert_eq!(
        (figures.phase, of.items_wanted, of.items_made),
        (LinkPhase::Up, 2, 2)
    );
    assert_eq!(plant.sessions(), 1);
    bench.end().await;
    assert_eq!(plant.sessions(), 0);
}

#[tokio::test]
async fn a_missing_node_is_bad_by_name_and_comes_back_by_itself() {
    let plant = Plant::start(&["a"]).await;
    let (server, map) = machine("press", &plant.url(), &["a", "late"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    let mut seen = BTreeMap::new();
    bench
        .until(|observation| {
            for sample in &batch(observation)?.samples {
                let text = sample.reading.as_ref().map_err(Bad::to_string);
                seen.insert(sample.point, text.map(Value::to_string));
            }
            (seen.len() == 2).then_some(())
        })
        .await;
    assert_eq!(seen[&0], Ok("0".to_owned()));
    assert_eq!(seen[&1], Err("bad:BadNodeIdUnknown".to_owned()));
    let standing = bench.until_standing().await;
    assert_eq!(&*standing.points, &[0]);
    plant.add("late");
    bench.until_value(0, 1, 0).await;
    bench.end().await;
}

#[tokio::test]
async fn a_namespace_that_the_server_does_not_have_is_told_as_that() {
    let plant = Plant::start(&["a", "b"]).await;
    let (server, mut map) = machine("press", &plant.url(), &["a", "b"]);
    if let Address::Node(node) = &mut map.points[1].address {
        node.namespace = "urn:mistyped".to_owned();
    }
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_value(0, 0, 0).await;
    let fault = bench.figures().fault.unwrap();
    let says = "no namespace urn:mistyped; it has: urn:lineside:test";
    assert!(fault.contains(says), "{fault}");
    bench.end().await;
}

#[tokio::test]
async fn a_node_that_goes_without_a_word_is_bad_and_comes_back_by_itself() {
    let plant = Plant::start(&["a", "b"]).await;
    let (server, map) = machine("press", &plant.url(), &["a", "b"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..2, 0).await;
    plant.remove("b");
    bench
        .until(|seen| {
            let mut samples = batch(seen)?.samples.iter();
            let gone = samples.find(|sample| sample.reading.is_err())?;
            assert_eq!(gone.point, 1);
            let text = gone.reading.as_ref().unwrap_err().to_string();
            (text == "bad:BadNodeIdUnknown").then_some(())
        })
        .await;
    assert_eq!(&*bench.until_standing().await.points, &[0]);
    plant.add("b");
    bench.until_value(0, 1, 0).await;
    bench.end().await;
}

#[tokio::test]
async fn a_server_that_publishes_less_often_than_asked_is_heard_in_time() {
    let plant = Plant::start_slow(&["a"], 1_500.0).await;
    let (server, mut map) = machine("press", &plant.url(), &["a"]);
    map.groups[0].interval = Duration::from_millis(20);
    map.groups[0].stale_after = Duration::from_secs(3);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_value(0, 0, 0).await;
    // Twenty intervals of the asked would be half a minute of what the server made of them.
    for _ in 0..3 {
        bench
            .until(|seen| {
                assert!(batch(seen).is_none(), "{seen:?}");
                matches!(seen, Observation::Standing(_)).then_some(())
            })
            .await;
    }
    bench.end().await;
}

#[tokio::test]
async fn a_change_of_one_machine_leaves_the_others_alone() {
    let plant = Plant::start(&["a", "b", "c"]).await;
    let (server, stays) = machine("stays", &plant.url(), &["a"]);
    let (_, goes) = machine("goes", &plant.url(), &["b"]);
    let (_, comes) = machine("comes", &plant.url(), &["c", "b"]);
    let mut bench = Bench::start(&server, &[(0, stays.clone()), (1, goes)], 64);
    let mut left = std::collections::BTreeSet::from([Slot(0), Slot(1)]);
    bench
        .until(|seen| {
            left.remove(&batch(seen)?.slot);
            left.is_empty().then_some(())
        })
        .await;
    let counters = Arc::clone(&bench.counters);
    bench
        .jobs
        .send_replace(jobs(&[(0, stays), (2, comes)], &counters));
    // A new item would send its value again; this one sends nothing but changes.
    let mut again = 0;
    let mut heard = std::collections::BTreeSet::new();
    bench
        .until(|seen| {
            let batch = batch(seen)?;
            again += usize::from(batch.slot == Slot(0));
            if batch.slot == Slot(2) {
                heard.extend(batch.samples.iter().map(|sample| sample.point));
            }
            (heard.len() == 2).then_some(())
        })
        .await;
    plant.set("a", 5);
    bench.until_value(0, 0, 5).await;
    assert_eq!(again, 0);
    bench.end().await;
}

#[tokio::test]
async fn a_probe_shows_what_the_server_says() {
    let plant = Plant::start(&["a", "b"]).await;
    let (server, mut map) = machine("press", &plant.url(), &["a", "b", "none"]);
    map.points[0].expect = Some((0.0, 3.0));
    let mut bench = Bench::start(&server, &[(0, map.clone())], 64);
    bench.until_all(0..2, 0).await;
    plant.set_at("a", 7, 2_000_000_000_123);
    let (reply, answer) = oneshot::channel();
    let order = ProbeOrder {
        map: Arc::new(map),
        points: vec![2, 0],
        reply,
    };
    bench.probes.send(order).await.unwrap();
    let readings = tokio::time::timeout(LIMIT, answer)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let places: Vec<u16> = readings.iter().map(|reading| reading.point).collect();
    assert_eq!(places, [2, 0]);
    let node = readings[1].node.as_ref().unwrap();
    assert_eq!(
        (
            node.kind.as_str(),
            node.value.as_str(),
            node.status.as_str()
        ),
        ("Int32", "7", "Good")
    );
    assert_eq!(node.source.unwrap().as_millis(), 2_000_000_000_123);
    assert_eq!(readings[1].reading, Err(Bad::Range));
    let missing = readings[0].reading.as_ref().unwrap_err().to_string();
    assert_eq!(missing, "bad:BadNodeIdUnknown");
    bench.end().await;
}

#[tokio::test]
async fn integers_have_names_and_keep_them_while_their_nodes_are_away() {
    let plant = Plant::start(&["a", "valve"]).await;
    let nodes = ["a", "valve", "state", "valve2"];
    let (server, map) = machine("press", &plant.url(), &nodes);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    let valve = |point| (point, Texts::from([(0, "shut".into()), (1, "open".into())]));
    assert_eq!(bench.until_texts(1).await, [valve(1)]);
    // A node that appears.
    plant.add("state");
    let texts = bench.until_texts(2).await;
    assert_eq!((&texts[0], texts[1].0), (&valve(1), 2));
    assert_eq!(texts[1].1[&0], "Running");
    // A server that comes back without two of its nodes, and with another.
    let port = plant.kill().await;
    let _plant = Plant::start_at(port, &["a", "valve2"], Memory::default()).await;
    let expected = [texts, vec![valve(3)]].concat();
    assert_eq!(bench.until_texts(3).await, expected);
    bench.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_shown_as_long_as_it_is_so() {
    let plant = Plant::start(&["a", "b"]).await;
    let wire = Wire::to(plant.port).await;
    let (server, map) = machine("press", &wire.url(), &["a", "b"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..2, 0).await;
    assert_eq!(bench.figures().fault, None);
    plant.put("b", Variant::from(vec![1_i32, 2]), DateTime::now());
    let is_misfit =
        |fault: Option<&str>| fault.is_some_and(|fault| fault.contains("press/p1 (array)"));
    bench.until_fault(is_misfit).await;
    let fault = bench.figures().fault_zh.unwrap();
    assert!(fault.contains("1 个点位：press/p1（数组）"), "{fault}");
    // A connection that is lost is told first, and no longer than it is.
    wire.shut(true);
    wire.cut();
    bench.until_fault(|fault| !is_misfit(fault)).await;
    assert!(bench.figures().fault.is_some());
    wire.shut(false);
    bench.until_fault(is_misfit).await;
    plant.put("b", Variant::Int32(7), DateTime::now());
    bench.until_fault(|fault| fault.is_none()).await;
    assert_eq!(bench.figures().fault_zh, None);
    bench.end().await;
}
