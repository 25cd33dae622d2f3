//! Answers of a running gateway.

use lineside_proto::KeptCheckpoint;
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tile::Tile;
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

use super::copied::Before;
use super::question::{Code, Failure};
use super::source::{Source, unreadable};
use crate::ledger::{Ledger, LedgerError};

/// Gives a text by its hash (`sha256:` and 64 hexadecimal digits).
pub type Texts = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a running gateway knows. The ledger's lock is held only for what is in memory.
pub struct Gateway {
    /// Leaves, proofs and checkpoints.
    pub ledger: Ledger,
    /// The kept versions of machine maps.
    pub maps: Texts,
    /// The kept tokens of bookings.
    pub tokens: Texts,
    /// The status document; none before the first was made.
    pub status: Arc<dyn Fn() -> Option<Value> + Send + Sync>,
}

impl Source for Gateway {
    fn size(&self) -> u64 {
        self.ledger.size()
    }

    fn checkpoint(&self) -> Option<Arc<str>> {
        self.ledger.checkpoint().borrow().clone()
    }

    fn origin(&self) -> Option<String> {
        Some(self.ledger.origin())
    }

    fn before(&self, origin: &str) -> Option<Before> {
        Before::find(self.ledger.state_dir(), origin)
    }

    fn keys(&self) -> Vec<String> {
        self.ledger.keys().iter().map(ToString::to_string).collect()
    }

    fn leaves(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let read = self.ledger.read(from, bytes_max);
        read.map_err(|fault| failed(&fault))
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Failure> {
        let hashes = self.ledger.consistency(old, new);
        hashes.map_err(|fault| failed(&fault))
    }

    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Failure> {
        let hashes = self.ledger.inclusion(index, size);
        hashes.map_err(|fault| failed(&fault))
    }

    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, Failure> {
        self.ledger.tile(tile).map_err(|fault| failed(&fault))
    }

    fn kept(&self, sizes: Range<u64>) -> Vec<u64> {
        self.ledger.kept(sizes)
    }

    fn kept_note(&self, size: u64) -> Option<KeptCheckpoint> {
        let kept = self.ledger.kept_note(size)?;
        Some(KeptCheckpoint {
            at: kept.at,
            size,
            checkpoint: kept.note,
        })
    }

    fn map(&self, hash: &str) -> Option<String> {
        (self.maps)(hash)
    }

    fn token(&self, hash: &str) -> Option<String> {
        (self.tokens)(hash)
    }

    fn status(&self) -> Result<Value, Failure> {
        (self.status)().ok_or_else(|| {
            Failure::new(
                Code::Unavailable,
                "the gateway is starting: ask again in ten seconds",
            )
        })
    }
}

fn failed(fault: &LedgerError) -> Failure {
    tracing::warn!("a request could not be answered: the ledger can't be read: {fault}");
    unreadable()
}
