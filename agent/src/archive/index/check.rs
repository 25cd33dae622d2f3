//! Whether the index says what the tiles say: each log's leaves are taken anew, and all rows compared. And the index
//! made anew.

use lineside_proto::text::plain;
use std::sync::Arc;

use super::indexer::{Log, PART_BYTES};
use super::sql::{Row, Table, Value};
use super::tables::{LOGS, MACHINES, OF_LOGS};
use super::write::number;
use super::{Cursor, Index, IndexError, Indexer, Place, Round};
use crate::archive::Shelf;
use crate::logs::chain;

/// Differences that are told; of the others only the number is.
const TOLD_MAX: usize = 100;

/// Rows that are compared together.
const ROWS_MAX: u32 = 1_000;

/// How often a log is compared anew that grew meanwhile.
const TRIES_MAX: u32 = 5;

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Logs that were compared.
    pub logs: u64,
    /// Rows that were compared.
    pub rows: u64,
    /// Leaves that are below a signed head, and not in the index yet.
    pub behind: u64,
    /// What differs, the first of it.
    pub first: Vec<Difference>,
    /// How much differs in all.
    pub count: u64,
}

/// Something that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The log.
    pub place: Place,
    /// The table.
    pub table: &'static str,
    /// What.
    pub what: String,
}

impl Checked {
    fn tell(&mut self, place: &Place, table: &'static str, what: impl Into<String>) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(Difference {
                place: place.clone(),
                table,
                what: what.into(),
            });
        }
    }
}

/// Compares the index with the tiles. What is in the index counts, up to where it has come.
///
/// # Errors
///
/// The store's, or the archive's directory can't be read. A log that can't be read is a difference.
pub fn check(shelf: &Shelf, index: &Index) -> Result<Checked, IndexError> {
    let mut checked = Checked::default();
    index.is_of(shelf)?;
    let mut cursors = index.cursors()?;
    for place in shelf.logs()? {
        let cursor = cursors.remove(&place);
        let compared = Log::open(shelf, &place).and_then(|log| {
            let from = cursor.as_ref().map_or(0, |cursor| cursor.size);
            match cursor {
                Some(cursor) => compare(&log, &place, index, cursor, &mut checked)?,
                None => checked.behind += log.size,
            }
            log.sound(from)
        });
        match compared {
            Ok(()) => {}
            // One that can't be read hides no other.
            Err(error @ (IndexError::Log { .. } | IndexError::Leaf { .. })) => {
                checked.tell(&place, LOGS.name, chain(&error));
            }
            Err(error) => return Err(error),
        }
    }
    for place in cursors.into_keys() {
        checked.tell(&place, LOGS.name, "the archive has no such log");
    }
    Ok(checked)
}

/// Makes the index anew, from all leaves that there are. The leaves that it gives are those in the index then: an archive
/// that runs may have written some of them, or all.
///
/// # Errors
///
/// The store's.
pub fn rebuild(shelf: &Shelf, index: &Arc<Index>) -> Result<Round, IndexError> {
    index.is_of(shelf)?;
    index.renew()?;
    let mut round = Indexer::new(shelf.clone(), Arc::clone(index)).round(&mut || false)?;
    let sizes = index.cursors()?.into_values().map(|cursor| cursor.size);
    round.leaves = sizes.fold(0, u64::saturating_add);
    Ok(round)
}

fn compare(
    log: &Log<'_>,
    place: &Place,
    index: &Index,
    mut cursor: Cursor,
    checked: &mut Checked,
) -> Result<(), IndexError> {
    for _ in 0..TRIES_MAX {
        if !log.continues(&cursor)? {
            checked.tell(place, LOGS.name, "its rows are of another history");
            return Ok(());
        }
        let mut fresh = Checked::default();
        rows(log, place, index, &cursor, &mut fresh)?;
        let now = index.cursors()?.remove(place).unwrap_or_default();
        if now == cursor {
            checked.logs += 1;
            checked.rows += fresh.rows;
            checked.count += fresh.count;
            checked.behind += log.size - cursor.size;
            let room = TOLD_MAX - checked.first.len().min(TOLD_MAX);
            checked.first.extend(fresh.first.into_iter().take(room));
            return Ok(());
        }
        if now.size > log.size {
            // It grew beyond what was looked at here: later is another check.
            return Ok(());
        }
        cursor = now;
    }
    checked.tell(place, LOGS.name, "it changed all the while");
    Ok(())
}

fn rows(
    log: &Log<'_>,
    place: &Place,
    index: &Index,
    cursor: &Cursor,
    checked: &mut Checked,
) -> Result<(), IndexError> {
    let fresh = Index::temporary()?;
    let mut reached = Cursor::default();
    while reached.size < cursor.size {
        let end = (cursor.size, PART_BYTES);
        reached = log.write(&fresh, reached, end, &mut Round::default())?;
    }
    let wanted = Rows::of(&fresh, place)?;
    let found = Rows::of(index, place)?;
    for table in [&LOGS].into_iter().chain(OF_LOGS) {
        differ(table, &wanted, &found, place, checked)?;
    }
    Ok(())
}

