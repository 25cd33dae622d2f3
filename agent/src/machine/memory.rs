//! What a machine's account must remember across restarts: the part that time changes and the part that only
//! leaves change, so that the first can be written every second and stays small.
//!
//! Both are kept in the progress record, each with the number of leaves that it knows. Leaves that were written
//! after it are folded in at the start, and win: whatever they cover is not counted again. From the leaves of
//! a whole ledger the same can be worked out where the record is lost, but for what only the record had.

mod lasting;

pub use lasting::{Done, Lasting, TAKEN_MS};

use lineside_proto::ledger::{ClockLeaf, Leaf, LeafBody, LeafHead, SessionEvent, SessionLeaf};
use lineside_proto::{ClockStatus, Identifier, State, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::booking::{Held, Stretch};
use super::letters::Letters;
use super::session::{Queued, Session};
use super::summary::Day;
use super::usage::Usage;
use super::wall::Wall;
use crate::clock::Stamp;

/// What is remembered of one machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// What time changes; none before the machine joined for the first time.
    pub running: Option<Running>,
    /// What only leaves change. Equal pointers: nothing changed.
    pub lasting: Arc<Lasting>,
}

/// What time changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Running {
    /// The boot on whose clock all this is.
    pub boot: String,
    /// The clock's status letter there.
    pub clock: ClockStatus,
    /// Its letters since time is not accounted for, where it is not this one alone.
    #[serde(default, skip_serializing_if = "Letters::is_empty")]
    pub letters: Letters,
    /// The map's hash.
    pub config: String,
    /// The state that the newest leaf says.
    pub state: State,
    /// Time that is accounted for but not in the ledger.
    pub usage: Usage,
    /// The session that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Check-ins and check-outs to come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Queued>,
    /// Bookings in whose window something happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// The day.
    #[serde(default)]
    pub day: Day,
    /// The newest session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_id: Option<String>,
}

impl Running {
    /// A machine whose time begins now.
    pub fn begin(boot: &str, clock: ClockStatus, config: &str, at_ms: i64, wall: &Wall) -> Self {
        Self {
            boot: boot.to_owned(),
            clock,
            letters: Letters::default(),
            config: config.to_owned(),
            state: State::Unknown,
            usage: Usage::begin(at_ms, wall),
            session: None,
            queue: Vec::new(),
            held: Vec::new(),
            day: Day::default(),
            last_id: None,
        }
    }

    /// Moves everything but the usage onto another boot's clock.
    pub fn shift(&mut self, by_ms: i64) {
        if let Some(session) = &mut self.session {
            session.shift(by_ms);
        }
        for queued in &mut self.queue {
            queued.shift(by_ms);
        }
    }

    /// Takes in a leaf of the machine that was written after this was remembered.
    fn take(&mut self, machine: &Identifier, head: &LeafHead, body: &LeafBody) {
        // What a summary would say was said, or will be when the day ends.
        drop(self.day.take(machine, body));
        let wall = Wall::of(Stamp {
            boot_ms: head.mono_ms,
            wall: head.at,
        });
        let wall = wall.trusted(self.trusted());
        if let LeafBody::State(leaf) = body {
            if leaf.since_ms > self.usage.frontier_ms() && head.boot == self.boot {
                self.extend(leaf.since_ms, &wall);
            }
            self.state = leaf.to;
            self.config.clone_from(&leaf.config);
        } else if let LeafBody::Usage(leaf) = body {
            let until_ms = i64::try_from(leaf.mono_to_ms).unwrap_or(i64::MAX);
            if leaf.span_boot.as_ref().unwrap_or(&head.boot) == &self.boot {
                self.extend(until_ms, &wall);
                self.usage.forget(until_ms, leaf.to, &wall);
            }
            let mine = self.session.as_mut();
            if let Some(session) = mine.filter(|mine| Some(&mine.id) == leaf.session.as_ref()) {
                if until_ms >= session.spent_ms {
                    (session.spent_ms, session.spent) = (until_ms, leaf.to);
                }
                session.last_ms = session.last_ms.max(until_ms);
            }
        } else if let LeafBody::Gap(leaf) = body {
            let until_ms = i64::try_from(leaf.mono_to_ms).unwrap_or(i64::MAX);
            self.shift(shift_ms(
                self.usage.frontier_ms(),
                self.usage.frontier(),
                until_ms,
                leaf.to,
                head.boot == self.boot,
            ));
            self.boot.clone_from(&head.boot);
            self.clock = leaf.clock;
            self.letters = Letters::default();
            self.usage = Usage::begin_at(until_ms, leaf.to, &wall);
        } else if let LeafBody::Session(leaf) = body {
            self.take_session(leaf);
        } else if let LeafBody::Booking(leaf) = body {
            self.held.retain(|held| held.booking.id != leaf.booking);
        } else if let LeafBody::Bind(leaf) = body {
            let mine = self.session.as_mut();
            if let Some(session) = mine.filter(|mine| mine.id == leaf.session) {
                session.booking = Some(leaf.booking.clone());
                session.token = Some(leaf.token.clone());
                session.class = leaf.class;
            }
            let named = self.held.iter_mut();
            for held in named.filter(|held| held.booking.id == leaf.booking) {
                held.session = Some(leaf.session.clone());
            }
        }
    }

