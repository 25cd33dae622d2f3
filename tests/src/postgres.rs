//! PostgreSQL as the distribution brings it: a server of its own, on a Unix socket in a directory that goes with it.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

use crate::process::Process;
use crate::wait;

/// How long it may take to come up, or to end: recovery after a SIGKILL included.
const START_MAX: Duration = Duration::from_secs(60);

/// What it says when it takes connections.
const READY: &str = "database system is ready to accept connections";

/// What it says when processes of the server before, which was killed, still end.
const IN_USE: &str = "is still in use";

/// The user that the distribution's package makes: the server does not run as root.
const USER: &str = "postgres";

/// A server with a directory of its own, and no port.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    programs: PathBuf,
    process: Option<Process>,
}

impl Postgres {
    /// Makes a cluster and starts its server. Texts are sorted as people sort them, which is not by their bytes.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL here, or it doesn't start.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("lineside-postgres-")
            .tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        if let Some((user, group)) = other_user()? {
            chown(dir.path(), Some(user), Some(group))?;
        }
        let mut server = Self {
            programs: programs()?,
            dir,
            process: None,
        };
        let data = server.data();
        let initdb = server.command(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "lineside",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en",
            ],
        )?;
        let (program, arguments) = initdb.split_first().context("no program")?;
        let made = Command::new(program)
            .args(arguments)
            .current_dir("/")
            .output()?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.restart()?;
        Ok(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!(
            "host={} user=lineside dbname=postgres",
            self.dir.path().display()
        )
    }

    /// Starts it again, with what it kept.
    ///
    /// # Errors
    ///
    /// When it doesn't come up in time.
    pub fn restart(&mut self) -> Result<()> {
        let (data, socket) = (self.data(), self.dir.path().display().to_string());
        let words = self.command(
            "postgres",
            &[
                "-D",
                &data,
                "-k",
                &socket,
                "-c",
                "listen_addresses=",
                "-c",
                "max_connections=20",
                "-c",
                "shared_buffers=32MB",
            ],
        )?;
        let (program, arguments) = words.split_first().context("no program")?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = wait::until(
            "the end of an earlier server's processes",
            START_MAX,
            || {
                let mut process = Process::start("postgres", program, &arguments)?;
                match process.wait_for_error_line(0, READY, START_MAX) {
                    Ok(()) => Ok(Some(process)),
                    Err(error) if format!("{error:#}").contains(IN_USE) => Ok(None),
                    Err(error) => Err(error),
                }
            },
        )?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it without a chance to save.
    ///
    /// # Errors
    ///
    /// When it had gone before.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("postgres does not run")?;
        process.kill()
    }

    /// Stops it at once, but in good order.
    ///
    /// # Errors
    ///
    /// When it had gone before, or doesn't end.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("postgres does not run")?;
        process.signal(Signal::INT)?;
        process.wait(START_MAX)?;
        Ok(())
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    /// A program of the package and its arguments, as a user that is not root.
    fn command(&self, program: &str, arguments: &[&str]) -> Result<Vec<String>> {
        let mut words: Vec<String> = Vec::new();
        if let Some((user, group)) = other_user()? {
            let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
            // A change of user takes back what ends it with the test.
            let ends = ["--clear-groups", "--pdeathsig", "KILL", "--"];
            words.extend(["setpriv", &user, &group].map(str::to_owned));
            words.extend(ends.map(str::to_owned));
        }
        words.push(self.programs.join(program).display().to_string());
        words.extend(arguments.iter().map(ToString::to_string));
        Ok(words)
    }
}

/// Where the newest version's programs are.
fn programs() -> Result<PathBuf> {
    let root = Path::new("/usr/lib/postgresql");
    let listed = fs::read_dir(root).context("PostgreSQL is not installed: tests/setup.sh")?;
    let versions = listed
        .flatten()
        .filter(|entry| entry.path().join("bin/postgres").exists());
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().context("PostgreSQL is not installed")?;
    Ok(root.join(newest.to_string()).join("bin"))
}

/// Whose the server's process is to be, by the numbers of user and group; none where this one is not root's.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(USER));
    let line = line.context("there is no user postgres")?;
    let mut numbers = line.split(':').skip(2);
    let mut number = || -> Result<u32> { Ok(numbers.next().context("no number")?.parse()?) };
    Ok(Some((number()?, number()?)))
}
