//! `[groups]`: how often points are read, and how long their values are believed.

use lineside_proto::Identifier;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, Report};
use super::model::Group;
use super::section::{Said, Section, bad_name, duration};
use super::source::Place;
use super::tree::{Entry, Table, Value};
use crate::text;

/// Poll groups of one machine.
pub(super) const GROUPS_MAX: usize = 256;

const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);
const STALE_AFTER: RangeInclusive<Duration> =
    Duration::from_millis(20)..=Duration::from_secs(30 * 86_400);
/// Values are believed for so long at least unless the map says otherwise.
const STALE_AFTER_MIN_DEFAULT: Duration = Duration::from_secs(10);

/// A group as far as it could be read.
pub(super) struct Draft<'a> {
    /// Its name as written.
    pub(super) name: &'a str,
    /// Where it is named.
    pub(super) at: &'a Place,
    /// The group; none if it has faults.
    pub(super) group: Option<Group>,
}

/// Reads the groups. `stale_after` is the machine's own: it holds for every group that it is at
/// least two intervals of, and slower groups keep their default.
pub(super) fn read<'a>(
    table: &'a Table,
    stale_after: Option<Said<'_, Duration>>,
    report: &Report,
) -> Vec<Draft<'a>> {
    let drafts: Vec<_> = table
        .entries
        .iter()
        .map(|entry| Draft {
            name: &entry.key,
            at: &entry.key_at,
            group: group(entry, stale_after, report),
        })
        .collect();
    if let Some(said) = stale_after {
        let groups = || drafts.iter().filter_map(|draft| draft.group.as_ref());
        let shortest = groups().map(|group| group.interval).min();
        if let Some(shortest) = shortest.filter(|shortest| said.value < 2 * *shortest) {
            report.add(too_short("stale-after", said, shortest));
        }
    }
    drafts
}

fn group(entry: &Entry, machine: Option<Said<'_, Duration>>, report: &Report) -> Option<Group> {
    let name = entry.key.parse::<Identifier>();
    if let Err(error) = &name {
        bad_name(report, &entry.key, &entry.key_at, error, false);
    }
    let mut own = None;
    let interval = if let Value::Table(table) = &entry.node.value {
        let section = Section::new(table, &entry.key_at, report);
        let interval = section.required("interval", section.duration("interval", INTERVAL));
        own = section.duration("stale-after", STALE_AFTER);
        section.finish();
        interval?.value
    } else {
        duration(report, &entry.key, &entry.node, &INTERVAL)?
    };
    if let Some(said) = own.filter(|said| said.value < 2 * interval) {
        report.add(too_short("stale-after", said, interval));
    }
    let machine = machine
        .map(|said| said.value)
        .filter(|value| *value >= 2 * interval);
    let default = (3 * interval).max(STALE_AFTER_MIN_DEFAULT);
    let stale_after = own.map(|said| said.value).or(machine).unwrap_or(default);
    Some(Group {
        name: name.ok()?,
        interval,
        stale_after,
    })
}

fn too_short(key: &str, said: Said<'_, Duration>, interval: Duration) -> Fault {
    let value = humantime::format_duration(said.value);
    let least = humantime::format_duration(2 * interval);
    let interval = humantime::format_duration(interval);
    let message = text!(
        "`{key}` of {value} is below two intervals of {interval}: one lost reading would make the machine UNKNOWN",
        "`{key}` 为 {value}，不足两个采集周期（{interval}）：丢失一次读数就会变为状态不明"
    );
    Fault::error("stale-after", said.at, message)
        .hint(text!("use {least} or more", "使用 {least} 或更长"))
}
