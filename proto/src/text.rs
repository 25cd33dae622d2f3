//! What is said to people, in English and Chinese.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A language that Lineside speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Language {
    /// The language that a locale such as `zh_CN.UTF-8` asks for.
    pub fn of_locale(locale: &str) -> Self {
        if locale.starts_with("zh") {
            Self::ZhCn
        } else {
            Self::En
        }
    }

    /// One of two, by the language.
    pub fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Self::En => en,
            Self::ZhCn => zh,
        }
    }
}

/// A word that names no language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("languages are en and zh-CN")]
pub struct UnknownLanguage;

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        match text {
            "en" => Ok(Self::En),
            "zh-CN" => Ok(Self::ZhCn),
            _ => Err(UnknownLanguage),
        }
    }
}

/// One message in both languages. Made by [`text!`](crate::text!); `Display` is English, for logs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// English.
    pub en: String,
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    pub zh: String,
}

impl Text {
    /// Both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            zh: zh.into(),
        }
    }

    /// The message in the given language.
    pub fn say(&self, language: Language) -> &str {
        language.pick(&self.en, &self.zh)
    }
}

impl From<String> for Text {
    /// What is the same in both languages, such as a name or a number.
    fn from(text: String) -> Self {
        Self {
            zh: text.clone(),
            en: text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

impl std::error::Error for Text {}

/// Writes one message in both languages, English first: `text!("no point `{name}`", "没有点位 `{name}`")`.
/// Both see the same names in scope; further arguments, if any, go to both.
#[macro_export]
macro_rules! text {
    ($en:literal, $zh:literal $(, $($argument:tt)*)?) => {
        $crate::text::Text {
            en: format!($en $(, $($argument)*)?),
            zh: format!($zh $(, $($argument)*)?),
        }
    };
}

/// A text from elsewhere on one line of a terminal: what a terminal would obey is replaced, line breaks and marks that
/// turn the direction of writing as well, so that no name can pass for a verdict.
pub fn plain(text: &str) -> String {
    let harmless = |letter: char| match letter {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
        _ => letter,
    };
    text.chars().map(harmless).collect()
}
