//! A city that witnesses: what it cosigns is delivered and anchored, what it has not seen is said, what it has seen
//! otherwise stops the signing, and a gateway that lost everything goes on after it.

use anyhow::{Context, Result, ensure};
use lineside::clock::{Clock, SystemClock};
use lineside::ledger::Keys;
use lineside_proto::LeafMessage;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::{Anchor, Checkpoint, Genesis, Hash, Leaf, LeafBody};
use lineside_tests::agent::Agent;
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::http::get;
use lineside_tests::requester::Requester;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, status};
use lineside_tests::subscriber::{Event, Message, Subscriber};
use lineside_tests::wait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;

const ORIGIN: &str = "lineside/site/gw";

fn witness(seed: u8) -> Result<SignerKey> {
    let name = format!("archive{seed}.example");
    Ok(SignerKey::new(&name, KeyKind::Cosignature, &[seed; 32])?)
}

/// A gateway, a broker, and whoever plays the city: hears everything, and says what witnesses say.
struct City {
    broker: Mosquitto,
    site: Site,
    heard: Subscriber,
    voice: Requester,
}

impl City {
    fn new() -> Result<Self> {
        let broker = Mosquitto::start(Persistence::On)?;
        let port = broker.port();
        let named = witness(1)?.public().to_string();
        let ledger = format!("{QUICK}\n[ledger]\nwitnesses = [\"{named}\"]");
        let site = Site::new(port)?.with(&ledger)?;
        site.machine("mill", Site::NOWHERE)?;
        Ok(Self {
            heard: Subscriber::persistent(port, "city", &["lineside/v1/#"])?,
            voice: Requester::start(port, "lineside/v1/site/gw")?,
            broker,
            site,
        })
    }

    fn key(&self) -> PathBuf {
        self.site.path().join("keys/ledger.key")
    }

    fn run(&self) -> Result<Agent> {
        let mut agent = Agent::start(&self.site.config())?;
        let said = "lineside runs";
        agent.process().wait_for_error_line(0, said, LIMIT)?;
        Ok(agent)
    }

    /// What `lineside status` says.
    fn said(&self, language: &str) -> Result<String> {
        let said = Said::on(&self.site, &["status", "--lang", language])?;
        Ok(said.done()?.out)
    }

    /// The first message on a topic, from an event on, of which `probe` makes something.
    fn hear<T>(
        &mut self,
        from: usize,
        topic: &str,
        probe: impl FnMut(&Message) -> Option<T>,
    ) -> Result<T> {
        self.heard.wait_on(from, &Site::topic(topic), LIMIT, probe)
    }

    /// The newest checkpoint of at least so many leaves.
    fn checkpoint(&mut self, from: usize, least: u64) -> Result<(Note, Checkpoint)> {
        self.hear(from, "ledger/checkpoint", |message| {
            let note = Note::parse(&message.payload).ok()?;
            let head = Checkpoint::parse(&note.text).ok()?;
            (head.size >= least).then_some((note, head))
        })
    }

    /// The first checkpoint of an origin.
    fn checkpoint_of(&mut self, from: usize, origin: &str) -> Result<(Note, Checkpoint)> {
        self.hear(from, "ledger/checkpoint", |message| {
            let note = Note::parse(&message.payload).ok()?;
            let head = Checkpoint::parse(&note.text).ok()?;
            (head.origin == origin).then_some((note, head))
        })
    }

    /// Waits until the gateway says that so many leaves are cosigned.
    fn cosigned(&mut self, size: u64) -> Result<()> {
        let from = self.heard.mark()?;
        self.hear(from, "status", |message| {
            let ledger = status(message)?.ledger?;
            (ledger.cosigned == Some(size)).then_some(())
        })
        .with_context(|| format!("{size} cosigned"))
    }

    /// The first leaf, from an event on, of which `probe` makes something.
    fn leaf<T>(&mut self, from: usize, mut probe: impl FnMut(Leaf) -> Option<T>) -> Result<T> {
        self.hear(from, "ledger/leaf", |message| {
            let message: LeafMessage = serde_json::from_str(&message.payload).ok()?;
            probe(Leaf::from_bytes(message.leaf.as_bytes()).ok()?)
        })
    }
}

