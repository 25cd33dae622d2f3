//! One pass: what came in, what waits, what is due.

use lineside_proto::LeafMessage;

use super::gateway::Gateway;
use super::heads::Name;
use super::{Asked, Desk, DeskError, Input, Output, Said};
use crate::archive::cards::Cards;
use crate::archive::mirror::{LeafTaken, Mirror, Step};
use crate::archive::pending::Waiting;
use crate::clock::Stamp;
use crate::logs::chain;

/// Questions on their way at once: each gateway answers for itself, and each may bring megabytes.
const ASKING_MAX: usize = 8;
/// Bytes of leaves that wait in memory at most, of all gateways: beyond them they are asked for later.
const AHEAD_BYTES_MAX: usize = 128 << 20;
/// How often is looked who works on the archive, and what the others have written.
const LOOK_MS: u64 = 500;
/// How often cards are read again.
const CARDS_MS: u64 = 10_000;
/// How long after the connection the broker may take to tell what it keeps.
const KEPT_MS: u64 = 3_000;
/// Bytes of a leaf's message at most: a leaf in which everything is escaped, and what is around it.
const LEAF_MESSAGE_BYTES_MAX: usize = 6 * lineside_proto::ledger::LEAF_BYTES_MAX + 256;

impl Desk {
    /// Takes in what has come. What it brought may be acknowledged when this returns.
    ///
    /// # Errors
    ///
    /// The disk refuses: nothing that came may be acknowledged, and all of it must come again.
    pub fn pass(&mut self, inputs: Vec<Input>, now: Stamp) -> Result<Vec<Output>, DeskError> {
        let mut out = Vec::new();
        if let Err(error) = self.look(now.boot_ms) {
            tracing::warn!("who else works here is not seen for now: {}", chain(&error));
        }
        self.taken_over(now, &mut out);
        for input in inputs {
            self.take(input, now, &mut out);
        }
        self.settle(now.boot_ms)?;
        self.commit(now, &mut out);
        self.shorter(now, &mut out);
        self.cosign(now, &mut out);
        self.ask(now.boot_ms, &mut out);
        if let Err(error) = self.roll() {
            tracing::warn!("the files of what waits grow on: {}", chain(&error));
        }
        Ok(out)
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> DeskError + use<> {
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
        self.read_others().map_err(self.failed())
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
                if cards != self.cards {
                    self.enrol(cards);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the enrolment cards can't be read; those of before count")
            }
        }
    }

