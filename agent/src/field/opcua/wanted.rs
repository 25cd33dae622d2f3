//! What is wanted of a server and what it does: which points, in which subscriptions, and what must be
//! asked of it so that both agree.
//!
//! Pure: results come in, work comes out. An item that stays is never touched. Bounded: so many items
//! a subscription, so many items a piece of work.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use opcua::types::StatusCode;
use tokio::time::Instant;

use super::doubt::Doubt;
use super::item::{Item, Rhythm, Spot};
use super::plan::ITEMS_MAX;
use crate::field::job::JobSpec;

mod doubts;

/// The first wait before what a server refused is asked for again, before jitter; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The longest: a node that comes back is seen within half a minute.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A subscription, by a number of ours that is given once: servers give theirs again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key(pub u32);

/// An item by the number that the server repeats with each of its values; given once.
pub(super) type Handle = u32;

/// What is wanted of one server, and what of it is there.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    items: HashMap<Handle, Entry>,
    handles: BTreeMap<Spot, Handle>,
    shelves: BTreeMap<Key, Shelf>,
    handle_next: Handle,
    key_next: u32,
    retry: Retry,
}

#[derive(Debug)]
struct Entry {
    item: Item,
    place: Place,
    /// The source time of its newest value, in the server's ticks.
    last: Option<i64>,
    /// Whether a value of it was ever taken.
    is_known: bool,
    /// How often the server samples it.
    sampling: Duration,
    /// Whether it still tells of changes.
    doubt: Doubt,
    /// The server gave no clear answer when it was to be made: it may have it, under a number that nobody knows.
    was_unclear: bool,
}

/// Where an item is at the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Nowhere yet.
    Absent,
    /// It is being made; a value may outrun the answer that it is.
    Making { key: Key, taken: bool },
    /// The server has it under this number, and has sent a value of it or not.
    Made { key: Key, id: u32, taken: bool },
    /// The server refused it.
    Refused(StatusCode),
}

/// One subscription.
#[derive(Debug)]
struct Shelf {
    rhythm: Rhythm,
    /// The server's number; none: not made yet.
    id: Option<u32>,
    /// Items that have their place in it.
    items: usize,
    /// Numbers of items that are no longer wanted.
    leaving: Vec<u32>,
    /// Work is under way.
    is_busy: bool,
}

/// When what was refused is asked for again.
#[derive(Debug, Default)]
struct Retry {
    at: Option<Instant>,
    failures: u32,
}

/// An item of which a value came.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    /// The item.
    pub item: &'a Item,
    /// Whether the value is its first by this subscription.
    pub is_first: bool,
    /// The source time of the value before, in the server's ticks.
    pub before: Option<i64>,
    /// Whether it still tells of changes.
    pub doubt: &'a mut Doubt,
}

/// What is to be asked of the server for one subscription.
#[derive(Debug)]
pub(super) struct Work {
    /// The subscription.
    pub key: Key,
    /// Its number at the server; none: it is to be made first.
    pub id: Option<u32>,
    /// How it beats.
    pub rhythm: Rhythm,
    /// Numbers of items to be deleted.
    pub leaving: Vec<u32>,
    /// Items to be made.
    pub coming: Vec<(Handle, Item)>,
    /// Nothing is left in it: it is to be deleted.
    pub is_over: bool,
}

/// What a server did of some work.
#[derive(Debug)]
pub(super) struct Worked {
    /// The subscription.
    pub key: Key,
    /// Its number at the server; none: there is no such subscription any more.
    pub id: Option<u32>,
    /// The items that were made, or why they were not.
    pub items: Vec<(Handle, Result<Given, StatusCode>)>,
}

/// What a server gave for an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Given {
    /// Its number there.
    pub id: u32,
    /// How often it is sampled.
    pub sampling: Duration,
}

impl Wanted {
    /// Takes over what is wanted from now on. What stays is left as it is.
    pub(super) fn take(&mut self, specs: &[JobSpec]) {
        let stays = |entry: &Entry| specs.iter().any(|spec| spec.is(&entry.item.spec));
        let leaving: Vec<Handle> = self
            .items
            .iter()
            .filter(|(_, entry)| !stays(entry))
            .map(|(handle, _)| *handle)
            .collect();
        for handle in leaving {
            self.remove(handle);
        }
        for item in specs.iter().flat_map(Item::of) {
            if !self.handles.contains_key(&item.spot) {
                // Zero is no handle: the client library would give one of its own.
                self.handle_next = self.handle_next.checked_add(1).unwrap_or(1);
                self.handles.insert(item.spot, self.handle_next);
                let place = Place::Absent;
                let entry = Entry {
                    sampling: item.sampling,
                    item,
                    place,
                    last: None,
                    is_known: false,
                    doubt: Doubt::default(),
                    was_unclear: false,
                };
                self.items.insert(self.handle_next, entry);
            }
        }
    }

    /// A new session: nothing of what is wanted is there.
    pub(super) fn begin(&mut self) {
        self.shelves.clear();
        self.retry = Retry::default();
        for entry in self.items.values_mut() {
            entry.place = Place::Absent;
            entry.doubt = Doubt::default();
            entry.was_unclear = false;
        }
    }

