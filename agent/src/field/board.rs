//! What a link shows of itself while it works: its phase, its last fault, its counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use super::fault::LinkFault;
use crate::live::{LinkFigures, LinkPhase, Subscribed};
use crate::sample::Slot;
use crate::text::Text;

/// The texts of an enumeration, by its integer.
pub type Texts = BTreeMap<i64, String>;

/// The phase and the last fault of one link, and what its source told of its points.
#[derive(Debug, Default)]
pub(super) struct Board {
    shown: Mutex<Shown>,
    /// Told when texts change.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Shown {
    phase: LinkPhase,
    fault: Option<Text>,
    lasting: Option<Text>,
    texts: BTreeMap<(Slot, u16), Texts>,
}

/// What was exchanged over one connection of one machine.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    timeouts: AtomicU64,
    exceptions: AtomicU64,
    rejected: AtomicU64,
    skipped: AtomicU64,
    notifications: AtomicU64,
    overflows: AtomicU64,
    republished: AtomicU64,
    gaps: AtomicU64,
    items_wanted: AtomicU64,
    items_made: AtomicU64,
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
    /// A value came by a subscription.
    Notification,
    /// A server's queue was full, so that values before this one are lost.
    Overflow,
    /// A message that was missing was had when asked for again.
    Republished,
    /// Values may be lost.
    Gap,
}

impl Board {
    /// A board that tells when its texts change.
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self {
            shown: Mutex::default(),
            changed,
        }
    }

    /// Shows these texts of enumerations, by machine and point, in place of those before: all that
    /// the link's server has told of the points that it reads now.
    pub(super) fn set_texts(&self, texts: BTreeMap<(Slot, u16), Texts>) {
        let mut shown = self.shown();
        if shown.texts != texts {
            shown.texts = texts;
            self.changed.notify_one();
        }
    }

    /// The texts of a machine's points, in their order.
    pub(super) fn texts(&self, slot: Slot) -> Vec<(u16, Texts)> {
        let shown = self.shown();
        let texts = shown.texts.range((slot, 0)..=(slot, u16::MAX));
        texts
            .map(|((_, point), texts)| (*point, texts.clone()))
            .collect()
    }

    /// Shows the phase.
    pub(super) fn set_phase(&self, phase: LinkPhase) {
        self.shown().phase = phase;
    }

    /// Shows the fault until the next one, or until it is cleared.
    pub(super) fn set_fault(&self, fault: &LinkFault) {
        self.shown().fault = Some(fault.text());
    }

    /// The fault is over.
    pub(super) fn clear_fault(&self) {
        self.shown().fault = None;
    }

    /// Shows what is wrong though the link is well, until it is shown anew; none: nothing is.
    pub(super) fn set_lasting(&self, lasting: Option<Text>) {
        self.shown().lasting = lasting;
    }

    /// The figures of a connection over this link.
    pub(super) fn figures(
        &self,
        connection: &str,
        endpoint: &str,
        counters: &Counters,
    ) -> LinkFigures {
        let shown = self.shown();
        let fault = shown.fault.as_ref().or(shown.lasting.as_ref()).cloned();
        let (fault, fault_zh) = fault.map(|Text { en, zh }| (en, zh)).unzip();
        LinkFigures {
            connection: connection.to_owned(),
            endpoint: endpoint.to_owned(),
            phase: shown.phase,
            fault,
            fault_zh,
            requests: counters.requests.load(Ordering::Relaxed),
            timeouts: counters.timeouts.load(Ordering::Relaxed),
            exceptions: counters.exceptions.load(Ordering::Relaxed),
            rejected: counters.rejected.load(Ordering::Relaxed),
            skipped: counters.skipped.load(Ordering::Relaxed),
            subscribed: counters.subscribed(),
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
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
            Event::Notification => &self.notifications,
            Event::Overflow => &self.overflows,
            Event::Republished => &self.republished,
            Event::Gap => &self.gaps,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts skipped ticks.
    pub(super) fn skip(&self, ticks: u64) {
        self.skipped.fetch_add(ticks, Ordering::Relaxed);
    }

    /// Shows how many items are wanted of a server, and how many it has.
    pub(super) fn set_items(&self, wanted: u64, made: u64) {
        self.items_wanted.store(wanted, Ordering::Relaxed);
        self.items_made.store(made, Ordering::Relaxed);
    }

    /// What was subscribed; none where nothing is wanted by subscription.
    fn subscribed(&self) -> Option<Subscribed> {
        let figures = Subscribed {
            items_wanted: self.items_wanted.load(Ordering::Relaxed),
            items_made: self.items_made.load(Ordering::Relaxed),
            notifications: self.notifications.load(Ordering::Relaxed),
            overflows: self.overflows.load(Ordering::Relaxed),
            republished: self.republished.load(Ordering::Relaxed),
            gaps: self.gaps.load(Ordering::Relaxed),
        };
        (figures.items_wanted > 0).then_some(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn texts_are_kept_by_machine_and_only_a_change_is_told() {
        let changed = Arc::<Notify>::default();
        let board = Board::new(Arc::clone(&changed));
        let texts = |word: &str| Texts::from([(1, word.to_owned())]);
        let told = || async {
            let wait = tokio::time::timeout(Duration::from_millis(1), changed.notified());
            wait.await.is_ok()
        };
        let all = BTreeMap::from([
            ((Slot(1), 7), texts("idle")),
            ((Slot(1), 2), texts("open")),
            ((Slot(2), 0), texts("off")),
        ]);
        board.set_texts(all.clone());
        assert!(told().await);
        assert_eq!(
            board.texts(Slot(1)),
            [(2, texts("open")), (7, texts("idle"))]
        );
        assert_eq!(board.texts(Slot(3)), []);
        board.set_texts(all);
        assert!(!told().await);
        board.set_texts(BTreeMap::from([((Slot(2), 0), texts("off"))]));
        assert!(told().await);
        assert_eq!(board.texts(Slot(1)), []);
        assert_eq!(board.texts(Slot(2)), [(0, texts("off"))]);
    }
}
