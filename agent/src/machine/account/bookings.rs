//! What bookings mean for a machine's sessions, and what became of each.

use lineside_proto::booking::Booking;
use lineside_proto::ledger::{Bind, BookingLeaf, LeafBody};
use lineside_proto::{CheckIn, Class, ClockStatus, Outcome, Time};

use super::sessions::Word;
use super::{Account, Context};
use crate::machine::booking::{BOOKINGS_MAX, GRACE_MS, Held, window};
use crate::machine::memory::TAKEN_MS;
use crate::machine::session::Queued;
use crate::record::Entry;

impl Account {
    /// These bookings, all of them, are in force from now on.
    pub fn take_bookings(
        &mut self,
        bookings: &[Booking],
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        let ids = bookings.iter().map(|booking| booking.id.clone());
        self.awaited = Some(ids.collect());
        self.cancel_awaited(context, out);
        for booking in bookings {
            let mut known = self.running.held.iter_mut();
            let is_full = known.len() >= BOOKINGS_MAX;
            match known.find(|held| held.booking.id == booking.id) {
                Some(held) if held.booking == *booking => {}
                Some(held) => {
                    if (held.booking.start, held.booking.end) != (booking.start, booking.end) {
                        held.tally = self.history.tally(booking);
                    }
                    held.booking.clone_from(booking);
                }
                None if is_full || self.lasting.is_decided(&booking.id) => {}
                None if is_long_over(booking, context) => {}
                None => self.hold(booking),
            }
            self.follow(booking);
        }
        for booking in bookings {
            self.bind(booking, context, out);
        }
        self.conclude(self.running.usage.frontier_ms(), context, out);
    }

    /// Takes in a booking that was not known.
    fn hold(&mut self, booking: &Booking) {
        let mut held = Held::new(booking.clone());
        held.tally = self.history.tally(booking);
        let mine = self.running.session.as_ref();
        if let Some(session) = mine.filter(|mine| mine.booking.as_ref() == Some(&booking.id)) {
            held.session = Some(session.id.clone());
            held.check_in = session.check_in;
        }
        self.running.held.push(held);
    }

    /// The running session of a booking ends when the booking now does.
    fn follow(&mut self, booking: &Booking) {
        let mine = self.running.session.as_mut();
        if let Some(session) = mine.filter(|mine| mine.booking.as_ref() == Some(&booking.id)) {
            session.end = Some(booking.end);
            session.data.clone_from(&booking.data);
        }
    }

    /// The bookings by which somebody has checked in whose moment is not decided time yet.
    fn queued_bookings(&self) -> Vec<String> {
        let queue = self.running.queue.iter();
        let booked = queue.filter_map(|queued| match queued {
            Queued::In(session) => session.booking.clone(),
            Queued::Out { .. } => None,
        });
        booked.collect()
    }

    /// Bookings that have not begun and are in force no more were called off. Whether they have begun nobody can
    /// tell while the clock can't be trusted.
    pub(super) fn cancel_awaited(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        if self.awaited.is_none() || context.clock == ClockStatus::U {
            return;
        }
        let ids = self.awaited.take().unwrap_or_default();
        let now = context.now.wall;
        let expected = self.queued_bookings();
        let is_off = |held: &Held| {
            held.session.is_none()
                && held.booking.start > now
                && !expected.contains(&held.booking.id)
                && !ids.contains(&held.booking.id)
        };
        let (off, kept) = std::mem::take(&mut self.running.held)
            .into_iter()
            .partition(is_off);
        self.running.held = kept;
        let off: Vec<Held> = off;
        for held in off {
            let leaf = held.leaf(&self.map.machine, Outcome::Cancelled);
            self.write(LeafBody::Booking(leaf), context.now, out);
        }
    }

    /// A token that came late may name a session that nobody had booked.
    fn bind(&mut self, booking: &Booking, context: Context<'_>, out: &mut Vec<Entry>) {
        if !self.lasting.is_done(&booking.id) && !is_long_over(booking, context) {
            self.bind_since(booking, Time::MIN, context, out);
        }
    }

