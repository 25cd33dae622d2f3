//! The files that ship: they load, and what they say of defaults is true.

use super::{folder, load_files};
use crate::config::{Loaded, load};
use std::fs;
use std::path::{Path, PathBuf};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn text(path: &str) -> String {
    fs::read_to_string(shipped().join(path)).unwrap()
}

/// The shipped machines with this gateway file.
fn with_gateway(gateway: &str) -> Loaded {
    let loaded = load_files(&[
        ("gateway.toml", gateway),
        ("machines/extruder.toml", &text("machines/extruder.toml")),
        ("machines/furnace.toml", &text("machines/furnace.toml")),
        ("machines/press.toml", &text("machines/press.toml")),
        (
            "templates/generic-vfd.toml",
            &text("templates/generic-vfd.toml"),
        ),
    ]);
    loaded.unwrap_or_else(|faults| panic!("{}", faults.render_plain()))
}

#[test]
fn the_shipped_files_load_and_only_the_certificate_that_nobody_can_know_is_missing() {
    let loaded = load(&shipped().join("gateway.toml"))
        .unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
    let warnings: Vec<&str> = loaded.warnings.iter().map(|fault| fault.code).collect();
    assert_eq!(warnings, ["untrusted-server"]);
    let names: Vec<_> = loaded
        .config
        .machines
        .iter()
        .map(|map| map.machine.as_str())
        .collect();
    assert_eq!(names, ["extruder-01", "furnace-01", "press-01"]);
    let furnace = &loaded.config.machines[1];
    let fan: Vec<_> = furnace
        .points
        .iter()
        .filter(|p| p.name.as_str().starts_with("fan_"))
        .collect();
    assert_eq!(fan.len(), 3);
    assert!(fan.iter().all(|point| point.modbus().unwrap().unit_id == 7));
}

#[test]
fn every_default_in_the_gateway_file_is_the_default() {
    let gateway = text("gateway.toml");
    let is_default = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let uncommented: Vec<&str> = gateway
        .lines()
        .map(|line| {
            if is_default(line) {
                line.strip_prefix('#').unwrap()
            } else {
                line
            }
        })
        .collect();
    assert!(gateway.lines().filter(|line| is_default(line)).count() >= 12);
    let (mut plain, mut said) = (
        with_gateway(&gateway),
        with_gateway(&uncommented.join("\n")),
    );
    assert_eq!(said.warnings.len(), plain.warnings.len());
    // Folders differ from test to test; nothing else may.
    for loaded in [&mut plain, &mut said] {
        let key = &mut loaded.config.gateway.ledger.key;
        assert!(key.ends_with("keys/ledger.key"));
        *key = PathBuf::new();
    }
    assert_eq!(plain.config.gateway, said.config.gateway);
    assert_eq!(plain.config.machines.len(), said.config.machines.len());
}

#[test]
fn every_key_of_the_gateway_file_is_explained_in_it() {
    let gateway = text("gateway.toml");
    let tables = [
        "gateway",
        "uplink",
        "outbox",
        "telemetry",
        "availability",
        "log",
        "console",
    ];
    let later = ["bookings", "sessions", "ledger"];
    for table in tables.into_iter().chain(later) {
        let header = format!("[{table}]");
        let after = gateway.split_once(&format!("{header}\n")).expect(table).1;
        let section = after.split("\n[").next().unwrap();
        for key in known_keys(&format!("{header}\nzzzzzzzz = 1\n")) {
            let explained = [
                format!("\n{key} ="),
                format!("\n#{key} ="),
                format!("\n# {key} ="),
            ]
            .iter()
            .any(|line| format!("\n{section}").contains(line));
            assert!(explained, "[{table}] {key}");
        }
    }
    for key in known_keys("zzzzzzzz = 1\n") {
        assert!(
            gateway.contains(&format!("[{key}]")) || gateway.contains(&format!("#{key} =")),
            "{key}"
        );
    }
}

#[test]
fn every_key_of_a_machine_map_is_in_the_reference() {
    let readme = text("README.md");
    let map = |extra: &str| format!("machine = \"m\"\n{extra}");
    let tcp = "[connection]\nprotocol = \"modbus-tcp\"\nzzzzzzzz = 1\n";
    for text in [
        map("zzzzzzzz = 1\n"),
        map(tcp),
        map(&tcp.replace("tcp", "rtu")),
        map(&tcp.replace("modbus-tcp", "opc-ua")),
        map(&format!(
            "{}[groups]\nx = \"1s\"\n[points]\nx = {{ zzzzzzzz = 1 }}\n",
            tcp.replace("modbus-tcp", "opc-ua")
                .replace("zzzzzzzz = 1\n", ""),
        )),
        map("[groups]\nx = { zzzzzzzz = 1 }\n"),
        map("[groups]\nx = \"1s\"\n[points]\nx = { zzzzzzzz = 1 }\n"),
        map("[state]\nzzzzzzzz = 1\n"),
        map("[[state.rules]]\nzzzzzzzz = 1\n"),
        map("[evidence]\nzzzzzzzz = 1\n"),
    ] {
        for key in keys_in(&[("gateway.toml", super::GATEWAY), ("machines/m.toml", &text)]) {
            let described = readme.contains(&format!(".{key}]"))
                || readme.contains(&format!("`{key}`"))
                || readme.contains(&format!("[{key}]"))
                || readme.contains(&format!("[{key}."));
            assert!(described, "{key}");
        }
    }
}

fn known_keys(gateway: &str) -> Vec<String> {
    keys_in(&[("gateway.toml", gateway)])
}

/// The keys that the hint for a key like no other lists.
fn keys_in(files: &[(&str, &str)]) -> Vec<String> {
    let folder = folder(files);
    let faults = load(&folder.path().join("gateway.toml")).unwrap_err();
    let unknown = faults
        .iter()
        .find(|fault| fault.message.en.contains("zzzzzzzz"))
        .unwrap();
    let hint = unknown.hint.as_ref().unwrap().en.clone();
    hint.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}
