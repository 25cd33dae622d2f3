//! A child process: its lines, its signals, its end.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::wait;

/// Lines kept of a child's standard error, enough to understand a failed test.
const ERROR_LINES_MAX: usize = 20_000;

/// What a child has printed so far.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// The lines, locked for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(&self, from: impl Read + Send + 'static, lines_max: usize) {
        let lines = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut all = lines.lock();
                if all.len() < lines_max {
                    all.push(line);
                }
            }
        });
    }
}

/// A child process. It ends when this is dropped, and with the thread that started it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    /// Its standard output.
    pub output: Lines,
    /// Its standard error.
    pub errors: Lines,
}

impl Process {
    /// Starts `program`.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub fn start(name: &str, program: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_in(&[], name, program, arguments)
    }

    /// For how long its threads have waited for a core so far: what the machine, and not the program, took.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn starved(&self) -> Result<Duration> {
        let mut starved = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            let waited = text.split_whitespace().nth(1).unwrap_or("0").parse()?;
            starved += Duration::from_nanos(waited);
        }
        Ok(starved)
    }

    /// Starts `program` with more in its environment.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub fn start_in(
        environment: &[(String, String)],
        name: &str,
        program: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        // The kernel ends the child should the test die without a word.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name} ({program})"))?;
        let output = Lines::default();
        let errors = Lines::default();
        if let Some(from) = child.stdout.take() {
            output.collect(from, usize::MAX);
        }
        if let Some(from) = child.stderr.take() {
            errors.collect(from, ERROR_LINES_MAX);
        }
        let stdin = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin,
            output,
            errors,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is closed")?;
        writeln!(stdin, "{line}").with_context(|| format!("writing to {}", self.name))
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(id).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Its end, if it has ended.
    ///
    /// # Errors
    ///
    /// When the kernel doesn't know it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// After `limit`, with its last words.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, limit, || Ok(self.child.try_wait()?))
            .with_context(|| self.errors.lock().join("\n"))
    }

    /// Ends it by SIGKILL and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the kernel doesn't know it.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Power cut, as far as a process can feel one: ends it by SIGKILL, which must find it running.
    ///
    /// # Errors
    ///
    /// With its last words, when it had gone before.
    pub fn cut(mut self) -> Result<()> {
        let ended = self.ended()?;
        ensure!(
            ended.is_none(),
            "{} had ended by itself: {ended:?}\n{}",
            self.name,
            self.errors.lock().join("\n")
        );
        self.kill()
    }

    /// A clean stop.
    ///
    /// # Errors
    ///
    /// With its last words, when it takes too long, or ends with anything but 0.
    pub fn stop(mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.wait(limit)?;
        ensure!(
            status.success(),
            "{} ended with {status}\n{}",
            self.name,
            self.errors.lock().join("\n")
        );
        Ok(())
    }

    /// Waits for a line of its standard error that holds `text`, from line `from` on.
    ///
    /// # Errors
    ///
    /// After `limit`, or when it ended before it said so; both with its last words.
    pub fn wait_for_error_line(&mut self, from: usize, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{} to say {text:?}", self.name);
        wait::until(&what, limit, || {
            let found = self
                .errors
                .lock()
                .iter()
                .skip(from)
                .any(|l| l.contains(text));
            if !found {
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} ended with {status}", self.name);
                }
            }
            Ok(found.then_some(()))
        })
        .with_context(|| self.errors.lock().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill().is_err() {
            // It had ended before: nothing is left to end.
        }
    }
}
