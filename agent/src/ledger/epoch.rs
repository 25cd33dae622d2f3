//! A new epoch: the way out for a ledger that must not be signed any more.

use std::fs;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash, PriorHead, verify};

use super::elsewhere::{Elsewhere, Judges, Vouched};
use super::head::{self, EPOCH_LEAP_MAX, Memory, Signed};
use super::{FOLDER, Keys, LedgerError, cosigned, disk, kept_note, keys, lock_key, log};

/// Ledgers of one epoch that are put aside at most: each is the trace of an interrupted change.
const ASIDE_MAX: u32 = 100;

/// What is known of the ledger besides what lies here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Testimony<'a> {
    /// The city's witnesses: what enough of them cosigned counts, whoever signed it.
    pub witnesses: &'a [VerifierKey],
    /// How many of them must say the same where the gateway's key says nothing.
    pub quorum: usize,
    /// The last head that the city has, as a signed note.
    pub prior: Option<&'a str>,
    /// That nothing of the city can be heard: what only this gateway remembers is cited all the same; or, with a head of an
    /// epoch before, that the city has nothing of the one that is not here.
    pub unheard: bool,
}

/// Gives up the ledger of a state directory for a new epoch: the old one is moved aside and kept, and the
/// next start begins an empty one whose first leaf cites the last head that was signed: the one that is named, else the
/// one that others hold and the ledger does not continue, else the newest that anything here remembers. Where a single
/// witness holds more than that, or the ledger was lost and nothing of the city was heard, the head has to be named: archives stop an
/// epoch that gives up what they hold, and cosign none whose citation nobody can prove. Gives
/// the folder that holds the old one now.
///
/// # Errors
///
/// An agent runs on it ([`LedgerError::Held`], [`LedgerError::KeyHeld`]), there is no key, the head that is named can't
/// be the last one ([`LedgerError::Prior`]), none is named and a single witness holds more than what counts
/// ([`LedgerError::Alone`]) or nobody says anything of a ledger that is not here or that no witness ever cosigned
/// ([`LedgerError::Unheard`]), or the disk refuses; then it can be asked for again, and until that was done nothing is signed.
pub fn new_epoch(
    state_dir: &Path,
    key: &Path,
    base: &str,
    reason: &str,
    testimony: &Testimony<'_>,
) -> Result<PathBuf, LedgerError> {
    let dir = state_dir.join(FOLDER);
    let key_lock = lock_key(key)?;
    let path = keys::head_path(key);
    let (mut memory, remembered) = Memory::open(&path).map_err(LedgerError::disk(path))?;
    let remembered = remembered.signed();
    let epoch = match remembered {
        Some(signed) => signed.epoch,
        // No epoch may come twice: the highest that anything tells of was the last.
        None => noted(&dir, base).unwrap_or(1).max(aside(state_dir)),
    };
    let own_keys = Keys::load(key, base).map(|keys| keys.all());
    let own_keys = own_keys.unwrap_or_default();
    let judges = Judges {
        base,
        own: &own_keys,
        witnesses: testimony.witnesses,
        quorum: testimony.quorum,
    };
    let elsewhere = Elsewhere::open(&dir);
    let shown = elsewhere.vouched(&judges);
    let shown = shown.filter(|shown| shown.is_near(epoch));
    let own = Own::of(state_dir, key, base, remembered);
    let named = testimony.prior.map(|note| named(note, &judges));
    let named = named.transpose()?;
    if let Some(named) = &named {
        let given_up = own.given_up(named, base, testimony);
        outdated(named, shown.as_ref(), epoch, given_up)?;
    }
    let others = [&named, &shown].into_iter().flatten();
    let last_epoch = others.map(|vouched| vouched.epoch).fold(epoch, u32::max);
    let next_epoch = last_epoch.checked_add(1).ok_or_else(|| {
        LedgerError::damaged(keys::head_path(key), "there is no epoch after the last one")
    })?;
    disk::make_dirs(&dir).map_err(LedgerError::disk(&dir))?;
    let lock = log::lock(&dir)?;
    let free = free_name(state_dir, epoch)?;
    // Of the epochs before, only what the one of now should have cited still counts.
    let shown = shown.filter(|shown| shown.epoch >= epoch || own.overlooks(base, shown));
    let is_named = named.is_some() || shown.is_some();
    let unheard = !is_named && own.is_unknown(&dir, testimony.witnesses);
    let cited = match named {
        Some(named) => Some(named.head),
        None => {
            let mut alone = elsewhere.alone(&judges);
            alone.retain(|one| one.epoch >= epoch || own.overlooks(base, one));
            cited((shown, alone), &own, epoch)?
        }
    };
    if unheard && !testimony.witnesses.is_empty() && !testimony.unheard {
        return Err(LedgerError::Unheard);
    }
    if let Some(known) = own.unrecorded(base, epoch) {
        // The note goes aside with the folder: without a record a crash would leave no trace of it.
        memory.write(&known).map_err(LedgerError::disk(key))?;
    }
    let prior = cited.map(|head| PriorHead {
        origin: head.origin,
        size: head.size,
        root: head.root.to_string(),
        reason: reason.to_owned(),
    });
    let next = Signed {
        unheard,
        ..Signed::nothing(base, next_epoch, prior)
    };
    // The folder first: a crash in between leaves a record that no ledger fits, and nothing is signed.
    fs::rename(&dir, &free).map_err(LedgerError::disk(&free))?;
    disk::sync(state_dir).map_err(LedgerError::disk(state_dir))?;
    memory.write(&next).map_err(LedgerError::disk(key))?;
    drop((lock, key_lock));
    Ok(free)
}

