//! What happens on the made-up pilot line.

use std::collections::BTreeMap;

use super::city::{Keys, MAP, ORIGIN, map_text, named, org, token};
use super::line::{Begin, Line};
use crate::ledger::{
    Anchor, Audit, Bind, BookingLeaf, CloseReason, Correction, Genesis, Leaf, LeafBody,
    SessionEvent, Shutdown, Summary,
};
use crate::{CheckIn, Class, ClockStatus, Identifier, Outcome, State, Time};

/// 2026-03-02 begins in Asia/Shanghai.
pub const FIRST_DAY_MS: i64 = 1_772_380_800_000;

const DAYS: i64 = 9;
const MARK_MS: i64 = 600_000;
const MARKS: i64 = 144;
const DAY_MS: i64 = MARKS * MARK_MS;
const MINUTE_MS: u64 = 60_000;

/// Machines: the first has a meter and an hour counter, the second a meter, the third neither.
const MACHINES: [(&str, bool, bool); 3] = [
    ("extruder-01", true, true),
    ("mixer-01", true, false),
    ("press-01", false, false),
];

/// A pilot line's days.
pub struct Sample {
    /// Who signs.
    pub keys: Keys,
    /// Every leaf from the first on.
    pub leaves: Vec<Leaf>,
    /// The texts of the maps, by `sha256:…`.
    pub maps: BTreeMap<String, String>,
    /// The tokens, likewise.
    pub tokens: BTreeMap<String, String>,
    /// What the witness saw: sizes, and when.
    pub cosigned: Vec<(u64, Time)>,
}

/// A session of a day: on which machine, from and to which hour, of which kind.
type Slot = (usize, i64, i64, Kind);

/// How a session comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A signed booking of this class.
    Token(Class),
    /// A booking that nobody signed.
    Unsigned,
    /// Somebody at the machine said its class.
    Local(Class),
    /// Nobody booked.
    Unbooked,
    /// Nobody booked, but a token came afterwards.
    Late,
    /// A booking whose user does not come.
    NoShow,
}

/// Days repeat; each machine's slots in order of their time.
const SLOTS: [&[Slot]; 3] = [
    &[
        (0, 9, 12, Kind::Token(Class::Ext)),
        (1, 9, 11, Kind::Token(Class::Own)),
        (2, 10, 12, Kind::Local(Class::Trn)),
        (0, 14, 17, Kind::Token(Class::Aff)),
        (2, 14, 16, Kind::Token(Class::Ext)),
    ],
    &[
        (1, 8, 12, Kind::Token(Class::Ext)),
        (0, 10, 11, Kind::Unbooked),
        (2, 11, 13, Kind::Unsigned),
        (0, 13, 18, Kind::Token(Class::Ext)),
        (1, 15, 16, Kind::Token(Class::Mnt)),
    ],
    &[
        (2, 8, 10, Kind::Late),
        (0, 9, 13, Kind::Token(Class::Trn)),
        (1, 10, 12, Kind::NoShow),
        (2, 13, 15, Kind::Token(Class::Ext)),
        (1, 14, 18, Kind::Token(Class::Ext)),
    ],
];

/// A slot at work.
struct Booked<'a> {
    unit: usize,
    id: &'a str,
    kind: Kind,
    span: [i64; 2],
}

impl Default for Sample {
    fn default() -> Self {
        Self::new()
    }
}

impl Sample {
    /// The days.
    pub fn new() -> Self {
        let mut sample = Self {
            keys: Keys::new(),
            leaves: Vec::new(),
            maps: BTreeMap::new(),
            tokens: BTreeMap::new(),
            cosigned: Vec::new(),
        };
        let mut line = Line::new(FIRST_DAY_MS, "5d1c1a3e-0001", ClockStatus::S);
        line.write(LeafBody::Genesis(Genesis {
            site: name("site-01"),
            gateway: name("gateway-01"),
            origin: ORIGIN.to_owned(),
            epoch: 1,
            key: sample.keys.gateway.public().to_string(),
            prior: None,
        }));
        line.boot(Shutdown::None);
        for (machine, meter, counter) in MACHINES {
            sample.map(machine, MAP);
            line.join(&name(machine), MAP, meter, counter);
        }
        sample.map(MACHINES[0].0, MAP + 1);
        for mark in 0..DAYS * MARKS {
            line.pass_to(FIRST_DAY_MS + mark * MARK_MS);
            sample.mark(&mut line, mark / MARKS, mark % MARKS);
        }
        line.pass_to(FIRST_DAY_MS + DAYS * DAY_MS);
        let end = line.leaves.len() as u64;
        sample.cosigned.push((end, line.now().plus_millis(1500)));
        sample.leaves = line.leaves;
        sample
    }

