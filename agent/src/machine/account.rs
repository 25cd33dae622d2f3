//! The account of one machine: what its states mean for hours, sessions and bookings.
//!
//! It walks along decided time, from one moment at which something may happen to the next, and never back.
//! All that it says becomes leaves; all that it must remember is its [`Memory`].

mod bookings;
mod joining;
mod sessions;

pub use joining::retire;
pub use sessions::{Arrival, Word};

use lineside_proto::booking::{Allowed, Booking};
use lineside_proto::ledger::{LeafBody, StateLeaf};
use lineside_proto::{Class, ClockStatus, NextBooking, SessionSummary, State, Time, Window};
use std::sync::Arc;

use super::availability::{Origin, rule_label};
use super::booking::{Held, History, Stretch};
use super::counter::Meter;
use super::memory::{Memory, Running};
use super::points::millis;
use super::session::{Queued, Rules, Session};
use super::state::Transition;
use super::usage::{Maker, Owner, Span};
use super::wall::Wall;
use crate::clock::Stamp;
use crate::config::model::MachineMap;
use crate::record::Entry;
use crate::sample::Batch;

/// Things that may happen at one moment: far more than ever do, so that a fault of ours can't hang the agent.
const AT_ONCE_MAX: usize = 4_096;

/// What an account is told with everything.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Both clocks.
    pub wall: &'a Wall,
    /// Now.
    pub now: Stamp,
    /// How far the clock can be trusted.
    pub clock: ClockStatus,
    /// The gateway.
    pub origin: &'a Origin,
    /// How sessions begin and end.
    pub rules: &'a Rules,
}

/// The account of one machine.
#[derive(Debug)]
pub struct Account {
    map: Arc<MachineMap>,
    running: Running,
    lasting: Arc<super::memory::Lasting>,
    history: History,
    /// Since when the present HOLD lasts.
    hold_ms: Option<i64>,
    /// Bookings in force, by id, as they came while nobody knew the time.
    awaited: Option<Vec<String>>,
    energy: Option<Meter>,
    hours: Option<Meter>,
}

/// What of a machine's bookings and sessions its availability document says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Occupancy {
    /// The session that runs.
    pub session: Option<SessionSummary>,
    /// The next booking.
    pub next_booking: Option<NextBooking>,
    /// The next or present maintenance window.
    pub maintenance: Option<Window>,
    /// Whether somebody else may not start now.
    pub is_taken: bool,
    /// Until when, where that is known.
    pub until: Option<Time>,
}

impl Account {
    /// What must survive a restart.
    pub fn memory(&self, wall: &Wall) -> Memory {
        let mut running = self.running.clone();
        // What comes after a restart is told by the clock as it is now, though its step is not decided time yet.
        let latest = wall
            .next_step(running.usage.frontier_ms())
            .and(wall.latest());
        if let Some(latest) = latest {
            running.usage.cut(&Wall::of(latest));
        }
        running.letters = wall.letters().changes(running.usage.frontier_ms());
        running.held.retain(Held::has_begun);
        Memory {
            running: Some(running),
            lasting: Arc::clone(&self.lasting),
        }
    }

    /// The state that is decided changed as these transitions say, and is decided up to `horizon_ms`.
    pub fn decide(
        &mut self,
        transitions: &[Transition],
        horizon_ms: i64,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        self.running.clock = context.clock;
        self.cancel_awaited(context, out);
        for transition in transitions {
            self.walk(transition.since_ms, context, out);
            self.enter(transition, context, out);
        }
        self.walk(horizon_ms, context, out);
    }

    fn enter(&mut self, transition: &Transition, context: Context<'_>, out: &mut Vec<Entry>) {
        let since = context.wall.at(transition.since_ms);
        let leaf = StateLeaf {
            machine: self.map.machine.clone(),
            from: transition.from,
            to: transition.to,
            since,
            since_ms: transition.since_ms,
            rule: rule_label(&self.map, transition.rule),
            config: self.map.hash.clone(),
        };
        let at = Stamp {
            boot_ms: u64::try_from(transition.decided_ms).unwrap_or(0),
            wall: context.wall.at(transition.decided_ms),
        };
        self.running.state = transition.to;
        self.hold_ms = (transition.to == State::Hold).then_some(transition.since_ms);
        self.write(LeafBody::State(leaf), at, out);
    }

