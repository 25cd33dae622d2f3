//! Verifiers of ledgers that are not ours: `golang.org/x/mod/sumdb`, the reference implementation, in a program of
//! its own; and the crates `signed_note` and `ct-merkle`, by two other authors.

use anyhow::{Context, Result, bail, ensure};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use lineside_proto::ledger::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::subscriber::peer;

/// Where Debian puts the sources of Go's packages.
const GO_PATH: &str = "/usr/share/gocode";

/// A proof as its hashes in base64.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The leaf, or the older size.
    pub place: u64,
    /// The size.
    pub size: u64,
    /// The hashes.
    pub hashes: Vec<String>,
}

impl Proof {
    /// A proof of ours.
    pub fn new(place: u64, size: u64, hashes: &[Hash]) -> Self {
        let hashes = hashes.iter().map(Hash::to_string).collect();
        Self {
            place,
            size,
            hashes,
        }
    }
}

/// What a verifier is asked.
#[derive(Clone, Debug, Serialize)]
pub struct Question {
    /// The static files.
    pub dir: PathBuf,
    /// The origin.
    pub origin: String,
    /// The verifier keys.
    pub keys: Vec<String>,
    /// Notes that were seen before.
    pub seen: Vec<String>,
    /// Inclusion proofs that we made.
    pub inclusion: Vec<Proof>,
    /// Consistency proofs that we made.
    pub consistency: Vec<Proof>,
}

/// What the verifier found, where all is well.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Answer {
    /// Leaves of the checkpoint.
    pub size: u64,
    /// Its root.
    pub root: String,
    /// Leaves that were checked.
    pub leaves: u64,
    /// Earlier checkpoints that it continues.
    pub seen: u64,
    /// Inclusion proofs that hold.
    pub inclusion: u64,
    /// Consistency proofs that hold.
    pub consistency: u64,
}

/// The Go program, built once for its text and kept.
fn program() -> Result<PathBuf> {
    let source = peer("tlog_verify.go");
    let hash = Sha256::digest(fs::read(&source)?);
    let home = std::env::var_os("HOME").context("no HOME")?;
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from)
        .join("lineside");
    let name = format!("tlog_verify-{hash:x}");
    let program = cache.join(&name);
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&cache)?;
    // Others may build it too: each under a name of its own, and the last stands.
    let draft = cache.join(format!("{name}.{}", std::process::id()));
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([draft.as_path(), Path::new(&source)])
        .envs([("GO111MODULE", "off"), ("GOPATH", GO_PATH), ("GOFLAGS", "")])
        .env("GOCACHE", cache.join("go"))
        .output()
        .context("go is missing: run tests/setup.sh")?;
    ensure!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    fs::rename(draft, &program)?;
    Ok(program)
}

/// Asks the reference implementation.
///
/// # Errors
///
/// What it says is wrong.
pub fn reference(question: &Question) -> Result<Answer> {
    let mut child = Command::new(program()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    stdin.write_all(&serde_json::to_vec(question)?)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout)?),
        Some(1) => bail!("{}", String::from_utf8_lossy(&output.stderr).trim()),
        code => bail!(
            "the verifier broke ({code:?}): {}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// Opens a note by the crate `signed_note`: its three lines.
///
/// # Errors
///
/// When none of the keys signed it.
pub fn opened(note: &str, keys: &[String]) -> Result<(u64, [u8; 32])> {
    let mut known: Vec<Box<dyn Verifier>> = Vec::new();
    for key in keys {
        let key = StandardVerifier::new(key).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        known.push(Box::new(key));
    }
    let note = Note::from_bytes(note.as_bytes()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let (verified, _) = note
        .verify(&VerifierList::new(known))
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    ensure!(!verified.is_empty(), "nobody signed it");
    let text = std::str::from_utf8(note.text())?;
    let lines: Vec<&str> = text.lines().collect();
    let [_, size, root] = lines.as_slice() else {
        bail!("not three lines: {text:?}");
    };
    let root = Hash::from_base64(root).context("no hash")?;
    Ok((size.parse()?, root.0))
}

/// The crate `ct-merkle` with all leaves of a log.
#[derive(Debug)]
pub struct Tree {
    leaves: Vec<Vec<u8>>,
}

impl Tree {
    /// Over these leaves.
    pub fn new(leaves: Vec<Vec<u8>>) -> Self {
        Self { leaves }
    }

    /// The roots over so many of the first leaves each, as the crate makes them; in rising order.
    ///
    /// # Errors
    ///
    /// When there are fewer leaves.
    pub fn roots(&self, sizes: &[u64]) -> Result<Vec<[u8; 32]>> {
        let mut tree = MemoryBackedTree::<Sha256, &[u8]>::new();
        let mut leaves = self.leaves.iter();
        let mut roots = Vec::new();
        for size in sizes {
            while tree.len() < *size {
                tree.push(leaves.next().context("fewer leaves")?);
            }
            roots.push((*tree.root().as_bytes()).into());
        }
        Ok(roots)
    }

    /// Checks that a proof of ours shows a leaf.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn included(&self, index: u64, size: u64, root: [u8; 32], proof: &[Hash]) -> Result<()> {
        let proof = InclusionProof::<Sha256>::try_from_bytes(joined(proof))
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let leaf = self
            .leaves
            .get(usize::try_from(index)?)
            .context("no leaf")?;
        RootHash::<Sha256>::new(root.into(), size)
            .verify_inclusion(leaf, index, &proof)
            .map_err(|error| anyhow::anyhow!("leaf {index} in {size}: {error}"))
    }
}

/// Checks by `ct-merkle` that a proof of ours joins two heads.
///
/// # Errors
///
/// When it does not.
pub fn consistent(old: (u64, [u8; 32]), new: (u64, [u8; 32]), proof: &[Hash]) -> Result<()> {
    let proof = ConsistencyProof::<Sha256>::try_from_bytes(joined(proof))
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let root = |(size, root): (u64, [u8; 32])| RootHash::<Sha256>::new(root.into(), size);
    root(new)
        .verify_consistency(&root(old), &proof)
        .map_err(|error| anyhow::anyhow!("{} and {}: {error}", old.0, new.0))
}

fn joined(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}