    /// Somebody checked in a while ago, and word of it comes only now: the session that nobody had booked and
    /// that began since is theirs, also where it is over. Gives its id.
    pub(super) fn bind_arrival(
        &mut self,
        word: &Word,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> Option<String> {
        let booking = &word.booking;
        let is_used = self.lasting.is_spent(&booking.id)
            || self.queued_bookings().contains(&booking.id)
            || is_long_over(booking, context);
        if is_used {
            return None;
        }
        // Whoever switches the machine on may do so while they check in; and clocks differ.
        let since = word.issued.plus_millis(-GRACE_MS);
        let session = self.bind_since(booking, since, context, out)?;
        for held in &mut self.running.held {
            if held.booking.id == booking.id {
                held.check_in = CheckIn::Portal;
            }
        }
        Some(session)
    }

    /// Binds a booking to a session that nobody had booked and that began within its window, at this time or
    /// later, after its token was issued.
    fn bind_since(
        &mut self,
        booking: &Booking,
        since: Time,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> Option<String> {
        booking.token.as_ref()?;
        let (open, close) = window(booking);
        let earliest = open.max(since);
        let others = self.running.held.iter().map(|held| &held.booking);
        let others = others.filter(|other| other.id != booking.id);
        // As if the token had been there: the next booking's start would have ended the session, and nothing else.
        let fits = |from: Time, to: Time| {
            let mut starts = others.clone().map(|other| other.start);
            booking.issued < from
                && (earliest..close).contains(&from)
                && !starts.any(|start| from < start && start < to)
        };
        let past = self
            .lasting
            .past
            .iter()
            .find(|past| fits(past.from, past.to));
        if let Some(session) = past.map(|past| past.id.clone()) {
            self.write_bind(booking, session.clone(), Class::Unb, context, out);
            return Some(session);
        }
        let mine = self.running.session.as_ref();
        let mine = mine.filter(|mine| mine.is_unbooked());
        let fitting = mine.filter(|mine| fits(mine.from, context.wall.at(mine.last_ms)));
        let (session, before) = fitting.map(|mine| (mine.id.clone(), mine.class))?;
        // What was decided so far was written, or will be, under the class that it had.
        self.part_in_session(context, out);
        self.write_bind(booking, session.clone(), before, context, out);
        if let Some(mine) = self.running.session.take() {
            self.running.session = Some(mine.booked(booking));
        }
        Some(session)
    }

    fn part_in_session(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        self.running.usage.settle();
        self.running.usage.cut(context.wall);
        self.write_ready(context, out);
        let usage = &self.running.usage;
        let (frontier_ms, frontier) = (usage.frontier_ms(), usage.frontier());
        if let Some(session) = &mut self.running.session {
            (session.spent_ms, session.spent) = (frontier_ms, frontier);
        }
    }

    fn write_bind(
        &mut self,
        booking: &Booking,
        session: String,
        before: Class,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        for held in &mut self.running.held {
            if held.booking.id == booking.id {
                held.session = Some(session.clone());
            }
        }
        let leaf = Bind {
            machine: self.map.machine.clone(),
            session,
            booking: booking.id.clone(),
            token: booking.token.clone().unwrap_or_default(),
            class: booking.class,
            before,
        };
        self.write(LeafBody::Bind(leaf), context.now, out);
    }

    /// Says what became of bookings whose time has passed.
    pub(super) fn conclude(&mut self, at_ms: i64, context: Context<'_>, out: &mut Vec<Entry>) {
        let mine = self.running.session.as_ref();
        let mine = mine.and_then(|session| session.booking.clone());
        let expected = self.queued_bookings();
        let is_over = |held: &Held| {
            let (_, close) = window(&held.booking);
            context.wall.when(close) <= at_ms
                && Some(&held.booking.id) != mine.as_ref()
                && !expected.contains(&held.booking.id)
        };
        if !self.running.held.iter().any(is_over) {
            return;
        }
        let (over, kept) = std::mem::take(&mut self.running.held)
            .into_iter()
            .partition(is_over);
        self.running.held = kept;
        let over: Vec<Held> = over;
        for held in over {
            let is_forgotten = is_long_over(&held.booking, context) && !held.has_begun();
            if is_forgotten || self.lasting.is_decided(&held.booking.id) {
                continue;
            }
            let leaf: BookingLeaf = held.leaf(&self.map.machine, held.outcome());
            self.write(LeafBody::Booking(leaf), context.now, out);
        }
    }
}

/// Whether a booking ended so long ago that it may have been done with and be forgotten. Nobody can tell while the
/// clock can't be trusted.
fn is_long_over(booking: &Booking, context: Context<'_>) -> bool {
    context.clock != ClockStatus::U && booking.end.plus_millis(TAKEN_MS) < context.now.wall
}
