//! What of a log hangs on the epochs beside it: what its first leaf cites of the one before, and what the next one cites
//! of it.
//!
//! Whether it continues the one before is written down once it is found, and looked for again until then. Bounds: two
//! questions, each with pauses that grow to `PAUSE_MAX`.

use std::cell::OnceCell;
use std::io;
use std::time::Duration;

use lineside_proto::ledger::tree::{Range, check_consistency};
use lineside_proto::ledger::{Hash, PriorHead};

use super::fetch::{Question, millis};
use super::{Mirror, MirrorError};
use crate::archive::record::PriorWanted;
use crate::archive::succession::cited_in;

/// How often it is looked again whether a log continues the one before, where nothing is known to have changed.
const LOOK_MS: u64 = 10_000;
/// The first pause after a question about another epoch; it doubles.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Doublings of the first that lead beyond it.
const DOUBLED_MAX: u32 = 9;
/// Answers that do not help before nobody is thought to have what is missing.
pub(in crate::archive) const VAIN_MAX: u32 = 5;

/// How a log stands to the epochs beside it. Times are on the boot clock.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// What the first leaf cites; not known while that is not in tiles.
    cited: OnceCell<Option<PriorHead>>,
    /// It is not looked before whether the log continues the one before.
    compare_from_ms: u64,
    /// Whether it continues one of which that is still to be found.
    is_unsettled: bool,
    /// The origin of an epoch that it follows and of which nothing was heard: its newest head is asked for.
    unheard: Option<String>,
    /// The last head of this log, as the next one cites it, if it cites one; not known while that one's first leaf is not.
    end: Option<Option<(u64, Hash)>>,
    /// The proof of what is cited is not asked for before.
    proof_from_ms: u64,
    /// A head is not asked for before, and how often it was.
    head_from_ms: u64,
    heads: u32,
    /// How often the answer to that did not help.
    heads_vain: u32,
}

impl Beside {
    /// Whoever answers is there again.
    pub(super) fn hurry(&mut self) {
        self.proof_from_ms = 0;
        self.head_from_ms = 0;
    }
}

fn pause(tries: u32) -> u64 {
    let doubled = PAUSE_FIRST * 2_u32.saturating_pow(tries.min(DOUBLED_MAX));
    millis(doubled.min(PAUSE_MAX))
}

impl Mirror {
    /// The head of the epoch before that this one's first leaf cites, if it cites one; none while that leaf is not in
    /// tiles.
    pub(in crate::archive) fn cites(&self) -> Option<Option<&PriorHead>> {
        self.cited().ok().flatten()
    }

    /// The same, or why that can't be told: without it, nothing of the epochs beside could be.
    ///
    /// # Errors
    ///
    /// The first leaf can't be read, or ([`MirrorError::Damaged`]) is not what is in the tree: what went bad on this disk
    /// tells against nobody.
    pub(in crate::archive) fn cited(&self) -> Result<Option<Option<&PriorHead>>, MirrorError> {
        if let Some(cited) = self.beside.cited.get() {
            return Ok(Some(cited.as_ref()));
        }
        let size = self.size();
        if size == 0 {
            return Ok(None);
        }
        let gone = || MirrorError::Damaged("its first leaf is not there".to_owned());
        let first = match self.read(0, 1) {
            Err(MirrorError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(gone());
            }
            other => other?.into_iter().next(),
        };
        let (_, first) = first.ok_or_else(gone)?;
        let proof = self.consistency(1, size)?;
        let proved = check_consistency(1, size, &proof, Hash::of_leaf(&first), self.range.root());
        proved.map_err(|error| {
            MirrorError::Damaged(format!("its first leaf is not that of its tree: {error}"))
        })?;
        let Some(cited) = cited_in(&first) else {
            return Ok(None);
        };
        Ok(Some(self.beside.cited.get_or_init(|| cited).as_ref()))
    }

