//! `lineside status`: the health of the running agent, and a clear word where none runs.

use anyhow::{Result, ensure};
use lineside::config::model::Table;
use lineside::live::Live;
use lineside::sim::device::Device;
use lineside_proto::State;
use lineside_tests::broker::Persistence;
use lineside_tests::said::Said;
use lineside_tests::stand::{QUICK, Stand};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_health_is_told_to_people_and_programs() -> Result<()> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[7]);
    let address = device.listen_tcp().await?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let socket = stand.site.state_dir().join("control.sock");
    let map = format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\n\
         [groups]\nfast = \"200ms\"\n[points]\n\
         a = {{ holding = 0, type = \"u16\", group = \"fast\", unit = \"kg\" }}\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == 7\"\n"
    );
    stand.site.machine("mill", &map)?;
    let ask = |stand: &Stand, words: &[&str]| Said::on(&stand.site, words);

    let nobody = [
        "no agent answers",
        "lineside run",
        &socket.display().to_string(),
    ];
    ask(&stand, &["status"])?.failed(5, &nobody)?;
    ask(&stand, &["status", "--json"])?.failed(5, &nobody)?;
    ask(&stand, &["status", "--lang", "zh-CN"])?.failed(5, &["错误", "没有程序应答"])?;

    stand.start()?;
    stand.availability("mill", 0, |document, _| {
        (document.state == State::Idle).then_some(())
    })?;
    let said = ask(&stand, &["status"])?.done()?;
    for words in [
        &["site/gw", "lineside"][..],
        &["broker", "127.0.0.1", ": connected", "refused 0"],
        &["outbox", "0 dropped"],
        &["mill"],
        &["IDLE since", "IDLE@1"],
        &["main", &address.to_string(), ": up", "timeouts 0"],
    ] {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        ensure!(
            said.out.lines().any(has),
            "{words:?} is not in\n{}",
            said.out
        );
    }
    let said = ask(&stand, &["status", "--lang", "zh-CN"])?.done()?;
    for word in ["服务器", "已连接", "断网续传缓存", "空闲，自", "正常"] {
        ensure!(said.out.contains(word), "{word} is not in\n{}", said.out);
    }
    let live: Live = serde_json::from_value(ask(&stand, &["status", "--json"])?.json()?)?;
    let [machine] = &live.machines[..] else {
        anyhow::bail!("{live:?}")
    };
    let figures = (machine.state, machine.points.len(), live.uplink.connected);
    ensure!(figures == (State::Idle, 1, true), "{live:?}");
    let point = machine
        .points
        .first()
        .map(|point| (&point.value, &point.unit));
    ensure!(
        point == Some((&Some("7".to_owned()), &Some("kg".to_owned()))),
        "{point:?}"
    );

    // A dead agent leaves its socket behind: nobody answers there either.
    stand.kill()?;
    ensure!(socket.exists(), "{socket:?} is gone");
    ask(&stand, &["status"])?.failed(5, &nobody)?;
    std::fs::write(stand.site.map("mill"), "machine = ")?;
    ask(&stand, &["status"])?.failed(3, &["mill.toml", "lineside check"])
}
