//! Hand-made ledgers, and what they must add up to.

mod golden;
mod grades;
mod rules;
mod sums;
mod tokens;

use crate::text::{Language, Text};
use std::collections::BTreeMap;

use super::room::Room;
use super::{Scope, Sight, Tallied, Tally, TreeEnd, Witnessed};
use crate::booking::{IssuerSecret, sign};
use crate::evidence::{ApprovedMap, Check, CheckResult, Findings, Trust, TrustedIssuer, Validity};
use crate::ledger::{
    Bind, BookingLeaf, Boot, CloseReason, Correction, Counter, Hash, Leaf, LeafBody, LeafHead,
    SessionEvent, SessionLeaf, Shutdown, UsageLeaf,
};
use crate::{CheckIn, Class, ClockStatus, Identifier, Outcome, State, Time};

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

/// 2026-11-29T00:00:00Z, eight in the morning in Shanghai.
const BEGIN: i64 = 1_795_910_400_000;

/// When the boot's clock stood at 0.
const BOOTED: i64 = BEGIN - 48 * HOUR;

fn time(after_begin_ms: i64) -> Time {
    Time::from_millis(BEGIN + after_begin_ms)
}

fn identifier(name: &str) -> Identifier {
    name.parse().unwrap()
}

/// Milliseconds on the boot's clock.
fn mono(after_begin_ms: i64) -> u64 {
    u64::try_from(BEGIN + after_begin_ms - BOOTED).unwrap()
}

/// Leaves being written, at moments after [`BEGIN`].
#[derive(Clone)]
struct Book {
    first: u64,
    leaves: Vec<Leaf>,
}

impl Book {
    /// A ledger from its begin on, whose clock is synchronised.
    fn new() -> Self {
        Self::since(0)
    }

    fn since(first: u64) -> Self {
        let leaves = Vec::new();
        let mut book = Self { first, leaves };
        book.boot("b", ClockStatus::S);
        book
    }

    fn boot(&mut self, boot: &str, clock: ClockStatus) {
        let body = LeafBody::Boot(Boot {
            version: "0.1.0".to_owned(),
            build: "sha256:00".to_owned(),
            previous: Shutdown::Clean,
            clock,
            error_ms: None,
        });
        self.add(-30 * HOUR, body);
        self.leaves.last_mut().unwrap().head.boot = boot.to_owned();
    }

    /// Adds a leaf; gives its index.
    fn add(&mut self, at_ms: i64, body: LeafBody) -> u64 {
        let index = self.first + self.leaves.len() as u64;
        let head = LeafHead {
            v: 1,
            index,
            at: time(at_ms),
            boot: "b".to_owned(),
            mono_ms: mono(at_ms),
        };
        self.leaves.push(Leaf { head, body });
        index
    }

    fn usage(&mut self, leaf: UsageLeaf) -> u64 {
        let at_ms = leaf.to.as_millis() - BEGIN;
        self.add(at_ms, LeafBody::Usage(leaf))
    }

    fn open(&mut self, leaf: SessionLeaf) -> u64 {
        let at_ms = leaf.from.as_millis() - BEGIN;
        let (to, to_ms, reason) = (None, None, None);
        let event = SessionEvent::Open;
        let leaf = SessionLeaf {
            event,
            to,
            to_ms,
            reason,
            ..leaf
        };
        self.add(at_ms, LeafBody::Session(leaf))
    }

    fn close(&mut self, leaf: SessionLeaf) -> u64 {
        let at_ms = leaf.to.unwrap().as_millis() - BEGIN;
        self.add(at_ms, LeafBody::Session(leaf))
    }

    fn correct(&mut self, refers: u64) {
        let leaf = Correction {
            refers,
            reason: "wrong".to_owned(),
            by: "p".to_owned(),
        };
        self.add(0, LeafBody::Correction(leaf));
    }

    fn tally(&self, from: Time, to: Time, tokens: &[String]) -> Tally {
        let mut tally = Tally::new(Scope {
            site: identifier("s"),
            gateway: identifier("g"),
            origin: "o".to_owned(),
            from,
            to,
            first: self.first,
        });
        for leaf in &self.leaves {
            tally.take(leaf);
        }
        for token in tokens {
            tally.take_token(token.as_bytes());
        }
        tally
    }

    /// What the day from [`BEGIN`] on adds up to.
    fn day(&self, tokens: &[String], sight: &Sight) -> Tallied {
        let tally = self.tally(time(0), time(24 * HOUR), tokens);
        tally.finish(&self.end(), sight)
    }

    fn end(&self) -> TreeEnd {
        let end = self.first + self.leaves.len() as u64;
        TreeEnd {
            end,
            size: end,
            root: Hash([0; 32]),
        }
    }
}

