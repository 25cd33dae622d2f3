//! OPC UA servers that are not ours: asyncua and node-opcua, each in a process of its own.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

use crate::process::Process;
use crate::subscriber::{peer, python, root};
use crate::wait;

/// Long: a server of either kind builds its address space first, on a machine that does other things too.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to carry out what it is told.
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// The namespace of the odd nodes: `urn:lineside:odd;50% 线 "x"/` as a map writes it.
pub const ODD: &str = "urn:lineside:odd%3B50%25 线 \"x\"/";
/// The user that the servers know.
const USER: &str = "operator";
const PASSWORD: &str = "correct horse";

/// Whose server it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Maker {
    /// asyncua, in Python.
    Asyncua,
    /// node-opcua, in JavaScript.
    Node,
}

/// How messages are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Not at all.
    None,
    /// Basic256Sha256, signed.
    Sign,
    /// Basic256Sha256, signed and encrypted.
    SignAndEncrypt,
    /// Aes128-Sha256-RsaOaep, signed and encrypted.
    Aes128,
    /// Aes256-Sha256-RsaPss, signed and encrypted.
    Aes256,
}

/// As whom the agent comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// A user with a password.
    Password,
    /// A user with a certificate.
    Certificate,
}

impl Policy {
    /// Those that every server offers here unless it is told otherwise.
    pub const USUAL: [Self; 3] = [Self::None, Self::Sign, Self::SignAndEncrypt];

    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Sign,
        Self::SignAndEncrypt,
        Self::Aes128,
        Self::Aes256,
    ];

    /// As a map writes it.
    fn security(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Sign | Self::SignAndEncrypt => "Basic256Sha256",
            Self::Aes128 => "Aes128-Sha256-RsaOaep",
            Self::Aes256 => "Aes256-Sha256-RsaPss",
        }
    }

    /// As a map writes its mode.
    fn mode(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Sign => "Sign",
            Self::SignAndEncrypt | Self::Aes128 | Self::Aes256 => "SignAndEncrypt",
        }
    }

    /// As a server is told.
    fn word(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Sign => "Sign",
            Self::SignAndEncrypt => "SignAndEncrypt",
            Self::Aes128 => "Aes128_Sha256_RsaOaep",
            Self::Aes256 => "Aes256_Sha256_RsaPss",
        }
    }
}

impl Identity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Anonymous, Self::Password, Self::Certificate];

    fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Password => "password",
            Self::Certificate => "certificate",
        }
    }
}

/// What a server offers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The policies.
    pub policies: Vec<Policy>,
    /// Who may come.
    pub identities: Vec<Identity>,
    /// Nodes that count up.
    pub nodes: usize,
    /// How many of them are missing at first.
    pub missing: usize,
    /// How often they count: half as often as a test samples them, so that no number falls between two
    /// samples.
    pub interval_ms: u64,
    /// Whether the server keeps their history.
    pub history: bool,
    /// From which day to which its certificate is valid, from today on.
    pub valid_days: [i64; 2],
    /// Nodes beside those that count, in a namespace of their own, [`ODD`].
    pub odd: Vec<Value>,
    /// Whether it has machines by the models of OPC 40001-1 and OPC 30050; only node-opcua can.
    pub machinery: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: Policy::USUAL.to_vec(),
            identities: Identity::ALL.to_vec(),
            nodes: 5,
            missing: 0,
            interval_ms: 200,
            history: false,
            valid_days: [-1, 365],
            odd: Vec::new(),
            machinery: false,
        }
    }
}

/// A server. Its port and certificate stay over its restarts.
#[derive(Debug)]
pub struct Press {
    maker: Maker,
    settings: Settings,
    dir: TempDir,
    fingerprint: String,
    port: u16,
    process: Option<Process>,
    said: usize,
}

