//! What a technician edits, read into [`Config`]: every fault in one report, or none and plain data.
//!
//! Reads files and nothing else; never talks to a machine or a broker. Bounds: [`FILE_BYTES_MAX`] a
//! file, [`MACHINES_MAX`] machines, [`POINTS_MAX`](model::POINTS_MAX) points of a machine,
//! [`FAULTS_MAX`] faults in a report.

mod address;
mod canonical;
mod connection;
mod credential;
mod fault;
mod files;
mod gateway;
mod group;
mod kind;
mod link;
mod machine;
pub mod model;
mod node;
mod overlap;
mod point;
mod render;
mod resolve;
mod rules;
mod section;
mod server;
mod sheet;
mod source;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use canonical::text as canonical_text;
pub use fault::{FAULTS_MAX, Fault, Faults, Severity};
pub use model::Config;
pub use node::is_node;
pub use section::nearest_or_all;
pub use server::{canonical_url, read_fingerprint};
pub use source::{FILE_BYTES_MAX, Position, Source};

use crate::text;
use crate::text::Language;
use fault::Report;
use files::Files;
use section::{Said, Section};
use source::Place;

/// Machines on one gateway: far more than stand beside one line, and a bound on a wild glob.
pub const MACHINES_MAX: usize = 10_000;

const MACHINES_DEFAULT: &str = "machines/*.toml";

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the gateway is configured to do.
    pub config: Config,
    /// What works, though perhaps not as meant.
    pub warnings: Vec<Fault>,
    /// Every file that was read: the gateway file first.
    pub files: Vec<PathBuf>,
}

/// Reads a gateway file and everything that it names.
///
/// # Errors
///
/// Every fault of every file, warnings too, if at least one is an error.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    let report = Report::default();
    let files = Files::around(path.parent().unwrap_or(Path::new("")));
    let config = read(path, &files, &report);
    let faults = report.into_faults();
    match config {
        Some(config) if faults.count(Severity::Error) == 0 => Ok(Loaded {
            config,
            warnings: faults.into_list(),
            files: files.paths(),
        }),
        Some(_) | None => Err(faults),
    }
}

/// The language that a gateway file says, whatever faults it has besides: these should be told in it.
pub fn language(path: &Path) -> Option<Language> {
    let report = Report::default();
    let toml = Files::around(Path::new("")).toml(path, None, &report)?;
    let root = Section::new(&toml.table, &toml.at, &report);
    let said = root.section("gateway")?.text("language")?;
    said.value.parse().ok()
}

fn read(path: &Path, files: &Files, report: &Report) -> Option<Config> {
    let toml = files.toml(path, None, report)?;
    let root = Section::new(&toml.table, &toml.at, report);
    let gateway::GatewayFile { gateway, machines } = gateway::read(&root, files);
    let maps = match machines {
        Some(patterns) => find(&patterns, files, report),
        None => {
            let said = Said {
                value: MACHINES_DEFAULT,
                at: &toml.at,
            };
            find(&[said], files, report)
        }
    };
    let mut drafts = Vec::new();
    for (map, asked_at) in &maps {
        if let Some(toml) = files.toml(map, Some(asked_at), report) {
            let resolved = resolve::resolve(&toml, files, report);
            drafts.push(machine::read(&resolved, &toml.at, files, report));
        }
    }
    duplicates(&drafts, report);
    link::check(drafts.iter().flat_map(|draft| &draft.links), report);
    let mut machines: Vec<_> = drafts
        .into_iter()
        .filter_map(|draft| draft.map.map(Arc::new))
        .collect();
    machines.sort_by(|a, b| a.machine.cmp(&b.machine));
    Some(Config {
        gateway: gateway?,
        machines,
    })
}

/// The machine maps that the patterns name, each once, with the pattern that found it.
fn find<'a>(
    patterns: &[Said<'a, &str>],
    files: &Files,
    report: &Report,
) -> Vec<(PathBuf, &'a Place)> {
    let mut maps = Vec::new();
    let mut known = BTreeSet::new();
    for said in patterns {
        let pattern = said.value;
        let path = files.beside(said.at, pattern);
        let found = if pattern.contains(['*', '?', '[']) {
            matches(&path, *said, report)
        } else {
            vec![path]
        };
        for path in found {
            if known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                maps.push((path, said.at));
            }
        }
        if maps.len() > MACHINES_MAX {
            let message = text!(
                "more than {MACHINES_MAX} machine maps",
                "设备点表超过 {MACHINES_MAX} 个"
            );
            report.error("too-many", said.at, message);
            return Vec::new();
        }
    }
    maps
}

fn matches(path: &Path, said: Said<'_, &str>, report: &Report) -> Vec<PathBuf> {
    let pattern = said.value;
    // Only the pattern is one: the folder of the gateway file may have any name.
    let folder = path.to_string_lossy();
    let folder = folder
        .strip_suffix(pattern)
        .map(glob::Pattern::escape)
        .unwrap_or_default();
    let found = match glob::glob(&format!("{folder}{pattern}")) {
        Ok(found) => found,
        Err(error) => {
            let why = error.msg;
            let message = text!(
                "`{pattern}` is not a pattern: {why}",
                "`{pattern}` 不是有效的通配符：{why}"
            );
            report.error("bad-value", said.at, message);
            return Vec::new();
        }
    };
    // One more than allowed is enough to refuse the rest. A folder that can't be read is an error:
    // a reload would take its machines for removed.
    let found: Result<Vec<PathBuf>, _> = found.take(MACHINES_MAX + 1).collect();
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let (folder, why) = (error.path().display(), error.error());
            let message = text!("{folder} can't be read: {why}", "无法读取 {folder}：{why}");
            report.error("unreadable-file", said.at, message);
            return Vec::new();
        }
    };
    if found.is_empty() {
        let message = text!("`{pattern}` matches no file", "没有文件与 `{pattern}` 匹配");
        report.add(Fault::warning("no-match", said.at, message));
    }
    found
}

fn duplicates(drafts: &[machine::Draft], report: &Report) {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    for (name, at) in drafts.iter().filter_map(|draft| draft.machine.as_ref()) {
        if let Some(earlier) = first.get(name.as_str()) {
            let earlier = earlier.words();
            let message = text!(
                "machine `{name}` is described twice",
                "设备 `{name}` 被描述了两次"
            );
            report.add(
                Fault::error("duplicate-machine", at, message)
                    .hint(text!("the other map is at {earlier}", "另一处在 {earlier}")),
            );
        } else {
            first.insert(name.as_str(), at);
        }
    }
}
