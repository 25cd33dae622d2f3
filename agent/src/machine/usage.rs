//! Usage: milliseconds by state, gathered into spans that end at the UTC hour at the latest and become usage
//! leaves.
//!
//! The span that is gathered is decided: it belongs to the present session, or to none. Behind it may lie a
//! tail: time after a session's last activity, of which only the session's end tells whether it was part of it.

use lineside_proto::ledger::UsageLeaf;
use lineside_proto::{Class, ClockStatus, Identifier, State, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::counter::Count;
use super::wall::{STEP_MS_MIN, Wall};

/// A UTC hour.
const HOUR_MS: i64 = 3_600_000;

/// Spans of a tail at most: a day of hours and as many steps of the clock. Further steps do not cut it.
const TAIL_MAX: usize = 64;

/// What a machine did in a span of time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Its begin on the boot clock.
    pub from_ms: i64,
    /// Its end on the boot clock.
    pub to_ms: i64,
    /// Its begin in wall time.
    pub from: Time,
    /// Its end in wall time.
    pub to: Time,
    /// When, on the boot clock, the hour is full.
    hour_ms: i64,
    /// The clock's worst letter during it; none of one that an older agent began, and before it has a length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<ClockStatus>,
    ms: BTreeMap<State, u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    over_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    good: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    bad: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    energy: Option<Count>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours: Option<Count>,
}

/// The end of the UTC hour that a moment is in.
fn hour_after(from: Time) -> Time {
    from.plus_millis(HOUR_MS - from.as_millis().rem_euclid(HOUR_MS))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The worst letter of time of which a part has each; none where one is not known.
fn worst(one: Option<ClockStatus>, other: Option<ClockStatus>) -> Option<ClockStatus> {
    one.zip(other).map(|(one, other)| one.worse(other))
}

/// Whose a span is.
pub type Owner<'a> = Option<(&'a str, Class)>;

/// What the usage leaves of one machine have in common.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// The machine.
    pub machine: &'a Identifier,
    /// The map's hash.
    pub config: &'a str,
    /// The boot on whose clock the span lies, where that is not the leaf's.
    pub span_boot: Option<&'a str>,
}

impl Maker<'_> {
    /// The leaf of a span.
    pub fn leaf(&self, span: &Span, owner: Owner<'_>) -> UsageLeaf {
        UsageLeaf {
            machine: self.machine.clone(),
            session: owner.map(|(id, _)| id.to_owned()),
            class: owner.map(|(_, class)| class),
            from: span.from,
            to: span.to,
            span_boot: self.span_boot.map(str::to_owned),
            clock: span.clock,
            mono_from_ms: u64::try_from(span.from_ms).unwrap_or(0),
            mono_to_ms: u64::try_from(span.to_ms).unwrap_or(0),
            ms: span.ms.clone(),
            hold_over_ms: span.over_ms,
            good: span.good,
            bad: span.bad,
            energy: span.energy.as_ref().map(Count::told),
            hours: span.hours.as_ref().map(Count::told),
            config: self.config.to_owned(),
        }
    }
}

impl Span {
    /// A span of no length.
    fn begin(at_ms: i64, from: Time, wall: &Wall) -> Self {
        let hour = hour_after(from);
        let left_ms = hour.as_millis().saturating_sub(wall.at(at_ms).as_millis());
        Self {
            from_ms: at_ms,
            to_ms: at_ms,
            from,
            to: from,
            hour_ms: at_ms.saturating_add(left_ms.clamp(1, HOUR_MS + STEP_MS_MIN)),
            clock: None,
            ms: BTreeMap::new(),
            over_ms: 0,
            good: 0,
            bad: 0,
            energy: None,
            hours: None,
        }
    }

    /// The span that follows this one: from where its wall time ended, unless the wall clock was set there.
    fn next(&self, wall: &Wall) -> Self {
        let fresh = wall.at(self.to_ms);
        let moved_ms = fresh.as_millis().saturating_sub(self.to.as_millis());
        let is_step = moved_ms.saturating_abs() > STEP_MS_MIN;
        Self::begin(self.to_ms, if is_step { fresh } else { self.to }, wall)
    }

