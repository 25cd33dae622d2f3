//! A portal books by signed tokens; the renter's hours become an external session, through a kill, with their
//! process values kept back, and what people enter at the machine is written down as theirs.

use anyhow::{Context, Result, ensure};
use lineside::config::model::Table;
use lineside::sim::device::Device;
use lineside_proto::ledger::{LeafBody, SessionEvent};
use lineside_proto::{Availability, BookingsAck, Class, Gap, GapKind, RefusalCode, State};
use lineside_tests::agent::command;
use lineside_tests::broker::Persistence;
use lineside_tests::evidence::Evidence;
use lineside_tests::requester::Requester;
use lineside_tests::schemas;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;

fn map(address: SocketAddr) -> String {
    format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\n\
         [groups]\nfast = \"100ms\"\n[points]\n\
         mode = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         recipe = {{ holding = 1, type = \"u16\", group = \"fast\" }}\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n"
    )
}

/// What a command of the agent prints, which must end well.
fn said(stand: &Stand, arguments: &[&str]) -> Result<String> {
    let config = stand.site.config().display().to_string();
    let arguments = [arguments, &["-c", &config]].concat();
    let output = command(&arguments)?;
    ensure!(
        output.status.success(),
        "{arguments:?}: {output:?}\n{}",
        stand.log()
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A portal with its key.
struct Portal {
    requester: Requester,
    key: String,
}

impl Portal {
    /// A token of a booking that has begun a minute ago and lasts an hour.
    fn token(&self, stand: &Stand, id: &str, class: &str, org: &str) -> Result<String> {
        let now = jiff::Timestamp::now();
        let start = (now - jiff::SignedDuration::from_mins(1)).to_string();
        let end = (now + jiff::SignedDuration::from_mins(59)).to_string();
        let arguments = [
            "booking",
            "sign",
            "--key",
            &self.key,
            "--machine",
            "m",
            "--id",
            id,
            "--class",
            class,
            "--org",
            org,
            "--start",
            &start,
            "--end",
            &end,
        ];
        said(stand, &arguments)
    }

    /// Sends these tokens as a revision, and waits for what the gateway makes of it.
    fn book(&mut self, stand: &mut Stand, revision: u64, tokens: &[String]) -> Result<BookingsAck> {
        let config = stand.site.config().display().to_string();
        let file = stand.site.path().join("tokens");
        fs::write(&file, tokens.join("\n"))?;
        let number = revision.to_string();
        let file = file.display().to_string();
        let script = format!(
            "'{}' booking sign --key '{}' --machine m --set --revision {number} -c '{config}' < '{file}'",
            lineside_tests::agent::binary()?.display(),
            self.key
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()?;
        ensure!(output.status.success(), "{output:?}");
        let message = String::from_utf8(output.stdout)?;
        let mark = stand.archive.mark()?;
        self.requester.send("bookings/m", message.trim())?;
        let topic = Site::topic("bookings-ack/m");
        let ack = stand.archive.wait_on(mark, &topic, LIMIT, |message| {
            serde_json::from_str::<BookingsAck>(&message.payload).ok()
        });
        ack.with_context(|| stand.log())
    }
}

fn shown(
    stand: &mut Stand,
    from: usize,
    wanted: impl Fn(&Availability) -> bool,
) -> Result<Availability> {
    stand.availability("m", from, |said, _| wanted(said).then(|| said.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_external_session_is_the_renters_and_nobody_elses() -> Result<()> {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[0, 77]);
    let address = device.listen_tcp().await?;
    let settings = format!(
        "{QUICK}\n[bookings]\nissuer-keys = [\"portal.pub.jwk\"]\n\
         [sessions]\nown = [\"own\"]\nidle-close = \"2s\""
    );
    let mut stand = Stand::new(Persistence::On, &settings)?;
    let key = stand.site.path().join("portal.jwk").display().to_string();
    let output = command(&["booking", "key", "--out", &key])?;
    ensure!(output.status.success(), "{output:?}");
    fs::write(stand.site.path().join("portal.pub.jwk"), &output.stdout)?;
    stand.site.machine("m", &map(address))?;
    stand.start()?;
    shown(&mut stand, 0, |said| said.state == State::Idle)?;
    let root = Site::topic("");
    let requester = Requester::start(stand.broker.port(), root.trim_end_matches('/'))?;
    let mut portal = Portal { requester, key };

    // One good token, and one that somebody changed on the way: the good one counts.
    let good = portal.token(&stand, "bk-1", "EXT", "renter")?;
    let (head, tail) = good.split_at(good.len() / 2);
    let forged = format!("{head}A{}", tail.get(1..).unwrap_or_default());
    let mark = stand.archive.mark()?;
    let ack = portal.book(&mut stand, 1, &[good.clone(), forged])?;
    ensure!(
        ack.revision == Some(1) && ack.accepted == ["bk-1"],
        "{ack:?}"
    );
    ensure!(ack.refused.len() == 1, "{ack:?}");
    let older = portal.book(&mut stand, 0, &[])?;
    let codes: Vec<RefusalCode> = older.refused.iter().map(|one| one.code).collect();
    ensure!(codes == [RefusalCode::OldRevision], "{older:?}");

    // Activity in its window opens its session.
    device.unit(1).set(Table::Holding, 0, &[1, 4242]);
    let open = shown(&mut stand, mark, |said| said.session.is_some())?;
    let session = open.session.context("a session")?;
    ensure!(session.class == Class::Ext, "{session:?}");
    ensure!(session.booking.as_deref() == Some("bk-1"), "{session:?}");
    ensure!(session.expected_end.is_some(), "{session:?}");

    // It survives a kill, and its idle time is the renter's.
    let mark = stand.archive.mark()?;
    stand.kill()?;
    stand.start()?;
    let again = shown(&mut stand, mark, |said| said.state == State::Run)?;
    ensure!(
        again.session.map(|one| one.id) == Some(session.id.clone()),
        "{session:?}"
    );
    device.unit(1).set(Table::Holding, 0, &[0, 77]);
    shown(&mut stand, mark, |said| said.state == State::Idle)?;

    // Somebody checks out at the machine.
    let listed = said(&stand, &["session", "list", "--json"])?;
    ensure!(listed.contains(&session.id), "{listed}");
    let mark = stand.archive.mark()?;
    said(&stand, &["session", "stop", "m", "--by", "Li Wei"])?;
    shown(&mut stand, mark, |said| said.session.is_none())?;
    // The token has had its session: more activity is nobody's.
    device.unit(1).set(Table::Holding, 0, &[1, 77]);
    let unbooked = shown(&mut stand, mark, |said| said.session.is_some())?;
    let unbooked = unbooked.session.context("a session")?;
    ensure!(unbooked.class == Class::Unb, "{unbooked:?}");
    device.unit(1).set(Table::Holding, 0, &[0, 77]);
    shown(&mut stand, mark, |said| {
        said.state == State::Idle && said.session.is_none()
    })?;

    kept_back(&mut stand)?;
    written_down(&mut stand, &session.id)?;
    answered(&mut stand, &mut portal)?;
    // All that was sent is as the published schemas say.
    let needed = schemas::judged(&stand.archive.messages()?)?;
    ensure!(needed.len() == 10, "{needed:?}");
    stand.stop()
}

/// The renter's recipe was never published, and what was kept back is named.
fn kept_back(stand: &mut Stand) -> Result<()> {
    let topic = Site::topic("gaps/m");
    let withheld = stand.archive.wait_on(0, &topic, LIMIT, |message| {
        let gap: Gap = serde_json::from_str(&message.payload).ok()?;
        (gap.kind == GapKind::Withheld && gap.samples > Some(0)).then_some(())
    });
    withheld.with_context(|| stand.log())?;
    let topic = Site::topic("telemetry/m");
    let told = stand.archive.wait_on(0, &topic, LIMIT, |_| Some(()));
    told.with_context(|| stand.log())?;
    let messages = stand.archive.messages()?;
    let mut of_machine = messages.iter().filter(|message| message.topic == topic);
    let leaked = of_machine.find(|message| message.payload.contains("\"recipe\":4242"));
    ensure!(leaked.is_none(), "{leaked:?}");
    Ok(())
}

/// The ledger says all of it, and no name.
fn written_down(stand: &mut Stand, session: &str) -> Result<()> {
    let evidence = Evidence::of(&stand.archive.messages()?)?;
    let (mut opened, mut closed, mut audited) = (0, 0, 0);
    for leaf in evidence.facts()? {
        if let LeafBody::Audit(audit) = &leaf.body {
            audited += usize::from(audit.action == "session-stop");
        }
        let LeafBody::Session(said) = leaf.body else {
            continue;
        };
        if said.session == session {
            ensure!(said.token.is_some(), "{said:?}");
            opened += usize::from(said.event == SessionEvent::Open);
            closed += usize::from(said.event == SessionEvent::Close);
        }
    }
    ensure!(
        (opened, closed, audited) == (1, 1, 1),
        "{opened} {closed} {audited}"
    );
    let named = evidence
        .leaves
        .values()
        .find(|leaf| leaf.contains("Li Wei"));
    ensure!(named.is_none(), "{named:?}");
    Ok(())
}

/// What leaves refer to can be asked for.
fn answered(stand: &mut Stand, portal: &mut Portal) -> Result<()> {
    let evidence = Evidence::of(&stand.archive.messages()?)?;
    let facts = evidence.facts()?;
    let map = facts.into_iter().find_map(|leaf| {
        let LeafBody::Config(config) = leaf.body else {
            return None;
        };
        Some(config.map)
    });
    let map = map.context("a config leaf")?;
    let answer = portal.requester.ask("config.get", &json!({"hash": map}))?;
    let answer = answer.map_err(|error| anyhow::anyhow!("{error}"))?;
    let text: Value = json!(answer);
    ensure!(text.to_string().contains("recipe"), "{text}");
    let answer = portal
        .requester
        .ask("ledger.entries", &json!({"from": 0, "to": 3}))?;
    let answer = answer.map_err(|error| anyhow::anyhow!("{error}"))?;
    let first = evidence.leaves.get(&0).context("a first leaf")?;
    let text = json!(answer).to_string();
    ensure!(text.contains(&json!(first).to_string()), "{text}");
    Ok(())
}
