//! What happens, for those who listen: the newest events are kept, and each who listens reads on from where it is.
//!
//! Nobody is waited for: whoever is further behind than what is kept has missed something, and is told so. Bounds:
//! `EVENTS_MAX` events of `BYTES_MAX` bytes in all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lineside_proto::Identifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use ulid::Ulid;

/// Events that are kept: some minutes of a city of a thousand gateways.
pub(super) const EVENTS_MAX: usize = 4_096;
/// Bytes of theirs at most.
const BYTES_MAX: usize = 4 << 20;

/// Events that are given at once: so many are in memory for each who listens.
const BATCH_MAX: usize = 64;

/// What kind of thing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What may be believed of a machine has changed.
    Availability,
    /// A log has grown.
    Head,
    /// Something was refused.
    Alarm,
}

impl Kind {
    /// As the wire says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Head => "head",
            Self::Alarm => "alarm",
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its place among all, from 1.
    pub number: u64,
    /// What kind of thing.
    pub kind: Kind,
    /// Of which platform.
    pub site: Identifier,
    /// Of which of its gateways.
    pub gateway: Identifier,
    /// The document, as JSON on one line.
    pub data: String,
}

/// The newest events.
#[derive(Debug)]
pub struct Events {
    /// Of this process: what another one counted is not counted on.
    run: Ulid,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Of the newest event.
    number: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            run: Ulid::new(),
            ring: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl Events {
    /// Says that something happened.
    pub fn say(
        &self,
        kind: Kind,
        (site, gateway): (&Identifier, &Identifier),
        document: &impl Serialize,
    ) {
        let Ok(data) = serde_json::to_string(document) else {
            tracing::error!("an event of the kind {} can't be written", kind.word());
            return;
        };
        let mut ring = self.ring();
        ring.number += 1;
        ring.bytes += data.len();
        let event = Event {
            number: ring.number,
            kind,
            site: site.clone(),
            gateway: gateway.clone(),
            data,
        };
        ring.events.push_back(Arc::new(event));
        while ring.events.len() > EVENTS_MAX || ring.bytes > BYTES_MAX {
            let Some(gone) = ring.events.pop_front() else {
                break;
            };
            ring.bytes = ring.bytes.saturating_sub(gone.data.len());
        }
        self.newest.send_replace(ring.number);
    }

    /// Listens from now on; or from after the event of this id, where all that followed it is still kept.
    pub fn listen(&self, after: Option<&str>) -> Listener {
        let ring = self.ring();
        let known = after.and_then(|id| self.number(id));
        let is_kept = |number: &u64| *number <= ring.number && ring.has_after(*number);
        let known = known.filter(is_kept);
        Listener {
            at: known.unwrap_or(ring.number),
            goes_on: known.is_some(),
            newest: self.newest.subscribe(),
        }
    }

    /// The id of an event, or of the moment after it.
    pub fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once('-')?;
        let number = number.parse().ok()?;
        (run == self.run.to_string() && id == self.id(number)).then_some(number)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // What a panic leaves is at worst a count of bytes that is too high.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// Whether all events after this one are here.
    fn has_after(&self, number: u64) -> bool {
        let oldest = self.events.front().map(|event| event.number);
        oldest.map_or(number == self.number, |oldest| number + 1 >= oldest)
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Listener {
    /// The event that was heard last.
    at: u64,
    goes_on: bool,
    newest: watch::Receiver<u64>,
}

impl Listener {
    /// The event after which it listens.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether it goes on where it ended before, without a hole.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Waits for the next events; some at least, and not too many. None where some were missed: it was too slow.
    pub async fn next(&mut self, events: &Events) -> Option<Vec<Arc<Event>>> {
        loop {
            let newest = *self.newest.borrow_and_update();
            if newest > self.at {
                let ring = events.ring();
                if !ring.has_after(self.at) {
                    return None;
                }
                let at = self.at;
                let found = ring.events.iter().filter(|event| event.number > at);
                let found: Vec<_> = found.take(BATCH_MAX).cloned().collect();
                self.at = found.last().map_or(newest, |event| event.number);
                return Some(found);
            }
            // Its sender is `events`: nothing can come any more only when nobody can ask.
            self.newest.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_MAX, Events, Kind};
    use lineside_proto::Identifier;

    fn say(events: &Events, text: &str) {
        let name: Identifier = "a".parse().unwrap();
        events.say(Kind::Head, (&name, &name), &text);
    }

    #[tokio::test]
    async fn whoever_comes_again_misses_nothing_that_is_still_kept() {
        let events = Events::default();
        say(&events, "1");
        let mut listener = events.listen(None);
        assert_eq!((listener.at(), listener.goes_on()), (1, false));
        say(&events, "2");
        say(&events, "3");
        let heard = listener.next(&events).await.unwrap();
        let data: Vec<_> = heard.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(data, ["\"2\"", "\"3\""]);
        let again = events.listen(Some(&events.id(2)));
        assert_eq!((again.at(), again.goes_on()), (2, true));
        let other = Events::default();
        for id in [
            "",
            "2",
            "x-2",
            &other.id(2),
            &events.id(9),
            "-2",
            &format!("{}+", events.id(2)),
        ] {
            let fresh = events.listen(Some(id));
            assert_eq!((fresh.at(), fresh.goes_on()), (3, false), "{id}");
        }
    }

    #[tokio::test]
    async fn whoever_is_too_slow_is_told_so_and_what_is_kept_is_bounded() {
        let events = Events::default();
        let mut listener = events.listen(None);
        let begin = events.id(0);
        for _ in 0..EVENTS_MAX {
            say(&events, "x");
        }
        assert!(events.listen(Some(&begin)).goes_on());
        say(&events, "x");
        assert!(!events.listen(Some(&begin)).goes_on());
        assert_eq!(listener.next(&events).await, None);
        let large = "x".repeat(super::BYTES_MAX / 2);
        for _ in 0..10 {
            say(&events, &large);
        }
        let ring = events.ring();
        assert!(ring.events.len() < 3 && ring.bytes <= super::BYTES_MAX);
    }
}
