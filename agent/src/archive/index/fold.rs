//! From leaves to rows: a batch at a time, in the order of the indexes, each leaf once.
//!
//! What the rows say is what `evidence::Tally` and `ledger::conservation` of the protocol make of the same leaves; a
//! test holds both together. In memory: the rows of one batch.

use std::collections::{BTreeMap, BTreeSet};

use lineside_proto::evidence::activity;
use lineside_proto::ledger::{
    Bind, BookingLeaf, ClockLeaf, ConfigLeaf, Correction, GapLeaf, Leaf, LeafBody, LeafHead,
    SessionEvent, SessionLeaf, StateLeaf, UsageLeaf,
};
use lineside_proto::{ClockStatus, Identifier, Time};
use sha2::{Digest, Sha256};

use super::IndexError;
use super::reach::Reach;
use super::records::{Boot, Counted, Machine, Session, Texts, Used};
use super::sql::{STATES, Sql, Value, word};
use super::tables;

/// Milliseconds that one state of a usage leaf can have here: leaves end at the full hour, so that a day is no honest
/// one's, and sums over any number of leaves that a disk holds stay within a column.
const STATE_MS_MAX: u64 = 86_400_000;

/// Samples, or mWh, that a usage leaf can have here: twenty million a second for an hour.
const COUNT_MAX: u64 = 1 << 36;

/// Bytes of a text that stands as it is: an entry of PostgreSQL's indexes holds 2,700 in all.
const TEXT_BYTES_MAX: usize = 256;

/// Machines of one log: fifty times as many as a gateway reads. Those beyond them would make everybody's sums slow.
pub(super) const MACHINES_MAX: u64 = if cfg!(test) { 64 } else { 1_024 };

/// What a batch changes of its log's own row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    pub(super) first: Option<Time>,
    pub(super) newest: Option<Time>,
    pub(super) unknown: u64,
    pub(super) odd: u64,
}

struct Gap {
    leaf: u64,
    said: GapLeaf,
    boot: String,
    length_ms: Option<u64>,
}

/// The rows of a batch.
pub(super) struct Fold<'a> {
    sql: &'a mut dyn Sql,
    reach: Reach<'a>,
    log: i64,
    boots: BTreeMap<String, Boot>,
    machines: BTreeMap<Identifier, Machine>,
    /// Machines for which there is still room.
    room: u64,
    states: BTreeMap<Identifier, Vec<Value>>,
    sessions: BTreeMap<(Identifier, String), Session>,
    outcomes: Vec<Vec<Value>>,
    usage: Vec<Vec<Value>>,
    counted: BTreeMap<(Identifier, String), Counted>,
    gaps: Vec<Gap>,
    corrections: Vec<Vec<Value>>,
    told: Told,
}

impl<'a> Fold<'a> {
    pub(super) fn new(sql: &'a mut dyn Sql, log: i64, reach: Reach<'a>) -> Self {
        Self {
            sql,
            reach,
            log,
            boots: BTreeMap::new(),
            machines: BTreeMap::new(),
            room: 0,
            states: BTreeMap::new(),
            sessions: BTreeMap::new(),
            outcomes: Vec::new(),
            usage: Vec::new(),
            counted: BTreeMap::new(),
            gaps: Vec::new(),
            corrections: Vec::new(),
            told: Told::default(),
        }
    }

    /// Takes in leaves, which follow one another.
    pub(super) fn take(&mut self, leaves: &[(u64, Vec<u8>)]) -> Result<(), IndexError> {
        let mut known = Vec::with_capacity(leaves.len());
        for (index, bytes) in leaves {
            let leaf = Leaf::from_bytes(bytes).ok();
            match leaf.filter(|leaf| leaf.head.index == *index) {
                Some(leaf) => known.push(leaf),
                None => self.told.unknown += 1,
            }
        }
        self.fetch(&known)?;
        known.iter().try_for_each(|leaf| self.take_one(leaf))
    }

