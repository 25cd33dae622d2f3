//! The world of the sample year: everything that happens, in order of time, minute by minute.

use lineside_proto::{Class, Identifier};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::calendar::{HOUR_MS, MINUTE_MS};
use super::events::Event;
use super::files::Keys;
use super::gateway::Gateway;
use super::machines::{self, Kind, Machine};
use super::portal::Portal;
use super::script::{Deed, Script};
use super::watch::Watch;
use super::witness::Witness;
use crate::config::Config;
use crate::config::model::MachineMap;

/// The portal tells the gateway of a machine's bookings at this time of a UTC day: six in the morning in
/// Asia/Shanghai.
const TOLD_MS: i64 = 22 * HOUR_MS;

/// How far it has come is told after so many minutes.
const TOLD_EVERY: i64 = 1_440;

/// The hold times of the rules, as the maps say.
const HOLDS_MS: [i64; 3] = [2_000, 5_000, 20_000];

/// The order of what happens at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Act {
    /// The machine changes, or the minute is full: it is read.
    Read {
        machine: usize,
        is_change: bool,
    },
    Event(Event),
    /// The portal tells of bookings.
    Tell(usize),
    /// Somebody checks in at the portal.
    CheckIn(usize, usize),
    Visit(usize, Deed),
    /// A hold time of a rule ends.
    Due,
    /// A full minute.
    Minute,
}

/// The world.
pub(super) struct World {
    machines: Vec<(Machine, Arc<MachineMap>, Watch)>,
    lowered: Option<Arc<MachineMap>>,
    gateway: Gateway,
    pub(super) portal: Portal,
    witness: Witness,
    /// Acts that are known beforehand, the last first.
    coming: Vec<(i64, Act)>,
    /// Up to when the gateway has been told that time passed.
    ticked: i64,
}

impl World {
    pub(super) fn new(
        config: &Config,
        lowered: Option<Arc<MachineMap>>,
        seed: u64,
        scripts: Vec<(Machine, Script)>,
        keys: &Keys,
    ) -> anyhow::Result<Self> {
        let gateway = Gateway::new(config, seed)?;
        let (site, id) = (config.gateway.site.clone(), config.gateway.id.clone());
        let mut portal = Portal::new(site, id, keys.portal.clone());
        let mut machines = Vec::new();
        for (machine, script) in scripts {
            let map = config
                .machines
                .iter()
                .find(|map| map.machine == machine.name);
            let Some(map) = map.cloned() else { continue };
            if machine.kind != Kind::Press {
                portal.book(&machine.name, &script.booked);
            }
            machines.push((machine, map, Watch::new(script)));
        }
        Ok(Self {
            machines,
            lowered,
            gateway,
            portal,
            witness: Witness::new(keys, &config.gateway.ledger.origin)?,
            coming: Vec::new(),
            ticked: i64::MIN,
        })
    }

    /// Everything that is known beforehand, of one period.
    fn foresee(&mut self, events: &[(i64, Event)], (from, to): (i64, i64)) {
        let mut coming: Vec<(i64, Act)> = events
            .iter()
            .map(|(at, event)| (*at, Act::Event(*event)))
            .collect();
        for (place, (machine, _, watch)) in self.machines.iter().enumerate() {
            let deeds = watch.script.deeds.iter();
            coming.extend(deeds.map(|(at, deed)| (*at, Act::Visit(place, *deed))));
            if machine.kind == Kind::Press {
                continue;
            }
            let first = from - from.rem_euclid(24 * HOUR_MS) + TOLD_MS;
            let tellings = (0..).map(|day| first + day * 24 * HOUR_MS);
            let tellings = tellings.take_while(|at| *at < to);
            coming.extend(tellings.map(|at| (at, Act::Tell(place))));
            for (number, booked) in watch.script.booked.iter().enumerate() {
                let check_in = booked.check_in;
                coming.extend(check_in.map(|at| (at, Act::CheckIn(place, number))));
            }
        }
        coming.sort_by_key(|(at, _)| *at);
        coming.reverse();
        self.coming = coming;
    }

    /// Lives from a moment to another, both full minutes.
    pub(super) fn live(
        &mut self,
        events: &[(i64, Event)],
        (from, to): (i64, i64),
        told: &mut dyn FnMut(u32),
    ) -> anyhow::Result<()> {
        self.foresee(events, (from, to));
        let minutes = (to - from) / MINUTE_MS;
        for minute in 0..minutes {
            let at = from + minute * MINUTE_MS;
            for (at, act) in self.acts(at) {
                self.act(at, act)?;
            }
            if minute % TOLD_EVERY == 0 {
                told(u32::try_from(minute * 1_000 / minutes).unwrap_or(0));
            }
        }
        Ok(())
    }

