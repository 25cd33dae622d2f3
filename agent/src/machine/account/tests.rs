//! Sessions as a table: what happens to a machine by the minute, and what its ledger says of it.

#![expect(
    clippy::cast_sign_loss,
    clippy::wildcard_enum_match_arm,
    reason = "minutes of a script, and the few leaves that matter"
)]

use lineside_proto::booking::{Allowed, Booking};
use lineside_proto::ledger::{Bind, GapReason, LeafBody, SessionEvent};
use lineside_proto::{AvailableNow, CheckIn, Class, State, Time};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stamp;
use crate::config::model::{CheckInMode, External, Publish, Telemetry};
use crate::machine::availability::Origin;
use crate::machine::recorder::{Commit, Input, Recorder, Resume};
use crate::machine::session::{Rules, SessionRefusal};
use crate::machine::testing;
use crate::record::Entry;
use crate::sample::{Batch, Observation, Sample, Slot, Value};

const MINUTE_MS: i64 = 60_000;
/// Minute 0: 08:00.
const START_MS: i64 = 1_795_420_800_000;
const BOOT_MS: i64 = 50_000_000;

fn at(minute: i64) -> Stamp {
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

struct Scene {
    recorder: Recorder,
    leaves: Vec<Entry>,
    minute: i64,
    state: State,
}

impl Scene {
    fn new(check_in: CheckInMode) -> Self {
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
            state: State::Idle,
        };
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

    fn join(&mut self, resume: Resume) {
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

    fn give(&mut self, input: &Input) -> Commit {
        let mut commit = self.recorder.handle(input);
        self.leaves.append(&mut commit.leaves);
        commit
    }

    fn read(&mut self) -> Commit {
        let value = Value::Uint(self.state as u64);
        self.give(&Input::Seen(Observation::Batch(Batch {
            slot: Slot(1),
            group: 0,
            at: at(self.minute),
            source: None,
            samples: vec![Sample {
                point: 0,
                reading: Ok(value),
            }],
        })))
    }

    /// The machine is in this state from this minute on.
    fn until(&mut self, minute: i64, state: State) -> Commit {
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

    fn book(&mut self, bookings: &[Booking]) -> Commit {
        self.give(&Input::Bookings {
            machine: "m".parse().unwrap(),
            bookings: bookings.into(),
            at: at(self.minute),
        })
    }

    fn arrive(
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
            by: None,
            at: at(self.minute),
        });
        commit.answers.into_iter().next().unwrap()
    }

    fn depart(&mut self) -> Result<String, SessionRefusal> {
        let commit = self.give(&Input::CheckOut {
            machine: "m".parse().unwrap(),
            by: None,
            at: at(self.minute),
        });
        commit.answers.into_iter().next().unwrap()
    }

    /// Sessions, bindings and outcomes in few words; minutes.
    fn told(&self) -> Vec<String> {
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

    fn check(&self, expected: &[&str]) {
        assert_eq!(self.told(), expected);
    }
}

fn booking(id: &str, from: i64, to: i64, class: Class) -> Booking {
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

use State::{Hold, Idle, Run};

#[test]
fn activity_without_booking_is_unbooked_and_ends_with_the_activity() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.until(0, Run);
    scene.until(20, Idle);
    scene.until(30, Run);
    scene.until(40, Idle);
    scene.until(54, Idle);
    scene.check(&["open UNB - 0"]);
    scene.until(56, Idle);
    scene.check(&["open UNB - 0", "close 0 40 idle"]);
}

#[test]
fn hold_is_activity_up_to_its_cap() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.until(0, Run);
    scene.until(10, Hold);
    scene.until(60, Hold);
    scene.check(&["open UNB - 0", "close 0 25 idle"]);
    let over: u64 = scene
        .leaves
        .iter()
        .map(|entry| match &entry.body {
            LeafBody::Usage(said) => said.hold_over_ms,
            _ => 0,
        })
        .sum();
    assert!(over >= 15 * 60_000, "{over}");
}

#[test]
fn a_booking_begins_with_activity_in_its_window_and_ends_with_its_slot() {
    let mut scene = Scene::new(CheckInMode::Implied);
    let bookings = [
        booking("a", 0, 60, Class::Ext),
        booking("b", 120, 180, Class::Own),
    ];
    scene.book(&bookings);
    scene.until(-20, Run);
    scene.until(30, Idle);
    let said = scene.until(35, Idle);
    assert!(said.availability.is_empty() || said.availability[0].session.is_some());
    scene.until(64, Idle);
    scene.check(&["open EXT a -20"]);
    scene.until(70, Idle);
    scene.check(&["open EXT a -20", "close -20 60 ended", "a early-leave"]);
    // Nobody comes to the second.
    scene.until(190, Idle);
    scene.check(&[
        "open EXT a -20",
        "close -20 60 ended",
        "a early-leave",
        "b no-show",
    ]);
}

#[test]
fn the_next_booking_ends_an_overrun_and_unbooked_use() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.book(&[
        booking("a", 0, 60, Class::Ext),
        booking("b", 60, 120, Class::Own),
    ]);
    scene.until(-50, Run);
    scene.until(130, Idle);
    scene.until(150, Idle);
    scene.check(&[
        "open UNB - -50",
        "close -50 0 next",
        "open EXT a 0",
        "close 0 60 next",
        "open OWN b 60",
        "a fulfilled",
        "close 60 130 ended",
        "b overrun",
    ]);
}