    /// A subscription is lost or no longer trusted: its items are made anew in another. Gives its
    /// number at the server.
    pub(super) fn lose(&mut self, key: Key) -> Option<u32> {
        for entry in self.items.values_mut() {
            if entry.place.key() == Some(key) {
                entry.place = Place::Absent;
            }
        }
        self.shelves.remove(&key)?.id
    }

    /// What was refused is to be asked for again from now on, if it is time.
    pub(super) fn retry(&mut self, now: Instant) {
        if self.retry.at.is_some_and(|at| at <= now) {
            self.retry.at = None;
            for entry in self.items.values_mut() {
                if matches!(entry.place, Place::Refused(_)) {
                    entry.place = Place::Absent;
                }
            }
        }
    }

    /// What is to be asked of the server now, each piece for another subscription. The pieces count as
    /// under way until [`worked`](Self::worked).
    pub(super) fn plan(&mut self) -> Vec<Work> {
        let mut coming: BTreeMap<Key, Vec<(Handle, Item)>> = BTreeMap::new();
        let absent = self.handles.values().filter(|handle| {
            let entry = self.items.get(handle);
            entry.is_some_and(|entry| entry.place == Place::Absent)
        });
        let absent: Vec<Handle> = absent.copied().collect();
        for handle in absent {
            if let Some((key, item)) = self.shelve(handle) {
                coming.entry(key).or_default().push((handle, item));
            }
        }
        let mut works = Vec::new();
        for (key, shelf) in &mut self.shelves {
            let coming = coming.remove(key).unwrap_or_default();
            let is_over = shelf.items == 0;
            let has_work = is_over || !coming.is_empty() || !shelf.leaving.is_empty();
            if has_work && !shelf.is_busy {
                shelf.is_busy = true;
                works.push(Work {
                    key: *key,
                    id: shelf.id,
                    rhythm: shelf.rhythm,
                    leaving: std::mem::take(&mut shelf.leaving),
                    coming,
                    is_over,
                });
            }
        }
        works
    }

    /// The server did some work. Gives the items that it refused, each with the reason; they are asked
    /// for again after a while, which grows as long as nothing comes of it.
    pub(super) fn worked(&mut self, worked: &Worked, now: Instant) -> Vec<(Item, StatusCode)> {
        let Some(shelf) = self.shelves.get_mut(&worked.key) else {
            return Vec::new();
        };
        shelf.is_busy = false;
        shelf.id = worked.id;
        let (mut refused, mut made) = (Vec::new(), false);
        for (handle, result) in &worked.items {
            let Some(entry) = self.items.get_mut(handle) else {
                // It left while it was made.
                shelf.leaving.extend(result.ok().map(|given| given.id));
                continue;
            };
            let taken = matches!(entry.place, Place::Making { taken: true, .. });
            entry.place = match *result {
                Ok(given) => Place::Made {
                    key: worked.key,
                    id: given.id,
                    taken,
                },
                Err(status) => Place::Refused(status),
            };
            entry.was_unclear = result.is_err_and(is_unclear);
            match *result {
                Ok(given) => {
                    entry.sampling = given.sampling.max(entry.item.sampling);
                    made = true;
                }
                Err(status) => {
                    shelf.items = shelf.items.saturating_sub(1);
                    refused.push((entry.item.clone(), status));
                }
            }
        }
        if worked.id.is_none() {
            self.lose(worked.key);
        }
        if made {
            self.retry.failures = 0;
        }
        if !refused.is_empty() {
            self.retry.fail(now);
        }
        refused
    }

