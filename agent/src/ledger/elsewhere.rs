//! What others hold of this ledger that it does not continue: what a restored backup, a second copy of a gateway or a
//! new disk looks like. It is remembered, so that the next start knows it without a broker, and a new epoch cites it.
//!
//! In `elsewhere` below the ledger's directory: JSON, replaced as a whole. It goes aside with the directory.

use std::cmp::Reverse;
use std::path::Path;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{KeyKind, NOTE_BYTES_MAX, Note, VerifierKey};
use serde::{Deserialize, Serialize};

use super::head::EPOCH_LEAP_MAX;
use super::state::State;
use super::{Ledger, LedgerError, Seen, disk, head};
use crate::config::model::WITNESSES_MAX;

/// The file below the ledger's directory.
const FILE: &str = "elsewhere";

/// Bytes of the file at most: a note in which everything is escaped, a short one of each witness, and what is around them.
const FILE_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + WITNESSES_MAX * ALONE_BYTES_MAX + 128;

/// Bytes of a witness's lone word at most, as it is written: a head of the longest name, and one signature.
const ALONE_BYTES_MAX: usize = 2_048;

/// A head of this ledger, in any of its epochs, and who stands behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Vouched {
    /// The epoch of its origin.
    pub(super) epoch: u32,
    /// The head.
    pub(super) head: Checkpoint,
    /// Whether the gateway's own key signed it.
    pub(super) is_own: bool,
    /// The witnesses that cosigned it.
    pub(super) witnesses: Vec<VerifierKey>,
}

impl Vouched {
    /// Which of two heads counts more: what witnesses stand behind goes before what only the gateway's key says.
    fn rank(&self) -> (u32, bool, u64) {
        (self.epoch, !self.witnesses.is_empty(), self.head.size)
    }

    /// Whether a ledger of this epoch may believe in it at all: not in an epoch so far ahead that no number would be left.
    pub(super) fn is_near(&self, ours: u32) -> bool {
        self.epoch.saturating_sub(ours) < EPOCH_LEAP_MAX
    }
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
    /// How many of them must say the same where the gateway's key says nothing.
    pub(super) quorum: usize,
}

impl Judges<'_> {
    /// What a note says of this ledger, if a witness or the gateway's own key stands behind it. A signature that does
    /// not fit counts as none, and spoils no other.
    pub(super) fn vouched(&self, note: &Note) -> Option<Vouched> {
        let head = Checkpoint::parse(&note.text).ok()?;
        let epoch = head::epoch_of(self.base, &head.origin)?;
        let is_by = |key: &VerifierKey| note.verify(std::slice::from_ref(key)).is_ok();
        let witnesses = self.witnesses.iter().filter(|key| is_by(key));
        let witnesses: Vec<VerifierKey> = witnesses.cloned().collect();
        let mut own = self.own.iter().filter_map(|key| {
            // A key bears the name of the epoch that it signs.
            VerifierKey::new(&head.origin, KeyKind::Ed25519, key.key()).ok()
        });
        let is_own = own.any(|key| is_by(&key));
        (is_own || !witnesses.is_empty()).then_some(Vouched {
            epoch,
            head,
            is_own,
            witnesses,
        })
    }

    /// Whether it counts by itself: one witness alone could be wrong, or lie.
    fn is_enough(&self, vouched: &Vouched) -> bool {
        vouched.is_own || vouched.witnesses.len() >= self.quorum.max(1)
    }
}

