//! Pictures of numbers: plain functions to SVG, readable in print without colours.

use jiff::civil::{Date, Time as Clock};
use jiff::{Span, Timestamp, tz};
use lineside_proto::{State, Time};
use maud::{Markup, html};
use std::collections::BTreeMap;

use super::{figure, paint};
use crate::text::Language;

/// Milliseconds of a day in China, where no clock is ever put forward or back.
const DAY_MS: u64 = 86_400_000;
/// Rows of a calendar at most: ten years. A page of more is no page.
const MONTHS_MAX: usize = 120;
/// A day's width; columns of the days begin at `LEFT`.
const CELL: u64 = 22;
/// The room for the names of months.
const LEFT: u64 = 62;
/// The room for a month's figures.
const RIGHT: u64 = 176;
/// The room for the names of days.
const TOP: u64 = 18;
/// A month's height, and that of a day in it.
const ROW: u64 = 26;
const TALL: u64 = 21;
/// The whole calendar's width.
const WIDTH: u64 = LEFT + 31 * CELL + RIGHT;

/// A machine's days: milliseconds by state, by date in Asia/Shanghai (`2026-11-29`).
pub type Days = BTreeMap<String, BTreeMap<State, u64>>;

/// A day of a calendar.
struct Day {
    date: Date,
    /// The milliseconds of it that lie in the period.
    inside_ms: u64,
    /// What the machine did, in drawing order; with what nobody watched as UNKNOWN.
    parts: Vec<(State, u64)>,
}

impl Day {
    /// All that is drawn of it.
    fn whole_ms(&self) -> u64 {
        self.parts.iter().map(|&(_, ms)| ms).sum()
    }
}

/// A machine's period as a calendar: a row a month, a column a day, each day a stack of its states from the
/// bottom, as high as 24 hours. Beside each month its RUN hours, and its coverage.
pub fn calendar(days: &Days, from: Time, to: Time, language: Language) -> Markup {
    let months = months(days, from, to);
    let height = TOP + ROW * count(months.len()) + 4;
    let shapes = shapes(&months);
    let label = language.pick("States of every day, a row a month", "每日状态，每行一个月");
    html! {
        svg.calendar viewBox={"0 0 " (WIDTH) " " (height)} role="img" aria-label=(label) {
            @for day in 1..=31_u64 {
                text.tick x=(LEFT + day * CELL - CELL / 2) y="12" text-anchor="middle" { (day) }
            }
            text.tick x=(WIDTH - 92) y="12" text-anchor="end" { (language.pick("RUN h", "运行 h")) }
            text.tick x=(WIDTH - 8) y="12" text-anchor="end" { (language.pick("coverage", "覆盖率")) }
            @for (row, days) in (0_u64..).zip(&months) {
                (month(TOP + row * ROW, days))
            }
            @for (state, path) in &shapes {
                path fill=(paint::fill(*state)) d=(path) {}
            }
            path.frame d=(frames(&months)) {}
        }
    }
}

/// The words beside a month.
fn month(top: u64, days: &[Day]) -> Markup {
    let name = days
        .first()
        .map(|day| day.date.strftime("%Y-%m").to_string());
    let sum = |of: fn(State) -> bool| {
        let parts = days.iter().flat_map(|day| &day.parts);
        parts
            .filter(|&&(state, _)| of(state))
            .map(|&(_, ms)| ms)
            .sum::<u64>()
    };
    let run = sum(|state| state == State::Run);
    let known = sum(|state| state != State::Unknown);
    let coverage = figure::share(known, sum(|_| true)).map(figure::per_mille);
    let base = top + 15;
    html! {
        text.month x="0" y=(base) { (name.unwrap_or_default()) }
        text.number x=(WIDTH - 92) y=(base) text-anchor="end" { (figure::hours(run)) }
        text.number x=(WIDTH - 8) y=(base) text-anchor="end" { (coverage.unwrap_or_default()) }
    }
}