    /// Whether it is to be looked now whether the log continues the one before.
    pub(in crate::archive) fn is_to_compare(&self, now_ms: u64) -> bool {
        self.is_uncompared() && self.size() > 0 && now_ms >= self.beside.compare_from_ms
    }

    /// Whether it is not known yet that the log continues the one before, if one is before it.
    pub(in crate::archive) fn is_uncompared(&self) -> bool {
        self.place.epoch > 1 && !self.record.compared && !self.is_stopped()
    }

    /// Something changed that may tell.
    pub(in crate::archive) fn compare_again(&mut self) {
        self.beside.compare_from_ms = 0;
        self.beside.is_unsettled = false;
    }

    /// It does not show now.
    pub(in crate::archive) fn compare_later(&mut self, now_ms: u64) {
        self.beside.compare_from_ms = now_ms.saturating_add(LOOK_MS);
    }

    /// The log continues the one before.
    ///
    /// # Errors
    ///
    /// That can't be written down.
    pub(in crate::archive) fn continues(&mut self) -> io::Result<()> {
        let wanted = self.record.prior.take();
        self.record.compared = true;
        self.beside.unheard = None;
        let written = self.write_record();
        if written.is_err() {
            self.record.compared = false;
            self.record.prior = wanted;
        }
        written
    }

    /// The proof that what is cited continues what is held is to be asked for.
    ///
    /// # Errors
    ///
    /// That can't be written down.
    pub(in crate::archive) fn want_prior(&mut self, wanted: PriorWanted) -> io::Result<()> {
        self.beside.unheard = None;
        let before = self.record.prior.as_ref();
        let is_same = before.is_some_and(|before| {
            let tries = wanted.tries;
            PriorWanted {
                tries,
                ..before.clone()
            } == wanted
        });
        if is_same {
            return Ok(());
        }
        self.record.prior = Some(wanted);
        self.write_record()
    }

    /// The log continues the one before, of which that is still to be found: nothing is to be asked for this one.
    pub(in crate::archive) fn is_to_settle(&mut self) {
        self.beside.is_unsettled = true;
        self.beside.unheard = None;
        self.record.prior = None;
    }

    /// Whether that is so.
    pub(in crate::archive) fn is_unsettled(&self) -> bool {
        self.beside.is_unsettled
    }

    /// Another epoch has begun, of which this is a head.
    ///
    /// # Errors
    ///
    /// That can't be written down.
    pub(in crate::archive) fn note_next(&mut self, note: &str) -> io::Result<()> {
        self.record.next = Some(note.to_owned());
        self.write_record()
    }

    /// The log follows an epoch of which nothing was heard.
    pub(in crate::archive) fn want_unheard(&mut self, origin: &str) {
        self.beside.unheard = Some(origin.to_owned());
    }

    /// The next epoch cites this head of it, and nothing below that counts without it; or none.
    pub(in crate::archive) fn ends_at(&mut self, end: Option<(u64, Hash)>) {
        if self.beside.end.is_none() {
            self.beside.end = Some(end);
            let size = end.map_or(0, |(size, _)| size);
            let cosigned = self.record.cosigned.as_ref();
            let is_kept = size > 0 && cosigned.is_none_or(|cosigned| cosigned.size <= size);
            // What goes beyond it, and nobody cosigned, was given up by that: nobody may have it.
            self.floor = if is_kept { size } else { self.floor.max(size) };
        }
    }

    /// Whether leaves are not those of the head that the next epoch cites.
    pub(super) fn strays(&self, leaves: &Range) -> bool {
        let end = self.beside.end.flatten();
        end.is_some_and(|(size, root)| size == leaves.size() && root != leaves.root())
    }

    /// Whether so many leaves are more than the next epoch cites.
    pub(super) fn is_beyond_end(&self, size: u64) -> bool {
        let end = self.beside.end.flatten();
        end.is_some_and(|(end, _)| size > end)
    }

