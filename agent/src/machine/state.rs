//! The state of one machine: rules over points, hold times, staleness, and UNKNOWN wherever nobody
//! can know better.
//!
//! Pure: time enters only in [`StateMachine::apply`], [`StateMachine::stand`] and
//! [`StateMachine::advance`], in milliseconds of the boot clock, and never goes back. Whatever time itself changes (a value grows stale, a hold
//! ends, a `changed` runs out) happens at its exact moment, so that the results don't depend on how
//! often anybody calls. Each input evaluates the rules once; `previous` in a rule is the state held
//! when that evaluation begins. Bounds: one record a point, one pending change, a reason text of at
//! most four points or one rule.

#[cfg(test)]
mod tests;

use lineside_proto::{ReasonCode, State};
use std::sync::Arc;

use super::points::{Points, millis};
use super::rule::{PointView, Verdict, Window};
use crate::config::model::{MachineMap, StateRule};
use crate::sample::{Bad, Sample};

pub use super::points::PointStanding;

/// The reason in words where every rule was decided and none holds.
pub const NO_RULE: &str = "no rule holds";

/// Points named in a reason; of the others only the number is told, so that a portal can show it.
const NAMES_MAX: usize = 4;

/// What a machine is held to be doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// The rule that gives it, as its place in the map; none for UNKNOWN.
    pub rule: Option<u16>,
    /// Since when: the onset of the condition.
    pub since_ms: i64,
    /// When that was decided.
    pub decided_ms: i64,
    /// The newest good reading of any point; none since the start.
    pub observed_ms: Option<i64>,
    /// The kind of reason.
    pub reason: ReasonCode,
    /// The rule's text, or for UNKNOWN the points that decide nothing.
    pub reason_text: String,
}

/// A change of state.
///
/// Each one's `from` is the `to` of the one before, and `since_ms` never falls. Where two have the
/// same `since_ms`, the state between them turned out to have had no good evidence beyond its first
/// moment: it lasted no time, and the later one stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The state left.
    pub from: State,
    /// The state entered.
    pub to: State,
    /// The rule that gives it, as its place in the map; none for UNKNOWN.
    pub rule: Option<u16>,
    /// The onset: since when the new state is held to have lasted.
    pub since_ms: i64,
    /// When it was decided: the onset and the hold time, or for UNKNOWN when the evidence ended.
    pub decided_ms: i64,
}

/// The state of one machine.
#[derive(Debug)]
pub struct StateMachine {
    map: Arc<MachineMap>,
    points: Points,
    /// The points that rules name, sorted.
    watched: Vec<Watched>,
    /// The uses of `changed` in all rules.
    windows: Vec<Window>,
    now_ms: i64,
    started_ms: i64,
    standing: Standing,
    pending: Option<Pending>,
    /// Kept for its memory.
    blamed: Vec<u16>,
    /// Kept for its memory.
    text: String,
}

/// A point that a rule names.
#[derive(Clone, Copy, Debug)]
struct Watched {
    point: u16,
    /// Fresh and good at the present evaluation.
    is_good: bool,
    /// Was so at the one before, and no longer is.
    is_lost: bool,
}

/// A change that has not held for long enough yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pending {
    state: State,
    since_ms: i64,
    due_ms: i64,
}

/// Why the rules together give no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doubt {
    /// This rule is the first that isn't false, and nobody knows.
    Undecided(u16),
    /// A rule is true whatever the points are, and no point is fresh.
    Blind,
    /// Every rule is false.
    Nothing,
}

