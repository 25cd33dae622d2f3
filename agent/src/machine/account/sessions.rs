//! When sessions of a machine open and close.

use lineside_proto::booking::Booking;
use lineside_proto::ledger::{CloseReason, LeafBody};
use lineside_proto::{CheckIn, Class, Time};

use super::{Account, Context};
use crate::config::model::CheckInMode;
use crate::machine::booking::{Held, candidate, window};
use crate::machine::session::{Queued, Session, SessionRefusal, id};
use crate::record::Entry;

/// Check-ins and check-outs that wait for their moment to be decided time.
const QUEUE_MAX: usize = 16;

/// What the portal says of a check-in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// The booking.
    pub booking: Booking,
    /// When somebody checked in.
    pub issued: Time,
}

/// Somebody checks in at the machine or at the portal.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// By this booking.
    pub booking: Option<&'a str>,
    /// Without one: as this class.
    pub class: Option<Class>,
    /// How.
    pub check_in: CheckIn,
    /// Word of it by the portal, which may come late.
    pub word: Option<&'a Word>,
    /// Who entered it at the machine.
    pub by: Option<&'a str>,
}

impl Account {
    /// Somebody checks in now; gives the id of the session that begins, or that is theirs since they did.
    ///
    /// # Errors
    ///
    /// Whatever keeps a session from beginning.
    pub fn check_in(
        &mut self,
        arrival: &Arrival<'_>,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> Result<String, SessionRefusal> {
        let bound = arrival
            .word
            .and_then(|word| self.bind_arrival(word, context, out));
        if let Some(session) = bound {
            return Ok(session);
        }
        if self.running.queue.len() >= QUEUE_MAX {
            return Err(SessionRefusal::Busy);
        }
        let at_ms = context.now.millis().max(self.running.usage.frontier_ms());
        let taken = self.expected().map(|session| session.id.as_str());
        let taken = taken.or(self.running.last_id.as_deref());
        let (gateway, boot) = (&context.origin.gateway, &context.origin.boot);
        let id = id(gateway, &self.map.machine, boot, at_ms, taken);
        let from = context.wall.at(at_ms);
        let bare = |class| Session::begin(id.clone(), at_ms, from, class, arrival.check_in);
        let mut session = match arrival.booking {
            Some(booking) => {
                let held = self.arriving(booking, context)?;
                bare(held.booking.class).booked(&held.booking)
            }
            None => match arrival.class {
                Some(class @ (Class::Own | Class::Trn | Class::Mnt))
                    if arrival.check_in == CheckIn::Local =>
                {
                    bare(class)
                }
                Some(_) | None => return Err(SessionRefusal::NoClass),
            },
        };
        session.by = arrival.by.map(str::to_owned);
        self.running.queue.push(Queued::In(Box::new(session)));
        Ok(id)
    }

    /// The booking by which somebody checks in now.
    fn arriving(&self, booking: &str, context: Context<'_>) -> Result<&Held, SessionRefusal> {
        let running = self
            .expected()
            .filter(|session| session.booking.as_deref() == Some(booking));
        if let Some(session) = running {
            return Err(SessionRefusal::Running {
                session: session.id.clone(),
                booking: booking.to_owned(),
            });
        }
        let is_queued = self.running.queue.iter().any(|queued| match queued {
            Queued::In(session) => session.booking.as_deref() == Some(booking),
            Queued::Out { .. } => false,
        });
        if is_queued || self.lasting.is_spent(booking) {
            return Err(SessionRefusal::Used(booking.to_owned()));
        }
        if self.lasting.is_done(booking) {
            return Err(SessionRefusal::NoBooking(booking.to_owned()));
        }
        let mut known = self.running.held.iter();
        let held = known
            .find(|held| held.booking.id == booking)
            .ok_or_else(|| SessionRefusal::NoBooking(booking.to_owned()))?;
        let (open, close) = window(&held.booking);
        if context.now.wall < open || context.now.wall >= close {
            return Err(SessionRefusal::NotNow {
                booking: booking.to_owned(),
                start: held.booking.start,
                end: held.booking.end,
            });
        }
        Ok(held)
    }

    /// Somebody checks out now; gives the id of the session that ends.
    ///
    /// # Errors
    ///
    /// [`SessionRefusal::NoSession`], [`SessionRefusal::Busy`].
    pub fn check_out(
        &mut self,
        by: Option<&str>,
        context: Context<'_>,
    ) -> Result<String, SessionRefusal> {
        let session = self.expected().ok_or(SessionRefusal::NoSession)?.id.clone();
        if self.running.queue.len() >= QUEUE_MAX {
            return Err(SessionRefusal::Busy);
        }
        self.running.queue.push(Queued::Out {
            at_ms: context.now.millis().max(self.running.usage.frontier_ms()),
            by: by.map(str::to_owned),
        });
        Ok(session)
    }