/// The head that somebody names as the last one.
fn named(note: &str, judges: &Judges<'_>) -> Result<Vouched, LedgerError> {
    let parsed = Note::parse(note).map_err(|error| LedgerError::Prior(error.to_string()))?;
    judges.vouched(&parsed).ok_or_else(|| {
        LedgerError::Prior(format!(
            "neither this gateway's key nor a configured witness has signed it for a ledger named {}",
            judges.base
        ))
    })
}

/// What is known of the epoch of now without anybody else.
struct Own {
    /// The last head that was signed in it; none where none was.
    signed: Option<Checkpoint>,
    /// What it cites.
    prior: Option<Checkpoint>,
    /// How many of the signed leaves are here.
    held: u64,
    /// The newest epoch that was put aside with a signed head, and its leaves.
    aside: Option<(u32, u64)>,
    /// The key's record.
    remembered: Option<Signed>,
}

impl Own {
    fn of(state_dir: &Path, key: &Path, base: &str, remembered: Option<&Signed>) -> Self {
        let dir = &state_dir.join(FOLDER);
        let signed = last_head(dir, key, base, remembered);
        let held = signed
            .as_ref()
            .map_or(0, |head| held_size(dir, &head.origin));
        let cited = remembered.and_then(|signed| signed.prior.as_ref());
        let prior = cited.and_then(|prior| {
            Some(Checkpoint {
                origin: prior.origin.clone(),
                size: prior.size,
                root: Hash::from_base64(&prior.root)?,
            })
        });
        Self {
            aside: newest_aside(state_dir, base),
            signed,
            prior,
            held,
            remembered: remembered.cloned(),
        }
    }

    /// What is to be recorded beside the key where nothing is, and the kept note tells of something.
    fn unrecorded(&self, base: &str, epoch: u32) -> Option<Signed> {
        let last = self.signed.as_ref().filter(|_| self.remembered.is_none())?;
        Some(Signed {
            origin: last.origin.clone(),
            size: last.size,
            root: last.root.to_string(),
            ..Signed::nothing(base, epoch, None)
        })
    }

    /// Whether it was begun without a word of the city.
    fn is_unheard(&self) -> bool {
        self.remembered
            .as_ref()
            .is_some_and(|signed| signed.unheard)
    }

    /// Whether it should have cited such a head of an epoch before, and nothing of it was signed yet.
    fn overlooks(&self, base: &str, vouched: &Vouched) -> bool {
        let begun = self.remembered.as_ref().filter(|_| self.signed.is_none());
        begun.is_some_and(|signed| signed.overlooks(base, vouched))
    }

    /// Whether leaves that were signed are not here.
    fn is_lost(&self) -> bool {
        self.signed
            .as_ref()
            .is_some_and(|head| self.held < head.size)
    }

    /// Whether there may have been another ledger, or more of this one, of which the city knows: it is not here, no witness
    /// ever cosigned it, or it was begun in ignorance and nothing of it was signed.
    fn is_unknown(&self, dir: &Path, witnesses: &[VerifierKey]) -> bool {
        match &self.signed {
            Some(head) => self.is_lost() || !cosigned::is_seen(dir, witnesses, head),
            None => self.prior.is_none() || self.is_unheard(),
        }
    }

