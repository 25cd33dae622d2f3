//! `gateway.toml`, read into [`Gateway`]. Every key of the contract is known here; those whose work
//! is not in this version are refused where silence would harm.

use jiff::tz::TimeZone;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::credential;
use super::fault::Fault;
use super::files::Files;
use super::model::{Console, External, Gateway, Log, Outbox, Publish, Telemetry};
use super::section::{Said, Section};
use super::source::Place;
use crate::text::Language;

mod booking;
mod ledger;
mod uplink;

use crate::text;
pub(in crate::config) use uplink::host_port;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Bytes of the outbox: two of its segments at least, and no more than a gateway's disk has.
const OUTBOX_BYTES: std::ops::RangeInclusive<u64> = (16 << 20)..=(1 << 40);

/// What the gateway file says: the settings, and where the machine maps are.
pub(super) struct GatewayFile<'a> {
    /// The settings; none if a required one is missing or wrong.
    pub(super) gateway: Option<Gateway>,
    /// Globs of machine maps; none: the default.
    pub(super) machines: Option<Vec<Said<'a, &'a str>>>,
}

/// Reads the gateway file.
pub(super) fn read<'a>(root: &Section<'a>, files: &Files) -> GatewayFile<'a> {
    let machines = root.texts("machines");
    if let Some(entry) = root
        .entry("machines")
        .filter(|_| machines.as_ref().is_some_and(Vec::is_empty))
    {
        let message = text!(
            "no machine map is named: nothing will be read",
            "没有指定设备点表：不会读取任何设备"
        );
        root.add(Fault::warning("no-match", &entry.node.at, message));
    }
    let gateway = settings(root, files);
    root.finish();
    GatewayFile { gateway, machines }
}

fn settings(root: &Section<'_>, files: &Files) -> Option<Gateway> {
    let outbox = outbox(root);
    let telemetry = telemetry(root);
    let heartbeat = heartbeat(root);
    let log = log(root);
    let console = console(root, files);
    let uplink = root.required("uplink", root.section("uplink"));
    let uplink = uplink.and_then(|section| uplink::read(&section, files));
    let section = root.required("gateway", root.section("gateway"));
    let site = section
        .as_ref()
        .and_then(|section| section.required("site", section.identifier("site")));
    let site = site.map(|said| said.value);
    let (bookings, sessions) = booking::read(root, site.as_ref(), files);
    let id = section
        .as_ref()
        .and_then(|section| section.required("id", section.identifier("id")));
    let id = id.map(|said| said.value);
    let state_dir = section.as_ref().map(|section| state_dir(section, files));
    let origin = match (&site, &id) {
        (Some(site), Some(id)) => format!("lineside/{site}/{id}"),
        _ => String::new(),
    };
    let ledger = ledger::read(root, origin, state_dir.as_ref(), files);
    let (section, (state_dir, _)) = section.zip(state_dir)?;
    let words = [("en", Language::En), ("zh-CN", Language::ZhCn)];
    let language = section.choice("language", &words).map(|said| said.value);
    let timezone = timezone(&section);
    section.finish();
    Some(Gateway {
        site: site?,
        id: id?,
        state_dir,
        language,
        timezone,
        uplink: uplink?,
        outbox,
        telemetry,
        heartbeat,
        log,
        console,
        bookings,
        sessions,
        ledger,
    })
}

/// The state directory, and where it is said, or could be.
fn state_dir<'a>(section: &Section<'a>, files: &Files) -> (PathBuf, &'a Place) {
    let Some(said) = section.short_text("state-dir", 4096) else {
        return (
            files.beside(section.at(), "/var/lib/lineside"),
            section.at(),
        );
    };
    if said.value.contains(char::is_control) {
        let message = text!("a path has no control characters", "路径不能含控制字符");
        section.add(Fault::error("bad-value", said.at, message));
    }
    (files.beside(section.at(), said.value), said.at)
}

