//! The registers of one unit, and the answers that they give.

use crate::config::model::{Order, Table};
use std::ops::RangeInclusive;

/// The standard's most registers in one request.
const REGISTERS_MAX: u16 = 125;
/// The standard's most coils or discrete inputs in one request.
const BITS_MAX: u16 = 2000;

/// The exceptions that a device gives of its own accord.
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;

/// The four tables of a unit. What was never written reads as zero; a table takes as much memory as
/// its highest written address, 128 KiB at most.
#[derive(Debug, Default)]
pub(super) struct Banks {
    coils: Vec<u16>,
    discretes: Vec<u16>,
    holding: Vec<u16>,
    input: Vec<u16>,
    holes: Vec<(Table, RangeInclusive<u16>)>,
}

/// Holes of one unit; more make no test clearer.
const HOLES_MAX: usize = 256;

impl Banks {
    fn table(&self, table: Table) -> &Vec<u16> {
        match table {
            Table::Coil => &self.coils,
            Table::Discrete => &self.discretes,
            Table::Holding => &self.holding,
            Table::Input => &self.input,
        }
    }

    fn table_mut(&mut self, table: Table) -> &mut Vec<u16> {
        match table {
            Table::Coil => &mut self.coils,
            Table::Discrete => &mut self.discretes,
            Table::Holding => &mut self.holding,
            Table::Input => &mut self.input,
        }
    }

    /// Writes registers from `start` on; what would lie beyond the last address is left out. In a
    /// table of bits anything but 0 is true.
    pub(super) fn set(&mut self, table: Table, start: u16, words: &[u16]) {
        let start = usize::from(start);
        let end = start
            .saturating_add(words.len())
            .min(usize::from(u16::MAX) + 1);
        let cells = self.table_mut(table);
        if cells.len() < end {
            cells.resize(end, 0);
        }
        for (cell, word) in cells.iter_mut().skip(start).zip(words) {
            *cell = *word;
        }
    }

    /// What an address holds.
    pub(super) fn get(&self, table: Table, address: u16) -> u16 {
        self.table(table)
            .get(usize::from(address))
            .copied()
            .unwrap_or(0)
    }

    /// Makes every request that touches the range fail with exception 2.
    pub(super) fn forbid(&mut self, table: Table, range: RangeInclusive<u16>) {
        if self.holes.len() < HOLES_MAX {
            self.holes.push((table, range));
        }
    }

    /// Fills all holes.
    pub(super) fn permit_all(&mut self) {
        self.holes.clear();
    }

    /// The answer to a request: data or an exception.
    pub(super) fn answer(&self, pdu: &[u8]) -> Vec<u8> {
        let function = pdu.first().copied().unwrap_or(0);
        match self.read(pdu) {
            Ok(data) => {
                let bytes = u8::try_from(data.len()).unwrap_or(u8::MAX);
                let mut answer = vec![function, bytes];
                answer.extend_from_slice(&data);
                answer
            }
            Err(code) => exception(function, code),
        }
    }

    fn read(&self, pdu: &[u8]) -> Result<Vec<u8>, u8> {
        let (function, rest) = pdu.split_first().ok_or(ILLEGAL_FUNCTION)?;
        let table = table_of(*function).ok_or(ILLEGAL_FUNCTION)?;
        let &[s1, s0, c1, c0] = rest else {
            return Err(ILLEGAL_VALUE);
        };
        let start = u16::from_be_bytes([s1, s0]);
        let count = u16::from_be_bytes([c1, c0]);
        let count_max = if table.is_bits() {
            BITS_MAX
        } else {
            REGISTERS_MAX
        };
        if count == 0 || count > count_max {
            return Err(ILLEGAL_VALUE);
        }
        let last = start.checked_add(count - 1).ok_or(ILLEGAL_ADDRESS)?;
        let forbidden = |(holed, range): &(Table, RangeInclusive<u16>)| {
            *holed == table && *range.start() <= last && start <= *range.end()
        };
        if self.holes.iter().any(forbidden) {
            return Err(ILLEGAL_ADDRESS);
        }
        let words: Vec<u16> = (start..=last)
            .map(|address| self.get(table, address))
            .collect();
        Ok(if table.is_bits() {
            let pack = |byte: u8, word: &u16| (byte >> 1) | if *word == 0 { 0 } else { 0x80 };
            words
                .chunks(8)
                .map(|bits| bits.iter().fold(0, pack) >> (8 - bits.len()))
                .collect()
        } else {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        })
    }
}

