//! Whom the desk asks, and when: places for questions are few, and those who don't answer hold theirs for long.
//!
//! Whoever answered last, or was never asked, goes before those that are silent or said to be off; among equals it goes
//! round. Bounds: `ASKING_MAX` questions at once, of them `ANSWERING_MAX` to those that answer, `UNPROVED_MAX` to those
//! that have not answered yet and `SILENT_MAX` to those that were silent.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::gateway::Gateway;
use super::heads::Name;
use super::{Asked, Desk, Output};
use crate::archive::asker;
use crate::evidence::informant::Trouble;

/// Questions on their way at once: each gateway answers for itself, and each may bring megabytes.
const ASKING_MAX: usize = 12;
/// Of them to gateways that answer: however many of these always want something, others have their turn.
const ANSWERING_MAX: usize = 10;
/// Of them to gateways that have not answered since the start, or were silent: the rest is for those that answer.
const UNPROVED_MAX: usize = 8;
/// Of them to those that were silent, or are said to be off.
const SILENT_MAX: usize = 4;
/// The first pause after a question to which nothing was said; it doubles.
const SILENT_MS: u64 = 5_000;
/// The longest, and the one of gateways that are said to be off.
const SILENT_MAX_MS: u64 = 600_000;
/// Doublings that lead beyond that.
const DOUBLED_MAX: u32 = 7;
/// How long is waited for the first word of a gateway: it works for half a minute at most.
const PATIENCE: Duration = Duration::from_secs(40);
/// The same for one that has not answered yet: most answer at once, and each third time it is given longer.
const PROBE: Duration = Duration::from_secs(10);

/// How a gateway answers. Times are on the boot clock.
#[derive(Debug, Default)]
pub(super) struct Manners {
    /// Whether it answered since the start.
    has_answered: bool,
    /// Questions in a row to which nothing was said.
    silent: u32,
    /// What its status says; none as long as that was not heard.
    is_online: Option<bool>,
    not_before_ms: u64,
}

/// In which order gateways are asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Class {
    /// It answered last.
    Answers,
    /// Nobody knows.
    New,
    /// It was silent, or is said to be off.
    Silent,
}

impl Manners {
    fn class(&self) -> Class {
        if self.silent > 0 || self.is_online == Some(false) {
            Class::Silent
        } else if self.has_answered {
            Class::Answers
        } else {
            Class::New
        }
    }

    fn patience(&self) -> Duration {
        match self.class() {
            Class::Answers => PATIENCE,
            Class::New | Class::Silent if self.silent % 3 == 2 => PATIENCE,
            Class::New | Class::Silent => PROBE,
        }
    }

    /// It has answered, whatever that was worth.
    fn answered(&mut self) {
        self.has_answered = true;
        self.silent = 0;
    }

    /// It has said nothing.
    fn was_silent(&mut self, now_ms: u64) {
        let pause = if self.is_online == Some(false) {
            SILENT_MAX_MS
        } else {
            (SILENT_MS << self.silent.min(DOUBLED_MAX)).min(SILENT_MAX_MS)
        };
        self.silent = self.silent.saturating_add(1);
        self.not_before_ms = now_ms.saturating_add(pause);
    }

    /// Takes in what its status says. Gives whether it has come back.
    fn says(&mut self, is_online: bool) -> bool {
        let before = self.is_online.replace(is_online);
        // Heartbeats come twice a minute and bring nothing new.
        let is_back = is_online && before != Some(true);
        if is_back {
            self.not_before_ms = 0;
        }
        is_back
    }
}

impl Desk {
    /// Takes in what a gateway's status says. One that is back is asked at once.
    pub(super) fn status(&mut self, name: &Name, is_online: bool) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        if known.manners.says(is_online) {
            if let Some(mirror) = known.mirror_mut() {
                mirror.hurry();
            }
        }
    }

    /// A question has come to its end, be it without an answer.
    pub(super) fn asked(&mut self, name: &Name, trouble: Option<&Trouble>, now_ms: u64) {
        self.asking.remove(name);
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        match trouble {
            Some(Trouble::Lost(why)) if why == asker::SILENCE => known.manners.was_silent(now_ms),
            // The way to the broker was cut: nobody knows what it would have said.
            Some(Trouble::Lost(_)) => {}
            None
            | Some(
                Trouble::Later(_) | Trouble::No(_) | Trouble::Nonsense(_) | Trouble::Refused(_),
            ) => known.manners.answered(),
        }
    }

    /// What gateways must be asked, as far as there is room.
    pub(super) fn ask(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        for class in [Class::Answers, Class::New, Class::Silent] {
            let last = self.asked_last.get(&class).cloned();
            let rest = (
                Bound::Unbounded,
                last.as_ref().map_or(Bound::Unbounded, Bound::Included),
            );
            let ranges = match &last {
                Some(last) => vec![(Bound::Excluded(last), Bound::Unbounded), rest],
                None => vec![rest],
            };
            for range in ranges {
                for (name, known) in self.gateways.range_mut::<Name, _>(range) {
                    if !has_room(&self.asking, class) {
                        break;
                    }
                    let is_due = known.manners.class() == class
                        && now_ms >= known.manners.not_before_ms
                        && !self.asking.contains_key(name);
                    let asked = is_due.then(|| known.question(now_ms)).flatten();
                    if let Some(asked) = asked {
                        out.push(Output::Ask(asked));
                        self.asked_last.insert(class, name.clone());
                        self.asking.insert(name.clone(), class);
                    }
                }
            }
        }
    }
}

impl Gateway {
    /// What it is to be asked now.
    fn question(&mut self, now_ms: u64) -> Option<Asked> {
        let patience = self.manners.patience();
        self.copies().find_map(|copy| {
            let question = copy.question(now_ms)?;
            Some(Asked {
                place: copy.place.clone(),
                origin: copy.origin().to_owned(),
                question,
                patience,
            })
        })
    }
}

/// Whether one more of this class may be asked.
fn has_room(asking: &BTreeMap<Name, Class>, class: Class) -> bool {
    let least = |least: Class| asking.values().filter(|known| **known >= least).count();
    let is_open = asking.len() < ASKING_MAX;
    match class {
        Class::Answers => is_open && asking.len() - least(Class::New) < ANSWERING_MAX,
        Class::New => is_open && least(Class::New) < UNPROVED_MAX,
        Class::Silent => {
            is_open && least(Class::New) < UNPROVED_MAX && least(Class::Silent) < SILENT_MAX
        }
    }
}
