//! Writes leaves as a gateway would: machines that run on one clock, with their meters.

use std::collections::BTreeMap;

use super::city::{map_text, named};
use crate::ledger::{
    Boot, CloseReason, Counter, GapLeaf, GapReason, Leaf, LeafBody, LeafHead, SessionEvent,
    SessionLeaf, Shutdown, StateLeaf, UsageLeaf,
};
use crate::{CheckIn, Class, ClockStatus, Identifier, State, Time};

const HOUR_MS: u64 = 3_600_000;

/// A machine as its gateway sees it.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    name: Identifier,
    /// Watts by state where it has a meter.
    meter: bool,
    counter: bool,
    map: u32,
    state: State,
    cursor_ms: u64,
    ms: BTreeMap<State, u64>,
    good: u64,
    /// In mWh and milliseconds, since ever; and where the last usage leaf ended.
    energy: [u64; 2],
    hours: [u64; 2],
    session: Option<SessionLeaf>,
    worst: ClockStatus,
}

/// A gateway that writes leaves.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was written.
    pub leaves: Vec<Leaf>,
    units: Vec<Unit>,
    boot: String,
    mono_ms: u64,
    /// Wall time of the boot clock's zero.
    base_ms: i64,
    clock: ClockStatus,
    sessions: u32,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct Begin<'a> {
    /// Its class.
    pub class: Class,
    /// Its booking and the hash of its token.
    pub booking: Option<(&'a str, Option<String>)>,
    /// How it became known who came.
    pub check_in: CheckIn,
}

fn watts(state: State) -> u64 {
    match state {
        State::Unknown | State::Off => 0,
        State::Down | State::Maint => 200,
        State::Idle => 600,
        State::Setup => 2_500,
        State::Hold => 1_500,
        State::Run => 6_000,
    }
}

fn decimal(thousandths: u64) -> String {
    let (whole, part) = (thousandths / 1000, thousandths % 1000);
    if part == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{part:03}")
            .trim_end_matches('0')
            .to_owned()
    }
}

fn counter([from, to]: [u64; 2]) -> Counter {
    Counter {
        from: decimal(from),
        to: decimal(to),
        delta: decimal(to - from),
        resets: 0,
    }
}

impl Line {
    /// A gateway whose boot clock begins at this wall time.
    pub fn new(base_ms: i64, boot: &str, clock: ClockStatus) -> Self {
        Self {
            leaves: Vec::new(),
            units: Vec::new(),
            boot: boot.to_owned(),
            mono_ms: 0,
            base_ms,
            clock,
            sessions: 0,
        }
    }

    /// Wall time now.
    pub fn now(&self) -> Time {
        Time::from_millis(self.base_ms).plus_millis(i64::try_from(self.mono_ms).unwrap_or(i64::MAX))
    }

    /// Now on the boot's clock.
    pub fn mono_ms(&self) -> u64 {
        self.mono_ms
    }

    /// Now on the boot's clock, as state and session leaves write it.
    fn signed_ms(&self) -> i64 {
        i64::try_from(self.mono_ms).unwrap_or(i64::MAX)
    }

    /// Writes a leaf.
    pub fn write(&mut self, body: LeafBody) {
        let head = LeafHead {
            v: 1,
            index: self.leaves.len() as u64,
            at: self.now(),
            boot: self.boot.clone(),
            mono_ms: self.mono_ms,
        };
        self.leaves.push(Leaf { head, body });
    }

    /// Writes the leaf of a start.
    pub fn boot(&mut self, previous: Shutdown) {
        let body = LeafBody::Boot(Boot {
            version: "0.1.0".to_owned(),
            build: named("lineside"),
            previous,
            clock: self.clock,
            error_ms: (self.clock == ClockStatus::S).then_some(12),
        });
        self.write(body);
    }

    /// A machine joins, with this map.
    pub fn join(&mut self, name: &Identifier, map: u32, meter: bool, counter: bool) {
        let unit = Unit {
            name: name.clone(),
            meter,
            counter,
            map,
            state: State::Unknown,
            cursor_ms: self.mono_ms,
            ms: BTreeMap::new(),
            good: 0,
            energy: [1_000_000; 2],
            hours: [5_000_000 * 3600; 2],
            session: None,
            worst: self.clock,
        };
        self.units.push(unit);
        self.config(self.units.len() - 1);
        self.unknown(self.units.len() - 1, self.signed_ms());
    }