/// A log's rows of an index.
struct Rows<'a> {
    index: &'a Index,
    log: Option<i64>,
}

impl<'a> Rows<'a> {
    fn of(index: &'a Index, place: &Place) -> Result<Self, IndexError> {
        let mut log = None;
        index.store.read(None, &mut |sql| {
            log = number(sql, place)?;
            Ok(())
        })?;
        Ok(Self { index, log })
    }

    /// The next rows after a key, without the log's number.
    fn next(&self, table: &Table, after: &[Value]) -> Result<Vec<Vec<Value>>, IndexError> {
        let Some(log) = self.log else {
            return Ok(Vec::new());
        };
        let (_, columns) = table.columns.split_at_checked(1).unwrap_or_default();
        let (key, _) = columns.split_at_checked(table.key - 1).unwrap_or_default();
        let places: Vec<String> = (2..2 + after.len())
            .map(|place| format!("${place}"))
            .collect();
        let (beyond, order) = if key.is_empty() {
            (String::new(), String::new())
        } else {
            let key = key.join(", ");
            let order = format!(" ORDER BY {key}");
            let beyond = format!(" AND ({key}) > ({})", places.join(", "));
            (
                if after.is_empty() {
                    String::new()
                } else {
                    beyond
                },
                order,
            )
        };
        let (name, columns) = (table.name, columns.join(", "));
        let text =
            format!("SELECT {columns} FROM {name} WHERE log = $1{beyond}{order} LIMIT {ROWS_MAX}");
        let values = [&[log.into()], after].concat();
        let mut found = Vec::new();
        self.index.store.read(None, &mut |sql| {
            found = sql.ask(&text, &values)?;
            Ok(())
        })?;
        Ok(found.into_iter().map(Row::rest).collect())
    }
}

/// Rows in the order of their keys, read as they are wanted.
struct Stream<'a> {
    table: &'a Table,
    rows: &'a Rows<'a>,
    held: std::collections::VecDeque<Vec<Value>>,
    after: Vec<Value>,
    is_over: bool,
}

impl<'a> Stream<'a> {
    fn new(table: &'a Table, rows: &'a Rows<'a>) -> Self {
        Self {
            table,
            rows,
            held: std::collections::VecDeque::new(),
            after: Vec::new(),
            is_over: false,
        }
    }

    fn key<'r>(&self, row: &'r [Value]) -> &'r [Value] {
        row.get(..self.table.key - 1).unwrap_or_default()
    }

    fn front(&mut self) -> Result<Option<&Vec<Value>>, IndexError> {
        if self.held.is_empty() && !self.is_over {
            self.held = self.rows.next(self.table, &self.after)?.into();
            match self.held.back() {
                Some(last) if self.table.key > 1 => self.after = self.key(last).to_vec(),
                Some(_) | None => self.is_over = true,
            }
        }
        Ok(self.held.front())
    }
}

fn differ(
    table: &'static Table,
    wanted: &Rows<'_>,
    found: &Rows<'_>,
    place: &Place,
    checked: &mut Checked,
) -> Result<(), IndexError> {
    let mut wanted = Stream::new(table, wanted);
    let mut found = Stream::new(table, found);
    loop {
        let order = match (wanted.front()?, found.front()?) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => {
                let key = table.key - 1;
                one.get(..key).cmp(&other.get(..key))
            }
        };
        checked.rows += 1;
        let told = match order {
            std::cmp::Ordering::Less => {
                let row = wanted.held.pop_front().unwrap_or_default();
                Some(format!("{} is missing", said(wanted.key(&row))))
            }
            std::cmp::Ordering::Greater => {
                let row = found.held.pop_front().unwrap_or_default();
                Some(format!("{} is in no leaf", said(found.key(&row))))
            }
            std::cmp::Ordering::Equal => {
                let one = wanted.held.pop_front().unwrap_or_default();
                let other = found.held.pop_front().unwrap_or_default();
                columns(table, &one, &other)
                    .map(|columns| format!("{}: {columns}", said(wanted.key(&one))))
            }
        };
        if let Some(told) = told {
            checked.tell(place, table.name, told);
        }
    }
}

/// The columns in which two rows differ.
fn columns(table: &Table, wanted: &[Value], found: &[Value]) -> Option<String> {
    let names = table.columns.iter().skip(1);
    let differing: Vec<String> = names
        .zip(wanted.iter().zip(found))
        .filter(|(name, (one, other))| one != other && !is_unnamed(table, name, other))
        .map(|(name, (one, other))| {
            let (one, other) = (
                said(std::slice::from_ref(one)),
                said(std::slice::from_ref(other)),
            );
            format!("{name} is {other}, and by the leaves {one}")
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join("; "))
}

/// A name whose map's text came late is looked for now and then only.
fn is_unnamed(table: &Table, column: &str, found: &Value) -> bool {
    table.name == MACHINES.name && column.starts_with("name_") && *found == Value::Null
}

fn said(values: &[Value]) -> String {
    let texts: Vec<String> = values
        .iter()
        .map(|value| match value {
            Value::Null => "null".to_owned(),
            Value::Int(value) => value.to_string(),
            Value::Text(value) => plain(value),
        })
        .collect();
    texts.join(" ")
}
