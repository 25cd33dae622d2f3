//! Sessions as a table: what happens to a machine by the minute, and what its ledger says of it.

#![expect(
    clippy::cast_sign_loss,
    clippy::wildcard_enum_match_arm,
    reason = "minutes of a script, and the few leaves that matter"
)]

mod hostile;
mod scene;

use lineside_proto::booking::Booking;
use lineside_proto::ledger::{GapReason, LeafBody};
use lineside_proto::{AvailableNow, Class, State};

use crate::config::model::CheckInMode;
use crate::machine::recorder::Commit;
use crate::machine::session::SessionRefusal;
use crate::sample::Slot;
use scene::{Scene, at, booking};

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

#[test]
fn a_gap_across_boots_begins_where_the_other_boot_ended() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.until(20, Idle);
    let mut resume = scene
        .recorder
        .leave(Slot(1), &mut Commit::default())
        .unwrap();
    let mut memory = *resume.memory.take().unwrap();
    // That boot had lasted a week longer than this one has.
    let mut running = serde_json::to_value(&memory.running).unwrap();
    running["boot"] = "before".into();
    for moment in ["from_ms", "to_ms", "hour_ms"] {
        let moment = &mut running["usage"]["open"][moment];
        *moment = (moment.as_i64().unwrap() + 7 * 86_400_000).into();
    }
    memory.running = serde_json::from_value(running).unwrap();
    resume.memory = Some(Box::new(memory));
    scene.minute = 22;
    scene.join(resume);
    scene.until(23, Idle);
    let gaps: Vec<_> = scene
        .leaves
        .iter()
        .filter_map(|entry| match &entry.body {
            LeafBody::Gap(said) => Some((said.from, said.to, said.ms)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(at(20).wall, at(22).wall, Some(2 * 60_000))]);
}
