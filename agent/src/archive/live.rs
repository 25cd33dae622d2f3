//! What may be believed of every machine of the city now, by the consumer's rule, and what happens.
//!
//! It is fed with what comes over the broker, and knows no broker. Ages count on this host's monotonic clock. Bounds:
//! `GATEWAYS_MAX`, `MACHINES_MAX` and `BYTES_MAX`: who comes beyond them is not taken in, and counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lineside_proto::{
    Availability, AvailableNow, Class, Doubt, GatewayStatus, Identifier, LocalText, NextBooking,
    Reason, Receipt, State, Time, Window, believed, is_online,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Place;
use super::alarm::AlarmDocument;
use super::events::{Events, Kind};
use crate::clock::Clock;

/// Gateways at most: four times as many as a large city has.
const GATEWAYS_MAX: usize = 4_096;
/// Machines of all gateways at most.
const MACHINES_MAX: usize = 65_536;
/// Bytes of all newest documents at most, as they were received.
const BYTES_MAX: usize = 64 << 20;

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

/// What may be believed of a machine now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineNow {
    /// The platform.
    pub site: Identifier,
    /// The gateway beside the machine.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// What people call it; empty where no document says it.
    pub name: LocalText,
    /// What it is doing; UNKNOWN where anything is in doubt.
    pub state: State,
    /// Whether somebody could start now. `unknown` must never be shown as free.
    pub available_now: AvailableNow,
    /// Why the state is UNKNOWN; null where it is known.
    pub doubt: Option<Doubt>,
    /// What the gateway says beside; null in doubt.
    pub said: Option<MachineSaid>,
    /// When its newest document was made, by the gateway's clock.
    pub at: Option<Time>,
}

/// What a gateway says of a machine, beside its state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineSaid {
    /// Since when it is in this state.
    pub since: Time,
    /// Why.
    pub reason: Reason,
    /// From when somebody could start, where that is known.
    pub available_from: Option<Time>,
    /// How long it needs from OFF until it can be used, in seconds.
    pub warmup_s: u32,
    /// The class of the session that runs.
    pub class: Option<Class>,
    /// When the booking of that session ends.
    pub expected_end: Option<Time>,
    /// The next booking.
    pub next_booking: Option<NextBooking>,
    /// The next or present maintenance window.
    pub maintenance: Option<Window>,
}

/// A log has grown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HeadNews {
    /// The platform.
    pub site: Identifier,
    /// Its gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger.
    pub epoch: u32,
    /// Leaves that the head covers.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// Whether this archive cosigned it.
    pub cosigned: bool,
}

/// How much is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LiveFigures {
    /// Gateways that have been heard of.
    pub gateways: u64,
    /// Of these, those that are there.
    pub online: u64,
    /// Machines that have been heard of.
    pub machines: u64,
    /// Messages that were not taken in, since too much is known already.
    pub refused: u64,
}

/// What may be believed of every machine now.
pub struct Live {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    events: Events,
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
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
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
        let is_known = before.is_some();
        if document.is_none() && !is_known {
            return;
        }
        if !known.has_room(&document, old, usize::from(!is_known), 0) {
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
        let new = (
            usize::from(before.is_none()),
            usize::from(of_machine.is_none()),
        );
        if document.is_none() && new.1 == 1 {
            return;
        }
        if !known.has_room(&document, old, new.0, new.1) {
            return;
        }
        known.machines += new.1;
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

    /// Looks again: what was believed may have become too old. To be called once a second.
    pub fn look(&self) {
        let now_ms = self.clock.now().boot_ms;
        let mut known = self.known();
        for ((site, gateway), known) in &mut known.gateways {
            known.look(&self.events, (site, gateway), now_ms);
        }
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
    /// Whether a document may take the place of one of `old` bytes; what does not is counted.
    fn has_room<D>(
        &mut self,
        document: &Option<Document<D>>,
        old: usize,
        gateways: usize,
        machines: usize,
    ) -> bool {
        let bytes = self.bytes.saturating_sub(old) + bytes(document.as_ref());
        let fits = self.gateways.len() + gateways <= GATEWAYS_MAX
            && self.machines + machines <= MACHINES_MAX
            && bytes <= BYTES_MAX;
        if fits {
            self.bytes = bytes;
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        fits
    }
}

impl Gateway {
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