/// What is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Elsewhere {
    /// The furthest note that counts and that this ledger does not continue.
    pub(super) note: Option<String>,
    /// What single witnesses have cosigned that it does not continue, the furthest of each: a note with its line alone.
    #[serde(default)]
    alone: Vec<String>,
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

    /// The head that counts most, if any does: by one note, or by what enough single witnesses say.
    pub(super) fn vouched(&self, judges: &Judges<'_>) -> Option<Vouched> {
        let note = self.note.as_deref().and_then(|note| Note::parse(note).ok());
        let shown = note.and_then(|note| judges.vouched(&note));
        let shown = shown.filter(|shown| judges.is_enough(shown));
        let both = [shown, self.agreed(judges)].into_iter().flatten();
        both.max_by_key(Vouched::rank)
    }

    /// What single witnesses say, one each, the furthest first.
    pub(super) fn alone(&self, judges: &Judges<'_>) -> Vec<Vouched> {
        let notes = self.alone.iter().filter_map(|note| Note::parse(note).ok());
        let mut said: Vec<Vouched> = notes.filter_map(|note| judges.vouched(&note)).collect();
        said.sort_by_key(|vouched| Reverse(vouched.rank()));
        said
    }

    /// Where enough witnesses say, each for itself, that there is something else: the head that as many of them
    /// as are wanted have reached.
    fn agreed(&self, judges: &Judges<'_>) -> Option<Vouched> {
        let said = self.alone(judges);
        let wanted = judges.quorum.max(1);
        let witnesses = said.iter().take(wanted);
        let witnesses = witnesses.flat_map(|vouched| vouched.witnesses.iter().cloned());
        let witnesses = witnesses.collect();
        let reached = said.get(wanted - 1)?;
        Some(Vouched {
            witnesses,
            ..reached.clone()
        })
    }

    /// Remembers a note that counts more than the one before.
    fn remember(&mut self, note: &Note, vouched: &Vouched, judges: &Judges<'_>, dir: &Path) {
        let before = self.note.as_deref().and_then(|note| Note::parse(note).ok());
        let before = before.and_then(|note| judges.vouched(&note));
        let before = before.filter(|before| judges.is_enough(before));
        if before.is_some_and(|before| before.rank() >= vouched.rank()) {
            return;
        }
        self.note = Some(note.to_string());
        self.write(dir);
    }

    /// Remembers what each of these witnesses says for itself, if it goes beyond what is known of it. Gives whether one
    /// says such a thing for the first time.
    fn accuse(&mut self, note: &Note, vouched: &Vouched, judges: &Judges<'_>, dir: &Path) -> bool {
        let known = self.alone(judges);
        let (mut is_changed, mut is_first) = (false, false);
        for key in &vouched.witnesses {
            let before = known.iter().find(|one| one.witnesses.contains(key));
            if before.is_some_and(|before| before.rank() >= vouched.rank()) {
                continue;
            }
            let mut lines = note.signatures.iter().map(|signature| Note {
                text: note.text.clone(),
                signatures: vec![signature.clone()],
            });
            let alone = lines.find(|note| note.verify(std::slice::from_ref(key)).is_ok());
            let alone = alone.map(|note| note.to_string());
            if let Some(alone) = alone.filter(|text| text.len() * 2 <= ALONE_BYTES_MAX) {
                self.forget(&[key], judges);
                self.alone.push(alone);
                is_changed = true;
                is_first |= before.is_none();
            }
        }
        if is_changed {
            // Of witnesses that are configured no more nothing is kept: one each, and no more than there may be.
            let is_read = |note: &String| {
                let note = Note::parse(note).ok();
                note.is_some_and(|note| judges.vouched(&note).is_some())
            };
            self.alone.retain(is_read);
            self.write(dir);
        }
        is_first
    }

    /// What these witnesses said for themselves is left out.
    fn forget(&mut self, keys: &[&VerifierKey], judges: &Judges<'_>) {
        let is_of = |note: &String| {
            let said = Note::parse(note)
                .ok()
                .and_then(|note| judges.vouched(&note));
            said.is_some_and(|said| said.witnesses.iter().any(|key| keys.contains(&key)))
        };
        self.alone.retain(|note| !is_of(note));
    }

    /// A witness cosigns this ledger's own heads: what it said before is no accusation any more.
    pub(super) fn reconcile(&mut self, keys: &[&VerifierKey], judges: &Judges<'_>, dir: &Path) {
        let before = self.alone.len();
        self.forget(keys, judges);
        if self.alone.len() < before {
            self.write(dir);
        }
    }
}

