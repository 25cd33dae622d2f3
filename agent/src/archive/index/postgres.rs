//! The index in a PostgreSQL server.
//!
//! A connection is made when one is needed, and given up with the first error that is not a statement's own; what was
//! being written then is not written. Nobody here waits for ever: each statement has its time. One that nobody wants any
//! more is cancelled, and its connection given up with it, since a cancellation that comes late would hit the next one.

use std::collections::HashMap;
use std::env;
use std::error::Error as _;
use std::future::{Future, pending};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::schema;
use super::sql::{Act, Row, Sql, Store, Table, Value};
use super::{IndexError, Wanted};
use crate::text;

/// Where PostgreSQL's own programs look for the password, too.
const PASSWORD: &str = "PGPASSWORD";

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long a statement of an answer may take, by the server's clock, whoever wants it.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a statement that writes may take: it has some thousand rows.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// How much longer one waits than the server may take.
const GRACE: Duration = Duration::from_secs(5);

/// Statements that a connection keeps ready: more than there are different ones.
const STATEMENTS_MAX: usize = 128;

/// Connections for reading that wait for the next question: few are asked at once.
const IDLE_MAX: usize = 4;

/// The tables are in a schema of their own, whatever else the database has. What is written is derived, so that the
/// server need not flush each batch: a crash takes back whole ones with their cursors.
const SESSION: &str = "SET search_path TO lineside; SET synchronous_commit TO off; \
                       SET client_min_messages TO warning";

/// The index in a server.
pub(super) struct Postgres {
    config: Config,
    /// What drives the connections; taken when this ends.
    runtime: Option<Runtime>,
    writer: Mutex<Option<Session>>,
    readers: Mutex<Vec<Session>>,
}

fn no_address() -> IndexError {
    IndexError::Address(text!(
        "--postgres is no address of PostgreSQL: write postgres://USER@HOST/DATABASE, or host=/run/postgresql user=… dbname=…",
        "--postgres 不是 PostgreSQL 地址：请写作 postgres://用户@主机/数据库，或 host=/run/postgresql user=… dbname=…"
    ))
}

impl Postgres {
    pub(super) fn of(url: &str) -> Result<Self, IndexError> {
        let config = url.parse::<Config>();
        let mut config = config.map_err(|_| no_address())?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(IndexError::Address(text!(
                "TLS to PostgreSQL is not built in: use a Unix socket, or a network of its own",
                "未内置到 PostgreSQL 的 TLS：请使用 Unix 套接字或专用网络"
            )));
        }
        config.ssl_mode(SslMode::Disable);
        // A command line is read by everybody on the machine.
        if let (None, Ok(password)) = (config.get_password(), env::var(PASSWORD)) {
            config.password(password);
        }
        config.connect_timeout(CONNECT_MAX);
        config.application_name("lineside archive");
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lineside-postgres")
            .enable_all()
            .build()?;
        Ok(Self {
            config,
            runtime: Some(runtime),
            writer: Mutex::new(None),
            readers: Mutex::new(Vec::new()),
        })
    }

    fn connect(
        &self,
        statement_max: Duration,
        wanted: Option<&Wanted>,
    ) -> Result<Session, IndexError> {
        let runtime = self.runtime.as_ref();
        let runtime = runtime.ok_or(IndexError::Away("it is being closed".to_owned()))?;
        let connected = self.config.connect(NoTls);
        let connected = runtime.block_on(awaited(CONNECT_MAX + GRACE, wanted, connected))?;
        let (client, connection) = connected.map_err(|error| told(&error))?;
        // It ends with its client.
        runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        let mut session = Session {
            client,
            handle: runtime.handle().clone(),
            statement_max: statement_max + GRACE,
            statements: HashMap::new(),
            wanted: wanted.cloned(),
            is_over: false,
        };
        let max = statement_max.as_millis();
        session.simple(&format!("{SESSION}; SET statement_timeout TO {max}"))?;
        Ok(session)
    }

    fn connect_writer(&self) -> Result<Session, IndexError> {
        let mut session = self.connect(WRITE_MAX, None)?;
        // Whoever writes looks for keys only, in tables that grow faster than the server's statistics of them.
        session.simple("SET enable_seqscan TO off")?;
        session.within("BEGIN", &mut |sql| {
            // Whoever may not make a schema may still use one that was made for them.
            let there = "SELECT COUNT(*) FROM pg_catalog.pg_namespace WHERE nspname = 'lineside'";
            let mut found = sql.ask(there, &[])?.into_iter();
            if found.next().map(|mut row| row.count()).transpose()? == Some(0) {
                sql.run("CREATE SCHEMA lineside", &[])?;
            }
            schema::begin(sql, &spelt)
        })?;
        Ok(session)
    }
}

