//! The signing key and the ledger by commands: made, shown, checked, given up; what is wrong is named.

use anyhow::{Context, Result, ensure};
use lineside::clock::{Clock, SystemClock};
use lineside::ledger::{self, Ledger};
use lineside::record::Entry;
use lineside_proto::ledger::{Audit, Leaf, LeafBody};
use lineside_tests::agent::Agent;
use lineside_tests::http::get;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const ORIGIN: &str = "lineside/site/gw";

/// A machine that nobody answers for.
const NOWHERE: &str = "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"127.0.0.1:1\"\n\
    [groups]\nfast = \"1s\"\n[points]\na = { holding = 0, type = \"u16\", group = \"fast\" }\n\
    [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == 7\"\n";

fn key(site: &Site) -> PathBuf {
    site.path().join("keys/ledger.key")
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

/// A text in a JSON document.
fn at<'a>(document: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = document.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("{pointer} in {document}"))
}

#[test]
fn a_key_is_made_once_and_only_its_public_half_is_shown() -> Result<()> {
    let site = Site::new(1)?;
    let key = key(&site);
    let place = key.display().to_string();
    Said::on(&site, &["keys", "show"])?.failed(4, &["no key", &place, "keys init"])?;
    let chinese = ["keys", "show", "--lang", "zh-CN"];
    Said::on(&site, &chinese)?.failed(4, &["错误", "没有密钥", &place])?;

    let made = Said::on(&site, &["keys", "init"])?.done()?;
    ensure!((mode(&key)?, mode(&site.path().join("keys"))?) == (0o600, 0o700));
    let before = fs::read(&key)?;
    Said::on(&site, &["keys", "init"])?.failed(1, &["a key already", &place])?;
    let chinese = ["keys", "init", "--lang", "zh-CN"];
    Said::on(&site, &chinese)?.failed(1, &["错误", "密钥已存在"])?;
    ensure!(fs::read(&key)? == before, "the key was changed");

    let shown = Said::on(&site, &["keys", "show", "--json"])?.json()?;
    let vkey = at(&shown, "/card/vkey")?;
    ensure!(vkey.starts_with(&format!("{ORIGIN}+")), "{vkey}");
    ensure!(at(&shown, "/card/origin")? == ORIGIN && at(&shown, "/card/gateway")? == "gw");
    let people = Said::on(&site, &["keys", "show"])?.done()?;
    for word in ["verifier key", vkey, "JWK", at(&shown, "/jwk/x")?, "█▀"] {
        ensure!(
            people.out.contains(word),
            "{word} is not in\n{}",
            people.out
        );
    }
    let trust = Said::on(&site, &["keys", "show", "--trust"])?.done()?;
    let block = format!(
        "[[gateway]]\nsite = \"site\"\ngateway = \"gw\"\norigin = \"{ORIGIN}\"\nkey = \"{vkey}\"\n# from = 20"
    );
    ensure!(trust.out.starts_with(&block), "{}", trust.out);

    let private: Value = serde_json::from_slice(&before)?;
    let secret = at(&private, "/d")?;
    for said in [&made, &people, &trust] {
        ensure!(!said.out.contains(secret), "the secret was printed");
    }
    ensure!(
        !shown.to_string().contains(secret),
        "the secret was printed"
    );

    Said::on(&site, &["keys", "show", "--json", "--trust"])?.failed(2, &["cannot be used with"])?;
    Said::on(&site, &["keys", "rotate"])?.failed(5, &["no agent answers", "lineside run"])?;
    ensure!(fs::read(&key)? == before, "the key was changed");
    Ok(())
}

#[test]
fn a_key_from_systemd_is_shown_while_the_agent_runs() -> Result<()> {
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("mill", NOWHERE)?;
    Said::on(&site, &["keys", "init"])?.done()?;
    let vkey = |site: &Site| -> Result<String> {
        let shown = Said::on(site, &["keys", "show", "--json"])?.json()?;
        Ok(at(&shown, "/card/vkey")?.to_owned())
    };
    let made = vkey(&site)?;
    let credentials = site.path().join("credentials");
    fs::create_dir(&credentials)?;
    fs::rename(key(&site), credentials.join("ledger.key"))?;
    Said::on(&site, &["keys", "show"])?.failed(4, &["no key", "while the service runs"])?;
    let mut agent = Agent::start_with(&site.config(), "CREDENTIALS_DIRECTORY", &credentials)?;
    agent
        .process()
        .wait_for_error_line(0, "lineside runs", LIMIT)?;
    ensure!(vkey(&site)? == made && !key(&site).exists());
    Said::on(&site, &["keys", "rotate"])?.failed(1, &["systemd"])?;
    let reason = ["ledger", "new-epoch", "--yes", "--reason", "x"];
    Said::on(&site, &reason)?.failed(4, &["no key"])?;
    agent.stop()
}

