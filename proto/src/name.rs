//! Identifiers and names as topics, rules and documents carry them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text can't be an identifier or a point name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// No character at all.
    #[error("is empty")]
    Empty,
    /// More than 63 characters.
    #[error("is longer than 63 characters")]
    TooLong,
    /// A character that may not stand where it stands.
    #[error("has {0:?} at a place where it is not allowed")]
    Character(char),
    /// A word of the rule language.
    #[error("is a word of the rule language")]
    Reserved,
}

const LENGTH_MAX: usize = 63;

/// Words that the rule language keeps for itself, so that no point can be named by them.
const RESERVED: [&str; 29] = [
    "as",
    "bit",
    "bits",
    "break",
    "changed",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "previous",
    "return",
    "true",
    "var",
    "void",
    "while",
    "size",
    "has",
    "all",
    "exists",
];

fn check(
    text: &str,
    first: impl Fn(char) -> bool,
    rest: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    let mut chars = text.chars();
    let head = chars.next().ok_or(NameError::Empty)?;
    if !first(head) {
        return Err(NameError::Character(head));
    }
    if let Some(bad) = chars.find(|c| !rest(*c)) {
        return Err(NameError::Character(bad));
    }
    if text.len() > LENGTH_MAX {
        Err(NameError::TooLong)
    } else {
        Ok(())
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}

/// The name of a site, gateway, machine, connection or poll group:
/// `[a-z0-9][a-z0-9_-]{0,62}`, so that it can stand in a topic and in a file name as it is.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
pub struct Identifier(Box<str>);

impl FromStr for Identifier {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        check(text, alphanumeric, |c| {
            alphanumeric(c) || c == '_' || c == '-'
        })?;
        Ok(Self(text.into()))
    }
}

text_type!(Identifier);

/// The name of a point: `[a-z_][a-z0-9_]{0,62}` and no word of the rule language, since rules name
/// points as they are.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z_][a-z0-9_]{0,62}$"))]
pub struct PointName(Box<str>);

impl FromStr for PointName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = |c: char| c.is_ascii_lowercase() || c == '_';
        check(text, first, |c| first(c) || c.is_ascii_digit())?;
        if RESERVED.contains(&text) {
            Err(NameError::Reserved)
        } else {
            Ok(Self(text.into()))
        }
    }
}

text_type!(PointName);

/// A text for people in Chinese and English; at least one is present wherever a name is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LocalText {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN", skip_serializing_if = "Option::is_none", default)]
    pub zh_cn: Option<String>,
    /// English.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub en: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{Identifier, NameError, PointName};

    #[test]
    fn identifiers_and_point_names_keep_to_their_alphabets() {
        for (text, identifier, point) in [
            ("gw-01", Ok(()), Err(NameError::Character('-'))),
            ("0a", Ok(()), Err(NameError::Character('0'))),
            ("", Err(NameError::Empty), Err(NameError::Empty)),
            ("_x", Err(NameError::Character('_')), Ok(())),
            (
                "A",
                Err(NameError::Character('A')),
                Err(NameError::Character('A')),
            ),
            (
                "a/b",
                Err(NameError::Character('/')),
                Err(NameError::Character('/')),
            ),
            ("true", Ok(()), Err(NameError::Reserved)),
            (
                "温度",
                Err(NameError::Character('温')),
                Err(NameError::Character('温')),
            ),
        ] {
            assert_eq!(text.parse::<Identifier>().map(drop), identifier, "{text}");
            assert_eq!(text.parse::<PointName>().map(drop), point, "{text}");
        }
        let long = "a".repeat(64);
        assert_eq!(long.parse::<Identifier>(), Err(NameError::TooLong));
        assert!(long[1..].parse::<PointName>().is_ok());
    }
}
