//! What of a gateway counts later: heads and leaves of a log whose copy rests after a fault, and those of an epoch that
//! has not begun here yet.
//!
//! Bounds: `HEADS_MAX` heads, `FOLLOWING_BYTES_MAX` bytes of leaves a gateway, `EPOCHS_AT_ONCE` new epochs and one
//! more in each `EPOCH_MS`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use lineside_proto::ledger::{Leaf, LeafBody};

use super::gateway::Gateway;
use super::heads::Name;
use super::{Desk, Output};
use crate::archive::pending::{Reading, Waiting};
use crate::clock::Stamp;

/// Heads that wait at most: as many as a copy remembers ahead of its tiles.
const HEADS_MAX: usize = 256;
/// Bytes of a head at most that is remembered for later: a note has some hundred.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;
/// Later epochs whose heads wait; those after them are shown again.
const NEXT_MAX: usize = 4;
/// Bytes of leaves of the epoch that follows: hundreds of leaves, of which its first head follows within five minutes.
/// What is more is asked for.
const FOLLOWING_BYTES_MAX: usize = 1 << 20;
/// Bytes of leaves that come while a copy rests: what is more is asked for.
const RESTING_BYTES_MAX: usize = 1 << 20;
/// How long a copy that can't be read or written rests before it is tried again.
const REST_MS: u64 = 5_000;
/// How long it rests at most: opening one that is damaged reads much.
const REST_MAX_MS: u64 = 300_000;
/// Doublings that lead beyond that.
const REST_DOUBLED_MAX: u32 = 6;
/// How long epochs last at least, taken together: each costs a log of its own, here and in every witness's memory.
const EPOCH_MS: u64 = 3_600_000;
/// Epochs that may follow one another at once: whoever repairs a gateway may need more than one.
const EPOCHS_AT_ONCE: u64 = 3;

/// What counts later.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// The epoch that is kept now; none before the first was opened.
    epoch: u32,
    /// Whether the copy could not be read or written, and is to be opened again.
    broken: bool,
    /// How often that was so since something was last kept.
    faults: u32,
    /// Heads that are to be shown again then, oldest first.
    heads: Vec<Arc<str>>,
    /// Bytes of leaves that came since it rests.
    resting_bytes: usize,
    /// Leaves of the epoch that follows.
    following: Option<Following>,
    /// The newest heads of later epochs that may not begin yet.
    next: BTreeMap<u32, Arc<str>>,
    /// Whether one was gone over to since the start.
    has_begun: bool,
    /// When all epochs that followed one another would have had their time, on the boot clock.
    lasts_until_ms: u64,
}

