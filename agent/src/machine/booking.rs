//! The bookings of one machine: their windows, what happened in them, and what became of each.

use lineside_proto::booking::Booking;
use lineside_proto::ledger::BookingLeaf;
use lineside_proto::{CheckIn, Identifier, Outcome, State, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const MINUTE_MS: i64 = 60_000;

/// Somebody may come so long before the start.
pub const EARLY_MS: i64 = 30 * MINUTE_MS;

/// Somebody may stay so long after the end.
pub const GRACE_MS: i64 = 5 * MINUTE_MS;

/// Nobody came until so long after the start: a no-show.
const LATE_MS: i64 = 30 * MINUTE_MS;

/// Activity that ends sooner than this before the end: left early.
const LEFT_EARLY_MS: i64 = 15 * MINUTE_MS;

/// Activity that makes a booking a kept one, at least.
const KEPT_MS_MIN: i64 = 5 * MINUTE_MS;

/// The same as a part of the slot: a tenth.
const KEPT_PART: i64 = 10;

/// The watched part of the time, in thousandths, below which nothing is held against anybody.
const COVERAGE_PM_MIN: u32 = 950;

/// Bookings of one machine in force at once: far more than a portal sends ahead; the rest is not looked at.
pub const BOOKINGS_MAX: usize = 1_024;

/// Stretches of the past that are remembered for tokens that come late.
const HISTORY_MAX: usize = 4_096;

/// A stretch of time in one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// From when, in wall time.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// The state.
    pub state: State,
    /// Whether that was activity.
    pub is_active: bool,
}

impl Stretch {
    /// The milliseconds of it that lie within a time.
    fn within(&self, from: Time, to: Time) -> i64 {
        let (from, to) = (self.from.max(from), self.to.min(to));
        to.as_millis().saturating_sub(from.as_millis()).max(0)
    }
}

/// What happened in a booking's window, as far as it was watched. Milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Activity in the window that is not another booking's.
    active_ms: i64,
    /// Of the window, watched.
    watched_ms: i64,
    /// Of the slot, watched.
    known_ms: i64,
    /// Of the slot, DOWN or MAINT.
    down_ms: i64,
    /// DOWN or MAINT within half an hour from the start.
    down_early_ms: i64,
    /// When its activity ended.
    last: Option<Time>,
}

