//! Brokers that stop, links that break, agents that die: nothing is lost, nothing out of order.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::sequence::Verdict;
use std::time::Duration;

use lineside_tests::stand::{LIMIT, QUICK, Stand, WINDOW, until_connections};

const MACHINES: [&str; 3] = ["extruder", "furnace", "press"];

/// Three machines behind one link, each read ten times a second.
struct Trial {
    stand: Stand,
    device: Device,
    rng: Rng,
    faults: u64,
}

impl Trial {
    fn begin(persistence: Persistence, seed: u64) -> Result<Self> {
        let cells = || {
            vec![
                Cell::new("holding", 0, "f32", 1.5),
                Cell::new("coil", 0, "bool", true),
            ]
        };
        let units: Vec<(u8, Vec<Cell>)> = (1..=3).map(|unit| (unit, cells())).collect();
        let device = Device::start(Transport::Tcp, &units)?;
        let mut stand = Stand::new(persistence, QUICK)?;
        for (machine, (unit, _)) in MACHINES.iter().zip(&units) {
            let map = format!(
                "{}[groups]\nfast = \"100ms\"\n[points]\n\
                 speed = {{ holding = 0, type = \"f32\", group = \"fast\" }}\n\
                 on = {{ coil = 0, group = \"fast\" }}\n\
                 [[state.rules]]\nstate = \"RUN\"\nwhen = \"on\"\n",
                device.connection(&format!("unit-id = {unit}"))
            );
            stand.site.machine(machine, &map)?;
        }
        stand.start()?;
        stand.flow(30)?;
        Ok(Self {
            stand,
            device,
            rng: Rng::with_seed(seed),
            faults: 0,
        })
    }

    /// Lets a fault happen at a random moment of the flow, and the flow begin again.
    fn fault(&mut self, fault: impl FnOnce(&mut Stand) -> Result<()>) -> Result<()> {
        let messages = self.rng.usize(1..40);
        self.stand.flow(messages)?;
        self.faults += 1;
        fault(&mut self.stand).with_context(|| self.stand.log())?;
        self.stand.flow(5)
    }

    /// What arrived, once all that was read has.
    fn end(mut self) -> Result<(Verdict, Stand)> {
        self.stand.caught_up(&MACHINES, LIMIT)?;
        let streams = self.stand.streams()?;
        ensure!(
            streams.count() == MACHINES.len(),
            "{} streams",
            streams.count()
        );
        let verdict = streams.verdict();
        eprintln!(
            "{} faults: {} messages, {} duplicates, {} named, {} holes, {} reordered",
            self.faults,
            verdict.messages,
            verdict.duplicates,
            verdict.named,
            verdict.holes.len(),
            verdict.reordered.len()
        );
        ensure!(verdict.reordered.is_empty(), "{:?}", verdict.reordered);
        let bound = self.faults * WINDOW;
        ensure!(
            verdict.duplicates <= bound,
            "{} duplicates, {bound} at most",
            verdict.duplicates
        );
        ensure!(
            verdict.named == 0,
            "nothing was full, yet a gap document names {}",
            verdict.named
        );
        self.stand.stop()?;
        self.device.was_only_read()?;
        Ok((verdict, self.stand))
    }

    fn end_without_holes(self) -> Result<()> {
        let (verdict, _stand) = self.end()?;
        ensure!(verdict.holes.is_empty(), "{:?}", verdict.holes);
        Ok(())
    }
}

/// Lets the same fault happen so many times: nothing is lost.
fn check(mut trial: Trial, faults: usize, fault: fn(&mut Stand) -> Result<()>) -> Result<()> {
    for _ in 0..faults {
        trial.fault(fault)?;
    }
    trial.end_without_holes()
}

fn cut(stand: &mut Stand) -> Result<()> {
    stand.proxy.cut();
    Ok(())
}

#[test]
fn a_broker_that_is_stopped_loses_nothing() -> Result<()> {
    check(Trial::begin(Persistence::On, 1)?, 4, |stand| {
        stand.broker.stop()?;
        stand.broker.restart()
    })
}

#[test]
fn a_broker_that_is_killed_loses_only_what_it_had_acknowledged() -> Result<()> {
    let mut trial = Trial::begin(Persistence::On, 2)?;
    for _ in 0..4 {
        trial.fault(|stand| {
            stand.broker.kill()?;
            stand.broker.restart()
        })?;
    }
    let (verdict, stand) = trial.end()?;
    let acknowledged = stand.acknowledged.keys();
    let ours: Vec<_> = verdict.holes.difference(&acknowledged).collect();
    ensure!(
        ours.is_empty(),
        "never acknowledged, yet not sent again: {ours:?}"
    );
    Ok(())
}

#[test]
fn a_link_that_is_cut_loses_nothing() -> Result<()> {
    check(Trial::begin(Persistence::Off, 3)?, 8, cut)
}

#[test]
fn late_acknowledgements_and_cuts_lose_nothing() -> Result<()> {
    let trial = Trial::begin(Persistence::Off, 4)?;
    trial.stand.proxy.delay(Duration::from_millis(300));
    check(trial, 4, cut)
}

#[test]
fn a_half_open_link_is_noticed_and_loses_nothing() -> Result<()> {
    check(Trial::begin(Persistence::Off, 5)?, 2, |stand| {
        let before = stand.proxy.accepted();
        stand.proxy.freeze();
        // The agent gives up on a connection that is silent, and tries another.
        until_connections(&stand.proxy, before)?;
        stand.proxy.thaw();
        Ok(())
    })
}

#[test]
fn an_agent_that_is_killed_twenty_times_loses_nothing_that_it_had_numbered() -> Result<()> {
    check(Trial::begin(Persistence::Off, 6)?, 20, |stand| {
        stand.kill()?;
        stand.start()
    })
}

#[test]
fn a_broker_that_is_frozen_loses_nothing() -> Result<()> {
    check(Trial::begin(Persistence::Off, 7)?, 1, |stand| {
        let before = stand.proxy.accepted();
        stand.broker.pause()?;
        let noticed = until_connections(&stand.proxy, before);
        stand.broker.resume()?;
        noticed
    })
}
