//! One connection's hands at a store: reads ahead, and keeps the delivered mark. The disk is waited for
//! on other threads, one read and one write at a time.

use std::future;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{self, JoinHandle};
use tracing::{debug, error};

use super::queue::{Queue, READ_BYTES_MAX};
use super::store::Store;
use crate::logs::chain;

/// How long to leave a store alone that could not be read or written.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(10);

/// What a read of a store gave: from where, up to which durable end, and what.
struct Read<S: Store> {
    from: u64,
    end: u64,
    items: Result<Vec<(u64, S::Item)>, S::Error>,
}

/// What a store has done. To be taken in by [`Feed::take_in`].
pub(super) struct Done<S: Store>(Deed<S>);

enum Deed<S: Store> {
    /// A read ended; none if it panicked.
    Read(Option<Read<S>>),
    /// The mark is durable, or not; none if that panicked.
    Noted(Option<Result<(), S::Error>>),
    /// More is durable.
    Grown,
}

/// A store's part in one connection.
pub(super) struct Feed<S: Store> {
    store: S,
    durable: watch::Receiver<u64>,
    reading: Option<JoinHandle<Read<S>>>,
    noting: Option<JoinHandle<Result<(), S::Error>>>,
    /// The mark that was made durable last.
    mark_noted: u64,
    /// What the store was told last.
    mark: u64,
    /// Why it could not be read last, in words.
    fault: Option<String>,
}

impl<S: Store> Feed<S> {
    /// Begins where the store says that a new connection does.
    pub(super) fn new(store: S) -> (Self, Queue<S::Item>) {
        let mut durable = store.durable();
        let end = S::end(*durable.borrow_and_update());
        // A mark beyond the end is a restored store's: what is there is said again.
        let mark = store.begin().min(end);
        let feed = Self {
            store,
            durable,
            reading: None,
            noting: None,
            mark_noted: mark,
            mark,
            fault: None,
        };
        (feed, Queue::new(mark, end))
    }

    /// Begins to read, if the queue wants more.
    pub(super) fn work(&mut self, queue: &Queue<S::Item>) {
        if self.reading.is_some() {
            return;
        }
        if let Some(from) = queue.wanted(Instant::now()) {
            let store = self.store.clone();
            let end = S::end(*self.durable.borrow());
            self.reading = Some(task::spawn_blocking(move || Read {
                from,
                end,
                items: store.read(from, READ_BYTES_MAX),
            }));
        }
    }

    /// Waits until the store has done something. May be given up and called again.
    pub(super) async fn done(&mut self) -> Done<S> {
        Done(tokio::select! {
            read = finished(&mut self.reading) => Deed::Read(read),
            noted = finished(&mut self.noting) => Deed::Noted(noted),
            () = changed(&mut self.durable) => Deed::Grown,
        })
    }

    /// Hands what the store has done to the queue.
    pub(super) fn take_in(&mut self, done: Done<S>, queue: &mut Queue<S::Item>) {
        match done.0 {
            Deed::Read(Some(read)) => match read.items {
                Ok(items) => {
                    queue.read(read.from, read.end, items);
                    self.fault = None;
                }
                Err(fault) => self.failed(&chain(&fault), queue),
            },
            Deed::Read(None) => self.failed("reading it panicked", queue),
            Deed::Noted(noted) => Self::noted(noted),
            Deed::Grown => queue.durable_to(S::end(*self.durable.borrow_and_update())),
        }
    }

    /// Says it once, however often it is so, and tries again later.
    fn failed(&mut self, fault: &str, queue: &mut Queue<S::Item>) {
        queue.pause(Instant::now() + STORE_PAUSE);
        let fault = format!("the {} can't be read: {fault}", S::NAME);
        if self.fault.as_ref() != Some(&fault) {
            error!("{fault}; tried again every {} s", STORE_PAUSE.as_secs());
            self.fault = Some(fault);
        }
    }

    /// Why the store can't be read at present, if that is so.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn noted(noted: Option<Result<(), S::Error>>) {
        if let Some(Err(fault)) = noted {
            // The next commit tries the same, and tells people where it fails.
            debug!(
                "the delivered mark of the {} is not durable yet: {fault}",
                S::NAME
            );
        }
    }

    /// Tells the store how far it is delivered. The mark is made durable each time that it has moved by
    /// `step`.
    pub(super) fn acknowledge(&mut self, mark: u64, step: u64) {
        if mark > self.mark {
            self.mark = mark;
            self.store.acknowledge(mark);
        }
        let moved = mark.saturating_sub(self.mark_noted);
        if moved >= step.max(1) && self.noting.is_none() {
            self.mark_noted = mark;
            let store = self.store.clone();
            self.noting = Some(task::spawn_blocking(move || store.note_delivered()));
        }
    }

    /// The connection's end: the mark becomes durable. Also after a clean stop, when nobody commits any
    /// more.
    pub(super) async fn close(self, mark: u64) {
        self.store.acknowledge(mark);
        let store = self.store;
        let noted = task::spawn_blocking(move || store.note_delivered()).await;
        Self::noted(noted.ok());
    }
}

/// The result of a task, when it ends; none if it panicked.
pub(super) async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(running) => {
            let result = running.await;
            *task = None;
            result.ok()
        }
        None => future::pending().await,
    }
}

/// Waits for a new value; for ever where there will be none.
pub(super) async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        future::pending::<()>().await;
    }
}
