//! A site on disk: a directory of its own with the files that a technician would write.

use anyhow::{Context, Result};
use lineside::clock::{Clock, Stamp, SystemClock};
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside_proto::Time;
use lineside_proto::ledger::{Audit, LeafBody};
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
    /// The map of a machine that nobody answers for.
    pub const NOWHERE: &str = "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"127.0.0.1:1\"\n\
        [groups]\nfast = \"1s\"\n[points]\na = { holding = 0, type = \"u16\", group = \"fast\" }\n\
        [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == 7\"\n";

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

    /// Leaves of a ledger that is signed by the key in this file, and that nobody has cosigned for hours.
    ///
    /// # Errors
    ///
    /// When the ledger can't be written.
    pub fn old_leaves(&self, key: &Path, origin: &str) -> Result<()> {
        fs::create_dir_all(self.state_dir())?;
        let (ledger, opened) = Ledger::open(&self.state_dir(), key, origin)?;
        let wall = Time::from_millis(SystemClock.now().wall.as_millis() - 5 * 3_600_000 / 2);
        let at = Stamp { boot_ms: 1, wall };
        let audit = LeafBody::Audit(Audit {
            who: "li".to_owned(),
            action: "apply".to_owned(),
            what: String::new(),
        });
        let genesis = opened.genesis(&Self::NAME.parse()?, &Self::GATEWAY.parse()?);
        ledger.append("boot", &[genesis, audit].map(|body| Entry { at, body }))?;
        ledger.sign()?;
        Ok(())
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
