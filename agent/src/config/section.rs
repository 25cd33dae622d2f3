//! One table of a file, read key by key: each reading says what it wants, a wrong value is a fault
//! and reads as absent, and whatever was not asked for is unknown.

use lineside_proto::{Identifier, NameError};
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, Report};
use super::source::Place;
use super::tree::{Entry, Node, Table, Value};
use crate::text;
use crate::text::Text;

/// Keys longer than this are not compared with the known ones: the comparison is quadratic.
const COMPARED_CHARS_MAX: usize = 64;

/// A table that is being read.
pub(super) struct Section<'a> {
    table: &'a Table,
    at: &'a Place,
    report: &'a Report,
    asked: RefCell<Vec<&'static str>>,
}

/// A value and where it was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a, T> {
    pub(super) value: T,
    pub(super) at: &'a Place,
}

impl<'a> Section<'a> {
    /// Begins to read a table; what it lacks is reported at `at`.
    pub(super) fn new(table: &'a Table, at: &'a Place, report: &'a Report) -> Self {
        Self {
            table,
            at,
            report,
            asked: RefCell::default(),
        }
    }

    /// Where the table stands.
    pub(super) fn at(&self) -> &'a Place {
        self.at
    }

    /// Reports a fault.
    pub(super) fn add(&self, fault: Fault) {
        self.report.add(fault);
    }

    /// The entry under a key.
    pub(super) fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Reports a key that must be there and is not; hands the reading through.
    pub(super) fn required<T>(&self, key: &'static str, read: Option<T>) -> Option<T> {
        if read.is_none() && self.table.get(key).is_none() {
            let message = text!("`{key}` is missing", "缺少 `{key}`");
            self.report.error("missing-key", self.at, message);
        }
        read
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<Said<'a, &'a str>> {
        let node = &self.entry(key)?.node;
        if let Value::Text(text) = &node.value {
            Some(Said {
                value: text,
                at: &node.at,
            })
        } else {
            wrong_type(
                self.report,
                key,
                node,
                &text!("a text in quotes", "带引号的字符串"),
            );
            None
        }
    }

    /// A text of 1 to so many characters.
    pub(super) fn short_text(
        &self,
        key: &'static str,
        chars_max: usize,
    ) -> Option<Said<'a, &'a str>> {
        let said = self.text(key)?;
        let chars = said.value.chars().count();
        if (1..=chars_max).contains(&chars) {
            return Some(said);
        }
        self.report.error(
            "out-of-range",
            said.at,
            text!(
                "`{key}` has {chars} characters, and 1 to {chars_max} are allowed",
                "`{key}` 有 {chars} 个字符，允许 1 到 {chars_max} 个"
            ),
        );
        None
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<Said<'a, &'a str>>> {
        let node = &self.entry(key)?.node;
        let wanted = text!("a list of texts", "字符串数组");
        let Value::Array(items) = &node.value else {
            wrong_type(self.report, key, node, &wanted);
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            if let Value::Text(text) = &item.value {
                texts.push(Said {
                    value: text.as_str(),
                    at: &item.at,
                });
            } else {
                wrong_type(self.report, key, item, &wanted);
            }
        }
        Some(texts)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let node = &self.entry(key)?.node;
        if let Value::Bool(flag) = node.value {
            Some(flag)
        } else {
            wrong_type(
                self.report,
                key,
                node,
                &text!("true or false", "true 或 false"),
            );
            None
        }
    }

    /// A whole number within a range.
    pub(super) fn integer<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<Said<'a, T>> {
        let node = &self.entry(key)?.node;
        let Value::Integer { value, .. } = node.value else {
            wrong_type(self.report, key, node, &text!("a whole number", "整数"));
            return None;
        };
        let read = Some(value).filter(|value| range.contains(value));
        if let Some(value) = read.and_then(|value| T::try_from(value).ok()) {
            return Some(Said {
                value,
                at: &node.at,
            });
        }
        let (low, high) = (range.start(), range.end());
        self.report.error(
            "out-of-range",
            &node.at,
            text!(
                "`{key}` is {value}, and must be {low} to {high}",
                "`{key}` 为 {value}，应在 {low} 到 {high} 之间"
            ),
        );
        None
    }

    /// A finite number.
    pub(super) fn number(&self, key: &'static str) -> Option<Said<'a, f64>> {
        let node = &self.entry(key)?.node;
        let value = number(self.report, key, node)?;
        Some(Said {
            value,
            at: &node.at,
        })
    }

    /// Two finite numbers.
    pub(super) fn pair(&self, key: &'static str) -> Option<Said<'a, (f64, f64)>> {
        let node = &self.entry(key)?.node;
        if let Value::Array(items) = &node.value {
            if let [low, high] = items.as_slice() {
                let low = number(self.report, key, low);
                let value = (low?, number(self.report, key, high)?);
                return Some(Said {
                    value,
                    at: &node.at,
                });
            }
        }
        wrong_type(
            self.report,
            key,
            node,
            &text!("two numbers such as [0, 400]", "两个数值，例如 [0, 400]"),
        );
        None
    }

    /// A duration within a range.
    pub(super) fn duration(
        &self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Said<'a, Duration>> {
        let node = &self.entry(key)?.node;
        let value = duration(self.report, key, node, &range)?;
        Some(Said {
            value,
            at: &node.at,
        })
    }

    /// A size in bytes within a range.
    pub(super) fn size(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let said = self.text(key)?;
        let hint = text!(
            "write it like \"512MiB\" or \"2GiB\"",
            "写法如 \"512MiB\" 或 \"2GiB\""
        );
        let bytes = said
            .value
            .parse::<bytesize::ByteSize>()
            .ok()
            .map(|size| size.as_u64());
        let Some(bytes) = bytes else {
            let value = said.value;
            let message = text!("`{value}` is not a size", "`{value}` 不是有效的容量");
            self.report
                .add(Fault::error("bad-size", said.at, message).hint(hint));
            return None;
        };
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let low = bytesize::ByteSize(*range.start());
        let high = bytesize::ByteSize(*range.end());
        let message = text!(
            "`{key}` must be {low} to {high}",
            "`{key}` 应在 {low} 到 {high} 之间"
        );
        self.report
            .add(Fault::error("bad-size", said.at, message).hint(hint));
        None
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<Said<'a, T>> {
        let said = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == said.value);
        if let Some((_, value)) = found {
            return Some(Said {
                value: *value,
                at: said.at,
            });
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let value = said.value;
        let message = text!("`{key}` can't be `{value}`", "`{key}` 不能是 `{value}`");
        let fault = Fault::error("bad-value", said.at, message);
        self.report.add(fault.hint(nearest_or_all(value, &names)));
        None
    }

    /// An identifier, as topics and file names carry it.
    pub(super) fn identifier(&self, key: &'static str) -> Option<Said<'a, Identifier>> {
        let said = self.text(key)?;
        match said.value.parse() {
            Ok(value) => Some(Said { value, at: said.at }),
            Err(error) => {
                bad_name(self.report, said.value, said.at, &error, false);
                None
            }
        }
    }

    /// A table below this one.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let entry = self.entry(key)?;
        let table = table(self.report, entry)?;
        Some(Section::new(table, &entry.key_at, self.report))
    }

    /// Ends the reading: what was not asked for is unknown.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for entry in &self.table.entries {
            if !asked.contains(&entry.key.as_str()) {
                let key = &entry.key;
                let message = text!("unknown key `{key}`", "未知的键 `{key}`");
                let fault = Fault::error("unknown-key", &entry.key_at, message);
                self.report.add(fault.hint(nearest_or_all(key, &asked)));
            }
        }
    }
}