fn timezone(section: &Section<'_>) -> String {
    let Some(said) = section.text("timezone") else {
        return "Asia/Shanghai".to_owned();
    };
    if TimeZone::get(said.value).is_err() {
        let name = said.value;
        let message = text!("there is no time zone `{name}`", "没有时区 `{name}`");
        section.add(Fault::error("bad-value", said.at, message).hint(text!(
            "use an IANA name such as `Asia/Shanghai` or `UTC`",
            "使用 IANA 名称，例如 `Asia/Shanghai` 或 `UTC`"
        )));
    }
    said.value.to_owned()
}

fn outbox(root: &Section<'_>) -> Outbox {
    let mut outbox = Outbox {
        size_bytes_max: None,
        age_max: 30 * DAY,
        commit: SECOND,
    };
    if let Some(section) = root.section("outbox") {
        outbox.size_bytes_max = section.size("max-size", OUTBOX_BYTES);
        let age = section.duration("max-age", MINUTE..=3650 * DAY);
        outbox.age_max = age.map_or(outbox.age_max, |said| said.value);
        let commit = section.duration("commit", Duration::from_millis(50)..=MINUTE);
        outbox.commit = commit.map_or(outbox.commit, |said| said.value);
        section.finish();
    }
    outbox
}

fn telemetry(root: &Section<'_>) -> Telemetry {
    let mut telemetry = Telemetry {
        batch: SECOND,
        full_every: 10 * MINUTE,
        publish: Publish::All,
        external: External::Withhold,
    };
    let Some(section) = root.section("telemetry") else {
        return telemetry;
    };
    let batch = section.duration("batch", Duration::from_millis(100)..=MINUTE);
    telemetry.batch = batch.map_or(telemetry.batch, |said| said.value);
    let full = section.duration("full-every", SECOND..=DAY);
    telemetry.full_every = full.map_or(telemetry.full_every, |said| said.value);
    let words = [
        ("all", Publish::All),
        ("listed", Publish::Listed),
        ("none", Publish::None),
    ];
    let publish = section.choice("publish", &words);
    telemetry.publish = publish.map_or(telemetry.publish, |said| said.value);
    let words = [
        ("withhold", External::Withhold),
        ("publish", External::Publish),
    ];
    let external = section.choice("external", &words);
    telemetry.external = external.map_or(telemetry.external, |said| said.value);
    section.finish();
    telemetry
}

fn heartbeat(root: &Section<'_>) -> Duration {
    let default = 30 * SECOND;
    let Some(section) = root.section("availability") else {
        return default;
    };
    let heartbeat = section.duration("heartbeat", SECOND..=60 * MINUTE);
    section.finish();
    heartbeat.map_or(default, |said| said.value)
}

fn log(root: &Section<'_>) -> Log {
    let Some(section) = root.section("log") else {
        return Log::Human;
    };
    let words = [
        ("human", Log::Human),
        ("json", Log::Json),
        ("journald", Log::Journald),
    ];
    let format = section.choice("format", &words);
    section.finish();
    format.map_or(Log::Human, |said| said.value)
}

fn console(root: &Section<'_>, files: &Files) -> Console {
    let mut console = Console {
        listen: SocketAddr::from(([127, 0, 0, 1], 8600)),
        password: None,
    };
    let Some(section) = root.section("console") else {
        return console;
    };
    let listen = section.text("listen");
    let password = section.text("password-file");
    section.finish();
    if let Some(said) = password {
        let path = files.beside(said.at, said.value);
        console.password = credential::password(&section, files, &path, said);
    }
    let Some(said) = listen else {
        return console;
    };
    let Ok(address) = said.value.parse::<SocketAddr>() else {
        let value = said.value;
        let message = text!("`{value}` is not an address", "`{value}` 不是有效的地址");
        section.add(Fault::error("bad-address", said.at, message).hint(text!(
            "write an IP address and a port, like \"127.0.0.1:8600\"",
            "写成 IP 地址加端口，例如 \"127.0.0.1:8600\""
        )));
        return console;
    };
    if !address.ip().is_loopback() && section.entry("password-file").is_none() {
        let message = text!(
            "the console would listen to the network without a password",
            "控制台将在没有密码的情况下监听网络"
        );
        section.add(
            Fault::error("exposed-console", said.at, message).hint(text!(
                "add `password-file`, or listen on 127.0.0.1",
                "加上 `password-file`，或只监听 127.0.0.1"
            )),
        );
    }
    console.listen = address;
    console
}
