//! The whole circle, with nobody played: a gateway reads a device, the city's archive keeps and cosigns its ledger, the
//! gateway's disk is lost, the evaluator pulls from the copy what a witness has seen, and the ledger goes on in an epoch
//! that cites the last cosigned head.

use anyhow::{Context, Result, ensure};
use lineside::ledger::Keys;
use lineside_proto::Link;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::{Checkpoint, Leaf, LeafBody};
use lineside_tests::archive::{Archive, Place};
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::foreign::{self, Question};
use lineside_tests::requester::Requester;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand, status};
use lineside_tests::subscriber::Message;
use lineside_tests::wait;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::archive_read::{MAP, ORIGIN, content, of_now, pulled, ran, said, trust};

/// A city whose gateway counts a leaf as delivered when this archive's witness has cosigned it.
pub(crate) fn city() -> Result<(Stand, Device, Place)> {
    let settings = format!("{QUICK}\n[sessions]\nown = [\"own\"]\nidle-close = \"1s\"");
    let stand = Stand::new(Persistence::On, &settings)?;
    let place = Place::new(stand.broker.port())?.with(&["--cosign-every", "1"]);
    let mut config = fs::read_to_string(stand.site.config())?;
    config += &format!("\n[ledger]\nwitnesses = [\"{}\"]\n", place.witness());
    fs::write(stand.site.config(), config)?;
    let press = Device::start(
        Transport::Tcp,
        &[(1, vec![Cell::new("holding", 0, "u16", 0)])],
    )?;
    let map = format!("{}\n{MAP}", press.connection(""));
    stand.site.machine("press", &map)?;
    Said::on(&stand.site, &["keys", "init"])?.done()?;
    let card = Said::on(&stand.site, &["keys", "show", "--json"])?
        .done()?
        .out;
    fs::write(place.cards().join("gw.json"), card)?;
    Ok((stand, press, place))
}

/// Waits until the archive has cosigned the newest head of an epoch that the broker keeps, or one of more leaves, and gives
/// the one that was the newest.
pub(crate) fn cosigned(
    stand: &mut Stand,
    archive: &Archive,
    place: &Place,
    epoch: u64,
) -> Result<Checkpoint> {
    let topic = Site::topic("ledger/checkpoint");
    let heard = stand.archive.messages()?.into_iter().rev();
    let mut signed = heard.filter(|message| message.topic == topic);
    let note = Note::parse(&signed.next().context("no head")?.payload)?;
    let head = Checkpoint::parse(&note.text)?;
    let seen = wait::until("the cosignature", LIMIT, || {
        let logs = place.status()?;
        let of = |log: &&Value| log.get("epoch").and_then(Value::as_u64) == Some(epoch);
        let log = logs.iter().find(of);
        let size = log.and_then(|log| log.pointer("/cosigned/size")?.as_u64());
        // A gateway that runs may have signed more meanwhile.
        let is_there = size.is_some_and(|size| size >= head.size);
        Ok(is_there.then_some(()))
    });
    seen.with_context(|| format!("{}\n{:?}", archive.log(), place.status()))?;
    Ok(head)
}

/// Waits until the gateway, which is started for it, says that something of its ledger is cosigned: of a ledger of which it
/// never heard that it begins no new epoch by itself.
pub(crate) fn hears(stand: &mut Stand) -> Result<()> {
    let mark = stand.archive.mark()?;
    stand.start()?;
    let topic = Site::topic("status");
    let told = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
        let cosigned = status(message)?.ledger?.cosigned;
        cosigned.filter(|size| *size > 0)
    });
    told.with_context(|| stand.log())?;
    Ok(())
}

/// What `usage verify` says of a file in JSON.
fn verified(file: &Path, trust: &Path) -> Result<Value> {
    let (file, trust) = (file.display().to_string(), trust.display().to_string());
    let (code, text) = said(&["usage", "verify", &file, "--trust", &trust, "--json"])?;
    ensure!(code == Some(0), "{code:?} {text}");
    Ok(serde_json::from_str(&text)?)
}

