//! A server that comes back with fewer nodes than it had: the others flow, those missing are told by name
//! and come back by themselves.

use anyhow::Result;
use lineside_tests::broker::Persistence;
use lineside_tests::opcua::{Identity, Maker, Policy, Press, Settings, points};
use lineside_tests::stand::{HEAVY, QUICK, Stand};
use lineside_tests::subscriber::Event;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const NODES: usize = 1_000;
const MISSING: usize = 100;
const MACHINE: &str = "press";
/// Two servers' worth of nodes are built and looked for anew.
const LIMIT: Duration = Duration::from_secs(90);

/// Names of the points of a range.
fn names(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|node| format!("n{node}")).collect()
}

/// Waits until each of these points was in some frame under `key`, from an event on; with `bad`, by the status
/// that says that there is no such node.
fn until_all(stand: &mut Stand, from: usize, key: &str, wanted: BTreeSet<String>) -> Result<()> {
    let mut waiting = wanted;
    let what = format!("{} points in {key}", waiting.len());
    let topic = lineside_tests::site::Site::topic(&format!("telemetry/{MACHINE}"));
    let found = stand.archive.wait_from(from, &what, LIMIT, |event| {
        let Event::Message(message) = event else {
            return None;
        };
        if message.topic != topic {
            return None;
        }
        let document: Value = serde_json::from_str(&message.payload).ok()?;
        for frame in document.get("frames")?.as_array()? {
            for (name, value) in frame
                .get(key)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let is_gone = value
                    .as_str()
                    .is_none_or(|why| why.starts_with("bad:BadNodeId"));
                if is_gone {
                    waiting.remove(name);
                }
            }
        }
        waiting.is_empty().then_some(())
    });
    found.map_err(|error| error.context(stand.log()))
}

async fn nine_hundred_of_a_thousand(maker: Maker) -> Result<()> {
    let _heavy = HEAVY.lock().await;
    let settings = Settings {
        nodes: NODES,
        interval_ms: 1_000,
        ..Settings::default()
    };
    let mut press = Press::start(maker, settings)?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let connection = press.connection(press.port(), Policy::None, Identity::Anonymous);
    stand
        .site
        .machine(MACHINE, &(connection + &points(0..NODES, "500ms", "10s")))?;
    stand.start()?;
    until_all(&mut stand, 0, "values", names(0..NODES))?;
    press.kill()?;
    press.restart(MISSING)?;
    let mark = stand.archive.mark()?;
    until_all(&mut stand, mark, "values", names(0..NODES - MISSING))?;
    until_all(&mut stand, mark, "bad", names(NODES - MISSING..NODES))?;
    let mark = stand.archive.mark()?;
    press.miss(0)?;
    until_all(&mut stand, mark, "values", names(0..NODES))?;
    stand.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asyncua_comes_back_with_nine_hundred_of_a_thousand_nodes() -> Result<()> {
    nine_hundred_of_a_thousand(Maker::Asyncua).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_opcua_comes_back_with_nine_hundred_of_a_thousand_nodes() -> Result<()> {
    nine_hundred_of_a_thousand(Maker::Node).await
}
