//! The archive through faults: killed a hundred times, on a full disk, with a broker that comes and goes. What it
//! cosigned it has; nothing is cosigned twice differently; each cosigned head continues those before it.

use anyhow::{Context, Result, ensure};
use lineside_tests::agent::binary;
use lineside_tests::archive::{Archive, Files, Place};
use lineside_tests::broker::Persistence;
use lineside_tests::city::{City, LIMIT, heard_all};
use lineside_tests::cosigned::Cosigned;
use lineside_tests::fleet::{Fleet, Size};
use lineside_tests::process::Process;
use lineside_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How often it is killed.
const KILLS: usize = 100;
/// Every how many lives one is long.
const LONG_EVERY: usize = 8;
/// After every how many kills the whole directory is judged as the kill left it.
const JUDGED_EVERY: usize = 2 * LONG_EVERY;
/// A head of each gateway is cosigned once a second at most, so that each long life brings heads that continue those of
/// the lives before.
const COSIGN_EVERY: [&str; 2] = ["--cosign-every", "1"];
/// Gateways that begin before each of them.
const GROUP: usize = 6;
/// From one moment of a gateway's life to the next.
const TURN: Duration = Duration::from_millis(25);
/// What it may take to say in its log that it could not write.
const NO_ROOM: [&str; 3] = ["no room", "No space left", "full"];

/// The gateways that have begun live on, in no order, until they are told to end: now and then one writes, and
/// sometimes signs.
fn live(fleet: &Fleet, seed: u64, begun: &AtomicUsize, is_over: &AtomicBool) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    while !is_over.load(Ordering::SeqCst) {
        let number = random.usize(..begun.load(Ordering::SeqCst));
        fleet.grow(number, random.u64(1..8))?;
        if random.u8(..) < 100 {
            fleet.sign(number)?;
        }
        wait::throughout(TURN, || Ok(()))?;
    }
    Ok(())
}

/// Runs something while the gateways live that have begun.
fn beside_life<T>(
    fleet: &Fleet,
    seed: u64,
    begun: &AtomicUsize,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let life = scope.spawn(|| live(fleet, seed, begun, &is_over));
        let done = run();
        is_over.store(true, Ordering::SeqCst);
        match life.join() {
            Ok(lived) => lived?,
            Err(_) => anyhow::bail!("the gateways ended"),
        }
        done
    })
}

/// What must hold after every fault: the archive, which runs, gets all that was signed; and what was ever cosigned is
/// right and there.
fn hold(city: &mut City, archive: Archive, seed: u64) -> Result<()> {
    city.live(3)?;
    let kept = city.until_kept(city.all());
    kept.with_context(|| archive.log())
        .with_context(|| format!("seed {seed}"))?;
    let witness = city.place.witness().clone();
    let count = city.fleet.count();
    let all = |cosigned: &Cosigned| cosigned.logs() == count;
    let heard = city.until_cosigned("every log to be cosigned", &witness, all);
    heard.with_context(|| archive.log())?;
    let indexed = city.place.until_indexed(&[]);
    indexed.with_context(|| archive.log())?;
    archive.stop()?;
    let cosigned = city.cosigned(&witness)?;
    let pairs = cosigned
        .judge(&city.place)
        .with_context(|| format!("seed {seed}"))?;
    let alarms = city.place.alarms()?;
    ensure!(
        alarms.is_empty(),
        "seed {seed}: honest gateways: {alarms:?}"
    );
    eprintln!(
        "seed {seed}: {} heads of {} logs, {pairs} pairs proved",
        cosigned.heads(),
        cosigned.logs()
    );
    city.place
        .verify()
        .with_context(|| format!("seed {seed}"))?;
    Ok(())
}

/// The directory as a kill left it, before anything could be asked for again: whatever was cosigned by then is below the
/// head of its log there, and the index says nothing that the tiles don't.
fn left_whole(place: &Place, cosigned: &Cosigned) -> Result<()> {
    cosigned.judge(place)?;
    place.verify()?;
    place.indexed(&[])?;
    Ok(())
}

