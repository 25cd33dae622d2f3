//! Requests over HTTP: the same as over MQTT, with the same answers. A document a line, one for each part.
//!
//! So many are answered at once, and of one address its share; others wait their turn. What is answered is a document, also why there is none; only
//! what can't be a request at all is refused by status.

use axum::body::{Body, to_bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

use super::problem::Problem;
use super::share::Places;
use super::{BODY_BYTES_MAX, Sender};
use crate::answers::{Call, Code, Failure, Question, Room, documents, read};

/// What a document a line is called.
pub const LINES: &str = "application/x-ndjson";

/// The places in which requests are answered.
#[derive(Debug)]
pub struct Requests {
    places: Places,
    time_max: Duration,
}

impl Requests {
    /// In these places, each within so much time from its receipt to its answer.
    pub fn new(places: Places, time_max: Duration) -> Self {
        Self { places, time_max }
    }

    /// Answers a request's body by what `known` says, which may block; to whoever is at this address.
    ///
    /// # Errors
    ///
    /// A body that is too long or broke off; nothing but documents otherwise.
    pub async fn answer<K>(
        &self,
        sender: Option<&Sender>,
        body: Body,
        known: K,
    ) -> Result<Response, Problem>
    where
        K: FnOnce(&Call, Room, Instant) -> Result<Vec<Value>, Failure> + Send + 'static,
    {
        let deadline = Instant::now() + self.time_max;
        let payload = to_bytes(body, BODY_BYTES_MAX)
            .await
            .map_err(|_| Problem::too_long())?;
        let documents = self.documents(sender, &payload, deadline, known).await;
        if documents.is_empty() {
            return Err(Problem::stopping());
        }
        let mut lines = documents.join(&b'\n');
        lines.push(b'\n');
        Ok(([(header::CONTENT_TYPE, LINES)], lines).into_response())
    }

    /// The documents of the answer.
    async fn documents<K>(
        &self,
        sender: Option<&Sender>,
        payload: &[u8],
        deadline: Instant,
        known: K,
    ) -> Vec<Vec<u8>>
    where
        K: FnOnce(&Call, Room, Instant) -> Result<Vec<Value>, Failure> + Send + 'static,
    {
        let Question { id, call } = match read(payload) {
            Ok(question) => question,
            Err((id, failure)) => return documents(&id, Err(failure)),
        };
        let Some(place) = self.places.take(sender, deadline).await else {
            let busy = "many requests are waiting: ask again in some seconds";
            return documents(&id, Err(Failure::new(Code::Busy, busy)));
        };
        let answered = spawn_blocking(move || {
            let result = known(&call, Room::of(&id, usize::MAX), deadline);
            let documents = documents(&id, result);
            // Held until the work is done, whether or not somebody still waits for it.
            drop(place);
            documents
        });
        answered.await.unwrap_or_default()
    }
}