#[test]
fn where_a_check_in_is_required_activity_opens_no_booking() {
    let mut scene = Scene::new(CheckInMode::Required);
    scene.book(&[booking("a", 0, 60, Class::Ext)]);
    scene.until(-10, Run);
    scene.until(10, Run);
    let id = scene.arrive(Some("a"), None).unwrap();
    assert!(
        matches!(scene.arrive(Some("a"), None), Err(SessionRefusal::Running { session, .. }) if session == id)
    );
    scene.until(50, Idle);
    assert_eq!(scene.depart().unwrap(), id);
    assert_eq!(scene.depart(), Err(SessionRefusal::NoSession));
    scene.until(70, Idle);
    scene.check(&[
        "open UNB - -10",
        "close -10 10 next",
        "open EXT a 10",
        "close 10 50 check-out",
        "a fulfilled",
    ]);
    assert_eq!(
        scene.arrive(Some("a"), None),
        Err(SessionRefusal::Used("a".to_owned()))
    );
}

#[test]
fn a_check_in_needs_a_booking_or_a_class_at_its_time() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.book(&[booking("a", 0, 60, Class::Ext)]);
    scene.until(-40, Idle);
    assert!(matches!(
        scene.arrive(Some("a"), None),
        Err(SessionRefusal::NotNow { .. })
    ));
    assert_eq!(
        scene.arrive(Some("x"), None),
        Err(SessionRefusal::NoBooking("x".to_owned()))
    );
    assert_eq!(scene.arrive(None, None), Err(SessionRefusal::NoClass));
    assert_eq!(
        scene.arrive(None, Some(Class::Ext)),
        Err(SessionRefusal::NoClass)
    );
    let first = scene.arrive(None, Some(Class::Trn)).unwrap();
    let second = scene.arrive(None, Some(Class::Mnt)).unwrap();
    assert_ne!(first, second, "two in the same moment");
    scene.until(-38, Idle);
    scene.until(-20, Idle);
    scene.check(&[
        "open TRN - -40",
        "close -40 -40 next",
        "open MNT - -40",
        "close -40 -40 idle",
    ]);
    // What is decided does not reach there yet.
    scene.minute += 1;
    for _ in 0..16 {
        scene.arrive(None, Some(Class::Own)).unwrap();
    }
    assert_eq!(
        scene.arrive(None, Some(Class::Own)),
        Err(SessionRefusal::Busy)
    );
}

