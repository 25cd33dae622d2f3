//! Two processes of one archive share the load and the directory: one is killed, the other has everything.

use anyhow::{Context, Result, ensure};
use lineside_tests::agent::binary;
use lineside_tests::archive::Archive;
use lineside_tests::broker::Persistence;
use lineside_tests::city::{City, LIMIT};
use lineside_tests::fleet::Size;
use lineside_tests::process::Process;
use lineside_tests::wait;
use std::fs;
use std::path::Path;

/// Gateways write while both, one or the other are there.
fn grow(city: &City, random: &mut fastrand::Rng, turns: usize) -> Result<()> {
    for _ in 0..turns {
        let number = random.usize(..city.fleet.count());
        city.fleet.grow(number, random.u64(1..30))?;
        if random.bool() {
            city.fleet.sign(number)?;
        }
    }
    Ok(())
}

#[test]
fn one_of_two_is_killed_and_the_other_has_everything() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut city = City::new(Persistence::Often, Size::small(12))?;
    let count = city.fleet.count();
    let start = |city: &City| -> Result<Archive> { city.place.start_with(&["--share", "city"]) };
    let mut pair = [start(&city)?, start(&city)?];
    let logs = |pair: &[Archive; 2]| format!("{}\n--\n{}", pair[0].log(), pair[1].log());
    city.live(40)?;
    city.until_kept(city.all()).with_context(|| logs(&pair))?;
    for turn in 0..4 {
        let which = random.usize(..2);
        grow(&city, &mut random, 40)?;
        let [first, second] = pair;
        let (gone, stays) = if which == 0 {
            (first, second)
        } else {
            (second, first)
        };
        gone.kill().with_context(|| format!("seed {seed}"))?;
        grow(&city, &mut random, 40)?;
        city.live(2)?;
        city.until_kept(city.all())
            .with_context(|| format!("seed {seed}, turn {turn}: {}", stays.log()))?;
        pair = [stays, start(&city)?];
    }
    // Both were there, and each did its part.
    grow(&city, &mut random, 40)?;
    city.live(2)?;
    city.until_kept(city.all()).with_context(|| logs(&pair))?;
    let witness = city.place.witness().clone();
    let all = city
        .until_cosigned("every log to be cosigned", &witness, |said| {
            said.logs() == count
        })
        .with_context(|| logs(&pair))?;
    let [one, other] = pair;
    one.stop()?;
    other.stop()?;
    all.judge(&city.place)
        .with_context(|| format!("seed {seed}"))?;
    ensure!(city.place.alarms()?.is_empty(), "{:?}", city.place.alarms());
    city.place
        .verify()
        .with_context(|| format!("seed {seed}"))?;
    Ok(())
}

#[test]
fn a_second_archive_that_does_not_share_is_refused() -> Result<()> {
    let city = City::new(Persistence::Off, Size::small(1))?;
    let first = city.place.start()?;
    city.live(5)?;
    city.until_kept(city.all()).with_context(|| first.log())?;
    let mut second = city.place.start()?;
    let status = second.process().wait(LIMIT)?;
    ensure!(status.code() == Some(3), "{status}\n{}", second.log());
    first.stop()
}

#[test]
fn one_of_another_group_is_refused_and_one_with_other_cards_is_warned() -> Result<()> {
    let city = City::new(Persistence::Off, Size::small(1))?;
    let first = city.place.start_with(&["--share", "city"])?;
    city.live(5)?;
    city.until_kept(city.all()).with_context(|| first.log())?;
    let mut second = city.place.start_with(&["--share", "other"])?;
    let status = second.process().wait(LIMIT)?;
    let log = second.log();
    ensure!(status.code() == Some(3), "{status}\n{log}");
    ensure!(log.contains("another --share (city; here other)"), "{log}");
    let mut place = city.place.arguments();
    let cards = city.place.cards();
    let others = cards.with_file_name("others");
    fs::create_dir(&others)?;
    let (cards, others) = (fs::canonicalize(cards)?, fs::canonicalize(others)?);
    for word in &mut place {
        if Path::new(word.as_str()) == city.place.cards() {
            *word = others.display().to_string();
        }
    }
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let words = [&place[..], &["--share", "city"]].concat();
    let binary = binary()?.display().to_string();
    let third = Process::start("the archive with other cards", &binary, &words)?;
    let told = |log: &str| {
        let folders = [&cards, &others].map(|path| path.display().to_string());
        folders.iter().all(|folder| log.contains(folder.as_str()))
    };
    wait::until_true("the warning", LIMIT, || {
        told(&third.errors.lock().join("\n"))
    })
    .with_context(|| third.errors.lock().join("\n"))?;
    drop(third);
    first.stop()
}
