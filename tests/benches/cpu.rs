//! CPU seconds per million points: ten machines with a thousand scattered float points each, read
//! every second, everything durable before it is published to mosquitto; beside it, in the same run, a
//! bare loop that only exchanges the same frames.
//!
//! `cargo build --release -p lineside && cargo bench -p lineside-tests --bench cpu -- [--for 60] [--outage 600]`
//!
//! With `--outage` the broker is away for so many seconds: prints the memory that the agent needed and
//! whether everything arrived. Machines, broker and archive run in processes of their own, which don't count.

use anyhow::{Context, Result, bail, ensure};
use lineside_tests::agent::cpu_seconds;
use lineside_tests::broker::Persistence;
use lineside_tests::plant::{Plant, REGISTERS_OF_POINT, map};
use lineside_tests::process::Process;
use lineside_tests::stand::{LIMIT, Stand};
use lineside_tests::wait;
use std::env;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const MACHINES: u16 = 10;
const POINTS: u16 = 1_000;
const SECOND: Duration = Duration::from_secs(1);
/// Registers in one request, as Modbus allows.
const REGISTERS_MAX: u16 = 125;
/// Registers of a float.
const REGISTERS_OF_FLOAT: u16 = 2;
/// How long the bare loop runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long history may take to come in.
const CATCH_UP: Duration = Duration::from_secs(900);

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match words.as_slice() {
        ["devices"] => runtime.block_on(devices()),
        ["bare", addresses @ ..] => runtime.block_on(bare(addresses)),
        options => measure(options),
    }
}

/// The child that plays the machines: says where they listen, and ends with its parent.
async fn devices() -> Result<()> {
    let plant = Plant::start(usize::from(MACHINES), POINTS).await?;
    for address in &plant.addresses {
        eprintln!("{address}");
    }
    eprintln!("ready");
    let mut rng = fastrand::Rng::with_seed(1);
    let mut ticks = interval(SECOND);
    loop {
        ticks.tick().await;
        plant.change(&mut rng, 3);
    }
}

/// The child that only exchanges: the frames that the agent sends, and nothing done with the answers.
async fn bare(addresses: &[&str]) -> Result<()> {
    let mut links = JoinSet::new();
    for address in addresses {
        links.spawn(exchange(address.parse()?));
    }
    links.join_next().await.context("no link")??
}

async fn exchange(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let points = (REGISTERS_MAX - REGISTERS_OF_FLOAT) / REGISTERS_OF_POINT + 1;
    let mut ticks = interval(SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut buffer = vec![0; 9 + 2 * usize::from(REGISTERS_MAX)];
    loop {
        ticks.tick().await;
        for first in (0..POINTS).step_by(usize::from(points)) {
            let last = points.min(POINTS - first) - 1;
            let count = last * REGISTERS_OF_POINT + REGISTERS_OF_FLOAT;
            let [high, low] = (first * REGISTERS_OF_POINT).to_be_bytes();
            let [count_high, count_low] = count.to_be_bytes();
            let request = [0, 1, 0, 0, 0, 6, 1, 3, high, low, count_high, count_low];
            stream.write_all(&request).await?;
            let answer = buffer
                .get_mut(..9 + 2 * usize::from(count))
                .context("no room")?;
            stream.read_exact(answer).await?;
        }
    }
}

fn option(options: &[&str], name: &str) -> Result<Option<Duration>> {
    let at = options.iter().position(|word| *word == name);
    let value = at.and_then(|at| options.get(at + 1));
    Ok(value
        .map(|value| value.parse().map(Duration::from_secs))
        .transpose()?)
}

fn child(arguments: &[&str]) -> Result<Process> {
    let program = env::current_exe()?;
    Process::start("a child", program.to_str().context("own path")?, arguments)
}

fn measure(options: &[&str]) -> Result<()> {
    let span = option(options, "--for")?.unwrap_or(Duration::from_secs(60));
    let mut devices = child(&["devices"])?;
    devices.wait_for_error_line(0, "ready", LIMIT)?;
    let lines = devices.errors.lock().clone();
    let addresses: Vec<&str> = lines
        .iter()
        .filter(|line| *line != "ready")
        .map(String::as_str)
        .collect();
    ensure!(addresses.len() == usize::from(MACHINES), "{lines:?}");

    let before = bare_cost(&addresses, span / 2)?;
    let mut stand = Stand::new(Persistence::Off, "")?;
    let mut names = Vec::new();
    for address in &addresses {
        let name = format!("machine-{:02}", names.len());
        stand.site.machine(&name, &map(address, POINTS, "1s"))?;
        names.push(name);
    }
    stand.start()?;
    stand.flow(2 * usize::from(MACHINES))?;
    let agent = cost(stand.agent()?.id(), span)?;
    let after = bare_cost(&addresses, span / 2)?;
    let bare = f64::midpoint(before, after);
    eprintln!("agent: {agent:.3} CPU seconds per million points");
    eprintln!("bare loop: {bare:.3} (before {before:.3}, after {after:.3})");
    eprintln!("ratio: {:.2}", agent / bare);
    say_memory(&mut stand, "with the broker there")?;
    if let Some(away) = option(options, "--outage")? {
        outage(&mut stand, away)?;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let begun = Instant::now();
    stand.caught_up(&names, CATCH_UP)?;
    let verdict = stand.streams()?.verdict();
    eprintln!(
        "caught up in {:?}: {} messages, {} holes, {} reordered, {} duplicates",
        begun.elapsed(),
        verdict.messages,
        verdict.holes.len(),
        verdict.reordered.len(),
        verdict.duplicates
    );
    say_memory(&mut stand, "at the end")?;
    ensure!(
        verdict.holes.is_empty() && verdict.reordered.is_empty(),
        "not everything arrived"
    );
    stand.stop()
}

fn say_memory(stand: &mut Stand, when: &str) -> Result<()> {
    let agent = stand.agent()?;
    let (now, most) = (agent.resident_kb()?, agent.peak_kb()?);
    eprintln!("resident {when}: {now} KB, {most} KB at most so far");
    Ok(())
}

fn outage(stand: &mut Stand, away: Duration) -> Result<()> {
    eprintln!("the broker is away for {away:?}");
    stand.broker.stop()?;
    wait::throughout(away, || Ok(()))?;
    say_memory(stand, "with the broker away")?;
    stand.broker.restart()
}

/// CPU seconds of a process per million points, over a span.
fn cost(id: u32, span: Duration) -> Result<f64> {
    let (used, begun) = (cpu_seconds(id)?, Instant::now());
    wait::throughout(span, || Ok(()))?;
    let used = cpu_seconds(id)? - used;
    let points = f64::from(POINTS) * f64::from(MACHINES) * begun.elapsed().as_secs_f64();
    Ok(used / points * 1e6)
}

fn bare_cost(addresses: &[&str], span: Duration) -> Result<f64> {
    let mut arguments = vec!["bare"];
    arguments.extend(addresses);
    let mut bare = child(&arguments)?;
    wait::throughout(WARM_UP, || Ok(()))?;
    let cost = cost(bare.id(), span)?;
    if let Some(status) = bare.ended()? {
        bail!(
            "the bare loop ended with {status}: {:?}",
            bare.errors.lock()
        );
    }
    Ok(cost)
}
