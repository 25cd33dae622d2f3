//! An archive's directory in the hands of others: Go's `sumdb`, `ct-merkle` and `signed_note` verify it, from the disk
//! and as any web server serves it; ten forgeries are refused by them and by `lineside archive verify`.

use anyhow::{Context, Result, ensure};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::tile::{Kind, Tile};
use lineside_proto::ledger::tree::{self, Range as Growing};
use lineside_proto::ledger::{Checkpoint, Hash};
use lineside_tests::agent::command;
use lineside_tests::archive::Files;
use lineside_tests::broker::{Persistence, free_port};
use lineside_tests::city::{City, LIMIT};
use lineside_tests::fleet::Size;
use lineside_tests::foreign::{self, Proof, Question, Tree};
use lineside_tests::forgery::change_leaves;
use lineside_tests::http::get;
use lineside_tests::log;
use lineside_tests::process::Process;
use lineside_tests::wait;
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// What the gateway wrote before each of its signatures.
const RUNS: [u64; 5] = [40, 216, 300, 7, 200];

/// A city whose archive has a log in several steps, and the notes of these.
fn written() -> Result<(City, Vec<String>)> {
    let city = City::new(Persistence::Off, Size::small(2))?;
    let archive = city.place.start()?;
    let mut notes = Vec::new();
    for count in RUNS {
        city.fleet.grow(0, count)?;
        city.fleet.sign(0)?;
        city.until_kept([0]).with_context(|| archive.log())?;
        let note = city.fleet.with(0, |gateway| gateway.note().cloned())?;
        notes.push(note.context("a note")?.to_string());
    }
    city.fleet.grow(1, 300)?;
    city.fleet.sign(1)?;
    city.until_kept([1]).with_context(|| archive.log())?;
    // A tail that nobody signed.
    city.fleet.grow(0, 9)?;
    city.fleet.flush()?;
    archive.stop()?;
    Ok((city, notes))
}

fn question(city: &City, dir: &Path, seen: &[String]) -> Result<Question> {
    let (origin, key) = city.fleet.with(0, |gateway| {
        (
            gateway.origin().to_owned(),
            gateway.signer().public().to_string(),
        )
    })?;
    Ok(Question {
        dir: dir.to_owned(),
        origin,
        keys: vec![key],
        seen: seen.to_vec(),
        inclusion: Vec::new(),
        consistency: Vec::new(),
    })
}

/// Fetches a log's files from a web server, as the tools of others do: the checkpoint, then the tiles of its size.
fn fetched(address: SocketAddr, log: &str, to: &Path) -> Result<Files> {
    let fetch = |path: &str| -> Result<()> {
        let answer = get(address, &format!("/logs/{log}/{path}"))?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        let place = to.join(path);
        fs::create_dir_all(place.parent().context("a folder")?)?;
        Ok(fs::write(place, answer.bytes)?)
    };
    fetch("checkpoint")?;
    let files = Files::of(to);
    for tile in Tile::of_log(files.size()?) {
        fetch(&tile.to_string())?;
    }
    Ok(files)
}

