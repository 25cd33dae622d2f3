//! The evaluator's first two steps: hours of machines that ran through outages are fetched in three ways, verified
//! offline, and are those that the test counted itself from what it drove.

use anyhow::{Context, Result, ensure};
use lineside::ledger::Keys;
use lineside_proto::evidence::{Bundle, MachineTotals, Verdict, Verification};
use lineside_proto::{Availability, BookingsAck, Class, SessionDocument, SessionNews, State};
use lineside_tests::agent::{binary, command};
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::evidence::Evidence;
use lineside_tests::requester::Requester;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::wait;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ORIGIN: &str = "lineside/site/gw";
/// A second, and one poll, for each session.
const SLACK_MS: i64 = 1_000 + 100;

fn map(connection: &str) -> String {
    format!(
        "{connection}\n[groups]\nfast = \"100ms\"\n[points]\n\
         mode = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         [state]\nstale-after = \"2s\"\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n"
    )
}

/// A machine, and how long the test made it run.
struct Driven {
    name: &'static str,
    device: Device,
    since: Option<i64>,
    ran_ms: Vec<i64>,
}

impl Driven {
    fn new(name: &'static str, transport: Transport, stand: &Stand) -> Result<Self> {
        let device = Device::start(transport, &[(1, vec![Cell::new("holding", 0, "u16", 0)])])?;
        stand.site.machine(name, &map(&device.connection("")))?;
        Ok(Self {
            name,
            device,
            since: None,
            ran_ms: Vec::new(),
        })
    }

    /// Starts a run.
    fn run(&mut self) -> Result<()> {
        self.device.set(1, &Cell::new("holding", 0, "u16", 1))?;
        self.since = Some(wait::boot_ms());
        Ok(())
    }

    /// Ends it, and writes down how long it was.
    fn idle(&mut self) -> Result<()> {
        self.device.set(1, &Cell::new("holding", 0, "u16", 0))?;
        let since = self.since.take().context("it does not run")?;
        self.ran_ms.push(wait::boot_ms() - since);
        Ok(())
    }

    fn shown(
        &self,
        stand: &mut Stand,
        from: usize,
        wanted: impl Fn(&Availability) -> bool,
    ) -> Result<Availability> {
        stand.availability(self.name, from, |said, _| {
            wanted(said).then(|| said.clone())
        })
    }

    /// Waits for a session's end.
    fn closed(&self, stand: &mut Stand, from: usize) -> Result<SessionDocument> {
        let topic = Site::topic(&format!("sessions/{}", self.name));
        let closed = stand.archive.wait_on(from, &topic, LIMIT, |message| {
            let document: SessionDocument = serde_json::from_str(&message.payload).ok()?;
            (document.event == SessionNews::Closed).then_some(document)
        });
        closed.with_context(|| stand.log())
    }
}

fn seconds(count: u64) -> Result<()> {
    wait::throughout(Duration::from_secs(count), || Ok(()))
}

