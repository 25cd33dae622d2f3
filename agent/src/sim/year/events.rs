//! What befalls the gateway of the sample year, and what people do to it.

use lineside_proto::ClockStatus;

use super::calendar::{DAY_MS, Day, HOUR_MS, MINUTE_MS};
use super::planted::{LOWERED_PM, Schedule};

/// Something that happens to the gateway at a moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Event {
    /// The agent is stopped as it should be.
    Stop,
    /// The power goes.
    Cut,
    /// The agent starts; on a new boot, if the power was gone.
    Start {
        /// Whether the gateway booted.
        is_boot: bool,
    },
    /// The clock can be trusted so far from now on; what it shows too much, and gains, in millionths.
    Clock {
        /// Its letter.
        letter: ClockStatus,
        /// What it shows too much; none: as before.
        error_ms: Option<i64>,
        /// What it gains.
        gain_ppm: i64,
    },
    /// Somebody lowers the bound of RUN in the map of the first extruder.
    LowerThreshold,
    /// Somebody says that the newest session's end is wrong.
    Correct,
    /// The city can't be reached, or can again.
    City(bool),
}

/// The gateway's year, in order of time.
pub(super) fn events(days: &[Day], schedule: Schedule) -> Vec<(i64, Event)> {
    let begin = days.first().map_or(0, |day| day.start);
    let mut events = vec![
        (begin - DAY_MS, set(ClockStatus::S)),
        (begin - DAY_MS, Event::Start { is_boot: true }),
    ];
    // The power goes at night and comes back at once; the clock is right a little later.
    if let Some(day) = schedule.workday(days, 200) {
        let cut = day.at(3, 12);
        let started = cut + 7 * MINUTE_MS;
        events.push((cut, Event::Cut));
        let off = Event::Clock {
            letter: ClockStatus::I,
            error_ms: Some(-1_700),
            gain_ppm: 0,
        };
        events.push((started, off));
        events.push((started, Event::Start { is_boot: true }));
        events.push((started + 3 * MINUTE_MS, set(ClockStatus::S)));
    }
    // Three days without the city: nobody cosigns.
    if let Some(day) = schedule.workday(days, 250) {
        events.push((day.at(6, 40), Event::City(false)));
        events.push((day.at(6, 40) + 3 * DAY_MS, Event::City(true)));
    }
    // Some hours of a day of rest without the agent.
    if let Some(day) = schedule.rest_day(days, 450) {
        events.push((day.at(10, 0), Event::Stop));
        events.push((day.at(16, 40), Event::Start { is_boot: false }));
    }
    if let Some(day) = schedule.workday(days, 500) {
        events.push((day.at(12, 15), Event::Correct));
    }
    // Two days without a time server.
    if let Some(day) = schedule.workday(days, 700) {
        let lost = Event::Clock {
            letter: ClockStatus::I,
            error_ms: None,
            gain_ppm: 40,
        };
        events.push((day.at(7, 10), lost));
        events.push((day.at(7, 10) + 2 * DAY_MS, set(ClockStatus::S)));
    }
    for (place, day) in schedule.unplugged(days).iter().enumerate() {
        // Before anybody comes, or while they work.
        let minute = if place % 2 == 0 { 8 } else { 52 };
        events.push((day.at(8, minute), Event::Cut));
        events.push((day.at(11, 50), Event::Start { is_boot: true }));
    }
    if let Some(day) = schedule.workday(days, LOWERED_PM) {
        events.push((
            day.start + 6 * HOUR_MS - 10 * MINUTE_MS,
            Event::LowerThreshold,
        ));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

fn set(letter: ClockStatus) -> Event {
    Event::Clock {
        letter,
        error_ms: Some(0),
        gain_ppm: 0,
    }
}