/// The gateway is there again, and has lost the log of before: the archive answers for that one, and for no other.
fn of_before(stand: &mut Stand, last: &Checkpoint) -> Result<()> {
    let mark = stand.archive.mark()?;
    stand.start()?;
    let online = |message: &Message| (status(message)?.link == Link::Online).then_some(());
    let topic = Site::topic("status");
    stand.archive.wait_on(mark, &topic, LIMIT, online)?;
    // The archive hears that at the same time.
    wait::throughout(Duration::from_secs(1), || Ok(()))?;
    let mut evaluator =
        Requester::start(stand.broker.port(), Site::topic("").trim_end_matches('/'))?;
    evaluator.say(&json!({
        "id": "before", "method": "ledger.checkpoint", "params": {"origin": last.origin},
    }))?;
    let mut said = vec![evaluator.hear()?.answer, evaluator.hear()?.answer];
    said.sort_by_key(|answer| answer.get("error").is_none());
    let [gateway, archive] = &said[..] else {
        anyhow::bail!("{said:?}");
    };
    let code = gateway.pointer("/error/code").and_then(Value::as_str);
    ensure!(code == Some("not-found"), "{gateway}");
    let note = archive
        .pointer("/result/checkpoint")
        .and_then(Value::as_str);
    let note = Note::parse(note.context("no note")?)?;
    ensure!(Checkpoint::parse(&note.text)? == *last, "{}", note.text);
    // Of what the gateway has, it alone speaks: a second answer would come where the next question's is expected.
    for _ in 0..3 {
        let params = json!({"origin": format!("{}/e2", last.origin)});
        let answer = evaluator.ask("ledger.checkpoint", &params)?;
        ensure!(answer.is_ok(), "{answer:?}");
        wait::throughout(Duration::from_millis(500), || Ok(()))?;
    }
    Ok(())
}

/// Two gateways are off, and of one of them nobody has anything: that of the other comes over the broker, from the archive.
fn over_the_broker(stand: &mut Stand, (from, to): (&str, &str), out: &Path) -> Result<()> {
    let topic = Site::topic("status");
    let mut told = stand.archive.messages()?.into_iter().rev();
    let told = told.find(|message| message.topic == topic);
    let mut told: Value = serde_json::from_str(&told.context("no status")?.payload)?;
    let fields = told.as_object_mut().context("a status")?;
    fields.insert("gateway".to_owned(), json!("aside"));
    fields.insert("link".to_owned(), json!("OFFLINE"));
    let root = topic.replace("/gw/status", "/aside");
    let mut other = Requester::start(stand.broker.port(), &root)?;
    let mark = stand.archive.mark()?;
    other.send("status", &told.to_string())?;
    let aside = format!("{root}/status");
    let kept = |_: &Message| Some(());
    stand.archive.wait_on(mark, &aside, LIMIT, kept)?;
    let broker = format!("mqtt://127.0.0.1:{}", stand.broker.port());
    let folder = format!("{}/", out.display());
    let pull = ["usage", "pull", "--broker", &broker, "--all", "-o", &folder];
    let (code, text) = said(&[&pull[..], &["--from", from, "--to", to]].concat())?;
    let is_named = text.contains("site/aside: it is offline, and nobody answers for it");
    ensure!(code == Some(5) && is_named, "{code:?} {text}");
    let listed = fs::read_dir(out)?.count();
    ensure!(
        listed == 1 && text.contains("gateway  site/gw"),
        "{listed} {text}"
    );
    Ok(())
}

/// The gateway is off again.
fn off(stand: &mut Stand) -> Result<()> {
    stand.stop()?;
    let topic = Site::topic("status");
    wait::until("the gateway to be off", LIMIT, || {
        let mut told = stand.archive.messages()?.into_iter().rev();
        let told = told.find(|message| message.topic == topic);
        let link = told.and_then(status).map(|of| of.link);
        Ok((link == Some(Link::Offline)).then_some(()))
    })
}

/// Both epochs come over the broker, a file of each: from the archive alone, or the later from the gateway, which has lost the
/// one before.
fn both_over_the_broker(stand: &Stand, period: (&str, &str), out: &Path) -> Result<()> {
    let broker = format!("mqtt://127.0.0.1:{}", stand.broker.port());
    let source = ["--broker", &broker, "--site", "site", "--gateway", "gw"];
    fs::create_dir(out)?;
    pulled(&source, period, out)?;
    let mut origins = Vec::new();
    for entry in fs::read_dir(out)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let note = Note::parse(&content(&path)?.1)?;
        let origin = Checkpoint::parse(&note.text)?.origin;
        let is_first = name.to_string_lossy().ends_with("-e1.zip");
        ensure!(is_first == (origin == ORIGIN), "{name:?} {origin}");
        origins.push(origin);
    }
    origins.sort();
    let second = format!("{ORIGIN}/e2");
    ensure!(origins == [ORIGIN, second.as_str()], "{origins:?}");
    // One file can't take them.
    let file = out.join("one.zip").display().to_string();
    let pull = ["usage", "pull", "--from", period.0, "--to", period.1];
    let (code, text) = said(&[&pull[..], &source, &["-o", &file]].concat())?;
    ensure!(
        code == Some(2) && text.contains("there are 2 epochs"),
        "{code:?} {text}"
    );
    Ok(())
}

