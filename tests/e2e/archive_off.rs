//! Two archives that answer for a gateway that is off, and what a pull over the broker makes of what they say.

use anyhow::{Context, Result, ensure};
use lineside_tests::archive::Place;
use lineside_tests::fleet::{Ear, Outgoing, Peer, Request, Wire};
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::LIMIT;
use lineside_tests::wait;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;

use crate::archive_read::{of_now, ran, said};
use crate::archive_whole::{city, cosigned, hears};

/// How long the second archive needs.
const LATE: Duration = Duration::from_millis(1_500);

/// What an archive has of an epoch is gone, as if it had been away for all of it.
fn forgets(place: &Place, epoch: u32) -> Result<()> {
    for part in fs::read_dir(place.dir())? {
        let of = part?.path().join(format!("site/gw/e{epoch}"));
        if of.exists() {
            fs::remove_dir_all(of)?;
        }
    }
    Ok(())
}

/// A slow archive that has some epochs of the gateway, and can't read them.
struct Second(Vec<u32>);

impl Ear for Second {
    fn connected(&self) -> Vec<Outgoing> {
        Vec::new()
    }

    fn heard(&self, _: &str, message: &Request) -> Vec<Outgoing> {
        let asked: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        let Some(response) = message.response.clone() else {
            return Vec::new();
        };
        let id = asked.get("id");
        let answer = if asked.get("method").and_then(Value::as_str) == Some("status") {
            // Later than the other, and in time.
            drop(wait::throughout(LATE, || Ok(())));
            let held = json!({
                "v": 1, "site": "site", "gateway": "gw", "logs": [], "unreadable": self.0,
            });
            json!({"id": id, "part": 1, "parts": 1, "result": held})
        } else {
            let error = json!({"code": "unavailable", "text": "the copy is damaged"});
            json!({"id": id, "part": 1, "parts": 1, "error": error})
        };
        vec![Outgoing {
            correlation: message.correlation.clone(),
            ..Outgoing::new(response, answer.to_string())
        }]
    }
}

/// A gateway that is off, an archive that lacks one of its three epochs, and another that knows of more.
#[test]
fn what_an_archive_lacks_is_named_and_another_is_heard_beside_it() -> Result<()> {
    let (mut stand, mut press, place) = city()?;
    let (from, to) = of_now()?;
    let archive = place.start()?;
    for epoch in 1..=3 {
        if epoch > 1 {
            hears(&mut stand)?;
            stand.stop()?;
            let anew = ["ledger", "new-epoch", "--yes", "--reason", "moved house"];
            Said::on(&stand.site, &anew)?.done()?;
        }
        ran(&mut stand, &mut press)?;
        cosigned(&mut stand, &archive, &place, epoch)?;
    }
    archive.stop()?;
    fs::rename(stand.site.state_dir(), stand.site.path().join("gone"))?;
    forgets(&place, 2)?;
    let archive = place.start()?;

    let url = format!("mqtt://127.0.0.1:{}", stand.broker.port());
    let pull = |missing: &[u32]| -> Result<()> {
        let dir = tempfile::tempdir()?;
        let folder = format!("{}/", dir.path().display());
        let what = ["--from", &from, "--to", &to, "-o", &folder];
        let whose = ["--broker", &url, "--site", "site", "--gateway", "gw"];
        let (code, text) = said(&[&["usage", "pull"], &whose[..], &what].concat())?;
        ensure!(code == Some(5), "{code:?} {text}");
        for epoch in missing {
            let words = format!("not got: epoch {epoch} of site/gw");
            ensure!(text.contains(&words), "{words}: {text}");
        }
        ensure!(text.matches("not got: ").count() == missing.len(), "{text}");
        let mut epochs = Vec::new();
        for entry in fs::read_dir(dir.path())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let bundle = name.strip_suffix(".zip");
            epochs.extend(bundle.and_then(|name| Some(name.rsplit_once('-')?.1.to_owned())));
        }
        epochs.sort();
        ensure!(epochs == ["e1", "e3"], "{epochs:?} {text}");
        Ok(())
    };
    pull(&[2]).with_context(|| archive.log())?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let second = {
        let _entered = runtime.enter();
        let peer = Peer {
            port: stand.broker.port(),
            id: "second".to_owned(),
            credentials: None,
            filter: Site::topic("request"),
        };
        Wire::start(peer, Arc::new(Second(vec![2, 3, 4])))
    };
    wait::until_true("the second archive", LIMIT, || second.connections() > 0)?;
    // The newest, of which nothing that is here tells, is named; what one has is not lacking because the other has not.
    pull(&[2, 4]).with_context(|| archive.log())?;
    archive.stop()
}
