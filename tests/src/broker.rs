//! Mosquitto: a broker that is not ours, with what can happen to one.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

use crate::process::Process;
use crate::wait;

const START_MAX: Duration = Duration::from_secs(15);

/// A port that is free now.
///
/// # Errors
///
/// When the kernel has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What a mosquitto keeps over its own end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// Everything is saved after each change.
    On,
    /// Everything is saved every two seconds, as a broker of many gateways is set: what it acknowledged since is lost
    /// with it.
    Often,
    /// Nothing.
    Off,
}

/// A mosquitto with a directory and a port of its own.
#[derive(Debug)]
pub struct Mosquitto {
    dir: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Mosquitto {
    /// Starts one and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// When it doesn't.
    pub fn start(persistence: Persistence) -> Result<Self> {
        let settings = "allow_anonymous true\nmax_queued_messages 0\n";
        Self::start_with(persistence, settings, &[])
    }

    /// Starts one with these settings and files; `{dir}` in the settings stands for where the files are.
    ///
    /// # Errors
    ///
    /// When it doesn't accept connections.
    pub fn start_with(
        persistence: Persistence,
        settings: &str,
        files: &[(&str, &[u8])],
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("lineside-broker-")
            .tempdir()?;
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::write(&path, bytes)?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        let settings = settings.replace("{dir}", &dir.path().display().to_string());
        let port = free_port()?;
        let mut text = format!(
            "user root\nlistener {port} 127.0.0.1\n{settings}\n\
             log_dest stderr\nlog_type error\nlog_type warning\nlog_type notice\n"
        );
        let saves = match persistence {
            Persistence::On => Some("autosave_interval 1\nautosave_on_changes true"),
            Persistence::Often => Some("autosave_interval 2\nautosave_on_changes false"),
            Persistence::Off => None,
        };
        if let Some(saves) = saves {
            let dir = dir.path().display();
            text.push_str(&format!(
                "persistence true\npersistence_location {dir}/\n{saves}\n"
            ));
        }
        fs::write(dir.path().join("mosquitto.conf"), text)?;
        let mut broker = Self {
            dir,
            port,
            process: None,
        };
        broker.restart()?;
        Ok(broker)
    }

    /// Its port; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it again on the same port, with what it kept.
    ///
    /// # Errors
    ///
    /// When it doesn't accept connections in time.
    pub fn restart(&mut self) -> Result<()> {
        let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("mosquitto");
        let file = self.dir.path().join("mosquitto.conf");
        let file = file
            .to_str()
            .context("path of the broker's configuration")?;
        let mut process = Process::start("mosquitto", program, &["-c", file])?;
        let address = self.address();
        wait::until("mosquitto to accept connections", START_MAX, || {
            anyhow::ensure!(
                process.ended()?.is_none(),
                "{}",
                process.errors.lock().join("\n")
            );
            Ok(TcpStream::connect(address).ok())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it as a service manager would; it saves what it keeps.
    ///
    /// # Errors
    ///
    /// When it had gone before.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("mosquitto does not run")?;
        process.signal(Signal::TERM)?;
        process.wait(START_MAX)?;
        Ok(())
    }

    /// Ends it without a chance to save.
    ///
    /// # Errors
    ///
    /// When it had gone before.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .context("mosquitto does not run")?
            .kill()
    }

    /// Freezes it: connections stay, nothing answers.
    ///
    /// # Errors
    ///
    /// When it had gone before.
    pub fn pause(&self) -> Result<()> {
        self.process
            .as_ref()
            .context("mosquitto does not run")?
            .signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When it had gone before.
    pub fn resume(&self) -> Result<()> {
        self.process
            .as_ref()
            .context("mosquitto does not run")?
            .signal(Signal::CONT)
    }
}
