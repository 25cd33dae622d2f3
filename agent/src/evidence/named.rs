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
        if method == "ledger.checkpoint" && !is_of(&answer, origin) {
            let words = format!("the head of another log than {origin}");
            return Err(Trouble::Nonsense(words));
        }
        Ok(answer)
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

/// Whether a head is that of this log: whoever does not know the parameter gives the newest log's.
fn is_of(answer: &[Value], origin: &str) -> bool {
    let notes = answer.iter().map(|part| part.get("checkpoint")?.as_str());
    let is_named = |note: &str| note.lines().next() == Some(origin);
    notes.into_iter().all(|note| note.is_some_and(is_named))
}

#[cfg(test)]
mod tests {
    use super::{is_about_log, is_of, naming};
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
    fn the_head_of_another_log_is_none_of_it() {
        let said = |origin: &str| [json!({"checkpoint": format!("{origin}\n5\nroot\n")})];
        assert!(is_of(&said("lineside/zs/gw"), "lineside/zs/gw"));
        assert!(!is_of(&said("lineside/zs/gw/e2"), "lineside/zs/gw"));
        assert!(!is_of(&[json!({})], "lineside/zs/gw"));
    }
}
