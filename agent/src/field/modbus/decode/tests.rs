use super::{Raw, Read, all_orders, value};
use crate::config::model::{ByteOrder, Kind, Order, Scaling, Table};
use crate::field::modbus::{plan, sample_map};
use crate::sample::{Bad, Value};
use proptest::prelude::*;

const ORDERS: [(Order, &str, &str); 4] = [
    (Order::Abcd, "ABCD", "ABCDEFGH"),
    (Order::Cdab, "CDAB", "GHEFCDAB"),
    (Order::Badc, "BADC", "BADCFEHG"),
    (Order::Dcba, "DCBA", "HGFEDCBA"),
];

/// The words of a value whose bytes, highest first, are these, sent in the order of the letters.
fn sent(bytes: &[u8], letters: &str) -> Vec<u16> {
    let sent: Vec<u8> = letters
        .bytes()
        .map(|l| bytes[usize::from(l - b'A')])
        .collect();
    sent.chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn every_type_is_read_in_every_order() {
    let check = |kind: Kind, bytes: &[u8], letters: &str, expected: Value| {
        let words = sent(bytes, letters);
        assert_eq!(value(kind, &words), Ok(expected), "{kind:?} {letters}");
        assert_eq!(value(kind, &words[1..]), Err(Bad::Decode), "{kind:?} short");
        let long: Vec<u16> = words.iter().copied().chain([0]).collect();
        assert_eq!(value(kind, &long), Err(Bad::Decode), "{kind:?} long");
    };
    for (order, letters) in [(ByteOrder::High, "AB"), (ByteOrder::Low, "BA")] {
        check(
            Kind::U16(order),
            &[0xFE, 0x01],
            letters,
            Value::Uint(0xFE01),
        );
        check(Kind::I16(order), &[0xFE, 0x01], letters, Value::Int(-511));
        check(
            Kind::Bcd16(order),
            &[0x90, 0x17],
            letters,
            Value::Uint(9017),
        );
        let (kind, text) = (Kind::String { length: 2, order }, Value::Text("ok".into()));
        check(kind, b"ok", letters, text);
    }
    for (order, four, eight) in ORDERS {
        let bytes = 0xFEDC_BA98_u32.to_be_bytes();
        check(Kind::U32(order), &bytes, four, Value::Uint(0xFEDC_BA98));
        check(Kind::I32(order), &bytes, four, Value::Int(-19_088_744));
        check(
            Kind::F32(order),
            &182.5_f32.to_be_bytes(),
            four,
            Value::Float32(182.5),
        );
        check(
            Kind::Bcd32(order),
            &[0x12, 0x34, 0x56, 0x78],
            four,
            Value::Uint(12_345_678),
        );
        let bytes = 0xFEDC_BA98_7654_3210_u64.to_be_bytes();
        check(
            Kind::U64(order),
            &bytes,
            eight,
            Value::Uint(0xFEDC_BA98_7654_3210),
        );
        check(
            Kind::I64(order),
            &bytes,
            eight,
            Value::Int(-81_985_529_216_486_896),
        );
        check(
            Kind::F64(order),
            &(-0.1_f64).to_be_bytes(),
            eight,
            Value::Float(-0.1),
        );
    }
}

#[test]
fn every_bit_of_a_register_is_a_bool() {
    for bit in 0..16 {
        assert_eq!(
            value(Kind::Bool(Some(bit)), &[1 << bit]),
            Ok(Value::Bool(true))
        );
        assert_eq!(
            value(Kind::Bool(Some(bit)), &[!(1 << bit)]),
            Ok(Value::Bool(false))
        );
    }
    assert_eq!(value(Kind::Bool(Some(16)), &[0xFFFF]), Err(Bad::Decode));
    assert_eq!(value(Kind::Bool(None), &[0]), Ok(Value::Bool(false)));
    assert_eq!(value(Kind::Bool(None), &[0x8000]), Ok(Value::Bool(true)));
}

#[test]
fn what_is_no_value_of_the_type_is_bad() {
    let check = |kind: Kind, words: &[u16]| assert_eq!(value(kind, words), Err(Bad::Decode));
    for float in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        check(Kind::F32(Order::Abcd), &sent(&float.to_be_bytes(), "ABCD"));
    }
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        check(
            Kind::F64(Order::Abcd),
            &sent(&float.to_be_bytes(), "ABCDEFGH"),
        );
    }
    for digits in [0xA000, 0x0A00, 0x00A0, 0x000F] {
        check(Kind::Bcd16(ByteOrder::High), &[digits]);
        check(Kind::Bcd32(Order::Abcd), &[digits, 0]);
        check(Kind::Bcd32(Order::Abcd), &[0, digits]);
    }
    let length = 3;
    check(
        Kind::String {
            length,
            order: ByteOrder::High,
        },
        &[0xFF41, 0x4100],
    );
}

#[test]
fn texts_are_trimmed_at_their_end_only() {
    let check = |words: &[u16], length: u8, order: ByteOrder, expected: &str| {
        let kind = Kind::String { length, order };
        assert_eq!(value(kind, words), Ok(Value::Text(expected.into())));
    };
    check(&[0x4142, 0x4300], 4, ByteOrder::High, "ABC");
    check(&[0x4241, 0x0043], 4, ByteOrder::Low, "ABC");
    check(&[0x2041, 0x2020], 4, ByteOrder::High, " A");
    check(&[0x4142, 0x43FF], 3, ByteOrder::High, "ABC");
    check(&[0, 0], 4, ByteOrder::High, "");
    check(&[0xE6B8, 0xA900], 4, ByteOrder::High, "温");
}