/// The table that an entry holds, or a fault.
pub(super) fn table<'a>(report: &Report, entry: &'a Entry) -> Option<&'a Table> {
    if let Value::Table(table) = &entry.node.value {
        Some(table)
    } else {
        let wanted = text!("a table", "表");
        wrong_type(report, &entry.key, &entry.node, &wanted);
        None
    }
}

/// Reports a value of a wrong type.
pub(super) fn wrong_type(report: &Report, key: &str, node: &Node, wanted: &Text) {
    let (en, zh) = match &node.value {
        Value::Text(_) => ("a text", "字符串"),
        Value::Integer { .. } => ("a whole number", "整数"),
        Value::Float(_) => ("a number with a fraction", "小数"),
        Value::Bool(_) => ("true or false", "布尔值"),
        Value::Datetime => ("a date", "日期时间"),
        Value::Array(_) => ("a list", "数组"),
        Value::Table(_) => ("a table", "表"),
        Value::Broken => return,
    };
    let (wanted_en, wanted_zh) = (&wanted.en, &wanted.zh);
    let message = Text {
        en: format!("`{key}` must be {wanted_en}, not {en}"),
        zh: format!("`{key}` 应为{wanted_zh}，而不是{zh}"),
    };
    report.error("wrong-type", &node.at, message);
}

