//! When each job of a link is polled: at a fixed phase, the earliest deadline first.
//!
//! Pure: time comes in as the time since the link's start. A tick that finds its job still at work
//! waits for it; ticks that pass meanwhile are skipped and counted, so that polls never bunch.
//! A link has few jobs, so that a walk over all of them costs less than a heap would.

use std::time::Duration;

/// A time on the link's own axis: since its start.
pub(super) type Moment = Duration;

/// Jobs and their ticks.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    job: T,
    interval: Duration,
    /// The next tick lies at a whole number of intervals from here.
    phase: Moment,
    next: Moment,
    /// While the job is at work: when it should be done.
    deadline: Option<Moment>,
}

/// What [`Schedule::release`] set to work.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Released<'a, T> {
    /// The job.
    pub job: &'a mut T,
    /// Its ticks that passed while it could not be polled.
    pub skipped: u64,
}

impl<T> Schedule<T> {
    /// A schedule without jobs.
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Adds a job: due at once, so that its first reading comes soon, and from then on at its
    /// phase. An interval of zero counts as a millisecond.
    pub(super) fn insert(&mut self, job: T, interval: Duration, phase: Moment, now: Moment) {
        self.entries.push(Entry {
            job,
            interval: interval.max(Duration::from_millis(1)),
            phase,
            next: now,
            deadline: None,
        });
    }

    /// Drops the jobs that are not to be kept; the others keep their ticks and their work.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.entries.retain(|entry| keep(&entry.job));
    }

    /// Makes the jobs that are asked for due at once, unless they are at work.
    pub(super) fn hasten(&mut self, now: Moment, mut which: impl FnMut(&T) -> bool) {
        for entry in &mut self.entries {
            if entry.deadline.is_none() && which(&entry.job) {
                entry.next = entry.next.min(now);
            }
        }
    }

    /// Sets the job to work whose tick is the most overdue; none where no tick is due.
    pub(super) fn release(&mut self, now: Moment) -> Option<Released<'_, T>> {
        let entry = self
            .entries
            .iter_mut()
            .filter(|entry| entry.deadline.is_none() && entry.next <= now)
            .min_by_key(|entry| entry.next)?;
        let skipped = whole(now.saturating_sub(entry.next), entry.interval);
        let tick = entry.next + times(entry.interval, skipped);
        entry.deadline = Some(tick + entry.interval);
        entry.next = after(tick, entry.interval, entry.phase);
        Some(Released {
            job: &mut entry.job,
            skipped,
        })
    }

    /// The job at work whose deadline is the earliest.
    pub(super) fn foremost(&mut self) -> Option<&mut T> {
        let at_work = self.entries.iter_mut().filter(|e| e.deadline.is_some());
        at_work
            .min_by_key(|entry| entry.deadline)
            .map(|entry| &mut entry.job)
    }

    /// Ends the work of the job whose deadline is the earliest.
    pub(super) fn finish_foremost(&mut self) {
        let at_work = self.entries.iter_mut().filter(|e| e.deadline.is_some());
        if let Some(entry) = at_work.min_by_key(|entry| entry.deadline) {
            entry.deadline = None;
        }
    }

    /// When the next tick of an idle job comes.
    pub(super) fn next_tick(&self) -> Option<Moment> {
        let idle = self.entries.iter().filter(|entry| entry.deadline.is_none());
        idle.map(|entry| entry.next).min()
    }

    /// All jobs.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.job)
    }

    /// The jobs at work.
    pub(super) fn at_work(&mut self) -> impl Iterator<Item = &mut T> {
        let at_work = self.entries.iter_mut().filter(|e| e.deadline.is_some());
        at_work.map(|entry| &mut entry.job)
    }
}

/// The first tick of the phase that lies at least half an interval behind this one: a job that was
/// read out of phase comes back to it, and is not read twice in a row for it.
fn after(tick: Moment, interval: Duration, phase: Moment) -> Moment {
    let earliest = tick + interval / 2;
    let offset = Duration::from_nanos(remainder(phase, interval));
    let ticks = whole(earliest.saturating_sub(offset), interval);
    let candidate = offset + times(interval, ticks);
    if candidate < earliest {
        candidate + interval
    } else {
        candidate
    }
}

fn nanos(duration: Duration) -> u64 {
    // 584 years: longer than any link lives.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn whole(duration: Duration, interval: Duration) -> u64 {
    nanos(duration).checked_div(nanos(interval)).unwrap_or(0)
}

fn remainder(duration: Duration, interval: Duration) -> u64 {
    nanos(duration).checked_rem(nanos(interval)).unwrap_or(0)
}

fn times(interval: Duration, count: u64) -> Duration {
    Duration::from_nanos(nanos(interval).saturating_mul(count))
}

#[cfg(test)]
mod tests {
    use super::{Moment, Schedule};
    use proptest::prelude::*;
    use std::time::Duration;

