//! Several witnesses of one ledger: two archives of which a gateway wants both, and somebody else's witness that an archive
//! shows its logs to.

use anyhow::{Context, Result, ensure};
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_tests::agent::Agent;
use lineside_tests::archive::{Archive, Place};
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::city::City;
use lineside_tests::fleet::Size;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};
use lineside_tests::wait;
use lineside_tests::witness::Foreign;
use serde_json::Value;
use std::fs;
use std::time::Duration;

const ORIGIN: &str = "lineside/site/gw";
/// The names of the two archives' witnesses.
const NAMES: [&str; 2] = ["archive-a.example", "archive-b.example"];
/// Whether one of these keys has cosigned a note.
fn is_cosigned(note: &str, key: &VerifierKey) -> Result<bool> {
    let note = Note::parse(note)?;
    let verified = note.verify(std::slice::from_ref(key)).unwrap_or_default();
    Ok(verified.iter().any(|one| one.cosigned.is_some()))
}

#[test]
fn a_foreign_witness_s_word_is_stored_and_published() -> Result<()> {
    let mut city = City::new(Persistence::Off, Size::small(1))?;
    let (log, origin, key) = city.fleet.with(0, |gateway| {
        let key = gateway.signer().public().to_string();
        (gateway.log(), gateway.origin().to_owned(), key)
    })?;
    let mut foreign = Foreign::new("witness.example/w1", &[(&origin, &key)])?;
    let url = foreign.start()?;
    let list = city.place.cards().with_file_name("witnesses");
    fs::write(&list, format!("# Others\n{url} {}\n", foreign.key))?;
    let list = list.display().to_string();
    let theirs: VerifierKey = foreign.key.parse()?;
    let archive = city.place.start_with(&["--submit", &list])?;
    city.live(50)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    // Published as our own witness's word is, and under the head that is served and kept.
    let [h, a, s, e] = theirs.hash();
    let topic =
        format!("lineside/v1/site-0/gw-0000/ledger/cosignature/{h:02x}{a:02x}{s:02x}{e:02x}");
    let published = city.listener.wait_on(0, &topic, LIMIT, |message| {
        Some(message.payload.clone()).filter(|note| is_cosigned(note, &theirs).unwrap_or(false))
    });
    let published = Note::parse(&published.with_context(|| archive.log())?)?;
    let published = Checkpoint::parse(&published.text)?;
    let ours = city.place.witness().clone();
    let files = city.place.log(&log);
    let stored = wait::until("the foreign word in the checkpoint", LIMIT, || {
        let (note, head) = files.head()?.context("no head")?;
        ensure!(head == published, "{head} {published}");
        let both = is_cosigned(&note, &theirs)? && is_cosigned(&note, &ours)?;
        Ok((head.size == 50 && both).then_some(()))
    });
    stored.with_context(|| archive.log())?;
    ensure!(foreign.cosigned(&origin)? == Some(50));
    archive.stop()?;
    // And after the end of the process: by its key, too.
    let dir = city.place.dir().display().to_string();
    let words = [
        "archive",
        "verify",
        "--witness",
        &foreign.key,
        "--dir",
        &dir,
    ];
    let cards = city.place.cards().display().to_string();
    let words = [&words[..], &["--gateways", &cards]].concat();
    let (code, text) = crate::archive_read::said(&words)?;
    ensure!(code == Some(0), "{code:?} {text}");
    Ok(())
}

/// A gateway that wants both of two archives' words, with leaves that nobody has cosigned for hours.
struct Pair {
    places: [Place; 2],
    site: Site,
    _broker: Mosquitto,
}

impl Pair {
    fn new() -> Result<Self> {
        let broker = Mosquitto::start(Persistence::On)?;
        let port = broker.port();
        let place =
            |name| Ok::<_, anyhow::Error>(Place::named(port, name)?.with(&["--cosign-every", "1"]));
        let [a, b] = NAMES;
        let places = [place(a)?, place(b)?];
        let [a, b] = places.each_ref().map(|place| place.witness().to_string());
        let ledger = format!("{QUICK}\n[ledger]\nwitnesses = [\"{a}\", \"{b}\"]\nquorum = 2");
        let site = Site::new(port)?.with(&ledger)?;
        site.machine("mill", Site::NOWHERE)?;
        site.old_leaves(&site.path().join("keys/ledger.key"), ORIGIN)?;
        let card = Said::on(&site, &["keys", "show", "--json"])?.done()?.out;
        for place in &places {
            fs::write(place.cards().join("gw.json"), &card)?;
        }
        Ok(Self {
            places,
            site,
            _broker: broker,
        })
    }

    fn run(&self) -> Result<Agent> {
        let mut agent = Agent::start(&self.site.config())?;
        let said = "lineside runs";
        agent.process().wait_for_error_line(0, said, LIMIT)?;
        Ok(agent)
    }

