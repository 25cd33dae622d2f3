//! What others hold of this ledger that it does not continue: what a restored backup, a second copy of a gateway or a
//! new disk looks like. It is remembered, so that the next start knows it without a broker, and a new epoch cites it.
//!
//! In `elsewhere` below the ledger's directory: JSON, replaced as a whole. It goes aside with the directory.

use std::path::Path;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{KeyKind, NOTE_BYTES_MAX, Note, VerifierKey};
use serde::{Deserialize, Serialize};

use super::state::State;
use super::{Ledger, LedgerError, Seen, disk, head};

/// The file below the ledger's directory.
const FILE: &str = "elsewhere";

/// Bytes of the file at most: a note in which everything is escaped, and what is around it.
const FILE_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + 128;

/// An unknown key's word on the epoch counts only this far ahead: whoever may write to the broker could use up all
/// numbers else.
const LEAP_MAX: u32 = 1_000;

/// A head of this ledger, in any of its epochs, and who stands behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Vouched {
    /// The epoch of its origin.
    pub(super) epoch: u32,
    /// The head.
    pub(super) head: Checkpoint,
    /// The witness that cosigned it; none: only the gateway's own key signed it.
    pub(super) witness: Option<String>,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judges<'a> {
    /// The ledger's name, without an epoch.
    pub(super) base: &'a str,
    /// The gateway's own keys, whatever origin they bear.
    pub(super) own: &'a [VerifierKey],
    /// The city's witnesses.
    pub(super) witnesses: &'a [VerifierKey],
}

impl Judges<'_> {
    /// The head that a note is about, if it is of this ledger: its epoch, and what it says.
    fn read(&self, note: &Note) -> Option<(u32, Checkpoint)> {
        let head = Checkpoint::parse(&note.text).ok()?;
        Some((head::epoch_of(self.base, &head.origin)?, head))
    }

    /// What a note says of this ledger, if a witness or the gateway's own key stands behind it. A signature that does
    /// not fit counts as none, and spoils no other.
    pub(super) fn vouched(&self, note: &Note) -> Option<Vouched> {
        let (epoch, head) = self.read(note)?;
        let is_by = |key: &VerifierKey| note.verify(std::slice::from_ref(key)).is_ok();
        let witness = self.witnesses.iter().find(|key| is_by(key));
        let mut own = self.own.iter().filter_map(|key| {
            // A key bears the name of the epoch that it signs.
            VerifierKey::new(&head.origin, KeyKind::Ed25519, key.key()).ok()
        });
        if witness.is_none() && !own.any(|key| is_by(&key)) {
            return None;
        }
        let witness = witness.map(|key| key.name().to_owned());
        Some(Vouched {
            epoch,
            head,
            witness,
        })
    }
}

/// What is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Elsewhere {
    /// The furthest signed note that this ledger does not continue.
    pub(super) note: Option<String>,
    /// The highest epoch that a checkpoint in this ledger's place named, signed by whomever: a hint that it is used.
    pub(super) epoch: u32,
}

impl Elsewhere {
    /// What a ledger's directory remembers; nothing where it can't be read: whoever showed it will show it again.
    pub(super) fn open(dir: &Path) -> Self {
        let bytes = disk::read(&dir.join(FILE), FILE_BYTES_MAX).ok().flatten();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn write(&self, dir: &Path) {
        let path = dir.join(FILE);
        let written = serde_json::to_vec(self).map_err(Into::into);
        let written = written.and_then(|bytes| disk::put(&path, &bytes));
        if let Err(error) = written {
            // The ledger is suspended all the same, and the broker shows it again after a start.
            tracing::warn!(path = %path.display(), %error, "what others hold of the ledger can't be remembered");
        }
    }

    /// What the remembered note says, if it still counts.
    pub(super) fn vouched(&self, judges: &Judges<'_>) -> Option<Vouched> {
        judges.vouched(&Note::parse(self.note.as_deref()?).ok()?)
    }

    /// Remembers a note that is further than the one before, or that a witness stands behind where none did.
    fn remember(&mut self, note: &str, vouched: &Vouched, judges: &Judges<'_>, dir: &Path) {
        let rank = |one: &Vouched| (one.epoch, one.witness.is_some(), one.head.size);
        let before = self.vouched(judges);
        if before.is_some_and(|before| rank(&before) >= rank(vouched)) {
            return;
        }
        self.note = Some(note.to_owned());
        self.write(dir);
    }
}

impl State {
    /// Why this ledger must not be signed while somebody trusted holds such a head, if it does not continue that.
    pub(super) fn contradicted(&self, vouched: &Vouched) -> Result<Option<String>, LedgerError> {
        let Vouched {
            epoch,
            head,
            witness,
        } = vouched;
        if *epoch < self.signed.epoch {
            // It was given up, and the present one cites it.
            return Ok(None);
        }
        let is_continued = *epoch == self.signed.epoch
            && head.size <= self.log.size()
            && self.log.root_at(head.size)? == head.root;
        if is_continued {
            return Ok(None);
        }
        let Checkpoint { origin, size, .. } = head;
        let by = match witness {
            Some(name) => format!("cosigned by the city's witness {name}"),
            None => "signed by this gateway's key".to_owned(),
        };
        Ok(Some(format!(
            "a head of {size} leaves of {origin}, {by}, is known elsewhere, and this ledger does not continue it"
        )))
    }
}

impl Ledger {
    /// Compares with a checkpoint that somebody else kept, such as the broker's retained one.
    ///
    /// # Errors
    ///
    /// The ledger's own files can't be read.
    pub fn compare(&self, note: &str) -> Result<Seen, LedgerError> {
        let Ok(parsed) = Note::parse(note) else {
            return Ok(Seen::Foreign);
        };
        let mut state = self.state();
        let own = state.keys.all();
        let judges = self.judges(&own);
        if let Some(vouched) = judges.vouched(&parsed) {
            let seen = self.confront(&mut state, note, &vouched, &judges)?;
            let is_earlier = vouched.epoch < state.signed.epoch;
            return Ok(if is_earlier { Seen::Foreign } else { seen });
        }
        let named = judges.read(&parsed).map_or(0, |(epoch, _)| epoch);
        let ours = state.signed.epoch;
        if named > ours && named - ours <= LEAP_MAX {
            let mut elsewhere = Elsewhere::open(&self.shared.dir);
            if named > elsewhere.epoch {
                elsewhere.epoch = named;
                elsewhere.write(&self.shared.dir);
            }
        }
        Ok(Seen::Foreign)
    }

    /// Whose word on this ledger counts.
    pub(super) fn judges<'a>(&'a self, own: &'a [VerifierKey]) -> Judges<'a> {
        Judges {
            base: &self.shared.base,
            own,
            witnesses: self.shared.cosigned.keys(),
        }
    }

    /// Compares with a head that somebody trusted stands behind; where the ledger does not continue it, signing and
    /// publishing stop, and the note is remembered.
    pub(super) fn confront(
        &self,
        state: &mut State,
        note: &str,
        vouched: &Vouched,
        judges: &Judges<'_>,
    ) -> Result<Seen, LedgerError> {
        let Some(reason) = state.contradicted(vouched)? else {
            return Ok(Seen::Ours);
        };
        Elsewhere::open(&self.shared.dir).remember(note, vouched, judges, &self.shared.dir);
        if state.suspended.is_none() {
            tracing::error!(
                "the ledger is neither signed nor published any more: {reason}; `lineside status` says what to do"
            );
            state.suspended = Some(reason.into());
        }
        self.shared.durable.send_replace(0);
        Ok(Seen::Conflict)
    }
}
