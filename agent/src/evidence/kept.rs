//! The notes that a gateway has kept, and which of them a bundle needs.

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::Note;
use lineside_proto::{CheckpointsResult, CheckpointsWanted, KeptCheckpoint};

use super::informant::Informant;
use super::inquiry::{Inquiry, PullError};

/// Answers on cosigned notes at most: ten years of one note an hour, in answers of a hundred.
const ANSWERS_MAX: usize = 1_000;

/// The notes that a bundle needs, as far as they were kept. Nothing about them is verified.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// The oldest of at least as many leaves as the bundle's end.
    pub end: Option<String>,
    /// The newest of at most as many leaves as come before the bundle.
    pub start: Option<String>,
    /// Those between that somebody has cosigned.
    pub cosigned: Vec<String>,
}

/// Asks for the notes around and in the leaves from `first` to `end`, of a ledger that has signed `signed` leaves.
/// A gateway that keeps none, because it is older than the question, has none.
///
/// # Errors
///
/// Whatever comes of asking.
pub async fn ask<I: Informant>(
    inquiry: &Inquiry<I>,
    first: u64,
    end: u64,
    signed: u64,
) -> Result<Kept, PullError> {
    let one = |from: u64, to: u64, newest: bool| CheckpointsWanted {
        from,
        to,
        limit: Some(1),
        newest,
    };
    let Some(ends) = some(inquiry, one(end, signed.saturating_add(1), false)).await? else {
        return Ok(Kept::default());
    };
    let starts = some(inquiry, one(1, first.saturating_add(1), true)).await?;
    let mut kept = Kept {
        end: ends.checkpoints.into_iter().next().map(note),
        start: starts.and_then(|starts| starts.checkpoints.into_iter().next_back().map(note)),
        cosigned: Vec::new(),
    };
    let mut from = first.saturating_add(1);
    let to = end.saturating_add(1);
    for _ in 0..ANSWERS_MAX {
        let wanted = CheckpointsWanted {
            from,
            to,
            limit: None,
            newest: false,
        };
        let Some(some) = some(inquiry, wanted).await? else {
            break;
        };
        let notes = some.checkpoints.into_iter().map(note);
        kept.cosigned.extend(notes.filter(|note| is_cosigned(note)));
        if some.next >= to || some.next <= from {
            break;
        }
        from = some.next;
    }
    Ok(kept)
}

fn note(kept: KeptCheckpoint) -> String {
    kept.checkpoint
}

async fn some<I: Informant>(
    inquiry: &Inquiry<I>,
    wanted: CheckpointsWanted,
) -> Result<Option<CheckpointsResult>, PullError> {
    if wanted.from >= wanted.to {
        return Ok(Some(CheckpointsResult {
            checkpoints: Vec::new(),
            next: wanted.to,
        }));
    }
    let answers: Result<Vec<CheckpointsResult>, PullError> =
        inquiry.ask("ledger.checkpoints", wanted).await;
    let answers = match answers {
        Err(PullError::Refused { code, .. }) if code == "unknown-method" || code == "not-found" => {
            return Ok(None);
        }
        other => other?,
    };
    let next = answers.last().map_or(wanted.to, |last| last.next);
    let checkpoints = answers
        .into_iter()
        .flat_map(|part| part.checkpoints)
        .collect();
    Ok(Some(CheckpointsResult { checkpoints, next }))
}

/// Whether somebody other than the log itself has signed it.
pub(super) fn is_cosigned(note: &str) -> bool {
    let Ok(note) = Note::parse(note) else {
        return false;
    };
    let Ok(head) = Checkpoint::parse(&note.text) else {
        return false;
    };
    note.signatures
        .iter()
        .any(|signature| signature.name != head.origin)
}
