//! What was lost: noted when it happens, filled from the server's history when there is a session
//! again, named where it can't be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lineside_proto::Time;
use tokio::task::Id;
use tokio::time::Instant;
use tracing::info;

use super::Link;
use super::visit::Visit;
use crate::config::model::MachineMap;
use crate::field::board::Event;
use crate::field::opcua::filling::{Filling, Started};
use crate::field::opcua::gap::{Gap, names};
use crate::field::opcua::history::{Outlet, TRIES_MAX, fill};
use crate::field::opcua::item::{Spot, point};
use crate::field::opcua::wanted::Key;
use crate::sample::{Missed, Observation, Slot};

/// How far before the last word a gap is taken to begin, in ticks: what was sampled and not yet sent.
const MARGIN_TICKS: i64 = 2 * 10_000_000;

/// How long a gap stays open for points that are not heard again: then it is told, and the next begins.
const REOPENED_MAX: Duration = Duration::from_secs(60);

impl Link {
    /// Values of these items may be lost since the last word that is known to be whole: those of one
    /// subscription, or all.
    pub(super) fn open_gaps(&mut self, visit: &Visit, key: Option<Key>) {
        for (item, last, own) in self.wanted.known(key) {
            let one = own.and_then(|own| visit.subscriptions.get(&own));
            let word = one.and_then(|one| one.word);
            let (from, start) = word.unwrap_or((visit.heard, visit.ticks));
            if self.gaps.open(item.spot, last, from, start) {
                item.spec.counters.count(Event::Gap);
            }
        }
    }

    /// Fills or names all gaps. What is still to come of a point is the next gap.
    pub(super) async fn close_gaps(&mut self, visit: &mut Visit) {
        for (slot, gap) in self.gaps.take() {
            let Some(map) = self.map(slot) else {
                continue;
            };
            let missed = self.missed(slot, &map, &gap, gap.points.keys().copied());
            let without: BTreeSet<u16> = gap
                .points
                .keys()
                .copied()
                .filter(|point| {
                    let point = *point;
                    self.without_history.contains(&Spot { slot, point })
                })
                .collect();
            let can_be_filled = self.server.history && without.len() < gap.points.len();
            let span = gap.start.zip(visit.ticks).filter(|_| can_be_filled);
            // A clock that was set back meanwhile: its times say nothing of the gap.
            let span = span.filter(|(start, end)| start <= end);
            self.reopen(visit, slot, &gap, missed.to, span.map(|(_, end)| end));
            let Some((start, end)) = span else {
                let stalled = self.send(Observation::Missed(missed)).await;
                visit.forgive(stalled);
                continue;
            };
            let span = (
                start,
                (
                    start.saturating_sub(MARGIN_TICKS),
                    end.saturating_add(MARGIN_TICKS),
                ),
            );
            let filling = Filling::new(slot, map, span, gap.points, without);
            self.fill(visit, filling, missed);
        }
        for (filling, missed) in std::mem::take(&mut self.unfilled) {
            self.fill(visit, filling, missed);
        }
    }

    /// Goes on to fill a gap, beside everything else, and even if the session is lost meanwhile: it then
    /// ends by itself and tells how far it came.
    fn fill(&mut self, visit: &Visit, filling: Filling, missed: Missed) {
        let outlet = Outlet {
            clock: Arc::clone(&self.parts.clock),
            observations: self.parts.observations.clone(),
        };
        let task = self
            .fillings
            .spawn(fill(visit.bench.clone(), filling, outlet));
        self.filling.insert(task.id(), missed);
    }

    /// Of these points nothing was heard yet: what they lose from now on is another gap.
    fn reopen(&mut self, visit: &mut Visit, slot: Slot, gap: &Gap, to: Time, end: Option<i64>) {
        for (point, edges) in &gap.points {
            let point = *point;
            let spot = Spot { slot, point };
            if !edges.is_heard && self.wanted.is_pending(spot) {
                let filled = end.map(|end| end.saturating_add(MARGIN_TICKS));
                self.gaps
                    .open(spot, filled.max(edges.before), to, visit.ticks);
                visit.gaps_until = Some(Instant::now() + REOPENED_MAX);
            }
        }
    }

