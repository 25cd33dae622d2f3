//! `POST /api/v1/gateways/{site}/{gateway}/request`: what may be asked of a gateway, asked of its copy.

use axum::body::Body;
use axum::extract::State;
use axum::http::Extensions;
use axum::response::Response;
use lineside_proto::Identifier;
use std::sync::Arc;

use super::Desk;
use crate::archive::place::epoch_of;
use crate::serve::Sender;
use crate::serve::named::Named;
use crate::serve::problem::Problem;

/// Asks of the newest epoch.
pub(super) async fn newest(
    State(desk): State<Arc<Desk>>,
    Named((site, gateway)): Named<(String, String)>,
    of: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    answer(&desk, (&site, &gateway), None, (&of, body)).await
}

/// Asks of an older one.
pub(super) async fn of_epoch(
    State(desk): State<Arc<Desk>>,
    Named((site, gateway, epoch)): Named<(String, String, String)>,
    of: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    let epoch = epoch_of(&epoch).ok_or_else(Problem::nothing)?;
    answer(&desk, (&site, &gateway), Some(epoch), (&of, body)).await
}

async fn answer(
    desk: &Desk,
    (site, gateway): (&str, &str),
    epoch: Option<u32>,
    (of, body): (&Extensions, Body),
) -> Result<Response, Problem> {
    let named = site.parse::<Identifier>().ok();
    let named = named.zip(gateway.parse::<Identifier>().ok());
    let (site, gateway) = named.ok_or_else(Problem::nothing)?;
    let library = Arc::clone(&desk.library);
    let sender = of.get::<Sender>();
    let answer = desk
        .requests
        .answer(sender, body, move |call, room, deadline| {
            library.answer((&site, &gateway), epoch, call, room, deadline)
        });
    answer.await
}
