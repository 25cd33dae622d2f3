//! Text in cells: as wide as a terminal shows it, and harmless to the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes.
pub(super) fn width_of(text: &str) -> usize {
    text.width()
}

/// The text without control characters: a device or a broker can't move the cursor.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

/// The text filled up with spaces to a width.
pub(super) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(width_of(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The text cut to a width, with an ellipsis where something is missing.
pub(super) fn fitted(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::{fitted, padded, plain, width_of};
    use proptest::prelude::*;

    #[test]
    fn chinese_takes_two_columns_and_control_characters_take_none() {
        assert_eq!(padded("空闲", 6), "空闲  ");
        assert_eq!(fitted("双螺杆挤出机", 12), "双螺杆挤出机");
        assert_eq!(fitted("双螺杆挤出机", 8), "双螺杆…");
        assert_eq!(fitted("ab", 0), "");
        assert_eq!(plain("a\x1b[2Jb\n"), "a·[2Jb·");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,20}", width in 0_usize..30) {
            prop_assert!(width_of(&fitted(&text, width)) <= width);
            prop_assert!(width_of(&padded(&text, width)) >= width);
        }
    }
}
