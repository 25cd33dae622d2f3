//! A log that the real code wrote, restarts and a change of keys in between, is verified by others.

use anyhow::{Context, Result, ensure};
use lineside::ledger::verify_files;
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::note::VerifierKey;
use lineside_tests::foreign::{self, Proof, Question, Tree};
use lineside_tests::log::{self, Gateway, ORIGIN};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What each run of the agent appended before it signed.
const RUNS: [u64; 8] = [1, 299, 212, 256, 1, 511, 7, 188];

/// A log of several tiles and one above them.
pub(crate) struct Written {
    place: TempDir,
    /// The notes, in order.
    pub(crate) notes: Vec<String>,
    /// Every key that ever signed.
    pub(crate) keys: Vec<VerifierKey>,
}

impl Written {
    /// Writes it.
    pub(crate) fn new() -> Result<Self> {
        let place = tempfile::tempdir()?;
        let gateway = Gateway::new(place.path());
        let (mut notes, mut keys) = (Vec::new(), Vec::<VerifierKey>::new());
        for (run, count) in RUNS.into_iter().enumerate() {
            let ledger = gateway.open()?;
            match run {
                2 => drop(ledger.rotate_key()?),
                5 => ledger.finish_rotation()?,
                _ => {}
            }
            log::grow(&ledger, count, 1 + count / 5, "")?;
            ledger.sign()?.context("nothing was signed")?;
            notes.push(log::note(&ledger)?);
            keys.extend(ledger.keys());
        }
        // A tail that nobody signed.
        log::grow(&gateway.open()?, 5, 5, "")?;
        keys.sort_by_key(ToString::to_string);
        keys.dedup();
        ensure!(keys.len() == 2, "{keys:?}");
        Ok(Self { place, notes, keys })
    }

    pub(crate) fn gateway(&self) -> Gateway {
        Gateway::new(self.place.path())
    }

    /// Leaves of the newest checkpoint.
    pub(crate) fn size(&self) -> u64 {
        RUNS.iter().sum()
    }

    /// What a verifier is asked who has seen these notes.
    pub(crate) fn question(&self, dir: &Path, seen: &[String]) -> Question {
        Question {
            dir: dir.to_owned(),
            origin: ORIGIN.to_owned(),
            keys: self.keys.iter().map(ToString::to_string).collect(),
            seen: seen.to_vec(),
            inclusion: Vec::new(),
            consistency: Vec::new(),
        }
    }
}

#[test]
fn the_reference_implementation_verifies_every_leaf_tile_proof_and_checkpoint() -> Result<()> {
    let written = Written::new()?;
    let gateway = written.gateway();
    let files = gateway.files();
    let mut question = written.question(&files, &written.notes);
    let size = written.size();
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    {
        let ledger = gateway.open()?;
        for index in 0..size {
            inclusion.push(Proof::new(index, size, &ledger.inclusion(index, size)?));
        }
        for old in 1..=size {
            let new = (old + old % 301).min(size);
            consistency.push(Proof::new(old, new, &ledger.consistency(old, new)?));
        }
    }
    let proofs = size;
    (question.inclusion, question.consistency) = (inclusion, consistency);
    let answer = foreign::reference(&question)?;
    ensure!(
        answer.size == size && answer.leaves == size && size > 1100,
        "{answer:?}"
    );
    ensure!(
        answer.inclusion == proofs && answer.consistency == proofs,
        "{answer:?}"
    );
    ensure!(answer.seen == RUNS.len() as u64, "{answer:?}");
    ensure!(
        files.join("tile/1/000.p/5").exists(),
        "no tile above the others"
    );
    // Ours says the same.
    let seen: Vec<_> = written
        .notes
        .iter()
        .map(|note| log::head(note))
        .collect::<Result<_>>()?;
    let head = verify_files(&files, &written.keys, ORIGIN, &seen)?;
    ensure!(head.size == size && head.root.to_string() == answer.root);
    // A wrong proof is not taken.
    let first = question.inclusion.first_mut().context("a proof")?;
    first.hashes.reverse();
    let said = foreign::reference(&question)
        .err()
        .context("a wrong proof holds")?;
    ensure!(
        said.to_string().contains("inclusion proof of leaf 0"),
        "{said}"
    );
    Ok(())
}

#[test]
fn two_crates_of_others_verify_every_leaf_proof_and_checkpoint() -> Result<()> {
    let written = Written::new()?;
    let ledger = written.gateway().open()?;
    let size = written.size();
    let keys: Vec<String> = written.keys.iter().map(ToString::to_string).collect();
    let mut heads = Vec::new();
    for note in &written.notes {
        heads.push(foreign::opened(note, &keys)?);
    }
    let sizes: Vec<u64> = heads.iter().map(|(size, _)| *size).collect();
    let tree = Tree::new(log::leaves(&ledger, 0)?);
    let roots = tree.roots(&sizes)?;
    ensure!(
        roots.iter().eq(heads.iter().map(|(_, root)| root)),
        "a root is another"
    );
    let (last, root) = *heads.last().context("a head")?;
    ensure!(last == size);
    for index in 0..size {
        tree.included(index, size, root, &ledger.inclusion(index, size)?)?;
    }
    for new in &heads {
        for old in heads.iter().filter(|old| old.0 <= new.0) {
            foreign::consistent(*old, *new, &ledger.consistency(old.0, new.0)?)?;
        }
    }
    // They do refuse.
    let proof = ledger.inclusion(7, size)?;
    ensure!(tree.included(8, size, root, &proof).is_err());
    let first = *heads.first().context("a head")?;
    let wrong = (first.0, Hash::of_nothing().0);
    ensure!(foreign::consistent(wrong, (last, root), &ledger.consistency(first.0, last)?).is_err());
    let note = written.notes.first().context("a note")?;
    ensure!(foreign::opened(&note.replace("\n1\n", "\n2\n"), &keys).is_err());
    Ok(())
}

/// The small log that pins the formats: it is not only we who made it that find it sound.
#[test]
fn others_verify_the_log_that_pins_the_formats() -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/testdata/ledger");
    let key = fs::read_to_string(dir.join("log.vkey"))?
        .trim_end()
        .to_owned();
    let note = fs::read_to_string(dir.join("checkpoint"))?;
    let question = Question {
        origin: "lineside/site-01/gateway-01".to_owned(),
        keys: vec![key.clone()],
        seen: vec![note.clone()],
        inclusion: Vec::new(),
        consistency: Vec::new(),
        dir,
    };
    let answer = foreign::reference(&question)?;
    ensure!(answer.leaves == 259, "{answer:?}");
    let (size, root) = foreign::opened(&note, &[key])?;
    ensure!((size, Hash(root).to_string()) == (answer.size, answer.root));
    Ok(())
}