/// Leaves of an epoch whose first head has not come yet.
#[derive(Debug)]
struct Following {
    epoch: u32,
    leaves: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl Later {
    /// The copy is given up for now; these heads were shown of it.
    pub(super) fn rest(&mut self, heads: impl Iterator<Item = Arc<str>>) {
        if !self.broken {
            self.resting_bytes = 0;
        }
        self.broken = true;
        self.faults = self.faults.saturating_add(1);
        heads.for_each(|note| self.keep_head(note));
    }

    /// The epoch that is kept now, or was when the copy was given up.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// This epoch is opened.
    pub(super) fn opens(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Whether an epoch was gone over to since the start.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// How long the copy rests: longer with each time.
    pub(super) fn pause_ms(&self) -> u64 {
        let doubled = REST_MS << self.faults.saturating_sub(1).min(REST_DOUBLED_MAX);
        doubled.min(REST_MAX_MS)
    }

    /// Something was kept: the disk is well.
    pub(super) fn kept(&mut self) {
        self.faults = 0;
    }

    /// Whether the copy is to be opened again.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Keeps a head for when there is a copy again.
    pub(super) fn keep_head(&mut self, note: Arc<str>) {
        if note.len() > HEAD_BYTES_MAX || self.heads.contains(&note) {
            return;
        }
        if self.heads.len() >= HEADS_MAX {
            self.heads.remove(0);
        }
        self.heads.push(note);
    }

    /// Whether a leaf that comes while the copy rests is to be written down.
    pub(super) fn takes_resting(&mut self, bytes: usize) -> bool {
        self.resting_bytes = self.resting_bytes.saturating_add(bytes);
        self.broken && self.resting_bytes <= RESTING_BYTES_MAX
    }

    /// The copy is there again: the heads to be shown to it.
    fn mended(&mut self) -> Vec<Arc<str>> {
        self.broken = false;
        std::mem::take(&mut self.heads)
    }

    /// Whether a later epoch may begin now.
    pub(super) fn may_go_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_add((EPOCHS_AT_ONCE - 1) * EPOCH_MS) >= self.lasts_until_ms
    }

    /// The head of the first of those that wait.
    pub(super) fn next_note(&self) -> Option<Arc<str>> {
        self.next.values().next().cloned()
    }

    /// Whether a later epoch waits.
    pub(super) fn has_next(&self) -> bool {
        !self.next.is_empty()
    }

    /// Keeps the head of a later epoch until it may begin. None is passed over, since each cites the one before.
    pub(super) fn keep_next(&mut self, epoch: u32, note: &str) {
        if note.len() > HEAD_BYTES_MAX {
            return;
        }
        self.next.insert(epoch, note.into());
        if self.next.len() > NEXT_MAX {
            self.next.pop_last();
        }
    }

    /// An epoch has followed another. Gives its leaves that came before.
    pub(super) fn went_over(&mut self, epoch: u32, now_ms: u64) -> BTreeMap<u64, Vec<u8>> {
        self.lasts_until_ms = self.lasts_until_ms.max(now_ms).saturating_add(EPOCH_MS);
        self.begun(epoch)
    }

    /// An epoch begins here. Gives its leaves that came before.
    pub(super) fn begun(&mut self, epoch: u32) -> BTreeMap<u64, Vec<u8>> {
        self.epoch = epoch;
        self.has_begun = true;
        self.next.retain(|next, _| *next > epoch);
        let following = self.following.take_if(|known| known.epoch <= epoch);
        following
            .filter(|known| known.epoch == epoch)
            .map_or_else(BTreeMap::new, |known| known.leaves)
    }

    /// The first leaf of a later epoch has come: what comes from now on may be of that.
    pub(super) fn follow(&mut self, epoch: u32) {
        if self
            .following
            .as_ref()
            .is_none_or(|known| known.epoch < epoch)
        {
            self.following = Some(Following {
                epoch,
                leaves: BTreeMap::new(),
                bytes: 0,
            });
        }
    }

    /// The epoch that follows, if leaves of it have come.
    pub(super) fn following(&self) -> Option<u32> {
        self.following.as_ref().map(|known| known.epoch)
    }

    /// Bytes of leaves of the epoch that follows.
    pub(super) fn following_bytes(&self) -> usize {
        self.following.as_ref().map_or(0, |known| known.bytes)
    }

    /// Takes in a leaf that may be of the epoch that follows. Gives whether it is new.
    pub(super) fn take_following(&mut self, index: u64, leaf: &[u8]) -> bool {
        let Some(known) = &mut self.following else {
            return false;
        };
        let is_known = known.leaves.get(&index).is_some_and(|held| held == leaf);
        if is_known || known.bytes + leaf.len() > FOLLOWING_BYTES_MAX {
            return false;
        }
        known.bytes += leaf.len();
        if let Some(before) = known.leaves.insert(index, leaf.to_vec()) {
            known.bytes -= before.len();
        }
        true
    }

    /// Forgets a leaf of the epoch that follows: it could not be written down.
    pub(super) fn forget_following(&mut self, index: u64) {
        if let Some(known) = &mut self.following {
            if let Some(leaf) = known.leaves.remove(&index) {
                known.bytes -= leaf.len();
            }
        }
    }

    /// The leaves of the epoch that follows.
    pub(super) fn following_leaves(&self) -> impl Iterator<Item = (u32, u64, &[u8])> {
        self.following.iter().flat_map(|known| {
            let leaves = known.leaves.iter();
            leaves.map(|(index, leaf)| (known.epoch, *index, leaf.as_slice()))
        })
    }
}

/// Files that are read again for some gateways, from their beginning to their end.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Those whose turn comes when what is being read is at its end.
    wanted: BTreeSet<Name>,
    /// What is being read, and for whom.
    current: Option<(Reading, BTreeSet<Name>)>,
}

impl Again {
    /// A gateway's leaves are to be read again.
    pub(super) fn want(&mut self, name: Name) {
        self.wanted.insert(name);
    }

