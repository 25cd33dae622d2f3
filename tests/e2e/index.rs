//! The index of an archive: SQLite and PostgreSQL say the same, whatever happens to either, and the program compares.

use anyhow::{Context, Result, ensure};
use jiff::civil::date;
use lineside::archive::index::model::{Page, Select};
use lineside::archive::index::{Index, IndexError, Indexer, Wanted, check, rebuild};
use lineside::archive::{Place, Shelf};
use lineside::clock::Stamp;
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside::sim::year::{Year, YearSettings, make};
use lineside_proto::Time;
use lineside_proto::ledger::{Correction, LeafBody};
use lineside_tests::agent::binary;
use lineside_tests::dense::{self, Names};
use lineside_tests::postgres::Postgres;
use lineside_tests::shelf::lay;
use lineside_tests::wait;
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// How long the index may take to reach the heads of a test's logs.
const REACH_MAX: Duration = Duration::from_secs(120);

fn place(gateway: &str, epoch: u32) -> Result<Place> {
    Ok(Place {
        site: "sample".parse()?,
        gateway: gateway.parse()?,
        epoch,
    })
}

/// An archive with a sample year of so many days, and a log with texts and numbers that nobody honest writes.
fn archive(dir: &Path, days: usize) -> Result<(Shelf, Year)> {
    let shelf = Shelf::of(&dir.join("archive"));
    let settings = YearSettings {
        from: date(2025, 3, 1),
        days,
        machines: 3,
        seed: 1,
    };
    let year = make(&dir.join("year"), settings, &mut |_| {})?;
    lay(&dir.join("year/state"), &shelf, &place("gw-sample", 1)?)?;
    let state = dir.join("odd");
    let (ledger, _) = Ledger::open(
        &state,
        &dir.join("odd-keys/ledger.key"),
        "lineside/sample/gw-odd",
    )?;
    let correction = |refers: u64, reason: &str, by: &str| Entry {
        at: Stamp {
            boot_ms: refers,
            wall: Time::from_millis(1_740_800_000_000),
        },
        body: LeafBody::Correction(Correction {
            refers,
            reason: reason.to_owned(),
            by: by.to_owned(),
        }),
    };
    let entries = [
        correction(0, "zero\0byte '\"$1 ?", &"p".repeat(3_000)),
        correction((1 << 53) - 1, "温度", "\0"),
    ];
    ledger.append("boot\0", &entries)?;
    ledger.sign()?;
    lay(&state, &shelf, &place("gw-odd", 1)?)?;
    Ok((shelf, year))
}

fn follow(shelf: &Shelf, index: &Arc<Index>) -> Result<()> {
    let round = Indexer::new(shelf.clone(), Arc::clone(index)).round(&mut || false)?;
    ensure!(round.faults == 0, "{round:?}");
    Ok(())
}

fn equal(shelf: &Shelf, index: &Index) -> Result<u64> {
    let checked = check(shelf, index)?;
    ensure!(checked.count == 0 && checked.behind == 0, "{checked:?}");
    Ok(checked.rows)
}

/// All pages of an answer.
fn pages<T: Serialize>(
    select: &Select,
    ask: impl Fn(&Select) -> Result<Page<T>, IndexError>,
) -> Result<Vec<Value>> {
    let mut select = select.clone();
    let mut pages = Vec::new();
    loop {
        let page = ask(&select)?;
        pages.push(serde_json::to_value(&page)?);
        match page.next {
            Some(next) => select.after = Some(next),
            None => return Ok(pages),
        }
    }
}

/// What an index answers to a question, whatever kind of rows it is for.
fn answers(index: &Index, select: &Select) -> Result<Vec<Vec<Value>>> {
    Ok(vec![
        pages(select, |select| index.sites(select))?,
        pages(select, |select| index.gateways(select))?,
        pages(select, |select| index.machines(select))?,
        pages(select, |select| index.sessions(select))?,
        pages(select, |select| index.outcomes(select))?,
        pages(select, |select| index.corrections(select))?,
        pages(select, |select| index.usage(select))?,
        pages(select, |select| index.spans(select))?,
        pages(select, |select| index.gaps(select))?,
    ])
}

