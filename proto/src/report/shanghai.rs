//! Days, years and moments in Asia/Shanghai (UTC+8 without summer time since 1991).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::Time;

const SHANGHAI: Offset = Offset::constant(8);

fn local(time: Time) -> Option<DateTime> {
    let stamp = Timestamp::from_millisecond(time.as_millis()).ok()?;
    Some(SHANGHAI.to_datetime(stamp))
}

fn time(local: DateTime) -> Option<Time> {
    let stamp = SHANGHAI.to_timestamp(local).ok()?;
    Some(Time::from_millis(stamp.as_millisecond()))
}

/// The day (`2026-11-29`) of a moment.
pub fn day(moment: Time) -> String {
    local(moment).map_or_else(String::new, |local| local.date().to_string())
}

/// A moment for people: `2026-11-29 16:00:05`.
pub fn moment(moment: Time) -> String {
    local(moment).map_or_else(String::new, |local| {
        local.strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}

/// When a day begins.
pub(super) fn begin(date: Date) -> Option<Time> {
    time(date.to_datetime(jiff::civil::Time::midnight()))
}

/// A date: `2026-11-29` or `2026/11/29`, zeros optional.
pub(super) fn date(text: &str) -> Option<Date> {
    let mut parts = text.split(['-', '/']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_over = parts.next().is_some();
    let is_plain = |text: &str, digits: usize| {
        (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if is_over || year.len() != 4 || !is_plain(year, 4) || !is_plain(month, 2) || !is_plain(day, 2)
    {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// A moment as people write it in a table: RFC 3339 with its offset, or a date and a time of Asia/Shanghai.
pub(super) fn written(text: &str) -> Option<Time> {
    if let Ok(time) = text.parse::<Time>() {
        return Some(time);
    }
    let (day, clock) = text.split_once([' ', 'T'])?;
    let day = date(day)?;
    let mut parts = clock.trim().split(':');
    let mut number = |is_needed: bool| match parts.next() {
        Some(text) if (1..=2).contains(&text.len()) => text.parse::<i8>().ok(),
        None if !is_needed => Some(0),
        Some(_) | None => None,
    };
    let (hour, minute, second) = (number(true)?, number(true)?, number(false)?);
    if parts.next().is_some() {
        return None;
    }
    time(day.to_datetime(jiff::civil::Time::new(hour, minute, second, 0).ok()?))
}

/// The part of a yearly quota that falls between two moments: each year's hours are spread evenly over that year.
pub(super) fn pro_rata(hours_a_year: u32, from: Time, to: Time) -> u64 {
    let mut sum: u128 = 0;
    let mut from = from;
    // A report spans a few years; a longer one has no more of a quota than a hundred years have.
    for _ in 0..100 {
        let Some(local) = local(from).filter(|_| from < to) else {
            break;
        };
        let begins = |year: i16| Date::new(year, 1, 1).ok().and_then(begin);
        let (Some(start), Some(end)) = (begins(local.year()), begins(local.year() + 1)) else {
            break;
        };
        let part = millis(from, to.min(end));
        let whole = u128::from(hours_a_year) * u128::from(super::HOUR_MS);
        let year = u128::from(millis(start, end));
        sum += (whole * u128::from(part)).checked_div(year).unwrap_or(0);
        from = to.min(end);
    }
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// Milliseconds from one moment to a later one; 0 where it is not later. Only for times that both come from outside: what
/// machines did is never computed from two of these.
pub(super) fn millis(from: Time, to: Time) -> u64 {
    u64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{date, day, moment, pro_rata, written};
    use crate::Time;
    use crate::report::HOUR_MS;

    #[test]
    fn moments_are_those_of_shanghai() {
        let time: Time = "2026-11-28T16:00:05Z".parse().unwrap();
        assert_eq!(day(time), "2026-11-29");
        assert_eq!(moment(time), "2026-11-29 00:00:05");
        for text in [
            "2026-11-29 00:00:05",
            "2026/11/29 0:00:05",
            "2026-11-29T00:00:05+08:00",
            "2026-11-28T16:00:05Z",
        ] {
            assert_eq!(written(text), Some(time), "{text}");
        }
        for text in [
            "",
            "2026-11-29",
            "2026-11-29 24:00",
            "2026-11-29 8",
            "2026-02-30 08:00",
            "29.11.2026 08:00",
            "2026-11-29 08:00:00:00",
            "2026-11-29 -1:00",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
        assert!(date("2026-1-2").is_some());
        for text in ["26-1-2", "2026-13-01", "2026-1", "2026-1-2-3", "2026-+1-2"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn a_quota_is_spread_over_its_year() {
        let check = |from: &str, to: &str, expected: u64| {
            let (from, to) = (written(from).unwrap(), written(to).unwrap());
            assert_eq!(pro_rata(1460, from, to), expected, "{from} {to}");
        };
        check("2026-01-01 00:00", "2027-01-01 00:00", 1460 * HOUR_MS);
        check("2026-03-01 00:00", "2026-03-02 00:00", 4 * HOUR_MS);
        // A leap year has a smaller day: 1460 h / 366, rounded down; and both years of a span count.
        check("2028-03-01 00:00", "2028-03-02 00:00", 14_360_655);
        check("2026-12-31 00:00", "2027-01-02 00:00", 8 * HOUR_MS);
        check("2026-03-02 00:00", "2026-03-01 00:00", 0);
    }
}