    /// The clock was set, or can be trusted otherwise: what comes next is told by the clock as it then was.
    fn set_clock(&mut self, head: &LeafHead, leaf: &ClockLeaf) {
        self.letters = self.trusted();
        let at_ms = i64::try_from(head.mono_ms).unwrap_or(i64::MAX);
        self.letters.note(at_ms, leaf.status);
        self.clock = leaf.status;
        if leaf.step_ms.is_some() {
            let wall = Wall::of(Stamp {
                boot_ms: head.mono_ms,
                wall: head.at,
            });
            self.usage.cut(&wall);
        }
    }

    /// How far the clock could be trusted since time is not accounted for.
    fn trusted(&self) -> Letters {
        if self.letters.is_empty() {
            return Letters::always(self.clock);
        }
        self.letters.clone()
    }

    /// The state that the leaves say lasted up to this moment.
    fn extend(&mut self, to_ms: i64, wall: &Wall) {
        let from_ms = self.usage.frontier_ms();
        if to_ms <= from_ms {
            return;
        }
        let is_active = matches!(self.state, State::Setup | State::Run | State::Hold);
        let holds_ms = self.session.as_ref().map(|session| session.holds_ms(wall));
        let is_undecided = !is_active && holds_ms.is_some_and(|holds_ms| from_ms >= holds_ms);
        self.usage.add(self.state, false, to_ms, is_undecided, wall);
        if let Some(session) = &mut self.session {
            if is_active {
                session.last_ms = to_ms;
            }
            if !is_undecided {
                (session.spent_ms, session.spent) = (to_ms, self.usage.frontier());
            }
        }
        let stretch = Stretch {
            from: wall.at(from_ms),
            to: wall.at(to_ms),
            state: self.state,
            is_active,
        };
        let running = self
            .session
            .as_ref()
            .and_then(|session| session.booking.as_deref());
        for held in &mut self.held {
            held.count(&stretch, running);
        }
    }

    fn take_session(&mut self, leaf: &SessionLeaf) {
        self.last_id = Some(leaf.session.clone());
        match leaf.event {
            SessionEvent::Open => {
                let from_ms = leaf.from_ms;
                self.queue.retain(|queued| queued.at_ms() > from_ms);
                let mut session = Session::begin(
                    leaf.session.clone(),
                    from_ms,
                    leaf.from,
                    leaf.class,
                    leaf.check_in,
                );
                session.booking.clone_from(&leaf.booking);
                session.token.clone_from(&leaf.token);
                session.by.clone_from(&leaf.by);
                let named = self.held.iter_mut();
                for held in named.filter(|held| Some(&held.booking.id) == leaf.booking.as_ref()) {
                    held.session = Some(leaf.session.clone());
                    held.check_in = leaf.check_in;
                    session = session.clone().booked(&held.booking);
                    session.class = leaf.class;
                }
                self.session = Some(session);
            }
            SessionEvent::Close => {
                let to_ms = leaf.to_ms.unwrap_or(leaf.from_ms);
                self.queue.retain(|queued| match queued {
                    Queued::In(_) => true,
                    Queued::Out { at_ms, .. } => *at_ms > to_ms,
                });
                if self
                    .session
                    .as_ref()
                    .is_some_and(|mine| mine.id == leaf.session)
                {
                    self.session = None;
                }
            }
        }
    }
}

/// By how much moments of an account move when it is continued at a join: not at all on one boot's clock, else
/// by what the wall clock says, which never makes time run backwards.
pub fn shift_ms(end_ms: i64, end: Time, join_ms: i64, join: Time, is_one_boot: bool) -> i64 {
    if is_one_boot {
        return 0;
    }
    let away_ms = join.as_millis().saturating_sub(end.as_millis()).max(0);
    join_ms.saturating_sub(away_ms).saturating_sub(end_ms)
}

