//! What the machines of the sample year do, when, and whose it is: written before anybody watches, so that it can
//! be held against what the ledger says.

use fastrand::Rng;
use lineside_proto::{Class, State};

use super::calendar::MINUTE_MS;
use super::machines::Machine;

/// A machine is in a state from a moment on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Phase {
    /// In true wall time, Unix milliseconds.
    pub(super) at: i64,
    pub(super) state: State,
    /// Whose its activity is; none of states that are no activity.
    pub(super) class: Option<Class>,
    /// What the machine draws.
    pub(super) watts: i64,
    /// Its process value.
    pub(super) value: f64,
    /// How much of RUN its own hour counter counts, in thousandths.
    pub(super) counts_pm: i64,
}

/// An organisation that books, as the portal's pseudonym.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Org {
    pub(super) id: &'static str,
    pub(super) kind: &'static str,
    pub(super) region: &'static str,
}

/// Whom the machines are rented to, and who they are not.
pub(super) const ORGS: [Org; 9] = [
    org("org-7f21", "sme", "zhongshan"),
    org("org-b803", "sme", "zhongshan"),
    org("org-19ce", "sme", "jiangmen"),
    org("org-e45a", "university", "guangzhou"),
    org("org-02d9", "institute", "guangzhou"),
    org("org-c617", "sme", "zhuhai"),
    org("org-5aa0", "sme", "foshan"),
    org("org-d3f4", "large", "shenzhen"),
    org("org-866b", "sme", "zhongshan"),
];
/// The platform's own organisation.
pub(super) const OWN: Org = org("org-own", "platform", "zhongshan");
/// A second pseudonym of the platform's own organisation, of which the gateway was never told.
pub(super) const OWN_HIDDEN: Org = org("org-own-lab", "sme", "zhongshan");
/// An affiliate that the portal books as one.
pub(super) const AFFILIATE: Org = org("org-aff-1", "large", "zhongshan");
/// An affiliate that is booked as another company; the gateway was never told.
pub(super) const AFFILIATE_HIDDEN: Org = org("org-aff-2", "sme", "zhongshan");

const fn org(id: &'static str, kind: &'static str, region: &'static str) -> Org {
    Org { id, kind, region }
}

/// A booking, as the portal has it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Booked {
    pub(super) id: String,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) class: Class,
    pub(super) org: Org,
    pub(super) issued: i64,
    /// When the gateway is told.
    pub(super) told: i64,
    /// When somebody checks in at the portal.
    pub(super) check_in: Option<i64>,
}

/// Somebody at the machine does something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Checks in without a booking.
    CheckIn(Class),
    /// Checks out.
    CheckOut,
}

/// A machine's year.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    /// In order of time.
    pub(super) phases: Vec<Phase>,
    pub(super) booked: Vec<Booked>,
    pub(super) deeds: Vec<(i64, Deed)>,
    /// When nothing can be read from it.
    pub(super) unlinked: Vec<(i64, i64)>,
}

/// How a use of the machine goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Course {
    /// As booked.
    Usual,
    /// Beyond the end.
    Over,
    /// Not nearly to the end.
    Early,
    /// The machine breaks down.
    Fault,
    /// The machine breaks down, for the most of it.
    LongFault,
    /// Nobody comes.
    Absent,
}

/// Writes the script of one machine.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) machine: &'a Machine,
    pub(super) rng: Rng,
    pub(super) script: Script,
    /// How much of RUN the hour counter counts from now on.
    pub(super) counts_pm: i64,
}

impl Writer<'_> {
    /// The machine is in a state from a moment on, unless it is already.
    pub(super) fn put(&mut self, at: i64, state: State, class: Option<Class>) {
        let watts = self.machine.watts(state);
        let noise_pm = self.rng.i64(950..1_050);
        self.put_phase(Phase {
            at,
            state,
            class,
            watts: watts * noise_pm / 1_000,
            value: Machine::value(state),
            counts_pm: self.counts_pm,
        });
    }

    /// The same, with all that it shows.
    pub(super) fn put_phase(&mut self, phase: Phase) {
        if let Some(last) = self.script.phases.last_mut() {
            if last.state == phase.state && last.class == phase.class && last.value == phase.value {
                return;
            }
            // A phase that another replaces at once never was.
            if last.at >= phase.at {
                *last = Phase {
                    at: last.at,
                    ..phase
                };
                return;
            }
        }
        self.script.phases.push(phase);
    }

    /// A moment near another, so that nothing falls on the full minute.
    pub(super) fn near(&mut self, at: i64, minutes: i64) -> i64 {
        at + self.rng.i64(0..minutes.max(1) * MINUTE_MS)
    }

    /// Books the machine.
    pub(super) fn book(&mut self, start: i64, end: i64, class: Class, org: Org) {
        let days = self.rng.i64(1..6);
        let number = self.script.booked.len() + 1;
        let issued = start - days * super::calendar::DAY_MS - self.rng.i64(0..3_600_000);
        self.script.booked.push(Booked {
            id: format!("{}-{number:04}", self.machine.name),
            start,
            end,
            class,
            org,
            issued,
            told: issued,
            check_in: None,
        });
    }

    /// Uses the machine for a booking's slot.
    pub(super) fn use_slot(&mut self, start: i64, end: i64, class: Class, course: Course) {
        let ready = start + self.rng.i64(-20 * MINUTE_MS..10 * MINUTE_MS);
        let until = match course {
            Course::Absent => return,
            Course::Usual | Course::Fault | Course::LongFault => {
                end - self.rng.i64(MINUTE_MS..12 * MINUTE_MS)
            }
            Course::Over => end - 3 * MINUTE_MS,
            Course::Early => start + (end - start) * self.rng.i64(30..55) / 100,
        };
        if matches!(course, Course::Fault | Course::LongFault) {
            let broken = start + (end - start) / 4 + self.rng.i64(0..10 * MINUTE_MS);
            self.work(ready, broken, class);
            self.put(broken, State::Down, None);
            let mended = if course == Course::Fault {
                broken + self.rng.i64(20 * MINUTE_MS..45 * MINUTE_MS)
            } else {
                until
            };
            let mended = mended.min(until - 5 * MINUTE_MS);
            self.put(mended, State::Idle, None);
            self.work(mended + 4 * MINUTE_MS, until, class);
        } else {
            self.work(ready, until, class);
        }
        if course == Course::Over {
            // Without a pause beyond the end: after one, it would be another session.
            self.put(end - 2 * MINUTE_MS, State::Run, Some(class));
            let until = end + self.rng.i64(8 * MINUTE_MS..30 * MINUTE_MS);
            self.put(until, State::Idle, None);
        }
    }

    /// Sets up, runs, pauses, and stands ready afterwards.
    pub(super) fn work(&mut self, from: i64, until: i64, class: Class) {
        let mut at = from;
        self.put(at, State::Setup, Some(class));
        at += self.rng.i64(6 * MINUTE_MS..18 * MINUTE_MS);
        loop {
            self.put(at, State::Run, Some(class));
            at += self.rng.i64(40 * MINUTE_MS..150 * MINUTE_MS);
            // What is left is part of this run.
            if until - at < 12 * MINUTE_MS {
                break;
            }
            let (pause, owner) = match self.rng.u8(..3) {
                0 => (State::Hold, Some(class)),
                1 => (State::Setup, Some(class)),
                _ => (State::Idle, None),
            };
            self.put(at, pause, owner);
            at += self.rng.i64(2 * MINUTE_MS..9 * MINUTE_MS);
        }
        self.put(until, State::Idle, None);
    }
}