    /// Whether leaves of a gateway are still to be read.
    pub(super) fn includes(&self, name: &Name) -> bool {
        let now = self.current.as_ref();
        self.wanted.contains(name) || now.is_some_and(|(_, names)| names.contains(name))
    }

    /// Whether something is still to be read.
    pub(super) fn is_due(&self) -> bool {
        self.current.is_some() || !self.wanted.is_empty()
    }
}

impl Gateway {
    /// The epoch that a leaf begins, if it is the first leaf of one of this gateway's.
    pub(super) fn epoch_begun(&self, bytes: &[u8]) -> Option<u32> {
        let LeafBody::Genesis(genesis) = Leaf::from_bytes(bytes).ok()?.body else {
            return None;
        };
        let epoch = self.epoch_named(&genesis.origin)?;
        let (site, gateway) = self.name();
        let fits = genesis.epoch == epoch && genesis.site == *site && genesis.gateway == *gateway;
        fits.then_some(epoch)
    }
}

impl Desk {
    /// Opens what rested long enough, and shows it what waits. A gateway need not say anything for that.
    pub(super) fn again(&mut self, now: Stamp, out: &mut Vec<Output>) {
        let mut shown: Vec<(Name, Arc<str>)> = Vec::new();
        for (name, known) in &mut self.gateways {
            if known.later.is_broken()
                && known.open(&self.shelf, &self.cards, now.boot_ms).is_some()
            {
                known.touched = true;
                self.again.want(name.clone());
                let heads = known.later.mended();
                shown.extend(heads.into_iter().map(|note| (name.clone(), note)));
            }
            let is_whole = !self.unread && !self.again.includes(name);
            if is_whole && known.later.may_go_over(now.boot_ms) {
                let next = known.later.next.pop_first();
                shown.extend(next.map(|(_, note)| (name.clone(), note)));
            }
        }
        for (name, note) in shown {
            self.show_again(name, note.as_bytes(), now, out);
        }
    }

    /// Shows a head that came earlier: that it is older than others is no fault of the gateway's.
    pub(super) fn show_again(
        &mut self,
        name: Name,
        payload: &[u8],
        now: Stamp,
        out: &mut Vec<Output>,
    ) {
        let before = self.gateways.get(&name).map(|known| known.older.clone());
        self.head(name.clone(), payload, now, out);
        if let Some((known, before)) = self.gateways.get_mut(&name).zip(before) {
            known.older = known.older.take().and(before);
        }
    }

    /// Reads the files again for those whose copy was opened anew, so much at once.
    pub(super) fn read_again(&mut self) -> io::Result<()> {
        let Some((mut reading, names)) = self.again.current.take().or_else(|| {
            let wanted = std::mem::take(&mut self.again.wanted);
            (!wanted.is_empty()).then(|| (Reading::default(), wanted))
        }) else {
            return Ok(());
        };
        let mut found = Vec::new();
        let mut more = false;
        for (_, folder) in self.members.folders() {
            let next = reading.next(&folder, |waiting| {
                if names.contains(&(waiting.site.clone(), waiting.gateway.clone())) {
                    found.push(waiting);
                }
            });
            match next {
                Ok(is_more) => more |= is_more,
                Err(error) => {
                    // From the beginning, another time.
                    self.again.wanted.extend(names);
                    return Err(error);
                }
            }
        }
        found.into_iter().for_each(|waiting| self.waited(waiting));
        if more {
            self.again.current = Some((reading, names));
        }
        Ok(())
    }

    /// Takes in a leaf that waited in a file.
    pub(super) fn waited(&mut self, waiting: Waiting) {
        let now_ms = self.looked_ms.unwrap_or(0);
        let Waiting {
            site,
            gateway,
            epoch,
            index,
            leaf,
        } = waiting;
        let Some(known) = self.gateways.get_mut(&(site, gateway)) else {
            return;
        };
        let Some(mirror) = known.open(&self.shelf, &self.cards, now_ms) else {
            return;
        };
        // A leaf of another epoch has the same places as one of this.
        let present = mirror.place.epoch;
        if epoch == present {
            mirror.take_leaf(index, leaf);
            known.touched = true;
        } else if epoch > present {
            known.later.follow(epoch);
            if known.later.following() == Some(epoch) {
                known.later.take_following(index, &leaf);
            }
        }
    }
}
