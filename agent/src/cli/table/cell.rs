//! Text in cells: as wide as a terminal shows it, and harmless to the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes.
pub(super) fn width_of(text: &str) -> usize {
    text.width()
}

/// The text with a dot for each character that takes no room or turns the writing direction: a device
/// or a broker can't move the cursor, nor make one text look like another.
pub(in crate::cli) fn plain(text: &str) -> String {
    let shown = |c: char| c.width().unwrap_or(0) > 0 && !is_format(c);
    text.chars()
        .map(|c| if shown(c) { c } else { '·' })
        .collect()
}

fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text filled up with spaces to a width.
pub(super) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(width_of(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The text cut to a width, with an ellipsis where something is missing.
pub(in crate::cli) fn fitted(text: &str, width: usize) -> String {
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
    }

    #[test]
    fn what_moves_or_hides_is_a_dot() {
        for (text, expected) in [
            ("plain 中文", "plain 中文"),
            ("a\x1b]0;title\x07", "a·]0;title·"),
            ("new\nline\ttab", "new·line·tab"),
            ("\u{202e}evil", "·evil"),
            ("e\u{301}", "e·"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,20}", width in 0_usize..30) {
            prop_assert!(width_of(&fitted(&text, width)) <= width);
            prop_assert!(width_of(&padded(&text, width)) >= width);
        }
    }
}
