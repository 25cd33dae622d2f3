//! What is cosigned, and why something is not.

use std::sync::Arc;

use lineside_proto::Time;
use lineside_proto::ledger::note::Note;

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::mirror::{Head, Mirror, MirrorError};
use crate::archive::place::Place;
use crate::archive::shelf::Shelf;
use crate::archive::witness::{Last, Refusal, Witness, with_signature};
use crate::clock::Stamp;
use crate::logs::chain;

/// So far this host's clock may be from the times that leaves tell: gateways are off over a weekend and their clocks may
/// be wrong by hours, and what was cosigned with a time of the far future stops a log until then.
const AWRY_MS: i64 = 86_400_000;
/// How often it is asked whether a time server sets the clock: that starts a program.
const ASK_CLOCK_MS: u64 = 60_000;

/// Epochs of one gateway that are cosigned at most: each is a log in the witness's memory, which all share. A gateway
/// begins one when its disk or its key is lost.
const EPOCHS_COSIGNED_MAX: usize = 32;

/// Why a head is not cosigned while the next epoch waits.
const FOLLOWED: &str = "the next epoch has begun and has its turn within an hour: what it cites of this one is not known yet";

/// Why a head is not cosigned.
enum Reason {
    /// It contradicts what was cosigned.
    Alarm(Box<Alarm>),
    /// Something that may pass.
    Words(String),
    /// What lies on the disk does not fit together.
    Damaged(MirrorError),
}

impl Desk {
    /// Cosigns the heads that are due.
    pub(super) fn cosign(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let Some(witness) = self.terms.witness.clone() else {
            return;
        };
        if self.cosign_from_ms.is_none_or(|from| now.boot_ms < from) {
            return;
        }
        let every_ms = i64::try_from(self.terms.cosign_every.as_millis()).unwrap_or(i64::MAX);
        let due = self.gateways.iter();
        let due = due.filter(|(_, known)| is_due(known, every_ms, now));
        let due: Vec<Name> = due.map(|(name, _)| name.clone()).collect();
        if due.is_empty() {
            return;
        }
        let mirrors = self.gateways.values().filter_map(Gateway::mirror);
        let newest = mirrors.filter_map(|mirror| mirror.record.newest).max();
        for name in due {
            let ahead = self.is_ahead(&name, newest, now);
            let Some(known) = self.gateways.get_mut(&name) else {
                continue;
            };
            let is_first = known.is_to_say_again();
            // An epoch that was followed comes before the present one, which has its turn after each of those.
            let left = known.leaving.as_deref_mut().filter(|_| !known.is_overtaken);
            let left = left.filter(|left| left.may_be_cosigned());
            let tried = left.and_then(|left| {
                let place = left.place.clone();
                // What was said of it before a start is not said again: gateways keep the newest only.
                let terms = (every_ms, false);
                let tried = cosign_due((&witness, &self.shelf), left, terms, ahead, now)?;
                Some((place, tried))
            });
            if let Some((place, tried)) = tried {
                known.cosigned_ms = Some(now.boot_ms);
                // For one that can't be cosigned now the next does not wait.
                let is_over = !matches!(tried, Err(Reason::Words(_) | Reason::Damaged(_)));
                known.is_overtaken |= tried.is_ok();
                self.tried((&name, place), tried, now, out);
                if is_over {
                    continue;
                }
            }
            let Some(known) = self.gateways.get_mut(&name) else {
                continue;
            };
            let is_followed = known.later.has_next();
            let Some(mirror) = known.mirror_mut().filter(|mirror| !mirror.is_stopped()) else {
                known.is_overtaken = false;
                continue;
            };
            if is_followed {
                // What the next one cites of it is not known yet, and nothing beyond that is cosigned.
                drop(mirror.note_uncosigned(Some(FOLLOWED.to_owned()), None, now.wall));
                known.is_overtaken = false;
                continue;
            }
            let place = mirror.place.clone();
            let terms = (every_ms, is_first);
            let tried = cosign_due((&witness, &self.shelf), mirror, terms, ahead, now);
            known.is_overtaken = false;
            let Some(tried) = tried else { continue };
            known.cosigned_ms = Some(now.boot_ms);
            self.tried((&name, place), tried, now, out);
        }
    }

    /// What came of a try to cosign a head.
    fn tried(
        &mut self,
        (name, place): (&Name, Place),
        tried: Result<Arc<str>, Reason>,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        match tried {
            Ok(note) => {
                let witness = self.terms.witness.as_ref();
                let Some(key) = witness.map(|witness| witness.key().hash()) else {
                    return;
                };
                out.push(Output::Cosigned { place, note, key });
            }
            Err(Reason::Alarm(alarm)) => self.refuse_of((name, place.epoch), *alarm, now, out),
            Err(Reason::Damaged(error)) => {
                if let Some(known) = self.gateways.get_mut(name) {
                    known.lose(place.epoch, &error, now.boot_ms);
                }
            }
            Err(Reason::Words(reason)) => {
                let known = self.gateways.get_mut(name);
                if known.is_some_and(|known| known.is_to_be_told(now.boot_ms)) {
                    tracing::error!(log = %place, "a head is not cosigned: {reason}");
                }
            }
        }
    }

