//! What leaves say.

use super::*;
use crate::ledger::{
    Bind, BookingLeaf, ClockLeaf, CloseReason, ConfigLeaf, Counter, GapLeaf, GapReason, Leaf,
    LeafBody, SessionEvent, SessionLeaf, StateLeaf, UsageLeaf,
};
use crate::{CheckIn, Class, ClockStatus, Outcome, State};

trait Body: Sized {
    fn of(body: &mut LeafBody) -> Option<&mut Self>;
    /// Whether it is the one that is changed.
    fn is_it(&self) -> bool;
}

macro_rules! body {
    ($($kind:ident $leaf:ident $is_it:expr;)*) => {$(
        impl Body for $leaf {
            fn of(body: &mut LeafBody) -> Option<&mut Self> {
                match body {
                    LeafBody::$kind(leaf) => Some(leaf),
                    _ => None,
                }
            }
            fn is_it(&self) -> bool {
                let is_it: fn(&Self) -> bool = $is_it;
                is_it(self)
            }
        }
    )*};
}

body! {
    Usage UsageLeaf |leaf| leaf.class == Some(Class::Ext) && leaf.energy.is_some() && leaf.ms.len() == 1;
    Session SessionLeaf |leaf| leaf.event == SessionEvent::Close && leaf.class == Class::Ext;
    Booking BookingLeaf |leaf| leaf.class == Class::Ext && leaf.session.is_some();
    State StateLeaf |leaf| leaf.to == State::Run;
    Gap GapLeaf |_| true;
    Config ConfigLeaf |_| true;
    Clock ClockLeaf |_| true;
    Bind Bind |_| true;
}

/// The leaf of a kind that is changed: the first in the period, else in the bundle.
fn leaf<T: Body>(sample: &mut Sample, plan: &Plan, change: impl FnOnce(&mut T)) {
    let is_it = |leaf: &mut Leaf| T::of(&mut leaf.body).is_some_and(|leaf| leaf.is_it());
    let inside = |leaf: &Leaf| plan.from <= leaf.head.at && leaf.head.at < plan.to;
    let within = |leaf: &Leaf| (plan.first..plan.end).contains(&leaf.head.index);
    let mut places = 0..sample.leaves.len();
    let place = places
        .clone()
        .find(|place| inside(&sample.leaves[*place]) && is_it(&mut sample.leaves[*place]));
    let place = place.or_else(|| {
        places.find(|place| within(&sample.leaves[*place]) && is_it(&mut sample.leaves[*place]))
    });
    let place = place.expect("there is such a leaf");
    change(T::of(&mut sample.leaves[place].body).unwrap());
}

