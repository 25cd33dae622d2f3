//! The site as text: a table for a terminal, lines for a log, words in two languages.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lineside_proto::{Doubt, Time};

use super::super::columns::columns;
use super::super::table::cell::{fitted, plain};
use super::super::words;
use super::site::Row;
use crate::text;
use crate::text::{Language, Text};

/// Columns of a remote text at most, so that one long text does not push the others out.
const CELL_WIDTH_MAX: usize = 40;

/// The headings, in the order of the columns.
fn headings() -> [Text; 8] {
    [
        text!("GATEWAY", "网关"),
        text!("MACHINE", "设备"),
        text!("STATE", "状态"),
        text!("FREE NOW", "当前可用"),
        text!("SINCE", "起始"),
        text!("SESSION", "上机记录"),
        text!("AGE", "距上次"),
        text!("WHY", "原因"),
    ]
}

fn cells(row: &Row, language: Language, zone: &TimeZone) -> [String; 8] {
    let name = harmless(words::name(&row.name, language).unwrap_or_default());
    let machine = if name.is_empty() {
        row.machine.to_string()
    } else {
        format!("{} {name}", row.machine)
    };
    let state = row.belief.state;
    let state = words::state(state, language);
    [
        format!("{}/{}", row.site, row.gateway),
        machine,
        state.to_owned(),
        words::available(row.belief.available_now, language).to_owned(),
        row.since
            .map(|since| local(since, zone))
            .unwrap_or_default(),
        session(row),
        row.age_ms.map(age).unwrap_or_default(),
        why(row, language),
    ]
}

/// A table with headings, each line at most `width` columns wide.
pub(super) fn table(
    rows: &[Row],
    language: Language,
    zone: &TimeZone,
    width: usize,
) -> Vec<String> {
    let mut lines = vec![headings().map(|heading| heading.say(language).to_owned())];
    lines.extend(rows.iter().map(|row| cells(row, language, zone)));
    let lines = columns(&lines);
    lines.iter().map(|line| fitted(line, width)).collect()
}

/// One machine in a line.
pub(super) fn line(row: &Row, language: Language, zone: &TimeZone, now: Time) -> String {
    let [gateway, machine, state, free, since, session, _, why] = cells(row, language, zone);
    let parts = [
        local(now, zone),
        gateway,
        machine,
        state,
        free,
        since,
        session,
        why,
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

fn session(row: &Row) -> String {
    let Some(session) = &row.session else {
        return String::new();
    };
    match &session.booking {
        Some(booking) => harmless(&format!("{} {booking}", session.class)),
        None => session.class.to_string(),
    }
}

fn why(row: &Row, language: Language) -> String {
    let reason = harmless(row.reason.as_deref().unwrap_or_default());
    match row.belief.doubt {
        None | Some(Doubt::Said) if !reason.is_empty() => reason,
        None => String::new(),
        Some(doubt) => self::doubt(doubt).say(language).to_owned(),
    }
}

/// Why a state is not known, for people.
fn doubt(doubt: Doubt) -> Text {
    match doubt {
        Doubt::NoStatus => text!("no word from the gateway", "没有网关的消息"),
        Doubt::NoAvailability => text!("no readable document", "没有可读的文档"),
        Doubt::Version => text!("a document of another version", "文档版本不符"),
        Doubt::Foreign => text!("the status is another gateway's", "状态属于另一网关"),
        Doubt::Offline => text!("the gateway is offline", "网关离线"),
        Doubt::StatusUndated => text!("the status is of unknown age", "网关状态的时间不明"),
        Doubt::StatusStale => text!("the gateway has fallen silent", "网关已无消息"),
        Doubt::Undated => text!("the document is of unknown age", "文档的时间不明"),
        Doubt::Stale => text!("the document is too old", "文档已过期"),
        Doubt::Said => text!("the gateway does not know", "网关无法判定"),
        Doubt::Evidence => text!("it rests on old evidence", "依据的数据已过期"),
    }
}

fn local(time: Time, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(time.as_millis())
        .map(|stamp| {
            stamp
                .to_zoned_datetime(zone.clone())
                .strftime("%m-%d %H:%M:%S")
                .to_string()
        })
        .unwrap_or_default()
}

fn age(age_ms: u64) -> String {
    let seconds = age_ms / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

/// A remote text that a terminal can show, and not too wide.
fn harmless(text: &str) -> String {
    fitted(&plain(text), CELL_WIDTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::site::Site;
    use super::super::site::tests::{availability, status, take};
    use super::{harmless, line, table};
    use crate::text::Language;
    use jiff::tz::TimeZone;
    use lineside_proto::{State, Time};
    use unicode_width::UnicodeWidthStr;

    fn site() -> Site {
        let mut site = Site::new("p");
        take(&mut site, "p/s/g/status", &status("g"), 0);
        for (machine, state) in [("press", State::Run), ("oven", State::Idle)] {
            let topic = format!("p/s/g/availability/{machine}");
            take(&mut site, &topic, &availability("g", machine, state), 0);
        }
        let broken =
            availability("g", "saw", State::Idle).replace("Extruder", "\u{1b}[2Jx\u{202e}y");
        take(
            &mut site,
            "p/s/g/availability/saw",
            &broken.replace('\u{1b}', "\\u001b"),
            0,
        );
        site
    }

    #[test]
    fn columns_stand_under_each_other_in_both_languages() {
        let rows = site().rows(3000);
        for (language, heading, free) in [
            (Language::En, "FREE NOW", ["yes", "no", "yes"]),
            (Language::ZhCn, "当前可用", ["可用", "不可用", "可用"]),
        ] {
            let lines = table(&rows, language, &TimeZone::UTC, 200);
            assert_eq!(lines.len(), 4);
            let column = lines[0].split(heading).next().unwrap().width();
            for (line, free) in lines[1..].iter().zip(free) {
                let (before, _) = split_at_width(line, column);
                let rest = &line[before..];
                assert!(rest.starts_with(free), "{line}: {rest}");
            }
        }
    }

    fn split_at_width(line: &str, width: usize) -> (usize, usize) {
        let place = line
            .char_indices()
            .map(|(place, _)| place)
            .find(|place| line[..*place].width() == width)
            .unwrap();
        (place, width)
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_none_carries_control_characters() {
        let rows = site().rows(3000);
        for width in [0, 1, 2, 10, 33, 80] {
            for line in table(&rows, Language::ZhCn, &TimeZone::UTC, width) {
                assert!(line.width() <= width.max(1), "{width}: {line}");
            }
        }
        for language in [Language::En, Language::ZhCn] {
            for text in table(&rows, language, &TimeZone::UTC, 500) {
                assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
            }
        }
    }

    #[test]
    fn a_line_says_what_changed() {
        let rows = site().rows(3000);
        let now = Time::from_millis(1_795_420_805_000);
        let text = line(&rows[0], Language::En, &TimeZone::UTC, now);
        let expected = "11-23 08:00:05  s/g  oven Extruder  IDLE  yes  11-23 08:00:00  true";
        assert_eq!(text, expected);
        let rows = site().rows(100_000);
        let text = line(&rows[0], Language::ZhCn, &TimeZone::UTC, now);
        let expected = "11-23 08:00:05  s/g  oven 双螺杆挤出机  状态不明  不明  网关已无消息";
        assert_eq!(text, expected);
    }

    #[test]
    fn remote_texts_are_made_harmless() {
        assert_eq!(harmless("a\u{1b}[2J"), "a·[2J");
        assert_eq!(harmless(&"中".repeat(1000)).width(), 39);
    }
}
