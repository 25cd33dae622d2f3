//! Register addresses as technicians write them: zero-based numbers as on the wire, or the
//! one-based notation of manuals.

use super::model::Table;
use crate::text;
use crate::text::Text;

/// The last address of a table.
pub(super) const ADDRESS_MAX: i64 = 65_535;

/// An address as written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written<'a> {
    /// A number.
    Number {
        /// As read.
        value: i64,
        /// Written in hex: always the wire address.
        hex: bool,
    },
    /// A text in the notation of manuals: `40101`, `400101` or `4x00101`.
    Manual(&'a str),
}

/// Why an address can't be taken.
#[derive(Debug)]
pub(super) struct AddressFault {
    pub(super) code: &'static str,
    pub(super) message: Text,
    pub(super) hint: Option<Text>,
}

/// The zero-based wire address; `base` is what numbers count from.
pub(super) fn wire(table: Table, written: Written<'_>, base: u8) -> Result<u16, AddressFault> {
    match written {
        Written::Manual(text) => manual(table, text),
        Written::Number { value, hex } => {
            if let Some(fault) = manual_looking(table, value, hex) {
                return Err(fault);
            }
            let value = if hex {
                value
            } else {
                value.saturating_sub(i64::from(base))
            };
            u16::try_from(value).map_err(|_| beyond(table, value))
        }
    }
}

/// A plain number that is written like a manual's reference could mean either.
fn manual_looking(table: Table, value: i64, hex: bool) -> Option<AddressFault> {
    let range = match table {
        Table::Holding => 40_001..=49_999,
        Table::Input => 30_001..=39_999,
        Table::Discrete => 10_001..=19_999,
        // A coil's reference has a leading zero, which no plain number keeps.
        Table::Coil => return None,
    };
    if hex || !range.contains(&value) {
        return None;
    }
    let wire = value - range.start();
    let (lead, number) = (digit(table), wire + 1);
    let word = table.as_str();
    Some(AddressFault {
        code: "manual-address",
        message: text!(
            "{word} {value} may be a manual's reference or an address on the wire",
            "{word} {value} 可能是手册编号，也可能是报文地址"
        ),
        hint: Some(text!(
            "write \"{lead}x{number:05}\" for the manual's reference (address {wire} on the wire), or {value:#x} for address {value} on the wire",
            "手册编号写成 \"{lead}x{number:05}\"（报文地址 {wire}）；报文地址 {value} 写成 {value:#x}"
        )),
    })
}

fn beyond(table: Table, value: i64) -> AddressFault {
    let word = table.as_str();
    let digit = digit(table);
    let looks_manual = value > 99_999 && value.to_string().starts_with(digit);
    AddressFault {
        code: "address-range",
        message: text!(
            "{word} address {value} is outside 0 to {ADDRESS_MAX}",
            "{word} 地址 {value} 超出 0 到 {ADDRESS_MAX} 的范围"
        ),
        hint: looks_manual.then(|| {
            text!(
                "a manual's reference stands in quotes: {word} = \"{value}\"",
                "手册编号要加引号：{word} = \"{value}\""
            )
        }),
    }
}

/// The leading digit of a table in manuals.
fn digit(table: Table) -> char {
    match table {
        Table::Coil => '0',
        Table::Discrete => '1',
        Table::Input => '3',
        Table::Holding => '4',
    }
}

