//! The proofs of a bundle: of its range, of the older tree, and of each session's leaf.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::checks::Checks;
use crate::evidence::{
    Bundle, Check, ConsistencyProof, Entry, Findings, Manifest, RangeProof, SessionPlace,
};
use crate::ledger::note::NoteError;
use crate::ledger::tree::{Hash, PROOF_HASHES_MAX, check_inclusion};
use crate::ledger::{Leaf, LeafBody};
use crate::text;

/// `proof/sessions.json`, its hashes as bytes.
#[derive(Deserialize)]
struct Sessions {
    size: u64,
    proofs: Vec<Session>,
}

/// A session's proof.
#[derive(Deserialize)]
struct Session {
    session: String,
    index: u64,
    hashes: Vec<Text>,
}

/// A hash in base64.
#[derive(Deserialize)]
#[serde(try_from = "std::borrow::Cow<'_, str>")]
struct Text(Hash);

impl TryFrom<std::borrow::Cow<'_, str>> for Text {
    type Error = NoteError;

    fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Self, NoteError> {
        Hash::from_base64(&text).map(Self).ok_or(NoteError::Form)
    }
}

/// The proofs of a bundle.
pub(super) struct Proofs {
    pub(super) left: Option<Vec<Hash>>,
    pub(super) right: Option<Vec<Hash>>,
    pub(super) consistency: Option<Vec<Hash>>,
    sessions: Option<Vec<Session>>,
    /// The proof whose leaf comes next.
    next: usize,
    found: Findings,
}

impl Proofs {
    /// Reads them. What can't be read fails the check that needs it.
    pub(super) fn read<R: Read + Seek>(
        bundle: &mut Bundle<R>,
        manifest: &Manifest,
        checks: &mut Checks,
    ) -> Self {
        let Manifest {
            first,
            size,
            start_size,
            ..
        } = *manifest;
        let range: Option<RangeProof> = json(bundle, &Entry::Range, Check::Tree, checks);
        let range = range.filter(|range| {
            demand(
                (range.from, range.to) == (first, size),
                &Entry::Range,
                Check::Tree,
                checks,
            )
        });
        let is_needed = start_size > 0 && start_size < size;
        let proof: Option<ConsistencyProof> = match is_needed {
            true => json(bundle, &Entry::Consistency, Check::Consistency, checks),
            false => None,
        };
        let proof = proof.filter(|proof| {
            let fits = (proof.from, proof.to) == (start_size, size);
            demand(fits, &Entry::Consistency, Check::Consistency, checks)
        });
        let sessions: Option<Sessions> = json(bundle, &Entry::Sessions, Check::Sessions, checks);
        let sessions = sessions.filter(|sessions| {
            demand(
                sessions.size == size,
                &Entry::Sessions,
                Check::Sessions,
                checks,
            )
        });
        let mut hashes = |texts: Option<&[String]>, entry, check| {
            let hashes = bounded(texts?);
            demand(hashes.is_some(), entry, check, checks);
            hashes
        };
        let range = range.as_ref();
        Self {
            left: hashes(range.map(|range| &*range.left), &Entry::Range, Check::Tree),
            right: hashes(range.map(|range| &*range.right), &Entry::Range, Check::Tree),
            consistency: match is_needed {
                true => hashes(
                    proof.as_ref().map(|proof| &*proof.hashes),
                    &Entry::Consistency,
                    Check::Consistency,
                ),
                false => Some(Vec::new()),
            },
            sessions: sessions.map(|sessions| sessions.proofs),
            next: 0,
            found: Findings::default(),
        }
    }

    /// A leaf, its hash, and the head that it must be in.
    pub(super) fn take(&mut self, leaf: &Leaf, hash: Hash, size: u64, root: Option<Hash>) {
        let index = leaf.head.index;
        let proofs = self.sessions.as_deref_mut().unwrap_or_default();
        while let Some(proof) = proofs
            .get_mut(self.next)
            .filter(|proof| proof.index <= index)
        {
            self.next += 1;
            // Hashes are asked for once, and those of all sessions are many.
            let hashes = std::mem::take(&mut proof.hashes);
            let (session, at) = (&proof.session, proof.index);
            let is_of = matches!(&leaf.body, LeafBody::Session(leaf) if leaf.session == *session);
            if at != index || !is_of {
                self.found.fail(
                    || text!("proof/sessions.json: leaf {at} is none of session {session}, or out of order", "proof/sessions.json：第 {at} 条记录不属于上机记录 {session}，或顺序不对"),
                );
                continue;
            }
            let hashes = hashes.iter().take(PROOF_HASHES_MAX + 1);
            let hashes: Vec<Hash> = hashes.map(|text| text.0).collect();
            let proven = root.map(|root| check_inclusion(hash, index, size, &hashes, root));
            if let Some(Err(error)) = proven {
                self.found.fail(|| {
                    text!(
                        "proof/sessions.json: session {session}, leaf {at}: {error}",
                        "proof/sessions.json：上机记录 {session}，第 {at} 条记录：{error}"
                    )
                });
            }
        }
    }

    /// Whether each session of the period has its proof.
    pub(super) fn finish(mut self, wanted: &[SessionPlace], checks: &mut Checks) {
        let Some(proofs) = &self.sessions else {
            return;
        };
        for proof in proofs.iter().skip(self.next) {
            let (session, at) = (&proof.session, proof.index);
            self.found.fail(|| {
                text!(
                    "proof/sessions.json: leaf {at} of session {session} is not in the bundle",
                    "proof/sessions.json：上机记录 {session} 的第 {at} 条记录不在证据包里"
                )
            });
        }
        let known: BTreeMap<u64, &str> = proofs
            .iter()
            .map(|proof| (proof.index, proof.session.as_str()))
            .collect();
        for SessionPlace { session, index, .. } in wanted {
            if known.get(index) != Some(&session.as_str()) {
                self.found.fail(
                    || text!("proof/sessions.json: there is no proof of leaf {index} of session {session}", "proof/sessions.json：缺少上机记录 {session} 的第 {index} 条记录的证明"),
                );
            }
        }
        checks.add(Check::Sessions, self.found);
    }
}

fn bounded(texts: &[String]) -> Option<Vec<Hash>> {
    let is_short = texts.len() <= PROOF_HASHES_MAX;
    let hashes = texts.iter().map(|text| Hash::from_base64(text));
    is_short.then(|| hashes.collect())?
}

fn demand(holds: bool, entry: &Entry, check: Check, checks: &mut Checks) -> bool {
    if !holds {
        checks.fail(check, || {
            text!(
                "{entry} is of other leaves than the manifest, or no proof",
                "{entry} 与清单里的记录数不符，或者不是证明"
            )
        });
    }
    holds
}

fn json<R: Read + Seek, T: DeserializeOwned>(
    bundle: &mut Bundle<R>,
    entry: &Entry,
    check: Check,
    checks: &mut Checks,
) -> Option<T> {
    let Some(bytes) = checks.entry(bundle, entry) else {
        checks.fail(check, || text!("{entry} can't be read", "{entry} 无法读取"));
        return None;
    };
    match serde_json::from_slice(&bytes) {
        Ok(read) => Some(read),
        Err(error) => {
            checks.fail(check, || text!("{entry}: {error}", "{entry}:{error}"));
            None
        }
    }
}
