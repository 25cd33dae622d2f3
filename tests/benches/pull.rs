//! A year of evidence over a broker: how long a gateway takes to hand it over part by part, whether its machines'
//! availability stays on time meanwhile, and what the check of the bundle takes.
//!
//! `cargo build --release -p lineside -p lineside-proto --bins && cargo bench -p lineside-tests --bench pull`
//! measures; with a number, over about so many leaves. Beside it, in the same run: the same bytes sent through the same
//! broker by a bare client that knows no ledger, and the bundle's leaves inflated and hashed by other people's tools.
#![expect(
    clippy::print_stdout,
    reason = "it is a program for people and scripts"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context as _, Result, ensure};
use lineside_proto::evidence::Bundle;
use lineside_tests::agent::{Agent, binary};
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::dense::{self, LEAVES, MACHINES, Names};
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::site::Site;
use lineside_tests::stand::LIMIT;
use lineside_tests::subscriber::{Event, Subscriber};
use lineside_tests::wait;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event as Mqtt, EventLoop, Incoming, MqttOptions};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The year of the dense ledger.
const YEAR: &str = "2025";
const MACHINE_NAMES: [&str; 2] = ["press", "mixer"];
/// How long availability is watched before anybody asks.
const BEFORE: Duration = Duration::from_secs(20);
/// How long a command may take.
const COMMAND_MAX: Duration = Duration::from_secs(3600);
/// Bytes of a message of the bare client: about as many as an answer has.
const MESSAGE_BYTES: usize = 120 << 10;
/// Messages that the bare client has under way.
const WINDOW: u16 = 20;
const MB: f64 = 1e6;

