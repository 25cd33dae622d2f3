//! The thread at the desk: passes, one after the other.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{self, Instant};

use super::desk::{Desk, Output};
use super::run::{Batch, PASS_MAX};
use crate::clock::{Clock, SystemClock};
use crate::logs::chain;
use crate::uplink::mqtt::intake::Outlet;

/// A pass is made at least this often, so that what is due is done.
const TICK: Duration = Duration::from_millis(250);
/// From the beginning of one pass to that of the next at least: each looks at every gateway, and waits for the disk. What
/// comes within that time shares both.
const GAP: Duration = Duration::from_millis(50);
/// How long a desk rests whose disk refuses, before what it could not keep comes again.
const REST: Duration = Duration::from_secs(5);
/// A pass takes seconds on a slow disk. After so long the service manager had better start the archive anew.
pub(super) const STALL_MAX: Duration = Duration::from_secs(600);
/// How often is looked whether the desk goes on.
const STALL_LOOK: Duration = Duration::from_secs(15);

/// Who sits at the desk.
struct Seat {
    desk: Desk,
    /// When it went on last.
    beat: watch::Sender<Instant>,
    outlet: Outlet,
    waiting: mpsc::Receiver<Batch>,
    outputs: mpsc::Sender<Output>,
    runtime: Handle,
}

/// By this is seen whether the desk goes on.
pub(super) struct Seated {
    beats: watch::Receiver<Instant>,
    ended: oneshot::Receiver<()>,
}

/// Seats somebody at the desk, on a thread of its own, until nobody brings anything any more. Within a runtime.
///
/// # Errors
///
/// No thread can be had.
pub(super) fn take(
    desk: Desk,
    outlet: Outlet,
    waiting: mpsc::Receiver<Batch>,
    outputs: mpsc::Sender<Output>,
) -> io::Result<Seated> {
    let (ended, desk_ended) = oneshot::channel();
    let (beat, beats) = watch::channel(Instant::now());
    let seat = Seat {
        desk,
        beat,
        outlet,
        waiting,
        outputs,
        runtime: Handle::current(),
    };
    thread::Builder::new()
        .name("archive".to_owned())
        .spawn(move || {
            seat.work();
            if ended.send(()).is_err() {
                tracing::debug!("nobody waits for the desk any more");
            }
        })?;
    let ended = desk_ended;
    Ok(Seated { beats, ended })
}

impl Seated {
    /// Waits until the desk goes on no more: it has ended, or (true) stands still for too long.
    pub(super) async fn ended(mut self) -> bool {
        loop {
            match time::timeout(STALL_LOOK, &mut self.ended).await {
                Ok(_) => return false,
                Err(_) if self.beats.borrow().elapsed() >= STALL_MAX => return true,
                Err(_) => {}
            }
        }
    }
}

impl Seat {
    /// Waits until the next pass may begin, and adds what has come by then.
    fn more(&mut self, mut batch: Batch, begun: Instant) -> Batch {
        thread::sleep(GAP.saturating_sub(begun.elapsed()));
        while batch.inputs.len() < PASS_MAX {
            match self.waiting.try_recv() {
                Ok(next) => batch.add(next),
                Err(_) => break,
            }
        }
        batch
    }

    fn work(mut self) {
        let clock = SystemClock;
        let mut begun = Instant::now();
        loop {
            self.beat.send_replace(Instant::now());
            let next = self
                .runtime
                .block_on(async { time::timeout(TICK, self.waiting.recv()).await });
            let batch = match next {
                Ok(Some(batch)) => self.more(batch, begun),
                Ok(None) => return,
                Err(_) => Batch::default(),
            };
            begun = Instant::now();
            match self.desk.pass(batch.inputs, clock.now()) {
                Ok(outputs) => {
                    self.outlet.acknowledge(batch.tickets);
                    for output in outputs {
                        if self.outputs.blocking_send(output).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    tracing::error!("nothing can be kept for now: {}", chain(&error));
                    self.outlet.reconnect();
                    thread::sleep(REST);
                }
            }
        }
    }
}
