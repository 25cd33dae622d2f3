//! What may be believed of every machine of the city now, by the consumer's rule, and what happens.
//!
//! It is fed with what comes over the broker, and knows no broker. Ages count on this host's monotonic clock. Only enrolled
//! gateways are taken in (`Roll`). Bounds: `GATEWAYS_MAX`, `MACHINES_MAX` and `BYTES_MAX` of all, `MACHINES_EACH_MAX` and
//! `BYTES_EACH_MAX` of one gateway, so that none takes the room of the others: what comes beyond them is not taken in, and
//! counted. What nobody renews goes after `KEPT_MS`.

mod documents;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lineside_proto::{
    Availability, GatewayStatus, Identifier, LocalText, Receipt, believed, is_online,
};
use serde::de::DeserializeOwned;

pub use documents::{HeadNews, LiveFigures, MachineNow, MachineSaid};

use super::Place;
use super::alarm::AlarmDocument;
use super::events::{Events, Kind};
use super::roll::Roll;
use crate::clock::Clock;

/// Gateways at most: four times as many as a large city has.
const GATEWAYS_MAX: usize = 4_096;
/// Machines of all gateways at most.
const MACHINES_MAX: usize = 65_536;
/// Bytes of all newest documents at most, as they were received.
const BYTES_MAX: usize = 64 << 20;
/// Machines of one gateway at most: ten times as many as stand beside one.
const MACHINES_EACH_MAX: usize = 256;
/// Bytes of one gateway's newest documents at most: two KiB a machine.
const BYTES_EACH_MAX: usize = 512 << 10;
/// A document that nobody renews goes after a day: whoever looks sees that a gateway fell silent, and names that were
/// made up don't stay.
const KEPT_MS: u64 = 86_400_000;

/// A message as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its payload; empty: the broker was told to forget the document.
    pub payload: &'a [u8],
    /// When, in milliseconds on this host's monotonic clock ([`crate::clock::Stamp::boot_ms`]).
    pub at_ms: u64,
    /// The message expiry interval that came with it, in seconds.
    pub expiry_s: Option<u32>,
    /// Whether it came as a retained message.
    pub retained: bool,
}

/// What may be believed of every machine now.
pub struct Live {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    events: Events,
    roll: Arc<Roll>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Known {
    gateways: BTreeMap<(Identifier, Identifier), Gateway>,
    machines: usize,
    bytes: usize,
    refused: u64,
}

#[derive(Debug, Default)]
struct Gateway {
    /// Bytes of its documents.
    bytes: usize,
    status: Option<Document<GatewayStatus>>,
    machines: BTreeMap<Identifier, Machine>,
}

#[derive(Debug, Default)]
struct Machine {
    availability: Option<Document<Availability>>,
    /// What was told of it last.
    told: Option<MachineNow>,
}

#[derive(Debug)]
struct Document<D> {
    receipt: Receipt<D>,
    bytes: usize,
}

impl Live {
    /// Nothing is known yet; who is enrolled, `roll` says.
    pub fn new(clock: Arc<dyn Clock>, roll: Arc<Roll>) -> Self {
        Self {
            clock,
            roll,
            known: Mutex::default(),
            events: Events::default(),
        }
    }

    /// What happens.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Takes in a gateway's status. What it says of another gateway counts as nothing.
    pub fn status(&self, site: &Identifier, gateway: &Identifier, received: Received<'_>) {
        let document = read(received, |said: &GatewayStatus| {
            said.site == *site && said.gateway == *gateway
        });
        let now_ms = self.clock.now().boot_ms;
        let place = (site.clone(), gateway.clone());
        let mut known = self.known();
        let before = known.gateways.get(&place);
        let old = before.map_or(0, |known| bytes(known.status.as_ref()));
        if document.is_none() && before.is_none() {
            return;
        }
        let change = (old, bytes(document.as_ref()));
        if !self.roll.has(&place) || !known.has_room(&place, change, 0) {
            known.refused = known.refused.saturating_add(1);
            return;
        }
        let gateway = known.gateways.entry(place.clone()).or_default();
        gateway.status = document;
        gateway.look(&self.events, (&place.0, &place.1), now_ms);
        if gateway.status.is_none() && gateway.machines.is_empty() {
            known.gateways.remove(&place);
        }
    }

