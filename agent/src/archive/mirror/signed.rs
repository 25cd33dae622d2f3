//! Cosignatures of a log's newest head: into the stored checkpoint, and one an hour among the kept notes.

use std::io;
use std::sync::Arc;

use lineside_proto::Time;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note, Signature};

use super::Mirror;
use crate::archive::record::Cosigned;
use crate::ledger::disk;

/// A UTC hour.
const HOUR_MS: i64 = 3_600_000;

impl Mirror {
    /// Takes in that the witness has cosigned a head of this log: the line goes into what is stored.
    pub(in crate::archive) fn cosigned(
        &mut self,
        head: &Checkpoint,
        line: &Signature,
        at: Time,
    ) -> io::Result<Option<Arc<str>>> {
        self.record.cosigned = Some(Cosigned {
            size: head.size,
            root: head.root.to_string(),
            at,
        });
        let note = self.sign_stored(head, line, at)?;
        self.write_record()?;
        Ok(note)
    }

    /// Adds a signature line to the stored checkpoint, if that is still of this head. Gives the note.
    pub(in crate::archive) fn sign_stored(
        &mut self,
        head: &Checkpoint,
        line: &Signature,
        now: Time,
    ) -> io::Result<Option<Arc<str>>> {
        let Some(stored) = self.head.as_mut().filter(|known| known.checkpoint == *head) else {
            return Ok(None);
        };
        let Ok(mut note) = Note::parse(&stored.note) else {
            return Ok(None);
        };
        note.signatures
            .retain(|known| known.name != line.name || known.hash != line.hash);
        note.signatures.push(line.clone());
        let text = note.to_string();
        if text.len() > NOTE_BYTES_MAX {
            return Ok(None);
        }
        disk::put(&self.dir.join("checkpoint"), text.as_bytes())?;
        stored.note = text.into();
        let note = Arc::clone(&stored.note);
        self.keep_cosigned(&note, now);
        Ok(Some(note))
    }

    /// When the newest leaf was established, as far as that can be: one that speaks of the future would end the hours.
    pub(in crate::archive) fn last_at(&self, now: Time) -> Option<Time> {
        self.last.map(|last| last.min(now))
    }

    /// Keeps one cosigned note an hour, so that a period of long ago has heads with a witness's time, and the newest: the
    /// stored checkpoint is soon another.
    fn keep_cosigned(&mut self, note: &str, now: Time) {
        let Some(last) = self.last_at(now) else {
            return;
        };
        let hour = last.as_millis().div_euclid(HOUR_MS);
        let is_kept = |kept: i64| hour <= kept && kept <= now.as_millis().div_euclid(HOUR_MS);
        let is_of_hour = !self.kept_hour.is_some_and(is_kept);
        let kept = if is_of_hour {
            self.notes.put(last, note)
        } else {
            self.notes.put_newest(last, note)
        };
        match kept {
            Ok(()) if is_of_hour => self.kept_hour = Some(hour),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, log = %self.place, "a cosigned note can't be kept")
            }
        }
    }
}
