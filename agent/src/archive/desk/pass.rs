//! One pass: what came in, what waits, what is due.

use std::collections::BTreeSet;

use lineside_proto::Identifier;
use lineside_proto::text::plain;

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, DeskError, Input, Output, Said};
use crate::archive::cards::Cards;
use crate::clock::Stamp;
use crate::logs::chain;

/// Gateways whose card is gone that are named at once: more than a hand takes away by mistake.
const GONE_TOLD_MAX: usize = 1_000;
/// How often is looked who works on the archive, and what the others have written.
const LOOK_MS: u64 = 500;
/// How often cards are read again.
const CARDS_MS: u64 = 10_000;
/// How long after the connection the broker may take to tell what it keeps.
const KEPT_MS: u64 = 3_000;
/// What is kept of what a pass had to say that did not count: alarms, one a gateway and kind.
const OUTPUTS_KEPT_MAX: usize = 1_024;
/// How long is waited after a file could not be begun.
const ROLL_REST_MS: u64 = 5_000;

impl Desk {
    /// Takes in what has come. What it brought may be acknowledged when this returns.
    ///
    /// # Errors
    ///
    /// The disk refuses: nothing that came may be acknowledged, and all of it must come again.
    pub fn pass(&mut self, inputs: Vec<Input>, now: Stamp) -> Result<Vec<Output>, DeskError> {
        let mut out = std::mem::take(&mut self.unsaid);
        if let Err(error) = self.look(now.boot_ms) {
            tracing::warn!("who else works here is not seen for now: {}", chain(&error));
        }
        self.taken_over(now, &mut out);
        self.again(now, &mut out);
        self.put_off(now, &mut out);
        for input in inputs {
            self.take(input, now, &mut out);
        }
        if let Err(error) = self.settle() {
            out.truncate(OUTPUTS_KEPT_MAX);
            self.unsaid = out;
            return Err(error);
        }
        self.commit(now, &mut out);
        self.commit_left(now, &mut out);
        self.compare_epochs(now, &mut out);
        self.look_through(now.boot_ms);
        self.shorter(now, &mut out);
        self.unwritten(now);
        self.cosign(now, &mut out);
        self.ask(now.boot_ms, &mut out);
        if let Err(error) = self.roll(now.boot_ms) {
            self.roll_from_ms = now.boot_ms.saturating_add(ROLL_REST_MS);
            tracing::warn!("the files of what waits grow on: {}", chain(&error));
        }
        Ok(out)
    }

    pub(super) fn failed(&self) -> impl FnOnce(std::io::Error) -> DeskError + use<> {
        let path = self.shelf.dir().to_owned();
        |source| DeskError { path, source }
    }

    /// Sees who works here, which cards there are, and what others have taken in.
    fn look(&mut self, now_ms: u64) -> Result<(), DeskError> {
        let is_first = self.looked_ms.is_none();
        if is_first || now_ms >= self.carded_ms.saturating_add(CARDS_MS) {
            self.carded_ms = now_ms;
            self.read_cards();
        }
        if self
            .looked_ms
            .is_some_and(|looked| now_ms < looked + LOOK_MS)
        {
            return Ok(());
        }
        self.looked_ms = Some(now_ms);
        self.elsewhere.clear();
        let changed = self.members.look().map_err(self.failed())?;
        if changed {
            self.members.tidy();
            let members = &self.members;
            self.gateways
                .retain(|(site, gateway), _| members.is_mine(site, gateway));
        }
        let taken = self.take_gateways();
        if is_first || changed || taken {
            // What was passed over before may be of a gateway that is ours now.
            self.reading = Default::default();
            self.unread = true;
        }
        let read = self.read_others().and_then(|()| self.read_again());
        read.map_err(self.failed())
    }

    fn read_cards(&mut self) {
        match Cards::load(&self.terms.cards) {
            Ok((cards, faults)) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                for fault in faults
                    .iter()
                    .filter(|fault| !self.faulty_cards.contains(fault))
                {
                    tracing::warn!("an enrolment card does not count: {fault}");
                }
                self.faulty_cards = faults;
                self.roll.set(&cards);
                if cards != self.cards || self.looked_ms.is_none() {
                    self.enrol(cards);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the enrolment cards can't be read; those of before count")
            }
        }
    }

    fn enrol(&mut self, cards: Cards) {
        self.tell_gone(&cards);
        let changed = |name: &Name| {
            let (site, gateway) = name;
            let now = cards.of(site, gateway);
            !now.is_empty() && now != self.cards.of(site, gateway)
        };
        // What it showed before it had its card counts now: the next head may be long in coming.
        for name in self
            .strangers
            .kept()
            .into_iter()
            .filter(changed)
            .collect::<Vec<_>>()
        {
            if let Some(note) = self.strangers.hope(&name) {
                self.hear(name, note.as_bytes());
                self.took = true;
            }
        }
        self.gateways.retain(|(site, gateway), known| {
            if let Some(mirror) = known.mirror_mut() {
                let log = cards.log(&mirror.place);
                mirror.enrol(&log.map_or_else(Vec::new, |(_, keys)| keys));
            }
            !cards.of(site, gateway).is_empty()
        });
        self.cards = cards;
        // Who is to be taken is looked at now.
        self.looked_ms = None;
    }

