//! The days of the sample year, as they are counted in Asia/Shanghai.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// What Asia/Shanghai is before UTC, the whole year.
const ZONE_MS: i64 = 8 * HOUR_MS;

/// Public holidays: month, first and last day. Those of 2025; the moon moves some of them in other years, and the
/// sample does not.
const HOLIDAYS: [(i8, i8, i8); 9] = [
    (1, 1, 1),
    (1, 28, 31),
    (2, 1, 4),
    (4, 4, 6),
    (5, 1, 5),
    (5, 31, 31),
    (6, 1, 2),
    (10, 1, 8),
    (12, 31, 31),
];

/// What people do on a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// They work.
    Work,
    /// A Saturday: some come.
    Half,
    /// A Sunday or a holiday.
    Rest,
}

/// A day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Day {
    pub(super) date: Date,
    /// Its place in the period.
    pub(super) number: usize,
    /// Of the days before it in the period, those on which people work.
    pub(super) worked: usize,
    pub(super) kind: Kind,
    /// Its midnight in Unix milliseconds.
    pub(super) start: i64,
}

impl Day {
    /// A moment of the day, in Unix milliseconds.
    pub(super) fn at(&self, hour: i64, minute: i64) -> i64 {
        self.start + hour * HOUR_MS + minute * MINUTE_MS
    }

    /// Whether machines are serviced today: on the second Tuesday of a month.
    pub(super) fn is_service(&self) -> bool {
        self.kind == Kind::Work
            && self.date.weekday() == Weekday::Tuesday
            && (8..15).contains(&self.date.day())
    }
}

/// A day's midnight in Asia/Shanghai, in Unix milliseconds.
pub(super) fn midnight(date: Date) -> i64 {
    let utc = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0));
    utc.map_or(0, jiff::Timestamp::as_millisecond) - ZONE_MS
}

/// So many days from a date on.
pub(super) fn days(from: Date, count: usize) -> Vec<Day> {
    let mut worked = 0;
    let dates = from.series(jiff::Span::new().days(1)).take(count);
    let days = dates.enumerate().map(|(number, date)| {
        let kind = kind(date);
        let day = Day {
            date,
            number,
            worked,
            kind,
            start: midnight(date),
        };
        worked += usize::from(kind == Kind::Work);
        day
    });
    days.collect()
}

fn kind(date: Date) -> Kind {
    let is_holiday = HOLIDAYS.iter().any(|(month, first, last)| {
        date.month() == *month && (*first..=*last).contains(&date.day())
    });
    match date.weekday() {
        _ if is_holiday => Kind::Rest,
        Weekday::Sunday => Kind::Rest,
        Weekday::Saturday => Kind::Half,
        Weekday::Monday
        | Weekday::Tuesday
        | Weekday::Wednesday
        | Weekday::Thursday
        | Weekday::Friday => Kind::Work,
    }
}
