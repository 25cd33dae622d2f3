//! Where two totals differ, value by value.

use serde_json::{Number, Value};

use super::{Findings, Totals};
use crate::text;

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

/// The same of a report as it stands in the bundle: what totals don't have differs, too.
pub fn differences_in(said: &Value, made: &Totals) -> Findings {
    let mut found = Findings::default();
    let made = serde_json::to_value(made).unwrap_or_default();
    compare("report.json", said, &made, &mut found);
    found
}

fn compare(path: &str, said: &Value, made: &Value, found: &mut Findings) {
    match (said, made) {
        (Value::Object(said), Value::Object(made)) => {
            for (key, value) in made {
                let path = format!("{path}/{key}");
                match said.get(key) {
                    Some(said) => compare(&path, said, value, found),
                    None => tell(&path, &Value::Null, value, found),
                }
            }
            for (key, value) in said.iter().filter(|(key, _)| !made.contains_key(*key)) {
                tell(&format!("{path}/{key}"), value, &Value::Null, found);
            }
        }
        (Value::Array(said), Value::Array(made)) => {
            let length = said.len().max(made.len());
            for place in 0..length {
                let both = [said, made].map(|all| all.get(place));
                let is_there = both.iter().all(Option::is_some);
                let [said, made] = both.map(|one| one.unwrap_or(&Value::Null));
                let name = name(made).or_else(|| name(said));
                let name = name.map_or_else(|| place.to_string(), ToOwned::to_owned);
                let path = format!("{path}/{name}");
                match is_there {
                    true => compare(&path, said, made, found),
                    false => tell(&path, said, made, found),
                }
            }
        }
        (Value::Number(said), Value::Number(made)) if is_same(said, made) => {}
        _ if said == made => {}
        _ => tell(path, said, made, found),
    }
}

/// However a number is written: 1.0 is 1. Large integers are no fractions.
fn is_same(said: &Number, made: &Number) -> bool {
    match (said.as_u64(), made.as_u64()) {
        (Some(said), Some(made)) => said == made,
        _ => said.as_f64() == made.as_f64(),
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
        text!(
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

#[cfg(test)]
mod tests {
    use super::{differences, differences_in};
    use crate::evidence::{Check, Status, Totals};
    use crate::text;
    use crate::text::Language;

    #[test]
    fn each_value_that_differs_is_named() {
        let text = include_str!("tally/tests/golden.json");
        let made: Totals = serde_json::from_str(text).unwrap();
        assert_eq!(differences(&made, &made).status(), Status::Ok);
        let check = |from: &str, to: &str, expected: &[&str]| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let said: Totals = serde_json::from_str(&changed).unwrap();
            let found = differences(&said, &made);
            let result = found.result(Check::Totals, Language::En, || text!("", ""));
            assert_eq!(result.status, Status::Failed);
            assert_eq!(result.said, expected);
        };
        check(
            r#""active_ms": 6900000"#,
            r#""active_ms": 9900000"#,
            &["report.json/machines/m/active_ms: the report says 9900000, the leaves give 6900000"],
        );
        check(
            r#""D": 6300000"#,
            r#""A": 6300000"#,
            &[
                "report.json/machines/m/hours/EXT/D: the report says null, the leaves give 6300000",
                "report.json/machines/m/hours/EXT/A: the report says 6300000, the leaves give null",
            ],
        );
        check(
            r#""late","#,
            "",
            &[
                "report.json/machines/m/sessions/x/why/1: the report says \"map\", the leaves give \"late\"",
                "report.json/machines/m/sessions/x/why/2: the report says null, the leaves give \"map\"",
            ],
        );
        check(
            r#""org": null"#,
            r#""org": "org-1""#,
            &[
                "report.json/machines/n/sessions/y/org: the report says \"org-1\", the leaves give null",
            ],
        );
        check(
            r#""first": 0"#,
            r#""first": 256"#,
            &["report.json/first: the report says 256, the leaves give 0"],
        );
        let extra = |from: &str, to: &str| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let said = serde_json::from_str(&changed).unwrap();
            differences_in(&said, &made).status()
        };
        assert_eq!(extra(r#""first": 0"#, r#""first": 0.0"#), Status::Ok);
        for (from, to) in [
            (r#""first": 0"#, r#""first": 0, "more": null"#),
            (r#""first": 0"#, r#""first": "0""#),
            (r#""org": null,"#, ""),
            (r#""org": null"#, r#""leaf_class": "EXT", "org": null"#),
            (r#""late","#, r#""late", null,"#),
            ("T00:00:00.000Z", "T00:00:00Z"),
        ] {
            assert_eq!(extra(from, to), Status::Failed, "{to}");
        }
        let mut said = made.clone();
        said.machines.pop();
        let found = differences(&said, &made);
        let result = found.result(Check::Totals, Language::ZhCn, || text!("", ""));
        assert_eq!(
            result.said,
            ["report.json/machines/n：报告为 null，而台账记录得出 {…20…}"]
        );
    }
}
