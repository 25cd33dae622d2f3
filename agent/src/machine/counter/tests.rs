use super::*;
use crate::config::model::{ByteOrder, Kind, ModbusAddress, Order, Point, Scaling, Table};
use crate::machine::testing;

fn point(kind: Kind, scaling: Option<Scaling>) -> Point {
    Point {
        address: Address::Modbus(ModbusAddress {
            unit_id: 1,
            table: Table::Holding,
            start: 0,
            kind,
        }),
        scaling,
        ..testing::point("energy")
    }
}

/// What a span says in which these are read, one after the other: from, to, delta, resets.
fn check(point: Point, readings: &[Value], expected: (&str, &str, &str, u32)) {
    let map = testing::map(vec![point]);
    let mut meter = Meter::new(&map, 0);
    assert_eq!(meter.stands(), None);
    let counts = readings.iter().filter_map(|value| meter.take(value));
    let count = counts.reduce(Count::then).unwrap();
    let told = count.told();
    assert_eq!(
        (&*told.from, &*told.to, &*told.delta, told.resets),
        expected,
        "{readings:?}"
    );
    let text = serde_json::to_string(&count).unwrap();
    assert_eq!(serde_json::from_str::<Count>(&text).unwrap(), count);
}

#[test]
fn rises_resets_and_rollovers_are_told_apart() {
    let u16 = || point(Kind::U16(ByteOrder::High), None);
    let uints = |values: &[u64]| {
        values
            .iter()
            .map(|value| Value::Uint(*value))
            .collect::<Vec<_>>()
    };
    check(u16(), &uints(&[7]), ("7", "7", "0", 0));
    check(u16(), &uints(&[7, 9, 9, 20]), ("7", "20", "13", 0));
    check(
        u16(),
        &uints(&[65_530, 65_535, 3, 10]),
        ("65530", "10", "16", 1),
    );
    check(u16(), &uints(&[40_000, 3, 10]), ("40000", "10", "7", 1));
    let u32 = point(
        Kind::U32(Order::Abcd),
        Some(Scaling {
            scale: 0.1,
            offset: 0.0,
        }),
    );
    let floats = [429_496_729.0, 0.5].map(Value::Float);
    check(u32, &floats, ("429496729", "0.5", "1.1", 1));
    // Of a signed number or a float nobody knows where it rolls over.
    let f32 = || point(Kind::F32(Order::Abcd), None);
    check(
        f32(),
        &[9.5_f32, 0.5].map(Value::Float32),
        ("9.5", "0.5", "0", 1),
    );
}

#[test]
fn decimals_are_exact_and_what_is_no_counter_is_nothing() {
    let f64 = || point(Kind::F64(Order::Abcd), None);
    check(
        f64(),
        &[0.1, 0.3].map(Value::Float),
        ("0.1", "0.3", "0.2", 0),
    );
    check(
        f64(),
        &[Value::Float(-1.5), Value::Int(2)],
        ("-1.5", "2", "3.5", 0),
    );
    check(
        f64(),
        &[
            Value::Float(1.0),
            Value::Text("x".into()),
            Value::Bool(true),
            Value::Float(1e300),
            Value::Float(2.0),
        ],
        ("1", "2", "1", 0),
    );
    check(
        f64(),
        &[Value::Float32(1234.1)],
        ("1234.1", "1234.1", "0", 0),
    );
    check(
        f64(),
        &[Value::Uint(u64::MAX >> 5)],
        ("576460752303423487", "576460752303423487", "0", 0),
    );
    for (text, read) in [
        ("1.5", Some("1.5")),
        ("1.0000009", Some("1")),
        ("-0.25", Some("-0.25")),
        ("", None),
        ("1e3", None),
        ("+1", None),
        (".5", None),
    ] {
        assert_eq!(
            Decimal::parse(text)
                .map(|number| number.to_string())
                .as_deref(),
            read,
            "{text}"
        );
    }
}
