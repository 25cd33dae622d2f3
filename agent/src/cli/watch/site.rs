//! What a portal holds of a site: the newest documents, and what may be believed by them. Pure.
//!
//! The topics and documents come from strangers: the number of machines and the size of what is kept of
//! each are bounded.

use std::collections::BTreeMap;

use lineside_proto::{
    Availability, AvailableNow, Belief, Doubt, GatewayStatus, Identifier, LocalText, Receipt,
    SessionSummary, State, Time, believed, ends_ms,
};
use serde::Serialize;

/// Machines and gateways held: more than any city has pilot lines; further ones are left out.
const ENTRIES_MAX: usize = 5000;
/// The largest document that is read; the agent's are about a kilobyte.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024;

/// The newest documents.
#[derive(Debug)]
pub(super) struct Site {
    prefix: String,
    gateways: BTreeMap<(Identifier, Identifier), Option<Receipt<GatewayStatus>>>,
    machines: BTreeMap<(Identifier, Identifier, Identifier), Option<Receipt<Availability>>>,
    /// Whether something was left out because there was too much.
    overfull: bool,
}

/// A message as far as it counts here.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) received_ms: u64,
    pub(super) retained: bool,
    pub(super) expiry_s: Option<u32>,
}

/// A machine as a portal may show it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Row {
    pub(super) site: Identifier,
    pub(super) gateway: Identifier,
    pub(super) machine: Identifier,
    #[serde(flatten)]
    pub(super) belief: Belief,
    /// Since when; null where the state is not known.
    pub(super) since: Option<Time>,
    pub(super) session: Option<SessionSummary>,
    /// The document's own reason.
    pub(super) reason: Option<String>,
    /// What people call it, in Chinese and English.
    pub(super) name: LocalText,
    /// How long ago the newest document came.
    pub(super) age_ms: Option<u64>,
}

impl Row {
    pub(super) fn key(&self) -> (&Identifier, &Identifier, &Identifier) {
        (&self.site, &self.gateway, &self.machine)
    }

    /// The same machine without its document.
    pub(super) fn gone(&self) -> Self {
        Self {
            belief: Belief {
                state: State::Unknown,
                available_now: AvailableNow::Unknown,
                doubt: Some(Doubt::NoAvailability),
            },
            since: None,
            session: None,
            reason: None,
            age_ms: None,
            ..self.clone()
        }
    }

    /// Whether a reader of lines has to hear of the change.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.belief != other.belief
            || self.since != other.since
            || self.session != other.session
            || self.reason != other.reason
    }
}

