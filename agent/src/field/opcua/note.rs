//! What a subscription says, as it comes: taken off the session's own loop at once, so that nothing
//! here ever holds that up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::types::{
    DataChangeNotification, DataValue, NotificationMessage, StatusChangeNotification, StatusCode,
};
use tokio::sync::mpsc;

use super::plan::ITEMS_MAX;
use super::wanted::{Handle, Key};
use super::work::QUEUE_SIZE;
use crate::clock::{Clock, Stamp};

/// Messages that may wait for the link, each of at most [`VALUES_MAX`] values: a second of ten busy
/// subscriptions. What finds no room is a gap that the next message's number shows.
pub(super) const NOTES_MAX: usize = 128;

/// Values in one message at most: all that a full subscription's queues hold. Not every server heeds
/// [`Rhythm::message_values`](super::item::Rhythm::message_values), and none has more to tell.
const VALUES_MAX: usize = ITEMS_MAX * QUEUE_SIZE as usize;

/// A message of a subscription.
#[derive(Debug)]
pub(super) struct Note {
    /// Whose it is.
    pub key: Key,
    /// When the gateway received it.
    pub at: Stamp,
    /// What it says.
    pub message: NotificationMessage,
}

impl Note {
    /// Whether it carries anything; a keep-alive does not.
    pub(super) fn is_full(&self) -> bool {
        let data = self.message.notification_data.as_ref();
        data.is_some_and(|data| !data.is_empty())
    }

    /// Whether it carries more than was asked for.
    pub(super) fn is_overfull(&self) -> bool {
        let data = self.message.notification_data.iter().flatten();
        let values = data.map(|data| {
            let change = data.inner_as::<DataChangeNotification>();
            let items = change.and_then(|change| change.monitored_items.as_ref());
            items.map_or(0, Vec::len)
        });
        values.sum::<usize>() > VALUES_MAX
    }

    /// The values that it carries, and the code by which the server ends or moves the subscription, if
    /// it does.
    pub(super) fn open(self) -> (Vec<(Handle, DataValue)>, Option<StatusCode>) {
        let (mut values, mut changed) = (Vec::new(), None);
        for data in self.message.notification_data.into_iter().flatten() {
            if let Some(change) = data.inner_as::<StatusChangeNotification>() {
                changed = Some(change.status);
            } else if let Some(change) = data.into_inner_as::<DataChangeNotification>() {
                let items = change.monitored_items.into_iter().flatten();
                values.extend(items.map(|item| (item.client_handle, item.value)));
            }
        }
        (values, changed)
    }
}

/// Where a session's loop leaves the messages of one subscription.
pub(super) struct Ear {
    /// Whose messages.
    pub key: Key,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where they go.
    pub notes: mpsc::Sender<Note>,
    /// How many found no room or were too long.
    pub spilled: Arc<AtomicU64>,
}

impl Ear {
    fn hear(&self, message: NotificationMessage) {
        let note = Note {
            key: self.key,
            at: self.clock.now(),
            message,
        };
        if note.is_overfull() || self.notes.try_send(note).is_err() {
            self.spilled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl OnSubscriptionNotificationCore for Ear {
    fn on_subscription_notification(
        &mut self,
        message: NotificationMessage,
        _items: MonitoredItemMap<'_>,
    ) {
        self.hear(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use opcua::types::{DateTime, ExtensionObject, MonitoredItemNotification};

    #[test]
    fn a_message_with_more_than_was_asked_for_is_dropped() {
        let (notes, mut heard) = mpsc::channel(4);
        let spilled = Arc::<AtomicU64>::default();
        let ear = Ear {
            key: Key(1),
            clock: Arc::new(SystemClock),
            notes,
            spilled: Arc::clone(&spilled),
        };
        for (count, dropped) in [(0, 0), (VALUES_MAX, 0), (VALUES_MAX + 1, 1)] {
            // In two parts.
            let part = |count| {
                let items = vec![MonitoredItemNotification::default(); count];
                ExtensionObject::from_message(DataChangeNotification {
                    monitored_items: Some(items),
                    diagnostic_infos: None,
                })
            };
            let message = NotificationMessage {
                sequence_number: 1,
                publish_time: DateTime::null(),
                notification_data: Some(vec![part(count / 2), part(count - count / 2)]),
            };
            ear.hear(message);
            assert_eq!(spilled.load(Ordering::Relaxed), dropped, "{count}");
            assert_eq!(heard.try_recv().is_ok(), dropped == 0, "{count}");
        }
    }
}
