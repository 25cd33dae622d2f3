//! Leaves as they come: they wait for a signed head, in memory and in a file, which is durable before they are
//! acknowledged.

use lineside_proto::LeafMessage;
use lineside_proto::ledger::LEAF_BYTES_MAX;

use super::heads::Name;
use super::{Desk, DeskError};
use crate::archive::mirror::LeafTaken;
use crate::archive::pending::Waiting;

/// Bytes of leaves that wait in memory at most, of all gateways: beyond them they are asked for later.
const AHEAD_BYTES_MAX: usize = 128 << 20;
/// Bytes of a leaf's message at most: a leaf in which everything is escaped, and what is around it.
const LEAF_MESSAGE_BYTES_MAX: usize = 6 * LEAF_BYTES_MAX + 256;
/// Bytes after which a new file begins although it holds leaves that are not in memory, of a log that rests or since files
/// can't be read: what is lost with the old ones is asked for. Half of what may wait in memory.
const RESTING_FILE_BYTES_MAX: u64 = 64 << 20;

impl Desk {
    /// Takes in a leaf as it was sent.
    pub(super) fn leaf(&mut self, name: Name, payload: &[u8], now_ms: u64) {
        if self.cards.of(&name.0, &name.1).is_empty() || payload.len() > LEAF_MESSAGE_BYTES_MAX {
            return;
        }
        let Ok(LeafMessage { index, leaf }) = serde_json::from_slice(payload) else {
            self.complain(&name, "what it sent is no leaf", now_ms);
            return;
        };
        let leaf = leaf.into_bytes();
        if !self.gateways.contains_key(&name) {
            // Another process keeps this log, and reads what we write.
            if leaf.len() <= LEAF_BYTES_MAX {
                let epoch = self.epoch_elsewhere(&name);
                self.pending.add(&waiting(&name, epoch, (index, leaf)));
            }
            return;
        }
        if let Err(reason) = self.wait(&name, index, leaf, now_ms) {
            self.complain(&name, &format!("leaf {index}: {reason}"), now_ms);
        }
    }

    /// Has a leaf wait for a head, in memory and in a file.
    fn wait(&mut self, name: &Name, index: u64, leaf: Vec<u8>, now_ms: u64) -> Result<(), String> {
        let ahead = self.ahead_bytes;
        let Some(known) = self.gateways.get_mut(name) else {
            return Ok(());
        };
        let begun = (index == 0).then(|| known.epoch_begun(&leaf)).flatten();
        let Some(mirror) = known.open(&self.shelf, &self.cards, now_ms) else {
            // It is read again when the copy is there again.
            if leaf.len() <= LEAF_BYTES_MAX && known.later.takes_resting(leaf.len()) {
                let epoch = begun
                    .or(known.later.following())
                    .unwrap_or(known.later.epoch());
                self.pending.add(&waiting(name, epoch, (index, leaf)));
            }
            return Ok(());
        };
        let epoch = mirror.place.epoch;
        let of_it = mirror.ahead_bytes() + known.later.following_bytes();
        let is_full = ahead > AHEAD_BYTES_MAX && of_it > AHEAD_BYTES_MAX / 1024;
        let begun = begun.filter(|begun| *begun > epoch);
        if let Some(begun) = begun {
            known.later.follow(begun);
        }
        if let Some(following) = known.later.following().filter(|_| !is_full) {
            if leaf.len() <= LEAF_BYTES_MAX && known.later.take_following(index, &leaf) {
                self.unsettled.push((name.clone(), index, true));
                let leaf = (index, leaf.clone());
                self.pending.add(&waiting(name, following, leaf));
            }
        }
        let Some(mirror) = known.mirror_mut().filter(|_| !is_full && begun.is_none()) else {
            return Ok(());
        };
        match mirror.take_leaf(index, leaf.clone()) {
            LeafTaken::Kept => {
                known.touched = true;
                self.unsettled.push((name.clone(), index, false));
                self.pending.add(&waiting(name, epoch, (index, leaf)));
                Ok(())
            }
            LeafTaken::Passed => Ok(()),
            LeafTaken::Bad(reason) => Err(reason),
        }
    }

    /// The epoch of a log that another process keeps, as it was at the last look.
    fn epoch_elsewhere(&mut self, name: &Name) -> u32 {
        if let Some(epoch) = self.elsewhere.get(name) {
            return *epoch;
        }
        let epochs = self.shelf.known_epochs(&name.0, &name.1);
        let epochs = epochs.unwrap_or_default();
        let epoch = epochs.last().copied().unwrap_or(1);
        self.elsewhere.insert(name.clone(), epoch);
        epoch
    }

    /// Makes what waits durable. What can't be made so is forgotten in memory, too, so that it counts when it comes again.
    pub(super) fn settle(&mut self) -> Result<(), DeskError> {
        let settled = self.pending.settle().map_err(self.failed());
        let unsettled = std::mem::take(&mut self.unsettled);
        if settled.is_err() {
            for (name, index, is_following) in unsettled {
                let Some(known) = self.gateways.get_mut(&name) else {
                    continue;
                };
                if is_following {
                    known.later.forget_following(index);
                } else if let Some(mirror) = known.mirror_mut() {
                    mirror.forget_leaf(index);
                }
            }
        }
        settled
    }

    /// Begins another file when this one is full; it holds what still waits.
    pub(super) fn roll(&mut self, now_ms: u64) -> Result<(), DeskError> {
        if now_ms < self.roll_from_ms || !self.pending.is_full() {
            return Ok(());
        }
        // What was not read again would be lost with its file.
        let rests = self.gateways.values().any(|known| known.later.is_broken());
        let is_wanted = self.unread || self.again.is_due() || rests;
        if is_wanted && self.pending.bytes() < RESTING_FILE_BYTES_MAX {
            return Ok(());
        }
        let all = self.gateways.iter().flat_map(|(name, known)| {
            let of_now = known.mirror().into_iter().flat_map(|mirror| {
                let epoch = mirror.place.epoch;
                mirror
                    .ahead()
                    .map(move |(index, leaf)| (epoch, index, leaf))
            });
            let all = of_now.chain(known.later.following_leaves());
            all.map(move |(epoch, index, leaf)| waiting(name, epoch, (index, leaf.to_vec())))
        });
        let path = self.shelf.dir().to_owned();
        let rolled = self.pending.roll(all);
        rolled.map_err(|source| DeskError { path, source })
    }
}

/// A leaf as it waits in a file.
fn waiting(name: &Name, epoch: u32, (index, leaf): (u64, Vec<u8>)) -> Waiting {
    Waiting {
        site: name.0.clone(),
        gateway: name.1.clone(),
        epoch,
        index,
        leaf,
    }
}
