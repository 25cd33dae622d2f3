//! What must not happen, whatever comes from outside and whenever it comes.

use lineside_proto::booking::Booking;
use lineside_proto::{Class, ClockStatus, State};

use super::scene::{Scene, at, booking};
use crate::config::model::CheckInMode;
use crate::machine::recorder::Commit;
use crate::machine::session::SessionRefusal;
use crate::sample::Slot;

use State::{Idle, Run};

/// Minutes of 40 days.
const FAR: i64 = 40 * 24 * 60;

#[test]
fn calling_off_a_booking_far_ahead_revives_no_other() {
    let mut scene = Scene::new(CheckInMode::Implied);
    let (near, far) = (
        booking("a", 0, 60, Class::Ext),
        booking("c", FAR, FAR + 60, Class::Ext),
    );
    scene.book(&[near.clone(), far]);
    scene.until(0, Run);
    scene.until(58, Idle);
    scene.until(80, Idle);
    scene.book(std::slice::from_ref(&near));
    scene.until(85, Idle);
    scene.book(&[near]);
    let told = scene.told();
    let outcomes = told.iter().filter(|told| told.starts_with("a "));
    assert_eq!(outcomes.count(), 1, "{told:?}");
}

#[test]
fn a_booking_that_is_long_over_has_no_outcome_any_more() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.until(0, Idle);
    scene.book(&[booking("old", -FAR, -FAR + 60, Class::Ext)]);
    scene.until(5, Idle);
    scene.check(&[]);
}

#[test]
fn a_check_in_that_comes_after_an_outage_binds_what_ran_since() {
    // It comes while the session runs, after it has ended, and after the booking's window.
    for (ends, comes) in [(90, 40), (30, 50), (30, 80)] {
        let mut scene = Scene::new(CheckInMode::Required);
        let a = booking("a", 0, 60, Class::Ext);
        scene.book(std::slice::from_ref(&a));
        scene.until(2, Run);
        if ends < comes {
            scene.until(ends, Idle);
        }
        scene.until(comes, if ends < comes { Idle } else { Run });
        scene.arrive_at(0, &a).unwrap();
        scene.until(comes + 20, Idle);
        scene.until(comes + 120, Idle);
        let told = scene.told();
        let bound = told.iter().filter(|told| *told == "bind a UNB EXT").count();
        let opened = told.iter().filter(|told| told.starts_with("open EXT"));
        assert_eq!((bound, opened.count()), (1, 0), "{comes}: {told:?}");
        // The broker keeps it and sends it again.
        let again = scene.arrive_at(0, &a);
        assert_eq!(again, Err(SessionRefusal::Used("a".to_owned())));
    }
}

#[test]
fn a_late_check_in_binds_nothing_from_before_it() {
    // Ran before somebody checked in; a token that was issued when the session ran already; without a token.
    let a = booking("a", 0, 60, Class::Ext);
    let issued_later = Booking {
        issued: at(10).wall,
        ..a.clone()
    };
    let unsigned = Booking {
        token: None,
        class: Class::Own,
        ..a.clone()
    };
    for (booking, from) in [(a, -20), (issued_later, 5), (unsigned, 5)] {
        let mut scene = Scene::new(CheckInMode::Required);
        scene.book(std::slice::from_ref(&booking));
        scene.until(from, Run);
        scene.until(20, Run);
        scene.arrive_at(1, &booking).unwrap();
        scene.until(40, Idle);
        let told = scene.told();
        assert!(
            !told.iter().any(|told| told.starts_with("bind")),
            "{told:?}"
        );
        assert!(
            told.contains(&format!("open {} a 20", booking.class)),
            "{told:?}"
        );
    }
}

#[test]
fn a_booking_is_recognised_when_the_clock_is_set() {
    let mut scene = Scene::new(CheckInMode::Implied);
    scene.book(&[booking("a", 0, 60, Class::Ext)]);
    // The gateway starts without knowing the time, and the renter works already.
    scene.recorder.set_clock(ClockStatus::U, None);
    scene.behind_ms = 20_000 * 86_400_000;
    scene.until(10, Run);
    scene.until(20, Run);
    scene.behind_ms = 0;
    scene.recorder.set_clock(ClockStatus::S, None);
    scene.until(30, Run);
    let told = scene.words();
    assert!(told.iter().any(|told| told == "open EXT a"), "{told:?}");
    scene.until(58, Idle);
    scene.until(70, Idle);
    let told = scene.words();
    assert_eq!(told.last().map(String::as_str), Some("a fulfilled"));
}

#[test]
fn a_check_in_does_not_outlive_its_machine() {
    let mut scene = Scene::new(CheckInMode::Required);
    scene.until(0, Idle);
    scene.minute += 1;
    scene.arrive(None, Some(Class::Own)).unwrap();
    let mut commit = Commit::default();
    let mut resume = scene.recorder.leave(Slot(1), &mut commit).unwrap();
    let memory = resume.memory.as_mut().unwrap();
    super::super::retire(&"m".parse().unwrap(), memory, at(scene.minute));
    scene.minute = 30;
    scene.join(resume);
    scene.until(60, Idle);
    scene.check(&[]);
}

#[test]
fn what_was_withheld_before_a_restart_is_not_told_by_a_source_later() {
    let a = booking("a", 0, 60, Class::Ext);
    // A session over or running, and a slot in which nobody came; the source tells of a minute before and in it.
    for (comes, stops, minute, is_told) in [
        (0, 80, 10, false),
        (0, 30, 10, false),
        (-10, 80, -5, false),
        (200, 80, 30, false),
        (0, 80, -30, true),
    ] {
        let mut scene = Scene::new(CheckInMode::Implied);
        scene.book(std::slice::from_ref(&a));
        scene.until(comes.min(stops), if comes < stops { Run } else { Idle });
        scene.until(stops.min(58).max(comes.min(stops)), Idle);
        scene.until(stops, Idle);
        let mut commit = Commit::default();
        let resume = scene.recorder.leave(Slot(1), &mut commit).unwrap();
        scene.minute = stops + 2;
        scene.join(resume);
        let told = scene.recall(minute);
        assert_eq!(told, is_told, "{comes} {stops} {minute}");
    }
}

#[test]
fn a_late_token_binds_what_overran_but_not_what_is_the_next_ones() {
    let (a, unbooked) = (booking("a", 0, 60, Class::Ext), "open UNB - 0");
    let bound = [unbooked, "bind a UNB EXT", "close 0 90 ended", "a overrun"];
    let not_bound = [unbooked, "a fulfilled", "close 0 90 idle"];
    for (next, expected) in [(120, &bound[..]), (60, &not_bound[..])] {
        let mut scene = Scene::new(CheckInMode::Required);
        let next = booking("b", next, next + 60, Class::Own);
        scene.book(std::slice::from_ref(&next));
        scene.until(0, Run);
        scene.until(70, Run);
        scene.book(&[a.clone(), next]);
        scene.until(90, Idle);
        scene.until(110, Idle);
        scene.check(expected);
    }
}

#[test]
fn a_check_in_after_the_window_in_which_nothing_ran_is_refused_aloud() {
    let mut scene = Scene::new(CheckInMode::Required);
    let a = booking("a", 0, 60, Class::Ext);
    scene.book(std::slice::from_ref(&a));
    scene.until(80, Idle);
    let refused = scene.arrive_at(0, &a);
    assert_eq!(refused, Err(SessionRefusal::NoBooking("a".to_owned())));
}