/// What the server says, where it does in time and while somebody wants to know.
async fn awaited<T>(
    at_most: Duration,
    wanted: Option<&Wanted>,
    what: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<Result<T, tokio_postgres::Error>, IndexError> {
    let over = async {
        match wanted {
            Some(wanted) => wanted.over().await,
            None => pending().await,
        }
    };
    tokio::select! {
        // Nothing begins that nobody wants.
        biased;
        () = over => Err(IndexError::Slow),
        done = timeout(at_most, what) => {
            done.map_err(|_| IndexError::Away("it does not answer".to_owned()))
        }
    }
}

/// A statement of the schema as PostgreSQL spells it: texts are in the order of their bytes, as in SQLite.
fn spelt(sql: &str) -> String {
    sql.replace(" TEXT", " TEXT COLLATE \"C\"")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Who drops this may be a task.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Store for Postgres {
    fn read(&self, wanted: Option<&Wanted>, act: Act<'_>) -> Result<(), IndexError> {
        let idle = lock(&self.readers).pop();
        let is_new = idle.is_none();
        let mut session = idle.map_or_else(|| self.connect(ANSWER_MAX, wanted), Ok)?;
        session.wanted = wanted.cloned();
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut result = session.within(begin, act);
        if session.is_over && !is_new && !wanted.is_some_and(Wanted::is_over) {
            // The server went away while the connection waited: a new one tells whether it is back.
            lock(&self.readers).clear();
            session = self.connect(ANSWER_MAX, wanted)?;
            result = session.within(begin, act);
        }
        let mut idle = lock(&self.readers);
        if !session.is_over && idle.len() < IDLE_MAX {
            idle.push(session);
        }
        result
    }

    fn write(&self, act: Act<'_>) -> Result<(), IndexError> {
        let mut held = lock(&self.writer);
        let mut session = match held.take() {
            Some(session) => session,
            None => self.connect_writer()?,
        };
        let result = session.within("BEGIN", act);
        *held = Some(session).filter(|session| !session.is_over);
        result
    }

    fn renew(&self) -> Result<(), IndexError> {
        self.write(&mut |sql| schema::renew(sql, &spelt))
    }
}

/// A connection.
struct Session {
    client: Client,
    handle: tokio::runtime::Handle,
    statement_max: Duration,
    statements: HashMap<String, Statement>,
    /// Who wants what is asked now, where somebody said.
    wanted: Option<Wanted>,
    /// Nothing more is said on it.
    is_over: bool,
}

impl Session {
    fn within(&mut self, begin: &str, act: Act<'_>) -> Result<(), IndexError> {
        self.simple(begin)?;
        match act(self) {
            Ok(()) => self.simple("COMMIT"),
            Err(error) if self.is_over => Err(error),
            Err(error) => {
                self.simple("ROLLBACK")?;
                Err(error)
            }
        }
    }

    fn simple(&mut self, sql: &str) -> Result<(), IndexError> {
        let done = self.awaited(self.client.batch_execute(sql));
        self.judged(done)
    }

    /// What the caller waits for; never a task of a runtime.
    fn awaited<T>(
        &self,
        what: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<Result<T, tokio_postgres::Error>, IndexError> {
        let what = awaited(self.statement_max, self.wanted.as_ref(), what);
        self.handle.block_on(what)
    }

    fn judged<T>(
        &mut self,
        done: Result<Result<T, tokio_postgres::Error>, IndexError>,
    ) -> Result<T, IndexError> {
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let told = told(&error);
                // Whatever it was, what is prepared here may no longer fit the tables.
                self.is_over |= !matches!(told, IndexError::Slow | IndexError::Moved);
                Err(told)
            }
            Err(error) => {
                self.is_over = true;
                if matches!(error, IndexError::Slow) {
                    self.cancel();
                }
                Err(error)
            }
        }
    }

    /// Has the server stop what it does for this connection. Nobody waits for that: if the word does not reach it, it
    /// stops at its own time.
    fn cancel(&self) {
        let token = self.client.cancel_token();
        self.handle.spawn(async move {
            let told = timeout(CONNECT_MAX, token.cancel_query(NoTls)).await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::debug!("PostgreSQL could not be told that a statement is not wanted");
            }
        });
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, IndexError> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let done = self.awaited(self.client.prepare(sql));
        let statement = self.judged(done)?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Sql for Session {
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, IndexError> {
        let statement = self.prepared(sql)?;
        let done = self.awaited(self.client.execute_raw(&statement, values));
        self.judged(done)
    }

    fn insert(
        &mut self,
        table: &Table,
        rows: &[Vec<Value>],
        replaces: bool,
    ) -> Result<(), IndexError> {
        let rows = Arrays::of(table, table.columns, rows);
        let (begin, end) = table.insert(replaces);
        let text = format!("{begin} SELECT * FROM {}{end}", rows.unnest());
        let statement = self.prepared(&text)?;
        let values = rows.values();
        let done = self.awaited(self.client.execute(&statement, &values));
        self.judged(done).map(drop)
    }

    fn find(&mut self, table: &Table, keys: &[Vec<Value>]) -> Result<Vec<Row>, IndexError> {
        let keys = Arrays::of(table, table.key_columns(), keys);
        let equal: Vec<String> = (table.key_columns().iter())
            .map(|column| format!("{column} = wanted.{column}"))
            .collect();
        // The limit keeps the server from turning this into a join over all rows of a log, which is what it takes to be
        // cheapest in a table that was small when it last looked.
        let text = format!(
            "SELECT found.{columns} FROM {unnest} AS wanted ({key}) \
             CROSS JOIN LATERAL (SELECT * FROM {name} WHERE {equal} LIMIT 1) AS found",
            columns = table.own_columns().join(", found."),
            unnest = keys.unnest(),
            key = table.key_columns().join(", "),
            name = table.name,
            equal = equal.join(" AND "),
        );
        let statement = self.prepared(&text)?;
        let values = keys.values();
        let done = self.awaited(self.client.query(&statement, &values));
        self.judged(done)?.iter().map(row).collect()
    }

    fn ask(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, IndexError> {
        let statement = self.prepared(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let done = self.awaited(self.client.query(&statement, &values));
        self.judged(done)?.iter().map(row).collect()
    }
}

/// Rows as an array a column: one text for any number of them, and few values to take apart.
struct Arrays<'a> {
    columns: Vec<Column<'a>>,
}

impl<'a> Arrays<'a> {
    fn of(table: &Table, columns: &[&str], rows: &'a [Vec<Value>]) -> Self {
        let columns = (columns.iter().enumerate())
            .map(|(place, column)| {
                let values = rows.iter().map(move |row| row.get(place));
                Column::of(schema::is_text(table.name, column), values)
            })
            .collect();
        Self { columns }
    }

    /// What stands for them in a statement.
    fn unnest(&self) -> String {
        let places: Vec<String> = (1..)
            .zip(&self.columns)
            .map(|(place, column)| format!("CAST(${place} AS {}[])", column.kind()))
            .collect();
        format!("UNNEST({})", places.join(", "))
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.columns.iter().map(Column::value).collect()
    }
}

/// A column of rows.
enum Column<'a> {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
}

impl<'a> Column<'a> {
    fn of(is_text: bool, values: impl Iterator<Item = Option<&'a Value>>) -> Self {
        let number = |value: Option<&Value>| match value {
            Some(Value::Int(value)) => Some(*value),
            Some(Value::Null | Value::Text(_)) | None => None,
        };
        let text = |value: Option<&'a Value>| match value {
            Some(Value::Text(value)) => Some(value.as_str()),
            Some(Value::Null | Value::Int(_)) | None => None,
        };
        if is_text {
            Self::Texts(values.map(text).collect())
        } else {
            Self::Numbers(values.map(number).collect())
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "BIGINT",
            Self::Texts(_) => "TEXT",
        }
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Numbers(values) => values,
            Self::Texts(values) => values,
        }
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, IndexError> {
    let values = row.columns().iter().enumerate().map(|(place, column)| {
        let value = if *column.type_() == Type::INT8 {
            row.try_get::<_, Option<i64>>(place).map(Value::from)
        } else {
            row.try_get::<_, Option<String>>(place).map(Value::from)
        };
        value.map_err(|_| IndexError::Odd("a column that is neither number nor text"))
    });
    Ok(Row::new(values.collect::<Result<_, _>>()?))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INT8 || *kind == Type::TEXT
    }

    to_sql_checked!();
}

/// What an error means for whoever asked.
fn told(error: &tokio_postgres::Error) -> IndexError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    let Some(code) = error.code() else {
        return IndexError::Away(text);
    };
    // Connection, resources that come back, an operator's intervention; conflicts of two who write at once.
    let comes_back = ["08", "53", "57", "40"]
        .iter()
        .any(|class| code.code().starts_with(class));
    match code {
        code if *code == SqlState::QUERY_CANCELED => IndexError::Slow,
        code if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_COLUMN => {
            IndexError::Odd("its tables are not there")
        }
        code if *code == SqlState::UNIQUE_VIOLATION => IndexError::Moved,
        code if *code == SqlState::DISK_FULL => IndexError::Refused(text),
        _ if comes_back => IndexError::Away(text),
        _ => IndexError::Refused(text),
    }
}
