//! Process values that stay here while another company's session runs: not sent, but counted, and named by gap
//! documents.

use lineside_proto::booking::Allowed;
use lineside_proto::{Gap, GapKind, Time};
use std::collections::VecDeque;

use super::{Frames, Told};
use crate::clock::Stamp;
use crate::config::model::MachineMap;
use crate::record::Record;
use crate::sample::Batch;

/// What is withheld is named at least this often.
const NAMED_EVERY_MS: i64 = 3_600_000;

/// Times in which values were withheld, remembered for what a source tells of them later.
const PAST_MAX: usize = 64;

const REASON: &str = "another company's session";

/// What is withheld at present, and what was.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    present: Option<Present>,
    past: VecDeque<(Time, Time)>,
    /// By how much the source's clock is ahead of ours at least, as far as its readings tell.
    skew_ms: Option<i64>,
}

#[derive(Debug)]
struct Present {
    allowed: Allowed,
    /// By point: whether it may be published.
    may: Box<[bool]>,
    /// Since when nothing of it was named.
    from: Time,
    from_ms: i64,
    began: Time,
    samples: u64,
}

impl Withheld {
    /// Whether a sample of this point stays here; counts it if so.
    pub(super) fn keeps(&mut self, point: usize) -> bool {
        let Some(present) = &mut self.present else {
            return false;
        };
        if present.may.get(point).copied().unwrap_or(false) {
            return false;
        }
        present.samples += 1;
        true
    }

    fn covers(&self, time: Time) -> bool {
        let mut past = self.past.iter();
        past.any(|(from, to)| *from <= time && time <= *to)
    }

    /// Takes note of how the source's clock compares with ours. A value may be old when it is told: the newest
    /// ones tell.
    pub(super) fn note_skew(&mut self, batch: &Batch) {
        let Some(source) = batch.source else { return };
        let ahead_ms = source.as_millis().saturating_sub(batch.at.wall.as_millis());
        self.skew_ms = self.skew_ms.max(Some(ahead_ms));
    }

    /// When a source's time was: as it says, and as our clock would have it.
    fn times(&self, batch: &Batch) -> [Time; 2] {
        let time = batch.source.unwrap_or(batch.at.wall);
        [time, time.plus_millis(-self.skew_ms.unwrap_or(0))]
    }
}

fn may(map: &MachineMap, allowed: &Allowed) -> Box<[bool]> {
    let points = map.points.iter();
    points
        .map(|point| match allowed {
            Allowed::None => false,
            Allowed::All => true,
            Allowed::Points(names) => names.contains(&point.name),
        })
        .collect()
}

impl Frames {
    /// From now on only what is allowed may be published; none: everything may. What was gathered and not sent
    /// yet stays here, too.
    pub fn withhold(&mut self, allowed: Option<&Allowed>, at: Stamp, out: &mut Vec<Record>) {
        let wanted = allowed.filter(|allowed| **allowed != Allowed::All);
        let Some(present) = &self.withheld.present else {
            if let Some(allowed) = wanted {
                self.begin_withholding(allowed, at);
            }
            return;
        };
        if wanted != Some(&present.allowed) {
            self.end_withholding(at, out);
            if let Some(allowed) = wanted {
                self.begin_withholding(allowed, at);
            }
        } else if at.millis().saturating_sub(present.from_ms) >= NAMED_EVERY_MS {
            self.name_withheld(at, out);
        }
    }

    fn begin_withholding(&mut self, allowed: &Allowed, at: Stamp) {
        let open = self.open.take();
        let from = open.as_ref().map_or(at.wall, |open| open.from.min(at.wall));
        self.withheld.present = Some(Present {
            may: may(&self.map, allowed),
            allowed: allowed.clone(),
            from,
            from_ms: at.millis(),
            began: from,
            samples: open.map_or(0, |open| u64::from(open.samples)),
        });
        // Nobody was told what was gathered last.
        for sent in &mut self.points {
            (sent.told, sent.period) = (Told::Nothing, None);
        }
    }

    /// Names what is withheld and goes on.
    pub fn name_withheld(&mut self, at: Stamp, out: &mut Vec<Record>) {
        let Some(present) = &mut self.withheld.present else {
            return;
        };
        let (from, samples) = (present.from.min(at.wall), present.samples);
        (present.from, present.from_ms, present.samples) = (at.wall, at.millis(), 0);
        if samples > 0 {
            out.push(Record::from(&self.withheld_gap(from, at.wall, samples)));
        }
    }

    fn end_withholding(&mut self, at: Stamp, out: &mut Vec<Record>) {
        self.name_withheld(at, out);
        if let Some(present) = self.withheld.present.take() {
            if self.withheld.past.len() >= PAST_MAX {
                self.withheld.past.pop_front();
            }
            let past = (present.began.min(at.wall), at.wall);
            self.withheld.past.push_back(past);
        }
    }

    /// Whether what a source remembers is of a time in which values were withheld; named if so.
    pub(super) fn keeps_history(
        &mut self,
        batch: &Batch,
        is_external: impl Fn(Time) -> bool,
        out: &mut Vec<Record>,
    ) -> bool {
        let times = self.withheld.times(batch);
        let is_kept = |time: &Time| self.withheld.covers(*time) || is_external(*time);
        if !times.iter().any(is_kept) {
            return false;
        }
        let [time, _] = times;
        let samples = u64::try_from(batch.samples.len()).unwrap_or(u64::MAX);
        out.push(Record::from(&self.withheld_gap(time, time, samples)));
        true
    }

    fn withheld_gap(&self, from: Time, to: Time, samples: u64) -> Gap {
        Gap {
            v: 1,
            machine: self.map.machine.clone(),
            stream: self.stream.to_string(),
            kind: GapKind::Withheld,
            from,
            to,
            seq_from: None,
            seq_to: None,
            samples: Some(samples),
            reason: REASON.to_owned(),
        }
    }
}
