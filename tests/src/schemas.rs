//! What was really sent, judged by the published schemas with a validator that is not ours.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::site::Site;
use crate::subscriber::{Message, peer, python};
use lineside_proto::schema;

/// The schema of what is sent to a topic; none for what is no document.
fn schema_of(topic: &str) -> Result<Option<&'static str>> {
    let below = topic
        .strip_prefix(&Site::topic(""))
        .with_context(|| format!("{topic} is not below the root"))?;
    let first = below.split('/').next().unwrap_or_default();
    Ok(match (first, below) {
        ("status", _) => Some("status"),
        ("availability", _) => Some("availability"),
        ("map", _) => Some("map"),
        ("telemetry", _) => Some("telemetry"),
        ("gaps", _) => Some("gap"),
        ("sessions", _) => Some("session"),
        ("bookings-ack", _) => Some("bookings-ack"),
        ("response", _) => Some("answer"),
        (_, "ledger/leaf") => Some("leaf-message"),
        // Signed notes and tokens.
        (_, "ledger/checkpoint") | ("bookings" | "request", _) => None,
        (_, _) => bail!("nothing is to be sent to {topic}"),
    })
}

/// Judges every message; gives the names of the schemas that were needed.
///
/// # Errors
///
/// With what is not as its schema says.
pub fn judged(messages: &[&Message]) -> Result<BTreeSet<&'static str>> {
    let mut documents = Vec::new();
    let mut names = BTreeSet::new();
    for message in messages
        .iter()
        .filter(|message| !message.payload.is_empty())
    {
        let Some(name) = schema_of(&message.topic)? else {
            continue;
        };
        let document: Value = serde_json::from_str(&message.payload)?;
        if let Some(leaf) = document.get("leaf").and_then(Value::as_str) {
            let leaf: Value = serde_json::from_str(leaf)?;
            documents.push(json!({"schema": "leaf", "document": leaf}));
            names.insert("leaf");
        }
        documents.push(json!({"schema": name, "document": document}));
        names.insert(name);
    }
    let schemas: Map<String, Value> = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), schema::schema(name)?)))
        .collect();
    let mut child = Command::new(python()?)
        .arg(peer("schema.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    let asked = json!({"schemas": schemas, "documents": documents});
    input.write_all(asked.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    let faults: Vec<String> = serde_json::from_slice(&output.stdout)?;
    ensure!(faults.is_empty(), "{faults:#?}");
    Ok(names)
}
