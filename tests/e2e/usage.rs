//! Hours: a machine is driven through known states, the agent is stopped, killed and cut off, and what an
//! archive received of its ledger adds up to what the machine did.

use anyhow::{Context, Result, ensure};
use lineside::config::model::Table;
use lineside::ledger::Keys;
use lineside::sim::device::Device;
use lineside_proto::ledger::conservation::Conservation;
use lineside_proto::ledger::{Boot, LeafBody, SessionEvent, Shutdown};
use lineside_proto::{Class, State};
use lineside_tests::agent::command;
use lineside_tests::broker::Persistence;
use lineside_tests::evidence::Evidence;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::wait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// One poll, and what a busy machine may add to it, at each end of each stay in a state.
const SLACK_MS: u64 = 1_000;

const ORIGIN: &str = "lineside/site/gw";

fn map(address: SocketAddr) -> String {
    format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\n\
         [groups]\nfast = \"100ms\"\n[points]\n\
         mode = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         energy_wh = {{ holding = 1, type = \"u16\", group = \"fast\" }}\n\
         [state]\nstale-after = \"2s\"\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n\
         [evidence]\nenergy = \"energy_wh\"\n"
    )
}

/// Waits until the archive has every leaf that the agent has, and gives what it received.
fn delivered(stand: &mut Stand) -> Result<Evidence> {
    let config = stand.site.config().display().to_string();
    wait::until("every leaf to be delivered and signed", LIMIT, || {
        let output = command(&["status", "--json", "-c", &config])?;
        let live: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let of = |name: &str| {
            live.pointer(&format!("/ledger/{name}"))
                .and_then(Value::as_u64)
        };
        let done = of("size").is_some() && of("size") == of("delivered");
        Ok(done.then_some(()))
    })
    .with_context(|| stand.log())?;
    Evidence::of(&stand.archive.messages()?)
}

fn verified(stand: &Stand, evidence: &Evidence) -> Result<()> {
    let keys = Keys::load(&stand.site.path().join("keys/ledger.key"), ORIGIN)?;
    let heads = evidence.verify(&keys.all(), ORIGIN)?;
    ensure!(!heads.is_empty(), "no checkpoint was published");
    let mut conservation = Conservation::default();
    for leaf in evidence.facts()? {
        conservation.take(&leaf);
    }
    let report = conservation.report();
    ensure!(report.is_sound(), "{:?}", report.violations);
    Ok(())
}

/// Milliseconds by state, of all usage leaves.
fn hours(evidence: &Evidence) -> Result<BTreeMap<State, u64>> {
    let mut hours = BTreeMap::new();
    for leaf in evidence.facts()? {
        if let LeafBody::Usage(usage) = leaf.body {
            let length = usage.mono_to_ms - usage.mono_from_ms;
            ensure!(usage.ms.values().sum::<u64>() == length, "{usage:?}");
            for (state, ms) in usage.ms {
                *hours.entry(state).or_default() += ms;
            }
        }
    }
    Ok(hours)
}