impl State {
    /// Why this ledger must not be signed while somebody trusted holds such a head, if it does not continue that.
    pub(super) fn contradicted(
        &self,
        base: &str,
        vouched: &Vouched,
    ) -> Result<Option<String>, LedgerError> {
        let Vouched { epoch, head, .. } = vouched;
        let is_overlooked = self.signed.overlooks(base, vouched);
        let is_earlier = *epoch < self.signed.epoch && !is_overlooked;
        if is_earlier || !vouched.is_near(self.signed.epoch) {
            // It was given up, and the present one cites it; or it is of an epoch that there can't be.
            return Ok(None);
        }
        let is_continued = *epoch == self.signed.epoch
            && head.size <= self.log.size()
            && self.log.root_at(head.size)? == head.root;
        if is_continued {
            return Ok(None);
        }
        let Checkpoint { origin, size, .. } = head;
        let names: Vec<&str> = vouched.witnesses.iter().map(VerifierKey::name).collect();
        let by = match names.as_slice() {
            [] => "signed by this gateway's key".to_owned(),
            [name] => format!("cosigned by the city's witness {name}"),
            names => format!("cosigned by the city's witnesses {}", names.join(", ")),
        };
        let does_not = if is_overlooked {
            "this epoch, which was begun unheard, does not cite it"
        } else {
            "this ledger does not continue it"
        };
        Ok(Some(format!(
            "a head of {size} leaves of {origin}, {by}, is known elsewhere, and {does_not}"
        )))
    }
}

impl Ledger {
    /// Compares with a checkpoint that somebody else kept, such as the broker's retained one. Only a note that the
    /// gateway's own key signed, or as many witnesses as are wanted, says anything of this ledger.
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
        let Some(vouched) = judges.vouched(&parsed) else {
            return Ok(Seen::Foreign);
        };
        let seen = self.confront(&mut state, &parsed, &vouched, &judges)?;
        let is_earlier = vouched.epoch < state.signed.epoch;
        Ok(if is_earlier && seen == Seen::Ours {
            Seen::Foreign
        } else {
            seen
        })
    }

    /// Whose word on this ledger counts.
    pub(super) fn judges<'a>(&'a self, own: &'a [VerifierKey]) -> Judges<'a> {
        Judges {
            base: &self.shared.base,
            own,
            witnesses: self.shared.cosigned.keys(),
            quorum: self.shared.cosigned.quorum(),
        }
    }

    /// Compares with a head that somebody stands behind. Where the ledger does not continue it, and the gateway's own
    /// key or enough witnesses say so, signing and publishing stop; a single witness's word is only remembered.
    pub(super) fn confront(
        &self,
        state: &mut State,
        note: &Note,
        vouched: &Vouched,
        judges: &Judges<'_>,
    ) -> Result<Seen, LedgerError> {
        if !vouched.is_near(state.signed.epoch) {
            return Ok(Seen::Foreign);
        }
        let Some(mut reason) = state.contradicted(judges.base, vouched)? else {
            return Ok(Seen::Ours);
        };
        let dir = &self.shared.dir;
        let mut elsewhere = Elsewhere::open(dir);
        if judges.is_enough(vouched) {
            elsewhere.remember(note, vouched, judges, dir);
        } else {
            if elsewhere.accuse(note, vouched, judges, dir) {
                tracing::error!(
                    "{reason}; a single witness stops nothing: `lineside status` names it"
                );
            }
            let agreed = elsewhere.agreed(judges);
            let agreed = agreed
                .map(|agreed| state.contradicted(judges.base, &agreed))
                .transpose()?;
            let Some(agreed) = agreed.flatten() else {
                return Ok(Seen::Disputed);
            };
            reason = agreed;
        }
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
