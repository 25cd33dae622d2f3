//! A sample year: the state directory that an agent leaves behind after twelve months beside three machines, with
//! honest and dishonest behaviour, so that anybody can try to pull, verify and report it.
//!
//! The states, sessions and hours come from the real recorder, the leaves go into the real ledger, and the tokens
//! are judged as a gateway judges them; only the machines, the clocks, the portal and the witness are made up.
//! The same settings give the same bytes, but for the paths in `gateway.toml`.

mod calendar;
mod events;
mod files;
mod gateway;
mod machines;
mod plan;
mod planted;
mod portal;
mod script;
#[cfg(test)]
mod tests;
mod watch;
mod witness;
mod world;

pub use planted::{Planted, Trick};

use jiff::civil::Date;
use lineside_proto::{Class, Identifier, Time};
use std::collections::BTreeMap;
use std::path::Path;

use calendar::DAY_MS;
use machines::Machine;
use planted::Schedule;

/// Machines at most: enough for every table, and made within minutes.
pub const MACHINES_MAX: u32 = 30;

/// Days at most: three years.
pub const DAYS_MAX: usize = 1_100;

/// What a sample year is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct YearSettings {
    /// The first day of the period, in Asia/Shanghai. The ledger begins a day before it.
    pub from: Date,
    /// Days of the period; the ledger ends a day after it. At most [`DAYS_MAX`].
    pub days: usize,
    /// Machines, from 1 to [`MACHINES_MAX`]: an extruder, a furnace, a press, and again.
    pub machines: u32,
    /// The same seed gives the same year.
    pub seed: u64,
}

/// What was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Year {
    /// The period's begin.
    pub from: Time,
    /// Its end, not in it.
    pub to: Time,
    /// Leaves of the ledger.
    pub leaves: u64,
    /// What is wrong on purpose.
    pub planted: Vec<Planted>,
    /// Activity as the machines had it while they were watched, in milliseconds by machine and class: what the
    /// ledger should say of the period and the days around it.
    pub active_ms: BTreeMap<Identifier, BTreeMap<Class, u64>>,
}

/// Makes a sample year in a directory, which must be empty or not there yet. `told` is called now and then with
/// the part that is done, in thousandths.
///
/// # Errors
///
/// The directory can't be used.
pub fn make(dir: &Path, settings: YearSettings, told: &mut dyn FnMut(u32)) -> anyhow::Result<Year> {
    let count = settings.machines.clamp(1, MACHINES_MAX);
    let days = calendar::days(settings.from, settings.days.clamp(1, DAYS_MAX));
    let schedule = Schedule::new(days.len());
    let machines = Machine::all(count)?;
    let mut scripts = Vec::new();
    let mut planted = Vec::new();
    for (place, machine) in (1..).zip(&machines) {
        let seed = settings.seed.wrapping_mul(1_000_003).wrapping_add(place);
        let (script, tricks) = plan::machine(machine, &days, schedule, seed);
        planted.extend(tricks);
        scripts.push((machine.clone(), script));
    }
    planted.sort_by(|a, b| (a.kind, a.from, &a.machine).cmp(&(b.kind, b.from, &b.machine)));
    let from = days.first().map_or(0, |day| day.start);
    let to = days.last().map_or(0, |day| day.start + DAY_MS);
    let keys = files::Keys::of(settings.seed)?;
    let (config, lowered) = files::configure(dir, &machines, &keys)?;
    let events = events::events(&days, schedule);
    let mut world = world::World::new(&config, lowered, settings.seed, scripts, &keys)?;
    world.live(&events, (from - DAY_MS, to + DAY_MS), told)?;
    let (leaves, active_ms) = world.end(to + DAY_MS)?;
    let year = Year {
        from: Time::from_millis(from),
        to: Time::from_millis(to),
        leaves,
        planted,
        active_ms,
    };
    files::describe(dir, &config, &keys, &world, &year)?;
    Ok(year)
}