/// The period's days, by month.
fn months(days: &Days, from: Time, to: Time) -> Vec<Vec<Day>> {
    let zone = tz::offset(8);
    let stamp = |time: Time| Timestamp::from_millisecond(time.as_millis()).unwrap_or_default();
    let mut next = zone.to_datetime(stamp(from)).date();
    let mut months: Vec<Vec<Day>> = Vec::new();
    loop {
        let begin = zone.to_timestamp(next.to_datetime(Clock::midnight()));
        let Ok(begin) = begin.map(|begin| Time::from_millis(begin.as_millisecond())) else {
            return months;
        };
        let end = begin.plus_millis(i64::try_from(DAY_MS).unwrap_or(i64::MAX));
        if begin >= to {
            return months;
        }
        let inside = end
            .min(to)
            .as_millis()
            .saturating_sub(begin.max(from).as_millis());
        let day = Day::new(next, u64::try_from(inside).unwrap_or(0), days);
        let is_full = months.len() == MONTHS_MAX;
        match months.last_mut() {
            Some(month) if next.day() != 1 => month.push(day),
            _ if is_full => return months,
            _ => months.push(vec![day]),
        }
        let Ok(after) = next.checked_add(Span::new().days(1)) else {
            return months;
        };
        next = after;
    }
}

impl Day {
    fn new(date: Date, inside_ms: u64, days: &Days) -> Self {
        let said = days.get(&date.to_string());
        let of = |state| said.and_then(|said| said.get(&state)).copied().unwrap_or(0);
        let watched = State::ALL.into_iter().map(of).fold(0, u64::saturating_add);
        let unwatched = inside_ms.saturating_sub(watched);
        let drawn = |state: State| match state {
            State::Unknown => of(state).saturating_add(unwatched),
            State::Off
            | State::Down
            | State::Maint
            | State::Idle
            | State::Setup
            | State::Run
            | State::Hold => of(state),
        };
        // No day is longer than this, whatever a file says; that keeps all sums small.
        let parts = paint::ORDER.map(|state| (state, drawn(state).min(10 * DAY_MS)));
        let parts = parts.into_iter().filter(|&(_, ms)| ms > 0).collect();
        Self {
            date,
            inside_ms,
            parts,
        }
    }
}

/// The left edge of a day.
fn left(date: Date) -> u64 {
    let day = u64::try_from(date.day()).unwrap_or(1);
    LEFT + (day - 1) * CELL
}

/// One path a state, over all days.
fn shapes(months: &[Vec<Day>]) -> BTreeMap<State, String> {
    let mut shapes: BTreeMap<State, String> = BTreeMap::new();
    for (row, days) in (0_u64..).zip(months) {
        let foot = TOP + row * ROW + TALL;
        for day in days {
            // A clock that stepped gives a day of more than 24 hours.
            let scale = day.whole_ms().max(DAY_MS);
            let mut below = 0;
            for &(state, ms) in &day.parts {
                let (low, high) = (below * TALL * 10 / scale, (below + ms) * TALL * 10 / scale);
                below += ms;
                if high > low {
                    let shape = shapes.entry(state).or_default();
                    let (y, height) = (foot * 10 - high, high - low);
                    let (x, wide) = (left(day.date) + 1, CELL - 2);
                    let (y, height) = (tenths(y), tenths(height));
                    *shape += &format!("M{x} {y}h{wide}v{height}h-{wide}z");
                }
            }
        }
    }
    shapes
}

/// The outline of every day, and a line below those of weekends.
fn frames(months: &[Vec<Day>]) -> String {
    let mut path = String::new();
    for (row, days) in (0_u64..).zip(months) {
        let top = TOP + row * ROW;
        for day in days.iter().filter(|day| day.inside_ms > 0) {
            let x = left(day.date) + 1;
            path += &format!("M{x} {top}h{0}v{TALL}h-{0}z", CELL - 2);
            if day.date.weekday().to_monday_zero_offset() >= 5 {
                path += &format!("M{x} {}h{}", top + TALL + 2, CELL - 2);
            }
        }
    }
    path
}

