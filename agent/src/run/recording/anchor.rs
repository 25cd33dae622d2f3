//! Anchors: a leaf that names the newest cosignature, so that what stands behind it was written after that.
//!
//! A cosignature comes before the next head, an anchor after it: together they say from both sides when leaves were
//! written. An anchor leads to a checkpoint, that to a cosignature, so that one an hour goes on by itself on an idle
//! gateway, too; and stops where no witness answers.

use lineside_proto::ledger::LeafBody;

use super::{Pace, Recording};
use crate::logs::chain;

impl Recording {
    /// Writes an anchor if one is due.
    pub(super) fn anchor(&mut self, pace: &mut Pace) {
        let now = self.clock.now();
        let Some(anchor) = self.stores.ledger.anchor(now) else {
            return;
        };
        self.write(vec![LeafBody::Anchor(anchor.clone())], pace);
        if pace.failed.is_some() {
            return;
        }
        if let Err(error) = self.stores.ledger.anchored(&anchor, now) {
            tracing::warn!(
                error = chain(&error),
                "the next start may name a cosignature again"
            );
        }
    }
}