/// A portal's key, and what it books by.
fn book(stand: &mut Stand, machine: &str, key: &str) -> Result<()> {
    let config = stand.site.config().display().to_string();
    let now = jiff::Timestamp::now();
    let start = (now - jiff::SignedDuration::from_mins(1)).to_string();
    let end = (now + jiff::SignedDuration::from_mins(59)).to_string();
    let script = format!(
        "'{bin}' booking sign --key '{key}' --machine {machine} --id bk-1 --class EXT --org renter \
         --start {start} --end {end} -c '{config}' | \
         '{bin}' booking sign --key '{key}' --machine {machine} --set --revision 1 -c '{config}'",
        bin = binary()?.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output()?;
    ensure!(output.status.success(), "{output:?}");
    let root = Site::topic("");
    let mut portal = Requester::start(stand.broker.port(), root.trim_end_matches('/'))?;
    let message = String::from_utf8(output.stdout)?;
    portal.send(&format!("bookings/{machine}"), message.trim())?;
    let topic = Site::topic(&format!("bookings-ack/{machine}"));
    let ack: BookingsAck = stand
        .archive
        .wait_on(0, &topic, LIMIT, |message| {
            serde_json::from_str(&message.payload).ok()
        })
        .with_context(|| stand.log())?;
    ensure!(ack.accepted == ["bk-1"], "{ack:?}");
    Ok(())
}

/// Waits until a signed head speaks for every leaf up to an index.
fn signed(stand: &mut Stand, index: u64) -> Result<()> {
    let topic = Site::topic("ledger/checkpoint");
    let found = stand.archive.wait_on(0, &topic, LIMIT, |message| {
        let size: u64 = message.payload.lines().nth(1)?.parse().ok()?;
        (size > index).then_some(())
    });
    found.with_context(|| stand.log())
}

/// Runs a command of the evaluator; gives its exit code, and what it printed.
fn said(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = command(arguments)?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-r").args([from, to]).status()?;
    ensure!(status.success());
    Ok(())
}

/// The same evidence in three ways.
fn pulled(stand: &mut Stand, dir: &Path, from: &str, to: &str) -> Result<[PathBuf; 3]> {
    let broker = format!("mqtt://127.0.0.1:{}", stand.broker.port());
    let api = format!("http://{}", stand.agent()?.console()?);
    let state = dir.join("copy");
    copy(&stand.site.state_dir(), &state)?;
    let state = state.display().to_string();
    let files = ["mqtt.zip", "http.zip", "state.zip"].map(|name| dir.join(name));
    let sources = [
        vec!["--broker", &broker, "--site", "site", "--gateway", "gw"],
        vec!["--api", &api],
        vec!["--state", &state],
    ];
    for (source, file) in sources.iter().zip(&files) {
        let file = file.display().to_string();
        let wanted = [
            "usage", "pull", "--from", from, "--to", to, "-o", &file, "--json",
        ];
        let (code, text) = said(&[&wanted, source.as_slice()].concat())?;
        ensure!(
            code == Some(0),
            "{source:?}: {code:?} {text}\n{}",
            stand.log()
        );
        let made: Value = serde_json::from_str(text.trim())?;
        ensure!(made["found"] == serde_json::json!([]), "{source:?}: {text}");
        ensure!(
            made["tokens_missing"] == serde_json::json!([]),
            "{source:?}: {text}"
        );
    }
    Ok(files)
}

/// The leaves of a bundle.
fn leaves(path: &Path) -> Result<Vec<String>> {
    let mut bundle = Bundle::open(File::open(path)?)?;
    let parts: Vec<String> = bundle.paths().map(str::to_owned).collect();
    let mut all = Vec::new();
    for part in parts.iter().filter(|path| path.starts_with("leaves/")) {
        let text = String::from_utf8(bundle.read(part)?)?;
        all.extend(text.lines().map(str::to_owned));
    }
    Ok(all)
}

fn trust(stand: &Stand, jwk: &str) -> Result<PathBuf> {
    let keys = Keys::load(&stand.site.path().join("keys/ledger.key"), ORIGIN)?;
    let key = keys.all().first().context("a key")?.to_string();
    let text = format!(
        "[[gateway]]\nsite = \"site\"\ngateway = \"gw\"\norigin = \"{ORIGIN}\"\nkey = \"{key}\"\n\n\
         [[issuer]]\njwk = '{}'\n\n[organisations]\nown = [\"own\"]\n",
        jwk.trim()
    );
    let path = stand.site.path().join("trust.toml");
    fs::write(&path, text)?;
    Ok(path)
}

fn verified(file: &Path, trust: Option<&Path>) -> Result<(Option<i32>, Verification)> {
    let (file, trust) = (
        file.display().to_string(),
        trust.map(|trust| trust.display().to_string()),
    );
    let mut arguments = vec!["usage", "verify", "--json", &file];
    arguments.extend(trust.iter().flat_map(|trust| ["--trust", trust]));
    let (code, text) = said(&arguments)?;
    let verification = serde_json::from_str(&text).with_context(|| text.clone())?;
    Ok((code, verification))
}

fn machine<'a>(verification: &'a Verification, name: &str) -> Result<&'a MachineTotals> {
    let totals = verification.totals.as_ref().context("totals")?;
    let mut machines = totals.machines.iter();
    machines
        .find(|machine| machine.machine.as_str() == name)
        .context("no such machine")
}

