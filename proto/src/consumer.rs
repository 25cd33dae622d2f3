//! The consumer's rule: what a reader of the documents may believe of a machine.
//!
//! No clock of the reader's is compared with a clock of the gateway's: ages count from the receipt, on
//! the reader's monotonic clock. `testdata/consumer` holds the same rule as vectors for other languages.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Availability, AvailableNow, GatewayStatus, Link, State};

/// The version of the documents that this rule knows.
const VERSION: u8 = 1;

/// A document as it was received.
#[derive(Clone, PartialEq, Debug)]
pub struct Receipt<D> {
    /// The document.
    pub document: D,
    /// When it was received, in milliseconds on the reader's monotonic clock.
    pub received_ms: u64,
    /// Whether it was delivered as a retained message, so that its age is not known from the receipt.
    pub retained: bool,
    /// The message expiry interval that was delivered with it, in seconds.
    pub expiry_s: Option<u32>,
}

impl<D: DeserializeOwned> Receipt<D> {
    /// Reads a payload. What is empty (the broker was told to forget the document) or no such document
    /// is none: it stands in the place of an earlier one, which counts no more.
    pub fn read(
        payload: &[u8],
        received_ms: u64,
        retained: bool,
        expiry_s: Option<u32>,
    ) -> Option<Self> {
        let document = serde_json::from_slice(payload).ok()?;
        Some(Self {
            document,
            received_ms,
            retained,
            expiry_s,
        })
    }
}

impl<D> Receipt<D> {
    /// Until when the document stands, on the clock of the receipt: for `max_age_s` after it, or for the
    /// message expiry that was delivered with it if that is shorter. At that very moment it no longer
    /// does. Of a retained one only the expiry says how old it is: without one it never stands.
    fn ends_ms(&self, max_age_s: u32) -> Option<u64> {
        let valid_s = match self.expiry_s {
            Some(expiry_s) => expiry_s.min(max_age_s),
            None if self.retained => return None,
            None => max_age_s,
        };
        Some(self.received_ms.saturating_add(u64::from(valid_s) * 1000))
    }

    fn standing(&self, max_age_s: u32, now_ms: u64) -> Standing {
        match self.ends_ms(max_age_s) {
            Some(ends_ms) if now_ms < ends_ms => Standing::Fresh,
            Some(_) => Standing::Stale,
            None => Standing::Undated,
        }
    }
}

/// When what these two documents let a reader believe ends if nothing more is received, on the clock of
/// the receipts; none where it ended already for a reason other than time. A reader looks again then.
pub fn ends_ms(
    status: &Receipt<GatewayStatus>,
    availability: &Receipt<Availability>,
) -> Option<u64> {
    let status_ends = status.ends_ms(status.document.max_age_s?)?;
    let ends = availability.ends_ms(availability.document.max_age_s)?;
    Some(status_ends.min(ends))
}

enum Standing {
    Fresh,
    Undated,
    Stale,
}

/// What may be believed of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Belief {
    /// The state.
    pub state: State,
    /// Whether somebody could start now.
    pub available_now: AvailableNow,
    /// Why the state is UNKNOWN; none where it is known.
    pub doubt: Option<Doubt>,
}

/// Why a machine's state is UNKNOWN to a reader. The first that applies, in this order.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// No readable status of the gateway.
    NoStatus,
    /// No readable availability of the machine.
    NoAvailability,
    /// A document of a version that this reader does not know.
    Version,
    /// The status is not that of the machine's gateway.
    Foreign,
    /// The gateway's status says OFFLINE.
    Offline,
    /// The status was retained and came without a message expiry, or names no `max_age_s`: nobody
    /// knows for how long it holds.
    StatusUndated,
    /// The status is too old.
    StatusStale,
    /// The availability was retained and came without a message expiry.
    Undated,
    /// The availability is too old.
    Stale,
    /// The document itself says UNKNOWN.
    Said,
    /// The document is fresh, but what it rests on was not when it was made.
    Evidence,
}

impl Doubt {
    /// The word for it, as in the vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoStatus => "no-status",
            Self::NoAvailability => "no-availability",
            Self::Version => "version",
            Self::Foreign => "foreign",
            Self::Offline => "offline",
            Self::StatusUndated => "status-undated",
            Self::StatusStale => "status-stale",
            Self::Undated => "undated",
            Self::Stale => "stale",
            Self::Said => "said",
            Self::Evidence => "evidence",
        }
    }
}

/// What may be believed of a machine at `now_ms` (milliseconds on the clock of the receipts), given the
/// newest status of its gateway and its newest availability.
///
/// A machine is what its document says only while the status says ONLINE and is itself fresh, the
/// document is fresh, and the evidence in it was at most `max_age_s` old when it was made. Anything else
/// is UNKNOWN.
pub fn believed(
    status: Option<&Receipt<GatewayStatus>>,
    availability: Option<&Receipt<Availability>>,
    now_ms: u64,
) -> Belief {
    match judge(status, availability, now_ms) {
        Ok((state, available_now)) => Belief {
            state,
            available_now,
            doubt: None,
        },
        Err(doubt) => Belief {
            state: State::Unknown,
            available_now: AvailableNow::Unknown,
            doubt: Some(doubt),
        },
    }
}

