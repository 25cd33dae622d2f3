//! The AsyncAPI document: channels, messages and what the agent sends and receives.

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::{DOCUMENTS, Document, SESSION_EXPIRY_S, Side, Travels, pin_version};
use crate::{Identifier, Topics, content_type};

/// The message expiry at default settings, as an example of what is set.
const EXPIRY_S: u32 = 90;

/// A compact JWS, as far as a pattern can say it.
const JWS: &str = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$";

/// Everything that travels, for tools that generate consumers. Draft 7 inside, which is what AsyncAPI's
/// own schema format is built on.
pub(super) fn document() -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    let mut schemas = Map::new();
    for side in [Side::Agent, Side::Others] {
        let mut generator = generator(side);
        for document in DOCUMENTS.iter().filter(|document| document.side == side) {
            let name = document.name;
            let payload = (document.schema)(&mut generator);
            let Some(travels) = &document.travels else {
                continue;
            };
            messages.insert(name.into(), message(document, travels, payload));
            let channel = channels
                .entry(travels.channel)
                .or_insert_with(|| channel(document, travels));
            if let Some(Value::Object(all)) = channel.get_mut("messages") {
                let target = format!("#/components/messages/{name}");
                all.insert(name.into(), json!({"$ref": target}));
            }
            let action = action(document);
            operations.insert(format!("{action}-{name}"), operation(document, travels));
        }
        schemas.extend(generator.take_definitions(true));
    }
    channels.insert(CHECKPOINT.into(), checkpoint_channel());
    operations.insert(format!("send-{CHECKPOINT}"), checkpoint_operation());
    messages.insert(CHECKPOINT.into(), checkpoint_message());
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
            "description": "What the agent beside a pilot line publishes and reads over MQTT 5.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": content_type::JSON,
        "servers": {"city": server()},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

/// The one thing that travels and is no JSON: it has no schema of its own.
const CHECKPOINT: &str = "checkpoint";

/// What a checkpoint is.
const CHECKPOINT_SUMMARY: &str =
    "The newest signed checkpoint of the ledger (C2SP tlog-checkpoint), after all its leaves";

fn checkpoint_message() -> Value {
    json!({
        "name": CHECKPOINT,
        "summary": CHECKPOINT_SUMMARY,
        "contentType": content_type::TEXT,
        "payload": {"type": "string", "description": "A signed note (C2SP signed-note)"},
    })
}

fn checkpoint_channel() -> Value {
    let address = address(|topics, _| topics.checkpoint());
    let target = format!("#/components/messages/{CHECKPOINT}");
    json!({
        "address": address,
        "title": CHECKPOINT,
        "description": CHECKPOINT_SUMMARY,
        "messages": {CHECKPOINT: {"$ref": target}},
        "parameters": parameters(&address),
    })
}

fn checkpoint_operation() -> Value {
    json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{CHECKPOINT}")},
        "summary": CHECKPOINT_SUMMARY,
        "messages": [{"$ref": format!("#/channels/{CHECKPOINT}/messages/{CHECKPOINT}")}],
        "bindings": {"mqtt": {"qos": 1, "retain": true, "bindingVersion": "0.2.0"}},
    })
}

fn generator(side: Side) -> SchemaGenerator {
    let settings = SchemaSettings::draft07();
    let settings = match side {
        Side::Agent => settings.for_serialize(),
        Side::Others => settings.for_deserialize(),
    };
    settings
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator()
}

fn action(document: &Document) -> &'static str {
    match document.side {
        Side::Agent => "send",
        Side::Others => "receive",
    }
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

fn message(document: &Document, travels: &Travels, payload: Schema) -> Value {
    let mut message = json!({
        "name": document.name,
        "summary": document.summary,
        "contentType": content_type::JSON,
    });
    if let Some(message) = message.as_object_mut() {
        let mut payload = payload.to_value();
        if travels.signed {
            message.insert("contentType".into(), content_type::JOSE.into());
            let token = json!({
                "type": "string",
                "pattern": JWS,
                "description": "Compact JWS, header exactly {\"alg\":\"EdDSA\",\"kid\":…}, over the other",
            });
            payload = json!({"oneOf": [token, payload]});
        }
        message.insert("payload".into(), payload);
    }
    message
}

fn channel(document: &Document, travels: &Travels) -> Value {
    let address = address(travels.topic);
    json!({
        "address": address,
        "title": travels.channel,
        "description": document.summary,
        "messages": {},
        "parameters": parameters(&address),
    })
}

/// What stands in the braces of an address.
fn parameters(address: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    for (parameter, description) in [
        (
            "prefix",
            "`lineside/v1` unless the gateway is set otherwise",
        ),
        ("site", "The pilot platform"),
        ("gateway", "The gateway beside the machines"),
        ("machine", "The machine"),
        ("reply", "One or more levels, chosen by who asks"),
    ] {
        if address.contains(&format!("{{{parameter}}}")) {
            parameters.insert(parameter.into(), json!({"description": description}));
        }
    }
    if let Some(Value::Object(prefix)) = parameters.get_mut("prefix") {
        prefix.insert("default".into(), Topics::PREFIX.into());
    }
    parameters
}

fn operation(document: &Document, travels: &Travels) -> Value {
    let (name, channel) = (document.name, travels.channel);
    let mut mqtt = json!({"qos": 1, "retain": travels.retained, "bindingVersion": "0.2.0"});
    if let (true, Some(mqtt)) = (travels.expires, mqtt.as_object_mut()) {
        mqtt.insert("messageExpiryInterval".into(), EXPIRY_S.into());
    }
    let mut operation = json!({
        "action": action(document),
        "channel": {"$ref": format!("#/channels/{channel}")},
        "summary": document.summary,
        "messages": [{"$ref": format!("#/channels/{channel}/messages/{name}")}],
        "bindings": {"mqtt": mqtt},
    });
    if let (true, Some(operation)) = (name == "request", operation.as_object_mut()) {
        let reply = json!({
            "channel": {"$ref": "#/channels/answer"},
            "messages": [{"$ref": "#/channels/answer/messages/answer"}],
        });
        operation.insert("reply".into(), reply);
    }
    operation
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
