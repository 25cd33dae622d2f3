//! What gateways answer: leaves, proofs, and the texts that leaves name.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lineside_proto::booking::TOKEN_BYTES_MAX;
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tile::hashes;
use lineside_proto::{
    CheckpointResult, EntriesResult, MapResult, ProofResult, TileResult, TokenResult,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::heads::Name;
use super::prior::{Answered, head_answered, prior_answered};
use super::{Asked, Desk, Output};
use crate::archive::alarm::Alarm;
use crate::archive::mirror::{Mirror, Question};
use crate::archive::place::Place;
use crate::clock::Stamp;
use crate::evidence::informant::Trouble;
use crate::hashed;
use crate::maps::Maps;
use crate::tokens::Tokens;

/// Bytes of maps of one gateway that are kept: a hundred versions of large ones, and a leaf of some hundred bytes can
/// name megabytes.
const MAPS_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a hash in a tile.
const HASH_BYTES: u64 = 32;
/// Maps of one gateway that are kept: more than technicians make in its life. Each is a file.
const MAPS_MAX: usize = 4_096;

impl Desk {
    fn copy_of(&mut self, place: &Place) -> Option<&mut Mirror> {
        let name = (place.site.clone(), place.gateway.clone());
        self.gateways.get_mut(&name)?.copy_of(place.epoch)
    }

    /// A gateway does not have the text that it was asked for.
    fn lacks(&mut self, place: &Place, now_ms: u64) {
        let mirror = self.copy_of(place);
        let noted = mirror.map_or(Ok(()), |mirror| mirror.has_no_text(now_ms));
        if let Err(error) = noted {
            tracing::warn!(%error, "what is still missing can't be written down");
        }
    }

    /// Takes in what an answer about the epoch before is worth.
    fn answered(&mut self, (name, epoch): (&Name, u32), answered: &Answered, now: Stamp) {
        match answered {
            Answered::Proved(proved) => self.prior_proved((name, epoch), proved),
            Answered::Vain => {
                if let Some(known) = self.gateways.get_mut(name) {
                    known.turns.in_vain(epoch, now.boot_ms);
                }
            }
            Answered::Nothing => {}
        }
    }

    /// Takes in an answer, or that there is none.
    pub(super) fn answer(
        &mut self,
        asked: Asked,
        result: Result<Vec<Value>, Trouble>,
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let Asked {
            place, question, ..
        } = asked;
        let name: Name = (place.site.clone(), place.gateway.clone());
        self.asked(&name, result.as_ref().err(), now.boot_ms);
        let texts = self.shelf.gateway_dir(&name.0, &name.1);
        let Some(known) = self.gateways.get_mut(&name) else {
            return;
        };
        known.touched = known.touched || !question.is_text();
        let Some(mirror) = known.copy_of(place.epoch) else {
            return;
        };
        if matches!(question, Question::Prior { .. }) {
            let is_told = is_told(&result);
            let proof = result.ok().and_then(|results| proof_in(&results).ok());
            let answered = prior_answered(mirror, proof, is_told, now);
            self.answered((&name, place.epoch), &answered, now);
            return;
        }
        if let Question::Last { origin } = &question {
            let is_told = is_told(&result);
            let note = result.ok().as_deref().and_then(note_in);
            let answered = head_answered(mirror, origin, (note.as_deref(), is_told), now);
            self.answered((&name, place.epoch), &answered, now);
            if let Some(note) = note {
                self.last_answered(&name, &note, now, out);
            }
            return;
        }
        let taken = match result {
            Ok(results) => give(mirror, &texts, &question, results, now.boot_ms),
            // Whatever it says instead of the text: others must not wait for this one.
            Err(Trouble::No(_) | Trouble::Nonsense(_)) if question.is_text() => {
                self.lacks(&place, now.boot_ms);
                return;
            }
            Err(trouble) => Err(format!("a question has no answer: {trouble}")),
        };
        match taken {
            Ok(None) => {}
            Ok(Some(alarm)) => self.refuse_of((&name, place.epoch), alarm, now, out),
            Err(reason) => {
                if let Some(mirror) = self.copy_of(&place) {
                    mirror.unanswered(&question, now.boot_ms);
                    let noted = if question.is_text() {
                        Ok(())
                    } else {
                        mirror.note_unproved(now.wall)
                    };
                    if let Err(error) = noted {
                        tracing::warn!(%error, log = %place, "what is not proved can't be noted");
                    }
                }
                self.complain(&name, &reason, now.boot_ms);
            }
        }
    }
}

/// Whether somebody answered who had looked for it.
fn is_told(result: &Result<Vec<Value>, Trouble>) -> bool {
    match result {
        Ok(_) | Err(Trouble::No(_) | Trouble::Nonsense(_)) => true,
        Err(Trouble::Lost(_) | Trouble::Later(_) | Trouble::Refused(_)) => false,
    }
}

/// Gives a log's copy what it asked for. Gives the alarm that comes of it, if one does; else why it does not count.
fn give(
    mirror: &mut Mirror,
    texts: &Path,
    question: &Question,
    results: Vec<Value>,
    now_ms: u64,
) -> Result<Option<Alarm>, String> {
    let wrong = |reason: String| format!("an answer does not count: {reason}");
    match question {
        Question::Entries { from, .. } => {
            let leaves = leaves(results).map_err(wrong)?;
            mirror
                .give_leaves(*from, leaves.into_iter())
                .map_err(wrong)?;
            return Ok(None);
        }
        Question::Consistency { from, to } => {
            let proof = proof_in(&results).map_err(wrong)?;
            return mirror
                .give_proof((*from, *to), &proof, now_ms)
                .map_err(wrong);
        }
        Question::Peak { size } => {
            let hashes = hashes_in(&results).map_err(wrong)?;
            return mirror.give_peak(*size, &hashes).map_err(wrong);
        }
        Question::Prior { .. } | Question::Last { .. } => return Ok(None),
        Question::Map(hash) => {
            let text = text::<MapResult>(results, hash, |part| part.text);
            let text = text.or_else(|reason| Err(wrong(none_of(mirror, reason, now_ms)?)))?;
            let (count, bytes) = filled(&texts.join("maps"));
            if count >= MAPS_MAX || bytes.saturating_add(text.len() as u64) > MAPS_BYTES_MAX {
                let reason = "it names more maps, or more text of maps, than is kept of a gateway";
                return Err(none_of(mirror, reason.to_owned(), now_ms)?);
            }
            let kept = Maps::open(texts).and_then(|maps| maps.keep_text(hash, &text));
            kept.map_err(|error| format!("a map can't be kept: {error}"))?;
        }
        Question::Token(hash) => {
            let text = text::<TokenResult>(results, hash, |part| part.text);
            let text = text.or_else(|reason| Err(wrong(none_of(mirror, reason, now_ms)?)))?;
            if text.len() > TOKEN_BYTES_MAX {
                let reason = "what it gives as a token is longer than one can be";
                return Err(none_of(mirror, reason.to_owned(), now_ms)?);
            }
            let tokens = Tokens::open(texts).map(Tokens::of_city);
            let kept = tokens.and_then(|mut tokens| tokens.keep(&[(hash.clone(), text)]));
            kept.map_err(|error| format!("a token can't be kept: {error}"))?;
        }
    }
    let known = mirror.has_text(question);
    known.map_err(|error| format!("what is still missing can't be written down: {error}"))?;
    Ok(None)
}

/// What was given for a text is none, for this reason: others must not wait for it.
fn none_of(mirror: &mut Mirror, reason: String, now_ms: u64) -> Result<String, String> {
    let noted = mirror.has_no_text(now_ms);
    noted.map(|()| reason).map_err(|error| error.to_string())
}

/// The files of a folder, as many as are kept, and their bytes.
fn filled(dir: &Path) -> (usize, u64) {
    let entries = fs::read_dir(dir).into_iter().flatten().take(MAPS_MAX);
    let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
    sizes.fold((0, 0), |(count, bytes), about| {
        (count + 1, bytes + about.len())
    })
}

/// The leaves of an answer, with their places.
fn leaves(results: Vec<Value>) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let mut leaves = Vec::new();
    for result in results {
        let part: EntriesResult =
            serde_json::from_value(result).map_err(|error| error.to_string())?;
        for (place, leaf) in (0_u64..).zip(part.leaves) {
            let index = part
                .first
                .checked_add(place)
                .ok_or("a leaf beyond all places")?;
            leaves.push((index, leaf.into_bytes()));
        }
    }
    Ok(leaves)
}

