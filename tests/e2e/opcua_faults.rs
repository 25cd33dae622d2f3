//! OPC UA servers that die, connections that break, servers that freeze: data flows again, and no number is
//! missing without a word.

use anyhow::{Context, Result, ensure};
use lineside_proto::State;
use lineside_tests::broker::Persistence;
use lineside_tests::counting::judge;
use lineside_tests::opcua::{Identity, Maker, Policy, Press, Settings, points};
use lineside_tests::proxy::Proxy;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand, until_connections};
use lineside_tests::subscriber::Event;
use lineside_tests::wait;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const KILLS: u32 = 20;
const CUTS: u32 = 50;
/// Sessions of ours that a server may ever hold for one machine.
const SESSIONS_MAX: u64 = 3;
/// What the agent may grow by from the first faults to the last: far less than one leaked session of
/// 1,000 items each time.
const GROWTH_MAX_KB: u64 = 12 * 1024;
/// How soon the agent must notice that a server is frozen, and some for a machine that does other things.
const NOTICED_MAX: Duration = Duration::from_secs(15 + 10);
const MACHINE: &str = "press";
/// Messages that flow between one fault and the next.
const FLOW: usize = 5;
/// How long a connection is silent until neither session nor subscription outlives it.
const SILENCE: Duration = Duration::from_secs(25);

/// Waits for so many numbers of the machine that are received after now.
fn fresh_numbers(stand: &mut Stand, count: usize) -> Result<()> {
    let mark = stand.archive.mark()?;
    let topic = Site::topic(&format!("telemetry/{MACHINE}"));
    let mut seen = 0;
    let found = stand
        .archive
        .wait_from(mark, "fresh numbers", LIMIT, |event| {
            if let Event::Message(message) = event {
                let is_fresh = message.topic == topic
                    && message.payload.contains("\"n1\":")
                    && !message.payload.contains("\"history\":true");
                seen += usize::from(is_fresh);
            }
            (seen >= count).then_some(())
        });
    found.with_context(|| stand.log())
}

/// A stand that reads five counting nodes of a press over this port.
fn stand(press: &Press, port: u16, policy: Policy) -> Result<Stand> {
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let map = press.connection(port, policy, Identity::Anonymous) + &points(0..5, "100ms", "5s");
    stand.site.machine(MACHINE, &map)?;
    stand.start()?;
    fresh_numbers(&mut stand, 1)?;
    Ok(stand)
}

/// Nothing is missing without a word, in any node.
fn complete(stand: &mut Stand, what: &str) -> Result<()> {
    // What was lost is said once it is known that nothing can bring it back.
    let whole = |stand: &mut Stand| -> Result<bool> {
        let messages = stand.archive.messages()?;
        let count = judge(&messages, MACHINE, "n1")?;
        Ok(count.holes.is_empty())
    };
    let waited = wait::until("every hole to be named", LIMIT, || {
        Ok(whole(stand)?.then_some(()))
    });
    for point in ["n0", "n1", "n4"] {
        let count = judge(&stand.archive.messages()?, MACHINE, point)?;
        eprintln!("{what}: {point} {count:?}");
        ensure!(
            count.holes.is_empty() && count.reordered.is_empty(),
            "{what}: {point} {count:?}"
        );
    }
    waited
}

/// The slowest and the mean of some times.
fn say(what: &str, times: &[Duration]) {
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap_or(1).max(1);
    let most = times.iter().max().copied().unwrap_or_default();
    eprintln!(
        "{what}: {} times, data after {mean:.1?}, at most {most:.1?}",
        times.len()
    );
}

fn killed(maker: Maker, policy: Policy) -> Result<()> {
    let mut press = Press::start(maker, Settings::default())?;
    let mut stand = stand(&press, press.port(), policy)?;
    let (mut times, mut early_kb) = (Vec::new(), 0);
    for kill in 0..KILLS {
        press.kill()?;
        press.restart(0)?;
        let begun = Instant::now();
        fresh_numbers(&mut stand, 1)?;
        times.push(begun.elapsed());
        fresh_numbers(&mut stand, FLOW)?;
        let sessions = press.sessions()?;
        ensure!(
            sessions <= SESSIONS_MAX,
            "{sessions} sessions after kill {kill}"
        );
        if kill == KILLS / 4 {
            early_kb = stand.agent()?.resident_kb()?;
        }
    }
    let late_kb = stand.agent()?.resident_kb()?;
    say(&format!("{maker:?} killed"), &times);
    eprintln!("resident {early_kb} KB, {late_kb} KB at the end");
    ensure!(
        late_kb <= early_kb + GROWTH_MAX_KB,
        "{early_kb} KB, then {late_kb} KB"
    );
    complete(&mut stand, &format!("{maker:?} killed"))?;
    stand.stop()
}

#[test]
fn asyncua_is_killed_twenty_times() -> Result<()> {
    killed(Maker::Asyncua, Policy::None)
}

#[test]
fn node_opcua_is_killed_twenty_times() -> Result<()> {
    killed(Maker::Node, Policy::SignAndEncrypt)
}

