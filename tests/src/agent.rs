//! The real agent, as a process.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::process::Process;

/// How long a clean stop may take: the last word is sent to the broker and awaited.
const STOP_MAX: Duration = Duration::from_secs(20);

/// How long the console may take to listen.
const CONSOLE_MAX: Duration = Duration::from_secs(20);

/// The binary that was built beside the tests.
///
/// # Errors
///
/// When it was not built.
pub fn binary() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let profile = test
        .parent()
        .and_then(Path::parent)
        .context("no build directory")?;
    let binary = profile.join("lineside");
    ensure!(
        binary.exists(),
        "{} is missing: build it by tests/run.sh",
        binary.display()
    );
    Ok(binary)
}

/// Runs a command of the agent to its end, away from the user's own settings.
///
/// # Errors
///
/// When it can't be started.
pub fn command(arguments: &[&str]) -> Result<Output> {
    Command::new(binary()?)
        .args(arguments)
        .env_remove("LINESIDE_CONFIG")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .context("running the agent's binary")
}

/// What the systemd unit puts into the daemon's environment.
fn environment() -> Result<Vec<(String, String)>> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/lineside.service");
    let unit = fs::read_to_string(&unit).with_context(|| unit.display().to_string())?;
    let said = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="));
    let pairs = said.filter_map(|pair| pair.split_once('='));
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(pairs.map(pair).collect())
}

/// `lineside run`.
#[derive(Debug)]
pub struct Agent {
    process: Process,
}

impl Agent {
    /// Starts the daemon.
    ///
    /// # Errors
    ///
    /// When the binary is missing.
    pub fn start(config: &Path) -> Result<Self> {
        Self::start_in(config, environment()?)
    }

    /// Starts the daemon with one more variable in its environment.
    ///
    /// # Errors
    ///
    /// When the binary is missing.
    pub fn start_with(config: &Path, name: &str, value: &Path) -> Result<Self> {
        let mut environment = environment()?;
        environment.push((name.to_owned(), value.display().to_string()));
        Self::start_in(config, environment)
    }

    fn start_in(config: &Path, environment: Vec<(String, String)>) -> Result<Self> {
        let binary = binary()?;
        let program = binary.to_str().context("path of the binary")?;
        let config = config.to_str().context("path of the configuration")?;
        let arguments = ["run", "-c", config];
        let process = Process::start_in(&environment, "the agent", program, &arguments)?;
        Ok(Self { process })
    }

    /// The process, for its lines and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Power cut, as far as a process can feel one.
    ///
    /// # Errors
    ///
    /// When it had gone before.
    pub fn kill(self) -> Result<()> {
        self.process.cut()
    }

    /// A clean stop.
    ///
    /// # Errors
    ///
    /// When it takes too long, or ends with anything but 0.
    pub fn stop(self) -> Result<()> {
        self.process.stop(STOP_MAX)
    }

    /// Asks it to read its configuration again.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// Waits until the console listens, and gives its address.
    ///
    /// # Errors
    ///
    /// With the log, when it does not.
    pub fn console(&mut self) -> Result<SocketAddr> {
        let said = "the console listens";
        let waited = self.process.wait_for_error_line(0, said, CONSOLE_MAX);
        waited.with_context(|| self.log())?;
        let log = self.log();
        let mut lines = log.lines().filter(|line| line.contains(said));
        let line = lines.next().context("no line")?;
        let (_, address) = line.rsplit_once("address=").context("no address")?;
        Ok(address.trim().parse()?)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.errors.lock().join("\n")
    }

    /// For how long its threads have waited for a core so far.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn starved(&self) -> Result<Duration> {
        self.process.starved()
    }

    /// Resident memory now, in kilobytes.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn resident_kb(&self) -> Result<u64> {
        self.memory_kb("VmRSS:")
    }

    /// Resident memory at most so far, in kilobytes.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn peak_kb(&self) -> Result<u64> {
        self.memory_kb("VmHWM:")
    }

    fn memory_kb(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .context("no such line")?;
        let number = line.split_whitespace().nth(1).context("no number")?;
        Ok(number.parse()?)
    }
}

/// CPU seconds that a process has used, in itself and in the kernel.
///
/// # Errors
///
/// When it has gone.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name may hold anything, so that fields are counted from its closing bracket on.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let mut ticks = 0;
    for used in fields.split_whitespace().skip(11).take(2) {
        ticks += used.parse::<u32>()?;
    }
    let tick_s = 1.0 / f64::from(u32::try_from(rustix::param::clock_ticks_per_second())?);
    let ticked = f64::from(ticks) * tick_s;
    // Ticks are coarse but count threads that have ended; the scheduler's figures are fine and don't.
    let mut scheduled = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let Ok(figures) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let nanoseconds = figures.split_whitespace().next().context("no figure")?;
        scheduled += Duration::from_nanos(nanoseconds.parse()?);
    }
    let fine = scheduled.as_secs_f64();
    Ok(if ticked - fine > 2.0 * tick_s {
        ticked
    } else {
        fine
    })
}
