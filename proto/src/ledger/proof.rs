//! A leaf's proof as a file of its own (C2SP tlog-proof): where it stands, the way to the root, and the signed
//! head. With the leaf's bytes and the keys of log and witnesses it can be checked anywhere, for ever.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{Note, NoteError};
use super::tree::{Hash, PROOF_HASHES_MAX, ProofError, check_inclusion};

/// The first line of such a file.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// How the name of such a file ends.
pub const EXTENSION: &str = "tlog-proof";

/// A leaf's proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafProof {
    /// What nobody signed: Lineside puts the leaf's exact bytes here, whose hash is what is proven.
    pub extra: Option<Vec<u8>>,
    /// Where the leaf stands in the log.
    pub index: u64,
    /// From its sibling up to the root's child.
    pub hashes: Vec<Hash>,
    /// The signed note of the tree, as the log and its witnesses signed it.
    pub checkpoint: String,
}

/// Why a text is no proof, or proves nothing of a leaf.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeafProofError {
    /// It does not begin as a proof does.
    #[error("the first line is not `{HEADER}`")]
    Header,
    /// The extra data is no base64.
    #[error("the line `extra` is no base64")]
    Extra,
    /// There is no line `index`, or its number is no plain decimal.
    #[error("the line `index` is missing, or its number is no plain number")]
    Index,
    /// A hash is none, or there are more than a tree can have.
    #[error("hash {0} of the proof is no SHA-256 hash in base64, or one too many")]
    Hash(usize),
    /// The signed head is none.
    #[error("what follows the hashes is no signed note")]
    Note(#[source] NoteError),
    /// What was signed is no head of a log.
    #[error("what was signed is no checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The leaf is not in that tree.
    #[error("the leaf is not in the signed tree")]
    Leaf(#[source] ProofError),
}

impl LeafProof {
    /// Reads a proof.
    ///
    /// # Errors
    ///
    /// [`LeafProofError`] names the line that is wrong. The note is not looked at.
    pub fn parse(text: &str) -> Result<Self, LeafProofError> {
        let rest = text.strip_prefix(HEADER).ok_or(LeafProofError::Header)?;
        let rest = rest.strip_prefix('\n').ok_or(LeafProofError::Header)?;
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(LeafProofError::Index)?;
        let mut lines = head.split('\n').peekable();
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.and_then(|line| line.strip_prefix("extra "));
        let extra = extra.map(|extra| STANDARD.decode(extra)).transpose();
        let extra = extra.map_err(|_| LeafProofError::Extra)?;
        let digits = lines.next().and_then(|line| line.strip_prefix("index "));
        let digits = digits.ok_or(LeafProofError::Index)?;
        let index: u64 = digits.parse().map_err(|_| LeafProofError::Index)?;
        if index.to_string() != digits {
            return Err(LeafProofError::Index);
        }
        let mut hashes = Vec::new();
        for line in lines {
            let place = hashes.len();
            let hash = Hash::from_base64(line).filter(|_| place < PROOF_HASHES_MAX);
            hashes.push(hash.ok_or(LeafProofError::Hash(place))?);
        }
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// The head that it leads to. Who signed it is the caller's to check.
    ///
    /// # Errors
    ///
    /// [`LeafProofError::Note`] and [`LeafProofError::Checkpoint`].
    pub fn head(&self) -> Result<Checkpoint, LeafProofError> {
        let note = Note::parse(&self.checkpoint).map_err(LeafProofError::Note)?;
        Checkpoint::parse(&note.text).map_err(LeafProofError::Checkpoint)
    }

    /// That a leaf of this hash stands at its place, under the head that is returned.
    ///
    /// # Errors
    ///
    /// [`LeafProofError::Leaf`], and those of [`LeafProof::head`].
    pub fn check(&self, leaf: Hash) -> Result<Checkpoint, LeafProofError> {
        let head = self.head()?;
        check_inclusion(leaf, self.index, head.size, &self.hashes, head.root)
            .map_err(LeafProofError::Leaf)?;
        Ok(head)
    }
}

impl fmt::Display for LeafProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::{LeafProof, LeafProofError};
    use crate::Time;
    use crate::ledger::Checkpoint;
    use crate::ledger::note::{KeyKind, NoteError, SignerKey};
    use crate::ledger::tree::{self, Hash, ProofError};
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// The hash of a node of a log whose leaves are their own numbers.
    fn node(level: u8, index: u64) -> Hash {
        match level.checked_sub(1) {
            None => Hash::of_leaf(index.to_string().as_bytes()),
            Some(below) => Hash::of_node(&node(below, 2 * index), &node(below, 2 * index + 1)),
        }
    }

    /// The proof of a leaf of such a log.
    fn proof(index: u64, size: u64) -> LeafProof {
        let read = |level, index| Ok::<_, Infallible>(node(level, index));
        let head = Checkpoint {
            origin: "example.com/log".to_owned(),
            size,
            root: tree::root(size, read).unwrap(),
        };
        let key = SignerKey::new("example.com/log", KeyKind::Ed25519, &[7; 32]).unwrap();
        let signature = key.sign(&head.to_string(), Time::default());
        LeafProof {
            extra: None,
            index,
            hashes: tree::inclusion(index, size, read).unwrap(),
            checkpoint: format!("{head}\n{signature}\n"),
        }
    }

    #[test]
    fn is_written_as_the_standard_says() {
        let text = proof(1, 3).to_string();
        let (leaf, other) = (node(0, 0), node(0, 2));
        let root = Hash::of_node(&node(1, 0), &other);
        let head = format!("example.com/log\n3\n{root}\n\n— example.com/log ");
        let lines = format!("c2sp.org/tlog-proof@v1\nindex 1\n{leaf}\n{other}\n\n{head}");
        assert!(text.starts_with(&lines), "{text}");
        assert!(text.ends_with("=\n"), "{text}");
        // Alone in its log it needs no hashes.
        let text = proof(0, 1).to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/log\n1\n"));
    }

    #[test]
    fn what_is_no_proof_is_refused_by_its_line() {
        let text = proof(1, 3).to_string();
        let check = |from: &str, to: &str, error| {
            let changed = text.replacen(from, to, 1);
            let read = LeafProof::parse(&changed);
            let got = read.and_then(|proof| proof.check(node(0, 1))).err();
            assert_eq!(got, error, "{to}");
        };
        check("index", "index", None);
        check("index", "extra YQ==\nindex", None);
        check("index", "extra Y\nindex", Some(LeafProofError::Extra));
        check("@v1", "@v2", Some(LeafProofError::Header));
        check("index 1", "index 01", Some(LeafProofError::Index));
        check("index 1\n", "", Some(LeafProofError::Index));
        check("\n\n", "\nAAAA\n\n", Some(LeafProofError::Hash(2)));
        let many = format!("\n{}\n", format!("{}\n", node(0, 0)).repeat(64));
        check("\n\n", &many, Some(LeafProofError::Hash(65)));
        let elsewhere = LeafProofError::Leaf(ProofError::Root);
        check("index 1", "index 0", Some(elsewhere));
        let beyond = LeafProofError::Leaf(ProofError::Beyond { place: 7, size: 3 });
        check("index 1", "index 7", Some(beyond));
        let unsigned = LeafProofError::Note(NoteError::Form);
        check("\n\n— ", "\n", Some(unsigned));
    }

    proptest! {
        #[test]
        fn any_leaf_of_any_log_is_proven_and_read_back(size in 1_u64..200, place in 0_u64..200) {
            let index = place % size;
            let mut proof = proof(index, size);
            proof.extra = (size % 2 == 0).then(|| index.to_string().into_bytes());
            let read = LeafProof::parse(&proof.to_string());
            prop_assert_eq!(read, Ok(proof.clone()));
            let head = proof.check(node(0, index)).unwrap();
            prop_assert_eq!(head.size, size);
            let other = proof.check(Hash::of_leaf(b"another"));
            prop_assert_eq!(other, Err(LeafProofError::Leaf(ProofError::Root)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(c2sp.org/tlog-proof@v1\n)?(extra .*\n)?(index [0-9]{0,21}\n)?[\\PC\n]{0,200}") {
            drop(LeafProof::parse(&text).map(|proof| proof.check(Hash([0; 32]))));
        }
    }
}
