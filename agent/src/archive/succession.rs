//! Whose signature begins an epoch: the keys that cards name, those that changes of the key in the epochs before have
//! brought, and none that another has followed.
//!
//! A change counts by itself, whatever else is said: the key before and the one after have both signed it.

use lineside_proto::ledger::note::VerifierKey;
use lineside_proto::ledger::{KeyLeaf, Leaf, LeafBody, PriorHead};

use super::cards::{Cards, named};
use super::mirror::keys_at;
use super::place::Place;
use super::shelf::Shelf;
use crate::ledger::{LedgerError, View};

/// Bytes of leaves that are read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// Who may sign the first head of an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Heirs {
    /// The log's origin.
    pub(super) origin: String,
    /// The keys, by that name.
    pub(super) keys: Vec<VerifierKey>,
    /// Keys that sign no more, by that name: others have followed them.
    pub(super) over: Vec<VerifierKey>,
}

impl Heirs {
    /// Those of a log after an epoch in which these keys signed last, and these were followed; none if no card is of the
    /// gateway.
    pub(super) fn after(
        cards: &Cards,
        place: &Place,
        signers: &[VerifierKey],
        followed: &[VerifierKey],
    ) -> Option<Self> {
        let (origin, mut keys) = cards.log(place)?;
        let over = followed.iter().filter_map(|key| named(key, &origin));
        let over: Vec<VerifierKey> = over.collect();
        // Whoever has a key that has ended may have handed over to another.
        if !cards.is_ended(place) {
            let signers = signers.iter().filter_map(|key| named(key, &origin));
            for key in signers {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys.retain(|key| !over.contains(key));
        Some(Self { origin, keys, over })
    }

    /// The same as the record of the newest epoch before tells it, or, where there is none, as the leaves do.
    pub(super) fn recorded(shelf: &Shelf, cards: &Cards, place: &Place) -> Option<Self> {
        let epochs = shelf.known_epochs(&place.site, &place.gateway);
        let before = epochs.unwrap_or_default().into_iter().rev();
        let before = before.filter(|epoch| *epoch < place.epoch);
        let known = before.filter_map(|epoch| {
            let before = Place {
                epoch,
                ..place.clone()
            };
            let record = shelf.record(&before).ok().flatten();
            let record = record.filter(|record| !record.keys.is_empty());
            // One of which nothing came tells nothing.
            (record.is_some() || shelf.has_head(&before)).then_some(record)
        });
        let Some(record) = known.into_iter().next() else {
            return Self::after(cards, place, &[], &[]);
        };
        let Some(record) = record else {
            return Self::of_leaves(shelf, cards, place);
        };
        let keys: Vec<VerifierKey> = parsed(&record.keys);
        let signers = keys_at(&keys, &record.followed, u64::MAX);
        let followed: Vec<String> = record.followed.into_iter().map(|one| one.key).collect();
        Self::after(cards, place, &signers, &parsed(&followed))
    }

    /// The same as the leaves of all epochs before tell it. Reads them all.
    pub(super) fn of_leaves(shelf: &Shelf, cards: &Cards, place: &Place) -> Option<Self> {
        let epochs = shelf.epochs(&place.site, &place.gateway);
        let epochs = epochs.unwrap_or_default().into_iter();
        let (mut signers, mut followed) = (Vec::new(), Vec::new());
        for epoch in epochs.filter(|epoch| *epoch < place.epoch) {
            let before = Place {
                epoch,
                ..place.clone()
            };
            let heirs = Self::after(cards, &before, &signers, &followed)?;
            signers = heirs.keys;
            followed.extend(heirs.over);
            // One that can't be read tells nothing.
            let changes = shelf.view(&before);
            let changes = changes.and_then(|view| changes_in(&view, 0));
            for (_, change) in changes.unwrap_or_default() {
                follow(&mut signers, &mut followed, &change, &heirs.origin);
            }
        }
        Self::after(cards, place, &signers, &followed)
    }
}

/// Takes in a change of the key.
fn follow(
    signers: &mut Vec<VerifierKey>,
    followed: &mut Vec<VerifierKey>,
    change: &KeyLeaf,
    origin: &str,
) {
    let Some((old, new)) = change.verified(origin) else {
        return;
    };
    if signers.contains(&old) {
        signers.retain(|key| *key != old && *key != new);
        signers.push(new);
        followed.push(old);
    }
}

/// The changes of the key in a log, from a leaf on, with their places.
pub(super) fn changes_in(view: &View, from: u64) -> Result<Vec<(u64, KeyLeaf)>, LedgerError> {
    let mut changes = Vec::new();
    let mut next = from;
    while next < view.size() {
        let leaves = view.read(next, READ_BYTES_MAX)?;
        let Some((last, _)) = leaves.last() else {
            break;
        };
        next = last.saturating_add(1);
        let found = leaves
            .iter()
            .filter_map(|(index, leaf)| Some((*index, change_in(leaf)?)));
        changes.extend(found);
    }
    Ok(changes)
}

/// The change of the key that a leaf is, if it is one.
pub(super) fn change_in(leaf: &[u8]) -> Option<KeyLeaf> {
    // Few leaves are of that kind, and to read all of them takes long.
    const KIND: &[u8] = br#""type":"key""#;
    if !leaf.windows(KIND.len()).any(|part| part == KIND) {
        return None;
    }
    let LeafBody::Key(change) = Leaf::from_bytes(leaf).ok()?.body else {
        return None;
    };
    Some(change)
}

/// The head of the epoch before that a log's first leaf cites, if it cites one; none if this is no first leaf.
pub(super) fn cited_in(first: &[u8]) -> Option<Option<PriorHead>> {
    let LeafBody::Genesis(genesis) = Leaf::from_bytes(first).ok()?.body else {
        return None;
    };
    Some(genesis.prior)
}

/// Keys that are written down; what is none is left out.
pub(super) fn parsed(keys: &[String]) -> Vec<VerifierKey> {
    keys.iter().filter_map(|key| key.parse().ok()).collect()
}