    fn map(&mut self, machine: &str, number: u32) {
        let text = map_text(machine, number);
        self.maps.insert(named(&text), text);
    }

    /// What happens at a mark of ten minutes.
    fn mark(&mut self, line: &mut Line, day: i64, mark: i64) {
        let all = 0..MACHINES.len();
        match mark {
            36 => all.clone().for_each(|unit| line.state(unit, State::Idle)),
            48 => all.clone().for_each(|unit| summary(line, unit)),
            132 => all.clone().for_each(|unit| line.state(unit, State::Off)),
            _ => {}
        }
        match (day, mark) {
            // Restarts: between sessions, and while some run.
            (1, 39) => line.restart(7 * MINUTE_MS),
            (4, 63) => line.restart(4 * MINUTE_MS),
            (5, 25) => line.reboot(20 * MINUTE_MS, 90_000, "5d1c1a3e-0002"),
            (5, 64) => line.set_clock(90_000),
            (6, 30) => line.remap(0, MAP + 1),
            (6, 120) => correct(line),
            _ => {}
        }
        match (day, mark) {
            (1, 40) => all.for_each(|unit| line.state(unit, State::Idle)),
            (4, 64) => (0..2).for_each(|unit| line.state(unit, State::Run)),
            _ => {}
        }
        // The witness is away on the third and fourth day.
        if mark % 36 == 35 && !(2..4).contains(&day) {
            let size = line.leaves.len() as u64;
            self.cosigned.push((size, line.now().plus_millis(1500)));
            line.write(LeafBody::Anchor(Anchor {
                size,
                cosignature: named(&format!("cosignature of {size}")),
            }));
        }
        let slots = usize::try_from(day % 3).ok().and_then(|day| SLOTS.get(day));
        for (place, slot) in slots.copied().unwrap_or_default().iter().enumerate() {
            let (unit, from, to, kind) = *slot;
            let hour = |hour| FIRST_DAY_MS + day * DAY_MS + hour * 6 * MARK_MS;
            let booked = Booked {
                unit,
                id: &format!("b-{day}-{place}"),
                kind,
                span: [hour(from), hour(to)],
            };
            self.slot(line, &booked, mark - from * 6, mark - to * 6);
        }
    }

    /// What happens in a slot, by the marks since it began and since it ended.
    fn slot(&mut self, line: &mut Line, slot: &Booked<'_>, since: i64, over: i64) {
        if slot.kind == Kind::NoShow {
            if over == 0 {
                self.outcome(line, slot, None);
            }
            return;
        }
        match since {
            0 => {
                self.open(line, slot);
                line.state(slot.unit, State::Setup);
            }
            2 | 7 => line.state(slot.unit, State::Run),
            6 => line.state(slot.unit, State::Hold),
            _ => {}
        }
        if over == 0 {
            line.state(slot.unit, State::Idle);
            let session = line.close(slot.unit, CloseReason::Ended);
            if slot.kind == Kind::Late {
                let token = self.token(slot, Class::Ext);
                line.write(LeafBody::Bind(Bind {
                    machine: machine(slot.unit),
                    session: session.clone().unwrap_or_default(),
                    booking: slot.id.to_owned(),
                    token,
                    class: Class::Ext,
                    before: Class::Unb,
                }));
            }
            if !matches!(slot.kind, Kind::Unbooked | Kind::Local(_)) {
                self.outcome(line, slot, session);
            }
        }
    }

    fn token(&mut self, slot: &Booked<'_>, class: Class) -> String {
        let machine = machine(slot.unit);
        let text = token(
            &self.keys,
            machine.as_str(),
            slot.id,
            class,
            org(class),
            slot.span,
        );
        let hash = named(&text);
        self.tokens.insert(hash.clone(), text);
        hash
    }