/// What its state directory has is got, and what it lost is named.
fn without_an_archive(stand: &Stand, (from, to): (&str, &str), out: &Path) -> Result<()> {
    fs::create_dir(out)?;
    let (state, out) = (
        stand.site.state_dir().display().to_string(),
        out.display().to_string(),
    );
    let pull = [
        "usage", "pull", "--state", &state, "-o", &out, "--from", from, "--to", to,
    ];
    let (code, text) = said(&pull)?;
    let is_named = text.contains("not got: epoch 1 of site/gw");
    ensure!(
        code == Some(5) && is_named && text.contains("e2.zip"),
        "{code:?} {text}"
    );
    Ok(())
}

#[test]
fn a_gateway_that_burnt_down_loses_no_cosigned_hour_and_goes_on() -> Result<()> {
    let (mut stand, mut press, place) = city()?;
    let (from, to) = of_now()?;
    let archive = place.start()?;
    ran(&mut stand, &mut press)?;
    let last = cosigned(&mut stand, &archive, &place, 1)?;

    // The gateway burns down: its disk is gone, and pulling goes on.
    fs::remove_dir_all(stand.site.state_dir())?;
    let out = tempfile::tempdir()?;
    over_the_broker(&mut stand, (&from, &to), &out.path().join("off"))
        .with_context(|| archive.log())?;
    let trust = trust(&stand)?;
    let witnessed = format!("\n[[witness]]\nkey = \"{}\"\n", place.witness());
    fs::write(&trust, fs::read_to_string(&trust)? + &witnessed)?;
    let dir = place.dir().display().to_string();
    let file = out.path().join("first.zip");
    let source = ["--archive", &dir, "--site", "site", "--gateway", "gw"];
    pulled(&source, (&from, &to), &file)?;
    let first = verified(&file, &trust)?;
    ensure!(
        first.get("cosigned").is_some_and(Value::is_string),
        "{first}"
    );

    // On a new disk the broker tells what there was, and a new epoch goes on after it.
    let mark = stand.archive.mark()?;
    stand.start()?;
    let topic = Site::topic("status");
    let told = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
        status(message)?.ledger?.suspended
    });
    told.with_context(|| stand.log())?;
    // It may say so by its key's record, before it has heard what the city has.
    let heard = stand.site.state_dir().join("ledger/elsewhere");
    wait::until("what the city has", LIMIT, || {
        Ok(heard.exists().then_some(()))
    })?;
    stand.stop()?;
    let reason = "the gateway burnt down";
    let anew = ["ledger", "new-epoch", "--yes", "--reason", reason];
    Said::on(&stand.site, &anew)?.done()?;
    ran(&mut stand, &mut press)?;
    cosigned(&mut stand, &archive, &place, 2)?;
    let leaves = place.log("site/gw/e2").leaves(1)?;
    let genesis = Leaf::from_bytes(leaves.first().context("no leaf")?)?;
    let LeafBody::Genesis(genesis) = genesis.body else {
        anyhow::bail!("{genesis:?}");
    };
    let prior = genesis.prior.context("it cites nothing")?;
    ensure!(
        (prior.size, &prior.root) == (last.size, &last.root.to_string()),
        "{prior:?} {last:?}"
    );
    let alarms = place.alarms()?;
    ensure!(alarms.is_empty(), "{alarms:?}");
    of_before(&mut stand, &last).with_context(|| archive.log())?;
    both_over_the_broker(&stand, (&from, &to), &out.path().join("online"))
        .with_context(|| archive.log())?;
    off(&mut stand)?;
    both_over_the_broker(&stand, (&from, &to), &out.path().join("on"))
        .with_context(|| archive.log())?;
    archive.stop()?;
    place.verify()?;
    without_an_archive(&stand, (&from, &to), &out.path().join("alone"))?;

    // The evaluator gets both.
    let both = out.path().join("both");
    fs::create_dir(&both)?;
    pulled(&["--archive", &dir, "--all"], (&from, &to), &both)?;
    let mut count = 0;
    for entry in fs::read_dir(&both)? {
        let seen = verified(&entry?.path(), &trust)?;
        ensure!(seen.get("cosigned").is_some_and(Value::is_string), "{seen}");
        count += 1;
    }
    ensure!(count == 2, "{count} bundles");
    Ok(())
}