    /// Whether this host's clock is further ahead of all leaves than can be believed of a clock that nobody sets.
    /// `newest` is the newest of them.
    fn is_ahead(&mut self, name: &Name, newest: Option<Time>, now: Stamp) -> bool {
        let own = self.gateways.get(name);
        let has_leaves = own.is_some_and(|own| {
            let left = own.leaving.as_deref().into_iter();
            let mut all = own.mirror().into_iter().chain(left);
            all.any(|copy| copy.record.newest.is_some())
        });
        // A log may be old. That all are, is not to be believed.
        let Some(newest) = newest.filter(|_| has_leaves) else {
            return false;
        };
        if now.wall.as_millis().saturating_sub(newest.as_millis()) <= AWRY_MS {
            return false;
        }
        let asked = self.clock_set;
        let asked = asked.filter(|(at, _)| now.boot_ms < at.saturating_add(ASK_CLOCK_MS));
        let is_set = asked.map_or_else(|| (self.ask_clock)(now), |(_, is_set)| is_set);
        if asked.is_none() {
            self.clock_set = Some((now.boot_ms, is_set));
        }
        !is_set
    }
}

impl Gateway {
    /// Whether what was cosigned of the present epoch is to be said again: after a start the last word of before may not
    /// have come out.
    fn is_to_say_again(&self) -> bool {
        self.cosigned_ms.is_none() || self.is_overtaken
    }
}

/// Whether a head of a gateway may be due, be it of the epoch before; what stands against it is looked at then.
fn is_due(known: &Gateway, every_ms: i64, now: Stamp) -> bool {
    let rests = known
        .cosigned_ms
        .is_some_and(|last| now.boot_ms < last.saturating_add(every_ms.unsigned_abs()));
    let is_first = known.is_to_say_again();
    let waits = |mirror: &Mirror| {
        let is_news = !is_said(mirror, is_first) || mirror.record.uncosigned.is_some();
        mirror.head.is_some() && !mirror.is_stopped() && is_news && !is_early(mirror, every_ms, now)
    };
    !rests && (known.leaving.is_some() || known.mirror().is_some_and(waits))
}

/// Whether a log's newest head was cosigned. After a start it is said again: the last word of before may not have come
/// out.
fn is_said(mirror: &Mirror, is_first: bool) -> bool {
    let last = mirror.record.cosigned.as_ref();
    last.zip(mirror.head.as_ref()).is_some_and(|(last, head)| {
        let size = head.checkpoint.size;
        last.size > size || (last.size == size && !is_first)
    })
}

/// Whether a log's newest head waits only for the pause between two cosignatures, which over a restart only the wall
/// clock tells.
fn is_early(mirror: &Mirror, every_ms: i64, now: Stamp) -> bool {
    let last = mirror.record.cosigned.as_ref();
    let since = last.map(|last| now.wall.as_millis() - last.at.as_millis());
    since.is_some_and(|since| (0..every_ms).contains(&since))
}

/// Has a log's newest head cosigned, if that is due. Notes why not.
fn cosign_due(
    (witness, shelf): (&Witness, &Shelf),
    mirror: &mut Mirror,
    (every_ms, is_first): (i64, bool),
    is_ahead: bool,
    now: Stamp,
) -> Option<Result<Arc<str>, Reason>> {
    let head = mirror.head.clone()?;
    let is_said = is_said(mirror, is_first);
    if is_said && mirror.record.uncosigned.is_some() {
        // What stood against it has passed.
        drop(mirror.note_uncosigned(None, None, now.wall));
    }
    if mirror.is_stopped() || is_said || is_early(mirror, every_ms, now) {
        return None;
    }
    let tried = may(mirror, is_ahead, now.wall)
        .and_then(|()| cosigned((witness, shelf), mirror, &head, now));
    let why = match &tried {
        Ok(_) => None,
        Err(Reason::Alarm(alarm)) => Some(alarm.text.clone()),
        Err(Reason::Words(words)) => Some(words.clone()),
        Err(Reason::Damaged(error)) => Some(chain(error)),
    };
    let last = || witness.last(mirror.origin()).ok().flatten();
    let last = why.as_ref().and_then(|_| last());
    let beyond = last.map(|last| last.size);
    let beyond = beyond.filter(|beyond| *beyond > head.checkpoint.size);
    if let Err(error) = mirror.note_uncosigned(why, beyond, now.wall) {
        tracing::warn!(%error, log = %mirror.place, "why a head is not cosigned can't be noted");
    }
    Some(tried)
}

