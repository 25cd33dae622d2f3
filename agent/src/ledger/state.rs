//! A ledger between its log and its keys: whether it may be signed, and its newest note.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use lineside_proto::Time;
use lineside_proto::ledger::note::{Note, NoteError};
use lineside_proto::ledger::{Checkpoint, Hash, verify};

use super::cosigned::Head;
use super::elsewhere::Vouched;
use super::head::{Memory, Signed};
use super::log::Log;
use super::{Keys, LedgerError, disk};

#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) keys: Keys,
    pub(super) memory: Memory,
    pub(super) signed: Signed,
    /// When the newest leaf was established; none before one was appended since the start.
    pub(super) newest: Option<Time>,
    /// The boot of that leaf, and its moment on the boot's clock; likewise.
    pub(super) clock: Option<(String, u64)>,
    pub(super) suspended: Option<Arc<str>>,
    /// Nobody else signs with the key.
    pub(super) _key_lock: File,
}

/// What earlier runs and others left beside the log.
pub(super) struct Left<'a> {
    /// Whether there is a record of what was signed last.
    pub(super) is_remembered: bool,
    /// The note in the directory.
    pub(super) kept: Option<&'a str>,
    /// Leaves that the city has acknowledged, and the root over them where that was noted.
    pub(super) delivered: (u64, Option<Hash>),
}

impl State {
    /// Why this ledger must not be signed, if there is a reason. The log must continue the record beside the
    /// key, the note that was written last, and what the city took, and must not have lost anything.
    pub(super) fn judge(
        &mut self,
        origin: &str,
        left: &Left<'_>,
    ) -> Result<Option<Arc<str>>, LedgerError> {
        let said = |reason: String| Ok(Some(reason.into()));
        let parsed = left.kept.and_then(|note| Note::parse(note).ok());
        let parsed = parsed.and_then(|note| Checkpoint::parse(&note.text).ok());
        let named = parsed.map_or_else(|| self.signed.origin.clone(), |head| head.origin);
        let origins = [
            Some(named),
            left.is_remembered.then(|| self.signed.origin.clone()),
        ];
        if let Some(other) = origins.into_iter().flatten().find(|other| other != origin) {
            return said(format!("its origin was {other}, and is {origin} now"));
        }
        let kept = match left.kept.map(|note| self.trusted(note, origin)) {
            Some(Some(head)) => Some(head),
            // The record is gone too: nobody knows what was signed.
            Some(None) if !left.is_remembered => {
                return said("it was signed by another key, or under another origin".to_owned());
            }
            Some(None) if left.kept.is_some_and(|note| self.is_foreign(note)) => {
                return said(
                    "its checkpoint was signed by another key than is here now: put that key back"
                        .to_owned(),
                );
            }
            Some(None) | None => None,
        };
        let mut reason = self.doubt(self.signed.size, &self.signed.root)?;
        // Where the record is gone, or was restored, the note is as good a witness.
        if let Some(head) = kept.filter(|head| head.size > self.signed.size) {
            self.signed.size = head.size;
            self.signed.root = head.root.to_string();
            reason = reason.or(self.doubt(head.size, &self.signed.root)?);
        }
        if let Some(reason) = reason {
            return said(reason);
        }
        self.doubt_delivered(left.delivered)?.map_or(Ok(None), said)
    }

    /// What is wrong with the log if the city has taken so many leaves of it, with this root.
    fn doubt_delivered(
        &self,
        (delivered, root): (u64, Option<Hash>),
    ) -> Result<Option<String>, LedgerError> {
        let leaves = self.log.size();
        if delivered > leaves {
            return Ok(Some(format!(
                "the city has taken {delivered} leaves, and there are {leaves}: the disk lost what it had promised to keep"
            )));
        }
        if let Some(root) = root {
            if self.log.root_at(delivered)? != root {
                return Ok(Some(format!(
                    "its first {delivered} leaves are not those that the city has taken: the disk lost some, and others took their places"
                )));
            }
        }
        Ok(self.log.has_lost().then(|| {
            "its journal was damaged within, and leaves that had been durable are lost; journal.lost holds what is left of them".to_owned()
        }))
    }

    /// What is wrong with the log if this head of it was signed.
    fn doubt(&self, size: u64, root: &str) -> Result<Option<String>, LedgerError> {
        let leaves = self.log.size();
        if size > leaves {
            return Ok(Some(format!(
                "a head of {size} leaves was signed, and there are {leaves}: the disk was replaced, or an old copy restored"
            )));
        }
        let is_same = self.log.root_at(size)?.to_string() == root;
        Ok((!is_same).then(|| format!(
            "its first {size} leaves are not those that were signed: an old copy was restored and continued"
        )))
    }

    fn trusted(&self, note: &str, origin: &str) -> Option<Checkpoint> {
        verify::checkpoint(note, &self.keys.all(), origin).ok()
    }

    /// Whether a note is whole and no key that is here has signed it; one that is damaged is not.
    fn is_foreign(&self, note: &str) -> bool {
        let note = Note::parse(note);
        note.is_ok_and(|note| note.verify(&self.keys.all()) == Err(NoteError::Unsigned))
    }

    /// The same for what witnesses have cosigned, and for what somebody trusted holds elsewhere.
    pub(super) fn judge_cosigned(
        &self,
        base: &str,
        cosigned: &[Head],
        elsewhere: Option<&Vouched>,
    ) -> Result<Option<Arc<str>>, LedgerError> {
        for head in cosigned {
            if let Some(reason) = self.doubt(head.size, &head.root)? {
                return Ok(Some(
                    format!("a witness has cosigned more: {reason}").into(),
                ));
            }
        }
        let contradicted = elsewhere.map(|vouched| self.contradicted(base, vouched));
        Ok(contradicted.transpose()?.flatten().map(Into::into))
    }

    /// A witness has cosigned this epoch: that it was begun unheard counts no more.
    pub(super) fn hear(&mut self) -> Result<(), LedgerError> {
        if !self.signed.unheard {
            return Ok(());
        }
        self.signed.unheard = false;
        let written = self.memory.write(&self.signed);
        written.map_err(LedgerError::disk(self.keys.head_path()))
    }

    /// The newest note, written anew where a crash came between the record and the note, or the note is
    /// damaged.
    pub(super) fn restore_note(
        &self,
        dir: &Path,
        kept: Option<String>,
    ) -> Result<Option<Arc<str>>, LedgerError> {
        if self.suspended.is_some() {
            return Ok(kept.map(Into::into));
        }
        if self.signed.size == 0 {
            return Ok(None);
        }
        let head = kept
            .as_deref()
            .and_then(|note| self.trusted(note, &self.signed.origin));
        match kept {
            Some(note) if head.is_some() && head == self.signed.checkpoint() => {
                Ok(Some(note.into()))
            }
            Some(_) | None => self.note(dir).map(Some),
        }
    }

    /// Signs the remembered head and writes the note; durable on return.
    pub(super) fn note(&self, dir: &Path) -> Result<Arc<str>, LedgerError> {
        let head = self.signed.checkpoint();
        let head =
            head.ok_or_else(|| LedgerError::damaged(self.keys.head_path(), "it holds no root"))?;
        let text = head.to_string();
        let signatures = self.keys.sign(&text);
        let note = Note { text, signatures }.to_string();
        self.put_note(dir, &note)?;
        Ok(note.into())
    }

    /// Writes the newest note; durable on return.
    pub(super) fn put_note(&self, dir: &Path, note: &str) -> Result<(), LedgerError> {
        let path = dir.join("checkpoint");
        disk::put(&path, note.as_bytes()).map_err(LedgerError::disk(&path))
    }
}
