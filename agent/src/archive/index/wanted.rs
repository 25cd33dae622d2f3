//! Whether an answer is still waited for.

use std::time::Instant;

use tokio::time::sleep_until;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Whether an answer is still waited for.
#[derive(Clone, Debug)]
pub struct Wanted {
    gone: CancellationToken,
    until: Instant,
}

/// Somebody waits for an answer, as long as this is there.
#[derive(Debug)]
pub struct Waits {
    _here: DropGuard,
}

impl Wanted {
    /// Until then at most, and as long as what it gives beside is there.
    pub fn until(until: Instant) -> (Self, Waits) {
        let gone = CancellationToken::new();
        let here = gone.clone().drop_guard();
        (Self { gone, until }, Waits { _here: here })
    }

    /// Whether nobody waits any more, or the time is over.
    pub fn is_over(&self) -> bool {
        self.gone.is_cancelled() || Instant::now() >= self.until
    }

    /// Waits for that.
    pub(super) async fn over(&self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = sleep_until(self.until.into()) => {}
        }
    }
}
