//! Gateways that lie, and those who only want to do harm: each lie is refused and named with the two notes that prove
//! it, nothing of that log is cosigned any more, and the others notice nothing; a flood costs bounded room.

use anyhow::{Context, Result, ensure};
use lineside_proto::Time;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_tests::archive::{Alarm, Archive, weight};
use lineside_tests::broker::Persistence;
use lineside_tests::city::{City, LIMIT};
use lineside_tests::fleet::{Outgoing, Size};
use lineside_tests::wait;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Leaves of each gateway before anybody lies.
const BEFORE: u64 = 60;
/// A head of each gateway is cosigned once a second at most: a liar's turn has come when an honest one's has come twice.
const COSIGN_EVERY: [&str; 2] = ["--cosign-every", "1"];

/// From one word to the next of those who live on.
const TURN: Duration = Duration::from_secs(1);

/// A lie, told by a gateway of its own.
struct Lie {
    name: &'static str,
    /// What its alarm may be called.
    kinds: &'static [&'static str],
    /// Whether nothing of the log is taken any more.
    stops: bool,
    /// Gives those who live on while it is not known yet.
    tell: fn(&City, usize) -> Result<Vec<usize>>,
}

/// A gateway goes on as another one of the same name and key.
fn goes_on_as(
    city: &City,
    number: usize,
    make: impl FnOnce(&lineside_tests::fleet::Gateway) -> Result<lineside_tests::fleet::Gateway>,
    grows: u64,
) -> Result<Vec<usize>> {
    let other = city.fleet.with(number, |gateway| make(gateway))??;
    city.fleet.replace(number, other)?;
    city.fleet.grow(number, grows)?;
    city.fleet.sign(number)?;
    Ok(Vec::new())
}

const LIES: [Lie; 6] = [
    Lie {
        name: "two heads of one size",
        kinds: &["two-heads"],
        stops: true,
        tell: |city, number| goes_on_as(city, number, |gateway| gateway.forked(BEFORE - 5), 0),
    },
    Lie {
        name: "a leaf of long ago edited",
        kinds: &["fork"],
        stops: true,
        tell: |city, number| goes_on_as(city, number, |gateway| gateway.edited(20), 25),
    },
    Lie {
        name: "the log shortened",
        kinds: &["shorter"],
        stops: false,
        tell: |city, number| goes_on_as(city, number, |gateway| gateway.as_of(BEFORE - 30), 0),
    },
    Lie {
        name: "an old backup restored, and lived on otherwise",
        kinds: &["fork"],
        stops: true,
        tell: |city, number| {
            goes_on_as(
                city,
                number,
                |gateway| {
                    let mut old = gateway.as_of(BEFORE - 30)?;
                    old.change_course();
                    Ok(old)
                },
                70,
            )
        },
    },
    Lie {
        name: "two copies of one gateway running",
        kinds: &["fork", "two-heads"],
        stops: true,
        tell: |city, number| {
            let mut twin = city.fleet.with(number, |gateway| gateway.as_of(BEFORE))??;
            twin.change_course();
            let twin = city.fleet.add(twin)?;
            for turn in 0..4 {
                city.fleet.grow(number, 3 + turn)?;
                city.fleet.sign(number)?;
                city.fleet.grow(twin, 4 + turn)?;
                city.fleet.sign(twin)?;
            }
            // Of two that both answer, the archive may for long hear the one of the other's heads.
            Ok(vec![number, twin])
        },
    },
    Lie {
        name: "a size that no leaf stands for, signed",
        kinds: &["fork", "two-heads"],
        stops: true,
        tell: |city, number| {
            let note = city.fleet.with(number, |gateway| {
                let root = gateway.root(BEFORE - 1).context("a root")?;
                let topic = gateway.topics().checkpoint();
                Ok::<_, anyhow::Error>(Outgoing::kept(topic, gateway.signed(BEFORE, root)))
            })??;
            city.fleet.say(number, note)?;
            Ok(Vec::new())
        },
    },
];

/// The alarm of a log, of one of these kinds. Of two copies that both answer, one may give the leaves of the other's
/// head before that.
fn alarm(city: &City, log: &str, kinds: &[&str]) -> Result<Option<Alarm>> {
    let part = format!("-{}-", log.replace('/', "-"));
    let is_wanted = |name: &str| {
        let mut kinds = kinds.iter();
        name.contains(&part) && kinds.any(|kind| name.ends_with(&format!("-{kind}")))
    };
    let alarms = city.place.alarms()?;
    Ok(alarms.into_iter().find(|alarm| is_wanted(&alarm.name())))
}

/// What a note says, signed by the gateway itself.
fn signed(note: Option<&String>, key: &VerifierKey) -> Result<Checkpoint> {
    let note = Note::parse(note.context("a note is missing")?)?;
    note.verify(std::slice::from_ref(key))?;
    Ok(Checkpoint::parse(&note.text)?)
}

