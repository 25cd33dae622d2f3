//! The check of one machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Part;
use super::fault::Fault;
use crate::ledger::{GapLeaf, LeafBody, LeafHead, SessionEvent, SessionLeaf, StateLeaf, UsageLeaf};
use crate::{ClockStatus, State};

/// Changes of state that no usage leaf covers, kept at most: an hour of eighteen a second, and usage is written
/// each hour.
const CHANGES_MAX: usize = 1 << 16;

/// Gaps whose length is not known yet, kept at most.
const OPEN_GAPS_MAX: usize = 1 << 12;

/// Ids of sessions and bookings that are over, kept at most: years of them.
const OVER_MAX: usize = 1 << 16;

const HOUR_MS: i64 = 3_600_000;

/// What a machine's time adds up to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Milliseconds by state, of usage leaves.
    pub ms: BTreeMap<State, u64>,
    /// Milliseconds of gaps whose length is known.
    pub gap_ms: u64,
    /// Gaps whose length is not known, and may yet be told by a later clock leaf.
    pub gaps_open: u64,
    /// Sessions that began.
    pub opened: u64,
    /// Sessions that ended.
    pub closed: u64,
    /// Bookings whose outcome is known.
    pub outcomes: u64,
}

/// What is known of one machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    part: Part,
    /// Where the check began later than the machine: the onset of the first change that was seen. What came
    /// before it is not known.
    known_since: Option<i64>,
    /// Up to when time is accounted for, and on which boot's clock.
    cursor: Option<(String, u64)>,
    /// Changes of state on that clock, the last one before the cursor and those after it.
    changes: VecDeque<(i64, State)>,
    state: Option<State>,
    session: Option<Session>,
    over: Over,
    decided: Over,
    /// Gaps that a clock leaf of this boot completes: begin in wall time, end on the boot's clock.
    open_gaps: Vec<OpenGap>,
    totals: Totals,
}

#[derive(Clone, Debug)]
struct OpenGap {
    boot: String,
    from_wall_ms: i64,
    end_ms: u64,
}

#[derive(Clone, Debug)]
struct Session {
    id: String,
    boot: String,
    from_ms: i64,
    /// The end of its usage, and on which boot's clock.
    used: Option<(String, u64)>,
}

/// Ids that were used, the newest of them.
#[derive(Clone, Debug, Default)]
struct Over {
    ids: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Over {
    /// Takes note of an id; says whether it is a new one.
    fn add(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > OVER_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
        true
    }
}

impl Machine {
    pub(super) fn new(part: Part) -> Self {
        Self {
            part,
            ..Self::default()
        }
    }

    pub(super) fn totals(mut self) -> Totals {
        self.totals.gaps_open = u64::try_from(self.open_gaps.len()).unwrap_or(u64::MAX);
        self.totals
    }

    /// The clock of this boot is set: gaps that ended in it have a length.
    pub(super) fn complete(&mut self, head: &LeafHead) {
        for gap in std::mem::take(&mut self.open_gaps) {
            if gap.boot != head.boot {
                self.open_gaps.push(gap);
                continue;
            }
            let since = i64::try_from(head.mono_ms.saturating_sub(gap.end_ms)).unwrap_or(i64::MAX);
            let end = head.at.as_millis().saturating_sub(since);
            let length_ms = end.saturating_sub(gap.from_wall_ms);
            let length_ms = u64::try_from(length_ms).unwrap_or(0);
            self.totals.gap_ms = self.totals.gap_ms.saturating_add(length_ms);
        }
    }

    pub(super) fn take(
        &mut self,
        head: &LeafHead,
        body: &LeafBody,
        clock_of: &dyn Fn(&str) -> Option<ClockStatus>,
        faults: &mut Vec<Fault>,
    ) {
        match body {
            LeafBody::State(leaf) => self.take_state(head, leaf, faults),
            LeafBody::Usage(leaf) => self.take_usage(head, leaf, faults),
            LeafBody::Gap(leaf) => self.take_gap(head, leaf, clock_of, faults),
            LeafBody::Session(_) | LeafBody::Booking(_) if self.part != Part::Whole => {}
            LeafBody::Session(leaf) => self.take_session(head, leaf, faults),
            LeafBody::Booking(leaf) => {
                self.totals.outcomes += 1;
                if !self.decided.add(&leaf.booking) {
                    faults.push(Fault::Outcome(leaf.booking.clone()));
                }
            }
            LeafBody::Genesis(_)
            | LeafBody::Boot(_)
            | LeafBody::Config(_)
            | LeafBody::Key(_)
            | LeafBody::Audit(_)
            | LeafBody::Clock(_)
            | LeafBody::Anchor(_)
            | LeafBody::Bind(_)
            | LeafBody::Correction(_)
            | LeafBody::Summary(_) => {}
        }
    }

