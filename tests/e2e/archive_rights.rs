//! The rights that `deploy/city` gives at the broker: an archive can work with them, and can't speak for a gateway; a
//! gateway can work, and can't speak for another or for a witness.

use anyhow::{Context, Result, ensure};
use lineside_proto::ledger::note::Note;
use lineside_tests::agent::command;
use lineside_tests::archive::Place;
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::city::LIMIT;
use lineside_tests::cosigned::same;
use lineside_tests::fleet::{Ear, Fleet, Outgoing, Peer, Request, Size, Wire};
use lineside_tests::subscriber::root;
use lineside_tests::wait;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Builder;

const PASSWORD: &str = "for the test only";
const GATEWAY: &str = "site-0/gw-0000";
const ARCHIVE: &str = "archive.a";
const PORTAL: &str = "portal.city";

/// The city's broker as it is installed, but for where its files are and the port.
fn broker() -> Result<Mosquitto> {
    let read = |name: &str| {
        let path = root().join("deploy/city").join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let dir = tempfile::tempdir()?;
    let passwords = dir.path().join("passwords");
    fs::write(&passwords, "")?;
    for user in [GATEWAY, ARCHIVE, PORTAL] {
        let made = Command::new("mosquitto_passwd")
            .arg("-b")
            .args([passwords.as_os_str(), user.as_ref(), PASSWORD.as_ref()])
            .output()?;
        ensure!(made.status.success(), "{made:?}");
    }
    let ours = ["listener", "persistence", "autosave"];
    let settings: Vec<String> = read("mosquitto.conf")?
        .lines()
        .filter(|line| !ours.iter().any(|word| line.starts_with(word)))
        .map(|line| line.replace("/etc/mosquitto/", "{dir}/"))
        .collect();
    let files = [
        ("lineside.passwd", fs::read(&passwords)?),
        ("lineside.acl", read("mosquitto.acl")?.into_bytes()),
    ];
    let files = files
        .each_ref()
        .map(|(name, bytes)| (*name, bytes.as_slice()));
    Mosquitto::start_with(Persistence::Off, &settings.join("\n"), &files)
}

/// Keeps what it hears.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, Vec<u8>)>>);

impl Heard {
    fn all(&self) -> Vec<(String, Vec<u8>)> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }
}

impl Ear for Heard {
    fn connected(&self) -> Vec<Outgoing> {
        Vec::new()
    }

    fn heard(&self, topic: &str, message: &Request) -> Vec<Outgoing> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((topic.to_owned(), message.payload.clone()));
        Vec::new()
    }
}

fn peer(broker: &Mosquitto, user: &str, filter: &str) -> Peer {
    Peer {
        port: broker.port(),
        id: format!("probe-{user}-{}", filter.len()),
        credentials: Some((user.to_owned(), PASSWORD.to_owned())),
        filter: filter.to_owned(),
    }
}

/// Whoever mistyped a password is not sent to look at the address.
#[test]
fn a_user_that_the_broker_refuses_is_told_what_to_check() -> Result<()> {
    let broker = broker()?;
    let place = Place::new(broker.port())?;
    let password = place.cards().with_file_name("password");
    fs::write(&password, "another")?;
    let password = password.display().to_string();
    let user = ["--user", ARCHIVE, "--password-file", &password];
    let archive = place.start_with(&user)?;
    wait::until_true("what to check", LIMIT, || {
        let log = archive.log();
        log.contains("refuses") && log.contains("--password-file")
    })
    .with_context(|| archive.log())?;
    archive.stop()?;
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let pull = ["usage", "pull", "--all", "--from", "2026-01"];
    let ended = command(&[&pull[..], &["--lang", "en", "--broker", &url], &user].concat())?;
    let said = String::from_utf8(ended.stderr)?;
    let is_told = said.contains("refuses this user") && said.contains("--password-file");
    ensure!(ended.status.code() == Some(5) && is_told, "{said}");
    Ok(())
}