    /// Says whose card is gone, of those whose logs are kept.
    fn tell_gone(&self, cards: &Cards) {
        let is_gone = |site: &Identifier, gateway: &Identifier| cards.of(site, gateway).is_empty();
        let mut gone: BTreeSet<Name> = BTreeSet::new();
        if self.looked_ms.is_none() {
            if !self.terms.cards.is_dir() {
                let folder = self.terms.cards.display();
                tracing::warn!(%folder, "the folder of enrolment cards does not exist: no gateway counts");
            }
            for place in self.shelf.logs().unwrap_or_default() {
                if is_gone(&place.site, &place.gateway) {
                    gone.insert((place.site, place.gateway));
                }
            }
        }
        for (site, gateway) in self.cards.gateways() {
            if is_gone(site, gateway) {
                gone.insert((site.clone(), gateway.clone()));
            }
        }
        for (site, gateway) in gone.into_iter().take(GONE_TOLD_MAX) {
            let log = format!("{site}/{gateway}");
            tracing::warn!(
                log,
                "its enrolment card is gone: nothing more of it is taken"
            );
        }
    }

    /// Takes the gateways that are this process's to keep. Gives whether there are new ones.
    fn take_gateways(&mut self) -> bool {
        let mut taken = false;
        for (site, gateway) in self.cards.gateways() {
            let name = (site.clone(), gateway.clone());
            if self.gateways.contains_key(&name) || !self.members.is_mine(site, gateway) {
                continue;
            }
            let base = self
                .cards
                .of(site, gateway)
                .last()
                .map(|known| known.base.clone());
            let Some(base) = base else { continue };
            match Gateway::take(
                &self.shelf,
                (site, gateway),
                &base,
                self.terms.witness.clone(),
            ) {
                Ok(Some(gateway)) => {
                    self.gateways.insert(name, gateway);
                    self.took = true;
                    taken = true;
                }
                // Whoever has it gives it back soon, or fails.
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, log = %format!("{site}/{gateway}"), "a log can't be taken")
                }
            }
        }
        taken
    }

    /// Reads the leaves that wait in files: of others, and those of before the start, as long as there are any.
    fn read_others(&mut self) -> std::io::Result<()> {
        let folders: Vec<_> = self.members.folders().collect();
        let (mut found, mut fault) = (Vec::new(), None);
        for (name, folder) in folders {
            let is_own = name == self.members.me();
            if !is_own || self.unread {
                match self.reading.next(&folder, |waiting| found.push(waiting)) {
                    Ok(more) => self.unread &= !is_own || more,
                    Err(error) => fault = Some(error),
                }
            }
        }
        // They were acknowledged, and are not read a second time: what can't be read stops none of the others.
        found.into_iter().for_each(|waiting| self.waited(waiting));
        fault.map_or(Ok(()), Err)
    }

    fn take(&mut self, input: Input, now: Stamp, out: &mut Vec<Output>) {
        match input {
            Input::Connected => {
                self.cosign_from_ms
                    .get_or_insert(now.boot_ms.saturating_add(KEPT_MS));
            }
            Input::Message {
                site,
                gateway,
                said,
            } => match said {
                Said::Leaf(payload) => self.leaf((site, gateway), &payload, now.boot_ms),
                Said::Head(payload) => {
                    let name = (site, gateway);
                    if self.may_look(&name, &payload, now) {
                        self.head(name, &payload, now, out);
                    }
                }
                Said::Cosigned(payload) => {
                    let name = (site, gateway);
                    if self.may_adopt(&name, now) {
                        self.cosigned(name, &payload, now, out);
                    }
                }
                Said::Online => self.status(&(site, gateway), true),
                Said::Offline => self.status(&(site, gateway), false),
            },
            Input::Signed { place, head, line } => {
                let name = (place.site.clone(), place.gateway.clone());
                let known = self.gateways.get_mut(&name);
                if let Some(mirror) = known.and_then(|known| known.copy_of(place.epoch)) {
                    if let Err(error) = mirror.sign_stored(&head, &line, now.wall) {
                        tracing::warn!(%error, log = %place, "a cosignature can't be stored");
                    }
                }
            }
            Input::Answer { asked, result } => self.answer(asked, result, now, out),
        }
    }

    pub(super) fn complain(&mut self, name: &Name, what: &str, now_ms: u64) {
        let what = plain(what);
        if let Some(known) = self.gateways.get_mut(name) {
            if known.is_to_be_told(now_ms) {
                tracing::warn!(log = %format!("{}/{}", name.0, name.1), "refused: {what}");
            }
        }
    }
}
