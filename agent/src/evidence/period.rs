//! Periods as people write them. Pure.
//!
//! `2026`, `2026-Q3`, `2026-09`, `2026-09-01`, `2026-09-01T08:00` are of Asia/Shanghai, which is UTC+8 all
//! year; a time with an offset is of that offset. Periods begin and end at full hours.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use lineside_proto::{Period, Time};

/// A day before and after the period belong to the bundle: sessions begin and end there, tokens come late.
const MARGIN_MS: i64 = 24 * 3_600_000;

/// Asia/Shanghai has kept this offset since 1991, in seconds.
const SHANGHAI_S: i32 = 8 * 3600;
/// A full hour.
const HOUR_MS: i64 = 3_600_000;
/// A period at most: ten years and a leap day or two. What is longer was mistyped.
const LENGTH_MS_MAX: i64 = 3653 * 24 * HOUR_MS;

/// A moment, or a span of the calendar that may stand for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Where it begins.
    pub begin: Time,
    /// Where the span ends; equal to `begin` for a moment.
    pub end: Time,
}

/// Why a text is no period.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeriodError {
    /// Not written in one of the forms.
    #[error("`{0}` is no time")]
    Form(String),
    /// Not at a full hour.
    #[error("{0} is no full hour")]
    Hour(Time),
    /// A moment as the begin, and nothing to tell the end.
    #[error("a period needs an end")]
    End,
    /// The end is not behind the begin.
    #[error("{to} is not after {from}")]
    Order {
        /// The begin.
        from: Time,
        /// The end.
        to: Time,
    },
    /// Longer than ten years.
    #[error("longer than ten years")]
    Length,
}

/// Reads a moment or span.
///
/// # Errors
///
/// [`PeriodError::Form`].
pub fn moment(text: &str) -> Result<Moment, PeriodError> {
    let read = span(text).or_else(|| instant(text));
    read.ok_or_else(|| PeriodError::Form(text.to_owned()))
}

/// The period from the begin of one to the begin of the other, or the whole of the first.
///
/// # Errors
///
/// [`PeriodError`] says which rule it breaks.
pub fn period(from: Moment, to: Option<Moment>) -> Result<Period, PeriodError> {
    let begin = from.begin;
    let end = match to {
        Some(to) => to.begin,
        None if from.end > from.begin => from.end,
        None => return Err(PeriodError::End),
    };
    let off = [begin, end]
        .into_iter()
        .find(|time| time.as_millis().rem_euclid(HOUR_MS) != 0);
    if let Some(time) = off {
        return Err(PeriodError::Hour(time));
    }
    if begin >= end {
        return Err(PeriodError::Order {
            from: begin,
            to: end,
        });
    }
    if end.as_millis().saturating_sub(begin.as_millis()) > LENGTH_MS_MAX {
        return Err(PeriodError::Length);
    }
    Ok(Period {
        from: begin,
        to: end,
    })
}

/// A span of the calendar.
fn span(text: &str) -> Option<Moment> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let (begin, end) = match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => (date(year, 1, 1)?, date(year + 1, 1, 1)?),
        (Some(part), None, None) => match part.strip_prefix(['Q', 'q']) {
            Some(quarter) => {
                let quarter = digits(quarter, 1).filter(|quarter| (1..=4).contains(quarter))?;
                (month(year, quarter * 3 - 2)?, month(year, quarter * 3 + 1)?)
            }
            None => {
                let number = digits(part, 2)?;
                (date(year, number, 1)?, month(year, number + 1)?)
            }
        },
        (Some(number), Some(day), None) => {
            let begin = date(year, digits(number, 2)?, digits(day, 2)?)?;
            (begin, begin.tomorrow().ok()?)
        }
        _ => return None,
    };
    Some(Moment {
        begin: of_shanghai(begin.to_datetime(jiff::civil::Time::midnight()))?,
        end: of_shanghai(end.to_datetime(jiff::civil::Time::midnight()))?,
    })
}

/// A moment with a time of day.
fn instant(text: &str) -> Option<Moment> {
    // A date alone is a span, and was read as one.
    text.contains(['T', 't', ' ']).then_some(())?;
    let begin = match text.parse::<Time>() {
        Ok(time) => time,
        Err(_) => of_shanghai(text.parse().ok()?)?,
    };
    Some(Moment { begin, end: begin })
}