#[test]
fn both_stores_say_the_same() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (shelf, year) = archive(dir.path(), 12)?;
    let server = Postgres::start()?;
    let indexes = [
        Arc::new(Index::embedded(shelf.dir())?),
        Arc::new(Index::postgres(&server.url())?),
    ];
    let mut rows = Vec::new();
    for index in &indexes {
        follow(&shelf, index)?;
        rows.push(equal(&shelf, index)?);
    }
    let [embedded, postgres] = &indexes;
    let here = Select {
        site: Some("sample".parse()?),
        gateway: Some("gw-sample".parse()?),
        from: Some(year.from),
        to: Some(year.to),
        limit: Some(1_000),
        ..Select::default()
    };
    let odd = Select {
        gateway: Some("gw-odd".parse()?),
        ..here.clone()
    };
    let in_pages = Select {
        limit: Some(7),
        ..here.clone()
    };
    let machine = Select {
        machine: Some("press-01".parse()?),
        to: Some(year.from.plus_millis(40 * 3_600_000)),
        ..here.clone()
    };
    let mut told = 0;
    for select in [&here, &odd, &in_pages, &machine] {
        let (one, other) = (answers(embedded, select)?, answers(postgres, select)?);
        for (one, other) in one.iter().flatten().zip(other.iter().flatten()) {
            ensure!(one == other, "{select:?}\n{one}\n{other}");
        }
        ensure!(one.len() == other.len());
        told += one.iter().flatten().count();
    }
    ensure!(told > 100, "{told} pages");
    // A log of another history in that place, and then the one before again.
    for state in ["odd", "year/state"] {
        lay(&dir.path().join(state), &shelf, &place("gw-sample", 1)?)?;
        for index in &indexes {
            follow(&shelf, index)?;
            equal(&shelf, index)?;
        }
    }
    for index in &indexes {
        rebuild(&shelf, index)?;
        rows.push(equal(&shelf, index)?);
    }
    ensure!(rows.iter().all(|count| *count == rows[0]), "{rows:?}");
    ensure!(answers(embedded, &here)? == answers(postgres, &here)?);
    Ok(())
}

/// The questions that stand in the page for people who know SQL.
fn examples() -> Result<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/city/INDEX.md");
    let page = fs::read_to_string(path)?;
    let blocks = page.split("```sql\n").skip(1);
    Ok(blocks
        .filter_map(|block| block.split("```").next().map(str::to_owned))
        .collect())
}

#[test]
fn what_the_page_of_the_tables_asks_is_answered() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (shelf, _) = archive(dir.path(), 12)?;
    let server = Postgres::start()?;
    follow(&shelf, &Arc::new(Index::embedded(shelf.dir())?))?;
    follow(&shelf, &Arc::new(Index::postgres(&server.url())?))?;
    let file = rusqlite::Connection::open(shelf.dir().join("index.sqlite"))?;
    let runtime = Runtime::new()?;
    let client = client(&runtime, &server)?;
    let examples = examples()?;
    ensure!(examples.len() >= 2);
    for example in examples {
        // The sample is of another year.
        let example = example.replace("1793462400000", "0");
        let mut asked = file.prepare(example.trim_end().trim_end_matches(';'))?;
        let mut rows = asked.query([])?;
        let mut count = 0;
        while rows.next()?.is_some() {
            count += 1;
        }
        let found = runtime.block_on(async {
            client.batch_execute("SET search_path TO lineside").await?;
            client.query(&example, &[]).await
        })?;
        ensure!(count > 0 && found.len() == count, "{example}\n{count}");
    }
    Ok(())
}

#[test]
fn a_server_that_is_killed_and_comes_back_misses_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (shelf, _) = archive(dir.path(), 3)?;
    let names = Names {
        site: "sample".parse()?,
        gateway: "gw-dense".parse()?,
    };
    let leaves = dense::write(&dir.path().join("dense"), &names, 60_000, 2)?;
    let dense = place("gw-dense", 1)?;
    lay(&dir.path().join("dense/state"), &shelf, &dense)?;
    let mut server = Postgres::start()?;
    let index = Arc::new(Index::postgres(&server.url())?);
    // Away from the start: whoever asks is told so, and the indexer waits.
    server.kill()?;
    ensure!(matches!(
        index.sites(&Select::default()),
        Err(IndexError::Away(_))
    ));
    let (wake, wakes) = mpsc::sync_channel(1);
    let indexer = Indexer::new(shelf.clone(), Arc::clone(&index));
    let thread = thread::spawn(move || indexer.run(&wakes));
    let reached = |size: u64| {
        wait::until("the index to grow", REACH_MAX, || {
            let cursors = index.cursors().unwrap_or_default();
            Ok(cursors
                .get(&dense)
                .filter(|cursor| cursor.size >= size)
                .map(drop))
        })
    };
    for part in 1..=5 {
        server.restart()?;
        reached(leaves * part / 7)?;
        if part % 2 == 0 {
            server.stop()?;
        } else {
            server.kill()?;
        }
    }
    server.restart()?;
    reached(leaves)?;
    drop(wake);
    thread.join().ok().context("the indexer's thread")?;
    equal(&shelf, &index)?;
    Ok(())
}

