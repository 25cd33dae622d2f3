//! What is delivered: the outbox and the ledger, read alike.

use lineside_proto::Identifier;
use std::error::Error;
use std::sync::Arc;
use tokio::sync::watch;

use super::leaves::{Announcement, Unfit, announce, index, position};
use super::queue::Weight;
use crate::ledger::{Ledger, LedgerError};
use crate::outbox::{Outbox, Record, StoreError};

/// Something durable that is brought to the broker in the order of its positions, and remembers up to
/// where. A handle: its clones are the same store. All but the first three calls block on the disk.
pub(super) trait Store: Clone + Send + 'static {
    /// What is delivered.
    type Item: Weight + Send + 'static;
    /// Why it can't be read, or the mark not be kept.
    type Error: Error + Send + 'static;
    /// What people call it.
    const NAME: &'static str;

    /// How far it is durable, in the store's own count.
    fn durable(&self) -> watch::Receiver<u64>;
    /// The first position that is not yet durable, by what [`durable`](Self::durable) says.
    fn end(durable: u64) -> u64;
    /// Where a new connection begins: everything below was delivered.
    fn begin(&self) -> u64;
    /// Reads about so many bytes from a position on.
    ///
    /// # Errors
    ///
    /// What can't be read.
    fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Self::Item)>, Self::Error>;
    /// Everything below `mark` was delivered.
    fn acknowledge(&self, mark: u64);
    /// Makes the mark durable.
    ///
    /// # Errors
    ///
    /// A disk that does not take it.
    fn note_delivered(&self) -> Result<(), Self::Error>;
}

impl Store for Outbox {
    type Item = Record;
    type Error = StoreError;
    const NAME: &'static str = "outbox";

    fn durable(&self) -> watch::Receiver<u64> {
        Self::durable(self)
    }

    fn end(durable: u64) -> u64 {
        durable
    }

    fn begin(&self) -> u64 {
        self.delivered()
    }

    fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Record)>, StoreError> {
        Self::read(self, from, bytes_max)
    }

    fn acknowledge(&self, mark: u64) {
        Self::acknowledge(self, mark);
    }

    fn note_delivered(&self) -> Result<(), StoreError> {
        Self::note_delivered(self)
    }
}

/// The ledger, with what its documents name. Its positions are those of [`leaves`](super::leaves).
#[derive(Clone)]
pub(super) struct Leaves {
    pub(super) ledger: Ledger,
    pub(super) site: Identifier,
    pub(super) gateway: Identifier,
}

/// Why the ledger's leaves can't be announced.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeavesError {
    /// It can't be read, or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It is not to be published.
    #[error("it is suspended: {0}")]
    Suspended(Arc<str>),
    /// It can be read, and is not what it must be.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Store for Leaves {
    type Item = Announcement;
    type Error = LeavesError;
    const NAME: &'static str = "ledger";

    fn durable(&self) -> watch::Receiver<u64> {
        self.ledger.durable()
    }

    fn end(durable: u64) -> u64 {
        position(durable)
    }

    fn begin(&self) -> u64 {
        position(self.ledger.resume())
    }

    fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Announcement)>, LeavesError> {
        if let Some(reason) = self.ledger.suspended() {
            return Err(LeavesError::Suspended(reason));
        }
        let first = index(from);
        let leaves = self.ledger.read(first, bytes_max)?;
        Ok(announce((&self.site, &self.gateway), first, leaves)?)
    }

    fn acknowledge(&self, mark: u64) {
        self.ledger.acknowledge(index(mark));
    }

    fn note_delivered(&self) -> Result<(), LeavesError> {
        Ok(self.ledger.note_delivered()?)
    }
}
