//! The sessions of a machine that have ended, as the ledger tells them.

use std::collections::BTreeMap;

use lineside_proto::ledger::{Bind, CloseReason, Leaf, LeafBody, SessionEvent, SessionLeaf};
use lineside_proto::{CheckIn, Class, Identifier, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ledger::{Ledger, LedgerError};

/// Sessions that are told at most: a page of them.
const SESSIONS_MAX: usize = 50;

/// Leaves that are looked through at most, the newest: some days of a busy gateway, and a fraction of a
/// second to read.
const LEAVES_MAX: u64 = 20_000;

/// Leaves that are read at once: a bundle.
const LEAVES_AT_ONCE: u64 = 256;

/// Bytes that are read at once: a bundle of the largest leaves.
const READ_BYTES_MAX: usize = 1 << 20;

/// What stands in every leaf that tells something of sessions, and in few others.
const KINDS: [&str; 2] = ["\"type\":\"session\"", "\"type\":\"bind\""];

/// A session that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PastSession {
    /// The session.
    pub session: String,
    /// The booking that it was for.
    pub booking: Option<String>,
    /// Its class; where a token came late, the class that this gave.
    pub class: Class,
    /// How it became known who used the machine.
    pub check_in: CheckIn,
    /// Who entered it at the machine, as a pseudonym.
    pub by: Option<String>,
    /// When it began.
    pub from: Time,
    /// When it ended.
    pub to: Option<Time>,
    /// Why it ended.
    pub reason: Option<CloseReason>,
    /// The leaf that says so.
    pub index: u64,
}

/// The newest sessions of a machine that have ended, newest first: at most [`SESSIONS_MAX`], from the newest
/// [`LEAVES_MAX`] leaves.
///
/// # Errors
///
/// The ledger's files can't be read.
pub(super) fn recent(
    ledger: &Ledger,
    machine: &Identifier,
) -> Result<Vec<PastSession>, LedgerError> {
    let mut end = ledger.size();
    let first = end.saturating_sub(LEAVES_MAX);
    let mut past = Past::default();
    while end > first && past.sessions.len() < SESSIONS_MAX {
        let from = end.saturating_sub(LEAVES_AT_ONCE).max(first);
        for leaf in part(ledger, from, end)?.into_iter().rev() {
            past.take(leaf, machine);
        }
        end = from;
    }
    past.sessions.truncate(SESSIONS_MAX);
    Ok(past.sessions)
}

/// The leaves of a range that tell something of sessions.
fn part(ledger: &Ledger, from: u64, end: u64) -> Result<Vec<Leaf>, LedgerError> {
    let mut leaves = Vec::new();
    let mut next = from;
    while next < end {
        let read = ledger.read(next, READ_BYTES_MAX)?;
        let Some((last, _)) = read.last() else { break };
        next = last + 1;
        for (_, bytes) in read.iter().take_while(|(index, _)| *index < end) {
            // Most leaves are of other kinds, and not worth parsing.
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            if KINDS.iter().any(|kind| text.contains(kind)) {
                leaves.push(Leaf::from_bytes(bytes)?);
            }
        }
    }
    Ok(leaves)
}

/// What was found so far, on the way back through the ledger.
#[derive(Default)]
struct Past {
    sessions: Vec<PastSession>,
    /// What late tokens gave sessions that are still to be met.
    bound: BTreeMap<String, Bind>,
}

impl Past {
    fn take(&mut self, leaf: Leaf, machine: &Identifier) {
        let index = leaf.head.index;
        if leaf.body.machine() != Some(machine) {
            return;
        }
        if let LeafBody::Session(said) = leaf.body {
            self.ended(said, index);
        } else if let LeafBody::Bind(bind) = leaf.body {
            // A token may come before its session ends, or after.
            let met = self.sessions.iter_mut();
            match met.rev().find(|past| past.session == bind.session) {
                Some(past) => {
                    past.class = bind.class;
                    past.booking = Some(bind.booking);
                }
                None => {
                    self.bound.entry(bind.session.clone()).or_insert(bind);
                }
            }
        }
    }

