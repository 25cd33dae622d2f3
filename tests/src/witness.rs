//! Witnesses: ours, served by HTTP as an archive serves it, and one that is not ours; and a log that is not ours and
//! asks a witness.

use anyhow::{Context, Result, ensure};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use lineside::archive::web::witness::{Known, router};
use lineside::archive::witness::Witness;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::process::Process;
use crate::subscriber::{peer, python};
use crate::wait;

/// How long a program of these may take to start or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// Serves a witness of ours until the runtime ends; gives its address.
///
/// # Errors
///
/// When nothing can be listened on.
pub async fn serve(witness: Witness, known: Arc<Known>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = router(Arc::new(witness), known);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // Whoever asked may be gone.
                drop(connection.await);
            });
        }
    });
    Ok(url)
}

/// The witness of the package `aics-witness`.
#[derive(Debug)]
pub struct Foreign {
    dir: TempDir,
    process: Option<Process>,
    /// Its verifier key.
    pub key: String,
}

impl Foreign {
    /// A new one, which knows these logs: origins and verifier keys. It does not run yet.
    ///
    /// # Errors
    ///
    /// When it can't be set up.
    pub fn new(name: &str, logs: &[(&str, &str)]) -> Result<Self> {
        let mut foreign = Self {
            dir: tempfile::tempdir()?,
            process: None,
            key: String::new(),
        };
        let key = foreign.command(&["init", "--name", name])?;
        foreign.key = key.trim().to_owned();
        for (origin, key) in logs {
            foreign.command(&["add-log", "--origin", origin, "--vkey", key])?;
        }
        Ok(foreign)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("witness.json")
    }

    fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(python()?)
            .args(["-m", "aics_witness"])
            .args(arguments)
            .env("AICS_WITNESS_CONFIG", self.config())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts it; gives its address, which is another one each time.
    ///
    /// # Errors
    ///
    /// When it does not listen in time.
    pub fn start(&mut self) -> Result<String> {
        let config = (
            "AICS_WITNESS_CONFIG".to_owned(),
            self.config().display().to_string(),
        );
        let arguments = ["-m", "aics_witness", "serve", "--listen", "127.0.0.1:0"];
        let mut process = Process::start_in(&[config], "aics-witness", &python()?, &arguments)?;
        process.wait_for_error_line(0, "listening on ", LIMIT)?;
        let lines = process.errors.lock().join("\n");
        self.process = Some(process);
        let (_, url) = lines.split_once("listening on ").context("no address")?;
        let url = url.split_whitespace().next().context("no address")?;
        Ok(url.to_owned())
    }

    /// Kills it.
    ///
    /// # Errors
    ///
    /// When it has gone by itself.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        process.signal(Signal::KILL)?;
        process.wait(LIMIT)?;
        Ok(())
    }

    /// The size of a log that it cosigned last; none where there is none.
    ///
    /// # Errors
    ///
    /// When it can't say.
    pub fn cosigned(&self, origin: &str) -> Result<Option<u64>> {
        let status: Value = serde_json::from_str(&self.command(&["status", "--json"])?)?;
        let logs = status
            .get("logs")
            .and_then(Value::as_array)
            .context("no logs")?;
        let is_it = |log: &&Value| log.get("origin").and_then(Value::as_str) == Some(origin);
        let log = logs
            .iter()
            .find(is_it)
            .context("this log is not known to it")?;
        Ok(log.get("size").and_then(Value::as_u64))
    }
}

/// What became of a head that the foreign log had cosigned, or not.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Asked {
    /// Leaves, once the cosigned note was verified.
    pub size: Option<u64>,
    /// What its client calls the refusal.
    pub error: Option<String>,
    /// The status that it had for it.
    pub status: Option<u16>,
}

/// What the foreign log found out.
#[derive(Clone, Debug, Deserialize)]
pub struct Found {
    /// Of each head, in order.
    pub answers: Vec<Asked>,
    /// Leaves of the note that the witness shows to monitors.
    pub shown: u64,
}

/// Has a log of the packages `aics-tlog` and `aics-witness` ask a witness: of each head its history, the leaf from
/// which on that counts, and the size.
///
/// # Errors
///
/// What it can't verify.
pub fn ask(
    url: &str,
    key: &str,
    (origin, seed): (&str, &[u8; 32]),
    heads: &[(&str, u64, u64)],
) -> Result<Found> {
    let seed: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let asked = json!({"url": url, "vkey": key, "origin": origin, "seed": seed, "heads": heads});
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("asked");
    let mut file = fs::File::create(&path)?;
    file.write_all(&serde_json::to_vec(&asked)?)?;
    let mut child = Command::new(python()?)
        .arg(peer("witness_client.py"))
        .stdin(fs::File::open(&path)?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // What it says is shorter than a pipe.
    wait::until("the foreign log's answers", LIMIT, || Ok(child.try_wait()?))?;
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