    /// The epoch that the one of now continued, and how many leaves of it are to be cited at least, where the one of now may be
    /// given up for that: nothing of it was signed; or its leaves are not here, and somebody says that the city has none of it
    /// either.
    fn given_up(
        &self,
        named: &Vouched,
        base: &str,
        testimony: &Testimony<'_>,
    ) -> Option<(u32, u64)> {
        let is_nothing = self.signed.is_none() || self.is_lost() && testimony.unheard;
        if self.signed.is_none() && self.prior.is_none() {
            return self.blank(named, testimony);
        }
        let prior = self.prior.as_ref().filter(|_| is_nothing)?;
        // A witness knows better than this gateway alone, or than somebody who was wrong before.
        let is_doubtful = self.is_unheard() || self.signed.is_none() && testimony.unheard;
        let yields = is_doubtful && !named.witnesses.is_empty();
        let least = if yields { 0 } else { prior.size };
        Some((head::epoch_of(base, &prior.origin)?, least))
    }

    /// The same where nothing was signed and nothing is cited: whatever is named is more than that. Without the key's record
    /// the epoch of now may have been signed and lost, and somebody has to say that the city has none of it.
    fn blank(&self, named: &Vouched, testimony: &Testimony<'_>) -> Option<(u32, u64)> {
        let Some((epoch, size)) = self.aside.filter(|_| self.remembered.is_none()) else {
            return Some((0, 0));
        };
        let least = if named.witnesses.is_empty() { size } else { 0 };
        testimony.unheard.then_some((epoch, least))
    }

    /// What is cited where nobody else says anything.
    fn head(&self) -> Option<&Checkpoint> {
        self.signed.as_ref().or(self.prior.as_ref())
    }
}

/// Refuses a head that can't be the last one, since a later one is known. Where the epoch of now was given up, the last one is what
/// it continued, of which the epoch is given and how many leaves are cited at least.
fn outdated(
    named: &Vouched,
    shown: Option<&Vouched>,
    epoch: u32,
    given_up: Option<(u32, u64)>,
) -> Result<(), LedgerError> {
    let known = given_up.map_or(epoch, |(prior, _)| prior);
    let last = shown.map_or(known, |shown| shown.epoch.max(known));
    if !named.is_near(epoch) {
        let why = format!(
            "it is of epoch {}, and {epoch} is the last one here: no more than {EPOCH_LEAP_MAX} are ever skipped",
            named.epoch
        );
        return Err(LedgerError::Prior(why));
    }
    let origin = &named.head.origin;
    if named.epoch < last {
        let why = format!("it is of {origin}, and epoch {last} is known");
        return Err(LedgerError::Prior(why));
    }
    let size = named.head.size;
    let is_further = |shown: &&Vouched| shown.epoch == named.epoch && shown.head.size > size;
    let later = shown.filter(is_further);
    let later = later.filter(|shown| !shown.witnesses.is_empty());
    if let Some(later) = later {
        let why = format!(
            "it is of {size} leaves, and {} are known to be cosigned",
            later.head.size
        );
        return Err(LedgerError::Prior(why));
    }
    if let Some((_, least)) =
        given_up.filter(|(prior, least)| *prior == named.epoch && *least > size)
    {
        let why = format!("it is of {size} leaves, and {least} are known here");
        return Err(LedgerError::Prior(why));
    }
    Ok(())
}

/// The head to cite where none is named: `shown` is what others hold, and `alone` what single witnesses say.
fn cited(
    (shown, mut alone): (Option<Vouched>, Vec<Vouched>),
    own: &Own,
    epoch: u32,
) -> Result<Option<Checkpoint>, LedgerError> {
    let cited = last_of(shown.clone(), own, epoch);
    let counts = shown.filter(|shown| cited.as_ref() == Some(&shown.head));
    alone.retain(|one| cited.as_ref() != Some(&one.head));
    undisputed(&alone, counts.as_ref(), epoch)?;
    Ok(cited)
}

/// Refuses where single witnesses say that there is more than the head that counts: the one
/// that is furthest may be the only one that was there, or lie. `counts` is none where only what is remembered here is
/// cited: whatever contradicts it then is as good.
fn undisputed(alone: &[Vouched], counts: Option<&Vouched>, epoch: u32) -> Result<(), LedgerError> {
    let place = |vouched: &Vouched| (vouched.epoch, vouched.head.size);
    let is_more = |one: &&Vouched| counts.is_none_or(|counts| place(one) > place(counts));
    let mut near = alone.iter().filter(|one| one.is_near(epoch));
    let Some((one, key)) = near
        .find(is_more)
        .and_then(|one| Some((one, one.witnesses.first()?)))
    else {
        return Ok(());
    };
    Err(LedgerError::Alone {
        witness: key.name().to_owned(),
        size: one.head.size,
        origin: one.head.origin.clone(),
    })
}