    fn ended(&mut self, said: SessionLeaf, index: u64) {
        if said.event != SessionEvent::Close {
            return;
        }
        let bound = self.bound.remove(&said.session);
        let (class, booking) = match bound {
            Some(bind) => (bind.class, Some(bind.booking)),
            None => (said.class, said.booking),
        };
        self.sessions.push(PastSession {
            session: said.session,
            booking,
            class,
            check_in: said.check_in,
            by: said.by,
            from: said.from,
            to: said.to,
            reason: said.reason,
            index,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAVES_MAX, Ledger, SESSIONS_MAX, recent};
    use crate::clock::Stamp;
    use crate::record::Entry;
    use lineside_proto::ledger::{Audit, Bind, CloseReason, LeafBody, SessionEvent, SessionLeaf};
    use lineside_proto::{CheckIn, Class, Time};

    fn leaf(machine: &str, session: &str, event: SessionEvent) -> LeafBody {
        let is_closed = event == SessionEvent::Close;
        LeafBody::Session(SessionLeaf {
            machine: machine.parse().unwrap(),
            session: session.to_owned(),
            event,
            booking: None,
            token: None,
            class: Class::Unb,
            check_in: CheckIn::None,
            by: None,
            from: Time::from_millis(1_000),
            from_ms: 0,
            to: is_closed.then_some(Time::from_millis(2_000)),
            to_ms: is_closed.then_some(1_000),
            reason: is_closed.then_some(CloseReason::Idle),
        })
    }

    fn both(machine: &str, session: &str) -> Vec<LeafBody> {
        [SessionEvent::Open, SessionEvent::Close]
            .map(|event| leaf(machine, session, event))
            .into()
    }

    fn bind(session: &str) -> LeafBody {
        LeafBody::Bind(Bind {
            machine: "mill".parse().unwrap(),
            session: session.to_owned(),
            booking: "bk-1".to_owned(),
            token: "sha256:00".to_owned(),
            class: Class::Ext,
            before: Class::Unb,
        })
    }

    fn noise(count: u64) -> Vec<LeafBody> {
        let audit = Audit {
            who: "\"type\":\"session\"".to_owned(),
            action: "x".to_owned(),
            what: String::new(),
        };
        (0..count).map(|_| LeafBody::Audit(audit.clone())).collect()
    }

    /// The sessions that are told of a ledger of these leaves, with their classes.
    #[track_caller]
    fn check(bodies: Vec<LeafBody>, expected: &[(&str, Class)]) {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("keys/ledger.key");
        let (ledger, _) = Ledger::open(&dir.path().join("state"), &key, "a/b").unwrap();
        let at = Stamp {
            boot_ms: 0,
            wall: Time::from_millis(0),
        };
        let entries: Vec<_> = bodies.into_iter().map(|body| Entry { at, body }).collect();
        ledger.append("b", &entries).unwrap();
        let told = recent(&ledger, &"mill".parse().unwrap()).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|past| (past.session.as_str(), past.class))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn ended_sessions_of_the_machine_are_told_newest_first() {
        check(vec![], &[]);
        let mut bodies = both("mill", "a");
        bodies.extend(both("press", "b"));
        bodies.extend(noise(600));
        bodies.extend(both("mill", "c"));
        bodies.push(leaf("mill", "d", SessionEvent::Open));
        check(bodies, &[("c", Class::Unb), ("a", Class::Unb)]);
    }

    #[test]
    fn a_late_token_gives_the_class_whenever_it_came() {
        let mut bodies = vec![leaf("mill", "a", SessionEvent::Open), bind("a")];
        bodies.push(leaf("mill", "a", SessionEvent::Close));
        bodies.extend(both("mill", "b"));
        bodies.push(bind("b"));
        check(bodies, &[("b", Class::Ext), ("a", Class::Ext)]);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let names: Vec<_> = (0..SESSIONS_MAX + 9).map(|n| n.to_string()).collect();
        let bodies = names.iter().flat_map(|name| both("mill", name)).collect();
        let newest = names.iter().rev().take(SESSIONS_MAX);
        let expected: Vec<_> = newest.map(|name| (name.as_str(), Class::Unb)).collect();
        check(bodies, &expected);
        let mut bodies = both("mill", "a");
        bodies.extend(noise(LEAVES_MAX));
        check(bodies, &[]);
    }
}
