//! Where two totals differ, value by value.
//!
//! A year's totals are ten megabytes of text, and twenty times that as a tree of values. So texts are compared: that of
//! an honest report is the very text that its leaves give, and where it is not, one list's element is looked into at a
//! time.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::{Findings, Totals};
use crate::text;

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 80;

/// What a bundle's report says, against what its leaves give: check `totals`. Each value that differs fails it.
pub fn differences(said: &Totals, made: &Totals) -> Findings {
    if said == made {
        return Findings::default();
    }
    // Texts, numbers and lists only: writing them can't fail, and what was written can be read.
    let said = serde_json::to_vec(said).unwrap_or_default();
    differences_in(&said, made).unwrap_or_default()
}

/// The same of a report as it stands in the bundle: what totals don't have differs, too.
///
/// # Errors
///
/// It is no JSON.
pub fn differences_in(said: &[u8], made: &Totals) -> Result<Findings, serde_json::Error> {
    let mut found = Findings::default();
    let mut same = Same(said);
    let is_same = serde_json::to_writer(&mut same, made).is_ok() && same.0.is_empty();
    if !is_same {
        // Pieces are taken out of what can be read as a whole.
        serde_json::from_slice::<Sound>(said)?;
        let made = serde_json::to_vec(made)?;
        let (said, made) = (
            serde_json::from_slice(said)?,
            serde_json::from_slice(&made)?,
        );
        compare("report.json", said, made, &mut found);
    }
    Ok(found)
}

/// What is still to be written, if what is written is this.
struct Same<'a>(&'a [u8]);

impl Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON of which nothing is kept: a [`RawValue`] is not looked into when it is read, and so may be none.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self, A::Error> {
        while all.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Self, A::Error> {
        while all.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// The members of an object.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Reads what was read before: the text is known to be JSON.
fn again<'a, T: Deserialize<'a> + Default>(raw: &'a RawValue) -> T {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

fn compare(path: &str, said: &RawValue, made: &RawValue, found: &mut Findings) {
    if said.get() == made.get() {
        return;
    }
    match (kind(said), kind(made)) {
        (Kind::Object, Kind::Object) => {
            let (said, made): (Members<'_>, Members<'_>) = (again(said), again(made));
            for (key, value) in &made {
                let path = format!("{path}/{key}");
                match said.get(key) {
                    Some(said) => compare(&path, said, value, found),
                    None => tell(&path, RawValue::NULL, value, found),
                }
            }
            for (key, value) in said.iter().filter(|(key, _)| !made.contains_key(*key)) {
                tell(&format!("{path}/{key}"), value, RawValue::NULL, found);
            }
        }
        (Kind::Array, Kind::Array) => {
            let made = again(made);
            let along = Along { path, made, found };
            let mut elements = serde_json::Deserializer::from_str(said.get());
            // It was read before.
            drop(elements.deserialize_seq(along));
        }
        (Kind::One, Kind::One) => match (again(said), again(made)) {
            (Value::Number(one), Value::Number(other)) if is_same(&one, &other) => {}
            (one, other) if one == other => {}
            _ => tell(path, said, made, found),
        },
        _ => tell(path, said, made, found),
    }
}

/// What a value is, by how its text begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    One,
}

fn kind(raw: &RawValue) -> Kind {
    match raw.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        _ => Kind::One,
    }
}

/// A list that is read along another: a hostile one may have millions of elements.
struct Along<'a> {
    path: &'a str,
    made: Vec<&'a RawValue>,
    found: &'a mut Findings,
}

impl<'de> Visitor<'de> for Along<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let Self { path, made, found } = self;
        let path = |place: usize, one: &RawValue, other: &RawValue| {
            let name = name(one).or_else(|| name(other));
            let name = name.unwrap_or_else(|| place.to_string());
            format!("{path}/{name}")
        };
        let mut made = made.into_iter().enumerate();
        let mut extra = made.len();
        while let Some(said) = all.next_element::<&RawValue>()? {
            if let Some((place, made)) = made.next() {
                compare(&path(place, made, said), said, made, found);
            } else {
                tell(&path(extra, said, said), said, RawValue::NULL, found);
                extra += 1;
            }
        }
        for (place, made) in made {
            tell(&path(place, made, made), RawValue::NULL, made, found);
        }
        Ok(())
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
fn name(raw: &RawValue) -> Option<String> {
    if kind(raw) != Kind::Object {
        return None;
    }
    let all: Members<'_> = again(raw);
    let name = all.get("machine").or_else(|| all.get("session"))?;
    serde_json::from_str(name.get()).ok()
}

fn tell(path: &str, said: &RawValue, made: &RawValue, found: &mut Findings) {
    found.fail(|| {
        let (said, made) = (shown(said), shown(made));
        text!(
            "{path}: the report says {said}, the leaves give {made}",
            "{path}：报告为 {said}，而台账记录得出 {made}"
        )
    });
}

/// A value, as short as it can be told.
fn shown(raw: &RawValue) -> String {
    match kind(raw) {
        Kind::Object => {
            let all: BTreeMap<String, IgnoredAny> = again(raw);
            format!("{{…{}…}}", all.len())
        }
        Kind::Array => {
            let all: Vec<IgnoredAny> = again(raw);
            format!("[…{}…]", all.len())
        }
        Kind::One => {
            let value: Value = again(raw);
            value.to_string().chars().take(SHOWN_MAX).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{differences, differences_in};
    use crate::evidence::{Check, Findings, Status, Totals};
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
            differences_in(changed.as_bytes(), &made).unwrap().status()
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

    #[test]
    fn a_report_is_what_it_says_however_it_is_written() {
        let text = include_str!("tally/tests/golden.json");
        let made: Totals = serde_json::from_str(text).unwrap();
        let plain = serde_json::to_string(&made).unwrap();
        let longer = plain.replacen("[", "[ ", 3).replacen("\":", "\" :\n", 9);
        for said in [&plain, text, &longer] {
            let found = differences_in(said.as_bytes(), &made).unwrap();
            assert_eq!(found, Findings::default(), "{said}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for wrong in [
            "",
            "{",
            &plain[1..],
            &format!("{plain} 1"),
            // What is no JSON is none wherever it stands.
            &plain.replacen("\"first\":0", "\"first\":1e999", 1),
            &plain.replacen("\"org\":null", "\"org\":\"\\ud800\"", 1),
            &plain.replacen("\"org\":null", &format!("\"org\":{deep}"), 1),
        ] {
            assert!(*wrong != plain, "{wrong}");
            assert!(differences_in(wrong.as_bytes(), &made).is_err(), "{wrong}");
        }
        let no_text = [plain.as_bytes(), b"\xff"].concat();
        assert!(differences_in(&no_text, &made).is_err());
    }

    #[test]
    fn each_element_that_is_too_many_or_missing_counts() {
        let text = include_str!("tally/tests/golden.json");
        let made: Totals = serde_json::from_str(text).unwrap();
        let plain = serde_json::to_string(&made).unwrap();
        let many = format!("\"machines\":[{}", "0,".repeat(1_000));
        let said = plain.replacen("\"machines\":[", &many, 1);
        let found = differences_in(said.as_bytes(), &made).unwrap();
        let result = found.result(Check::Totals, Language::En, || text!("", ""));
        assert_eq!((result.found, result.said.len()), (1_002, 100));
        assert_eq!(
            result.said[1..3],
            [
                "report.json/machines/n: the report says 0, the leaves give {…20…}",
                "report.json/machines/2: the report says 0, the leaves give null",
            ]
        );
    }
}
