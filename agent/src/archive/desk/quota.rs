//! How much one gateway may have the desk look at: each head that it shows costs a signature's check, and may cost the
//! disk. What is more is put off, and of that only the newest
//! counts.

use std::sync::Arc;

use super::heads::Name;
use super::later::HEAD_BYTES_MAX;
use super::{Desk, Gateway, Output};
use crate::clock::Stamp;

/// Heads of one gateway that are looked at in a second: a gateway signs a few an hour, and each takes a tenth of a
/// millisecond.
const HEADS_MAX: u32 = 128;
/// A second.
const SECOND_MS: u64 = 1_000;
/// How often an alarm of one kind is raised for one gateway at most, and what a stranger shows is written.
pub(super) const ALARM_MS: u64 = 60_000;

/// What of a second's heads was used up.
#[derive(Debug, Default)]
pub(super) struct Quota {
    since_ms: u64,
    heads: u32,
    cosigned: u32,
    /// The newest head beyond it.
    put_off: Option<Arc<str>>,
}

impl Quota {
    fn turn(&mut self, now_ms: u64) {
        if now_ms >= self.since_ms.saturating_add(SECOND_MS) {
            (self.since_ms, self.heads, self.cosigned) = (now_ms, 0, 0);
        }
    }

    /// Whether one more cosigned head may be looked at now. What gateways show takes them no room: a witness must hear
    /// what it cosigned itself.
    fn takes_cosigned(&mut self, now_ms: u64) -> bool {
        self.turn(now_ms);
        self.cosigned = self.cosigned.saturating_add(1);
        self.cosigned <= HEADS_MAX
    }

    /// Whether one more head may be looked at now. One that may not is kept if it is the newest.
    fn takes(&mut self, note: &str, now_ms: u64) -> bool {
        self.turn(now_ms);
        if self.heads >= HEADS_MAX {
            self.put_off = Some(note.into());
            return false;
        }
        self.heads += 1;
        // What came before is older than what comes now.
        self.put_off = None;
        true
    }

    fn due(&mut self, now_ms: u64) -> Option<Arc<str>> {
        let is_due = now_ms >= self.since_ms.saturating_add(SECOND_MS);
        is_due.then(|| self.put_off.take())?
    }
}

impl Gateway {
    /// Whether an alarm of this kind is raised now, or one was not long ago. What stops a log is never held back: it comes
    /// once.
    pub(super) fn raises(&mut self, (epoch, kind): (u32, super::Kind), now_ms: u64) -> bool {
        let copy = self.copy_of(epoch);
        let is_standing = copy.is_some_and(|copy| copy.is_stopped());
        let last = self.raised.get(&(epoch, kind)).copied();
        let is_quiet = last.is_some_and(|last| now_ms < last.saturating_add(ALARM_MS));
        if is_quiet && (!kind.stops() || is_standing) {
            return false;
        }
        // Those of epochs that nothing is heard of any more.
        self.raised
            .retain(|_, last| now_ms < last.saturating_add(ALARM_MS));
        self.raised.insert((epoch, kind), now_ms);
        true
    }
}

impl Desk {
    /// Whether a head that a gateway of ours shows may be looked at now; those of others cost nothing.
    pub(super) fn may_look(&mut self, name: &Name, payload: &[u8], now: Stamp) -> bool {
        let Some(known) = self.gateways.get_mut(name) else {
            return true;
        };
        let note = std::str::from_utf8(payload).unwrap_or("");
        let fits = note.len() <= HEAD_BYTES_MAX;
        known.quota.takes(if fits { note } else { "" }, now.boot_ms)
    }

    /// The same for one that a witness has cosigned.
    pub(super) fn may_adopt(&mut self, name: &Name, now: Stamp) -> bool {
        let known = self.gateways.get_mut(name);
        known.is_none_or(|known| known.quota.takes_cosigned(now.boot_ms))
    }

    /// Looks at heads that were put off.
    pub(super) fn put_off(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let due = |(name, known): (&Name, &mut Gateway)| {
            let note = known.quota.due(now.boot_ms)?;
            Some((name.clone(), note))
        };
        let due: Vec<_> = self.gateways.iter_mut().filter_map(due).collect();
        for (name, note) in due {
            self.head(name, note.as_bytes(), now, out);
        }
    }
}