/// Whether anything stands against cosigning a log's head now.
fn may(mirror: &Mirror, is_ahead: bool, now: Time) -> Result<(), Reason> {
    let words = |words: &str| Err(Reason::Words(words.to_owned()));
    if is_ahead {
        return words(
            "this host's clock is more than a day ahead of all leaves, and no time server sets it: set it right",
        );
    }
    let newest = mirror.record.newest.map_or(i64::MIN, Time::as_millis);
    if now.as_millis() < newest.saturating_sub(AWRY_MS) {
        return words(
            "this host's clock is more than a day behind the newest leaf: it, or the gateway's, is to be set right",
        );
    }
    if mirror.record.prior.is_some() {
        return words(
            "the head of the epoch before that it cites is not proved to continue what is held",
        );
    }
    if mirror.is_uncompared() {
        return words(
            "it is not found yet whether it continues the epoch before: that can't be read now, or is not here",
        );
    }
    Ok(())
}

/// Has a head cosigned, and stores the line. Gives the note with it.
fn cosigned(
    (witness, shelf): (&Witness, &Shelf),
    mirror: &mut Mirror,
    head: &Head,
    now: Stamp,
) -> Result<Arc<str>, Reason> {
    let say = |error: &dyn std::error::Error| Reason::Words(chain(error));
    let last = witness.last(mirror.origin());
    let last = last.map_err(|error| say(&error))?;
    if last.is_none() && epochs_cosigned(shelf, &mirror.place) >= EPOCHS_COSIGNED_MAX {
        return Err(Reason::Words(format!(
            "{EPOCHS_COSIGNED_MAX} epochs of this gateway were cosigned, and no more are"
        )));
    }
    let (old, size) = (
        last.as_ref().map_or(0, |last| last.size),
        head.checkpoint.size,
    );
    if old > size {
        return Err(Reason::Words(format!(
            "a head of {old} leaves was cosigned before, and the copy has {size}: it is fetched anew"
        )));
    }
    let proof = if old == 0 || old == size {
        Vec::new()
    } else {
        let proof = mirror.consistency(old, size);
        proof.map_err(|error| say(&error))?
    };
    let note = Note::parse(&head.note).map_err(|error| say(&error))?;
    let signed = witness.cosign(&note, &head.checkpoint, old, &proof, now.wall);
    let line = signed.map_err(|refusal| refused(mirror, head, last, &refusal))?;
    let stored = mirror.cosigned(&head.checkpoint, &line, now.wall);
    match stored {
        Ok(Some(note)) => Ok(note),
        // The line stands, whether or not the copy can be written.
        Ok(None) | Err(_) => Ok(with_signature(&note, &line).to_string().into()),
    }
}

/// How many epochs of a gateway were cosigned.
fn epochs_cosigned(shelf: &Shelf, place: &Place) -> usize {
    let epochs = shelf.known_epochs(&place.site, &place.gateway);
    let is_cosigned = |epoch: &u32| {
        let place = Place {
            epoch: *epoch,
            ..place.clone()
        };
        let record = shelf.record(&place).ok().flatten();
        record.is_some_and(|record| record.cosigned.is_some())
    };
    let epochs = epochs.unwrap_or_default();
    epochs.iter().filter(|epoch| is_cosigned(epoch)).count()
}

/// What it means that the witness refuses.
fn refused(mirror: &Mirror, head: &Head, last: Option<Last>, refusal: &Refusal) -> Reason {
    let size = head.checkpoint.size;
    let old = last.as_ref().map_or(0, |last| last.size);
    let (known, other) = last.map_or((None, None), |last| (last.note, last.refused));
    // What contradicted what was cosigned counts against the log only if the log signed it.
    let other = other.filter(|other| mirror.has_signed(other));
    let is_stopped = matches!(refusal, Refusal::Stopped(_)) && other.is_some();
    let (kind, text, proof) = match refusal {
        Refusal::Proof(_) => {
            let proof = match mirror.proof_of(old, &head.checkpoint) {
                Err(damaged @ MirrorError::Damaged(_)) => return Reason::Damaged(damaged),
                Err(error) => return Reason::Words(chain(&error)),
                Ok(proof) => proof,
            };
            let text = format!(
                "the head of {size} leaves does not continue the {old} leaves that this witness cosigned before"
            );
            (Kind::Fork, text, Some(proof))
        }
        Refusal::OtherRoot(_) => (
            Kind::TwoHeads,
            format!("this witness cosigned another head of {size} leaves before"),
            None,
        ),
        Refusal::Stopped(why) if is_stopped => (
            Kind::TwoHeads,
            format!("nothing of this log is cosigned any more: {why}"),
            None,
        ),
        Refusal::Stopped(_)
        | Refusal::Form
        | Refusal::Beyond { .. }
        | Refusal::Conflict(_)
        | Refusal::Clock { .. }
        | Refusal::Memory(_) => return Reason::Words(chain(refusal)),
    };
    Reason::Alarm(Box::new(Alarm {
        kind,
        text,
        known,
        shown: other.filter(|_| is_stopped).or(Some(head.note.to_string())),
        proof,
    }))
}
