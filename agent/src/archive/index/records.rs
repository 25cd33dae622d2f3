//! The rows that later leaves change: read when the first leaf of a batch is about them, written when the batch ends.

use lineside_proto::ledger::{Bind, CloseReason, LeafHead, SessionLeaf, UsageLeaf};
use lineside_proto::{CheckIn, Class, ClockStatus, Identifier, LocalText, Outcome, Time};

use super::IndexError;
use super::sql::{Row, Value, word};

/// A start of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Boot {
    pub(super) leaf: Option<u64>,
    pub(super) at: Option<Time>,
    pub(super) version: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) clock: ClockStatus,
}

impl Boot {
    /// Its boot id, and what is known of it.
    pub(super) fn read(row: &mut Row) -> Result<(String, Self), IndexError> {
        let boot = row.text()?;
        let known = Self {
            leaf: row.count_if()?,
            at: row.time_if()?,
            version: row.text_if()?,
            previous: row.text_if()?,
            clock: row.word()?,
        };
        Ok((boot, known))
    }

    pub(super) fn values(&self, log: i64, boot: &str) -> Vec<Value> {
        vec![
            log.into(),
            boot.into(),
            self.leaf.into(),
            self.at.into(),
            self.version.clone().into(),
            self.previous.clone().into(),
            word(self.clock),
        ]
    }
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Machine {
    pub(super) name: Option<LocalText>,
    pub(super) map: Option<String>,
    pub(super) first: Time,
    pub(super) newest: Time,
}

impl Machine {
    /// Its identifier, and what is known of it.
    pub(super) fn read(row: &mut Row) -> Result<(Identifier, Self), IndexError> {
        let machine = row.name()?;
        let known = Self {
            name: name(row.text_if()?, row.text_if()?),
            map: row.text_if()?,
            first: row.time()?,
            newest: row.time()?,
        };
        Ok((machine, known))
    }

    pub(super) fn values(&self, log: i64, machine: &Identifier) -> Vec<Value> {
        let (zh, en) = (self.name.as_ref())
            .map(|name| (name.zh_cn.clone(), name.en.clone()))
            .unwrap_or_default();
        vec![
            log.into(),
            machine.into(),
            zh.into(),
            en.into(),
            self.map.clone().into(),
            self.first.into(),
            self.newest.into(),
        ]
    }
}

/// A name of which at least one text is known.
pub(super) fn name(zh_cn: Option<String>, en: Option<String>) -> Option<LocalText> {
    let is_known = zh_cn.is_some() || en.is_some();
    is_known.then_some(LocalText { zh_cn, en })
}

/// A session. What it makes of its leaves is what `evidence::Tally` makes of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Session {
    pub(super) open: Option<u64>,
    pub(super) close: Option<u64>,
    pub(super) bind: Option<u64>,
    booking: Option<String>,
    token: Option<String>,
    class: Option<Class>,
    class_before: Option<Class>,
    check_in: Option<CheckIn>,
    person: Option<String>,
    from: Option<Time>,
    to: Option<Time>,
    reason: Option<CloseReason>,
    pub(super) outcome: Option<Outcome>,
    leaves: u64,
    /// Those of them that count nowhere.
    overlaps: u64,
    /// By state, in the order of the tables.
    ms: [u64; 8],
    active_ms: u64,
    energy_mwh: Option<u64>,
}

/// How far a machine's hours are counted on a boot's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counted {
    mono_to_ms: u64,
}

impl Counted {
    /// Its machine and boot, and what is known of it.
    pub(super) fn read(row: &mut Row) -> Result<((Identifier, String), Self), IndexError> {
        let key = (row.name()?, row.text()?);
        let mono_to_ms = row.count()?;
        Ok((key, Self { mono_to_ms }))
    }

    pub(super) fn values(self, log: i64, machine: &Identifier, boot: &str) -> Vec<Value> {
        vec![
            log.into(),
            machine.into(),
            boot.into(),
            self.mono_to_ms.into(),
        ]
    }

    /// Goes on to the end of a leaf, if that counts: it begins where nothing is counted yet, and holds no more time than
    /// it is long. However often somebody signs an hour, it is one.
    pub(super) fn counts(&mut self, leaf: &UsageLeaf) -> bool {
        let (from, to) = (leaf.mono_from_ms, leaf.mono_to_ms);
        let told = leaf
            .ms
            .values()
            .fold(0_u64, |sum, ms| sum.saturating_add(*ms));
        let counts = from >= self.mono_to_ms && told <= to.saturating_sub(from);
        if counts {
            self.mono_to_ms = to.max(self.mono_to_ms);
        }
        counts
    }
}

