//! What the city should see now: one retained document a topic, the newest wins.

use lineside_proto::{Identifier, Topics};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The retained documents of this gateway, in the order in which they go out after a reconnect.
/// Sent through a `watch`, so that they never queue behind history.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The documents by place.
    pub documents: BTreeMap<Place, Retained>,
    /// What each machine's place said first since the start: that nobody knows. The first connection
    /// says it before the newest, however soon the machine was read.
    pub openings: BTreeMap<Place, Retained>,
}

/// Where a retained document stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A machine's availability. Before the status: a reader must not be told ONLINE while it
    /// still holds what an earlier run said of a machine.
    Availability(Identifier),
    /// The gateway's status.
    Status,
    /// What a machine is.
    Map(Identifier),
    /// What became of the bookings that the portal sent for a machine.
    BookingsAck(Identifier),
}

impl Place {
    /// Every place of one machine.
    pub fn all_of(machine: &Identifier) -> [Self; 3] {
        [
            Self::Availability(machine.clone()),
            Self::Map(machine.clone()),
            Self::BookingsAck(machine.clone()),
        ]
    }

    /// The topic of this place.
    pub fn topic(&self, topics: &Topics) -> String {
        match self {
            Self::Status => topics.status(),
            Self::Availability(machine) => topics.availability(machine),
            Self::Map(machine) => topics.map(machine),
            Self::BookingsAck(machine) => topics.bookings_ack(machine),
        }
    }
}

/// A document that the broker is to keep.
#[derive(Clone, Debug)]
pub struct Retained {
    /// The document; empty to clear what the broker keeps there.
    pub payload: Arc<[u8]>,
    /// Differs whenever the document was made anew.
    pub version: u64,
    /// When it was made.
    pub made: Instant,
    /// For how long after that it may be believed; none: until it is replaced.
    pub max_age: Option<Duration>,
}

/// Reads the status document off a board; none before it was said for the first time.
pub fn status_of(board: watch::Receiver<Board>) -> Arc<dyn Fn() -> Option<Value> + Send + Sync> {
    Arc::new(move || {
        let board = board.borrow();
        let status = board.documents.get(&Place::Status)?;
        serde_json::from_slice(&status.payload).ok()
    })
}
