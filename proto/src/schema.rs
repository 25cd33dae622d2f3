//! The published description of the documents: JSON Schemas (2020-12) and an AsyncAPI 3.0 document.
//!
//! Both are generated from the types and from [`Topics`], so that they can't drift from what is sent.

mod asyncapi;

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};

use crate::booking::{BookingsMessage, CheckInClaims, Claims};
use crate::evidence::{Manifest, Totals, Verification};
use crate::ledger::Leaf;
use crate::report::Report;
use crate::{Answer, BookingsAck, LeafMessage, Request, SessionDocument};
use crate::{Availability, Gap, GatewayStatus, Identifier, MapDocument, Telemetry, Topics};

/// The name under which the AsyncAPI document is asked for.
pub const ASYNCAPI: &str = "asyncapi";

/// The delay of the will, so that a short break of the connection does not show as OFFLINE.
pub const WILL_DELAY_S: u32 = 20;

/// For how long the broker keeps the agent's session after the connection broke: longer than the
/// will's delay, since the end of the session would send the will at once.
pub const SESSION_EXPIRY_S: u32 = 60;

/// A kind of document, and how it travels.
struct Document {
    /// The name in `lineside schema NAME`, and in the AsyncAPI document.
    name: &'static str,
    /// What it is.
    summary: &'static str,
    /// Its way; none: it travels inside of another.
    travels: Option<Travels>,
    /// Whether the agent makes it, or reads it.
    side: Side,
    /// Its schema, by the generator's settings.
    schema: fn(&mut SchemaGenerator) -> Schema,
    /// The name of its type.
    type_name: &'static str,
}

/// Whose document it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The agent makes it: what is never left out is required.
    Agent,
    /// Others make it, and the agent reads it: what has a default is not required.
    Others,
}

/// How a document travels.
struct Travels {
    /// The channel in the AsyncAPI document.
    channel: &'static str,
    /// Its topic.
    topic: fn(&Topics, &Identifier) -> String,
    /// Whether the broker keeps the newest.
    retained: bool,
    /// Whether it expires after its `max_age_s`.
    expires: bool,
    /// Whether it travels as a compact JWS, and as it is only where the gateway has no issuer keys.
    signed: bool,
}

impl Travels {
    const fn once(channel: &'static str, topic: fn(&Topics, &Identifier) -> String) -> Self {
        Self {
            channel,
            topic,
            retained: false,
            expires: false,
            signed: false,
        }
    }

    const fn retained(channel: &'static str, topic: fn(&Topics, &Identifier) -> String) -> Self {
        Self {
            retained: true,
            ..Self::once(channel, topic)
        }
    }

    const fn expiring(channel: &'static str, topic: fn(&Topics, &Identifier) -> String) -> Self {
        Self {
            expires: true,
            ..Self::retained(channel, topic)
        }
    }

    const fn signed(self) -> Self {
        Self {
            signed: true,
            ..self
        }
    }
}