impl Press {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When it does not serve in time.
    pub fn start(maker: Maker, settings: Settings) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("lineside-press-")
            .tempdir()?;
        let server = "urn:lineside:test:server";
        let fingerprint = certificate(dir.path(), "server", server, settings.valid_days)?;
        certificate(dir.path(), "user", "urn:lineside:test:user", [-1, 365])?;
        fs::write(dir.path().join("password"), PASSWORD)?;
        fs::write(dir.path().join("wrong-password"), "wrong")?;
        let mut press = Self {
            maker,
            settings,
            dir,
            fingerprint,
            port: 0,
            process: None,
            said: 0,
        };
        press.restart(press.settings.missing)?;
        Ok(press)
    }

    /// Starts it again after a kill, with so many nodes missing.
    ///
    /// # Errors
    ///
    /// When it does not serve in time, or still runs.
    pub fn restart(&mut self, missing: usize) -> Result<()> {
        ensure!(self.process.is_none(), "the server still runs");
        let settings = &self.settings;
        let argument = json!({
            "port": self.port,
            "certificate": self.file("server.der"),
            "key": self.file("server.key"),
            "pem": self.file("server.pem"),
            "dir": self.dir.path(),
            "policies": settings.policies.iter().map(|policy| policy.word()).collect::<Vec<_>>(),
            "identities": settings.identities.iter().map(|who| who.word()).collect::<Vec<_>>(),
            "user": USER,
            "password": PASSWORD,
            "user_certificate": self.file("user.der"),
            "nodes": settings.nodes,
            "missing": missing,
            "interval_ms": settings.interval_ms,
            "history": settings.history,
            "odd": settings.odd,
            "machinery": settings.machinery,
        });
        let argument = argument.to_string();
        let mut process = match self.maker {
            Maker::Asyncua => {
                let arguments = [&*peer("opcua_asyncua.py"), &*argument];
                Process::start("asyncua", &python()?, &arguments)?
            }
            Maker::Node => {
                let path = format!("NODE_PATH={}", node_modules()?);
                let arguments = [&*path, "node", &*peer("opcua_node.js"), &*argument];
                Process::start("node-opcua", "env", &arguments)?
            }
        };
        let port = wait::until("the server to serve", START_MAX, || {
            if let Some(status) = process.ended()? {
                bail!(
                    "the server ended with {status}\n{}",
                    process.errors.lock().join("\n")
                );
            }
            answer(&process, 0, "listening")
        })?;
        self.port = u16::try_from(port.as_u64().context("no port")?)?;
        self.process = Some(process);
        self.said = 1;
        Ok(())
    }

    /// Ends it by SIGKILL.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .context("the server does not run")?
            .kill()
    }

    /// Stops it in the middle of whatever it does; its connections stay.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn freeze(&self) -> Result<()> {
        self.running()?.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn thaw(&self) -> Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().context("the server does not run")
    }

    /// Takes so many nodes away, those numbered highest; fewer than before come back.
    ///
    /// # Errors
    ///
    /// When it does not obey.
    pub fn miss(&mut self, missing: usize) -> Result<()> {
        self.ask(&json!({ "missing": missing }), "done").map(drop)
    }

    /// Lets the nodes count, or rest.
    ///
    /// # Errors
    ///
    /// When it does not obey.
    pub fn moving(&mut self, moving: bool) -> Result<()> {
        self.ask(&json!({ "moving": moving }), "done").map(drop)
    }

    /// Sessions that are open now.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn sessions(&mut self) -> Result<u64> {
        let sessions = self.ask(&json!({ "sessions": true }), "sessions")?;
        sessions.as_u64().context("not a number")
    }

    /// The services that it was asked for so far, by the names of their requests.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn services(&mut self) -> Result<BTreeSet<String>> {
        let services = self.ask(&json!({ "services": true }), "services")?;
        Ok(serde_json::from_value(services)?)
    }

    fn ask(&mut self, message: &Value, answered_by: &str) -> Result<Value> {
        let process = self.process.as_mut().context("the server does not run")?;
        process.say(&message.to_string())?;
        let place = self.said;
        self.said += 1;
        let found = wait::until("an answer of the server", COMMAND_MAX, || {
            if let Some(status) = process.ended()? {
                bail!("the server ended with {status}");
            }
            answer(process, place, answered_by)
        });
        found.with_context(|| process.errors.lock().join("\n"))
    }

    /// For how long its threads have waited for a core so far.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn starved(&self) -> Result<Duration> {
        self.running()?.starved()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The SHA-256 of its certificate, as a map writes it.
    pub fn fingerprint(&self) -> String {
        format!("sha256:{}", self.fingerprint)
    }

    /// A file that belongs to it: `server.der`, `user.der`, `user.key`, `password`, `wrong-password`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A `[connection]` that reaches it at a port: its own, or that of a proxy before it.
    pub fn connection(&self, port: u16, policy: Policy, identity: Identity) -> String {
        let mut text = format!(
            "[connection]\nprotocol = \"opc-ua\"\nurl = \"opc.tcp://127.0.0.1:{port}\"\ntimeout = \"2s\"\n"
        );
        let secured = format!(
            "security = \"{}\"\nmode = \"{}\"\nserver-fingerprint = \"{}\"\n",
            policy.security(),
            policy.mode(),
            self.fingerprint()
        );
        text.push_str(match policy {
            Policy::None => "security = \"None\"\n",
            Policy::Sign | Policy::SignAndEncrypt | Policy::Aes128 | Policy::Aes256 => &secured,
        });
        let file = |name: &str| self.file(name).display().to_string();
        text.push_str(&match identity {
            Identity::Anonymous => String::new(),
            Identity::Password => {
                format!(
                    "user = \"{USER}\"\npassword-file = {:?}\n",
                    file("password")
                )
            }
            Identity::Certificate => format!(
                "user-certificate = {:?}\nuser-key = {:?}\n",
                file("user.der"),
                file("user.key")
            ),
        });
        text
    }
}

