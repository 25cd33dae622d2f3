//! The newest epoch before one, as far as anything is known of it, and what a citation of it comes to.

use lineside_proto::ledger::{Hash, PriorHead};

use crate::archive::alarm::Kind;
use crate::archive::cards::origin as origin_of;
use crate::archive::place::Place;
use crate::archive::record::{PriorWanted, Record};
use crate::archive::shelf::Shelf;
use crate::archive::witness::Witness;
use crate::ledger::head::EPOCH_LEAP_MAX;
use crate::logs::chain;

/// What is known of the newest epoch before.
#[derive(Debug)]
pub(super) struct Before {
    place: Place,
    pub(super) origin: String,
    /// The furthest head that is held, or was cosigned.
    pub(super) size: u64,
    pub(super) root: Hash,
    /// Its note, as far as there is one.
    note: String,
    /// Leaves that a new epoch cites at least: those that were cosigned; none where nothing was.
    least: Option<u64>,
    /// Whether it is found to continue the one before it, or stands still.
    pub(super) is_settled: bool,
    /// Whether what goes beyond the citation came because it was asked for.
    is_beyond: bool,
}

/// What comes of the comparison.
#[derive(Debug)]
pub(super) enum Found {
    /// It continues what is known, or nothing is.
    Continues,
    /// It gives up leaves that are known, for this reason; the note of what is known.
    Contradicts(String, String),
    /// It does, and nobody here has cosigned any of them.
    Shortens(String, String),
    /// What lies here of this epoch does not fit together, for this reason.
    Damaged(Place, String),
    /// It may: whoever has the leaves can prove it.
    Unproved(PriorWanted),
    /// It cites an epoch of which nothing is here.
    Unheard(String),
    /// It continues this epoch, of which that is still to be found.
    Unsettled(Place),
}

impl Before {
    /// The newest epoch before a log's of which anything is known; none if there is none.
    ///
    /// # Errors
    ///
    /// What lies there can't be read now.
    pub(super) fn of(
        shelf: &Shelf,
        witness: Option<&Witness>,
        base: &str,
        place: &Place,
    ) -> Result<Option<Self>, String> {
        let known = shelf.known_epochs(&place.site, &place.gateway);
        let mut epochs = known.map_err(|error| error.to_string())?;
        epochs.retain(|epoch| *epoch < place.epoch);
        if witness.is_some() {
            // Of a directory that was lost the witness's memory tells all the same.
            epochs.extend(place.epoch.saturating_sub(EPOCH_LEAP_MAX).max(1)..place.epoch);
            epochs.sort_unstable();
            epochs.dedup();
        }
        for epoch in epochs.into_iter().rev() {
            let place = Place {
                epoch,
                ..place.clone()
            };
            if let Some(before) = Self::at(shelf, witness, base, place)? {
                return Ok(Some(before));
            }
        }
        Ok(None)
    }

    fn at(
        shelf: &Shelf,
        witness: Option<&Witness>,
        base: &str,
        place: Place,
    ) -> Result<Option<Self>, String> {
        let origin = origin_of(base, place.epoch);
        let held = shelf.head(&place).map_err(|error| error.to_string())?;
        let record = shelf.record(&place).map_err(|error| error.to_string())?;
        let last = witness.map_or(Ok(None), |witness| witness.last(&origin));
        let last = last.map_err(|error| chain(&error))?;
        let recorded = record.as_ref().and_then(|record| record.cosigned.as_ref());
        // Of two of one size the last counts, whose note is there.
        let cosigned = [
            recorded.map(|known| (known.size, known.root.clone(), String::new())),
            last.map(|last| (last.size, last.root, last.note.unwrap_or_default())),
        ];
        let cosigned = cosigned
            .into_iter()
            .flatten()
            .max_by_key(|(size, ..)| *size);
        let least = cosigned.as_ref().map(|(size, ..)| *size);
        let known = held.as_ref();
        let known = known.map(|(note, head)| (head.size, head.root.to_string(), note.to_string()));
        let known = known.or_else(|| part(record.as_ref()?));
        let furthest = [cosigned, known].into_iter().flatten();
        let Some((size, root, note)) = furthest.max_by_key(|(size, ..)| *size) else {
            let is_known = record.is_some_and(|known| known.size > 0 || known.reaching.is_some());
            return if is_known {
                Err("its files are not there".to_owned())
            } else {
                Ok(None)
            };
        };
        let root = Hash::from_base64(&root).ok_or("what was cosigned of it can't be read")?;
        let is_settled =
            place.epoch == 1 || least.is_some() || record.as_ref().is_some_and(is_settled);
        let is_beyond = record.is_some_and(|known| known.beyond);
        Ok(Some(Self {
            place,
            origin,
            size,
            root,
            note,
            least,
            is_settled,
            is_beyond,
        }))
    }

