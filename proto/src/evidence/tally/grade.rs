//! What a session's hours are worth, and why not more.

use super::session::Session;
use super::sums::Base;
use super::{Sight, Witnessed};
use crate::evidence::{Grade, Why};
use crate::{Class, Time};

/// A witness that has seen a session's end later than so long after it makes it worth less.
const WITNESS_MS: i64 = 86_400_000;

/// From so much time without activity on, it says what the machine takes then.
const BASE_MS_MIN: u64 = 3_600_000;

/// Cosigned heads, to be asked whether one of them was early enough.
pub(super) struct Witnesses {
    /// By size, each with the earliest time of it and of all larger ones.
    heads: Vec<Witnessed>,
}

impl Witnesses {
    pub(super) fn of(sight: &Sight) -> Self {
        let mut heads = sight.witnessed.clone();
        heads.sort_by_key(|head| head.size);
        let mut earliest = Time::MAX;
        for head in heads.iter_mut().rev() {
            earliest = earliest.min(head.at);
            head.at = earliest;
        }
        Self { heads }
    }

    /// Whether a head that has this leaf was cosigned by this time.
    fn saw(&self, index: u64, by: Time) -> bool {
        let place = self.heads.partition_point(|head| head.size <= index);
        self.heads.get(place).is_some_and(|head| head.at <= by)
    }
}

/// What a grade rests on beside the session itself.
pub(super) struct Grounds<'a> {
    pub(super) witnesses: &'a Witnesses,
    pub(super) base: Base,
    /// It is external, and its token does not prove it.
    pub(super) is_unproven: bool,
    /// Whether a map, by its number, is approved.
    pub(super) approves: &'a dyn Fn(u32) -> bool,
}

/// The grade, and all that keeps it from being better.
pub(super) fn grade(session: &Session, grounds: &Grounds<'_>) -> (Grade, Vec<Why>) {
    let counted = &session.counted;
    // Whatever the check-in says: without a token nobody but the gateway says what class it is of.
    let is_entered =
        session.token().is_none() && session.class().is_some_and(|class| class != Class::Unb);
    let in_time = session.end.as_ref().is_some_and(|end| {
        let by = end.at.plus_millis(WITNESS_MS);
        grounds.witnesses.saw(end.index, by)
    });
    let is_approved = |map: &u32| (grounds.approves)(*map);
    let has_meter = counted.meter.read > 0;
    let reasons = [
        (is_entered, Why::Entered),
        (session.is_corrected, Why::Corrected),
        (grounds.is_unproven, Why::Token),
        (counted.is_unsynchronised, Why::Clock),
        (!in_time, Why::Late),
        (!counted.maps.iter().all(is_approved), Why::Map),
        (has_meter && !agrees(session, grounds.base), Why::Meter),
        (!has_meter, Why::NoMeter),
    ];
    let why: Vec<Why> = reasons
        .into_iter()
        .filter_map(|(holds, why)| holds.then_some(why))
        .collect();
    let worst = why.iter().map(|why| why.grade()).max();
    (worst.unwrap_or(Grade::A), why)
}

/// Whether the meter says that the machine was in use.
fn agrees(session: &Session, base: Base) -> bool {
    let meter = &session.counted.meter;
    if meter.read < meter.leaves || meter.has_resets || meter.rises_mwh == 0 {
        return false;
    }
    let wide = u128::from;
    base.ms < BASE_MS_MIN
        || wide(meter.rises_mwh) * wide(base.ms) * 10 >= wide(base.rises_mwh) * wide(meter.ms) * 12
}
