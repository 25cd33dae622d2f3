//! Whether an item still tells of changes: what the server says when it is read is compared with what the
//! item said last. An item that died there would be vouched for for ever, since its subscription speaks.
//!
//! Pure. A difference alone says nothing, the change may be on its way: only one that lasts does, longer
//! than the item takes to be sampled and published, without a word of it. A server whose items leave out
//! changes by design is given more time after each false alarm.

use std::time::Duration;

use lineside_proto::Time;
use opcua::types::{DataValue, StatusCode, Variant};
use tokio::time::Instant;

use super::status::plain;

/// The longest that a difference has to last.
const LASTS_MAX: Duration = Duration::from_secs(3_600);

/// Doublings of the time that it has to last at most; more would be beyond [`LASTS_MAX`] for any item.
const DOUBLINGS_MAX: u32 = 12;

/// The gateway's time of a word, and the server's in its ticks.
pub(super) type Word = (Time, Option<i64>);

/// What is known of one item.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt {
    /// The digest of its newest value.
    held: Option<u64>,
    /// The newest word by which it was in order.
    sure: Option<Word>,
    /// Since when the server says something else.
    since: Option<Instant>,
    /// How often it was given up.
    given_up: u32,
}

impl Doubt {
    /// The item sent a value.
    pub(super) fn hear(&mut self, digest: u64, word: Word) {
        self.held = Some(digest);
        self.sure = Some(word);
        self.since = None;
    }