/// A head with its cosignature, as a witness publishes it.
fn cosign(
    text: &str,
    seed: u8,
    logs: &[lineside_proto::ledger::note::Signature],
) -> Result<String> {
    let mut signatures = logs.to_vec();
    signatures.push(witness(seed)?.sign(text, SystemClock.now().wall));
    let text = text.to_owned();
    Ok(Note { text, signatures }.to_string())
}

fn head(size: u64, byte: u8) -> String {
    let (origin, root) = (ORIGIN.to_owned(), Hash([byte; 32]));
    Checkpoint { origin, size, root }.to_string()
}

#[test]
fn leaves_are_delivered_when_they_are_cosigned_and_an_anchor_names_the_cosignature() -> Result<()> {
    let mut city = City::new()?;
    city.site.old_leaves(&city.key(), ORIGIN)?;
    let agent = city.run()?;
    let (note, shown) = city.checkpoint(0, 3)?;
    // The broker has all, and nobody has seen it.
    for (language, words) in [
        ("en", "NOT COSIGNED FOR 2h 30m"),
        ("zh-CN", "已有 2h 30m 未获会签"),
    ] {
        let said = city.said(language)?;
        ensure!(said.contains(words), "{words}: {said}");
    }
    city.cosigned(0)?;
    // What counts for nothing: another witness, another head, junk.
    let topic = "ledger/cosignature";
    for payload in [
        cosign(&note.text, 2, &note.signatures)?,
        cosign(&note.text, 1, &[])?.replacen(&format!("\n{}\n", shown.size), "\n2\n", 1),
        "junk".to_owned(),
    ] {
        city.voice.send(topic, &payload)?;
    }
    wait::until_true("a complaint", LIMIT, || {
        agent.log().contains("a cosignature was ignored")
    })?;
    city.cosigned(0)?;
    let mark = city.heard.mark()?;
    let said = cosign(&note.text, 1, &note.signatures)?;
    city.voice.send(topic, &said)?;
    city.cosigned(shown.size)?;
    let line = said.lines().last().context("a line")?;
    let expected = Anchor {
        size: shown.size,
        cosignature: format!("sha256:{:x}", Sha256::digest(line)),
    };
    let anchor = city.leaf(mark, |leaf| {
        let LeafBody::Anchor(anchor) = leaf.body else {
            return None;
        };
        Some((leaf.head.index, anchor))
    })?;
    ensure!(anchor.1 == expected && anchor.0 >= shown.size, "{anchor:?}");
    told(&mut city, &said, shown.size)?;
    let said = city.said("en")?;
    ensure!(
        said.contains("witness archive1.example") && !said.contains("NOT COSIGNED"),
        "{said}"
    );

    // The broker comes back: what nobody has cosigned is sent again, and nothing else.
    let mark = city.heard.mark()?;
    city.broker.stop()?;
    city.broker.restart()?;
    let first = city.leaf(mark, |leaf| Some(leaf.head.index))?;
    ensure!(
        first == shown.size,
        "{first} comes first, {} are cosigned",
        shown.size
    );
    agent.stop()
}

/// What the gateway answers of a note that is cosigned, and says of itself.
fn told(city: &mut City, said: &str, size: u64) -> Result<()> {
    let witnessed = |answer: &[Value], place: &str| {
        let note = answer.first().and_then(|part| part.pointer(place));
        note.and_then(Value::as_str) == Some(said)
    };
    let answer = city.voice.ask("ledger.checkpoint", &json!({}))?;
    let answer = answer.map_err(anyhow::Error::msg)?;
    ensure!(witnessed(&answer, "/checkpoint"), "{answer:?}\n{said}");
    let wanted = json!({"from": size, "to": size + 1});
    let answer = city.voice.ask("ledger.checkpoints", &wanted)?;
    let answer = answer.map_err(anyhow::Error::msg)?;
    ensure!(
        witnessed(&answer, "/checkpoints/0/checkpoint"),
        "{answer:?}"
    );
    let live = Said::on(&city.site, &["status", "--json"])?.json()?;
    let ledger = |figure: &str| live.pointer(figure).and_then(Value::as_u64);
    ensure!(
        ledger("/ledger/cosigned") == Some(size) && ledger("/ledger/delivered") == Some(size),
        "{live}"
    );
    ensure!(ledger("/ledger/acknowledged") > Some(size), "{live}");
    Ok(())
}