/// Who is to catch a change that the gateway itself signed and a witness cosigned; none: nothing contradicts it, so
/// that it rests on the gateway's word.
type Caught = Option<(Check, &'static str)>;

struct Table {
    honest: Honest,
}

impl Table {
    fn new() -> Self {
        Self {
            honest: Honest::new(),
        }
    }

    fn check<T: Body>(&self, what: &str, change: impl Fn(&mut T), caught: Caught) {
        let mut changed = copy();
        leaf(&mut changed, &self.honest.plan, change);
        assert!(changed.leaves != self.honest.sample.leaves, "{what}");
        let words = "and checkpoint/end commits to";
        let [platform, outsider] = self.honest.platform_and_outsider(&changed);
        refused(what, &outsider, Check::Tree, words);
        match caught {
            Some((check, words)) => refused(what, &platform, check, words),
            None => assert_eq!(
                failed(&platform),
                BTreeMap::new(),
                "{what}: caught after all"
            ),
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn usage_leaves() {
    let table = Table::new();
    let check = |what, change: fn(&mut UsageLeaf), caught| table.check(what, change, caught);
    check(
        "usage.machine",
        |leaf| leaf.machine = "press-01".parse().unwrap(),
        Some((Check::Sessions, "which does not run")),
    );
    check(
        "usage.session",
        |leaf| leaf.session = Some("01SAMPLE".into()),
        Some((
            Check::Sessions,
            "usage of session 01SAMPLE, which does not run",
        )),
    );
    check(
        "usage.session none",
        |leaf| {
            leaf.session = None;
            leaf.class = None;
        },
        None,
    );
    check(
        "usage.class",
        |leaf| leaf.class = Some(Class::Own),
        Some((Check::Sessions, "usage says class OWN")),
    );
    check(
        "usage.from",
        |leaf| leaf.from = leaf.from.plus_millis(-1),
        Some((Check::Time, "beyond the full UTC hour")),
    );
    check(
        "usage.from hour",
        |leaf| leaf.from = leaf.from.plus_millis(-3_600_000),
        Some((Check::Time, "beyond the full UTC hour")),
    );
    check("usage.to", |leaf| leaf.to = leaf.to.plus_millis(-1), None);
    check(
        "usage.to later",
        |leaf| leaf.to = leaf.to.plus_millis(1),
        None,
    );
    check(
        "usage.span_boot",
        |leaf| leaf.span_boot = Some("other".into()),
        Some((Check::Time, "time of boot other")),
    );
    check(
        "usage.clock",
        |leaf| leaf.clock = Some(ClockStatus::R),
        None,
    );
    check(
        "usage.mono_from_ms",
        |leaf| leaf.mono_from_ms += 1,
        Some((Check::Time, "nobody accounts for the time")),
    );
    check(
        "usage.mono_to_ms",
        |leaf| leaf.mono_to_ms += 1,
        Some((
            Check::Time,
            "the states add up to 1800000 ms, of 1800001 ms",
        )),
    );
    check(
        "usage.ms",
        |leaf| *leaf.ms.values_mut().next().unwrap() += 3_600_000,
        Some((
            Check::Time,
            "the states add up to 5400000 ms, of 1800000 ms",
        )),
    );
    check(
        "usage.ms shift",
        |leaf| {
            leaf.ms = [
                (State::Run, leaf.ms.values().sum::<u64>() - 1),
                (State::Setup, 1),
            ]
            .into();
        },
        Some((
            Check::Time,
            "1 ms of SETUP, where the state leaves say 0 ms",
        )),
    );
    check(
        "usage.hold_over",
        |leaf| leaf.hold_over_ms = 1,
        Some((Check::Time, "more time beyond the cap of HOLD than HOLD")),
    );
    check("usage.good", |leaf| leaf.good += 1, None);
    check("usage.bad", |leaf| leaf.bad += 1, None);
    check(
        "usage.energy",
        |leaf| leaf.energy.as_mut().unwrap().delta = "99".into(),
        None,
    );
    check("usage.energy none", |leaf| leaf.energy = None, None);
    check(
        "usage.hours",
        |leaf| {
            leaf.hours = Some(Counter {
                from: "0".into(),
                to: "9".into(),
                delta: "9".into(),
                resets: 0,
            })
        },
        None,
    );
    check(
        "usage.config",
        |leaf| leaf.config = "sha256:00".into(),
        Some((Check::Maps, "its map sha256:00 is missing")),
    );
}

#[test]
fn session_leaves() {
    let table = Table::new();
    let check = |what, change: fn(&mut SessionLeaf), caught| table.check(what, change, caught);
    check(
        "session.machine",
        |leaf| leaf.machine = "press-01".parse().unwrap(),
        Some((Check::Tokens, "a token that is not for this machine")),
    );
    check(
        "session.session",
        |leaf| leaf.session = "01".into(),
        Some((Check::Sessions, "session 01 ends and does not run")),
    );
    check(
        "session.event",
        |leaf| leaf.event = SessionEvent::Open,
        Some((Check::Sessions, "begins a second time")),
    );
    check(
        "session.booking",
        |leaf| leaf.booking = Some("b-0-0".into()),
        Some((Check::Sessions, "its end says booking b-0-0")),
    );
    check(
        "session.token",
        |leaf| leaf.token = None,
        Some((Check::Sessions, "its end says token none")),
    );
    check(
        "session.class",
        |leaf| leaf.class = Class::Own,
        Some((Check::Sessions, "its end says class OWN")),
    );
    check(
        "session.check_in",
        |leaf| leaf.check_in = CheckIn::Local,
        Some((Check::Sessions, "its end says check-in local")),
    );
    check("session.by", |leaf| leaf.by = Some("p".into()), None);
    check(
        "session.from",
        |leaf| leaf.from = leaf.from.plus_millis(-1),
        Some((Check::Sessions, "its end says begin 2026-")),
    );
    check(
        "session.from_ms",
        |leaf| leaf.from_ms -= 1,
        Some((Check::Sessions, "its end says begin in ms")),
    );
    check(
        "session.to",
        |leaf| leaf.to = leaf.to.map(|t| t.plus_millis(3_600_000)),
        None,
    );
    check(
        "session.to_ms",
        |leaf| leaf.to_ms = leaf.to_ms.map(|t| t - 1),
        Some((Check::Sessions, "of the boot, outside it")),
    );
    check(
        "session.to_ms+",
        |leaf| leaf.to_ms = leaf.to_ms.map(|t| t + 1),
        None,
    );
    check(
        "session.reason",
        |leaf| leaf.reason = Some(CloseReason::Next),
        None,
    );
}

#[test]
fn booking_leaves() {
    let table = Table::new();
    let check = |what, change: fn(&mut BookingLeaf), caught| table.check(what, change, caught);
    check(
        "booking.machine",
        |leaf| leaf.machine = "press-01".parse().unwrap(),
        Some((Check::Tokens, "a token that is not for this machine")),
    );
    check(
        "booking.booking",
        |leaf| leaf.booking = "b".into(),
        Some((
            Check::Sessions,
            "the outcome of a booking says booking b of session",
        )),
    );
    check("booking.token", |leaf| leaf.token = None, None);
    check("booking.class", |leaf| leaf.class = Class::Own, None);
    check(
        "booking.outcome",
        |leaf| leaf.outcome = Outcome::NoShow,
        None,
    );
    check(
        "booking.check_in",
        |leaf| leaf.check_in = CheckIn::Local,
        None,
    );
    check("booking.session", |leaf| leaf.session = None, None);
    check(
        "booking.start",
        |leaf| leaf.start = leaf.start.plus_millis(1),
        Some((Check::Tokens, "the outcome of a booking says start 2026-")),
    );
    check(
        "booking.end",
        |leaf| leaf.end = leaf.end.plus_millis(1),
        Some((Check::Tokens, "the outcome of a booking says end 2026-")),
    );
    check(
        "booking.slot_ms",
        |leaf| leaf.slot_ms += 1,
        Some((Check::Sessions, "says slot_ms ")),
    );
    check("booking.active_ms", |leaf| leaf.active_ms += 1, None);
    check("booking.unknown_ms", |leaf| leaf.unknown_ms += 1, None);
    check("booking.down_ms", |leaf| leaf.down_ms += 1, None);
    check("booking.coverage", |leaf| leaf.coverage_pm -= 1, None);
    check(
        "booking.coverage+",
        |leaf| leaf.coverage_pm = 1_001,
        Some((Check::Sessions, "says coverage_pm 1001, of 1000 at most")),
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn state_and_gap_leaves() {
    let table = Table::new();
    let check = |what, change: fn(&mut StateLeaf), caught| table.check(what, change, caught);
    check(
        "state.machine",
        |leaf| leaf.machine = "press-01".parse().unwrap(),
        Some((Check::Time, "a change from SETUP, while the state was IDLE")),
    );
    check(
        "state.from",
        |leaf| leaf.from = State::Down,
        Some((Check::Time, "a change from DOWN, while the state was SETUP")),
    );
    check(
        "state.to",
        |leaf| leaf.to = State::Setup,
        Some((
            Check::Time,
            "1200000 ms of SETUP, where the state leaves say 3600000 ms",
        )),
    );
    check(
        "state.since",
        |leaf| leaf.since = leaf.since.plus_millis(1),
        None,
    );
    check(
        "state.since_ms",
        |leaf| leaf.since_ms -= 1,
        Some((
            Check::Time,
            "1200000 ms of SETUP, where the state leaves say 1199999 ms",
        )),
    );
    check("state.rule", |leaf| leaf.rule = None, None);
    check(
        "state.config",
        |leaf| leaf.config = "sha256:00".into(),
        None,
    );
    let check = |what, change: fn(&mut GapLeaf), caught| table.check(what, change, caught);
    check(
        "gap.machine",
        |leaf| leaf.machine = "other".parse().unwrap(),
        Some((Check::Time, "nobody accounts for the time")),
    );
    check(
        "gap.from",
        |leaf| leaf.from = leaf.from.plus_millis(1),
        None,
    );
    check("gap.to", |leaf| leaf.to = leaf.to.plus_millis(1), None);
    check(
        "gap.from_boot",
        |leaf| leaf.from_boot = "o".into(),
        Some((Check::Time, "time of boot o, while")),
    );
    check(
        "gap.mono_from",
        |leaf| leaf.mono_from_ms += 1,
        Some((Check::Time, "nobody accounts for the time")),
    );
    check(
        "gap.mono_to",
        |leaf| leaf.mono_to_ms += 1,
        Some((
            Check::Time,
            "a gap of Some(240000) ms, where the boot's clock says 240001 ms",
        )),
    );
    check(
        "gap.ms",
        |leaf| leaf.ms = Some(1),
        Some((Check::Time, "a gap of Some(1) ms")),
    );
    check("gap.clock", |leaf| leaf.clock = ClockStatus::R, None);
    check("gap.reason", |leaf| leaf.reason = GapReason::Map, None);
}

#[test]
fn config_clock_and_bind_leaves() {
    let table = Table::new();
    let check = |what, change: fn(&mut ConfigLeaf), caught| table.check(what, change, caught);
    check(
        "config.machine",
        |leaf| leaf.machine = "mixer-01".parse().unwrap(),
        Some((Check::Maps, "was in force")),
    );
    check(
        "config.map",
        |leaf| leaf.map = format!("sha256:{}", "0".repeat(64)),
        Some((Check::Maps, "is missing")),
    );
    check("config.files", |leaf| leaf.files = "sha256:00".into(), None);
    let check = |what, change: fn(&mut ClockLeaf), caught| table.check(what, change, caught);
    check("clock.status", |leaf| leaf.status = ClockStatus::I, None);
    check("clock.before", |leaf| leaf.before = ClockStatus::I, None);
    check("clock.step", |leaf| leaf.step_ms = Some(1), None);
    check("clock.error", |leaf| leaf.error_ms = Some(1), None);
    check("clock.source", |leaf| leaf.source = "me".into(), None);
    let check = |what, change: fn(&mut Bind), caught| table.check(what, change, caught);
    check(
        "bind.machine",
        |leaf| leaf.machine = "mixer-01".parse().unwrap(),
        Some((
            Check::Sessions,
            "the outcome of a booking says booking b-5-0",
        )),
    );
    check(
        "bind.session",
        |leaf| leaf.session = "x".into(),
        Some((
            Check::Sessions,
            "the outcome of a booking says booking b-5-0",
        )),
    );
    check(
        "bind.booking",
        |leaf| leaf.booking = "x".into(),
        Some((Check::Tokens, "has a token for booking b-5-0, and is of x")),
    );
    check(
        "bind.token",
        |leaf| leaf.token = "x".into(),
        Some((
            Check::Tokens,
            "names the token x, which is not in the bundle",
        )),
    );
    check("bind.class", |leaf| leaf.class = Class::Own, None);
    check(
        "bind.before",
        |leaf| leaf.before = Class::Own,
        Some((
            Check::Sessions,
            "the class before in a bind leaf says class OWN",
        )),
    );
}
