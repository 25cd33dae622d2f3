//! The kernel's word on the wall clock, kept up to date on a thread of its own: asking may take a while.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

use crate::clock::{Clock, Discipline, discipline};

/// How often the kernel is asked. Its own judgement changes over minutes.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// How often it is looked whether anybody still listens.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the kernel says now, and from now on, until nobody listens any more.
pub(super) fn watch_discipline(clock: Arc<dyn Clock>) -> io::Result<watch::Receiver<Discipline>> {
    let (sender, receiver) = watch::channel(discipline(clock.now()));
    thread::Builder::new()
        .name("clock".to_owned())
        .spawn(move || {
            let mut asked = Instant::now();
            while !sender.is_closed() {
                thread::park_timeout(LOOK_EVERY);
                if asked.elapsed() >= ASK_EVERY {
                    asked = Instant::now();
                    let word = discipline(clock.now());
                    sender.send_if_modified(|said| {
                        let changed = *said != word;
                        *said = word;
                        changed
                    });
                }
            }
        })?;
    Ok(receiver)
}