    /// Compares a citation with it. `epoch` is the one that is cited, if it is one of this gateway's.
    ///
    /// # Errors
    ///
    /// What is held can't be read now.
    pub(super) fn compare(
        self,
        shelf: &Shelf,
        cited: Option<&PriorHead>,
        (epoch, next): (Option<u32>, u32),
    ) -> Result<Found, String> {
        let (before, size) = (self.place.epoch, self.size);
        let contradicts = |fault: String| Ok(Found::Contradicts(fault, self.note.clone()));
        let Some(cited) = cited else {
            return contradicts(format!(
                "it cites no head of epoch {before}, of which {size} leaves are known"
            ));
        };
        match epoch {
            Some(epoch) if epoch == before => {}
            Some(epoch) if epoch > before && epoch < next => {
                return Ok(Found::Unheard(cited.origin.clone()));
            }
            Some(_) | None => {
                return contradicts(format!(
                    "it cites a head of {}, and not of epoch {before}, of which {size} leaves are known",
                    cited.origin
                ));
            }
        }
        let fewer = |known: u64| {
            format!(
                "it cites a head of {} leaves of epoch {before}, of which {known} are known: the leaves between are in this archive alone",
                cited.size
            )
        };
        if let Some(least) = self.least.filter(|least| cited.size < *least) {
            return contradicts(fewer(least));
        }
        let root = match cited.size {
            same if same == size => self.root,
            more if more > size => return Ok(Found::Unproved(self.wanted(cited))),
            below => match shelf.proved_root(&self.place, below) {
                Ok(root) => root,
                Err(error) if error.is_damage() => {
                    return Ok(Found::Damaged(self.place, chain(&error)));
                }
                Err(error) => return Err(chain(&error)),
            },
        };
        if Hash::from_base64(&cited.root) != Some(root) {
            return contradicts(format!(
                "the head of {} leaves of epoch {before} that it cites is not the one that is known",
                cited.size
            ));
        }
        Ok(if !self.is_settled {
            Found::Unsettled(self.place)
        } else if self.least.is_none() && cited.size < size && !self.is_beyond {
            Found::Shortens(fewer(size), self.note)
        } else {
            Found::Continues
        })
    }

    /// It may be right: the last leaves did not come here before the epoch ended.
    fn wanted(&self, cited: &PriorHead) -> PriorWanted {
        PriorWanted {
            origin: self.origin.clone(),
            size: self.size,
            root: self.root.to_string(),
            to: cited.size,
            to_root: cited.root.clone(),
            known: self.note.clone(),
            tries: 0,
        }
    }
}

/// Whether a log is found to continue the one before, or the city was told that it does not. One that stands still for another
/// reason may leave leaves behind as well.
fn is_settled(record: &Record) -> bool {
    let stopped = record.stopped.as_ref();
    record.compared || record.disowned || stopped.is_some_and(|it| it.kind == Kind::Prior.word())
}

/// What is known of a log that has no checkpoint while it is fetched: the leaves that are in tiles, with the note that they
/// are under.
fn part(record: &Record) -> Option<(u64, String, String)> {
    let reaching = record.reaching.as_ref().filter(|_| record.size > 0)?;
    Some((record.size, record.root.clone(), reaching.clone()))
}