/// What `archive status` says of a gateway's log.
fn standing(city: &City, log: &str) -> Result<Value> {
    let status = city.place.status()?;
    let (site, rest) = log.split_once('/').context("a log")?;
    let (gateway, _) = rest.split_once('/').context("a log")?;
    let text = |one: &Value, key| one.get(key).and_then(Value::as_str).map(str::to_owned);
    let is_ours = |one: &&Value| {
        text(one, "site").as_deref() == Some(site)
            && text(one, "gateway").as_deref() == Some(gateway)
    };
    let ours = status.iter().find(is_ours).cloned();
    ours.with_context(|| format!("{log} is not in {status:?}"))
}

/// What an archive has taken of a log: its head, and the head that was cosigned.
#[derive(PartialEq, Debug)]
struct Taken {
    head: Option<String>,
    cosigned: Option<Value>,
}

fn taken(city: &City, log: &str) -> Result<Taken> {
    Ok(Taken {
        head: city
            .place
            .log(log)
            .head()?
            .map(|(_, head)| head.to_string()),
        cosigned: standing(city, log)?.get("cosigned").cloned(),
    })
}

/// Has a lie told. What must be known of it then: its name, and two notes that the gateway itself has signed. Gives the name.
fn proven(city: &City, number: usize, lie: &Lie) -> Result<String> {
    let living = (lie.tell)(city, number)?;
    let (log, key) = city.fleet.with(number, |gateway| {
        (gateway.log(), gateway.signer().public().clone())
    })?;
    let mut lived = Instant::now();
    let found = wait::until("the alarm", 2 * LIMIT, || {
        if lived.elapsed() >= TURN {
            for number in &living {
                city.fleet.grow(*number, 2)?;
                city.fleet.sign(*number)?;
            }
            lived = Instant::now();
        }
        alarm(city, &log, lie.kinds)
    })?;
    let name = found.name();
    let known = signed(found.known.as_ref(), &key)?;
    let shown = signed(found.shown.as_ref(), &key)?;
    ensure!(known != shown && known.origin == shown.origin, "{found:?}");
    // The archive keeps what it knew.
    ensure!(city.place.log(&log).size()? >= BEFORE);
    // For people and for programs: the kind, and the folder with the proof.
    let (code, said, _) = city.place.say(&["status"])?;
    ensure!(said.contains(&name), "{name} is not in\n{said}");
    ensure!(code == 1 || !lie.stops, "{code}: {said}");
    let ours = standing(city, &log)?;
    ensure!(
        ours.get("alarms").and_then(Value::as_u64) > Some(0),
        "{ours}"
    );
    if lie.stops {
        let proof = ours.pointer("/stopped/proof").and_then(Value::as_str);
        ensure!(proof == Some(name.as_str()), "{ours}");
    }
    Ok(name)
}

/// The process has said the word that its operators look for, beside the log and the folder with the proof.
fn is_logged(archive: &Archive, log: &str, name: &str) -> Result<()> {
    let is_there = || {
        let said = archive.log();
        let mut lines = said.lines().filter(|line| line.contains("ALARM"));
        lines.any(|line| line.contains(log) && line.contains(name))
    };
    wait::until_true("the word ALARM", LIMIT, is_there).with_context(|| archive.log())
}

/// The honest ones go on: all that they write now is kept and cosigned, and so was all that anybody said before.
fn honest_go_on(city: &mut City, numbers: &[usize], grows: u64) -> Result<()> {
    let witness = city.place.witness().clone();
    for number in numbers {
        city.fleet.grow(*number, grows)?;
        city.fleet.sign(*number)?;
    }
    city.until_kept(numbers.iter().copied())?;
    for number in numbers {
        let (log, size) = city
            .fleet
            .with(*number, |gateway| (gateway.log(), gateway.size()))?;
        city.until_cosigned("an honest head", &witness, |said| said.size(&log) == size)?;
    }
    Ok(())
}

/// Whoever pulls a log is told what the archive holds against it: on standard error, and in its line of JSON.
fn is_told(city: &City, log: &str, stops: bool) -> Result<()> {
    let (said, err) = city.place.pulled(log)?;
    let ours = standing(city, log)?;
    for field in ["stopped", "alarms"] {
        ensure!(said.get(field) == ours.get(field), "{said} {ours}");
    }
    let words = if stops { "stopped this log" } else { "alarms" };
    let begun = format!("{}: the archive", log.replace("/e1", " e1"));
    let is_it = |line: &str| line.starts_with(&begun) && line.contains(words);
    ensure!(err.lines().any(is_it), "{begun}, {words}: {err}");
    Ok(())
}

