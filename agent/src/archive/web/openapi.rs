//! The published description of the archive's API.

use lineside_proto::{Answer, Class, Identifier, Request, Time};
use schemars::generate::SchemaGenerator;
use schemars::{Schema, json_schema};
use serde_json::{Map, Value};

use super::events::{Data, EVENTS, LAST_EVENT_ID};
use super::figures::{By, Usage};
use super::logs::{ArchiveStatus, GatewayNow, SiteNow};
use crate::archive::index::model::{
    CorrectionRow, GapRow, MachineRow, OutcomeRow, Page, SessionRow, SpanRow,
};
use crate::archive::live::MachineNow;
use crate::archive::{Refused, Stranger};
use crate::serve::describe::{self, Api, BYTES, Body, Content, Described, Endpoint, Query, TEXT};
use crate::serve::requests::LINES;

const fn optional(name: &'static str, about: &'static str, takes: Described) -> Query {
    Query {
        name,
        about,
        takes,
        is_required: false,
    }
}

const SITE: Query = optional(
    "site",
    "Of this pilot platform",
    SchemaGenerator::subschema_for::<Identifier>,
);
const GATEWAY: Query = optional(
    "gateway",
    "Of this gateway",
    SchemaGenerator::subschema_for::<Identifier>,
);
const MACHINE: Query = optional(
    "machine",
    "Of this machine",
    SchemaGenerator::subschema_for::<Identifier>,
);
const CLASS: Query = optional(
    "class",
    "Of this class",
    SchemaGenerator::subschema_for::<Class>,
);
const BOOKING: Query = optional(
    "booking",
    "Of this booking",
    SchemaGenerator::subschema_for::<String>,
);
const FROM: Query = optional(
    "from",
    "The period's begin",
    SchemaGenerator::subschema_for::<Time>,
);
const TO: Query = optional(
    "to",
    "The period's end, not in it",
    SchemaGenerator::subschema_for::<Time>,
);
const FROM_HOUR: Query = optional(
    "from",
    "The period's begin, a full UTC hour",
    SchemaGenerator::subschema_for::<Time>,
);
const TO_HOUR: Query = optional(
    "to",
    "The period's end, not in it, a full UTC hour",
    SchemaGenerator::subschema_for::<Time>,
);
const LIMIT: Query = optional("limit", "Rows at most; 100 where it is not said", limit);
const AFTER: Query = optional(
    "after",
    "Where to go on: the `next` of the page before",
    SchemaGenerator::subschema_for::<String>,
);
const BY: Query = optional(
    "by",
    "What is added up: machine (else), gateway, site, day or all",
    SchemaGenerator::subschema_for::<By>,
);

const LAST_EVENT: Query = optional(
    LAST_EVENT_ID,
    "The `id` of the last event that was received: goes on after it",
    SchemaGenerator::subschema_for::<String>,
);

/// How many rows may be asked for.
fn limit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1, "maximum": 1000})
}

const fn said(query: Query) -> Query {
    Query {
        is_required: true,
        ..query
    }
}

const WHOSE: &[Query] = &[SITE, GATEWAY];
const SPANS: &[Query] = &[said(SITE), said(GATEWAY), FROM, TO, MACHINE, LIMIT, AFTER];
const NAMED: &[Query] = &[SITE, GATEWAY, MACHINE, LIMIT, AFTER];
const SAID: &[Query] = &[SITE, GATEWAY, MACHINE, FROM, TO, LIMIT, AFTER];
const ROWS: &[Query] = &[
    SITE, GATEWAY, MACHINE, CLASS, BOOKING, FROM, TO, LIMIT, AFTER,
];

const fn get(
    path: &'static str,
    summary: &'static str,
    summary_zh: &'static str,
    query: &'static [Query],
    gives: Content,
) -> Endpoint {
    let refuses: &[&str] = if query.is_empty() { &[] } else { &["400"] };
    Endpoint {
        query,
        refuses,
        ..describe::get(path, summary, summary_zh, gives)
    }
}