fn cut(maker: Maker, policy: Policy) -> Result<()> {
    let settings = Settings {
        history: true,
        ..Settings::default()
    };
    let mut press = Press::start(maker, settings)?;
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], press.port())))?;
    let mut stand = stand(&press, proxy.port(), policy)?;
    let (mut times, mut early_kb) = (Vec::new(), 0);
    for cut in 0..CUTS {
        let before = proxy.accepted();
        proxy.cut();
        let begun = Instant::now();
        until_connections(&proxy, before)?;
        fresh_numbers(&mut stand, 1)?;
        times.push(begun.elapsed());
        let sessions = press.sessions()?;
        ensure!(
            sessions <= SESSIONS_MAX,
            "{sessions} sessions after cut {cut}"
        );
        if cut == CUTS / 4 {
            early_kb = stand.agent()?.resident_kb()?;
        }
    }
    let late_kb = stand.agent()?.resident_kb()?;
    say(&format!("{maker:?} cut"), &times);
    eprintln!("resident {early_kb} KB, {late_kb} KB at the end");
    ensure!(
        late_kb <= early_kb + GROWTH_MAX_KB,
        "{early_kb} KB, then {late_kb} KB"
    );
    complete(&mut stand, &format!("{maker:?} cut"))?;
    stand.stop()
}

#[test]
fn the_connection_to_asyncua_is_cut_fifty_times() -> Result<()> {
    cut(Maker::Asyncua, Policy::SignAndEncrypt)
}

#[test]
fn the_connection_to_node_opcua_is_cut_fifty_times() -> Result<()> {
    cut(Maker::Node, Policy::None)
}

/// A connection that was silent for so long that the session is gone: what was missed comes from the server's
/// history, in order and marked as such.
fn silent(maker: Maker, policy: Policy) -> Result<()> {
    let settings = Settings {
        history: true,
        ..Settings::default()
    };
    let mut press = Press::start(maker, settings)?;
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], press.port())))?;
    let mut stand = stand(&press, proxy.port(), policy)?;
    fresh_numbers(&mut stand, FLOW)?;
    proxy.freeze();
    wait::throughout(SILENCE, || Ok(()))?;
    proxy.thaw();
    fresh_numbers(&mut stand, FLOW)?;
    let sessions = press.sessions()?;
    ensure!(sessions <= SESSIONS_MAX, "{sessions} sessions");
    let filled = |stand: &mut Stand| -> Result<usize> {
        Ok(judge(&stand.archive.messages()?, MACHINE, "n1")?.filled)
    };
    wait::until("history", LIMIT, || {
        Ok((filled(&mut stand)? > 50).then_some(()))
    })?;
    complete(&mut stand, &format!("{maker:?} silent"))?;
    stand.stop()
}

#[test]
fn what_was_missed_comes_from_the_history_of_asyncua() -> Result<()> {
    silent(Maker::Asyncua, Policy::None)
}

#[test]
fn what_was_missed_comes_from_the_history_of_node_opcua() -> Result<()> {
    silent(Maker::Node, Policy::SignAndEncrypt)
}

/// A press that rests stays IDLE; frozen, it becomes UNKNOWN; back, IDLE.
fn rests_and_freezes(maker: Maker, policy: Policy) -> Result<()> {
    let mut press = Press::start(maker, Settings::default())?;
    let mut stand = stand(&press, press.port(), policy)?;
    let is = |state: State| {
        move |document: &lineside_proto::Availability, _: &_| {
            (document.state == state).then_some(())
        }
    };
    stand.availability(MACHINE, 0, is(State::Idle))?;
    press.moving(false)?;
    let mark = stand.archive.mark()?;
    // Four times what makes a value stale.
    wait::throughout(Duration::from_secs(20), || Ok(()))?;
    let left = stand.archive.messages()?.len();
    ensure!(left > mark, "heartbeats go on");
    for message in stand.archive.messages()?.into_iter().skip(mark) {
        if message.topic.contains("/availability/") {
            ensure!(
                message.payload.contains("\"state\":\"IDLE\""),
                "{}",
                message.payload
            );
        }
    }
    let mark = stand.archive.mark()?;
    press.freeze()?;
    let begun = Instant::now();
    stand.availability(MACHINE, mark, is(State::Unknown))?;
    let noticed = begun.elapsed();
    eprintln!("{maker:?} frozen: noticed after {noticed:.1?}");
    ensure!(noticed <= NOTICED_MAX, "noticed after {noticed:?}");
    let mark = stand.archive.mark()?;
    press.thaw()?;
    press.moving(true)?;
    stand.availability(MACHINE, mark, is(State::Idle))?;
    fresh_numbers(&mut stand, 1)?;
    let sessions = press.sessions()?;
    ensure!(sessions <= SESSIONS_MAX, "{sessions} sessions");
    complete(&mut stand, &format!("{maker:?} frozen"))?;
    stand.stop()
}

#[test]
fn a_resting_asyncua_is_known_and_a_frozen_one_is_not() -> Result<()> {
    rests_and_freezes(Maker::Asyncua, Policy::None)
}

#[test]
fn a_resting_node_opcua_is_known_and_a_frozen_one_is_not() -> Result<()> {
    rests_and_freezes(Maker::Node, Policy::SignAndEncrypt)
}
