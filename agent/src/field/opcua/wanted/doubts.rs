//! Items that the server has, and whose nodes may be gone or which may be dead there.

use std::ops::Bound;
use std::time::Duration;

use tokio::time::Instant;

use super::{Handle, Key, Place, StatusCode, Wanted};
use crate::field::opcua::doubt::Word;
use crate::field::opcua::item::{Item, Spot};

/// How many times longer a difference lasts than an item takes to be sampled.
const SAMPLINGS: u32 = 3;

/// An item that was given up.
#[derive(Debug)]
pub(in crate::field::opcua) struct Buried {
    /// The item.
    pub item: Item,
    /// Where it was.
    pub key: Key,
    /// The source time of its newest value, in the server's ticks.
    pub last: Option<i64>,
    /// The last word by which it was in order.
    pub sure: Option<Word>,
}

impl Wanted {
    /// The server says of an item that its node is gone: it is to be made anew, after a while. Gives the
    /// item and where it was, if it was made.
    pub(in crate::field::opcua) fn vanish(
        &mut self,
        handle: Handle,
        status: StatusCode,
        now: Instant,
    ) -> Option<(Item, Key)> {
        let entry = self.items.get_mut(&handle)?;
        let Place::Made { key, id, .. } = entry.place else {
            return None;
        };
        entry.place = Place::Refused(status);
        if let Some(shelf) = self.shelves.get_mut(&key) {
            shelf.items = shelf.items.saturating_sub(1);
            shelf.leaving.push(id);
        }
        self.retry.fail(now);
        Some((entry.item.clone(), key))
    }

    /// So many of the items that are made, those after this one first to come; none where none is left.
    pub(in crate::field::opcua) fn made(
        &self,
        after: Option<Spot>,
        count: usize,
    ) -> Vec<(Handle, Item)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let made = self.handles.range((from, Bound::Unbounded));
        let made = made.filter_map(|(_, handle)| {
            let entry = self.items.get(handle)?;
            let is_made = matches!(entry.place, Place::Made { .. });
            is_made.then(|| (*handle, entry.item.clone()))
        });
        made.take(count).collect()
    }

    /// The server says this of an item when asked. Gives whether the item is dead: it says something else,
    /// and has for longer than it takes to be sampled and for `published` beyond that.
    pub(in crate::field::opcua) fn compare(
        &mut self,
        (handle, digest): (Handle, u64),
        word: Word,
        now: Instant,
        published: Duration,
    ) -> bool {
        let Some(entry) = self.items.get_mut(&handle) else {
            return false;
        };
        let Place::Made { taken: true, .. } = entry.place else {
            return false;
        };
        let lasts = entry.sampling.saturating_mul(SAMPLINGS) + published;
        entry.doubt.compare(digest, word, now, lasts)
    }

    /// An item is dead: it is to be made anew.
    pub(in crate::field::opcua) fn bury(&mut self, handle: Handle, now: Instant) -> Option<Buried> {
        let status = StatusCode::BadMonitoredItemIdInvalid;
        let (item, key) = self.vanish(handle, status, now)?;
        let entry = self.items.get_mut(&handle)?;
        Some(Buried {
            item,
            key,
            last: entry.last,
            sure: entry.doubt.give_up(),
        })
    }
}
