//! Drives the loop of a session in a task of its own, so that nothing holds it up, and tells what
//! matters of it.

use std::sync::Arc;

use futures_util::StreamExt;
use opcua::client::{Session, SessionConnectMode, SessionPollResult, SubscriptionActivity};
use opcua::types::StatusCode;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::connector::Connector;
use super::fault::OpcFault;
use super::session::{Events, Opened};

/// Turns that may wait to be taken: more than a reconnect brings.
const TURNS_MAX: usize = 16;

/// What happens to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The connection is lost; the loop makes another.
    Cut(StatusCode),
    /// Another connection was tried in vain.
    Failed(StatusCode),
    /// There is a connection again, and the server has taken the session back.
    Resumed,
    /// There is a connection again, with a session that knows nothing of the one before.
    Replaced,
    /// The server says that it has no subscription of ours.
    Forgotten,
    /// The session is over.
    Over,
}

/// A session that is driven. Its connection is dropped with this.
pub(super) struct Driven {
    /// The session.
    pub session: Arc<Session>,
    /// What happens to it.
    pub turns: mpsc::Receiver<Turn>,
    connector: Connector,
    _task: AbortOnDropHandle<()>,
}

impl Driven {
    /// Drives a session from now on.
    pub(super) fn new(opened: Opened) -> Self {
        let Opened {
            session,
            events,
            connector,
        } = opened;
        let (sender, turns) = mpsc::channel(TURNS_MAX);
        let task = tokio::spawn(drive(events, Arc::clone(&session), sender));
        Self {
            session,
            turns,
            connector,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

impl Driven {
    /// Why the connection was lost, by the status that the library gives for it.
    pub(super) fn why(&self, status: StatusCode) -> OpcFault {
        let broken = self.connector.broken();
        broken.unwrap_or_else(|| OpcFault::of_status(status))
    }
}

async fn drive(mut events: Events, session: Arc<Session>, turns: mpsc::Sender<Turn>) {
    while let Some(event) = events.next().await {
        let turn = match event {
            Ok(SessionPollResult::ConnectionLost(status)) => Turn::Cut(status),
            Ok(SessionPollResult::ReconnectFailed(status)) => Turn::Failed(status),
            Ok(SessionPollResult::Reconnected(mode)) => {
                // Without this the loop waits for ever: it takes the subscriptions for served.
                session.trigger_publish_now();
                match mode {
                    SessionConnectMode::ReactivatedSession(_) => Turn::Resumed,
                    SessionConnectMode::NewSession(_) => Turn::Replaced,
                }
            }
            Ok(SessionPollResult::Subscription(SubscriptionActivity::PublishFailed(
                StatusCode::BadNoSubscription,
            ))) => Turn::Forgotten,
            Ok(_) => continue,
            Err(_) => break,
        };
        if turns.send(turn).await.is_err() {
            return;
        }
    }
    // Nobody may be listening any more.
    turns.send(Turn::Over).await.unwrap_or_default();
}
