//! `lineside apply`: the difference first, then that and nothing else.

use anyhow::{Result, ensure};
use lineside::config::model::Table;
use lineside::sim::device::Device;
use lineside_proto::State;
use lineside_tests::agent::Agent;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};
use lineside_tests::wait;
use serde_json::json;
use std::net::SocketAddr;

fn map(address: SocketAddr, level: u16) -> String {
    format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\n\
         [groups]\nfast = \"200ms\"\n[points]\n\
         a = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"a > {level}\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n"
    )
}

async fn machine() -> Result<(Device, SocketAddr)> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[7]);
    let address = device.listen_tcp().await?;
    Ok((device, address))
}

/// Waits until the agent says that its machines are in these states.
fn states(site: &Site, expected: &[(&str, State)]) -> Result<()> {
    wait::until(&format!("{expected:?}"), LIMIT, || {
        let live = Said::on(site, &["status", "--json"])?.live();
        let machines = live.map(|live| live.machines).unwrap_or_default();
        let states = machines.iter().map(|m| (m.machine.as_str(), m.state));
        Ok(states.eq(expected.iter().copied()).then_some(()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_what_changed_is_touched_and_shown_first() -> Result<()> {
    let (kept, kept_at) = machine().await?;
    let (changed, changed_at) = machine().await?;
    let (_added, added_at) = machine().await?;
    // Nothing listens on the broker's port: a reload needs no broker.
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("kept", &map(kept_at, 5))?;
    site.machine("changed", &map(changed_at, 5))?;
    Said::on(&site, &["apply"])?.failed(5, &["no agent answers", "lineside run"])?;
    let agent = Agent::start(&site.config())?;
    let before = [("changed", State::Run), ("kept", State::Run)];
    states(&site, &before)?;
    let connections = |device: &Device| device.statistics().connections;
    ensure!((connections(&kept), connections(&changed)) == (1, 1));
    let said = Said::on(&site, &["apply"])?.done()?;
    ensure!(
        said.out == "  not touched: changed, kept\napplied\n",
        "{said:?}"
    );

    // What is wrong is refused with its place, and the old map keeps running.
    site.machine("changed", &map(changed_at, 9).replace("a >", "b >"))?;
    let report = ["no point `b`", "changed.toml", "lineside check"];
    Said::on(&site, &["apply"])?.failed(3, &report)?;
    Said::on(&site, &["apply", "--dry-run"])?.failed(3, &report)?;
    let asked = changed.statistics().total();
    wait::until_true("the old map to be read on", LIMIT, || {
        changed.statistics().total() > asked + 2
    })?;

    // What would change is shown, and nothing changes yet.
    site.machine("changed", &map(changed_at, 9))?;
    site.machine("added", &map(added_at, 5))?;
    let difference = "+ new: added\n~ changed: changed\n  not touched: kept\n";
    let said = Said::on(&site, &["apply", "--dry-run"])?.done()?;
    ensure!(said.out == difference, "{said:?}");
    let shown = Said::on(&site, &["apply", "--dry-run", "--json"])?.json()?;
    let expected = json!({
        "added": ["added"], "removed": [], "changed": ["changed"], "unchanged": ["kept"], "restart": false,
    });
    ensure!(shown == expected, "{shown}");
    states(&site, &before)?;
    ensure!((connections(&kept), connections(&changed)) == (1, 1));

    // Then it changes.
    let said = Said::on(&site, &["apply"])?.done()?;
    ensure!(said.out == format!("{difference}applied\n"), "{said:?}");
    states(
        &site,
        &[
            ("added", State::Run),
            ("changed", State::Idle),
            ("kept", State::Run),
        ],
    )?;
    site.remove("added")?;
    let said = Said::on(&site, &["apply", "--lang", "zh-CN"])?.done()?;
    ensure!(
        said.out == "- 移除: added\n  不受影响: changed, kept\n已生效\n",
        "{said:?}"
    );
    states(&site, &[("changed", State::Idle), ("kept", State::Run)])?;
    ensure!(connections(&kept) == 1, "the kept machine was touched");
    agent.stop()
}
