//! The broker is away while ten machines with a thousand points each are read every second.

use anyhow::{Context, Result, ensure};
use lineside_proto::{AvailableNow, State};
use lineside_tests::broker::Persistence;
use lineside_tests::wait;
use std::time::{Duration, Instant};

use lineside_tests::plant::Plant;
use lineside_tests::stand::{HEAVY, Stand};

/// How long the broker is away: a shortened version of the benchmark's ten minutes.
const AWAY: Duration = Duration::from_secs(40);
/// How soon availability must be right after the broker is back; reconnecting comes before it.
const RIGHT_MS: i64 = 2_000;
const MACHINES: usize = 10;
const POINTS: u16 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_points_a_second_survive_an_outage() -> Result<()> {
    let _heavy = HEAVY.lock().await;
    let plant = Plant::start(MACHINES, POINTS).await?;
    let mut stand = Stand::new(Persistence::On, "ack-timeout = \"5s\"")?;
    plant.write(&stand.site, "1s")?;
    stand.start()?;
    stand.flow(3 * MACHINES)?;
    let names: Vec<&str> = plant.names.iter().map(String::as_str).collect();
    let mut rng = fastrand::Rng::with_seed(21);
    stand.broker.stop()?;
    let mut changed = Instant::now();
    let mut resident_kb = 0;
    wait::throughout(AWAY, || {
        if changed.elapsed() >= Duration::from_secs(1) {
            changed = Instant::now();
            plant.change(&mut rng, 3);
            resident_kb = resident_kb.max(stand.agent()?.resident_kb()?);
        }
        Ok(())
    })?;
    let away = stand.proxy.accepted();
    stand.broker.restart()?;
    let mark = stand.archive.mark()?;
    wait::until_true("a reconnect", AWAY, || stand.proxy.accepted() > away)?;
    let back_ms = wait::boot_ms();
    for name in &names {
        let at_ms = stand.availability(name, mark, |document, message| {
            let right = document.state == State::Run && document.available_now == AvailableNow::No;
            right.then_some(message.at_ms)
        })?;
        ensure!(
            at_ms - back_ms <= RIGHT_MS,
            "{name}: right {} ms after",
            at_ms - back_ms
        );
    }
    let begun = Instant::now();
    stand.caught_up(&names, Duration::from_secs(120))?;
    let streams = stand.streams()?;
    let verdict = streams.verdict();
    eprintln!(
        "{} messages, {} duplicates, {} KB resident at most, history delivered in {:?}",
        verdict.messages,
        verdict.duplicates,
        resident_kb,
        begun.elapsed()
    );
    ensure!(
        verdict.holes.is_empty() && verdict.reordered.is_empty(),
        "{verdict:?}"
    );
    ensure!(verdict.named == 0, "nothing was full");
    for name in &names {
        let samples = samples(&streams.payloads(name))?;
        let seconds = usize::try_from(AWAY.as_secs())?;
        let least = seconds * usize::from(POINTS) * 95 / 100;
        ensure!(
            samples >= least,
            "{name}: {samples} samples of at least {least}"
        );
    }
    stand.stop()?;
    for device in &plant.devices {
        ensure!(
            device.statistics().foreign_total() == 0,
            "{:?}",
            device.statistics().foreign
        );
    }
    Ok(())
}

fn samples(payloads: &[&str]) -> Result<usize> {
    let mut samples = 0;
    for payload in payloads {
        let document: lineside_proto::Telemetry =
            serde_json::from_str(payload).context("a telemetry document")?;
        samples += document
            .frames
            .iter()
            .map(|frame| frame.values.len())
            .sum::<usize>();
    }
    Ok(samples)
}
