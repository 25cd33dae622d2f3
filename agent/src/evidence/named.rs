//! One log of a gateway, perhaps of an epoch before, by its origin.

use serde_json::{Map, Value};
use std::sync::Arc;

use super::informant::{Informant, Trouble};

/// Asks about one log, whichever is the newest.
#[derive(Debug)]
pub struct Named<I> {
    informant: Arc<I>,
    origin: String,
}

impl<I: Informant> Named<I> {
    /// The log with this origin.
    pub fn new(informant: &Arc<I>, origin: &str) -> Self {
        Self {
            informant: Arc::clone(informant),
            origin: origin.to_owned(),
        }
    }
}

impl<I: Informant> Informant for Named<I> {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        let origin = &self.origin;
        if !is_about_log(method) {
            return self.informant.ask(method, params).await;
        }
        let answer = self.informant.ask(method, naming(origin, params)).await?;
        if method != "ledger.checkpoint" {
            return Ok(answer);
        }
        let furthest = furthest(answer, origin).ok_or_else(|| {
            let words = format!("the head of another log than {origin}");
            Trouble::Nonsense(words)
        })?;
        Ok(vec![furthest])
    }
}

/// Whether a question may name the log that is meant.
fn is_about_log(method: &str) -> bool {
    method.starts_with("ledger.") || method == "usage.bundle"
}

/// Parameters that name the log, too.
fn naming(origin: &str, params: Value) -> Value {
    let mut fields = match params {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    fields.insert("origin".to_owned(), Value::String(origin.to_owned()));
    Value::Object(fields)
}

/// Of the heads of this log, which several may have given, the one of most leaves. Whoever does not know the parameter
/// gives the newest log's.
fn furthest(answer: Vec<Value>, origin: &str) -> Option<Value> {
    let size = |part: &Value| {
        let note = part.get("checkpoint")?.as_str()?;
        let mut lines = note.lines();
        let is_of = lines.next() == Some(origin);
        lines.next()?.parse::<u64>().ok().filter(|_| is_of)
    };
    let sized = answer
        .into_iter()
        .filter_map(|part| Some((size(&part)?, part)));
    sized.max_by_key(|(size, _)| *size).map(|(_, part)| part)
}

#[cfg(test)]
mod tests {
    use super::{furthest, is_about_log, naming};
    use crate::answers::{Call, METHODS, call};
    use serde_json::{Value, json};

    #[test]
    fn a_question_names_the_log_that_is_meant() {
        let origin = "lineside/zs/gw/e2";
        let of = |method, params| call(method, naming(origin, params)).unwrap();
        for (method, params) in [
            ("ledger.checkpoint", Value::Null),
            ("ledger.entries", json!({"from": 0, "to": 1})),
            (
                "usage.bundle",
                json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}),
            ),
        ] {
            let plain = call(method, params.clone()).unwrap();
            let named = Call::Of {
                origin: origin.to_owned(),
                call: Box::new(plain),
            };
            assert_eq!(of(method, params), named);
        }
        let others = METHODS.into_iter().filter(|method| !is_about_log(method));
        let others: Vec<&str> = others.collect();
        assert_eq!(others, ["config.get", "token.get", "status"]);
    }

    #[test]
    fn of_the_heads_of_a_log_the_furthest_counts() {
        let said =
            |origin: &str, size: u64| json!({"checkpoint": format!("{origin}\n{size}\nroot\n")});
        let first = "lineside/zs/gw";
        let second = || said("lineside/zs/gw/e2", 9);
        let check = |answer: &[Value], expected: Option<Value>| {
            assert_eq!(furthest(answer.to_vec(), first), expected, "{answer:?}");
        };
        check(&[said(first, 5)], Some(said(first, 5)));
        let several = [said(first, 5), second(), said(first, 7), said(first, 6)];
        check(&several, Some(said(first, 7)));
        check(&[second()], None);
        check(&[json!({}), json!({"checkpoint": first})], None);
        check(&[], None);
    }
}