/// Whether a gateway is there at `now_ms`, by its newest status: it says ONLINE, and is itself fresh.
pub fn is_online(status: Option<&Receipt<GatewayStatus>>, now_ms: u64) -> bool {
    status
        .ok_or(Doubt::NoStatus)
        .and_then(|status| there(status, now_ms))
        == Ok(())
}

/// Why a gateway is not there.
fn there(status: &Receipt<GatewayStatus>, now_ms: u64) -> Result<(), Doubt> {
    let gateway = &status.document;
    if gateway.v != VERSION {
        return Err(Doubt::Version);
    }
    if gateway.link == Link::Offline {
        return Err(Doubt::Offline);
    }
    let max_age_s = gateway.max_age_s.ok_or(Doubt::StatusUndated)?;
    match status.standing(max_age_s, now_ms) {
        Standing::Fresh => Ok(()),
        Standing::Undated => Err(Doubt::StatusUndated),
        Standing::Stale => Err(Doubt::StatusStale),
    }
}

fn judge(
    status: Option<&Receipt<GatewayStatus>>,
    availability: Option<&Receipt<Availability>>,
    now_ms: u64,
) -> Result<(State, AvailableNow), Doubt> {
    let status = status.ok_or(Doubt::NoStatus)?;
    let availability = availability.ok_or(Doubt::NoAvailability)?;
    let (gateway, machine) = (&status.document, &availability.document);
    if gateway.v != VERSION || machine.v != VERSION {
        return Err(Doubt::Version);
    }
    if gateway.site != machine.site || gateway.gateway != machine.gateway {
        return Err(Doubt::Foreign);
    }
    there(status, now_ms)?;
    match availability.standing(machine.max_age_s, now_ms) {
        Standing::Fresh => {}
        Standing::Undated => return Err(Doubt::Undated),
        Standing::Stale => return Err(Doubt::Stale),
    }
    if machine.state == State::Unknown {
        return Err(Doubt::Said);
    }
    let observed_at = machine.observed_at.ok_or(Doubt::Evidence)?;
    // Both times were written by the gateway, so that their distance needs no clock of the reader's.
    let age_ms = machine
        .at
        .as_millis()
        .saturating_sub(observed_at.as_millis());
    if age_ms > i64::from(machine.max_age_s) * 1000 {
        return Err(Doubt::Evidence);
    }
    Ok((machine.state, machine.available_now))
}

#[cfg(test)]
mod tests {
    use super::{Belief, Doubt, Receipt, believed, ends_ms, is_online};
    use crate::AvailableNow;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "about")]
        _about: String,
        now_ms: u64,
        status: Option<Delivery>,
        availability: Option<Delivery>,
        expect: Belief,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Delivery {
        received_ms: u64,
        retained: bool,
        expiry_s: Option<u32>,
        payload: Value,
    }

    impl Delivery {
        fn read<D: DeserializeOwned>(&self) -> Option<Receipt<D>> {
            let payload = if self.payload.is_null() {
                String::new()
            } else {
                self.payload.to_string()
            };
            Receipt::read(
                payload.as_bytes(),
                self.received_ms,
                self.retained,
                self.expiry_s,
            )
        }
    }

    #[test]
    fn the_rule_gives_what_every_vector_expects() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/consumer");
        let mut doubts = BTreeSet::new();
        let mut free = 0;
        let mut vectors = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let vector: Vector = serde_json::from_slice(&fs::read(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let status = vector.status.as_ref().and_then(Delivery::read);
            let availability = vector.availability.as_ref().and_then(Delivery::read);
            let belief = believed(status.as_ref(), availability.as_ref(), vector.now_ms);
            assert_eq!(belief, vector.expect, "{}", path.display());
            let there = is_online(status.as_ref(), vector.now_ms);
            let gone = [
                Doubt::NoStatus,
                Doubt::Offline,
                Doubt::StatusUndated,
                Doubt::StatusStale,
            ];
            match belief.doubt {
                Some(doubt) if gone.contains(&doubt) => assert!(!there, "{}", path.display()),
                // A machine's document alone may be in doubt, or be of another gateway.
                Some(_) => {}
                None => assert!(there, "{}", path.display()),
            }
            if belief.doubt.is_none() {
                let (status, availability) = (status.unwrap(), availability.unwrap());
                let ends = ends_ms(&status, &availability).unwrap();
                let at = |now_ms| believed(Some(&status), Some(&availability), now_ms).doubt;
                assert_eq!(at(ends - 1), None, "{}", path.display());
                let ended = [Some(Doubt::Stale), Some(Doubt::StatusStale)];
                assert!(ended.contains(&at(ends)), "{}", path.display());
            }
            doubts.extend(belief.doubt);
            free += usize::from(belief.available_now == AvailableNow::Yes);
            vectors += 1;
        }
        assert!(vectors >= 20, "only {vectors} vectors");
        assert!(free >= 3, "too few vectors end with a free machine: {free}");
        for doubt in [
            Doubt::NoStatus,
            Doubt::NoAvailability,
            Doubt::Version,
            Doubt::Foreign,
            Doubt::Offline,
            Doubt::StatusUndated,
            Doubt::StatusStale,
            Doubt::Undated,
            Doubt::Stale,
            Doubt::Said,
            Doubt::Evidence,
        ] {
            assert!(doubts.contains(&doubt), "no vector ends in {doubt:?}");
            assert_eq!(serde_json::to_value(doubt).unwrap(), doubt.as_str());
        }
    }
}
