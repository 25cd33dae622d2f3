//! Wrong files, devices that send garbage, a broker that is none: said, survived, never believed.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use lineside::config::model::Table;
use lineside::sim::device::{Device, FaultKind};
use lineside_proto::{State, Telemetry};
use lineside_tests::agent::{Agent, command};
use lineside_tests::broker::Persistence;
use lineside_tests::site::Site;
use lineside_tests::wait;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use lineside_tests::stand::{QUICK, Stand};

/// What the device holds: nothing else may ever be seen as good.
const HELD: [u16; 2] = [4_660, 22_136];

#[test]
fn wrong_files_are_reported_with_exit_code_1_by_check_and_3_by_all_others() -> Result<()> {
    let site = Site::new(1883)?;
    site.machine(
        "mill",
        "[connection]\nprotocol = \"modbus-tcp\"\nadress = \"127.0.0.1:502\"\n",
    )?;
    let config = site.config().display().to_string();
    for (arguments, code) in [
        (vec!["check", "-c", &config], 1),
        (vec!["run", "-c", &config], 3),
        (vec!["probe", "mill", "-c", &config], 3),
        (vec!["check", "--no-such-flag"], 2),
        (vec!["no-such-command"], 2),
    ] {
        let output = command(&arguments)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = format!("{arguments:?}: {:?}\n{text}", output.status);
        ensure!(output.status.code() == Some(code), "{said}");
        if code != 2 {
            let report = text + &String::from_utf8_lossy(&output.stdout);
            ensure!(
                report.contains("mill.toml:") && report.contains("adress"),
                "{said}\n{report}"
            );
            ensure!(
                report.contains("address"),
                "the nearest key is named: {said}\n{report}"
            );
        }
    }
    let missing = site.path().join("none.toml").display().to_string();
    for (arguments, code) in [(["check", "-c", &missing], 1), (["run", "-c", &missing], 3)] {
        let output = command(&arguments)?;
        ensure!(
            output.status.code() == Some(code),
            "{arguments:?}: {output:?}"
        );
    }
    Ok(())
}

#[test]
fn binary_rubbish_in_place_of_files_is_reported() -> Result<()> {
    let mut rng = Rng::with_seed(31);
    for _ in 0..20 {
        let site = Site::new(1883)?;
        let length = rng.usize(1..2_000);
        let rubbish: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
        let file = if rng.bool() {
            site.config()
        } else {
            site.map("mill")
        };
        fs::write(&file, &rubbish)?;
        let config = site.config().display().to_string();
        let output = command(&["check", "-c", &config])?;
        ensure!(output.status.code() == Some(1), "{output:?}\n{rubbish:?}");
        ensure!(
            !String::from_utf8_lossy(&output.stderr).contains("panicked"),
            "{output:?}"
        );
    }
    Ok(())
}

