//! Nodes of every type and with names that are hard to write, on servers that are not ours: what each gives, what it
//! is called, and that a draft of a map holds them all.

use anyhow::{Context, Result, ensure};
use lineside_proto::State;
use lineside_tests::agent::command;
use lineside_tests::broker::Persistence;
use lineside_tests::opcua::{Identity, Maker, ODD, Policy, Press, Settings};
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::subscriber::Event;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

const MACHINE: &str = "press";

/// A point: the node behind it, what the map says beside the node, and what must come of it.
struct Odd {
    id: &'static str,
    kind: &'static str,
    value: Value,
    keys: &'static str,
    comes: Value,
}

fn odd(
    id: &'static str,
    kind: &'static str,
    value: Value,
    keys: &'static str,
    comes: Value,
) -> Odd {
    Odd {
        id,
        kind,
        value,
        keys,
        comes,
    }
}

const TEXT: &str = ", type = \"string\"";

/// Names in every form, and every type. What comes is a value, or the reason why there is none.
#[rustfmt::skip]
fn table() -> Vec<Odd> {
    let uuid = "00000000-0000-0000-0000-0000000000ff";
    let list = || json!([1.5, 2.5, 3.5]);
    vec![
        odd("s=a;b=c \"q\" \\ ' 线", "Double", json!(1.5), "", json!(1.5)),
        odd("g=09087e75-8e5e-499b-954f-f2a9603db28a", "SByte", json!(-5), "", json!(-5)),
        odd("b=AP8Qb3BhcXVl", "Byte", json!(3), "", json!(3)),
        odd("i=4294967295", "Int16", json!(-6), "", json!(-6)),
        odd("s=true", "Boolean", json!(true), ", type = \"bool\"", json!(true)),
        odd("s=u16", "UInt16", json!(65_535), "", json!(65_535)),
        odd("s=i32", "Int32", json!(-7), "", json!(-7)),
        odd("s=u32", "UInt32", json!(4_294_967_295_u32), "", json!(4_294_967_295_u32)),
        odd("s=i64", "Int64", json!("-2"), "", json!(-2)),
        odd("s=u64", "UInt64", json!("18446744073709551615"), "", json!("18446744073709551615")),
        odd("s=f32", "Float", json!(0.5), "", json!(0.5)),
        odd("s=f64", "Double", json!(1e300), "", json!(1e300)),
        odd("s=string", "String", json!("线 \"x\"\n"), TEXT, json!("线 \"x\"\n")),
        odd("s=time", "DateTime", json!("2026-01-02T03:04:05Z"), TEXT, json!("2026-01-02T03:04:05.000Z")),
        odd("s=guid", "Guid", json!(uuid), TEXT, json!(uuid)),
        odd("s=bytes", "ByteString", json!("Af8="), TEXT, json!("01ff")),
        odd("s=local", "LocalizedText", json!("Bereit"), TEXT, json!("Bereit")),
        odd("s=qualified", "QualifiedName", json!("q"), TEXT, json!("q")),
        odd("s=status", "StatusCode", json!(0x8034_0000_u32), TEXT, json!("BadNodeIdUnknown")),
        odd("s=list", "Double", list(), ", index = 1", json!(2.5)),
        odd("s=short", "Double", list(), ", index = 3", json!("bad:decode")),
        odd("s=whole", "Double", list(), "", json!("bad:decode")),
        odd("s=matrix", "Int32", json!([[1, 2], [3, 4]]), ", index = 3", json!(4)),
        odd("s=range", "Range", json!([1.0, 2.0]), "", json!("bad:decode")),
        odd("s=mode", "Enumeration", json!(1), "", json!(1)),
        odd("s=valve", "UInt32", json!(1), "", json!(1)),
    ]
}

fn settings(table: &[Odd]) -> Settings {
    let node = |odd: &Odd| match odd.id {
        "s=mode" | "s=valve" => {
            json!({"id": odd.id, "type": odd.kind, "value": odd.value, "texts": ["zu", "offen"]})
        }
        _ => json!({"id": odd.id, "type": odd.kind, "value": odd.value}),
    };
    Settings {
        odd: table.iter().map(node).collect(),
        ..Settings::default()
    }
}

/// The points whose integers have texts.
fn named(table: &[Odd]) -> impl Iterator<Item = String> {
    let numbered = table.iter().enumerate();
    let named = numbered.filter(|(_, odd)| ["s=mode", "s=valve"].contains(&odd.id));
    named.map(|(number, _)| format!("p{number}"))
}

