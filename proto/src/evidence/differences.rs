//! Where two totals differ, value by value.

use serde_json::Value;

use super::say::said;
use super::{Findings, Totals};

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 80;

/// What a bundle's report says, against what its leaves give: check `totals`. Each value that differs fails it.
pub fn differences(said: &Totals, made: &Totals) -> Findings {
    let mut found = Findings::default();
    if said == made {
        return found;
    }
    // Texts, numbers and lists only: writing them can't fail.
    let value = |totals| serde_json::to_value(totals).unwrap_or_default();
    compare("report.json", &value(said), &value(made), &mut found);
    found
}

fn compare(path: &str, said: &Value, made: &Value, found: &mut Findings) {
    match (said, made) {
        (Value::Object(said), Value::Object(made)) => {
            for (key, value) in made {
                let path = format!("{path}/{key}");
                let said = said.get(key).unwrap_or(&Value::Null);
                compare(&path, said, value, found);
            }
            for (key, value) in said.iter().filter(|(key, _)| !made.contains_key(*key)) {
                tell(&format!("{path}/{key}"), value, &Value::Null, found);
            }
        }
        (Value::Array(said), Value::Array(made)) => {
            let length = said.len().max(made.len());
            for place in 0..length {
                let [said, made] = [said, made].map(|all| all.get(place).unwrap_or(&Value::Null));
                let name = name(made).or_else(|| name(said));
                let name = name.map_or_else(|| place.to_string(), ToOwned::to_owned);
                compare(&format!("{path}/{name}"), said, made, found);
            }
        }
        _ if said == made => {}
        _ => tell(path, said, made, found),
    }
}

/// What a machine or a session is called.
fn name(value: &Value) -> Option<&str> {
    let name = value.get("machine").or_else(|| value.get("session"))?;
    name.as_str()
}

fn tell(path: &str, said: &Value, made: &Value, found: &mut Findings) {
    found.fail(|| {
        let (said, made) = (shown(said), shown(made));
        said!(
            "{path}: the report says {said}, the leaves give {made}",
            "{path}：报告为 {said}，而台账记录得出 {made}"
        )
    });
}

/// A value, as short as it can be told.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(all) => format!("{{…{}…}}", all.len()),
        Value::Array(all) => format!("[…{}…]", all.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            value.to_string().chars().take(SHOWN_MAX).collect()
        }
    }
}