fn main() -> Result<()> {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let broker = Mosquitto::start(Persistence::Off)?;
    let site = Site::new(broker.port())?.with("[availability]\nheartbeat = \"1s\"")?;
    let names = Names {
        site: Site::NAME.parse()?,
        gateway: Site::GATEWAY.parse()?,
    };
    let began = Instant::now();
    let leaves = dense::write(site.path(), &names, count.unwrap_or(LEAVES), MACHINES)?;
    println!("{leaves} leaves written in {}", seconds(began.elapsed()));

    let mut devices = Vec::new();
    for name in MACHINE_NAMES {
        let device = Device::start(
            Transport::Tcp,
            &[(1, vec![Cell::new("holding", 0, "u16", 0)])],
        )?;
        site.machine(name, &map(&device.connection("")))?;
        devices.push(device);
    }
    let availability = Site::topic("availability/+");
    let mut portal = Subscriber::clean(broker.port(), "portal", &[&availability])?;
    let began = Instant::now();
    let agent = Agent::start(&site.config())?;
    for name in MACHINE_NAMES {
        let topic = Site::topic(&format!("availability/{name}"));
        let said = portal.wait_on(0, &topic, LIMIT, |message| {
            message.payload.contains("\"IDLE\"").then_some(())
        });
        said.with_context(|| agent.log())?;
    }
    println!(
        "the agent shows its machines {} after its start, with {} KB resident",
        seconds(began.elapsed()),
        agent.resident_kb()?
    );
    let mark = portal.mark()?;
    wait::throughout(BEFORE, || Ok(()))?;
    println!("availability before: {}", gaps(&mut portal, mark)?);

    let bundle = site.path().join("mqtt.zip");
    let mark = portal.mark()?;
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let source = [
        "--broker",
        &url,
        "--site",
        Site::NAME,
        "--gateway",
        Site::GATEWAY,
    ];
    let pulled = pull(&bundle, &source)?;
    println!("pulled over the broker: {pulled}");
    println!("availability meanwhile: {}", gaps(&mut portal, mark)?);
    println!("the agent: {} KB resident at most", agent.peak_kb()?);

    let bytes = bare(broker.port(), &bundle)?;
    println!("a bare client, the same leaves through the same broker: {bytes}");
    agent.stop()?;
    verify(&site, &bundle)?;

    let state = site.state_dir().display().to_string();
    let again = site.path().join("state.zip");
    println!(
        "pulled from the state directory: {}",
        pull(&again, &["--state", &state])?
    );
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn map(connection: &str) -> String {
    format!(
        "{connection}\n[groups]\nfast = \"100ms\"\n[points]\n\
         mode = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         [state]\nstale-after = \"2s\"\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n"
    )
}

/// The times between one availability document of a machine and the next, from an event on.
fn gaps(portal: &mut Subscriber, mark: usize) -> Result<String> {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    let mut gaps = Vec::new();
    for event in portal.events()?.iter().skip(mark) {
        let Event::Message(message) = event else {
            continue;
        };
        if let Some(before) = last.insert(&message.topic, message.at_ms) {
            gaps.push(message.at_ms - before);
        }
    }
    gaps.sort_unstable();
    let at = |part: usize| gaps.get(gaps.len() * part / 100).or(gaps.last());
    let (Some(half), Some(most)) = (at(50), gaps.last()) else {
        return Ok("too short to tell".to_owned());
    };
    let late = gaps.iter().filter(|gap| **gap > 1_500).count();
    Ok(format!(
        "{} heartbeats of {} machines, {half} ms apart at half, {most} ms at most, {late} later than half a second",
        gaps.len(),
        last.len()
    ))
}

/// What a command took.
struct Taken {
    time: Duration,
    peak_kb: u64,
    output: String,
}

/// Runs a program to its end, and watches its memory.
fn run(program: &Path, arguments: &[&str]) -> Result<Taken> {
    let out = tempfile::tempfile()?;
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove("LINESIDE_CONFIG")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .spawn()
        .with_context(|| format!("{}: build all programs first", program.display()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let ended = wait::until("the command to end", COMMAND_MAX, || {
        peak_kb = peak(&status).unwrap_or(peak_kb);
        Ok(child.try_wait()?)
    })?;
    let time = began.elapsed();
    let mut output = String::new();
    let mut out = out;
    std::io::Seek::rewind(&mut out)?;
    std::io::Read::read_to_string(&mut out, &mut output)?;
    ensure!(ended.success(), "{arguments:?}: {ended}\n{output}");
    Ok(Taken {
        time,
        peak_kb,
        output,
    })
}

fn peak(status: &str) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Pulls the year.
fn pull(bundle: &Path, source: &[&str]) -> Result<String> {
    let file = bundle.display().to_string();
    let wanted = ["usage", "pull", "--from", YEAR, "-o", &file, "--json"];
    let taken = run(&binary()?, &[&wanted, source].concat())?;
    let made: serde_json::Value = serde_json::from_str(taken.output.trim())?;
    let found = made.get("found").context("found")?;
    let bytes = fs::metadata(bundle)?.len() as f64 / MB;
    Ok(format!(
        "{}, {} KB resident at most, a bundle of {bytes:.1} MB, found {found}",
        seconds(taken.time),
        taken.peak_kb
    ))
}

/// Checks a bundle, and reads it by other people's tools.
fn verify(site: &Site, bundle: &Path) -> Result<()> {
    let trust = site.path().join("trust.toml").display().to_string();
    let file = bundle.display().to_string();
    let program = binary()?.with_file_name("lineside-verify");
    let taken = run(&program, &[&file, "--trust", &trust])?;
    println!(
        "verified: {}, {} KB resident at most",
        seconds(taken.time),
        taken.peak_kb
    );
    let script = format!("unzip -p '{file}' 'leaves/*' | sha256sum");
    let taken = run(Path::new("/bin/sh"), &["-c", &script])?;
    println!("unzip | sha256sum: {}", seconds(taken.time));
    let taken = run(
        &binary()?,
        &[
            "usage", "report", &file, "--trust", &trust, "--format", "json",
        ],
    )?;
    println!(
        "reported: {}, {} KB resident at most",
        seconds(taken.time),
        taken.peak_kb
    );
    Ok(())
}

/// Sends the leaves of a bundle through the broker, acknowledged, and waits until all have come.
fn bare(port: u16, bundle: &Path) -> Result<String> {
    let mut bundle = Bundle::open(File::open(bundle)?)?;
    let parts: Vec<String> = bundle.paths().map(str::to_owned).collect();
    let mut bytes = Vec::new();
    for part in parts.iter().filter(|path| path.starts_with("leaves/")) {
        bytes.extend(bundle.read(part)?);
    }
    let count = bytes.len();
    let began = Instant::now();
    Runtime::new()?.block_on(async {
        let (reader, mut coming) = client(port, "bare-reader");
        reader.subscribe("bare/leaves", QoS::AtLeastOnce).await?;
        while !matches!(coming.poll().await?, Mqtt::Incoming(Incoming::SubAck(_))) {}
        let (writer, mut going) = client(port, "bare-writer");
        let sending = async {
            for message in bytes.chunks(MESSAGE_BYTES) {
                let message = message.to_vec();
                writer
                    .publish("bare/leaves", QoS::AtLeastOnce, false, message)
                    .await?;
            }
            anyhow::Ok(())
        };
        let pushing = async {
            loop {
                going.poll().await?;
            }
        };
        let taking = async {
            let mut taken = 0;
            while taken < count {
                if let Mqtt::Incoming(Incoming::Publish(message)) = coming.poll().await? {
                    taken += message.payload.len();
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            done = async { tokio::try_join!(sending, taking) } => { done?; }
            failed = pushing => { let failed: Result<()> = failed; failed?; }
        }
        anyhow::Ok(())
    })?;
    let megabytes = count as f64 / MB;
    Ok(format!("{megabytes:.1} MB in {}", seconds(began.elapsed())))
}

fn client(port: u16, id: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_max_packet_size(Some(1 << 20));
    options.set_outgoing_inflight_upper_limit(WINDOW);
    AsyncClient::new(options, 10)
}
