//! The index in a file of its own: SQLite, built in.
//!
//! Writing is by one connection, reading by a few others, which see the state before what is being written (WAL). A
//! power cut may take back the newest batches, whole ones with their cursors: they are written again.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, Transaction, TransactionBehavior};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::schema;
use super::sql::{Act, Row, Sql, Store, Table, Value};
use super::{IndexError, Wanted};

/// How long one waits for another process that writes.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// How long an answer may take, where nobody says who wants it.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Steps of SQLite's machine between two looks at the clock: a fraction of a millisecond.
const STEPS: i32 = 10_000;

/// Statements that a connection keeps ready: more than there are different ones.
const STATEMENTS_MAX: usize = 128;

/// Connections for reading that wait for the next question: few are asked at once.
const IDLE_MAX: usize = 4;

/// The index in a file.
pub(super) struct Embedded {
    writer: Mutex<Connection>,
    /// Where further connections are opened, and those that wait; none where the file is nobody else's.
    readers: Option<(PathBuf, Mutex<Vec<Connection>>)>,
}

impl Embedded {
    pub(super) fn open(path: &Path) -> Result<Self, IndexError> {
        let writer = match writer(path) {
            Err(Fault::Damaged) => {
                tracing::warn!(
                    "{} is damaged: it is made anew from the tiles",
                    path.display()
                );
                remove(path)?;
                writer(path)?
            }
            other => other?,
        };
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Some((path.to_owned(), Mutex::new(Vec::new()))),
        })
    }

    /// One that goes with its connection.
    pub(super) fn temporary() -> Result<Self, IndexError> {
        let mut writer = connect(Path::new(""), OpenFlags::default())?;
        with_tables(&mut writer)?;
        Ok(Self {
            writer: Mutex::new(writer),
            readers: None,
        })
    }

    fn reader(&self) -> Result<Option<Connection>, Fault> {
        let Some((path, idle)) = &self.readers else {
            return Ok(None);
        };
        if let Some(reader) = lock(idle).pop() {
            return Ok(Some(reader));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        connect(path, flags).map(Some)
    }
}

impl Store for Embedded {
    fn read(&self, wanted: Option<&Wanted>, act: Act<'_>) -> Result<(), IndexError> {
        let deferred = TransactionBehavior::Deferred;
        let Some(mut reader) = self.reader()? else {
            let mut writer = lock(&self.writer);
            return Ok(within(&mut writer, deferred, wanted, act)?);
        };
        let (usual, _waits) = Wanted::until(Instant::now() + ANSWER_MAX);
        let wanted = wanted.unwrap_or(&usual);
        let looked = wanted.clone();
        reader
            .progress_handler(STEPS, Some(move || looked.is_over()))
            .map_err(Fault::from)?;
        let result = within(&mut reader, deferred, Some(wanted), act);
        if let (Ok(()), Some((_, idle))) = (&result, &self.readers) {
            let mut idle = lock(idle);
            if idle.len() < IDLE_MAX {
                idle.push(reader);
            }
        }
        Ok(result?)
    }

    fn write(&self, act: Act<'_>) -> Result<(), IndexError> {
        let mut writer = lock(&self.writer);
        Ok(within(
            &mut writer,
            TransactionBehavior::Immediate,
            None,
            act,
        )?)
    }

    fn renew(&self) -> Result<(), IndexError> {
        let mut held = lock(&self.writer);
        let renewed = within(
            &mut held,
            TransactionBehavior::Immediate,
            None,
            &mut |sql| schema::renew(sql, &str::to_owned),
        );
        match (renewed, &self.readers) {
            (Err(Fault::Damaged), Some((path, idle))) => {
                lock(idle).clear();
                *held = connect(Path::new(""), OpenFlags::default())?;
                remove(path)?;
                *held = writer(path)?;
                Ok(())
            }
            (renewed, _) => Ok(renewed?),
        }
    }
}

/// The connection that writes, with the tables.
fn writer(path: &Path) -> Result<Connection, Fault> {
    let mut writer = connect(path, OpenFlags::default())?;
    // What is written is derived: consistent after a power cut, be it a little older.
    writer.pragma_update(None, "journal_mode", "WAL")?;
    writer.pragma_update(None, "synchronous", "NORMAL")?;
    with_tables(&mut writer)?;
    Ok(writer)
}

/// Makes the tables, or sees that they are there.
fn with_tables(writer: &mut Connection) -> Result<(), Fault> {
    within(writer, TransactionBehavior::Immediate, None, &mut begin)
}

