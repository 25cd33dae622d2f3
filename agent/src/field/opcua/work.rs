//! Does a piece of work at a server: makes and deletes subscriptions and items. Nothing else is ever
//! changed there, and these are our own.
//!
//! Each request is bounded by the server's `timeout`.

use std::sync::Arc;
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{
    Error, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, StatusCode,
    TimestampsToReturn,
};

use super::item::{Item, Namespaces};
use super::note::Ear;
use super::pieces::Pieces;
use super::wanted::{Given, Handle, Work, Worked, is_unclear};

/// Items in one request at most: an answer for so many is quick. A server that limits it further is
/// asked for fewer at once.
const ITEMS_A_REQUEST: usize = 500;

/// Values of an item that the server keeps between two messages.
pub(super) const QUEUE_SIZE: u32 = 10;

/// For how long a server keeps a subscription that is not listened to, in keep-alives: little more
/// than the least that the standard allows, so that a lost one soon goes.
const LIFETIME_KEEP_ALIVES: u32 = 4;

/// The least lifetime in publishing intervals' time: a short pause of the network must not cost the
/// subscription.
const LIFETIME_MIN: Duration = Duration::from_secs(15);

/// Where the work is done.
#[derive(Clone)]
pub(super) struct Bench {
    /// The session.
    pub session: Arc<Session>,
    /// The server's namespaces.
    pub namespaces: Arc<Namespaces>,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Bench {
    /// Waits for an answer at most as long as the server may take.
    ///
    /// # Errors
    ///
    /// The status of what failed; `BadTimeout` where nothing came.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StatusCode> {
        // The library has the same limit for an answer, but waits for room to send, too.
        let answer = tokio::time::timeout(2 * self.timeout, call).await;
        let answer = answer.map_err(|_| StatusCode::BadTimeout)?;
        answer.map_err(|error| error.status())
    }

    /// Does the work; what the subscription says goes to `ear`.
    pub(super) async fn work(self, work: Work, ear: Ear) -> Worked {
        let key = work.key;
        if work.is_over {
            if let Some(id) = work.id {
                self.forget(id).await;
            }
            let items = Vec::new();
            return Worked {
                key,
                id: None,
                items,
            };
        }
        let refuse = |status| {
            let coming = work.coming.iter();
            coming
                .map(move |(handle, _)| (*handle, Err(status)))
                .collect()
        };
        let id = match work.id {
            Some(id) => id,
            None => match self.subscribe(&work, ear).await {
                Ok(id) => id,
                Err(status) => {
                    let items = refuse(status);
                    return Worked {
                        key,
                        id: None,
                        items,
                    };
                }
            },
        };
        if self.delete(id, &work.leaving).await == Err(StatusCode::BadSubscriptionIdInvalid) {
            let items = refuse(StatusCode::BadSubscriptionIdInvalid);
            return Worked {
                key,
                id: None,
                items,
            };
        }
        match self.make(id, work.coming).await {
            Ok(items) => {
                let id = Some(id);
                Worked { key, id, items }
            }
            // It may have made them, and they could never be deleted: all of it is made anew.
            Err(items) => {
                self.forget(id).await;
                let id = None;
                Worked { key, id, items }
            }
        }
    }

    /// Deletes a subscription. A server that does not forgets it when it is not listened to.
    pub(super) async fn forget(&self, id: u32) {
        drop(self.ask(self.session.delete_subscriptions(&[id])).await);
    }

    async fn subscribe(&self, work: &Work, ear: Ear) -> Result<u32, StatusCode> {
        let rhythm = work.rhythm;
        let session = &self.session;
        let making = session.create_subscription(
            rhythm.publish,
            lifetime(rhythm.publish, rhythm.keep_alive),
            rhythm.keep_alive,
            rhythm.message_values(),
            0,
            true,
            ear,
        );
        let id = self.ask(making).await?;
        if let Some((publish, speaks)) = self.revised(id) {
            // Where it publishes less often than asked, it must be heard as often as can be.
            let keep_alive = intervals(rhythm.promised(), publish).max(1);
            if speaks > rhythm.promised() && publish.saturating_mul(keep_alive) < speaks {
                let (lifetime, values) = (lifetime(publish, keep_alive), rhythm.message_values());
                let changing =
                    session.modify_subscription(id, publish, lifetime, keep_alive, values, 0);
                // Otherwise it speaks as seldom as it said.
                self.ask(changing).await.unwrap_or_default();
            }
        }
        Ok(id)
    }