impl StateMachine {
    /// A machine of which nothing is known yet: UNKNOWN since `unknown_since_ms`, the end of what
    /// an earlier run of the agent knew, or else now.
    pub fn new(map: Arc<MachineMap>, now_ms: i64, unknown_since_ms: i64) -> Self {
        let rules = || map.rules.iter().map(|rule| &rule.rule);
        let mut watched: Vec<u16> = rules().flat_map(|rule| rule.points()).copied().collect();
        watched.sort_unstable();
        watched.dedup();
        let mut windows: Vec<Window> = rules().flat_map(|rule| rule.windows()).copied().collect();
        windows.sort_unstable();
        windows.dedup();
        let mut machine = Self {
            points: Points::new(&map),
            watched: watched
                .into_iter()
                .map(|point| Watched {
                    point,
                    is_good: false,
                    is_lost: false,
                })
                .collect(),
            windows,
            map,
            now_ms,
            started_ms: now_ms,
            standing: Standing {
                state: State::Unknown,
                rule: None,
                since_ms: unknown_since_ms.min(now_ms),
                decided_ms: now_ms,
                observed_ms: None,
                reason: ReasonCode::Starting,
                reason_text: String::new(),
            },
            pending: None,
            blamed: Vec::new(),
            text: String::new(),
        };
        // Names the points that are waited for; nothing is known, so nothing can change.
        if let Err(doubt) = machine.search() {
            machine.explain(doubt);
        }
        machine
    }

