//! What a subscription says, as it comes: taken off the session's own loop at once, so that nothing
//! here ever holds that up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::types::{
    DataChangeNotification, DataValue, NotificationMessage, StatusChangeNotification, StatusCode,
};
use tokio::sync::mpsc;

use super::wanted::{Handle, Key};
use crate::clock::{Clock, Stamp};

/// Messages that may wait for the link, each of at most
/// [`MESSAGE_VALUES_MAX`](super::work::MESSAGE_VALUES_MAX) values: a second of ten busy subscriptions.
/// What finds no room is a gap that the next message's number shows.
pub(super) const NOTES_MAX: usize = 128;

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
    /// How many found no room.
    pub spilled: Arc<AtomicU64>,
}

impl OnSubscriptionNotificationCore for Ear {
    fn on_subscription_notification(
        &mut self,
        message: NotificationMessage,
        _items: MonitoredItemMap<'_>,
    ) {
        let note = Note {
            key: self.key,
            at: self.clock.now(),
            message,
        };
        if self.notes.try_send(note).is_err() {
            self.spilled.fetch_add(1, Ordering::Relaxed);
        }
    }
}