    /// What happens from a full minute to the next, in order.
    fn acts(&mut self, minute: i64) -> Vec<(i64, Act)> {
        let end = minute + MINUTE_MS;
        let mut acts = Vec::new();
        for place in 0..self.machines.len() {
            let is_change = false;
            let machine = place;
            acts.push((minute, Act::Read { machine, is_change }));
        }
        acts.push((minute, Act::Minute));
        while let Some((at, act)) = self.coming.pop() {
            if at >= end {
                self.coming.push((at, act));
                break;
            }
            acts.push((at.max(minute), act));
        }
        for (machine, (_, _, watch)) in self.machines.iter().enumerate() {
            let phases = watch.phases_before(end);
            let is_change = true;
            acts.extend(phases.map(|at| (at.max(minute), Act::Read { machine, is_change })));
        }
        let changes = acts.iter().filter(|(_, act)| {
            matches!(
                act,
                Act::Read {
                    is_change: true,
                    ..
                }
            )
        });
        let dues: Vec<i64> = changes
            .flat_map(|(at, _)| HOLDS_MS.map(|hold| at + hold))
            .collect();
        for due in dues {
            if due < end {
                acts.push((due, Act::Due));
            } else {
                let place = self.coming.partition_point(|(at, _)| *at > due);
                self.coming.insert(place, (due, Act::Due));
            }
        }
        // Stable: at one moment the readings of the full minute come first.
        acts.sort_by_key(|(at, _)| *at);
        acts
    }

    fn act(&mut self, at: i64, act: Act) -> anyhow::Result<()> {
        if self.gateway.is_running() && self.ticked < at {
            // What was due before is decided before: leaves follow one another in time.
            self.gateway.tick(at)?;
            self.ticked = at;
        }
        match act {
            Act::Due => Ok(()),
            Act::Read { machine, is_change } => self.read(at, machine, is_change),
            Act::Event(event) => self.befall(at, event),
            Act::Tell(machine) => self.tell(at, machine),
            Act::CheckIn(machine, number) => self.check_in(at, machine, number),
            Act::Visit(machine, deed) => match self.machines.get(machine) {
                Some((machine, ..)) => self.gateway.visit(at, &machine.name, deed),
                None => Ok(()),
            },
            Act::Minute => {
                if self.gateway.is_running() {
                    self.gateway.tick(at)?;
                    let size = self.gateway.size();
                    self.witness.see(at, size, self.gateway.wall(at));
                }
                Ok(())
            }
        }
    }

    fn read(&mut self, at: i64, place: usize, is_change: bool) -> anyhow::Result<()> {
        let Some((machine, map, watch)) = self.machines.get_mut(place) else {
            return Ok(());
        };
        watch.pass(at);
        let is_linked = watch.is_linked(at);
        if is_linked && self.gateway.is_running() {
            watch.see(at);
        }
        if is_change {
            watch.change();
        }
        if !self.gateway.is_running() {
            return Ok(());
        }
        let samples = machines::samples(map, &watch.phase, watch.counted, is_linked);
        self.gateway.read(at, &machine.name, samples)
    }

    fn befall(&mut self, at: i64, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Stop | Event::Cut => {
                for (.., watch) in &mut self.machines {
                    watch.lose();
                }
                if event == Event::Cut {
                    return self.gateway.cut(at);
                }
                self.gateway.stop(at)
            }
            Event::Start { is_boot } => {
                self.gateway.start(at, is_boot)?;
                for place in 0..self.machines.len() {
                    self.read(at, place, false)?;
                    self.tell(at, place)?;
                }
                Ok(())
            }
            Event::Clock {
                letter,
                error_ms,
                gain_ppm,
            } => {
                self.gateway.set_clock(at, letter, error_ms, gain_ppm);
                Ok(())
            }
            Event::LowerThreshold => {
                let Some(lowered) = self.lowered.take() else {
                    return Ok(());
                };
                self.gateway.change_map(at, &lowered)?;
                for (machine, map, _) in &mut self.machines {
                    if machine.name == lowered.machine {
                        *map = Arc::clone(&lowered);
                    }
                }
                for place in 0..self.machines.len() {
                    self.read(at, place, false)?;
                }
                Ok(())
            }
            Event::Correct => self.gateway.correct(at),
            Event::City(is_there) => {
                self.witness.is_there = is_there;
                Ok(())
            }
        }
    }

    fn tell(&mut self, at: i64, place: usize) -> anyhow::Result<()> {
        let Some((machine, ..)) = self.machines.get(place) else {
            return Ok(());
        };
        if machine.kind == Kind::Press {
            return Ok(());
        }
        let message = self.portal.message(&machine.name, at);
        self.gateway.mail(at, &machine.name, &message)
    }

    fn check_in(&mut self, at: i64, place: usize, number: usize) -> anyhow::Result<()> {
        let Some((machine, _, watch)) = self.machines.get(place) else {
            return Ok(());
        };
        let Some(booked) = watch.script.booked.get(number) else {
            return Ok(());
        };
        let message = self.portal.check_in(&machine.name, &booked.id, at);
        self.gateway.mail(at, &machine.name, &message)
    }

    /// The agent stops for good. Gives the leaves, and the activity that the world has seen.
    pub(super) fn end(
        &mut self,
        at: i64,
    ) -> anyhow::Result<(u64, BTreeMap<Identifier, BTreeMap<Class, u64>>)> {
        for place in 0..self.machines.len() {
            self.read(at, place, false)?;
        }
        self.gateway.stop(at)?;
        let ledger = self.gateway.ledger();
        ledger.sign()?;
        self.witness.cosign(ledger)?;
        let active = self.machines.iter();
        let active =
            active.map(|(machine, _, watch)| (machine.name.clone(), watch.active_ms.clone()));
        Ok((ledger.size(), active.collect()))
    }

    /// Each machine with its script.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (&Machine, &Script)> {
        let machines = self.machines.iter();
        machines.map(|(machine, _, watch)| (machine, &watch.script))
    }
}
