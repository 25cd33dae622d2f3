//! A session: somebody uses the machine, by a booking or without one. When it must end, and what the ledger
//! says of it.

use lineside_proto::booking::{Allowed, Booking};
use lineside_proto::ledger::{CloseReason, SessionEvent, SessionLeaf};
use lineside_proto::{CheckIn, Class, Identifier, SessionSummary, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

use super::booking::GRACE_MS;
use super::points::millis;
use super::wall::Wall;
use crate::config::model::CheckInMode;

/// Hex digits of a session's id: 64 bits, so that all sessions of a site have different ones.
const ID_DIGITS: usize = 16;

/// How sessions begin and end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How the session of a booking opens.
    pub check_in: CheckInMode,
    /// A session that nobody booked ends after so long without activity.
    pub idle_close: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            check_in: CheckInMode::Implied,
            idle_close: Duration::from_secs(15 * 60),
        }
    }
}

/// Why somebody could not be checked in or out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionRefusal {
    /// Ask for a machine that this gateway has.
    #[error("no machine {0} here")]
    NoMachine(Identifier),
    /// Ask for a booking that this machine has.
    #[error("no booking {0} for this machine")]
    NoBooking(String),
    /// Come back within its time.
    #[error(
        "booking {booking} is from {start} to {end}; check-in from half an hour before until five minutes after"
    )]
    NotNow {
        /// The booking.
        booking: String,
        /// When it begins.
        start: Time,
        /// When it ends.
        end: Time,
    },
    /// Book anew.
    #[error("booking {0} has had its session, or was called off")]
    Used(String),
    /// Nothing: its session runs.
    #[error("session {session} of booking {booking} runs already")]
    Running {
        /// The session.
        session: String,
        /// The booking.
        booking: String,
    },
    /// Say which class; only a booking gives another.
    #[error("without a booking the class must be OWN, TRN or MNT")]
    NoClass,
    /// Nothing: no session runs.
    #[error("no session runs on this machine")]
    NoSession,
    /// Ask again in a few seconds.
    #[error("too many check-ins and check-outs at once")]
    Busy,
}

/// A session that runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Its booking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<String>,
    /// The booking's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Its class.
    pub class: Class,
    /// How it became known who uses the machine.
    pub check_in: CheckIn,
    /// Who entered it at the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Its begin on the present boot's clock; negative: before this boot, estimated.
    pub from_ms: i64,
    /// Its begin in wall time.
    pub from: Time,
    /// The end of its last activity, likewise; its begin before there was any.
    pub last_ms: i64,
    /// Up to when time is known to be part of it.
    pub spent_ms: i64,
    /// The same in wall time.
    pub spent: Time,
    /// When its booking ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Time>,
    /// What may be published while it runs.
    #[serde(default)]
    pub data: Allowed,
}

impl Session {
    /// A session from this moment on.
    pub fn begin(id: String, from_ms: i64, from: Time, class: Class, check_in: CheckIn) -> Self {
        Self {
            id,
            booking: None,
            token: None,
            class,
            check_in,
            by: None,
            from_ms,
            from,
            last_ms: from_ms,
            spent_ms: from_ms,
            spent: from,
            end: None,
            data: Allowed::None,
        }
    }

    /// The same, of a booking.
    #[must_use]
    pub fn booked(mut self, booking: &Booking) -> Self {
        self.booking = Some(booking.id.clone());
        self.token.clone_from(&booking.token);
        self.class = booking.class;
        self.end = Some(booking.end);
        self.data = booking.data.clone();
        self
    }

    /// Whether nobody booked it and nobody said who uses the machine.
    pub fn is_unbooked(&self) -> bool {
        self.booking.is_none() && self.check_in == CheckIn::None
    }

    /// Up to when time without activity is part of it.
    pub fn holds_ms(&self, wall: &Wall) -> i64 {
        let end_ms = self.end.map_or(i64::MIN, |end| wall.when(end));
        end_ms.max(self.last_ms)
    }

    /// When it ends if nothing happens on the machine.
    pub fn due_ms(&self, rules: &Rules, wall: &Wall) -> i64 {
        match self.end {
            Some(_) => self.holds_ms(wall).saturating_add(GRACE_MS),
            None => self.last_ms.saturating_add(millis(rules.idle_close)),
        }
    }

    /// Moves it onto another boot's clock.
    pub fn shift(&mut self, by_ms: i64) {
        for moment in [&mut self.from_ms, &mut self.last_ms, &mut self.spent_ms] {
            *moment = moment.saturating_add(by_ms);
        }
    }

    /// The leaf of its begin.
    pub fn opened(&self, machine: &Identifier) -> SessionLeaf {
        SessionLeaf {
            machine: machine.clone(),
            session: self.id.clone(),
            event: SessionEvent::Open,
            booking: self.booking.clone(),
            token: self.token.clone(),
            class: self.class,
            check_in: self.check_in,
            by: self.by.clone(),
            from: self.from,
            from_ms: self.from_ms,
            to: None,
            to_ms: None,
            reason: None,
        }
    }

    /// The leaf of its end.
    pub fn closed(
        &self,
        machine: &Identifier,
        end: (i64, Time),
        reason: CloseReason,
        by: Option<&str>,
    ) -> SessionLeaf {
        SessionLeaf {
            event: SessionEvent::Close,
            by: by.map(str::to_owned).or_else(|| self.by.clone()),
            to: Some(end.1),
            to_ms: Some(end.0),
            reason: Some(reason),
            ..self.opened(machine)
        }
    }

    /// As the availability document says it.
    pub fn summary(&self) -> SessionSummary {
        SessionSummary {
            id: self.id.clone(),
            booking: self.booking.clone(),
            class: self.class,
            started: self.from,
            expected_end: self.end,
        }
    }
}

/// The id of a session that begins at this moment: the same whoever works it out, another for each moment,
/// boot, machine and gateway. `taken` is the id of the session before, which may have begun at the same moment.
pub fn id(
    gateway: &Identifier,
    machine: &Identifier,
    boot: &str,
    from_ms: i64,
    taken: Option<&str>,
) -> String {
    let make = |turn: u32| {
        let text = format!("session\n{gateway}\n{machine}\n{boot}\n{from_ms}\n{turn}");
        let hash = Sha256::digest(text.as_bytes());
        let mut id: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        id.truncate(ID_DIGITS);
        id
    };
    let first = make(0);
    if taken == Some(&first) {
        make(1)
    } else {
        first
    }
}

/// A check-in or check-out whose moment is not decided time yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Queued {
    /// Somebody checked in; the session begins at its `from_ms`.
    In(Box<Session>),
    /// Somebody checked out.
    Out {
        /// When, on the present boot's clock.
        at_ms: i64,
        /// Who entered it at the machine.
        by: Option<String>,
    },
}

impl Queued {
    /// When, on the present boot's clock.
    pub fn at_ms(&self) -> i64 {
        match self {
            Self::In(session) => session.from_ms,
            Self::Out { at_ms, .. } => *at_ms,
        }
    }

    /// Moves it onto another boot's clock.
    pub fn shift(&mut self, by_ms: i64) {
        match self {
            Self::In(session) => session.shift(by_ms),
            Self::Out { at_ms, .. } => *at_ms = at_ms.saturating_add(by_ms),
        }
    }
}

/// A session that nobody booked and that has ended: a late token may still name it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Past {
    /// Its id.
    pub id: String,
    /// When it began.
    pub from: Time,
    /// When it ended.
    pub to: Time,
}
