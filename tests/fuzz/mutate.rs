//! Changes inputs so that decoders have to think: bytes, words, parts of JSON, lines and chunks.

use fastrand::Rng;
use serde_json::{Map, Value};

/// Bytes of an input at most.
pub(crate) const BYTES_MAX: usize = 64 << 10;

/// Numbers at which something may turn over.
const NUMBERS: [&str; 10] = [
    "0",
    "1",
    "-1",
    "255",
    "256",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551615",
    "-9223372036854775808",
    "1e300",
];

const WORDS: [&str; 14] = [
    "",
    "sha256:",
    "EXT",
    "RUN",
    "UNKNOWN",
    "usage",
    "session",
    "2026-03-02T04:00:00.000Z",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999Z",
    "..",
    "\u{0}",
    "\u{10ffff}",
    "机",
];

/// Another input, made of this one and sometimes of another of the same kind.
pub(crate) fn mutate(input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..4) {
        bytes = match rng.u8(..8) {
            0..3 => chunked(&bytes, rng),
            3 => spliced(&bytes, other, rng),
            _ => bitten(bytes, rng),
        };
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

/// One of the parts that 0xff or a line break divides, changed as JSON where it is some.
fn chunked(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mark = if bytes.contains(&0xff) { 0xff } else { b'\n' };
    let mut parts: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == mark)
        .map(<[u8]>::to_vec)
        .collect();
    let place = rng.usize(..parts.len());
    match rng.u8(..8) {
        0 => drop(parts.remove(place)),
        1 => {
            let part = parts[place].clone();
            let to = rng.usize(..=parts.len());
            parts.insert(to, part);
        }
        2 => {
            let to = rng.usize(..parts.len());
            parts.swap(place, to);
        }
        _ => {
            let part = std::mem::take(&mut parts[place]);
            // A chunk begins with its name.
            let head = part
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1);
            let json = serde_json::from_slice::<Value>(&part[head..]);
            parts[place] = match json {
                Ok(mut value) => {
                    change(&mut value, rng, 0);
                    let mut part = part[..head].to_vec();
                    part.extend(value.to_string().into_bytes());
                    part
                }
                Err(_) => bitten(part, rng),
            };
        }
    }
    parts.join(&mark)
}

/// Changes something in a value.
fn change(value: &mut Value, rng: &mut Rng, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() && depth < 8 && rng.u8(..8) > 0 => {
            let place = rng.usize(..fields.len());
            let name = fields.keys().nth(place).cloned().unwrap_or_default();
            match rng.u8(..10) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let field = fields[&name].clone();
                    fields.insert(format!("{name}x"), field);
                }
                _ => change(&mut fields[&name], rng, depth + 1),
            }
        }
        Value::Array(items) if !items.is_empty() && depth < 8 && rng.u8(..8) > 0 => {
            let place = rng.usize(..items.len());
            match rng.u8(..6) {
                0 => drop(items.remove(place)),
                1 => items.insert(place, items[place].clone()),
                _ => change(&mut items[place], rng, depth + 1),
            }
        }
        other => *other = fresh(other, rng),
    }
}

fn fresh(old: &Value, rng: &mut Rng) -> Value {
    match (rng.u8(..8), old) {
        (0, _) => Value::Null,
        (1, _) => Value::String(WORDS[rng.usize(..WORDS.len())].to_owned()),
        (2, _) => Value::Array(vec![old.clone(), old.clone()]),
        (3, _) => Value::Object(Map::from_iter([("v".to_owned(), old.clone())])),
        (_, Value::Number(number)) if rng.bool() => {
            let number = number.as_i64().unwrap_or(0);
            Value::from(number.wrapping_add(rng.i64(-3_600_000..3_600_000)))
        }
        (_, Value::String(text)) if rng.bool() => {
            let mut text: Vec<char> = text.chars().collect();
            if !text.is_empty() {
                let place = rng.usize(..text.len());
                text[place] = char::from(rng.u8(32..127));
            }
            Value::String(text.into_iter().collect())
        }
        _ => serde_json::from_str(NUMBERS[rng.usize(..NUMBERS.len())]).unwrap_or(Value::Null),
    }
}

/// The begin of one and the end of the other.
fn spliced(one: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let (from, to) = (rng.usize(..=one.len()), rng.usize(..=other.len()));
    [&one[..from], &other[to..]].concat()
}

/// Bytes changed, put in, taken out.
fn bitten(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let place = rng.usize(..=bytes.len());
    let end = (place + rng.usize(1..16)).min(bytes.len());
    match rng.u8(..6) {
        0 => drop(bytes.drain(place..end)),
        1 => {
            let part = bytes[place..end].to_vec();
            bytes.splice(place..place, part);
        }
        2 => {
            let words = if rng.bool() {
                WORDS.as_slice()
            } else {
                NUMBERS.as_slice()
            };
            let word = words[rng.usize(..words.len())].bytes();
            bytes.splice(place..place, word);
        }
        3 => bytes[place..end].fill(if rng.bool() { 0xff } else { 0 }),
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << rng.u8(..8);
            }
        }
    }
    bytes
}