fn read(kind: Kind, scaling: Option<(f64, f64)>, expect: Option<(f64, f64)>) -> Read {
    let mut map = sample_map::map("127.0.0.1:502");
    sample_map::add(&mut map, 1, Table::Holding, 98, Kind::U16(ByteOrder::High));
    sample_map::add(&mut map, 1, Table::Holding, 100, kind);
    map.points[1].scaling = scaling.map(|(scale, offset)| Scaling { scale, offset });
    map.points[1].expect = expect;
    let request = &plan::requests(&map, 0)[0];
    Read::of(&map, request, 1).unwrap()
}

#[test]
fn scale_offset_and_expectation_apply_in_this_order() {
    let int = Kind::I16(ByteOrder::High);
    let long = Kind::I64(Order::Abcd);
    let check = |kind, scaling, expect, words: &[u16], expected| {
        let words = [&[7, 7], words].concat();
        let got = read(kind, scaling, expect).decode(&Raw::Words(words));
        assert_eq!(got, expected, "{kind:?} {scaling:?} {expect:?}");
    };
    check(int, None, None, &[0xFFFF], Ok(Value::Int(-1)));
    check(
        int,
        Some((0.5, 10.0)),
        None,
        &[0xFFFF],
        Ok(Value::Float(9.5)),
    );
    check(
        int,
        Some((0.5, 10.0)),
        Some((9.5, 9.5)),
        &[0xFFFF],
        Ok(Value::Float(9.5)),
    );
    check(
        int,
        Some((0.5, 10.0)),
        Some((9.6, 20.0)),
        &[0xFFFF],
        Err(Bad::Range),
    );
    check(int, None, Some((-0.5, 20.0)), &[0xFFFF], Err(Bad::Range));
    check(
        int,
        Some((f64::MAX, f64::MAX)),
        None,
        &[2],
        Err(Bad::Decode),
    );
    check(
        long,
        None,
        Some((0.0, 1e19)),
        &[0, 0, 0, 1],
        Ok(Value::Int(1)),
    );
    let speed = Kind::F32(Order::Abcd);
    check(
        speed,
        Some((2.0, 0.0)),
        None,
        &[0x3F80, 0],
        Ok(Value::Float(2.0)),
    );
    check(speed, None, None, &[0x3F80], Err(Bad::Decode));
    let text = Kind::String {
        length: 2,
        order: ByteOrder::High,
    };
    check(
        text,
        Some((2.0, 0.0)),
        Some((0.0, 1.0)),
        &[0x4142],
        Ok(Value::Text("AB".into())),
    );
}

#[test]
fn a_point_is_cut_out_of_the_answer_as_it_was_sent() {
    let read = read(Kind::U32(Order::Dcba), None, None);
    assert_eq!(
        read.raw(&Raw::Words(vec![1, 2, 3, 4])),
        Raw::Words(vec![3, 4])
    );
    assert_eq!(read.raw(&Raw::Words(vec![1])), Raw::Words(vec![]));
    let bits = Raw::Bits(vec![false, false, true]);
    assert_eq!(read.decode(&bits), Ok(Value::Bool(true)));
    assert_eq!(read.decode(&Raw::Bits(vec![true])), Err(Bad::Decode));
}

#[test]
fn a_value_is_shown_under_each_order_of_its_type() {
    let names = |kind: Kind, words: &[u16]| -> Vec<&str> {
        all_orders(kind, words)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    let words = sent(&182.5_f32.to_be_bytes(), "CDAB");
    let shown = all_orders(Kind::F32(Order::Abcd), &words);
    assert_eq!(shown[1], ("CDAB", Ok(Value::Float32(182.5))));
    assert_eq!(
        names(Kind::F32(Order::Dcba), &words),
        ["ABCD", "CDAB", "BADC", "DCBA"]
    );
    assert_eq!(names(Kind::I16(ByteOrder::Low), &words[..1]), ["AB", "BA"]);
    assert_eq!(names(Kind::Bool(Some(1)), &words[..1]), ["-"]);
}

proptest! {
    #[test]
    fn any_word_is_a_value_or_bad_and_never_a_number_that_is_not_finite(
        words in proptest::collection::vec(any::<u16>(), 0..6),
        which in 0_usize..11,
        place in 0_usize..4,
        length in 1_u8..=12,
    ) {
        let (order, ..) = ORDERS[place];
        let byte = ByteOrder::Low;
        let kind = [
            Kind::Bool(None), Kind::U16(byte), Kind::I16(byte), Kind::U32(order), Kind::I32(order),
            Kind::U64(order), Kind::I64(order), Kind::F32(order), Kind::F64(order),
            Kind::String { length, order: byte }, Kind::Bcd32(order),
        ][which];
        if let Ok(value) = value(kind, &words) {
            prop_assert_eq!(words.len(), usize::from(kind.registers()));
            prop_assert!(value.as_number().is_none_or(f64::is_finite));
        }
    }
}

#[test]
fn decimal_scales_give_the_decimal_that_was_meant() {
    let int = Kind::I16(ByteOrder::High);
    for (scale, word, expected) in [
        (0.1, 2096, 209.6),
        (0.01, 2143, 21.43),
        (0.3, 10, 3.0),
        (10.0, 7, 70.0),
    ] {
        let got = read(int, Some((scale, 0.0)), None).decode(&Raw::Words(vec![7, 7, word]));
        assert_eq!(got, Ok(Value::Float(expected)), "{word} × {scale}");
    }
}
