//! Witnesses of ours and of others: a witness that is not ours cosigns our logs, and a log that is not ours has its heads
//! cosigned by our witness. `aics-witness` and `aics-tlog` are both others.

use anyhow::{Context, Result, ensure};
use lineside::archive::witness::{
    ForeignLogs, ForeignWitness, SubmitError, Target, Witness, with_signature,
};
use lineside::archive::{Place, Shelf};
use lineside_proto::Time;
use lineside_proto::evidence::Trust;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_tests::agent;
use lineside_tests::log::{self, Gateway, ORIGIN};
use lineside_tests::witness::{Asked, Foreign, ask, serve};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// An archive's directory into which a gateway's log is laid.
struct City {
    dir: TempDir,
    place: Place,
}

impl City {
    fn new() -> Result<Self> {
        Ok(Self {
            dir: tempfile::tempdir()?,
            place: Place {
                site: "site".parse()?,
                gateway: "gw".parse()?,
                epoch: 1,
            },
        })
    }

    fn shelf(&self) -> Shelf {
        Shelf::of(self.dir.path())
    }

    /// Lays a gateway's log here as it is now.
    fn take(&self, gateway: &Gateway) -> Result<()> {
        let log = self.shelf().log_dir(&self.place);
        log::copy(&gateway.files().join("tile"), &log.join("tile"))?;
        fs::copy(gateway.files().join("checkpoint"), log.join("checkpoint"))?;
        Ok(())
    }

    /// Has its head cosigned, and writes that into the checkpoint.
    async fn submit(&self, witness: &mut ForeignWitness) -> Result<u64, SubmitError> {
        let submitted = witness.submit(&self.shelf(), &self.place, now()).await?;
        let path = self.shelf().log_dir(&self.place).join("checkpoint");
        let note = fs::read_to_string(&path).ok();
        let note = note.and_then(|note| Note::parse(&note).ok());
        if let Some(note) = note {
            fs::write(
                &path,
                with_signature(&note, &submitted.signature).to_string(),
            )?;
        }
        Ok(submitted.head.size)
    }
}

fn now() -> Time {
    let now = jiff::Timestamp::now();
    Time::from_millis(now.as_millisecond())
}

