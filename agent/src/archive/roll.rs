//! Which gateways are enrolled, for those who don't read the cards themselves.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lineside_proto::Identifier;

use super::Cards;

/// The enrolled gateways, as whoever reads the cards says it.
#[derive(Debug, Default)]
pub struct Roll {
    /// None before the cards were read for the first time.
    gateways: Mutex<Option<BTreeSet<(Identifier, Identifier)>>>,
}

impl Roll {
    /// From now on these are enrolled, and nobody else.
    pub fn set(&self, cards: &Cards) {
        let gateways = cards.gateways();
        let gateways = gateways.map(|(site, gateway)| (site.clone(), gateway.clone()));
        *self.held() = Some(gateways.collect());
    }

    /// Whether a gateway (its platform and its name) is enrolled. Before the cards were read anybody might be: what a
    /// broker kept comes first of all, and only once.
    pub fn has(&self, place: &(Identifier, Identifier)) -> bool {
        self.held()
            .as_ref()
            .is_none_or(|known| known.contains(place))
    }

    /// The enrolled gateways, in order; none before the cards were read.
    pub fn gateways(&self) -> Vec<(Identifier, Identifier)> {
        let held = self.held();
        held.iter().flatten().cloned().collect()
    }

    fn held(&self) -> MutexGuard<'_, Option<BTreeSet<(Identifier, Identifier)>>> {
        // It is replaced as a whole.
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