#[test]
fn a_late_token_binds_the_session_that_it_would_have_opened() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.until(0, Run);
    scene.until(20, Run);
    let late = booking("a", 0, 60, Class::Ext);
    let unsigned = Booking {
        token: None,
        ..booking("u", 0, 60, Class::Own)
    };
    let issued_later = Booking {
        issued: at(5).wall,
        ..booking("l", 0, 60, Class::Ext)
    };
    scene.book(&[unsigned.clone(), issued_later.clone(), late.clone()]);
    scene.until(50, Idle);
    scene.until(70, Idle);
    assert_eq!(
        scene.told()[..3],
        ["open UNB - 0", "bind a UNB EXT", "close 0 60 ended"]
    );
    assert!(scene.told().contains(&"a fulfilled".to_owned()));
    let classes: Vec<_> = scene
        .leaves
        .iter()
        .filter_map(|entry| match &entry.body {
            LeafBody::Usage(said) => said.class,
            _ => None,
        })
        .collect();
    assert_eq!(classes.first(), Some(&Class::Unb));
    assert_eq!(classes.last(), Some(&Class::Ext));
    // A session that is over is bound, too; a token opens and binds once.
    scene.until(100, Run);
    scene.until(110, Idle);
    scene.until(140, Idle);
    let over = booking("b", 95, 115, Class::Aff);
    scene.book(&[late, over.clone()]);
    scene.book(&[over]);
    let bound: Vec<_> = scene
        .told()
        .into_iter()
        .filter(|told| told.starts_with("bind"))
        .collect();
    assert_eq!(bound, ["bind a UNB EXT", "bind b UNB AFF"]);
    assert!(
        scene.told().contains(&"b fulfilled".to_owned()),
        "{:?}",
        scene.told()
    );
}

#[test]
fn a_booking_that_is_gone_before_it_begins_was_called_off() {
    let mut scene = Scene::new(CheckInMode::Implied);
    let (a, b) = (
        booking("a", 0, 60, Class::Ext),
        booking("b", 120, 180, Class::Own),
    );
    scene.book(&[a.clone(), b]);
    scene.until(10, Idle);
    scene.book(&[]);
    scene.check(&["b cancelled"]);
    scene.until(66, Idle);
    scene.check(&["b cancelled", "a no-show"]);
    scene.book(&[a]);
    scene.until(80, Idle);
    scene.check(&["b cancelled", "a no-show"]);
}

#[test]
fn availability_tells_session_next_booking_and_maintenance() {
    let mut scene = Scene::new(CheckInMode::Implied);
    let bookings = [
        booking("a", 0, 60, Class::Ext),
        booking("m", 100, 130, Class::Mnt),
    ];
    let said = scene.book(&bookings).availability;
    let next = said[0].next_booking.as_ref().unwrap();
    assert_eq!((next.id.as_str(), next.start), ("a", at(0).wall));
    assert_eq!(said[0].maintenance.as_ref().unwrap().start, at(100).wall);
    assert_eq!(
        (said[0].available_now, said[0].available_from),
        (AvailableNow::Yes, None)
    );
    scene.until(5, Run);
    let said = scene.until(6, Idle).availability.pop().unwrap();
    let session = said.session.unwrap();
    assert_eq!(
        (session.booking.as_deref(), session.class),
        (Some("a"), Class::Ext)
    );
    assert_eq!(
        (session.started, session.expected_end),
        (at(5).wall, Some(at(60).wall))
    );
    assert_eq!(
        (said.state, said.available_now),
        (State::Idle, AvailableNow::No)
    );
    assert_eq!(
        (said.available_from, said.next_booking),
        (Some(at(60).wall), None)
    );
    let said = scene.until(101, Idle).availability.pop().unwrap();
    assert!(said.session.is_none());
    assert_eq!(
        (said.available_now, said.available_from),
        (AvailableNow::No, Some(at(130).wall))
    );
}

#[test]
fn a_session_goes_on_after_a_change_of_the_map_and_ends_once() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.book(&[booking("a", 0, 60, Class::Ext)]);
    scene.until(0, Run);
    scene.until(20, Run);
    let mut commit = Commit::default();
    let resume = scene.recorder.leave(Slot(1), &mut commit).unwrap();
    scene.leaves.append(&mut commit.leaves);
    scene.minute = 22;
    scene.join(resume);
    scene.until(40, Idle);
    scene.until(70, Idle);
    scene.check(&["open EXT a 0", "close 0 60 ended", "a early-leave"]);
    let gaps: Vec<_> = scene
        .leaves
        .iter()
        .filter_map(|entry| match &entry.body {
            LeafBody::Gap(said) => Some((said.reason, said.ms)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(GapReason::Map, Some(2 * 60_000))]);
}
