//! Two archives with one witness's key, asked for two histories of one log at once, and killed now and then: whatever was
//! cosigned first holds for both.

use anyhow::{Context, Result, bail, ensure};
use lineside::archive::witness::{AddCheckpoint, Witness};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, Signature, SignerKey, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash, tree};
use lineside_tests::agent::binary;
use lineside_tests::http;
use lineside_tests::process::Process;
use lineside_tests::wait;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const ORIGIN: &str = "log.example/forked";
const LIMIT: Duration = Duration::from_secs(60);
/// Leaves that both histories have.
const FORK: u64 = 9;
const LEAVES_MAX: u64 = 200;
/// How often each history asks for another head.
const ROUNDS: u32 = 60;
/// How often an archive is killed meanwhile.
const KILLS: u32 = 4;

/// A history of the log.
#[derive(Clone, Copy)]
struct History(char);

impl History {
    fn node(self, level: u8, index: u64) -> Hash {
        let Some(below) = level.checked_sub(1) else {
            let word = if index < FORK { ' ' } else { self.0 };
            return Hash::of_leaf(format!("{index}{word}").as_bytes());
        };
        let [left, right] = [2 * index, 2 * index + 1].map(|index| self.node(below, index));
        Hash::of_node(&left, &right)
    }

    fn read(self) -> impl FnMut(u8, u64) -> Result<Hash, Infallible> {
        move |level, index| Ok(self.node(level, index))
    }

    fn root(self, size: u64) -> Hash {
        let Ok(root) = tree::root(size, self.read());
        root
    }

    fn request(self, signer: &SignerKey, old: u64, size: u64) -> AddCheckpoint {
        let head = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: self.root(size),
        };
        let Ok(proof) = tree::consistency(old, size, self.read());
        let text = head.to_string();
        let signatures = vec![signer.sign(&text, Time::default())];
        AddCheckpoint {
            old,
            proof: if old == 0 { Vec::new() } else { proof },
            note: Note { text, signatures },
        }
    }
}

/// An archive that nobody sends anything, and that cosigns.
struct Archive {
    process: Process,
    api: SocketAddr,
}

/// What all archives here have in common.
struct Setting {
    dir: PathBuf,
    broker: String,
    key: PathBuf,
    logs: PathBuf,
}

impl Setting {
    fn start(&self, number: usize) -> Result<Archive> {
        let text = |path: &Path| path.display().to_string();
        let dir = text(&self.dir.join(number.to_string()));
        let (key, logs) = (text(&self.key), text(&self.logs));
        let program = text(&binary()?);
        let arguments = [
            "archive",
            "--broker",
            &self.broker,
            "--dir",
            &dir,
            "--witness-key",
            &key,
            "--witness-logs",
            &logs,
            "--listen",
            "127.0.0.1:0",
        ];
        let mut process = Process::start("the archive", &program, &arguments)?;
        process.wait_for_error_line(0, "the archive's API listens", LIMIT)?;
        let lines = process.errors.lock().clone();
        // Other lines name the broker's address.
        let mut said = lines.iter().filter(|line| line.contains("API listens"));
        let said = said.next().context("it does not listen")?;
        let (_, rest) = said.split_once("127.0.0.1:").context("no address")?;
        let port = rest.split(|letter: char| !letter.is_ascii_digit()).next();
        let port: u16 = port.context("no port")?.parse()?;
        Ok(Archive {
            process,
            api: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }
}

/// Asks for one history, wherever an archive answers, and notes what was cosigned of it.
fn ask(
    history: History,
    (signer, witness): (&SignerKey, &VerifierKey),
    archives: &[Mutex<Archive>],
    cosigned: &Mutex<Vec<(u64, Hash)>>,
    seed: u64,
) -> Result<()> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut old = 0;
    for _ in 0..ROUNDS {
        let size = (old + dice.u64(0..3)).min(LEAVES_MAX);
        let request = history.request(signer, old, size);
        let place = archives.get(dice.usize(0..archives.len()));
        let archive = place.context("an archive")?.lock();
        let api = archive.unwrap_or_else(PoisonError::into_inner).api;
        let body = request.to_string();
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nHost: {api}\r\nContent-Length: {}\r\n",
            body.len()
        );
        // It may have been killed while it was asked.
        let Ok(answer) = http::send(api, &head, &body) else {
            continue;
        };
        match answer.status {
            200 => {
                let line = Signature::parse(answer.body.trim_end())?;
                let note = Note {
                    text: request.note.text,
                    signatures: vec![line],
                };
                note.verify(std::slice::from_ref(witness))?;
                let mut all = cosigned.lock().unwrap_or_else(PoisonError::into_inner);
                all.push((size, history.root(size)));
                old = size;
            }
            409 => old = answer.body.trim_end().parse()?,
            // It does not continue what holds; or the other archive, or the disk, took too long.
            422 | 503 => {}
            _ => bail!("{answer:?}"),
        }
    }
    Ok(())
}

#[test]
fn two_archives_with_one_key_cosign_one_history_whoever_is_killed() -> Result<()> {
    let place = tempfile::tempdir()?;
    let key = place.path().join("keys/witness.key");
    let witness = Witness::create(&key, "city.example/w1")?.key().clone();
    let signer = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[6; 32])?;
    let logs = place.path().join("logs");
    fs::write(&logs, format!("{}\n", signer.public()))?;
    // A port that was given back: there is no broker, and none is needed.
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let setting = Setting {
        dir: place.path().join("archives"),
        broker: format!("mqtt://{nobody}"),
        key: key.clone(),
        logs,
    };
    let archives = [0, 1].map(|number| setting.start(number).map(Mutex::new));
    let archives: Vec<Mutex<Archive>> = archives.into_iter().collect::<Result<_>>()?;
    let cosigned = Mutex::new(Vec::new());
    let count = || cosigned.lock().map_or(0, |all| all.len());
    thread::scope(|scope| -> Result<()> {
        let keys = (&signer, &witness);
        let (archives, cosigned) = (&archives, &cosigned);
        let asking: Vec<_> = ['a', 'b', 'a', 'b']
            .into_iter()
            .zip(0..)
            .map(|(word, seed)| {
                scope.spawn(move || ask(History(word), keys, archives, cosigned, seed))
            })
            .collect();
        for (turn, number) in (0..KILLS).zip([0, 1].into_iter().cycle()) {
            let before = count();
            let ended = || asking.iter().all(thread::ScopedJoinHandle::is_finished);
            wait::until_true("another cosignature", LIMIT, || {
                ended() || count() > before + 3
            })?;
            let mut archive = archives[number]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            archive
                .process
                .kill()
                .with_context(|| format!("kill {turn}"))?;
            *archive = setting.start(number)?;
        }
        for one in asking {
            one.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
        }
        Ok(())
    })?;
    let cosigned = cosigned
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut heads: BTreeMap<u64, Hash> = BTreeMap::new();
    for (size, root) in cosigned {
        let one = *heads.entry(size).or_insert(root);
        ensure!(one == root, "two roots of {size} leaves were cosigned");
    }
    let longest = heads.keys().last().copied().unwrap_or(0);
    ensure!(longest > FORK, "only {longest} leaves were reached");
    let is_one = |word| {
        heads
            .iter()
            .all(|(size, root)| History(word).root(*size) == *root)
    };
    ensure!(
        is_one('a') != is_one('b'),
        "both histories were cosigned: {heads:?}"
    );
    let last = Witness::open(&key)?.cosigned(ORIGIN)?.context("a record")?;
    ensure!(last.size >= longest, "{last:?} of {longest}");
    Ok(())
}
