//! Where a commit goes: facts into the ledger, messages into the outbox, what must be remembered into the
//! progress record, in this order; and the signing of checkpoints.

use lineside_proto::Identifier;
use lineside_proto::ledger::{LeafBody, SessionEvent};
use std::time::{Duration, Instant};

use super::{COMPARE_PATIENCE, Commit, Pace, Recording, Resume};
use crate::ledger::Seen;
use crate::logs::chain;
use crate::machine::recorder::Change;
use crate::progress::Extent;
use crate::record::Entry;

/// Leaves are under a checkpoint after so long at the latest.
const SIGN_EVERY: Duration = Duration::from_secs(300);

/// A store that keeps failing is said again after so long.
const ALARM_EVERY: Duration = Duration::from_secs(60);

impl Recording {
    /// Puts a commit where it belongs: facts into the ledger, messages into the outbox, words onto the board
    /// once what led to them is durable. A ledger that can't be written ends the thread, and nothing more is
    /// said.
    pub(super) fn keep(&mut self, commit: Commit, pace: &mut Pace) {
        for change in &commit.changes {
            log_change(change);
        }
        if !self.append(&commit.leaves, pace) {
            return;
        }
        if let Err(error) = self.stores.outbox.append(commit.records) {
            // Only a message that breaks the outbox's own rules: a fault of the program.
            tracing::error!(error = chain(&error), "telemetry was refused by the outbox");
        }
        if !(commit.leaves.is_empty() && commit.changes.is_empty() && commit.answers.is_empty()) {
            self.commit(pace);
        }
        for document in commit.availability {
            self.say(document, pace);
        }
    }

    /// Writes facts of now.
    pub(super) fn write(&mut self, bodies: Vec<LeafBody>, pace: &mut Pace) {
        let entries = self.facts(bodies);
        self.append(&entries, pace);
    }

    /// Makes facts durable; says whether the ledger still works.
    fn append(&mut self, entries: &[Entry], pace: &mut Pace) -> bool {
        if pace.failed.is_some() {
            return false;
        }
        if entries.is_empty() {
            return true;
        }
        if let Err(error) = self.stores.ledger.append(&self.origin.boot, entries) {
            tracing::error!(
                error = chain(&error),
                "the ledger can't be written: stopping"
            );
            pace.failed = Some(error);
            return false;
        }
        pace.unsigned_since.get_or_insert_with(Instant::now);
        pace.sign_now |= entries.iter().any(|entry| match &entry.body {
            LeafBody::Session(leaf) => leaf.event == SessionEvent::Close,
            LeafBody::Key(_) => true,
            LeafBody::Genesis(_)
            | LeafBody::Boot(_)
            | LeafBody::Config(_)
            | LeafBody::Booking(_)
            | LeafBody::Audit(_)
            | LeafBody::Clock(_)
            | LeafBody::State(_)
            | LeafBody::Usage(_)
            | LeafBody::Gap(_)
            | LeafBody::Anchor(_)
            | LeafBody::Bind(_)
            | LeafBody::Correction(_)
            | LeafBody::Summary(_) => false,
        });
        true
    }

    /// Signs a checkpoint if one is due. After a start the ledger is compared first with what the broker
    /// keeps of it, as long as that can be had.
    pub(super) fn sign(&mut self, pace: &mut Pace) {
        let Some(since) = pace.unsigned_since else {
            return;
        };
        let may_sign = pace.compared || pace.begun.elapsed() >= COMPARE_PATIENCE;
        let is_due = pace.sign_now || since.elapsed() >= SIGN_EVERY;
        if !may_sign || !is_due || pace.failed.is_some() || self.is_provisional(pace) {
            return;
        }
        pace.unsigned_since = None;
        pace.sign_now = false;
        match self.stores.ledger.sign() {
            Ok(Some(head)) => tracing::debug!(size = head.size, "checkpoint signed"),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(
                    error = chain(&error),
                    "no checkpoint can be signed: stopping"
                );
                pace.failed = Some(error);
            }
        }
    }

    /// Whether nothing is signed before the broker has told what it keeps, however long that takes: the epoch was begun
    /// without a word of the city, and what is signed can't be mended.
    pub(super) fn is_provisional(&self, pace: &Pace) -> bool {
        !pace.heard && self.stores.ledger.is_provisional()
    }

    /// Compares the ledger with the checkpoint that the broker keeps.
    pub(super) fn compare(&mut self, note: Option<&str>, pace: &mut Pace) {
        (pace.compared, pace.heard) = (true, true);
        let Some(note) = note else { return };
        match self.stores.ledger.compare(note) {
            // What is wrong the ledger has said itself.
            Ok(Seen::Ours | Seen::Conflict | Seen::Disputed) => {}
            Ok(Seen::Foreign) => tracing::warn!(
                "the broker keeps a checkpoint in this ledger's place that is not of this ledger; it will be replaced"
            ),
            Err(error) => {
                tracing::error!(error = chain(&error), "the ledger can't be read: stopping");
                pace.failed = Some(error);
            }
        }
    }

    /// Makes durable what was kept: messages first, then how far knowledge reaches. A store that
    /// fails keeps what it can and names the rest in gap documents; machines are read and states
    /// said all the same, since a portal needs them most when something is wrong.
    pub(super) fn commit(&mut self, pace: &mut Pace) {
        let now = Instant::now();
        pace.commit_due = now + self.commit_every;
        let wall = self.clock.now().wall;
        let origin = self.stores.ledger.origin();
        let ledger = Extent {
            origin: &origin,
            leaves: self.stores.ledger.size(),
        };
        let done = self
            .stores
            .outbox
            .commit(wall)
            .map_err(|error| chain(&error))
            .and_then(|_| {
                self.stores
                    .progress
                    .write(self.recorder.evidence(), self.recorder.memory(), ledger)
                    .map_err(|error| error.to_string())
            });
        match done {
            Ok(()) if pace.alarmed.take().is_some() => tracing::info!("the store works again"),
            Ok(()) => {}
            Err(error) => {
                if pace
                    .alarmed
                    .is_none_or(|said| now.duration_since(said) >= ALARM_EVERY)
                {
                    pace.alarmed = Some(now);
                    tracing::error!(error, "the store fails");
                }
            }
        }
    }

    /// Writes what a machine that has left must remember, since the recorder no longer does.
    pub(super) fn remember(&mut self, machine: &Identifier, resume: &Resume) {
        let memory = resume.memory.as_deref().cloned();
        let memories = memory.into_iter().map(|memory| (machine, memory));
        let evidence = std::iter::once((machine, resume.evidence));
        let origin = self.stores.ledger.origin();
        let ledger = Extent {
            origin: &origin,
            leaves: self.stores.ledger.size(),
        };
        let written = self.stores.progress.write(evidence, memories, ledger);
        if let Err(error) = written {
            tracing::error!(%error, %machine, "what is known of the machine can't be kept");
        }
    }
}

fn log_change(change: &Change) {
    let Change {
        machine,
        transition,
        decided,
        reason,
    } = change;
    tracing::info!(
        %machine,
        from = %transition.from,
        to = %transition.to,
        since = %decided.since,
        reason,
        "state changed"
    );
}