/// A gateway's log of so many leaves more, signed.
fn grow(gateway: &Gateway, count: u64, history: &str) -> Result<u64> {
    let ledger = gateway.open()?;
    log::grow(&ledger, count, 50, history)?;
    ledger.sign()?;
    Ok(ledger.size())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_witness_cosigns_our_logs_and_no_other_history() -> Result<()> {
    let (place, city) = (tempfile::tempdir()?, City::new()?);
    let gateway = Gateway::new(&place.path().join("one"));
    grow(&gateway, 300, "")?;
    city.take(&gateway)?;
    let keys: Vec<String> = gateway
        .open()?
        .keys()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut foreign = Foreign::new("witness.example/w1", &[(ORIGIN, &keys[0])])?;
    let key = foreign.key.clone();
    let new = |url: &str| -> Result<ForeignWitness> {
        let target = Target::parse(url, &key).map_err(anyhow::Error::msg)?;
        Ok(ForeignWitness::new(target))
    };
    let url = foreign.start()?;
    let mut witness = new(&url)?;
    ensure!(city.submit(&mut witness).await? == 300);
    ensure!(foreign.cosigned(ORIGIN)? == Some(300));
    // What is cosigned already is cosigned anew; then it grows, by a bundle and by a leaf.
    ensure!(city.submit(&mut witness).await? == 300);
    for more in [256, 1, 1000] {
        let size = grow(&gateway, more, "")?;
        city.take(&gateway)?;
        ensure!(city.submit(&mut witness).await? == size);
    }
    // Both ends start anew: it remembers, we ask.
    foreign.kill()?;
    let away = city.submit(&mut witness).await;
    ensure!(matches!(away, Err(SubmitError::Later { .. })), "{away:?}");
    let url = foreign.start()?;
    let mut witness = new(&url)?;
    let size = grow(&gateway, 3, "")?;
    city.take(&gateway)?;
    ensure!(city.submit(&mut witness).await? == size);
    let (note, _) = city.shelf().head(&city.place)?.context("a head")?;
    let known = [keys[0].parse()?, key.parse()?];
    let verified = Note::parse(&note)?.verify(&known)?.len();
    ensure!(verified == 2, "{verified} signatures in {note}");

    // The same key signs another history, longer and shorter.
    let twin = Gateway::new(&place.path().join("two"));
    gateway.lend_key(&twin)?;
    let copied = City::new()?;
    grow(&twin, 400, "twin")?;
    copied.take(&twin)?;
    let told = copied.submit(&mut new(&url)?).await;
    ensure!(
        matches!(told, Err(SubmitError::Ahead { its, ours: 400 }) if its == size),
        "{told:?}"
    );
    grow(&twin, 2000, "twin")?;
    copied.take(&twin)?;
    let told = copied.submit(&mut new(&url)?).await;
    ensure!(
        matches!(told, Err(SubmitError::Contradicted { .. })),
        "{told:?}"
    );
    ensure!(foreign.cosigned(ORIGIN)? == Some(size));

    // A witness that does not know the log.
    let mut stranger = Foreign::new("witness.example/w2", &[])?;
    let url = stranger.start()?;
    let target = Target::parse(&url, &stranger.key).map_err(anyhow::Error::msg)?;
    let told = city.submit(&mut ForeignWitness::new(target)).await;
    ensure!(
        matches!(told, Err(SubmitError::Refused { status: 404, .. })),
        "{told:?}"
    );
    Ok(())
}

/// A witness's key as the command makes it.
fn key(dir: &Path) -> Result<(PathBuf, Value)> {
    let path = dir.join("keys/witness.key");
    let name = path.display().to_string();
    let arguments = [
        "archive",
        "witness-key",
        &name,
        "--name",
        "city.example/w1",
        "--json",
    ];
    let made = agent::command(&arguments)?;
    let errors = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "{errors}");
    Ok((path, serde_json::from_slice(&made.stdout)?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_witness_cosigns_a_foreign_log_and_no_other_history() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (path, shown) = key(dir.path())?;
    let vkey = shown
        .get("vkey")
        .and_then(Value::as_str)
        .context("no key")?;
    let seed = [5; 32];
    let origin = "log.example/foreign";
    let log = SignerKey::new(origin, KeyKind::Ed25519, &seed)?;
    let list = dir.path().join("logs");
    fs::write(&list, format!("# Others\n{}\n", log.public()))?;
    let known = Arc::new(ForeignLogs::load(&list)?);
    let open = || -> Result<Witness> { Ok(Witness::open(&path)?) };
    let logs = Arc::clone(&known);
    let url = serve(
        open()?,
        Arc::new(move |origin: &str| logs.keys(origin).to_vec()),
    )
    .await?;
    let run = |url: &str, heads: &[(&str, u64, u64)]| {
        tokio::task::block_in_place(|| ask(url, vkey, (origin, &seed), heads))
    };
    let done = |size| Asked {
        size: Some(size),
        error: None,
        status: None,
    };
    let refused = |error: &str, status| Asked {
        size: None,
        error: Some(error.to_owned()),
        status,
    };

    let whole = ("a", u64::MAX);
    let heads: Vec<(&str, u64, u64)> = [0, 1, 1, 2, 7, 8, 300, 300, 1025]
        .map(|size| (whole.0, whole.1, size))
        .into();
    let found = run(&url, &heads)?;
    let expected: Vec<Asked> = heads.iter().map(|(.., size)| done(*size)).collect();
    ensure!(found.answers == expected, "{found:?}");
    ensure!(found.shown == 1025);

    // Another process with the same key; the log's client knows nothing any more.
    let url = serve(
        open()?,
        Arc::new(move |origin: &str| known.keys(origin).to_vec()),
    )
    .await?;
    let heads = [
        ("b", 900, 2000),
        ("b", 900, 1025),
        ("a", u64::MAX, 1024),
        ("a", u64::MAX, 1030),
    ];
    let found = run(&url, &heads)?;
    let expected = [
        refused("WitnessRejected", Some(422)),
        refused("WitnessRejected", Some(422)),
        refused("WitnessAhead", None),
        done(1030),
    ];
    ensure!(found.answers == expected, "{found:?}");
    ensure!(found.shown == 1030);
    Ok(())
}

#[test]
fn a_witness_key_is_made_once_and_shown_as_others_write_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (path, made) = key(dir.path())?;
    let name = path.display().to_string();
    let run = |more: &[&str]| agent::command(&[&["archive", "witness-key", &name], more].concat());
    let vkey = made.get("vkey").and_then(Value::as_str).context("no key")?;
    let again = run(&["--name", "city.example/w1"])?;
    ensure!(again.status.code() == Some(1), "{again:?}");
    let shown = run(&[])?;
    ensure!(shown.status.success(), "{shown:?}");
    let shown = String::from_utf8(shown.stdout)?;
    // What stands there can be pasted: remarks, and the two tables.
    let (gateway, trust) = shown.split_once("\n\n").context("two parts")?;
    let told: Vec<&str> = gateway
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    ensure!(
        told.join("\n") == format!("[ledger]\nwitnesses = [\"{vkey}\"]"),
        "{shown}"
    );
    let trust = Trust::parse(trust)?;
    ensure!(
        trust.witnesses.len() == 1 && trust.witnesses[0].key.to_string() == vkey,
        "{shown}"
    );
    let missing = agent::command(&["archive", "witness-key", "/nowhere/witness.key"])?;
    ensure!(missing.status.code() == Some(3), "{missing:?}");
    let wrong = dir.path().join("other.key").display().to_string();
    let wrong = agent::command(&["archive", "witness-key", &wrong, "--name", "a b"])?;
    ensure!(wrong.status.code() == Some(2), "{wrong:?}");
    Ok(())
}