    /// Goes along decided time.
    fn walk(&mut self, to_ms: i64, context: Context<'_>, out: &mut Vec<Entry>) {
        for _ in 0..AT_ONCE_MAX {
            let at_ms = self.running.usage.frontier_ms();
            self.befall(at_ms, context, out);
            if at_ms >= to_ms {
                return;
            }
            if self.is_active(at_ms) {
                self.open_by_activity(at_ms, context, out);
            }
            let next_ms = self.next_moment(at_ms, context).unwrap_or(i64::MAX);
            self.pass(next_ms.min(to_ms), context, out);
        }
        tracing::error!(machine = %self.map.machine, "too much happens at once; the account lags");
    }

    /// Activity is SETUP, RUN, or HOLD up to the time that the map allows.
    fn is_active(&self, at_ms: i64) -> bool {
        match self.running.state {
            State::Setup | State::Run => true,
            State::Hold => self.hold_end_ms().is_some_and(|end_ms| at_ms < end_ms),
            State::Unknown | State::Off | State::Down | State::Maint | State::Idle => false,
        }
    }

    fn hold_end_ms(&self) -> Option<i64> {
        Some(self.hold_ms?.saturating_add(millis(self.map.hold_counts)))
    }

    /// When something may happen next.
    fn next_moment(&self, at_ms: i64, context: Context<'_>) -> Option<i64> {
        let session = self.running.session.as_ref();
        let session = session.map(|session| {
            let due_ms = session.due_ms(context.rules, context.wall);
            [session.holds_ms(context.wall), due_ms]
        });
        let starts = self.starts(context).map(|(start_ms, _)| start_ms);
        context
            .wall
            .next_step(at_ms)
            .into_iter()
            .chain(self.hold_end_ms())
            .chain(session.into_iter().flatten())
            .chain(self.running.queue.first().map(Queued::at_ms))
            .chain(starts)
            .filter(|moment_ms| *moment_ms > at_ms)
            .min()
    }

    /// Time passes in which nothing begins or ends.
    fn pass(&mut self, to_ms: i64, context: Context<'_>, out: &mut Vec<Entry>) {
        let (at_ms, wall) = (self.running.usage.frontier_ms(), context.wall);
        let is_active = self.is_active(at_ms);
        let state = self.running.state;
        let mut is_undecided = false;
        if let Some(session) = &mut self.running.session {
            is_undecided = !is_active && at_ms >= session.holds_ms(wall);
            if is_active {
                session.last_ms = to_ms;
            }
        }
        let is_over = state == State::Hold && !is_active;
        let usage = &mut self.running.usage;
        usage.add(state, is_over, to_ms, is_undecided, wall);
        if let Some(session) = self.running.session.as_mut().filter(|_| !is_undecided) {
            (session.spent_ms, session.spent) = (to_ms, usage.frontier());
        }
        if wall.next_step(at_ms) == Some(to_ms) {
            usage.cut(wall);
        }
        let from = wall.at(at_ms);
        let stretch = Stretch {
            from,
            to: from.plus_millis(to_ms.saturating_sub(at_ms)),
            state,
            is_active,
        };
        let session = self.running.session.as_ref();
        let booking = session.and_then(|session| session.booking.as_deref());
        for held in &mut self.running.held {
            held.count(&stretch, booking);
        }
        self.history.add(stretch, booking.is_some());
        self.write_ready(context, out);
    }

    /// What happens at this very moment, in the order in which it counts.
    fn befall(&mut self, at_ms: i64, context: Context<'_>, out: &mut Vec<Entry>) {
        for _ in 0..AT_ONCE_MAX {
            let happened = self.take_queued(at_ms, context, out)
                || self.close_due(at_ms, context, out)
                || self.close_for_next(at_ms, context, out);
            if !happened {
                break;
            }
        }
        self.conclude(at_ms, context, out);
    }

    /// Takes note of a reading's samples.
    pub fn note(&mut self, batch: &Batch) {
        let good = batch.samples.iter().filter(|sample| sample.reading.is_ok());
        let good = u64::try_from(good.count()).unwrap_or(0);
        let all = u64::try_from(batch.samples.len()).unwrap_or(0);
        self.running.usage.note(good, all.saturating_sub(good));
        for sample in &batch.samples {
            let Ok(value) = &sample.reading else { continue };
            let meter = |meter: &mut Option<Meter>| {
                let meter = meter.as_mut().filter(|meter| meter.point == sample.point)?;
                Some((meter.take(value)?, meter.stands()))
            };
            if let Some((count, stands)) = meter(&mut self.energy) {
                self.running.usage.note_energy(count, stands);
            }
            if let Some((count, stands)) = meter(&mut self.hours) {
                self.running.usage.note_hours(count, stands);
            }
        }
    }

    /// Everything up to the horizon goes into leaves; what is undecided is nobody's.
    pub fn finish(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        self.part(context, out);
        self.running.usage.cut(context.wall);
        let rest = self.running.usage.ready();
        self.write_spans(&rest, None, context, out);
    }

