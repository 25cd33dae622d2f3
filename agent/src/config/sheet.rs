//! `points-file`: points from a spreadsheet's CSV, each cell with its place, as the same tree that
//! TOML gives. Takes a comma, semicolon or tab between cells, as spreadsheets write them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::fault::{Fault, Report};
use super::section::nearest_or_all;
use super::source::{Place, Source};
use super::tree::{Entry, Node, Table, Value};
use crate::text;
use crate::text::Text;

const COLUMNS: [&str; 14] = [
    "point",
    "table",
    "address",
    "node",
    "type",
    "order",
    "bit",
    "length",
    "scale",
    "offset",
    "unit",
    "group",
    "deadband",
    "description",
];

/// A cell: its text without quotes and surrounding spaces, and the bytes that it takes.
#[derive(Clone, PartialEq, Debug)]
struct Cell {
    text: String,
    span: Range<usize>,
}

/// Reads the points of a sheet; none if its columns can't be told.
pub(super) fn read(file: &Arc<Source>, report: &Report) -> Option<Table> {
    let separator = separator(file.text());
    let (rows, open) = rows(file.text(), separator);
    if let Some(quote) = open {
        // It would swallow all points below it.
        let at = Place::of(file, quote..quote + 1);
        let message = text!("this quote is never closed", "这个引号没有闭合");
        report.error("syntax", &at, message);
        return None;
    }
    let mut rows = rows.into_iter();
    let Some(header) = rows.next() else {
        let message = text!("the file has no line of column names", "文件缺少列名行");
        report.add(Fault::error("missing-key", &Place::whole(file), message).hint(columns()));
        return None;
    };
    let sheet = Sheet {
        file,
        report,
        separator,
        header: &header,
    };
    if !sheet.header_is_usable() {
        return None;
    }
    let entries = rows.filter_map(|row| sheet.point(&row)).collect();
    Some(Table { entries })
}

fn columns() -> Text {
    let all = COLUMNS.join(",");
    text!("the columns are {all}", "列名为 {all}")
}

/// The character that separates the cells of the first line.
fn separator(text: &str) -> char {
    let line = text.lines().next().unwrap_or("");
    let count = |c: char| line.matches(c).count();
    [',', ';', '\t']
        .into_iter()
        .rev()
        .max_by_key(|c| count(*c))
        .unwrap_or(',')
}

/// Splits the text into rows of cells; empty lines are left out. Beside them the place of a quote
/// that is never closed.
fn rows(text: &str, separator: char) -> (Vec<Vec<Cell>>, Option<usize>) {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = Cell {
        text: String::new(),
        span: 0..0,
    };
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    let end_cell = |row: &mut Vec<Cell>, cell: &mut Cell, end: usize| {
        cell.span.end = end;
        row.push(trimmed(std::mem::replace(
            cell,
            Cell {
                text: String::new(),
                span: 0..0,
            },
        )));
    };
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quote.is_some() && chars.next_if(|(_, next)| *next == '"').is_some() => {
                cell.text.push('"');
            }
            '"' if quote.is_some() => quote = None,
            '"' if cell.text.trim().is_empty() => quote = Some(at),
            c if quote.is_some() => cell.text.push(c),
            '\n' => {
                end_cell(&mut row, &mut cell, at);
                end_row(&mut rows, &mut row);
                cell.span.start = at + 1;
            }
            c if c == separator => {
                end_cell(&mut row, &mut cell, at);
                cell.span.start = at + c.len_utf8();
            }
            c => cell.text.push(c),
        }
    }
    end_cell(&mut row, &mut cell, text.len());
    end_row(&mut rows, &mut row);
    (rows, quote)
}

fn end_row(rows: &mut Vec<Vec<Cell>>, row: &mut Vec<Cell>) {
    let row = std::mem::take(row);
    if row.iter().any(|cell| !cell.text.is_empty()) {
        rows.push(row);
    }
}

/// The cell without the spaces around its text; its place, too, where it is written without quotes.
fn trimmed(cell: Cell) -> Cell {
    let Cell { text, span } = cell;
    let left = text.len() - text.trim_start().len();
    let word = text.trim();
    if text.len() != span.len() {
        return Cell {
            text: word.to_owned(),
            span,
        };
    }
    let start = span.start + left;
    Cell {
        text: word.to_owned(),
        span: start..start + word.len(),
    }
}

struct Sheet<'a> {
    file: &'a Arc<Source>,
    report: &'a Report,
    separator: char,
    header: &'a [Cell],
}

