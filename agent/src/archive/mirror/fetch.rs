//! What must be asked of the gateway, one question at a time: leaves that did not come, the proof that what was signed
//! continues what is held, texts that leaves name.

use std::time::Duration;

use lineside_proto::ledger::tile::{HEIGHT, WIDTH};
use lineside_proto::ledger::tree::{Hash, Range, consistency_roots};

use serde_json::{Value, json};

use super::take::LeafTaken;
use super::{Head, Mirror, Text};
use crate::archive::alarm::{Alarm, Kind, ProofDocument};

/// How long leaves may be on their way before they are asked for.
const GRACE: Duration = Duration::from_secs(2);
/// Leaves that one question asks for at most; the gateway gives as many as its answer holds.
pub(super) const ENTRIES_MAX: u64 = 2_048;
/// Leaves after which a longer stretch is proved and put into tiles.
const PART_LEAVES: u64 = 4_096;
/// Questions in turn without a usable answer after which others are asked.
const VAIN_MAX: usize = 3;
/// The first wait after a question that was not answered; it doubles.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What a gateway is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::archive) enum Question {
    /// Leaves from one on, below another.
    Entries { from: u64, to: u64 },
    /// That a newer tree continues an older.
    Consistency { from: u64, to: u64 },
    /// The root of the first leaves under a newer head, where their number is a power of two: a proof that they are
    /// continued leaves it out.
    Peak { size: u64 },
    /// That what a new epoch cites continues what is held of the one before, whose origin this is.
    Prior { origin: String, from: u64, to: u64 },
    /// The newest head of the epoch before, whose origin this is: what it commits to may not be here.
    Last { origin: String },
    /// The text of a map.
    Map(String),
    /// The text of a token.
    Token(String),
}

impl Question {
    /// Whether it asks for a text, which the gateway may not have any more.
    pub(in crate::archive) fn is_text(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Token(_))
    }

    /// The method and its parameters.
    pub(in crate::archive) fn call(&self) -> (&'static str, Value) {
        match self {
            Self::Entries { from, to } => ("ledger.entries", json!({"from": from, "to": to})),
            Self::Consistency { from, to } | Self::Prior { from, to, .. } => {
                ("ledger.consistency", json!({"from": from, "to": to}))
            }
            Self::Last { .. } => ("ledger.checkpoint", json!({})),
            Self::Peak { size } => {
                let level = size.trailing_zeros();
                let (height, width) = (u32::from(HEIGHT), 1 << (level % u32::from(HEIGHT)));
                let tile = json!({"level": level / height, "index": 0, "width": width});
                ("ledger.tile", tile)
            }
            Self::Map(hash) => ("config.get", json!({"hash": hash})),
            Self::Token(hash) => ("token.get", json!({"hash": hash})),
        }
    }
}

/// How far asking has come. Times are on the archive's boot clock.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    asked: Option<Question>,
    /// Since when leaves are missing.
    hole_ms: Option<u64>,
    not_before_ms: u64,
    wait: Duration,
    /// Questions in turn without a usable answer: each time another head is asked about, since nobody may be able to
    /// answer for the newest.
    vain: usize,
    /// Whether what came by itself did not fit.
    suspects: bool,
    /// Whether something came by itself since then.
    unasked: bool,
    /// The head that is proved to continue what is in tiles.
    proved: Option<u64>,
    /// A proof that does not lead from what is held to the head of so many leaves: what it leads from is asked for.
    refuting: Option<(u64, Vec<Hash>)>,
    /// Up to where leaves are proved to be under the newest head.
    part: Option<u64>,
}

impl Fetch {
    pub(super) fn part(&self) -> Option<u64> {
        self.part
    }

    /// Whether nobody seems to be able to answer.
    pub(super) fn is_vain(&self) -> bool {
        self.vain >= VAIN_MAX
    }

    /// A leaf came by itself.
    pub(super) fn comes_unasked(&mut self) {
        self.unasked = true;
    }

    pub(super) fn suspect(&mut self) {
        self.suspects = true;
        self.unasked = false;
        self.proved = None;
        self.part = None;
        // They will not come by themselves.
        self.hole_ms = Some(0);
    }

    /// What was missing is in tiles.
    pub(super) fn advanced(&mut self) {
        self.hole_ms = None;
        self.vain = 0;
        self.refuting = None;
        self.suspects = false;
        self.proved = None;
        self.part = None;
    }