    /// Writes spans that have ended, of the present owner.
    fn write_ready(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        let ready = self.running.usage.ready();
        let session = self.running.session.as_ref();
        let owner = session.map(|session| (session.id.clone(), session.class));
        let owner = owner.as_ref().map(|(id, class)| (id.as_str(), *class));
        self.write_spans(&ready, owner, context, out);
    }

    /// Writes what is the present owner's; leaves what is undecided as nobody's.
    fn part(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        let owned = self.running.usage.part(context.wall);
        let session = self.running.session.as_ref();
        let owner = session.map(|session| (session.id.clone(), session.class));
        let owner = owner.as_ref().map(|(id, class)| (id.as_str(), *class));
        self.write_spans(&owned, owner, context, out);
    }

    fn write_spans(
        &mut self,
        spans: &[Span],
        owner: Owner<'_>,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        for span in spans {
            let maker = Maker {
                machine: &self.map.machine,
                config: &self.map.hash,
                span_boot: None,
            };
            let leaf = maker.leaf(span, owner);
            self.write(LeafBody::Usage(leaf), context.now, out);
        }
    }

    fn write(&mut self, body: LeafBody, at: Stamp, out: &mut Vec<Entry>) {
        if let Some(summary) = self.running.day.take(&self.map.machine, &body) {
            let body = LeafBody::Summary(summary);
            out.push(Entry { at, body });
        }
        if super::memory::Lasting::takes(&body) {
            Arc::make_mut(&mut self.lasting).take(&body, at.wall);
        }
        out.push(Entry { at, body });
    }

    /// The session that runs, or will once its moment is decided time.
    pub fn expected(&self) -> Option<&Session> {
        match self.running.queue.last() {
            Some(Queued::In(session)) => Some(session),
            Some(Queued::Out { .. }) => None,
            None => self.running.session.as_ref(),
        }
    }

    /// What the availability document says of sessions and bookings.
    pub fn occupancy(&self, now: Time) -> Occupancy {
        let session = self.expected();
        let mine = session.and_then(|session| session.booking.as_deref());
        let mut coming: Vec<&Booking> = self
            .running
            .held
            .iter()
            .map(|held| &held.booking)
            .filter(|booking| booking.end > now)
            .collect();
        coming.sort_by_key(|booking| booking.start);
        let is_maintenance = |booking: &&&Booking| booking.class == Class::Mnt;
        let maintenance = coming.iter().find(is_maintenance).map(|booking| Window {
            start: booking.start,
            end: booking.end,
        });
        let next = coming.iter().find(|booking| {
            let is_open = Some(booking.id.as_str()) != mine && !self.lasting.is_done(&booking.id);
            is_open && booking.class != Class::Mnt
        });
        let present = maintenance.as_ref().filter(|window| window.start <= now);
        let expected_end = session.and_then(|session| session.end);
        let until = match (session.is_some(), expected_end, present) {
            (true, None, _) => None,
            (_, end, window) => end.max(window.map(|window| window.end)),
        };
        Occupancy {
            session: session.map(Session::summary),
            next_booking: next.map(|booking| NextBooking {
                id: booking.id.clone(),
                start: booking.start,
                end: booking.end,
            }),
            is_taken: session.is_some() || present.is_some(),
            until: until.filter(|until| *until > now),
            maintenance,
        }
    }

    /// Whether another company's session or slot was at this time.
    pub fn was_external(&self, time: Time) -> bool {
        let is_external = |class: Class| class == Class::Ext;
        let session = self.running.session.as_ref();
        let mut held = self.running.held.iter().map(|held| &held.booking);
        session.is_some_and(|session| is_external(session.class) && session.from <= time)
            || held.any(|slot| is_external(slot.class) && slot.start <= time && time <= slot.end)
            || self.lasting.was_external(time)
    }

    /// What may be published of process values while another company's session runs or its slot lasts; none
    /// while neither does.
    pub fn withheld(&self, now: Time) -> Option<&Allowed> {
        let session = self
            .expected()
            .filter(|session| session.class == Class::Ext);
        let slot = self.running.held.iter().map(|held| &held.booking);
        let mut slot = slot.filter(|booking| {
            // Once its session is over, so is the renter's time.
            booking.class == Class::Ext
                && booking.start <= now
                && now <= booking.end
                && !self.lasting.is_done(&booking.id)
        });
        session
            .map(|session| &session.data)
            .or_else(|| slot.next().map(|booking| &booking.data))
    }
}

#[cfg(test)]
mod tests;
