//! The shape of the tree: what may stand where, who may name whom, and what must never be written.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of one file, tests included.
const LINES_MAX: usize = 500;
/// Files that may be longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];
/// The oldest compiler that must build this.
const RUST_MAX: (u64, u64) = (1, 85);

/// The agent's modules that know no I/O and no runtime.
const CORE: [&str; 6] = ["text", "clock", "sample", "live", "config", "machine"];
/// Those towards machines, disk and city.
const RIM: [&str; 10] = [
    "field", "outbox", "slots", "progress", "bookings", "tokens", "maps", "answers", "uplink",
    "sim",
];
/// Those that wire the others.
const TOP: [&str; 7] = [
    "run", "control", "serve", "console", "archive", "evidence", "cli",
];

/// Outside crates and the places that may name each: one, but for what the console and the archive serve alike.
const PLACES: [(&str, &[&str]); 10] = [
    ("sled", &["agent/src/outbox/"]),
    ("rusqlite", &["agent/src/archive/index/embedded"]),
    ("tokio_postgres", &["agent/src/archive/index/postgres"]),
    ("rumqttc", &["agent/src/uplink/mqtt/"]),
    ("tokio_modbus", &["agent/src/field/modbus/"]),
    ("cel", &["agent/src/machine/rule/"]),
    ("rumqttd", &["agent/src/sim/"]),
    (
        "axum",
        &[
            "agent/src/serve/",
            "agent/src/console/",
            "agent/src/archive/web/",
        ],
    ),
    ("hyper::server", &["agent/src/serve/"]),
    ("hyper::client", &["agent/src/evidence/"]),
];

/// The parts of the OPC UA crates, and the places that may name them. Modules of ours have the crates'
/// name, so that only what follows it tells them apart. Servers are built by the virtual line, and by
/// unit tests.
const OPC_UA: [(&[&str], &[&str]); 2] = [
    (
        &[
            "opcua::client",
            "opcua::core",
            "opcua::crypto",
            "opcua::sync",
            "opcua::types",
            "use opcua::{",
        ],
        &["agent/src/field/opcua/", "agent/src/sim/opcua/"],
    ),
    (
        &["opcua::nodes", "opcua::server"],
        &["agent/src/sim/opcua/"],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A file of the tree: its path from the root and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are no comment, from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .map(|(place, line)| (place + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The same without what is compiled for unit tests only.
    fn shipped(mut self) -> Self {
        if self.path.ends_with("tests.rs") {
            self.text.clear();
        } else if let Some(tests) = self.text.find("\nmod tests {") {
            self.text.truncate(tests);
        }
        self
    }

    /// Where the code holds one of these words.
    fn found(&self, words: &[&str]) -> Vec<String> {
        let hit = |(_, line): &(usize, &str)| words.iter().any(|word| line.contains(word));
        self.code()
            .filter(hit)
            .map(|(place, line)| format!("{}:{place}: {}", self.path, line.trim()))
            .collect()
    }
}

/// The files that git would keep below some folders, by how they end.
fn sources(folders: &[&str], endings: &[&str]) -> Result<Vec<Source>> {
    let root = root();
    let listing = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
        ])
        .args(folders)
        .current_dir(&root)
        .output()?;
    let names = String::from_utf8(listing.stdout)?;
    let wanted = |name: &&str| endings.iter().any(|ending| name.ends_with(ending));
    let mut found = Vec::new();
    for name in names
        .lines()
        .filter(wanted)
        .filter(|name| root.join(name).exists())
    {
        found.push(Source {
            path: name.to_owned(),
            text: fs::read_to_string(root.join(name)).with_context(|| name.to_owned())?,
        });
    }
    ensure!(
        !found.is_empty(),
        "nothing below {folders:?}: is this a git work tree?"
    );
    Ok(found)
}

fn nothing(found: Vec<String>, rule: &str) -> Result<()> {
    ensure!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn files_are_short_and_say_what_they_are_for() -> Result<()> {
    let mut found = Vec::new();
    for source in sources(&["agent", "proto", "tests"], &[".rs"])? {
        let lines = source.text.lines().count();
        let listed = LONGER.iter().any(|(path, _)| *path == source.path);
        if lines > LINES_MAX && !listed {
            found.push(format!("{}: {lines} lines", source.path));
        }
        // A `tests.rs` beside a module is told by its neighbour.
        if !source.text.starts_with("//!") && !source.path.ends_with("/tests.rs") {
            found.push(format!("{}: no word on its purpose", source.path));
        }
    }
    nothing(found, "a file is one noun, told in its first line")
}

#[test]
fn nothing_is_left_unfinished() -> Result<()> {
    let words = [
        concat!("to", "do!"),
        concat!("unimpl", "emented!"),
        concat!("db", "g!("),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
        concat!("#![al", "low("),
    ];
    let sources = sources(&["agent", "proto", "tests"], &[".rs"])?;
    nothing(
        sources.iter().flat_map(|s| s.found(&words)).collect(),
        "finish it or leave it out",
    )
}

#[test]
fn tests_wait_on_conditions() -> Result<()> {
    let words = [
        concat!("thread::", "sleep"),
        concat!("time::", "sleep"),
        concat!("sl", "eep("),
        concat!("sl", "eep "),
    ];
    let sources = sources(&["tests"], &[".rs", ".py", ".sh"])?;
    nothing(
        sources.iter().flat_map(|s| s.found(&words)).collect(),
        "wait on a condition",
    )
}

#[test]
fn each_outside_crate_is_named_in_one_place() -> Result<()> {
    let mut found = Vec::new();
    for source in sources(&["agent/src", "proto/src"], &[".rs"])? {
        for (name, places) in PLACES {
            if !places.iter().any(|place| source.path.starts_with(place)) {
                let named = [format!("{name}::"), format!("use {name}")];
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                let whole = |line: &String| is_word(line, name);
                found.extend(source.found(&named).into_iter().filter(whole));
            }
        }
    }
    for (words, places) in OPC_UA {
        for source in sources(&["agent/src", "proto/src"], &[".rs"])? {
            let is_at_home = places.iter().any(|place| source.path.starts_with(place));
            if !is_at_home {
                let is_test = source.path.contains("/tests/");
                let shipped = source.shipped();
                found.extend(shipped.found(words).into_iter().filter(|_| !is_test));
            }
        }
    }
    nothing(found, "named outside its one place")
}

/// Whether `word` stands by itself in the line, and not as the end of a longer name.
fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        let after = line
            .get(at + word.len()..)
            .and_then(|tail| tail.chars().next());
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part(before) && !part(after)
    })
}