fn number(report: &Report, key: &str, node: &Node) -> Option<f64> {
    let value = match &node.value {
        // Beyond 2^53 the nearest double is meant: these are factors and limits, never counts.
        Value::Integer { value, .. } => value.to_string().parse().ok()?,
        Value::Float(value) => *value,
        Value::Text(_)
        | Value::Bool(_)
        | Value::Datetime
        | Value::Array(_)
        | Value::Table(_)
        | Value::Broken => {
            wrong_type(report, key, node, &text!("a number", "数值"));
            return None;
        }
    };
    if value.is_finite() {
        return Some(value);
    }
    let message = text!("`{key}` must be a finite number", "`{key}` 应为有限数值");
    report.error("out-of-range", &node.at, message);
    None
}

/// The duration that a node says, or a fault.
pub(super) fn duration(
    report: &Report,
    key: &str,
    node: &Node,
    range: &RangeInclusive<Duration>,
) -> Option<Duration> {
    let hint = text!(
        "write a number and its unit in quotes, like \"500ms\", \"30s\" or \"15m\"",
        "写成带引号的数字加单位，例如 \"500ms\"、\"30s\" 或 \"15m\""
    );
    let Value::Text(text) = &node.value else {
        wrong_type(
            report,
            key,
            node,
            &text!("a duration such as \"30s\"", "时长，例如 \"30s\""),
        );
        return None;
    };
    let Ok(value) = humantime::parse_duration(text) else {
        let message = text!("`{text}` is not a duration", "`{text}` 不是有效的时长");
        report.add(Fault::error("bad-duration", &node.at, message).hint(hint));
        return None;
    };
    if range.contains(&value) {
        return Some(value);
    }
    let low = humantime::format_duration(*range.start());
    let high = humantime::format_duration(*range.end());
    let message = text!(
        "`{key}` is {text}, and must be {low} to {high}",
        "`{key}` 为 {text}，应在 {low} 到 {high} 之间"
    );
    report.error("out-of-range", &node.at, message);
    None
}

/// Reports a name outside its alphabet.
pub(super) fn bad_name(report: &Report, name: &str, at: &Place, error: &NameError, point: bool) {
    let (en, zh) = match error {
        NameError::Empty => (
            "a name can't be empty".to_owned(),
            "名称不能为空".to_owned(),
        ),
        NameError::TooLong => (
            "the name is longer than 63 characters".to_owned(),
            "名称超过 63 个字符".to_owned(),
        ),
        NameError::Character(c) => (
            format!("`{name}` can't be a name: {c:?} is not allowed there"),
            format!("`{name}` 不能作为名称：此处不允许 {c:?}"),
        ),
        NameError::Reserved => (
            format!("`{name}` can't be a name: it is a word of the rule language"),
            format!("`{name}` 不能作为名称：它是规则语言的保留字"),
        ),
    };
    let hint = if point {
        text!(
            "use a-z, 0-9 and _, beginning with a letter or _; what people read goes into `description`",
            "只用 a-z、0-9 和 _，以字母或 _ 开头；给人看的文字写在 `description` 里"
        )
    } else {
        text!(
            "use a-z, 0-9, - and _, beginning with a letter or digit, 63 characters at most",
            "只用 a-z、0-9、- 和 _，以字母或数字开头，最多 63 个字符"
        )
    };
    report.add(Fault::error("bad-name", at, Text { en, zh }).hint(hint));
}

/// The word nearest to what was written, else all that are possible.
pub fn nearest_or_all(written: &str, words: &[&str]) -> Text {
    if let Some(word) = nearest(written, words.iter().copied()) {
        return text!("did you mean `{word}`?", "是否想写 `{word}`？");
    }
    if words.is_empty() {
        return text!("there are none", "一个也没有");
    }
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    let all = words.join("`, `");
    text!("known here: `{all}`", "此处可用：`{all}`")
}

/// The word nearest to what was written, if one is near; capitals and small letters are alike.
pub(super) fn nearest<'w>(written: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let length = written.chars().count();
    if length > COMPARED_CHARS_MAX {
        return None;
    }
    let written = written.to_lowercase();
    let near = (length / 3).max(1);
    words
        .filter(|word| word.len().abs_diff(written.len()) <= 4 * near)
        .map(|word| {
            let distance = strsim::damerau_levenshtein(&written, &word.to_lowercase());
            (distance, word)
        })
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