    /// What the gateway counts as cosigned, and what it says each of the two has cosigned; none while it can't say.
    fn counted(&self) -> Result<Option<(u64, [u64; 2])>> {
        let said = Said::on(&self.site, &["status", "--json"])?;
        let Ok(live) = serde_json::from_str::<Value>(&said.out) else {
            return Ok(None);
        };
        let counted = live.pointer("/ledger/cosigned").and_then(Value::as_u64);
        let witnesses = live.pointer("/ledger/witnesses").and_then(Value::as_array);
        let Some((counted, witnesses)) = counted.zip(witnesses) else {
            return Ok(None);
        };
        let of = |name: &str| {
            let is_it = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
            let size = witnesses.iter().find(is_it)?.get("size")?;
            size.as_u64()
        };
        let sizes = NAMES.map(|name| of(name).unwrap_or(0));
        Ok(Some((counted, sizes)))
    }

    /// Waits until that is as it must be.
    fn until(
        &self,
        what: &str,
        archives: &[&Archive],
        probe: impl Fn(u64, [u64; 2]) -> bool,
    ) -> Result<(u64, [u64; 2])> {
        let mut last = None;
        let found = wait::until(what, LIMIT, || {
            last = self.counted()?;
            Ok(last.filter(|(counted, sizes)| probe(*counted, *sizes)))
        });
        found.with_context(|| {
            let logs: Vec<String> = archives.iter().map(|archive| archive.log()).collect();
            format!("{last:?}\n{}", logs.join("\n--\n"))
        })
    }

    /// What `lineside status` says.
    fn said(&self) -> Result<String> {
        let said = Said::on(&self.site, &["status", "--lang", "en"])?;
        Ok(said.done()?.out)
    }
}

#[test]
fn leaves_are_delivered_when_both_archives_have_cosigned_them() -> Result<()> {
    let pair = Pair::new()?;
    let [one, other] = &pair.places;
    let a = one.start()?;
    let agent = pair.run()?;
    // One alone counts for nothing, and the other's silence is said.
    let alone = pair.until("the first's word", &[&a], |_, [a, _]| a >= 3)?;
    ensure!(alone.0 == 0, "{alone:?}");
    let said = pair.said()?;
    let (_, of_other) = said
        .split_once(&format!("witness {}", NAMES[1]))
        .context(said.clone())?;
    ensure!(of_other.contains("NOT COSIGNED FOR 2h 3"), "{said}");
    ensure!(said.contains(", 0 cosigned (2 of 2 wanted)"), "{said}");

    let b = other.start()?;
    let (counted, _) = pair.until("both", &[&a, &b], |counted, _| counted >= 3)?;
    ensure!(!pair.said()?.contains("NOT COSIGNED"), "{}", pair.said()?);

    // The second stops, and the gateway writes on: the first goes on alone.
    b.stop()?;
    agent.stop()?;
    let agent = pair.run()?;
    let (_, [_, before]) = pair.until("the gateway", &[&a], |_, [a, b]| a >= counted && b >= 3)?;
    let more = pair.until("the first to go on", &[&a], |_, [a, b]| {
        a > before && b == before
    })?;
    let (_, [ahead, _]) = more;
    wait::throughout(Duration::from_secs(1), || {
        let now = pair.counted()?;
        ensure!(
            now.is_none_or(|(counted, _)| counted <= before),
            "{now:?}, {before} by both"
        );
        Ok(())
    })?;
    ensure!(one.alarms()?.is_empty() && other.alarms()?.is_empty());

    // It comes back, and has what was written meanwhile.
    let b = other.start()?;
    pair.until("both again", &[&a, &b], |counted, _| counted >= ahead)?;
    agent.stop()?;
    a.stop()?;
    b.stop()?;
    for place in &pair.places {
        place.verify()?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_lost_all_and_has_one_word_of_two_is_told_to_bring_the_last_head() -> Result<()> {
    let pair = Pair::new()?;
    let [one, other] = &pair.places;
    let (a, b) = (one.start()?, other.start()?);
    let agent = pair.run()?;
    let (_, [_, before]) = pair.until("both", &[&a, &b], |counted, _| counted >= 3)?;
    // The second falls behind, and the gateway loses disk and key.
    b.stop()?;
    agent.stop()?;
    let agent = pair.run()?;
    pair.until("the first to go on", &[&a], |_, [a, b]| {
        a > before && b >= 3
    })?;
    agent.stop()?;
    a.stop()?;
    fs::remove_dir_all(pair.site.state_dir())?;
    fs::remove_dir_all(pair.site.path().join("keys"))?;
    let agent = pair.run()?;
    wait::until("the gateway to stop signing", LIMIT, || {
        let said = Said::on(&pair.site, &["status", "--lang", "en"])?;
        Ok(said.out.contains("NOT SIGNED").then_some(()))
    })
    .with_context(|| agent.log())?;
    agent.stop()?;
    let anew = ["ledger", "new-epoch", "--yes", "--reason", "all was lost"];
    let said = Said::on(&pair.site, &anew)?;
    ensure!(
        said.code != Some(0) && said.err.contains("--prior"),
        "{said:?}"
    );
    Ok(())
}
