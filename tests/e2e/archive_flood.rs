//! Floods of what is well-formed: an enrolled gateway that signs and writes as fast as it can, and ten thousand names that
//! each sign for themselves. Both cost bounded room, and the honest ones are kept and cosigned meanwhile.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lineside_proto::Time;
use lineside_proto::ledger::note::{
    KeyKind, NOTE_BYTES_MAX, Note, Signature, SignerKey, change_text,
};
use lineside_proto::ledger::{Correction, KeyLeaf, LeafBody};
use lineside_tests::archive::{Place, weight};
use lineside_tests::broker::Persistence;
use lineside_tests::city::{City, LIMIT, heard};
use lineside_tests::cosigned::same;
use lineside_tests::fleet::{Fleet, Gateway, Outgoing, Size};
use lineside_tests::subscriber::Subscriber;
use lineside_tests::wait;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// A head of each gateway is cosigned once a second at most.
const COSIGN_EVERY: [&str; 2] = ["--cosign-every", "1"];
/// What an archive may take in memory, whatever comes.
const MEMORY_KB_MAX: u64 = 200_000;
/// Names that nobody enrolled, and how many of them an archive keeps.
const STRANGERS: usize = 10_000;
const KEPT: usize = 256;
/// What the flooding gateway says, at least and at most: the broker is not what is measured here.
const WORDS: std::ops::Range<u32> = 4_000..12_000;
/// Lines of a note that has as many as fit.
const STUFFING: u32 = 480;
/// How often the honest one must be cosigned meanwhile.
const ROUNDS: usize = 3;
/// Who floods, who changes its key all the while, too, and who does neither.
const FLOODS: usize = 0;
const CHANGES: usize = 2;
const HONEST: usize = 1;

/// Writes the leaf by which another key follows, signed by both, and signs with that from then on.
fn hand_over(gateway: &mut Gateway, seed: &[u8; 32]) -> Result<u64> {
    let (origin, old) = (gateway.origin(), gateway.signer());
    let new = SignerKey::new(origin, KeyKind::Ed25519, seed)?;
    let text = change_text(origin, old.public(), new.public());
    let signed = |key: &SignerKey| BASE64.encode(key.sign_bytes(text.as_bytes()));
    let leaf = KeyLeaf {
        old: old.public().to_string(),
        new: new.public().to_string(),
        old_signature: signed(old),
        new_signature: signed(&new),
    };
    let index = gateway.write(LeafBody::Key(leaf))?;
    gateway.sign_with(new);
    Ok(index)
}

/// The newest head with so many further lines as a note may have.
fn stuffed(gateway: &Gateway) -> Result<String> {
    let mut note = Note::parse(gateway.note().context("nothing was signed")?)?;
    let line = |number: u32| Signature {
        name: format!("nobody-{number}.example"),
        hash: number.to_be_bytes(),
        bytes: vec![7; 64],
    };
    note.signatures.extend((0..STUFFING).map(line));
    let note = note.to_string();
    ensure!(note.len() > NOTE_BYTES_MAX / 2, "{} bytes", note.len());
    Ok(note)
}

/// One word of those who flood, and a head. Gives how many messages that were.
fn word(fleet: &Fleet, random: &mut fastrand::Rng) -> Result<u32> {
    let number = if random.bool() { FLOODS } else { CHANGES };
    match random.u8(..10) {
        0 => {
            let large = Correction {
                refers: 1,
                reason: "x".repeat(3_700),
                by: "flood".to_owned(),
            };
            let write = |gateway: &mut Gateway| gateway.write(LeafBody::Correction(large));
            fleet.write(number, write)?;
        }
        1 => {
            let said = fleet.with(number, |gateway| {
                let topic = gateway.topics().checkpoint();
                Ok::<_, anyhow::Error>(Outgoing::kept(topic, stuffed(gateway)?))
            })??;
            fleet.say(number, said)?;
        }
        // More keys than an archive follows.
        2 if number == CHANGES => {
            let seed: [u8; 32] = std::array::from_fn(|_| random.u8(..));
            fleet.write(number, |gateway| hand_over(gateway, &seed))?;
        }
        _ => fleet.grow(number, 1)?,
    }
    fleet.sign(number)?;
    Ok(2)
}

/// An honest gateway is kept and cosigned, again and again.
fn honest_goes_on(fleet: &Fleet, place: &Place, listener: &mut Subscriber) -> Result<()> {
    let witness = place.witness();
    let log = fleet.log(HONEST)?;
    for round in 0..ROUNDS {
        fleet.grow(HONEST, 20)?;
        fleet.sign(HONEST)?;
        let size = fleet.with(HONEST, |gateway| gateway.size())?;
        let since = Instant::now();
        wait::until("an honest head to be cosigned", LIMIT, || {
            Ok((heard(listener, witness)?.size(&log) == size).then_some(()))
        })?;
        eprintln!("round {round}: cosigned after {:?}", since.elapsed());
        same(fleet, HONEST, &place.log(&log))?;
    }
    Ok(())
}

