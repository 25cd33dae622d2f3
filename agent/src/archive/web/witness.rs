//! The witness over HTTP: `POST add-checkpoint`, and `GET {SHA-256 of the origin}/checkpoint` for monitors (C2SP
//! tlog-witness). Nobody has to say who they are: what counts is the log's signature.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lineside_proto::ledger::note::VerifierKey;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::archive::witness::{Answer, BODY_BYTES_MAX, Witness, answer, latest};
use crate::clock::{Clock, SystemClock};
use crate::logs::chain;

/// Requests answered at once: each is a signature and a few writes that wait for the disk.
const PLACES: usize = 8;
/// How long a request waits for its place.
const PLACE_MAX: Duration = Duration::from_secs(5);

/// The keys of a log by its origin; none for one that is not known.
pub type Known = dyn Fn(&str) -> Vec<VerifierKey> + Send + Sync;

/// A witness, and the logs that it cosigns.
#[derive(Clone)]
struct Desk {
    witness: Arc<Witness>,
    known: Arc<Known>,
    places: Arc<Semaphore>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Desk({})", self.witness.key())
    }
}

/// The routes of a witness, to be put below its submission prefix.
pub fn router(witness: Arc<Witness>, known: Arc<Known>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/:log/checkpoint", get(checkpoint))
        .with_state(Desk {
            witness,
            known,
            places: Arc::new(Semaphore::new(PLACES)),
        })
}

async fn add_checkpoint(State(desk): State<Desk>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return said(Answer::text(413, "the request is too long, or broke off"));
    };
    work(desk, move |desk| {
        let now = SystemClock.now().wall;
        answer(&desk.witness, &*desk.known, &body, now)
    })
    .await
}

async fn checkpoint(State(desk): State<Desk>, log: Option<Path<String>>) -> Response {
    let nothing = || Answer::text(404, "nothing of this log was cosigned here");
    let Some(Path(log)) = log else {
        // What is no text names no log.
        return said(nothing());
    };
    work(desk, move |desk| match latest(&desk.witness, &log) {
        Ok(Some(body)) => Answer {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            body,
        },
        Ok(None) => nothing(),
        Err(error) => {
            tracing::error!(error = %chain(&error), "a record can't be read");
            Answer::text(503, "what was cosigned can't be read at this time")
        }
    })
    .await
}

/// Answers on a thread that may wait for the disk.
async fn work(desk: Desk, answer: impl FnOnce(&Desk) -> Answer + Send + 'static) -> Response {
    let place = timeout(PLACE_MAX, Arc::clone(&desk.places).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        return said(Answer::text(503, "the witness is busy"));
    };
    let answered = spawn_blocking(move || {
        let answer = answer(&desk);
        drop(place);
        answer
    })
    .await;
    said(answered.unwrap_or_else(|_| Answer::text(500, "the witness could not answer")))
}

fn said(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, answer.content_type)];
    (status, kind, answer.body).into_response()
}
