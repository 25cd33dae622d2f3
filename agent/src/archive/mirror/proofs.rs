//! What two signed heads prove against whoever signed them, from leaves that are held.

use std::collections::BTreeMap;

use lineside_proto::ledger::tree::{self, Hash, Range};

use super::{Head, Mirror};
use crate::archive::alarm::{Alarm, Kind, ProofDocument};
use crate::ledger::LedgerError;

impl Mirror {
    /// The alarm for two heads of one size, with two roots.
    pub(super) fn two_heads(known: &Head, shown: &Head) -> Alarm {
        let size = shown.checkpoint.size;
        Alarm {
            kind: Kind::TwoHeads,
            text: format!("two heads of {size} leaves were signed, with two roots"),
            known: Some(known.note.to_string()),
            shown: Some(shown.note.to_string()),
            proof: None,
        }
    }

    /// The alarm for a head whose root is not that of the first leaves under a larger one, with the proof of it.
    pub(super) fn fork(known: &Head, shown: &Head, proof: ProofDocument) -> Alarm {
        let (held, size) = (known.checkpoint.size, shown.checkpoint.size);
        let text = if size < held {
            format!(
                "a head of {size} leaves was signed that is not the beginning of the {held} leaves signed before: the log was shortened and continued, an old copy was restored, or two run"
            )
        } else {
            format!(
                "a head of {size} leaves was signed that does not continue the {held} leaves signed before: a leaf was changed, an old copy was restored, or two run"
            )
        };
        Alarm {
            kind: Kind::Fork,
            text,
            known: Some(known.note.to_string()),
            shown: Some(shown.note.to_string()),
            proof: Some(proof),
        }
    }

    /// The proof by leaves that are in tiles, or wait, of what the root of the first `old` is under a head of `new`.
    ///
    /// # Errors
    ///
    /// The tiles can't be read, or not so many leaves are here.
    pub(in crate::archive) fn proof_of(
        &self,
        old: u64,
        new: u64,
    ) -> Result<ProofDocument, LedgerError> {
        let size = self.size();
        let mut range: Range = self.range.clone();
        let mut nodes: BTreeMap<(u8, u64), Hash> = BTreeMap::new();
        for (_, leaf) in self.ahead.range(size..new) {
            range.push(Hash::of_leaf(leaf), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
        }
        let read = |level: u8, index: u64| match nodes.get(&(level, index)) {
            Some(hash) => Ok(*hash),
            None => self.tiles.node(level, index),
        };
        let hashes = tree::consistency(old, new, read)?;
        let old_root = tree::root(old, read)?;
        let new_root = tree::root(new, read)?;
        Ok(ProofDocument::of((old, old_root), (new, new_root), &hashes))
    }
}
