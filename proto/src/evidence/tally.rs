//! What a stream of leaves adds up to: totals, grades, and whether sessions and tokens follow their rules.
//!
//! Leaves come in the order of their indexes, each once, and are not kept. What is kept follows the machines, the
//! sessions, days and maps of the bundle and the tokens' texts, and is bounded by [`TALLY_BYTES_MAX`].

mod booked;
mod flaw;
mod grade;
mod machine;
mod milli;
mod room;
mod rules;
mod session;
mod sight;
mod sums;
#[cfg(test)]
mod tests;
mod token;
mod whole;

pub use session::activity;
pub use sight::{Sight, Witnessed};

use crate::text::Text;
use std::collections::BTreeMap;

use super::{Findings, Totals};
use crate::ledger::{
    BookingLeaf, Correction, GapLeaf, Hash, Leaf, LeafBody, LeafHead, SessionEvent, UsageLeaf,
};
use crate::text;
use crate::{ClockStatus, Identifier, Time};
use booked::Booked;
use machine::Machine;
use room::{Room, Texts};
use rules::Scene;
use session::Span;
use token::Tokens;

/// Bytes that a tally keeps at most, near enough: a year of twenty machines takes a quarter of it. A bundle that
/// needs more fails check `sessions`.
pub const TALLY_BYTES_MAX: usize = 256 << 20;

/// Bytes of a token at most.
pub const TALLY_TOKEN_BYTES_MAX: usize = 16 << 10;

/// Of what leaves are to be added up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The ledger's origin.
    pub origin: String,
    /// The period's begin.
    pub from: Time,
    /// The period's end, not in it.
    pub to: Time,
    /// The first leaf that will be taken in.
    pub first: u64,
}

/// The tree that the leaves are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeEnd {
    /// The leaf after the last that was taken in.
    pub end: u64,
    /// The leaves that the checkpoint commits to.
    pub size: u64,
    /// The root that it commits to.
    pub root: Hash,
}

/// The leaf by which a session of the period is proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionPlace {
    /// The machine.
    pub machine: Identifier,
    /// The session.
    pub session: String,
    /// Its closing leaf; the opening one where that is not in the bundle.
    pub index: u64,
}

/// What leaves add up to, as somebody sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tallied {
    /// The totals.
    pub totals: Totals,
    /// What check `sessions` found, the proofs of `proof/sessions.json` left aside.
    pub sessions: Findings,
    /// Sessions of the period.
    pub sessions_count: u64,
    /// What check `tokens` found.
    pub tokens: Findings,
    /// Of the sessions, external ones.
    pub external_count: u64,
}

/// Leaves being added up.
#[derive(Clone, Debug)]
pub struct Tally {
    scope: Scope,
    names: BTreeMap<Identifier, usize>,
    /// By the numbers of their names.
    machines: Vec<Machine>,
    boots: Texts,
    /// The newest letter of each boot's clock, by the boot's number.
    letters: BTreeMap<u32, ClockStatus>,
    maps: Texts,
    tokens: Tokens,
    /// The leaves that are of a session, in order: how far after the first, and which session.
    places: Vec<Place>,
    /// Outcomes of bookings that name a token.
    booked: Vec<Booked>,
    room: Room,
    found: Findings,
}

/// Whose a leaf is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// How far after the first leaf.
    offset: u32,
    /// The machine's number.
    machine: u32,
    /// The session's place among those of the machine.
    session: u32,
}

/// What a machine takes.
const MACHINE_BYTES: usize = 1024;

