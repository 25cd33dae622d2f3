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

/// A slow archive that has something of the gateway, says so, and can't read it.
struct Second(Value);

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
            json!({"id": id, "part": 1, "parts": 1, "result": self.0})
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

/// A pull over the broker of a gateway that is off.
struct Off {
    url: String,
    from: String,
    to: String,
}

impl Off {
    /// Of the epochs only the first and the third are got; these are said to be missing, and these words stand beside.
    fn pull(&self, missing: &[u32], beside: &[&str]) -> Result<()> {
        let Self { url, from, to } = self;
        let dir = tempfile::tempdir()?;
        let folder = format!("{}/", dir.path().display());
        let what = ["--from", from, "--to", to, "-o", &folder];
        let whose = ["--broker", url, "--site", "site", "--gateway", "gw"];
        let (code, text) = said(&[&["usage", "pull"], &whose[..], &what].concat())?;
        ensure!(code == Some(5), "{code:?} {text}");
        for epoch in missing {
            let words = format!("not got: epoch {epoch} of site/gw");
            ensure!(text.contains(&words), "{words}: {text}");
        }
        for words in beside {
            ensure!(text.contains(words), "{words}: {text}");
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

    let off = Off {
        url: format!("mqtt://127.0.0.1:{}", stand.broker.port()),
        from,
        to,
    };
    off.pull(&[2], &[]).with_context(|| archive.log())?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let second = |held: Value| -> Result<Wire> {
        let _entered = runtime.enter();
        let peer = Peer {
            port: stand.broker.port(),
            id: "second".to_owned(),
            credentials: None,
            filter: Site::topic("request"),
        };
        let second = Wire::start(peer, Arc::new(Second(held)));
        wait::until_true("the second archive", LIMIT, || second.connections() > 0)?;
        Ok(second)
    };
    // The newest, of which nothing that is here tells, is named; what one has is not lacking because the other has not.
    let unreadable = second(json!({
        "v": 1, "site": "site", "gateway": "gw", "logs": [], "unreadable": [2, 3, 4],
    }))?;
    off.pull(&[2, 4], &[]).with_context(|| archive.log())?;
    drop(unreadable);
    // It has more of one than can be had of it, and does not know whether there are others.
    let more = json!({
        "site": "site", "gateway": "gw", "epoch": 3, "origin": "lineside/site/gw/e3", "size": 1_000_000, "root": "",
        "first": null, "newest": null, "heard": null, "cosigned": null, "stopped": null, "alarms": 0,
    });
    let _short = second(json!({
        "v": 1, "site": "site", "gateway": "gw", "logs": [more], "unlisted": true,
    }))?;
    let words = [
        "not all: of epoch 3 of site/gw 1000000 leaves are known",
        "an archive can't say which epochs of site/gw it holds",
    ];
    off.pull(&[2], &words).with_context(|| archive.log())?;
    archive.stop()
}