#[test]
fn each_lie_is_named_and_stops_its_own_log_only() -> Result<()> {
    let honest = LIES.len();
    let late = honest + 1;
    let mut city = City::new(Persistence::Off, Size::small(LIES.len() + 2))?;
    let archive = city.place.start_with(&COSIGN_EVERY)?;
    let started = 0..=honest;
    for number in started.clone() {
        city.fleet.grow(number, BEFORE)?;
        city.fleet.sign(number)?;
    }
    city.until_kept(started.clone())
        .with_context(|| archive.log())?;
    let witness = city.place.witness().clone();
    let count = started.count();
    city.until_cosigned("the first heads", &witness, |said| said.logs() == count)
        .with_context(|| archive.log())?;
    ensure!(city.place.alarms()?.is_empty(), "alarms of honest gateways");
    let mut told = Vec::new();
    for (number, lie) in LIES.iter().enumerate() {
        let log = city.fleet.log(number)?;
        let since = Instant::now();
        let name = proven(&city, number, lie)
            .context(lie.name)
            .with_context(|| archive.log())?;
        is_logged(&archive, &log, &name).context(lie.name)?;
        eprintln!("{}: known after {:?}", lie.name, since.elapsed());
        // What was taken in together with it is written down, too.
        city.fleet.grow(honest, 1)?;
        city.fleet.sign(honest)?;
        city.until_kept([honest]).with_context(|| archive.log())?;
        let taken = taken(&city, &log)?;
        ensure!(taken.cosigned.is_some(), "{}: {taken:?}", lie.name);
        told.push((lie, log, taken));
    }
    // The others go on, those that were there and those that come.
    honest_go_on(&mut city, &[honest, late], 30).with_context(|| archive.log())?;
    // Even what an honest half of a liar says is not taken any more: it is heard before what the others say next, over
    // the same connections.
    for number in 0..LIES.len() {
        city.fleet.grow(number, 5)?;
        city.fleet.sign(number)?;
    }
    for _ in 0..2 {
        honest_go_on(&mut city, &[honest, late], 3).with_context(|| archive.log())?;
    }
    let now = city.cosigned(&witness)?;
    for (lie, log, before) in told {
        let (after, size) = (taken(&city, &log)?, now.size(&log));
        ensure!(after == before, "{}: {before:?} {after:?}", lie.name);
        let last = after.cosigned.as_ref().and_then(|head| head.get("size"));
        let is_last = last.and_then(Value::as_u64) == Some(size);
        ensure!(is_last, "{}: {size} cosigned, {after:?}", lie.name);
        is_told(&city, &log, lie.stops).context(lie.name)?;
    }
    now.judge(&city.place)?;
    city.place.verify()?;
    archive.stop()
}

#[test]
fn what_a_stranger_says_stops_nobody() -> Result<()> {
    let mut city = City::new(Persistence::Off, Size::small(3))?;
    let archive = city.place.start()?;
    city.live(BEFORE)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    let witness = city.place.witness().clone();
    city.until_cosigned("the first heads", &witness, |said| said.logs() == 3)
        .with_context(|| archive.log())?;
    let (checkpoint, origin, root) = city.fleet.with(0, |gateway| {
        let topic = gateway.topics().checkpoint();
        (topic, gateway.origin().to_owned(), gateway.root(BEFORE - 1))
    })?;
    let root = root.context("a root")?;
    // A key of the same name that is not the gateway's.
    let thief = SignerKey::new(&origin, KeyKind::Ed25519, &[99; 32])?;
    for size in [BEFORE, BEFORE + 9] {
        let text = Checkpoint {
            origin: origin.clone(),
            size,
            root,
        }
        .to_string();
        let signatures = vec![thief.sign(&text, Time::default())];
        let forged = Note { text, signatures }.to_string();
        city.fleet
            .say(0, Outgoing::kept(checkpoint.clone(), forged))?;
    }
    // Another gateway's own head, where it does not belong; and a signature that does not fit.
    let other = city.fleet.with(1, |gateway| gateway.note().cloned())?;
    let other = other.context("a note")?;
    city.fleet
        .say(0, Outgoing::kept(checkpoint.clone(), other.as_bytes()))?;
    let own = city.fleet.with(0, |gateway| gateway.note().cloned())?;
    let own = own.context("a note")?;
    let changed = own.replace(&format!("\n{BEFORE}\n"), &format!("\n{}\n", BEFORE + 3));
    ensure!(changed != *own);
    city.fleet.say(0, Outgoing::kept(checkpoint, changed))?;
    // Leaves of another history, which nobody has signed.
    let twin = city.fleet.with(0, |gateway| gateway.forked(10))??;
    let (topic, leaves) = (twin.topics().leaf(), twin.size());
    for index in 0..leaves {
        let message = twin.message(index)?;
        city.fleet.say(0, Outgoing::new(topic.clone(), message))?;
    }
    // A gateway that nobody enrolled.
    let stranger = lineside_tests::fleet::Gateway::new(
        &"site-9".parse()?,
        &"gw-9999".parse()?,
        2,
        [42; 32],
        Time::default(),
    )?;
    let stranger = city.fleet.add(stranger)?;
    city.fleet.grow(stranger, 20)?;
    city.fleet.sign(stranger)?;
    // All three go on.
    city.live(12)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    ensure!(
        !city.place.dir().join("logs/site-9").exists(),
        "an unknown key's log is among the others"
    );
    let status = city.place.status()?;
    for number in city.all() {
        let log = city.fleet.log(number)?;
        let stopped = alarm(&city, &log, &["fork", "two-heads", "shorter"])?;
        ensure!(stopped.is_none(), "{stopped:?}\n{status:?}");
    }
    let said = city.cosigned(&witness)?;
    said.judge(&city.place)?;
    ensure!(said.size("site-9/gw-9999/e1") == 0);
    archive.stop()
}

