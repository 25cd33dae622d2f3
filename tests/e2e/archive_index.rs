//! The archive's process with its index in PostgreSQL: the server goes and comes while leaves come, nothing else waits for
//! it, the index equals the tiles afterwards, and its answers are those of the directory's own index.

use anyhow::{Context, Result, ensure};
use lineside_tests::broker::Persistence;
use lineside_tests::city::City;
use lineside_tests::fleet::Size;
use lineside_tests::http::get;
use lineside_tests::postgres::Postgres;
use serde_json::Value;
use std::net::SocketAddr;

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
/// Leaves of each gateway at a time, and in all: some hours of its machines.
const PART: u64 = 300;
const PARTS: u64 = 4;

/// What the API says of usage and of what it is made of.
fn answers(address: SocketAddr) -> Result<Vec<Value>> {
    let hour_s = jiff::Timestamp::now().as_second() / 3_600 * 3_600;
    let hour = |more: i64| jiff::Timestamp::from_second(hour_s + more * 3_600);
    let period = format!("from={}&to={}", hour(-14)?, hour(2)?);
    let mut all = Vec::new();
    for path in [
        format!("usage?{period}"),
        format!("usage?{period}&by=gateway"),
        format!("usage?{period}&by=day"),
        format!("sessions?{period}&limit=1000"),
        format!("spans?{period}&site=site-0&gateway=gw-0000&limit=1000"),
        "machines".to_owned(),
    ] {
        let answer = get(address, &format!("/api/v1/{path}"))?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        let mut answer: Value = serde_json::from_str(&answer.body).with_context(|| path)?;
        let rows = answer.pointer_mut("/rows").and_then(Value::as_array_mut);
        if let Some(rows) = rows {
            // What begins at one moment comes in the order in which the index met the logs.
            rows.sort_by_cached_key(Value::to_string);
        }
        all.push(answer);
    }
    Ok(all)
}

#[test]
fn postgresql_goes_and_comes_and_says_what_the_directory_s_own_index_says() -> Result<()> {
    let mut server = Postgres::start()?;
    let url = server.url();
    let postgres = ["--postgres", url.as_str()];
    let city = City::new(Persistence::Off, Size::small(4))?;
    let mut archive = city.place.start_with(&[&postgres[..], &LISTEN].concat())?;
    city.live(PART)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    for part in 1..PARTS {
        // Half of a part while it goes, half while it is away: the logs are kept all the same.
        city.live(PART / 2)?;
        if part % 2 == 0 {
            server.stop()?;
        } else {
            server.kill()?;
        }
        city.live(PART / 2)?;
        city.until_kept(city.all()).with_context(|| archive.log())?;
        server.restart()?;
    }
    let indexed = city.place.until_indexed(&postgres);
    indexed.with_context(|| archive.log())?;
    let address = archive.api()?;
    let theirs = answers(address)?;
    archive.stop()?;
    let reached = city.place.indexed(&postgres)?.context("no index")?;
    let behind = reached.get("behind").and_then(Value::as_u64);
    ensure!(behind == Some(0), "{reached}");
    let own = city.place.indexed(&[])?;
    ensure!(
        own.is_none(),
        "an index of its own was written, too: {own:?}"
    );

    let mut archive = city.place.start_with(&LISTEN)?;
    let indexed = city.place.until_indexed(&[]);
    indexed.with_context(|| archive.log())?;
    let address = archive.api()?;
    let ours = answers(address)?;
    for (theirs, ours) in theirs.iter().zip(&ours) {
        ensure!(theirs == ours, "{theirs}\n{ours}");
    }
    ensure!(theirs.len() == ours.len());
    let usage = ours.first().context("no answer")?.to_string();
    ensure!(
        usage.contains("RUN") && usage.contains("machine-03"),
        "{usage}"
    );
    archive.stop()
}
