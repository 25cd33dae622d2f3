//! Answers from a copied state directory, or an archive's copy of a log: without keys or locks, and without writing anything. Nothing that the
//! files say is trusted here; what they are worth whoever gets the answers finds out.

use lineside_proto::KeptCheckpoint;
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tile::Tile;
use serde_json::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::question::{Code, Failure};
use super::source::Source;
use crate::ledger::{LedgerError, PutAside, View};
use crate::maps::Maps;
use crate::tokens::Tokens;

/// A state directory, as it was when it was opened.
#[derive(Debug)]
pub struct Copied {
    dir: PathBuf,
    view: View,
    maps: Maps,
    tokens: Tokens,
    keys: Vec<String>,
}

/// The ledger of an epoch before, which was put aside in a state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    state_dir: PathBuf,
    ledger: PutAside,
}

impl Before {
    /// Looks for the one with this origin, if it was put aside and is still there.
    pub fn find(state_dir: &Path, origin: &str) -> Option<Self> {
        Some(Self {
            ledger: PutAside::find(state_dir, origin)?,
            state_dir: state_dir.to_owned(),
        })
    }

    /// Looks at it; nothing where it does not fit together.
    pub fn open(&self) -> Option<Copied> {
        Some(Copied::of(self.ledger.open().ok()?, &self.state_dir))
    }
}

impl Copied {
    /// Looks at a state directory: `ledger/`, `maps/` and `tokens/` in it.
    ///
    /// # Errors
    ///
    /// There is no ledger in it, or none that fits together.
    pub fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        Ok(Self::of(View::open(state_dir)?, state_dir))
    }

    /// A log's files, and a directory with the `maps/` and `tokens/` that they name.
    pub fn of(view: View, texts: &Path) -> Self {
        Self {
            dir: texts.to_owned(),
            view,
            maps: Maps::of(texts),
            tokens: Tokens::of(texts),
            keys: Vec::new(),
        }
    }

    /// The same, where it is known which verifier keys the log signs with now.
    #[must_use]
    pub fn signed_by(self, keys: Vec<String>) -> Self {
        Self { keys, ..self }
    }
}

impl Source for Copied {
    fn size(&self) -> u64 {
        self.view.size()
    }

    fn checkpoint(&self) -> Option<Arc<str>> {
        self.view.checkpoint()
    }

    fn before(&self, origin: &str) -> Option<Before> {
        Before::find(&self.dir, origin)
    }

    fn keys(&self) -> Vec<String> {
        self.keys.clone()
    }

    fn leaves(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let read = self.view.read(from, bytes_max);
        read.map_err(|fault| torn(&fault))
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Failure> {
        let hashes = self.view.consistency(old, new);
        hashes.map_err(|fault| torn(&fault))
    }

    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Failure> {
        let hashes = self.view.inclusion(index, size);
        hashes.map_err(|fault| torn(&fault))
    }

    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, Failure> {
        self.view.tile(tile).map_err(|fault| torn(&fault))
    }

    fn kept(&self, sizes: Range<u64>) -> Vec<u64> {
        self.view.kept(sizes)
    }

    fn kept_note(&self, size: u64) -> Option<KeptCheckpoint> {
        let kept = self.view.kept_note(size)?;
        Some(KeptCheckpoint {
            at: kept.at,
            size,
            checkpoint: kept.note,
        })
    }

    fn map(&self, hash: &str) -> Option<String> {
        self.maps.text(hash)
    }

    fn token(&self, hash: &str) -> Option<String> {
        self.tokens.text(hash)
    }

    fn status(&self) -> Result<Value, Failure> {
        Err(Failure::new(
            Code::Unavailable,
            "a copy of a state directory has no status: ask the gateway",
        ))
    }
}

fn torn(fault: &LedgerError) -> Failure {
    Failure::new(
        Code::Unavailable,
        format!("{fault}: copy the state directory again, with the agent stopped if need be"),
    )
}