fn proof_in(results: &[Value]) -> Result<Vec<Hash>, String> {
    let result = results.first().ok_or("no proof")?;
    let proof: ProofResult = ProofResult::deserialize(result).map_err(|error| error.to_string())?;
    let hashes = proof.hashes.iter().map(|hash| Hash::from_base64(hash));
    hashes
        .collect::<Option<_>>()
        .ok_or_else(|| "what is no hash".to_owned())
}

/// The note of an answer.
fn note_in(results: &[Value]) -> Option<String> {
    let result = CheckpointResult::deserialize(results.first()?).ok()?;
    Some(result.checkpoint)
}

/// The hashes of a tile.
fn hashes_in(results: &[Value]) -> Result<Vec<Hash>, String> {
    let result = results.first().ok_or("no tile")?;
    let tile = TileResult::deserialize(result).map_err(|error| error.to_string())?;
    let bytes = BASE64
        .decode(&tile.bytes)
        .map_err(|error| error.to_string())?;
    let width = u64::try_from(bytes.len()).unwrap_or(u64::MAX) / HASH_BYTES;
    hashes(&bytes, width).map_err(|error| error.to_string())
}

/// The text that the parts of an answer make up, if it has the hash that was asked for.
fn text<T: DeserializeOwned>(
    results: Vec<Value>,
    hash: &str,
    piece: impl Fn(T) -> String,
) -> Result<String, String> {
    let mut text = String::new();
    for result in results {
        let part = serde_json::from_value(result).map_err(|error| error.to_string())?;
        text.push_str(&piece(part));
    }
    if hashed::of(text.as_bytes()) != hash {
        return Err("another text than the one whose hash was asked for".to_owned());
    }
    Ok(text)
}
