//! Waiting for the signals by which people and systems end a program.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// The signals that end a foreground command, listened to from the moment this is made.
pub(super) struct Interrupt {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Interrupt {
    /// Begins to listen for Ctrl-C, SIGTERM and the terminal's hang-up. Must be called in a runtime.
    ///
    /// # Errors
    ///
    /// The signals can't be listened to.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    /// Waits for the first of them.
    pub(super) async fn come(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
