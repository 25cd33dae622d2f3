//! What subscriptions say: put in order, taken apart, handed on.

use std::collections::{BTreeMap, BTreeSet};

use opcua::types::{DataValue, DateTime, StatusCode};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Link;
use super::visit::{Done, Visit};
use crate::config::model::Point;
use crate::field::board::Event;
use crate::field::opcua::audit::is_gone;
use crate::field::opcua::batch::Batches;
use crate::field::opcua::doubt::sent;
use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::gap::{Gaps, names};
use crate::field::opcua::item::{Item, Spot};
use crate::field::opcua::note::Note;
use crate::field::opcua::sequence::Passed;
use crate::field::opcua::status::{overflowed, plain};
use crate::field::opcua::strange::{listed, offered, strange};
use crate::field::opcua::value::{Word, moment, reading, unsupported};
use crate::field::opcua::wanted::{Handle, Key, is_silence};
use crate::sample::{Bad, Observation, Value};
use crate::text::Text;

/// How many times longer a difference lasts than a subscription takes to publish.
const PUBLISHINGS: u32 = 3;

impl Link {
    /// Takes a message.
    pub(super) async fn hear(&mut self, visit: &mut Visit, note: Note) {
        let (key, at) = (note.key, note.at);
        let Some(one) = visit.subscriptions.get_mut(&key) else {
            return;
        };
        let now = Instant::now();
        one.voice.hear(now);
        visit.heard = at.wall;
        let number = note.message.sequence_number;
        let ticks = note.message.publish_time.ticks();
        if !note.message.publish_time.is_null() {
            visit.ticks = Some(visit.ticks.map_or(ticks, |newest| newest.max(ticks)));
        }
        let asked = one.sequence.arrive(number, note.is_full().then_some(note));
        for number in asked {
            self.ask_again(visit, key, number);
        }
        self.well();
        self.pass(visit, key).await;
        let Some(one) = visit.subscriptions.get_mut(&key) else {
            return;
        };
        if one.sequence.is_broken() {
            return;
        }
        one.word = Some((at.wall, visit.ticks));
        if !visit.pulse.is_believed(now) {
            return;
        }
        if one.is_changed {
            one.gather(self.wanted.taken(key));
        }
        for standing in one.vouch(at, now) {
            let stalled = self.send(Observation::Standing(standing)).await;
            visit.forgive(stalled);
        }
    }

    fn ask_again(&self, visit: &mut Visit, key: Key, number: u32) {
        let id = visit.subscriptions.get(&key).and_then(|one| one.id);
        let (bench, clock) = (visit.bench.clone(), self.parts.clock.clone());
        visit.tasks.spawn(async move {
            let Some(id) = id else {
                return Done::Again(key, number, None);
            };
            let answer = bench.ask(bench.session.republish(id, number)).await;
            let note = answer.ok().map(|message| Note {
                key,
                at: clock.now(),
                message,
            });
            // Some servers answer well and empty: that is no message.
            let note = note.filter(|note| {
                note.is_full() && !note.is_overfull() && note.message.sequence_number == number
            });
            Done::Again(key, number, note.map(Box::new))
        });
    }

    /// A message came when it was asked for again.
    pub(super) fn republished(&self, key: Key) {
        let item = self.wanted.known(Some(key)).next();
        if let Some((item, ..)) = item {
            item.spec.counters.count(Event::Republished);
        }
    }

    /// Hands on what is in order by now.
    pub(super) async fn pass(&mut self, visit: &mut Visit, key: Key) {
        let mut is_lost = false;
        loop {
            let one = visit.subscriptions.get_mut(&key);
            match one.and_then(|one| one.sequence.pass()) {
                Some(Passed::Message(note)) => {
                    let change = self.deliver(visit, note).await;
                    is_lost |= change.is_some();
                }
                Some(Passed::Lost(count)) => {
                    warn!(link = %self.name, count, "messages of a subscription were lost");
                    self.open_gaps(visit, Some(key));
                    is_lost = true;
                }
                None => break,
            }
        }
        if is_lost {
            self.rebuild(visit, key);
        }
    }

