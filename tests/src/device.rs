//! Devices by pymodbus: Modbus servers that are not ours, each in a process of its own.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tempfile::TempDir;

use crate::process::Process;
use crate::subscriber::{peer, python};
use crate::wait;

const START_MAX: Duration = Duration::from_secs(20);
/// The function codes that read.
const READS: [u64; 4] = [1, 2, 3, 4];

/// How a device is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Modbus TCP.
    Tcp,
    /// RTU frames over TCP.
    RtuOverTcp,
    /// RTU over a pair of pseudo-terminals that `socat` joins.
    Rtu,
}

/// A value at an address, as a device holds it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Cell {
    /// `coil`, `discrete`, `holding` or `input`.
    pub table: &'static str,
    /// The address on the wire.
    pub address: u16,
    /// `bool`, `u16` … `f64`, `string`, `bcd16`, `bcd32`, or `raw` with a list of registers.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The order, where it isn't the standard's.
    pub order: Option<&'static str>,
    /// The value.
    pub value: Value,
}

impl Cell {
    /// A value in the standard's order.
    pub fn new(
        table: &'static str,
        address: u16,
        kind: &'static str,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            table,
            address,
            kind,
            order: None,
            value: value.into(),
        }
    }
}

/// A pair of pseudo-terminals: what is written to one is read from the other.
#[derive(Debug)]
pub struct Pty {
    dir: TempDir,
    _process: Process,
}

impl Pty {
    /// A new pair.
    ///
    /// # Errors
    ///
    /// When `socat` does not make it.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("lineside-pty-").tempdir()?;
        let end = |name: &str| format!("pty,raw,echo=0,link={}", dir.path().join(name).display());
        let process = Process::start("socat", "socat", &[&end("agent"), &end("device")])?;
        wait::until_true("socat to make its terminals", START_MAX, || {
            dir.path().join("agent").exists() && dir.path().join("device").exists()
        })?;
        Ok(Self {
            dir,
            _process: process,
        })
    }

    /// The end that the agent opens.
    pub fn agent(&self) -> String {
        self.dir.path().join("agent").display().to_string()
    }

    /// The end that the device opens.
    pub fn device(&self) -> String {
        self.dir.path().join("device").display().to_string()
    }
}

/// A running device, or several units behind one link.
#[derive(Debug)]
pub struct Device {
    process: Process,
    transport: Transport,
    port: u64,
    pty: Option<Pty>,
    said: usize,
}

impl Device {
    /// Starts one with these units.
    ///
    /// # Errors
    ///
    /// When pymodbus refuses.
    pub fn start(transport: Transport, units: &[(u8, Vec<Cell>)]) -> Result<Self> {
        let (word, pty) = match transport {
            Transport::Tcp => ("tcp", None),
            Transport::RtuOverTcp => ("rtu-over-tcp", None),
            Transport::Rtu => ("rtu", Some(Pty::start()?)),
        };
        let unit = |(id, cells): &(u8, Vec<Cell>)| json!({ "id": id, "points": cells });
        let settings = json!({
            "transport": word,
            "port": pty.as_ref().map(Pty::device),
            "units": units.iter().map(unit).collect::<Vec<_>>(),
        });
        let arguments = [&*peer("device.py"), &*settings.to_string()];
        let mut process = Process::start("the device", &python()?, &arguments)?;
        let port = wait::until("the device to listen", START_MAX, || {
            ensure!(
                process.ended()?.is_none(),
                "{}",
                process.errors.lock().join("\n")
            );
            first_number(&process, "listening")
        })?;
        Ok(Self {
            process,
            transport,
            port,
            pty,
            said: 0,
        })
    }

    /// Where it listens, if it listens on TCP.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A `[connection]` table that reaches it, with further keys.
    pub fn connection(&self, keys: &str) -> String {
        let place = match (self.transport, &self.pty) {
            (Transport::Rtu, Some(pty)) => format!(
                "protocol = \"modbus-rtu\"\nport = {:?}\nbaud = 115200\nparity = \"none\"",
                pty.agent()
            ),
            (Transport::RtuOverTcp, _) => {
                format!(
                    "protocol = \"modbus-rtu-over-tcp\"\naddress = {:?}",
                    self.address()
                )
            }
            (Transport::Tcp | Transport::Rtu, _) => {
                format!("protocol = \"modbus-tcp\"\naddress = {:?}", self.address())
            }
        };
        format!("[connection]\n{place}\n{keys}\n")
    }

    /// Changes a value; seen by the next read.
    ///
    /// # Errors
    ///
    /// When the device has gone.
    pub fn set(&mut self, unit: u8, cell: &Cell) -> Result<()> {
        let mut message = serde_json::to_value(cell)?;
        let fields = message.as_object_mut().context("a cell is an object")?;
        fields.insert("unit".to_owned(), unit.into());
        self.command(&message)
    }

    /// Makes it fall silent, or speak again.
    ///
    /// # Errors
    ///
    /// When the device has gone.
    pub fn silent(&mut self, silent: bool) -> Result<()> {
        self.command(&json!({ "silent": silent }))
    }

    fn command(&mut self, message: &Value) -> Result<()> {
        self.said += 1;
        let said = self.said;
        self.process.say(&message.to_string())?;
        let output = self.process.output.clone();
        let done = |line: &&String| line.contains("\"done\"");
        wait::until_true("the device to obey", START_MAX, move || {
            output.lock().iter().filter(done).count() >= said
        })
    }

    /// The function codes that it was asked for so far.
    ///
    /// # Errors
    ///
    /// When it printed what is no message.
    pub fn functions(&self) -> Result<BTreeSet<u64>> {
        numbers(&self.process, "function")
    }

    /// Asserts that it was asked, and for nothing but reads.
    ///
    /// # Errors
    ///
    /// With the function codes, when it was not so.
    pub fn was_only_read(&self) -> Result<()> {
        let functions = self.functions()?;
        let reads = functions.iter().all(|function| READS.contains(function));
        ensure!(
            reads && !functions.is_empty(),
            "function codes {functions:?}"
        );
        Ok(())
    }
}

fn numbers(process: &Process, name: &str) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for line in process.output.lock().iter() {
        let message: Value = serde_json::from_str(line).with_context(|| line.clone())?;
        found.extend(message.get(name).and_then(Value::as_u64));
    }
    Ok(found)
}

fn first_number(process: &Process, name: &str) -> Result<Option<u64>> {
    Ok(numbers(process, name)?.first().copied())
}