    /// A check-in or check-out whose moment has come.
    pub(super) fn take_queued(
        &mut self,
        at_ms: i64,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> bool {
        let first = self.running.queue.first();
        if first.is_none_or(|queued| queued.at_ms() > at_ms) {
            return false;
        }
        match self.running.queue.remove(0) {
            Queued::Out { at_ms, by } => {
                self.close_at(at_ms, CloseReason::CheckOut, by.as_deref(), context, out);
            }
            Queued::In(mut session) => {
                let present = self.running.session.as_ref();
                let running = present.and_then(|present| present.booking.as_ref());
                let booking = session.booking.clone();
                let is_used = booking.as_ref().is_some_and(|id| self.lasting.is_done(id));
                // Meanwhile activity may have opened the booking's session.
                if is_used || (booking.is_some() && running == booking.as_ref()) {
                    return true;
                }
                self.close_at(session.from_ms, CloseReason::Next, None, context, out);
                session.last_ms = session.from_ms;
                (session.spent_ms, session.spent) = (session.from_ms, session.from);
                self.open(*session, context, out);
            }
        }
        true
    }

    /// A session that nobody uses any more.
    pub(super) fn close_due(
        &mut self,
        at_ms: i64,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> bool {
        let Some(session) = &self.running.session else {
            return false;
        };
        if session.due_ms(context.rules, context.wall) > at_ms {
            return false;
        }
        let end_ms = session
            .holds_ms(context.wall)
            .min(at_ms)
            .max(session.spent_ms);
        let reason = match session.end {
            Some(_) => CloseReason::Ended,
            None => CloseReason::Idle,
        };
        self.part(context, out);
        self.close(end_ms, reason, None, context, out);
        true
    }

    /// A session that is still open when the next booking begins.
    pub(super) fn close_for_next(
        &mut self,
        at_ms: i64,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> bool {
        let Some(session) = &self.running.session else {
            return false;
        };
        // Where activity alone opens no booking's session, a session without booking would only be cut.
        if session.is_unbooked() && context.rules.check_in == CheckInMode::Required {
            return false;
        }
        let from_ms = session.from_ms;
        let mut starts = self.starts(context);
        if !starts.any(|(start_ms, _)| from_ms < start_ms && start_ms <= at_ms) {
            return false;
        }
        drop(starts);
        self.close_early(context, out);
        true
    }

    /// When, on the boot clock, the bookings begin that may still open a session.
    pub(super) fn starts<'a>(
        &'a self,
        context: Context<'a>,
    ) -> impl Iterator<Item = (i64, &'a Held)> + 'a {
        let open = self
            .running
            .held
            .iter()
            .filter(|held| held.session.is_none());
        open.filter(|held| !self.lasting.is_done(&held.booking.id))
            .map(move |held| (context.wall.when(held.booking.start), held))
    }

    /// Activity begins or goes on at this moment.
    pub(super) fn open_by_activity(
        &mut self,
        at_ms: i64,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        let at = context.wall.at(at_ms);
        let is_onset = self.running.usage.has_tail();
        let is_step = context.wall.is_step(at_ms);
        let found = match &self.running.session {
            Some(session) if !session.is_unbooked() || !(is_onset || is_step) => return,
            Some(_) | None if context.rules.check_in == CheckInMode::Implied => {
                let open = self.running.held.iter();
                let open = open.filter(|held| !self.lasting.is_done(&held.booking.id));
                candidate(open, at).map(|held| held.booking.clone())
            }
            Some(_) | None => None,
        };
        // As the clock now has it, the use may have begun within the booking's window: the clock was not set then.
        let began = |session: &Session| at.plus_millis(session.from_ms.saturating_sub(at_ms));
        let found = found.filter(|booking| {
            let mine = self.running.session.as_ref().filter(|_| !is_onset);
            mine.is_none_or(|session| window(booking).0 <= began(session))
        });
        if self.running.session.is_some() {
            if found.is_none() {
                return;
            }
            // Whoever comes after the unbooked use has booked.
            self.close_early(context, out);
        }
        let taken = self.running.last_id.as_deref();
        let (gateway, boot) = (&context.origin.gateway, &context.origin.boot);
        let id = id(gateway, &self.map.machine, boot, at_ms, taken);
        let session = match &found {
            Some(booking) => {
                Session::begin(id, at_ms, at, booking.class, CheckIn::Implied).booked(booking)
            }
            None => Session::begin(id, at_ms, at, Class::Unb, CheckIn::None),
        };
        self.open(session, context, out);
    }

    /// Opens a session at the frontier, or where a check-in says.
    fn open(&mut self, session: Session, context: Context<'_>, out: &mut Vec<Entry>) {
        self.running.usage.cut(context.wall);
        self.write_ready(context, out);
        for held in &mut self.running.held {
            if Some(&held.booking.id) == session.booking.as_ref() {
                held.session = Some(session.id.clone());
                held.check_in = session.check_in;
            }
        }
        let leaf = session.opened(&self.map.machine);
        self.running.last_id = Some(session.id.clone());
        self.running.session = Some(session);
        self.write(LeafBody::Session(leaf), context.now, out);
    }

    /// Ends the session, if one runs, at a moment up to which all time is its.
    fn close_at(
        &mut self,
        at_ms: i64,
        reason: CloseReason,
        by: Option<&str>,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        let Some(session) = &self.running.session else {
            return;
        };
        let end_ms = at_ms.max(session.spent_ms);
        if end_ms >= self.running.usage.frontier_ms() {
            self.running.usage.settle();
        }
        self.part(context, out);
        self.close(end_ms, reason, by, context, out);
    }

    /// Ends the session for another's sake: where its time ended.
    fn close_early(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        if let Some(session) = &self.running.session {
            let end_ms = session.spent_ms;
            self.part(context, out);
            self.close(end_ms, CloseReason::Next, None, context, out);
        }
    }

    fn close(
        &mut self,
        end_ms: i64,
        reason: CloseReason,
        by: Option<&str>,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) {
        if let Some(session) = self.running.session.take() {
            let end = if end_ms <= session.spent_ms {
                session.spent
            } else {
                context.wall.until(end_ms).max(session.spent)
            };
            let leaf = session.closed(&self.map.machine, (end_ms, end), reason, by);
            self.write(LeafBody::Session(leaf), context.now, out);
        }
        // What followed it is nobody's.
        self.write_ready(context, out);
    }
}
