//! A ledger and its witnesses: cosignatures come in, and say how far the city has it.

use std::time::Instant;

use lineside_proto::Time;
use lineside_proto::ledger::note::{Note, Signature, VerifierKey};
use lineside_proto::ledger::{Anchor, Checkpoint, Leaf};

use super::cosigned::Head;
use super::elsewhere::Elsewhere;
use super::notes::merge;
use super::{Ledger, LedgerError, Seen};
use crate::clock::Stamp;
use crate::live::WitnessFigures;

/// Leaves that nobody cosigned for so long: a checkpoint comes after five minutes at the latest, a cosignature within
/// the next, and then something is amiss.
const SILENT_AFTER_MS: i64 = 15 * 60_000;

/// Times of leaves that are remembered: one a witness.
const TIMES_MAX: usize = crate::config::model::WITNESSES_MAX;

/// What a cosignature came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Witnessed {
    /// A witness has seen more than it had before.
    More,
    /// It says nothing new.
    Known,
    /// It is of an epoch that was given up.
    Earlier,
    /// It is none of this ledger by a witness that is configured.
    Foreign(&'static str),
    /// It is of a head that this ledger does not continue: signing has stopped.
    Conflict,
    /// The same, and fewer witnesses say so than are wanted: it is remembered as their fault, and stops nothing.
    Disputed,
}

impl Ledger {
    /// Takes in a note that the city's witnesses may have cosigned. What of it counts is durable on return, and in the
    /// notes that are kept. May be given the same again.
    ///
    /// # Errors
    ///
    /// The ledger's own files can't be read or written.
    pub fn cosign(&self, note: &str) -> Result<Witnessed, LedgerError> {
        let Ok(parsed) = Note::parse(note) else {
            return Ok(Witnessed::Foreign("no signed note"));
        };
        let origin = self.origin();
        let (own, witnesses) = (self.keys(), self.shared.cosigned.keys());
        let lines = fitting(&parsed, witnesses);
        if lines.is_empty() {
            return Ok(Witnessed::Foreign(
                "no cosignature of a configured witness fits",
            ));
        }
        // The gateway's own signature is not asked for: whoever lost its key must not begin anew as if nothing were known.
        let judges = self.judges(&own);
        let Some(vouched) = judges.vouched(&parsed) else {
            return Ok(Witnessed::Foreign("cosigned is another ledger"));
        };
        {
            let mut state = self.state();
            let is_earlier = vouched.epoch < state.signed.epoch;
            match self.confront(&mut state, &parsed, &vouched, &judges)? {
                Seen::Conflict => return Ok(Witnessed::Conflict),
                Seen::Disputed => return Ok(Witnessed::Disputed),
                Seen::Foreign => {
                    return Ok(Witnessed::Foreign(
                        "cosigned is an epoch that there can't be",
                    ));
                }
                Seen::Ours if is_earlier => return Ok(Witnessed::Earlier),
                Seen::Ours if state.suspended.is_some() => return Ok(Witnessed::Known),
                Seen::Ours => {}
            }
        }
        let head = vouched.head;
        if head.origin != origin || head.size == 0 {
            return Ok(Witnessed::Foreign("cosigned is an empty ledger"));
        }
        self.keep_cosigned(&parsed, &head, &own, &lines)?;
        let keys: Vec<&VerifierKey> = lines.iter().map(|line| line.key).collect();
        let heads = lines.into_iter().map(|line| Head {
            key: line.key.to_string(),
            size: head.size,
            root: head.root.to_string(),
            at: line.at,
            line: line.signature.to_string(),
        });
        if !self.shared.cosigned.take(heads.collect())? {
            return Ok(Witnessed::Known);
        }
        // As `confront` does: neither may write back what the other has just changed.
        let mut state = self.state();
        Elsewhere::open(&self.shared.dir).reconcile(&keys, &judges, &self.shared.dir);
        state.hear()?;
        Ok(Witnessed::More)
    }