    /// Lets pass what time alone changes up to `now_ms`: values grow stale, holds end.
    pub fn advance(&mut self, now_ms: i64, out: &mut Vec<Transition>) {
        while let Some(deadline) = self.next_deadline().filter(|due_ms| *due_ms <= now_ms) {
            self.evaluate(deadline, out);
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Advances to `at_ms`, takes in what a reading of the group gave, and evaluates the rules.
    /// A time before an earlier one counts as that one.
    pub fn apply(&mut self, at_ms: i64, group: u16, samples: &[Sample], out: &mut Vec<Transition>) {
        self.advance(at_ms, out);
        self.points.take(self.now_ms, group, samples);
        self.standing.observed_ms = self.points.observed_ms();
        self.evaluate(self.now_ms, out);
    }

    /// Advances to `at_ms`, takes in a source's word that these points of the group are still as
    /// they were last told, and evaluates the rules. A time before an earlier one counts as that one.
    pub fn stand(&mut self, at_ms: i64, group: u16, points: &[u16], out: &mut Vec<Transition>) {
        self.advance(at_ms, out);
        self.points.stand(self.now_ms, group, points);
        self.standing.observed_ms = self.points.observed_ms();
        self.evaluate(self.now_ms, out);
    }

    /// What the machine is held to be doing.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What is known of a point.
    pub fn point(&self, point: u16) -> PointStanding<'_> {
        self.points.standing(point)
    }

    /// When [`advance`](Self::advance) has something to do next; none before something is read.
    pub fn next_deadline(&self) -> Option<i64> {
        let held = self.pending.map(|pending| pending.due_ms);
        let stale = self
            .watched
            .iter()
            .filter_map(|watched| self.points.stale_ms(watched.point));
        let windows = self
            .windows
            .iter()
            .filter_map(|window| self.points.window_deadline(*window));
        let is_starting = self.standing.reason == ReasonCode::Starting;
        let starts = self
            .points
            .start_deadlines(self.started_ms)
            .filter(|_| is_starting);
        held.into_iter()
            .chain(stale)
            .chain(windows)
            .chain(self.points.group_deadlines())
            .chain(starts)
            .filter(|deadline| *deadline > self.now_ms)
            .min()
    }

    /// The decided horizon: no later transition has a `since_ms` before it, so what lies before it
    /// is final. It never goes back.
    pub fn horizon_ms(&self) -> i64 {
        let pending = self.pending.map(|pending| pending.since_ms);
        if self.standing.state == State::Unknown {
            return pending.unwrap_or(self.now_ms);
        }
        // UNKNOWN may begin at the last good reading of any point that is still relied upon, and
        // where none is, at the newest of all.
        let relied = self.watched.iter().filter(|watched| watched.is_good);
        let evidence = relied.filter_map(|watched| self.points.standing_since_ms(watched.point));
        evidence
            .chain(pending)
            .chain(self.points.observed_ms())
            .min()
            .map_or(self.standing.since_ms, |onset| {
                onset.max(self.standing.since_ms)
            })
    }

    fn evaluate(&mut self, now_ms: i64, out: &mut Vec<Transition>) {
        self.now_ms = now_ms;
        let view = self.points.at(now_ms);
        for watched in &mut self.watched {
            let is_good = view.value(watched.point).is_some();
            watched.is_lost = watched.is_good && !is_good;
            watched.is_good = is_good;
        }
        match self.search() {
            Ok(place) => self.propose(place, out),
            Err(doubt) => self.doubt(doubt, out),
        }
    }

    /// The first rule that isn't false, if it is true.
    fn search(&self) -> Result<u16, Doubt> {
        let view = self.points.at(self.now_ms);
        for (place, rule) in (0..=u16::MAX).zip(&self.map.rules) {
            match rule.rule.evaluate(&view, self.standing.state) {
                Verdict::False => {}
                Verdict::Undecided => return Err(Doubt::Undecided(place)),
                Verdict::True if self.points.is_any_fresh(self.now_ms) => {
                    return Ok(place);
                }
                Verdict::True => return Err(Doubt::Blind),
            }
        }
        Err(Doubt::Nothing)
    }

    fn rule(&self, place: u16) -> Option<&StateRule> {
        self.map.rules.get(usize::from(place))
    }

    /// Takes up a state that a rule gives: at once, or when it has held for long enough.
    fn propose(&mut self, place: u16, out: &mut Vec<Transition>) {
        let Some(state) = self.rule(place).map(|rule| rule.state) else {
            return;
        };
        let pending = self.pending.take();
        if state == self.standing.state {
            self.hold_by(place);
            return;
        }
        let since_ms = match pending {
            Some(pending) if pending.state == state => pending.since_ms,
            Some(_) | None => self.now_ms,
        };
        let due_ms = since_ms.saturating_add(self.hold_ms(place));
        if due_ms > self.now_ms {
            self.pending = Some(Pending {
                state,
                since_ms,
                due_ms,
            });
            self.await_hold(place);
        } else {
            self.enter(state, Some(place), since_ms, out);
            self.quote(ReasonCode::Rule, place);
        }
    }

    /// How long the rule must be true before its state is entered from the present one.
    fn hold_ms(&self, place: u16) -> i64 {
        let enter_ms = self.rule(place).map_or(0, |rule| millis(rule.enter));
        match self.standing.rule.filter(|present| *present < place) {
            Some(present) => {
                let leave_ms = self.rule(present).map_or(0, |rule| millis(rule.leave));
                enter_ms.max(leave_ms)
            }
            None => enter_ms,
        }
    }

    /// Notes the rule by which the present state is held.
    fn hold_by(&mut self, place: u16) {
        if self.standing.rule != Some(place) {
            self.standing.rule = Some(place);
            self.quote(ReasonCode::Rule, place);
        }
    }

    /// Says, where the state is still unknown, which rule must hold a little longer.
    fn await_hold(&mut self, place: u16) {
        let is_starting = self.standing.reason == ReasonCode::Starting;
        if self.standing.state == State::Unknown && !is_starting {
            self.quote(ReasonCode::Undecided, place);
        }
    }

    /// Gives the rule's text for the reason.
    fn quote(&mut self, reason: ReasonCode, place: u16) {
        self.standing.reason = reason;
        self.standing.reason_text.clear();
        if let Some(rule) = self.map.rules.get(usize::from(place)) {
            self.standing.reason_text.push_str(&rule.when);
        }
    }

    /// Falls to UNKNOWN, from the last good evidence on; a pending change must be earned anew.
    fn doubt(&mut self, doubt: Doubt, out: &mut Vec<Transition>) {
        self.pending = None;
        self.explain(doubt);
        if self.standing.state == State::Unknown {
            return;
        }
        let onset = match doubt {
            Doubt::Undecided(_) => self.lost_ms(),
            Doubt::Blind => self.points.observed_ms(),
            Doubt::Nothing => None,
        };
        let onset = onset.unwrap_or(self.now_ms).max(self.standing.since_ms);
        self.enter(State::Unknown, None, onset, out);
    }

    /// The earliest last good reading of the blamed points that the rules could rely on until now;
    /// none if it is no lost point that leaves them undecided, but one that they did not need
    /// before.
    fn lost_ms(&self) -> Option<i64> {
        let lost = self.watched.iter().filter(|watched| watched.is_lost);
        lost.filter(|watched| self.blamed.contains(&watched.point))
            .filter_map(|watched| self.points.standing(watched.point).good_ms)
            .min()
    }

    fn enter(&mut self, to: State, rule: Option<u16>, since_ms: i64, out: &mut Vec<Transition>) {
        out.push(Transition {
            from: self.standing.state,
            to,
            rule,
            since_ms,
            decided_ms: self.now_ms,
        });
        self.standing.state = to;
        self.standing.rule = rule;
        self.standing.since_ms = since_ms;
        self.standing.decided_ms = self.now_ms;
    }

    /// Says why nothing is known.
    fn explain(&mut self, doubt: Doubt) {
        self.blamed.clear();
        self.text.clear();
        match doubt {
            Doubt::Undecided(place) => {
                if let Some(rule) = self.map.rules.get(usize::from(place)) {
                    let view = self.points.at(self.now_ms);
                    let previous = self.standing.state;
                    rule.rule.blame(&view, previous, &mut self.blamed);
                    if self.blamed.is_empty() {
                        self.text.push_str(&rule.when);
                    }
                }
            }
            Doubt::Blind => {
                let count = u16::try_from(self.points.count()).unwrap_or(u16::MAX);
                self.blamed.extend(0..count);
            }
            Doubt::Nothing => self.text.push_str(NO_RULE),
        }
        self.standing.reason = self.blame_code();
        self.name_blamed();
        if self.standing.reason_text != self.text {
            self.standing.reason_text.clone_from(&self.text);
        }
    }

    /// The kind of reason that the blamed points give together.
    fn blame_code(&self) -> ReasonCode {
        let view = self.points.at(self.now_ms);
        let all = |test: &dyn Fn(u16) -> bool| self.blamed.iter().all(|point| test(*point));
        if self.blamed.is_empty() || !all(&|point| view.value(point).is_none()) {
            return ReasonCode::Undecided;
        }
        if all(&|point| self.point(point).bad == Some(Bad::Link)) {
            return ReasonCode::Link;
        }
        if !all(&|point| !self.points.is_denied(point)) {
            return ReasonCode::Undecided;
        }
        let is_awaited = |point: &u16| {
            let start_ms = self
                .started_ms
                .saturating_add(self.points.stale_after_ms(*point));
            self.point(*point).good_ms.is_none() && self.now_ms < start_ms
        };
        let none_failed = all(&|point| self.point(point).bad.is_none());
        if none_failed && self.blamed.iter().any(is_awaited) {
            ReasonCode::Starting
        } else {
            ReasonCode::Stale
        }
    }

    /// Writes the blamed points' names, each with what its newest reading said.
    fn name_blamed(&mut self) {
        for (place, point) in self.blamed.iter().take(NAMES_MAX).enumerate() {
            if place > 0 {
                self.text.push_str(", ");
            }
            if let Some(point) = self.map.points.get(usize::from(*point)) {
                self.text.push_str(point.name.as_str());
            }
            if let Some(bad) = self.points.standing(*point).bad {
                self.text.push_str(&format!(" ({bad})"));
            }
        }
        let others = self.blamed.len().saturating_sub(NAMES_MAX);
        if others > 0 {
            self.text.push_str(&format!(", +{others}"));
        }
    }
}