impl Site {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: format!("{prefix}/"),
            gateways: BTreeMap::new(),
            machines: BTreeMap::new(),
            overfull: false,
        }
    }

    /// Takes a message in. What is on no topic of ours is ignored.
    pub(super) fn take(&mut self, delivery: &Delivery<'_>) {
        let Some(topic) = delivery.topic.strip_prefix(&self.prefix) else {
            return;
        };
        let parts: Vec<_> = topic.splitn(5, '/').collect();
        match parts.as_slice() {
            [site, gateway, "status"] => {
                let (Ok(site), Ok(gateway)) = (site.parse(), gateway.parse()) else {
                    return;
                };
                self.status(site, gateway, delivery);
            }
            [site, gateway, "availability", machine] => {
                let names = (site.parse(), gateway.parse(), machine.parse());
                let (Ok(site), Ok(gateway), Ok(machine)) = names else {
                    return;
                };
                self.availability((site, gateway, machine), delivery);
            }
            _ => {}
        }
    }

    fn status(&mut self, site: Identifier, gateway: Identifier, delivery: &Delivery<'_>) {
        let read = delivery
            .read::<GatewayStatus>()
            .filter(|receipt| receipt.document.site == site && receipt.document.gateway == gateway);
        self.overfull |= !keep(&mut self.gateways, (site, gateway), delivery, read);
    }

    fn availability(&mut self, key: (Identifier, Identifier, Identifier), delivery: &Delivery<'_>) {
        let read = delivery.read::<Availability>().filter(|receipt| {
            let Availability {
                site,
                gateway,
                machine,
                ..
            } = &receipt.document;
            (site, gateway, machine) == (&key.0, &key.1, &key.2)
        });
        self.overfull |= !keep(&mut self.machines, key, delivery, read);
    }

    /// Whether something was left out because there was too much.
    pub(super) fn is_overfull(&self) -> bool {
        self.overfull
    }

    /// All machines at this moment, by site, gateway and name.
    pub(super) fn rows(&self, now_ms: u64) -> Vec<Row> {
        let rows = self.machines.iter().map(|(key, availability)| {
            let (site, gateway, machine) = key.clone();
            let availability = availability.as_ref();
            let belief = believed(self.status_of(&key.0, &key.1), availability, now_ms);
            let document = availability.map(|receipt| &receipt.document);
            // What a doubted document says besides is doubted with it; why it says UNKNOWN is not.
            let shown = document.filter(|_| matches!(belief.doubt, None | Some(Doubt::Said)));
            Row {
                site,
                gateway,
                machine,
                belief,
                since: shown.map(|document| document.since),
                session: shown.and_then(|document| document.session.clone()),
                reason: shown.map(|document| document.reason.text.clone()),
                name: document
                    .map(|document| document.name.clone())
                    .unwrap_or_default(),
                age_ms: availability.map(|receipt| now_ms.saturating_sub(receipt.received_ms)),
            }
        });
        rows.collect()
    }

    /// When a machine next turns UNKNOWN if nothing more is received.
    pub(super) fn next_end(&self, now_ms: u64) -> Option<u64> {
        let ends = self.machines.iter().filter_map(|(key, availability)| {
            let status = self.status_of(&key.0, &key.1)?;
            ends_ms(status, availability.as_ref()?)
        });
        ends.filter(|ends| *ends > now_ms).min()
    }

    fn status_of(
        &self,
        site: &Identifier,
        gateway: &Identifier,
    ) -> Option<&Receipt<GatewayStatus>> {
        self.gateways
            .get(&(site.clone(), gateway.clone()))
            .and_then(Option::as_ref)
    }
}

impl Delivery<'_> {
    fn read<D: serde::de::DeserializeOwned>(&self) -> Option<Receipt<D>> {
        if self.payload.len() > DOCUMENT_BYTES_MAX {
            return None;
        }
        Receipt::read(self.payload, self.received_ms, self.retained, self.expiry_s)
    }
}

