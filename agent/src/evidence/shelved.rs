//! Asking an archive's directory about one log.

use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task;

use super::copied::trouble;
use super::informant::{Informant, Trouble};
use crate::answers::{Room, call};
use crate::archive::{Library, Place};

/// How long an answer may take: a log is read through once.
const TIME_MAX: Duration = Duration::from_secs(600);

/// A log in an archive's directory. Nothing in it is changed.
#[derive(Clone, Debug)]
pub struct Shelved {
    library: Arc<Library>,
    place: Place,
}

impl Shelved {
    /// One of its logs.
    pub fn new(library: &Arc<Library>, place: Place) -> Self {
        let library = Arc::clone(library);
        Self { library, place }
    }
}

impl Informant for Shelved {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        let Self { library, place } = self.clone();
        let asking = task::spawn_blocking(move || {
            let Place {
                site,
                gateway,
                epoch,
            } = &place;
            let room = Room::of("", usize::MAX);
            let deadline = Instant::now() + TIME_MAX;
            let call = call(method, params)?;
            library.answer((site, gateway), Some(*epoch), &call, room, deadline)
        });
        match asking.await {
            Ok(answered) => answered.map_err(trouble),
            Err(error) => Err(Trouble::Lost(error.to_string())),
        }
    }
}