const DOCUMENTS: [Document; 18] = [
    Document {
        name: "status",
        summary: "Gateway status, and the will: nothing from a gateway that is not ONLINE may be believed",
        travels: Some(Travels::expiring("status", |topics, _| topics.status())),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<GatewayStatus>,
        type_name: "GatewayStatus",
    },
    Document {
        name: "availability",
        summary: "What a machine is doing, and whether somebody could start now",
        travels: Some(Travels::expiring("availability", Topics::availability)),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Availability>,
        type_name: "Availability",
    },
    Document {
        name: "map",
        summary: "What a machine is: names, points with units and types, state rules",
        travels: Some(Travels::retained("map", Topics::map)),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<MapDocument>,
        type_name: "MapDocument",
    },
    Document {
        name: "telemetry",
        summary: "What the points of a machine read, frame by frame",
        travels: Some(Travels::once("telemetry", Topics::telemetry)),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Telemetry>,
        type_name: "Telemetry",
    },
    Document {
        name: "gap",
        summary: "What is missing from a machine's telemetry, and why",
        travels: Some(Travels::once("gap", Topics::gaps)),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Gap>,
        type_name: "Gap",
    },
    Document {
        name: "session",
        summary: "A session began or ended, a booking came to its end, or a session was found to belong to a booking",
        travels: Some(Travels::once("session", Topics::sessions)),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<SessionDocument>,
        type_name: "SessionDocument",
    },
    Document {
        name: "bookings",
        summary: "A machine's bookings: every one that is to come or runs. Signed as a compact JWS; the tokens in it, too",
        travels: Some(Travels::retained("bookings", Topics::bookings).signed()),
        side: Side::Others,
        schema: SchemaGenerator::subschema_for::<BookingsMessage>,
        type_name: "BookingsMessage",
    },
    Document {
        name: "claims",
        summary: "What a booking's token claims: the payload of a compact JWS",
        travels: None,
        side: Side::Others,
        schema: SchemaGenerator::subschema_for::<Claims>,
        type_name: "Claims",
    },
    Document {
        name: "check-in",
        summary: "A check-in by the portal, on the topic of the bookings: the payload of a compact JWS",
        travels: Some(Travels::once("bookings", Topics::bookings).signed()),
        side: Side::Others,
        schema: SchemaGenerator::subschema_for::<CheckInClaims>,
        type_name: "CheckInClaims",
    },
    Document {
        name: "bookings-ack",
        summary: "Which bookings are in force, and what was refused of the newest message, and why",
        travels: Some(Travels::retained("bookings-ack", Topics::bookings_ack)),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<BookingsAck>,
        type_name: "BookingsAck",
    },
    Document {
        name: "leaf-message",
        summary: "A leaf of the ledger, in the order of the index",
        travels: Some(Travels::once("leaf-message", |topics, _| topics.leaf())),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<LeafMessage>,
        type_name: "LeafMessage",
    },
    Document {
        name: "leaf",
        summary: "What the text in a leaf message says: canonical JSON (RFC 8785), to be hashed as it is",
        travels: None,
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Leaf>,
        type_name: "Leaf",
    },
    Document {
        name: "request",
        summary: "A question to the gateway, with a response topic below its own root and correlation data",
        travels: Some(Travels::once("request", |topics, _| topics.request())),
        side: Side::Others,
        schema: SchemaGenerator::subschema_for::<Request>,
        type_name: "Request",
    },
    Document {
        name: "answer",
        summary: "One part of an answer, with the request's correlation data",
        travels: Some(Travels::once("answer", |topics, _| {
            format!("{}{{reply}}", topics.response())
        })),
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Answer>,
        type_name: "Answer",
    },
    Document {
        name: "manifest",
        summary: "What an evidence bundle says of itself: the period, the leaves, every entry with its hash",
        travels: None,
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Manifest>,
        type_name: "Manifest",
    },
    Document {
        name: "totals",
        summary: "What a bundle's leaves add up to: its report.json",
        travels: None,
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Totals>,
        type_name: "Totals",
    },
    Document {
        name: "verification",
        summary: "What a verifier says of a bundle: each check, the verdict, the totals",
        travels: None,
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Verification>,
        type_name: "Verification",
    },
    Document {
        name: "report",
        summary: "What evaluators read: hours, figures with their coverage, anomalies, by machine, site and line",
        travels: None,
        side: Side::Agent,
        schema: SchemaGenerator::subschema_for::<Report>,
        type_name: "Report",
    },
];

/// The names that [`schema`] knows, with what they stand for.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let asyncapi = (
        ASYNCAPI,
        "AsyncAPI 3.0: all topics with their documents, retention and expiry",
    );
    DOCUMENTS
        .iter()
        .map(|document| (document.name, document.summary))
        .chain([asyncapi])
}

/// The schema of that name: JSON Schema 2020-12 of a document as the agent sends or reads it, or the AsyncAPI document.
pub fn schema(name: &str) -> Option<Value> {
    if name == ASYNCAPI {
        return Some(asyncapi::document());
    }
    let document = DOCUMENTS.iter().find(|document| document.name == name)?;
    Some(json_schema(document))
}

