//! What an archive answers to those who want to check a log: the same requests as its gateway, with the same answers,
//! also while that is off.
//!
//! Opened logs are kept, so many at most, those asked last. One that has grown is opened anew; what was learnt of the
//! times of its leaves is kept where the newer tree continues the older.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lineside_proto::Identifier;
use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Checkpoint, Hash};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::place::epoch_of;
use super::standing::Held;
use super::{Place, Shelf};
use crate::answers::{Answers, Call, Code, Copied, Failure, Room, Source};

/// Logs that are kept open. Each has the leaves of one bundle in memory, and where its kept notes stand: a year of them
/// takes half a megabyte.
const OPENED_MAX: usize = 32;

/// A log that is written while it is opened may not fit together for a moment.
const OPENINGS_MAX: usize = 3;

/// Answers about every log of an archive.
#[derive(Debug)]
pub struct Library {
    shelf: Shelf,
    /// Those asked last stand at the end.
    opened: Mutex<Vec<Opened>>,
    closed: CancellationToken,
}

/// A log as it was when it was opened.
#[derive(Clone, Debug)]
struct Opened {
    place: Place,
    size: u64,
    root: Hash,
    answers: Arc<Answers>,
}

impl Library {
    /// Answers from the archive in a directory, until `closed` is cancelled.
    pub fn of(shelf: Shelf, closed: CancellationToken) -> Self {
        Self {
            shelf,
            opened: Mutex::new(Vec::new()),
            closed,
        }
    }

    /// The directory.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Whether there is, or was, a log here that a call is about: one of this gateway, or the one that is named. Blocks.
    pub fn holds(&self, site: &Identifier, gateway: &Identifier, call: &Call) -> bool {
        if let Call::Of { origin, .. } = call {
            let named = self.epoch_of(site, gateway, origin);
            return !named.is_err_and(|failure| failure.code == Code::NotFound);
        }
        let epochs = self.shelf.recorded_epochs(site, gateway);
        // What can't be read is to be said.
        epochs.map_or(true, |epochs| !epochs.is_empty())
    }

    /// Whether a call names a log that is held here and that another epoch of the gateway has followed. Blocks.
    pub fn is_of_before(&self, site: &Identifier, gateway: &Identifier, call: &Call) -> bool {
        let Call::Of { origin, .. } = call else {
            return false;
        };
        let named = self.epoch_of(site, gateway, origin);
        let newest = self.place(site, gateway, None);
        named.is_ok_and(|named| newest.is_ok_and(|newest| named < newest.epoch))
    }

    /// Answers about a gateway's log: of its newest epoch, or of one that is named. Blocks.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and what to do.
    pub fn answer(
        &self,
        (site, gateway): (&Identifier, &Identifier),
        epoch: Option<u32>,
        call: &Call,
        room: Room,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        // A log that is named may be that of an epoch before.
        let epoch = match call {
            Call::Of { origin, .. } => Some(self.epoch_of(site, gateway, origin)?),
            Call::Checkpoint
            | Call::Checkpoints(_)
            | Call::Entries(_)
            | Call::Consistency(_)
            | Call::Inclusion(_)
            | Call::Tile(_)
            | Call::Map(_)
            | Call::Token(_)
            | Call::Bundle(_)
            | Call::Status => epoch,
        };
        if *call == Call::Status && epoch.is_none() {
            return Ok(vec![value(&self.held(site, gateway)?)?]);
        }
        let mut place = self.place(site, gateway, epoch)?;
        if epoch.is_none() && matches!(call, Call::Map(_) | Call::Token(_)) {
            // Texts are the gateway's, not a log's: any log that can be read gives them.
            self.turn_to_readable(&mut place)?;
        }
        if *call == Call::Status {
            let held = self.held(site, gateway)?.only(place.epoch);
            return Ok(vec![value(&held)?]);
        }
        self.answers(&place)?.answer(call, room, deadline)
    }

    /// The epoch whose log has this origin.
    fn epoch_of(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        origin: &str,
    ) -> Result<u32, Failure> {
        let epochs = self.shelf.recorded_epochs(site, gateway);
        let epochs = epochs.map_err(|error| unreadable(&error))?;
        // Only the first has an origin that does not tell its epoch.
        let told = origin.rsplit_once('/').and_then(|(_, last)| epoch_of(last));
        let mut is_lost = false;
        for epoch in &epochs {
            if *epoch != 1 && told != Some(*epoch) {
                continue;
            }
            let place = Place {
                site: site.clone(),
                gateway: gateway.clone(),
                epoch: *epoch,
            };
            match self.shelf.head(&place).ok().flatten() {
                Some((_, head)) if head.origin == origin => return Ok(*epoch),
                Some(_) => {}
                None => is_lost |= told.is_none_or(|told| told == *epoch),
            }
        }
        Err(if is_lost { headless() } else { absent(&epochs) })
    }

    /// The log of an epoch, else of the newest that there ever was: where that can't be read, no older one counts as the
    /// gateway's newest.
    fn place(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        epoch: Option<u32>,
    ) -> Result<Place, Failure> {
        let epochs = self.shelf.recorded_epochs(site, gateway);
        let epochs = epochs.map_err(|error| unreadable(&error))?;
        let epoch = match epoch {
            None => epochs.last().copied(),
            Some(epoch) => epochs.contains(&epoch).then_some(epoch),
        };
        let epoch = epoch.ok_or_else(|| absent(&epochs))?;
        Ok(Place {
            site: site.clone(),
            gateway: gateway.clone(),
            epoch,
        })
    }

