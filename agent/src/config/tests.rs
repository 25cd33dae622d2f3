//! Tests over whole configurations: what loads, and every fault with its place.

mod booking;
mod faults;
mod hashes;
mod hostile;
mod maps;
mod rendering;
mod rules;
mod servers;
mod shipped;
mod values;
mod witnesses;

use super::{Fault, Faults, Loaded, Severity, load};
use std::fs;
use std::path::Path;

/// The least that a gateway file says.
const GATEWAY: &str = "[gateway]\nsite = \"s\"\nid = \"g\"\n[uplink]\nurl = \"mqtt://b\"\n";

/// A machine map, but for its points.
const HEAD: &str = r#"machine = "m"
[connection]
protocol = "modbus-tcp"
address = "10.0.0.1"
[groups]
fast = "1s"
[[state.rules]]
state = "IDLE"
when = "true"
[points]
"#;

/// A point that nothing is wrong with.
const POINT: &str = "ok = { coil = 0 }\n";

/// Writes files into a new folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(folder.path(), path, text.as_bytes());
    }
    folder
}

fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn load_files(files: &[(&str, &str)]) -> Result<Loaded, Faults> {
    let folder = folder(files);
    load(&folder.path().join("gateway.toml"))
}

/// A gateway with one machine, which must load without a word.
fn loaded(map: &str) -> Loaded {
    let loaded = load_files(&[("gateway.toml", GATEWAY), ("machines/m.toml", map)]);
    let loaded = loaded.unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
    assert_eq!(loaded.warnings, []);
    loaded
}

impl Faults {
    fn render_plain(&self) -> String {
        self.render(crate::text::Language::En, false, 100)
    }
}

/// Loads files in which «marks» stand around each fault's text, in the order of the report, and
/// compares. A code is preceded by `warning` for a warning; a fault of a whole file has no mark, and
/// its code is preceded by the file and a colon.
fn check(files: &[(&str, &str)], codes: &[&str]) {
    let mut plain = Vec::new();
    let mut marks = Vec::new();
    for (path, text) in files {
        let (text, found) = unmark(text);
        marks.extend(found.into_iter().map(|(start, end)| (*path, start, end)));
        plain.push((*path, text));
    }
    let plain: Vec<(&str, &str)> = plain
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let mut marks = marks.into_iter();
    let expected: Vec<String> = codes
        .iter()
        .map(|code| match code.split_once(": ") {
            Some((file, code)) => format!("{code} in {file}"),
            None => {
                let (file, start, end) = marks.next().expect("a mark for each code");
                format!("{code} in {file} at {start}..{end}")
            }
        })
        .collect();
    let folder = folder(&plain);
    let (faults, failed) = match load(&folder.path().join("gateway.toml")) {
        Ok(loaded) => (Faults::new(loaded.warnings), false),
        Err(faults) => (faults, true),
    };
    let found: Vec<String> = faults
        .iter()
        .map(|fault| place(fault, folder.path()))
        .collect();
    assert_eq!(found, expected, "\n{}\n{plain:#?}", faults.render_plain());
    assert_eq!(marks.next(), None, "more marks than codes");
    assert_eq!(failed, codes.iter().any(|code| !code.contains("warning ")));
    for fault in faults.iter() {
        assert!(!fault.message.zh.is_ascii(), "{:?}", fault.message);
    }
}

fn place(fault: &Fault, folder: &Path) -> String {
    let path = fault.file.path().strip_prefix(folder).unwrap().display();
    let severity = if fault.severity == Severity::Warning {
        "warning "
    } else {
        ""
    };
    match &fault.span {
        Some(span) => format!(
            "{severity}{} in {path} at {}..{}",
            fault.code, span.start, span.end
        ),
        None => format!("{severity}{} in {path}", fault.code),
    }
}

fn unmark(text: &str) -> (String, Vec<(usize, usize)>) {
    let mut plain = String::new();
    let mut marks = Vec::new();
    let mut start = 0;
    for c in text.chars() {
        match c {
            '«' => start = plain.len(),
            '»' => marks.push((start, plain.len())),
            c => plain.push(c),
        }
    }
    (plain, marks)
}

/// [`check`] for one machine map.
fn check_map(map: &str, codes: &[&str]) {
    check(
        &[("gateway.toml", GATEWAY), ("machines/m.toml", map)],
        codes,
    );
}

/// [`check`] for points of a map that is fine otherwise.
fn check_points(points: &str, codes: &[&str]) {
    check_map(&format!("{HEAD}{points}"), codes);
}
