//! Our logs shown to other people's witnesses: `add-checkpoint` as its client.
//!
//! One request at a time goes to a witness. Nothing that it says is believed but its signature.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lineside_proto::Time;
use lineside_proto::ledger::note::{Note, Signature};
use lineside_proto::ledger::{Checkpoint, Hash};
use tokio::task::spawn_blocking;

use super::add_checkpoint::{AddCheckpoint, SIZE_TYPE, plain};
use super::target::Target;
use super::with_signature;
use crate::archive::{Place, Shelf};
use crate::evidence::post::{Post, PostError, Reply};
use crate::ledger::LedgerError;

/// From the request to the whole answer: one signature and a slow disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer at most: the lines of many keys.
const ANSWER_BYTES_MAX: usize = 32 << 10;
/// How often a witness may name another size in one go: others may submit the same log.
const CONFLICTS_MAX: u32 = 3;
/// So far may a witness's clock be ahead of ours.
const AHEAD_MAX_MS: i64 = 300_000;
/// The first wait after a failure, and the longest.
const WAIT_FIRST: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Doublings after which the longest wait is reached in any case.
const DOUBLINGS_MAX: u32 = 7;
/// Letters of a witness's own words that are repeated.
const WORDS_MAX: usize = 200;

/// A head that a witness cosigned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submitted {
    /// The head.
    pub head: Checkpoint,
    /// Its note, as it was shown, with the witness's line.
    pub note: Note,
    /// The witness's line, which was checked.
    pub signature: Signature,
    /// The time in it.
    pub at: Time,
}

/// Why a head was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is no signed head yet.
    #[error("the log has no signed head yet")]
    Nothing,
    /// The witness can't be reached, or has no time. Ask again later.
    #[error("the witness does not answer: {words}")]
    Later {
        /// What is in the way.
        words: String,
        /// When it wants to be asked again; nothing where it does not say so.
        after: Duration,
    },
    /// It does not take this log, or what is asked: a matter of its configuration, or of ours.
    #[error("the witness refuses with {status}: {words}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// It cosigned another history of this log. Look into it.
    #[error("the witness holds another history of this log: {words}")]
    Contradicted {
        /// Its words.
        words: String,
    },
    /// It cosigned a larger log: ours was restored from an old copy, or is behind.
    #[error("the witness has cosigned {its} leaves of this log, and here are {ours}")]
    Ahead {
        /// Leaves that it cosigned.
        its: u64,
        /// Leaves of the head here.
        ours: u64,
    },
    /// It answered what is no answer.
    #[error("the witness's answer makes no sense: {0}")]
    Nonsense(String),
    /// The log can't be read here.
    #[error("the log can't be read")]
    Files(#[from] io::Error),
    /// Its proofs can't.
    #[error("the log's proofs can't be made")]
    Proof(#[from] LedgerError),
}

/// What is known of a log with a witness.
#[derive(Clone, Copy, Default, Debug)]
struct Standing {
    /// Leaves that it cosigned, as far as it said.
    cosigned: u64,
    /// Failures of this log since the last success.
    failures: u32,
}

/// Somebody else's witness, and what it cosigned of our logs as long as this runs.
#[derive(Debug)]
pub struct ForeignWitness {
    target: Target,
    logs: HashMap<String, Standing>,
    failures: u32,
    retry_after: Duration,
}

impl ForeignWitness {
    /// A witness of whom nothing is known yet.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            logs: HashMap::new(),
            failures: 0,
            retry_after: Duration::ZERO,
        }
    }

    /// Where it is, and its key.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How long to wait with a log since it was last submitted; nothing while all is well. After failures of the
    /// witness itself all logs wait.
    pub fn wait(&self, origin: &str) -> Duration {
        let log = self.logs.get(origin).map_or(0, |log| log.failures);
        let doubled = match self.failures.max(log) {
            0 => Duration::ZERO,
            failures => WAIT_FIRST.saturating_mul(1 << (failures - 1).min(DOUBLINGS_MAX)),
        };
        doubled.max(self.retry_after).min(WAIT_MAX)
    }

    /// Has the newest head of a log cosigned, also one that it cosigned before: with the time of now.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] says why it was not. Nothing was lost: it can be asked again, after [`ForeignWitness::wait`].
    pub async fn submit(
        &mut self,
        shelf: &Shelf,
        place: &Place,
        now: Time,
    ) -> Result<Submitted, SubmitError> {
        let (text, head) = read(shelf, place, |shelf, place| shelf.head(place))
            .await??
            .ok_or(SubmitError::Nothing)?;
        let log = self.logs.entry(head.origin.clone()).or_default();
        let mut standing = *log;
        let asked = ask(
            &self.target,
            &mut standing,
            (shelf, place),
            (&text, &head),
            now,
        )
        .await;
        self.retry_after = Duration::ZERO;
        match &asked {
            Ok(_) => (self.failures, standing.failures) = (0, 0),
            Err(SubmitError::Later { after, .. }) => {
                self.failures = self.failures.saturating_add(1);
                self.retry_after = *after;
            }
            Err(SubmitError::Nonsense(_)) => self.failures = self.failures.saturating_add(1),
            Err(
                SubmitError::Nothing
                | SubmitError::Refused { .. }
                | SubmitError::Contradicted { .. }
                | SubmitError::Ahead { .. }
                | SubmitError::Files(_)
                | SubmitError::Proof(_),
            ) => standing.failures = standing.failures.saturating_add(1),
        }
        *log = standing;
        asked
    }
}

async fn read<T: Send + 'static>(
    shelf: &Shelf,
    place: &Place,
    reading: impl FnOnce(&Shelf, &Place) -> T + Send + 'static,
) -> Result<T, SubmitError> {
    let (shelf, place) = (shelf.clone(), place.clone());
    let read = spawn_blocking(move || reading(&shelf, &place)).await;
    read.map_err(|_| SubmitError::Files(io::ErrorKind::Interrupted.into()))
}

