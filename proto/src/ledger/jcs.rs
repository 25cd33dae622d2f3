//! RFC 8785 for what leaves are made of: integers, texts, null, lists and objects.

mod canonical;

use serde_json::Value;

pub(super) use canonical::text_of;

/// Integers beyond this are no JSON numbers that every reader reads alike (RFC 7493): 2⁵³ − 1.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why something has no canonical form here.
#[derive(Debug, thiserror::Error)]
pub enum JcsError {
    /// A number that is no integer, or too large.
    #[error("{0} is no integer of at most 53 bits")]
    Number(serde_json::Number),
    /// `true` or `false`.
    #[error("true and false are not used in leaves")]
    Bool,
    /// No JSON at all.
    #[error("no JSON")]
    Json(#[from] serde_json::Error),
    /// JSON, but written otherwise.
    #[error("JSON, but not in its canonical form")]
    Form,
}

/// The canonical bytes of a value.
///
/// # Errors
///
/// Fractions, numbers beyond 2⁵³ − 1, and truth values.
pub fn canonical(value: &Value) -> Result<Vec<u8>, JcsError> {
    let mut out = Vec::with_capacity(512);
    write(value, &mut out)?;
    Ok(out)
}

/// Whether these bytes are the canonical form of something.
///
/// # Errors
///
/// What is no JSON, has no canonical form here, or is written otherwise.
pub fn check(bytes: &[u8]) -> Result<(), JcsError> {
    if canonical::is_canonical(bytes) {
        return Ok(());
    }
    check_by_writing(bytes)
}

/// The same by reading and writing it again: slower, and knows what is wrong.
fn check_by_writing(bytes: &[u8]) -> Result<(), JcsError> {
    let value: Value = serde_json::from_slice(bytes)?;
    if canonical(&value)? == bytes {
        Ok(())
    } else {
        Err(JcsError::Form)
    }
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), JcsError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(_) => return Err(JcsError::Bool),
        Value::Number(number) => {
            let fits = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
            if fits.is_none_or(|size| size > INTEGER_MAX) {
                return Err(JcsError::Number(number.clone()));
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => serde_json::to_writer(out, text)?,
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push(b'{');
            for (place, (name, field)) in fields.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(field, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