    /// The item with this number, for a value of it that came by this subscription with this source
    /// time; none if the item is not wanted any more, or has its place elsewhere by now.
    pub(super) fn heard(
        &mut self,
        handle: Handle,
        key: Key,
        ticks: Option<i64>,
    ) -> Option<Heard<'_>> {
        let entry = self.items.get_mut(&handle)?;
        let was_taken = match &mut entry.place {
            Place::Made {
                key: own, taken, ..
            }
            | Place::Making { key: own, taken }
                if *own == key =>
            {
                std::mem::replace(taken, true)
            }
            Place::Made { .. } | Place::Making { .. } | Place::Absent | Place::Refused(_) => {
                return None;
            }
        };
        let before = entry.last;
        entry.last = ticks.or(before);
        entry.is_known = true;
        Some(Heard {
            item: &entry.item,
            is_first: !was_taken,
            before,
            doubt: &mut entry.doubt,
        })
    }

    /// The items of which a value was ever taken, the source time of the newest, and where they are now;
    /// of all subscriptions or of one.
    pub(super) fn known(
        &self,
        key: Option<Key>,
    ) -> impl Iterator<Item = (&Item, Option<i64>, Option<Key>)> {
        self.handles.values().filter_map(move |handle| {
            let entry = self.items.get(handle)?;
            let own = entry.place.key();
            let is_meant = key.is_none() || own == key;
            (entry.is_known && is_meant).then_some((&entry.item, entry.last, own))
        })
    }

    /// The items of a subscription of which a value was taken.
    pub(super) fn taken(&self, key: Key) -> impl Iterator<Item = &Item> {
        self.handles.values().filter_map(move |handle| {
            let entry = self.items.get(handle)?;
            let own =
                matches!(entry.place, Place::Made { key: own, taken: true, .. } if own == key);
            own.then_some(&entry.item)
        })
    }

    /// All items.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.handles
            .values()
            .filter_map(|handle| self.items.get(handle))
            .map(|entry| &entry.item)
    }

    /// The items that the server refused.
    pub(super) fn refused(&self) -> impl Iterator<Item = &Item> {
        self.handles.values().filter_map(|handle| {
            let entry = self.items.get(handle)?;
            matches!(entry.place, Place::Refused(_)).then_some(&entry.item)
        })
    }

    /// Whether the server has an item.
    pub(super) fn is_made(&self, spot: Spot) -> bool {
        let handle = self.handles.get(&spot);
        let entry = handle.and_then(|handle| self.items.get(handle));
        entry.is_some_and(|entry| matches!(entry.place, Place::Made { .. }))
    }

    /// Whether every item was made or refused, and a value of every one that was made is there.
    pub(super) fn is_settled(&self) -> bool {
        !self.items.values().any(|entry| entry.place.is_pending())
    }

    /// Whether a value of an item is still to come, and nobody said that there is none.
    pub(super) fn is_pending(&self, spot: Spot) -> bool {
        let handle = self.handles.get(&spot);
        let entry = handle.and_then(|handle| self.items.get(handle));
        entry.is_some_and(|entry| entry.place.is_pending())
    }

    /// When it is time for [`retry`](Self::retry).
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry.at
    }

    /// Gives an absent item its place: in a subscription of its rhythm with room, or in a new one.
    fn shelve(&mut self, handle: Handle) -> Option<(Key, Item)> {
        let entry = self.items.get_mut(&handle)?;
        let (rhythm, was_unclear) = (entry.item.rhythm, entry.was_unclear);
        // Those that a server gave no clear answer for must not cost others their subscription.
        let fits = |shelf: &Shelf| !was_unclear || shelf.id.is_none();
        let mut of_rhythm = self
            .shelves
            .iter()
            .filter(|(_, shelf)| shelf.rhythm == rhythm && shelf.items < ITEMS_MAX && fits(shelf));
        let with_room = of_rhythm.find(|(_, shelf)| !shelf.is_busy && shelf.items > 0);
        let key = with_room.map_or_else(
            || {
                self.key_next += 1;
                Key(self.key_next)
            },
            |(key, _)| *key,
        );
        let shelf = self.shelves.entry(key).or_insert(Shelf {
            rhythm,
            id: None,
            items: 0,
            leaving: Vec::new(),
            is_busy: false,
        });
        shelf.items += 1;
        entry.place = Place::Making { key, taken: false };
        Some((key, entry.item.clone()))
    }

    fn remove(&mut self, handle: Handle) {
        let Some(entry) = self.items.remove(&handle) else {
            return;
        };
        self.handles.remove(&entry.item.spot);
        let shelf = entry.place.key();
        if let Some(shelf) = shelf.and_then(|key| self.shelves.get_mut(&key)) {
            shelf.items = shelf.items.saturating_sub(1);
            if let Place::Made { id, .. } = entry.place {
                shelf.leaving.push(id);
            }
        }
    }
}

impl Place {
    fn key(self) -> Option<Key> {
        match self {
            Self::Making { key, .. } | Self::Made { key, .. } => Some(key),
            Self::Absent | Self::Refused(_) => None,
        }
    }

    fn is_pending(self) -> bool {
        match self {
            Self::Made { taken, .. } => !taken,
            Self::Refused(status) => is_silence(status),
            Self::Absent | Self::Making { .. } => true,
        }
    }
}

impl Retry {
    fn fail(&mut self, now: Instant) {
        if self.at.is_none() {
            let widest = (RETRY_FIRST * (1 << self.failures.min(8))).min(RETRY_MAX);
            self.failures = self.failures.saturating_add(1);
            self.at = Some(now + widest.mul_f64(0.5 + fastrand::f64() / 2.0));
        }
    }
}

/// Whether a status leaves open what the server did: it was silent, or answered for fewer or more than it was
/// asked for.
pub(super) fn is_unclear(status: StatusCode) -> bool {
    is_silence(status) || status == StatusCode::BadUnexpectedError
}

/// Whether a status says that nothing was heard, and nothing of the items themselves.
pub(super) fn is_silence(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadTimeout
            | StatusCode::BadRequestTimeout
            | StatusCode::BadCommunicationError
            | StatusCode::BadConnectionClosed
            | StatusCode::BadNotConnected
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadSecureChannelIdInvalid
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSubscriptionIdInvalid
            | StatusCode::BadMonitoredItemIdInvalid
            | StatusCode::BadUnknownResponse
    )
}

#[cfg(test)]
mod tests;
