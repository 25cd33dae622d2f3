//! Instrumenting shared machines is safe: whatever happens, the agent asks for reads only.

use anyhow::{Result, ensure};
use lineside_tests::agent::command;
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use std::collections::BTreeSet;

use lineside_tests::opcua::{Identity, Maker, Policy, Press, Settings, points};
use lineside_tests::proxy::Proxy;
use lineside_tests::stand::{QUICK, Stand, until_connections};

/// All tables, an address that the device refuses, silence, probing, a reload: all that makes the agent speak.
#[test]
fn a_foreign_device_is_asked_for_functions_1_to_4_only() -> Result<()> {
    let cells = vec![
        Cell::new("coil", 0, "bool", true),
        Cell::new("discrete", 0, "bool", true),
        Cell::new("holding", 0, "u16", 1),
        Cell::new("input", 0, "u16", 1),
    ];
    let mut device = Device::start(Transport::Tcp, &[(1, cells)])?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let map = format!(
        "{}[groups]\nfast = \"100ms\"\n[points]\n\
         a = {{ coil = 0, group = \"fast\" }}\nb = {{ discrete = 0, group = \"fast\" }}\n\
         c = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         d = {{ input = 0, type = \"u16\", group = \"fast\" }}\n\
         absent = {{ holding = 2, type = \"u16\", group = \"fast\" }}\n\
         [state]\nstale-after = \"400ms\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a && b && c == 1 && d == 1\"\n",
        device.connection("timeout = \"100ms\"")
    );
    stand.site.machine("mill", &map)?;
    stand.start()?;
    let known =
        |document: &lineside_proto::Availability, _: &_| document.rule.is_some().then_some(());
    stand.availability("mill", 0, known)?;
    let config = stand.site.config().display().to_string();
    let probed = command(&["probe", "mill", "-c", &config])?;
    ensure!(probed.status.success(), "{probed:?}");
    device.silent(true)?;
    let mark = stand.archive.mark()?;
    stand.availability("mill", mark, |document, _| {
        document.rule.is_none().then_some(())
    })?;
    device.silent(false)?;
    stand.site.machine(
        "mill",
        &map.replace("stale-after = \"400ms\"", "stale-after = \"500ms\""),
    )?;
    let mark = stand.archive.mark()?;
    stand.agent()?.reload()?;
    stand.availability("mill", mark, known)?;
    stand.stop()?;
    ensure!(
        device.functions()? == BTreeSet::from([1, 2, 3, 4]),
        "{:?}",
        device.functions()?
    );
    Ok(())
}

/// Services that change nothing in a server but the client's own session and subscriptions.
const SERVICES: [&str; 19] = [
    "ActivateSessionRequest",
    "BrowseNextRequest",
    "BrowseRequest",
    "CloseSecureChannelRequest",
    "CloseSessionRequest",
    "CreateMonitoredItemsRequest",
    "CreateSessionRequest",
    "CreateSubscriptionRequest",
    "DeleteMonitoredItemsRequest",
    "DeleteSubscriptionsRequest",
    "FindServersRequest",
    "GetEndpointsRequest",
    "HistoryReadRequest",
    "OpenSecureChannelRequest",
    "PublishRequest",
    "ReadRequest",
    "RepublishRequest",
    "TransferSubscriptionsRequest",
    "TranslateBrowsePathsToNodeIdsRequest",
];

/// Values, history after a cut, a missing node, probing, browsing, a reload: all that makes the agent speak.
fn a_foreign_server_is_asked_for_nothing_that_changes_it(maker: Maker) -> Result<()> {
    let settings = Settings {
        history: true,
        missing: 1,
        ..Settings::default()
    };
    let mut press = Press::start(maker, settings)?;
    let proxy = Proxy::start(([127, 0, 0, 1], press.port()).into())?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let connection = press.connection(proxy.port(), Policy::None, Identity::Anonymous);
    let map = connection + &points(0..5, "100ms", "5s");
    stand.site.machine("press", &map)?;
    stand.start()?;
    let known =
        |document: &lineside_proto::Availability, _: &_| document.rule.is_some().then_some(());
    stand.availability("press", 0, known)?;
    let before = proxy.accepted();
    proxy.cut();
    until_connections(&proxy, before)?;
    stand.flow(10)?;
    let config = stand.site.config().display().to_string();
    let probed = command(&["probe", "press", "-c", &config])?;
    ensure!(probed.status.success(), "{probed:?}");
    let url = format!("opc.tcp://127.0.0.1:{}", press.port());
    let browsed = command(&["browse", &url, "--values", "-c", &config])?;
    ensure!(browsed.status.success(), "{browsed:?}");
    stand
        .site
        .machine("press", &map.replace("\"5s\"", "\"6s\""))?;
    let mark = stand.archive.mark()?;
    stand.agent()?.reload()?;
    stand.availability("press", mark, known)?;
    press.miss(0)?;
    stand.stop()?;
    let services = press.services()?;
    let foreign: Vec<_> = services
        .iter()
        .filter(|service| !SERVICES.contains(&&***service))
        .collect();
    ensure!(foreign.is_empty(), "{foreign:?}");
    for service in ["ReadRequest", "PublishRequest", "BrowseRequest"] {
        ensure!(
            services.contains(service),
            "{service} is not in {services:?}"
        );
    }
    Ok(())
}

#[test]
fn asyncua_is_asked_for_nothing_that_changes_it() -> Result<()> {
    a_foreign_server_is_asked_for_nothing_that_changes_it(Maker::Asyncua)
}

#[test]
fn node_opcua_is_asked_for_nothing_that_changes_it() -> Result<()> {
    a_foreign_server_is_asked_for_nothing_that_changes_it(Maker::Node)
}
