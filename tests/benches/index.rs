//! The index of an archive: leaves a second into SQLite and into PostgreSQL, beside the same rows by bare inserts in the
//! same run, and how long answers take.
//!
//! `cargo bench -p lineside-tests --bench index` measures over a quarter of a million leaves; with a number, over so many.
#![expect(
    clippy::print_stdout,
    reason = "it is a program for people and scripts"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context as _, Result, ensure};
use futures_util::SinkExt;
use lineside::archive::index::model::Select;
use lineside::archive::index::{Index, Indexer, SCHEMA, check};
use lineside::archive::{Place, Shelf};
use lineside::clock::Stamp;
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside_proto::ledger::{Leaf, LeafBody, StateLeaf};
use lineside_proto::{State, Time};
use lineside_tests::dense::{self, Names};
use lineside_tests::postgres::Postgres;
use lineside_tests::shelf::lay;
use rusqlite::types::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LEAVES: u64 = 250_000;
const MACHINES: u32 = 20;
/// Rows of a transaction of the bare inserts: about what a batch of the index writes.
const ROWS: usize = 2_500;
/// Gateways that each have some new leaves, as in five minutes of a city, and how many.
const GATEWAYS: u64 = 300;
const FEW: u64 = 25;
/// 2025-06-01 and 2025-07-01 in UTC.
const JUNE: (i64, i64) = (1_748_736_000_000, 1_751_328_000_000);

fn main() -> Result<()> {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let place = tempfile::tempdir()?;
    let shelf = Shelf::of(&place.path().join("archive"));
    let leaves = long(place.path(), &shelf, count.unwrap_or(LEAVES))?;
    println!("{leaves} leaves of {MACHINES} machines, one log");
    let parsed = timed(|| parse(&shelf))?;
    println!("read and parsed, not written: {}", rate(leaves, parsed));
    let index = Arc::new(Index::embedded(shelf.dir())?);
    let spent = timed(|| follow(&shelf, &index))?;
    println!("SQLite, the index:            {}", rate(leaves, spent));
    let tables = tables(&shelf.dir().join("index.sqlite"))?;
    let rows: usize = tables.iter().map(|(_, rows)| rows.len()).sum();
    let spent = timed(|| bare_sqlite(&place.path().join("bare.sqlite"), &tables))?;
    println!(
        "SQLite, its {rows} rows by bare inserts: {}",
        rate(leaves, spent)
    );
    answers("SQLite", &index)?;
    println!(
        "SQLite, all compared with the tiles: {}",
        rate(
            leaves,
            timed(|| check(&shelf, &index).map(drop).map_err(Into::into))?
        )
    );
    let server = Postgres::start()?;
    let postgres = Arc::new(Index::postgres(&server.url())?);
    let spent = timed(|| follow(&shelf, &postgres))?;
    println!("PostgreSQL, the index:        {}", rate(leaves, spent));
    let runtime = tokio::runtime::Runtime::new()?;
    let spent = timed(|| runtime.block_on(bare_postgres(&server.url(), &tables)))?;
    println!("PostgreSQL, its rows by COPY: {}", rate(leaves, spent));
    answers("PostgreSQL", &postgres)?;
    few(place.path(), &shelf)?;
    for (name, index) in [("SQLite", &index), ("PostgreSQL", &postgres)] {
        let spent = timed(|| follow(&shelf, index))?;
        let each = spent.as_secs_f64() * 1_000.0 / GATEWAYS as f64;
        println!("{name}, {GATEWAYS} logs with {FEW} new leaves each: {each:.2} ms a log");
    }
    Ok(())
}

fn timed(act: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed())
}

fn rate(leaves: u64, spent: Duration) -> String {
    let seconds = spent.as_secs_f64();
    format!(
        "{:.0} leaves a second ({seconds:.1} s)",
        leaves as f64 / seconds
    )
}

fn place(gateway: &str) -> Result<Place> {
    Ok(Place {
        site: "dense".parse()?,
        gateway: gateway.parse()?,
        epoch: 1,
    })
}

fn long(dir: &Path, shelf: &Shelf, leaves: u64) -> Result<u64> {
    let names = Names {
        site: "dense".parse()?,
        gateway: "gw-dense".parse()?,
    };
    let size = dense::write(&dir.join("dense"), &names, leaves, MACHINES)?;
    lay(&dir.join("dense/state"), shelf, &place("gw-dense")?)?;
    Ok(size)
}

/// Many logs with few leaves.
fn few(dir: &Path, shelf: &Shelf) -> Result<()> {
    for gateway in 0..GATEWAYS {
        let (name, state) = (format!("gw-{gateway}"), dir.join(format!("few-{gateway}")));
        let key = dir.join(format!("keys/{name}/ledger.key"));
        let (ledger, _) = Ledger::open(&state, &key, &format!("lineside/dense/{name}"))?;
        let entries = (0..FEW).map(entry).collect::<Result<Vec<_>>>()?;
        ledger.append("boot", &entries)?;
        ledger.sign()?;
        lay(&state, shelf, &place(&name)?)?;
    }
    Ok(())
}

