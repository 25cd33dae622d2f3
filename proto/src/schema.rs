//! The published description of the documents: JSON Schemas (2020-12) and an AsyncAPI 3.0 document.
//!
//! Both are generated from the types and from [`Topics`], so that they can't drift from what is sent.

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{Availability, Gap, GatewayStatus, Identifier, MapDocument, Telemetry};
use crate::{Topics, content_type};

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
    /// Its topic.
    topic: fn(&Topics, &Identifier) -> String,
    /// Whether the broker keeps the newest.
    retained: bool,
    /// Whether it expires after its `max_age_s`.
    expires: bool,
    /// Its schema, by the generator's settings.
    schema: fn(&mut SchemaGenerator) -> Schema,
    /// The name of its type.
    type_name: &'static str,
}

/// The message expiry at default settings, as an example of what is set.
const EXPIRY_S: u32 = 90;

const DOCUMENTS: [Document; 5] = [
    Document {
        name: "status",
        summary: "Gateway status, and the will: nothing from a gateway that is not ONLINE may be believed",
        topic: |topics, _| topics.status(),
        retained: true,
        expires: true,
        schema: SchemaGenerator::subschema_for::<GatewayStatus>,
        type_name: "GatewayStatus",
    },
    Document {
        name: "availability",
        summary: "What a machine is doing, and whether somebody could start now",
        topic: Topics::availability,
        retained: true,
        expires: true,
        schema: SchemaGenerator::subschema_for::<Availability>,
        type_name: "Availability",
    },
    Document {
        name: "map",
        summary: "What a machine is: names, points with units and types, state rules",
        topic: Topics::map,
        retained: true,
        expires: false,
        schema: SchemaGenerator::subschema_for::<MapDocument>,
        type_name: "MapDocument",
    },
    Document {
        name: "telemetry",
        summary: "What the points of a machine read, frame by frame",
        topic: Topics::telemetry,
        retained: false,
        expires: false,
        schema: SchemaGenerator::subschema_for::<Telemetry>,
        type_name: "Telemetry",
    },
    Document {
        name: "gap",
        summary: "What is missing from a machine's telemetry, and why",
        topic: Topics::gaps,
        retained: false,
        expires: false,
        schema: SchemaGenerator::subschema_for::<Gap>,
        type_name: "Gap",
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

/// The schema of that name: JSON Schema 2020-12 of a document as it is sent, or the AsyncAPI document.
pub fn schema(name: &str) -> Option<Value> {
    if name == ASYNCAPI {
        return Some(asyncapi());
    }
    let document = DOCUMENTS.iter().find(|document| document.name == name)?;
    Some(json_schema(document))
}

/// The document's schema with everything it refers to inside.
fn json_schema(document: &Document) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
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

/// Everything that travels, for tools that generate consumers. Draft 7 inside, which is what AsyncAPI's
/// own schema format is built on.
fn asyncapi() -> Value {
    let settings = SchemaSettings::draft07()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for document in &DOCUMENTS {
        let name = document.name;
        let payload = (document.schema)(&mut generator);
        messages.insert(name.into(), message(document, payload));
        channels.insert(name.into(), channel(document));
        operations.insert(format!("send-{name}"), operation(document));
    }
    let mut schemas = generator.take_definitions(true);
    for document in &DOCUMENTS {
        if let Some(schema) = schemas.get_mut(document.type_name) {
            pin_version(schema);
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lineside",
            "version": "1",
            "description": "What the agent beside a pilot line publishes over MQTT 5.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": content_type::JSON,
        "servers": {"city": server()},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

fn server() -> Value {
    json!({
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": "5",
        "description": "The broker of the city network",
        "variables": {
            "host": {"description": "Host name or address"},
            "port": {"default": "1883"},
        },
        "bindings": {"mqtt": {
            "cleanSession": false,
            "sessionExpiryInterval": SESSION_EXPIRY_S,
            "lastWill": {
                "topic": address(|topics, _| topics.status()),
                "qos": 1,
                "retain": true,
                "message": "gateway status with link OFFLINE",
            },
            "bindingVersion": "0.2.0",
        }},
    })
}

fn message(document: &Document, payload: Schema) -> Value {
    json!({
        "name": document.name,
        "summary": document.summary,
        "contentType": content_type::JSON,
        "payload": payload,
    })
}

fn channel(document: &Document) -> Value {
    let address = address(document.topic);
    let name = document.name;
    let mut parameters = Map::new();
    for (parameter, description) in [
        (
            "prefix",
            "`lineside/v1` unless the gateway is set otherwise",
        ),
        ("site", "The pilot platform"),
        ("gateway", "The gateway beside the machines"),
        ("machine", "The machine"),
    ] {
        if address.contains(&format!("{{{parameter}}}")) {
            parameters.insert(parameter.into(), json!({"description": description}));
        }
    }
    if let Some(Value::Object(prefix)) = parameters.get_mut("prefix") {
        prefix.insert("default".into(), Topics::PREFIX.into());
    }
    json!({
        "address": address,
        "title": name,
        "description": document.summary,
        "messages": {name: {"$ref": format!("#/components/messages/{name}")}},
        "parameters": parameters,
    })
}

fn operation(document: &Document) -> Value {
    let name = document.name;
    let mut mqtt = json!({"qos": 1, "retain": document.retained, "bindingVersion": "0.2.0"});
    if let (true, Some(mqtt)) = (document.expires, mqtt.as_object_mut()) {
        mqtt.insert("messageExpiryInterval".into(), EXPIRY_S.into());
    }
    json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{name}")},
        "summary": document.summary,
        "messages": [{"$ref": format!("#/channels/{name}/messages/{name}")}],
        "bindings": {"mqtt": mqtt},
    })
}

/// The topic with parameters in place of names.
fn address(topic: fn(&Topics, &Identifier) -> String) -> String {
    const NAMES: [&str; 3] = ["site", "gateway", "machine"];
    let identifiers = NAMES.map(|name| name.parse::<Identifier>());
    let [Ok(site), Ok(gateway), Ok(machine)] = &identifiers else {
        return String::new();
    };
    let template = topic(&Topics::new("{prefix}", site, gateway), machine);
    let mut parts = template.split('/').map(|part| {
        if NAMES.contains(&part) {
            format!("{{{part}}}")
        } else {
            part.to_owned()
        }
    });
    let mut address = parts.next().unwrap_or_default();
    for part in parts {
        address.push('/');
        address.push_str(&part);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::{ASYNCAPI, DOCUMENTS, names, schema};
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
            assert!(!found.is_empty(), "{name} refers to nothing");
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
        ] {
            let schema = schema(name).unwrap();
            let fields = schema["required"].as_array().unwrap();
            assert!(fields.contains(&required.into()), "{name}.{required}");
            assert!(!fields.contains(&optional.into()), "{name}.{optional}");
            assert_eq!(schema["properties"]["v"]["const"], 1, "{name}");
        }
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
        ] {
            let channel = &asyncapi["channels"][channel];
            assert_eq!(channel["address"], address);
            let parameters = channel["parameters"].as_object().unwrap();
            assert_eq!(parameters.len(), address.matches('{').count(), "{address}");
        }
        for document in &DOCUMENTS {
            let operation = &asyncapi["operations"][format!("send-{}", document.name)];
            let mqtt = &operation["bindings"]["mqtt"];
            assert_eq!(mqtt["retain"], document.retained, "{}", document.name);
            let expires = mqtt.get("messageExpiryInterval").is_some();
            assert_eq!(expires, document.expires, "{}", document.name);
        }
    }
}
