//! What happens when the server or the way to it fails.

use opcua::types::{DateTime, Variant};

use super::memory::Memory;
use super::*;
use crate::clock::Clock;

fn is_link_bad(seen: &Observation) -> Option<()> {
    let samples = &batch(seen)?.samples;
    let all = samples
        .iter()
        .all(|sample| sample.reading == Err(Bad::Link));
    all.then_some(())
}

fn missed(seen: &Observation) -> Option<Missed> {
    if let Observation::Missed(missed) = seen {
        return Some(missed.clone());
    }
    None
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_anew_flows_again() {
    let mut plant = Plant::start(&["a", "b"]).await;
    let (mut server, map) = machine("press", &plant.url(), &["a", "b"]);
    server.history = false;
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..2, 0).await;
    for round in 1..4 {
        let port = plant.kill().await;
        bench.until(is_link_bad).await;
        plant = Plant::start_at(port, &["a", "b"], Memory::default()).await;
        plant.set("a", round);
        bench.until_value(0, 0, round.into()).await;
        let missed = bench.until(missed).await;
        assert!(missed.from <= missed.to, "{missed:?}");
        assert!(missed.reason.contains("2 points: p0, p1"), "{missed:?}");
        assert!(plant.sessions() <= 2);
    }
    bench.end().await;
}