    fn ms(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    /// Releases and ends at once everything that is due, and tells what it was.
    fn due(schedule: &mut Schedule<&'static str>, now: u64) -> Vec<(&'static str, u64)> {
        let mut out = Vec::new();
        while let Some(released) = schedule.release(ms(now)) {
            out.push((*released.job, released.skipped));
            schedule.finish_foremost();
        }
        out
    }

    #[test]
    fn a_job_is_read_at_once_and_then_at_its_phase() {
        let mut schedule = Schedule::new();
        schedule.insert("a", ms(1000), ms(700), ms(50));
        let mut check = |now, expected: &[(&'static str, u64)], next: u64| {
            assert_eq!(due(&mut schedule, now), expected, "at {now}");
            assert_eq!(schedule.next_tick(), Some(ms(next)), "at {now}");
        };
        check(50, &[("a", 0)], 700);
        check(699, &[], 700);
        check(705, &[("a", 0)], 1700);
        check(1700, &[("a", 0)], 2700);
        // Ticks at 2700, 3700 and 4700 have passed: the last of them is done, the others skipped.
        check(4900, &[("a", 2)], 5700);
    }

    #[test]
    fn the_earliest_deadline_is_first_and_a_slow_job_does_not_starve() {
        let mut schedule = Schedule::new();
        schedule.insert("slow", ms(3000), ms(0), ms(0));
        schedule.insert("fast", ms(1000), ms(0), ms(0));
        let mut foremost = |now, end: bool| {
            while schedule.release(ms(now)).is_some() {}
            let job = schedule.foremost().copied();
            if end {
                schedule.finish_foremost();
            }
            job
        };
        assert_eq!(foremost(0, true), Some("fast"));
        assert_eq!(foremost(400, false), Some("slow"));
        assert_eq!(foremost(1000, true), Some("fast"));
        assert_eq!(foremost(1100, false), Some("slow"));
        assert_eq!(foremost(2500, false), Some("slow"));
        assert_eq!(foremost(2500, true), Some("slow"));
        assert_eq!(foremost(2500, true), Some("fast"));
        assert_eq!(foremost(2500, true), None);
    }

    #[test]
    fn a_hastened_job_is_due_at_once_and_comes_back_to_its_phase() {
        let mut schedule = Schedule::new();
        schedule.insert("a", ms(1000), ms(0), ms(0));
        schedule.insert("b", ms(1000), ms(0), ms(0));
        assert_eq!(due(&mut schedule, 0), [("a", 0), ("b", 0)]);
        schedule.hasten(ms(300), |job| *job == "b");
        assert_eq!(due(&mut schedule, 300), [("b", 0)]);
        assert_eq!(due(&mut schedule, 1000), [("a", 0), ("b", 0)]);
        schedule.retain(|job| *job == "a");
        assert_eq!(due(&mut schedule, 2000), [("a", 0)]);
    }

    #[derive(Clone, Debug)]
    struct Load {
        jobs: Vec<(u64, u64, u64)>,
        steps: Vec<u64>,
    }

    fn load() -> impl Strategy<Value = Load> {
        // Interval, phase, requests a poll; and how long each request takes.
        let job = (1_u64..60, 0_u64..200, 1_u64..5);
        (
            proptest::collection::vec(job, 1..6),
            proptest::collection::vec(0_u64..30, 50..200),
        )
            .prop_map(|(jobs, steps)| Load { jobs, steps })
    }

    #[derive(Debug)]
    struct Job {
        number: usize,
        left: u64,
    }

    proptest! {
        /// Whatever the requests take: polls of one job lie in phase, one to each tick at most, and
        /// polls and skipped ticks together are all ticks that passed.
        #[test]
        fn polls_and_skipped_ticks_are_the_ticks_that_passed(load in load()) {
            let mut schedule = Schedule::new();
            for (number, (interval, phase, _)) in load.jobs.iter().enumerate() {
                schedule.insert(Job { number, left: 0 }, ms(*interval), ms(*phase), ms(0));
            }
            let mut now = 0;
            let mut seen = vec![0_u64; load.jobs.len()];
            let mut starts = vec![Vec::new(); load.jobs.len()];
            for step in load.steps {
                while let Some(released) = schedule.release(ms(now)) {
                    let number = released.job.number;
                    released.job.left = load.jobs[number].2;
                    seen[number] += 1 + released.skipped;
                    starts[number].push(now);
                }
                match schedule.foremost() {
                    Some(job) => {
                        job.left -= 1;
                        now += step;
                        if job.left == 0 {
                            schedule.finish_foremost();
                        }
                    }
                    None => {
                        let next = schedule.next_tick().unwrap();
                        prop_assert!(next > ms(now), "an idle schedule waits for the future");
                        now = u64::try_from(next.as_millis()).unwrap();
                    }
                }
            }
            for (number, (interval, ..)) in load.jobs.iter().enumerate() {
                // The first poll is out of phase; each tick after it belongs to one poll or is skipped.
                let last = *starts[number].last().unwrap();
                prop_assert!(seen[number] <= last / interval + 2);
                prop_assert!(seen[number] >= last / interval);
                let polls = u64::try_from(starts[number].len()).unwrap();
                prop_assert!(polls <= last / interval + 2, "never bunched");
            }
        }
    }
}