impl Sheet<'_> {
    fn at(&self, cell: &Cell) -> Place {
        Place::of(self.file, cell.span.clone())
    }

    fn header_is_usable(&self) -> bool {
        let mut seen = BTreeMap::new();
        let mut usable = true;
        for cell in self.header {
            let name = cell.text.as_str();
            if name.is_empty() {
                continue;
            }
            if !COLUMNS.contains(&name) {
                let message = text!("unknown column `{name}`", "未知的列 `{name}`");
                let fault = Fault::error("unknown-key", &self.at(cell), message);
                self.report.add(fault.hint(nearest_or_all(name, &COLUMNS)));
            } else if seen.insert(name, ()).is_some() {
                let message = text!("column `{name}` stands here twice", "列 `{name}` 重复出现");
                self.report.error("duplicate-key", &self.at(cell), message);
            }
        }
        let required: &[&str] = if self.is_of_nodes() {
            &["point"]
        } else {
            &["point", "table", "address"]
        };
        for name in required {
            if !seen.contains_key(name) {
                let start = self.header.first().map_or(0, |cell| cell.span.start);
                let end = self.header.last().map_or(0, |cell| cell.span.end);
                let at = Place::of(self.file, start..end);
                let message = text!("column `{name}` is missing", "缺少列 `{name}`");
                self.report
                    .add(Fault::error("missing-key", &at, message).hint(columns()));
                usable = false;
            }
        }
        usable
    }

    /// Whether all lines are nodes of OPC UA, which have neither table nor address.
    fn is_of_nodes(&self) -> bool {
        let has = |name: &str| self.header.iter().any(|cell| cell.text == name);
        has("node") && !has("table") && !has("address")
    }

    /// Reports a cell that the point needs.
    fn lacks(&self, name: &Cell, column: &str) {
        let message = text!("`{column}` is missing", "缺少 `{column}`");
        self.report.error("missing-key", &self.at(name), message);
    }

    /// A line's point; broken if only its name can be told.
    fn point(&self, row: &[Cell]) -> Option<Entry> {
        let first = row.iter().find(|cell| !cell.text.is_empty())?;
        let filled = self
            .header
            .iter()
            .zip(row)
            .filter(|(_, cell)| !cell.text.is_empty());
        let mut cells: BTreeMap<&str, &Cell> = BTreeMap::new();
        for (column, cell) in filled {
            cells.entry(column.text.as_str()).or_insert(cell);
        }
        let Some(name) = cells.remove("point") else {
            let message = text!("the line names no point", "该行没有点位名称");
            self.report.error("missing-key", &self.at(first), message);
            return None;
        };
        let (table, address) = (cells.remove("table"), cells.remove("address"));
        let is_node = cells.contains_key("node");
        let registers = if table.is_none() && address.is_none() && (is_node || self.is_of_nodes()) {
            if !is_node {
                self.lacks(name, "node");
            }
            is_node.then_some(None)
        } else {
            self.address(name, table, address).map(Some)
        };
        let extra = (0..).zip(row).find(|(place, cell): &(usize, &Cell)| {
            let column = self.header.get(*place).map_or("", |column| &column.text);
            column.is_empty() && !cell.text.is_empty()
        });
        let value = match (registers, extra) {
            (Some(registers), None) => {
                let rest = cells
                    .into_iter()
                    .filter_map(|(column, cell)| self.value(column, cell));
                let entries = registers.into_iter().chain(rest).collect();
                Value::Table(Table { entries })
            }
            (_, Some((_, extra))) => {
                self.without_column(extra);
                Value::Broken
            }
            (None, None) => Value::Broken,
        };
        Some(self.entry(&name.text, name, value))
    }

    fn without_column(&self, extra: &Cell) {
        let message = text!(
            "this cell stands in no column: the first line has no name above it",
            "此单元格不属于任何列：首行对应位置没有列名"
        );
        let fault = Fault::error("bad-value", &self.at(extra), message);
        self.report.add(fault.hint(text!(
            "empty it, or put a text that contains the separator in quotes",
            "清空此单元格；含分隔符的文字要加引号"
        )));
    }

    fn value(&self, column: &str, cell: &Cell) -> Option<Entry> {
        let value = match column {
            "bit" | "length" => self.integer(cell),
            "scale" | "offset" | "deadband" => self.number(cell),
            "node" | "type" | "order" | "unit" | "group" | "description" => {
                Value::Text(cell.text.clone())
            }
            // An unknown column is reported at its head.
            _ => return None,
        };
        Some(self.entry(column, cell, value))
    }

    fn entry(&self, key: &str, cell: &Cell, value: Value) -> Entry {
        let at = self.at(cell);
        Entry {
            key: key.to_owned(),
            key_at: at.clone(),
            node: Node { at, value },
        }
    }

    /// Table and address are one key of a machine map.
    fn address(&self, name: &Cell, table: Option<&Cell>, address: Option<&Cell>) -> Option<Entry> {
        for (column, cell) in [("table", table), ("address", address)] {
            if cell.is_none() {
                self.lacks(name, column);
            }
        }
        let (table, address) = (table?, address?);
        let word = table.text.to_ascii_lowercase();
        let words = ["coil", "discrete", "holding", "input"];
        if !words.contains(&word.as_str()) {
            let message = text!("there is no table `{word}`", "没有寄存器表 `{word}`");
            let fault = Fault::error("bad-value", &self.at(table), message);
            self.report.add(fault.hint(nearest_or_all(&word, &words)));
            return None;
        }
        let value = self.written(&word, address);
        Some(self.entry(&word, address, value))
    }

    /// An address: decimal or hex as on the wire, else what a manual's reference may look like.
    fn written(&self, word: &str, cell: &Cell) -> Value {
        let text = cell.text.as_str();
        let lower = text.to_ascii_lowercase();
        let hex = lower
            .strip_prefix("0x")
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|hex| i64::from_str_radix(hex, 16).ok());
        let is_padded = text.len() == 5 && text.starts_with('0');
        match (hex, text.parse::<i64>().ok()) {
            (Some(value), _) if word == "coil" => {
                let message = text!(
                    "coil {text} may be address {value} in hex or a manual's reference",
                    "coil {text} 可能是十六进制地址 {value}，也可能是手册编号"
                );
                self.ambiguous(cell, message)
            }
            (Some(value), _) => Value::Integer { value, hex: true },
            // A coil's reference has a leading zero.
            (None, Some(value)) if word == "coil" && is_padded => {
                let message = text!(
                    "coil {text} may be address {value} on the wire or a manual's reference",
                    "coil {text} 可能是报文地址 {value}，也可能是手册编号"
                );
                self.ambiguous(cell, message)
            }
            // Six digits can only be a manual's reference, which a sheet can't put in quotes.
            (None, Some(_)) if text.len() == 6 => Value::Text(text.to_owned()),
            (None, Some(value)) => Value::Integer { value, hex: false },
            (None, None) => Value::Text(text.to_owned()),
        }
    }

    fn ambiguous(&self, cell: &Cell, message: Text) -> Value {
        let fault = Fault::error("manual-address", &self.at(cell), message);
        self.report.add(fault.hint(text!(
            "write the address on the wire in decimal, without leading zeros",
            "用十进制写报文地址，不加前导零"
        )));
        Value::Broken
    }

    fn integer(&self, cell: &Cell) -> Value {
        match cell.text.parse() {
            Ok(value) => Value::Integer { value, hex: false },
            Err(_) => self.not_a_number(cell, &text!("a whole number", "整数")),
        }
    }

    /// A number; with a comma for the decimal point where cells end with something else.
    fn number(&self, cell: &Cell) -> Value {
        let text = if self.separator == ',' {
            cell.text.clone()
        } else {
            cell.text.replace(',', ".")
        };
        match text.parse::<f64>() {
            Ok(value) => Value::Float(value),
            Err(_) => self.not_a_number(cell, &text!("a number", "数值")),
        }
    }

    fn not_a_number(&self, cell: &Cell, wanted: &Text) -> Value {
        let (text, en, zh) = (&cell.text, &wanted.en, &wanted.zh);
        let message = text!("`{text}` is not {en}", "`{text}` 不是{zh}");
        self.report.error("wrong-type", &self.at(cell), message);
        Value::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::{rows, separator};

    #[test]
    fn cells_keep_their_text_and_place_through_quotes_and_separators() {
        for (text, expected) in [
            ("a,b\n1,2\n", "a@0 b@2 | 1@4 2@6"),
            ("a;b\r\n1;2,5\r\n", "a@0 b@2 | 1@5 2,5@7"),
            ("a\tb", "a@0 b@2"),
            ("a,b\n\n ,\n1, x y \n", "a@0 b@2 | 1@8 x y@11"),
            ("a,\"b, \"\"c\"\"\nd\",e", "a@0 b, \"c\"\nd@2 e@15"),
            ("a,b\"c", "a@0 b\"c@2"),
            ("a,\"open", "a@0 open@2"),
            ("", ""),
        ] {
            let (rows, open) = rows(text, separator(text));
            assert_eq!(open, text.find("\"open"), "{text:?}");
            let shown: Vec<String> = rows
                .iter()
                .map(|row| {
                    let cells: Vec<_> = row
                        .iter()
                        .map(|cell| format!("{}@{}", cell.text, cell.span.start))
                        .collect();
                    cells.join(" ")
                })
                .collect();
            assert_eq!(shown.join(" | "), expected, "{text:?}");
        }
    }
}
