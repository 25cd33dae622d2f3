//! Somebody at the page, who hands files in and reads what it says.

use anyhow::{Context, Result};
use lineside_proto::evidence::{Trust, Verification, verify_bytes};
use lineside_tests::browser::Browser;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

use crate::page_path;

/// When nothing is being checked any more, and so many bundles were.
fn is_done(count: usize) -> String {
    format!(
        "const all = Page.results(); return !Page.isBusy() && all.length === {count} && all.every((one) => one.result || one.error);"
    )
}

/// The window's width: as much as the report takes.
pub(crate) const WIDTH: u32 = 1080;

/// A browser that shows the page.
pub(crate) fn open(language: &str) -> Result<Browser> {
    let browser = Browser::start(language, (WIDTH, 1000))?;
    browser.open(&page_path())?;
    Ok(browser)
}

/// Hands in files by the page's own input, and waits until so many bundles are judged.
pub(crate) fn hand_in(browser: &Browser, files: &[PathBuf], count: usize) -> Result<Vec<Value>> {
    // The driver takes none that could be written otherwise.
    let paths = files
        .iter()
        .map(|path| Ok(path.canonicalize()?.display().to_string()));
    let paths = paths.collect::<Result<Vec<String>>>()?;
    browser.type_into("#pick", &paths.join("\n"))?;
    browser.wait(&is_done(count))?;
    let results = browser.run("return JSON.parse(JSON.stringify(Page.results()));")?;
    let results = results.as_array().context("no results")?;
    Ok(results.clone())
}

/// What two verifiers must say alike of a bundle: all but the words.
pub(crate) fn gist(said: &Value) -> Value {
    let checks = said.get("checks").and_then(Value::as_array);
    let statuses: serde_json::Map<String, Value> = checks
        .into_iter()
        .flatten()
        .filter_map(|check| {
            let name = check.get("check")?.as_str()?.to_owned();
            Some((name, check.get("status")?.clone()))
        })
        .collect();
    let of = |name: &str| said.get(name).cloned().unwrap_or_default();
    json!({ "verdict": of("verdict"), "statuses": statuses, "cosigned": of("cosigned"), "manifest": of("manifest"), "totals": of("totals") })
}

/// What the verifier in Rust says.
pub(crate) fn ours(path: &Path, trust: Option<&Trust>) -> Result<Verification> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(verify_bytes(&bytes, trust))
}
