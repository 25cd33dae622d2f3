//! A virtual pilot line: an extruder on Modbus TCP, a furnace and a mixer on one serial bus, each with
//! a life that repeats, and the configuration with which the agent reads them.
//!
//! It knows the truth: which state each machine is really in since when, to be held against what the
//! agent says.

use fastrand::Rng;
use lineside_proto::State;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::device::{Device, Fault, Unit};
use super::life::{DAY, Life};
use super::plant::{Extruder, Furnace, Mixer, Plant};
use crate::clock::{Clock, Stamp, SystemClock};

/// How fast and by which chance the line lives.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LineSettings {
    /// The same seed gives the same life.
    pub seed: u64,
    /// Seconds of the line's life in a second, within [`SPEED_MIN`] and [`SPEED_MAX`]. At 1 a phase
    /// lasts 5 to 15 s.
    pub speed: f64,
}

impl Default for LineSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            speed: 1.0,
        }
    }
}

/// The slowest life: a phase lasts up to a quarter of an hour.
pub const SPEED_MIN: f64 = 0.01;
/// The fastest life: two steps still fit a phase.
pub const SPEED_MAX: f64 = 100.0;

/// How often the registers are written anew.
const STEP: Duration = Duration::from_millis(20);
/// State changes of one machine that are remembered: two hours at normal speed.
const TURNS_MAX: usize = 1024;

/// A machine of the line that does not exist.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no machine `{0}` on the line")]
pub struct UnknownMachine(pub String);

/// A state that a machine is truly in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The state.
    pub state: State,
    /// When it began.
    pub since: Stamp,
}

/// A running line. Dropping it ends it.
#[derive(Debug)]
pub struct Line {
    machines: Vec<Machine>,
    address: String,
    bus: PathBuf,
    life: JoinHandle<()>,
}

/// One machine: its place on the line and its memory.
#[derive(Debug)]
struct Machine {
    name: &'static str,
    device: Arc<Device>,
    unit: Unit,
    unit_id: u8,
    turns: Arc<Mutex<VecDeque<Turn>>>,
}

/// A machine's life and body, moved by one task.
struct Being {
    life: Life,
    plant: Plant,
    unit: Unit,
    turns: Arc<Mutex<VecDeque<Turn>>>,
}

/// The maps that the agent reads, by machine.
const MAPS: [(&str, &str); 3] = [
    ("extruder-01", include_str!("config/extruder-01.toml")),
    ("furnace-01", include_str!("config/furnace-01.toml")),
    ("mixer-01", include_str!("config/mixer-01.toml")),
];

const GATEWAY: &str = include_str!("config/gateway.toml");

impl Line {
    /// Starts the line.
    ///
    /// # Errors
    ///
    /// No port or no pseudo-terminal could be had.
    pub async fn start(settings: LineSettings) -> anyhow::Result<Self> {
        let mut rng = Rng::with_seed(settings.seed);
        let plc = Arc::new(Device::new(rng.u64(..)));
        let bus = Arc::new(Device::new(rng.u64(..)));
        let address = plc.listen_tcp().await?.to_string();
        let port = bus.open_pty()?;
        // Each begins elsewhere in its day, so that the first minute shows every state.
        let mut serviced = DAY.to_vec();
        serviced.push(State::Maint);
        let places = [
            (
                "extruder-01",
                plc,
                1,
                Plant::Extruder(Extruder::default()),
                DAY.to_vec(),
                0,
            ),
            (
                "furnace-01",
                bus.clone(),
                1,
                Plant::Furnace(Furnace::default()),
                DAY.to_vec(),
                11,
            ),
            (
                "mixer-01",
                bus,
                2,
                Plant::Mixer(Mixer::default()),
                serviced,
                7,
            ),
        ];
        let mut machines = Vec::new();
        let mut beings = Vec::new();
        for (name, device, unit_id, plant, day, place) in places {
            let unit = device.unit(unit_id);
            let turns = Arc::new(Mutex::default());
            beings.push(Being {
                life: Life::new(rng.u64(..), day, place),
                plant,
                unit: unit.clone(),
                turns: Arc::clone(&turns),
            });
            machines.push(Machine {
                name,
                device,
                unit,
                unit_id,
                turns,
            });
        }
        // Whoever looks at once finds a machine, not zeros.
        for being in &mut beings {
            being.step(0.0, &mut rng);
        }
        let speed = settings.speed.clamp(SPEED_MIN, SPEED_MAX);
        Ok(Self {
            machines,
            address,
            bus: port,
            life: tokio::spawn(live(beings, speed, rng)),
        })
    }

