//! The technician's tools for OPC UA against servers that are not ours: an unknown certificate is trusted, an
//! address space becomes a machine map.

use anyhow::{Result, ensure};
use lineside_tests::agent::command;
use lineside_tests::broker::Persistence;
use lineside_tests::opcua::{Identity, Maker, Policy, Press, Settings, points};
use lineside_tests::stand::{QUICK, Stand};
use std::fs;
use std::process::Output;

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// A server that nobody trusts yet: `trust` shows its fingerprint and writes it, and data flows.
fn trusted(maker: Maker) -> Result<()> {
    let press = Press::start(maker, Settings::default())?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let pinned = press.connection(press.port(), Policy::SignAndEncrypt, Identity::Anonymous);
    let line = format!("server-fingerprint = \"{}\"", press.fingerprint());
    let map = pinned.replace(&line, "") + &points(0..2, "100ms", "5s");
    stand.site.machine("press", &map)?;
    let config = stand.site.config().display().to_string();
    let done = command(&["trust", "press", "--yes", "-c", &config])?;
    ensure!(done.status.success(), "{done:?}");
    ensure!(
        text(&done).contains(&press.fingerprint()),
        "{}",
        text(&done)
    );
    let written = fs::read_to_string(stand.site.map("press"))?;
    ensure!(written.contains(&press.fingerprint()), "{written}");
    stand.start()?;
    stand.availability("press", 0, |document, _| {
        document.rule.is_some().then_some(())
    })?;
    stand.stop()
}

#[test]
fn asyncua_becomes_trusted() -> Result<()> {
    trusted(Maker::Asyncua)
}

#[test]
fn node_opcua_becomes_trusted() -> Result<()> {
    trusted(Maker::Node)
}

/// The address space as a tree, and as a map in which `check` finds no error.
fn browsed(maker: Maker) -> Result<()> {
    let press = Press::start(maker, Settings::default())?;
    let stand = Stand::new(Persistence::Off, QUICK)?;
    let config = stand.site.config().display().to_string();
    let url = format!("opc.tcp://127.0.0.1:{}", press.port());
    let tree = command(&["browse", &url, "--values", "-c", &config])?;
    ensure!(tree.status.success(), "{}", text(&tree));
    for part in ["n0", "n4", "state", "Double"] {
        ensure!(
            text(&tree).contains(part),
            "{part} is not in\n{}",
            text(&tree)
        );
    }
    let map = command(&["browse", &url, "--map", "-c", &config])?;
    ensure!(map.status.success(), "{}", text(&map));
    let map = String::from_utf8(map.stdout)?;
    ensure!(map.contains("nsu=urn:lineside:test;s=n3"), "{map}");
    fs::write(stand.site.map("press"), &map)?;
    let checked = command(&["check", "-c", &config])?;
    ensure!(checked.status.success(), "{}\n{map}", text(&checked));
    Ok(())
}

#[test]
fn the_address_space_of_asyncua_becomes_a_map() -> Result<()> {
    browsed(Maker::Asyncua)
}

#[test]
fn the_address_space_of_node_opcua_becomes_a_map() -> Result<()> {
    browsed(Maker::Node)
}
