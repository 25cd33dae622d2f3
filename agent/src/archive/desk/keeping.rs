//! What signed heads cover goes into tiles, of all logs that changed, with two waits for the disk: for what was written,
//! and for its names.

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::mirror::{Mirror, MirrorError, Step, Stepped};
use crate::clock::Stamp;

/// Logs whose leaves are looked through for texts in one pass.
const LOOKED_LOGS: usize = 2;

impl Desk {
    /// Puts into tiles whatever signed heads cover, of all logs that changed.
    pub(super) fn commit(&mut self, now: Stamp, out: &mut Vec<Output>) {
        loop {
            let mut steps: Vec<(_, Step)> = Vec::new();
            let (mut alarms, mut again) = (Vec::new(), false);
            for (name, known) in &mut self.gateways {
                let waiting = known.alarms().into_iter();
                alarms.extend(waiting.map(|(epoch, alarm)| (name.clone(), epoch, alarm)));
            }
            for (name, known) in self.gateways.iter_mut().filter(|(_, known)| known.touched) {
                let Some(mirror) = known.mirror_mut() else {
                    known.touched = false;
                    continue;
                };
                let epoch = mirror.place.epoch;
                match mirror.step(now.boot_ms) {
                    // What the witness cosigned must fit as well, and is put beside what was shown.
                    Ok(Stepped::Ready(step)) if step.reaches_head() && known.recall() => {
                        drop(step);
                        let waiting = known.alarms().into_iter();
                        alarms.extend(waiting.map(|(epoch, alarm)| (name.clone(), epoch, alarm)));
                        again = true;
                    }
                    Ok(Stepped::Ready(mut step)) => {
                        match known.write(&mut step, &mut self.writes) {
                            Ok(()) => steps.push((name.clone(), step)),
                            Err(error) => known.failed(&error, now.boot_ms),
                        }
                    }
                    Ok(Stepped::Nothing) => known.touched = false,
                    Ok(Stepped::Refused(alarm)) => {
                        known.touched = false;
                        alarms.push((name.clone(), epoch, alarm));
                    }
                    Err(error) => known.failed(&error, now.boot_ms),
                }
            }
            for (name, epoch, alarm) in alarms {
                self.refuse_of((&name, epoch), alarm, now, out);
            }
            if steps.is_empty() && !again {
                break;
            }
            self.settle_steps(steps, now, out);
        }
        // What was begun of logs that could not be written is of no use, and must not fail others later.
        if let Err(error) = self.writes.settle() {
            tracing::warn!(%error, "files of logs that could not be written");
        }
        let of_each = |known: &Gateway| {
            let ahead = known.mirror().map_or(0, Mirror::ahead_bytes);
            ahead + known.later.following_bytes()
        };
        self.ahead_bytes = self.gateways.values().map(of_each).sum();
    }

    /// Looks through leaves for texts that are missing, of some logs at once.
    pub(super) fn look_through(&mut self, now_ms: u64) {
        let mut left = LOOKED_LOGS;
        for known in self.gateways.values_mut() {
            let mut copies = known.copies().filter(|copy| copy.is_to_look());
            let Some(copy) = copies.next().filter(|_| left > 0) else {
                continue;
            };
            left -= 1;
            let (epoch, looked) = (copy.place.epoch, copy.look());
            drop(copies);
            match looked {
                Ok(()) => {}
                Err(error) if known.is_left(epoch) => known.lose_left(&error, now_ms),
                Err(error) => known.failed(&error, now_ms),
            }
        }
    }

    /// Makes durable what was written of some logs, then the names of their checkpoints, then says so in their records.
    fn settle_steps(&mut self, mut steps: Vec<(Name, Step)>, now: Stamp, out: &mut Vec<Output>) {
        if !self.settle_writes(&steps, now) {
            return;
        }
        steps.retain(|(name, step)| {
            let known = self.gateways.get_mut(name);
            let Some(mirror) = known.as_ref().and_then(|known| known.mirror()) else {
                return false;
            };
            let published = mirror.publish(step, &mut self.writes);
            if let (Err(error), Some(known)) = (&published, known) {
                known.failed(error, now.boot_ms);
            }
            published.is_ok()
        });
        if self.settle_writes(&steps, now) {
            for (name, step) in steps {
                self.keep(&name, step, now, out);
            }
        }
    }

    /// Whether all that was written is durable. Where it is not, whatever was written may not be there: each log is opened
    /// anew from what is.
    fn settle_writes(&mut self, steps: &[(Name, Step)], now: Stamp) -> bool {
        let settled = self.writes.settle().map_err(MirrorError::from);
        if let Err(error) = &settled {
            for (name, _) in steps {
                if let Some(known) = self.gateways.get_mut(name) {
                    known.failed(error, now.boot_ms);
                }
            }
        }
        settled.is_ok()
    }

    fn keep(&mut self, name: &Name, step: Step, now: Stamp, out: &mut Vec<Output>) {
        let Some(known) = self.gateways.get_mut(name) else {
            return;
        };
        let reaches_head = step.reaches_head();
        let Some(mirror) = known.mirror_mut() else {
            return;
        };
        let place = mirror.place.clone();
        let (size, begins) = (step.size(), step.genesis.is_some());
        if let Err(error) = mirror.keep(step, now.wall) {
            known.failed(&error, now.boot_ms);
            return;
        }
        let mirror_root = mirror.record.root.clone();
        if begins {
            known.begins(place.epoch, now.boot_ms);
        }
        known.later.kept();
        if reaches_head {
            self.strangers.taken(name);
            known.older = None;
            out.push(Output::Grown {
                place: place.clone(),
                size,
                root: mirror_root,
            });
        }
    }
}
