//! `lineside probe`: what the registers hold, read every way, by itself and through the running agent.

use anyhow::{Context, Result, ensure};
use lineside::config::model::Table;
use lineside::live::Live;
use lineside::sim::device::{Device, FaultKind};
use lineside_proto::State;
use lineside_tests::agent::Agent;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};
use lineside_tests::wait;
use serde_json::json;

/// The registers of the mill's speed, a float with its low word first.
const SPEED: [u16; 2] = [0x1234, 0x4148];

/// A site with one machine, whose registers are known.
async fn mill() -> Result<(Device, Site)> {
    let device = Device::new(1);
    let unit = device.unit(3);
    unit.set(Table::Holding, 0x10, &SPEED);
    unit.set(Table::Input, 7, &[0xFF38]);
    unit.set_bit(Table::Discrete, 2, true);
    unit.forbid(Table::Holding, 0x40..=0x40);
    let address = device.listen_tcp().await?;
    let map = format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\nunit-id = 3\n\
         [groups]\nfast = \"200ms\"\n[points]\n\
         speed = {{ holding = 0x10, type = \"f32\", order = \"CDAB\", group = \"fast\", unit = \"rpm\" }}\n\
         level = {{ input = 7, type = \"i16\", scale = 0.1, group = \"fast\", unit = \"mm\" }}\n\
         ready = {{ discrete = 2, group = \"fast\" }}\n\
         absent = {{ holding = 0x40, type = \"u16\", group = \"fast\" }}\n\
         [[state.rules]]\nstate = \"DOWN\"\nwhen = \"!ready\"\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"speed > 5.0\"\n"
    );
    // Nothing listens on the broker's port: a probe needs no broker.
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("mill", &map)?;
    Ok((device, site))
}

/// The float of these bits, as the agent writes it.
fn float(bits: u32) -> String {
    let value = f32::from_bits(bits);
    if value.abs() < 1e-5 {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// What every probe of the mill says, whoever reads.
fn is_right(site: &Site) -> Result<()> {
    let said = Said::on(site, &["probe", "mill"])?.done()?;
    let value = float(0x4148_1234);
    ensure!(said.out.starts_with("mill  RUN  RUN@2  "), "{}", said.out);
    for line in [
        vec!["speed", "3/holding/16 f32", "1234 4148", &value, "rpm"],
        vec!["level", "3/input/7 i16", "FF38", "-20 mm", "AB -200"],
        vec!["ready", "3/discrete/2 bool", "0001", "true"],
        vec!["absent", "3/holding/64 u16", "! exception:2"],
    ] {
        let has = |said: &&str| line.iter().all(|word| said.contains(word));
        ensure!(
            said.out.lines().any(|said| has(&said)),
            "{line:?} is not in\n{}",
            said.out
        );
    }
    let shown = Said::on(site, &["probe", "mill", "speed", "--json"])?.json()?;
    let expected = json!({
        "machine": "mill", "state": "RUN", "rule": "RUN@2", "reason": shown.get("reason"),
        "points": [{
            "point": "speed", "kind": "f32", "address": "3/holding/16", "unit": "rpm",
            "words": SPEED, "value": value, "bad": null,
            "orders": [
                ["ABCD", float(0x1234_4148)], ["CDAB", value],
                ["BADC", float(0x3412_4841)], ["DCBA", float(0x4841_3412)],
            ],
        }],
    });
    ensure!(shown == expected, "{shown:#}\n{expected:#}");
    Ok(())
}

/// What does not exist is named, and what is near.
fn is_refused(site: &Site) -> Result<()> {
    Said::on(site, &["probe", "mil"])?.failed(2, &["no machine `mil`", "`mill`"])?;
    Said::on(site, &["probe", "mill", "sped"])?.failed(2, &["no point `sped`"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_machine_is_read_with_and_without_the_agent() -> Result<()> {
    let (device, site) = mill().await?;
    is_right(&site)?;
    is_refused(&site)?;
    ensure!(device.statistics().connections > 0, "nobody came");

    let agent = Agent::start(&site.config())?;
    wait::until("the agent to know the state", LIMIT, || {
        let live = Said::on(&site, &["status", "--json"])?.live();
        let runs = |live: Live| live.machines.iter().all(|m| m.state == State::Run);
        Ok(live.is_some_and(runs).then_some(()))
    })?;
    let connections = device.statistics().connections;
    is_right(&site)?;
    is_refused(&site)?;
    ensure!(
        device.statistics().connections == connections,
        "a probe beside the agent took a connection of its own"
    );
    device.fault(FaultKind::Silent);
    let said = Said::on(&site, &["probe", "mill", "speed"])?.done()?;
    ensure!(said.out.contains("! timeout"), "{}", said.out);
    agent.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_machine_that_the_agent_has_not_taken_up_is_said_so() -> Result<()> {
    let (_device, site) = mill().await?;
    let agent = Agent::start(&site.config())?;
    wait::until_true("the agent's socket", LIMIT, || {
        site.state_dir().join("control.sock").exists()
    })?;
    let map = std::fs::read_to_string(site.map("mill"))?;
    let (_, map) = map.split_once("[connection]").context("no connection")?;
    site.machine("second", &format!("[connection]{map}"))?;
    Said::on(&site, &["probe", "second"])?.failed(5, &["`second`", "lineside apply"])?;
    agent.stop()
}