fn entry(number: u64) -> Result<Entry> {
    let wall = Time::from_millis(JUNE.0 + i64::try_from(number)? * 1_000);
    let body = LeafBody::State(StateLeaf {
        machine: format!("machine-{:02}", number % 20).parse()?,
        from: State::Idle,
        to: State::Run,
        since: wall,
        since_ms: i64::try_from(number)? * 1_000,
        rule: Some("RUN@2".to_owned()),
        config: format!("sha256:{:064x}", number % 20),
    });
    let at = Stamp {
        boot_ms: number * 1_000,
        wall,
    };
    Ok(Entry { at, body })
}

fn follow(shelf: &Shelf, index: &Arc<Index>) -> Result<()> {
    let round = Indexer::new(shelf.clone(), Arc::clone(index)).round(&mut || false)?;
    ensure!(round.faults == 0 && round.leaves > 0, "{round:?}");
    Ok(())
}

fn parse(shelf: &Shelf) -> Result<()> {
    let view = shelf.view(&place("gw-dense")?)?;
    let mut next = 0;
    while next < view.size() {
        for (index, bytes) in view.read(next, 1 << 20)? {
            Leaf::from_bytes(&bytes)?;
            next = index + 1;
        }
    }
    Ok(())
}

type Rows = Vec<Vec<Value>>;

/// All rows of an index, by table.
fn tables(path: &Path) -> Result<Vec<(String, Rows)>> {
    let file = rusqlite::Connection::open(path)?;
    let mut names = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut tables = Vec::new();
    for name in names {
        let mut all = file.prepare(&format!("SELECT * FROM {name}"))?;
        let width = all.column_count();
        let rows = all.query_map([], |row| (0..width).map(|place| row.get(place)).collect())?;
        let rows = rows.collect::<Result<Rows, _>>()?;
        tables.push((name, rows));
    }
    Ok(tables)
}

/// The same rows into the same tables, and nothing else.
fn bare_sqlite(path: &Path, tables: &[(String, Rows)]) -> Result<()> {
    let mut file = rusqlite::Connection::open(path)?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "NORMAL")?;
    file.execute_batch(SCHEMA)?;
    for (name, rows) in tables {
        for part in rows.chunks(ROWS) {
            let places = vec!["?"; part.first().map_or(0, Vec::len)].join(", ");
            let transaction = file.transaction()?;
            {
                let insert = format!("INSERT INTO {name} VALUES ({places})");
                let mut insert = transaction.prepare(&insert)?;
                for row in part {
                    insert.execute(rusqlite::params_from_iter(row))?;
                }
            }
            transaction.commit()?;
        }
    }
    Ok(())
}

/// The same rows into the same tables by COPY, the server's fastest way.
async fn bare_postgres(url: &str, tables: &[(String, Rows)]) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("CREATE SCHEMA bare; SET search_path TO bare; SET synchronous_commit TO off")
        .await?;
    client.batch_execute(SCHEMA).await?;
    for (name, rows) in tables {
        for part in rows.chunks(ROWS) {
            let sink = client.copy_in(&format!("COPY {name} FROM STDIN")).await?;
            let mut sink = std::pin::pin!(sink);
            let text: String = part.iter().map(|row| line(row)).collect();
            sink.send(std::io::Cursor::new(text.into_bytes())).await?;
            sink.finish().await?;
        }
    }
    Ok(())
}

/// A row as COPY takes it. The texts here have nothing to escape.
fn line(row: &[Value]) -> String {
    let fields: Vec<String> = row
        .iter()
        .map(|value| match value {
            Value::Null => "\\N".to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            Value::Text(value) => value.clone(),
            Value::Blob(_) => String::new(),
        })
        .collect();
    fields.join("\t") + "\n"
}

fn answers(name: &str, index: &Index) -> Result<()> {
    let june = Select {
        site: Some("dense".parse()?),
        gateway: Some("gw-dense".parse()?),
        from: Some(Time::from_millis(JUNE.0)),
        to: Some(Time::from_millis(JUNE.1)),
        ..Select::default()
    };
    let year = Select {
        from: Some(Time::from_millis(JUNE.0 - 150 * 86_400_000)),
        to: Some(Time::from_millis(JUNE.0 + 210 * 86_400_000)),
        ..june.clone()
    };
    let mut told = Vec::new();
    for (what, select) in [("a month", &june), ("360 days", &year)] {
        let spent = timed(|| {
            let rows = index.usage(select)?.rows;
            rows.first().context("no usage").map(drop)
        })?;
        told.push(format!(
            "usage of {what} {:.0} ms",
            spent.as_secs_f64() * 1e3
        ));
    }
    let spent = timed(|| {
        let rows = index.sessions(&june)?.rows;
        rows.first().context("no sessions").map(drop)
    })?;
    told.push(format!("100 sessions {:.0} ms", spent.as_secs_f64() * 1e3));
    println!("{name}, answers: {}", told.join(", "));
    Ok(())
}