    fn take_state(&mut self, head: &LeafHead, leaf: &StateLeaf, faults: &mut Vec<Fault>) {
        if let Some(known) = self.state.filter(|known| *known != leaf.from) {
            let said = leaf.from;
            faults.push(Fault::Chain { said, known });
        }
        let is_first = self.state.replace(leaf.to).is_none();
        if is_first && self.part == Part::TimeSince {
            self.known_since = Some(leaf.since_ms);
        }
        if self.cursor.is_none() && self.part != Part::TimeSince {
            // The machine's time begins with its first state.
            let begin_ms = u64::try_from(leaf.since_ms).unwrap_or(0);
            self.cursor = Some((head.boot.clone(), begin_ms));
            self.changes.push_back((leaf.since_ms, leaf.to));
            return;
        }
        let (boot, cursor_ms) = match &self.cursor {
            Some((boot, cursor_ms)) => (boot, i64::try_from(*cursor_ms).unwrap_or(i64::MAX)),
            None => (&head.boot, i64::MIN),
        };
        let newest_ms = self
            .changes
            .back()
            .map_or(i64::MIN, |(since_ms, _)| *since_ms);
        // The state after a join is that of the gap before it, and of what follows.
        let is_join = leaf.to == State::Unknown && leaf.rule.is_none();
        if *boot != head.boot
            || leaf.since_ms < newest_ms
            || (leaf.since_ms < cursor_ms && !is_join)
        {
            faults.push(Fault::Late {
                since_ms: leaf.since_ms,
                known_ms: cursor_ms.max(newest_ms),
            });
        }
        if self.changes.len() >= CHANGES_MAX {
            self.changes.pop_front();
            faults.push(Fault::Changes(CHANGES_MAX));
        }
        self.changes.push_back((leaf.since_ms, leaf.to));
    }

    fn take_usage(&mut self, head: &LeafHead, leaf: &UsageLeaf, faults: &mut Vec<Fault>) {
        let boot = leaf.span_boot.as_ref().unwrap_or(&head.boot);
        let (from_ms, to_ms) = (leaf.mono_from_ms, leaf.mono_to_ms);
        self.follow(boot, from_ms, to_ms, faults);
        let length_ms = to_ms.saturating_sub(from_ms);
        let sum_ms = leaf
            .ms
            .values()
            .fold(0_u64, |sum, ms| sum.saturating_add(*ms));
        if sum_ms != length_ms {
            faults.push(Fault::Sum { sum_ms, length_ms });
        }
        let (from, to) = (leaf.from.as_millis(), leaf.to.as_millis());
        if to < from || to > from.saturating_sub(from.rem_euclid(HOUR_MS)) + HOUR_MS {
            faults.push(Fault::Hour);
        }
        if leaf.hold_over_ms > leaf.ms.get(&State::Hold).copied().unwrap_or(0) {
            faults.push(Fault::Hold);
        }
        let is_known = self.knows(from_ms);
        let known = self.states(from_ms, to_ms);
        for state in State::ALL {
            let said_ms = leaf.ms.get(&state).copied().unwrap_or(0);
            let known_ms = known.get(&state).copied().unwrap_or(0);
            let total = self.totals.ms.entry(state).or_default();
            *total = total.saturating_add(said_ms);
            if said_ms < known_ms || (is_known && said_ms > known_ms) {
                faults.push(Fault::States {
                    state,
                    said_ms,
                    known_ms,
                });
            }
        }
        if let Some(id) = leaf.session.as_ref().filter(|_| self.part == Part::Whole) {
            self.use_session(id, boot, from_ms, to_ms, faults);
        }
    }

    /// Whether all changes after this moment were seen.
    fn knows(&self, from_ms: u64) -> bool {
        match (self.part, self.known_since) {
            (Part::Whole | Part::Time, _) => true,
            (Part::TimeSince, None) => self.state.is_some(),
            (Part::TimeSince, Some(since_ms)) => {
                i64::try_from(from_ms).is_ok_and(|from_ms| from_ms >= since_ms)
            }
        }
    }

    /// Another boot's clock: the changes on the one before mean nothing on it.
    fn forget_changes(&mut self) {
        self.changes.clear();
        self.known_since = None;
    }

    /// Checks that a span follows what is accounted for, and goes on to its end.
    fn follow(&mut self, boot: &str, from_ms: u64, to_ms: u64, faults: &mut Vec<Fault>) {
        if to_ms < from_ms {
            faults.push(Fault::Backwards { from_ms, to_ms });
        }
        if let Some((known, cursor_ms)) = &self.cursor {
            if known != boot {
                faults.push(Fault::Boot {
                    said: boot.to_owned(),
                    known: known.clone(),
                });
            } else if from_ms > *cursor_ms {
                faults.push(Fault::Hole {
                    from_ms: *cursor_ms,
                    to_ms: from_ms,
                });
            } else if from_ms < *cursor_ms {
                faults.push(Fault::Overlap {
                    from_ms,
                    to_ms: (*cursor_ms).min(to_ms),
                });
            }
        }
        self.cursor = Some((boot.to_owned(), to_ms));
    }

