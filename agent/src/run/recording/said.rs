//! What the city is told now: retained documents onto the board.

use lineside_proto::{
    Availability, BookingsAck, Clock as ClockDocument, GatewayStatus, Identifier, LedgerFigures,
    LedgerHead, Link, MachineCount,
};
use std::time::{Duration, Instant};

use super::{Pace, Recording};
use crate::clock::Discipline;
use crate::config::model::MachineMap;
use crate::field::Texts;
use crate::run::snapshot;
use crate::uplink::board::{Place, Retained};

impl Recording {
    /// Says what a machine is.
    pub(super) fn describe(&self, map: &MachineMap, texts: &[(u16, Texts)], pace: &mut Pace) {
        let document = snapshot::map_document(map, texts);
        let place = Place::Map(map.machine.clone());
        self.post(place, serde_json::to_vec(&document), None, pace);
    }

    /// Clears what the broker keeps of a machine.
    pub(super) fn retire(&self, machine: &Identifier, pace: &mut Pace) {
        for place in Place::all_of(machine) {
            self.post(place, Ok(Vec::new()), None, pace);
        }
    }

    /// Says what a machine is doing, and up to where that is proved.
    pub(super) fn say(&self, mut document: Availability, pace: &mut Pace) {
        // A head of a ledger that is not to be published proves nothing.
        if self.stores.ledger.suspended().is_none() {
            let (size, root) = self.stores.ledger.head();
            document.ledger = Some(LedgerHead {
                size,
                root: root.to_string(),
            });
        }
        let place = Place::Availability(document.machine.clone());
        self.post(
            place,
            serde_json::to_vec(&document),
            Some(self.origin.max_age()),
            pace,
        );
    }

    /// Says what became of a machine's bookings.
    pub(super) fn acknowledge(&self, ack: &BookingsAck, pace: &mut Pace) {
        let place = Place::BookingsAck(ack.machine.clone());
        self.post(place, serde_json::to_vec(ack), None, pace);
    }

    pub(super) fn post(
        &self,
        place: Place,
        payload: serde_json::Result<Vec<u8>>,
        max_age: Option<Duration>,
        pace: &mut Pace,
    ) {
        let payload = match payload {
            Ok(payload) => payload.into(),
            Err(error) => return tracing::error!(%error, ?place, "a document can't be written"),
        };
        pace.version += 1;
        let document = Retained {
            payload,
            version: pace.version,
            made: Instant::now(),
            max_age,
        };
        self.outlet.board.send_modify(|board| {
            if matches!(place, Place::Availability(_)) {
                let opening = board.openings.entry(place.clone());
                opening.or_insert_with(|| document.clone());
            }
            board.documents.insert(place, document);
        });
    }

    pub(super) fn status(&self, machines: MachineCount) -> GatewayStatus {
        let Discipline { status, error_ms } = *self.stores.discipline.borrow();
        GatewayStatus {
            v: 1,
            site: self.origin.site.clone(),
            gateway: self.origin.gateway.clone(),
            link: Link::Online,
            boot: Some(self.origin.boot.clone()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            started: Some(self.started),
            clock: Some(ClockDocument {
                status,
                offset_ms: error_ms.and_then(|error_ms| i64::try_from(error_ms).ok()),
            }),
            machines: Some(machines),
            outbox: Some(self.stores.outbox.figures()),
            ledger: Some(LedgerFigures {
                size: self.stores.ledger.size(),
                cosigned: self.stores.ledger.cosigned(),
                suspended: self.stores.ledger.suspended().map(|why| why.to_string()),
            }),
            max_age_s: Some(self.origin.max_age_s()),
            at: Some(self.clock.now().wall),
        }
    }
}
