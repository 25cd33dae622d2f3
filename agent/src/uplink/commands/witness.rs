//! What witnesses say of the ledger.

use std::time::Instant;

use tokio::task;
use tracing::{debug, error, warn};

use super::super::mqtt::subscriber::Message;
use super::Commands;
use crate::ledger::Witnessed;
use crate::logs::chain;

impl Commands {
    /// Hands a cosignature to the ledger. One after the other: whoever floods the topic slows this connection down, and
    /// fills nothing.
    pub(super) async fn cosigned(&mut self, message: Message) {
        let Some(ledger) = self.witnessed.clone() else {
            return self.ignore(&message.topic, "nobody asked for it");
        };
        if message.payload.is_empty() {
            // A retained one was cleared.
            return;
        }
        let Ok(note) = String::from_utf8(message.payload) else {
            return self.unfit(&message.topic, "it is no text");
        };
        // Proofs are read from the disk, and what counts is written there.
        let taken = task::spawn_blocking(move || ledger.cosign(&note)).await;
        match taken {
            Ok(Ok(Witnessed::More)) => {
                self.figures
                    .send_modify(|figures| figures.cosignatures += 1);
            }
            Ok(Ok(Witnessed::Known | Witnessed::Conflict | Witnessed::Disputed)) => {}
            Ok(Ok(Witnessed::Earlier)) => debug!("a cosignature is of an epoch that was given up"),
            Ok(Ok(Witnessed::Foreign(why))) => self.unfit(&message.topic, why),
            // The recorder meets the same disk, and decides what that means.
            Ok(Err(fault)) => error!(error = chain(&fault), "a cosignature can't be taken in"),
            Err(_) => error!("taking in a cosignature panicked"),
        }
    }

    fn unfit(&mut self, topic: &str, reason: &str) {
        self.figures.send_modify(|figures| figures.ignored += 1);
        if let Some(count) = self.unfit.again(Instant::now()) {
            warn!(topic, count, "a cosignature was ignored: {reason}");
        }
    }
}
