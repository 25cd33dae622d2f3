//! Whether a new epoch continues the one before: what its first leaf cites, beside what is held of that and what this
//! archive's witness cosigned of it. What lies between is given up.
//!
//! Nothing of an epoch is cosigned before that is found, and it is written down with the log. Only what two signed
//! documents tell stops a log; what can't be read or proved now is looked at again.

use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Hash, PriorHead};

use super::cited::is_damage;
use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::alarm::{Alarm, Kind};
use crate::archive::cards::origin as origin_of;
use crate::archive::mirror::Mirror;
use crate::archive::place::Place;
use crate::archive::record::{PriorWanted, Record};
use crate::archive::shelf::Shelf;
use crate::archive::witness::Witness;
use crate::clock::Stamp;
use crate::ledger::LedgerError;
use crate::ledger::head::EPOCH_LEAP_MAX;
use crate::logs::chain;

/// After so many questions without a proof that a cited head continues what is held, somebody is told: over half a minute,
/// with growing pauses. It is asked for on and on.
const PRIOR_TRIES: u32 = 5;

/// What is known of the newest epoch before.
#[derive(Debug)]
struct Before {
    place: Place,
    origin: String,
    /// The furthest head that is held, or was cosigned.
    size: u64,
    root: Hash,
    /// Its note, as far as there is one.
    note: String,
    /// Leaves that a new epoch cites at least: those that were cosigned; none where nothing was.
    least: Option<u64>,
    /// The head that lies here.
    held: Option<(u64, Hash)>,
    /// Whether it is found to continue the one before it, or stands still.
    is_settled: bool,
    /// Whether what goes beyond the citation came because it was asked for.
    is_beyond: bool,
}

/// What comes of the comparison.
#[derive(Debug)]
enum Found {
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

/// What an answer about the epoch before is worth.
#[derive(Debug)]
pub(super) enum Answered {
    /// This is proved.
    Proved(PriorWanted),
    /// Whoever answered does not have it.
    Vain,
    /// Nothing.
    Nothing,
}

impl Before {
    /// The newest epoch before a log's of which anything is known; none if there is none.
    ///
    /// # Errors
    ///
    /// What lies there can't be read now.
    fn of(
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
        let held = held.map(|(_, head)| (head.size, head.root));
        Ok(Some(Self {
            place,
            origin,
            size,
            root,
            note,
            least,
            held,
            is_settled,
            is_beyond,
        }))
    }

