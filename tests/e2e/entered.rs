//! What people enter by commands: wrong words are refused before anybody is asked, and told in both languages.

use anyhow::{Result, ensure};
use lineside::config::model::Table;
use lineside::ledger::Ledger;
use lineside::sim::device::Device;
use lineside_proto::ledger::{Leaf, LeafBody, SessionEvent};
use lineside_proto::{CheckIn, Class, State};
use lineside_tests::agent::Agent;
use lineside_tests::http::{get, post};
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};
use lineside_tests::wait;
use serde_json::Value;
use std::net::SocketAddr;

/// A command line, its words between bars.
fn fails(site: &Site, line: &str, words: &[&str]) -> Result<()> {
    let arguments: Vec<&str> = line.split('|').collect();
    Said::on(site, &arguments)?.failed(2, words)
}

#[test]
fn what_makes_no_sense_is_wrong_usage() -> Result<()> {
    let site = Site::new(1)?;
    site.machine("mill", Site::NOWHERE)?;
    let long = format!("session|start|mill|--by|{}", "x".repeat(65));
    let both = "session|start|mill|--class|OWN|--booking|bk-1";
    for (line, word) in [
        ("session|start|mil", "no machine `mil`"),
        ("session|start|mil", "mill"),
        ("session|stop|mil", "no machine `mil`"),
        ("session|start", "<MACHINE>"),
        (
            "session|start|mill|--class|EXT",
            "OWN, TRN or MNT is wanted",
        ),
        (both, "cannot be used with"),
        ("session|start|mill|--booking| ", "a booking's id has"),
        (&long, "a name has 1 to 64"),
        ("session|stop|mill|--by|a\nb", "a name has 1 to 64"),
        ("correct|7|--reason|wrong", "--by <NAME>"),
        ("correct|7|--by|Li", "--reason <TEXT>"),
        ("correct|-7|--reason|wrong|--by|Li", "-7"),
        ("correct|x|--reason|wrong|--by|Li", "invalid value 'x'"),
        (
            "correct|7|--reason||--by|Li",
            "a reason has 1 to 2048 bytes",
        ),
    ] {
        fails(&site, line, &[word])?;
    }
    for (line, words) in [
        (
            "session|start|mill|--class|EXT",
            &["错误", "应为 OWN、TRN 或 MNT"][..],
        ),
        ("session|start|mil", &["错误", "没有配置设备 `mil`"]),
        (both, &["错误", "不能与"]),
        ("correct|7|--reason||--by|Li", &["原因应为 1 到 2048 字节"]),
    ] {
        fails(&site, &format!("{line}|--lang|zh-CN"), words)?;
    }
    Ok(())
}

#[test]
fn without_an_agent_nothing_is_entered() -> Result<()> {
    let site = Site::new(1)?;
    site.machine("mill", Site::NOWHERE)?;
    for arguments in [
        &["session", "start", "mill"][..],
        &["session", "stop", "mill"],
        &["session", "list"],
        &["session", "list", "--json"],
        &["correct", "7", "--reason", "wrong", "--by", "Li"],
    ] {
        Said::on(&site, arguments)?.failed(5, &["no agent answers", "lineside run"])?;
        let chinese = [arguments, &["--lang", "zh-CN"]].concat();
        Said::on(&site, &chinese)?.failed(5, &["错误", "没有程序应答"])?;
    }
    ensure!(!site.state_dir().exists(), "something was written");
    Ok(())
}

