//! The type of a point: `type`, `order`, `bit` and `length`, and which of them go together.

use super::fault::Fault;
use super::model::{ByteOrder, Kind, Order, Table};
use super::section::{Said, Section, nearest_or_all};
use super::source::Place;
use crate::text;

/// Text of 125 registers, the most that one request reads.
const STRING_BYTES_MAX: i64 = 250;

/// A word of `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Bool,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    String,
    Bcd16,
    Bcd32,
}

const WORDS: [(&str, Word); 12] = [
    ("bool", Word::Bool),
    ("u16", Word::U16),
    ("i16", Word::I16),
    ("u32", Word::U32),
    ("i32", Word::I32),
    ("u64", Word::U64),
    ("i64", Word::I64),
    ("f32", Word::F32),
    ("f64", Word::F64),
    ("string", Word::String),
    ("bcd16", Word::Bcd16),
    ("bcd32", Word::Bcd32),
];

const BYTE_ORDERS: [(&str, ByteOrder); 2] = [("AB", ByteOrder::High), ("BA", ByteOrder::Low)];

/// Orders of 32 bits.
pub(super) const ORDERS: [(&str, Order); 4] = [
    ("ABCD", Order::Abcd),
    ("CDAB", Order::Cdab),
    ("BADC", Order::Badc),
    ("DCBA", Order::Dcba),
];

/// The same pattern over 64 bits.
const LONG_ORDERS: [(&str, Order); 4] = [
    ("ABCDEFGH", Order::Abcd),
    ("GHEFCDAB", Order::Cdab),
    ("BADCFEHG", Order::Badc),
    ("HGFEDCBA", Order::Dcba),
];

/// Reads the type of a point in the given table; `order_default` is its connection's.
pub(super) fn read(section: &Section<'_>, table: Table, order_default: Order) -> Option<Kind> {
    let said = section.choice("type", &WORDS);
    let broken = said.is_none() && section.entry("type").is_some();
    let bit = section.integer::<u8>("bit", 0..=15);
    let bit_at = section.entry("bit").map(|entry| &entry.key_at);
    let order = section.text("order");
    let length = section.integer::<u8>("length", 1..=STRING_BYTES_MAX);
    if broken {
        return None;
    }
    if table.is_bits() {
        return bits(section, table, said);
    }
    let Some(at) = bit_at else {
        return register(section, said, order, length, order_default);
    };
    match said.map(|said| said.value) {
        None | Some(Word::Bool | Word::U16) => {
            forbid(section, "length");
            forbid(section, "order");
            bit.map(|bit| Kind::Bool(Some(bit.value)))
        }
        Some(
            Word::I16
            | Word::U32
            | Word::I32
            | Word::U64
            | Word::I64
            | Word::F32
            | Word::F64
            | Word::String
            | Word::Bcd16
            | Word::Bcd32,
        ) => {
            bit_on_other(section, at, said);
            None
        }
    }
}

fn bit_on_other(section: &Section<'_>, at: &Place, said: Option<Said<'_, Word>>) {
    let word = said.map_or("", |said| word_of(said.value));
    let message = text!(
        "`bit` can't be taken of type {word}",
        "不能对 {word} 类型取 `bit`"
    );
    section.add(Fault::error("bad-bit", at, message).hint(text!(
        "leave `type` out: a bit of a register is a bool",
        "去掉 `type`：寄存器的一位就是 bool"
    )));
}

fn word_of(word: Word) -> &'static str {
    WORDS
        .iter()
        .find(|(_, known)| *known == word)
        .map_or("", |(text, _)| *text)
}

/// A coil or discrete input is one bit, whatever else is said.
fn bits(section: &Section<'_>, table: Table, said: Option<Said<'_, Word>>) -> Option<Kind> {
    for key in ["bit", "order", "length"] {
        forbid(section, key);
    }
    match said {
        Some(Said { value, at }) if value != Word::Bool => {
            let (word, table) = (word_of(value), table.as_str());
            let message = text!(
                "a {table} is one bit and can't be of type {word}",
                "{table} 只有一位，类型不能是 {word}"
            );
            section.add(Fault::error("bad-type", at, message).hint(text!(
                "leave `type` out, or read a register with `holding` or `input`",
                "去掉 `type`，或用 `holding`、`input` 读取寄存器"
            )));
            None
        }
        Some(_) | None => Some(Kind::Bool(None)),
    }
}

