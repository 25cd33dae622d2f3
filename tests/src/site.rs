//! A site on disk: a directory of its own with the files that a technician would write.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with a gateway file, machine maps and a state directory. Gone when dropped.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    broker_port: u16,
    sections: String,
}

impl Site {
    /// The pilot platform of every test.
    pub const NAME: &str = "site";
    /// The gateway of every test.
    pub const GATEWAY: &str = "gw";

    /// An empty site whose agent will publish to this port.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn new(broker_port: u16) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("lineside-").tempdir()?;
        fs::create_dir(dir.path().join("machines"))?;
        let site = Self {
            dir,
            broker_port,
            sections: String::new(),
        };
        site.write_gateway()?;
        Ok(site)
    }

    /// Adds text to the gateway file: further keys of `[uplink]` first, then sections.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn with(mut self, sections: &str) -> Result<Self> {
        self.sections.push_str(sections);
        self.sections.push('\n');
        self.write_gateway()?;
        Ok(self)
    }

    fn write_gateway(&self) -> Result<()> {
        let text = format!(
            "machines = [\"machines/*.toml\"]\n\n\
             [gateway]\nsite = \"{}\"\nid = \"{}\"\nstate-dir = {:?}\nlanguage = \"en\"\n\n\
             [uplink]\nurl = \"mqtt://127.0.0.1:{}\"\n{}",
            Self::NAME,
            Self::GATEWAY,
            self.state_dir(),
            self.broker_port,
            self.sections,
        );
        // Agents run side by side: each console has a port of its own.
        let text = if text.contains("[console]") {
            text
        } else {
            text + "\n[console]\nlisten = \"127.0.0.1:0\"\n"
        };
        fs::write(self.config(), text).context("writing the gateway file")
    }

    /// Writes the map of a machine; `text` is what follows its name.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn machine(&self, machine: &str, text: &str) -> Result<()> {
        let map = format!("machine = \"{machine}\"\nname = {{ en = \"{machine}\" }}\n{text}");
        fs::write(self.map(machine), map).context("writing a machine map")
    }

    /// Takes a machine away.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn remove(&self, machine: &str) -> Result<()> {
        fs::remove_file(self.map(machine)).context("removing a machine map")
    }

    /// The path of a machine's map.
    pub fn map(&self, machine: &str) -> PathBuf {
        self.path().join("machines").join(format!("{machine}.toml"))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The gateway file.
    pub fn config(&self) -> PathBuf {
        self.path().join("gateway.toml")
    }

    /// Where the agent keeps what it must not lose.
    pub fn state_dir(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A topic below the gateway's root.
    pub fn topic(below: &str) -> String {
        format!("lineside/v1/{}/{}/{below}", Self::NAME, Self::GATEWAY)
    }
}
