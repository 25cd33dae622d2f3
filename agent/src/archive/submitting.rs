//! Heads of our logs, on their way to other people's witnesses: each witness has its own queue and its own patience.
//!
//! Bounds: one request at a time to a witness; a log is shown to it once a minute at most; `LOGS_MAX` logs wait.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use super::place::Place;
use super::shelf::Shelf;
use super::witness::{ForeignWitness, Submitted, Target};
use crate::clock::{Clock, SystemClock};
use crate::logs::chain;

/// How often a log is shown to one witness at most.
const PAUSE: Duration = Duration::from_secs(60);
/// Logs that wait for a witness at most.
const LOGS_MAX: usize = 100_000;
/// Growth that is not taken in yet; what does not fit is shown with the next growth.
const GROWN_MAX: usize = 1_024;

/// A witness at work.
#[derive(Clone, Debug)]
pub(super) struct Submitter {
    grown: mpsc::Sender<Place>,
}

impl Submitter {
    /// Begins to show a witness what grows. What it cosigned goes out with its key's hash.
    pub(super) fn start(
        shelf: Shelf,
        target: Target,
        cosigned: mpsc::Sender<(Place, Submitted)>,
    ) -> Self {
        let (grown, waiting) = mpsc::channel(GROWN_MAX);
        tokio::spawn(work(shelf, ForeignWitness::new(target), waiting, cosigned));
        Self { grown }
    }

    /// A log has grown.
    pub(super) fn grown(&self, place: &Place) {
        if self.grown.try_send(place.clone()).is_err() {
            tracing::debug!(log = %place, "a witness is behind; the log is shown to it with its next head");
        }
    }
}

async fn work(
    shelf: Shelf,
    mut witness: ForeignWitness,
    mut grown: mpsc::Receiver<Place>,
    cosigned: mpsc::Sender<(Place, Submitted)>,
) {
    let clock = SystemClock;
    // What is to be shown, and when at the earliest.
    let mut due: BTreeMap<Place, Instant> = BTreeMap::new();
    let mut shown: BTreeMap<Place, Instant> = BTreeMap::new();
    let mut is_silent = false;
    loop {
        let next = due.iter().min_by_key(|(_, at)| **at);
        let next = next.map(|(place, at)| (place.clone(), *at));
        tokio::select! {
            place = grown.recv() => {
                let Some(place) = place else { return };
                let earliest = shown.get(&place).map_or_else(Instant::now, |last| *last + PAUSE);
                if due.len() < LOGS_MAX {
                    due.entry(place).or_insert(earliest);
                }
            }
            () = until(next.as_ref().map(|(_, at)| *at)) => {
                let Some((place, _)) = next else { continue };
                due.remove(&place);
                shown.insert(place.clone(), Instant::now());
                match witness.submit(&shelf, &place, clock.now().wall).await {
                    Ok(submitted) => {
                        is_silent = false;
                        if cosigned.send((place, submitted)).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        if !is_silent {
                            let name = witness.target().key().name();
                            tracing::warn!(log = %place, witness = name, "a witness does not cosign: {}", chain(&error));
                        }
                        is_silent = true;
                        let head = shelf.head(&place).ok().flatten();
                        let origin = head.map_or_else(String::new, |(_, head)| head.origin);
                        let wait = witness.wait(&origin).max(PAUSE);
                        due.insert(place, Instant::now() + wait);
                    }
                }
            }
        }
    }
}

/// Waits until then; for ever where there is no such moment.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
