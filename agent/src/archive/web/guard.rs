//! The door: how long an answer may take, and what every answer carries.
//!
//! All that is here is public and nothing can be changed, so that any page may read it, and any host name will do: a
//! reverse proxy may call it what it likes.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::time::timeout;

use crate::serve::head;
use crate::serve::problem::Problem;

/// Every page may read what is here.
const OPEN: [(HeaderName, HeaderValue); 2] = [
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    ),
];

/// What a browser is told that asks before it sends a question in JSON.
const ALLOWED: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, last-event-id"),
    ),
    (
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    ),
];

/// Lets a request in, for so long.
pub(super) async fn guard(
    State(patience): State<Duration>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        (StatusCode::NO_CONTENT, ALLOWED).into_response()
    } else {
        match timeout(patience, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::slow().into_response(),
        }
    };
    // What may be kept says so; all else may be kept, and must be asked for again: a head is soon an old one.
    head::put_on(response.headers_mut(), OPEN, "no-cache");
    response
}
