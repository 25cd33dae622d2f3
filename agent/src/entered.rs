//! What a person enters: names, reasons and ids, checked before they become part of the record.

use crate::text;
use crate::text::Text;

/// Characters of a person's name.
pub const NAME_CHARS_MAX: usize = 64;

/// Bytes of a reason as a leaf writes it: with all else a leaf has, it stays below its 4,096 bytes.
pub const REASON_BYTES_MAX: usize = 2048;

/// Characters of a booking's id.
pub const BOOKING_CHARS_MAX: usize = 128;

/// A person's name, without spaces around it.
///
/// # Errors
///
/// It is empty, too long, or has control characters.
pub fn name(text: &str) -> Result<String, Text> {
    plain(text, NAME_CHARS_MAX, usize::MAX).map_err(|()| {
        text!(
            "a name has 1 to {NAME_CHARS_MAX} characters, and no line breaks",
            "姓名应为 1 到 {NAME_CHARS_MAX} 个字符，且不含换行"
        )
    })
}

/// A reason, without spaces around it.
///
/// # Errors
///
/// It is empty, too long, or has control characters.
pub fn reason(text: &str) -> Result<String, Text> {
    plain(text, usize::MAX, REASON_BYTES_MAX).map_err(|()| {
        text!(
            "a reason has 1 to {REASON_BYTES_MAX} bytes, and no line breaks",
            "原因应为 1 到 {REASON_BYTES_MAX} 字节，且不含换行"
        )
    })
}

/// A booking's id.
///
/// # Errors
///
/// It is empty, too long, or has control characters.
pub fn booking(text: &str) -> Result<String, Text> {
    plain(text, BOOKING_CHARS_MAX, usize::MAX).map_err(|()| {
        text!(
            "a booking's id has 1 to {BOOKING_CHARS_MAX} characters, and no line breaks",
            "预约编号应为 1 到 {BOOKING_CHARS_MAX} 个字符，且不含换行"
        )
    })
}

fn plain(text: &str, chars_max: usize, bytes_max: usize) -> Result<String, ()> {
    let text = text.trim();
    // A leaf writes two bytes for each of these.
    let written = text.len() + text.matches(['"', '\\']).count();
    let fits =
        written <= bytes_max && text.chars().take(chars_max.saturating_add(1)).count() <= chars_max;
    if text.is_empty() || !fits || text.chars().any(char::is_control) {
        return Err(());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{NAME_CHARS_MAX, REASON_BYTES_MAX, name, reason};

    #[test]
    fn only_plain_words_are_taken() {
        let longest = "王".repeat(NAME_CHARS_MAX);
        for (text, taken) in [
            ("Li Wei", Some("Li Wei")),
            ("  王伟 ", Some("王伟")),
            (&longest, Some(&*longest)),
            (&format!("{longest}x"), None),
            ("", None),
            (" \t ", None),
            ("a\nb", None),
            ("a\u{1b}[31m", None),
        ] {
            assert_eq!(name(text).ok().as_deref(), taken, "{text:?}");
        }
        assert!(reason(&"x".repeat(REASON_BYTES_MAX)).is_ok());
        assert!(reason(&"王".repeat(REASON_BYTES_MAX / 3 + 1)).is_err());
        for mark in ["\"", "\\"] {
            assert!(reason(&mark.repeat(REASON_BYTES_MAX / 2)).is_ok());
            assert!(reason(&mark.repeat(REASON_BYTES_MAX / 2 + 1)).is_err());
        }
    }
}