/// The table that a function reads; none for every function but 1 to 4.
pub(super) fn table_of(function: u8) -> Option<Table> {
    match function {
        1 => Some(Table::Coil),
        2 => Some(Table::Discrete),
        3 => Some(Table::Holding),
        4 => Some(Table::Input),
        _ => None,
    }
}

/// An exception answer.
pub(super) fn exception(function: u8, code: u8) -> Vec<u8> {
    vec![function | 0x80, code]
}

/// The two registers of a 32-bit value.
pub(super) fn words_of(value: u32, order: Order) -> [u16; 2] {
    let [a, b, c, d] = value.to_be_bytes();
    let word = |high, low| u16::from_be_bytes([high, low]);
    match order {
        Order::Abcd => [word(a, b), word(c, d)],
        Order::Cdab => [word(c, d), word(a, b)],
        Order::Badc => [word(b, a), word(d, c)],
        Order::Dcba => [word(d, c), word(b, a)],
    }
}

#[cfg(test)]
mod tests {
    use super::{Banks, words_of};
    use crate::config::model::{Order, Table};

    #[test]
    fn requests_are_answered_as_the_standard_says() {
        let mut banks = Banks::default();
        banks.set(Table::Holding, 107, &[555, 0, 100]);
        banks.set(Table::Input, 0xFFFF, &[7, 8]);
        banks.set(Table::Coil, 19, &[1, 0, 1, 1, 0, 0, 1, 1, 1, 1]);
        banks.set(Table::Discrete, 0, &[1]);
        banks.forbid(Table::Holding, 200..=201);
        for (request, answer) in [
            (
                &[3, 0, 107, 0, 3][..],
                &[3, 6, 0x02, 0x2B, 0, 0, 0, 0x64][..],
            ),
            (&[4, 0xFF, 0xFF, 0, 1], &[4, 2, 0, 7]),
            (&[4, 0xFF, 0xFF, 0, 2], &[0x84, 2]),
            (&[1, 0, 19, 0, 10], &[1, 2, 0xCD, 0x03]),
            (&[2, 0, 0, 0, 1], &[2, 1, 1]),
            (&[3, 0, 198, 0, 2], &[3, 4, 0, 0, 0, 0]),
            (&[3, 0, 199, 0, 2], &[0x83, 2]),
            (&[3, 0, 201, 0, 1], &[0x83, 2]),
            (&[3, 0, 202, 0, 1], &[3, 2, 0, 0]),
            (&[4, 0, 200, 0, 1], &[4, 2, 0, 0]),
            (&[3, 0, 0, 0, 126], &[0x83, 3]),
            (&[3, 0, 0, 0, 0], &[0x83, 3]),
            (&[1, 0, 0, 0x07, 0xD1], &[0x81, 3]),
            (&[3, 0, 0], &[0x83, 3]),
            (&[6, 0, 0, 0, 1], &[0x86, 1]),
            (&[5, 0, 0, 0xFF, 0], &[0x85, 1]),
            (&[16, 0, 0, 0, 1, 2, 0, 0], &[0x90, 1]),
            (&[43, 14, 1, 0], &[0xAB, 1]),
        ] {
            assert_eq!(banks.answer(request), answer, "{request:?}");
        }
        banks.permit_all();
        assert_eq!(banks.answer(&[3, 0, 201, 0, 1]), [3, 2, 0, 0]);
    }

    #[test]
    fn values_of_two_registers_come_in_every_order() {
        for (order, words) in [
            (Order::Abcd, [0x0A0B, 0x0C0D]),
            (Order::Cdab, [0x0C0D, 0x0A0B]),
            (Order::Badc, [0x0B0A, 0x0D0C]),
            (Order::Dcba, [0x0D0C, 0x0B0A]),
        ] {
            assert_eq!(words_of(0x0A0B_0C0D, order), words, "{order:?}");
        }
    }
}