    /// The machines, in the order of their names.
    pub fn machines(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.machines.iter().map(|machine| machine.name)
    }

    /// Where a machine is reached, as people write it: `tcp://127.0.0.1:5020 unit 1`.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn endpoint(&self, machine: &str) -> Result<String, UnknownMachine> {
        let machine = self.machine(machine)?;
        let link = if machine.name == "extruder-01" {
            format!("tcp://{}", self.address)
        } else {
            format!("rtu://{}", self.bus.display())
        };
        Ok(format!("{link} unit {}", machine.unit_id))
    }

    /// Writes `gateway.toml` and the machine maps below `dir`, which is made if it is missing; the
    /// agent's state goes into `dir` as well. Returns the path of `gateway.toml`.
    ///
    /// # Errors
    ///
    /// The files could not be written.
    pub fn write_config(&self, dir: &Path, broker_port: u16) -> io::Result<PathBuf> {
        let maps = dir.join("machines");
        fs::create_dir_all(&maps)?;
        let bus = toml::Value::from(self.bus.to_string_lossy().as_ref()).to_string();
        for (name, map) in MAPS {
            let map = map
                .replace("@extruder@", &self.address)
                .replace("\"@bus@\"", &bus);
            fs::write(maps.join(format!("{name}.toml")), map)?;
        }
        let state = std::path::absolute(dir.join("state"))?;
        let state = toml::Value::from(state.to_string_lossy().as_ref()).to_string();
        let gateway = GATEWAY
            .replace("\"@state@\"", &state)
            .replace("@broker@", &broker_port.to_string());
        let path = dir.join("gateway.toml");
        fs::write(&path, gateway)?;
        Ok(path)
    }

    /// Makes something wrong with a machine; with its whole link, and so with its neighbours on it,
    /// where the kind is one of a link.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn fault(&self, machine: &str, fault: Fault) -> Result<(), UnknownMachine> {
        let machine = self.machine(machine)?;
        if fault.kind.is_of_link() {
            machine.device.fault(fault);
        } else {
            machine.unit.fault(fault);
        }
        Ok(())
    }

    /// Nothing is wrong with a machine or its link any more.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn clear(&self, machine: &str) -> Result<(), UnknownMachine> {
        let machine = self.machine(machine)?;
        machine.device.clear();
        machine.unit.clear();
        Ok(())
    }

    /// What is wrong with a machine, its link included.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn faults(&self, machine: &str) -> Result<Vec<Fault>, UnknownMachine> {
        let machine = self.machine(machine)?;
        let mut faults = machine.device.faults();
        faults.extend(machine.unit.faults());
        Ok(faults)
    }

    /// The device behind a machine; machines on one bus have the same.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn device(&self, machine: &str) -> Result<&Device, UnknownMachine> {
        self.machine(machine).map(|machine| machine.device.as_ref())
    }

    /// The states that a machine was truly in, oldest first; the last is the present one. The newest
    /// 1,024 are remembered.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn truth(&self, machine: &str) -> Result<Vec<Turn>, UnknownMachine> {
        let turns = &self.machine(machine)?.turns;
        let turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(turns.iter().copied().collect())
    }

    fn machine(&self, name: &str) -> Result<&Machine, UnknownMachine> {
        self.machines
            .iter()
            .find(|machine| machine.name == name)
            .ok_or_else(|| UnknownMachine(name.to_owned()))
    }

    /// Ends the line and waits until nothing of it moves any more.
    pub async fn stop(mut self) {
        self.life.abort();
        // Ended by the abort, which is what was wanted.
        drop((&mut self.life).await);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.life.abort();
    }
}

async fn live(mut beings: Vec<Being>, speed: f64, mut rng: Rng) {
    let mut ticks = interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let seconds = now.duration_since(last).as_secs_f64() * speed;
        last = now;
        for being in &mut beings {
            being.step(seconds, &mut rng);
        }
    }
}

