//! The rules that sessions follow, leaf by leaf.

use super::machine::Machine;
use super::room::Room;
use super::session::{Begin, End, Owner, Session};
use crate::ledger::{Bind, BookingLeaf, LeafHead, SessionLeaf, UsageLeaf};
use crate::{Class, Time};

/// A rule that a leaf breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("session {0} begins a second time")]
    Again(String),
    #[error("session {0} begins after a leaf that is of it")]
    Late(String),
    #[error("session {next} begins while {running} runs")]
    Twofold { running: String, next: String },
    #[error("session {0} ends and does not run")]
    Ends(String),
    #[error("session {0} ends a second time")]
    EndsAgain(String),
    #[error("usage of session {0}, which does not run")]
    Stray(String),
    #[error("{what} names session {session}, which never began")]
    Never { what: &'static str, session: String },
    #[error("usage of session {session} at {at_ms} ms of the boot, outside it")]
    Outside { session: String, at_ms: u64 },
    #[error("session {session} ends at {to_ms} ms of the boot, and began at {from_ms} ms")]
    Backwards {
        session: String,
        from_ms: i64,
        to_ms: i64,
    },
    #[error("the {event} of session {session} says {what}, which it can't")]
    Form {
        session: String,
        event: &'static str,
        what: &'static str,
    },
    #[error("{what} says {field} {said} of session {session}, which has {known}")]
    Differs {
        what: &'static str,
        field: &'static str,
        session: String,
        said: String,
        known: String,
    },
    #[error("usage of session {0} without a class")]
    NoClass(String),
    #[error("usage of class {0} outside sessions")]
    Classed(Class),
    #[error("session {session} is bound to booking {next}, and has booking {booking}")]
    Bound {
        session: String,
        booking: String,
        next: String,
    },
    #[error("the outcome of booking {0} is said a second time")]
    Outcome(String),
}

/// Where a leaf is, and what it says with its place.
pub(super) struct Scene<'a> {
    pub(super) head: &'a LeafHead,
    /// The boot on whose clock the leaf's times are, by its number.
    pub(super) boot: Option<u32>,
    /// The bundle begins with the ledger: there is no session of before.
    pub(super) is_whole: bool,
    pub(super) room: &'a mut Room,
    pub(super) broken: &'a mut Vec<Broken>,
}

