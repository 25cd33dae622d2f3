//! A server's value in a few words, for people: a line of a tree or of a table.
//!
//! Bounds: [`CHARS_MAX`]; nothing in it that a terminal would obey.

use opcua::types::Variant;

use super::value::said;
use crate::sample::is_plain;

/// Characters of a value that are shown.
const CHARS_MAX: usize = 80;

/// The value in a few words.
pub(super) fn in_words(value: &Variant) -> String {
    let text = text(value);
    let mut shown: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|char| if char.is_control() { '·' } else { char })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn text(value: &Variant) -> String {
    match value {
        Variant::Empty => String::new(),
        Variant::Array(array) => format!("[{}]", array.values.len()),
        Variant::String(text) => said(text).to_owned(),
        Variant::LocalizedText(text) => said(&text.text).to_owned(),
        Variant::QualifiedName(name) => said(&name.name).to_owned(),
        Variant::XmlElement(element) => element.to_string(),
        Variant::StatusCode(status) => super::status::plain(*status).to_string(),
        Variant::ByteString(bytes) => format!("({} bytes)", bytes.as_ref().len()),
        Variant::Float(number) if is_plain(f64::from(*number)) => number.to_string(),
        Variant::Float(number) => format!("{number:e}"),
        Variant::Double(number) if is_plain(*number) => number.to_string(),
        Variant::Double(number) => format!("{number:e}"),
        Variant::Variant(inner) if !matches!(**inner, Variant::Variant(_)) => text(inner),
        Variant::ExtensionObject(object) => structure(object.type_name()),
        Variant::Variant(_) | Variant::DataValue(_) | Variant::DiagnosticInfo(_) => {
            "(…)".to_owned()
        }
        Variant::Boolean(_)
        | Variant::SByte(_)
        | Variant::Byte(_)
        | Variant::Int16(_)
        | Variant::UInt16(_)
        | Variant::Int32(_)
        | Variant::UInt32(_)
        | Variant::Int64(_)
        | Variant::UInt64(_)
        | Variant::DateTime(_)
        | Variant::Guid(_)
        | Variant::NodeId(_)
        | Variant::ExpandedNodeId(_) => value.to_string(),
    }
}

/// A structure by its type, which the library gives by the path of its own; a type that it doesn't
/// know is a body of bytes there.
fn structure(name: Option<&str>) -> String {
    let name = name.and_then(|name| name.rsplit("::").next());
    let known = name.filter(|name| !name.ends_with("Body"));
    format!("({})", known.unwrap_or("…"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{
        ByteString, LocalizedText, QualifiedName, StatusCode, UAString, XmlElement,
    };

    #[test]
    fn a_structure_is_shown_by_its_type_where_that_is_known() {
        for (name, expected) in [
            (Some("opcua_types::generated::types::Range"), "(Range)"),
            (Some("opcua_types::type_loader::ByteStringBody"), "(…)"),
            (None, "(…)"),
        ] {
            assert_eq!(structure(name), expected);
        }
    }

    #[test]
    fn values_are_shown_as_people_write_them() {
        let long = "x".repeat(CHARS_MAX + 1);
        for (value, expected) in [
            (Variant::Empty, ""),
            (Variant::from(true), "true"),
            (Variant::from(-1.5_f64), "-1.5"),
            (Variant::from(0.1_f32), "0.1"),
            (Variant::from(0.0_f64), "0"),
            (Variant::from(-2.25e300_f64), "-2.25e300"),
            (Variant::from(1e-9_f32), "1e-9"),
            (Variant::from(f64::NAN), "NaN"),
            (Variant::from("线\u{1b}[31m"), "线·[31m"),
            (
                Variant::from(long.as_str()),
                &format!("{}…", "x".repeat(CHARS_MAX)),
            ),
            (Variant::from(LocalizedText::new("en", "Idle")), "Idle"),
            (Variant::from(LocalizedText::null()), ""),
            (Variant::String(UAString::null()), ""),
            (Variant::from(QualifiedName::new(3, "q")), "q"),
            (
                Variant::from(StatusCode::BadNodeIdUnknown),
                "BadNodeIdUnknown",
            ),
            (Variant::from(ByteString::from(vec![0, 255])), "(2 bytes)"),
            (Variant::XmlElement(XmlElement::from("<a/>")), "<a/>"),
            (Variant::from(vec![1_i32, 2]), "[2]"),
            (Variant::Variant(Box::new(Variant::from(7_i16))), "7"),
        ] {
            assert_eq!(in_words(&value), expected, "{value:?}");
        }
    }
}
