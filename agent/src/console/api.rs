//! The endpoints that speak JSON.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use lineside_proto::{Class, Identifier};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

use super::desk::Desk;
use super::openapi;
use crate::live::{Live, LiveMachine, LiveSession};
use crate::run::{Arrival, Ask, Departure, PastSession, put};
use crate::serve::BODY_BYTES_MAX;
use crate::serve::named::Named;
use crate::serve::problem::{Problem, json};
use crate::text;

/// Who asks, in the ledger, where it comes through the console.
const WHO: &str = "console";

type Shared = State<Arc<Desk>>;

/// Somebody begins to use a machine.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionStart {
    /// The booking that it is for.
    #[serde(default)]
    booking: Option<String>,
    /// The class, where it is for no booking: `OWN`, `TRN` or `MNT`.
    #[serde(default)]
    class: Option<Class>,
    /// Who; kept as a pseudonym.
    #[serde(default)]
    by: Option<String>,
}

/// Somebody is done with a machine.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionStop {
    /// Who; kept as a pseudonym.
    #[serde(default)]
    by: Option<String>,
}

/// The sessions of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub(super) struct Sessions {
    /// The one that is open.
    open: Option<LiveSession>,
    /// Those that have ended, newest first: at most 50, as far as the newest 20,000 leaves of the ledger tell.
    recent: Vec<PastSession>,
}

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Ready: the agent has taken its machines in and answers.
pub(super) async fn ready(State(desk): Shared) -> Result<&'static str, Problem> {
    live(&desk).await.map(|_| "ready\n")
}

pub(super) async fn status(State(desk): Shared) -> Result<Response, Problem> {
    Ok(json(&live(&desk).await?))
}

pub(super) async fn machines(State(desk): Shared) -> Result<Response, Problem> {
    Ok(json(&live(&desk).await?.machines))
}

pub(super) async fn machine(
    State(desk): Shared,
    Named(machine): Named<String>,
) -> Result<Response, Problem> {
    Ok(json(&found(&desk, &machine).await?))
}

pub(super) async fn sessions(
    State(desk): Shared,
    Named(machine): Named<String>,
) -> Result<Response, Problem> {
    let LiveMachine {
        machine, session, ..
    } = found(&desk, &machine).await?;
    let ask = |reply| Ask::Sessions { machine, reply };
    let recent = put(&desk.asks, ask).await.ok_or_else(Problem::stopping)?;
    Ok(json(&Sessions {
        open: session,
        recent: recent?,
    }))
}

pub(super) async fn start(
    State(desk): Shared,
    Named(machine): Named<String>,
    body: Body,
) -> Result<Response, Problem> {
    let machine = identifier(&machine)?;
    let said: SessionStart = read(body).await?;
    let by = said.by.as_deref().unwrap_or(WHO);
    let arrival = Arrival::entered(machine, said.booking, said.class, by, &desk.pseudonyms)?;
    let ask = |reply| Ask::CheckIn {
        arrival,
        who: WHO.to_owned(),
        reply,
    };
    let answer = put(&desk.asks, ask).await.ok_or_else(Problem::stopping)?;
    Ok(json(&answer?))
}

pub(super) async fn stop(
    State(desk): Shared,
    Named(machine): Named<String>,
    body: Body,
) -> Result<Response, Problem> {
    let machine = identifier(&machine)?;
    let said: SessionStop = read(body).await?;
    let by = said.by.as_deref().unwrap_or(WHO);
    let departure = Departure::entered(machine, by, &desk.pseudonyms)?;
    let ask = |reply| Ask::CheckOut {
        departure,
        who: WHO.to_owned(),
        reply,
    };
    let answer = put(&desk.asks, ask).await.ok_or_else(Problem::stopping)?;
    Ok(json(&answer?))
}

pub(super) async fn described() -> Response {
    json(&openapi::document())
}

async fn live(desk: &Desk) -> Result<Live, Problem> {
    put(&desk.asks, Ask::Live)
        .await
        .ok_or_else(Problem::stopping)
}

async fn found(desk: &Desk, machine: &str) -> Result<LiveMachine, Problem> {
    let wanted = identifier(machine)?;
    let live = live(desk).await?;
    let mut machines = live.machines.into_iter();
    let found = machines.find(|live| live.machine == wanted);
    found.ok_or_else(|| unknown(machine))
}

fn identifier(machine: &str) -> Result<Identifier, Problem> {
    machine.parse().map_err(|_| unknown(machine))
}

fn unknown(machine: &str) -> Problem {
    let machine: String = machine.chars().take(64).collect();
    let text = text!("there is no machine `{machine}`", "没有设备 `{machine}`");
    Problem::new(StatusCode::NOT_FOUND, "unknown-machine", text)
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Problem::too_long())?;
    // A list would be taken for an object by the order of its fields.
    let object = serde_json::from_slice::<Map<String, Value>>(&bytes);
    let said = object.and_then(|object| serde_json::from_value(Value::Object(object)));
    said.map_err(|error| {
        let text = text!("the body can't be read: {error}", "无法读取请求体：{error}");
        Problem::new(StatusCode::BAD_REQUEST, "body", text)
    })
}
