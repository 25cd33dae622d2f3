use opcua::types::{
    Array, ByteString, DataValue, DateTime, EUInformation, ExtensionObject, Guid, LocalizedText,
    NodeId, QualifiedName, StatusCode, UAString, Variant, VariantScalarTypeId,
};
use proptest::prelude::*;

use super::*;
use crate::config::model::{NodeKind, Scaling};
use crate::field::opcua::sample_map::point;

fn data(value: Variant) -> DataValue {
    DataValue {
        value: Some(value),
        status: Some(StatusCode::Good),
        ..DataValue::null()
    }
}

/// What a variant gives for each kind, as text, and what is told of it where it never fits.
fn check(value: Variant, kind: NodeKind, index: Option<u32>, expected: Result<&str, Option<&str>>) {
    let point = point("p", "n", kind, index);
    let data = data(value);
    let found = match reading(&point, &data) {
        Ok(value) => Ok(value.to_string()),
        Err(bad) => {
            assert_eq!(bad, Bad::Decode);
            Err(unsupported(&point, &data).map(|word| word.en))
        }
    };
    assert_eq!(
        found.as_deref(),
        expected.as_ref().map(|text| *text),
        "{data:?} {kind:?}"
    );
}

#[test]
fn every_number_and_bool_is_taken_for_what_it_is() {
    use NodeKind::{Bool, Number, Text};
    for (value, kind, expected) in [
        (Variant::Boolean(true), Bool, Ok("true")),
        (Variant::Boolean(true), Number, Err(Some("Boolean"))),
        (Variant::Boolean(true), Text, Err(Some("Boolean"))),
        (Variant::SByte(-5), Number, Ok("-5")),
        (Variant::Byte(250), Number, Ok("250")),
        (Variant::Byte(1), Bool, Err(Some("Byte"))),
        (Variant::Int16(-300), Number, Ok("-300")),
        (Variant::UInt16(60_000), Number, Ok("60000")),
        (Variant::Int32(-7), Number, Ok("-7")),
        (Variant::UInt32(7), Number, Ok("7")),
        (Variant::Int64(i64::MIN), Number, Ok("-9223372036854775808")),
        (
            Variant::UInt64(u64::MAX),
            Number,
            Ok("18446744073709551615"),
        ),
        (Variant::Float(0.1), Number, Ok("0.1")),
        (Variant::Double(0.1), Number, Ok("0.1")),
        (Variant::Double(f64::NAN), Number, Err(None)),
        (Variant::Float(f32::INFINITY), Number, Err(None)),
        (
            Variant::StatusCode(StatusCode::BadTimeout),
            Number,
            Ok("2148139008"),
        ),
        (
            Variant::StatusCode(StatusCode::BadTimeout),
            Text,
            Ok("BadTimeout"),
        ),
        (Variant::Empty, Number, Err(None)),
        (
            Variant::Variant(Box::new(Variant::Int32(4))),
            Number,
            Ok("4"),
        ),
    ] {
        check(value, kind, None, expected);
    }
}

#[test]
fn what_reads_as_a_text_is_one() {
    use NodeKind::{Number, Text};
    let text = |text: &str| Variant::String(UAString::from(text));
    let localized = Variant::LocalizedText(Box::new(LocalizedText::new("de", "läuft")));
    let qualified = Variant::QualifiedName(Box::new(QualifiedName::new(2, "Speed")));
    let bytes = Variant::ByteString(ByteString::from(vec![0x0A, 0xFF]));
    let guid = "09087e75-8e5e-499b-954f-f2a9603db28a";
    let time = Variant::DateTime(Box::new(DateTime::ymd_hms(2026, 11, 23, 8, 0, 5)));
    let structure = ExtensionObject::from_message(EUInformation::default());
    for (value, kind, expected) in [
        (text("on"), Text, Ok("on")),
        (text("1"), Number, Err(Some("String"))),
        (Variant::String(UAString::null()), Text, Ok("")),
        (
            text(&"x".repeat(TEXT_BYTES_MAX)),
            Number,
            Err(Some("String")),
        ),
        (
            text(&"x".repeat(TEXT_BYTES_MAX + 1)),
            Text,
            Err(Some("long text")),
        ),
        (localized, Text, Ok("läuft")),
        (qualified, Text, Ok("Speed")),
        (bytes, Text, Ok("0aff")),
        (
            Variant::Guid(Box::new(guid.parse::<Guid>().unwrap())),
            Text,
            Ok(guid),
        ),
        (
            Variant::NodeId(Box::new(NodeId::new(2, 7u32))),
            Text,
            Ok("ns=2;i=7"),
        ),
        (time.clone(), Text, Ok("2026-11-23T08:00:05.000Z")),
        (time, Number, Err(Some("DateTime"))),
        (
            Variant::ExtensionObject(structure),
            Text,
            Err(Some("structure")),
        ),
    ] {
        check(value, kind, None, expected);
    }
}

#[test]
fn an_element_of_an_array_is_taken_by_its_index() {
    let values: Vec<Variant> = [3, 5, 8].map(Variant::Int32).into();
    let array = Array::new(VariantScalarTypeId::Int32, values).unwrap();
    let array = Variant::Array(Box::new(array));
    for (value, index, expected) in [
        (array.clone(), Some(0), Ok("3")),
        (array.clone(), Some(2), Ok("8")),
        (array.clone(), Some(3), Err(None)),
        (array, None, Err(Some("array"))),
        (Variant::Int32(1), Some(0), Err(None)),
    ] {
        check(value, NodeKind::Number, index, expected);
    }
}

#[test]
fn what_the_server_says_of_a_value_comes_before_the_value() {
    let mut plain = point("p", "n", NodeKind::Number, None);
    plain.expect = Some((0.0, 10.0));
    plain.scaling = Some(Scaling {
        scale: 0.1,
        offset: 1.0,
    });
    let uncertain = StatusCode::UncertainLastUsableValue;
    for (value, status, expected) in [
        (Some(Variant::Int32(50)), None, Ok("6")),
        (
            Some(Variant::Int32(51)),
            Some(StatusCode::Good.set_overflow(true)),
            Ok("6.1"),
        ),
        (Some(Variant::Int32(500)), None, Err("range")),
        (None, None, Err("decode")),
        (
            Some(Variant::Int32(5)),
            Some(uncertain),
            Err("uncertain:UncertainLastUsableValue"),
        ),
        (
            None,
            Some(StatusCode::BadSensorFailure),
            Err("bad:BadSensorFailure"),
        ),
    ] {
        let data = DataValue {
            value,
            status,
            ..DataValue::null()
        };
        let found = reading(&plain, &data);
        let found = found
            .map(|value| value.to_string())
            .map_err(|bad| bad.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }
}

proptest! {
    #[test]
    fn a_number_is_finite_or_bad(bits: u64, scale in -1e300..1e300f64, offset in -1e300..1e300f64) {
        let mut point = point("p", "n", NodeKind::Number, None);
        point.scaling = Some(Scaling { scale, offset });
        for value in [
            Variant::Double(f64::from_bits(bits)),
            Variant::UInt64(bits),
            Variant::Int64(i64::from_ne_bytes(bits.to_ne_bytes())),
        ] {
            if let Ok(value) = reading(&point, &data(value)) {
                prop_assert!(value.as_number().unwrap().is_finite());
            }
        }
    }
}
