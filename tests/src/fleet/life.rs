//! What a simulated gateway's ledger says: each leaf is known by its place alone, is of a kind that gateways write, and
//! has the length that such leaves have.
//!
//! After the genesis, the start and a map for each machine, the machines take turns. A machine's turns go round in a
//! cycle: an account of what was before, a session that opens, states with accounts in between, and its end.

use anyhow::{Context, Result};
use lineside_proto::ledger::{
    Boot, CloseReason, ConfigLeaf, Counter, Genesis, Leaf, LeafBody, LeafHead, PriorHead,
    SessionEvent, SessionLeaf, Shutdown, StateLeaf, UsageLeaf,
};
use lineside_proto::{CheckIn, Class, ClockStatus, Identifier, State, Time};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The one boot of every simulated gateway.
const BOOT: &str = "00000000-0000-4000-8000-000000000002";
/// The boot clock at the begin.
const MONO_MS: u64 = 60_000;
/// From one leaf to the next: 350 leaves a day of each of twenty machines.
const STEP_MS: i64 = 86_400_000 / (350 * 20);
/// Turns of a machine's cycle.
const CYCLE: u64 = 24;
/// The turns of a cycle that end an account, smallest first.
const ACCOUNTS: [u64; 4] = [0, 9, 16, 22];
/// The turn in which a session opens, and the one in which it ends.
const OPENS: u64 = 1;
const CLOSES: u64 = 23;
/// The states that a machine goes through.
const STATES: [State; 4] = [State::Setup, State::Run, State::Hold, State::Idle];
/// Tokens of bookings that a gateway's sessions name in turn.
const TOKENS: u64 = 4;
/// Of so many sessions one is booked.
const BOOKED: u64 = 5;

/// A text and its hash as leaves name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    pub(super) hash: String,
    pub(super) text: String,
}

impl Named {
    fn new(text: String) -> Self {
        let hash = format!("sha256:{:x}", Sha256::digest(&text));
        Self { hash, text }
    }
}

/// Whose ledger it is, and what happened there.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) site: Identifier,
    pub(super) gateway: Identifier,
    pub(super) origin: String,
    pub(super) epoch: u32,
    pub(super) key: String,
    pub(super) prior: Option<PriorHead>,
    machines: Vec<Identifier>,
    pub(super) maps: Vec<Named>,
    pub(super) tokens: Vec<Named>,
    begin_ms: i64,
    /// From which leaf on by how many milliseconds everything is otherwise than it was.
    shifts: Vec<(u64, i64)>,
}

impl Life {
    /// A gateway of so many machines.
    pub(super) fn new(
        (site, gateway): (Identifier, Identifier),
        (origin, key): (String, String),
        machines: u32,
        begin_ms: i64,
    ) -> Result<Self> {
        let names: Result<Vec<Identifier>, _> = (1..=machines)
            .map(|n| format!("machine-{n:02}").parse())
            .collect();
        let machines = names?;
        let map = |name| {
            Named::new(format!(
                r#"{{"gateway":"{gateway}","machine":"{name}","rules":[{{"state":"RUN","when":"power > 100"}}],"site":"{site}"}}"#
            ))
        };
        let token = |n| Named::new(format!("e30.{gateway}{n}.{}", "c2lnbmVk".repeat(60)));
        Ok(Self {
            maps: machines.iter().map(map).collect(),
            tokens: (0..TOKENS).map(token).collect(),
            site,
            gateway,
            origin,
            epoch: 1,
            key,
            prior: None,
            machines,
            begin_ms,
            shifts: Vec::new(),
        })
    }

    /// From a leaf on everything is otherwise: another history, or this one again.
    pub(super) fn shift(&mut self, from: u64, by_ms: i64) {
        self.shifts.retain(|(other, _)| *other < from);
        self.shifts.push((from, by_ms));
    }

    /// When the fact of a leaf was established, in milliseconds.
    pub(super) fn at_ms(&self, index: u64) -> i64 {
        let shift = self.shifts.iter().rev().find(|(from, _)| *from <= index);
        let step = i64::try_from(index).unwrap_or(0).saturating_mul(STEP_MS);
        self.begin_ms + step + shift.map_or(0, |(_, by_ms)| *by_ms)
    }

    /// The bytes of a leaf.
    pub(super) fn leaf(&self, index: u64) -> Result<String> {
        self.saying(index, self.body(index)?)
    }

    /// The bytes of a leaf that says something of its own.
    pub(super) fn saying(&self, index: u64, body: LeafBody) -> Result<String> {
        let at = Time::from_millis(self.at_ms(index));
        let head = LeafHead {
            v: 1,
            index,
            at,
            boot: BOOT.to_owned(),
            mono_ms: self.mono_ms(index),
        };
        let bytes = Leaf { head, body }.to_bytes()?;
        Ok(String::from_utf8(bytes)?)
    }

    fn mono_ms(&self, index: u64) -> u64 {
        MONO_MS.saturating_add_signed(self.at_ms(index) - self.begin_ms)
    }

    fn body(&self, index: u64) -> Result<LeafBody> {
        let count = u64::try_from(self.machines.len())?.max(1);
        Ok(match index {
            0 => LeafBody::Genesis(Genesis {
                site: self.site.clone(),
                gateway: self.gateway.clone(),
                origin: self.origin.clone(),
                epoch: self.epoch,
                key: self.key.clone(),
                prior: self.prior.clone(),
            }),
            1 => LeafBody::Boot(Boot {
                version: "0.1.0".to_owned(),
                build: format!("sha256:{:064x}", 1),
                previous: Shutdown::None,
                clock: ClockStatus::S,
                error_ms: Some(1),
            }),
            _ => {
                let turn = (index - 2) / count;
                let machine = usize::try_from((index - 2) % count)?;
                match turn.checked_sub(1) {
                    None => LeafBody::Config(ConfigLeaf {
                        machine: self.machine(machine)?,
                        map: self.map(machine)?,
                        files: format!("sha256:{machine:064x}"),
                    }),
                    Some(turn) => self.turn(machine, turn, index)?,
                }
            }
        })
    }