/// Usage of a machine outside sessions.
fn idle(machine: &str, from_ms: i64, to_ms: i64, ms: &[(State, u64)]) -> UsageLeaf {
    UsageLeaf {
        machine: identifier(machine),
        session: None,
        class: None,
        from: time(from_ms),
        to: time(to_ms),
        span_boot: None,
        clock: None,
        mono_from_ms: mono(from_ms),
        mono_to_ms: mono(to_ms),
        ms: ms.iter().copied().collect(),
        hold_over_ms: 0,
        good: 10,
        bad: 1,
        energy: None,
        hours: None,
        config: MAP.to_owned(),
    }
}

/// RUN from begin to end, in a session.
fn run(machine: &str, (session, class): (&str, Class), from_ms: i64, to_ms: i64) -> UsageLeaf {
    let length = u64::try_from(to_ms - from_ms).unwrap();
    UsageLeaf {
        session: Some(session.to_owned()),
        class: Some(class),
        ..idle(machine, from_ms, to_ms, &[(State::Run, length)])
    }
}

fn counter(delta: &str) -> Option<Counter> {
    Some(Counter {
        from: "0".to_owned(),
        to: delta.to_owned(),
        delta: delta.to_owned(),
        resets: 0,
    })
}

const MAP: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A session that nobody booked.
fn session(machine: &str, id: &str, from_ms: i64, to_ms: i64) -> SessionLeaf {
    SessionLeaf {
        machine: identifier(machine),
        session: id.to_owned(),
        event: SessionEvent::Close,
        booking: None,
        token: None,
        class: Class::Unb,
        check_in: CheckIn::None,
        by: None,
        from: time(from_ms),
        from_ms: BEGIN + from_ms - BOOTED,
        to: Some(time(to_ms)),
        to_ms: Some(BEGIN + to_ms - BOOTED),
        reason: Some(CloseReason::Idle),
    }
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(text.as_bytes());
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// A session of another company, by a token.
fn external(machine: &str, id: &str, (from_ms, to_ms): (i64, i64), token: &str) -> SessionLeaf {
    SessionLeaf {
        booking: Some(format!("bk-{id}")),
        token: Some(sha256(token)),
        class: Class::Ext,
        check_in: CheckIn::Implied,
        reason: Some(CloseReason::Ended),
        ..session(machine, id, from_ms, to_ms)
    }
}

fn issuer() -> IssuerSecret {
    IssuerSecret::from_seed(&[3; 32], Some("portal")).unwrap()
}

/// The claims of a booking `bk-{id}`.
fn claims(machine: &str, id: &str, from_ms: i64, to_ms: i64) -> String {
    format!(
        r#"{{"site":"s","gateway":"g","id":"bk-{id}","machines":["{machine}"],"start":"{}","end":"{}","class":"EXT","org":"org-{id}","org_kind":"company","iat":{},"exp":1}}"#,
        time(from_ms),
        time(to_ms),
        (BEGIN + from_ms) / 1000 - 86_400,
    )
}

fn token(machine: &str, id: &str, from_ms: i64, to_ms: i64) -> String {
    sign(&issuer(), claims(machine, id, from_ms, to_ms).as_bytes())
}

/// One who trusts the issuer and a witness that has seen all at this moment.
fn believing(witnessed_ms: i64) -> Sight {
    let maps = ["m", "n"].map(|machine| ApprovedMap {
        machine: identifier(machine),
        hash: MAP.to_owned(),
        gateway: None,
        site: None,
    });
    let trust = Trust {
        issuers: vec![TrustedIssuer {
            key: issuer().public(),
            valid: Validity::default(),
        }],
        maps: maps.to_vec(),
        own: ["org-own".to_owned()].into(),
        affiliates: ["org-aff".to_owned()].into(),
        ..Trust::default()
    };
    let at = time(witnessed_ms);
    let size = 1_000_000;
    let witnessed = vec![Witnessed { size, at }];
    Sight { trust, witnessed }
}

fn told(findings: &Findings, check: Check) -> CheckResult {
    let none = || Text {
        en: "nothing".to_owned(),
        zh: String::new(),
    };
    findings.clone().result(check, Language::En, none)
}

/// The ledger breaks exactly one rule, and is told so.
fn one_finding(findings: &Findings, check: Check, expected: &str) {
    let result = told(findings, check);
    assert_eq!(result.said, [expected]);
    assert_eq!(result.found, 1, "{result:?}");
}

fn no_finding(findings: &Findings) {
    assert_eq!(told(findings, Check::Sessions).said, ["nothing"]);
}