    /// Compares a citation with it. `epoch` is the one that is cited, if it is one of this gateway's.
    ///
    /// # Errors
    ///
    /// What is held can't be read now.
    fn compare(
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
            below => match self.root_at(shelf, below) {
                Ok(root) => root,
                Err(error) if is_damage(&error) => {
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

    /// The root over the first leaves, proved by the head that lies here: what went bad on this disk tells against nobody.
    fn root_at(&self, shelf: &Shelf, size: u64) -> Result<Hash, LedgerError> {
        let view = shelf.view(&self.place)?;
        let root = view.root_at(size)?;
        let Some((held, signed)) = self.held else {
            return Ok(root);
        };
        let proof = view.consistency(size, held)?;
        let proved = check_consistency(size, held, &proof, root, signed);
        proved.map(|()| root).map_err(|error| {
            let what = format!("its tiles are not those of its head: {error}");
            LedgerError::damaged(shelf.log_dir(&self.place), what)
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

impl Desk {
    /// Compares what new epochs cite with what is known of those before, where that is not found yet.
    pub(super) fn compare_epochs(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let mut due: Vec<(Name, u32)> = Vec::new();
        for (name, known) in &mut self.gateways {
            let copies = known
                .copies()
                .filter(|copy| copy.is_to_compare(now.boot_ms));
            due.extend(copies.map(|copy| (name.clone(), copy.place.epoch)));
        }
        for (name, epoch) in due {
            self.compare_epoch((&name, epoch), now, out);
        }
    }

    fn compare_epoch(&mut self, (name, epoch): (&Name, u32), now: Stamp, out: &mut Vec<Output>) {
        let witness = self.terms.witness.clone();
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let base = known.base().to_owned();
        let Some(copy) = known.copy_of(epoch) else {
            return;
        };
        copy.compare_later(now.boot_ms);
        let place = copy.place.clone();
        let cited = match copy.cited() {
            Ok(Some(cited)) => cited.cloned(),
            Ok(None) => return,
            Err(error) => {
                known.lose(epoch, &error, now.boot_ms);
                return;
            }
        };
        let before = Before::of(&self.shelf, witness.as_deref(), &base, &place);
        let found = before.and_then(|before| match before {
            None => Ok(Found::Continues),
            Some(before) => {
                let named = cited
                    .as_ref()
                    .and_then(|cited| known.epoch_named(&cited.origin));
                before.compare(&self.shelf, cited.as_ref(), (named, epoch))
            }
        });
        let Some(copy) = known.copy_of(epoch) else {
            return;
        };
        let noted = match found {
            Ok(Found::Continues) => {
                let written = copy.continues();
                known.turns.settled(epoch);
                written
            }
            Ok(Found::Shortens(fault, before)) => {
                let alarm = contradiction(copy, Kind::Shorter, &fault, before);
                self.shortens((name, epoch), alarm, now, out);
                return;
            }
            Ok(Found::Damaged(before, what)) => {
                tracing::warn!(log = %before, "the copy is damaged: {what}");
                known.is_damaged(before.epoch, what, now.boot_ms);
                return;
            }
            Ok(Found::Unproved(wanted)) => copy.want_prior(wanted),
            Ok(Found::Unheard(origin)) => {
                copy.want_unheard(&origin);
                Ok(())
            }
            Ok(Found::Unsettled(before)) => {
                copy.is_to_settle();
                self.settle_before(name, &before, now, out);
                return;
            }
            Ok(Found::Contradicts(fault, before)) => {
                let alarm = contradiction(copy, Kind::Prior, &fault, before);
                self.refuse_of((name, epoch), alarm, now, out);
                return;
            }
            Err(fault) => {
                let why = format!("the epoch before {place} can't be read: {fault}");
                self.complain(name, &why, now.boot_ms);
                return;
            }
        };
        if let Err(error) = noted {
            tracing::warn!(%error, log = %place, "how it continues the epoch before can't be written down");
        }
    }

    /// An epoch gives up leaves that nobody here has cosigned: it goes on when that is told.
    fn shortens(
        &mut self,
        (name, epoch): (&Name, u32),
        alarm: Alarm,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let told = Some((epoch, alarm.kind, alarm.shown.clone()));
        self.refuse_of((name, epoch), alarm, now, out);
        let known = self.gateways.get_mut(name);
        let Some(known) = known.filter(|known| known.refused == told) else {
            return;
        };
        if let Some(Err(error)) = known.copy_of(epoch).map(Mirror::continues) {
            tracing::warn!(%error, "how an epoch continues the one before can't be written down");
        }
        known.turns.settled(epoch);
    }

    /// What an epoch cites is proved to continue what was held of the one before when that was asked for.
    pub(super) fn prior_proved(&mut self, (name, epoch): (&Name, u32), proved: &PriorWanted) {
        let witness = self.terms.witness.clone();
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let (base, place) = (known.base().to_owned(), known.place(epoch));
        let before = Before::of(&self.shelf, witness.as_deref(), &base, &place);
        let before = before.ok().flatten().filter(|before| {
            let is_same =
                (before.size, before.root.to_string()) == (proved.size, proved.root.clone());
            is_same && before.origin == proved.origin && before.is_settled
        });
        let Some(copy) = known.copy_of(epoch).filter(|_| before.is_some()) else {
            // More of it is here, or is to be found first.
            return;
        };
        if let Err(error) = copy.continues() {
            tracing::warn!(%error, log = %place, "how it continues the epoch before can't be written down");
        }
        known.turns.settled(epoch);
    }

    /// Another epoch continues one of which nobody shows that it continues the one before: the leaves between are given up
    /// with that, which is not to pass unseen.
    fn settle_before(&mut self, name: &Name, before: &Place, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        // One that stands still is not asked about any more.
        let record = self.shelf.record(before).ok().flatten();
        let is_over = record.is_some_and(|record| record.stopped.is_some());
        if !is_over && !known.turns.is_untold(before.epoch, now.boot_ms) {
            return;
        }
        let fault = "nobody shows that it continues the epoch before, of which leaves are missing: another followed it meanwhile";
        let head = self.shelf.head(before).ok().flatten();
        let alarm = Alarm {
            kind: Kind::Prior,
            text: format!("epoch {} begins, and {fault}", before.epoch),
            known: None,
            shown: head.map(|(note, _)| note.to_string()),
            proof: None,
        };
        self.refuse_of((name, before.epoch), alarm, now, out);
        self.compare_again(name);
    }

    /// Takes in the newest head of an epoch before: what it commits to is fetched as well.
    pub(super) fn last_answered(
        &mut self,
        name: &Name,
        note: &str,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let Some(head) = crate::archive::shelf::head(note) else {
            return;
        };
        let Some(epoch) = known.epoch_named(&head.origin) else {
            return;
        };
        // What was signed beyond what the next one cites is given up by that, and has it in it.
        let cited = known.cited_of(&self.shelf, epoch).flatten();
        let is_wanted = cited.is_some_and(|cited| head.origin == cited.origin);
        let is_wanted = is_wanted && !known.is_at_work(epoch, now.boot_ms);
        if is_wanted && known.shown(&self.shelf, &self.cards, epoch, note).is_some() {
            self.takes_late(name, (epoch, note), now, out);
        }
    }

    /// An epoch before is further now: what the one after it cites may be found.
    pub(super) fn compare_again(&mut self, name: &Name) {
        let known = self.gateways.get_mut(name);
        for copy in known.into_iter().flat_map(Gateway::copies) {
            copy.compare_again();
        }
    }
}

/// The alarm for an epoch that gives up leaves that are known.
fn contradiction(copy: &Mirror, kind: Kind, fault: &str, before: String) -> Alarm {
    Alarm {
        kind,
        text: format!("epoch {} begins, and {fault}", copy.place.epoch),
        known: Some(before).filter(|note| !note.is_empty()),
        shown: copy.newest().map(|newest| newest.note.to_string()),
        proof: None,
    }
}

/// Takes in the proof that a cited head continues what is held, or that there is none; `is_told` is whether anybody
/// answered.
pub(super) fn prior_answered(
    copy: &mut Mirror,
    proof: Option<Vec<Hash>>,
    is_told: bool,
    now: Stamp,
) -> Answered {
    let Some(wanted) = copy.record.prior.clone() else {
        copy.prior_answered(0, now.boot_ms);
        return Answered::Nothing;
    };
    let joined = proof.and_then(|proof| {
        let root = Hash::from_base64(&wanted.root)?;
        let to = Hash::from_base64(&wanted.to_root)?;
        check_consistency(wanted.size, wanted.to, &proof, root, to).ok()
    });
    let tries = wanted.tries.saturating_add(1);
    copy.prior_answered(tries, now.boot_ms);
    if joined.is_some() {
        return Answered::Proved(wanted);
    }
    if tries == PRIOR_TRIES {
        // Nobody may be left who could prove it, and nothing contradicts it: its leaves are kept, and not cosigned.
        tracing::error!(
            log = %copy.place,
            cited = wanted.to,
            held = wanted.size,
            "its heads are not cosigned: nobody proves that the head of the epoch before that it cites continues what is held of that"
        );
    }
    if is_told {
        Answered::Vain
    } else {
        Answered::Nothing
    }
}

/// Takes in the head of an epoch beside, or that there is none. `is_told` is whether anybody answered.
pub(super) fn head_answered(
    copy: &mut Mirror,
    origin: &str,
    (note, is_told): (Option<&str>, bool),
    now: Stamp,
) -> Answered {
    copy.head_answered(is_told.then_some(note.is_some()), now.boot_ms);
    if is_told && note.is_none() && origin != copy.origin() {
        Answered::Vain
    } else {
        Answered::Nothing
    }
}