    /// Reads the rows that these leaves may change, many at a time.
    fn fetch(&mut self, leaves: &[Leaf]) -> Result<(), IndexError> {
        let (mut boots, mut machines) = (BTreeSet::new(), BTreeSet::new());
        let (mut sessions, mut counted) = (BTreeSet::new(), BTreeSet::new());
        for Leaf { head, body } in leaves {
            boots.insert(text(&head.boot));
            if let LeafBody::Usage(said) = body {
                boots.extend(said.span_boot.as_deref().map(text));
                counted.insert((&said.machine, text(span_boot(head, said))));
            }
            machines.extend(body.machine());
            sessions.extend(session_of(body).map(|(machine, id)| (machine, text(id))));
        }
        let keys: Vec<_> = boots.into_iter().map(|boot| vec![boot.into()]).collect();
        for mut row in tables::BOOTS.find(self.sql, self.log, &keys)? {
            self.boots.extend([Boot::read(&mut row)?]);
        }
        let keys: Vec<_> = machines.iter().map(|name| vec![(*name).into()]).collect();
        for mut row in tables::MACHINES.find(self.sql, self.log, &keys)? {
            self.machines.extend([Machine::read(&mut row)?]);
        }
        if self.machines.len() < machines.len() {
            let text = "SELECT COUNT(*) FROM machines WHERE log = $1";
            let count = self.sql.ask(text, &[self.log.into()])?.into_iter().next();
            let count = count.map(|mut row| row.count()).transpose()?.unwrap_or(0);
            self.room = MACHINES_MAX.saturating_sub(count);
        }
        let keys: Vec<_> = (sessions.into_iter())
            .map(|(machine, id)| vec![machine.into(), id.into()])
            .collect();
        for mut row in tables::SESSIONS.find(self.sql, self.log, &keys)? {
            self.sessions.extend([Session::read(&mut row)?]);
        }
        let keys: Vec<_> = (counted.into_iter())
            .map(|(machine, boot)| vec![machine.into(), boot.into()])
            .collect();
        for mut row in tables::COUNTED.find(self.sql, self.log, &keys)? {
            self.counted.extend([Counted::read(&mut row)?]);
        }
        Ok(())
    }

    fn take_one(&mut self, Leaf { head, body }: &Leaf) -> Result<(), IndexError> {
        self.told.first.get_or_insert(head.at);
        self.told.newest = Some(head.at);
        if let Some(machine) = body.machine() {
            if !self.machines.contains_key(machine) {
                if self.room == 0 {
                    self.told.odd += 1;
                    return Ok(());
                }
                self.room -= 1;
            }
            let machine = self.machine(machine, head.at);
            // A clock that was ahead may have been set back since.
            machine.first = machine.first.min(earliest(head, body));
            machine.newest = machine.newest.max(head.at);
        }
        match body {
            LeafBody::Boot(said) => {
                let version = text(&said.version);
                let previous = match word(said.previous) {
                    Value::Text(text) => Some(text),
                    Value::Null | Value::Int(_) => None,
                };
                let boot = self.boot(head, said.clock);
                (boot.leaf, boot.at) = (Some(head.index), Some(head.at));
                (boot.version, boot.previous) = (Some(version), previous);
                boot.clock = said.clock;
            }
            LeafBody::Clock(said) => self.clock(head, said)?,
            LeafBody::Config(said) => self.config(head, said),
            LeafBody::State(said) => self.state(head, said),
            LeafBody::Session(said) => self.session_leaf(head, said),
            LeafBody::Bind(said) => self.bind(head, said),
            LeafBody::Usage(said) => self.usage(head, said),
            LeafBody::Gap(said) => self.gaps.push(Gap {
                leaf: head.index,
                said: said.clone(),
                boot: text(&head.boot),
                length_ms: said.ms,
            }),
            LeafBody::Booking(said) => self.outcome(head, said),
            LeafBody::Correction(said) => self.correction(head, said)?,
            LeafBody::Genesis(_)
            | LeafBody::Key(_)
            | LeafBody::Audit(_)
            | LeafBody::Anchor(_)
            | LeafBody::Summary(_) => {}
        }
        Ok(())
    }

    /// Writes the rows.
    pub(super) fn finish(self) -> Result<Told, IndexError> {
        let Self { sql, log, .. } = self;
        let boots: Vec<_> = (self.boots.iter())
            .map(|(boot, row)| row.values(log, boot))
            .collect();
        tables::BOOTS.put(sql, &boots)?;
        let machines: Vec<_> = (self.machines.iter())
            .map(|(machine, row)| row.values(log, machine))
            .collect();
        tables::MACHINES.put(sql, &machines)?;
        let states: Vec<_> = self.states.into_values().collect();
        tables::STATES.put(sql, &states)?;
        let sessions: Vec<_> = (self.sessions.iter())
            .map(|((machine, session), row)| row.values(log, machine, session))
            .collect();
        tables::SESSIONS.put(sql, &sessions)?;
        tables::OUTCOMES.add(sql, &self.outcomes)?;
        tables::USAGE.add(sql, &self.usage)?;
        let counted: Vec<_> = (self.counted.iter())
            .map(|((machine, boot), row)| row.values(log, machine, boot))
            .collect();
        tables::COUNTED.put(sql, &counted)?;
        let gaps: Vec<_> = self.gaps.iter().map(|gap| gap.values(log)).collect();
        tables::GAPS.add(sql, &gaps)?;
        tables::CORRECTIONS.add(sql, &self.corrections)?;
        Ok(self.told)
    }

