//! What a link shows of itself while it works: its phase, its last fault, its counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::LinkFault;
use crate::live::{LinkFigures, LinkPhase};

/// The phase and the last fault of one link.
#[derive(Debug, Default)]
pub(in crate::field) struct Board(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    phase: LinkPhase,
    fault: Option<String>,
}

/// What was exchanged over one connection of one machine.
#[derive(Debug, Default)]
pub(in crate::field) struct Counters {
    requests: AtomicU64,
    timeouts: AtomicU64,
    exceptions: AtomicU64,
    rejected: AtomicU64,
    skipped: AtomicU64,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A request was sent.
    Request,
    /// No answer came in time.
    Timeout,
    /// The answer was an exception.
    Exception,
    /// Bytes or a frame were refused.
    Rejected,
}

impl Board {
    /// Shows the phase.
    pub(super) fn set_phase(&self, phase: LinkPhase) {
        self.shown().phase = phase;
    }

    /// Shows the fault until the next one.
    pub(super) fn set_fault(&self, fault: &LinkFault) {
        self.shown().fault = Some(fault.text().en);
    }

    /// The figures of a connection over this link.
    pub(in crate::field) fn figures(
        &self,
        connection: &str,
        endpoint: &str,
        counters: &Counters,
    ) -> LinkFigures {
        let shown = self.shown();
        LinkFigures {
            connection: connection.to_owned(),
            endpoint: endpoint.to_owned(),
            phase: shown.phase,
            fault: shown.fault.clone(),
            requests: counters.requests.load(Ordering::Relaxed),
            timeouts: counters.timeouts.load(Ordering::Relaxed),
            exceptions: counters.exceptions.load(Ordering::Relaxed),
            rejected: counters.rejected.load(Ordering::Relaxed),
            skipped: counters.skipped.load(Ordering::Relaxed),
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// Counts an event.
    pub(super) fn count(&self, event: Event) {
        let counter = match event {
            Event::Request => &self.requests,
            Event::Timeout => &self.timeouts,
            Event::Exception => &self.exceptions,
            Event::Rejected => &self.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts skipped ticks.
    pub(super) fn skip(&self, ticks: u64) {
        self.skipped.fetch_add(ticks, Ordering::Relaxed);
    }
}