fn state(stand: &mut Stand, wanted: State) -> Result<()> {
    let from = stand.archive.mark()?;
    stand.availability("m", from, |said, _| (said.state == wanted).then_some(()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hours_are_those_that_the_machine_ran_through_kills_and_outages() -> Result<()> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[0, 500]);
    let address = device.listen_tcp().await?;
    let mut stand = Stand::new(
        // The archive's subscription must outlive the broker: what nobody reads is acknowledged, too.
        Persistence::On,
        &format!("{QUICK}\n[sessions]\nidle-close = \"2s\""),
    )?;
    stand.site.machine("m", &map(address))?;
    stand.start()?;
    state(&mut stand, State::Idle)?;

    // It runs for a while, and stops for longer than a session without booking waits.
    device.unit(1).set(Table::Holding, 0, &[1, 500]);
    let first = wait::boot_ms();
    state(&mut stand, State::Run)?;
    wait::throughout(Duration::from_secs(3), || Ok(()))?;
    device.unit(1).set(Table::Holding, 0, &[0, 530]);
    let mut ran_ms = wait::boot_ms() - first;
    let closed = stand
        .archive
        .wait_on(0, &Site::topic("sessions/m"), LIMIT, |message| {
            message
                .payload
                .contains("\"closed\"")
                .then(|| message.payload.clone())
        });
    let closed = closed.with_context(|| stand.log())?;
    ensure!(closed.contains("\"UNB\""), "{closed}");

    // The broker goes away, the machine runs on, the agent is killed twice meanwhile.
    stand.broker.stop()?;
    device.unit(1).set(Table::Holding, 0, &[1, 540]);
    let second = wait::boot_ms();
    for _ in 0..2 {
        wait::throughout(Duration::from_secs(2), || Ok(()))?;
        stand.kill()?;
        stand.start()?;
    }
    wait::throughout(Duration::from_secs(2), || Ok(()))?;
    device.unit(1).set(Table::Holding, 0, &[0, 560]);
    ran_ms += wait::boot_ms() - second;
    stand.broker.restart()?;
    let closed = |evidence: &Evidence| {
        evidence.count(|body| {
            matches!(body, LeafBody::Session(session) if session.event == SessionEvent::Close)
        })
    };
    let evidence = wait::until("both sessions to be closed", LIMIT, || {
        let evidence = delivered(&mut stand)?;
        Ok((closed(&evidence)? == 2).then_some(evidence))
    })?;
    verified(&stand, &evidence)?;

    adds_up(&evidence, u64::try_from(ran_ms)?)?;
    boots(&evidence, 3, 2)?;
    stand.stop()
}

/// What the machine ran is in the ledger, as a session's, or as a gap.
fn adds_up(evidence: &Evidence, ran_ms: u64) -> Result<()> {
    let ms = hours(evidence)?;
    let run = ms.get(&State::Run).copied().unwrap_or_default();
    // What was not watched while the agent was dead is a gap, and never more than the machine ran.
    let mut gap_ms = 0;
    let mut active = BTreeMap::new();
    for leaf in evidence.facts()? {
        if let LeafBody::Gap(gap) = &leaf.body {
            gap_ms += gap.ms.context("one boot: a length")?;
        }
        if let LeafBody::Usage(usage) = leaf.body {
            let ran = usage.ms.get(&State::Run).copied().unwrap_or_default();
            *active.entry(usage.class).or_insert(0) += ran;
            let bound = usage.session.is_some() || ran == 0;
            ensure!(bound, "activity outside of a session: {usage:?}");
        }
    }
    let unknown = ms.get(&State::Unknown).copied().unwrap_or_default();
    ensure!(run <= ran_ms + SLACK_MS, "{run} ms RUN, it ran {ran_ms}");
    ensure!(
        run + gap_ms + unknown + SLACK_MS >= ran_ms,
        "{run} ms RUN and {gap_ms} of gaps, it ran {ran_ms}: {ms:?}"
    );
    ensure!(active.get(&Some(Class::Unb)) == Some(&run), "{active:?}");
    Ok(())
}

/// The ledger says how often the agent started, and how the runs before ended.
fn boots(evidence: &Evidence, starts: usize, crashes: usize) -> Result<()> {
    let mut ends = Vec::new();
    for leaf in evidence.facts()? {
        if let LeafBody::Boot(Boot {
            previous, build, ..
        }) = leaf.body
        {
            ensure!(build.starts_with("sha256:"), "{build}");
            ends.push(previous);
        }
    }
    let killed = ends.iter().filter(|end| **end == Shutdown::Crash).count();
    ensure!(ends.len() == starts && killed == crashes, "{ends:?}");
    ensure!(ends.first() == Some(&Shutdown::None), "{ends:?}");
    Ok(())
}