    fn open(&mut self, line: &mut Line, slot: &Booked<'_>) {
        let (class, booking, check_in) = match slot.kind {
            Kind::Token(class) => {
                let token = self.token(slot, class);
                (class, Some((slot.id, Some(token))), CheckIn::Portal)
            }
            Kind::Unsigned => (Class::Own, Some((slot.id, None)), CheckIn::Implied),
            Kind::Local(class) => (class, None, CheckIn::Local),
            Kind::Unbooked | Kind::Late | Kind::NoShow => (Class::Unb, None, CheckIn::None),
        };
        line.open(
            slot.unit,
            &Begin {
                class,
                booking,
                check_in,
            },
        );
    }

    fn outcome(&mut self, line: &mut Line, slot: &Booked<'_>, session: Option<String>) {
        let class = match slot.kind {
            Kind::Token(class) => class,
            Kind::Unsigned => Class::Own,
            Kind::Late | Kind::NoShow | Kind::Local(_) | Kind::Unbooked => Class::Ext,
        };
        let token = (slot.kind != Kind::Unsigned).then(|| self.token(slot, class));
        let [start, end] = slot.span;
        let slot_ms = u64::try_from(end - start).unwrap_or(0);
        let came = session.is_some();
        line.write(LeafBody::Booking(BookingLeaf {
            machine: machine(slot.unit),
            booking: slot.id.to_owned(),
            token,
            class,
            outcome: if came {
                Outcome::Fulfilled
            } else {
                Outcome::NoShow
            },
            check_in: match (came, slot.kind) {
                (false, _) | (_, Kind::Late) => CheckIn::None,
                (true, Kind::Token(_)) => CheckIn::Portal,
                (true, _) => CheckIn::Implied,
            },
            session,
            start: Time::from_millis(start),
            end: Time::from_millis(end),
            slot_ms,
            active_ms: if came { slot_ms } else { 0 },
            unknown_ms: 0,
            down_ms: 0,
            coverage_pm: 1000,
        }));
    }
}

/// Somebody says that the last session was no such session.
fn correct(line: &mut Line) {
    let is_close = |leaf: &&Leaf| matches!(&leaf.body, LeafBody::Session(leaf) if leaf.event == SessionEvent::Close);
    let refers = line.leaves.iter().rev().find(is_close);
    let refers = refers.map_or(0, |leaf| leaf.head.index);
    line.write(LeafBody::Correction(Correction {
        refers,
        reason: "it was a demonstration".to_owned(),
        by: "person-7".to_owned(),
    }));
    line.write(LeafBody::Audit(Audit {
        who: "operator".to_owned(),
        action: "correct".to_owned(),
        what: format!("leaf {refers}"),
    }));
}

/// What a machine did in the UTC day that ends now.
fn summary(line: &mut Line, unit: usize) {
    let machine = machine(unit);
    let day = line.now().plus_millis(-1).to_string();
    let day = day.split('T').next().unwrap_or_default().to_owned();
    let mut summary = Summary {
        machine: machine.clone(),
        day: day.clone(),
        ms: BTreeMap::new(),
        active_ms: BTreeMap::new(),
        sessions: 0,
    };
    for leaf in &line.leaves {
        if let LeafBody::Usage(usage) = &leaf.body {
            if usage.machine == machine && usage.from.to_string().starts_with(&day) {
                for (state, ms) in &usage.ms {
                    *summary.ms.entry(*state).or_default() += ms;
                    let is_active = matches!(state, State::Setup | State::Run | State::Hold);
                    if let Some(class) = usage.class.filter(|_| is_active) {
                        *summary.active_ms.entry(class).or_default() += ms;
                    }
                }
            }
        } else if let LeafBody::Session(session) = &leaf.body {
            let begins = session.event == SessionEvent::Open && session.machine == machine;
            summary.sessions += u32::from(begins && session.from.to_string().starts_with(&day));
        }
    }
    line.write(LeafBody::Summary(summary));
}

fn machine(unit: usize) -> Identifier {
    name(MACHINES.get(unit).map_or("machine", |(name, ..)| name))
}

#[expect(clippy::expect_used, reason = "made-up names are good ones")]
fn name(text: &str) -> Identifier {
    text.parse().expect("a good name")
}
