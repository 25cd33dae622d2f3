//! Every type in every order, read by the agent from pymodbus and seen by paho as what it is.

use anyhow::{Context, Result, ensure};
use lineside_proto::Telemetry;
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::site::Site;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use lineside_tests::stand::{LIMIT, QUICK, Stand};

/// A point: what the device holds, what the map says, what must arrive.
struct Case {
    name: String,
    cell: Cell,
    map: String,
    expected: Result<Value, &'static str>,
}

/// Lays points out, each some registers after the last, so that the planner joins and splits.
#[derive(Default)]
struct Layout {
    cases: Vec<Case>,
    next: u16,
}

impl Layout {
    fn add(
        &mut self,
        (table, kind, order): (&'static str, &'static str, Option<&'static str>),
        held: Value,
        keys: &str,
        expected: Result<Value, &'static str>,
    ) {
        let mut cell = Cell::new(table, self.next, kind, held);
        cell.order = order;
        let name = format!("p{}_{}", self.next, keys.len());
        let order = order
            .map(|order| format!(", order = \"{order}\""))
            .unwrap_or_default();
        let map = format!("{table} = {}{order}, group = \"fast\"{keys}", self.next);
        self.next += 7;
        self.cases.push(Case {
            name,
            cell,
            map,
            expected,
        });
    }

    /// A value that arrives as the device holds it, in the standard's order and in these.
    fn same(&mut self, kind: &'static str, orders: &[&'static str], value: Value) {
        self.orders(kind, orders, &value, &value);
    }

    fn orders(&mut self, kind: &'static str, orders: &[&'static str], held: &Value, seen: &Value) {
        let all = std::iter::once(None).chain(orders.iter().copied().map(Some));
        for order in all {
            for table in ["holding", "input"] {
                let keys = format!(", type = \"{kind}\"");
                self.add((table, kind, order), held.clone(), &keys, Ok(seen.clone()));
            }
        }
    }
}

const PAIR: [&str; 1] = ["BA"];
const FOUR: [&str; 4] = ["ABCD", "CDAB", "BADC", "DCBA"];
const EIGHT: [&str; 4] = ["ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"];

/// Every type and order, good.
fn good(layout: &mut Layout) {
    for value in [json!(0), json!(65_535)] {
        layout.same("u16", &PAIR, value);
    }
    for value in [json!(-32_768), json!(-2)] {
        layout.same("i16", &PAIR, value);
    }
    layout.same("u32", &FOUR, json!(4_022_250_974_u32));
    layout.same("i32", &FOUR, json!(-19_088_744));
    layout.same("f32", &FOUR, json!(-1234.5));
    layout.same("f32", &FOUR, json!(0.1));
    wide("u64", layout, &json!(1_311_768_467_463_790_u64), None);
    wide(
        "u64",
        layout,
        &json!(u64::MAX),
        Some(json!(u64::MAX.to_string())),
    );
    wide("i64", layout, &json!(-1_311_768_467_463_790_i64), None);
    wide(
        "i64",
        layout,
        &json!(i64::MIN),
        Some(json!(i64::MIN.to_string())),
    );
    wide("f64", layout, &json!(-0.001_234_567_890_123), None);
    layout.same("bcd16", &PAIR, json!(9_173));
    layout.same("bcd32", &FOUR, json!(12_345_678));
    for (held, keys) in [("EX-7 挤出", ", length = 12"), ("abcd  ", ", length = 6")] {
        let keys = format!(", type = \"string\"{keys}");
        let seen = held.trim_end();
        layout.add(
            ("holding", "string", None),
            json!(held),
            &keys,
            Ok(json!(seen)),
        );
        layout.add(
            ("input", "string", Some("BA")),
            json!(held),
            &keys,
            Ok(json!(seen)),
        );
    }
    let scaled = ", type = \"i16\", scale = 0.1, offset = -5.0";
    layout.add(
        ("input", "i16", None),
        json!(2143),
        scaled,
        Ok(json!(209.3)),
    );
    for (bit, on) in [(0, true), (1, false), (15, true)] {
        let keys = format!(", bit = {bit}");
        layout.add(
            ("holding", "u16", None),
            json!(0x8001),
            &keys,
            Ok(json!(on)),
        );
    }
    for (table, on) in [
        ("coil", true),
        ("coil", false),
        ("discrete", true),
        ("discrete", false),
    ] {
        layout.add((table, "bool", None), json!(on), "", Ok(json!(on)));
    }
}

/// The same over eight bytes: the device's own words for the four orders are shared by all widths.
fn wide(kind: &'static str, layout: &mut Layout, held: &Value, seen: Option<Value>) {
    let seen = seen.unwrap_or_else(|| held.clone());
    for (order, word) in FOUR.into_iter().zip(EIGHT) {
        for table in ["holding", "input"] {
            let keys = format!(", type = \"{kind}\", order = \"{word}\"");
            layout.add((table, kind, None), held.clone(), &keys, Ok(seen.clone()));
            if let Some(case) = layout.cases.last_mut() {
                case.cell.order = Some(order);
            }
        }
    }
}

