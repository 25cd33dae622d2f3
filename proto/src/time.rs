//! A point in wall time, as the wire writes it.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// Wall time in whole milliseconds since the Unix epoch, written as RFC 3339 in UTC with exactly
/// three decimals (`2026-11-23T08:00:00.000Z`).
///
/// Wall time is for people: durations are never computed from two of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(i64);

impl Time {
    /// The latest time that can be written: 26 hours before the year 9999 ends, so that it still lies
    /// within that year in every time zone.
    pub const MAX: Self = Self(253_402_207_200_000);
    /// The earliest time that can be written: the start of the year 0001.
    pub const MIN: Self = Self(-62_135_596_800_000);

    /// A time from milliseconds since the epoch, kept within what RFC 3339 can write.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This time moved by so many milliseconds.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{stamp:.3}")
    }
}

impl std::str::FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = written(text) {
            return Ok(time);
        }
        text.parse::<Timestamp>()
            .map(|stamp| Self::from_millis(stamp.as_millisecond()))
    }
}

/// A time as it is written here; none for whatever RFC 3339 allows beside that.
fn written(text: &str) -> Option<Time> {
    let number = |from: usize, to: usize| {
        let digits = text.as_bytes().get(from..to)?;
        digits.iter().try_fold(0_i64, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (23, b'Z'),
    ];
    let stands = |(place, mark): (usize, u8)| text.as_bytes().get(place) == Some(&mark);
    if text.len() != 24 || !marks.into_iter().all(stands) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let fits = (1..=9998).contains(&year)
        && (1..=days).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fits {
        return None;
    }
    // Years that begin in March, so that the day of a leap year comes last.
    let (years, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = years / 4 - years / 100 + years / 400;
    let days = years * 365 + leaps + (months * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Time::from_millis(seconds * 1000 + number(20, 23)?))
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Reads a time that is written exactly as times are written here: what is signed can be written in one way only.
pub(crate) fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    exactly(&text).ok_or_else(|| de::Error::custom(NOT_EXACT))
}

/// The same of a time that may be null.
pub(crate) fn exact_if<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Time>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let time = text.map(|text| exactly(&text).ok_or_else(|| de::Error::custom(NOT_EXACT)));
    time.transpose()
}

const NOT_EXACT: &str = "a time is written 2026-11-29T08:00:00.000Z";

fn exactly(text: &str) -> Option<Time> {
    written(text).or_else(|| {
        let time = text.parse::<Time>().ok()?;
        (time.to_string() == text).then_some(time)
    })
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Time, exactly, written};
    use jiff::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_the_same_both_ways(
            millis in Time::MIN.as_millis()..Time::MAX.as_millis(),
            place in 0..24_usize,
            digit in prop::sample::select(b"0123456789-T:.Z ".to_vec()),
        ) {
            let mut text = Time::from_millis(millis).to_string();
            if !text.starts_with("9999") {
                prop_assert_eq!(written(&text), Some(Time::from_millis(millis)));
            }
            text.replace_range(place..=place, char::from(digit).encode_utf8(&mut [0; 4]));
            if let Some(time) = written(&text) {
                let other = text.parse::<Timestamp>().unwrap();
                prop_assert_eq!(time.as_millis(), other.as_millisecond(), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_signed_is_written_in_one_way() {
        for text in [
            "2026-11-29T08:00:00.000Z",
            "0001-01-01T00:00:00.000Z",
            "9999-12-30T22:00:00.000Z",
        ] {
            let time = exactly(text).map(|time| time.to_string());
            assert_eq!(time.as_deref(), Some(text));
        }
        for text in [
            "2026-11-29T08:00:00Z",
            "2026-11-29T08:00:00.0000Z",
            "2026-11-29T08:00:00.000+00:00",
            "2026-11-29T16:00:00.000+08:00",
            "2026-11-29t08:00:00.000z",
            "2026-11-29 08:00:00.000Z",
            "9999-12-31T23:00:00.000Z",
            "0000-12-31T23:00:00.000Z",
            "",
        ] {
            assert_eq!(exactly(text), None, "{text}");
        }
    }

    #[test]
    fn is_written_with_three_decimals_and_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_420_800_004, "2026-11-23T08:00:00.004Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (Time::MIN.as_millis(), "0001-01-01T00:00:00.000Z"),
            (Time::MAX.as_millis(), "9999-12-30T22:00:00.000Z"),
        ] {
            assert_eq!(Time::from_millis(millis).to_string(), text);
            assert_eq!(text.parse::<Time>().unwrap().as_millis(), millis);
        }
    }
}