impl Being {
    fn step(&mut self, seconds: f64, rng: &mut Rng) {
        self.life.advance(seconds);
        let state = self.life.state();
        self.plant.step(state, seconds, rng);
        self.plant.show(state, &self.unit);
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.back().is_none_or(|turn| turn.state != state) {
            if turns.len() >= TURNS_MAX {
                turns.pop_front();
            }
            turns.push_back(Turn {
                state,
                since: SystemClock.now(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, LineSettings, SPEED_MAX};
    use crate::config::model::Table;
    use crate::sim::device::FaultKind;
    use lineside_proto::State;
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn every_promised_state_comes() {
        let settings = LineSettings {
            seed: 4,
            speed: SPEED_MAX,
        };
        let line = Line::start(settings).await.unwrap();
        let promised = [
            State::Off,
            State::Idle,
            State::Setup,
            State::Run,
            State::Hold,
            State::Down,
        ];
        let seen = |machine: &str| -> BTreeSet<State> {
            line.truth(machine)
                .unwrap()
                .iter()
                .map(|turn| turn.state)
                .collect()
        };
        let start = Instant::now();
        while !line
            .machines()
            .all(|machine| seen(machine).is_superset(&promised.into()))
        {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{:?}",
                line.truth("mixer-01")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for machine in line.machines() {
            let turns = line.truth(machine).unwrap();
            assert!(turns.windows(2).all(|pair| {
                pair[0].state != pair[1].state && pair[0].since.boot_ms <= pair[1].since.boot_ms
            }));
        }
        line.stop().await;
    }

    #[tokio::test]
    async fn the_configuration_is_complete_and_is_toml() {
        let line = Line::start(LineSettings::default()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = line
            .write_config(&dir.path().join("a \"quoted\" place"), 1884)
            .unwrap();
        let gateway: toml::Table =
            toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            gateway["uplink"]["url"].as_str(),
            Some("mqtt://127.0.0.1:1884")
        );
        let state = gateway["gateway"]["state-dir"].as_str().unwrap();
        assert_eq!(std::path::Path::new(state), path.with_file_name("state"));
        for machine in line.machines() {
            let map = path
                .with_file_name("machines")
                .join(format!("{machine}.toml"));
            let map = std::fs::read_to_string(map).unwrap();
            assert!(!map.contains('@'), "{map}");
            let map: toml::Table = toml::from_str(&map).unwrap();
            assert_eq!(map["machine"].as_str(), Some(machine));
            let connection = &map["connection"];
            let place = connection
                .get("address")
                .or(connection.get("port"))
                .unwrap();
            assert!(
                line.endpoint(machine)
                    .unwrap()
                    .contains(place.as_str().unwrap())
            );
        }
    }

    #[tokio::test]
    async fn faults_strike_the_machine_or_its_whole_link() {
        let line = Line::start(LineSettings::default()).await.unwrap();
        line.fault("furnace-01", FaultKind::Silent.into()).unwrap();
        assert_eq!(
            line.faults("furnace-01").unwrap(),
            [FaultKind::Silent.into()]
        );
        assert!(line.faults("mixer-01").unwrap().is_empty());
        line.fault("furnace-01", FaultKind::Frozen.into()).unwrap();
        assert_eq!(line.faults("mixer-01").unwrap(), [FaultKind::Frozen.into()]);
        line.clear("furnace-01").unwrap();
        assert!(line.faults("furnace-01").unwrap().is_empty());
        assert!(line.fault("press-01", FaultKind::Silent.into()).is_err());
        // The furnace is OFF in the beginning, and the mixer runs.
        assert_eq!(
            line.device("furnace-01")
                .unwrap()
                .unit(1)
                .get(Table::Holding, 10),
            0
        );
        assert_eq!(
            line.device("mixer-01").unwrap().unit(2).get(Table::Coil, 1),
            1
        );
    }

    #[tokio::test]
    async fn the_agent_finds_no_fault_in_the_configuration() {
        let line = Line::start(LineSettings::default()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = line.write_config(dir.path(), 1884).unwrap();
        let loaded = crate::config::load(&path).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let machines = loaded
            .config
            .machines
            .iter()
            .map(|map| map.machine.as_str());
        assert!(machines.eq(line.machines()));
    }
}