#[test]
fn a_restored_copy_is_neither_signed_nor_published_and_says_so() -> Result<()> {
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("mill", NOWHERE)?;
    let run = |site: &Site| -> Result<Agent> {
        let mut agent = Agent::start(&site.config())?;
        let said = "lineside runs";
        agent.process().wait_for_error_line(0, said, LIMIT)?;
        Ok(agent)
    };
    // A ledger that was signed at its end, and one disk further.
    run(&site)?.stop()?;
    fs::remove_dir_all(site.state_dir())?;
    let mut agent = run(&site)?;
    let console = agent.console()?;
    ensure!(agent.log().contains("neither signed nor published"));
    let shown = Said::on(&site, &["status"])?.done()?.out;
    ensure!(shown.contains("NOT SIGNED") && shown.contains("ledger new-epoch"));
    let chinese = ["status", "--lang", "zh-CN"];
    ensure!(
        Said::on(&site, &chinese)?
            .done()?
            .out
            .contains("已停止签名和发布")
    );
    let told: Value = serde_json::from_str(&get(console, "/api/v1/status")?.body)?;
    ensure!(
        at(&told, "/ledger/suspended")?.contains("was signed"),
        "{told}"
    );
    let anew = ["ledger", "new-epoch", "--yes", "--reason", "a new disk"];
    Said::on(&site, &anew)?.failed(4, &["stop it first"])?;
    agent.stop()?;
    Said::on(&site, &anew)?.done()?;
    let agent = run(&site)?;
    let shown = Said::on(&site, &["status"])?.done()?.out;
    ensure!(shown.contains("lineside/site/gw/e2") && !shown.contains("NOT SIGNED"));
    agent.stop()
}

#[test]
fn a_key_that_others_can_read_is_refused() -> Result<()> {
    let site = Site::new(1)?;
    let dir = site.path().join("keys");
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
    Said::on(&site, &["keys", "init"])?.failed(4, &["others may enter", "chmod 700"])?;
    ensure!(!key(&site).exists(), "a key was made");
    fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
    Said::on(&site, &["keys", "init"])?.done()?;
    fs::set_permissions(key(&site), Permissions::from_mode(0o640))?;
    Said::on(&site, &["keys", "show"])?.failed(4, &["others may read", "chmod 600"])?;
    let chinese = ["keys", "show", "--lang", "zh-CN"];
    Said::on(&site, &chinese)?.failed(4, &["其他用户可以读取密钥", "chmod 600"])
}

/// A ledger of 300 signed leaves and 3 more, closed.
fn written(site: &Site) -> Result<()> {
    fs::create_dir_all(site.state_dir())?;
    let (ledger, _) = Ledger::open(&site.state_dir(), &key(site), ORIGIN)?;
    let entry = |number: u32| Entry {
        at: SystemClock.now(),
        body: LeafBody::Audit(Audit {
            who: "li".to_owned(),
            action: "apply".to_owned(),
            what: number.to_string(),
        }),
    };
    ledger.append("boot", &(0..300).map(entry).collect::<Vec<_>>())?;
    ledger.sign()?;
    ledger.append("boot", &(0..3).map(entry).collect::<Vec<_>>())?;
    Ok(())
}