/// Keeps what was read; an unreadable document takes the place of an earlier one, an empty payload takes
/// the entry away. False if there was no room.
fn keep<K: Ord, D>(
    entries: &mut BTreeMap<K, Option<Receipt<D>>>,
    key: K,
    delivery: &Delivery<'_>,
    read: Option<Receipt<D>>,
) -> bool {
    if delivery.payload.is_empty() {
        entries.remove(&key);
        return true;
    }
    if entries.len() >= ENTRIES_MAX && !entries.contains_key(&key) {
        return false;
    }
    entries.insert(key, read);
    true
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Delivery, ENTRIES_MAX, Site};
    use lineside_proto::{AvailableNow, Doubt, State};
    use serde_json::json;

    pub(in crate::cli::watch) fn status(gateway: &str) -> String {
        json!({"v": 1, "site": "s", "gateway": gateway, "link": "ONLINE", "max_age_s": 90})
            .to_string()
    }

    pub(in crate::cli::watch) fn availability(
        gateway: &str,
        machine: &str,
        state: State,
    ) -> String {
        let time = "2026-11-23T08:00:00.000Z";
        json!({
            "v": 1, "site": "s", "gateway": gateway, "machine": machine,
            "name": {"zh-CN": "双螺杆挤出机", "en": "Extruder"}, "at": time, "state": state,
            "opc": null, "rule": null, "since": time, "decided_at": time, "observed_at": time,
            "reason": {"code": "rule", "text": "true"}, "available_now": state.available_now(),
            "available_from": null, "warmup_s": 0, "max_age_s": 60, "fresh_until": time, "clock": "S",
            "session": null, "next_booking": null, "maintenance": null, "seq": 1, "boot": "b",
            "config": "c", "ledger": null,
        })
        .to_string()
    }

    pub(in crate::cli::watch) fn take(
        site: &mut Site,
        topic: &str,
        payload: &str,
        received_ms: u64,
    ) {
        site.take(&Delivery {
            topic,
            payload: payload.as_bytes(),
            received_ms,
            retained: false,
            expiry_s: None,
        });
    }

    fn look(site: &Site, now_ms: u64) -> (State, AvailableNow, Option<Doubt>) {
        let rows = site.rows(now_ms);
        assert_eq!(rows.len(), 1);
        let belief = rows[0].belief;
        (belief.state, belief.available_now, belief.doubt)
    }

    #[test]
    fn a_machine_follows_its_documents_and_their_age() {
        let unknown = |doubt| (State::Unknown, AvailableNow::Unknown, Some(doubt));
        let idle = (State::Idle, AvailableNow::Yes, None);
        let mut site = Site::new("lineside/v1");
        let press = "lineside/v1/s/g/availability/press";
        take(
            &mut site,
            press,
            &availability("g", "press", State::Idle),
            0,
        );
        assert_eq!(look(&site, 0), unknown(Doubt::NoStatus));
        assert_eq!(site.next_end(0), None);
        take(&mut site, "lineside/v1/s/g/status", &status("g"), 1000);
        assert_eq!(look(&site, 1000), idle);
        assert_eq!(site.next_end(1000), Some(60_000));
        assert_eq!(look(&site, 60_000), unknown(Doubt::Stale));
        take(
            &mut site,
            press,
            &availability("g", "press", State::Idle),
            70_000,
        );
        assert_eq!(look(&site, 70_000), idle);
        assert_eq!(site.next_end(70_000), Some(91_000), "the status ends first");
        take(&mut site, press, "{}", 71_000);
        assert_eq!(look(&site, 71_000), unknown(Doubt::NoAvailability));
        take(&mut site, press, "", 72_000);
        assert!(site.rows(72_000).is_empty(), "no longer configured");
    }

    #[test]
    fn a_document_on_a_topic_that_is_not_its_own_does_not_count() {
        let mut site = Site::new("p");
        take(&mut site, "p/s/g/status", &status("g"), 0);
        take(
            &mut site,
            "p/s/g/availability/a",
            &availability("g", "b", State::Idle),
            0,
        );
        assert_eq!(look(&site, 0).2, Some(Doubt::NoAvailability));
        let mut site = Site::new("p");
        take(&mut site, "p/s/g/status", &status("other"), 0);
        take(
            &mut site,
            "p/s/g/availability/a",
            &availability("g", "a", State::Idle),
            0,
        );
        assert_eq!(look(&site, 0).2, Some(Doubt::NoStatus));
    }

    #[test]
    fn strange_topics_are_ignored_and_too_many_are_left_out() {
        let mut site = Site::new("p");
        for topic in [
            "",
            "p",
            "p/s",
            "q/s/g/availability/m",
            "p/s/g/availability/M",
            "p/s/g/availability/m/x",
            "p/\u{1b}[2J/g/status",
            "p/s/g/telemetry/m",
        ] {
            take(&mut site, topic, "x", 0);
        }
        assert!(site.rows(0).is_empty());
        for n in 0..=ENTRIES_MAX {
            take(&mut site, &format!("p/s/g/availability/m{n}"), "x", 0);
        }
        assert_eq!(site.rows(0).len(), ENTRIES_MAX);
        assert!(site.is_overfull());
        let large = availability("g", "m1", State::Idle) + &" ".repeat(20_000);
        take(&mut site, "p/s/g/status", &status("g"), 0);
        take(&mut site, "p/s/g/availability/m1", &large, 0);
        let rows = site.rows(0);
        let row = rows
            .iter()
            .find(|row| row.machine.as_str() == "m1")
            .unwrap();
        assert_eq!(
            row.belief.doubt,
            Some(Doubt::NoAvailability),
            "too large to be read"
        );
    }
}