/// Milliseconds of activity in sessions of a class, and how many sessions there were.
fn hours(machine: &MachineTotals, class: Class) -> Result<(i64, i64)> {
    let grades = machine.hours.get(&class);
    let ms = grades.map_or(0, |grades| grades.values().sum::<u64>());
    let sessions = machine.sessions.iter().filter(|one| one.class == class);
    let of_sessions: u64 = sessions.clone().map(|one| one.active_ms).sum();
    ensure!(
        ms == of_sessions,
        "{ms} ms by grade, {of_sessions} by session"
    );
    Ok((i64::try_from(ms)?, i64::try_from(sessions.count())?))
}

fn adds_up(what: &str, hours: (i64, i64), ran_ms: i64, unwatched_ms: i64) -> Result<()> {
    let (ms, sessions) = hours;
    let slack = SLACK_MS * sessions;
    ensure!(
        ms <= ran_ms + slack && ms + unwatched_ms + slack >= ran_ms,
        "{what}: {ms} ms in {sessions} sessions, it ran {ran_ms}, of which {unwatched_ms} unwatched"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn verified_hours_are_those_that_the_machines_were_driven_through() -> Result<()> {
    let settings = format!(
        "{QUICK}\n[bookings]\nissuer-keys = [\"portal.pub.jwk\"]\n\
         [sessions]\nown = [\"own\"]\nidle-close = \"2s\""
    );
    let mut stand = Stand::new(Persistence::On, &settings)?;
    let key = stand.site.path().join("portal.jwk").display().to_string();
    let jwk = command(&["booking", "key", "--out", &key])?;
    ensure!(jwk.status.success(), "{jwk:?}");
    let jwk = String::from_utf8(jwk.stdout)?;
    fs::write(stand.site.path().join("portal.pub.jwk"), &jwk)?;
    let mut press = Driven::new("press", Transport::Tcp, &stand)?;
    let mut mixer = Driven::new("mixer", Transport::RtuOverTcp, &stand)?;
    let hour_s = jiff::Timestamp::now().as_second() / 3600 * 3600;
    let hour = |more: i64| jiff::Timestamp::from_second(hour_s + more * 3600);
    let (from, to) = (hour(0)?.to_string(), hour(2)?.to_string());
    stand.start()?;
    for machine in [&press, &mixer] {
        machine.shown(&mut stand, 0, |said| said.state == State::Idle)?;
    }
    book(&mut stand, press.name, &key)?;

    // The renter runs the press; the broker goes away meanwhile, the city's line is cut.
    let mark = stand.archive.mark()?;
    press.run()?;
    let open = press.shown(&mut stand, mark, |said| said.session.is_some())?;
    let class = open.session.context("a session")?.class;
    ensure!(class == Class::Ext, "{class:?}");
    stand.broker.stop()?;
    seconds(3)?;
    stand.broker.restart()?;
    stand.proxy.cut();
    seconds(1)?;
    press.idle()?;
    let mark = stand.archive.mark()?;
    press.shown(&mut stand, mark, |said| said.state == State::Idle)?;
    let config = stand.site.config().display().to_string();
    let (code, text) = said(&["session", "stop", "press", "--by", "Li Wei", "-c", &config])?;
    ensure!(code == Some(0), "{text}");
    press.closed(&mut stand, 0)?;

    // The mixer runs for nobody, and the agent is killed and stopped meanwhile.
    let mark = stand.archive.mark()?;
    mixer.run()?;
    mixer.shown(&mut stand, mark, |said| said.state == State::Run)?;
    seconds(2)?;
    let mut unwatched_ms = 0;
    for kill in [true, false] {
        let gone = wait::boot_ms();
        if kill {
            stand.kill()?
        } else {
            stand.stop()?
        }
        let mark = stand.archive.mark()?;
        stand.start()?;
        mixer.shown(&mut stand, mark, |said| said.state == State::Run)?;
        unwatched_ms += wait::boot_ms() - gone;
        seconds(1)?;
    }
    mixer.idle()?;
    mixer.closed(&mut stand, 0)?;
    // The press runs once more: the token has had its session.
    let mark = stand.archive.mark()?;
    press.run()?;
    press.shown(&mut stand, mark, |said| said.state == State::Run)?;
    seconds(3)?;
    press.idle()?;
    let last = press.closed(&mut stand, mark)?;
    signed(&mut stand, last.index)?;

    let dir = tempfile::tempdir()?;
    let files = pulled(&mut stand, dir.path(), &from, &to)?;
    let mut all = files
        .iter()
        .map(|file| leaves(file))
        .collect::<Result<Vec<_>>>()?;
    // The ledger may have grown from one to the next.
    let count = all.iter().map(Vec::len).min().unwrap_or_default();
    ensure!(count as u64 > last.index, "{count} leaves");
    for leaves in &mut all {
        leaves.truncate(count);
    }
    let ours = all.pop().context("leaves")?;
    ensure!(all.iter().all(|other| *other == ours), "other leaves");
    // They are those that the archive heard.
    let heard = Evidence::of(&stand.archive.messages()?)?;
    ensure!(
        heard
            .leaves
            .values()
            .zip(&mqtt)
            .all(|(heard, ours)| heard == ours)
    );

    let trust = trust(&stand, &jwk)?;
    for file in &files {
        let (code, sound) = verified(file, Some(&trust))?;
        ensure!(
            code == Some(0) && sound.verdict == Verdict::Verified,
            "{code:?} {sound:?}"
        );
        let (press_said, mixer_said) = (machine(&sound, "press")?, machine(&sound, "mixer")?);
        let [rented, own] = press.ran_ms[..] else {
            anyhow::bail!("{:?}", press.ran_ms);
        };
        adds_up("the renter", hours(press_said, Class::Ext)?, rented, 0)?;
        adds_up("the press", hours(press_said, Class::Unb)?, own, 0)?;
        let ran = mixer.ran_ms.iter().sum();
        adds_up(
            "the mixer",
            hours(mixer_said, Class::Unb)?,
            ran,
            unwatched_ms,
        )?;
        ensure!(press_said.outside_ms == 0 && mixer_said.outside_ms == 0);
        let (code, sound) = verified(file, None)?;
        ensure!(
            code == Some(1) && sound.verdict == Verdict::SelfConsistent,
            "{sound:?}"
        );
    }
    let [file, ..] = &files;
    not_believed(&mut stand, dir.path(), file, &trust, &from, &to)?;
    stand.stop()
}

/// A changed bundle is not verified; a period without leaves gives none; nobody's gateway can't be reached.
fn not_believed(
    stand: &mut Stand,
    dir: &Path,
    file: &Path,
    trust: &Path,
    from: &str,
    to: &str,
) -> Result<()> {
    let mut bytes = fs::read(file)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("bytes")? ^= 1;
    let changed = dir.join("changed.zip");
    fs::write(&changed, bytes)?;
    let (code, sound) = verified(&changed, Some(trust))?;
    ensure!(
        code == Some(1) && sound.verdict == Verdict::Failed,
        "{sound:?}"
    );
    let broker = format!("mqtt://127.0.0.1:{}", stand.broker.port());
    let out = dir.join("none.zip").display().to_string();
    let pull = ["usage", "pull", "--broker", &broker, "-o", &out];
    let (code, text) = said(&[&pull[..], &["--all", "--from", "2020-01"]].concat())?;
    ensure!(
        code == Some(1) && text.contains("no signed leaf"),
        "{code:?} {text}"
    );
    let (code, text) = said(
        &[
            &pull[..],
            &["--site", "nowhere", "--from", from, "--to", to],
        ]
        .concat(),
    )?;
    ensure!(code == Some(5), "{code:?} {text}");
    let (code, text) = said(&[
        "usage",
        "pull",
        "--api",
        "http://127.0.0.1:1",
        "--state",
        "x",
        "--from",
        "2026",
    ])?;
    ensure!(code == Some(2), "{code:?} {text}");
    ensure!(!dir.join("none.zip").exists());
    Ok(())
}