fn manual(table: Table, text: &str) -> Result<u16, AddressFault> {
    let word = table.as_str();
    let digit = digit(table);
    let wrong = |message: Text| AddressFault {
        code: "bad-address",
        message,
        hint: Some(text!(
            "a manual's reference looks like \"{digit}0101\", \"{digit}00101\" or \"{digit}x00101\"; an address on the wire is a number without quotes",
            "手册编号形如 \"{digit}0101\"、\"{digit}00101\" 或 \"{digit}x00101\"；报文地址是不带引号的数字"
        )),
    };
    let mut chars = text.chars();
    let lead = chars.next();
    let rest = chars.as_str();
    let number = rest.strip_prefix(['x', 'X']).unwrap_or(rest);
    let decimal = (4..=5).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let number = Some(number)
        .filter(|_| decimal)
        .and_then(|number| number.parse::<u32>().ok());
    let (Some(lead), Some(number)) = (lead, number) else {
        return Err(wrong(text!(
            "\"{text}\" is not a manual's reference",
            "\"{text}\" 不是手册编号"
        )));
    };
    if lead != digit {
        return Err(wrong(text!(
            "\"{text}\" begins with {lead}, but {word} references begin with {digit}",
            "\"{text}\" 以 {lead} 开头，而 {word} 的编号以 {digit} 开头"
        )));
    }
    let wire = number
        .checked_sub(1)
        .and_then(|wire| u16::try_from(wire).ok());
    wire.ok_or_else(|| {
        wrong(text!(
            "\"{text}\" is outside 1 to 65536",
            "\"{text}\" 超出 1 到 65536 的范围"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{Written, wire};
    use crate::config::model::Table;

    #[test]
    fn each_notation_means_one_address_on_the_wire() {
        let dec = |value| Written::Number { value, hex: false };
        let hex = |value| Written::Number { value, hex: true };
        for (table, written, base, expected) in [
            (Table::Holding, dec(100), 0, Ok(100)),
            (Table::Holding, dec(100), 1, Ok(99)),
            (Table::Holding, hex(100), 1, Ok(100)),
            (Table::Holding, dec(0), 1, Err("address-range")),
            (Table::Holding, dec(-1), 0, Err("address-range")),
            (Table::Holding, dec(65_535), 0, Ok(65_535)),
            (Table::Holding, dec(65_536), 1, Ok(65_535)),
            (Table::Holding, dec(65_536), 0, Err("address-range")),
            (Table::Holding, dec(400_101), 0, Err("address-range")),
            (Table::Holding, dec(i64::MIN), 1, Err("address-range")),
            (Table::Holding, dec(40_000), 0, Ok(40_000)),
            (Table::Holding, dec(40_001), 0, Err("manual-address")),
            (Table::Holding, dec(49_999), 1, Err("manual-address")),
            (Table::Holding, hex(40_001), 0, Ok(40_001)),
            (Table::Input, dec(40_001), 0, Ok(40_001)),
            (Table::Input, dec(30_001), 0, Err("manual-address")),
            (Table::Discrete, dec(10_001), 0, Err("manual-address")),
            (Table::Coil, dec(10_001), 0, Ok(10_001)),
            (Table::Holding, Written::Manual("40101"), 0, Ok(100)),
            (Table::Holding, Written::Manual("40101"), 1, Ok(100)),
            (Table::Holding, Written::Manual("400101"), 0, Ok(100)),
            (Table::Holding, Written::Manual("4x00101"), 0, Ok(100)),
            (Table::Holding, Written::Manual("4X0101"), 0, Ok(100)),
            (Table::Holding, Written::Manual("465536"), 0, Ok(65_535)),
            (
                Table::Holding,
                Written::Manual("465537"),
                0,
                Err("bad-address"),
            ),
            (
                Table::Holding,
                Written::Manual("40000"),
                0,
                Err("bad-address"),
            ),
            (
                Table::Holding,
                Written::Manual("30101"),
                0,
                Err("bad-address"),
            ),
            (
                Table::Holding,
                Written::Manual("0x64"),
                0,
                Err("bad-address"),
            ),
            (Table::Holding, Written::Manual(""), 0, Err("bad-address")),
            (
                Table::Holding,
                Written::Manual("温度"),
                0,
                Err("bad-address"),
            ),
            (Table::Coil, Written::Manual("00001"), 0, Ok(0)),
            (Table::Coil, Written::Manual("0x00101"), 0, Ok(100)),
            (Table::Discrete, Written::Manual("10004"), 0, Ok(3)),
            (Table::Input, Written::Manual("3x0021"), 0, Ok(20)),
        ] {
            let found = wire(table, written, base).map_err(|fault| fault.code);
            assert_eq!(found, expected, "{table:?} {written:?} base {base}");
        }
    }
}