/// A TOML string of one line.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The last of each point: its value, or why there is none.
fn take(document: &Value, last: &mut BTreeMap<String, Value>) {
    let frames = document.get("frames").and_then(Value::as_array);
    for frame in frames.into_iter().flatten() {
        let of = |key: &str| frame.get(key).and_then(Value::as_object);
        let (values, bad) = (of("values"), of("bad"));
        for (name, value) in values.into_iter().flatten() {
            last.insert(name.clone(), value.clone());
        }
        for (name, why) in bad.into_iter().flatten() {
            let why = why.as_str().unwrap_or_default();
            last.insert(name.clone(), json!(format!("bad:{why}")));
        }
    }
}

fn every_odd_node(maker: Maker) -> Result<()> {
    let table = table();
    let press = Press::start(maker, settings(&table))?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let mut map = press.connection(press.port(), Policy::None, Identity::Anonymous);
    map.push_str("[groups]\nfast = \"100ms\"\n[points]\n");
    for (number, odd) in table.iter().enumerate() {
        let node = quoted(&format!("nsu={ODD};{}", odd.id));
        writeln!(
            map,
            "p{number} = {{ node = {node}, group = \"fast\"{} }}",
            odd.keys
        )?;
    }
    map.push_str("[[state.rules]]\nstate = \"IDLE\"\nwhen = \"p0 == 1.5 && p4\"\n");
    stand.site.machine(MACHINE, &map)?;
    stand.start()?;
    stand.availability(MACHINE, 0, |document, _| {
        (document.state == State::Idle).then_some(())
    })?;
    let (telemetry, described) = (
        Site::topic(&format!("telemetry/{MACHINE}")),
        Site::topic(&format!("map/{MACHINE}")),
    );
    let (mut last, mut texts) = (BTreeMap::new(), Value::Null);
    let found = stand.archive.wait_from(0, "odd nodes", LIMIT, |event| {
        let Event::Message(message) = event else {
            return None;
        };
        let document: Value = serde_json::from_str(&message.payload).ok()?;
        if message.topic == telemetry {
            take(&document, &mut last);
        } else if message.topic == described {
            let of = |name: String| document.pointer(&format!("/points/{name}/texts")).cloned();
            texts = named(&table).filter_map(of).collect();
        }
        let is_named = texts == json!([{"0": "zu", "1": "offen"}, {"0": "zu", "1": "offen"}]);
        (last.len() == table.len() && is_named).then_some(())
    });
    found.with_context(|| format!("{last:?} {texts}\n{}", stand.log()))?;
    for (number, odd) in table.iter().enumerate() {
        let came = last.get(&format!("p{number}"));
        ensure!(
            came == Some(&odd.comes),
            "{}: {came:?}, not {}",
            odd.id,
            odd.comes
        );
    }
    stand.stop()
}

#[test]
fn every_odd_node_of_asyncua_gives_its_value() -> Result<()> {
    every_odd_node(Maker::Asyncua)
}

#[test]
fn every_odd_node_of_node_opcua_gives_its_value() -> Result<()> {
    every_odd_node(Maker::Node)
}

/// A draft of the whole address space holds every node that a point can hold, and `check` accepts it.
fn drafted(maker: Maker, machinery: bool) -> Result<()> {
    let table = table();
    let settings = Settings {
        machinery,
        ..settings(&table)
    };
    let press = Press::start(maker, settings)?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let config = stand.site.config().display().to_string();
    let url = format!("opc.tcp://127.0.0.1:{}", press.port());
    let draft = command(&["browse", &url, "--map", MACHINE, "-c", &config])?;
    ensure!(draft.status.success(), "{draft:?}");
    let draft = String::from_utf8(draft.stdout)?;
    fs::write(stand.site.map(MACHINE), &draft)?;
    let checked = command(&["check", "-c", &config])?;
    ensure!(checked.status.success(), "{checked:?}\n{draft}");
    for odd in &table {
        // Arrays and structures are named in a comment.
        let is_single = !odd.value.is_array();
        let node = format!("nsu={ODD};{}", odd.id);
        let mut lines = draft.lines().filter(|line| line.contains(&node));
        let line = lines
            .next()
            .with_context(|| format!("no {node}\n{draft}"))?;
        ensure!(line.starts_with('#') != is_single, "{line}");
    }
    if machinery {
        stand.start()?;
        stand.availability(MACHINE, 0, |document, _| {
            (document.state == State::Run).then_some(())
        })?;
        stand.stop()?;
        for rule in [
            "item_state == 3",
            "operation_mode == 1",
            "Filler/BaseStateMachine",
        ] {
            ensure!(draft.contains(rule), "{rule}\n{draft}");
        }
    }
    Ok(())
}

#[test]
fn a_draft_holds_every_odd_node_of_asyncua() -> Result<()> {
    drafted(Maker::Asyncua, false)
}

#[test]
fn a_draft_knows_the_state_machines_of_the_published_models() -> Result<()> {
    drafted(Maker::Node, true)
}
