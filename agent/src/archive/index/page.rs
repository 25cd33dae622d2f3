//! Pages: where the next one goes on, as an opaque text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::IndexError;
use super::model::Page;
use super::sql::Value;
use crate::text;

/// Bytes of such a text at most: a few names and ids.
const AFTER_BYTES_MAX: usize = 2_048;

fn no_after() -> IndexError {
    IndexError::Asked(text!(
        "`after` is the `next` of the page before",
        "`after` 应为上一页的 `next`"
    ))
}

/// The key of a page's last row, as a text.
pub(super) fn written(key: &[Value]) -> String {
    let key: Vec<serde_json::Value> = key
        .iter()
        .map(|value| match value {
            Value::Null => serde_json::Value::Null,
            Value::Int(value) => (*value).into(),
            Value::Text(value) => value.as_str().into(),
        })
        .collect();
    URL_SAFE_NO_PAD.encode(serde_json::Value::Array(key).to_string())
}

/// The key in such a text, of the same kinds as `first`, which comes before all keys; that one where there is no text.
///
/// # Errors
///
/// [`IndexError::Asked`]: it is none.
pub(super) fn read(after: Option<&str>, first: Vec<Value>) -> Result<Vec<Value>, IndexError> {
    let Some(text) = after else { return Ok(first) };
    if text.len() > AFTER_BYTES_MAX {
        return Err(no_after());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| no_after())?;
    let values: Vec<serde_json::Value> = serde_json::from_slice(&bytes).map_err(|_| no_after())?;
    if values.len() != first.len() {
        return Err(no_after());
    }
    let value = |(value, kind): (serde_json::Value, &Value)| match (value, kind) {
        (serde_json::Value::Number(value), Value::Int(_)) => value.as_i64().map(Value::Int),
        (serde_json::Value::String(value), Value::Text(_)) if !value.contains('\0') => {
            Some(Value::Text(value))
        }
        _ => None,
    };
    let values: Option<Vec<Value>> = values.into_iter().zip(&first).map(value).collect();
    values.ok_or(no_after())
}

/// A page of `limit` rows out of one more than that, with their keys.
pub(super) fn page<T>(mut found: Vec<(Vec<Value>, T)>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| is_more);
    let next = last.map(|(key, _)| written(key));
    Page {
        rows: found.into_iter().map(|(_, row)| row).collect(),
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql::Value;
    use super::{page, read, written};

    #[test]
    fn a_page_goes_on_where_the_one_before_ended() {
        let key = |number: i64| vec![Value::Int(number), Value::Text("x".to_owned())];
        let rows: Vec<_> = (1..=3).map(|number| (key(number), number)).collect();
        let first = page(rows.clone(), 2);
        assert_eq!(first.rows, [1, 2]);
        let after = read(first.next.as_deref(), key(0)).unwrap();
        assert_eq!(after, key(2));
        let last = page(rows, 3);
        assert_eq!((last.rows.len(), last.next), (3, None));
        assert_eq!(read(None, key(0)).unwrap(), key(0));
    }

    #[test]
    fn no_other_text_is_a_place() {
        let first = || vec![Value::Int(0), Value::Text(String::new())];
        for text in [
            String::new(),
            "x".to_owned(),
            "!".to_owned(),
            "A".repeat(3_000),
            written(&[Value::Int(1)]),
            written(&[Value::Text("1".to_owned()), Value::Text("x".to_owned())]),
            written(&[Value::Int(1), Value::Null]),
            written(&[Value::Int(1), Value::Text("\0".to_owned())]),
        ] {
            assert!(read(Some(&text), first()).is_err(), "{text}");
        }
    }
}