#[test]
fn nothing_is_open_at_first_and_nothing_can_be_closed() -> Result<()> {
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("mill", Site::NOWHERE)?;
    let mut agent = Agent::start(&site.config())?;
    agent
        .process()
        .wait_for_error_line(0, "lineside runs", LIMIT)?;
    let said = Said::on(&site, &["session", "list"])?.done()?;
    ensure!(said.out == "no session is open\n", "{said:?}");
    let said = Said::on(&site, &["session", "list", "--lang", "zh-CN"])?.done()?;
    ensure!(said.out == "没有进行中的上机记录\n", "{said:?}");
    let open = Said::on(&site, &["session", "list", "--json"])?.json()?;
    ensure!(open == serde_json::json!([]), "{open}");
    Said::on(&site, &["session", "stop", "mill"])?.failed(1, &["no session runs"])?;
    let chinese = ["session", "stop", "mill", "--lang", "zh-CN"];
    Said::on(&site, &chinese)?.failed(1, &["错误", "没有进行中的上机记录"])?;
    let plain = ["session", "start", "mill"];
    Said::on(&site, &plain)?.failed(1, &["a class is needed"])?;
    let booked = ["session", "start", "mill", "--booking", "bk-1"];
    Said::on(&site, &booked)?.failed(1, &["no booking `bk-1`"])?;
    let far = ["correct", "123456789", "--reason", "wrong", "--by", "Li"];
    Said::on(&site, &far)?.failed(1, &["no leaf 123456789"])?;
    Said::on(&site, &["keys", "rotate", "--finish"])?.failed(1, &["no change of keys"])?;
    agent.stop()
}

/// The bodies of a closed ledger's leaves.
fn leaves(site: &Site) -> Result<Vec<LeafBody>> {
    let key = site.path().join("keys/ledger.key");
    let (ledger, _) = Ledger::open(&site.state_dir(), &key, "lineside/site/gw")?;
    let mut bodies = Vec::new();
    while let Some((index, bytes)) = ledger.read(bodies.len() as u64, 1)?.into_iter().next() {
        ensure!(index == bodies.len() as u64);
        bodies.push(Leaf::from_bytes(&bytes)?.body);
    }
    Ok(bodies)
}

/// How often a text stands in the journal of a small ledger whose agent runs.
fn written(site: &Site, text: &str) -> Result<usize> {
    let journal = std::fs::read(site.state_dir().join("ledger/journal"))?;
    Ok(String::from_utf8_lossy(&journal).matches(text).count())
}

/// The sessions that are open.
fn open(site: &Site) -> Result<Vec<Value>> {
    let listed = Said::on(site, &["session", "list", "--json"])?.json()?;
    Ok(listed.as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_people_enter_becomes_part_of_the_ledger() -> Result<()> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[7]);
    let address = device.listen_tcp().await?;
    let site = Site::new(1)?.with(QUICK)?;
    site.machine(
        "mill",
        &Site::NOWHERE.replace("127.0.0.1:1", &address.to_string()),
    )?;
    let mut agent = Agent::start(&site.config())?;
    let console = agent.console()?;
    wait::until_true("the machine to be read", LIMIT, || {
        let live = Said::on(&site, &["status", "--json"])
            .ok()
            .and_then(|said| said.live());
        live.is_some_and(|live| live.machines.iter().any(|live| live.state == State::Idle))
    })?;

    by_command(&site, console)?;
    by_page(&site, console)?;
    let reason = "that was a trial run";
    let (corrected, rotated) = changed(&site, reason)?;
    agent.stop()?;

    Said::on(&site, &["ledger", "check"])?.done()?;
    let bodies = leaves(&site)?;
    let at = |document: &Value| {
        let index = document.get("index").and_then(Value::as_u64);
        index.and_then(|index| bodies.get(usize::try_from(index).ok()?))
    };
    let Some(LeafBody::Correction(correction)) = at(&corrected) else {
        anyhow::bail!("{corrected} {bodies:?}")
    };
    ensure!(
        (
            correction.refers,
            correction.reason.as_str(),
            correction.by.as_str()
        ) == (1, reason, "Li Wei")
    );
    ensure!(
        matches!(at(&rotated), Some(LeafBody::Key(_))),
        "{rotated} {bodies:?}"
    );
    said_so(&bodies)
}