    fn config(&mut self, unit: usize) {
        let Some(unit) = self.units.get(unit) else {
            return;
        };
        let text = map_text(unit.name.as_str(), unit.map);
        let body = LeafBody::Config(crate::ledger::ConfigLeaf {
            machine: unit.name.clone(),
            map: named(&text),
            files: named(&format!("files of {text}")),
        });
        self.write(body);
    }

    /// A machine gets another map.
    pub fn remap(&mut self, unit: usize, map: u32) {
        self.flush(unit);
        if let Some(unit) = self.units.get_mut(unit) {
            unit.map = map;
        }
        self.config(unit);
    }

    /// The state is not known any more, since then.
    fn unknown(&mut self, unit: usize, since_ms: i64) {
        let Some(known) = self.units.get_mut(unit) else {
            return;
        };
        let from = std::mem::replace(&mut known.state, State::Unknown);
        let (machine, config) = (known.name.clone(), config(known));
        let since = self.now().plus_millis(since_ms - self.signed_ms());
        self.write(LeafBody::State(StateLeaf {
            machine,
            from,
            to: State::Unknown,
            since,
            since_ms,
            rule: None,
            config,
        }));
    }

    /// A machine's state changes now.
    pub fn state(&mut self, unit: usize, to: State) {
        let (since, since_ms) = (self.now(), self.signed_ms());
        let Some(known) = self.units.get_mut(unit).filter(|unit| unit.state != to) else {
            return;
        };
        let body = LeafBody::State(StateLeaf {
            machine: known.name.clone(),
            from: std::mem::replace(&mut known.state, to),
            to,
            since,
            since_ms,
            rule: (to != State::Unknown).then(|| format!("{to}@1")),
            config: config(known),
        });
        self.write(body);
    }

    /// Lets time pass until then, by the gateway's clock.
    pub fn pass_to(&mut self, wall_ms: i64) {
        self.pass(u64::try_from(wall_ms - self.now().as_millis()).unwrap_or(0));
    }

    /// Lets time pass. Usage is written at each full hour.
    pub fn pass(&mut self, ms: u64) {
        let mut rest_ms = ms;
        while rest_ms > 0 {
            let wall = u64::try_from(self.now().as_millis()).unwrap_or(0);
            let step_ms = rest_ms.min(HOUR_MS - wall % HOUR_MS);
            for unit in &mut self.units {
                *unit.ms.entry(unit.state).or_default() += step_ms;
                unit.good += step_ms / 1000;
                let [_, energy] = &mut unit.energy;
                *energy += watts(unit.state) * step_ms / 3600;
                let [_, hours] = &mut unit.hours;
                *hours += if unit.state == State::Run { step_ms } else { 0 };
            }
            self.mono_ms += step_ms;
            rest_ms -= step_ms;
            if (wall + step_ms) % HOUR_MS == 0 {
                for unit in 0..self.units.len() {
                    self.flush(unit);
                }
            }
        }
    }

    /// Writes what a machine did since its last usage leaf.
    pub fn flush(&mut self, unit: usize) {
        let (now, mono_ms, clock) = (self.now(), self.mono_ms, self.clock);
        let Some(unit) = self.units.get_mut(unit) else {
            return;
        };
        let length_ms = mono_ms - unit.cursor_ms;
        if length_ms == 0 {
            return;
        }
        let rises = [unit.hours, unit.energy];
        let [hours, energy] = rises;
        let body = LeafBody::Usage(UsageLeaf {
            machine: unit.name.clone(),
            session: unit.session.as_ref().map(|leaf| leaf.session.clone()),
            class: unit.session.as_ref().map(|leaf| leaf.class),
            from: now.plus_millis(-i64::try_from(length_ms).unwrap_or(0)),
            to: now,
            span_boot: None,
            // Older agents left it out; here, every other machine.
            clock: (!unit.counter).then_some(unit.worst),
            mono_from_ms: unit.cursor_ms,
            mono_to_ms: mono_ms,
            ms: std::mem::take(&mut unit.ms),
            hold_over_ms: 0,
            good: std::mem::take(&mut unit.good),
            bad: u64::from(length_ms == HOUR_MS),
            energy: unit.meter.then(|| counter(energy)),
            hours: unit.counter.then(|| counter(hours.map(|ms| ms / 3600))),
            config: config(unit),
        });
        unit.cursor_ms = mono_ms;
        unit.worst = clock;
        unit.energy = [energy[1]; 2];
        unit.hours = [hours[1]; 2];
        self.write(body);
    }