/// The log as `archive export` takes it out, verified by others and read as a gateway's state.
fn exported(place: &Place, key: String, (from, to): (&str, &str), dir: &Path) -> Result<()> {
    let (out, archive) = (dir.join("exported"), place.dir().display().to_string());
    let to_dir = out.display().to_string();
    let whose = ["--site", "site", "--gateway", "gw"];
    let words = ["archive", "export", "--dir", &archive, "-o", &to_dir];
    let words = [&words[..], &whose].concat();
    let (code, text) = said(&words)?;
    ensure!(code == Some(0), "{code:?} {text}");
    let (note, head) = place.log("site/gw/e1").head()?.context("no head")?;
    let answer = foreign::reference(&Question {
        dir: out.join("ledger"),
        origin: ORIGIN.to_owned(),
        keys: vec![key],
        seen: vec![note],
        inclusion: Vec::new(),
        consistency: Vec::new(),
    })?;
    ensure!(
        answer.size == head.size && answer.leaves == head.size && answer.seen == 1,
        "{answer:?} {head:?}"
    );
    let (code, text) = said(&words)?;
    ensure!(code != Some(0), "over what was there: {text}");
    let (one, other) = (dir.join("export.zip"), dir.join("archive.zip"));
    pulled(&["--state", &to_dir], (from, to), &one)?;
    pulled(
        &[&["--archive", archive.as_str()], &whose[..]].concat(),
        (from, to),
        &other,
    )?;
    ensure!(
        content(&one)? == content(&other)?,
        "the export gives other evidence"
    );
    Ok(())
}

#[test]
fn a_pull_over_the_broker_gives_the_same_leaves_when_only_the_archive_answers() -> Result<()> {
    let (mut stand, mut press, place) = city()?;
    let (from, to) = of_now()?;
    let period = (from.as_str(), to.as_str());
    ran(&mut stand, &mut press)?;
    let dir = tempfile::tempdir()?;
    let url = format!("mqtt://127.0.0.1:{}", stand.broker.port());
    let source = ["--broker", &url, "--site", "site", "--gateway", "gw"];

    // No archive runs: it is the gateway that answers.
    let mark = stand.archive.mark()?;
    stand.start()?;
    let online = |message: &Message| (status(message)?.link == Link::Online).then_some(());
    let topic = Site::topic("status");
    stand.archive.wait_on(mark, &topic, LIMIT, online)?;
    let first = dir.path().join("gateway.zip");
    pulled(&source, period, &first)?;
    let archive = place.start()?;
    cosigned(&mut stand, &archive, &place, 1)?;
    stand.kill()?;
    let offline = |message: &Message| (status(message)?.link == Link::Offline).then_some(());
    stand.archive.wait_on(mark, &topic, LIMIT, offline)?;
    fs::rename(stand.site.state_dir(), dir.path().join("gone"))?;
    let second = dir.path().join("archive.zip.pulled");
    pulled(&source, period, &second).with_context(|| archive.log())?;
    // The gateway has written on before it went.
    let ((before, _), (after, head)) = (content(&first)?, content(&second)?);
    ensure!(
        !before.is_empty() && after.get(..before.len()) == Some(&before[..]),
        "{before:?}\n{after:?}"
    );
    let kept = place.log("site/gw/e1").head()?.context("no head")?.1;
    let head = Note::parse(&head)?;
    ensure!(Checkpoint::parse(&head.text)? == kept, "{head}");
    verified(&second, &trust(&stand)?)?;
    archive.stop()?;
    let keys = Keys::load(&stand.site.path().join("keys/ledger.key"), ORIGIN)?;
    let key = keys.all().first().context("a key")?.to_string();
    exported(&place, key, period, dir.path())
}

#[test]
fn a_key_that_has_changed_signs_on_here_and_in_the_next_epoch() -> Result<()> {
    let (mut stand, mut press, place) = city()?;
    let archive = place.start()?;
    ran(&mut stand, &mut press)?;
    cosigned(&mut stand, &archive, &place, 1)?;
    // One card, of the first key, for all of it.
    hears(&mut stand)?;
    for finish in [&[][..], &["--finish"]] {
        Said::on(&stand.site, &[&["keys", "rotate"], finish].concat())?.done()?;
    }
    stand.stop()?;
    ran(&mut stand, &mut press)?;
    let last = cosigned(&mut stand, &archive, &place, 1)?;
    let anew = ["ledger", "new-epoch", "--yes", "--reason", "moved house"];
    Said::on(&stand.site, &anew)?.done()?;
    ran(&mut stand, &mut press)?;
    cosigned(&mut stand, &archive, &place, 2)?;
    archive.stop()?;
    ensure!(place.alarms()?.is_empty(), "{:?}", place.alarms()?);
    place.verify()?;
    // What only the archive remembers is lost.
    fs::remove_dir_all(place.dir().join("kept"))?;
    place.verify()?;
    let archive = place.start()?;
    ran(&mut stand, &mut press)?;
    cosigned(&mut stand, &archive, &place, 2)?;
    archive.stop()?;
    ensure!(place.alarms()?.is_empty(), "{:?}", place.alarms()?);
    let kept = place.log("site/gw/e1").head()?.context("no head")?.1;
    ensure!(kept.size >= last.size, "{kept:?} {last:?}");
    Ok(())
}