#[test]
fn a_hundred_kills_lose_and_contradict_nothing() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let lives = KILLS.div_ceil(LONG_EVERY);
    let mut city = City::new(Persistence::Often, Size::small(lives * GROUP))?;
    let City {
        fleet,
        place,
        listener,
        ..
    } = &mut city;
    let witness = place.witness().clone();
    // In each long life some begin, and the others go on.
    let begun = AtomicUsize::new(0);
    let begin = || -> Result<()> {
        let from = begun.load(Ordering::SeqCst);
        for number in from..from + GROUP {
            fleet.grow(number, 40)?;
            fleet.sign(number)?;
        }
        begun.store(from + GROUP, Ordering::SeqCst);
        Ok(())
    };
    begin()?;
    beside_life(fleet, seed, &begun, || {
        let mut random = fastrand::Rng::with_seed(seed);
        for turn in 0..KILLS {
            let mut archive = place.start_with(&COSIGN_EVERY)?;
            let heard = listener.messages()?.len();
            // Some live until they cosign, and are killed while they do: before that, an archive hears for three
            // seconds what it cosigned before.
            if turn % LONG_EVERY == 0 {
                let some = heard + random.usize(1..6 * GROUP);
                wait::until("cosignatures", LIMIT, || {
                    ensure!(archive.process().ended()?.is_none(), "it ended");
                    Ok((listener.messages()?.len() >= some).then_some(()))
                })
                .with_context(|| archive.log())?;
                if turn + LONG_EVERY < KILLS {
                    begin()?;
                }
            } else {
                let lives = Duration::from_millis(random.u64(100..400));
                wait::throughout(lives, || Ok(()))?;
            }
            let of_turn = || format!("seed {seed}, kill {turn}");
            archive.kill().with_context(of_turn)?;
            // The long lives end while they cosign.
            if turn % LONG_EVERY == 0 {
                let cosigned = heard_all((fleet, &mut *listener), &witness);
                let cosigned = cosigned.with_context(of_turn)?;
                if turn % JUDGED_EVERY == 0 {
                    left_whole(place, &cosigned).with_context(of_turn)?;
                } else {
                    cosigned.judge(place).with_context(of_turn)?;
                }
            }
        }
        Ok(())
    })?;
    let before = heard_all((fleet, &mut *listener), &witness);
    let before = before.with_context(|| format!("seed {seed}"))?;
    left_whole(place, &before).with_context(|| format!("seed {seed}, the last kill"))?;
    ensure!(
        before.heads() >= before.logs() + lives,
        "seed {seed}: only {} heads of {} logs were cosigned between the kills",
        before.heads(),
        before.logs()
    );
    let archive = city.place.start_with(&COSIGN_EVERY)?;
    hold(&mut city, archive, seed)
}

#[test]
fn a_broker_that_comes_and_goes_costs_nothing() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut city = City::new(Persistence::Often, Size::small(8))?;
    let archive = city.place.start()?;
    city.live(40)?;
    city.until_kept(city.all()).with_context(|| archive.log())?;
    let mut random = fastrand::Rng::with_seed(seed);
    for turn in 0..6 {
        let count = random.usize(1..4);
        for _ in 0..count {
            let number = random.usize(..city.fleet.count());
            city.fleet.grow(number, random.u64(1..300))?;
            city.fleet.sign(number)?;
        }
        if turn % 2 == 0 {
            city.broker.kill()?;
        } else {
            city.broker.stop()?;
        }
        city.broker.restart()?;
    }
    hold(&mut city, archive, seed)
}

/// Fills a file system to its last byte.
fn fill(path: &PathBuf) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let part = vec![7_u8; 4096];
    while file.write_all(&part).is_ok() {}
    while file.write_all(&[7]).is_ok() {}
    Ok(())
}

/// The processes that one has started.
fn children(id: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        // One that is no process, or has gone meanwhile.
        let Ok(stat) = std::fs::read_to_string(path.join("stat")) else {
            continue;
        };
        let parent = stat.rsplit_once(')').context("no name")?.1;
        let parent: u32 = parent.split_whitespace().nth(1).context("none")?.parse()?;
        if parent == id {
            let (own, _) = stat.split_once(' ').context("no id")?;
            found.push(own.parse()?);
        }
    }
    Ok(found)
}

/// Lets the archive in its namespace do nothing more: below `unshare` is the shell, and below that the archive.
fn halt(id: u32) -> Result<()> {
    let below = |id| -> Result<u32> {
        let first = children(id)?.into_iter().next();
        first.context("nothing runs in the namespace")
    };
    let archive = below(below(id)?)?;
    let process = Pid::from_raw(i32::try_from(archive)?).context("no id")?;
    kill_process(process, Signal::STOP)?;
    wait::until("it to stop", LIMIT, || {
        let stat = std::fs::read_to_string(format!("/proc/{archive}/stat"))?;
        Ok(stat.contains(") T ").then_some(()))
    })
}