    /// Hands on the values of a message. Gives the code by which the server ends the subscription, if
    /// it does.
    async fn deliver(&mut self, visit: &mut Visit, note: Note) -> Option<StatusCode> {
        let (key, at) = (note.key, note.at);
        let published = note.message.publish_time;
        let ticks = (!published.is_null()).then(|| published.ticks());
        let word = (at.wall, ticks.or(visit.ticks));
        if let Some(one) = visit.subscriptions.get_mut(&key) {
            one.word = Some(word);
        }
        let (values, change) = note.open();
        let mut batches = Batches::new(at);
        let (mut vanished, mut is_first, mut is_judged) = (Vec::new(), false, false);
        for (handle, data) in values {
            // The null time is none.
            let ticks = data.source_timestamp.as_ref();
            let ticks = ticks.filter(|time| !time.is_null()).map(DateTime::ticks);
            let Some(heard) = self.wanted.heard(handle, key, ticks) else {
                continue;
            };
            heard.doubt.hear(sent(&data), word);
            let item = heard.item;
            let Some(point) = item.point() else {
                continue;
            };
            is_first |= heard.is_first;
            let status = data.status.unwrap_or(StatusCode::Good);
            let counters = &item.spec.counters;
            counters.count(Event::Notification);
            if overflowed(status) {
                counters.count(Event::Overflow);
                overflow(&mut self.gaps, visit, item, heard.before);
            }
            if is_gone(status) {
                vanished.push((handle, status));
            }
            let read = reading(point, &data);
            is_judged |= judge(&mut self.unsupported, item.spot, (point, &data), &read);
            if heard.is_first || is_gone(status) {
                if let Some(one) = visit.subscriptions.get_mut(&key) {
                    one.is_changed = true;
                }
            }
            if !self.gaps.is_empty() {
                self.gaps.hear(item.spot, ticks, at.wall);
            }
            let source = data.source_timestamp.as_ref().and_then(moment);
            batches.add(item.spot, item.spec.group, source, read);
        }
        for batch in batches.done() {
            let stalled = self.send(Observation::Batch(batch)).await;
            visit.forgive(stalled);
        }
        if !vanished.is_empty() {
            for (handle, status) in &vanished {
                self.wanted.vanish(*handle, *status, Instant::now());
            }
            self.gauge();
            self.tell_refused(vanished.into_iter().map(|(_, status)| status));
        }
        if is_judged {
            self.tell_misfits();
        }
        if is_first && self.refused > 0 {
            self.tell_refused(std::iter::empty());
        }
        self.end_waiting(visit);
        change
    }

    /// Gaps wait no longer for values once all that is wanted is there.
    fn end_waiting(&self, visit: &mut Visit) {
        let now = Instant::now();
        let is_paused = visit.pause.is_some_and(|pause| now < pause.until);
        if visit.gaps_until.is_some() && !is_paused && self.wanted.is_settled() {
            visit.gaps_until = Some(now);
        }
    }

    /// The nodes of these items are gone, and nothing came of them: they are bad by name, and made anew
    /// when there are such nodes again.
    pub(super) async fn audited(&mut self, visit: &mut Visit, gone: Vec<(Handle, StatusCode)>) {
        let now = Instant::now();
        let mut refused = Vec::new();
        for (handle, status) in gone {
            if let Some((item, key)) = self.wanted.vanish(handle, status, now) {
                if let Some(one) = visit.subscriptions.get_mut(&key) {
                    one.is_changed = true;
                }
                refused.push((item, status));
            }
        }
        if !refused.is_empty() {
            self.gauge();
            self.refuse(visit, refused).await;
        }
    }

    /// What the server holds is compared with what items said last: those that are dead are made anew, and
    /// nobody vouches for them until then.
    pub(super) fn compare(&mut self, visit: &mut Visit, held: &[(Handle, u64)]) {
        // What waits here may say the same.
        if !visit.notes.1.is_empty() || visit.cut.is_some() {
            return;
        }
        let now = Instant::now();
        let published = visit.publishes() * PUBLISHINGS + self.patience.audit;
        let word = (visit.heard, visit.ticks);
        let mut dead = 0_usize;
        for said in held {
            if !self.wanted.compare(*said, word, now, published) {
                continue;
            }
            let Some(buried) = self.wanted.bury(said.0, now) else {
                continue;
            };
            dead += 1;
            let (from, start) = buried.sure.unwrap_or(word);
            if self.gaps.open(buried.item.spot, buried.last, from, start) {
                buried.item.spec.counters.count(Event::Gap);
            }
            if let Some(one) = visit.subscriptions.get_mut(&buried.key) {
                one.is_changed = true;
            }
        }
        if dead > 0 {
            self.gauge();
            visit.wait_for_gaps(self.patience);
            warn!(link = %self.name, items = dead, "the server holds what its items never told; they are made anew");
        }
    }

