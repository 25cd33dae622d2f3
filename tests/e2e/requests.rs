//! A portal's developer asks with a client that is not ours, over a broker that is not ours; the ledger's
//! leaves arrive in order through the broker's end and return.

use anyhow::{Context, Result, ensure};
use lineside::answers;
use lineside::clock::Stamp;
use lineside::config::model;
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside::uplink::board::{Board, status_of};
use lineside::uplink::{self, commands};
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::{Audit, Checkpoint, Hash, LeafBody, tree};
use lineside_proto::{GatewayStatus, Identifier, LeafMessage, Time, Topics};
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::requester::Requester;
use lineside_tests::subscriber::{Event, Subscriber};
use lineside_tests::wait;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const ROOT: &str = "lineside/v1/s/g";

/// The uplink and the command connection over a ledger, as `run` joins them.
struct Gateway {
    runtime: Runtime,
    ledger: Ledger,
    cancel: CancellationToken,
    kept: oneshot::Receiver<Option<String>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _bookings: mpsc::Receiver<commands::BookingsMessage>,
    _machines: watch::Sender<Arc<BTreeSet<Identifier>>>,
    _board: watch::Sender<Board>,
    dir: TempDir,
}

impl Gateway {
    /// Starts over a directory that an earlier one left, or over a new one.
    fn start(port: u16, dir: TempDir) -> Result<Self> {
        let runtime = Runtime::new()?;
        let entered = runtime.enter();
        let settings = model::Uplink {
            host: "127.0.0.1".to_owned(),
            port,
            prefix: Topics::PREFIX.to_owned(),
            username: None,
            password: None,
            keep_alive: Duration::from_secs(5),
            window: 50,
            ack_timeout: Duration::from_secs(5),
        };
        let key = dir.path().join("keys/ledger.key");
        let (ledger, _) = Ledger::open(dir.path(), &key, "lineside/s/g")?;
        let outbox = model::Outbox {
            size_bytes_max: None,
            age_max: Duration::from_secs(86_400),
            commit: Duration::from_secs(1),
        };
        let path = dir.path().join("outbox");
        let (outbox, _) = lineside::outbox::Outbox::open(&path, &outbox, Time::default())?;
        let (board, board_seen) = watch::channel(Board::default());
        let (machines, machines_seen) = watch::channel(Arc::default());
        let (bookings, bookings_taken) = mpsc::channel(1);
        let (kept, kept_told) = oneshot::channel();
        let cancel = CancellationToken::new();
        let topics = Topics::new(Topics::PREFIX, &"s".parse()?, &"g".parse()?);
        let offline = GatewayStatus::offline("s".parse()?, "g".parse()?);
        let inbound = commands::Inbound {
            machines: machines_seen,
            bookings,
            kept,
            witnessed: None,
        };
        let known = answers::Gateway {
            ledger: ledger.clone(),
            maps: Arc::new(|_| None),
            tokens: Arc::new(|_| None),
            status: status_of(board_seen.clone()),
        };
        let known = Arc::new(answers::Answers::new(known, cancel.clone()));
        let stop = cancel.clone();
        let asked = commands::start(&settings, topics.clone(), &offline, inbound, known, stop);
        let sources = uplink::Sources {
            outbox,
            ledger: ledger.clone(),
            board: board_seen,
        };
        let sent = uplink::start(&settings, topics, offline, sources, cancel.clone());
        drop(entered);
        Ok(Self {
            runtime,
            ledger,
            cancel,
            kept: kept_told,
            tasks: vec![asked.task, sent.task],
            _bookings: bookings_taken,
            _machines: machines,
            _board: board,
            dir,
        })
    }

    fn write(&self, count: u64) -> Result<()> {
        let entry = |number: u64| Entry {
            at: Stamp {
                boot_ms: number,
                wall: Time::from_millis(1_795_420_800_000),
            },
            body: LeafBody::Audit(Audit {
                who: "\"测试\"".to_owned(),
                action: "apply".to_owned(),
                what: number.to_string(),
            }),
        };
        let entries: Vec<_> = (0..count).map(entry).collect();
        self.ledger.append("boot", &entries)?;
        self.ledger.sign()?;
        Ok(())
    }

    /// Stops it as a kill would, but for what its directory's lock needs. Gives the directory.
    fn stop(self) -> Result<TempDir> {
        self.cancel.cancel();
        for task in self.tasks {
            self.runtime.block_on(task)?;
        }
        drop(self.ledger);
        self.runtime.shutdown_timeout(PATIENCE);
        Ok(self.dir)
    }

    fn told(&mut self) -> Result<Option<String>> {
        let kept = &mut self.kept;
        let told = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, kept).await });
        Ok(told??)
    }
}