    /// A session begins; gives its id.
    pub fn open(&mut self, unit: usize, begin: &Begin<'_>) -> String {
        self.flush(unit);
        self.sessions += 1;
        let id = format!("01SAMPLE{:018}", self.sessions);
        let (from, from_ms) = (self.now(), self.signed_ms());
        let Some(unit) = self.units.get_mut(unit) else {
            return id;
        };
        let leaf = SessionLeaf {
            machine: unit.name.clone(),
            session: id.clone(),
            event: SessionEvent::Open,
            booking: begin.booking.as_ref().map(|(id, _)| (*id).to_owned()),
            token: begin.booking.as_ref().and_then(|(_, token)| token.clone()),
            class: begin.class,
            check_in: begin.check_in,
            by: (begin.check_in == CheckIn::Local).then(|| "person-7".to_owned()),
            from,
            from_ms,
            to: None,
            to_ms: None,
            reason: None,
        };
        unit.session = Some(leaf.clone());
        self.write(LeafBody::Session(leaf));
        id
    }

    /// The session that runs ends; gives its id.
    pub fn close(&mut self, unit: usize, reason: CloseReason) -> Option<String> {
        self.flush(unit);
        let (to, to_ms) = (self.now(), self.signed_ms());
        let session = self
            .units
            .get_mut(unit)
            .and_then(|unit| unit.session.take());
        let mut leaf = session?;
        leaf.event = SessionEvent::Close;
        (leaf.to, leaf.to_ms, leaf.reason) = (Some(to), Some(to_ms), Some(reason));
        let id = leaf.session.clone();
        self.write(LeafBody::Session(leaf));
        Some(id)
    }

    /// The agent does not run for a while, on the same boot.
    pub fn restart(&mut self, away_ms: u64) {
        for unit in 0..self.units.len() {
            self.flush(unit);
        }
        let (from, from_ms, from_boot) = (self.now(), self.mono_ms, self.boot.clone());
        self.mono_ms += away_ms;
        self.boot(Shutdown::Clean);
        self.gaps(from, from_ms, &from_boot, Some(away_ms));
    }

    /// The gateway starts anew after a while, its clock behind by so much and not to be trusted.
    pub fn reboot(&mut self, away_ms: u64, behind_ms: i64, boot: &str) {
        for unit in 0..self.units.len() {
            self.flush(unit);
        }
        let (from, from_ms) = (self.now(), self.mono_ms);
        let from_boot = std::mem::replace(&mut self.boot, boot.to_owned());
        let now = from.plus_millis(i64::try_from(away_ms).unwrap_or(0) - behind_ms);
        self.mono_ms = 20_000;
        self.base_ms = now.as_millis() - 20_000;
        self.clock = ClockStatus::U;
        self.boot(Shutdown::Crash);
        self.gaps(from, from_ms, &from_boot, None);
    }

    fn gaps(&mut self, from: Time, from_ms: u64, from_boot: &str, ms: Option<u64>) {
        for unit in 0..self.units.len() {
            let (to, mono_ms, clock) = (self.now(), self.mono_ms, self.clock);
            let Some(known) = self.units.get_mut(unit) else {
                continue;
            };
            (known.cursor_ms, known.worst) = (mono_ms, clock);
            let machine = known.name.clone();
            self.write(LeafBody::Gap(GapLeaf {
                machine,
                from,
                to,
                from_boot: from_boot.to_owned(),
                mono_from_ms: from_ms,
                mono_to_ms: mono_ms,
                ms,
                clock,
                reason: GapReason::Agent,
            }));
            let away_ms = to.as_millis() - from.as_millis();
            self.unknown(unit, self.signed_ms() - away_ms);
        }
    }

    /// The clock is set forward by so much, and can be trusted from now on.
    pub fn set_clock(&mut self, step_ms: i64) {
        for unit in 0..self.units.len() {
            self.flush(unit);
        }
        self.base_ms += step_ms;
        let before = std::mem::replace(&mut self.clock, ClockStatus::S);
        self.write(LeafBody::Clock(crate::ledger::ClockLeaf {
            status: ClockStatus::S,
            before,
            step_ms: Some(step_ms),
            error_ms: Some(9),
            source: "kernel".to_owned(),
        }));
        for unit in &mut self.units {
            unit.worst = ClockStatus::S;
        }
    }
}

fn config(unit: &Unit) -> String {
    named(&map_text(unit.name.as_str(), unit.map))
}