    /// Tells of namespaces that the server does not have, when they change.
    pub(super) fn tell_strange(&mut self, visit: &Visit) {
        let namespaces = &visit.bench.namespaces;
        let strange = strange(self.wanted.items(), namespaces);
        if strange == self.strange {
            return;
        }
        self.strange = strange;
        self.lacks = if self.strange.is_empty() {
            info!(link = %self.name, "the server has all namespaces again");
            None
        } else {
            let (asked, offered) = (listed(self.strange.iter()), offered(namespaces));
            warn!(link = %self.name, asked, offered, "the server does not have namespaces that maps name");
            Some(OpcFault::NoSuchNamespace { asked, offered })
        };
        self.show_lasting();
    }

    /// Tells of points that can't be taken for what the map says, when they change.
    fn tell_misfits(&mut self) {
        self.name_misfits();
        match &self.misfits {
            Some(fault) => {
                warn!(link = %self.name, points = %fault, "points hold what their type in the map can't")
            }
            None => info!(link = %self.name, "all points hold what their types in the map say"),
        }
    }

    /// Shows which points can't be taken for what the map says, as long as that is so.
    pub(super) fn name_misfits(&mut self) {
        let named = self.wanted.items().filter_map(|item| {
            let word = self.unsupported.get(&item.spot)?;
            let (machine, point) = (&item.spec.map.machine, &item.point()?.name);
            let (en, zh) = (word.en, word.zh);
            Some((
                format!("{machine}/{point} ({en})"),
                format!("{machine}/{point}（{zh}）"),
            ))
        });
        let (en, zh): (Vec<String>, Vec<String>) = named.unzip();
        let text = |named: &[String]| names(named.iter().map(String::as_str));
        let (en, zh) = (text(&en).en, text(&zh).zh);
        let is_any = !self.unsupported.is_empty();
        self.misfits = is_any.then(|| OpcFault::Unsupported(Box::new(Text { en, zh })));
        self.show_lasting();
    }

    /// The server refused items: they are bad by name, and the others flow.
    pub(super) async fn refuse(&mut self, visit: &mut Visit, refused: Vec<(Item, StatusCode)>) {
        let at = self.parts.clock.now();
        let mut batches = Batches::new(at);
        for (item, status) in &refused {
            if !is_silence(*status) {
                let bad = Err(Bad::Status(plain(*status)));
                batches.add(item.spot, item.spec.group, None, bad);
            }
        }
        for batch in batches.done() {
            let stalled = self.send(Observation::Batch(batch)).await;
            visit.forgive(stalled);
        }
        self.tell_refused(refused.into_iter().map(|(_, status)| status));
    }

    /// Tells how many points the server does not have, when that changes.
    fn tell_refused(&mut self, reasons: impl Iterator<Item = StatusCode>) {
        let named: Vec<&str> = self.wanted.refused().filter_map(Item::name).collect();
        // Fewer than before: as long as some are still to be asked for, that says nothing.
        let is_early = named.len() < self.refused && !self.wanted.is_settled();
        if named.len() == self.refused || is_early {
            return;
        }
        self.refused = named.len();
        if named.is_empty() {
            info!(link = %self.name, "the server has all points again");
            return;
        }
        let reasons: BTreeSet<String> = reasons.map(|status| plain(status).to_string()).collect();
        let reasons: Vec<String> = reasons.into_iter().collect();
        let (points, reasons) = (names(named.into_iter()).en, reasons.join(", "));
        warn!(link = %self.name, points, reasons, "the server refuses points; they are asked for again");
    }
}

/// Notes whether a point can be taken for what the map says, for as long as nothing else is heard of it. Gives
/// whether that changed.
fn judge(
    misfits: &mut BTreeMap<Spot, Word>,
    spot: Spot,
    (point, data): (&Point, &DataValue),
    read: &Result<Value, Bad>,
) -> bool {
    match read {
        Ok(_) | Err(Bad::Range) => !misfits.is_empty() && misfits.remove(&spot).is_some(),
        Err(Bad::Decode) => {
            let word = unsupported(point, data);
            word.is_some_and(|word| misfits.insert(spot, word) != Some(word))
        }
        Err(_) => false,
    }
}

/// A server's queue was full. Just after a pause that is a loss; otherwise the server samples faster than
/// it publishes, as it was asked to.
fn overflow(gaps: &mut Gaps, visit: &mut Visit, item: &Item, before: Option<i64>) {
    let pause = visit.pause.filter(|pause| Instant::now() < pause.until);
    // Some servers mark all that the queue holds then, not only the oldest.
    if let Some(pause) = pause.filter(|pause| !gaps.has(item.spot, pause.heard)) {
        if gaps.open(item.spot, before, pause.heard, pause.ticks) {
            item.spec.counters.count(Event::Gap);
        }
        visit.gaps_until = Some(pause.until);
    }
}
