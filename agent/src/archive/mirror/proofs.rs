//! What two signed heads prove against whoever signed them, from leaves that are held.

use std::collections::BTreeMap;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::tree::{self, Hash, Range, check_consistency};

use super::{Head, Mirror, MirrorError};
use crate::archive::alarm::{Alarm, Kind, ProofDocument};

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

    /// The proof by leaves that are in tiles, or wait, of what the root of the first `old` is under a head that they are
    /// all under.
    ///
    /// # Errors
    ///
    /// The tiles can't be read, not so many leaves are here, or ([`MirrorError::Damaged`]) the tiles are not those of the
    /// head: what went bad on this disk tells against nobody.
    pub(in crate::archive) fn proof_of(
        &self,
        old: u64,
        head: &Checkpoint,
    ) -> Result<ProofDocument, MirrorError> {
        let (size, new) = (self.size(), head.size);
        let mut range: Range = self.range.clone();
        let mut nodes: BTreeMap<(u8, u64), Hash> = BTreeMap::new();
        // Of a long stretch a part is in tiles, and more than the head speaks for.
        for (_, leaf) in self.ahead.range(size..new.max(size)) {
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
        check_consistency(old, new, &hashes, old_root, head.root).map_err(|error| {
            MirrorError::Damaged(format!("its tiles are not those of its head: {error}"))
        })?;
        Ok(ProofDocument::of(
            (old, old_root),
            (new, head.root),
            &hashes,
        ))
    }
}