/// A small file system of its own, in a namespace that ends with the archive; as a service manager would, the shell
/// starts it again.
fn on_a_small_disk(place: &Place) -> Result<Process> {
    let arguments = place.arguments();
    let quoted: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
    let dir = place.dir();
    let script = format!(
        "set -u; mount -t tmpfs -o size=24m none '{dir}'; \
         while :; do '{program}' {arguments}; echo \"ended $?\"; done",
        dir = dir.display(),
        program = binary()?.display(),
        arguments = quoted.join(" "),
    );
    let words = [
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        &script,
    ];
    Process::start("the archive in a namespace", "unshare", &words)
}

#[test]
fn a_full_disk_is_said_and_costs_nothing() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut city = City::new(Persistence::Often, Size::small(6))?;
    std::fs::create_dir(city.place.dir())?;
    let mut process = on_a_small_disk(&city.place)?;
    let dir = city.place.dir();
    let log = |process: &Process| process.errors.lock().join("\n");
    let inside = PathBuf::from(format!("/proc/{}/root{}", process.id(), dir.display()));
    city.live(40)?;
    let inner = |city: &City, number: usize| -> Result<bool> {
        let (name, size) = city
            .fleet
            .with(number, |gateway| (gateway.log(), gateway.signed_size()))?;
        let files = Files::of(&inside.join("logs").join(name));
        Ok(files.size()? >= size)
    };
    wait::until("the first leaves", LIMIT, || {
        let kept: Result<Vec<bool>> = city.all().map(|number| inner(&city, number)).collect();
        Ok(kept?.into_iter().all(|kept| kept).then_some(()))
    })
    .with_context(|| log(&process))?;
    // Full, until it has said so.
    let filler = inside.join("filler");
    wait::until("the archive to say that its disk is full", LIMIT, || {
        fill(&filler)?;
        city.live(300)?;
        let said = log(&process);
        Ok(NO_ROOM.iter().any(|word| said.contains(word)).then_some(()))
    })
    .with_context(|| log(&process))?;
    city.live(50)?;
    city.fleet.flush()?;
    std::fs::remove_file(&filler)?;
    city.live(3)?;
    wait::until("all leaves", LIMIT, || {
        let kept: Result<Vec<bool>> = city.all().map(|number| inner(&city, number)).collect();
        Ok(kept?.into_iter().all(|kept| kept).then_some(()))
    })
    .with_context(|| log(&process))?;
    // What lies in the namespace is judged where everybody sees it, as a kill would leave it.
    halt(process.id())?;
    lineside_tests::log::copy(&inside, &dir)?;
    process.kill()?;
    let City {
        fleet,
        place,
        listener,
        ..
    } = &mut city;
    let cosigned = heard_all((&*fleet, listener), &place.witness().clone())?;
    left_whole(place, &cosigned).with_context(|| log(&process))?;
    let archive = city.place.start()?;
    hold(&mut city, archive, seed)
}

/// As the city's guide says: the directory is copied while the archive stands still, and without the index; the witness's
/// memory is no part of it.
#[test]
fn a_directory_of_before_is_put_back_and_has_everything_again() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut city = City::new(Persistence::Often, Size::small(6))?;
    let witness = city.place.witness().clone();
    let count = city.fleet.count();
    let (dir, copied) = (city.place.dir(), city.place.dir().with_extension("copy"));
    let mut heads = 0;
    // The second life is lost.
    for is_copied in [true, false] {
        let archive = city.place.start_with(&COSIGN_EVERY)?;
        city.live(40)?;
        city.until_kept(city.all()).with_context(|| archive.log())?;
        let more = |cosigned: &Cosigned| cosigned.heads() >= heads + count;
        let all = city.until_cosigned("every log to be cosigned", &witness, more);
        all.with_context(|| archive.log())?;
        archive.stop()?;
        heads = city.cosigned(&witness)?.heads();
        if is_copied {
            lineside_tests::log::copy(&dir, &copied)?;
            for end in ["", "-wal", "-shm"] {
                drop(std::fs::remove_file(
                    copied.join(format!("index.sqlite{end}")),
                ));
            }
        }
    }
    let before = city.cosigned(&witness)?;
    before.judge(&city.place)?;
    std::fs::remove_dir_all(&dir)?;
    std::fs::rename(&copied, &dir)?;
    city.place.verify()?;
    ensure!(before.judge(&city.place).is_err(), "the copy is of before");
    let archive = city.place.start_with(&COSIGN_EVERY)?;
    hold(&mut city, archive, seed)
}