    fn is_empty(&self) -> bool {
        self.to_ms <= self.from_ms
    }

    fn extend(&mut self, state: State, is_over: bool, to_ms: i64, wall: &Wall) {
        let length_ms = u64::try_from(to_ms.saturating_sub(self.to_ms)).unwrap_or(0);
        if length_ms > 0 {
            *self.ms.entry(state).or_default() += length_ms;
        }
        if is_over {
            self.over_ms += length_ms;
        }
        let letter = wall.letters().worst(self.to_ms, to_ms);
        self.clock = if self.is_empty() {
            letter
        } else {
            worst(self.clock, letter)
        };
        self.to_ms = self.to_ms.max(to_ms);
        let hour = hour_after(self.from);
        self.to = if self.to_ms >= self.hour_ms {
            hour
        } else {
            wall.until(self.to_ms).clamp(self.from, hour)
        };
    }

    /// Whether a span that follows on the boot clock does so in wall time, too, and within the hour. The clock may have been
    /// set between them.
    fn goes_on_in(&self, next: &Self) -> bool {
        self.is_empty() || next.from == self.to && next.from < hour_after(self.from)
    }

    /// Takes in the span that follows and goes on with this one.
    fn merge(&mut self, next: Self) {
        if self.is_empty() {
            let (energy, hours) = (self.energy, self.hours);
            let (good, bad) = (self.good, self.bad);
            *self = next;
            self.good += good;
            self.bad += bad;
            self.energy = Count::join(energy, self.energy);
            self.hours = Count::join(hours, self.hours);
            return;
        }
        if !next.is_empty() {
            self.clock = worst(self.clock, next.clock);
        }
        for (state, ms) in next.ms {
            *self.ms.entry(state).or_default() += ms;
        }
        self.over_ms += next.over_ms;
        self.good += next.good;
        self.bad += next.bad;
        self.energy = Count::join(self.energy, next.energy);
        self.hours = Count::join(self.hours, next.hours);
        (self.to_ms, self.to, self.hour_ms) = (next.to_ms, next.to, next.hour_ms);
    }
}

/// The spans of one machine that are not in the ledger yet. They follow one another without hole or overlap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Ended, of the present owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ready: Vec<Span>,
    open: Span,
    /// Undecided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tail: Vec<Span>,
    /// The counters' readings that stand: energy, hours.
    #[serde(skip)]
    stands: [Option<Count>; 2],
}

impl Usage {
    /// Nothing yet, from this moment on.
    pub fn begin(at_ms: i64, wall: &Wall) -> Self {
        Self::begin_at(at_ms, wall.at(at_ms), wall)
    }

    /// The same, where the moment's wall time is known.
    pub fn begin_at(at_ms: i64, from: Time, wall: &Wall) -> Self {
        Self {
            ready: Vec::new(),
            open: Span::begin(at_ms, from, wall),
            tail: Vec::new(),
            stands: [None; 2],
        }
    }

    fn last(&self) -> &Span {
        self.tail.last().unwrap_or(&self.open)
    }

    fn last_mut(&mut self) -> &mut Span {
        self.tail.last_mut().unwrap_or(&mut self.open)
    }

    /// Up to where time is accounted for: leaves and spans.
    pub fn frontier_ms(&self) -> i64 {
        self.last().to_ms
    }

    /// The same in wall time.
    pub fn frontier(&self) -> Time {
        self.last().to
    }

    /// Whether there is time of which only the session's end tells whose it is.
    pub fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// The machine was in a state up to `to_ms`: undecided time goes into the tail; decided time says that the
    /// tail before it has the same owner.
    pub fn add(
        &mut self,
        state: State,
        is_over: bool,
        to_ms: i64,
        is_undecided: bool,
        wall: &Wall,
    ) {
        if !is_undecided {
            self.settle();
        } else if self.tail.is_empty() && self.frontier_ms() < to_ms {
            let first = self.stood(self.open.next(wall));
            self.tail.push(first);
        }
        while self.frontier_ms() < to_ms {
            let span = self.last_mut();
            let end_ms = to_ms.min(span.hour_ms);
            span.extend(state, is_over, end_ms, wall);
            if end_ms == span.hour_ms {
                self.cut(wall);
            }
        }
    }

