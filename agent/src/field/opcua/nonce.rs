//! The nonce that a session is proved by, kept apart from the channel's.
//!
//! The crate keeps both in one place: each new channel's nonce overwrites the session's, so that the
//! server refuses to take the session back after a lost connection, and keeps it as a dead one until
//! it times out. What changes while messages are taken in is a channel's nonce, and is needed no more
//! once its keys are made; what changes in between is the session's. This puts the latter back.

use std::sync::{Arc, Mutex, PoisonError};

use opcua::client::transport::{SecureChannelState, Transport, TransportPollResult};

/// The nonces of one session, over all its channels.
#[derive(Default)]
pub(super) struct Nonces {
    seen: Vec<u8>,
    session: Option<Vec<u8>>,
}

impl Nonces {
    /// Takes what lies there before messages are taken in.
    fn before(&mut self, present: &[u8]) {
        if present != self.seen {
            self.seen = present.to_vec();
            self.session = Some(present.to_vec());
        }
    }

    /// Takes what lies there after messages were taken in, and gives what should.
    fn after(&mut self, present: &[u8]) -> Option<&[u8]> {
        if present == self.seen {
            return None;
        }
        match &self.session {
            Some(session) => {
                self.seen.clone_from(session);
                Some(session)
            }
            None => {
                self.seen = present.to_vec();
                None
            }
        }
    }
}

/// A connection that leaves the session's nonce where the crate looks for it.
pub(super) struct Kept<T> {
    inner: T,
    channel: Arc<SecureChannelState>,
    nonces: Arc<Mutex<Nonces>>,
}

impl<T> Kept<T> {
    pub(super) fn new(
        inner: T,
        channel: Arc<SecureChannelState>,
        nonces: Arc<Mutex<Nonces>>,
    ) -> Self {
        let kept = Self {
            inner,
            channel,
            nonces,
        };
        kept.before();
        kept
    }

    fn before(&self) {
        let channel = self.channel.secure_channel().read();
        self.nonces().before(channel.remote_nonce());
    }

    fn after(&self) {
        let mut channel = self.channel.secure_channel().write();
        let mut nonces = self.nonces();
        if let Some(nonce) = nonces.after(channel.remote_nonce()) {
            channel.set_remote_nonce(nonce);
        }
    }

    fn nonces(&self) -> std::sync::MutexGuard<'_, Nonces> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> Transport for Kept<T> {
    async fn poll(&mut self) -> TransportPollResult {
        self.before();
        let result = self.inner.poll().await;
        self.after();
        result
    }

    fn connected_url(&self) -> &str {
        self.inner.connected_url()
    }
}

#[cfg(test)]
mod tests {
    use super::Nonces;

    #[test]
    fn a_channels_nonce_never_displaces_the_sessions() {
        let mut nonces = Nonces::default();
        nonces.before(b"");
        assert_eq!(nonces.after(b"channel 1"), None);
        nonces.before(b"channel 1");
        assert_eq!(nonces.after(b"channel 1"), None);
        // Between two polls: the session was made, then activated.
        nonces.before(b"made");
        assert_eq!(nonces.after(b"made"), None);
        nonces.before(b"activated");
        // A renewed channel, and a new one after a lost connection.
        for channel in [b"channel 2", b"channel 3"] {
            assert_eq!(nonces.after(channel), Some(b"activated".as_slice()));
            nonces.before(b"activated");
        }
        // A new session after the server forgot the old one.
        nonces.before(b"made anew");
        assert_eq!(nonces.after(b"channel 4"), Some(b"made anew".as_slice()));
    }
}