    /// Where a log has no head that can be read, goes over to the newest of the gateway that has one, if any has.
    fn turn_to_readable(&self, place: &mut Place) -> Result<(), Failure> {
        let epochs = self.shelf.epochs(&place.site, &place.gateway);
        let epochs = epochs.map_err(|error| unreadable(&error))?;
        let mut places = epochs.into_iter().rev().map(|epoch| Place {
            epoch,
            ..place.clone()
        });
        let found = places.find(|place| matches!(self.shelf.head(place), Ok(Some(_))));
        if let Some(found) = found {
            *place = found;
        }
        Ok(())
    }

    /// What there is of a gateway. That it can't be told is an answer, too: what other archives say is not all then.
    fn held(&self, site: &Identifier, gateway: &Identifier) -> Result<Held, Failure> {
        let held = Held::of(&self.shelf, site, gateway).unwrap_or_else(|error| {
            tracing::warn!(%site, %gateway, %error, "the logs of a gateway can't be listed");
            Some(Held::unlisted(site.clone(), gateway.clone()))
        });
        held.ok_or_else(|| absent(&[]))
    }

    /// The answers of a log as it is now.
    fn answers(&self, place: &Place) -> Result<Arc<Answers>, Failure> {
        let head = self.shelf.head(place).map_err(|error| unreadable(&error))?;
        let (_, head) = head.ok_or_else(headless)?;
        let known = self.known(place);
        if let Some(known) = known.as_ref().filter(|known| known.is_at(&head)) {
            return Ok(Arc::clone(&known.answers));
        }
        // Without the lock: others are answered meanwhile.
        let opened = self.open(place, known.as_ref())?;
        let answers = Arc::clone(&opened.answers);
        self.keep(opened);
        Ok(answers)
    }

    fn open(&self, place: &Place, known: Option<&Opened>) -> Result<Opened, Failure> {
        let mut opening = self.source(place);
        for _ in 1..OPENINGS_MAX {
            if opening.is_ok() {
                break;
            }
            opening = self.source(place);
        }
        let (source, head) = opening?;
        let goes_on = |known: &&Opened| known.goes_on_as(&source, &head);
        let answers = match known.filter(goes_on) {
            Some(known) => known.answers.onwards(source),
            None => Answers::new(source, self.closed.clone()),
        };
        Ok(Opened {
            place: place.clone(),
            size: head.size,
            root: head.root,
            answers: Arc::new(answers),
        })
    }

    /// A log's files, and the head that they are of.
    fn source(&self, place: &Place) -> Result<(Copied, Checkpoint), Failure> {
        let source = self.shelf.source(place).map_err(|error| {
            tracing::warn!(%place, %error, "a log of the archive can't be read");
            Failure::new(
                Code::Unavailable,
                "the archive's copy of this log can't be read: ask again in a minute, then let the archive be verified",
            )
        })?;
        let head = source
            .checkpoint()
            .and_then(|note| super::shelf::head(&note));
        let head = head.ok_or_else(|| absent(&[]))?;
        Ok((source, head))
    }

    /// A log as it was opened before. It is among those asked last now.
    fn known(&self, place: &Place) -> Option<Opened> {
        let mut opened = self.opened();
        let found = opened.iter().position(|known| known.place == *place)?;
        let known = opened.remove(found);
        opened.push(known.clone());
        Some(known)
    }

    fn keep(&self, known: Opened) {
        let mut opened = self.opened();
        opened.retain(|other| other.place != known.place);
        if opened.len() >= OPENED_MAX {
            opened.remove(0);
        }
        opened.push(known);
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Opened>> {
        // Each change of it is one step.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    fn is_at(&self, head: &Checkpoint) -> bool {
        (self.size, self.root) == (head.size, head.root)
    }

    /// Whether these leaves are the first of a newer tree: a directory may have been put back from a backup.
    fn goes_on_as(&self, source: &impl Source, head: &Checkpoint) -> bool {
        if self.size == 0 || self.size > head.size {
            return false;
        }
        let proof = source.consistency(self.size, head.size);
        proof.is_ok_and(|proof| {
            check_consistency(self.size, head.size, &proof, self.root, head.root).is_ok()
        })
    }
}

fn value(document: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document)
        .map_err(|error| Failure::new(Code::Unavailable, format!("it can't be written: {error}")))
}

fn absent(epochs: &[u32]) -> Failure {
    let text = match epochs {
        [] => "the archive has no ledger of that gateway: check the names; what no head covers yet is not here".to_owned(),
        epochs => {
            let epochs: Vec<String> = epochs.iter().map(ToString::to_string).collect();
            format!("the archive has other epochs of that ledger: {}", epochs.join(", "))
        }
    };
    Failure::new(Code::NotFound, text)
}

/// There was a log, and its head is gone: other epochs are no answer in its place.
fn headless() -> Failure {
    Failure::new(
        Code::Unavailable,
        "the archive's copy of this log can't be read now: `lineside archive status` tells why; ask again when the archive has fetched it anew",
    )
}

fn unreadable(error: &io::Error) -> Failure {
    tracing::warn!(%error, "the archive can't be read");
    Failure::new(
        Code::Unavailable,
        "the archive can't be read at the moment: ask again in a minute",
    )
}

#[cfg(test)]
mod tests;