/// The document's schema with everything it refers to inside.
fn json_schema(document: &Document) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = match document.side {
        Side::Agent => settings.for_serialize(),
        Side::Others => settings.for_deserialize(),
    };
    let mut generator = settings.into_generator();
    (document.schema)(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let mut root = definitions
        .remove(document.type_name)
        .unwrap_or(Value::Bool(true));
    pin_version(&mut root);
    if let Value::Object(root) = &mut root {
        root.insert(
            "$schema".into(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        root.insert("title".into(), document.type_name.into());
        if !definitions.is_empty() {
            root.insert("$defs".into(), Value::Object(definitions));
        }
    }
    root
}

/// Says that `v` is 1: another version has another shape.
fn pin_version(schema: &mut Value) {
    if let Some(version) = schema.pointer_mut("/properties/v") {
        let description = version.get("description").cloned();
        *version = json!({"type": "integer", "const": 1});
        if let (Some(version), Some(description)) = (version.as_object_mut(), description) {
            version.insert("description".into(), description);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ASYNCAPI, DOCUMENTS, Side, names, schema};
    use serde_json::Value;

    /// Every `$ref` below a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    found.push(target.clone());
                }
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for (name, _) in names() {
            let schema = schema(name).unwrap();
            let mut found = Vec::new();
            references(&schema, &mut found);
            let plain = ["request", "leaf-message"].contains(&name);
            assert!(plain || !found.is_empty(), "{name} refers to nothing");
            for target in found {
                let pointer = target.strip_prefix('#').unwrap();
                assert!(schema.pointer(pointer).is_some(), "{name}: {target}");
            }
        }
        assert!(schema("no-such-document").is_none());
    }

    #[test]
    fn documents_say_what_they_require() {
        for (name, required, optional) in [
            ("status", "link", "boot"),
            ("availability", "available_now", "ledgers"),
            ("map", "rules", "site"),
            ("telemetry", "frames", "kind"),
            ("gap", "seq_from", "seq"),
            ("session", "session", "seq"),
            ("bookings", "revision", "iat"),
            ("bookings-ack", "refused", "bookings"),
            ("leaf", "mono_ms", "machine"),
        ] {
            let schema = schema(name).unwrap();
            let fields = schema["required"].as_array().unwrap();
            assert!(fields.contains(&required.into()), "{name}.{required}");
            assert!(!fields.contains(&optional.into()), "{name}.{optional}");
            assert_eq!(schema["properties"]["v"]["const"], 1, "{name}");
        }
        for (name, required, optional) in [
            ("claims", "class", "org"),
            ("claims", "machines", "data"),
            ("check-in", "checkin", "exp"),
            ("leaf-message", "leaf", "v"),
            ("request", "method", "params"),
            ("answer", "parts", "error"),
        ] {
            let schema = schema(name).unwrap();
            let fields = schema["required"].as_array().unwrap();
            assert!(fields.contains(&required.into()), "{name}.{required}");
            assert!(!fields.contains(&optional.into()), "{name}.{optional}");
            assert!(schema["properties"].get("v").is_none(), "{name}");
        }
        let leaf = schema("leaf").unwrap();
        let kinds = leaf["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), 15);
        let frame = &schema("telemetry").unwrap()["$defs"]["Frame"];
        assert_eq!(frame["properties"]["history"]["type"], "boolean");
        let fields = frame["required"].as_array().unwrap();
        assert!(!fields.contains(&"history".into()) && !fields.contains(&"src_ms".into()));
        let point = &schema("map").unwrap()["$defs"]["MapPoint"];
        let texts = &point["properties"]["texts"];
        assert_eq!(texts["type"], "object", "{texts}");
        assert!(
            !point["required"]
                .as_array()
                .unwrap()
                .contains(&"texts".into())
        );
        let schema = schema("availability").unwrap();
        let machine = &schema["$defs"]["Identifier"]["pattern"];
        assert_eq!(machine, "^[a-z0-9][a-z0-9_-]{0,62}$");
    }

    #[test]
    fn channels_are_the_topics() {
        let asyncapi = schema(ASYNCAPI).unwrap();
        for (channel, address) in [
            ("status", "{prefix}/{site}/{gateway}/status"),
            (
                "availability",
                "{prefix}/{site}/{gateway}/availability/{machine}",
            ),
            ("map", "{prefix}/{site}/{gateway}/map/{machine}"),
            ("telemetry", "{prefix}/{site}/{gateway}/telemetry/{machine}"),
            ("gap", "{prefix}/{site}/{gateway}/gaps/{machine}"),
            ("session", "{prefix}/{site}/{gateway}/sessions/{machine}"),
            ("bookings", "{prefix}/{site}/{gateway}/bookings/{machine}"),
            (
                "bookings-ack",
                "{prefix}/{site}/{gateway}/bookings-ack/{machine}",
            ),
            ("leaf-message", "{prefix}/{site}/{gateway}/ledger/leaf"),
            ("checkpoint", "{prefix}/{site}/{gateway}/ledger/checkpoint"),
            ("request", "{prefix}/{site}/{gateway}/request"),
            ("answer", "{prefix}/{site}/{gateway}/response/{reply}"),
        ] {
            let channel = &asyncapi["channels"][channel];
            assert_eq!(channel["address"], address);
            let parameters = channel["parameters"].as_object().unwrap();
            assert_eq!(parameters.len(), address.matches('{').count(), "{address}");
        }
        for document in &DOCUMENTS {
            let Some(travels) = &document.travels else {
                continue;
            };
            let name = document.name;
            let action = match document.side {
                Side::Agent => "send",
                Side::Others => "receive",
            };
            let operation = &asyncapi["operations"][format!("{action}-{name}")];
            assert_eq!(operation["action"], action, "{name}");
            let mqtt = &operation["bindings"]["mqtt"];
            assert_eq!(mqtt["retain"], travels.retained, "{name}");
            let expires = mqtt.get("messageExpiryInterval").is_some();
            assert_eq!(expires, travels.expires, "{name}");
            let message = &asyncapi["components"]["messages"][name];
            let jose = message["contentType"] == "application/jose";
            assert_eq!(jose, travels.signed, "{name}");
        }
        let messages = asyncapi["channels"]["bookings"]["messages"].as_object();
        assert!(messages.unwrap().keys().eq(["bookings", "check-in"]));
        let reply = &asyncapi["operations"]["receive-request"]["reply"];
        assert_eq!(reply["channel"]["$ref"], "#/channels/answer");
    }

    #[test]
    fn what_others_send_is_described_as_it_is_read() {
        let claims = schema("claims").unwrap();
        let data = claims["$defs"]["Allowed"].to_string();
        for word in ["none", "all", "points"] {
            assert!(data.contains(word), "{data}");
        }
        let bookings = schema("bookings").unwrap();
        let item = &bookings["$defs"]["BookingsItem"]["anyOf"];
        assert_eq!(item[0]["type"], "string", "{bookings:#}");
        let asyncapi = schema(ASYNCAPI).unwrap();
        let schemas = &asyncapi["components"]["schemas"];
        for name in ["Claims", "Leaf", "BookingsItem"] {
            assert!(schemas.get(name).is_some(), "{name}");
        }
        assert_eq!(schemas["BookingsMessage"]["properties"]["v"]["const"], 1);
    }
}