fn register(
    section: &Section<'_>,
    said: Option<Said<'_, Word>>,
    order: Option<Said<'_, &str>>,
    length: Option<Said<'_, u8>>,
    default: Order,
) -> Option<Kind> {
    let said = section.required("type", said)?;
    if said.value != Word::String {
        forbid(section, "length");
    }
    let byte = || order_of(section, order, said.value, &BYTE_ORDERS, ByteOrder::High);
    let word = || order_of(section, order, said.value, &ORDERS, default);
    let long = || order_of(section, order, said.value, &LONG_ORDERS, default);
    match said.value {
        Word::Bool => {
            let message = text!(
                "a bool in a register needs `bit`",
                "寄存器中的 bool 需要 `bit`"
            );
            section.add(Fault::error("bad-bit", said.at, message).hint(text!(
                "say which bit: bit = 0 is the lowest, bit = 15 the highest",
                "指明第几位：bit = 0 为最低位，bit = 15 为最高位"
            )));
            None
        }
        Word::U16 => byte().map(Kind::U16),
        Word::I16 => byte().map(Kind::I16),
        Word::Bcd16 => byte().map(Kind::Bcd16),
        Word::U32 => word().map(Kind::U32),
        Word::I32 => word().map(Kind::I32),
        Word::F32 => word().map(Kind::F32),
        Word::Bcd32 => word().map(Kind::Bcd32),
        Word::U64 => long().map(Kind::U64),
        Word::I64 => long().map(Kind::I64),
        Word::F64 => long().map(Kind::F64),
        Word::String => {
            let length = section.required("length", length);
            let order = byte()?;
            Some(Kind::String {
                length: length?.value,
                order,
            })
        }
    }
}

/// The order that is said, else the default; a fault if it belongs to another width.
fn order_of<T: Copy>(
    section: &Section<'_>,
    order: Option<Said<'_, &str>>,
    word: Word,
    words: &[(&'static str, T)],
    default: T,
) -> Option<T> {
    let Some(order) = order else {
        return section.entry("order").is_none().then_some(default);
    };
    let found = words.iter().find(|(text, _)| *text == order.value);
    if found.is_none() {
        let (written, word) = (order.value, word_of(word));
        let names: Vec<&str> = words.iter().map(|(text, _)| *text).collect();
        let message = text!(
            "order `{written}` does not fit type {word}",
            "字节序 `{written}` 不适用于 {word} 类型"
        );
        let all = names.join("`, `");
        let same = [&ORDERS, &LONG_ORDERS].iter().find_map(|table| {
            table
                .iter()
                .position(|(text, _)| *text == written)
                .and_then(|at| names.get(at))
        });
        let hint = match same {
            Some(same) if names.len() == ORDERS.len() => {
                text!(
                    "the same pattern here is `{same}`",
                    "此处对应的写法是 `{same}`"
                )
            }
            Some(_) => text!("use `{all}`", "使用 `{all}`"),
            None => nearest_or_all(written, &names),
        };
        section.add(Fault::error("bad-order", order.at, message).hint(hint));
    }
    found.map(|(_, value)| *value)
}

fn forbid(section: &Section<'_>, key: &'static str) {
    if let Some(entry) = section.entry(key) {
        let message = text!("`{key}` has no meaning here", "`{key}` 在此处没有意义");
        let hint = match key {
            "length" => text!("only a string has a length", "只有 string 有长度"),
            "bit" => text!(
                "a coil or discrete input is one bit already",
                "线圈和离散输入本来就是一位"
            ),
            _ => text!("a single bit has no byte order", "单独一位没有字节序"),
        };
        let code = if key == "bit" {
            "bad-bit"
        } else {
            "no-meaning"
        };
        section.add(Fault::error(code, &entry.key_at, message).hint(hint));
    }
}