    fn failed(&mut self, now_ms: u64) {
        self.vain = self.vain.saturating_add(1);
        self.wait = (self.wait * 2).clamp(WAIT_FIRST, WAIT_MAX);
        self.not_before_ms = now_ms.saturating_add(millis(self.wait));
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Mirror {
    /// Whether something is asked of the gateway now.
    pub(in crate::archive) fn is_asking(&self) -> bool {
        self.fetch.asked.is_some()
    }

    /// The gateway is there again: what is missing is asked for at once.
    pub(in crate::archive) fn hurry(&mut self) {
        self.fetch.not_before_ms = 0;
        self.beside.hurry();
        self.fetch.wait = Duration::ZERO;
    }

    /// What is to be asked now, if anything; it counts as asked from then on.
    pub(in crate::archive) fn question(&mut self, now_ms: u64) -> Option<Question> {
        // What a proof leads from is asked for at once, while whoever gave the proof answers.
        let rests = now_ms < self.fetch.not_before_ms && self.fetch.refuting.is_none();
        if self.is_stopped() || self.is_asking() || rests {
            return None;
        }
        let question = self
            .beside_wanted(now_ms)
            .or_else(|| self.leaves_wanted(now_ms));
        let question = question.or_else(|| self.text_wanted(now_ms))?;
        self.fetch.asked = Some(question.clone());
        Some(question)
    }

    fn leaves_wanted(&mut self, now_ms: u64) -> Option<Question> {
        let covered = self.covered();
        let Some(target) = self.target(covered) else {
            return self.claimed_wanted(covered, now_ms);
        };
        let since = *self.fetch.hole_ms.get_or_insert(now_ms);
        if now_ms < since.saturating_add(millis(GRACE)) {
            return None;
        }
        let size = self.size();
        if self.fetch.refuting.is_some() {
            return Some(Question::Peak { size });
        }
        if self.fetch.suspects && size > 0 && self.fetch.proved != Some(target) {
            return Some(Question::Consistency {
                from: size,
                to: target,
            });
        }
        if covered - size >= PART_LEAVES {
            // A proof from a power of two on leaves out what it leads from, and so does not tell wrong leaves from a wrong
            // proof.
            let part = covered / WIDTH * WIDTH;
            let from = if part.is_power_of_two() {
                part - WIDTH
            } else {
                part
            };
            return Some(Question::Consistency { from, to: target });
        }
        Some(Question::Entries {
            from: covered,
            to: target.min(covered + ENTRIES_MAX),
        })
    }

    /// The head that is asked about: the newest, or one of those before it where that was in vain.
    fn target(&self, covered: u64) -> Option<u64> {
        let mut beyond = self.seen.range(covered + 1..).rev();
        let count = self.seen.range(covered + 1..).count();
        let turn = self.fetch.vain.checked_rem(count)?;
        beyond.nth(turn).map(|(size, _)| *size)
    }

    /// There was no answer, or none that helps.
    pub(in crate::archive) fn unanswered(&mut self, question: &Question, now_ms: u64) {
        self.fetch.asked = None;
        if matches!(question, Question::Peak { .. }) {
            // The head that it was about has had its turn with the question before: of two gateways that write one log, each
            // proves only its own, and their heads come by turns.
            self.fetch.refuting = None;
            return;
        }
        if self.claim.answered() {
            // What nobody has signed must not hold up what is asked for heads that are trusted.
            self.claim.rest(now_ms);
            return;
        }
        self.fetch.failed(now_ms);
    }

    /// What was asked has an answer, whatever that was.
    pub(super) fn answered(&mut self) {
        self.fetch.asked = None;
    }

    /// What was asked has an answer. Gives it if it was a text.
    pub(super) fn text_answered(&mut self) -> Option<Text> {
        match self.fetch.asked.take()? {
            Question::Map(hash) => Some(Text::Map(hash)),
            Question::Token(hash) => Some(Text::Token(hash)),
            Question::Entries { .. }
            | Question::Consistency { .. }
            | Question::Peak { .. }
            | Question::Last { .. }
            | Question::Prior { .. } => None,
        }
    }

    /// Whoever answered is there: the next question need not wait.
    pub(super) fn need_not_wait(&mut self) {
        self.fetch.wait = Duration::ZERO;
    }

    /// Takes in the leaves that were asked for.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(in crate::archive) fn give_leaves(
        &mut self,
        from: u64,
        leaves: impl Iterator<Item = (u64, Vec<u8>)>,
    ) -> Result<(), String> {
        self.fetch.asked = None;
        let mut next = from;
        for (index, bytes) in leaves {
            if index != next {
                return Err(format!("it gives leaf {index} where {next} was asked for"));
            }
            next += 1;
            if index < self.size() {
                continue;
            }
            if let LeafTaken::Bad(reason) = self.put_ahead(index, bytes) {
                return Err(format!("leaf {index}: {reason}"));
            }
        }
        if next == from {
            return Err("it gives no leaves".to_owned());
        }
        self.claim.answered();
        self.fetch.wait = Duration::ZERO;
        Ok(())
    }

    /// Takes in the proof that was asked for. Gives the alarm if it proves that two histories were signed.
    ///
    /// # Errors
    ///
    /// Why it proves nothing: answers are not signed, and may come from anybody at the broker.
    pub(in crate::archive) fn give_proof(
        &mut self,
        (from, to): (u64, u64),
        proof: &[Hash],
        now_ms: u64,
    ) -> Result<Option<Alarm>, String> {
        self.fetch.asked = None;
        let Some(target) = self.seen.get(&to).cloned() else {
            // It is in tiles already.
            return Ok(None);
        };
        let size = self.size();
        if from < size {
            return Ok(None);
        }
        let mut range = self.range.clone();
        for (_, leaf) in self.ahead.range(size..from) {
            range.push(Hash::of_leaf(leaf), |_, _, _| {});
        }
        if range.size() != from {
            return Ok(None);
        }
        let ours = range.root();
        let led = consistency_roots(from, to, proof, ours);
        let led = led.ok().filter(|(_, new)| *new == target.checkpoint.root);
        let Some((old, new)) = led else {
            if from == size && size.is_power_of_two() {
                self.fetch.refuting = Some((to, proof.to_vec()));
            }
            return Err(format!(
                "the proof does not lead to the head of {to} leaves"
            ));
        };
        if old == ours {
            if from == size {
                self.fetch.proved = Some(to);
            } else {
                self.fetch.part = Some(from);
            }
            return Ok(None);
        }
        if from > size {
            // The leaves that wait are not those that were signed.
            return Ok(self.misled(&target, now_ms));
        }
        let proof = ProofDocument::of((from, old), (to, new), proof);
        self.refuted(&target, proof).map(Some)
    }

    /// Takes in the root that was asked for, as the hashes below it. Gives the alarm if it proves that two histories were
    /// signed.
    ///
    /// # Errors
    ///
    /// Why it proves nothing.
    pub(in crate::archive) fn give_peak(
        &mut self,
        from: u64,
        hashes: &[Hash],
    ) -> Result<Option<Alarm>, String> {
        self.fetch.asked = None;
        let Some((to, proof)) = self.fetch.refuting.take().filter(|_| from == self.size()) else {
            // What was missing is here.
            return Ok(None);
        };
        let Some(target) = self.seen.get(&to).cloned() else {
            return Ok(None);
        };
        let mut peak = Range::default();
        hashes
            .iter()
            .for_each(|hash| peak.push(*hash, |_, _, _| {}));
        let led = consistency_roots(from, to, &proof, peak.root()).ok();
        let led =
            led.filter(|(old, new)| *new == target.checkpoint.root && *old != self.range.root());
        let Some((old, new)) = led else {
            return Err(format!(
                "neither does the root that it is said to lead from, to the head of {to} leaves"
            ));
        };
        let proof = ProofDocument::of((from, old), (to, new), &proof);
        self.refuted(&target, proof).map(Some)
    }

    /// A proof leads to a signed head, and from another root than that of the leaves that are held.
    fn refuted(&self, target: &Head, proof: ProofDocument) -> Result<Alarm, String> {
        let signed = self.head.clone();
        let signed = signed.filter(|head| head.checkpoint.size == proof.old);
        let Some(known) = signed else {
            // Nobody signed just what is in tiles: the heads before and after may contradict each other, and that shows
            // when leaves are here.
            return Err(format!(
                "the head of {} leaves does not continue what is held",
                proof.new
            ));
        };
        Ok(Self::fork(&known, target, proof))
    }

    /// Leaves are not those under a signed head. Those that came by themselves may be anybody's, or of another epoch; when
    /// all were asked for, it is the gateway that contradicts itself.
    pub(super) fn misled(&mut self, target: &Head, now_ms: u64) -> Option<Alarm> {
        let was_asked = self.fetch.suspects && !self.fetch.unasked;
        self.forget_ahead();
        self.fetch.suspect();
        if !was_asked {
            return None;
        }
        self.fetch.failed(now_ms);
        Some(Alarm {
            kind: Kind::Leaves,
            text: format!(
                "the gateway gives other leaves than those that its head of {} leaves commits to",
                target.checkpoint.size
            ),
            known: self.head.as_ref().map(|known| known.note.to_string()),
            shown: Some(target.note.to_string()),
            proof: None,
        })
    }
}