#[test]
fn others_verify_an_archive_from_the_disk_and_from_any_web_server() -> Result<()> {
    let (city, notes) = written()?;
    let log = city.fleet.log(0)?;
    let size: u64 = RUNS.iter().sum();
    let files = city.place.log(&log);
    let place = tempfile::tempdir()?;
    let port = free_port()?;
    let dir = city.place.dir().display().to_string();
    let number = port.to_string();
    let arguments = [
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        &dir,
        &number,
    ];
    let server = Process::start("a web server", "python3", &arguments)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let served = wait::until("the web server", LIMIT, || {
        Ok(std::net::TcpStream::connect(address).ok())
    })?;
    drop(served);
    let over_http = fetched(address, &log, place.path())?;
    drop(server);
    for files in [&files, &over_http] {
        let mut asked = question(&city, files.dir(), &notes)?;
        let leaves = files.leaves(size)?;
        let mut nodes = HashMap::new();
        let mut growing = Growing::default();
        for leaf in &leaves {
            growing.push(Hash::of_leaf(leaf), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
        }
        let node = |level, index| nodes.get(&(level, index)).copied().context("a node");
        for index in (0..size).step_by(13) {
            let proof = tree::inclusion(index, size, node)?;
            asked.inclusion.push(Proof::new(index, size, &proof));
        }
        let answer = foreign::reference(&asked)?;
        ensure!(answer.size == size && answer.leaves == size, "{answer:?}");
        ensure!(answer.seen == RUNS.len() as u64, "{answer:?}");
        // By two other authors, too.
        let mut heads = Vec::new();
        for note in &notes {
            heads.push(foreign::opened(note, &asked.keys)?);
        }
        let (note, _) = files.head()?.context("a head")?;
        ensure!(foreign::opened(&note, &asked.keys)?.0 == size);
        let sizes: Vec<u64> = heads.iter().map(|(size, _)| *size).collect();
        let tree_of_others = Tree::new(leaves);
        let roots = tree_of_others.roots(&sizes)?;
        ensure!(roots.iter().eq(heads.iter().map(|(_, root)| root)));
        for pair in heads.windows(2) {
            let [old, new] = pair else { continue };
            let proof = tree::consistency(old.0, new.0, node)?;
            foreign::consistent(*old, *new, &proof)?;
        }
    }
    Ok(())
}

/// A forgery of a log's files.
struct Forgery {
    name: &'static str,
    make: fn(&City, &[String], &Path) -> Result<()>,
}

fn size_of(dir: &Path) -> Result<u64> {
    Files::of(dir).size()
}

/// The checkpoint with another text or signer.
fn sign_anew(dir: &Path, signer: &SignerKey, change: impl FnOnce(&mut Checkpoint)) -> Result<()> {
    let (_, mut head) = Files::of(dir).head()?.context("a head")?;
    change(&mut head);
    let text = head.to_string();
    let signatures = vec![signer.sign(&text, Time::default())];
    Ok(fs::write(
        dir.join("checkpoint"),
        Note { text, signatures }.to_string(),
    )?)
}

const FORGERIES: [Forgery; 11] = [
    Forgery {
        name: "a byte of a leaf flipped",
        make: |_, _, dir| {
            change_leaves(dir, size_of(dir)?, |all| {
                let leaf = all.get_mut(600).context("a leaf")?;
                let byte = leaf.iter_mut().rev().find(|byte| byte.is_ascii_digit());
                *byte.context("a digit")? ^= 1;
                Ok(())
            })
        },
    },
    Forgery {
        name: "a leaf dropped",
        make: |_, _, dir| {
            change_leaves(dir, size_of(dir)?, |all| {
                all.remove(600);
                Ok(())
            })
        },
    },
    Forgery {
        name: "two leaves in another order",
        make: |_, _, dir| {
            change_leaves(dir, size_of(dir)?, |all| {
                all.swap(600, 601);
                Ok(())
            })
        },
    },
    Forgery {
        name: "a bundle cut off",
        make: |_, _, dir| {
            let path = dir.join("tile/entries/001");
            let bytes = fs::read(&path)?;
            Ok(fs::write(&path, bytes.get(..9_000).context("a long one")?)?)
        },
    },
    Forgery {
        name: "the last bundle missing",
        make: |_, _, dir| {
            let last = Tile::of_log(size_of(dir)?).filter(|tile| tile.kind == Kind::Entries);
            let last = last.last().context("a bundle")?;
            Ok(fs::remove_file(dir.join(last.to_string()))?)
        },
    },
    Forgery {
        name: "a tile replaced",
        make: |_, _, dir| {
            fs::copy(dir.join("tile/0/000"), dir.join("tile/0/001"))?;
            Ok(())
        },
    },
    Forgery {
        name: "an upper tile replaced",
        make: |_, _, dir| {
            let path = dir.join("tile/1/000.p/2");
            let mut hashes = fs::read(&path)?;
            hashes.rotate_left(32);
            Ok(fs::write(path, hashes)?)
        },
    },
    Forgery {
        name: "signed by another key",
        make: |city, _, dir| {
            let origin = city.fleet.with(0, |gateway| gateway.origin().to_owned())?;
            sign_anew(
                dir,
                &SignerKey::new(&origin, KeyKind::Ed25519, &[9; 32])?,
                |_| (),
            )
        },
    },
    Forgery {
        name: "the checkpoint's size edited",
        make: |_, _, dir| {
            let path = dir.join("checkpoint");
            let size = size_of(dir)?;
            let text = fs::read_to_string(&path)?;
            let changed = text.replace(&format!("\n{size}\n"), &format!("\n{}\n", size - 1));
            ensure!(changed != text);
            Ok(fs::write(path, changed)?)
        },
    },
    Forgery {
        name: "a stale checkpoint",
        make: |_, notes, dir| {
            Ok(fs::write(
                dir.join("checkpoint"),
                notes.get(1).context("a note")?,
            )?)
        },
    },
    Forgery {
        name: "another history signed with the gateway's own key",
        make: |city, _, dir| {
            let fork = city.fleet.with(0, |gateway| {
                let mut fork = gateway.forked(500)?;
                fork.sign();
                Ok::<_, anyhow::Error>(fork)
            })??;
            fs::remove_dir_all(dir)?;
            fork.write_files(dir)
        },
    },
];

#[test]
fn eleven_forgeries_are_refused_by_others_and_by_ours() -> Result<()> {
    let (city, notes) = written()?;
    let log = city.fleet.log(0)?;
    let place = tempfile::tempdir()?;
    let cards = city.place.cards().display().to_string();
    let verify = |dir: &Path| -> Result<(Option<i32>, String)> {
        let dir = dir.display().to_string();
        let words = ["archive", "verify", "--gateways", &cards, "--dir", &dir];
        let output = command(&[&words[..], &["--lang", "en"]].concat())?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8(said)?))
    };
    let untouched = place.path().join("untouched");
    log::copy(&city.place.dir(), &untouched)?;
    let (code, said) = verify(&untouched)?;
    ensure!(code == Some(0), "{code:?}: {said}");
    foreign::reference(&question(
        &city,
        &untouched.join("logs").join(&log),
        &notes,
    )?)?;
    for (number, forgery) in FORGERIES.iter().enumerate() {
        let name = forgery.name;
        let dir = place.path().join(number.to_string());
        log::copy(&city.place.dir(), &dir)?;
        let files = dir.join("logs").join(&log);
        (forgery.make)(&city, &notes, &files).context(name)?;
        let (code, ours) = verify(&dir)?;
        let folder = log.trim_end_matches("/e1");
        ensure!(
            code == Some(1) && ours.contains(folder),
            "{name}: ours says {code:?}: {ours}"
        );
        let asked = question(&city, &files, &notes)?;
        let foreign = foreign::reference(&asked).err().context(name)?;
        eprintln!("{name}\n  ours:    {}\n  foreign: {foreign}", ours.trim());
    }
    Ok(())
}