#[test]
fn a_ledger_is_checked_and_what_is_wrong_is_named() -> Result<()> {
    let site = Site::new(1)?;
    Said::on(&site, &["ledger", "check"])?.failed(1, &["there is no ledger", "lineside run"])?;
    written(&site)?;
    let said = Said::on(&site, &["ledger", "check", "--json"])?.json()?;
    ensure!(at(&said, "/origin")? == ORIGIN, "{said}");
    let number = |name: &str| said.get(name).and_then(Value::as_u64);
    ensure!(
        (number("size"), number("leaves")) == (Some(300), Some(303)),
        "{said}"
    );
    let people = Said::on(&site, &["ledger", "check"])?.done()?;
    for word in [
        "is sound",
        "size: 300",
        "leaves on disk: 303",
        at(&said, "/root")?,
    ] {
        ensure!(
            people.out.contains(word),
            "{word} is not in\n{}",
            people.out
        );
    }
    let chinese = Said::on(&site, &["ledger", "check", "--lang", "zh-CN"])?.done()?;
    ensure!(chinese.out.contains("台账完好"), "{chinese:?}");

    let bundle = site.state_dir().join("ledger/tile/entries/000");
    let text = fs::read(&bundle)?;
    let mut spoiled = text.clone();
    *spoiled.get_mut(100).context("too short")? ^= 1;
    fs::write(&bundle, spoiled)?;
    Said::on(&site, &["ledger", "check"])?.failed(1, &["not sound", "leaf 0"])?;
    let chinese = ["ledger", "check", "--lang", "zh-CN"];
    Said::on(&site, &chinese)?.failed(1, &["错误", "台账校验未通过", "leaf 0"])?;
    let said = Said::on(&site, &["ledger", "check", "--json"])?;
    let verdict: Value = serde_json::from_str(&said.out)?;
    ensure!(
        said.code == Some(1) && verdict.get("sound") == Some(&Value::Bool(false)),
        "{said:?}"
    );
    ensure!(at(&verdict, "/error")?.contains("leaf 0"), "{verdict}");
    fs::write(&bundle, text)?;
    Said::on(&site, &["ledger", "check"])?.done()?;
    Ok(())
}

#[test]
fn a_new_epoch_keeps_the_old_ledger_and_cites_it() -> Result<()> {
    let site = Site::new(1)?;
    let words = ["ledger", "new-epoch", "--reason", "the disk was replaced"];
    let surely = [&words[..], &["--yes"]].concat();
    Said::on(&site, &surely)?.failed(1, &["there is no ledger"])?;
    Said::on(&site, &["ledger", "new-epoch", "--yes"])?.failed(2, &["--reason <TEXT>"])?;
    Said::on(&site, &["ledger", "new-epoch", "--yes", "--reason", " "])?
        .failed(2, &["a reason has"])?;
    written(&site)?;

    // Whoever says nothing changes nothing.
    let said = Said::on(&site, &words)?;
    ensure!(
        said.code == Some(1) && said.out.contains("nothing was changed"),
        "{said:?}"
    );
    ensure!(
        said.out.contains("will be given up") && said.out.contains(ORIGIN),
        "{said:?}"
    );
    let said = Said::on(&site, &[&words[..], &["--lang", "zh-CN"]].concat())?;
    ensure!(said.out.contains("未作任何改动"), "{said:?}");
    let (ledger, _) = Ledger::open(&site.state_dir(), &key(&site), ORIGIN)?;
    Said::on(&site, &surely)?.failed(4, &["an agent uses the ledger", "stop it first"])?;
    let root = ledger.root_at(300)?.to_string();
    drop(ledger);
    ensure!(!site.state_dir().join("ledger.e1").exists());

    let said = Said::on(&site, &surely)?.done()?;
    let second = format!("{ORIGIN}/e2");
    ensure!(
        said.out.contains("ledger.e1") && said.out.contains(&second),
        "{said:?}"
    );
    let kept = site.state_dir().join("ledger.e1/tile/entries/000");
    ensure!(kept.exists(), "the old ledger is gone");
    let said = Said::on(&site, &["ledger", "check"])?.done()?;
    ensure!(said.out.contains("2 leaves wait"), "{said:?}");
    let shown = Said::on(&site, &["keys", "show", "--json"])?.json()?;
    ensure!(at(&shown, "/card/origin")? == second, "{shown}");
    ensure!(ledger::origin(&key(&site), ORIGIN)? == second);

    let (ledger, _) = Ledger::open(&site.state_dir(), &key(&site), ORIGIN)?;
    let leaves = ledger.read(0, 1 << 20)?;
    let leaves: Result<Vec<Leaf>, _> = leaves
        .iter()
        .map(|(_, leaf)| Leaf::from_bytes(leaf))
        .collect();
    let bodies: Vec<LeafBody> = leaves?.into_iter().map(|leaf| leaf.body).collect();
    let [LeafBody::Genesis(genesis), LeafBody::Audit(audit)] = &bodies[..] else {
        anyhow::bail!("{bodies:?}")
    };
    let prior = genesis.prior.as_ref().context("nothing is cited")?;
    ensure!(
        (genesis.epoch, prior.size, &prior.root) == (2, 300, &root),
        "{genesis:?}"
    );
    ensure!(
        prior.reason == "the disk was replaced" && prior.origin == ORIGIN,
        "{prior:?}"
    );
    ensure!(
        audit.action == "new-epoch" && !audit.who.is_empty(),
        "{audit:?}"
    );
    Ok(())
}