    /// The row of the boot that a leaf was written in.
    fn boot(&mut self, head: &LeafHead, clock: ClockStatus) -> &mut Boot {
        self.boots.entry(text(&head.boot)).or_insert(Boot {
            leaf: None,
            at: None,
            version: None,
            previous: None,
            clock,
        })
    }

    fn machine(&mut self, machine: &Identifier, at: Time) -> &mut Machine {
        self.machines.entry(machine.clone()).or_insert(Machine {
            name: None,
            map: None,
            first: at,
            newest: at,
        })
    }

    fn session(&mut self, machine: &Identifier, session: &str) -> &mut Session {
        let key = (machine.clone(), text(session));
        self.sessions.entry(key).or_default()
    }

    fn clock(&mut self, head: &LeafHead, said: &ClockLeaf) -> Result<(), IndexError> {
        self.boot(head, said.status).clock = said.status;
        if said.before != ClockStatus::U || said.status == ClockStatus::U {
            return Ok(());
        }
        // The clock of this boot is set: gaps that ended in it have a length.
        let boot = text(&head.boot);
        for gap in self.gaps.iter_mut().filter(|gap| gap.boot == boot) {
            let (from, to) = (gap.said.from.as_millis(), wide(gap.said.mono_to_ms));
            let end = head.at.as_millis().saturating_sub(wide(head.mono_ms)) + to;
            let length_ms = u64::try_from(end.saturating_sub(from)).unwrap_or(0);
            gap.length_ms.get_or_insert(length_ms);
        }
        let text = "UPDATE gaps SET length_ms = CASE \
                    WHEN CAST($1 AS BIGINT) + mono_to_ms - from_ms > 0 THEN CAST($1 AS BIGINT) + mono_to_ms - from_ms \
                    ELSE 0 END WHERE log = $2 AND boot = $3 AND length_ms IS NULL";
        let begin = head.at.as_millis().saturating_sub(wide(head.mono_ms));
        let values = [begin.into(), self.log.into(), boot.into()];
        self.sql.run(text, &values).map(drop)
    }

    fn config(&mut self, head: &LeafHead, said: &ConfigLeaf) {
        let name = (self.reach.names)(&said.map);
        let map = text(&said.map);
        let machine = self.machine(&said.machine, head.at);
        machine.name = name;
        machine.map = Some(map);
    }

    fn state(&mut self, head: &LeafHead, said: &StateLeaf) {
        let values = vec![
            self.log.into(),
            (&said.machine).into(),
            head.index.into(),
            head.at.into(),
            word(said.to),
            word(said.from),
            said.since.into(),
            said.rule.as_deref().map(text).into(),
            text(&said.config).into(),
        ];
        self.states.insert(said.machine.clone(), values);
    }

    fn session_leaf(&mut self, head: &LeafHead, said: &SessionLeaf) {
        let texts = Texts {
            booking: said.booking.as_deref().map(text),
            token: token(said.token.as_deref()),
            person: said.by.as_deref().map(text),
        };
        let session = self.session(&said.machine, &said.session);
        match said.event {
            SessionEvent::Open => session.opens(head, said, texts),
            SessionEvent::Close => session.closes(head, said, texts),
        }
    }

    fn bind(&mut self, head: &LeafHead, said: &Bind) {
        let texts = Texts {
            booking: Some(text(&said.booking)),
            token: token(Some(&said.token)),
            person: None,
        };
        self.session(&said.machine, &said.session)
            .binds(head, said, texts);
    }

    fn usage(&mut self, head: &LeafHead, said: &UsageLeaf) {
        let boot = text(span_boot(head, said));
        let newest = self.boots.get(&boot).map(|boot| boot.clock);
        let letter = said.clock.or(newest).unwrap_or(ClockStatus::U);
        let of = |state| said.ms.get(&state).copied().unwrap_or(0);
        let all = STATES.map(of);
        let ms = all.map(|ms| ms.min(STATE_MS_MAX));
        let energy = said.energy.as_ref().and_then(|meter| meter.rises_milli());
        let counts = [said.good, said.bad, energy.unwrap_or(0)];
        if all != ms || counts.iter().any(|count| *count > COUNT_MAX) {
            self.told.odd += 1;
        }
        let counted = self.counted.entry((said.machine.clone(), boot));
        let overlaps = !counted.or_default().counts(said);
        let active_ms = activity(said).min(ms.iter().sum());
        let hold_over_ms = said.hold_over_ms.min(STATE_MS_MAX);
        let energy_mwh = energy.map(|mwh| mwh.min(COUNT_MAX));
        let mut values = vec![
            self.log.into(),
            head.index.into(),
            (&said.machine).into(),
            said.session.as_deref().map(text).into(),
            said.class.map_or(Value::Null, word),
            said.from.into(),
            said.to.into(),
        ];
        values.extend(ms.map(Value::from));
        values.extend([
            hold_over_ms.into(),
            active_ms.into(),
            said.good.min(COUNT_MAX).into(),
            said.bad.min(COUNT_MAX).into(),
            word(letter),
            energy_mwh.into(),
            text(&said.config).into(),
            u32::from(overlaps).into(),
        ]);
        self.usage.push(values);
        let Some(session) = &said.session else {
            return;
        };
        let used = Used {
            class: said.class,
            overlaps,
            ms,
            active_ms,
            energy_mwh,
        };
        self.session(&said.machine, session).uses(&used);
    }

