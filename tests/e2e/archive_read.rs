//! The evaluator's pull from the city's copy: the same leaves as from the gateway's own disk, which is gone by then; over
//! HTTP and from the directory; and a ledger that was begun anew in the period.

use anyhow::{Context, Result, ensure};
use lineside::archive::web::{self, Desk};
use lineside::archive::{Library, Live, Place, Shelf};
use lineside::clock::SystemClock;
use lineside::ledger::Keys;
use lineside_proto::evidence::Bundle;
use lineside_proto::{SessionDocument, SessionNews, State};
use lineside_tests::agent::{binary, command};
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::http::{get, post};
use lineside_tests::shelf::lay;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::wait;
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) const ORIGIN: &str = "lineside/site/gw";

pub(crate) const MAP: &str = "[groups]\nfast = \"100ms\"\n[points]\n\
     mode = { holding = 0, type = \"u16\", group = \"fast\" }\n\
     [state]\nstale-after = \"2s\"\n\
     [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
     [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n";

fn place(epoch: u32) -> Result<Place> {
    Ok(Place {
        site: Site::NAME.parse()?,
        gateway: Site::GATEWAY.parse()?,
        epoch,
    })
}

/// The agent runs, the press does for two seconds, and its session is signed for.
pub(crate) fn ran(stand: &mut Stand, press: &mut Device) -> Result<()> {
    let mark = stand.archive.mark()?;
    stand.start()?;
    let mut mode = |value| press.set(1, &Cell::new("holding", 0, "u16", value));
    let shown = |stand: &mut Stand, state: State| {
        stand.availability("press", mark, |said, _| (said.state == state).then_some(()))
    };
    shown(stand, State::Idle)?;
    mode(1)?;
    shown(stand, State::Run)?;
    wait::throughout(Duration::from_secs(2), || Ok(()))?;
    mode(0)?;
    let topic = Site::topic("sessions/press");
    let closed = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
        let document: SessionDocument = serde_json::from_str(&message.payload).ok()?;
        (document.event == SessionNews::Closed).then_some(document)
    });
    let index = closed.with_context(|| stand.log())?.index;
    let topic = Site::topic("ledger/checkpoint");
    let signed = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
        let size: u64 = message.payload.lines().nth(1)?.parse().ok()?;
        (size > index).then_some(())
    });
    signed.with_context(|| stand.log())?;
    stand.stop()
}

/// The archive's API over a directory.
async fn served(dir: &Path) -> Result<SocketAddr> {
    let library = Library::of(Shelf::of(dir), CancellationToken::new());
    let live = Live::new(Arc::new(SystemClock), Arc::default());
    let desk = Desk::new(Arc::new(library), Arc::new(live));
    Ok(web::serve("127.0.0.1:0".parse()?, desk).await?)
}

/// The hour of now and the one after it, as a period.
pub(crate) fn of_now() -> Result<(String, String)> {
    let hour_s = jiff::Timestamp::now().as_second() / 3600 * 3600;
    let hour = |more: i64| jiff::Timestamp::from_second(hour_s + more * 3600);
    Ok((hour(0)?.to_string(), hour(2)?.to_string()))
}

