//! `POST /api/v1/request`: the same requests as over MQTT. Two are answered at once, beside the four of MQTT, which have
//! places of their own.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use crate::serve::problem::Problem;

/// Requests answered at once: each may read the ledger, on a gateway of few cores.
pub(super) const AT_ONCE: usize = 2;

/// From a request's receipt to its answer: less than the door's patience, so that an answer says why there is none.
pub(super) const TIME_MAX: Duration = Duration::from_secs(8);

pub(super) async fn request(
    State(desk): State<Arc<Desk>>,
    body: Body,
) -> Result<Response, Problem> {
    let known = Arc::clone(&desk.known);
    // Whoever may ask at all may have all places: it is the gateway's own people.
    let answer = desk
        .requests
        .answer(None, body, move |call, room, deadline| {
            known.answer(call, room, deadline)
        });
    answer.await
}
