//! One item that a server is asked to watch: a point of a machine, and how often it is sampled.

use opcua::types::{Guid, Identifier, NodeId, ReadValueId, StatusCode, UAString};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::freshness::standing_pace;
use crate::config::model::{MachineMap, NodeAddress, NodeName, Point};
use crate::field::job::JobSpec;
use crate::sample::Slot;

/// The slowest publishing: a subscription that says nothing for longer can't be told from a dead one.
const PUBLISH_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// Values in one message at most.
const MESSAGE_VALUES_MAX: u32 = 2_000;

/// Arrays in one message at most, asked for or published: so many of 8,000 doubles are within the bytes that a
/// message may have.
pub(super) const WIDE_MAX: u32 = 32;

/// Where a server keeps its namespaces: indexes by URI, as they are since the last connect.
pub(super) type Namespaces = BTreeMap<String, u16>;

/// A point of a machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Spot {
    /// The machine.
    pub slot: Slot,
    /// The point, as its place in the map.
    pub point: u16,
}

/// How a subscription beats. Items of one rhythm share subscriptions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rhythm {
    /// How often changes are published.
    pub publish: Duration,
    /// After how many intervals without a change the server says that it is there.
    pub keep_alive: u32,
    /// Whether its values are arrays, of which a point takes one element: the server sends all of them.
    pub is_wide: bool,
}

impl Rhythm {
    /// The rhythm for a group read so often, whose values are stale after so long: keep-alives come
    /// often enough that values can be vouched for.
    pub(super) fn of(interval: Duration, stale_after: Duration, is_wide: bool) -> Self {
        let publish = interval.clamp(Duration::from_millis(1), PUBLISH_INTERVAL_MAX);
        let word = standing_pace(stale_after).as_nanos() / publish.as_nanos();
        Self {
            publish,
            keep_alive: u32::try_from(word).unwrap_or(u32::MAX).max(1),
            is_wide,
        }
    }

    /// Values in one message at most, so that it stays far below any limit; what is more comes in the next.
    pub(super) fn message_values(self) -> u32 {
        match self.is_wide {
            true => WIDE_MAX,
            false => MESSAGE_VALUES_MAX,
        }
    }

    /// How often the server promises to speak at least.
    pub(super) fn promised(self) -> Duration {
        self.publish.saturating_mul(self.keep_alive)
    }
}

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Whose it is.
    pub spot: Spot,
    /// What it is read for: the machine's map, the group, and where it is counted.
    pub spec: Arc<JobSpec>,
    /// How it is published.
    pub rhythm: Rhythm,
    /// How often it is sampled.
    pub sampling: Duration,
}

impl Item {
    /// The items of one job.
    pub(super) fn of(spec: &JobSpec) -> Vec<Self> {
        let spec = Arc::new(spec.clone());
        let Some(group) = spec.map.groups.get(usize::from(spec.group)) else {
            return Vec::new();
        };
        let mut items = Vec::new();
        for (place, point) in (0..).zip(&spec.map.points) {
            if (point.connection, point.group) == (spec.connection, spec.group) {
                items.push(Self {
                    spot: Spot {
                        slot: spec.slot,
                        point: place,
                    },
                    spec: Arc::clone(&spec),
                    rhythm: Rhythm::of(group.interval, group.stale_after, is_wide(point)),
                    sampling: group.interval,
                });
            }
        }
        items
    }

    /// The point in its machine's map.
    pub(super) fn point(&self) -> Option<&Point> {
        point(&self.spec.map, self.spot.point)
    }

    /// The point's name.
    pub(super) fn name(&self) -> Option<&str> {
        self.point().map(|point| point.name.as_str())
    }

    /// The node to read for its value.
    ///
    /// # Errors
    ///
    /// The server does not have the namespace.
    pub(super) fn node(&self, namespaces: &Namespaces) -> Result<ReadValueId, StatusCode> {
        let address = self.point().and_then(Point::node);
        let address = address.ok_or(StatusCode::BadNodeIdInvalid)?;
        node(address, namespaces)
            .map(ReadValueId::from)
            .ok_or(StatusCode::BadNodeIdUnknown)
    }
}

/// Whether the server sends a whole array for a point.
pub(super) fn is_wide(point: &Point) -> bool {
    point.node().is_some_and(|node| node.index.is_some())
}

/// How many nodes one request may ask for the values of: of arrays fewer, whatever else is among them.
pub(super) fn values_a_request(most: usize, is_wide: bool) -> usize {
    match usize::try_from(WIDE_MAX) {
        Ok(wide) if is_wide => most.min(wide),
        Ok(_) | Err(_) => most,
    }
}

/// A point in a map.
pub(super) fn point(map: &MachineMap, place: u16) -> Option<&Point> {
    map.points.get(usize::from(place))
}

/// A node by the indexes that its server gives its namespaces; none where it has no such namespace.
pub(super) fn node(address: &NodeAddress, namespaces: &Namespaces) -> Option<NodeId> {
    let identifier = match &address.name {
        NodeName::Number(number) => Identifier::Numeric(*number),
        NodeName::Text(text) => Identifier::String(UAString::from(text.as_str())),
        NodeName::Guid(bytes) => Identifier::Guid(Guid::from_bytes(wired(*bytes))),
        NodeName::Opaque(bytes) => Identifier::ByteString(bytes.clone().into()),
    };
    Some(NodeId {
        namespace: *namespaces.get(&address.namespace)?,
        identifier,
    })
}

/// A GUID's bytes as they travel: its first three numbers low byte first.
fn wired(written: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = written;
    let mut wired = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
    let tail = wired.iter_mut().skip(8);
    tail.zip(rest).for_each(|(to, from)| *to = from);
    wired
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::NodeKind;

    #[test]
    fn a_rhythm_speaks_thrice_before_values_grow_stale() {
        for (interval_ms, stale_ms, publish_ms, keep_alive) in [
            (100, 3_000, 100, 10),
            (100, 200, 100, 1),
            (100, 600, 100, 2),
            (1_000, 10_000, 1_000, 1),
            (60_000, 180_000, 2_000, 1),
            (10, 20, 10, 5),
        ] {
            let ms = Duration::from_millis;
            let rhythm = Rhythm::of(ms(interval_ms), ms(stale_ms), false);
            let expected = Rhythm {
                publish: ms(publish_ms),
                keep_alive,
                is_wide: false,
            };
            assert_eq!(rhythm, expected);
        }
    }

    #[test]
    fn a_node_is_found_by_the_uri_of_its_namespace() {
        let mut namespaces = Namespaces::new();
        namespaces.insert("urn:a".to_owned(), 3);
        for (namespace, name, expected) in [
            ("urn:a", NodeName::Number(7), Some("ns=3;i=7")),
            ("urn:a", NodeName::Text("x".to_owned()), Some("ns=3;s=x")),
            (
                "urn:a",
                NodeName::Guid(
                    *b"\x09\x08\x7e\x75\x8e\x5e\x49\x9b\x95\x4f\xf2\xa9\x60\x3d\xb2\x8a",
                ),
                Some("ns=3;g=09087e75-8e5e-499b-954f-f2a9603db28a"),
            ),
            ("urn:a", NodeName::Opaque(vec![1, 2]), Some("ns=3;b=AQI=")),
            ("urn:b", NodeName::Number(7), None),
        ] {
            let address = NodeAddress {
                namespace: namespace.to_owned(),
                name,
                index: None,
                kind: NodeKind::Number,
            };
            let found = node(&address, &namespaces).map(|node| node.to_string());
            assert_eq!(found.as_deref(), expected);
        }
    }
}
