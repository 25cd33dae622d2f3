//! What a verifier says to people, in English and Chinese.

use std::fmt;
use std::str::FromStr;

/// A language that findings are told in.
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

/// A text from a bundle on one line of a terminal: what a terminal would obey is replaced, line breaks and marks that
/// turn the direction of writing as well, so that no name can pass for a verdict.
pub(super) fn plain(text: &str) -> String {
    let harmless = |letter: char| match letter {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
        _ => letter,
    };
    text.chars().map(harmless).collect()
}

/// One message in both languages; `Display` is English.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// English.
    pub en: String,
    /// Simplified Chinese.
    pub zh: String,
}

impl Said {
    /// The message in the given language.
    pub fn pick(self, language: Language) -> String {
        match language {
            Language::En => self.en,
            Language::ZhCn => self.zh,
        }
    }
}

impl From<String> for Said {
    /// What is the same in both languages, such as a name or a number.
    fn from(text: String) -> Self {
        Self {
            zh: text.clone(),
            en: text,
        }
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

/// Writes one message in both languages, English first. Both see the same names in scope; further arguments, if
/// any, go to both.
macro_rules! said {
    ($en:literal, $zh:literal $(, $($argument:tt)*)?) => {
        $crate::evidence::Said {
            en: format!($en $(, $($argument)*)?),
            zh: format!($zh $(, $($argument)*)?),
        }
    };
}

pub(crate) use said;
