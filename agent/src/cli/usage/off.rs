//! Gateways that are off: the city's archive may answer for them, whoever asks over the broker.
//!
//! Bounds: one that nobody answers for is waited for `SILENCE_MAX`, all of them together `WHOLE_MAX`; when an archive falls
//! silent that had begun to answer, `LOST_MAX` of its gateways are waited for.

use futures_util::{StreamExt, stream};
use lineside_proto::Identifier;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

use crate::cli::Failure;
use crate::evidence::inquiry::Rhythm;
use crate::text;

/// How long is waited for somebody who answers for one gateway. An archive reads a few files for it.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// And for all of them together.
const WHOLE_MAX: Duration = Duration::from_secs(300);
/// Gateways one after the other of which nothing comes any more though somebody answered for them; then no others are tried.
const LOST_MAX: u32 = 3;
/// How long an archive may put off a question, or fall silent: it does neither for long.
const GIVE_UP: Duration = Duration::from_secs(60);

type Name = (Identifier, Identifier);

/// Those of these gateways for which somebody answers, so many asked for at once.
pub(super) async fn answered(
    off: Vec<Name>,
    window: usize,
    ask: impl AsyncFn(&Name, Duration) -> bool,
) -> BTreeSet<Name> {
    let end = Instant::now() + WHOLE_MAX;
    let ask = &ask;
    let asked = off.into_iter().map(|gateway| async move {
        let patience = end.saturating_duration_since(Instant::now());
        let patience = patience.min(SILENCE_MAX);
        let is_answered = !patience.is_zero() && ask(&gateway, patience).await;
        is_answered.then_some(gateway)
    });
    let asked = stream::iter(asked).buffer_unordered(window.max(1));
    asked.filter_map(async |gateway| gateway).collect().await
}

/// How patiently an archive is asked for them.
pub(super) fn rhythm(usual: Rhythm) -> Rhythm {
    Rhythm {
        give_up: GIVE_UP,
        give_up_unheard: GIVE_UP,
        ..usual
    }
}

/// Whether others are still tried, after so many of which nothing came.
#[derive(Debug, Default)]
pub(super) struct Lost(u32);

impl Lost {
    pub(super) fn is_over(&self) -> bool {
        self.0 >= LOST_MAX
    }

    /// Takes in how it went with one.
    pub(super) fn note(&mut self, done: &Result<(), Failure>) {
        let is_lost = matches!(done, Err(Failure::Unreachable(_)));
        self.0 = if is_lost { self.0.saturating_add(1) } else { 0 };
    }
}

/// Nobody answers for one.
pub(super) fn failure() -> Failure {
    Failure::Unreachable(text!(
        "it is offline, and nobody answers for it: ask again when it is back, or ask the city's archive itself, by --archive DIR or URL",
        "离线，且没有存证库代为应答：请待其恢复后再取，或用 --archive 目录或网址 直接向城市存证库索取"
    ))
}

#[cfg(test)]
mod tests {
    use super::{LOST_MAX, Lost, Name, SILENCE_MAX, WHOLE_MAX, answered, failure};
    use std::cell::Cell;
    use tokio::time::{self, Instant};

    fn names(count: usize) -> Vec<Name> {
        let name = |number| {
            let gateway = format!("g{number}").parse().unwrap();
            ("zs".parse().unwrap(), gateway)
        };
        (0..count).map(name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_off_is_asked_for_within_a_bound() {
        // Strangers first, of whom no archive knows.
        let off = names(200);
        let known: Vec<Name> = off.iter().skip(100).cloned().collect();
        let (now, most) = (Cell::new(0_usize), Cell::new(0_usize));
        let begun = Instant::now();
        let found = answered(off.clone(), 4, async |gateway, patience| {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            let is_known = known.contains(gateway);
            if !is_known {
                time::sleep(patience).await;
            }
            now.set(now.get() - 1);
            is_known
        });
        assert_eq!(found.await, known.iter().cloned().collect());
        assert!(begun.elapsed() <= SILENCE_MAX * 26, "{:?}", begun.elapsed());
        assert_eq!(most.get(), 4);
        // Nobody answers at all.
        let begun = Instant::now();
        let silent = answered(names(10_000), 4, async |_, patience| {
            time::sleep(patience).await;
            false
        });
        assert!(silent.await.is_empty());
        assert!(begun.elapsed() <= WHOLE_MAX + SILENCE_MAX);
    }

    #[test]
    fn an_archive_that_falls_silent_is_not_waited_for_again_and_again() {
        let mut lost = Lost::default();
        for _ in 1..LOST_MAX {
            lost.note(&Err(failure()));
        }
        lost.note(&Ok(()));
        for _ in 0..LOST_MAX {
            assert!(!lost.is_over());
            lost.note(&Err(failure()));
        }
        assert!(lost.is_over());
    }
}
