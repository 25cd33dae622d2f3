//! A dense ledger, for measuring: a state directory as an agent leaves it, by default of 2.5 million leaves of
//! twenty machines in 2025: states that change often, a usage leaf an hour, a session now and then. It is true
//! to the rules of time and sessions; nobody signs bookings there.

use anyhow::Result;
use lineside::clock::Stamp;
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside_proto::ledger::{
    Boot, CloseReason, ConfigLeaf, Counter, LeafBody, SessionEvent, SessionLeaf, Shutdown,
    StateLeaf, UsageLeaf,
};
use lineside_proto::{CheckIn, Class, ClockStatus, Identifier, State, Time};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Leaves of a year, near enough.
pub const LEAVES: u64 = 2_500_000;
/// Machines that write so many.
pub const MACHINES: u32 = 20;
/// 2025 begins in Asia/Shanghai; the ledger does an hour before.
const BEGIN_MS: i64 = 1_735_660_800_000 - HOUR_MS;
const HOUR_MS: i64 = 3_600_000;
const HOURS: u64 = 365 * 24 + 26;
const BOOT: &str = "00000000-0000-4000-8000-000000000001";
/// The boot clock at the begin.
const MONO_MS: i64 = 60_000;
/// Leaves that are written together.
const AT_ONCE: usize = 16_384;
/// Hours of a session, and from one to the next.
const SESSION_HOURS: u64 = 3;
const SESSION_EVERY: u64 = 8;

struct Machine {
    name: Identifier,
    state: State,
    map: String,
    energy_wh: u64,
    session: Option<(String, i64)>,
}

/// Whose ledger it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
}

/// Writes about so many leaves of so many machines below `dir`: the state in `state`, the key in `keys/ledger.key`,
/// what an evaluator trusts in `trust.toml`. Gives how many leaves there are.
///
/// # Errors
///
/// When the disk or the ledger refuses.
pub fn write(dir: &Path, names: &Names, leaves: u64, machines: u32) -> Result<u64> {
    let Names { site, gateway } = names;
    let state = dir.join("state");
    let origin = format!("lineside/{site}/{gateway}");
    let (ledger, opened) = Ledger::open(&state, &dir.join("keys/ledger.key"), &origin)?;
    let trust = format!(
        "[[gateway]]\nsite = \"{site}\"\ngateway = \"{gateway}\"\norigin = \"{origin}\"\nkey = \"{}\"\n",
        opened.key
    );
    fs::write(dir.join("trust.toml"), trust)?;
    fs::create_dir_all(state.join("maps"))?;
    let mut out = Vec::with_capacity(AT_ONCE);
    out.push(entry(0, opened.genesis(site, gateway)));
    out.push(entry(0, boot()));
    let mut all = Vec::new();
    for number in 0..machines {
        all.push(join(&state, number, &mut out)?);
    }
    // What is left after usage and sessions are changes of state.
    let hours_all = HOURS * u64::from(machines);
    let sessions = 2 * hours_all / SESSION_EVERY;
    let changes = leaves
        .saturating_sub(hours_all + sessions)
        .div_ceil(hours_all);
    for hour in 0..HOURS {
        let mut told = Vec::new();
        for machine in &mut all {
            live(machine, hour, changes.max(1), &mut told)?;
        }
        // As they were established: of one moment in the order in which they were made.
        told.sort_by_key(|entry| entry.at.boot_ms);
        out.append(&mut told);
        if out.len() >= AT_ONCE {
            ledger.append(BOOT, &std::mem::take(&mut out))?;
            ledger.sign()?;
        }
    }
    ledger.append(BOOT, &out)?;
    ledger.sign()?;
    Ok(ledger.size())
}

fn entry(ms: i64, body: LeafBody) -> Entry {
    let at = Stamp {
        boot_ms: u64::try_from(MONO_MS + ms).unwrap_or(0),
        wall: Time::from_millis(BEGIN_MS + ms),
    };
    Entry { at, body }
}

fn boot() -> LeafBody {
    LeafBody::Boot(Boot {
        version: "0.1.0".to_owned(),
        build: format!("sha256:{:064x}", 1),
        previous: Shutdown::None,
        clock: ClockStatus::S,
        error_ms: Some(1),
    })
}

