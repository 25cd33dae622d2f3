//! Signed heads and cosignatures: what is taken, what is refused, what is cosigned.

use lineside_proto::Identifier;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note};

use super::gateway::Gateway;
use super::later::HEAD_BYTES_MAX;
use super::{Desk, Output};
use crate::archive::alarm::{ALARMS_OF_ONE_MAX, Alarm, Kind};
use crate::archive::mirror::{Mirror, NoteTaken};
use crate::archive::witness::AdoptError;
use crate::clock::Stamp;
use lineside_proto::text::plain;

/// For how long an older head may be shown before that is an alarm: a broker that starts again, or a message that
/// comes twice, is put right by the gateway sooner.
const OLDER_MS: u64 = 20_000;

/// How often the folders of alarms are tried again.
const UNWRITTEN_MS: u64 = 10_000;

/// Heads that are remembered of a log that another process keeps.
const HEARD_MAX: usize = 4;

/// A gateway's platform and its own name.
pub(super) type Name = (Identifier, Identifier);

impl Desk {
    /// Takes in the heads that were heard of gateways while another process kept their logs: the next may be long in
    /// coming.
    pub(super) fn taken_over(&mut self, now: Stamp, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.took) {
            return;
        }
        let ours = |name: &&Name| self.gateways.contains_key(*name);
        let ours: Vec<Name> = self.heard.keys().filter(ours).cloned().collect();
        for name in ours {
            for payload in self.heard.remove(&name).into_iter().flatten() {
                self.show_again(name.clone(), &payload, now, out);
            }
        }
    }

    /// Remembers a head of a log that another process keeps. Of several, since a cosigned one that comes after a newer one
    /// is older, and nobody here can tell whose signature counts.
    pub(super) fn hear(&mut self, name: Name, payload: &[u8]) {
        let heard = self.heard.entry(name).or_default();
        if payload.len() > HEAD_BYTES_MAX || heard.iter().any(|known| **known == *payload) {
            return;
        }
        if heard.len() >= HEARD_MAX {
            heard.pop_front();
        }
        heard.push_back(payload.into());
    }

    /// Takes in a signed head.
    pub(super) fn head(&mut self, name: Name, payload: &[u8], now: Stamp, out: &mut Vec<Output>) {
        let Some(note) = note_of(payload) else {
            self.complain(&name, "what it sent is no signed note", now.boot_ms);
            return;
        };
        if self.cards.of(&name.0, &name.1).is_empty() {
            self.stranger(&name, note, "it has no enrolment card", now);
            return;
        }
        let Some(known) = self.gateways.get_mut(&name) else {
            self.hear(name, payload);
            return;
        };
        if known.open(&self.shelf, &self.cards, now.boot_ms).is_none() {
            known.later.keep_head(note.into());
            return;
        }
        let Some(epoch) = known.epoch_of(note) else {
            self.stranger(
                &name,
                note,
                "it is not of the ledger that its card names",
                now,
            );
            return;
        };
        let present = known.mirror().map_or(0, |mirror| mirror.place.epoch);
        if epoch < present {
            self.of_before(&name, epoch, note, now, out);
            return;
        }
        if epoch > present {
            if !known.later.may_go_over(now.boot_ms) || self.unread || self.again.includes(&name) {
                if known.has_begun(&self.cards, (epoch, note)) {
                    known.older = None;
                    known.keeps_next(epoch, note);
                }
                return;
            }
            // What is here of the epoch before counts first.
            self.commit(now, out);
        }
        let Some(known) = self.gateways.get_mut(&name) else {
            return;
        };
        if known.mirror().is_none() {
            // The disk refuses it. It is shown again when there is a copy again.
            known.later.keep_head(note.into());
            return;
        }
        match known.go_over(&self.shelf, &self.cards, (epoch, note), now.boot_ms) {
            Ok(true) => {
                tracing::info!(log = %format!("{}/{}", name.0, name.1), epoch, "a new epoch begins");
                self.again.want(name.clone());
            }
            Ok(false) if epoch > present => {
                self.stranger(&name, note, "no key of the gateway has signed it", now);
                return;
            }
            Ok(false) => {}
            Err(error) => {
                known.later.keep_head(note.into());
                known.failed(&error, now.boot_ms);
                return;
            }
        }
        self.show(&name, note, now, out);
    }

    /// A head of the present epoch.
    fn show(&mut self, name: &Name, note: &str, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let Some(mirror) = known.mirror_mut() else {
            return;
        };
        match mirror.take_note(note) {
            Ok(NoteTaken::Newer) => {
                known.touched = true;
                known.older = None;
            }
            Ok(NoteTaken::Known) => {
                known.older = None;
                self.strangers.taken(name);
            }
            Ok(NoteTaken::Older) => {
                let note = note.into();
                known.older.get_or_insert((now.boot_ms, note));
            }
            Ok(NoteTaken::Full) => self.complain(
                name,
                "a head is not taken: so many wait for their leaves that there is no room",
                now.boot_ms,
            ),
            Ok(NoteTaken::Stranger(reason)) => self.stranger(name, note, &reason, now),
            Ok(NoteTaken::Refused(alarm)) => self.refuse(name, alarm, now, out),
            Err(error) => {
                known.later.keep_head(note.into());
                known.failed(&error, now.boot_ms);
            }
        }
    }

    fn stranger(&mut self, name: &Name, note: &str, reason: &str, now: Stamp) {
        let who = (&name.0, &name.1);
        match self.strangers.meet(who, (note, reason), now) {
            Ok(true) => {
                let log = format!("{}/{}", name.0, name.1);
                tracing::warn!(
                    log,
                    "a head is kept apart: {reason}; `lineside archive status` shows it"
                );
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what a stranger shows can't be kept"),
        }
    }

    /// Takes in what a witness said. What this archive's own key has cosigned counts, whatever the disk remembers.
    pub(super) fn cosigned(
        &mut self,
        name: Name,
        payload: &[u8],
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(note) = note_of(payload) else {
            return;
        };
        if self.cards.of(&name.0, &name.1).is_empty() {
            return;
        }
        let parsed = Note::parse(note).ok();
        if let Some((witness, parsed)) = self.terms.witness.clone().zip(parsed) {
            match witness.adopt_note(&parsed, now.wall) {
                Ok(_) => {}
                Err(AdoptError::Contradicted(what)) => {
                    self.complain(
                        &name,
                        &format!("a cosignature of ours contradicts another: {what}"),
                        now.boot_ms,
                    );
                }
                // It is of another witness, or the disk refuses for now.
                Err(_) => {}
            }
            // What was cosigned last may be another now: the copy must fit that.
            if let Some(known) = self.gateways.get_mut(&name) {
                known.recall();
                known.recall_left(now.boot_ms);
            }
        }
        // It is a signed head besides; an old one is no fault of the gateway's here, since witnesses have their own pace.
        self.show_again(name, payload, now, out);
    }

    /// Refuses something of the log of now.
    pub(super) fn refuse(&mut self, name: &Name, alarm: Alarm, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get(name) else {
            return;
        };
        let present = known.mirror().map(|mirror| mirror.place.epoch);
        let epoch = present.unwrap_or_else(|| known.later.epoch().max(1));
        self.refuse_of((name, epoch), alarm, now, out);
    }

    /// Keeps the proof of what was refused of a log, says so, and goes on with the other logs. Without a copy it waits for
    /// one.
    pub(super) fn refuse_of(
        &mut self,
        (name, epoch): (&Name, u32),
        alarm: Alarm,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        // Its words may be those of a leaf.
        let alarm = Alarm {
            text: plain(&alarm.text),
            ..alarm
        };
        let alarms = self.shelf.alarms_dir();
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        if known.copy_of(epoch).is_none() {
            known.is_to_refuse(epoch, alarm);
            if known.leaving.is_none() {
                known.turns.from_ms = Some(now.boot_ms);
            }
            return;
        }
        let told = Some((epoch, alarm.kind, alarm.shown.clone()));
        if known.refused == told || !known.raises((epoch, alarm.kind), now.boot_ms) {
            return;
        }
        let is_left = known.is_left(epoch);
        let Some(mirror) = known.copy_of(epoch) else {
            return;
        };
        let place = mirror.place.clone();
        let written = if mirror.record.alarms < ALARMS_OF_ONE_MAX || alarm.kind.stops() {
            alarm.write(&alarms, &place, now.wall)
        } else {
            Ok(None)
        };
        let proof = written.unwrap_or_else(|error| {
            tracing::error!(%error, "the proof of an alarm is kept in the log's record until its folder can be written");
            mirror.keep_alarm(&alarm, now.wall);
            None
        });
        let refused = mirror.refuse(&alarm, proof.as_deref().unwrap_or(""), now.wall);
        tracing::error!(
            log = %place,
            kind = alarm.kind.word(),
            proof = proof.as_deref().unwrap_or("not kept"),
            "ALARM: {}", alarm.text
        );
        if alarm.kind.stops() && !is_left {
            // Nothing more is expected of it.
            known.older = None;
        }
        match refused {
            Ok(()) => known.refused = told,
            // What is not written down does not stop the log when it is opened again.
            Err(error) => {
                known.lose(epoch, &error.into(), now.boot_ms);
                known.is_to_refuse(epoch, alarm.clone());
            }
        }
        out.push(Output::Alarm { place, alarm });
    }

    /// Writes the folders of alarms that could not be written when they were raised.
    pub(super) fn unwritten(&mut self, now: Stamp) {
        if now.boot_ms < self.unwritten_ms {
            return;
        }
        self.unwritten_ms = now.boot_ms.saturating_add(UNWRITTEN_MS);
        let alarms = self.shelf.alarms_dir();
        let mirrors = self.gateways.values_mut().flat_map(Gateway::copies);
        for mirror in mirrors.filter(|mirror| !mirror.record.unwritten.is_empty()) {
            if let Err(error) = mirror.write_alarms(&alarms) {
                tracing::warn!(%error, log = %mirror.place, "the proof of an alarm can't be written yet");
            }
        }
    }

    /// Heads that stay older than what was shown before.
    pub(super) fn shorter(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let mut alarms = Vec::new();
        for (name, known) in &mut self.gateways {
            let due = |(since, _): &&mut (u64, _)| now.boot_ms >= *since + OLDER_MS;
            if known.older.as_mut().filter(due).is_none() {
                continue;
            }
            let older = known.older.take();
            let newest = known.mirror().and_then(Mirror::newest);
            if let Some(((_, shown), newest)) = older.zip(newest) {
                alarms.push((
                    name.clone(),
                    Alarm {
                        kind: Kind::Shorter,
                        text: format!(
                            "the head that is shown is older than one of {} leaves that was shown before: an old copy was restored, or the log was shortened",
                            newest.checkpoint.size
                        ),
                        known: Some(newest.note.to_string()),
                        shown: Some(shown.to_string()),
                        proof: None,
                    },
                ));
            }
        }
        for (name, alarm) in alarms {
            self.refuse(&name, alarm, now, out);
        }
    }
}

/// A payload that can be a note.
fn note_of(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    (!text.is_empty() && text.len() <= NOTE_BYTES_MAX).then_some(text)
}
