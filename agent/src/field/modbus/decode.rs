//! What registers mean: words and bits become values, or the reason why they can't.
//!
//! Reads straight from the words of an answer; only texts allocate. No I/O, no time.

use crate::config::model::{ByteOrder, Kind, MachineMap, Order, Scaling};
use crate::sample::{Bad, Value};

use super::plan::Request;
use crate::field::scaling::{finite, meant};

/// What a device answered, as it was on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Raw {
    /// Registers.
    Words(Vec<u16>),
    /// Coils or discrete inputs.
    Bits(Vec<bool>),
}

/// How one point is read out of the answer to one request: everything that is needed of the map,
/// side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// The point, as its place in the map.
    pub point: u16,
    offset: usize,
    width: usize,
    kind: Kind,
    scaling: Option<Scaling>,
    expect: Option<(f64, f64)>,
}

impl Read {
    /// How the point at this place in the map is read out of the answer to this request; none where
    /// the map has no such point.
    pub(super) fn of(map: &MachineMap, request: &Request, place: u16) -> Option<Self> {
        let point = map.points.get(usize::from(place))?;
        let address = point.modbus()?;
        Some(Self {
            point: place,
            offset: usize::from(address.start.saturating_sub(request.start)),
            width: usize::from(address.width()),
            kind: address.kind,
            scaling: point.scaling,
            expect: point.expect,
        })
    }

    /// The point's value.
    ///
    /// # Errors
    ///
    /// [`Bad::Decode`] for what is no value of the point's type, an answer that is too short
    /// included; [`Bad::Range`] for a value outside what the map expects.
    pub(super) fn decode(&self, raw: &Raw) -> Result<Value, Bad> {
        let span = self.offset..self.offset.saturating_add(self.width);
        let value = match raw {
            Raw::Words(words) => value(self.kind, words.get(span).ok_or(Bad::Decode)?)?,
            Raw::Bits(bits) => Value::Bool(*bits.get(self.offset).ok_or(Bad::Decode)?),
        };
        meant(value, self.scaling, self.expect)
    }

    /// The point's own words or bits.
    pub(super) fn raw(&self, raw: &Raw) -> Raw {
        let span = self.offset..self.offset.saturating_add(self.width);
        match raw {
            Raw::Words(words) => Raw::Words(words.get(span).unwrap_or_default().to_vec()),
            Raw::Bits(bits) => Raw::Bits(bits.get(span).unwrap_or_default().to_vec()),
        }
    }
}

/// The value that these words hold, before scale and offset; exactly as many words as the type spans.
///
/// # Errors
///
/// [`Bad::Decode`]: the words are no value of this type (a NaN, an infinity, a digit above 9, bytes
/// that are no UTF-8), or their number is wrong.
pub fn value(kind: Kind, words: &[u16]) -> Result<Value, Bad> {
    Ok(match kind {
        Kind::Bool(None) => Value::Bool(one(words)? != 0),
        Kind::Bool(Some(bit)) => {
            let mask = 1_u16.checked_shl(u32::from(bit)).ok_or(Bad::Decode)?;
            Value::Bool(one(words)? & mask != 0)
        }
        Kind::U16(order) => Value::Uint(u64::from(ordered(one(words)?, order))),
        Kind::I16(order) => Value::Int(i64::from(ordered(one(words)?, order) as i16)),
        Kind::U32(order) => Value::Uint(u64::from(two(words, order)?)),
        Kind::I32(order) => Value::Int(i64::from(two(words, order)? as i32)),
        Kind::U64(order) => Value::Uint(four(words, order)?),
        Kind::I64(order) => Value::Int(four(words, order)? as i64),
        Kind::F32(order) => match f32::from_bits(two(words, order)?) {
            value if value.is_finite() => Value::Float32(value),
            _ => return Err(Bad::Decode),
        },
        Kind::F64(order) => finite(f64::from_bits(four(words, order)?))?,
        Kind::String { length, order } => text(words, usize::from(length), order)?,
        Kind::Bcd16(order) => Value::Uint(decimal(u32::from(ordered(one(words)?, order)), 4)?),
        Kind::Bcd32(order) => Value::Uint(decimal(two(words, order)?, 8)?),
    })
}

