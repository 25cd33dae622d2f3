//! The real archive, as a process, and what lies in its directory.

use anyhow::{Context, Result, ensure};
use lineside::archive::witness::Witness;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_proto::ledger::tile::{Kind, Tile, WIDTH, entries};
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

use crate::agent::{binary, command};
use crate::process::Process;
use crate::wait;

/// The witness's name.
const WITNESS: &str = "witness.test";
/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How long the index may take to reach the heads, and the API to listen.
const REACH_MAX: Duration = Duration::from_secs(60);

/// A place for an archive: its directory, the cards, and the witness's key apart from both. Gone when dropped.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
    port: u16,
    more: Vec<String>,
    witness: VerifierKey,
}

impl Place {
    /// An empty one, whose archive will subscribe at this port.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn new(port: u16) -> Result<Self> {
        Self::named(port, WITNESS)
    }

    /// The same, whose witness has another name.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn named(port: u16, witness: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("lineside-archive-")
            .tempdir()?;
        fs::create_dir(dir.path().join("cards"))?;
        let key = dir.path().join("witness/witness.key");
        let folder = key.parent().context("a folder")?;
        fs::DirBuilder::new().mode(0o700).create(folder)?;
        let witness = Witness::create(&key, witness)?.key().clone();
        Ok(Self {
            dir,
            port,
            more: Vec::new(),
            witness,
        })
    }

    /// With further arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.more
            .extend(arguments.iter().map(|word| (*word).to_owned()));
        self
    }

    /// The archive's directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    /// Where the cards lie.
    pub fn cards(&self) -> PathBuf {
        self.dir.path().join("cards")
    }

    /// The witness's key.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("witness/witness.key")
    }

    /// The verifier key of its cosignatures.
    pub fn witness(&self) -> &VerifierKey {
        &self.witness
    }

    /// The arguments of `lineside`.
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let mut arguments = vec![
            "archive".to_owned(),
            "--broker".to_owned(),
            format!("mqtt://127.0.0.1:{}", self.port),
            "--dir".to_owned(),
            path(self.dir()),
            "--gateways".to_owned(),
            path(self.cards()),
            "--witness-key".to_owned(),
            path(self.key()),
        ];
        arguments.extend(self.more.iter().cloned());
        arguments
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the binary is missing.
    pub fn start(&self) -> Result<Archive> {
        self.start_with(&[])
    }

    /// Starts it with further arguments.
    ///
    /// # Errors
    ///
    /// When the binary is missing.
    pub fn start_with(&self, more: &[&str]) -> Result<Archive> {
        let program = binary()?;
        let program = program.to_str().context("path of the binary")?;
        let arguments = self.arguments();
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(more);
        let process = Process::start("the archive", program, &arguments)?;
        Ok(Archive { process })
    }

    /// Runs a subcommand on its directory: the exit code, and what it said on both ways.
    ///
    /// # Errors
    ///
    /// When it can't be started, or prints what is no text.
    pub fn say(&self, words: &[&str]) -> Result<(i32, String, String)> {
        let dir = self.dir().display().to_string();
        let arguments = [&["archive"], words, &["--dir", &dir, "--lang", "en"]].concat();
        let output = command(&arguments)?;
        let code = output.status.code().context("it was killed")?;
        let text = String::from_utf8(output.stdout)?;
        Ok((code, text, String::from_utf8(output.stderr)?))
    }

    /// What `usage pull --archive --json` says of a log (`site/gateway/epoch`), and what it says on standard error.
    ///
    /// # Errors
    ///
    /// When it is not pulled.
    pub fn pulled(&self, log: &str) -> Result<(Value, String)> {
        let mut names = log.split('/');
        let mut name = || names.next().context("a name");
        let (site, gateway) = (name()?, name()?);
        let dir = self.dir().display().to_string();
        let out = tempfile::tempdir()?;
        let out = out.path().join("one.zip").display().to_string();
        let whose = ["--archive", &dir, "--site", site, "--gateway", gateway];
        let what = ["--from", "2020-01", "--to", "2029-01", "-o", &out];
        let how = ["--json", "--lang", "en"];
        let output = command(&[&["usage", "pull"], &whose[..], &what, &how].concat())?;
        let err = String::from_utf8(output.stderr)?;
        ensure!(output.status.success(), "{err}");
        Ok((serde_json::from_slice(&output.stdout)?, err))
    }

    /// Has `archive verify` check everything anew, by the cards and with the witness's key.
    ///
    /// # Errors
    ///
    /// With all it said, when something is not sound.
    pub fn verify(&self) -> Result<()> {
        let cards = self.cards().display().to_string();
        let witness = self.witness.to_string();
        let words = ["verify", "--gateways", &cards, "--witness", &witness];
        let (code, out, err) = self.say(&words)?;
        ensure!(code == 0, "{code}\n{out}{err}");
        Ok(())
    }

    /// What `archive index --check --json` says of the index that the process wrote, with further arguments (where it is);
    /// none where there is none yet.
    ///
    /// # Errors
    ///
    /// With all it said, when it is not equal to the tiles.
    pub fn indexed(&self, more: &[&str]) -> Result<Option<Value>> {
        let (code, out, err) = self.say(&[&["index", "--check", "--json"], more].concat())?;
        let is_new = code == 2 && err.contains("holds no archive");
        if is_new || code == 1 && err.contains("there is no index") {
            return Ok(None);
        }
        ensure!(code == 0 || code == 1, "{code}: {out}{err}");
        let said: Value = serde_json::from_str(&out).with_context(|| format!("{out}{err}"))?;
        let is_equal = said.get("equal").and_then(Value::as_bool);
        ensure!(is_equal == Some(true), "{said}");
        Ok(Some(said))
    }

    /// Waits until the index that the running process writes has every signed leaf; all of it must equal the tiles.
    ///
    /// # Errors
    ///
    /// With all that the check said, when it is another or does not come so far.
    pub fn until_indexed(&self, more: &[&str]) -> Result<()> {
        let mut last = None;
        let reached = wait::until("the index to reach the heads", REACH_MAX, || {
            last = self.indexed(more)?;
            let figure = |name: &str| last.as_ref()?.get(name)?.as_u64();
            let is_there = figure("behind") == Some(0) && figure("logs") > Some(0);
            Ok(is_there.then_some(()))
        });
        reached.with_context(|| format!("{last:?}"))
    }

    /// What `archive status --json` says of each log.
    ///
    /// # Errors
    ///
    /// When a line is no JSON.
    pub fn status(&self) -> Result<Vec<Value>> {
        let (code, out, err) = self.say(&["status", "--json"])?;
        let is_new = code == 2 && err.contains("holds no archive");
        ensure!(code == 0 || code == 1 || is_new, "{code}: {out}{err}");
        let read = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
        out.lines().map(read).collect()
    }

    /// A log's files, by `site/gateway/e1`.
    pub fn log(&self, log: &str) -> Files {
        Files::of(&self.dir().join("logs").join(log))
    }

    /// The alarms so far, oldest first.
    ///
    /// # Errors
    ///
    /// When one can't be read.
    pub fn alarms(&self) -> Result<Vec<Alarm>> {
        let mut folders = folders(&self.dir().join("alarms"))?;
        folders.sort();
        let read = folders.iter().map(|dir| Alarm::read(dir));
        read.filter_map(Result::transpose).collect()
    }
}