    /// Whether all that the next epoch cites is here, and nobody answers for what goes beyond that.
    pub(super) fn is_given_up(&self) -> bool {
        let end = self.beside.end.flatten();
        self.fetch.is_vain() && end.is_some_and(|(end, _)| self.committed() >= end)
    }

    /// Forgets heads of more leaves than that.
    pub(super) fn forget_beyond_end(&mut self) {
        if let Some((end, _)) = self.beside.end.flatten() {
            self.seen.retain(|size, _| *size <= end);
        }
    }

    /// Whether it is known what the next epoch cites of it.
    pub(in crate::archive) fn has_end(&self) -> bool {
        self.beside.end.is_some()
    }

    /// Whether what is here of it may be cosigned after the next epoch began: nothing beyond what that one cites, since that
    /// is given up, and at that size no other head.
    pub(in crate::archive) fn may_be_cosigned(&self) -> bool {
        let end = self.beside.end.flatten();
        let head = self.head.as_ref().map(|head| &head.checkpoint);
        end.zip(head).is_some_and(|((size, root), head)| {
            head.size < size || head.size == size && head.root == root
        })
    }

    /// Whether more was signed of it than was cosigned and the next epoch cites, so that nothing of it is cosigned any more.
    pub(in crate::archive) fn is_cited_without_a_head(&self) -> bool {
        self.has_end() && !self.is_cosigned() && !self.may_be_cosigned()
    }

    /// Whether the next epoch cites more of it than is here.
    pub(in crate::archive) fn is_short(&self) -> bool {
        let end = self.beside.end.flatten().filter(|_| !self.is_stopped());
        end.is_some_and(|(size, _)| size > self.committed())
    }

    /// Whether whoever answers does not have the head that the next epoch cites of it.
    pub(in crate::archive) fn is_nowhere(&self) -> bool {
        self.beside.heads_vain >= VAIN_MAX
    }

    /// The question about an epoch beside this one that is due.
    pub(super) fn beside_wanted(&self, now_ms: u64) -> Option<Question> {
        let head = self
            .head_wanted()
            .filter(|_| now_ms >= self.beside.head_from_ms);
        if let Some(origin) = head {
            let origin = origin.to_owned();
            return Some(Question::Last { origin });
        }
        let wanted = self.record.prior.as_ref();
        let wanted = wanted.filter(|_| now_ms >= self.beside.proof_from_ms)?;
        Some(Question::Prior {
            origin: wanted.origin.clone(),
            from: wanted.size,
            to: wanted.to,
        })
    }

    /// The origin of the log whose newest head is wanted.
    fn head_wanted(&self) -> Option<&str> {
        let (shown, end) = (self.newest(), self.beside.end.flatten());
        let has_end = end.is_none_or(|(end, _)| {
            // Of heads beyond it nobody may have the leaves.
            let is_had = |size: u64| size == end || size > end && !self.fetch.is_vain();
            shown.is_some_and(|shown| is_had(shown.checkpoint.size))
        });
        if self.is_short() && !has_end {
            return Some(self.origin());
        }
        self.beside.unheard.as_deref()
    }

    /// The proof was given, or was not; `tries` is how often it was asked for.
    pub(in crate::archive) fn prior_answered(&mut self, tries: u32, now_ms: u64) {
        self.answered();
        self.beside.proof_from_ms = now_ms.saturating_add(pause(tries));
        if let Some(wanted) = &mut self.record.prior {
            wanted.tries = tries;
        }
    }

    /// A head was given, or was not; whether that helps, if anybody answered.
    pub(in crate::archive) fn head_answered(&mut self, helps: Option<bool>, now_ms: u64) {
        self.answered();
        match helps {
            Some(true) => self.beside.heads_vain = 0,
            Some(false) => self.beside.heads_vain = self.beside.heads_vain.saturating_add(1),
            None => {}
        }
        self.beside.head_from_ms = now_ms.saturating_add(pause(self.beside.heads));
        self.beside.heads = self.beside.heads.saturating_add(1);
    }
}