/// A session from its begin to its end, by commands.
fn by_command(site: &Site, console: SocketAddr) -> Result<()> {
    let start = [
        "session", "start", "mill", "--class", "TRN", "--by", "Li Wei",
    ];
    let said = Said::on(site, &start)?.done()?;
    ensure!(
        said.out.contains("mill: session ") && said.out.contains("class TRN"),
        "{said:?}"
    );
    // It is listed when its first moment is decided.
    let listed = wait::until("the session to be open", LIMIT, || {
        Ok(Some(open(site)?).filter(|listed| !listed.is_empty()))
    })?;
    let [session] = &listed[..] else {
        anyhow::bail!("{listed:?}")
    };
    let text = |name: &str| session.get(name).and_then(Value::as_str).map(str::to_owned);
    ensure!(text("machine").as_deref() == Some("mill") && text("class").as_deref() == Some("TRN"));
    ensure!(text("check_in").as_deref() == Some("local"), "{session}");
    let by = text("by").unwrap_or_default();
    ensure!(by.len() == 16, "{session}");
    let people = Said::on(site, &["status"])?.done()?;
    ensure!(
        people.out.contains("class TRN") && people.out.contains("ledger lineside/site/gw: "),
        "{people:?}"
    );
    let told = get(console, "/api/v1/machines/mill/sessions")?.body;
    ensure!(told.contains(&by) && !told.contains("Li Wei"), "{told}");
    Said::on(site, &["session", "stop", "mill", "--by", "Li Wei"])?.done()?;
    wait::until("the session to be closed", LIMIT, || {
        Ok(open(site)?.is_empty().then_some(()))
    })?;
    Ok(())
}

/// The same by the local API.
fn by_page(site: &Site, console: SocketAddr) -> Result<()> {
    let path = "/api/v1/machines/mill/session";
    let opened = post(console, &format!("{path}/start"), "{\"class\":\"OWN\"}")?;
    ensure!(opened.status == 200, "{opened:?}");
    wait::until("the second session to be open", LIMIT, || {
        Ok((!open(site)?.is_empty()).then_some(()))
    })?;
    let closed = post(console, &format!("{path}/stop"), "{}")?;
    ensure!(closed.status == 200, "{closed:?}");
    wait::until("the second session to be closed", LIMIT, || {
        Ok(open(site)?.is_empty().then_some(()))
    })?;
    // Their leaves are written when that time is decided.
    wait::until("both sessions to be written", LIMIT, || {
        let count = written(site, "\"type\":\"session\"")?;
        Ok((count >= 4).then_some(()))
    })?;
    // The console tells them, the newest first.
    let told = get(console, "/api/v1/machines/mill/sessions")?.body;
    let told: Value = serde_json::from_str(&told)?;
    let class = |n: usize| told.pointer(&format!("/recent/{n}/class"));
    ensure!(
        class(0).and_then(Value::as_str) == Some("OWN")
            && class(1).and_then(Value::as_str) == Some("TRN"),
        "{told}"
    );
    Ok(())
}

/// A correction, and a new key.
fn changed(site: &Site, reason: &str) -> Result<(Value, Value)> {
    let said = Said::on(
        site,
        &[
            "correct", "1", "--reason", reason, "--by", "Li Wei", "--json",
        ],
    )?;
    let corrected = said.json()?;
    let rotated = Said::on(site, &["keys", "rotate", "--json"])?.json()?;
    Said::on(site, &["keys", "rotate"])?.failed(1, &["not finished"])?;
    Said::on(site, &["keys", "rotate", "--finish"])?.done()?;
    Said::on(site, &["ledger", "check"])?.done()?;
    Ok((corrected, rotated))
}

/// What the leaves say of sessions, and of who did something.
fn said_so(bodies: &[LeafBody]) -> Result<()> {
    let sessions: Vec<_> = bodies
        .iter()
        .filter_map(|body| {
            let LeafBody::Session(leaf) = body else {
                return None;
            };
            Some((leaf.event, leaf.class, leaf.check_in))
        })
        .collect();
    let (local, begun, ended) = (CheckIn::Local, SessionEvent::Open, SessionEvent::Close);
    ensure!(
        sessions
            == [
                (begun, Class::Trn, local),
                (ended, Class::Trn, local),
                (begun, Class::Own, local),
                (ended, Class::Own, local),
            ],
        "{sessions:?} {bodies:?}"
    );
    let audits: Vec<_> = bodies
        .iter()
        .filter_map(|body| {
            let LeafBody::Audit(leaf) = body else {
                return None;
            };
            Some((leaf.action.as_str(), leaf.who == "console"))
        })
        .collect();
    ensure!(
        audits
            == [
                ("session-start", false),
                ("session-stop", false),
                ("session-start", true),
                ("session-stop", true),
                ("correct", false),
                ("keys-rotate", false),
                ("keys-rotate-finish", false),
            ],
        "{audits:?}"
    );
    Ok(())
}