    /// The server was asked, and says this; whether the item is dead. `lasts` is more than a change takes to
    /// be sent.
    pub(super) fn compare(
        &mut self,
        digest: u64,
        word: Word,
        now: Instant,
        lasts: Duration,
    ) -> bool {
        if self.held.is_none_or(|held| held == digest) {
            self.since = None;
            self.sure = self.held.map(|_| word);
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let lasts = lasts.saturating_mul(1 << self.given_up.min(DOUBLINGS_MAX));
        now.duration_since(since) >= lasts.min(LASTS_MAX)
    }

    /// The item is given up, to be made anew. Gives the last word by which it was in order.
    pub(super) fn give_up(&mut self) -> Option<Word> {
        self.given_up = self.given_up.saturating_add(1);
        (self.held, self.since) = (None, None);
        self.sure
    }
}

/// A number for what a value says, its times aside: the same for the same, and hardly ever for another.
/// None: the value is no good, which may be the fault of the question.
pub(super) fn digest(data: &DataValue) -> Option<u64> {
    let status = data.status.unwrap_or(StatusCode::Good);
    let code = u64::from(plain(status).code);
    (!status.is_bad()).then(|| data.value.as_ref().map_or(code, |value| of(value, code)))
}

/// The same for a value that an item sent, which is what it is.
pub(super) fn sent(data: &DataValue) -> u64 {
    let bad = || u64::from(plain(data.status.unwrap_or(StatusCode::Good)).code);
    digest(data).unwrap_or_else(bad)
}

/// Mixes a value into a number.
fn of(value: &Variant, into: u64) -> u64 {
    match value {
        Variant::Boolean(value) => mix(into, u64::from(*value)),
        Variant::SByte(value) => mix(into, signed(i64::from(*value))),
        Variant::Byte(value) => mix(into, u64::from(*value)),
        Variant::Int16(value) => mix(into, signed(i64::from(*value))),
        Variant::UInt16(value) => mix(into, u64::from(*value)),
        Variant::Int32(value) => mix(into, signed(i64::from(*value))),
        Variant::UInt32(value) => mix(into, u64::from(*value)),
        Variant::Int64(value) => mix(into, signed(*value)),
        Variant::UInt64(value) => mix(into, *value),
        Variant::Float(value) => mix(into, number(f64::from(*value))),
        Variant::Double(value) => mix(into, number(*value)),
        Variant::Array(array) => array
            .values
            .iter()
            .fold(mix(into, 1), |into, one| of(one, into)),
        Variant::Variant(inner) => of(inner, into),
        Variant::ByteString(bytes) => text(bytes.as_ref(), into),
        Variant::String(value) => text(value.as_ref().as_bytes(), into),
        Variant::LocalizedText(value) => text(value.text.as_ref().as_bytes(), into),
        Variant::QualifiedName(value) => text(value.name.as_ref().as_bytes(), into),
        Variant::DateTime(time) => mix(into, signed(time.ticks())),
        Variant::StatusCode(status) => mix(into, u64::from(status.bits())),
        // Points hold them as texts.
        Variant::XmlElement(element) => text(element.to_string().as_bytes(), into),
        Variant::Guid(guid) => text(guid.to_string().as_bytes(), into),
        Variant::NodeId(node) => text(node.to_string().as_bytes(), into),
        Variant::ExpandedNodeId(node) => text(node.to_string().as_bytes(), into),
        // No point holds them.
        Variant::Empty
        | Variant::ExtensionObject(_)
        | Variant::DataValue(_)
        | Variant::DiagnosticInfo(_) => mix(into, 0),
    }
}

fn signed(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

/// The bits of a number; numbers that a server takes for equal have the same.
fn number(number: f64) -> u64 {
    match number {
        number if number.is_nan() => f64::NAN.to_bits(),
        0.0 => 0,
        number => number.to_bits(),
    }
}

fn text(bytes: &[u8], into: u64) -> u64 {
    bytes
        .iter()
        .fold(mix(into, 2), |into, byte| mix(into, u64::from(*byte)))
}

/// One step of FNV-1a with words for bytes, and its high bits brought down.
fn mix(into: u64, word: u64) -> u64 {
    let mixed = (into ^ word ^ 0xcbf2_9ce4_8422_2325).wrapping_mul(0x0000_0100_0000_01b3);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{ExpandedNodeId, Guid, NodeId, UAString};

    const LASTS: Duration = Duration::from_secs(10);

    fn word(seconds: i64) -> Word {
        (Time::from_millis(seconds * 1_000), None)
    }

    #[test]
    fn an_item_is_dead_when_a_difference_lasts() {
        let start = Instant::now();
        // What is heard (true) or read (false), and when; whether the item is dead at the last.
        for (course, expected) in [
            (vec![(true, 1, 0), (false, 1, 5), (false, 1, 60)], false),
            (vec![(false, 2, 0), (false, 3, 60)], false),
            (vec![(true, 1, 0), (false, 2, 5), (false, 2, 14)], false),
            (vec![(true, 1, 0), (false, 2, 5), (false, 2, 15)], true),
            (vec![(true, 1, 0), (false, 2, 5), (false, 3, 15)], true),
            (
                vec![(true, 1, 0), (false, 2, 5), (false, 1, 10), (false, 2, 15)],
                false,
            ),
            (
                vec![(true, 1, 0), (false, 2, 5), (true, 2, 14), (false, 3, 15)],
                false,
            ),
        ] {
            let mut doubt = Doubt::default();
            let mut is_dead = false;
            for (is_heard, digest, second) in &course {
                let now = start + Duration::from_secs(*second);
                let word = word(i64::try_from(*second).unwrap());
                if *is_heard {
                    doubt.hear(*digest, word);
                } else {
                    is_dead = doubt.compare(*digest, word, now, LASTS);
                }
            }
            assert_eq!(is_dead, expected, "{course:?}");
        }
    }

    #[test]
    fn each_time_an_item_is_given_up_it_has_longer() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        for lasts in [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600] {
            doubt.hear(1, word(7));
            assert!(!doubt.compare(1, word(8), start, LASTS));
            assert!(!doubt.compare(2, word(9), start, LASTS));
            let at = start + Duration::from_secs(lasts);
            assert!(!doubt.compare(2, word(9), at - Duration::from_millis(1), LASTS));
            assert!(doubt.compare(2, word(9), at, LASTS), "{lasts}");
            assert_eq!(doubt.give_up(), Some(word(8)));
        }
    }

    #[test]
    fn values_have_the_same_number_if_they_are_the_same() {
        let data = |value: Variant, status| {
            digest(&DataValue {
                value: Some(value),
                status: Some(StatusCode::from(status)),
                ..DataValue::null()
            })
        };
        let good = |value| data(value, 0);
        for (one, other, same) in [
            (good(1_i32.into()), good(1_i32.into()), true),
            (good(1_i32.into()), good(2_i32.into()), false),
            (good((-0.0_f64).into()), good(0.0_f64.into()), true),
            (good(f64::NAN.into()), good((-f64::NAN).into()), true),
            (good(0.5_f32.into()), good(0.25_f32.into()), false),
            (
                good(UAString::from("ab").into()),
                good(UAString::from("ba").into()),
                false,
            ),
            (
                good(vec![0_i32, 1].into()),
                good(vec![1_i32, 0].into()),
                false,
            ),
            (
                good(Guid::from_bytes([1; 16]).into()),
                good(Guid::from_bytes([2; 16]).into()),
                false,
            ),
            (
                good(NodeId::new(1, 7_u32).into()),
                good(NodeId::new(1, 8_u32).into()),
                false,
            ),
            (
                good(ExpandedNodeId::from(NodeId::new(1, "a")).into()),
                good(ExpandedNodeId::from(NodeId::new(1, "b")).into()),
                false,
            ),
            (
                good(Variant::XmlElement("<a/>".into())),
                good(Variant::XmlElement("<b/>".into())),
                false,
            ),
            (good(true.into()), data(true.into(), 0x480), true),
            (good(true.into()), data(true.into(), 0x4090_0000), false),
            (data(true.into(), 0x8034_0000), None, true),
        ] {
            assert_eq!(one == other, same, "{one:?} {other:?}");
        }
    }
}
