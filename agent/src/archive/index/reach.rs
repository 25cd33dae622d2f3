//! What a batch of leaves needs that is not in it.

use lineside_proto::ledger::{Leaf, LeafBody};
use lineside_proto::{Identifier, LocalText};

use super::IndexError;
use super::fold::{session_of, text};

/// What is not in the leaves of a batch.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    /// A machine's name by the hash of its map.
    pub(super) names: &'a dyn Fn(&str) -> Option<LocalText>,
    /// An earlier leaf of the log.
    pub(super) leaf: &'a dyn Fn(u64) -> Result<Option<Vec<u8>>, IndexError>,
}

impl Reach<'_> {
    /// The machine and the session of an earlier leaf, as that leaf says itself; none where it is of no session.
    pub(super) fn whose(&self, leaf: u64) -> Result<Option<(Identifier, String)>, IndexError> {
        let bytes = (self.leaf)(leaf)?;
        let leaf = bytes.and_then(|bytes| Leaf::from_bytes(&bytes).ok());
        // The outcome of a booking names a session, and is no leaf of it.
        let leaf = leaf.filter(|leaf| !matches!(leaf.body, LeafBody::Booking(_)));
        let told = leaf.as_ref().and_then(|leaf| session_of(&leaf.body));
        Ok(told.map(|(machine, session)| (machine.clone(), text(session))))
    }
}
