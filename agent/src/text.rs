//! What Lineside says to people, in English and Chinese.

use std::fmt;

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

impl std::str::FromStr for Language {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "en" => Ok(Self::En),
            "zh-CN" => Ok(Self::ZhCn),
            _ => Err(()),
        }
    }
}

/// One message in both languages. Made by [`text!`](crate::text!); `Display` is English, for logs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Text {
    /// English.
    pub en: String,
    /// Simplified Chinese.
    pub zh: String,
}

impl Text {
    /// The message in the given language.
    pub fn say(&self, language: Language) -> &str {
        language.pick(&self.en, &self.zh)
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