pub(crate) fn said(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = command(arguments)?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

/// A period's evidence, from somewhere into a file or a folder.
pub(crate) fn pulled(source: &[&str], (from, to): (&str, &str), out: &Path) -> Result<String> {
    let out = out.display().to_string();
    let wanted = ["usage", "pull", "--from", from, "--to", to, "-o", &out];
    let (code, text) = said(&[&wanted, source].concat())?;
    ensure!(code == Some(0), "{source:?}: {code:?} {text}");
    Ok(text)
}

/// The leaves of a bundle, and the head that speaks for them.
pub(crate) fn content(path: &Path) -> Result<(Vec<String>, String)> {
    let mut bundle = Bundle::open(File::open(path)?)?;
    let parts: Vec<String> = bundle.paths().map(str::to_owned).collect();
    let mut all = Vec::new();
    for part in parts.iter().filter(|path| path.starts_with("leaves/")) {
        let text = String::from_utf8(bundle.read(part)?)?;
        all.extend(text.lines().map(str::to_owned));
    }
    let head = parts.iter().find(|part| part.contains("checkpoint"));
    let head = bundle.read(head.context("no head")?)?;
    Ok((all, String::from_utf8(head)?))
}

/// Whom an evaluator trusts: the key, in each epoch.
pub(crate) fn trust(stand: &Stand) -> Result<PathBuf> {
    let mut text = String::new();
    for origin in [ORIGIN.to_owned(), format!("{ORIGIN}/e2")] {
        let keys = Keys::load(&stand.site.path().join("keys/ledger.key"), &origin)?;
        let key = keys.all().first().context("a key")?.to_string();
        text += &format!(
            "[[gateway]]\nsite = \"site\"\ngateway = \"gw\"\norigin = \"{origin}\"\nkey = \"{key}\"\n\n"
        );
    }
    text += "[organisations]\nown = [\"own\"]\n";
    let path = stand.site.path().join("trust.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// What the stand-alone verifier says of a bundle.
fn verified(file: &Path, trust: &Path) -> Result<()> {
    let program = binary()?.with_file_name("lineside-verify");
    let (program, arguments) = if program.exists() {
        (program, Vec::new())
    } else {
        (binary()?, vec!["usage", "verify"])
    };
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .arg("--trust")
        .arg(trust)
        .output()?;
    ensure!(output.status.success(), "{}: {output:?}", file.display());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_city_s_copy_gives_what_the_gateway_gave_and_more_than_it_has_left() -> Result<()> {
    let settings = format!("{QUICK}\n[sessions]\nown = [\"own\"]\nidle-close = \"1s\"");
    let mut stand = Stand::new(Persistence::On, &settings)?;
    let mut press = Device::start(
        Transport::Tcp,
        &[(1, vec![Cell::new("holding", 0, "u16", 0)])],
    )?;
    let map = format!("{}\n{MAP}", press.connection(""));
    stand.site.machine("press", &map)?;
    let (from, to) = of_now()?;
    let period = (from.as_str(), to.as_str());
    ran(&mut stand, &mut press)?;

    let dir = tempfile::tempdir()?;
    let shelf = Shelf::of(&dir.path().join("archive"));
    let (state, aside) = (stand.site.state_dir(), dir.path().join("aside"));
    lay(&state, &shelf, &place(1)?)?;
    let own = dir.path().join("own.zip");
    let source = state.display().to_string();
    pulled(&["--state", &source], period, &own)?;
    // The gateway is off, and its disk is gone.
    fs::rename(&state, &aside)?;
    let address = served(shelf.dir()).await?;
    let (archive, url) = (
        shelf.dir().display().to_string(),
        format!("http://{address}"),
    );
    let whose = ["--site", "site", "--gateway", "gw"];
    let trust = trust(&stand)?;
    for (source, name) in [(&archive, "dir.zip"), (&url, "url.zip")] {
        let file = dir.path().join(name);
        pulled(
            &[&["--archive", source], &whose[..]].concat(),
            period,
            &file,
        )?;
        ensure!(
            content(&file)? == content(&own)?,
            "{source}: other evidence"
        );
        verified(&file, &trust)?;
    }
    refused(&archive, &url, period, dir.path())?;
    asked(address)?;

    // The replaced gateway begins its ledger anew, within the same hour.
    fs::rename(&aside, &state)?;
    let config = stand.site.config().display().to_string();
    let reason = ["--reason", "the disk was lost", "--yes", "-c", &config];
    let (code, text) = said(&[&["ledger", "new-epoch"], &reason[..]].concat())?;
    ensure!(code == Some(0), "{text}");
    ran(&mut stand, &mut press)?;
    lay(&state, &shelf, &place(2)?)?;
    fs::remove_dir_all(&state)?;
    both(&[&archive, &url], period, &trust, dir.path())
}

/// Both epochs of one period: a file each, and one report of them.
fn both(sources: &[&str], period: (&str, &str), trust: &Path, dir: &Path) -> Result<()> {
    for (turn, source) in sources.iter().enumerate() {
        let out = dir.join(format!("both-{turn}"));
        fs::create_dir(&out)?;
        let text = pulled(&["--archive", source, "--all"], period, &out)?;
        ensure!(
            text.contains("begun anew") && text.contains("e1, e2"),
            "{text}"
        );
        let mut files: Vec<PathBuf> = fs::read_dir(&out)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        let names: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let [first, second] = &names[..] else {
            anyhow::bail!("{names:?}");
        };
        ensure!(first.ends_with("-e1.zip") && second.ends_with("-e2.zip"));
        for file in &files {
            verified(file, trust)?;
        }
        let trust = trust.display().to_string();
        let report = ["usage", "report", first, second, "--trust", &trust];
        let (code, text) = said(&[&report[..], &["--format", "json"]].concat())?;
        ensure!(code == Some(0), "{text}");
        let report: Value = serde_json::from_str(&text)?;
        let sessions = report.pointer("/machines/0/sessions").context("sessions")?;
        let sessions = sessions.as_array().map_or(0, Vec::len);
        ensure!(sessions == 2, "{sessions} sessions: {text}");
    }
    let one = dir.join("one.zip").display().to_string();
    let [source, ..] = sources else {
        anyhow::bail!("no source");
    };
    let pull = ["usage", "pull", "--archive", source, "--all", "-o", &one];
    let (code, text) = said(&[&pull[..], &["--from", period.0, "--to", period.1]].concat())?;
    ensure!(
        code == Some(2) && text.contains("2 epochs"),
        "{code:?} {text}"
    );
    Ok(())
}

/// What makes no sense is refused with its exit code.
fn refused(archive: &str, url: &str, period: (&str, &str), dir: &Path) -> Result<()> {
    let out = dir.join("none.zip").display().to_string();
    let (nowhere, dir) = (format!("{url}/none"), dir.display().to_string());
    for (source, code, words) in [
        (&["--archive", archive][..], 2, "--all"),
        (&["--archive", archive, "--site", "none"], 1, "no ledger"),
        (&["--archive", url, "--gateway", "none"], 1, "no ledger"),
        (&["--archive", &dir, "--all"], 1, "holds no archive"),
        (&["--archive", &nowhere, "--all"], 1, "404"),
        (
            &["--archive", "https://archive.example", "--all"],
            2,
            "http://",
        ),
        (
            &["--archive", "http://127.0.0.1:1", "--all"],
            5,
            "can't reach",
        ),
        (&["--archive", archive, "--all", "--user", "x"], 2, "--user"),
    ] {
        let pull = [
            "usage", "pull", "--from", period.0, "--to", period.1, "-o", &out,
        ];
        let (found, text) = said(&[&pull, source].concat())?;
        ensure!(
            found == Some(code) && text.contains(words),
            "{source:?}: {found:?} {text}"
        );
    }
    let earlier = ["--archive", url, "--all", "--from", "2020-01", "-o", &out];
    let (code, text) = said(&[&["usage", "pull"], &earlier[..]].concat())?;
    ensure!(
        code == Some(1) && text.contains("no signed leaf"),
        "{code:?} {text}"
    );
    ensure!(!Path::new(&out).exists());
    Ok(())
}

/// The API tells what it has, and its description is the printed one.
fn asked(address: SocketAddr) -> Result<()> {
    let gateways = get(address, "/api/v1/gateways")?;
    let gateways: Value = serde_json::from_str(&gateways.body)?;
    ensure!(
        gateways.pointer("/0/logs/0/origin") == Some(&Value::from(ORIGIN)),
        "{gateways}"
    );
    let note = get(address, "/logs/site/gw/e1/checkpoint")?;
    ensure!(
        note.status == 200 && note.body.starts_with(ORIGIN),
        "{note:?}"
    );
    let status = r#"{"id":"1","method":"status","params":null}"#;
    let answer = post(address, "/api/v1/gateways/site/gw/request", status)?;
    ensure!(answer.body.contains("\"epoch\":1"), "{answer:?}");
    let described = get(address, "/api/v1/openapi.json")?.body;
    let (code, printed) = said(&["schema", "archive-api"])?;
    ensure!(code == Some(0), "{printed}");
    let described: Value = serde_json::from_str(&described)?;
    ensure!(described == serde_json::from_str::<Value>(&printed)?);
    Ok(())
}
