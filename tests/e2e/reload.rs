//! A reload touches the machines that changed, and no other; a wrong one touches nothing.

use anyhow::{Context, Result, ensure};
use lineside::config::model::Table;
use lineside::sim::device::Device;
use lineside_proto::{MapDocument, Telemetry};
use lineside_tests::broker::Persistence;
use lineside_tests::site::Site;
use lineside_tests::wait;
use std::net::SocketAddr;
use std::time::Duration;

use lineside_tests::stand::{LIMIT, QUICK, Stand};

/// Between two readings of a machine that nobody touches: ten times the interval, on a busy machine.
const PAUSE_MS: i64 = 2_000;

fn map(address: SocketAddr, points: &[&str]) -> String {
    let mut map = format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\n\
         [groups]\nfast = \"200ms\"\n[points]\n"
    );
    for (at, point) in points.iter().enumerate() {
        map.push_str(&format!(
            "{point} = {{ holding = {at}, type = \"u16\", group = \"fast\" }}\n"
        ));
    }
    map.push_str("[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n");
    map
}

async fn machine() -> Result<(Device, SocketAddr)> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[7, 8, 9]);
    let address = device.listen_tcp().await?;
    Ok((device, address))
}

/// Waits for telemetry of a machine, after the event numbered `from`, that holds a point.
fn point(stand: &mut Stand, from: usize, machine: &str, point: &str) -> Result<()> {
    let topic = Site::topic(&format!("telemetry/{machine}"));
    let text = format!("\"{point}\":");
    let found = stand.archive.wait_on(from, &topic, LIMIT, |message| {
        message.payload.contains(&text).then_some(())
    });
    found.with_context(|| stand.log())
}

/// The longest time between two frames of a machine.
fn longest_pause(stand: &mut Stand, machine: &str) -> Result<i64> {
    let streams = stand.streams()?;
    let mut times = Vec::new();
    for payload in streams.payloads(machine) {
        let document: Telemetry = serde_json::from_str(payload)?;
        times.extend(document.frames.iter().map(|frame| frame.t_ms));
    }
    let pauses = times
        .windows(2)
        .filter_map(|pair| Some(pair.last()? - pair.first()?));
    pauses.max().context("no frames")
}

/// The retained documents of the machine that was removed are cleared, and the changed one has a new map.
fn documents_follow(stand: &mut Stand, mark: usize) -> Result<()> {
    for document in ["availability", "map"] {
        let topic = Site::topic(&format!("{document}/removed"));
        let cleared = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
            message.payload.is_empty().then_some(())
        });
        cleared.with_context(|| format!("{topic} is not cleared\n{}", stand.log()))?;
    }
    let topic = Site::topic("map/changed");
    let document = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
        serde_json::from_str::<MapDocument>(&message.payload).ok()
    })?;
    ensure!(document.points.len() == 2, "{document:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_machines_whose_map_changed_are_touched() -> Result<()> {
    let (kept, kept_at) = machine().await?;
    let (changed, changed_at) = machine().await?;
    let (removed, removed_at) = machine().await?;
    let (added, added_at) = machine().await?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    stand.site.machine("kept", &map(kept_at, &["a"]))?;
    stand.site.machine("changed", &map(changed_at, &["a"]))?;
    stand.site.machine("removed", &map(removed_at, &["a"]))?;
    stand.start()?;
    for name in ["kept", "changed", "removed"] {
        point(&mut stand, 0, name, "a")?;
    }

    // A mere save does nothing; a wrong change is refused and nothing is touched.
    let lines = stand.agent()?.process().errors.lock().len();
    stand
        .site
        .machine("changed", &map(changed_at, &["a", "b", "b"]))?;
    stand.agent()?.reload()?;
    stand
        .agent()?
        .process()
        .wait_for_error_line(lines, "refused", LIMIT)?;
    let mark = stand.archive.mark()?;
    point(&mut stand, mark, "changed", "a")?;
    let connections = |device: &Device| device.statistics().connections;
    ensure!(
        connections(&changed) == 1,
        "{} connections",
        connections(&changed)
    );

    // A right one touches what changed.
    stand
        .site
        .machine("changed", &map(changed_at, &["a", "b"]))?;
    stand.site.machine("added", &map(added_at, &["c"]))?;
    stand.site.remove("removed")?;
    let mark = stand.archive.mark()?;
    stand.agent()?.reload()?;
    point(&mut stand, mark, "changed", "b")?;
    point(&mut stand, mark, "added", "c")?;
    documents_follow(&mut stand, mark)?;
    wait::until_true("the removed machine to be left alone", LIMIT, || {
        let asked = removed.statistics().total();
        wait::throughout(Duration::from_millis(600), || Ok(())).is_ok()
            && removed.statistics().total() == asked
    })?;
    ensure!(
        connections(&kept) == 1,
        "{} connections to the kept machine",
        connections(&kept)
    );
    let pause = longest_pause(&mut stand, "kept")?;
    ensure!(
        pause < PAUSE_MS,
        "the kept machine was not read for {pause} ms"
    );
    let verdict = stand.streams()?.verdict();
    ensure!(
        verdict.holes.is_empty() && verdict.reordered.is_empty(),
        "{verdict:?}"
    );
    drop(added);
    stand.stop()
}
