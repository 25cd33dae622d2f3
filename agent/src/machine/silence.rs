//! Silence of the field: how long a group of points on one connection gave no answer at all, or was not
//! asked, since the agent was held up.
//!
//! A single lost answer is named in the telemetry (`bad`); a silence that outlasts the group's
//! `stale-after`, so that the machine's state suffers, becomes a gap document when it ends. A source
//! that subscribes names its own gaps.

use lineside_proto::Time;
use std::collections::BTreeMap;

use crate::clock::Stamp;
use crate::config::model::MachineMap;
use crate::sample::{Bad, Batch};

/// The silences of one machine, by poll group and connection.
#[derive(Debug)]
pub(super) struct Silences {
    heard: BTreeMap<(u16, u16), Heard>,
    start: Stamp,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    last: Stamp,
    silent: Option<Bad>,
}

/// A silence that has ended.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Silence {
    /// The last answer before it.
    pub(super) from: Time,
    /// What was silent and how.
    pub(super) reason: String,
}

impl Silences {
    /// Nothing heard yet: silence is counted from now.
    pub(super) fn new(now: Stamp) -> Self {
        Self {
            heard: BTreeMap::new(),
            start: now,
        }
    }

    /// Takes in a reading; gives the silence that it ends, if that was long enough to be told.
    pub(super) fn take(&mut self, map: &MachineMap, batch: &Batch) -> Option<Silence> {
        let first = batch.samples.first()?;
        let connection = map.points.get(usize::from(first.point))?.connection;
        // Polled points only: a subscription names what it missed.
        let link = map.connections.get(usize::from(connection));
        if link.is_some_and(|link| link.server().is_some()) {
            return None;
        }
        let group = map.groups.get(usize::from(batch.group))?;
        let start = self.start;
        let heard = self
            .heard
            .entry((batch.group, connection))
            .or_insert(Heard {
                last: start,
                silent: None,
            });
        if let Some(bad) = silence_of(batch) {
            heard.silent = Some(bad);
            return None;
        }
        let before = *heard;
        *heard = Heard {
            last: batch.at,
            silent: None,
        };
        let length_ms = batch.at.millis() - before.last.millis();
        if u128::try_from(length_ms).unwrap_or(0) < group.stale_after.as_millis() {
            return None;
        }
        let connection = map
            .connections
            .get(usize::from(connection))
            .map_or("", |named| named.name.as_str());
        let reason = match before.silent {
            Some(bad) => format!(
                "no answer on connection {connection}, group {}: {bad}",
                group.name
            ),
            None => format!("connection {connection}, group {} was not read", group.name),
        };
        Some(Silence {
            from: before.last.wall,
            reason,
        })
    }
}

/// How the whole batch is silent; none if any point of it was answered for.
fn silence_of(batch: &Batch) -> Option<Bad> {
    let mut silent = None;
    for sample in &batch.samples {
        match sample.reading {
            Err(bad) if !bad.is_spoken() => silent = Some(bad),
            Ok(_) | Err(_) => return None,
        }
    }
    silent
}
