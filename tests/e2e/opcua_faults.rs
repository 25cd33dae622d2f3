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
/// How soon the agent must notice that a server is frozen.
const NOTICED_MAX: Duration = Duration::from_secs(15);
/// How long the agent waits between two attempts at most while its session may still be had: a second, and a
/// quarter against crowds.
const ATTEMPTS_APART_MAX: Duration = Duration::from_millis(1_250);
/// For how long that is so: a second less than the server keeps the session.
const RESUMABLE: Duration = Duration::from_secs(14);
/// The longest wait of all, for servers that were away for longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long it may take from an attempt to the first new value at the broker.
const FLOWS_AFTER: Duration = Duration::from_secs(1);
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

/// The moment when an outage was over.
struct Over {
    at: Instant,
    outage: Duration,
    /// For how long the agent and the server had waited for a core until then.
    starved: Duration,
}

impl Over {
    fn now(stand: &mut Stand, press: &Press, outage: Duration) -> Result<Self> {
        let at = Instant::now();
        let starved = starved(stand, press)?;
        Ok(Self {
            at,
            outage,
            starved,
        })
    }

    /// Waits for a number of the machine, which comes in time; what a busy machine took of that does not
    /// count.
    fn until_data(&self, stand: &mut Stand, press: &Press) -> Result<Duration> {
        fresh_numbers(stand, 1)?;
        let taken = self.at.elapsed();
        let starved = starved(stand, press)?.saturating_sub(self.starved);
        let backoff = match self.outage < RESUMABLE {
            true => ATTEMPTS_APART_MAX,
            false => BACKOFF_MAX,
        };
        ensure!(
            taken <= backoff + FLOWS_AFTER + starved,
            "data {taken:?} (of it {starved:?} without a core) after an outage of {:?}\n{}",
            self.outage,
            stand.log()
        );
        Ok(taken)
    }
}

fn starved(stand: &mut Stand, press: &Press) -> Result<Duration> {
    Ok(stand.agent()?.starved()? + press.starved()?)
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
        let begun = Instant::now();
        press.kill()?;
        press.restart(0)?;
        let over = Over::now(&mut stand, &press, begun.elapsed())?;
        times.push(over.until_data(&mut stand, &press)?);
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
        let over = Over::now(&mut stand, &press, Duration::ZERO)?;
        // What is still on its way does not count.
        until_connections(&proxy, before)?;
        times.push(over.until_data(&mut stand, &press)?);
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
    let unknown = begun.elapsed();
    wait::until("the link to be down", LIMIT, || {
        let link = stand.link(MACHINE)?;
        let phase = link.and_then(|link| link.get("phase").cloned());
        Ok(phase.filter(|phase| phase != "up").map(drop))
    })?;
    let down = begun.elapsed();
    eprintln!("{maker:?} frozen: UNKNOWN after {unknown:.1?}, noticed after {down:.1?}");
    ensure!(
        unknown.max(down) <= NOTICED_MAX,
        "noticed after {unknown:?} and {down:?}"
    );
    let mark = stand.archive.mark()?;
    press.thaw()?;
    let over = Over::now(&mut stand, &press, begun.elapsed())?;
    press.moving(true)?;
    let taken = over.until_data(&mut stand, &press)?;
    eprintln!("{maker:?} frozen: data after {taken:.1?}");
    stand.availability(MACHINE, mark, is(State::Idle))?;
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
