//! Waiting on a condition, with a limit. The only place in the tests where time passes by itself.

use anyhow::{Result, bail};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at: short beside everything that is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `probe` gives something.
///
/// # Errors
///
/// After `limit`, naming `what` was waited for; or at once with the probe's own error.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {limit:?} in vain: {what}");
        }
        thread::park_timeout(LOOK);
    }
}

/// Waits until `probe` is true.
///
/// # Errors
///
/// After `limit`, naming `what` was waited for.
pub fn until_true(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
    until(what, limit, || Ok(probe().then_some(())))
}

/// Lets a span of time pass in which something must *not* happen, looking all the while.
///
/// # Errors
///
/// As soon as `probe` gives the error that says what happened.
pub fn throughout(span: Duration, mut probe: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + span;
    while Instant::now() < end {
        probe()?;
        thread::park_timeout(LOOK);
    }
    probe()
}

/// Milliseconds on the boot clock, the one clock that all processes of a test share.
pub fn boot_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}