#[test]
fn a_ledger_is_asked_for_and_proved() -> Result<()> {
    let broker = Mosquitto::start(Persistence::Off)?;
    let mut gateway = Gateway::start(broker.port(), tempfile::tempdir()?)?;
    gateway.write(700)?;
    ensure!(gateway.told()?.is_none(), "this broker keeps nothing yet");
    let mut portal = Requester::start(broker.port(), ROOT)?;
    let note = portal.ask("ledger.checkpoint", &json!({}))?;
    let note = note.ok().context("no checkpoint")?;
    let note = note[0]["checkpoint"].as_str().context("no note")?;
    let head = Checkpoint::parse(&Note::parse(note)?.text)?;
    let mut leaves: Vec<String> = Vec::new();
    while leaves.len() < 700 {
        let range = json!({"from": leaves.len(), "to": head.size});
        let parts = portal
            .ask("ledger.entries", &range)?
            .ok()
            .context("no entries")?;
        for part in parts {
            ensure!(part["first"] == leaves.len());
            leaves.extend(serde_json::from_value::<Vec<String>>(
                part["leaves"].clone(),
            )?);
            ensure!(part["next"] == leaves.len());
        }
    }
    for index in [0, 256, 511, 699] {
        let place = json!({"index": index, "size": head.size});
        let proof = portal
            .ask("ledger.inclusion", &place)?
            .ok()
            .context("no proof")?;
        let hashes = proof[0]["hashes"].as_array().context("no hashes")?;
        let hashes: Option<Vec<Hash>> = hashes
            .iter()
            .map(|hash| hash.as_str().and_then(Hash::from_base64))
            .collect();
        let leaf = Hash::of_leaf(leaves[index].as_bytes());
        let hashes = hashes.context("no base64")?;
        tree::check_inclusion(leaf, u64::try_from(index)?, head.size, &hashes, head.root)?;
    }
    for (method, params, code) in [
        (
            "ledger.entries",
            json!({"from": 0, "to": 100_000}),
            "not-found",
        ),
        ("ledger.entries", json!("x"), "bad-params"),
        ("machine.write", json!({}), "unknown-method"),
    ] {
        let error = portal.ask(method, &params)?.err().context("no error")?;
        ensure!(error["code"] == code, "{error}");
    }
    // Nothing goes to a topic of the asker's choice, and a kept request is not answered for ever.
    for response in [
        "lineside/v1/s/g/availability/press",
        "lineside/v1/s/other/response/x",
    ] {
        portal.say(&json!({"id": "w", "method": "status", "response": response}))?;
    }
    portal.say(&json!({"id": "k", "method": "status", "retain": true}))?;
    portal.say(&json!({"id": "junk", "raw": "{{{"}))?;
    let heard = portal.hear()?;
    let heard = if heard.correlation == "k" {
        portal.hear()?
    } else {
        heard
    };
    ensure!(heard.correlation == "junk" && heard.answer["error"]["code"] == "bad-params");
    drop(gateway.stop()?);
    Ok(())
}

#[test]
fn leaves_arrive_in_order_through_the_ends_of_broker_and_gateway() -> Result<()> {
    let mut broker = Mosquitto::start(Persistence::On)?;
    let topics = ["lineside/v1/s/g/ledger/#"];
    let mut archive = Subscriber::persistent(broker.port(), "archive", &topics)?;
    let mut dir = tempfile::tempdir()?;
    for round in 0..4 {
        let mut gateway = Gateway::start(broker.port(), dir)?;
        gateway.write(400)?;
        if round % 2 == 0 {
            broker.stop()?;
            gateway.write(100)?;
            broker.restart()?;
        } else {
            let kept = gateway.told()?.context("the broker keeps a checkpoint")?;
            ensure!(Note::parse(&kept).is_ok(), "{kept}");
        }
        let size = gateway.ledger.size();
        let ledger = gateway.ledger.clone();
        wait::until_true("delivery", PATIENCE, || ledger.delivered() == size)?;
        drop(ledger);
        // The checkpoint follows its leaves.
        wait::until_true("the checkpoint", PATIENCE, || {
            let messages = archive.messages().unwrap_or_default();
            let of_all = Some(size.to_string());
            messages.iter().any(|message| {
                message.topic.ends_with("checkpoint")
                    && message.payload.lines().nth(1).map(str::to_owned) == of_all
            })
        })?;
        dir = gateway.stop()?;
    }
    let gateway = Gateway::start(broker.port(), dir)?;
    let size = gateway.ledger.size();
    wait::until_true("all leaves", PATIENCE, || {
        let messages = archive.messages().unwrap_or_default();
        messages
            .iter()
            .filter(|message| message.topic.ends_with("ledger/leaf"))
            .count()
            >= usize::try_from(size).unwrap_or(usize::MAX)
    })?;
    let seen = in_order(archive.events()?)?;
    let mut index = 0;
    while index < size {
        for (place, bytes) in gateway.ledger.read(index, 1 << 20)? {
            ensure!(
                seen.get(&place).map(String::as_bytes) == Some(&*bytes),
                "{place}"
            );
            index = place + 1;
        }
    }
    drop(gateway.stop()?);
    Ok(())
}

/// The leaves that came, none before the one below it, no checkpoint before its leaves.
fn in_order(events: &[Event]) -> Result<BTreeMap<u64, String>> {
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    for event in events {
        let Event::Message(message) = event else {
            continue;
        };
        if message.topic.ends_with("checkpoint") {
            let head = Checkpoint::parse(&Note::parse(&message.payload)?.text)?;
            let below = u64::try_from(seen.len())?;
            ensure!(message.content_type.as_deref() == Some("text/plain"));
            ensure!(
                head.size <= below,
                "checkpoint {} after {below} leaves",
                head.size
            );
            continue;
        }
        let leaf: LeafMessage = serde_json::from_str(&message.payload)?;
        // Again is allowed, beyond is not.
        ensure!(
            leaf.index <= u64::try_from(seen.len())?,
            "a hole before {}",
            leaf.index
        );
        let before = seen.insert(leaf.index, leaf.leaf.clone());
        ensure!(before.is_none_or(|before| before == leaf.leaf));
    }
    Ok(seen)
}
