//! What one session holds, from its opening to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use lineside_proto::Time;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::field::opcua::audit::Audited;
use crate::field::opcua::drive::Driven;
use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::freshness::{Patience, Pulse};
use crate::field::opcua::item::{Namespaces, Spot};
use crate::field::opcua::note::Note;
use crate::field::opcua::subscription::Subscription;
use crate::field::opcua::texts::Learned;
use crate::field::opcua::wanted::{Key, Worked};
use crate::field::opcua::work::Bench;

/// How many times longer than a gap waits for values enumerations wait to be learned anew: nodes that come and
/// go must not keep a server busy with that.
const TEXTS_SETTLED: u32 = 6;

/// One session at work.
pub(super) struct Visit {
    pub bench: Bench,
    pub driven: Driven,
    pub notes: (mpsc::Sender<Note>, mpsc::Receiver<Note>),
    pub tasks: JoinSet<Done>,
    pub subscriptions: BTreeMap<Key, Subscription>,
    pub pulse: Pulse,
    /// When the server's clock is read next; none: it is being read.
    pub beat_at: Option<Instant>,
    /// Since when there is no connection.
    pub cut: Option<Instant>,
    /// The last pause.
    pub pause: Option<Pause>,
    /// When work may be planned.
    pub plan_at: Option<Instant>,
    pub rebuilt: Option<Instant>,
    /// Until when gaps wait for the first values after them.
    pub gaps_until: Option<Instant>,
    /// When enumerations are learned.
    pub texts_at: Option<Instant>,
    /// When nodes are audited next; none: they are being.
    pub audit_at: Option<Instant>,
    /// The item that was audited last.
    pub audited: Option<Spot>,
    /// The newest time that the server's clock has shown, in its ticks.
    pub ticks: Option<i64>,
    /// The gateway's time of the newest word.
    pub heard: Time,
    /// Why the session is to be given up.
    pub fault: Option<OpcFault>,
}

/// A time without connection after which the session went on: what the server could not keep until
/// then is marked as overflowed when it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// Until when such marks may still come.
    pub until: Instant,
    /// The gateway's time of the last word before.
    pub heard: Time,
    /// The same by the server's clock.
    pub ticks: Option<i64>,
}

/// What was asked, and came back.
pub(super) enum Done {
    Beat(Option<(Time, i64)>),
    Namespaces(Option<Namespaces>),
    Worked(Worked),
    Again(Key, u32, Option<Box<Note>>),
    Texts(Learned),
    Audited(Audited),
    /// Nothing comes back.
    Nothing,
}

impl Visit {
    /// The gateway was busy for so long and could not listen: nobody else is to blame.
    pub(super) fn forgive(&mut self, stalled: Duration) {
        if !stalled.is_zero() {
            self.pulse.forgive(stalled);
            for one in self.subscriptions.values_mut() {
                one.voice.forgive(stalled);
            }
        }
    }

    /// The longest that a subscription of this session takes to publish.
    pub(super) fn publishes(&self) -> Duration {
        let ids = self.subscriptions.values().filter_map(|one| one.id);
        let revised = ids.filter_map(|id| self.bench.revised(id));
        revised
            .map(|(publish, _)| publish)
            .max()
            .unwrap_or_default()
    }

    /// The session goes on after a pause: everything has to show itself anew.
    pub(super) fn revive(&mut self, now: Instant, patience: Patience) {
        self.pulse = Pulse::new(patience, now);
        self.beat_at = Some(now);
        for one in self.subscriptions.values_mut() {
            one.voice.hear(now);
        }
    }

    /// Gaps are open: they are closed after a while, if nothing does that before.
    pub(super) fn wait_for_gaps(&mut self, patience: Patience) {
        let until = Instant::now() + patience.settled;
        self.gaps_until.get_or_insert(until);
    }

    /// Enumerations are learned after a while, if nothing does that before.
    pub(super) fn learn_texts(&mut self, patience: Patience) {
        let at = Instant::now() + patience.settled * TEXTS_SETTLED;
        self.texts_at.get_or_insert(at);
    }

    /// Deletes a subscription, if the server still has it.
    pub(super) fn forget(&mut self, id: u32) {
        let bench = self.bench.clone();
        self.tasks.spawn(async move {
            bench.forget(id).await;
            Done::Nothing
        });
    }
}