    /// How often the server publishes a subscription, and how often it speaks at least, as it said.
    pub(super) fn revised(&self, id: u32) -> Option<(Duration, Duration)> {
        let state = self.session.subscription_state().lock();
        let one = state.get(id)?;
        let publish = one.publishing_interval();
        Some((publish, publish.saturating_mul(one.max_keep_alive_count())))
    }

    async fn delete(&self, id: u32, items: &[u32]) -> Result<(), StatusCode> {
        let mut pieces = Pieces::of(items, ITEMS_A_REQUEST);
        while let Some(piece) = pieces.next() {
            // An item that is gone already is as good as deleted.
            let deleting = self.session.delete_monitored_items(id, piece);
            if let Err(status) = self.ask(deleting).await {
                if !pieces.halve(status) {
                    return Err(status);
                }
            }
        }
        Ok(())
    }

    /// Makes items.
    ///
    /// # Errors
    ///
    /// The server gave no clear answer: those that it may have made or not.
    async fn make(&self, id: u32, coming: Vec<(Handle, Item)>) -> Result<Items, Items> {
        let (mut results, mut requests) = (Vec::new(), Vec::new());
        for (handle, item) in coming {
            match item.node(&self.namespaces) {
                Ok(node) => requests.push(MonitoredItemCreateRequest {
                    item_to_monitor: node,
                    monitoring_mode: MonitoringMode::Reporting,
                    requested_parameters: MonitoringParameters {
                        client_handle: handle,
                        sampling_interval: item.sampling.as_secs_f64() * 1_000.0,
                        queue_size: QUEUE_SIZE,
                        discard_oldest: true,
                        ..MonitoringParameters::default()
                    },
                }),
                Err(status) => results.push((handle, Err(status))),
            }
        }
        let mut pieces = Pieces::of(&requests, ITEMS_A_REQUEST);
        while let Some(piece) = pieces.next() {
            let handles = piece
                .iter()
                .map(|one| one.requested_parameters.client_handle);
            let session = &self.session;
            let making =
                session.create_monitored_items(id, TimestampsToReturn::Both, piece.to_vec());
            match self.ask(making).await {
                Ok(made) => {
                    let made = made.iter().map(|made| &made.result);
                    let made = made.map(|made| match made.status_code.is_good() {
                        true => Ok(Given {
                            id: made.monitored_item_id,
                            sampling: millis(made.revised_sampling_interval),
                        }),
                        false => Err(made.status_code),
                    });
                    // A server that answers for fewer than asked has not made the rest.
                    let missing = std::iter::repeat(Err(StatusCode::BadUnknownResponse));
                    results.extend(handles.zip(made.chain(missing)));
                }
                Err(status) if is_unclear(status) => {
                    return Err(handles.map(|handle| (handle, Err(status))).collect());
                }
                Err(status) if pieces.halve(status) => {}
                Err(status) => results.extend(handles.map(|handle| (handle, Err(status)))),
            }
        }
        Ok(results)
    }
}

/// Items, and what became of them.
type Items = Vec<(Handle, Result<Given, StatusCode>)>;

/// A server's time in milliseconds; none where it is no time.
fn millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or(Duration::ZERO)
}

/// The lifetime to ask for, in publishing intervals.
fn lifetime(publish: Duration, keep_alive: u32) -> u32 {
    let of_words = keep_alive.saturating_mul(LIFETIME_KEEP_ALIVES);
    of_words.max(intervals(LIFETIME_MIN, publish))
}

/// How many whole intervals a time holds.
fn intervals(time: Duration, interval: Duration) -> u32 {
    let count = time.as_nanos() / interval.as_nanos().max(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}