/// Of what others hold and what is remembered here, the head to cite: what a witness cosigned goes before what only
/// this gateway says of itself, since a copy that went its own way may have signed more. And where the disk was lost,
/// what others hold goes before what the key's record tells: leaves that were signed and not sent are nowhere, and
/// nobody could ever prove that they continued the others.
fn last_of(shown: Option<Vouched>, own: &Own, epoch: u32) -> Option<Checkpoint> {
    let size = own.signed.as_ref().map_or(0, |own| own.size);
    let shown = shown.filter(|shown| {
        let is_better = !shown.witnesses.is_empty() || shown.head.size > size || own.is_lost();
        shown.epoch != epoch || is_better
    });
    shown.map(|shown| shown.head).or(own.head().cloned())
}

/// Leaves of a log that the kept note of a ledger's directory speaks for.
fn held_size(dir: &Path, origin: &str) -> u64 {
    let head = kept_note(dir).and_then(|note| Note::parse(&note).ok());
    let head = head.and_then(|note| Checkpoint::parse(&note.text).ok());
    head.filter(|head| head.origin == origin)
        .map_or(0, |head| head.size)
}

/// The epoch that the note in a ledger's directory is of; none without one of this ledger.
pub(super) fn noted(dir: &Path, base: &str) -> Option<u32> {
    let note = Note::parse(&kept_note(dir)?).ok()?;
    head::epoch_of(base, &Checkpoint::parse(&note.text).ok()?.origin)
}

/// The ledger with this origin that was put aside; of several copies, the longest.
pub(super) fn put_aside(state_dir: &Path, origin: &str) -> Option<PathBuf> {
    let of_it = heads_aside(state_dir).filter(|(head, _)| head.origin == origin);
    let longest = of_it.max_by_key(|(head, _)| head.size);
    longest.map(|(_, path)| path)
}

/// The newest epoch that was put aside with a signed head, and the leaves of that.
fn newest_aside(state_dir: &Path, base: &str) -> Option<(u32, u64)> {
    let heads = heads_aside(state_dir);
    let places =
        heads.filter_map(|(head, _)| Some((head::epoch_of(base, &head.origin)?, head.size)));
    places.max()
}

/// The heads of ledgers that were put aside, and where these are.
fn heads_aside(state_dir: &Path) -> impl Iterator<Item = (Checkpoint, PathBuf)> + use<> {
    let is_aside = |name: &str| {
        name.strip_prefix(FOLDER)
            .is_some_and(|end| end.starts_with(".e"))
    };
    let entries = fs::read_dir(state_dir).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let _ = entry.file_name().to_str().filter(|name| is_aside(name))?;
        let note = Note::parse(&kept_note(&entry.path())?).ok()?;
        Some((Checkpoint::parse(&note.text).ok()?, entry.path()))
    })
}

/// The epoch that those put aside tell of: the one after the last of them.
pub(super) fn aside(state_dir: &Path) -> u32 {
    let epoch_of = |name: &str| {
        let number = name.strip_prefix(FOLDER)?.strip_prefix(".e")?;
        number.split('.').next()?.parse::<u32>().ok()
    };
    // A folder that can't be read tells of none; what is done next will say so.
    let entries = fs::read_dir(state_dir).into_iter().flatten().flatten();
    let epochs = entries.filter_map(|entry| epoch_of(entry.file_name().to_str()?));
    epochs.max().map_or(1, |last| last.saturating_add(1))
}

/// The last head that was signed in the epoch of now, as far as anything here remembers.
fn last_head(
    dir: &Path,
    key: &Path,
    base: &str,
    remembered: Option<&Signed>,
) -> Option<Checkpoint> {
    let note = kept_note(dir);
    let kept = note
        .as_deref()
        .and_then(|note| Checkpoint::parse(&Note::parse(note).ok()?.text).ok());
    let Some(signed) = remembered else {
        return kept;
    };
    let last = signed.checkpoint().filter(|head| head.size > 0);
    let size = last.as_ref().map_or(0, |head| head.size);
    // A note of our key that is further than the record: the record was restored.
    let origin = head::origin(base, signed.epoch);
    let keys = Keys::load(key, &origin).map(|keys| keys.all());
    let newer = note.zip(keys.ok()).and_then(|(note, keys)| {
        verify::checkpoint(&note, &keys, &origin)
            .ok()
            .filter(|head| head.size > size)
    });
    newer.or(last)
}

/// Where the ledger of an epoch is put aside.
fn free_name(state_dir: &Path, epoch: u32) -> Result<PathBuf, LedgerError> {
    let plain = state_dir.join(format!("{FOLDER}.e{epoch}"));
    let others = (2..ASIDE_MAX).map(|turn| state_dir.join(format!("{FOLDER}.e{epoch}.{turn}")));
    let mut names = std::iter::once(plain.clone()).chain(others);
    let free = names.find(|path| !path.exists());
    free.ok_or_else(|| LedgerError::damaged(plain, "too many ledgers were put aside"))
}
