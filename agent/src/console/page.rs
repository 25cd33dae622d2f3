//! `GET /`: a plain page that names the endpoints.

use axum::extract::State;
use axum::response::Html;
use std::sync::Arc;

use super::desk::Desk;
use super::openapi::ENDPOINTS;
use crate::serve::page;

pub(super) async fn page(State(desk): State<Arc<Desk>>) -> Html<String> {
    let intro = desk.language.pick(
        "The local API of this gateway. Nothing here can change a machine.",
        "本网关的本地接口。此处的任何操作都不会改变设备。",
    );
    page::page(&desk.title, intro, &ENDPOINTS, desk.language)
}