/// `lineside archive`.
#[derive(Debug)]
pub struct Archive {
    process: Process,
}

impl Archive {
    /// The process, for its lines and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it by SIGKILL, which must find it running.
    ///
    /// # Errors
    ///
    /// With its log, when it had gone before, or a part of it had panicked.
    pub fn kill(self) -> Result<()> {
        self.is_calm()?;
        self.process.cut()
    }

    /// No thread and no task of it has panicked so far, which the others may outlive.
    ///
    /// # Errors
    ///
    /// With its log, when one has.
    pub fn is_calm(&self) -> Result<()> {
        let log = self.log();
        ensure!(!log.contains("panicked"), "{log}");
        Ok(())
    }

    /// A clean stop.
    ///
    /// # Errors
    ///
    /// With its log, when it takes too long, or ends with anything but 0, or a part of it had panicked.
    pub fn stop(self) -> Result<()> {
        let lines = self.process.errors.clone();
        self.process.stop(STOP_MAX)?;
        let log = lines.lock().join("\n");
        ensure!(!log.contains("panicked"), "{log}");
        Ok(())
    }

    /// Waits until its API listens (with `--listen 127.0.0.1:0`), and gives the address.
    ///
    /// # Errors
    ///
    /// With the log, when it does not.
    pub fn api(&mut self) -> Result<SocketAddr> {
        let said = "the archive's API listens";
        let waited = self.process.wait_for_error_line(0, said, REACH_MAX);
        waited.with_context(|| self.log())?;
        let log = self.log();
        let is_it = |line: &&str| line.contains(said);
        let line = log.lines().find(is_it).context("no line")?;
        let (_, address) = line.rsplit_once("address=").context("no address")?;
        Ok(address.trim().parse()?)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.errors.lock().join("\n")
    }