/// What is no value.
fn bad(layout: &mut Layout) {
    let hold = |kind| ("holding", kind, None);
    let f32_type = ", type = \"f32\"";
    layout.add(hold("raw"), json!([0x7fc0, 0]), f32_type, Err("decode"));
    layout.add(hold("raw"), json!([0x7f80, 0]), f32_type, Err("decode"));
    let f64_type = ", type = \"f64\"";
    layout.add(
        hold("raw"),
        json!([0xfff0, 0, 0, 0]),
        f64_type,
        Err("decode"),
    );
    layout.add(
        hold("raw"),
        json!([0x12a4]),
        ", type = \"bcd16\"",
        Err("decode"),
    );
    layout.add(
        hold("raw"),
        json!([0x1234, 0xffff]),
        ", type = \"bcd32\"",
        Err("decode"),
    );
    let text = ", type = \"string\", length = 4";
    layout.add(hold("raw"), json!([0xc328, 0xff00]), text, Err("decode"));
    let ranged = ", type = \"i16\", scale = 0.1, expect = [0, 400]";
    layout.add(hold("i16"), json!(4001), ranged, Err("range"));
    layout.add(hold("i16"), json!(4000), ranged, Ok(json!(400.0)));
}

/// Points where the device has nothing: each is bad by name, its neighbours are not.
fn absent() -> Vec<(String, String)> {
    let at = |table: &str, address| {
        let name = format!("absent_{table}");
        (
            name,
            format!("{table} = {address}, type = \"u16\", group = \"fast\""),
        )
    };
    vec![at("holding", 60_000), at("input", 60_001)]
}

fn layout() -> Layout {
    let mut layout = Layout::default();
    good(&mut layout);
    bad(&mut layout);
    layout
}

fn every_type(transport: Transport) -> Result<()> {
    let layout = layout();
    let cells = layout.cases.iter().map(|case| case.cell.clone()).collect();
    let device = Device::start(transport, &[(9, cells)])?;
    let mut map = device.connection("unit-id = 9\nlisten = \"1s\"");
    if transport != Transport::Rtu {
        map = device.connection("unit-id = 9");
    }
    map.push_str("[groups]\nfast = \"1s\"\n[points]\n");
    for case in &layout.cases {
        writeln!(map, "{} = {{ {} }}", case.name, case.map)?;
    }
    for (name, keys) in absent() {
        writeln!(map, "{name} = {{ {keys} }}")?;
    }
    map.push_str("[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n");
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    stand.site.machine("device", &map)?;
    stand.start()?;
    let seen = settled(&mut stand, layout.cases.len() + absent().len())?;
    let mut wrong = Vec::new();
    for case in &layout.cases {
        let expected = case.expected.clone().map_err(str::to_owned);
        let got = seen.get(&case.name);
        if !got.is_some_and(|got| equal(got, &expected)) {
            wrong.push(format!(
                "{} = {{ {} }}: {got:?} for {:?}",
                case.name, case.map, case.cell
            ));
        }
    }
    for (name, _) in absent() {
        if seen.get(&name) != Some(&Err("exception:2".to_owned())) {
            wrong.push(format!("{name}: {:?}", seen.get(&name)));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        seen.len(),
        wrong.join("\n")
    );
    stand.stop()?;
    device.was_only_read()
}

type Reading = Result<Value, String>;

/// Numbers are equal as numbers: `400` and `400.0` are one value, and scaling may cost the last bit.
fn equal(got: &Reading, expected: &Reading) -> bool {
    match (got, expected) {
        (Ok(got), Ok(expected)) if got.is_number() && !got.is_u64() && !got.is_i64() => {
            let pair = got.as_f64().zip(expected.as_f64());
            pair.is_some_and(|(got, expected)| (got - expected).abs() <= 1e-15 * expected.abs())
        }
        _ => got == expected,
    }
}

/// The newest reading of each point, once all have given one and refused requests have been split.
fn settled(stand: &mut Stand, count: usize) -> Result<BTreeMap<String, Reading>> {
    let topic = Site::topic("telemetry/device");
    let mut seen = BTreeMap::new();
    let mut wrong = None;
    let whole = stand.archive.wait_on(0, &topic, LIMIT, |message| {
        let document: Telemetry = match serde_json::from_str(&message.payload) {
            Ok(document) => document,
            Err(error) => {
                wrong = Some(error);
                return None;
            }
        };
        for frame in document.frames {
            seen.extend(
                frame
                    .values
                    .into_iter()
                    .map(|(name, value)| (name, Ok(value))),
            );
            seen.extend(frame.bad.into_iter().map(|(name, why)| (name, Err(why))));
        }
        // A refused request is split down to the point that was refused; until then its neighbours are bad, too.
        let refused =
            |(name, reading): (&String, &Reading)| reading.is_err() && name.starts_with("absent");
        let split = seen
            .iter()
            .filter(|(_, r)| **r == Err("exception:2".to_owned()))
            .count();
        let done = seen.len() == count && split == absent().len() && seen.iter().any(refused);
        done.then_some(())
    });
    whole.with_context(|| format!("{wrong:?}\n{seen:?}\n{}", stand.log()))?;
    Ok(seen)
}

#[test]
fn every_type_over_tcp() -> Result<()> {
    every_type(Transport::Tcp)
}

#[test]
fn every_type_over_rtu_in_tcp() -> Result<()> {
    every_type(Transport::RtuOverTcp)
}

#[test]
fn every_type_over_a_serial_line() -> Result<()> {
    every_type(Transport::Rtu)
}