    /// A gap is filled as far as it can be: what is missing is named. What was broken off is tried again.
    pub(super) async fn filled(&mut self, visit: &mut Visit, id: Id, mut filling: Filling) {
        let Some(missed) = self.filling.remove(&id) else {
            return;
        };
        let slot = missed.slot;
        let spots = filling.without.iter().map(|point| Spot {
            slot,
            point: *point,
        });
        self.without_history.extend(spots);
        if !filling.is_done {
            if filling.tries < TRIES_MAX {
                self.unfilled.push((filling, missed));
                visit.wait_for_gaps(self.patience);
                return;
            }
            filling.give_up();
        }
        let (lost, unwatched) = (filling.lost(), filling.unwatched());
        self.tell_filled(filling.found, lost.len(), unwatched.len());
        let Some(map) = self.map(slot) else {
            return;
        };
        if !lost.is_empty() {
            let reason = reason(&map, lost.into_iter());
            let missed = Missed {
                reason,
                ..missed.clone()
            };
            self.send(Observation::Missed(missed)).await;
        }
        if !unwatched.is_empty() {
            let missed = before_start(missed, filling.started, &map, unwatched.into_iter());
            self.send(Observation::Missed(missed)).await;
        }
    }

    fn tell_filled(&self, values: usize, missing: usize, unwatched: usize) {
        let link = &self.name;
        match (values, missing + unwatched) {
            (0, 0) => {
                info!(link, "nothing was lost in a gap, by the server's history");
            }
            (0, _) => {
                info!(
                    link,
                    missing, unwatched, "the server's history has nothing of a gap"
                );
            }
            (_, _) => {
                info!(
                    link,
                    values, missing, unwatched, "a gap was filled from the server's history"
                );
            }
        }
    }

    /// Filling a gap made the library panic: all of it is named.
    pub(super) async fn unfillable(&mut self, id: Id) {
        if let Some(missed) = self.filling.remove(&id) {
            self.send(Observation::Missed(missed)).await;
        }
    }

    /// Names what is open when the link ends, if there is room; nobody waits for it.
    pub(super) fn name_gaps(&mut self) {
        let mut all: Vec<Missed> = std::mem::take(&mut self.filling).into_values().collect();
        all.extend(self.unfilled.drain(..).map(|(_, missed)| missed));
        for (slot, gap) in self.gaps.take() {
            let map = self.map(slot);
            all.extend(map.map(|map| self.missed(slot, &map, &gap, gap.points.keys().copied())));
        }
        for missed in all {
            drop(
                self.parts
                    .observations
                    .try_send(Observation::Missed(missed)),
            );
        }
    }

    fn missed(
        &self,
        slot: Slot,
        map: &MachineMap,
        gap: &Gap,
        points: impl ExactSizeIterator<Item = u16>,
    ) -> Missed {
        Missed {
            slot,
            from: gap.from,
            to: gap
                .to
                .filter(|_| gap.points.values().all(|edges| edges.is_heard))
                .unwrap_or_else(|| self.parts.clock.now().wall),
            samples: None,
            reason: reason(map, points),
        }
    }

    fn map(&self, slot: Slot) -> Option<Arc<MachineMap>> {
        let mut items = self.wanted.items();
        let item = items.find(|item| item.spot.slot == slot)?;
        Some(Arc::clone(&item.spec.map))
    }
}

/// What was before a server's start, and is neither in its history.
fn before_start(
    missed: Missed,
    started: Option<Started>,
    map: &MachineMap,
    points: impl ExactSizeIterator<Item = u16>,
) -> Missed {
    let since = started.map(|started| started.wall);
    let to = since.map_or(missed.to, |since| since.clamp(missed.from, missed.to));
    let named = points.map(|place| point(map, place).map_or("", |point| point.name.as_str()));
    let named = names(named).en;
    let reason = match since {
        Some(since) => format!(
            "the OPC UA server runs since {since}, and its history does not reach from the loss to its start: {named}"
        ),
        None => format!(
            "the OPC UA server does not say since when it runs, and its history does not cover the loss: {named}"
        ),
    };
    Missed {
        to,
        reason,
        ..missed
    }
}

fn reason(map: &MachineMap, points: impl ExactSizeIterator<Item = u16>) -> String {
    let named = points.map(|place| point(map, place).map_or("", |point| point.name.as_str()));
    format!(
        "lost between the OPC UA server and the gateway, and not in the server's history: {}",
        names(named).en
    )
}
