//! Changes of state between two snapshots.

use lineside_proto::{Identifier, LocalText, State, Time};

use super::View;
use super::cell::plain;
use crate::live::Live;
use crate::text;

/// A machine's change of state.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The machine.
    pub machine: Identifier,
    /// What people call it.
    pub name: LocalText,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// The rule that gave it; none for UNKNOWN.
    pub rule: Option<String>,
    /// The reason in words.
    pub reason: String,
    /// Since when, which may lie before the change was decided.
    pub since: Time,
}

/// The changes from one snapshot to the next. A machine that is new changes from UNKNOWN; one that
/// fell back into the same state between two snapshots shows by its `since`.
pub fn changes(old: Option<&Live>, new: &Live) -> Vec<Change> {
    let before = |machine: &Identifier| {
        old.and_then(|old| old.machines.iter().find(|old| old.machine == *machine))
    };
    let change = |machine: &crate::live::LiveMachine| {
        let before = before(&machine.machine);
        let same = match before {
            Some(before) => before.state == machine.state && before.since == machine.since,
            None => machine.state == State::Unknown,
        };
        (!same).then(|| Change {
            machine: machine.machine.clone(),
            name: machine.name.clone(),
            from: before.map_or(State::Unknown, |before| before.state),
            to: machine.state,
            rule: machine.rule.clone(),
            reason: machine.reason_text.clone(),
            since: machine.since,
        })
    };
    new.machines.iter().filter_map(change).collect()
}

impl Change {
    /// `IDLE → RUN (RUN@3)`, for UNKNOWN with the reason.
    pub(super) fn say(&self, view: &View) -> String {
        let (from, to) = (view.state(self.from), view.state(self.to));
        match (&self.rule, self.reason.as_str()) {
            (Some(rule), _) => format!("{from} → {to} ({})", plain(rule)),
            (None, "") => format!("{from} → {to}"),
            (None, reason) => format!("{from} → {to} ({})", plain(reason)),
        }
    }

    /// One line for a log.
    pub fn line(&self, view: &View) -> String {
        let (now, machine, since) = (view.now, &self.machine, self.since);
        let change = self.say(view);
        text!(
            "{now} {machine} {change} since {since}",
            "{now} {machine} {change} 自 {since}"
        )
        .say(view.language)
        .to_owned()
    }
}
