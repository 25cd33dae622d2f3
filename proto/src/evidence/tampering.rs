//! Bundles that were tampered with, each sealed again as well as whoever did it could.
//!
//! Four hands do it: an *outsider* has no key, makes every proof, tile, hash and total anew, and keeps the signed
//! notes; a *stranger* signs all with a key of their own; the gateway's owner rewrites what was written *later*, when
//! a witness has seen it; and the *platform* has its gateway write what is not so from the start.

mod bundles;
mod entries;
mod leaves;
mod maps;
mod signers;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::entry::hex;
use super::sample::{Files, Keys, Plan, Sample, zip};
use super::{Check, Manifest, Status, Trust, Verdict, Verification};
use crate::ledger::note::{KeyKind, SignerKey};

/// The sample as it is, sealed once for all tests.
static SEALED: LazyLock<(Sample, Manifest, Files)> = LazyLock::new(|| {
    let sample = Sample::new();
    let (manifest, files) = sample.seal(&sample.middle()).unwrap();
    (sample, manifest, files)
});

/// The sample as it is.
struct Honest {
    sample: &'static Sample,
    plan: Plan,
    files: Files,
    trust: Trust,
}

/// The sample, to be changed.
fn copy() -> Sample {
    let (sample, ..) = &*SEALED;
    Sample {
        keys: Keys::new(),
        leaves: sample.leaves.clone(),
        maps: sample.maps.clone(),
        tokens: sample.tokens.clone(),
        cosigned: sample.cosigned.clone(),
    }
}

impl Honest {
    fn new() -> Self {
        let (sample, _, files) = &*SEALED;
        Self {
            sample,
            plan: sample.middle(),
            files: files.clone(),
            trust: Trust::parse(&sample.trust()).unwrap(),
        }
    }

    /// The same leaves as the platform can have them written, and as an outsider can change them: then the notes are
    /// the old ones.
    fn platform_and_outsider(&self, changed: &Sample) -> [Verification; 2] {
        let (manifest, mut files) = changed.seal(&changed.middle()).unwrap();
        let verified =
            |files: &Files| verify_bytes(&zip(&manifest, files).unwrap(), Some(&self.trust));
        let platform = verified(&files);
        let is_note = |path: &str| path.starts_with("checkpoint/");
        files.retain(|path, _| !is_note(path));
        let notes = self.files.iter().filter(|(path, _)| is_note(path));
        files.extend(notes.map(|(path, bytes)| (path.clone(), bytes.clone())));
        [platform, verified(&files)]
    }

    /// As one can who has another key.
    fn stranger(&self, mut changed: Sample) -> Verification {
        let name = super::sample::ORIGIN;
        changed.keys.gateway = SignerKey::new(name, KeyKind::Ed25519, &[66; 32]).unwrap();
        let plan = Plan {
            cosigned: Vec::new(),
            ..changed.middle()
        };
        let (manifest, files) = changed.seal(&plan).unwrap();
        verify_bytes(&zip(&manifest, &files).unwrap(), Some(&self.trust))
    }

    /// As the gateway's owner can, after a witness has seen how it was.
    fn later(&self, changed: &Sample) -> Verification {
        let plan = Plan {
            cosigned: Vec::new(),
            ..changed.middle()
        };
        let (manifest, mut files) = changed.seal(&plan).unwrap();
        let is_seen = |path: &str| path.starts_with("checkpoint/cosigned/");
        let seen = self.files.iter().filter(|(path, _)| is_seen(path));
        files.extend(seen.map(|(path, bytes)| (path.clone(), bytes.clone())));
        verify_bytes(&zip(&manifest, &files).unwrap(), Some(&self.trust))
    }

    /// As the platform can, from the start.
    fn platform(&self, changed: &Sample) -> Verification {
        let (manifest, files) = changed.seal(&changed.middle()).unwrap();
        verify_bytes(&zip(&manifest, &files).unwrap(), Some(&self.trust))
    }
}

/// A folder that gets each bundle of these tests, where it is set: other verifiers are tried on them, too.
const KEPT: &str = "LINESIDE_TAMPERED";

/// Verifies a bundle, and keeps it where that is asked for.
fn verify_bytes(bytes: &[u8], trust: Option<&Trust>) -> Verification {
    if let Some(folder) = std::env::var_os(KEPT) {
        let hash = hex(&Sha256::digest(bytes));
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default().rsplit("::").next();
        let name = format!("{}-{}.zip", test.unwrap_or_default(), &hash[..16]);
        std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
    }
    super::verify_bytes(bytes, trust)
}

/// What failed, by its check.
fn failed(verification: &Verification) -> BTreeMap<Check, String> {
    let results = verification.checks.iter();
    let failed = results.filter(|result| result.status == Status::Failed);
    failed
        .map(|result| (result.check, result.said.join("\n")))
        .collect()
}

/// The bundle is refused, by this check and in these words.
fn refused(what: &str, verification: &Verification, check: Check, words: &str) {
    let failed = failed(verification);
    assert_eq!(verification.verdict, Verdict::Failed, "{what}: {failed:#?}");
    let said = failed.get(&check);
    let said = said.unwrap_or_else(|| panic!("{what}: {check:?} says nothing: {failed:#?}"));
    assert!(said.contains(words), "{what}: {said}");
}

/// The bundle is not refused, and this check says so.
fn noted(what: &str, verification: &Verification, check: Check, words: &str) {
    let mut results = verification.checks.iter();
    let result = results.find(|result| result.check == check).unwrap();
    assert_eq!(result.status, Status::Note, "{what}: {result:?}");
    let said = result.said.join("\n");
    assert!(said.contains(words), "{what}: {said}");
}