    /// What a machine does in its turn, from 0.
    fn turn(&self, machine: usize, turn: u64, index: u64) -> Result<LeafBody> {
        let place = turn % CYCLE;
        Ok(if ACCOUNTS.contains(&place) {
            LeafBody::Usage(self.usage(machine, turn, index)?)
        } else if place == OPENS || place == CLOSES {
            LeafBody::Session(self.session(machine, turn, index)?)
        } else {
            LeafBody::State(self.state(machine, turn, index)?)
        })
    }

    /// The leaf of a machine's turn, by that of another turn of it.
    fn leaf_of(&self, index: u64, turn: u64, other: u64) -> u64 {
        let count = u64::try_from(self.machines.len()).unwrap_or(1);
        index.saturating_sub(turn.saturating_sub(other) * count)
    }

    fn usage(&self, machine: usize, turn: u64, index: u64) -> Result<UsageLeaf> {
        let place = turn % CYCLE;
        let before = ACCOUNTS.iter().rev().find(|other| **other < place);
        let first = match (before, turn.checked_sub(CYCLE - 22)) {
            (Some(other), _) => self.leaf_of(index, turn, turn - (place - other)),
            // What is outside of sessions begins where the last one's account ended.
            (None, Some(before)) => self.leaf_of(index, turn, before),
            // And the first account with the map.
            (None, None) => index.saturating_sub(u64::try_from(self.machines.len())?),
        };
        let (from_ms, to_ms) = (self.mono_ms(first), self.mono_ms(index));
        let is_used = place != 0;
        let state = if is_used { State::Run } else { State::Idle };
        let counted = index * 40;
        Ok(UsageLeaf {
            machine: self.machine(machine)?,
            session: is_used.then(|| self.session_id(machine, turn)),
            class: is_used.then_some(Class::Own),
            from: Time::from_millis(self.at_ms(first)),
            to: Time::from_millis(self.at_ms(index)),
            span_boot: None,
            clock: Some(ClockStatus::S),
            mono_from_ms: from_ms,
            mono_to_ms: to_ms,
            ms: BTreeMap::from([(state, to_ms.saturating_sub(from_ms))]),
            hold_over_ms: 0,
            good: 3_600,
            bad: 0,
            energy: Some(Counter {
                from: counted.to_string(),
                to: (counted + 40).to_string(),
                delta: "40".to_owned(),
                resets: 0,
            }),
            hours: None,
            config: self.map(machine)?,
        })
    }

    fn session(&self, machine: usize, turn: u64, index: u64) -> Result<SessionLeaf> {
        let is_open = turn % CYCLE == OPENS;
        let begun = self.leaf_of(index, turn, turn - turn % CYCLE);
        let ended = self.leaf_of(index, turn, turn.saturating_sub(1));
        let number = turn / CYCLE;
        let is_booked = number % BOOKED == 0;
        let token = usize::try_from(number / BOOKED % TOKENS)?;
        let token = self.tokens.get(token).context("a token")?;
        Ok(SessionLeaf {
            machine: self.machine(machine)?,
            session: self.session_id(machine, turn),
            event: if is_open {
                SessionEvent::Open
            } else {
                SessionEvent::Close
            },
            booking: is_booked.then(|| format!("bk-{number}")),
            token: is_booked.then(|| token.hash.clone()),
            class: Class::Own,
            check_in: CheckIn::Local,
            by: Some("keeper-1".to_owned()),
            from: Time::from_millis(self.at_ms(begun)),
            from_ms: i64::try_from(self.mono_ms(begun))?,
            to: (!is_open).then(|| Time::from_millis(self.at_ms(ended))),
            to_ms: (!is_open)
                .then(|| i64::try_from(self.mono_ms(ended)))
                .transpose()?,
            reason: (!is_open).then_some(CloseReason::CheckOut),
        })
    }

    fn state(&self, machine: usize, turn: u64, index: u64) -> Result<StateLeaf> {
        let place = turn % CYCLE;
        let others = ACCOUNTS.iter().chain(&[OPENS, CLOSES]);
        let others = others.filter(|other| **other < place).count();
        let count = turn / CYCLE * 18 + place - u64::try_from(others)?;
        let state = |count: u64| -> Result<State> {
            let place = usize::try_from(count % 4)?;
            STATES.get(place).copied().context("a state")
        };
        let to = state(count)?;
        Ok(StateLeaf {
            machine: self.machine(machine)?,
            from: match count.checked_sub(1) {
                Some(before) => state(before)?,
                None => State::Unknown,
            },
            to,
            since: Time::from_millis(self.at_ms(index) - 2_000),
            since_ms: i64::try_from(self.mono_ms(index))? - 2_000,
            rule: Some(format!("{to}@1")),
            config: self.map(machine)?,
        })
    }

    fn session_id(&self, machine: usize, turn: u64) -> String {
        format!("{}-{machine:02}-{:08x}", self.gateway, turn / CYCLE)
    }

    fn machine(&self, machine: usize) -> Result<Identifier> {
        self.machines.get(machine).cloned().context("a machine")
    }

    fn map(&self, machine: usize) -> Result<String> {
        let map = self.maps.get(machine).context("a map")?;
        Ok(map.hash.clone())
    }
}