/// What a usage leaf adds to its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Used {
    pub(super) class: Option<Class>,
    /// Whether it counts nowhere.
    pub(super) overlaps: bool,
    pub(super) ms: [u64; 8],
    pub(super) active_ms: u64,
    pub(super) energy_mwh: Option<u64>,
}

impl Session {
    /// Its machine and id, and what is known of it.
    pub(super) fn read(row: &mut Row) -> Result<((Identifier, String), Self), IndexError> {
        let key = (row.name()?, row.text()?);
        let mut session = Self {
            open: row.count_if()?,
            close: row.count_if()?,
            bind: row.count_if()?,
            booking: row.text_if()?,
            token: row.text_if()?,
            class: row.word_if()?,
            class_before: row.word_if()?,
            check_in: row.word_if()?,
            person: row.text_if()?,
            from: row.time_if()?,
            to: row.time_if()?,
            ..Self::default()
        };
        let _end = row.int()?;
        session.reason = row.word_if()?;
        session.outcome = row.word_if()?;
        session.leaves = row.count()?;
        session.overlaps = row.count()?;
        for ms in &mut session.ms {
            *ms = row.count()?;
        }
        session.active_ms = row.count()?;
        session.energy_mwh = row.count_if()?;
        Ok((key, session))
    }

    pub(super) fn values(&self, log: i64, machine: &Identifier, session: &str) -> Vec<Value> {
        let is_over = self.close.is_some();
        let end = self.to.filter(|_| is_over).unwrap_or(Time::MAX);
        let mut values: Vec<Value> = vec![
            log.into(),
            machine.into(),
            session.into(),
            self.open.into(),
            self.close.into(),
            self.bind.into(),
            self.booking.clone().into(),
            self.token.clone().into(),
            self.class.map_or(Value::Null, word),
            self.class_before.map_or(Value::Null, word),
            self.check_in.map_or(Value::Null, word),
            self.person.clone().into(),
            self.from.into(),
            self.to.into(),
            end.into(),
            self.reason.map_or(Value::Null, word),
            self.outcome.map_or(Value::Null, word),
            self.leaves.into(),
            self.overlaps.into(),
        ];
        values.extend(self.ms.map(Value::from));
        values.push(self.active_ms.into());
        values.push(self.energy_mwh.into());
        values
    }

    /// Whether a begin, an end or a bind leaf said whose it is: the class that usage says no longer counts then.
    fn is_said(&self) -> bool {
        self.open.is_some() || self.close.is_some() || self.bind.is_some()
    }

    pub(super) fn opens(&mut self, head: &LeafHead, leaf: &SessionLeaf, texts: Texts) {
        if !self.is_said() {
            self.owned(leaf.class, texts.booking, texts.token);
        }
        self.open = self.open.or(Some(head.index));
        self.begins(leaf, texts.person);
    }

    pub(super) fn closes(&mut self, head: &LeafHead, leaf: &SessionLeaf, texts: Texts) {
        if self.close.is_some() {
            return;
        }
        if self.bind.is_none() {
            self.owned(leaf.class, texts.booking, texts.token);
        }
        if self.open.is_none() {
            self.begins(leaf, texts.person);
        }
        self.close = Some(head.index);
        self.to = leaf.to;
        self.reason = leaf.reason;
    }

    pub(super) fn binds(&mut self, head: &LeafHead, leaf: &Bind, texts: Texts) {
        self.class_before = self.class_before.or(Some(leaf.before));
        self.bind = Some(head.index);
        self.owned(leaf.class, texts.booking, texts.token);
    }

    pub(super) fn uses(&mut self, used: &Used) {
        self.class = self.class.or(used.class);
        self.leaves = self.leaves.saturating_add(1);
        if used.overlaps {
            self.overlaps = self.overlaps.saturating_add(1);
            return;
        }
        for (sum, ms) in self.ms.iter_mut().zip(used.ms) {
            *sum = sum.saturating_add(ms);
        }
        self.active_ms = self.active_ms.saturating_add(used.active_ms);
        if let Some(mwh) = used.energy_mwh {
            self.energy_mwh = Some(self.energy_mwh.unwrap_or(0).saturating_add(mwh));
        }
    }

    fn begins(&mut self, leaf: &SessionLeaf, person: Option<String>) {
        self.from = Some(leaf.from);
        self.check_in = Some(leaf.check_in);
        self.person = person;
    }

    fn owned(&mut self, class: Class, booking: Option<String>, token: Option<String>) {
        (self.class, self.booking, self.token) = (Some(class), booking, token);
    }
}

/// The texts of a leaf about a session, as the tables have them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Texts {
    pub(super) booking: Option<String>,
    pub(super) token: Option<String>,
    pub(super) person: Option<String>,
}