/// What is known after the first leaf that tells up to when a machine's time is accounted for.
fn first(head: &LeafHead, body: &LeafBody, clock: ClockStatus) -> Option<Running> {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let (boot, end_ms, config) = if let LeafBody::State(leaf) = body {
        (&head.boot, leaf.since_ms, leaf.config.as_str())
    } else if let LeafBody::Usage(leaf) = body {
        let boot = leaf.span_boot.as_ref().unwrap_or(&head.boot);
        (boot, signed(leaf.mono_to_ms), leaf.config.as_str())
    } else if let LeafBody::Gap(leaf) = body {
        (&head.boot, signed(leaf.mono_to_ms), "")
    } else {
        return None;
    };
    let wall = Wall::of(Stamp {
        boot_ms: head.mono_ms,
        wall: head.at,
    });
    let mut running = Running::begin(boot, clock, config, end_ms, &wall);
    if let LeafBody::State(leaf) = body {
        running.state = leaf.to;
    }
    Some(running)
}

/// What a record remembered of one machine, and how many leaves each part knows.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// What is remembered.
    pub memory: Memory,
    /// Leaves that the running part knows.
    pub running_leaves: u64,
    /// Leaves that the lasting part knows.
    pub lasting_leaves: u64,
}

/// Everything that the record and the leaves after it tell.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    machines: BTreeMap<Identifier, Recalled>,
    configs: BTreeMap<Identifier, String>,
    clock: Option<ClockStatus>,
    boot: Option<String>,
}

impl Folded {
    /// What a record remembered; nothing where it is lost.
    pub fn new(recalled: BTreeMap<Identifier, Recalled>) -> Self {
        Self {
            machines: recalled,
            ..Self::default()
        }
    }

    /// Takes in a leaf; leaves come in the order of their indexes. What a record knew already changes nothing,
    /// so that more leaves may be given than are new.
    pub fn fold(&mut self, leaf: &Leaf) {
        let Leaf { head, body } = leaf;
        if let LeafBody::Config(leaf) = body {
            self.configs.insert(leaf.machine.clone(), leaf.map.clone());
        } else if let LeafBody::Boot(leaf) = body {
            (self.clock, self.boot) = (Some(leaf.clock), Some(head.boot.clone()));
        } else if let LeafBody::Clock(leaf) = body {
            self.clock = Some(leaf.status);
            for recalled in self.machines.values_mut() {
                let knows = head.index < recalled.running_leaves;
                let running = recalled.memory.running.as_mut().filter(|_| !knows);
                if let Some(running) = running.filter(|running| running.boot == head.boot) {
                    running.set_clock(head, leaf);
                }
            }
        }
        let Some(machine) = body.machine() else {
            return;
        };
        let recalled = self.machines.entry(machine.clone()).or_default();
        if head.index >= recalled.lasting_leaves && Lasting::takes(body) {
            Arc::make_mut(&mut recalled.memory.lasting).take(body, head.at);
        }
        if head.index < recalled.running_leaves {
            return;
        }
        if let Some(running) = &mut recalled.memory.running {
            running.take(machine, head, body);
        } else {
            recalled.memory.running = first(head, body, self.clock.unwrap_or(ClockStatus::U));
        }
    }

    /// What is remembered of a machine; none of one that was never taken in.
    pub fn memory(&self, machine: &Identifier) -> Option<&Memory> {
        self.machines.get(machine).map(|recalled| &recalled.memory)
    }

    /// The same, to be changed.
    pub fn memory_mut(&mut self, machine: &Identifier) -> Option<&mut Memory> {
        let recalled = self.machines.get_mut(machine);
        recalled.map(|recalled| &mut recalled.memory)
    }

    /// The machines that are remembered.
    pub fn machines(&self) -> impl Iterator<Item = &Identifier> {
        self.machines.keys()
    }

    /// The hash of a machine's map, as its newest `config` leaf says.
    pub fn config(&self, machine: &Identifier) -> Option<&str> {
        self.configs.get(machine).map(String::as_str)
    }

    /// The clock's newest status letter, and the newest boot in which the agent started.
    pub fn newest(&self) -> (Option<ClockStatus>, Option<&str>) {
        (self.clock, self.boot.as_deref())
    }
}