#[test]
fn a_head_that_the_gateway_does_not_continue_stops_it_and_status_says_what_to_do() -> Result<()> {
    let mut city = City::new()?;
    let mut agent = city.run()?;
    let console = agent.console()?;
    city.checkpoint(0, 2)?;
    let topic = "ledger/cosignature/0a0b0c0d";
    city.voice.send(topic, &cosign(&head(5_000, 7), 1, &[])?)?;
    city.hear(0, "status", |message| {
        let reason = status(message)?.ledger?.suspended?;
        reason.contains("a head of 5000 leaves").then_some(())
    })?;
    for (language, words) in [
        (
            "en",
            [
                "NOT SIGNED, NOT PUBLISHED",
                "archive1.example",
                "ledger new-epoch",
                "--prior",
            ],
        ),
        (
            "zh-CN",
            [
                "已停止签名和发布",
                "archive1.example",
                "ledger new-epoch",
                "--prior",
            ],
        ),
    ] {
        let said = city.said(language)?;
        ensure!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    ensure!(
        get(console, "/readyz")?.status == 200,
        "machines are watched all the same"
    );
    agent.stop()
}

#[test]
fn a_gateway_that_lost_disk_and_key_goes_on_in_an_epoch_that_cites_what_was_cosigned() -> Result<()>
{
    let mut city = City::new()?;
    let agent = city.run()?;
    let (note, shown) = city.checkpoint(0, 2)?;
    let said = cosign(&note.text, 1, &note.signatures)?;
    city.voice.send("ledger/cosignature", &said)?;
    city.cosigned(shown.size)?;
    agent.kill()?;
    fs::remove_dir_all(city.site.state_dir())?;
    fs::remove_dir_all(city.site.path().join("keys"))?;

    // Only the broker remembers.
    let mark = city.heard.mark()?;
    let agent = city.run()?;
    city.hear(mark, "status", |message| status(message)?.ledger?.suspended)?;
    ensure!(city.said("en")?.contains("ledger new-epoch"));
    let anew = ["ledger", "new-epoch", "--yes", "--reason", "all was lost"];
    Said::on(&city.site, &anew)?.failed(4, &["stop it first"])?;
    agent.stop()?;
    let events = city.heard.events()?;
    let replaced = events.iter().skip(mark).any(|event| match event {
        Event::Message(message) => {
            message.topic == Site::topic("ledger/checkpoint") && !message.retain
        }
        Event::Connected { .. } | Event::Disconnected { .. } => false,
    });
    ensure!(!replaced, "a head of the new disk took the old one's place");
    let out = Said::on(&city.site, &anew)?.done()?.out;
    let cites = format!("it cites {ORIGIN} with {} leaves", shown.size);
    ensure!(out.contains(&cites), "{out}");

    let agent = city.run()?;
    let second = format!("{ORIGIN}/e2");
    let (note, _) = city.checkpoint_of(mark, &second)?;
    let genesis = city.leaf(mark, genesis)?;
    let prior = genesis.prior.context("it cites nothing")?;
    ensure!((prior.size, prior.root) == (shown.size, shown.root.to_string()));
    // The witness goes on with the new log.
    let said = cosign(&note.text, 1, &note.signatures)?;
    city.voice.send("ledger/cosignature", &said)?;
    let head = Checkpoint::parse(&note.text)?;
    city.cosigned(head.size)?;
    agent.stop()
}

fn genesis(leaf: Leaf) -> Option<Genesis> {
    let LeafBody::Genesis(genesis) = leaf.body else {
        return None;
    };
    (genesis.epoch == 2).then_some(genesis)
}

/// Somebody goes on while the broker is away, and the city has more than is cited.
#[test]
fn an_epoch_that_was_begun_unheard_is_signed_only_after_the_broker_has_spoken() -> Result<()> {
    let mut city = City::new()?;
    let agent = city.run()?;
    city.checkpoint(0, 2)?;
    agent.stop()?;
    let seen = cosign(&head(5_000, 7), 1, &[])?;
    city.voice.send("ledger/cosignature", &seen)?;
    city.hear(0, "ledger/cosignature", |message| {
        (message.payload == seen).then_some(())
    })?;
    city.broker.stop()?;
    let anew = ["ledger", "new-epoch", "--yes", "--reason", "a new disk"];
    let unheard = [&anew[..], &["--unheard"]].concat();
    Said::on(&city.site, &unheard)?.done()?;
    // Not even where it stops.
    city.run()?.stop()?;
    let checkpoint = city.site.state_dir().join("ledger/checkpoint");
    ensure!(!checkpoint.exists(), "it was signed");

    city.broker.restart()?;
    let mark = city.heard.mark()?;
    let agent = city.run()?;
    let reason = city.hear(mark, "status", |message| status(message)?.ledger?.suspended)?;
    for words in ["a head of 5000 leaves", "begun unheard, does not cite it"] {
        ensure!(reason.contains(words), "{reason}");
    }
    ensure!(city.said("en")?.contains("ledger new-epoch"));
    agent.stop()?;
    ensure!(!checkpoint.exists(), "it was signed");
    let out = Said::on(&city.site, &anew)?.done()?.out;
    for words in [
        format!("the new one is {ORIGIN}/e3"),
        format!("it cites {ORIGIN} with 5000 leaves"),
    ] {
        ensure!(out.contains(&words), "{out}");
    }
    // That one is signed.
    let agent = city.run()?;
    let third = format!("{ORIGIN}/e3");
    city.checkpoint_of(mark, &third)?;
    agent.stop()
}

/// Begun unheard, and what the city has is no more than what it cites: it is signed as any other.
#[test]
fn an_epoch_that_was_begun_unheard_and_overlooks_nothing_goes_on() -> Result<()> {
    let mut city = City::new()?;
    let agent = city.run()?;
    city.checkpoint(0, 2)?;
    agent.stop()?;
    let anew = ["ledger", "new-epoch", "--yes", "--reason", "x", "--unheard"];
    Said::on(&city.site, &anew)?.done()?;
    let mark = city.heard.mark()?;
    let agent = city.run()?;
    let second = format!("{ORIGIN}/e2");
    let (note, head) = city.checkpoint_of(mark, &second)?;
    let said = cosign(&note.text, 1, &note.signatures)?;
    city.voice.send("ledger/cosignature", &said)?;
    city.cosigned(head.size)?;
    agent.stop()
}

#[test]
fn a_note_from_the_archive_begins_the_next_epoch_on_a_new_disk() -> Result<()> {
    let city = City::new()?;
    Said::on(&city.site, &["keys", "init"])?.done()?;
    let file = city.site.path().join("last.note");
    let path = file.display().to_string();
    let anew = [
        "ledger",
        "new-epoch",
        "--yes",
        "--reason",
        "x",
        "--prior",
        &path,
    ];
    Said::on(&city.site, &anew)?.failed(2, &["can't be read", &path])?;
    for (note, why) in [
        ("junk".to_owned(), "no signed note"),
        (
            cosign(&head(700, 7), 2, &[])?,
            "neither this gateway's key nor a configured witness",
        ),
    ] {
        fs::write(&file, note)?;
        Said::on(&city.site, &anew)?.failed(1, &[why])?;
    }
    let third = head(700, 7).replacen(ORIGIN, &format!("{ORIGIN}/e3"), 1);
    fs::write(&file, cosign(&third, 1, &[])?)?;
    let out = Said::on(&city.site, &anew)?.done()?.out;
    ensure!(
        out.contains(&format!("it cites {ORIGIN}/e3 with 700 leaves")),
        "{out}"
    );
    ensure!(
        out.contains(&format!("the new one is {ORIGIN}/e4")),
        "{out}"
    );
    Keys::load(&city.key(), ORIGIN)?;
    Ok(())
}