/// The value under every order that its type can have, each with the order's name, so that a
/// technician can see which of them makes sense. A type without orders gives one, named `-`.
pub fn all_orders(kind: Kind, words: &[u16]) -> Vec<(&'static str, Result<Value, Bad>)> {
    const BYTES: [(&str, ByteOrder); 2] = [("AB", ByteOrder::High), ("BA", ByteOrder::Low)];
    const ORDERS: [(&str, Order); 4] = [
        ("ABCD", Order::Abcd),
        ("CDAB", Order::Cdab),
        ("BADC", Order::Badc),
        ("DCBA", Order::Dcba),
    ];
    let by_byte = |make: &dyn Fn(ByteOrder) -> Kind| {
        BYTES
            .map(|(name, order)| (name, value(make(order), words)))
            .to_vec()
    };
    let by_word = |make: &dyn Fn(Order) -> Kind| {
        ORDERS
            .map(|(name, order)| (name, value(make(order), words)))
            .to_vec()
    };
    match kind {
        Kind::Bool(_) => vec![("-", value(kind, words))],
        Kind::U16(_) => by_byte(&Kind::U16),
        Kind::I16(_) => by_byte(&Kind::I16),
        Kind::Bcd16(_) => by_byte(&Kind::Bcd16),
        Kind::String { length, .. } => by_byte(&|order| Kind::String { length, order }),
        Kind::U32(_) => by_word(&Kind::U32),
        Kind::I32(_) => by_word(&Kind::I32),
        Kind::U64(_) => by_word(&Kind::U64),
        Kind::I64(_) => by_word(&Kind::I64),
        Kind::F32(_) => by_word(&Kind::F32),
        Kind::F64(_) => by_word(&Kind::F64),
        Kind::Bcd32(_) => by_word(&Kind::Bcd32),
    }
}

fn one(words: &[u16]) -> Result<u16, Bad> {
    match words {
        [word] => Ok(*word),
        _ => Err(Bad::Decode),
    }
}

fn ordered(word: u16, order: ByteOrder) -> u16 {
    match order {
        ByteOrder::High => word,
        ByteOrder::Low => word.swap_bytes(),
    }
}

fn two(words: &[u16], order: Order) -> Result<u32, Bad> {
    let [first, second] = words else {
        return Err(Bad::Decode);
    };
    let [a, b] = match order {
        Order::Abcd => [*first, *second],
        Order::Cdab => [*second, *first],
        Order::Badc => [first.swap_bytes(), second.swap_bytes()],
        Order::Dcba => [second.swap_bytes(), first.swap_bytes()],
    };
    Ok(u32::from(a) << 16 | u32::from(b))
}

fn four(words: &[u16], order: Order) -> Result<u64, Bad> {
    let [a, b, c, d] = words else {
        return Err(Bad::Decode);
    };
    let (high, low) = match order {
        Order::Abcd | Order::Badc => ([*a, *b], [*c, *d]),
        Order::Cdab | Order::Dcba => ([*c, *d], [*a, *b]),
    };
    Ok(u64::from(two(&high, order)?) << 32 | u64::from(two(&low, order)?))
}

fn decimal(digits: u32, count: u32) -> Result<u64, Bad> {
    (0..count).rev().try_fold(0, |number, place| {
        let digit = u64::from(digits >> (4 * place) & 0xF);
        if digit <= 9 {
            Ok(number * 10 + digit)
        } else {
            Err(Bad::Decode)
        }
    })
}

fn text(words: &[u16], length: usize, order: ByteOrder) -> Result<Value, Bad> {
    if words.len() != length.div_ceil(2) {
        return Err(Bad::Decode);
    }
    let mut bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| ordered(*word, order).to_be_bytes())
        .collect();
    bytes.truncate(length);
    let text = String::from_utf8(bytes).map_err(|_| Bad::Decode)?;
    Ok(Value::Text(text.trim_end_matches(['\0', ' ']).into()))
}

#[cfg(test)]
mod tests;