    /// Puts cosignatures into the newest note and the kept ones.
    fn keep_cosigned(
        &self,
        parsed: &Note,
        head: &Checkpoint,
        own: &[VerifierKey],
        lines: &[Fitting<'_>],
    ) -> Result<(), LedgerError> {
        let lines: Vec<Signature> = lines.iter().map(|line| line.signature.clone()).collect();
        let note = {
            let state = self.state();
            let newest = self.shared.checkpoint.borrow().clone();
            let newest = newest.and_then(|newest| Note::parse(&newest).ok());
            let newest = newest.filter(|newest| newest.text == parsed.text);
            let is_newest = newest.is_some();
            let mut note = newest.unwrap_or_else(|| Note {
                text: parsed.text.clone(),
                signatures: own_lines(parsed, own),
            });
            if note.signatures.is_empty() {
                // The witness left them out, or signed with a key that is gone: this very tree is signed anew.
                note.signatures = state.keys.sign(&note.text);
            }
            if merge(&mut note, &lines) && is_newest {
                let text = note.to_string();
                state.put_note(&self.shared.dir, &text)?;
                self.shared.checkpoint.send_replace(Some(text.into()));
            }
            note
        };
        if let Some(at) = self.time_of(head.size.saturating_sub(1))? {
            self.notes().cosign(at, &note, &lines, head.size);
        }
        Ok(())
    }

    /// This ledger, if witnesses are configured.
    pub fn witnessed(&self) -> Option<Self> {
        self.cosigned().map(|_| self.clone())
    }

    /// The leaves that the city's witnesses have cosigned, as many of them as are wanted; none where no witness is
    /// configured.
    pub fn cosigned(&self) -> Option<u64> {
        self.shared.cosigned.size()
    }

    /// Whether nothing of this epoch is signed yet that was begun without a word of the city: what its witnesses hold of the
    /// epoch before may still be heard, and until then nothing should be signed.
    pub fn is_provisional(&self) -> bool {
        let state = self.state();
        self.cosigned().is_some() && state.signed.unheard && state.signed.size == 0
    }

    /// How many witnesses must have cosigned.
    pub fn quorum(&self) -> usize {
        self.shared.cosigned.quorum()
    }

    /// Every leaf below it has reached the city: the broker has acknowledged it and, where there are witnesses, as many
    /// as are wanted have cosigned it.
    pub fn delivered(&self) -> u64 {
        let acknowledged = self.acknowledged();
        let cosigned = self.cosigned();
        cosigned.map_or(acknowledged, |cosigned| acknowledged.min(cosigned))
    }

    /// Every leaf below it was acknowledged by the broker.
    pub fn acknowledged(&self) -> u64 {
        self.marks().mark()
    }

    /// From which leaf on a new connection delivers. What was acknowledged and not cosigned is sent again, at growing
    /// intervals as long as that does not help.
    pub fn resume(&self) -> u64 {
        let acknowledged = self.acknowledged();
        self.shared.cosigned.resume(acknowledged, Instant::now())
    }

    /// The leaf that names the newest cosignature, if it is due: one an hour, as long as new ones come.
    pub fn anchor(&self, now: Stamp) -> Option<Anchor> {
        if self.suspended().is_some() {
            return None;
        }
        self.shared.cosigned.anchor(now)
    }

    /// That leaf was appended.
    ///
    /// # Errors
    ///
    /// The disk refuses; after a start the same cosignature may be named again.
    pub fn anchored(&self, anchor: &Anchor, now: Stamp) -> Result<(), LedgerError> {
        self.shared.cosigned.anchored(anchor, now)
    }

    /// What each witness has cosigned, and since when it owes more. Reads a leaf a witness at most.
    pub fn witnesses(&self, now: Time) -> Vec<WitnessFigures> {
        let heads = self.shared.cosigned.heads();
        let signed = self.signed();
        let accusers = self.accusers();
        let keys = self.shared.cosigned.keys().iter();
        let figures = keys.map(|key| {
            let named = key.to_string();
            let head = heads.iter().find(|head| head.key == named);
            let size = head.map_or(0, |head| head.size);
            let owed_since = (size < signed)
                .then(|| self.time_of(size).ok().flatten())
                .flatten();
            let owed_ms = owed_since.map_or(0, |since| now.as_millis() - since.as_millis());
            WitnessFigures {
                name: key.name().to_owned(),
                key: named,
                size,
                at: head.map(|head| head.at),
                owed_since,
                silent: owed_ms >= SILENT_AFTER_MS,
                contradicts: accusers
                    .iter()
                    .find(|(of, _)| of == key)
                    .map(|(_, head)| head.clone()),
            }
        });
        figures.collect()
    }

    /// The witnesses that have cosigned what this ledger does not continue, and what that is: its size and its origin.
    fn accusers(&self) -> Vec<(VerifierKey, String)> {
        let own = self.keys();
        let judges = self.judges(&own);
        let said = Elsewhere::open(&self.shared.dir).alone(&judges);
        let said = said.into_iter().flat_map(|vouched| {
            let head = format!("{} leaves of {}", vouched.head.size, vouched.head.origin);
            vouched
                .witnesses
                .into_iter()
                .map(move |key| (key, head.clone()))
        });
        said.collect()
    }

    /// When a leaf was established.
    fn time_of(&self, index: u64) -> Result<Option<Time>, LedgerError> {
        let known = {
            let times = self.times();
            times.iter().find(|(of, _)| *of == index).copied()
        };
        if let Some((_, at)) = known {
            return Ok(Some(at));
        }
        let read = self.read(index, 1)?;
        let leaf = read.first().filter(|(of, _)| *of == index);
        let leaf = leaf.and_then(|(_, bytes)| Leaf::from_bytes(bytes).ok());
        let at = leaf.map(|leaf| leaf.head.at);
        if let Some(at) = at {
            let mut times = self.times();
            if times.len() >= TIMES_MAX {
                times.remove(0);
            }
            times.push((index, at));
        }
        Ok(at)
    }
}

/// A cosignature that fits.
struct Fitting<'a> {
    key: &'a VerifierKey,
    signature: Signature,
    at: Time,
}

/// The cosignatures of these witnesses that fit; one a witness.
fn fitting<'a>(note: &Note, witnesses: &'a [VerifierKey]) -> Vec<Fitting<'a>> {
    let mut lines: Vec<Fitting<'a>> = Vec::new();
    for signature in &note.signatures {
        let alone = Note {
            text: note.text.clone(),
            signatures: vec![signature.clone()],
        };
        let Ok(verified) = alone.verify(witnesses) else {
            continue;
        };
        for one in verified {
            let is_known = lines.iter().any(|line| line.key == one.key);
            if let (Some(at), false) = (one.cosigned, is_known) {
                lines.push(Fitting {
                    key: one.key,
                    signature: signature.clone(),
                    at,
                });
            }
        }
    }
    lines
}

/// The signature lines of the log's own keys that fit.
fn own_lines(note: &Note, own: &[VerifierKey]) -> Vec<Signature> {
    let fits = |signature: &&Signature| {
        let alone = Note {
            text: note.text.clone(),
            signatures: vec![(*signature).clone()],
        };
        alone.verify(own).is_ok()
    };
    note.signatures.iter().filter(fits).cloned().collect()
}