    /// A figure of its memory in kilobytes, by the kernel's name (`VmRSS:`, `VmHWM:`).
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn memory_kb(&self, name: &str) -> Result<u64> {
        memory_kb(self.id(), name)
    }
}

/// A figure of a process's memory in kilobytes, by the kernel's name (`VmRSS:`, `VmHWM:`).
///
/// # Errors
///
/// When it has gone.
pub fn memory_kb(id: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let mut lines = status.lines().filter(|line| line.starts_with(name));
    let number = lines.next().and_then(|line| line.split_whitespace().nth(1));
    Ok(number.context("no such figure")?.parse()?)
}

/// A log as static files.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Those in a directory.
    pub fn of(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The signed note, and the head in it; none where there is none yet.
    ///
    /// # Errors
    ///
    /// When it can't be read, or is no checkpoint.
    pub fn head(&self) -> Result<Option<(String, Checkpoint)>> {
        let note = match fs::read_to_string(self.dir.join("checkpoint")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let head = Checkpoint::parse(&Note::parse(&note)?.text)?;
        Ok(Some((note, head)))
    }

    /// Leaves that the head speaks for; 0 where there is none.
    ///
    /// # Errors
    ///
    /// As [`head`](Self::head).
    pub fn size(&self) -> Result<u64> {
        Ok(self.head()?.map_or(0, |(_, head)| head.size))
    }

    /// The first `size` leaves, as the bundles have them; a bundle that has grown since counts for a smaller.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged.
    pub fn leaves(&self, size: u64) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for tile in Tile::of_log(size).filter(|tile| tile.kind == Kind::Entries) {
            let (bytes, width) = self.bundle(tile)?;
            let leaves = entries(&bytes, width)?.into_iter();
            let leaves = leaves.take(usize::try_from(tile.width)?);
            all.extend(leaves.map(<[u8]>::to_vec));
        }
        Ok(all)
    }

    /// A bundle and how many leaves it has: the one asked for, or a fuller one.
    fn bundle(&self, tile: Tile) -> Result<(Vec<u8>, u64)> {
        for width in tile.width..=WIDTH {
            let path = self.dir.join(Tile { width, ..tile }.to_string());
            match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).context(path.display().to_string()),
                Ok(bytes) => return Ok((bytes, width)),
            }
        }
        anyhow::bail!("{}: {tile} is missing", self.dir.display())
    }
}

/// What was refused, with its proof.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// Its folder.
    pub dir: PathBuf,
    /// `alarm.json`.
    pub about: Value,
    /// The note that was known; none where the folder has none.
    pub known: Option<String>,
    /// The note that was shown and refused; none where the folder has none.
    pub shown: Option<String>,
}

impl Alarm {
    /// None where it is still being written: its text comes last.
    fn read(dir: &Path) -> Result<Option<Self>> {
        let text = |name: &str| match fs::read_to_string(dir.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        };
        let Some(about) = text("alarm.json")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            dir: dir.to_owned(),
            about: serde_json::from_str(&about).with_context(|| about.clone())?,
            known: text("known.note")?,
            shown: text("shown.note")?,
        }))
    }

    /// The folder's name: `{time}-{site}-{gateway}-e{n}-{kind}`.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// The folders in a folder; none where that is missing. Those with a name that begins with a point are not counted.
pub(crate) fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Bytes and files below a directory, as they are counted there now.
///
/// # Errors
///
/// When it can't be listed.
pub fn weight(dir: &Path) -> Result<(u64, u64)> {
    let (mut bytes, mut files) = (0, 0);
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let Ok(listed) = fs::read_dir(&dir) else {
            // It may just have been removed.
            continue;
        };
        for entry in listed.flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            if about.is_dir() {
                waiting.push(entry.path());
            } else {
                bytes += about.len();
                files += 1;
            }
        }
    }
    Ok((bytes, files))
}
