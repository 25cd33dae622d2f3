//! Tables that people bring as CSV: columns by English or Chinese name, every fault with its line and column.

use super::fault::{FAULTS_MAX, InputFault, InputFaults, text_of};
use crate::text::Text;

/// A column that a table may have.
pub(super) struct Column {
    /// Its names; the first is the one that faults use.
    pub(super) names: &'static [&'static str],
    /// Whether a table without it is refused.
    pub(super) is_needed: bool,
}

/// A row of a table.
pub(super) struct Row {
    /// Its line in the file, from 1.
    pub(super) line: u64,
    cells: Vec<String>,
}

/// A table, and what is wrong with it.
pub(super) struct Sheet {
    file: String,
    columns: &'static [Column],
    places: Vec<Option<usize>>,
    faults: Vec<InputFault>,
}

/// Bounds of a table.
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) rows: usize,
    pub(super) cell_chars: usize,
}

impl Sheet {
    /// Reads a table: the sheet, to tell faults to, and the rows that have anything in them.
    pub(super) fn read(
        bytes: &[u8],
        file: &str,
        columns: &'static [Column],
        bounds: &Bounds,
    ) -> Result<(Self, Vec<Row>), InputFaults> {
        let alone = |fault| InputFaults {
            file: file.to_owned(),
            faults: vec![fault],
        };
        let text = text_of(bytes, bounds.bytes).map_err(alone)?;
        let mut lines = Lines::of(text);
        let mut records = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes())
            .into_records()
            .map_while(Result::ok);
        let mut sheet = Self {
            file: file.to_owned(),
            columns,
            places: Vec::new(),
            faults: Vec::new(),
        };
        let titles = records.next().unwrap_or_default();
        let line = lines.at(titles.position());
        sheet.head(&titles, line);
        if !sheet.faults.is_empty() {
            return Err(sheet.told());
        }
        let mut rows = Vec::new();
        for record in records {
            let line = lines.at(record.position());
            if record.iter().all(str::is_empty) {
                continue;
            }
            if rows.len() >= bounds.rows {
                let most = bounds.rows;
                sheet.push(
                    line,
                    1,
                    "",
                    Text::new(
                        format!("more than {most} rows: split the file"),
                        format!("超过 {most} 行：请拆分文件"),
                    ),
                );
                break;
            }
            sheet.row(&record, titles.len(), line, bounds);
            rows.push(Row {
                line,
                cells: record.iter().map(str::to_owned).collect(),
            });
        }
        Ok((sheet, rows))
    }

    fn head(&mut self, titles: &csv::StringRecord, line: u64) {
        let mut places = vec![None; self.columns.len()];
        for (at, title) in titles.iter().enumerate() {
            let is_it = |column: &Column| {
                let mut names = column.names.iter();
                names.any(|name| name.eq_ignore_ascii_case(title))
            };
            let known = self.columns.iter().position(is_it);
            let place = known.and_then(|known| places.get_mut(known));
            match place {
                Some(place) if place.is_none() => *place = Some(at),
                Some(_) => self.push(
                    line,
                    at,
                    title,
                    Text::new("the column stands here twice", "此列出现两次"),
                ),
                None => {
                    let names = self.names();
                    self.push(
                        line,
                        at,
                        title,
                        Text::new(
                            format!("no such column; there are {names}"),
                            format!("没有此列；可用的列：{names}"),
                        ),
                    );
                }
            }
        }
        for (column, place) in self.columns.iter().zip(&places) {
            if column.is_needed && place.is_none() {
                let names = column.names.join(" / ");
                self.faults.push(InputFault {
                    line,
                    column: 1,
                    field: names,
                    text: Text::new(
                        "this column is missing: put it into the first line",
                        "缺少此列：请加入首行",
                    ),
                });
            }
        }
        self.places = places;
    }

    fn names(&self) -> String {
        let names = self.columns.iter().map(|column| column.names.join(" / "));
        names.collect::<Vec<_>>().join(", ")
    }

    fn row(&mut self, record: &csv::StringRecord, titles: usize, line: u64, bounds: &Bounds) {
        if record.len() > titles {
            self.push(
                line,
                titles,
                "",
                Text::new(
                    "more cells than the first line has: quote cells that hold a comma",
                    "单元格多于首行：含逗号的单元格请加双引号",
                ),
            );
        }
        for (at, cell) in record.iter().enumerate() {
            if cell.chars().count() > bounds.cell_chars || cell.chars().any(char::is_control) {
                let most = bounds.cell_chars;
                self.push(
                    line,
                    at,
                    "",
                    Text::new(
                        format!("at most {most} characters in one line are wanted"),
                        format!("应为一行之内、最多 {most} 个字符"),
                    ),
                );
            }
        }
    }

    fn push(&mut self, line: u64, at: usize, field: &str, text: Text) {
        self.faults.push(InputFault {
            line,
            column: u64::try_from(at).map_or(u64::MAX, |at| at + 1),
            field: field.to_owned(),
            text,
        });
    }

    /// A cell by the place of its column among the known ones; none where it is empty or its column is not there.
    pub(super) fn cell<'a>(&self, row: &'a Row, column: usize) -> Option<&'a str> {
        let at = self.places.get(column).copied().flatten()?;
        let cell = row.cells.get(at)?.as_str();
        (!cell.is_empty()).then_some(cell)
    }

    /// Tells what is wrong with a cell.
    pub(super) fn tell(&mut self, line: u64, column: usize, text: Text) {
        let at = self.places.get(column).copied().flatten().unwrap_or(0);
        let name = self
            .columns
            .get(column)
            .and_then(|column| column.names.first());
        let name = (*name.unwrap_or(&"")).to_owned();
        self.push(line, at, &name, text);
    }

    /// Reads a cell; tells what is wanted where it can't be read.
    pub(super) fn parse<T>(
        &mut self,
        row: &Row,
        column: usize,
        wanted: (&str, &str),
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let cell = self.cell(row, column)?;
        let value = parse(cell);
        if value.is_none() {
            self.tell(
                row.line,
                column,
                Text::new(
                    format!("{cell:?}: {} is wanted", wanted.0),
                    format!("“{cell}”：应为{}", wanted.1),
                ),
            );
        }
        value
    }

    /// Like [`Sheet::parse`], and an empty cell is a fault as well.
    pub(super) fn need<T>(
        &mut self,
        row: &Row,
        column: usize,
        wanted: (&str, &str),
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.cell(row, column).is_none() {
            self.tell(
                row.line,
                column,
                Text::new(
                    format!("is empty: {} is wanted", wanted.0),
                    format!("为空：应为{}", wanted.1),
                ),
            );
        }
        self.parse(row, column, wanted, parse)
    }

    /// What is wrong, if anything is.
    pub(super) fn done(self) -> Result<(), InputFaults> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(self.told())
    }

    fn told(mut self) -> InputFaults {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        self.faults.truncate(FAULTS_MAX);
        InputFaults {
            file: self.file,
            faults: self.faults,
        }
    }
}

/// Counts lines up to each record: the reader's own count begins before the empty lines that it skips.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let offset = position.and_then(|position| usize::try_from(position.byte()).ok());
        let offset = offset.unwrap_or(self.offset);
        let is_before = |at: usize, byte: u8| at < offset || matches!(byte, b'\r' | b'\n');
        while let Some(byte) = self.text.get(self.offset) {
            if !is_before(self.offset, *byte) {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.offset += 1;
        }
        self.line
    }
}
