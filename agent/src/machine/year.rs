//! A simulated year: machines with random faults, restarts on the same boot and on new ones, crashes at every
//! point between leaf, outbox and progress record, steps of the clock, changed maps, bookings and check-ins. What
//! the ledger says at the end must add up, and agree with what the world did.
//!
//! `LINESIDE_YEAR_SEED` and `LINESIDE_YEAR_DAYS` choose one other run; the seed is in every message.

#![expect(clippy::wildcard_enum_match_arm, reason = "the leaves that matter")]

mod booked;
mod disk;
mod watch;
mod world;

use lineside_proto::ledger::conservation::Conservation;
use lineside_proto::ledger::{Leaf, LeafBody, SessionEvent};
use lineside_proto::{Class, Outcome, State};
use std::collections::{BTreeMap, BTreeSet};

use world::World;

/// What a run is like.
#[derive(Clone, Copy, Debug)]
struct Plan {
    seed: u64,
    days: u64,
    /// Seconds between two readings, at most.
    step_s_max: u64,
    machines: u32,
    /// Hold times: then only the ledger's own sums are checked, since the world does not know them.
    holds: bool,
    crash: Crash,
}

/// When the power fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Crash {
    /// At random, with everything else that befalls a gateway.
    Sometimes,
    /// Once, when so many leaves are durable, and nothing of what would follow.
    After(usize),
}

fn run(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.run();
    check(&world, plan);
    world
}

fn check(world: &World, plan: Plan) {
    let mut conservation = Conservation::default();
    for leaf in &world.disk.leaves {
        conservation.take(leaf);
    }
    let report = conservation.report();
    let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(report.is_sound(), "{plan:?}: {told:#?}");
    for (machine, totals) in &report.machines {
        let running = totals.opened - totals.closed;
        assert!(running <= 1, "{plan:?}: {machine} {totals:?}");
        assert!(
            totals.opened > plan.days / 8,
            "{plan:?}: hardly any session: {totals:?}"
        );
    }
    world.check_letters(plan);
    check_activity(&world.disk.leaves, plan);
    check_outcomes(world, plan);
    check_summaries(&world.disk.leaves, plan);
    if !plan.holds {
        world.check_watched(plan);
    }
}

/// All activity is in a session, and no class comes from nowhere.
fn check_activity(leaves: &[Leaf], plan: Plan) {
    let mut classes: BTreeMap<&str, Class> = BTreeMap::new();
    for leaf in leaves {
        match &leaf.body {
            LeafBody::Session(said) if said.event == SessionEvent::Open => {
                classes.insert(&said.session, said.class);
                let is_booked = said.booking.is_some();
                assert!(is_booked || said.class != Class::Ext, "{plan:?}: {leaf:?}");
            }
            LeafBody::Bind(said) => {
                classes.insert(&said.session, said.class);
            }
            LeafBody::Usage(said) => {
                let of = |state: State| said.ms.get(&state).copied().unwrap_or(0);
                let active =
                    of(State::Run) + of(State::Setup) + of(State::Hold) - said.hold_over_ms;
                assert!(
                    said.session.is_some() || active == 0,
                    "{plan:?}: activity outside every session: {leaf:?}"
                );
                if let Some(session) = &said.session {
                    assert_eq!(
                        Some(&said.class.unwrap()),
                        classes.get(&**session),
                        "{plan:?}: {leaf:?}"
                    );
                }
            }
            _ => {}
        }
    }
}

/// A day's summaries say what its usage and session leaves say, but for the day that is not over.
fn check_summaries(leaves: &[Leaf], plan: Plan) {
    let mut told: BTreeMap<(&str, String), (u64, u32)> = BTreeMap::new();
    let mut known = told.clone();
    let mut present: BTreeMap<&str, String> = BTreeMap::new();
    for leaf in leaves {
        let (machine, from, ms, sessions) = match &leaf.body {
            LeafBody::Usage(said) => (&said.machine, said.from, said.ms.values().sum(), 0),
            LeafBody::Session(said) if said.event == SessionEvent::Open => {
                (&said.machine, said.from, 0, 1)
            }
            LeafBody::Summary(said) => {
                let of = told
                    .entry((said.machine.as_str(), said.day.clone()))
                    .or_default();
                *of = (of.0 + said.ms.values().sum::<u64>(), of.1 + said.sessions);
                continue;
            }
            _ => continue,
        };
        let day = from.to_string()[..10].to_owned();
        present.insert(machine.as_str(), day.clone());
        let of = known.entry((machine.as_str(), day)).or_default();
        *of = (of.0 + ms, of.1 + sessions);
    }
    for (machine, day) in present {
        told.remove(&(machine, day.clone()));
        known.remove(&(machine, day));
    }
    assert_eq!(told, known, "{plan:?}");
}

/// Each booking has one outcome, and none has two sessions.
fn check_outcomes(world: &World, plan: Plan) {
    let mut decided: BTreeMap<(&str, &str), Outcome> = BTreeMap::new();
    let mut sessions: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for leaf in &world.disk.leaves {
        let named = match &leaf.body {
            LeafBody::Booking(said) => {
                let key = (said.machine.as_str(), said.booking.as_str());
                assert_eq!(
                    decided.insert(key, said.outcome),
                    None,
                    "{plan:?}: {leaf:?}"
                );
                None
            }
            LeafBody::Session(said) => said
                .booking
                .as_deref()
                .map(|id| (&said.machine, id, &said.session)),
            LeafBody::Bind(said) => Some((&said.machine, said.booking.as_str(), &said.session)),
            _ => None,
        };
        if let Some((machine, booking, session)) = named {
            let of = sessions.entry((machine.as_str(), booking)).or_default();
            of.insert(session);
            assert_eq!(
                of.len(),
                1,
                "{plan:?}: a second session of one booking: {leaf:?}"
            );
        }
    }
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for (machine, booking) in world.over() {
        let outcome = decided.get(&(machine.as_str(), booking.as_str()));
        let outcome = outcome.unwrap_or_else(|| panic!("{plan:?}: nothing became of {booking}"));
        *outcomes.entry(outcome.as_str()).or_default() += 1;
    }
    if plan.days >= 300 {
        assert!(outcomes.len() >= 6, "{plan:?}: {outcomes:?}");
    }
}

#[test]
fn a_year_adds_up() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let plan = Plan {
        seed: number("LINESIDE_YEAR_SEED").unwrap_or(2_026),
        days: number("LINESIDE_YEAR_DAYS").unwrap_or(365),
        step_s_max: 1_000,
        machines: 2,
        holds: false,
        crash: Crash::Sometimes,
    };
    run(plan);
}

#[test]
fn weeks_with_hold_times_add_up() {
    for seed in 1..=3 {
        run(Plan {
            seed,
            days: 14,
            step_s_max: 120,
            machines: 2,
            holds: true,
            crash: Crash::Sometimes,
        });
    }
}

#[test]
fn weeks_of_close_readings_add_up() {
    for seed in 11..=13 {
        run(Plan {
            seed,
            days: 7,
            step_s_max: 60,
            machines: 1,
            holds: false,
            crash: Crash::Sometimes,
        });
    }
}

#[test]
fn a_crash_after_any_leaf_loses_and_doubles_nothing() {
    let plan = |crash| Plan {
        seed: 7,
        days: 1,
        step_s_max: 240,
        machines: 1,
        holds: false,
        crash: Crash::After(crash),
    };
    let whole = run(plan(usize::MAX)).disk.leaves.len();
    assert!(whole > 60, "{whole}");
    for leaves in 2..whole {
        run(plan(leaves));
    }
}
