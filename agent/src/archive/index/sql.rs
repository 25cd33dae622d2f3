//! What index and stores say to each other: statements with values, rows of values.
//!
//! One text of a statement serves both stores. Its values stand as `$1`, `$2`, …; it casts where PostgreSQL can't know
//! a value's type.

use lineside_proto::{Identifier, State, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

use super::{IndexError, Wanted};

/// A value of a column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Value {
    /// None.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    /// What the tables can't hold stands as the largest that they can.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<Time> for Value {
    fn from(value: Time) -> Self {
        Self::Int(value.as_millis())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&Identifier> for Value {
    fn from(value: &Identifier) -> Self {
        value.as_str().into()
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A word of the wire (`EXT`, `early-leave`) as a value.
pub(super) fn word<T: Serialize>(word: T) -> Value {
    match serde_json::to_value(word) {
        Ok(serde_json::Value::String(text)) => Value::Text(text),
        Ok(_) | Err(_) => Value::Null,
    }
}

/// A connection within a transaction.
pub(super) trait Sql {
    /// Runs a statement; says how many rows it changed.
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, IndexError>;

    /// Writes rows of a table; a row takes the place of the one that has its key, or its key must be new.
    fn insert(
        &mut self,
        table: &Table,
        rows: &[Vec<Value>],
        replaces: bool,
    ) -> Result<(), IndexError>;

    /// The rows that have these keys, without their logs' numbers. Each is looked up by its key, however large the table.
    fn find(&mut self, table: &Table, keys: &[Vec<Value>]) -> Result<Vec<Row>, IndexError>;

    /// Asks.
    fn ask(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, IndexError>;
}

/// What is done within a transaction.
pub(super) type Act<'a> = &'a mut dyn FnMut(&mut dyn Sql) -> Result<(), IndexError>;

/// Where the tables are. Both ends of it wait: it is asked from threads that may.
pub(super) trait Store: Send + Sync {
    /// Reads, all from one state of the tables. Where it is said who wants it, a statement ends early, and no other
    /// begins, once that is over.
    fn read(&self, wanted: Option<&Wanted>, act: Act<'_>) -> Result<(), IndexError>;

    /// Writes all of it, or nothing.
    fn write(&self, act: Act<'_>) -> Result<(), IndexError>;

    /// Makes the tables anew, empty.
    fn renew(&self) -> Result<(), IndexError>;
}

/// A row, read from left to right.
#[derive(Clone, Debug)]
pub(super) struct Row {
    values: std::vec::IntoIter<Value>,
}

/// The columns of the states, in the order of the tables.
pub(super) const STATES: [State; 8] = [
    State::Unknown,
    State::Off,
    State::Down,
    State::Maint,
    State::Idle,
    State::Setup,
    State::Run,
    State::Hold,
];

impl Row {
    pub(super) fn new(values: Vec<Value>) -> Self {
        let values = values.into_iter();
        Self { values }
    }

    /// The values that were not read yet.
    pub(super) fn rest(self) -> Vec<Value> {
        self.values.collect()
    }

    /// The next so many values, which are still to be read.
    pub(super) fn next_ones(&self, count: usize) -> Vec<Value> {
        self.values.as_slice().iter().take(count).cloned().collect()
    }

    fn next(&mut self) -> Result<Value, IndexError> {
        self.values.next().ok_or(IndexError::Odd("too few columns"))
    }

    pub(super) fn int_if(&mut self) -> Result<Option<i64>, IndexError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(value)),
            Value::Text(_) => Err(IndexError::Odd("a text in a column of numbers")),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, IndexError> {
        self.int_if()?.ok_or(IndexError::Odd("a number is missing"))
    }

    pub(super) fn count_if(&mut self) -> Result<Option<u64>, IndexError> {
        let value = self.int_if()?;
        let wide = |value| u64::try_from(value).map_err(|_| IndexError::Odd("a negative number"));
        value.map(wide).transpose()
    }

    pub(super) fn count(&mut self) -> Result<u64, IndexError> {
        self.count_if()?
            .ok_or(IndexError::Odd("a number is missing"))
    }

    pub(super) fn small(&mut self) -> Result<u32, IndexError> {
        let value = self.int()?;
        u32::try_from(value).map_err(|_| IndexError::Odd("a number beyond its bounds"))
    }

    pub(super) fn time_if(&mut self) -> Result<Option<Time>, IndexError> {
        Ok(self.int_if()?.map(Time::from_millis))
    }

    pub(super) fn time(&mut self) -> Result<Time, IndexError> {
        Ok(Time::from_millis(self.int()?))
    }

    pub(super) fn text_if(&mut self) -> Result<Option<String>, IndexError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            Value::Int(_) => Err(IndexError::Odd("a number in a column of texts")),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, IndexError> {
        self.text_if()?.ok_or(IndexError::Odd("a text is missing"))
    }

    pub(super) fn name_if(&mut self) -> Result<Option<Identifier>, IndexError> {
        let text = self.text_if()?;
        let name = text.map(|text| text.parse::<Identifier>());
        name.transpose()
            .map_err(|_| IndexError::Odd("a name that is none"))
    }

    pub(super) fn name(&mut self) -> Result<Identifier, IndexError> {
        self.name_if()?.ok_or(IndexError::Odd("a name is missing"))
    }

    pub(super) fn word_if<T: DeserializeOwned>(&mut self) -> Result<Option<T>, IndexError> {
        let Some(text) = self.text_if()? else {
            return Ok(None);
        };
        let word = serde_json::from_value(serde_json::Value::String(text));
        word.map(Some)
            .map_err(|_| IndexError::Odd("a word that nobody knows"))
    }

    pub(super) fn word<T: DeserializeOwned>(&mut self) -> Result<T, IndexError> {
        self.word_if()?.ok_or(IndexError::Odd("a word is missing"))
    }

    /// The eight columns of the states; those of no time are left out.
    pub(super) fn states(&mut self) -> Result<BTreeMap<State, u64>, IndexError> {
        let mut ms = BTreeMap::new();
        for state in STATES {
            let value = self.count()?;
            if value > 0 {
                ms.insert(state, value);
            }
        }
        Ok(ms)
    }
}

/// A table, as it is written.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Its columns, those of the key first.
    pub(super) columns: &'static [&'static str],
    /// How many columns its key has.
    pub(super) key: usize,
}

impl Table {
    /// Writes rows; a row takes the place of the one that has its key.
    pub(super) fn put(&self, sql: &mut dyn Sql, rows: &[Vec<Value>]) -> Result<(), IndexError> {
        if rows.is_empty() {
            return Ok(());
        }
        sql.insert(self, rows, true)
    }

    /// Writes rows whose keys must be new.
    pub(super) fn add(&self, sql: &mut dyn Sql, rows: &[Vec<Value>]) -> Result<(), IndexError> {
        if rows.is_empty() {
            return Ok(());
        }
        sql.insert(self, rows, false)
    }

    /// What writes rows, as far as both stores say it alike: what comes before the values, and what after them.
    pub(super) fn insert(&self, replaces: bool) -> (String, String) {
        let (name, columns) = (self.name, self.columns.join(", "));
        let begin = format!("INSERT INTO {name} ({columns})");
        if !replaces {
            return (begin, String::new());
        }
        let (key, rest) = self.columns.split_at_checked(self.key).unwrap_or_default();
        let rest: Vec<String> = rest
            .iter()
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let (key, rest) = (key.join(", "), rest.join(", "));
        let end = format!(" ON CONFLICT ({key}) DO UPDATE SET {rest}");
        (begin, end)
    }

    /// The rows of a log that have these keys, without the log's number.
    pub(super) fn find(
        &self,
        sql: &mut dyn Sql,
        log: i64,
        keys: &[Vec<Value>],
    ) -> Result<Vec<Row>, IndexError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let whole = |key: &Vec<Value>| [&[log.into()], key.as_slice()].concat();
        let keys: Vec<_> = keys.iter().map(whole).collect();
        sql.find(self, &keys)
    }

    /// The columns of its key.
    pub(super) fn key_columns(&self) -> &'static [&'static str] {
        self.columns.get(..self.key).unwrap_or_default()
    }

    /// Its columns but for the log's number.
    pub(super) fn own_columns(&self) -> &'static [&'static str] {
        self.columns.get(1..).unwrap_or_default()
    }

    /// Deletes rows of a log, so many at most; says how many.
    pub(super) fn clear(
        &self,
        sql: &mut dyn Sql,
        log: i64,
        rows_max: u32,
    ) -> Result<u64, IndexError> {
        let name = self.name;
        let key = self.columns.get(1..self.key).unwrap_or_default().join(", ");
        let text = format!(
            "DELETE FROM {name} WHERE log = $1 AND ({key}) IN \
             (SELECT {key} FROM {name} WHERE log = $1 LIMIT $2)"
        );
        sql.run(&text, &[log.into(), rows_max.into()])
    }
}
