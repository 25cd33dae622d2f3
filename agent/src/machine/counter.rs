//! Counters that cross-check the hours: a machine's own hour counter, an energy meter. Exact decimals, rises
//! summed over resets and rollovers.

use lineside_proto::ledger::Counter;
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::config::model::{Address, Kind, MachineMap};
use crate::sample::Value;

/// Decimal places that are kept; meters tell fewer.
const PLACES: u32 = 6;

/// The same as a factor.
const ONE: i128 = 1_000_000;

/// Whole digits of a reading at most: what tells more is no counter.
const DIGITS_MAX: usize = 18;

/// A number with six decimal places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Decimal(i128);

impl Decimal {
    /// A reading as a decimal; none for what is no number, or too large for a counter.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(value) => Some(Self(i128::from(*value) * ONE)),
            Value::Uint(value) => Some(Self(i128::from(*value) * ONE)),
            // The shortest text that gives this very number: what the device meant.
            Value::Float32(value) => Self::parse(&value.to_string()),
            Value::Float(value) => Self::parse(&format!("{value:.6}")),
            Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// Reads a plain decimal; places beyond the sixth are dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > DIGITS_MAX || !is_number(whole) || !is_number(places) {
            return None;
        }
        let mut number = whole.parse::<i128>().ok()?;
        let mut places = places.bytes();
        for _ in 0..PLACES {
            let digit = places.next().map_or(0, |byte| byte - b'0');
            number = number * 10 + i128::from(digit);
        }
        Some(Self(if is_negative { -number } else { number }))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let number = self.0.unsigned_abs();
        let (whole, places) = (number / ONE.unsigned_abs(), number % ONE.unsigned_abs());
        if places == 0 {
            return write!(f, "{sign}{whole}");
        }
        let places = format!("{places:06}");
        write!(f, "{sign}{whole}.{}", places.trim_end_matches('0'))
    }
}

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no decimal"))
    }
}

/// A counter point of a machine and what it last told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// The point, as its place in the map.
    pub(super) point: u16,
    /// After how much it begins again from zero; none where nobody knows.
    turn: Option<Decimal>,
    standing: Option<Decimal>,
}

impl Meter {
    /// The counter of a map that lies at this point.
    pub(super) fn new(map: &MachineMap, point: u16) -> Self {
        Self {
            point,
            turn: turn(map, point),
            standing: None,
        }
    }

    /// Takes in a reading; gives the count to be added to the spans that it falls in.
    pub(super) fn take(&mut self, value: &Value) -> Option<Count> {
        let to = Decimal::of(value)?;
        let from = self.standing.replace(to).unwrap_or(to);
        let mut count = Count {
            from,
            to,
            delta: Decimal(to.0.saturating_sub(from.0).max(0)),
            resets: u32::from(to < from),
        };
        // From the last tenth of its range into the first one: it rolled over.
        if let Some(turn) = self
            .turn
            .filter(|turn| to < from && from < *turn && to.0 >= 0)
        {
            if from.0 > turn.0 / 10 * 9 && to.0 < turn.0 / 10 {
                count.delta = Decimal(turn.0 - from.0 + to.0);
            }
        }
        Some(count)
    }

    /// A count of nothing from the reading that stands; none before the first.
    pub(super) fn stands(&self) -> Option<Count> {
        let standing = self.standing?;
        Some(Count {
            from: standing,
            to: standing,
            delta: Decimal(0),
            resets: 0,
        })
    }
}

/// After how much a point begins again from zero, going by its type.
fn turn(map: &MachineMap, point: u16) -> Option<Decimal> {
    let point = map.points.get(usize::from(point))?;
    let Address::Modbus(address) = &point.address else {
        return None;
    };
    let values: i128 = match address.kind {
        Kind::U16(_) => 1 << 16,
        Kind::U32(_) => 1 << 32,
        Kind::Bcd16(_) => 10_000,
        Kind::Bcd32(_) => 100_000_000,
        Kind::Bool(_)
        | Kind::String { .. }
        | Kind::I16(_)
        | Kind::I32(_)
        | Kind::U64(_)
        | Kind::I64(_)
        | Kind::F32(_)
        | Kind::F64(_) => return None,
    };
    match point.scaling {
        None => Some(Decimal(values * ONE)),
        Some(scaling) if scaling.offset == 0.0 && scaling.scale > 0.0 => {
            let scale = Decimal::parse(&scaling.scale.to_string())?;
            Some(Decimal(values.checked_mul(scale.0)?))
        }
        Some(_) => None,
    }
}

/// What a counter did in a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Count {
    from: Decimal,
    to: Decimal,
    delta: Decimal,
    #[serde(default, skip_serializing_if = "is_zero")]
    resets: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Count {
    /// This count and the one that follows it, as one.
    pub(super) fn then(self, next: Self) -> Self {
        Self {
            from: self.from,
            to: next.to,
            delta: Decimal(self.delta.0.saturating_add(next.delta.0)),
            resets: self.resets.saturating_add(next.resets),
        }
    }

    /// Both, where both are known.
    pub(super) fn join(one: Option<Self>, next: Option<Self>) -> Option<Self> {
        match (one, next) {
            (Some(one), Some(next)) => Some(one.then(next)),
            (one, next) => one.or(next),
        }
    }

    /// As a leaf says it.
    pub(super) fn told(&self) -> Counter {
        Counter {
            from: self.from.to_string(),
            to: self.to.to_string(),
            delta: self.delta.to_string(),
            resets: self.resets,
        }
    }
}

#[cfg(test)]
mod tests;