fn shown(text: Option<&String>) -> String {
    text.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl Scene<'_> {
    fn breaks(&mut self, broken: Broken) {
        self.broken.push(broken);
    }

    fn same<T: PartialEq>(
        &mut self,
        (what, field, session): (&'static str, &'static str, &str),
        (said, known): (T, T),
        show: impl Fn(&T) -> String,
    ) {
        if said != known {
            self.breaks(Broken::Differs {
                what,
                field,
                session: session.to_owned(),
                said: show(&said),
                known: show(&known),
            });
        }
    }

    fn same_class(&mut self, what: &'static str, session: &str, said: Class, known: Option<Class>) {
        if let Some(known) = known {
            self.same((what, "class", session), (said, known), Class::to_string);
        }
    }

    /// Whether nothing else is known to run, so that it may be this session.
    fn may_run(&self, machine: &Machine) -> bool {
        !machine.is_known && !self.is_whole
    }

    pub(super) fn opens(&mut self, machine: &mut Machine, leaf: &SessionLeaf) {
        let id = &leaf.session;
        if let Some(known) = machine.get(id) {
            let again = if known.open.is_some() || known.end.is_some() {
                Broken::Again(id.clone())
            } else {
                Broken::Late(id.clone())
            };
            self.breaks(again);
        }
        if let Some(running) = machine.running.take() {
            let next = id.clone();
            self.breaks(Broken::Twofold { running, next });
        }
        if leaf.to.is_some() || leaf.to_ms.is_some() || leaf.reason.is_some() {
            self.breaks(Broken::Form {
                session: id.clone(),
                event: "begin",
                what: "when or why it ended",
            });
        }
        machine.is_known = true;
        machine.running = Some(id.clone());
        let (index, begin) = (self.head.index, self.begin(leaf));
        let room = texts(leaf);
        let Some(session) = machine.session(id, self.room) else {
            return;
        };
        if self.room.take(room) {
            session.open = session.open.or(Some(index));
            session.begin = Some(begin);
            session.owner = session.owner.take().or_else(|| Some(owner(leaf)));
        }
    }

    fn begin(&self, leaf: &SessionLeaf) -> Begin {
        Begin {
            check_in: leaf.check_in,
            from: leaf.from,
            boot: self.boot,
            from_ms: leaf.from_ms,
        }
    }

    pub(super) fn closes(&mut self, machine: &mut Machine, leaf: &SessionLeaf) {
        let id = &leaf.session;
        let runs = machine.running.as_ref() == Some(id);
        let is_over = machine.get(id).is_some_and(|known| known.end.is_some());
        if is_over {
            self.breaks(Broken::EndsAgain(id.clone()));
        } else if !runs && !self.may_run(machine) {
            self.breaks(Broken::Ends(id.clone()));
        }
        machine.is_known = true;
        machine.running = None;
        self.ends_well(leaf);
        if let Some(known) = machine.get(id) {
            self.agrees(known, leaf);
        }
        let end = End {
            index: self.head.index,
            at: self.head.at,
            to: leaf.to,
            reason: leaf.reason,
        };
        let (begin, room) = (self.begin(leaf), texts(leaf));
        let Some(session) = machine.session(id, self.room) else {
            return;
        };
        if !is_over && self.room.take(room) {
            session.begin = session.begin.take().or(Some(begin));
            session.end = Some(end);
            if !session.is_bound {
                session.owner = Some(owner(leaf));
            }
        }
    }

    fn ends_well(&mut self, leaf: &SessionLeaf) {
        let session = leaf.session.clone();
        let (Some(to_ms), Some(_), Some(_)) = (leaf.to_ms, leaf.to, leaf.reason) else {
            return self.breaks(Broken::Form {
                session,
                event: "end",
                what: "not when and why it ended",
            });
        };
        if to_ms < leaf.from_ms {
            let from_ms = leaf.from_ms;
            self.breaks(Broken::Backwards {
                session,
                from_ms,
                to_ms,
            });
        }
    }

    /// Whether a closing leaf says what is known.
    fn agrees(&mut self, known: &Session, leaf: &SessionLeaf) {
        let (what, id) = ("its end", leaf.session.as_str());
        self.same_class(what, id, leaf.class, known.class());
        if known.owner.is_some() {
            let said = (leaf.booking.as_ref(), known.booking());
            self.same((what, "booking", id), said, |said| shown(*said));
            let said = (leaf.token.as_ref(), known.token());
            self.same((what, "token", id), said, |said| shown(*said));
        }
        if let Some(begin) = &known.begin {
            let said = (leaf.check_in, begin.check_in);
            self.same((what, "check-in", id), said, |said| {
                format!("{said:?}").to_lowercase()
            });
            self.same(
                (what, "begin", id),
                (leaf.from, begin.from),
                Time::to_string,
            );
            if begin.boot.is_some() && begin.boot == self.boot {
                let said = (leaf.from_ms, begin.from_ms);
                self.same((what, "begin in ms", id), said, i64::to_string);
            }
        }
        let end_ms = u64::try_from(leaf.to_ms.unwrap_or(0)).unwrap_or(0);
        if let Some((boot, at_ms)) = known.used {
            if boot.is_some() && boot == self.boot && at_ms > end_ms {
                let session = id.to_owned();
                self.breaks(Broken::Outside { session, at_ms });
            }
        }
    }

    pub(super) fn uses(&mut self, machine: &mut Machine, leaf: &UsageLeaf) {
        let Some(id) = &leaf.session else {
            if let Some(class) = leaf.class {
                self.breaks(Broken::Classed(class));
            }
            return;
        };
        if machine.running.as_ref() != Some(id) {
            if machine.running.is_none() && self.may_run(machine) {
                machine.running = Some(id.clone());
            } else {
                self.breaks(Broken::Stray(id.clone()));
            }
        }
        machine.is_known = true;
        let Some(class) = leaf.class else {
            return self.breaks(Broken::NoClass(id.clone()));
        };
        if let Some(known) = machine.get(id) {
            self.same_class("usage", id, class, known.class());
            let begin = known.begin.as_ref();
            let begin = begin.filter(|begin| begin.boot.is_some() && begin.boot == self.boot);
            let begin_ms = begin.map(|begin| u64::try_from(begin.from_ms).unwrap_or(0));
            if begin_ms.is_some_and(|begin_ms| leaf.mono_from_ms < begin_ms) {
                let (session, at_ms) = (id.clone(), leaf.mono_from_ms);
                self.breaks(Broken::Outside { session, at_ms });
            }
        }
        if let Some(session) = machine.session(id, self.room) {
            session.usage_class = session.usage_class.or(Some(class));
            session.used = Some((self.boot, leaf.mono_to_ms));
        }
    }

    pub(super) fn binds(&mut self, machine: &mut Machine, leaf: &Bind) {
        let (what, id) = ("a bind leaf", &leaf.session);
        match machine.get(id) {
            None if self.is_whole => {
                let session = id.clone();
                self.breaks(Broken::Never { what, session });
            }
            None => {}
            Some(known) => {
                self.same_class(
                    "the class before in a bind leaf",
                    id,
                    leaf.before,
                    known.class(),
                );
                if let Some(booking) = known.booking() {
                    self.breaks(Broken::Bound {
                        session: id.clone(),
                        booking: booking.clone(),
                        next: leaf.booking.clone(),
                    });
                }
            }
        }
        let room = leaf.booking.len() + leaf.token.len();
        let Some(session) = machine.session(id, self.room) else {
            return;
        };
        if self.room.take(room) {
            session.is_bound = true;
            session.owner = Some(Owner {
                booking: Some(leaf.booking.clone()),
                token: Some(leaf.token.clone()),
                class: leaf.class,
            });
        }
    }

    pub(super) fn decides(&mut self, machine: &mut Machine, leaf: &BookingLeaf) {
        if !machine.decide(&leaf.booking, self.room) {
            self.breaks(Broken::Outcome(leaf.booking.clone()));
        }
        let Some(id) = &leaf.session else { return };
        let what = "the outcome of a booking";
        match machine.get(id) {
            None if self.is_whole => {
                let session = id.clone();
                self.breaks(Broken::Never { what, session });
            }
            None => {}
            Some(known) if known.owner.is_some() => {
                // Its class and token may be those of a newer token for the same booking.
                let said = (Some(&leaf.booking), known.booking());
                self.same((what, "booking", id), said, |said| shown(*said));
            }
            Some(_) => {}
        }
    }
}

fn owner(leaf: &SessionLeaf) -> Owner {
    Owner {
        booking: leaf.booking.clone(),
        token: leaf.token.clone(),
        class: leaf.class,
    }
}

/// Bytes of the texts that are kept of a session's leaf.
fn texts(leaf: &SessionLeaf) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    length(&leaf.booking) + length(&leaf.token)
}
