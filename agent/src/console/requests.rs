//! `POST /api/v1/request`: the same requests as over MQTT, with the same answers. A document a line, one for each part.
//!
//! Two are answered at once, beside the four of MQTT, which have places of their own; others wait their turn. What
//! is answered is a document, also why there is none; only what can't be a request at all is refused by status.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::BODY_BYTES_MAX;
use super::desk::Desk;
use super::problem::{Problem, too_long};
use crate::answers::{Answers, Code, Failure, Question, Room, documents, read};

/// Requests answered at once: each may read the ledger, on a gateway of few cores.
const AT_ONCE: usize = 2;

/// From a request's receipt to its answer: less than the door's patience, so that an answer says why there is none.
const TIME_MAX: Duration = Duration::from_secs(8);

/// What a document a line is called.
pub(super) const LINES: &str = "application/x-ndjson";

/// Who answers.
#[derive(Debug)]
pub(super) struct Requests {
    known: Arc<Answers>,
    places: Arc<Semaphore>,
}

impl Requests {
    pub(super) fn new(known: Arc<Answers>) -> Self {
        Self {
            known,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The documents of the answer.
    async fn answer(&self, payload: &[u8], deadline: Instant) -> Vec<Vec<u8>> {
        let Question { id, call } = match read(payload) {
            Ok(question) => question,
            Err((id, failure)) => return documents(&id, Err(failure)),
        };
        let place = timeout_at(deadline.into(), Arc::clone(&self.places).acquire_owned());
        let Ok(Ok(place)) = place.await else {
            let busy = "many requests are waiting: ask again in some seconds";
            return documents(&id, Err(Failure::new(Code::Busy, busy)));
        };
        let known = Arc::clone(&self.known);
        let answered = spawn_blocking(move || {
            let room = Room::of(&id, usize::MAX);
            let result = known.answer(&call, room, deadline);
            let documents = documents(&id, result);
            // Held until the work is done, whether or not somebody still waits for it.
            drop(place);
            documents
        });
        answered.await.unwrap_or_default()
    }
}

pub(super) async fn request(
    State(desk): State<Arc<Desk>>,
    body: Body,
) -> Result<Response, Problem> {
    let deadline = Instant::now() + TIME_MAX;
    let payload = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| too_long())?;
    let documents = desk.requests.answer(&payload, deadline).await;
    if documents.is_empty() {
        return Err(Problem::stopping());
    }
    let mut lines = documents.join(&b'\n');
    lines.push(b'\n');
    Ok(([(header::CONTENT_TYPE, LINES)], lines).into_response())
}