    /// Takes in a machine's availability, likewise.
    pub fn availability(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        machine: &Identifier,
        received: Received<'_>,
    ) {
        let document = read(received, |said: &Availability| {
            said.site == *site && said.gateway == *gateway && said.machine == *machine
        });
        let now_ms = self.clock.now().boot_ms;
        let place = (site.clone(), gateway.clone());
        let mut known = self.known();
        let before = known.gateways.get(&place);
        let of_machine = before.and_then(|known| known.machines.get(machine));
        let old = of_machine.map_or(0, |known| bytes(known.availability.as_ref()));
        let more = usize::from(of_machine.is_none());
        if document.is_none() && more == 1 {
            return;
        }
        let change = (old, bytes(document.as_ref()));
        if !self.roll.has(&place) || !known.has_room(&place, change, more) {
            known.refused = known.refused.saturating_add(1);
            return;
        }
        known.machines += more;
        let gateway = known.gateways.entry(place.clone()).or_default();
        let entry = gateway.machines.entry(machine.clone()).or_default();
        entry.availability = document;
        let named = (&place.0, &place.1, machine);
        entry.tell(&self.events, gateway.status.as_ref(), named, now_ms);
        if received.payload.is_empty() {
            gateway.machines.remove(machine);
            let is_empty = gateway.status.is_none() && gateway.machines.is_empty();
            known.machines = known.machines.saturating_sub(1);
            if is_empty {
                known.gateways.remove(&place);
            }
        }
    }

    /// Looks again: what was believed may have become too old, and who said it may be enrolled no more. To be called once
    /// a second.
    pub fn look(&self) {
        let now_ms = self.clock.now().boot_ms;
        let mut known = self.known();
        let (mut machines, mut bytes) = (0, 0);
        known.gateways.retain(|place, known| {
            let kept_ms = if self.roll.has(place) { KEPT_MS } else { 0 };
            known.forget(now_ms, kept_ms);
            known.look(&self.events, (&place.0, &place.1), now_ms);
            // Whoever was left without a document was told of for the last time.
            known
                .machines
                .retain(|_, machine| machine.availability.is_some());
            machines += known.machines.len();
            bytes += known.bytes;
            known.status.is_some() || !known.machines.is_empty()
        });
        (known.machines, known.bytes) = (machines, bytes);
    }

    /// Says that a log has grown.
    pub fn head(&self, place: &Place, size: u64, root: String, cosigned: bool) {
        let news = HeadNews {
            site: place.site.clone(),
            gateway: place.gateway.clone(),
            epoch: place.epoch,
            size,
            root,
            cosigned,
        };
        self.events
            .say(Kind::Head, (&place.site, &place.gateway), &news);
    }

    /// Says that something was refused.
    pub fn alarm(&self, place: &Place, alarm: &AlarmDocument) {
        self.events
            .say(Kind::Alarm, (&place.site, &place.gateway), alarm);
    }

    /// Every machine that `wanted` picks by its platform and gateway, in order.
    pub fn machines(&self, wanted: impl Fn(&Identifier, &Identifier) -> bool) -> Vec<MachineNow> {
        let now_ms = self.clock.now().boot_ms;
        let known = self.known();
        let gateways = known.gateways.iter();
        gateways
            .filter(|((site, gateway), _)| wanted(site, gateway))
            .flat_map(|((site, gateway), known)| {
                let machines = known.machines.iter();
                machines.map(move |(machine, of)| {
                    let availability = of.availability.as_ref();
                    now(
                        known.status.as_ref(),
                        availability,
                        (site, gateway, machine),
                        now_ms,
                    )
                })
            })
            .collect()
    }

    /// Whether a gateway is there, by its own fresh status; none where nothing is known of it.
    pub fn is_online(&self, site: &Identifier, gateway: &Identifier) -> Option<bool> {
        let now_ms = self.clock.now().boot_ms;
        let known = self.known();
        let gateway = known.gateways.get(&(site.clone(), gateway.clone()))?;
        Some(gateway.is_online(now_ms))
    }

    /// The enrolled gateways, in order.
    pub fn enrolled(&self) -> Vec<(Identifier, Identifier)> {
        self.roll.gateways()
    }