/// Every way in which a device can be wrong, one after the other, on one transport.
async fn a_wrong_device(protocol: &str) -> Result<()> {
    let device = Device::new(41);
    let unit = device.unit(1);
    unit.set(Table::Holding, 0, &HELD);
    let place = match protocol {
        "modbus-tcp" => format!("address = \"{}\"", device.listen_tcp().await?),
        "modbus-rtu-over-tcp" => format!("address = \"{}\"", device.listen_rtu_over_tcp().await?),
        _ => {
            let port = device.open_pty()?;
            format!("port = {port:?}\nbaud = 115200\nparity = \"none\"\nlisten = \"1s\"")
        }
    };
    let map = format!(
        "[connection]\nprotocol = \"{protocol}\"\n{place}\ntimeout = \"50ms\"\n\
         [groups]\nfast = \"100ms\"\n[points]\n\
         a = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         b = {{ holding = 1, type = \"u16\", group = \"fast\" }}\n\
         [state]\nstale-after = \"400ms\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == {} && b == {}\"\n",
        HELD[0], HELD[1]
    );
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    stand.site.machine("mill", &map)?;
    stand.start()?;
    let known = |document: &lineside_proto::Availability| document.state != State::Unknown;
    stand.availability("mill", 0, |document, _| known(document).then_some(()))?;
    for kind in [
        FaultKind::Garbage,
        FaultKind::Short,
        FaultKind::Long,
        FaultKind::WrongUnit,
        FaultKind::WrongFunction,
        FaultKind::WrongTransaction,
        FaultKind::BadCrc,
        FaultKind::Cut,
        FaultKind::CloseMidFrame,
        FaultKind::Close,
        FaultKind::Silent,
        FaultKind::Exception(4),
    ] {
        let mark = stand.archive.mark()?;
        unit.fault(kind);
        let unknown = stand.availability("mill", mark, |d, _| (!known(d)).then_some(()));
        unknown.with_context(|| format!("{kind:?} over {protocol}"))?;
        unit.clear();
        let mark = stand.archive.mark()?;
        let again = stand.availability("mill", mark, |d, _| known(d).then_some(()));
        again.with_context(|| format!("after {kind:?} over {protocol}"))?;
    }
    let streams = stand.streams()?;
    let mut bad = 0;
    for payload in streams.payloads("mill") {
        let document: Telemetry = serde_json::from_str(payload)?;
        for frame in document.frames {
            bad += frame.bad.len();
            for (name, held) in [("a", HELD[0]), ("b", HELD[1])] {
                let value = frame.values.get(name);
                let right = value.is_none_or(|value| value.as_u64() == Some(u64::from(held)));
                ensure!(right, "{name} = {value:?} over {protocol}");
            }
        }
    }
    ensure!(bad > 12, "only {bad} bad readings");
    ensure!(
        device.statistics().foreign_total() == 0,
        "{:?}",
        device.statistics().foreign
    );
    stand.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_sends_garbage_is_never_believed_over_tcp() -> Result<()> {
    a_wrong_device("modbus-tcp").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_sends_garbage_is_never_believed_over_rtu_in_tcp() -> Result<()> {
    a_wrong_device("modbus-rtu-over-tcp").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_sends_garbage_is_never_believed_on_a_serial_line() -> Result<()> {
    a_wrong_device("modbus-rtu").await
}

/// A CONNACK of success without properties.
const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];

/// What a broker that is none does with a connection.
fn hostile(stream: &mut TcpStream, turn: usize, rng: &mut Rng) -> std::io::Result<()> {
    let mut hello = [0; 512];
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let said = stream.read(&mut hello)?;
    if said == 0 {
        return Ok(());
    }
    match turn % 8 {
        // Noise.
        0 => {
            let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(4_096).collect();
            stream.write_all(&noise)
        }
        // A packet that announces 256 MB and sends on and on.
        1 => {
            stream.write_all(&[0x20, 0xff, 0xff, 0xff, 0x7f])?;
            (0..4_096).try_for_each(|_| stream.write_all(&[0; 16_384]))
        }
        // Acknowledgements of what was never sent.
        2 => {
            stream.write_all(&CONNACK)?;
            (0..=u16::MAX).try_for_each(|id| {
                let [high, low] = id.to_be_bytes();
                stream.write_all(&[0x40, 2, high, low])
            })
        }
        // A flood of messages that nobody asked for.
        3 => {
            stream.write_all(&CONNACK)?;
            let mut publish = vec![0x30, 0x88, 0x80, 0x02, 0, 1, b'x', 0];
            publish.resize(3 + 4 + 32_773, 0);
            (0..2_000).try_for_each(|_| stream.write_all(&publish))
        }
        // A length that never ends.
        4 => stream.write_all(&[0x20, 0xff, 0xff, 0xff, 0xff, 0xff]),
        // Closed at once.
        5 => Ok(()),
        // Accepted, then told to go.
        6 => {
            stream.write_all(&CONNACK)?;
            stream.write_all(&[0xe0, 2, 0x8d, 0])
        }
        // Refused for good.
        _ => stream.write_all(&[0x20, 3, 0, 0x87, 0]),
    }
}

#[test]
fn a_hostile_broker_costs_neither_the_agent_nor_its_memory() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    thread::spawn(move || {
        let mut rng = Rng::with_seed(51);
        for mut stream in listener.incoming().map_while(Result::ok) {
            let turn = counted.load(Ordering::SeqCst);
            // The agent may close in the middle of it: that is its right.
            drop(hostile(&mut stream, turn, &mut rng));
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let site = Site::new(port)?.with(QUICK)?;
    let mut agent = Agent::start(&site.config())?;
    let mut resident_kb = 0;
    wait::until("every kind of hostility", Duration::from_secs(180), || {
        resident_kb = resident_kb.max(agent.resident_kb()?);
        let ended = agent.process().ended()?;
        ensure!(ended.is_none(), "{ended:?}\n{}", agent.log());
        Ok((turns.load(Ordering::SeqCst) >= 9).then_some(()))
    })
    .with_context(|| format!("{} turns\n{}", turns.load(Ordering::SeqCst), agent.log()))?;
    eprintln!("{resident_kb} KB resident at most");
    ensure!(resident_kb < 80_000, "{resident_kb} KB resident");
    ensure!(!agent.log().contains("panicked"), "{}", agent.log());
    agent.stop().context("a clean stop")?;
    Ok(())
}
