//! The published description of the local API.

use lineside_proto::{Answer, Request};
use schemars::generate::SchemaGenerator;
use serde_json::{Map, Value};

use super::api::{SessionStart, SessionStop, Sessions};
use crate::live::{Live, LiveMachine, LiveSession};
use crate::serve::describe::{self, Api, BYTES, Body, Content, Described, Endpoint, TEXT, get};
use crate::serve::requests::LINES;

/// All endpoints, in the order of the page.
pub(super) const ENDPOINTS: [Endpoint; 13] = [
    get(
        "/api/v1/status",
        "The whole agent as it stands",
        "程序的整体状况",
        Content::Json(SchemaGenerator::subschema_for::<Live>),
    ),
    get(
        "/api/v1/machines",
        "Every machine",
        "所有设备",
        Content::Json(SchemaGenerator::subschema_for::<Vec<LiveMachine>>),
    ),
    get(
        "/api/v1/machines/{machine}",
        "One machine",
        "一台设备",
        Content::Json(SchemaGenerator::subschema_for::<LiveMachine>),
    ),
    get(
        "/api/v1/machines/{machine}/sessions",
        "The session of a machine that is open, and the newest that have ended",
        "设备进行中的上机记录，以及最近结束的上机记录",
        Content::Json(SchemaGenerator::subschema_for::<Sessions>),
    ),
    post(
        "/api/v1/machines/{machine}/session/start",
        "Check-in at the machine: opens its session",
        "现场签到：开始设备的上机记录",
        SchemaGenerator::subschema_for::<SessionStart>,
    ),
    post(
        "/api/v1/machines/{machine}/session/stop",
        "Check-out at the machine: closes its session",
        "现场签退：结束设备的上机记录",
        SchemaGenerator::subschema_for::<SessionStop>,
    ),
    Endpoint {
        method: "post",
        path: "/api/v1/request",
        summary: "A request as over MQTT: leaves, proofs, checkpoints, tiles, maps, tokens, status; a line for each part of the answer",
        summary_zh: "与 MQTT 相同的请求：记录、证明、存证点、分块、设备点表、预约令牌、状态；应答的每一部分一行",
        query: &[],
        headers: &[],
        takes: Some(Body::Json(SchemaGenerator::subschema_for::<Request>)),
        gives: Content::Many(LINES, SchemaGenerator::subschema_for::<Answer>),
        refuses: &["403", "413", "415", "503"],
        plainly: &[],
    },
    get(
        "/api/v1/openapi.json",
        "This description",
        "本接口说明",
        Content::Json(SchemaGenerator::subschema_for::<Map<String, Value>>),
    ),
    get(
        "/ledger/checkpoint",
        "The newest signed checkpoint of the ledger (C2SP tlog-checkpoint)",
        "台账最新的签名存证点（C2SP tlog-checkpoint）",
        TEXT,
    ),
    get(
        "/ledger/tile/{level}/{tile}",
        "A tile of the ledger (C2SP tlog-tiles); large numbers and partial tiles have further segments",
        "台账的一个分块（C2SP tlog-tiles）；大编号和不完整分块有更多路径段",
        BYTES,
    ),
    get(
        "/ledger/tile/entries/{tile}",
        "A bundle of leaves of the ledger (C2SP tlog-tiles)",
        "台账的一组记录（C2SP tlog-tiles）",
        BYTES,
    ),
    get(
        "/healthz",
        "Whether the agent lives; needs no password",
        "程序是否存活；无需密码",
        TEXT,
    ),
    get("/readyz", "Whether the agent answers", "程序是否就绪", TEXT),
];

const fn post(
    path: &'static str,
    summary: &'static str,
    summary_zh: &'static str,
    takes: Described,
) -> Endpoint {
    Endpoint {
        method: "post",
        path,
        summary,
        summary_zh,
        query: &[],
        headers: &[],
        takes: Some(Body::Json(takes)),
        gives: Content::Json(SchemaGenerator::subschema_for::<LiveSession>),
        refuses: &["400", "403", "404", "409", "413", "415", "503"],
        plainly: &[],
    }
}

/// The OpenAPI 3.1 document.
pub fn document() -> Value {
    describe::document(&Api {
        summary: "The local API of the agent beside a pilot line",
        endpoints: &ENDPOINTS,
        refuses: &["401", "421"],
        has_password: true,
    })
}