/// A client that is not ours.
fn client(runtime: &Runtime, server: &Postgres) -> Result<Client> {
    let url = server.url();
    let connected = tokio_postgres::connect(&url, NoTls);
    let (client, connection) = runtime.block_on(connected)?;
    runtime.spawn(connection);
    Ok(client)
}

/// Waits until so many of our statements wait for a lock.
fn locked(runtime: &Runtime, watcher: &Client, count: i64) -> Result<()> {
    let text = "SELECT COUNT(*) FROM pg_stat_activity \
                WHERE application_name = 'lineside archive' AND wait_event_type = 'Lock'";
    wait::until("statements to wait", Duration::from_secs(20), || {
        let row = runtime.block_on(watcher.query_one(text, &[]))?;
        Ok((row.try_get::<_, i64>(0)? == count).then_some(()))
    })
}

#[test]
fn a_server_goes_on_for_nobody_who_does_not_wait() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (shelf, year) = archive(dir.path(), 3)?;
    let server = Postgres::start()?;
    let index = Arc::new(Index::postgres(&server.url())?);
    follow(&shelf, &index)?;
    let select = Select {
        from: Some(year.from),
        to: Some(year.to),
        ..Select::default()
    };
    let runtime = Runtime::new()?;
    let (holder, watcher) = (client(&runtime, &server)?, client(&runtime, &server)?);
    let lock = "BEGIN; LOCK TABLE lineside.usage IN ACCESS EXCLUSIVE MODE";
    runtime.block_on(holder.batch_execute(lock))?;
    for is_gone in [true, false] {
        let since = Instant::now();
        let time = Duration::from_secs(if is_gone { 600 } else { 2 });
        let (wanted, waits) = Wanted::until(since + time);
        let (asked, select) = (index.wanted(&wanted), select.clone());
        let reading = thread::spawn(move || asked.usage(&select).map(drop));
        let mut waits = Some(waits);
        if is_gone {
            locked(&runtime, &watcher, 1)?;
            waits = None;
        }
        let result = reading.join().ok().context("whoever reads")?;
        drop(waits);
        ensure!(matches!(result, Err(IndexError::Slow)), "{result:?}");
        // The server has stopped, too, and long before its own time is over.
        locked(&runtime, &watcher, 0)?;
        let took = since.elapsed();
        ensure!(took < Duration::from_secs(25), "{took:?}");
    }
    runtime.block_on(holder.batch_execute("ROLLBACK"))?;
    ensure!(!index.usage(&select)?.rows.is_empty());
    Ok(())
}

/// Runs `lineside archive index`; gives its exit code and what it printed.
fn printed(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = Command::new(binary()?)
        .args(["--lang", "en", "archive", "index"])
        .args(arguments)
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

#[test]
fn the_program_makes_it_anew_and_says_what_differs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (shelf, _) = archive(dir.path(), 3)?;
    let server = Postgres::start()?;
    let (at, url) = (shelf.dir().display().to_string(), server.url());
    let says = |arguments: &[&str], code: i32, word: &str| -> Result<()> {
        let (ended, text) = printed(arguments)?;
        ensure!(
            ended == Some(code) && text.contains(word),
            "{arguments:?}: {ended:?}\n{text}"
        );
        Ok(())
    };
    let embedded = ["--dir", at.as_str()];
    let postgres = ["--dir", at.as_str(), "--postgres", url.as_str()];
    for place in [&embedded[..], &postgres[..]] {
        let with = |deed: &'static str| [&[deed], place].concat();
        says(&with("--rebuild"), 0, "leaves are in the index")?;
        says(&with("--check"), 0, "the index equals the tiles: 2 logs")?;
    }
    let change = "UPDATE usage SET run_ms = run_ms + 1 WHERE leaf = (SELECT MIN(leaf) FROM usage)";
    let file = rusqlite::Connection::open(shelf.dir().join("index.sqlite"))?;
    ensure!(file.execute(change, [])? == 1);
    says(&["--check", "--dir", &at], 1, "usage: ")?;
    says(&["--check", "--dir", &at, "--json"], 1, "\"equal\":false")?;
    says(&["--rebuild", "--dir", &at], 0, "leaves are in the index")?;
    says(&["--check", "--dir", &at], 0, "the index equals the tiles")?;
    says(&["--schema"], 0, "CREATE TABLE IF NOT EXISTS usage")?;
    says(&["--check"], 2, "--dir")?;
    says(&["--dir", &at], 2, "--rebuild")?;
    says(&["--check", "--dir", "/nowhere"], 2, "/nowhere")?;
    says(
        &["--check", "--dir", &at, "--postgres", "host=/nowhere"],
        5,
        "can't be reached",
    )?;
    says(
        &[
            "--check",
            "--dir",
            &at,
            "--postgres",
            "sslmode=require host=x",
        ],
        3,
        "TLS",
    )?;
    Ok(())
}
