//! A machine and its recorder, driven by the minute, and what its ledger says of sessions in few words.

use lineside_proto::booking::{Allowed, Booking};
use lineside_proto::ledger::{Bind, GapReason, LeafBody, SessionEvent};
use lineside_proto::{CheckIn, Class, ClockStatus, State, Time};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stamp;
use crate::config::model::{CheckInMode, External, Publish, Telemetry};
use crate::machine::account::Word;
use crate::machine::availability::Origin;
use crate::machine::recorder::{Commit, Input, Recorder, Resume};
use crate::machine::session::{Rules, SessionRefusal};
use crate::machine::testing;
use crate::record::{Entry, RecordKind};
use crate::sample::{Batch, Observation, Sample, Slot, Value};

const MINUTE_MS: i64 = 60_000;
/// Minute 0: 08:00.
const START_MS: i64 = 1_795_420_800_000;
const BOOT_MS: i64 = 50_000_000;

pub(super) fn at(minute: i64) -> Stamp {
    Stamp {
        boot_ms: (BOOT_MS + minute * MINUTE_MS) as u64,
        wall: Time::from_millis(START_MS + minute * MINUTE_MS),
    }
}

fn minute_of(time: Time) -> String {
    let ms = time.as_millis() - START_MS;
    assert_eq!(ms % MINUTE_MS, 0, "{time}");
    (ms / MINUTE_MS).to_string()
}

pub(super) struct Scene {
    pub(super) recorder: Recorder,
    pub(super) leaves: Vec<Entry>,
    pub(super) minute: i64,
    /// The wall clock is so far behind.
    pub(super) behind_ms: i64,
    state: State,
}

impl Scene {
    pub(super) fn new(check_in: CheckInMode) -> Self {
        let origin = Origin {
            site: "site".parse().unwrap(),
            gateway: "gw".parse().unwrap(),
            boot: "boot".to_owned(),
            heartbeat: Duration::from_secs(30),
        };
        let telemetry = Telemetry {
            batch: Duration::from_secs(1),
            full_every: Duration::from_secs(600),
            publish: Publish::All,
            external: External::Withhold,
        };
        let rules = Rules {
            check_in,
            ..Rules::default()
        };
        let mut scene = Self {
            recorder: Recorder::new(origin, telemetry, rules, "stream"),
            leaves: Vec::new(),
            minute: -60,
            behind_ms: 0,
            state: State::Idle,
        };
        scene.recorder.set_clock(ClockStatus::S, None);
        scene.join(Resume {
            seq_next: 1,
            evidence: None,
            absent: true,
            memory: None,
            reason: GapReason::Agent,
        });
        scene.read();
        scene
    }

    pub(super) fn join(&mut self, resume: Resume) {
        let rules: Vec<(String, String)> = State::ALL[1..]
            .iter()
            .map(|state| (state.to_string(), format!("mode == {}", *state as u8)))
            .collect();
        let rules: Vec<(&str, &str)> = rules
            .iter()
            .map(|(state, when)| (&**state, &**when))
            .collect();
        let map = testing::machine(vec![testing::point("mode")], &rules);
        let mut map = (*map).clone();
        map.groups[0].stale_after = Duration::from_secs(180);
        self.recorder
            .join(Slot(1), Arc::new(map), resume, at(self.minute));
    }

    fn now(&self) -> Stamp {
        let Stamp { boot_ms, wall } = at(self.minute);
        Stamp {
            boot_ms,
            wall: wall.plus_millis(-self.behind_ms),
        }
    }

    fn give(&mut self, input: &Input) -> Commit {
        let mut commit = self.recorder.handle(input);
        self.leaves.append(&mut commit.leaves);
        commit
    }

    fn read(&mut self) -> Commit {
        let value = Value::Uint(self.state as u64);
        let now = self.now();
        self.give(&Input::Seen(Observation::Batch(Batch {
            slot: Slot(1),
            group: 0,
            at: now,
            source: None,
            samples: vec![Sample {
                point: 0,
                reading: Ok(value),
            }],
        })))
    }

    /// Whether what the source remembers of this minute is told.
    pub(super) fn recall(&mut self, minute: i64) -> bool {
        let batch = Batch {
            slot: Slot(1),
            group: 0,
            at: at(self.minute),
            source: Some(at(minute).wall),
            samples: vec![Sample {
                point: 0,
                reading: Ok(Value::Uint(1)),
            }],
        };
        let mut records = self.give(&Input::Seen(Observation::History(batch))).records;
        records.append(&mut self.recorder.finish().records);
        let mut kinds = records.iter().map(|record| record.kind);
        kinds.any(|kind| matches!(kind, RecordKind::Telemetry { .. }))
    }