/// Payloads that are no document, or one with something impossible in it.
fn junk(random: &mut fastrand::Rng) -> Vec<u8> {
    let index = [
        u64::MAX,
        u64::MAX - 1,
        1 << 62,
        1_000_000_000_000,
        5_000_000,
    ];
    let index = index.get(random.usize(..5)).copied().unwrap_or(0);
    match random.u8(..9) {
        0 => std::iter::repeat_with(|| random.u8(..)).take(300).collect(),
        1 => b"[".repeat(20_000),
        2 => format!(r#"{{"index":{index},"leaf":"{{}}"}}"#).into_bytes(),
        3 => format!(r#"{{"index":{index},"leaf":"{}"}}"#, "x".repeat(60_000)).into_bytes(),
        4 => format!(r#"{{"index":{},"leaf":"é\u0000"}}"#, random.u64(..200)).into_bytes(),
        5 => format!("lineside/site-0/gw-0000\n{index}\nAAAA\n\n\u{2014} x AAAA\n").into_bytes(),
        6 => "\u{2014} \n\n".repeat(9_000).into_bytes(),
        7 => Vec::new(),
        _ => br#"{"index":-1,"leaf":null}"#.to_vec(),
    }
}

/// Where it goes: topics that are meant for it, topics that are not, and names that no gateway has.
fn topic(random: &mut fastrand::Rng, number: usize) -> String {
    let gateway = format!("lineside/v1/site-{}/gw-{number:04}", number % 7);
    match random.u8(..8) {
        0 => format!("{gateway}/ledger/leaf"),
        1 => format!("{gateway}/ledger/checkpoint"),
        2 => format!("{gateway}/ledger/cosignature"),
        3 => format!("{gateway}/ledger/leaf/more"),
        4 => format!("lineside/v1/SITE {number}/../ledger/leaf"),
        5 => format!("lineside/v1//{number}/ledger/checkpoint"),
        6 => format!("lineside/v1/site-0/gw-0000/response/x/{number}"),
        _ => "lineside/v1/site-0/gw-0000/ledger/leaf".to_owned(),
    }
}

#[test]
fn a_flood_of_garbage_from_ten_thousand_names_costs_bounded_room() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut city = City::new(Persistence::Off, Size::small(4))?;
    let archive = city.place.start()?;
    city.live(BEFORE)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    let before = archive.memory_kb("VmRSS:")?;
    for number in 0..10_000 {
        // Ids far beyond the fleet's own, so that nobody else's word is taken for theirs.
        let stranger = number + 1_000;
        let outgoing = Outgoing {
            retain: random.u8(..) < 64,
            ..Outgoing::new(topic(&mut random, stranger), junk(&mut random))
        };
        city.fleet.say(number, outgoing)?;
        if number % 500 == 0 {
            let own = number / 500 % 4;
            city.fleet.grow(own, 10)?;
            city.fleet.sign(own)?;
        }
    }
    city.fleet.flush().with_context(|| format!("seed {seed}"))?;
    city.live(7)?;
    city.until_kept(city.all())
        .with_context(|| archive.log())
        .with_context(|| format!("seed {seed}"))?;
    let peak = archive.memory_kb("VmHWM:")?;
    let (bytes, files) = weight(&city.place.dir())?;
    eprintln!("{before} KB before, {peak} KB at most; {files} files of {bytes} bytes");
    ensure!(peak < 200_000, "seed {seed}: {peak} KB");
    ensure!(
        bytes < 32 << 20 && files < 4_000,
        "seed {seed}: {files} files of {bytes} bytes"
    );
    let witness = city.place.witness().clone();
    city.cosigned(&witness)?.judge(&city.place)?;
    city.place
        .verify()
        .with_context(|| format!("seed {seed}"))?;
    archive.stop()
}
