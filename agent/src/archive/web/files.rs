//! `/logs/{site}/{gateway}/e{epoch}/…`: a log as C2SP static files.

use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

use super::Desk;
use crate::archive::Place;
use crate::archive::place::epoch_of;
use crate::serve::files;
use crate::serve::named::Named;
use crate::serve::problem::Problem;

/// Answers with one file of a log. What names the log is read, and written anew.
pub(super) async fn file(
    State(desk): State<Arc<Desk>>,
    Named((site, gateway, epoch, asked)): Named<(String, String, String, String)>,
) -> Result<Response, Problem> {
    let place = place(&site, &gateway, &epoch).ok_or_else(Problem::nothing)?;
    files::file(&desk.library.shelf().log_dir(&place), &asked).await
}

/// A log by the parts of a path.
pub(super) fn place(site: &str, gateway: &str, epoch: &str) -> Option<Place> {
    Some(Place {
        site: site.parse().ok()?,
        gateway: gateway.parse().ok()?,
        epoch: epoch_of(epoch)?,
    })
}
