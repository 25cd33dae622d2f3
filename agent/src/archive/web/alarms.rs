//! `/api/v1/alarms`: what was refused, and where its proof lies.

use axum::extract::State;
use axum::http::{Extensions, Uri};
use axum::response::Response;
use lineside_proto::Identifier;
use serde::Deserialize;
use std::sync::Arc;

use super::logs::unreadable;
use super::{Desk, query};
use crate::archive::Refused;
use crate::serve::Sender;
use crate::serve::problem::{Problem, json};
use crate::text;

/// Alarms of an answer, where nobody says how many.
const LIMIT_USUAL: u16 = 100;
/// Alarms of an answer at most.
const LIMIT_MAX: u16 = 1_000;

/// Which alarms.
#[derive(Clone, Debug, Default, Deserialize)]
struct Wanted {
    site: Option<Identifier>,
    gateway: Option<Identifier>,
    limit: Option<u16>,
}

/// The newest first.
pub(super) async fn alarms(
    State(desk): State<Arc<Desk>>,
    of: Extensions,
    uri: Uri,
) -> Result<Response, Problem> {
    let wanted: Wanted = query::read(&uri)?;
    let limit = wanted.limit.unwrap_or(LIMIT_USUAL);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(query::refused(&text!(
            "`limit` is a number from 1 to 1000",
            "`limit` 应为 1 至 1000 的整数"
        )));
    }
    let found = desk.read(of.get::<Sender>(), move |desk| {
        let dir = desk.library.shelf().alarms_dir();
        let (site, gateway) = (wanted.site.as_ref(), wanted.gateway.as_ref());
        let found = Refused::list(&dir, site, gateway, limit.into());
        found.map_err(|error| unreadable(&error))
    });
    Ok(json(&found.await?))
}