impl Tally {
    /// Nothing yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            names: BTreeMap::new(),
            machines: Vec::new(),
            boots: Texts::default(),
            letters: BTreeMap::new(),
            maps: Texts::default(),
            tokens: Tokens::default(),
            places: Vec::new(),
            booked: Vec::new(),
            room: Room::new(TALLY_BYTES_MAX),
            found: Findings::default(),
        }
    }

    /// Whether leaves of this kind add anything; others need not be given to [`Self::take`].
    pub fn counts(body: &LeafBody) -> bool {
        match body {
            LeafBody::Boot(_)
            | LeafBody::Clock(_)
            | LeafBody::Correction(_)
            | LeafBody::Session(_)
            | LeafBody::Bind(_)
            | LeafBody::Usage(_)
            | LeafBody::Booking(_)
            | LeafBody::Gap(_) => true,
            LeafBody::Genesis(_)
            | LeafBody::Config(_)
            | LeafBody::Key(_)
            | LeafBody::Audit(_)
            | LeafBody::State(_)
            | LeafBody::Anchor(_)
            | LeafBody::Summary(_) => false,
        }
    }

    /// Takes in the next leaf.
    pub fn take(&mut self, leaf: &Leaf) {
        let Leaf { head, body } = leaf;
        match body {
            LeafBody::Boot(said) => self.letter(head, said.clock),
            LeafBody::Clock(said) => self.letter(head, said.status),
            LeafBody::Correction(said) => self.correct(head, said),
            LeafBody::Session(leaf) => {
                self.of_session(
                    head,
                    &leaf.machine,
                    &leaf.session,
                    |scene, machine| match leaf.event {
                        SessionEvent::Open => scene.opens(machine, leaf),
                        SessionEvent::Close => scene.closes(machine, leaf),
                    },
                );
            }
            LeafBody::Bind(leaf) => {
                self.of_session(head, &leaf.machine, &leaf.session, |scene, machine| {
                    scene.binds(machine, leaf);
                });
            }
            LeafBody::Usage(leaf) => self.take_usage(head, leaf),
            LeafBody::Booking(leaf) => self.take_booking(head, leaf),
            LeafBody::Gap(leaf) => {
                if self.scope.meets(leaf) {
                    if let Some(number) = self.number(&leaf.machine) {
                        self.with(number, |machine, _| machine.is_of_period = true);
                    }
                }
            }
            LeafBody::Genesis(_)
            | LeafBody::Config(_)
            | LeafBody::Key(_)
            | LeafBody::Audit(_)
            | LeafBody::State(_)
            | LeafBody::Anchor(_)
            | LeafBody::Summary(_) => {}
        }
    }

    /// Takes in a token's text, at any time. It is known by its SHA-256.
    pub fn take_token(&mut self, text: &[u8]) {
        self.tokens.take(text, &mut self.room);
    }

    fn letter(&mut self, head: &LeafHead, clock: ClockStatus) {
        if let Some(boot) = self.boots.id(&head.boot, &mut self.room) {
            self.letters.insert(boot, clock);
        }
    }

    /// The number of a machine; none where there is no room for one more.
    fn number(&mut self, name: &Identifier) -> Option<usize> {
        if let Some(number) = self.names.get(name) {
            return Some(*number);
        }
        if !self.room.take(MACHINE_BYTES) {
            return None;
        }
        let number = self.machines.len();
        self.machines.push(Machine::default());
        self.names.insert(name.clone(), number);
        Some(number)
    }

    /// Does something with a machine that is taken out, so that everything else stays at hand.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Machine, &mut Self)) {
        let Some(machine) = self.machines.get_mut(number) else {
            return;
        };
        let mut machine = std::mem::take(machine);
        act(&mut machine, self);
        if let Some(place) = self.machines.get_mut(number) {
            *place = machine;
        }
    }

    /// Holds a leaf against the rules.
    fn hold(
        &mut self,
        (head, name, boot): (&LeafHead, &Identifier, Option<u32>),
        act: impl FnOnce(&mut Scene<'_>),
    ) {
        let mut broken = Vec::new();
        act(&mut Scene {
            head,
            boot,
            is_whole: self.scope.first == 0,
            room: &mut self.room,
            broken: &mut broken,
        });
        self.tell(name, head, broken);
    }

    fn of_session(
        &mut self,
        head: &LeafHead,
        name: &Identifier,
        session: &str,
        act: impl FnOnce(&mut Scene<'_>, &mut Machine),
    ) {
        let boot = self.boots.id(&head.boot, &mut self.room);
        let Some(number) = self.number(name) else {
            return;
        };
        self.with(number, |machine, tally| {
            tally.hold((head, name, boot), |scene| act(scene, machine));
            tally.place(number, machine, head.index, session);
        });
    }

    fn take_usage(&mut self, head: &LeafHead, leaf: &UsageLeaf) {
        let name = &leaf.machine;
        let boot = leaf.span_boot.as_ref().unwrap_or(&head.boot);
        let boot = self.boots.id(boot, &mut self.room);
        let Some(number) = self.number(name) else {
            return;
        };
        self.with(number, |machine, tally| {
            tally.hold((head, name, boot), |scene| scene.uses(machine, leaf));
            tally.count(machine, leaf, boot);
            if let Some(session) = &leaf.session {
                tally.place(number, machine, head.index, session);
            }
        });
    }

    fn take_booking(&mut self, head: &LeafHead, leaf: &BookingLeaf) {
        let name = &leaf.machine;
        let Some(number) = self.number(name) else {
            return;
        };
        self.with(number, |machine, tally| {
            tally.hold((head, name, None), |scene| scene.decides(machine, leaf));
            if let Some(booked) = Booked::of(head, leaf, &mut tally.room) {
                tally.booked.push(booked);
            }
            if tally.scope.holds(leaf.start) {
                machine.is_of_period = true;
                let of = machine.sums.bookings.entry(leaf.outcome).or_default();
                room::add(of, 1);
            }
        });
    }

    fn tell(&mut self, name: &Identifier, head: &LeafHead, broken: Vec<Text>) {
        for broken in broken {
            let index = head.index;
            self.found.fail(|| {
                let Text { en, zh } = broken;
                text!(
                    "leaf {index}, machine {name}: {en}",
                    "第 {index} 条记录，设备 {name}：{zh}"
                )
            });
        }
    }

    /// Adds a usage leaf, if it begins in the period.
    fn count(&mut self, machine: &mut Machine, leaf: &UsageLeaf, boot: Option<u32>) {
        if !self.scope.holds(leaf.from) {
            return;
        }
        let letter = boot.and_then(|boot| self.letters.get(&boot).copied());
        let letter = leaf.clock.or(letter).unwrap_or(ClockStatus::U);
        let span = Span {
            leaf,
            active_ms: activity(leaf),
            energy: milli::reading(leaf.energy.as_ref()),
            is_synchronised: letter == ClockStatus::S,
            map: self.maps.id(&leaf.config, &mut self.room),
        };
        machine.is_of_period = true;
        machine.sums.count(&span, &mut self.room);
        let session = leaf.session.as_ref();
        if let Some(session) = session.and_then(|id| machine.session(id, &mut self.room)) {
            session.count(&span, &mut self.room);
        }
    }

    /// Remembers whose a leaf is, for corrections that refer to it.
    fn place(&mut self, number: usize, machine: &Machine, index: u64, session: &str) {
        let offset = index.checked_sub(self.scope.first);
        let offset = offset.and_then(|offset| u32::try_from(offset).ok());
        let session = machine.place(session);
        let session = session.and_then(|session| u32::try_from(session).ok());
        let number = u32::try_from(number).ok();
        let (Some(offset), Some(session), Some(machine)) = (offset, session, number) else {
            return;
        };
        if self.room.take(size_of::<Place>()) {
            self.places.push(Place {
                offset,
                machine,
                session,
            });
        }
    }

    fn correct(&mut self, head: &LeafHead, said: &Correction) {
        let (index, refers) = (head.index, said.refers);
        if refers >= index {
            return self.found.fail(|| {
                text!(
                    "leaf {index}: a correction of leaf {refers}, which does not come before it",
                    "第 {index} 条记录：更正的第 {refers} 条记录不在它之前"
                )
            });
        }
        let offset = refers.checked_sub(self.scope.first);
        let Some(offset) = offset.and_then(|offset| u32::try_from(offset).ok()) else {
            return;
        };
        let places = &self.places;
        let Ok(place) = places.binary_search_by_key(&offset, |place| place.offset) else {
            return;
        };
        let Some(place) = places.get(place) else {
            return;
        };
        let machine = usize::try_from(place.machine).ok();
        let machine = machine.and_then(|number| self.machines.get_mut(number));
        let session = usize::try_from(place.session).ok().zip(machine);
        let session = session.and_then(|(at, machine)| machine.sessions.get_mut(at));
        if let Some(session) = session {
            session.is_corrected = true;
        }
    }
}

impl Tally {
    /// The machines by name.
    fn by_name(&self) -> impl Iterator<Item = (&Identifier, &Machine)> {
        let all = self.names.iter();
        all.filter_map(|(name, number)| Some((name, self.machines.get(*number)?)))
    }
}

impl Scope {
    /// Whether a time is in the period.
    fn holds(&self, time: Time) -> bool {
        self.from <= time && time < self.to
    }

    /// Whether a gap and the period have time in common.
    fn meets(&self, gap: &GapLeaf) -> bool {
        gap.from < self.to && gap.to > self.from
    }

    fn period_ms(&self) -> u64 {
        let length = self.to.as_millis().saturating_sub(self.from.as_millis());
        u64::try_from(length).unwrap_or(0)
    }
}