#[tokio::test]
async fn a_cut_connection_costs_no_value() {
    let plant = Plant::start(&["a"]).await;
    let wire = Wire::to(plant.port).await;
    let (server, map) = machine("press", &wire.url(), &["a"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_value(0, 0, 0).await;
    let mut expected = 0;
    for _ in 0..3 {
        wire.cut();
        bench.until(is_link_bad).await;
        for _ in 0..3 {
            expected += 1;
            plant.set("a", expected);
        }
        bench.until_value(0, 0, expected.into()).await;
        assert!(plant.sessions() <= 2);
    }
    bench.end().await;
}

#[tokio::test]
async fn subscriptions_that_the_server_forgot_are_made_anew_and_what_they_lost_is_named() {
    let plant = Plant::start_forgetful(&["a"]).await;
    let wire = Wire::to(plant.port).await;
    let machines: Vec<(u32, MachineMap)> = (0..4)
        .map(|slot| {
            let (_, mut map) = machine("press", &wire.url(), &["a"]);
            // Each has a rhythm, and a subscription, of its own.
            map.groups[0].interval = Duration::from_millis(40 + 10 * u64::from(slot));
            (slot, map)
        })
        .collect();
    let (mut server, _) = machine("press", &wire.url(), &["a"]);
    server.history = false;
    let mut bench = Bench::start(&server, &machines, 64);
    let mut left: std::collections::BTreeSet<Slot> = (0..4).map(Slot).collect();
    bench
        .until(|seen| {
            left.remove(&batch(seen)?.slot);
            left.is_empty().then_some(())
        })
        .await;
    wire.shut(true);
    wire.cut();
    bench.until(is_link_bad).await;
    // Twice the longest life of a subscription that nobody asks for.
    tokio::time::sleep(Duration::from_millis(2 * 10 * 70)).await;
    plant.set("a", 1);
    wire.shut(false);
    let mut told = std::collections::BTreeSet::new();
    let mut flows = std::collections::BTreeSet::new();
    bench
        .until(|seen| {
            told.extend(missed(seen).map(|missed| missed.slot));
            let batch = batch(seen).filter(|batch| batch.samples[0].reading.is_ok());
            flows.extend(batch.map(|batch| batch.slot));
            (told.len() == 4 && flows.len() == 4).then_some(())
        })
        .await;
    assert_eq!(plant.sessions(), 1);
    bench.end().await;
}

#[tokio::test]
async fn a_frozen_server_is_noticed() {
    let plant = Plant::start(&["a"]).await;
    let wire = Wire::to(plant.port).await;
    let (server, map) = machine("press", &wire.url(), &["a"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_standing().await;
    wire.freeze(true);
    let begun = Instant::now();
    let mut stood = begun;
    bench
        .until(|seen| {
            if let Observation::Standing(_) = seen {
                stood = Instant::now();
            }
            is_link_bad(seen)
        })
        .await;
    assert!(stood - begun < QUICK.believed, "{:?}", stood - begun);
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    wire.freeze(false);
    bench.until_value(0, 0, 0).await;
    bench.until_standing().await;
    bench.end().await;
}

#[tokio::test]
async fn nodes_that_are_gone_after_a_restart_cost_the_others_nothing() {
    let all: Vec<String> = (0..30).map(|node| format!("n{node}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let plant = Plant::start(&all).await;
    let (server, map) = machine("press", &plant.url(), &all);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..30, 0).await;
    let port = plant.kill().await;
    let plant = Plant::start_at(port, &all[..27], Memory::default()).await;
    let mut after = BTreeMap::new();
    bench
        .until(|seen| {
            for sample in &batch(seen)?.samples {
                let text = sample.reading.as_ref().map_err(Bad::to_string);
                after.insert(sample.point, text.map(Value::to_string));
            }
            let good = after.values().filter(|reading| reading.is_ok()).count();
            let gone = |point: &u16| after[point] == Err("bad:BadNodeIdUnknown".to_owned());
            let all_gone = after.len() == 30 && [27, 28, 29].iter().all(gone);
            (good == 27 && all_gone).then_some(())
        })
        .await;
    all[27..].iter().for_each(|node| plant.add(node));
    bench.until_all(27..30, 0).await;
    bench.end().await;
}

#[tokio::test]
async fn what_nobody_takes_is_a_gap_and_not_a_silence() {
    let plant = Plant::start(&["a"]).await;
    let (mut server, mut map) = machine("press", &plant.url(), &["a"]);
    server.history = false;
    map.groups[0].interval = Duration::from_millis(10);
    let mut bench = Bench::start(&server, &[(0, map)], 1);
    bench.until_value(0, 0, 0).await;
    // More messages than may wait, while nobody takes anything.
    let mut last = 0;
    while last < 150 {
        last += 1;
        plant.set("a", last);
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let ended = SystemClock.now().wall;
    let missed = bench.until(missed).await;
    // It begins where the last whole word came, not where the loss was noticed.
    assert!(missed.from < ended && ended <= missed.to, "{missed:?}");
    assert!(bench.figures().subscribed.unwrap().gaps > 0);
    plant.set("a", last + 1);
    bench.until_value(0, 0, (last + 1).into()).await;
    bench.end().await;
}

/// How long a server is down where that matters: far longer than the interval of the group.
const DOWN: Duration = Duration::from_millis(700);

/// Takes what comes until a gap is named whose reason says so; gives it, and the history until then.
async fn history_until(bench: &mut Bench, says: &str) -> (Vec<(Time, Value)>, Missed) {
    let mut history = Vec::new();
    let named = bench
        .until(|seen| {
            if let Observation::History(batch) = seen {
                let value =
                    |sample: &Sample| (batch.source.unwrap(), sample.reading.clone().unwrap());
                history.extend(batch.samples.iter().map(value));
            }
            missed(seen).filter(|missed| missed.reason.contains(says))
        })
        .await;
    assert!(history.is_sorted_by_key(|(time, _)| *time), "{history:?}");
    (history, named)
}

#[tokio::test]
async fn what_was_before_a_restart_is_named_even_where_history_answers_well() {
    let plant = Plant::start(&["h", "hidle", "n"]).await;
    let (server, map) = machine("press", &plant.url(), &["h", "hidle", "n"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..3, 0).await;
    // Delivered live: no history is wanted of it.
    plant.put("h", Variant::Int32(1), DateTime::now());
    bench.until_value(0, 0, 1).await;
    let memory = plant.memory.clone();
    for value in 2..7 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        plant.remember("h", value);
    }
    let port = plant.kill().await;
    bench.until(is_link_bad).await;
    tokio::time::sleep(DOWN).await;
    let back = SystemClock.now().wall;
    let plant = Plant::start_at(port, &["h", "hidle", "n"], memory).await;
    let (history, lost) = history_until(&mut bench, "not in the server's history").await;
    let (more, down) = history_until(&mut bench, "runs since").await;
    assert_eq!(more, []);
    let values: Vec<Value> = history.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, (2..7).map(Value::Int).collect::<Vec<_>>());
    assert!(lost.reason.ends_with("1 points: p2"), "{lost:?}");
    assert!(down.reason.ends_with("2 points: p0, p1"), "{down:?}");
    // It ends with the server's start, not with the first value after it.
    assert!(
        down.from < back && (back..lost.to).contains(&down.to),
        "{down:?} {lost:?}"
    );
    bench.end().await;
    drop(plant);
}

#[tokio::test]
async fn a_historian_that_went_on_without_the_server_fills_the_gap() {
    let plant = Plant::start(&["h", "n"]).await;
    let (server, map) = machine("press", &plant.url(), &["h", "n"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_all(0..2, 0).await;
    let (memory, id) = (plant.memory.clone(), plant.id("h"));
    let port = plant.kill().await;
    memory.note(id);
    bench.until(is_link_bad).await;
    tokio::time::sleep(DOWN).await;
    let plant = Plant::start_at(port, &["h", "n"], memory).await;
    let (history, lost) = history_until(&mut bench, "p1").await;
    assert!(lost.reason.ends_with("history: 1 points: p1"), "{lost:?}");
    assert!(history.len() > 50, "{history:?}");
    let standing = bench.until(|seen| {
        assert_eq!(missed(seen), None);
        matches!(seen, Observation::Standing(_)).then_some(())
    });
    standing.await;
    bench.end().await;
    drop(plant);
}

#[tokio::test]
async fn history_that_breaks_off_is_gone_on_with_before_anything_is_named() {
    let plant = Plant::start_forgetful(&["h"]).await;
    let wire = Wire::to(plant.port).await;
    let (server, map) = machine("press", &wire.url(), &["h"]);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_value(0, 0, 0).await;
    plant.put("h", Variant::Int32(1), DateTime::now());
    bench.until_value(0, 0, 1).await;
    wire.shut(true);
    wire.cut();
    bench.until(is_link_bad).await;
    for value in 2..12 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        plant.remember("h", value);
    }
    plant.put("h", Variant::Int32(12), DateTime::now());
    // Twice the longest life of a subscription that nobody asks for.
    tokio::time::sleep(Duration::from_millis(2 * 10 * 70)).await;
    // The server falls silent in the middle of its answers, and the connection breaks.
    plant.memory.fall_silent(Some(2));
    wire.shut(false);
    let memory = plant.memory.clone();
    let broken = async {
        memory.until_silent().await;
        wire.cut();
        memory.fall_silent(None);
    };
    let mut seen = Vec::new();
    let filled = bench.until(|observation| {
        assert_eq!(missed(observation), None);
        if let Observation::History(batch) = observation {
            seen.extend(
                batch
                    .samples
                    .iter()
                    .map(|sample| sample.reading.clone().unwrap()),
            );
        }
        (seen.len() >= 10).then_some(())
    });
    tokio::join!(broken, filled);
    assert_eq!(seen, (2..12).map(Value::Int).collect::<Vec<_>>());
    bench.end().await;
}

#[tokio::test]
async fn what_a_server_could_not_keep_during_a_cut_is_had_from_its_history() {
    let plant = Plant::start(&["h"]).await;
    let wire = Wire::to(plant.port).await;
    let (server, mut map) = machine("press", &wire.url(), &["h"]);
    map.groups[0].interval = Duration::from_millis(10);
    let mut bench = Bench::start(&server, &[(0, map)], 64);
    bench.until_value(0, 0, 0).await;
    wire.cut();
    bench.until(is_link_bad).await;
    // A second passes before the next attempt: more changes than the server keeps of an item.
    for value in 1..=40 {
        plant.put("h", Variant::Int32(value), DateTime::now());
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    // Every change comes, live or from history, and none both ways.
    let mut seen = BTreeMap::new();
    bench
        .until(|observation| {
            let (Observation::Batch(batch) | Observation::History(batch)) = observation else {
                return None;
            };
            for sample in &batch.samples {
                if let Ok(Value::Int(value)) = sample.reading {
                    *seen.entry(value).or_insert(0) += 1;
                }
            }
            (1..=40)
                .all(|value| seen.contains_key(&value))
                .then_some(())
        })
        .await;
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    bench.end().await;
}
