//! What a source read: values or the reason why there is none, with the time of receipt.

use lineside_proto::Time;
use std::fmt;
use std::sync::Arc;

use crate::clock::Stamp;

/// A good value of a point, after scale and offset.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A coil, a discrete input or a bit of a register.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A 32-bit float as the device sent it, so that it is written as shortly as it was meant.
    Float32(f32),
    /// A 64-bit float, or any number after scale or offset. Always finite.
    Float(f64),
    /// A text.
    Text(Box<str>),
}

impl Value {
    /// The value as rules see it, where it is a number.
    #[expect(
        clippy::cast_precision_loss,
        reason = "rules see every number as a double, as the contract says"
    )]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Float32(value) => Some(f64::from(*value)),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Uint(value) => write!(f, "{value}"),
            Self::Float32(value) if is_plain(f64::from(*value)) => write!(f, "{value}"),
            Self::Float32(value) => write!(f, "{value:e}"),
            Self::Float(value) if is_plain(*value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:e}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// Whether a number is written with all its digits: beyond that they are hundreds, and no table holds them.
pub(crate) fn is_plain(number: f64) -> bool {
    const PLAIN: std::ops::Range<f64> = 1e-5..1e16;
    number == 0.0 || !number.is_finite() || PLAIN.contains(&number.abs())
}

/// Why a point gave no good value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bad {
    /// The device did not answer in time.
    Timeout,
    /// The link to the device is down, or what came was no valid answer.
    Link,
    /// The device answered with a Modbus exception.
    Exception(u8),
    /// The value lies outside what the map expects.
    Range,
    /// What was read is no value of the point's type.
    Decode,
    /// An OPC UA server doubts the value.
    Uncertain(OpcStatus),
    /// An OPC UA server says that there is no value.
    Status(OpcStatus),
}

/// An OPC UA status code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OpcStatus {
    /// The code, its low half cleared.
    pub code: u32,
    /// Its name in OPC 10000-6; empty for one that has none.
    pub name: &'static str,
}

impl fmt::Display for OpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "0x{:08X}", self.code)
        } else {
            f.write_str(self.name)
        }
    }
}

impl Bad {
    /// Whether the device itself said so, so that the last good value no longer stands. Silence
    /// leaves it standing until it is stale.
    pub fn is_spoken(self) -> bool {
        match self {
            Self::Timeout | Self::Link => false,
            Self::Exception(_)
            | Self::Range
            | Self::Decode
            | Self::Uncertain(_)
            | Self::Status(_) => true,
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Link => f.write_str("link"),
            Self::Exception(code) => write!(f, "exception:{code}"),
            Self::Range => f.write_str("range"),
            Self::Decode => f.write_str("decode"),
            Self::Uncertain(status) => write!(f, "uncertain:{status}"),
            Self::Status(status) => write!(f, "bad:{status}"),
        }
    }
}

/// One reading of one point.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The point, as its place in the machine map.
    pub point: u16,
    /// What it gave.
    pub reading: Result<Value, Bad>,
}

/// A machine as the running agent knows it. A number is given once: a machine whose map changed gets a
/// new one, so that what was read by the old map can't be taken for the new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u32);

/// What a source tells of a machine.
#[derive(Clone, PartialEq, Debug)]
pub enum Observation {
    /// Values, or the reasons why there are none.
    Batch(Batch),
    /// The last values of some points still stand.
    Standing(Standing),
    /// Values of a time in which the source was out of reach, from its own history. They go into
    /// the telemetry and never change a state.
    History(Batch),
    /// Values that were lost and can't be had any more.
    Missed(Missed),
}

impl Observation {
    /// The machine that it is about.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Batch(batch) | Self::History(batch) => batch.slot,
            Self::Standing(standing) => standing.slot,
            Self::Missed(missed) => missed.slot,
        }
    }
}

/// What one reading of a poll group, or a part of it, gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// The machine.
    pub slot: Slot,
    /// The poll group, as its place in the machine map.
    pub group: u16,
    /// When the gateway received it.
    pub at: Stamp,
    /// The source's own time of these samples, where it tells one. Never used for states.
    pub source: Option<Time>,
    /// The samples; each point at most once.
    pub samples: Vec<Sample>,
}

/// Points of a poll group of which the source vouches that nothing changed since their last value.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The machine.
    pub slot: Slot,
    /// The poll group, as its place in the machine map.
    pub group: u16,
    /// When the gateway received the word.
    pub at: Stamp,
    /// The points, as their places in the machine map.
    pub points: Arc<[u16]>,
}

/// Values that were lost between a source and the gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct Missed {
    /// The machine.
    pub slot: Slot,
    /// The last moment before the loss.
    pub from: Time,
    /// The first moment after it.
    pub to: Time,
    /// How many samples, where that is known.
    pub samples: Option<u64>,
    /// What was lost and why, for people.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn a_number_fits_a_table() {
        for (value, expected) in [
            (Value::Float(-1.5), "-1.5"),
            (Value::Float(0.0), "0"),
            (Value::Float(1e300), "1e300"),
            // What the bytes of a sensible number are in another order.
            (Value::Float32(4.6006e-41), "4.6006e-41"),
            (Value::Float32(0.1), "0.1"),
            (Value::Uint(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(value.to_string(), expected);
        }
    }
}