fn tenths(value: u64) -> String {
    match value % 10 {
        0 => (value / 10).to_string(),
        rest => format!("{}.{rest}", value / 10),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A part of a bar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// How it is filled.
    pub fill: String,
    /// What it is, in a word that is written into it where it is wide enough.
    pub word: String,
    /// How much of it there is.
    pub amount: u64,
}

/// A bar of parts that make up a whole; `whole` may be more than their sum. Empty where there is nothing.
pub fn bar(parts: &[Part], whole: u64, label: &str) -> Markup {
    const LONG: u128 = 900;
    let sum: u128 = parts.iter().map(|part| u128::from(part.amount)).sum();
    let whole = u128::from(whole).max(sum).max(1);
    let mut placed = Vec::with_capacity(parts.len());
    let mut before: u128 = 0;
    for part in parts {
        let begin = before * LONG / whole;
        before += u128::from(part.amount);
        let long = before * LONG / whole - begin;
        if long > 0 {
            placed.push((part, begin, long));
        }
    }
    html! {
        svg.bar viewBox="0 0 900 30" role="img" aria-label=(label) {
            @for (part, begin, long) in &placed {
                rect.edge x=(begin) y="1" width=(long) height="28" fill=(part.fill) {}
                @if fits(&part.word, *long) {
                    rect.plate x=(begin + long / 2 - width(&part.word) / 2) y="6" width=(width(&part.word)) height="18" rx="3" {}
                    text.inside x=(begin + long / 2) y="20" text-anchor="middle" { (part.word) }
                }
            }
            rect.frame x="0.5" y="1" width="899" height="28" {}
        }
    }
}

/// About how wide a word is in a bar: a Chinese letter takes as much as two others.
fn width(word: &str) -> u128 {
    let letters = unicode_width::UnicodeWidthStr::width(word);
    u128::try_from(letters)
        .unwrap_or(u128::MAX)
        .saturating_mul(8)
        .saturating_add(10)
}

fn fits(word: &str, long: u128) -> bool {
    width(word).saturating_add(4) <= long
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, Days, Part, bar, calendar, months};
    use crate::text::Language;
    use jiff::civil::date;
    use lineside_proto::{State, Time};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn every_day_of_the_period_has_its_place() {
        let hours = |n: u64| n * 3_600_000;
        let days = Days::from([(
            "2026-11-30".to_owned(),
            BTreeMap::from([(State::Run, hours(6)), (State::Idle, hours(12))]),
        )]);
        // From 06:00 on the 30th to 12:00 on the 2nd, in China.
        let months = months(
            &days,
            at("2026-11-29T22:00:00Z"),
            at("2026-12-02T04:00:00Z"),
        );
        let told: Vec<Vec<_>> = months
            .iter()
            .map(|days| {
                days.iter()
                    .map(|day| (day.date, day.inside_ms, day.parts.clone()))
                    .collect()
            })
            .collect();
        let unknown = |n| vec![(State::Unknown, hours(n))];
        assert_eq!(
            told,
            [
                vec![(
                    date(2026, 11, 30),
                    hours(18),
                    vec![(State::Run, hours(6)), (State::Idle, hours(12))]
                )],
                vec![
                    (date(2026, 12, 1), DAY_MS, unknown(24)),
                    (date(2026, 12, 2), hours(12), unknown(12)),
                ],
            ]
        );
        let svg = calendar(
            &days,
            at("2026-11-29T22:00:00Z"),
            at("2026-12-02T04:00:00Z"),
            Language::En,
        );
        let svg = svg.into_string();
        // A quarter of the day, from the bottom, in the 30th column of the first row.
        assert!(
            svg.contains("fill=\"url(#p-run)\" d=\"M701 33.8h20v5.2h-20z\""),
            "{svg}"
        );
        assert!(
            svg.contains(">2026-11</text>") && svg.contains(">100.0 %</text>"),
            "{svg}"
        );
        assert!(
            svg.contains(">2026-12</text>") && svg.contains(">0.0 %</text>"),
            "{svg}"
        );
    }

    #[test]
    fn a_bar_is_as_long_as_its_parts() {
        let part = |word: &str, amount| Part {
            fill: "url(#p-run)".to_owned(),
            word: word.to_owned(),
            amount,
        };
        let svg = bar(
            &[part("half", 50), part("tiny", 1), part("", 0)],
            100,
            "shares",
        )
        .into_string();
        assert!(svg.contains("x=\"0\" y=\"1\" width=\"450\""), "{svg}");
        assert!(svg.contains(">half</text>"), "{svg}");
        assert!(svg.contains("x=\"450\" y=\"1\" width=\"9\""), "{svg}");
        assert!(!svg.contains(">tiny</text>"), "{svg}");
        let none = bar(&[], 0, "nothing").into_string();
        assert_eq!(none.matches("<rect").count(), 1, "{none}");
    }

    proptest! {
        #[test]
        fn no_numbers_make_it_panic(
            from in any::<i64>(),
            length in 0_i64..4_000_000_000,
            amounts in prop::collection::vec(any::<u64>(), 0..8),
        ) {
            let from = Time::from_millis(from);
            let days = Days::from([(
                super::figure::day(from),
                State::ALL.into_iter().zip(amounts.iter().copied()).collect(),
            )]);
            drop(calendar(&days, from, from.plus_millis(length), Language::ZhCn));
            let parts: Vec<Part> = amounts.iter().map(|&amount| Part { fill: String::new(), word: "w".to_owned(), amount }).collect();
            drop(bar(&parts, 1, ""));
        }
    }
}
