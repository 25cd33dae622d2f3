//! What must be true at the end of a run, whatever happened in it.

use super::World;
use crate::archive::alarm::Kind;
use crate::archive::cards::epoch_of;
use lineside_proto::ledger::{Checkpoint, Hash};
use std::collections::BTreeMap;

/// Questions in an hour about an epoch that nobody has.
const VAIN_MAX: usize = 5;

impl World {
    fn story(&self) -> String {
        self.city.story.join("\n")
    }

    /// What is not as it must be in the end.
    fn amiss(&self) -> Result<(), String> {
        let plant = &self.plants[0];
        let shelf = self.city.shelf();
        for epoch in 1..=self.epoch(0) {
            let place = plant.place(epoch);
            let held = shelf.head(&place).ok().flatten();
            let held = held.map_or(0, |(_, head)| head.size);
            let cosigned = self.city.record(plant, epoch).cosigned;
            let cosigned = cosigned.map_or(0, |cosigned| cosigned.size);
            let expected = self.end(epoch);
            let is_whole = if self.lost.contains(&epoch) {
                // What the next one gives up is kept, and not cosigned.
                cosigned == expected && held >= cosigned
            } else {
                held == expected && cosigned == held
            };
            if !is_whole {
                return Err(format!(
                    "epoch {epoch}: {held} held, {cosigned} cosigned, {expected} expected"
                ));
            }
        }
        Ok(())
    }

    /// Leaves of an epoch that must be there in the end: those of which anybody knows.
    fn end(&self, epoch: u32) -> u64 {
        let of = self.notes.iter().map(|signed| &signed.head);
        let of = of.filter(|head| epoch_of(&self.plants[0].base(), &head.origin) == Some(epoch));
        if !self.lost.contains(&epoch) {
            return of.map(|head| head.size).max().unwrap_or(0);
        }
        let all = self.city.cosigned.iter();
        let all = all.filter(|(place, _)| place.epoch == epoch);
        all.map(|(_, head)| head.size).max().unwrap_or(0)
    }

    /// Time goes by, and everything works.
    pub(super) fn settles(&mut self) {
        // Epochs have their turn once an hour.
        let limit = self.city.seconds + (6 + u64::from(self.epoch(0))) * 3_600;
        let inputs = self.greeting(0);
        self.city.pass(inputs, Some(&self.plants[0]));
        while self.amiss().is_err() && self.city.seconds < limit {
            self.city.seconds += 20;
            // A gateway shows its head again and again.
            let plant = &self.plants[0];
            let is_shown = self.city.seconds % 300 < 20;
            let shown = is_shown.then(|| plant.head(&plant.note()));
            self.city.pass(shown.into_iter().collect(), Some(plant));
        }
        if let Err(what) = self.amiss() {
            panic!("{what}\n{}", self.story());
        }
    }

    /// Nobody was accused, and nothing is done over and over.
    pub(super) fn is_at_rest(&mut self) {
        let kinds = self.city.kinds();
        let is_fair = kinds.iter().all(|kind| *kind == Kind::Damaged);
        assert!(is_fair, "{kinds:?}\n{}", self.story());
        let mut hour = || {
            let before = self.city.questions;
            for _ in 0..60 {
                self.city.seconds += 60;
                self.city.pass(Vec::new(), Some(&self.plants[0]));
            }
            self.city.questions - before
        };
        hour();
        let asked = hour();
        // What is nowhere is asked for once in a while.
        let most = VAIN_MAX * self.lost.len();
        assert!(asked <= most, "{asked} questions\n{}", self.story());
        assert_eq!(self.amiss(), Ok(()), "{}", self.story());
    }

    /// Of one size of an epoch one head was cosigned, and all of one epoch are of one history.
    pub(super) fn is_one_history(&self) {
        let mut roots = BTreeMap::new();
        let (base, shelf) = (self.plants[0].base(), self.city.shelf());
        for (place, head) in &self.city.cosigned {
            assert_eq!(epoch_of(&base, &head.origin), Some(place.epoch));
            let known = roots.insert((place.epoch, head.size), head.root);
            let is_same = known.is_none_or(|known| known == head.root);
            assert!(is_same, "{place} {}\n{}", head.size, self.story());
        }
        for ((epoch, size), root) in roots {
            let place = self.plants[0].place(epoch);
            // One that was fetched anew may be shorter for now.
            if shelf
                .head(&place)
                .unwrap()
                .is_none_or(|(_, head)| head.size < size)
            {
                continue;
            }
            let held = shelf.view(&place).and_then(|view| view.root_at(size));
            assert_eq!(held.unwrap(), root, "{place} {size}\n{}", self.story());
        }
    }

    /// The head that the first leaf under a head cites, if that is of this gateway.
    fn cites(&self, head: &Checkpoint) -> Option<Checkpoint> {
        let cited = self.signed(head)?.cited.as_ref()?;
        let root = Hash::from_base64(&cited.root)?;
        let notes = self.notes.iter().map(|signed| &signed.head);
        let mut found = notes.filter(|head| head.origin == cited.origin && head.root == root);
        found.find(|head| head.size == cited.size).cloned()
    }

    /// What was cosigned of an epoch is cited by the next that was, if need be over others between, or there was an alarm.
    pub(super) fn gives_nothing_up(&self) {
        let base = self.plants[0].base();
        let mut most: BTreeMap<u32, &Checkpoint> = BTreeMap::new();
        for (place, head) in &self.city.cosigned {
            let known = most.entry(place.epoch).or_insert(head);
            if known.size < head.size {
                *known = head;
            }
        }
        for ((before, last), (epoch, first)) in most.iter().zip(most.iter().skip(1)) {
            let of = |head: &Checkpoint| epoch_of(&base, &head.origin).unwrap();
            let mut at = self.cites(first);
            while at.as_ref().is_some_and(|head| of(head) > *before) {
                at = self.cites(&at.unwrap());
            }
            let is_kept = at
                .as_ref()
                .is_some_and(|at| at.origin == last.origin && at.size >= last.size);
            let between = *before..=*epoch;
            let mut alarms = self.city.alarms.iter();
            let is_told =
                alarms.any(|(place, kind)| between.contains(&place.epoch) && *kind == Kind::Prior);
            assert!(
                is_kept || is_told,
                "epoch {epoch} gives up {} leaves of {before} and cites {at:?}\n{}",
                last.size,
                self.story()
            );
        }
    }
}
