//! The published description of the API, generated from the types that it sends and takes.

use lineside_proto::{Answer, Request};
use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::api::{SessionStart, SessionStop, Sessions};
use super::problem::ProblemDocument;
use super::requests::LINES;
use crate::live::{Live, LiveMachine, LiveSession};

/// What an endpoint takes or gives: a document by its schema, or something else by its media type.
enum Content {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// A document a line.
    Lines(fn(&mut SchemaGenerator) -> Schema),
    Other(&'static str),
}

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) summary_zh: &'static str,
    takes: Option<fn(&mut SchemaGenerator) -> Schema>,
    gives: Content,
    /// Statuses of refusals besides those that every endpoint has.
    refuses: &'static [&'static str],
}

const TEXT: Content = Content::Other("text/plain");
const BYTES: Content = Content::Other("application/octet-stream");

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
        takes: Some(SchemaGenerator::subschema_for::<Request>),
        gives: Content::Lines(SchemaGenerator::subschema_for::<Answer>),
        refuses: &["403", "413", "415", "503"],
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

const fn get(
    path: &'static str,
    summary: &'static str,
    summary_zh: &'static str,
    gives: Content,
) -> Endpoint {
    Endpoint {
        method: "get",
        path,
        summary,
        summary_zh,
        takes: None,
        gives,
        refuses: &["404", "503"],
    }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    summary_zh: &'static str,
    takes: fn(&mut SchemaGenerator) -> Schema,
) -> Endpoint {
    Endpoint {
        method: "post",
        path,
        summary,
        summary_zh,
        takes: Some(takes),
        gives: Content::Json(SchemaGenerator::subschema_for::<LiveSession>),
        refuses: &["400", "403", "404", "409", "413", "415", "503"],
    }
}

/// The OpenAPI 3.1 document.
pub fn document() -> Value {
    let with_path = |settings: &mut SchemaSettings| {
        settings.definitions_path = "/components/schemas".into();
    };
    let mut sent = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(with_path)
        .into_generator();
    let mut taken = SchemaSettings::draft2020_12()
        .for_deserialize()
        .with(with_path)
        .into_generator();
    let problem = sent.subschema_for::<ProblemDocument>();
    let problem = json!({
        "description": "Why it was not done",
        "content": {"application/json": {"schema": problem}},
    });
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in &ENDPOINTS {
        let operation = operation(endpoint, &mut sent, &mut taken);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(endpoint.method.to_owned(), operation);
        }
    }
    let mut schemas = taken.take_definitions(true);
    // What is both sent and taken is described as it is sent.
    schemas.extend(sent.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lineside",
            "version": "1",
            "summary": "The local API of the agent beside a pilot line",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"problem": problem},
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
        "security": [{}, {"password": []}],
    })
}

fn operation(
    endpoint: &Endpoint,
    sent: &mut SchemaGenerator,
    taken: &mut SchemaGenerator,
) -> Value {
    let gives = match endpoint.gives {
        Content::Json(schema) => json!({"application/json": {"schema": schema(sent)}}),
        Content::Lines(schema) => json!({LINES: {"schema": schema(sent)}}),
        Content::Other(kind) => json!({kind: {}}),
    };
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({"description": "Done", "content": gives}),
    );
    for status in ["401", "421"].iter().chain(endpoint.refuses) {
        let problem = json!({"$ref": "#/components/responses/problem"});
        responses.insert((*status).into(), problem);
    }
    let parameters: Vec<Value> = endpoint
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut operation = json!({
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let (Some(takes), Value::Object(operation)) = (endpoint.takes, &mut operation) {
        let content = json!({"application/json": {"schema": takes(taken)}});
        operation.insert(
            "requestBody".into(),
            json!({"required": true, "content": content}),
        );
    }
    operation
}