#[test]
fn dependencies_point_one_way() -> Result<()> {
    let mut found = Vec::new();
    for source in sources(&["agent/src"], &[".rs"])?
        .into_iter()
        .map(Source::shipped)
    {
        let Some(module) = source.path.strip_prefix("agent/src/") else {
            continue;
        };
        let module = module.split(['/', '.']).next().unwrap_or_default();
        let mut forbidden: Vec<&str> = Vec::new();
        if CORE.contains(&module) {
            forbidden.extend(RIM);
            forbidden.extend(TOP);
        } else if RIM.contains(&module) {
            forbidden.extend(TOP);
        }
        match module {
            "field" => forbidden.extend(["outbox", "slots", "uplink"]),
            "outbox" | "slots" => forbidden.extend(["field", "uplink", "sim"]),
            "uplink" => forbidden.extend(["field", "sim"]),
            "answers" => {
                forbidden.extend(["field", "outbox", "uplink", "sim", "machine", "config"])
            }
            _ => {}
        }
        let mut words: Vec<String> = forbidden
            .iter()
            .map(|name| format!("crate::{name}::"))
            .collect();
        if CORE.contains(&module) {
            words.extend(["tokio".to_owned(), "std::net::Tcp".to_owned()]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        found.extend(source.found(&words));
    }
    let outside = [
        "tokio",
        "std::fs",
        "std::net",
        "std::thread",
        "SystemTime",
        "Instant",
    ];
    for source in sources(&["proto/src"], &[".rs"])?
        .into_iter()
        .map(Source::shipped)
    {
        // The verifier's program opens files, parts of a bundle are read by several threads, and tests keep what
        // they tampered with.
        let edge: &[&str] = match source.path.as_str() {
            "proto/src/evidence/command.rs" => &["std::fs"],
            "proto/src/evidence/verify/parts.rs" => &["std::thread"],
            "proto/src/evidence/tampering.rs" => &["std::fs", "std::thread"],
            _ => &[],
        };
        let words = outside.into_iter().filter(|word| !edge.contains(word));
        let words: Vec<&str> = words.collect();
        found.extend(source.found(&words));
    }
    nothing(found, "points the wrong way")
}

#[test]
fn no_write_to_a_machine_can_be_expressed() -> Result<()> {
    let words = [
        "write_single",
        "write_multiple",
        "masked_write",
        "read_write_multiple",
        "Request::Write",
        "Request::Masked",
        "Request::ReadWrite",
        "Request::Custom",
        "client::Writer",
        "tokio_modbus::prelude::*",
        // OPC UA: the services that change something, by their requests, by the session's methods, and by
        // what is handed to them; also in pieces, since a request can be built without its method.
        "WriteRequest",
        "WriteValue",
        "CallRequest",
        "CallMethodRequest",
        "AddNodes",
        "AddReferences",
        "DeleteNodes",
        "DeleteReferences",
        "HistoryUpdate",
        "UpdateDataDetails",
        "RequestMessage::Write",
        "RequestMessage::Call",
        "services::Write",
        "services::Call",
        "session.write(",
        "session.call(",
        "Write::new(",
        "Call::new(",
        ".call_one(",
        "call_get_monitored_items",
        ".add_nodes(",
        ".add_references(",
        ".delete_nodes(",
        ".delete_references(",
        ".history_update(",
        ".set_triggering(",
        ".register_server(",
        "opcua::client::*",
        "opcua::types::*",
    ];
    let sources = sources(&["agent/src"], &[".rs"])?;
    let rest = sources
        .iter()
        .filter(|s| !s.path.starts_with("agent/src/sim/"));
    nothing(
        rest.flat_map(|s| s.found(&words)).collect(),
        "the agent only reads",
    )
}

#[test]
fn the_house_has_no_other_rooms() -> Result<()> {
    let rooms = ["agent", "config", "deploy", "proto", "tests", "target"];
    let mut found = Vec::new();
    for entry in fs::read_dir(root())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && !name.starts_with('.') && !rooms.contains(&&*name) {
            found.push(name);
        }
    }
    nothing(found, "a folder that nobody planned")
}

/// `1.85` or `1.85.0` as numbers.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[test]
fn every_locked_dependency_builds_with_the_oldest_compiler() -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(Path::new(&root()).join("Cargo.toml"))
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages")?;
    ensure!(packages.len() > 100, "only {} packages", packages.len());
    let mut found = Vec::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
        if version(text("rust_version")).is_some_and(|needed| needed > RUST_MAX) {
            let (name, its) = (text("name"), text("version"));
            found.push(format!("{name} {its} needs {}", text("rust_version")));
        }
    }
    nothing(found, "needs a newer compiler")
}

/// What systemd finds in the units that are shipped, with another program in place of ours.
#[test]
fn the_units_are_what_systemd_understands() -> Result<()> {
    let asked = Command::new("systemd-analyze").arg("--version").output();
    if !asked.is_ok_and(|asked| asked.status.success()) {
        eprintln!("there is no systemd-analyze here");
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let mut count = 0;
    for folder in ["deploy", "deploy/city"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "service") {
                continue;
            }
            let text = fs::read_to_string(&path)?.replace("/usr/bin/lineside", "/bin/true");
            let copy = place.path().join(path.file_name().context("no name")?);
            fs::write(&copy, text)?;
            let said = Command::new("systemd-analyze")
                .arg("verify")
                .arg(&copy)
                .output()?;
            // What it does not understand it passes over, and says so.
            let words = String::from_utf8_lossy(&said.stderr).into_owned();
            let name = copy.display().to_string();
            let own = words.lines().filter(|line| line.contains(&name));
            nothing(own.map(str::to_owned).collect(), "a unit says nonsense")?;
            ensure!(said.status.success(), "{}: {words}", path.display());
            count += 1;
        }
    }
    ensure!(count >= 2, "{count} units");
    Ok(())
}