    /// How much is known.
    pub fn figures(&self) -> LiveFigures {
        let now_ms = self.clock.now().boot_ms;
        let known = self.known();
        let online = known
            .gateways
            .values()
            .filter(|known| known.is_online(now_ms));
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        LiveFigures {
            gateways: wide(known.gateways.len()),
            online: wide(online.count()),
            machines: wide(known.machines),
            refused: known.refused,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each document stands for itself.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Makes room for a document of so many bytes in the place of one, and for a machine more, if there is any.
    fn has_room(
        &mut self,
        place: &(Identifier, Identifier),
        (old, new): (usize, usize),
        more: usize,
    ) -> bool {
        let of = self.gateways.get(place);
        let gateways = usize::from(of.is_none());
        let (its_machines, its_bytes) = of
            .as_ref()
            .map_or((0, 0), |of| (of.machines.len(), of.bytes));
        let its_bytes = its_bytes.saturating_sub(old) + new;
        let bytes = self.bytes.saturating_sub(old) + new;
        let is_fair = its_machines + more <= MACHINES_EACH_MAX && its_bytes <= BYTES_EACH_MAX;
        let count = self.gateways.len() + gateways;
        let fits =
            count <= GATEWAYS_MAX && self.machines + more <= MACHINES_MAX && bytes <= BYTES_MAX;
        if is_fair && fits {
            self.bytes = bytes;
            self.gateways.entry(place.clone()).or_default().bytes = its_bytes;
        }
        is_fair && fits
    }
}

impl Gateway {
    /// Forgets the documents that are so old.
    fn forget(&mut self, now_ms: u64, kept_ms: u64) {
        let is_old = |received_ms: u64| now_ms.saturating_sub(received_ms) >= kept_ms;
        let status = self
            .status
            .take_if(|known| is_old(known.receipt.received_ms));
        let mut gone = bytes(status.as_ref());
        for machine in self.machines.values_mut() {
            let old = machine
                .availability
                .take_if(|known| is_old(known.receipt.received_ms));
            gone += bytes(old.as_ref());
        }
        self.bytes = self.bytes.saturating_sub(gone);
    }

    fn is_online(&self, now_ms: u64) -> bool {
        is_online(self.status.as_ref().map(|known| &known.receipt), now_ms)
    }

    /// Says of which machines something else is believed than was told. Of most nothing is, which costs little to see.
    fn look(&mut self, events: &Events, (site, gateway): (&Identifier, &Identifier), now_ms: u64) {
        let status = self.status.as_ref();
        for (machine, known) in &mut self.machines {
            let receipt = known.availability.as_ref().map(|known| &known.receipt);
            let belief = believed(status.map(|known| &known.receipt), receipt, now_ms);
            let told = known.told.as_ref();
            let is_told = told.is_some_and(|told| {
                (told.state, told.available_now, told.doubt)
                    == (belief.state, belief.available_now, belief.doubt)
            });
            if !is_told {
                known.tell(events, status, (site, gateway, machine), now_ms);
            }
        }
    }
}

impl Machine {
    /// Says what may be believed now, if that is news: a document that says the same again is none.
    fn tell(
        &mut self,
        events: &Events,
        status: Option<&Document<GatewayStatus>>,
        named: (&Identifier, &Identifier, &Identifier),
        now_ms: u64,
    ) {
        let now = now(status, self.availability.as_ref(), named, now_ms);
        let is_news = self.told.as_ref().is_none_or(|told| {
            let at = told.at;
            *told != MachineNow { at, ..now.clone() }
        });
        if is_news {
            events.say(Kind::Availability, (named.0, named.1), &now);
            self.told = Some(now);
        }
    }
}

fn read<D: DeserializeOwned>(
    received: Received<'_>,
    is_theirs: impl Fn(&D) -> bool,
) -> Option<Document<D>> {
    let Received {
        payload,
        at_ms,
        expiry_s,
        retained,
    } = received;
    let receipt = Receipt::read(payload, at_ms, retained, expiry_s);
    let receipt = receipt.filter(|receipt| is_theirs(&receipt.document))?;
    Some(Document {
        receipt,
        bytes: payload.len(),
    })
}

fn bytes<D>(document: Option<&Document<D>>) -> usize {
    document.map_or(0, |document| document.bytes)
}

fn now(
    status: Option<&Document<GatewayStatus>>,
    availability: Option<&Document<Availability>>,
    (site, gateway, machine): (&Identifier, &Identifier, &Identifier),
    now_ms: u64,
) -> MachineNow {
    let status = status.map(|known| &known.receipt);
    let availability = availability.map(|known| &known.receipt);
    let belief = believed(status, availability, now_ms);
    let document = availability.map(|known| &known.document);
    let session = document.and_then(|said| said.session.as_ref());
    let said = document.filter(|_| belief.doubt.is_none());
    MachineNow {
        site: site.clone(),
        gateway: gateway.clone(),
        machine: machine.clone(),
        name: document.map_or_else(LocalText::default, |said| said.name.clone()),
        state: belief.state,
        available_now: belief.available_now,
        doubt: belief.doubt,
        said: said.map(|said| MachineSaid {
            since: said.since,
            reason: said.reason.clone(),
            available_from: said.available_from,
            warmup_s: said.warmup_s,
            class: session.map(|session| session.class),
            expected_end: session.and_then(|session| session.expected_end),
            next_booking: said.next_booking.clone(),
            maintenance: said.maintenance.clone(),
        }),
        at: document.map(|said| said.at),
    }
}

#[cfg(test)]
pub(super) mod tests;