fn begin(sql: &mut dyn Sql) -> Result<(), IndexError> {
    schema::begin(sql, &str::to_owned)
}

fn remove(path: &Path) -> Result<(), IndexError> {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn within(
    connection: &mut Connection,
    behaviour: TransactionBehavior,
    wanted: Option<&Wanted>,
    act: Act<'_>,
) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(behaviour)?;
    let mut session = Session::of(&transaction, wanted);
    let done = act(&mut session);
    let is_damaged = session.is_damaged;
    match done {
        Ok(()) => Ok(transaction.commit()?),
        Err(_) if is_damaged => Err(Fault::Damaged),
        Err(error) => Err(error.into()),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// A panic while it was held has left at most a transaction that was taken back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What went wrong with the file.
#[derive(Debug)]
enum Fault {
    Damaged,
    Other(IndexError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let other = match code {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => return Self::Damaged,
            Some(ErrorCode::OperationInterrupted) => IndexError::Slow,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                IndexError::Away(error.to_string())
            }
            Some(_) | None => IndexError::Refused(error.to_string()),
        };
        Self::Other(other)
    }
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Self {
        Self::Other(error)
    }
}

impl From<Fault> for IndexError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged => Self::Odd("its file can't be read"),
            Fault::Other(error) => error,
        }
    }
}

struct Session<'a> {
    transaction: &'a Transaction<'a>,
    wanted: Option<&'a Wanted>,
    /// That the file is damaged, for whoever opens it.
    is_damaged: bool,
}

impl<'a> Session<'a> {
    fn of(transaction: &'a Transaction<'a>, wanted: Option<&'a Wanted>) -> Self {
        Self {
            transaction,
            wanted,
            is_damaged: false,
        }
    }

    /// Before a statement: SQLite itself looks only within a long one.
    fn look(&self) -> Result<(), IndexError> {
        if self.wanted.is_some_and(Wanted::is_over) {
            return Err(IndexError::Slow);
        }
        Ok(())
    }

    fn told(&mut self, error: rusqlite::Error) -> IndexError {
        let fault = Fault::from(error);
        self.is_damaged |= matches!(fault, Fault::Damaged);
        fault.into()
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

/// SQLite numbers its values by `?1`; what begins with `$` are names to it.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

impl Sql for Session<'_> {
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, IndexError> {
        let run = || {
            let mut statement = self.transaction.prepare_cached(&numbered(sql))?;
            statement.execute(rusqlite::params_from_iter(values))
        };
        let changed = run().map_err(|error| self.told(error))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn insert(
        &mut self,
        table: &Table,
        rows: &[Vec<Value>],
        replaces: bool,
    ) -> Result<(), IndexError> {
        let (begin, end) = table.insert(replaces);
        let places = vec!["?"; table.columns.len()].join(", ");
        let text = format!("{begin} VALUES ({places}){end}");
        let insert = || {
            let mut statement = self.transaction.prepare_cached(&text)?;
            for row in rows {
                statement.execute(rusqlite::params_from_iter(row))?;
            }
            Ok(())
        };
        insert().map_err(|error| self.told(error))
    }

    fn find(&mut self, table: &Table, keys: &[Vec<Value>]) -> Result<Vec<Row>, IndexError> {
        let places: Vec<String> = (1..)
            .zip(table.key_columns())
            .map(|(place, column)| format!("{column} = ?{place}"))
            .collect();
        let (name, columns) = (table.name, table.own_columns().join(", "));
        let text = format!(
            "SELECT {columns} FROM {name} WHERE {}",
            places.join(" AND ")
        );
        let find = || {
            let mut statement = self.transaction.prepare_cached(&text)?;
            let mut found = Vec::new();
            for key in keys {
                found.extend(rows(&mut statement, key)?);
            }
            Ok(found)
        };
        find().map_err(|error| self.told(error))
    }

    fn ask(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, IndexError> {
        self.look()?;
        let ask = || {
            let mut statement = self.transaction.prepare_cached(&numbered(sql))?;
            rows(&mut statement, values)
        };
        ask().map_err(|error| self.told(error))
    }
}

fn rows(statement: &mut rusqlite::Statement<'_>, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let width = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..width).map(|place| {
            Ok(match row.get_ref(place)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Int(value),
                ValueRef::Text(_) => Value::Text(row.get(place)?),
                // No statement of ours gives these.
                ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
            })
        });
        found.push(Row::new(values.collect::<rusqlite::Result<_>>()?));
    }
    Ok(found)
}
