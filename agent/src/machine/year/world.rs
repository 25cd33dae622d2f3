//! The world of the simulated year: true time, clocks, machines and the agent that watches them.

#![expect(clippy::cast_sign_loss, reason = "times of the simulated world")]

use fastrand::Rng;
use lineside_proto::ledger::{Boot, GapReason, LeafBody, Shutdown};
use lineside_proto::{CheckIn, Class, ClockStatus, Identifier, State, Time};
use std::sync::Arc;
use std::time::Duration;

use super::booked::Portal;
use super::disk::Disk;
use super::watch::{Trust, Watch};
use super::{Crash, Plan};
use crate::clock::Stamp;
use crate::config::model::{CheckInMode, External, MachineMap, Publish, Telemetry};
use crate::machine::account::Word;
use crate::machine::availability::Origin;
use crate::machine::recorder::{Commit, Input, Recorder, Resume};
use crate::machine::session::Rules;
use crate::machine::testing;
use crate::record::Entry;
use crate::sample::{Bad, Batch, Observation, Sample, Slot, Value};

const START_MS: i64 = 1_767_225_600_000;
const DAY_MS: i64 = 86_400_000;
const STATES: [State; 7] = [
    State::Off,
    State::Down,
    State::Maint,
    State::Idle,
    State::Setup,
    State::Run,
    State::Hold,
];

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) map: Arc<MachineMap>,
    slot: Slot,
    portal: Portal,
    mode: usize,
    mode_until: i64,
    link_until: i64,
    is_linked: bool,
    energy: u64,
    pub(super) watches: Vec<Watch>,
}

/// The world.
#[derive(Debug)]
pub(super) struct World {
    plan: Plan,
    rng: Rng,
    pub(super) disk: Disk,
    pub(super) trusts: Vec<Trust>,
    pub(super) machines: Vec<Machine>,
    pub(super) recorder: Recorder,
    /// True time, in wall milliseconds.
    now: i64,
    booted: i64,
    boot: u32,
    /// What the wall clock shows too much.
    error_ms: i64,
    pub(super) letter: ClockStatus,
    set_at: i64,
    slots: u32,
    lives: u32,
    crashed: u32,
}