    fn enrol(&mut self, cards: Cards) {
        for (site, gateway) in cards.gateways() {
            if self.cards.of(site, gateway).is_empty() {
                self.strangers.enrolled(site, gateway);
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
            match Gateway::take(&self.shelf, (site, gateway), &base) {
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
        let mut found = Vec::new();
        for (name, folder) in folders {
            let is_own = name == self.members.me();
            if !is_own || self.unread {
                let more = self.reading.next(&folder, |waiting| found.push(waiting))?;
                self.unread &= !is_own || more;
            }
        }
        let now_ms = self.looked_ms.unwrap_or(0);
        for Waiting {
            site,
            gateway,
            index,
            leaf,
        } in found
        {
            let Some(known) = self.gateways.get_mut(&(site, gateway)) else {
                continue;
            };
            if let Some(mirror) = known.open(&self.shelf, &self.cards, now_ms) {
                mirror.take_leaf(index, leaf);
                known.touched = true;
            }
        }
        Ok(())
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
                Said::Head(payload) => self.head((site, gateway), &payload, now, out),
                Said::Cosigned(payload) => self.cosigned((site, gateway), &payload, now, out),
                Said::Online => {
                    let known = self.gateways.get_mut(&(site, gateway));
                    if let Some(mirror) = known.and_then(Gateway::mirror_mut) {
                        mirror.hurry();
                    }
                }
            },
            Input::Signed { place, head, line } => {
                let name = (place.site.clone(), place.gateway.clone());
                let known = self.gateways.get_mut(&name);
                let mirror = known.and_then(Gateway::mirror_mut);
                if let Some(mirror) = mirror.filter(|mirror| mirror.place == place) {
                    if let Err(error) = mirror.sign_stored(&head, &line) {
                        tracing::warn!(%error, log = %place, "a cosignature can't be stored");
                    }
                }
            }
            Input::Answer { asked, result } => self.answer(asked, result, now, out),
        }
    }

    fn leaf(&mut self, name: Name, payload: &[u8], now_ms: u64) {
        if self.cards.of(&name.0, &name.1).is_empty() || payload.len() > LEAF_MESSAGE_BYTES_MAX {
            return;
        }
        let Ok(LeafMessage { index, leaf }) = serde_json::from_slice(payload) else {
            self.complain(&name, "what it sent is no leaf", now_ms);
            return;
        };
        let leaf = leaf.into_bytes();
        let ahead = self.ahead_bytes;
        let waiting = Waiting {
            site: name.0.clone(),
            gateway: name.1.clone(),
            index,
            leaf: leaf.clone(),
        };
        let Some(known) = self.gateways.get_mut(&name) else {
            // Another process keeps this log, and reads what we write.
            if leaf.len() <= lineside_proto::ledger::LEAF_BYTES_MAX {
                self.pending.add(&waiting);
            }
            return;
        };
        let Some(mirror) = known.open(&self.shelf, &self.cards, now_ms) else {
            return;
        };
        if ahead > AHEAD_BYTES_MAX && mirror.ahead_bytes() > AHEAD_BYTES_MAX / 1024 {
            return;
        }
        match mirror.take_leaf(index, leaf) {
            LeafTaken::Kept => {
                known.touched = true;
                self.pending.add(&waiting);
            }
            LeafTaken::Passed => {}
            LeafTaken::Bad(reason) => {
                self.complain(&name, &format!("leaf {index}: {reason}"), now_ms)
            }
        }
    }

    pub(super) fn complain(&mut self, name: &Name, what: &str, now_ms: u64) {
        if let Some(known) = self.gateways.get_mut(name) {
            if known.is_to_be_told(now_ms) {
                tracing::warn!(log = %format!("{}/{}", name.0, name.1), "refused: {what}");
            }
        }
    }

    /// Makes what waits durable. If that can't be, it is forgotten in memory, too, so that it counts when it comes again.
    fn settle(&mut self, now_ms: u64) -> Result<(), DeskError> {
        let settled = self.pending.settle().map_err(self.failed());
        if let Err(error) = &settled {
            let path = error.path.display();
            for known in self.gateways.values_mut().filter(|known| known.touched) {
                let why = std::io::Error::other(format!("{path} can't be written"));
                known.failed(&why.into(), now_ms);
            }
        }
        settled
    }

    /// Begins another file when this one is full; it holds what still waits.
    fn roll(&mut self) -> Result<(), DeskError> {
        // What was not read again would be lost with its file.
        if self.unread || !self.pending.is_full() {
            return Ok(());
        }
        let waiting = self.gateways.iter().flat_map(|((site, gateway), known)| {
            let leaves = known.mirror().into_iter().flat_map(Mirror::ahead);
            leaves.map(|(index, leaf)| Waiting {
                site: site.clone(),
                gateway: gateway.clone(),
                index,
                leaf: leaf.to_vec(),
            })
        });
        let path = self.shelf.dir().to_owned();
        let rolled = self.pending.roll(waiting);
        rolled.map_err(|source| DeskError { path, source })
    }

    /// Puts into tiles whatever signed heads cover, of all logs that changed.
    fn commit(&mut self, now: Stamp, out: &mut Vec<Output>) {
        loop {
            let mut steps: Vec<(_, Step)> = Vec::new();
            let mut alarms = Vec::new();
            for (name, known) in self.gateways.iter_mut().filter(|(_, known)| known.touched) {
                let Some(mirror) = known.mirror_mut() else {
                    known.touched = false;
                    continue;
                };
                match mirror.step(now.boot_ms) {
                    Ok(Some(mut step)) => match mirror.write(&mut step, &mut self.writes) {
                        Ok(()) => steps.push((name.clone(), step)),
                        Err(error) => known.failed(&error, now.boot_ms),
                    },
                    Ok(None) => known.touched = false,
                    Err(alarm) => {
                        known.touched = false;
                        alarms.push((name.clone(), alarm));
                    }
                }
            }
            for (name, alarm) in alarms {
                self.refuse(&name, alarm, now, out);
            }
            if steps.is_empty() {
                break;
            }
            if let Err(error) = self.writes.settle() {
                // Whatever was written may not be there: each is opened anew from what is.
                let error = error.into();
                for (name, _) in steps {
                    if let Some(known) = self.gateways.get_mut(&name) {
                        known.failed(&error, now.boot_ms);
                    }
                }
                break;
            }
            for (name, step) in steps {
                self.publish(&name, step, now, out);
            }
        }
        if let Err(error) = self.writes.settle() {
            tracing::warn!(%error, "the names of files may not be durable yet");
        }
        self.ahead_bytes = self
            .gateways
            .values()
            .filter_map(Gateway::mirror)
            .map(Mirror::ahead_bytes)
            .sum();
    }

    fn publish(&mut self, name: &Name, step: Step, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let genesis = step.genesis.clone();
        let reaches_head = step.reaches_head();
        let Some(mirror) = known.mirror_mut() else {
            return;
        };
        let place = mirror.place.clone();
        let size = step.size();
        if let Err(error) = mirror.publish(step, now.wall, &mut self.writes) {
            known.failed(&error, now.boot_ms);
            return;
        }
        let mirror_root = mirror.record.root.clone();
        if reaches_head {
            known.older = None;
            out.push(Output::Grown {
                place: place.clone(),
                size,
                root: mirror_root,
            });
        }
        if let Some(genesis) = genesis {
            self.check_prior(name, &place, &genesis, now, out);
        }
    }

    /// What gateways must be asked, as far as there is room.
    fn ask(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        for known in self.gateways.values_mut() {
            if self.asking >= ASKING_MAX {
                return;
            }
            let Some(mirror) = known.mirror_mut() else {
                continue;
            };
            if let Some(question) = mirror.question(now_ms) {
                self.asking += 1;
                let place = mirror.place.clone();
                out.push(Output::Ask(Asked { place, question }));
            }
        }
    }
}
