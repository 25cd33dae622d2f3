//! The page says of every bundle what the verifier in Rust says: verdict, statuses, totals, grades.

use anyhow::{Context, Result, ensure};
use lineside_proto::evidence::Trust;
use lineside_proto::evidence::sample::Sample;
use lineside_tests::subscriber::root;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::desk::{gist, hand_in, open, ours};
use crate::golden;
use crate::mutants::mutants;

/// How many bundles of chance are tried; more with `LINESIDE_PAGE_MUTANTS`, others with `LINESIDE_PAGE_SEED`.
const MUTANTS: usize = 60;

/// How many bundles are handed in together.
const AT_ONCE: usize = 20;

fn number(name: &str, otherwise: usize) -> usize {
    let said = std::env::var(name).ok().and_then(|text| text.parse().ok());
    said.unwrap_or(otherwise)
}

/// Everything that is a golden bundle, tampered ones included.
fn bundles() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![golden("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "zip") {
                found.push(path);
            }
        }
    }
    found.sort();
    ensure!(found.len() >= 2, "no golden bundles");
    Ok(found)
}

/// Hands bundles in, with the trust file or without, and compares.
fn compare(language: &str, named: &[(String, PathBuf)], trust: Option<&str>) -> Result<()> {
    let browser = open(language)?;
    let trusted = trust.map(Trust::parse).transpose()?;
    if trust.is_some() {
        hand_in(&browser, &[golden("trust.toml")], 0)?;
    }
    let mut results = Vec::new();
    for some in named.chunks(AT_ONCE) {
        let files: Vec<PathBuf> = some.iter().map(|(_, path)| path.clone()).collect();
        let count = results.len() + some.len();
        results = hand_in(&browser, &files, count)?;
    }
    ensure!(
        browser.run("return Page.hasWorker();")? == json!(true),
        "no worker"
    );
    let mut wrong = Vec::new();
    for ((name, path), said) in named.iter().zip(&results) {
        let mine = gist(&serde_json::to_value(ours(path, trusted.as_ref())?)?);
        let page = gist(said.get("result").context("no result")?);
        if mine != page {
            wrong.push(format!("{name}: {}", difference(&mine, &page)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        named.len(),
        wrong.join("\n")
    );
    assert_eq!(browser.console()?, Vec::<String>::new());
    Ok(())
}

/// Where the page and the verifier in Rust say different things.
fn difference(mine: &Value, page: &Value) -> String {
    match (mine, page) {
        (Value::Object(mine), Value::Object(page)) => {
            let names = mine
                .keys()
                .chain(page.keys().filter(|name| !mine.contains_key(*name)));
            let of = |all: &serde_json::Map<String, Value>, name: &String| {
                all.get(name).cloned().unwrap_or_default()
            };
            names
                .filter(|name| of(mine, name) != of(page, name))
                .map(|name| format!("{name}: {}", difference(&of(mine, name), &of(page, name))))
                .collect::<Vec<_>>()
                .join("; ")
        }
        (Value::Array(mine), Value::Array(page)) if mine.len() == page.len() => {
            let pairs = mine.iter().zip(page).filter(|(mine, page)| mine != page);
            pairs
                .map(|(mine, page)| difference(mine, page))
                .collect::<Vec<_>>()
                .join("; ")
        }
        _ => {
            let short = |value: &Value| value.to_string().chars().take(80).collect::<String>();
            format!("ours {}, the page {}", short(mine), short(page))
        }
    }
}

#[test]
fn golden_bundles_are_judged_alike_in_both_languages() -> Result<()> {
    let named: Vec<_> = bundles()?
        .into_iter()
        .map(|path| (path.display().to_string(), path))
        .collect();
    let trust = fs::read_to_string(golden("trust.toml"))?;
    compare("en-US", &named, Some(&trust))?;
    compare("zh-CN", &named, None)
}

/// The bundles of the tampering tests: those tests keep them where they are told to. `LINESIDE_TAMPERED` names a folder
/// in which that was done already.
fn tampered(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let kept = std::env::var_os("LINESIDE_TAMPERED").map(PathBuf::from);
    let folder = kept.clone().unwrap_or_else(|| folder.to_owned());
    if kept.is_none() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let done = Command::new(cargo)
            .args([
                "test",
                "--locked",
                "--quiet",
                "-p",
                "lineside-proto",
                "--lib",
                "evidence::tampering",
            ])
            .current_dir(root())
            .env("LINESIDE_TAMPERED", &folder)
            .output()
            .context("cargo")?;
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(done.status.success(), "the tampering tests failed: {said}");
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        found.push((path.display().to_string(), path));
    }
    found.sort();
    ensure!(found.len() > 200, "{} tampered bundles", found.len());
    Ok(found)
}

#[test]
fn tampered_bundles_are_judged_alike() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let named = tampered(folder.path())?;
    let trust = Sample::new().trust();
    compare("en-US", &named, Some(&trust))
}

#[test]
fn bundles_changed_by_chance_are_judged_alike() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let seed = number("LINESIDE_PAGE_SEED", 1) as u64;
    let mutants = mutants(seed, number("LINESIDE_PAGE_MUTANTS", MUTANTS))?;
    let mut named = Vec::new();
    for (place, mutant) in mutants.iter().enumerate() {
        let path = folder.path().join(format!("{place:04}.zip"));
        fs::write(&path, &mutant.bytes)?;
        named.push((format!("{place} ({})", mutant.name), path));
    }
    let trust = fs::read_to_string(golden("trust.toml"))?;
    compare("en-US", &named, Some(&trust))
}