fn of_shanghai(time: DateTime) -> Option<Time> {
    let offset = Offset::from_seconds(SHANGHAI_S).ok()?;
    let stamp = offset.to_timestamp(time).ok()?;
    Some(Time::from_millis(stamp.as_millisecond()))
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The first day of a month, of the next year's where it is the thirteenth.
fn month(year: i16, month: i16) -> Option<Date> {
    if month > 12 {
        date(year + 1, month - 12, 1)
    } else {
        date(year, month, 1)
    }
}

fn digits(text: &str, count: usize) -> Option<i16> {
    let plain = text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A period, and what belongs to its bundle besides.
pub(super) fn wide(period: Period) -> Period {
    Period {
        from: period.from.plus_millis(-MARGIN_MS),
        to: period.to.plus_millis(MARGIN_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::{PeriodError, moment, period};

    #[test]
    fn the_calendar_is_that_of_shanghai() {
        for (text, begin, end) in [
            (
                "2026",
                "2025-12-31T16:00:00.000Z",
                "2026-12-31T16:00:00.000Z",
            ),
            (
                "2026-Q1",
                "2025-12-31T16:00:00.000Z",
                "2026-03-31T16:00:00.000Z",
            ),
            (
                "2026-q4",
                "2026-09-30T16:00:00.000Z",
                "2026-12-31T16:00:00.000Z",
            ),
            (
                "2026-01",
                "2025-12-31T16:00:00.000Z",
                "2026-01-31T16:00:00.000Z",
            ),
            (
                "2026-12",
                "2026-11-30T16:00:00.000Z",
                "2026-12-31T16:00:00.000Z",
            ),
            (
                "2024-02-29",
                "2024-02-28T16:00:00.000Z",
                "2024-02-29T16:00:00.000Z",
            ),
            (
                "2026-11-29T08:00",
                "2026-11-29T00:00:00.000Z",
                "2026-11-29T00:00:00.000Z",
            ),
            (
                "2026-11-29 08:00:00",
                "2026-11-29T00:00:00.000Z",
                "2026-11-29T00:00:00.000Z",
            ),
            (
                "2026-11-29T08:00:00Z",
                "2026-11-29T08:00:00.000Z",
                "2026-11-29T08:00:00.000Z",
            ),
            (
                "2026-11-29T08:00:00+01:00",
                "2026-11-29T07:00:00.000Z",
                "2026-11-29T07:00:00.000Z",
            ),
        ] {
            let read = moment(text).unwrap();
            assert_eq!(
                (read.begin.to_string(), read.end.to_string()),
                (begin.into(), end.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_said_to_be_none() {
        for text in [
            "",
            "26",
            "2026-13",
            "2026-00",
            "2026-Q5",
            "2026-Q0",
            "2026-Q",
            "2026-1",
            "2025-02-29",
            "2026-01-01-01",
            "today",
            "2026-01-32",
            "-2026",
            "20266",
            "2026-01-01T",
            "2026-01-01T25:00",
            "９０２６",
            "2026-Q1-01",
        ] {
            assert_eq!(
                moment(text),
                Err(PeriodError::Form(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_period_is_from_begin_to_begin_or_the_whole_of_one() {
        let check = |from: &str, to: Option<&str>| {
            let to = to.map(|to| moment(to).unwrap());
            period(moment(from).unwrap(), to).map(|period| {
                let hours = (period.to.as_millis() - period.from.as_millis()) / 3_600_000;
                (period.from.to_string(), hours)
            })
        };
        let begin = "2025-12-31T16:00:00.000Z".to_owned();
        assert_eq!(check("2026-01", None), Ok((begin.clone(), 31 * 24)));
        assert_eq!(check("2026", None), Ok((begin.clone(), 365 * 24)));
        assert_eq!(
            check("2026-01", Some("2026-02")),
            Ok((begin.clone(), 31 * 24))
        );
        assert_eq!(
            check("2026-01-01", Some("2026-01-01T01:00")),
            Ok((begin.clone(), 1))
        );
        assert_eq!(check("2026-01-01T00:00", None), Err(PeriodError::End));
        assert!(matches!(
            check("2026-01", Some("2026-01")),
            Err(PeriodError::Order { .. })
        ));
        assert!(matches!(
            check("2026-02", Some("2026-01")),
            Err(PeriodError::Order { .. })
        ));
        assert!(matches!(
            check("2026-01", Some("2026-02-01T00:30")),
            Err(PeriodError::Hour(_))
        ));
        // Offsets of half an hour lead to no full hour.
        assert!(matches!(
            check("2026-01-01T00:00:00+05:30", Some("2027")),
            Err(PeriodError::Hour(_))
        ));
        assert_eq!(check("2016", Some("2027")), Err(PeriodError::Length));
        assert!(check("2016", Some("2026")).is_ok());
    }
}