#[test]
fn an_archive_works_with_the_rights_that_the_city_gives_it() -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let broker = broker()?;
    let size = Size {
        sites: 1,
        gateways: 1,
        machines: 3,
        wires: 1,
    };
    let fleet = Fleet::start_as(broker.port(), size, Some((GATEWAY, PASSWORD)))?;
    let place = Place::new(broker.port())?;
    fleet.write_cards(&place.cards())?;
    let password = place.cards().with_file_name("password");
    fs::write(&password, PASSWORD)?;
    let password = password.display().to_string();
    // Half of it before anybody listened: the archive has to ask for that.
    fleet.grow(0, 300)?;
    let archive = place.start_with(&["--user", ARCHIVE, "--password-file", &password])?;
    let hears = Arc::new(Heard::default());
    let filter = format!("lineside/v1/{GATEWAY}/ledger/cosignature/#");
    let gateway = {
        let _entered = runtime.enter();
        Wire::start(
            peer(&broker, GATEWAY, &filter),
            Arc::<Heard>::clone(&hears) as Arc<dyn Ear>,
        )
    };
    fleet.grow(0, 300)?;
    fleet.sign(0)?;
    let files = place.log(&fleet.log(0)?);
    wait::until("the leaves", LIMIT, || {
        Ok((files.size()? == 600).then_some(()))
    })
    .with_context(|| archive.log())?;
    same(&fleet, 0, &files)?;
    // The gateway hears it on both topics, signed by the witness.
    let witness = place.witness();
    let [a, b, c, d] = witness.hash();
    let own = format!("lineside/v1/{GATEWAY}/ledger/cosignature/{a:02x}{b:02x}{c:02x}{d:02x}");
    let any = format!("lineside/v1/{GATEWAY}/ledger/cosignature");
    for topic in [own, any] {
        let note = wait::until(&topic, LIMIT, || {
            let heard = hears.all().into_iter().find(|(name, _)| *name == topic);
            Ok(heard.map(|(_, payload)| payload))
        })
        .with_context(|| archive.log())?;
        let note = Note::parse(std::str::from_utf8(&note)?)?;
        let verified = note.verify(std::slice::from_ref(witness))?;
        ensure!(verified.iter().any(|one| one.cosigned.is_some()), "{note}");
    }
    // And its own checkpoint, without which one that lost its disk would sign another history.
    let own = Arc::new(Heard::default());
    let topic = format!("lineside/v1/{GATEWAY}/ledger/checkpoint");
    let again = {
        let _entered = runtime.enter();
        Wire::start(
            peer(&broker, GATEWAY, &topic),
            Arc::<Heard>::clone(&own) as Arc<dyn Ear>,
        )
    };
    wait::until_true("its own checkpoint", LIMIT, || {
        own.all().iter().any(|(name, _)| *name == topic)
    })?;
    drop(again);
    ensure!(fleet.refused() == 0, "the gateway was refused something");
    let said = archive.log();
    ensure!(!said.contains("NotAuthorized"), "{said}");
    drop(gateway);
    archive.stop()
}

#[test]
fn nobody_can_speak_for_somebody_else() -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let broker = broker()?;
    let own = format!("lineside/v1/{GATEWAY}");
    let other = "lineside/v1/site-0/gw-0001";
    // Who, where, and whether the broker takes it.
    let check = |user: &str, topic: &str, taken: bool| -> Result<()> {
        let wire = {
            let _entered = runtime.enter();
            Wire::start(peer(&broker, user, ""), Arc::new(Heard::default()))
        };
        wire.publish(Outgoing::new(topic.to_owned(), "{}"))?;
        wait::until_true("the broker's word", LIMIT, || wire.is_idle())?;
        ensure!(wire.connections() == 1, "{user} was not let in");
        ensure!((wire.refused() == 0) == taken, "{user} on {topic}");
        Ok(())
    };
    for (below, archive, gateway, portal) in [
        ("ledger/cosignature", true, false, false),
        ("ledger/cosignature/0a0b0c0d", true, false, false),
        ("request", true, false, true),
        ("response/evaluator/1", true, true, false),
        ("ledger/leaf", false, true, false),
        ("ledger/checkpoint", false, true, false),
        ("status", false, true, false),
        ("availability/m", false, true, false),
        ("telemetry/m", false, true, false),
        ("sessions/m", false, true, false),
        ("map/m", false, true, false),
        ("bookings/m", false, false, true),
        ("bookings-ack/m", false, true, false),
        ("anything", false, false, false),
    ] {
        for (user, taken) in [(ARCHIVE, archive), (GATEWAY, gateway), (PORTAL, portal)] {
            check(user, &format!("{own}/{below}"), taken)?;
            // For another gateway the gateway can't say anything.
            check(user, &format!("{other}/{below}"), taken && user != GATEWAY)?;
        }
    }
    check(ARCHIVE, "lineside/v2/site-0/gw-0000/request", false)
}
