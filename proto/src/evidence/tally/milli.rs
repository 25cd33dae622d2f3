//! Decimals of counters, in thousandths.

use super::room::SUM_MAX;
use crate::ledger::Counter;

/// Digits before the point at most: what has more is no counter's.
const DIGITS_MAX: usize = 18;

/// A plain decimal (`12`, `0.5`) in thousandths; what is beyond is cut off. None for anything else, a sign included.
pub(super) fn milli(text: &str) -> Option<u64> {
    let (whole, places) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > DIGITS_MAX || !is_number(whole) || !is_number(places) {
        return None;
    }
    let digits = whole.bytes().chain(places.bytes().chain(*b"000").take(3));
    let number = digits.fold(0_u128, |number, digit| {
        number * 10 + u128::from(digit - b'0')
    });
    Some(u64::try_from(number).unwrap_or(u64::MAX).min(SUM_MAX))
}

/// What a counter says of a span: its rises in thousandths, and whether it fell. None where it says nothing that can
/// be read.
pub(super) fn reading(counter: Option<&Counter>) -> Option<(u64, bool)> {
    let counter = counter?;
    Some((milli(&counter.delta)?, counter.resets > 0))
}

impl Counter {
    /// What was counted over the span, in thousandths of the counter's unit; none where it says nothing that can be read.
    pub fn rises_milli(&self) -> Option<u64> {
        milli(&self.delta)
    }
}

#[cfg(test)]
mod tests {
    use super::milli;

    #[test]
    fn decimals_are_cut_off_after_three_places() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12", Some(12_000)),
            ("12.5", Some(12_500)),
            ("0.0019", Some(1)),
            ("007.123456789", Some(7_123)),
            ("9007199254740.991", Some(9_007_199_254_740_991)),
            ("9007199254740.992", Some(9_007_199_254_740_991)),
            ("999999999999999999", Some(9_007_199_254_740_991)),
            ("1000000000000000000", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1 ", None),
            ("1.2.3", None),
            ("１", None),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
    }
}