#[test]
fn an_enrolled_gateway_that_floods_costs_bounded_room_and_holds_nobody_up() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut city = City::new(Persistence::Off, Size::small(3))?;
    let archive = city.place.start_with(&COSIGN_EVERY)?;
    city.live(40)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    let witness = city.place.witness().clone();
    let City {
        fleet,
        place,
        listener,
        ..
    } = &mut city;
    let is_over = AtomicBool::new(false);
    let words = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut words = 0;
            while words < WORDS.start || words < WORDS.end && !is_over.load(Ordering::SeqCst) {
                words += word(fleet, &mut random)?;
            }
            Ok::<_, anyhow::Error>(words)
        });
        let honest = honest_goes_on(fleet, place, listener);
        is_over.store(true, Ordering::SeqCst);
        let words = flood.join().map_err(|_| anyhow::anyhow!("it ended"))??;
        honest.with_context(|| archive.log())?;
        Ok::<_, anyhow::Error>(words)
    })?;
    // What floods is true for all that, and is kept; of the other what it has signed by keys that count.
    city.fleet.sign(FLOODS)?;
    city.until_kept([FLOODS, HONEST])
        .with_context(|| archive.log())?;
    let kept = city.fleet.with(FLOODS, |gateway| gateway.size())?;
    let changes = city.place.log(&city.fleet.log(CHANGES)?);
    same(&city.fleet, CHANGES, &changes)?;
    let peak = archive.memory_kb("VmHWM:")?;
    let (bytes, files) = weight(&city.place.dir())?;
    eprintln!(
        "{words} words, {kept} leaves kept: {peak} KB at most; {files} files of {bytes} bytes"
    );
    ensure!(peak < MEMORY_KB_MAX, "{peak} KB");
    ensure!(
        bytes < 64 << 20 && files < 1_000,
        "{files} files of {bytes} bytes"
    );
    ensure!(city.place.alarms()?.is_empty(), "{:?}", city.place.alarms());
    city.cosigned(&witness)?.judge(&city.place)?;
    city.place.verify()?;
    archive.stop()
}

#[test]
fn ten_thousand_names_that_sign_for_themselves_are_strangers_of_bounded_number() -> Result<()> {
    let mut city = City::new(Persistence::Off, Size::small(2))?;
    let archive = city.place.start_with(&COSIGN_EVERY)?;
    city.live(40)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    let before = archive.memory_kb("VmRSS:")?;
    let strangers = city.place.dir().join("strangers");
    let kept = || fs::read_dir(&strangers).map_or(0, Iterator::count);
    for number in 0..STRANGERS {
        let mut seed = [9; 32];
        for (byte, from) in seed.iter_mut().zip(number.to_le_bytes()) {
            *byte = from;
        }
        let name = format!("gw-{number:05}").parse()?;
        let mut stranger = Gateway::new(&"site-9".parse()?, &name, 1, seed, Time::default())?;
        stranger.grow(1)?;
        let note = stranger.sign();
        let head = Outgoing::kept(stranger.topics().checkpoint(), note.as_bytes());
        city.fleet.say(number, head)?;
        let leaf = Outgoing::new(stranger.topics().leaf(), stranger.message(0)?);
        city.fleet.say(number, leaf)?;
        if number % 1_000 == 0 {
            city.live(3)?;
            ensure!(kept() <= KEPT, "{} strangers", kept());
        }
    }
    city.fleet.flush()?;
    // Both go on over the connections by which the strangers spoke: all that was said before has been heard.
    city.live(7)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    let witness = city.place.witness().clone();
    let sizes = city
        .all()
        .map(|number| city.fleet.with(number, |own| (own.log(), own.size())));
    let sizes: Vec<(String, u64)> = sizes.collect::<Result<_>>()?;
    city.until_cosigned("both honest ones", &witness, |said| {
        sizes.iter().all(|(log, size)| said.size(log) == *size)
    })
    .with_context(|| archive.log())?;
    let peak = archive.memory_kb("VmHWM:")?;
    let (bytes, files) = weight(&city.place.dir())?;
    eprintln!(
        "{before} KB before, {peak} KB at most; {} strangers, {files} files of {bytes} bytes",
        kept()
    );
    ensure!(peak < MEMORY_KB_MAX, "{peak} KB");
    ensure!(kept() == KEPT, "{} strangers", kept());
    ensure!(
        bytes < 32 << 20 && files < 1_000,
        "{files} files of {bytes} bytes"
    );
    ensure!(!city.place.dir().join("logs/site-9").exists());
    let said = city.cosigned(&witness)?;
    ensure!(said.logs() == city.fleet.count(), "a stranger was cosigned");
    said.judge(&city.place)?;
    archive.stop()
}