async fn ask(
    target: &Target,
    standing: &mut Standing,
    (shelf, place): (&Shelf, &Place),
    (text, head): (&Arc<str>, &Checkpoint),
    now: Time,
) -> Result<Submitted, SubmitError> {
    let note =
        Note::parse(text).map_err(|_| SubmitError::Files(io::ErrorKind::InvalidData.into()))?;
    let note = own(&note);
    // What it has of a log that is larger than ours it shall say itself.
    let mut old = Some(standing.cosigned)
        .filter(|old| *old <= head.size)
        .unwrap_or(0);
    for _ in 0..=CONFLICTS_MAX {
        let size = head.size;
        let proof: Vec<Hash> = if old == 0 || old == size {
            Vec::new()
        } else {
            read(shelf, place, move |shelf, place| {
                shelf.view(place)?.consistency(old, size)
            })
            .await??
        };
        let request = AddCheckpoint {
            old,
            proof,
            note: note.clone(),
        };
        let reply = post(target, request.to_string()).await?;
        let words = words(&reply.body);
        match reply.status {
            200 => {
                let submitted = accepted(target, &note, head, &reply.body, now)?;
                standing.cosigned = size;
                return Ok(submitted);
            }
            409 => {
                let its = conflict(&reply).ok_or_else(|| SubmitError::Contradicted {
                    words: words.clone(),
                })?;
                if its < standing.cosigned {
                    let before = standing.cosigned;
                    tracing::warn!(
                        witness = target.key.name(),
                        origin = head.origin,
                        its,
                        before,
                        "a witness forgot what it cosigned"
                    );
                }
                standing.cosigned = its;
                if its > size {
                    return Err(SubmitError::Ahead { its, ours: size });
                }
                if its == old {
                    // Other roots of one size were told so once.
                    return Err(SubmitError::Contradicted { words });
                }
                old = its;
            }
            422 => return Err(SubmitError::Contradicted { words }),
            429 | 500..=599 => {
                return Err(SubmitError::Later {
                    words: format!("{} {words}", reply.status),
                    after: Duration::from_secs(reply.retry_after_s.unwrap_or(0)),
                });
            }
            status => return Err(SubmitError::Refused { status, words }),
        }
    }
    Err(later(format!(
        "it named {} sizes, one after the other",
        CONFLICTS_MAX + 1
    )))
}

fn later(words: String) -> SubmitError {
    let after = Duration::ZERO;
    SubmitError::Later { words, after }
}

/// The note without cosignatures, which have eight bytes more for their time: they are nothing to another witness.
fn own(note: &Note) -> Note {
    let is_own = |signature: &&Signature| signature.bytes.len() == 64;
    Note {
        text: note.text.clone(),
        signatures: note.signatures.iter().filter(is_own).cloned().collect(),
    }
}

async fn post(target: &Target, body: String) -> Result<Reply, SubmitError> {
    let post = Post {
        host: &target.host,
        port: target.port,
        path: &target.path,
        content_type: "text/plain; charset=utf-8",
        authorization: None,
        body: body.into_bytes(),
        answer_bytes_max: ANSWER_BYTES_MAX,
        timeout: ANSWER_TIMEOUT,
    };
    post.send().await.map_err(|error| match error {
        PostError::Lost(why) | PostError::Request(why) => later(why),
    })
}

/// The witness's line in an answer; lines of other keys are passed over.
fn accepted(
    target: &Target,
    note: &Note,
    head: &Checkpoint,
    body: &[u8],
    now: Time,
) -> Result<Submitted, SubmitError> {
    let nonsense = |what: &str| SubmitError::Nonsense(what.to_owned());
    let body = std::str::from_utf8(body).map_err(|_| nonsense("no text"))?;
    let cosigned = format!("{}\n{body}", note.text);
    let mut cosigned = Note::parse(&cosigned).map_err(|error| nonsense(&error.to_string()))?;
    let hash = target.key.hash();
    let is_its = |one: &Signature| one.name == target.key.name() && one.hash == hash;
    cosigned.signatures.retain(is_its);
    cosigned.signatures.truncate(1);
    let keys = [target.key.clone()];
    if cosigned.signatures.is_empty() {
        return Err(nonsense(
            "it is signed by another key than the one that was named",
        ));
    }
    let verified = cosigned.verify(&keys);
    let verified = verified.map_err(|error| nonsense(&error.to_string()))?;
    let at = verified.iter().find_map(|one| one.cosigned);
    let at = at.filter(|at| at.as_millis() > 0 && at.as_millis() - now.as_millis() <= AHEAD_MAX_MS);
    let at = at.ok_or_else(|| nonsense("its clock is wrong"))?;
    let signature = cosigned.signatures.pop();
    let signature = signature.ok_or_else(|| nonsense("no signature"))?;
    Ok(Submitted {
        head: head.clone(),
        note: with_signature(note, &signature),
        signature,
        at,
    })
}

/// The size that the witness cosigned last, of an answer that says so.
fn conflict(reply: &Reply) -> Option<u64> {
    let kind = reply.content_type.as_deref()?;
    let kind = kind.split(';').next().unwrap_or(kind).trim();
    let body = std::str::from_utf8(&reply.body).ok()?;
    let digits = body.strip_suffix('\n').unwrap_or(body);
    plain(digits).filter(|_| kind.eq_ignore_ascii_case(SIZE_TYPE))
}

/// The beginning of a stranger's words, fit for a log.
fn words(body: &[u8]) -> String {
    let words = String::from_utf8_lossy(body);
    let letters = words.trim().chars().take(WORDS_MAX);
    letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}
