//! The will: an agent that merely reconnects is never said to be gone; one that died is.

use anyhow::{Context, Result, ensure};
use lineside::sim::broker::Broker;
use lineside_proto::Link;
use lineside_tests::agent::Agent;
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::proxy::Proxy;
use lineside_tests::site::Site;
use lineside_tests::subscriber::{Event, Message, Subscriber};
use lineside_tests::wait;
use std::net::SocketAddr;
use std::time::Duration;

use lineside_tests::stand::{QUICK, status};

/// The will's delay, as the contract says, and what a broker may need beyond it.
const DELAY: Duration = Duration::from_secs(20);
const SLACK: Duration = Duration::from_secs(10);

fn link(message: &Message) -> Option<Link> {
    status(message).map(|status| status.link)
}

fn offline_since(watcher: &mut Subscriber, mark: usize) -> Result<usize> {
    let messages = watcher.events()?.iter().skip(mark);
    let offline = |event: &&Event| match event {
        Event::Message(message) => link(message) == Some(Link::Offline),
        Event::Connected { .. } | Event::Disconnected { .. } => false,
    };
    Ok(messages.filter(offline).count())
}

fn the_will_is_right(port: u16) -> Result<()> {
    let topic = Site::topic("status");
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let site = Site::new(proxy.port())?.with(QUICK)?;
    let mut watcher = Subscriber::clean(port, "watcher", &[&topic])?;
    let mut agent = Agent::start(&site.config())?;
    let online = |message: &Message| (link(message) == Some(Link::Online)).then_some(());
    watcher
        .wait_on(0, &topic, DELAY, online)
        .with_context(|| agent.log())?;

    // Cut again and again: each reconnect within the delay takes the will back.
    for _ in 0..4 {
        let mark = watcher.mark()?;
        let connections = proxy.accepted();
        proxy.cut();
        wait::until_true("a reconnect", DELAY, || proxy.accepted() > connections)?;
        watcher
            .wait_on(mark, &topic, DELAY, online)
            .with_context(|| agent.log())?;
    }
    wait::throughout(DELAY + Duration::from_secs(4), || {
        ensure!(
            offline_since(&mut watcher, 0)? == 0,
            "OFFLINE at a mere reconnect"
        );
        Ok(())
    })?;

    // A clean stop says it at once.
    let mark = watcher.mark()?;
    let offline =
        |message: &Message| (link(message) == Some(Link::Offline)).then_some(message.at_ms);
    agent.stop()?;
    let limit = Duration::from_secs(5);
    watcher
        .wait_on(mark, &topic, limit, offline)
        .context("a clean stop is not said")?;

    // A death is said by the broker, after the delay.
    let mark = watcher.mark()?;
    agent = Agent::start(&site.config())?;
    watcher
        .wait_on(mark, &topic, DELAY, online)
        .with_context(|| agent.log())?;
    let mark = watcher.mark()?;
    let died_ms = wait::boot_ms();
    agent.kill()?;
    let at_ms = watcher
        .wait_on(mark, &topic, DELAY + SLACK, offline)
        .context("a death is not said")?;
    ensure!(
        at_ms - died_ms >= 15_000,
        "OFFLINE after {} ms: no delay",
        at_ms - died_ms
    );

    // Whoever comes later is told as well.
    let mut late = Subscriber::clean(port, "late", &[&topic])?;
    late.wait_on(0, &topic, limit, |message| {
        (message.retain && link(message) == Some(Link::Offline)).then_some(())
    })
}

#[test]
fn the_will_is_right_on_mosquitto() -> Result<()> {
    let broker = Mosquitto::start(Persistence::Off)?;
    the_will_is_right(broker.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_will_is_right_on_rumqttd() -> Result<()> {
    let broker = Broker::start()?;
    the_will_is_right(broker.port())
}