    fn outcome(&mut self, head: &LeafHead, said: &BookingLeaf) {
        self.outcomes.push(vec![
            self.log.into(),
            head.index.into(),
            head.at.into(),
            (&said.machine).into(),
            text(&said.booking).into(),
            token(said.token.as_deref()).into(),
            word(said.class),
            word(said.outcome),
            word(said.check_in),
            said.session.as_deref().map(text).into(),
            said.start.into(),
            said.end.into(),
            said.slot_ms.into(),
            said.active_ms.into(),
            said.unknown_ms.into(),
            said.down_ms.into(),
            said.coverage_pm.into(),
        ]);
        // A session that never began does not begin by this.
        let session = said.session.as_deref().map(text);
        let key = session.map(|session| (said.machine.clone(), session));
        if let Some(session) = key.and_then(|key| self.sessions.get_mut(&key)) {
            session.outcome = Some(said.outcome);
        }
    }

    fn correction(&mut self, head: &LeafHead, said: &Correction) -> Result<(), IndexError> {
        let whose = if said.refers < head.index {
            self.reach.whose(said.refers)?
        } else {
            None
        };
        let (machine, session) = whose.unzip();
        self.corrections.push(vec![
            self.log.into(),
            head.index.into(),
            head.at.into(),
            said.refers.into(),
            machine.as_ref().into(),
            session.into(),
            plain(&said.reason).into(),
            text(&said.by).into(),
        ]);
        Ok(())
    }
}

impl Gap {
    fn values(&self, log: i64) -> Vec<Value> {
        let said = &self.said;
        vec![
            log.into(),
            self.leaf.into(),
            (&said.machine).into(),
            said.from.into(),
            said.to.into(),
            self.boot.clone().into(),
            said.mono_to_ms.into(),
            self.length_ms.into(),
            word(said.clock),
            word(said.reason),
        ]
    }
}

/// The machine and the session that a leaf is of, or tells the outcome of.
pub(super) fn session_of(body: &LeafBody) -> Option<(&Identifier, &str)> {
    match body {
        LeafBody::Session(said) => Some((&said.machine, &said.session)),
        LeafBody::Bind(said) => Some((&said.machine, &said.session)),
        LeafBody::Usage(said) => Some((&said.machine, said.session.as_deref()?)),
        LeafBody::Booking(said) => Some((&said.machine, said.session.as_deref()?)),
        LeafBody::Genesis(_)
        | LeafBody::Boot(_)
        | LeafBody::Config(_)
        | LeafBody::Key(_)
        | LeafBody::Audit(_)
        | LeafBody::Clock(_)
        | LeafBody::State(_)
        | LeafBody::Gap(_)
        | LeafBody::Anchor(_)
        | LeafBody::Correction(_)
        | LeafBody::Summary(_) => None,
    }
}

/// The earliest moment that a leaf tells of.
fn earliest(head: &LeafHead, body: &LeafBody) -> Time {
    if let LeafBody::Usage(UsageLeaf { from, .. }) | LeafBody::Gap(GapLeaf { from, .. }) = body {
        return head.at.min(*from);
    }
    head.at
}

/// The boot on whose clock a usage leaf's span is.
fn span_boot<'a>(head: &'a LeafHead, said: &'a UsageLeaf) -> &'a str {
    said.span_boot.as_ref().unwrap_or(&head.boot)
}

fn wide(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A text as every store takes it: PostgreSQL has no zero byte in texts.
fn plain(said: &str) -> String {
    said.replace('\0', "\u{fffd}")
}

/// A text that may be part of a key.
pub(super) fn text(said: &str) -> String {
    if said.len() > TEXT_BYTES_MAX {
        return format!("sha256:{:x}", Sha256::digest(said));
    }
    plain(said)
}

/// A token's hash; an empty text is none, as bind leaves have it where nobody signed.
fn token(said: Option<&str>) -> Option<String> {
    said.filter(|said| !said.is_empty()).map(text)
}