    /// The states of a span, as the state leaves say, and forgets what lies before its end.
    fn states(&mut self, from_ms: u64, to_ms: u64) -> BTreeMap<State, u64> {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let (from_ms, to_ms) = (signed(from_ms), signed(to_ms));
        let mut known: BTreeMap<State, u64> = BTreeMap::new();
        let ends = self.changes.iter().skip(1).map(|(since_ms, _)| *since_ms);
        let spans = self.changes.iter().zip(ends.chain([i64::MAX]));
        for ((since_ms, state), end_ms) in spans {
            let (begin_ms, end_ms) = ((*since_ms).max(from_ms), end_ms.min(to_ms));
            if begin_ms < end_ms {
                *known.entry(*state).or_default() += u64::try_from(end_ms - begin_ms).unwrap_or(0);
            }
        }
        while self
            .changes
            .get(1)
            .is_some_and(|(since_ms, _)| *since_ms <= to_ms)
        {
            self.changes.pop_front();
        }
        known
    }

    fn take_gap(
        &mut self,
        head: &LeafHead,
        leaf: &GapLeaf,
        clock_of: &dyn Fn(&str) -> Option<ClockStatus>,
        faults: &mut Vec<Fault>,
    ) {
        let (from_ms, to_ms) = (leaf.mono_from_ms, leaf.mono_to_ms);
        self.follow(&leaf.from_boot, from_ms, from_ms, faults);
        if leaf.from_boot == head.boot && from_ms <= to_ms {
            let length_ms = to_ms - from_ms;
            if leaf.ms != Some(length_ms) {
                let said_ms = leaf.ms;
                faults.push(Fault::Gap { said_ms, length_ms });
            }
            self.totals.gap_ms = self.totals.gap_ms.saturating_add(length_ms);
        } else if let Some(ms) = leaf.ms {
            self.totals.gap_ms = self.totals.gap_ms.saturating_add(ms);
            self.forget_changes();
        } else {
            let was_trusted =
                clock_of(&leaf.from_boot).is_some_and(|clock| clock != ClockStatus::U);
            if leaf.clock != ClockStatus::U && was_trusted {
                faults.push(Fault::Untold);
            }
            if self.open_gaps.len() < OPEN_GAPS_MAX {
                self.open_gaps.push(OpenGap {
                    boot: head.boot.clone(),
                    from_wall_ms: leaf.from.as_millis(),
                    end_ms: to_ms,
                });
            }
            self.forget_changes();
        }
        self.cursor = Some((head.boot.clone(), to_ms));
    }

    fn take_session(&mut self, head: &LeafHead, leaf: &SessionLeaf, faults: &mut Vec<Fault>) {
        match leaf.event {
            SessionEvent::Open => {
                self.totals.opened += 1;
                if !self.over.add(&leaf.session) {
                    faults.push(Fault::Again(leaf.session.clone()));
                }
                if let Some(running) = &self.session {
                    faults.push(Fault::Twofold {
                        running: running.id.clone(),
                        next: leaf.session.clone(),
                    });
                }
                self.session = Some(Session {
                    id: leaf.session.clone(),
                    boot: head.boot.clone(),
                    from_ms: leaf.from_ms,
                    used: None,
                });
            }
            SessionEvent::Close => {
                self.totals.closed += 1;
                let running = self.session.take();
                let Some(session) = running.filter(|running| running.id == leaf.session) else {
                    return faults.push(Fault::Ends(leaf.session.clone()));
                };
                let end_ms = u64::try_from(leaf.to_ms.unwrap_or(0)).unwrap_or(0);
                let beyond = session
                    .used
                    .filter(|(boot, used_ms)| *boot == head.boot && *used_ms > end_ms);
                if let Some((_, at_ms)) = beyond {
                    let session = leaf.session.clone();
                    faults.push(Fault::Outside { session, at_ms });
                }
            }
        }
    }

    fn use_session(
        &mut self,
        id: &str,
        boot: &str,
        from_ms: u64,
        to_ms: u64,
        faults: &mut Vec<Fault>,
    ) {
        let running = self.session.as_mut().filter(|running| running.id == id);
        let Some(session) = running else {
            return faults.push(Fault::Stray(id.to_owned()));
        };
        let begins_ms = u64::try_from(session.from_ms).unwrap_or(0);
        if session.boot == boot && from_ms < begins_ms {
            faults.push(Fault::Outside {
                session: id.to_owned(),
                at_ms: from_ms,
            });
        }
        session.used = Some((boot.to_owned(), to_ms));
    }
}