fn join(state: &Path, number: u32, out: &mut Vec<Entry>) -> Result<Machine> {
    let name: Identifier = format!("machine-{number:02}").parse()?;
    let text =
        format!(r#"{{"machine":"{name}","rules":[{{"state":"RUN","when":"power > 100"}}]}}"#);
    let digits = format!("{:x}", Sha256::digest(&text));
    fs::write(state.join(format!("maps/{digits}.json")), text)?;
    let map = format!("sha256:{digits}");
    out.push(entry(
        0,
        LeafBody::Config(ConfigLeaf {
            machine: name.clone(),
            map: map.clone(),
            files: format!("sha256:{number:064x}"),
        }),
    ));
    Ok(Machine {
        name,
        state: State::Unknown,
        map,
        energy_wh: 1_000_000,
        session: None,
    })
}

/// An hour of a machine: changes of state that share it evenly, and the usage leaf of it.
fn live(machine: &mut Machine, hour: u64, changes: u64, out: &mut Vec<Entry>) -> Result<()> {
    let from = i64::try_from(hour)? * HOUR_MS;
    let end = from + HOUR_MS;
    if hour % SESSION_EVERY == 0 {
        begin(machine, from, out);
    }
    let is_used = machine.session.is_some();
    let states = if is_used {
        [State::Run, State::Hold, State::Setup]
    } else {
        [State::Idle, State::Off, State::Down]
    };
    let mut ms: BTreeMap<State, u64> = BTreeMap::new();
    let step = HOUR_MS / i64::try_from(changes)?;
    for turn in 0..changes {
        let at = from + i64::try_from(turn)? * step;
        let place = usize::try_from((hour * changes + turn) % 3)?;
        let state = states.get(place).copied().unwrap_or(State::Idle);
        let until = if turn + 1 == changes { end } else { at + step };
        *ms.entry(state).or_default() += u64::try_from(until - at)?;
        if machine.state != state {
            out.push(entry(at, change(machine, state, at)));
            machine.state = state;
        }
    }
    let wh = if is_used { 9_000 } else { 800 };
    let energy = Counter {
        from: machine.energy_wh.to_string(),
        to: (machine.energy_wh + wh).to_string(),
        delta: wh.to_string(),
        resets: 0,
    };
    machine.energy_wh += wh;
    let usage = UsageLeaf {
        machine: machine.name.clone(),
        session: machine.session.as_ref().map(|(id, _)| id.clone()),
        class: is_used.then_some(Class::Own),
        from: Time::from_millis(BEGIN_MS + from),
        to: Time::from_millis(BEGIN_MS + end),
        span_boot: None,
        clock: Some(ClockStatus::S),
        mono_from_ms: u64::try_from(MONO_MS + from)?,
        mono_to_ms: u64::try_from(MONO_MS + end)?,
        ms,
        hold_over_ms: 0,
        good: 3_600,
        bad: 0,
        energy: Some(energy),
        hours: None,
        config: machine.map.clone(),
    };
    out.push(entry(end, LeafBody::Usage(usage)));
    if hour % SESSION_EVERY == SESSION_HOURS - 1 {
        conclude(machine, end, out);
    }
    Ok(())
}

fn change(machine: &Machine, to: State, at: i64) -> LeafBody {
    LeafBody::State(StateLeaf {
        machine: machine.name.clone(),
        from: machine.state,
        to,
        since: Time::from_millis(BEGIN_MS + at),
        since_ms: MONO_MS + at,
        rule: Some(format!("{to}@1")),
        config: machine.map.clone(),
    })
}

fn begin(machine: &mut Machine, at: i64, out: &mut Vec<Entry>) {
    let id = Sha256::digest(format!("{} {at}", machine.name));
    let id: String = id
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    out.push(entry(
        at,
        LeafBody::Session(session(machine, &id, at, None)),
    ));
    machine.session = Some((id, at));
}

fn conclude(machine: &mut Machine, at: i64, out: &mut Vec<Entry>) {
    if let Some((id, from)) = machine.session.take() {
        let leaf = session(machine, &id, from, Some(at));
        out.push(entry(at, LeafBody::Session(leaf)));
    }
}

fn session(machine: &Machine, id: &str, from: i64, to: Option<i64>) -> SessionLeaf {
    SessionLeaf {
        machine: machine.name.clone(),
        session: id.to_owned(),
        event: if to.is_some() {
            SessionEvent::Close
        } else {
            SessionEvent::Open
        },
        booking: None,
        token: None,
        class: Class::Own,
        check_in: CheckIn::Local,
        by: Some("keeper-1".to_owned()),
        from: Time::from_millis(BEGIN_MS + from),
        from_ms: MONO_MS + from,
        to: to.map(|to| Time::from_millis(BEGIN_MS + to)),
        to_ms: to.map(|to| MONO_MS + to),
        reason: to.map(|_| CloseReason::CheckOut),
    }
}
