//! What a raw value means by the map: scale, offset and what is expected. The same for every
//! protocol; no I/O, no time.

use crate::config::model::Scaling;
use crate::sample::{Bad, Value};

/// The value after scale and offset, if it is one that the map expects. Bools and texts are left as
/// they are.
///
/// # Errors
///
/// [`Bad::Decode`] where the result is no finite number; [`Bad::Range`] for a value outside what the
/// map expects.
pub(super) fn meant(
    value: Value,
    scaling: Option<Scaling>,
    expect: Option<(f64, f64)>,
) -> Result<Value, Bad> {
    let value = match (scaling, value.as_number()) {
        (Some(scaling), Some(number)) => finite(times(number, scaling.scale) + scaling.offset)?,
        (None, _) | (_, None) => value,
    };
    match (expect, value.as_number()) {
        (Some((low, high)), Some(number)) if number < low || number > high => Err(Bad::Range),
        _ => Ok(value),
    }
}

/// A number that is one.
///
/// # Errors
///
/// [`Bad::Decode`] for a NaN or an infinity.
pub(super) fn finite(number: f64) -> Result<Value, Bad> {
    if number.is_finite() {
        Ok(Value::Float(number))
    } else {
        Err(Bad::Decode)
    }
}

/// number × scale. A scale such as 0.1 is no binary fraction, but its inverse is a whole number:
/// dividing by that gives the decimal that was meant (2096 × 0.1 is 209.6, not 209.60000000000002).
fn times(number: f64, scale: f64) -> f64 {
    let inverse = (1.0 / scale).round();
    if scale.abs() < 1.0 && 1.0 / inverse == scale {
        number / inverse
    } else {
        number * scale
    }
}