impl Tally {
    /// Counts a stretch: `is_its` where the booking's own session runs, `is_others` where another booking's does.
    fn add(&mut self, booking: &Booking, stretch: &Stretch, is_its: bool, is_others: bool) {
        let (open, close) = window(booking);
        let in_window_ms = stretch.within(open, close);
        if in_window_ms > 0 && stretch.state != State::Unknown {
            self.watched_ms += in_window_ms;
            let in_slot_ms = stretch.within(booking.start, booking.end);
            self.known_ms += in_slot_ms;
            if matches!(stretch.state, State::Down | State::Maint) {
                self.down_ms += in_slot_ms;
                let early = booking.start.plus_millis(LATE_MS).min(booking.end);
                self.down_early_ms += stretch.within(booking.start, early);
            }
        }
        if stretch.is_active && !is_others && (in_window_ms > 0 || is_its) {
            self.active_ms += in_window_ms;
            let end = if is_its {
                stretch.to
            } else {
                stretch.to.min(close)
            };
            self.last = self.last.max(Some(end));
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When a booking's session may begin: from half an hour before its start to five minutes after its end.
pub fn window(booking: &Booking) -> (Time, Time) {
    (
        booking.start.plus_millis(-EARLY_MS),
        booking.end.plus_millis(GRACE_MS),
    )
}

/// A booking that is in force and what has happened in it so far.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The booking.
    #[serde(flatten)]
    pub booking: Booking,
    /// What has happened in its window.
    #[serde(default)]
    pub tally: Tally,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How it became known that somebody came.
    #[serde(default = "nobody")]
    pub check_in: CheckIn,
}

fn nobody() -> CheckIn {
    CheckIn::None
}

impl Held {
    /// A booking of which nothing is known yet.
    pub fn new(booking: Booking) -> Self {
        Self {
            booking,
            tally: Tally::default(),
            session: None,
            check_in: CheckIn::None,
        }
    }

    /// Counts a stretch; `running` is the booking of the session that runs.
    pub fn count(&mut self, stretch: &Stretch, running: Option<&str>) {
        let is_its = running == Some(&self.booking.id);
        let is_others = running.is_some() && !is_its;
        self.tally.add(&self.booking, stretch, is_its, is_others);
    }

    /// Whether it must be remembered across a restart: what will be asked again comes again.
    pub fn has_begun(&self) -> bool {
        !self.tally.is_empty() || self.session.is_some()
    }

    /// What became of it, once its window has passed and its session has ended.
    pub fn outcome(&self) -> Outcome {
        let slot_ms = self.slot_ms();
        let Tally {
            active_ms, last, ..
        } = self.tally;
        let last = last.unwrap_or(Time::MIN);
        let end = self.booking.end;
        if active_ms > 0 && active_ms >= KEPT_MS_MIN.max(slot_ms / KEPT_PART) {
            return if last > end.plus_millis(GRACE_MS) {
                Outcome::Overrun
            } else if last < end.plus_millis(-LEFT_EARLY_MS) {
                Outcome::EarlyLeave
            } else {
                Outcome::Fulfilled
            };
        }
        if (self.unknown_ms() + self.tally.down_ms) * 2 > slot_ms {
            return Outcome::PlatformFault;
        }
        let is_covered = self.coverage_pm() >= COVERAGE_PM_MIN;
        let came = active_ms > 0 || self.check_in != CheckIn::None;
        match (is_covered, came) {
            (true, true) => Outcome::EarlyLeave,
            (true, false) if self.tally.down_early_ms == 0 => Outcome::NoShow,
            (true | false, _) => Outcome::Indeterminate,
        }
    }

    /// The leaf that says so.
    pub fn leaf(&self, machine: &Identifier, outcome: Outcome) -> BookingLeaf {
        let count = |ms: i64| u64::try_from(ms).unwrap_or(0);
        BookingLeaf {
            machine: machine.clone(),
            booking: self.booking.id.clone(),
            token: self.booking.token.clone(),
            class: self.booking.class,
            outcome,
            check_in: self.check_in,
            session: self.session.clone(),
            start: self.booking.start,
            end: self.booking.end,
            slot_ms: count(self.slot_ms()),
            active_ms: count(self.tally.active_ms),
            unknown_ms: count(self.unknown_ms()),
            down_ms: count(self.tally.down_ms),
            coverage_pm: self.coverage_pm(),
        }
    }

    fn slot_ms(&self) -> i64 {
        let (start, end) = (self.booking.start, self.booking.end);
        end.as_millis().saturating_sub(start.as_millis()).max(0)
    }

    /// Of the slot, what nobody knows.
    fn unknown_ms(&self) -> i64 {
        self.slot_ms().saturating_sub(self.tally.known_ms).max(0)
    }

    fn coverage_pm(&self) -> u32 {
        let (open, close) = window(&self.booking);
        let length_ms = close.as_millis().saturating_sub(open.as_millis()).max(1);
        let part_pm = self.tally.watched_ms.saturating_mul(1_000) / length_ms;
        u32::try_from(part_pm.clamp(0, 1_000)).unwrap_or(0)
    }
}

/// What the machine did lately, for bookings whose tokens come late. Not kept across a restart: what is not
/// known any more counts as not watched.
#[derive(Clone, Debug, Default)]
pub struct History {
    stretches: VecDeque<(Stretch, bool)>,
}

impl History {
    /// Takes note of a stretch; `is_booked` where a booking's session runs.
    pub fn add(&mut self, stretch: Stretch, is_booked: bool) {
        if let Some((last, was_booked)) = self.stretches.back_mut() {
            let is_same = (last.state, last.is_active, *was_booked)
                == (stretch.state, stretch.is_active, is_booked);
            if is_same && last.to == stretch.from {
                last.to = stretch.to;
                return;
            }
        }
        if self.stretches.len() >= HISTORY_MAX {
            self.stretches.pop_front();
        }
        self.stretches.push_back((stretch, is_booked));
    }

    /// What happened in a booking's window before it was known.
    pub fn tally(&self, booking: &Booking) -> Tally {
        let mut tally = Tally::default();
        for (stretch, is_booked) in &self.stretches {
            tally.add(booking, stretch, false, *is_booked);
        }
        tally
    }
}

/// The one booking whose session activity at this moment opens: the only one whose window it lies in, else the
/// only one whose slot it lies in.
pub fn candidate<'a>(
    bookings: impl Iterator<Item = &'a Held> + Clone,
    at: Time,
) -> Option<&'a Held> {
    let only = |mut found: Box<dyn Iterator<Item = &'a Held> + '_>| {
        let first = found.next()?;
        found.next().is_none().then_some(first)
    };
    let in_window = bookings.filter(move |held| {
        let (open, close) = window(&held.booking);
        held.session.is_none() && open <= at && at < close
    });
    let in_slot = in_window
        .clone()
        .filter(move |held| held.booking.start <= at && at < held.booking.end);
    only(Box::new(in_window)).or_else(|| only(Box::new(in_slot)))
}

#[cfg(test)]
mod tests;