    /// Ends the span at the frontier.
    pub fn cut(&mut self, wall: &Wall) {
        let last = self.last();
        let next = self.stood(last.next(wall));
        if last.is_empty() {
            let empty = self.last_mut();
            (empty.from, empty.to, empty.hour_ms) = (next.from, next.to, next.hour_ms);
        } else if self.tail.is_empty() {
            let ended = std::mem::replace(&mut self.open, next);
            self.ready.push(ended);
        } else if self.tail.len() < TAIL_MAX {
            self.tail.push(next);
        } else {
            let last = self.last_mut();
            last.hour_ms = next.hour_ms;
        }
    }

    fn stood(&self, mut span: Span) -> Span {
        [span.energy, span.hours] = self.stands;
        span
    }

    /// The tail has the same owner as what is before it.
    pub fn settle(&mut self) {
        for (place, span) in std::mem::take(&mut self.tail).into_iter().enumerate() {
            if place == 0 && self.open.goes_on_in(&span) {
                self.open.merge(span);
            } else {
                self.ready.push(std::mem::replace(&mut self.open, span));
            }
        }
    }

    /// The owner ends where the tail begins: gives what is the owner's; the tail is nobody's.
    pub fn part(&mut self, wall: &Wall) -> Vec<Span> {
        if self.tail.is_empty() {
            self.cut(wall);
            return self.ready();
        }
        let mut owned = std::mem::take(&mut self.ready);
        let mut tail = std::mem::take(&mut self.tail);
        let last = tail.pop().unwrap_or_else(|| self.open.next(wall));
        let ended = std::mem::replace(&mut self.open, last);
        if !ended.is_empty() {
            owned.push(ended);
        } else if let Some(first) = tail.first_mut() {
            (first.good, first.bad) = (first.good + ended.good, first.bad + ended.bad);
        } else {
            self.open.good += ended.good;
            self.open.bad += ended.bad;
        }
        self.ready = tail;
        owned
    }

    /// The spans that have ended.
    pub fn ready(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.ready)
    }

    /// Takes note of samples.
    pub fn note(&mut self, good: u64, bad: u64) {
        let span = self.last_mut();
        span.good += good;
        span.bad += bad;
    }

    /// Takes note of what the energy meter counted.
    pub(super) fn note_energy(&mut self, count: Count, stands: Option<Count>) {
        let span = self.last_mut();
        span.energy = Count::join(span.energy, Some(count));
        self.stands[0] = stands;
    }

    /// Takes note of what the hour counter counted.
    pub(super) fn note_hours(&mut self, count: Count, stands: Option<Count>) {
        let span = self.last_mut();
        span.hours = Count::join(span.hours, Some(count));
        self.stands[1] = stands;
    }

    /// Forgets what the ledger has: everything up to `until_ms`. What lies across that moment can't be told
    /// apart any more, and nobody watched what follows it.
    pub fn forget(&mut self, until_ms: i64, until: Time, wall: &Wall) {
        let is_across = |span: &Span| span.from_ms < until_ms && span.to_ms > until_ms;
        let all = || self.ready.iter().chain([&self.open]).chain(&self.tail);
        if all().any(is_across) || self.frontier_ms() <= until_ms {
            *self = Self::begin_at(until_ms, until, wall);
            return;
        }
        self.ready.retain(|span| span.from_ms >= until_ms);
        self.tail.retain(|span| span.from_ms >= until_ms);
        if self.open.to_ms <= until_ms {
            self.open = Span::begin(until_ms, until, wall);
        }
    }
}

#[cfg(test)]
mod tests;
