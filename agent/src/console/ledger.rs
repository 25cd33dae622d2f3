//! The ledger as C2SP static files: `/ledger/checkpoint` and `/ledger/tile/…`.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use std::sync::Arc;

use super::desk::Desk;
use crate::serve::files;
use crate::serve::problem::Problem;

/// Answers with one file of the ledger.
pub(super) async fn file(State(desk): State<Arc<Desk>>, uri: Uri) -> Result<Response, Problem> {
    let asked = uri.path().strip_prefix("/ledger/").unwrap_or_default();
    files::file(&desk.ledger, asked).await
}
