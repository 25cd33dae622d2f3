//! Bounds of what a tally keeps, and of what it adds.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest sum: the largest integer that every reader of JSON keeps exactly (2⁵³ − 1).
pub(super) const SUM_MAX: u64 = (1 << 53) - 1;

/// Adds, up to [`SUM_MAX`].
pub(super) fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more).min(SUM_MAX);
}

/// The sum of all, up to [`SUM_MAX`].
pub(super) fn sum(all: impl IntoIterator<Item = u64>) -> u64 {
    let mut sum = 0;
    for more in all {
        add(&mut sum, more);
    }
    sum
}

/// Bytes that may still be kept.
#[derive(Clone, Debug)]
pub(super) struct Room {
    left: usize,
    is_full: bool,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            is_full: false,
        }
    }

    /// Takes room for something; says whether there was enough.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) if !self.is_full => self.left = left,
            Some(_) | None => self.is_full = true,
        }
        !self.is_full
    }

    /// Whether something was refused.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

/// Texts that come again and again, each kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    ids: BTreeMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

/// What a text takes beside its bytes: its entries in two collections.
const TEXT_BYTES: usize = 96;

impl Texts {
    /// The number of a text; none where there is no room for a new one.
    pub(super) fn id(&mut self, text: &str, room: &mut Room) -> Option<u32> {
        if let Some(id) = self.find(text) {
            return Some(id);
        }
        let id = u32::try_from(self.texts.len()).ok()?;
        if !room.take(text.len() + TEXT_BYTES) {
            return None;
        }
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.ids.insert(text, id);
        Some(id)
    }

    /// The number of a text that is known.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// A text by its number.
    pub(super) fn text(&self, id: u32) -> &str {
        let text = usize::try_from(id).ok().and_then(|id| self.texts.get(id));
        text.map_or("", |text| text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Room, SUM_MAX, Texts, add, sum};

    #[test]
    fn sums_stay_what_json_can_say() {
        let mut total = SUM_MAX - 1;
        add(&mut total, 1);
        assert_eq!(total, 9_007_199_254_740_991);
        add(&mut total, u64::MAX);
        assert_eq!(total, SUM_MAX);
        assert_eq!(sum([u64::MAX, 7]), SUM_MAX);
    }

    #[test]
    fn what_has_no_room_is_refused_for_good() {
        let mut room = Room::new(200);
        let mut texts = Texts::default();
        assert_eq!(texts.id("a", &mut room), Some(0));
        assert_eq!(texts.id("b", &mut room), Some(1));
        assert_eq!(texts.id("a", &mut room), Some(0));
        assert_eq!(texts.id("c", &mut room), None);
        assert!(room.is_full() && !room.take(0));
        assert_eq!(texts.id("b", &mut room), Some(1));
        assert_eq!((texts.text(1), texts.text(7)), ("b", ""));
    }
}