const fn file(
    path: &'static str,
    summary: &'static str,
    summary_zh: &'static str,
    gives: Content,
) -> Endpoint {
    Endpoint {
        refuses: &["404"],
        ..describe::get(path, summary, summary_zh, gives)
    }
}

const fn request(path: &'static str, summary: &'static str, summary_zh: &'static str) -> Endpoint {
    Endpoint {
        method: "post",
        path,
        summary,
        summary_zh,
        query: &[],
        headers: &[],
        takes: Some(Body::Json(SchemaGenerator::subschema_for::<Request>)),
        gives: Content::Many(LINES, SchemaGenerator::subschema_for::<Answer>),
        refuses: &["404", "413"],
        plainly: &[],
    }
}

/// All endpoints, in the order of the page.
pub(super) const ENDPOINTS: [Endpoint; 24] = [
    Endpoint {
        // Nothing may be asked for, and what is asked for is refused.
        refuses: &["400"],
        ..get(
            "/api/v1/status",
            "How the archive is, and what its logs add up to",
            "存证库的状况及其日志合计",
            &[],
            Content::Json(SchemaGenerator::subschema_for::<ArchiveStatus>),
        )
    },
    get(
        "/api/v1/sites",
        "Every pilot platform",
        "所有中试平台",
        WHOSE,
        Content::Json(SchemaGenerator::subschema_for::<Vec<SiteNow>>),
    ),
    get(
        "/api/v1/gateways",
        "Every gateway that is enrolled or has a log, and how each epoch of its ledger stands",
        "所有已登记或有日志的网关，及其台账各期的状况",
        WHOSE,
        Content::Json(SchemaGenerator::subschema_for::<Vec<GatewayNow>>),
    ),
    request(
        "/api/v1/gateways/{site}/{gateway}/request",
        "A request as at the gateway, also while that is off: leaves, proofs, checkpoints, tiles, maps, tokens; status says what is held; a line for each part of the answer",
        "与网关相同的请求，网关离线时亦可：记录、证明、存证点、分块、设备点表、预约令牌；status 说明存有什么；应答的每一部分一行",
    ),
    request(
        "/api/v1/gateways/{site}/{gateway}/{epoch}/request",
        "The same of an older epoch: e1, e2",
        "对较早一期台账的相同请求：e1、e2",
    ),
    get(
        "/api/v1/availability",
        "What may be believed of every machine now, by the consumer's rule",
        "按使用方规则，各设备当前可信的可用状态",
        WHOSE,
        Content::Json(SchemaGenerator::subschema_for::<Vec<MachineNow>>),
    ),
    Endpoint {
        headers: &[LAST_EVENT],
        refuses: &["400", "503"],
        ..get(
            "/api/v1/events",
            "What happens, as server-sent events: begin, availability, head, alarm; goes on after Last-Event-ID",
            "事件流（server-sent events）：begin、availability、head、alarm；可由 Last-Event-ID 续接",
            WHOSE,
            Content::Many(EVENTS, SchemaGenerator::subschema_for::<Data>),
        )
    },
    get(
        "/api/v1/alarms",
        "What was refused, the newest first",
        "已拒绝的内容，最新在前",
        &[SITE, GATEWAY, LIMIT],
        Content::Json(SchemaGenerator::subschema_for::<Vec<Refused>>),
    ),
    get(
        "/api/v1/strangers",
        "What came from gateways without a card, or signed by another key: kept apart, at most one of each",
        "来自未登记网关或由其他密钥签名的内容：另行存放，每个网关至多一份",
        WHOSE,
        Content::Json(SchemaGenerator::subschema_for::<Vec<Stranger>>),
    ),
    get(
        "/api/v1/machines",
        "Machines, as the ledgers tell them",
        "台账所记的设备",
        NAMED,
        Content::Json(SchemaGenerator::subschema_for::<Page<MachineRow>>),
    ),
    get(
        "/api/v1/sessions",
        "Sessions",
        "上机记录",
        ROWS,
        Content::Json(SchemaGenerator::subschema_for::<Page<SessionRow>>),
    ),
    get(
        "/api/v1/outcomes",
        "What became of bookings",
        "预约的结果",
        ROWS,
        Content::Json(SchemaGenerator::subschema_for::<Page<OutcomeRow>>),
    ),
    get(
        "/api/v1/usage",
        "What machines did in a period, by state and class",
        "时段内设备的使用情况，按状态和类别",
        &[
            said(FROM_HOUR),
            said(TO_HOUR),
            BY,
            SITE,
            GATEWAY,
            MACHINE,
            LIMIT,
            AFTER,
        ],
        Content::Json(SchemaGenerator::subschema_for::<Usage>),
    ),
    get(
        "/api/v1/spans",
        "Usage leaves of a gateway",
        "网关的使用记录",
        SPANS,
        Content::Json(SchemaGenerator::subschema_for::<Page<SpanRow>>),
    ),
    get(
        "/api/v1/gaps",
        "When nobody watched a machine",
        "无人观测的时段",
        SPANS,
        Content::Json(SchemaGenerator::subschema_for::<Page<GapRow>>),
    ),
    get(
        "/api/v1/corrections",
        "What somebody said was wrong",
        "更正声明",
        SAID,
        Content::Json(SchemaGenerator::subschema_for::<Page<CorrectionRow>>),
    ),
    get(
        "/api/v1/openapi.json",
        "This description",
        "本接口说明",
        &[],
        Content::Json(SchemaGenerator::subschema_for::<Map<String, Value>>),
    ),
    file(
        "/logs/{site}/{gateway}/{epoch}/checkpoint",
        "The newest signed checkpoint of a log (C2SP tlog-checkpoint)",
        "日志最新的签名存证点（C2SP tlog-checkpoint）",
        TEXT,
    ),
    file(
        "/logs/{site}/{gateway}/{epoch}/tile/{level}/{tile}",
        "A tile of a log (C2SP tlog-tiles); large numbers and partial tiles have further segments",
        "日志的一个分块（C2SP tlog-tiles）；大编号和不完整分块有更多路径段",
        BYTES,
    ),
    file(
        "/logs/{site}/{gateway}/{epoch}/tile/entries/{tile}",
        "A bundle of leaves of a log (C2SP tlog-tiles)",
        "日志的一组记录（C2SP tlog-tiles）",
        BYTES,
    ),
    Endpoint {
        method: "post",
        path: "/add-checkpoint",
        summary: "Asks the witness to cosign a checkpoint (C2SP tlog-witness); only where there is one",
        summary_zh: "请见证方会签存证点（C2SP tlog-witness）；仅在设有见证方时",
        query: &[],
        headers: &[],
        takes: Some(Body::Other("text/plain")),
        gives: TEXT,
        refuses: &[],
        plainly: &["400", "403", "404", "409", "413", "422", "503"],
    },
    Endpoint {
        refuses: &[],
        plainly: &["404", "503"],
        ..describe::get(
            "/{log}/checkpoint",
            "What the witness cosigned last of a log, by the SHA-256 of its origin; only where there is one",
            "见证方最近一次会签的存证点，按日志 origin 的 SHA-256；仅在设有见证方时",
            TEXT,
        )
    },
    get(
        "/healthz",
        "Whether the archive lives",
        "存证库是否存活",
        &[],
        TEXT,
    ),
    get(
        "/readyz",
        "Whether it can read its directory",
        "存证库是否就绪",
        &[],
        TEXT,
    ),
];

/// The OpenAPI 3.1 document.
pub fn document() -> Value {
    describe::document(&Api {
        summary: "The API of the city's archive: it only reads",
        endpoints: &ENDPOINTS,
        refuses: &["503"],
        has_password: false,
    })
}
