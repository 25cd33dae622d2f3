//! A disk without room: hours that can't be written are not counted. The agent stops with exit code 4 and says
//! so, and goes on when there is room, with nothing lost that it had said was safe.

use anyhow::{Context, Result, ensure};
use lineside::config::model::Table;
use lineside::sim::device::Device;
use lineside_proto::State;
use lineside_tests::agent::binary;
use lineside_tests::broker::Mosquitto;
use lineside_tests::broker::Persistence;
use lineside_tests::evidence::Evidence;
use lineside_tests::process::Process;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};
use lineside_tests::subscriber::Subscriber;
use lineside_tests::wait;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

const MAP: &str = "[groups]\nfast = \"100ms\"\n[points]\n\
    mode = { holding = 0, type = \"u16\", group = \"fast\" }\n\
    [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
    [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n";

/// Fills a file system to its last byte.
fn fill(path: &PathBuf) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let part = vec![7_u8; 4096];
    while file.write_all(&part).is_ok() {}
    // What is left of the last page.
    while file.write_all(&[7]).is_ok() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_disk_stops_the_agent_and_room_brings_it_back() -> Result<()> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[0]);
    let address = device.listen_tcp().await?;
    let broker = Mosquitto::start(Persistence::Off)?;
    let mut archive = Subscriber::persistent(broker.port(), "archive", &["lineside/v1/#"])?;
    let settings = QUICK.replace("[telemetry]", "max-size = \"16MiB\"\n[telemetry]");
    let site = Site::new(broker.port())?.with(&settings)?;
    let connection = format!("[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\n");
    site.machine("m", &format!("{connection}{MAP}"))?;
    fs::create_dir(site.state_dir())?;

    // A small file system of its own, in a namespace that ends with the agent.
    let script = format!(
        "set -u; mount -t tmpfs -o size=48m none '{state}'; '{agent}' run -c '{config}'; echo \"ended $?\"; \
         rm '{state}/filler'; exec '{agent}' run -c '{config}'",
        state = site.state_dir().display(),
        agent = binary()?.display(),
        config = site.config().display(),
    );
    let arguments = ["--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let mut process = Process::start("the agent in a namespace", "unshare", &arguments)?;
    let log = |process: &Process| process.errors.lock().join("\n");
    let topic = Site::topic("availability/m");
    let state = |archive: &mut Subscriber, from: usize, word: &str| {
        let text = format!("\"state\":\"{word}\"");
        archive.wait_on(from, &topic, LIMIT, |message| {
            message.payload.contains(&text).then_some(())
        })
    };
    state(&mut archive, 0, "IDLE").with_context(|| log(&process))?;
    let inside = format!(
        "/proc/{}/root{}/filler",
        process.id(),
        site.state_dir().display()
    );
    let inside = PathBuf::from(inside);

    // The machine changes its state until a leaf finds no room. What the outbox gives up for it is filled, too.
    let mut turn = 0;
    wait::until("the agent to stop", LIMIT, || {
        turn += 1;
        if turn % 20 == 1 {
            // It may just be removed, where the agent has ended.
            drop(fill(&inside));
        }
        device.unit(1).set(Table::Holding, 0, &[turn / 20 % 2]);
        let ended = process.output.lock().iter().any(|line| line == "ended 4");
        Ok(ended.then_some(()))
    })
    .with_context(|| log(&process))?;
    let said = log(&process);
    ensure!(
        said.contains("no room is left on the disk for the ledger"),
        "{said}"
    );

    // It is back, and its ledger goes on where it was.
    let mark = archive.mark()?;
    device.unit(1).set(Table::Holding, 0, &[1]);
    state(&mut archive, mark, State::Run.as_str()).with_context(|| log(&process))?;
    device.unit(1).set(Table::Holding, 0, &[0]);
    state(&mut archive, mark, State::Idle.as_str()).with_context(|| log(&process))?;
    let evidence = Evidence::of(&archive.messages()?)?;
    let facts = evidence.facts()?;
    ensure!(!facts.is_empty(), "no leaves");
    process.kill()
}