/// The rest of a map: the counting nodes of a range as `n0` and so on, the state, and rules by which the
/// machine is IDLE while its state is known.
pub fn points(nodes: std::ops::Range<usize>, interval: &str, stale_after: &str) -> String {
    let mut text = format!("[groups]\nfast = \"{interval}\"\n[points]\n");
    for node in nodes {
        let line = writeln!(
            text,
            "n{node} = {{ node = \"nsu=urn:lineside:test;s=n{node}\", group = \"fast\" }}"
        );
        debug_assert!(line.is_ok(), "writing to a string");
    }
    text.push_str("state = { node = \"nsu=urn:lineside:test;s=state\", group = \"fast\" }\n");
    text.push_str(&format!(
        "[state]\nstale-after = \"{stale_after}\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"state == 2\"\n"
    ));
    text
}

/// The answer numbered so, from 0, if it is there.
fn answer(process: &Process, place: usize, name: &str) -> Result<Option<Value>> {
    let lines = process.output.lock();
    let Some(line) = lines.get(place) else {
        return Ok(None);
    };
    let message: Value = serde_json::from_str(line).with_context(|| line.clone())?;
    let found = message.get(name).cloned();
    found
        .with_context(|| format!("another answer: {line}"))
        .map(Some)
}

/// Makes a certificate and its key; gives the SHA-256.
fn certificate(dir: &Path, name: &str, uri: &str, valid_days: [i64; 2]) -> Result<String> {
    let argument = json!({ "dir": dir, "name": name, "uri": uri, "valid_days": valid_days });
    let output = Command::new(python()?)
        .args([&*peer("certificate.py"), &*argument.to_string()])
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Where `tests/setup.sh` has put node-opcua.
fn node_modules() -> Result<String> {
    let path = root().join(".venv/node_modules");
    ensure!(
        path.exists(),
        "{} is missing: run tests/setup.sh",
        path.display()
    );
    Ok(path.display().to_string())
}