    /// The machine is in this state from this minute on.
    pub(super) fn until(&mut self, minute: i64, state: State) -> Commit {
        let mut last = Commit::default();
        while self.minute < minute {
            self.minute += 1;
            if self.minute == minute {
                self.state = state;
            }
            last = self.read();
        }
        last
    }

    pub(super) fn book(&mut self, bookings: &[Booking]) -> Commit {
        self.give(&Input::Bookings {
            machine: "m".parse().unwrap(),
            bookings: bookings.into(),
            at: at(self.minute),
        })
    }

    pub(super) fn arrive(
        &mut self,
        booking: Option<&str>,
        class: Option<Class>,
    ) -> Result<String, SessionRefusal> {
        let check_in = if class.is_some() {
            CheckIn::Local
        } else {
            CheckIn::Portal
        };
        let commit = self.give(&Input::CheckIn {
            machine: "m".parse().unwrap(),
            booking: booking.map(str::to_owned),
            class,
            check_in,
            word: None,
            by: None,
            at: at(self.minute),
        });
        commit.answers.into_iter().next().unwrap()
    }

    /// A check-in by the portal, issued at this minute, comes now.
    pub(super) fn arrive_at(
        &mut self,
        minute: i64,
        booking: &Booking,
    ) -> Result<String, SessionRefusal> {
        let commit = self.give(&Input::CheckIn {
            machine: "m".parse().unwrap(),
            booking: Some(booking.id.clone()),
            class: None,
            check_in: CheckIn::Portal,
            word: Some(Box::new(Word {
                booking: booking.clone(),
                issued: at(minute).wall,
            })),
            by: None,
            at: at(self.minute),
        });
        commit.answers.into_iter().next().unwrap()
    }

    pub(super) fn depart(&mut self) -> Result<String, SessionRefusal> {
        let commit = self.give(&Input::CheckOut {
            machine: "m".parse().unwrap(),
            by: None,
            at: at(self.minute),
        });
        commit.answers.into_iter().next().unwrap()
    }

    /// Sessions, bindings and outcomes in few words; minutes.
    pub(super) fn told(&self) -> Vec<String> {
        let told = self.leaves.iter().filter_map(|entry| match &entry.body {
            LeafBody::Session(said) => {
                let booking = said.booking.as_deref().unwrap_or("-");
                Some(match said.event {
                    SessionEvent::Open => {
                        format!("open {} {booking} {}", said.class, minute_of(said.from))
                    }
                    SessionEvent::Close => {
                        let reason = serde_json::to_string(&said.reason.unwrap()).unwrap();
                        format!(
                            "close {} {} {}",
                            minute_of(said.from),
                            minute_of(said.to.unwrap()),
                            reason.trim_matches('"')
                        )
                    }
                })
            }
            LeafBody::Booking(said) => Some(format!("{} {}", said.booking, said.outcome)),
            LeafBody::Bind(Bind {
                booking,
                class,
                before,
                ..
            }) => Some(format!("bind {booking} {before} {class}")),
            _ => None,
        });
        told.collect()
    }

    /// The same without times.
    pub(super) fn words(&self) -> Vec<String> {
        let told = self.leaves.iter().filter_map(|entry| match &entry.body {
            LeafBody::Session(said) => {
                let booking = said.booking.as_deref().unwrap_or("-");
                let event = serde_json::to_string(&said.event).unwrap();
                Some(format!(
                    "{} {} {booking}",
                    event.trim_matches('"'),
                    said.class
                ))
            }
            LeafBody::Booking(said) => Some(format!("{} {}", said.booking, said.outcome)),
            _ => None,
        });
        told.collect()
    }

    pub(super) fn check(&self, expected: &[&str]) {
        assert_eq!(self.told(), expected);
    }
}

pub(super) fn booking(id: &str, from: i64, to: i64, class: Class) -> Booking {
    Booking {
        id: id.to_owned(),
        token: Some(format!("sha256:{id}")),
        class,
        start: at(from).wall,
        end: at(to).wall,
        issued: at(-600).wall,
        data: Allowed::None,
    }
}