fn map(name: &str, holds: bool) -> MachineMap {
    let rules: Vec<(String, String)> = STATES
        .iter()
        .enumerate()
        .map(|(mode, state)| (state.to_string(), format!("mode == {mode}")))
        .collect();
    let rules: Vec<(&str, &str)> = rules
        .iter()
        .map(|(state, when)| (&**state, &**when))
        .collect();
    let points = vec![testing::point("mode"), testing::point("energy")];
    let mut map = (*testing::machine(points, &rules)).clone();
    map.machine = name.parse().unwrap();
    map.groups[0].stale_after = Duration::from_millis(super::watch::STALE_MS as u64);
    map.evidence.energy = Some(1);
    for rule in map.rules.iter_mut().filter(|_| holds) {
        rule.enter = Duration::from_secs(40);
        rule.leave = Duration::from_secs(90);
    }
    map
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let machines = (0..plan.machines).map(|number| Machine {
            map: Arc::new(map(&format!("m{number}"), plan.holds)),
            slot: Slot(0),
            portal: Portal::default(),
            mode: 3,
            mode_until: START_MS,
            link_until: START_MS,
            is_linked: false,
            energy: 65_000,
            watches: Vec::new(),
        });
        let mut world = Self {
            machines: machines.collect(),
            rng: Rng::with_seed(plan.seed),
            disk: Disk::default(),
            trusts: Vec::new(),
            recorder: recorder("", plan.seed),
            now: START_MS,
            booted: START_MS,
            boot: 0,
            error_ms: 0,
            letter: ClockStatus::S,
            set_at: 0,
            slots: 0,
            lives: 0,
            crashed: 0,
            plan,
        };
        world.reboot();
        world.start();
        world
    }

    pub(super) fn boot_name(&self) -> String {
        format!("boot-{}", self.boot)
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            boot_ms: (self.now - self.booted) as u64,
            wall: Time::from_millis(self.now + self.error_ms),
        }
    }

    pub(super) fn at_ms(&self) -> i64 {
        self.now - self.booted
    }

    /// The gateway boots; its clock may have lost the time.
    fn reboot(&mut self) {
        self.boot += 1;
        self.booted = self.now - self.rng.i64(5_000..60_000);
        if self.rng.u8(..4) == 0 {
            self.letter = ClockStatus::U;
            self.error_ms = -self.booted;
            self.set_at = self.now + self.rng.i64(0..3 * 3_600_000);
        } else {
            self.letter = ClockStatus::I;
            self.error_ms = self.rng.i64(-3_000..3_000);
        }
    }

    /// The agent starts.
    fn start(&mut self) {
        let boot = self.boot_name();
        self.recorder = recorder(&boot, self.plan.seed);
        self.trust();
        let body = LeafBody::Boot(Boot {
            version: "1".to_owned(),
            build: "sha256:0".to_owned(),
            previous: Shutdown::None,
            clock: self.letter,
            error_ms: None,
        });
        let at = self.stamp();
        self.disk.append(&boot, &[Entry { at, body }]);
        let folded = self.disk.recall(&mut self.rng);
        self.lives += 1;
        let life = self.lives;
        for place in 0..self.machines.len() {
            // It may crash while it starts.
            if self.lives != life {
                return;
            }
            let memory = folded.memory(&self.machines[place].map.machine).cloned();
            self.join(
                place,
                Resume {
                    seq_next: 1,
                    evidence: None,
                    absent: true,
                    memory: memory.map(Box::new),
                    reason: GapReason::Agent,
                },
            );
        }
    }

    fn join(&mut self, place: usize, resume: Resume) {
        let (now, boot) = (self.stamp(), self.boot_name());
        self.slots += 1;
        let machine = &mut self.machines[place];
        machine.slot = Slot(self.slots);
        machine.watches.push(Watch {
            boot,
            join_ms: now.millis(),
            readings: Vec::new(),
            remembered_ms: now.millis(),
        });
        machine.portal.is_news = true;
        let map = Arc::clone(&machine.map);
        self.recorder.join(Slot(self.slots), map, resume, now);
        self.handle(&Input::Tick(now));
    }

    fn handle(&mut self, input: &Input) {
        self.trust();
        let commit = self.recorder.handle(input);
        self.keep(commit);
    }

    fn keep(&mut self, commit: Commit) {
        let boot = self.boot_name();
        let is_urgent = !commit.changes.is_empty() || !commit.answers.is_empty();
        let is_last = match self.plan.crash {
            Crash::Sometimes => !commit.leaves.is_empty() && self.rng.u32(..1_500) == 0,
            Crash::After(leaves) => {
                self.crashed == 0 && self.disk.leaves.len() + commit.leaves.len() >= leaves
            }
        };
        if is_last {
            // The power fails among the leaves, or between them and the record.
            let durable = match self.plan.crash {
                Crash::Sometimes => self.rng.usize(..=commit.leaves.len()),
                Crash::After(leaves) => leaves.saturating_sub(self.disk.leaves.len()),
            };
            self.disk.append(&boot, &commit.leaves[..durable]);
            return self.crash();
        }
        self.disk.append(&boot, &commit.leaves);
        if is_urgent || self.rng.u8(..3) == 0 {
            self.write();
        }
    }

    fn write(&mut self) {
        self.disk.write(&self.recorder, &mut self.rng);
        for (name, memory) in self.recorder.memory() {
            let mut machines = self.machines.iter_mut();
            let machine = machines
                .find(|machine| machine.map.machine == *name)
                .unwrap();
            if let Some(watch) = machine.watches.last_mut() {
                watch.remembered_ms = memory.running.unwrap().usage.frontier_ms();
            }
        }
    }

    /// The agent ends at once, and starts again after a while.
    fn crash(&mut self) {
        self.crashed += 1;
        if self.plan.crash == Crash::Sometimes && self.rng.u8(..24) == 0 {
            self.disk.lose_record();
            for machine in &mut self.machines {
                if let Some(watch) = machine.watches.last_mut() {
                    watch.remembered_ms = watch.join_ms;
                }
            }
        }
        self.now += match self.rng.u8(..3) {
            0 => self.rng.i64(1..5_000),
            1 => self.rng.i64(1..600_000),
            _ => self.rng.i64(1..12 * 3_600_000),
        };
        if self.rng.bool() {
            self.reboot();
        }
        self.start();
    }

    pub(super) fn run(&mut self) {
        let end = START_MS + self.plan.days as i64 * DAY_MS;
        while self.now < end {
            self.now += self.rng.i64(250..self.plan.step_s_max as i64 * 1_000);
            self.misfortune();
            for place in 0..self.machines.len() {
                self.read(place);
                self.visit(place);
            }
            let tick = Input::Tick(self.stamp());
            self.handle(&tick);
        }
        // The clock is set and everything that is over is concluded.
        (self.error_ms, self.letter) = (0, ClockStatus::S);
        for _ in 0..3 {
            self.now += 1_000;
            let tick = Input::Tick(self.stamp());
            self.handle(&tick);
            for place in 0..self.machines.len() {
                self.visit(place);
            }
        }
        let rest = self.recorder.finish();
        let boot = self.boot_name();
        self.disk.append(&boot, &rest.leaves);
        self.write();
    }

    /// What befalls the gateway.
    fn misfortune(&mut self) {
        if self.letter == ClockStatus::U && self.now >= self.set_at {
            (self.letter, self.error_ms) = (ClockStatus::S, self.rng.i64(-200..200));
        }
        // Slewing.
        self.error_ms += self.rng.i64(-20..=20);
        let days = self
            .rng
            .u64(..86_400_000 / (self.plan.step_s_max * 500) * 6);
        match days {
            0 => self.error_ms += self.rng.i64(-20_000..20_000),
            1 => {
                self.error_ms += if self.rng.bool() {
                    3_600_000
                } else {
                    -3_600_000
                }
            }
            2 => self.error_ms -= 1_000,
            3 if self.letter != ClockStatus::U => self.error_ms = 0,
            4 => {
                // A clean stop.
                let rest = self.recorder.finish();
                let boot = self.boot_name();
                self.disk.append(&boot, &rest.leaves);
                self.write();
                self.crash();
            }
            5 | 6 => self.crash(),
            7 => self.change_map(),
            8 => {
                self.letter = if self.letter == ClockStatus::S {
                    ClockStatus::I
                } else {
                    self.letter
                }
            }
            _ => {}
        }
    }

    fn change_map(&mut self) {
        let place = self.rng.usize(..self.machines.len());
        let machine = &mut self.machines[place];
        let slot = machine.slot;
        let mut map = (*machine.map).clone();
        map.hash = format!("sha256:{}", self.slots);
        machine.map = Arc::new(map);
        let mut commit = Commit::default();
        let resume = self.recorder.leave(slot, &mut commit).unwrap();
        let boot = self.boot_name();
        self.disk.append(&boot, &commit.leaves);
        self.now += self.rng.i64(0..2_000);
        self.join(place, resume);
    }

    /// A machine lives on, and is read.
    fn read(&mut self, place: usize) {
        let (now, at, stamp) = (self.now, self.at_ms(), self.stamp());
        let rng = &mut self.rng;
        let machine = &mut self.machines[place];
        if now >= machine.mode_until {
            let weights = [3, 3, 0, 1, 3, 3, 4, 4, 5, 5, 5, 5, 6];
            machine.mode = weights[rng.usize(..weights.len())];
            let longest = if rng.u8(..3) == 0 {
                8 * 3_600_000
            } else {
                1_800_000
            };
            machine.mode_until = now + rng.i64(1_000..longest);
        }
        if now >= machine.link_until {
            machine.is_linked = !machine.is_linked || rng.u8(..4) == 0;
            let longest = if machine.is_linked {
                DAY_MS
            } else {
                2 * 3_600_000
            };
            machine.link_until = now + rng.i64(1_000..longest);
        }
        machine.energy = (machine.energy + rng.u64(0..50)) % 65_536;
        let mode = machine.mode;
        let reading = |value: u64| match machine.is_linked {
            true => Ok(Value::Uint(value)),
            false => Err(Bad::Timeout),
        };
        let samples = vec![
            Sample {
                point: 0,
                reading: reading(mode as u64),
            },
            Sample {
                point: 1,
                reading: reading(machine.energy),
            },
        ];
        if machine.is_linked {
            let watch = machine.watches.last_mut().unwrap();
            watch.readings.push((at, STATES[mode]));
        }
        let batch = Batch {
            slot: machine.slot,
            group: 0,
            at: stamp,
            source: None,
            samples,
        };
        self.handle(&Input::Seen(Observation::Batch(batch)));
    }

    /// The portal, and people at the machine.
    fn visit(&mut self, place: usize) {
        let (wall, stamp) = (Time::from_millis(self.now), self.stamp());
        let machine = &mut self.machines[place];
        let name: Identifier = machine.map.machine.clone();
        machine.portal.live(wall, &mut self.rng);
        let booked = machine.portal.present(wall).cloned();
        if std::mem::take(&mut machine.portal.is_news) {
            let bookings: Arc<[_]> = machine.portal.sent.clone().into();
            self.handle(&Input::Bookings {
                machine: name.clone(),
                bookings,
                at: stamp,
            });
        }
        let stamp = self.stamp();
        match self.rng.u32(..2_000) {
            0..4 => self.handle(&Input::CheckIn {
                machine: name,
                booking: None,
                class: Some(Class::Trn),
                check_in: CheckIn::Local,
                word: None,
                by: Some("someone".to_owned()),
                at: stamp,
            }),
            4..16 => {
                let away_ms = self.rng.i64(0..3 * 3_600_000) * self.rng.i64(0..2);
                let word = booked.as_ref().map(|booking| Word {
                    booking: booking.clone(),
                    issued: wall.plus_millis(-away_ms),
                });
                self.handle(&Input::CheckIn {
                    machine: name,
                    booking: booked.map(|booking| booking.id),
                    class: None,
                    check_in: CheckIn::Portal,
                    word: word.map(Box::new),
                    by: None,
                    at: stamp,
                });
            }
            16..24 => self.handle(&Input::CheckOut {
                machine: name,
                by: None,
                at: stamp,
            }),
            _ => {}
        }
    }

    /// Bookings whose time is over, by machine.
    pub(super) fn over(&self) -> Vec<(Identifier, String)> {
        let mut over = Vec::new();
        for machine in &self.machines {
            let ids = machine.portal.over.iter();
            over.extend(ids.map(|id| (machine.map.machine.clone(), id.clone())));
        }
        over
    }
}

fn recorder(boot: &str, seed: u64) -> Recorder {
    let origin = Origin {
        site: "site".parse().unwrap(),
        gateway: "gw".parse().unwrap(),
        boot: boot.to_owned(),
        heartbeat: Duration::from_secs(30),
    };
    let telemetry = Telemetry {
        batch: Duration::from_secs(1),
        full_every: Duration::from_secs(600),
        publish: Publish::All,
        external: External::Withhold,
    };
    let rules = Rules {
        check_in: if seed % 3 == 0 {
            CheckInMode::Required
        } else {
            CheckInMode::Implied
        },
        ..Rules::default()
    };
    Recorder::new(origin, telemetry, rules, "stream")
}
