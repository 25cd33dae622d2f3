//! A virtual pilot line: an extruder on Modbus TCP, a furnace and a mixer on one serial bus, a press
//! behind an OPC UA server, each with a life that repeats, and the configuration with which the agent
//! reads them.
//!
//! It knows the truth: which state each machine is really in since when, to be held against what the
//! agent says.

use fastrand::Rng;
use lineside_proto::State;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::device::{Device, Fault, FaultKind, Unit};
use super::life::{DAY, Life};
use super::opcua::{Body, Press};
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

/// Steps between two times that the press shows itself: ten times a second.
const PRESS_STEPS: u8 = 5;

/// A machine of the line that does not exist.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no machine `{0}` on the line")]
pub struct UnknownMachine(pub String);

/// Why a fault can't be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FaultRefused {
    /// There is no such machine.
    #[error(transparent)]
    Nowhere(#[from] UnknownMachine),
    /// The machine can't have a fault of this kind.
    #[error("not a fault of `{machine}`")]
    NotHere {
        /// The machine.
        machine: &'static str,
        /// The kinds that it can have.
        kinds: Vec<FaultKind>,
    },
}

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
    press: Arc<Press>,
    life: JoinHandle<()>,
    /// The press's certificate and key; gone with the line.
    _pki: TempDir,
}

/// One machine: its place on the line and its memory.
#[derive(Debug)]
struct Machine {
    name: &'static str,
    place: Place,
    turns: Arc<Mutex<VecDeque<Turn>>>,
}

/// What stands between a machine and those who read it.
#[derive(Debug)]
enum Place {
    Modbus {
        device: Arc<Device>,
        unit: Unit,
        unit_id: u8,
    },
    OpcUa(Arc<Press>),
}

/// A machine's life and body, moved by one task.
struct Being {
    life: Life,
    moved: Moved,
    turns: Arc<Mutex<VecDeque<Turn>>>,
}

/// A body, and where it shows itself.
enum Moved {
    Modbus(Plant, Unit),
    Press {
        body: Body,
        press: Arc<Press>,
        /// Steps since it showed itself.
        steps: u8,
    },
}

/// The maps that the agent reads, by machine.
const MAPS: [(&str, &str); 4] = [
    ("extruder-01", include_str!("config/extruder-01.toml")),
    ("furnace-01", include_str!("config/furnace-01.toml")),
    ("mixer-01", include_str!("config/mixer-01.toml")),
    (PRESS, include_str!("config/press-01.toml")),
];

/// The machine behind the OPC UA server.
const PRESS: &str = "press-01";

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
        let pki = tempfile::Builder::new()
            .prefix("lineside-press-")
            .tempdir()?;
        let press = Arc::new(Press::start(pki.path()).await?);
        let mut machines = Vec::new();
        let mut beings = Vec::new();
        for (name, place, moved, day, begin) in cast(&plc, &bus, &press) {
            let turns = Arc::new(Mutex::default());
            beings.push(Being {
                life: Life::new(rng.u64(..), day, begin),
                moved,
                turns: Arc::clone(&turns),
            });
            machines.push(Machine { name, place, turns });
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
            press,
            _pki: pki,
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
        Ok(match &machine.place {
            Place::OpcUa(press) => press.url(),
            Place::Modbus { unit_id, .. } if machine.name == "extruder-01" => {
                format!("tcp://{} unit {unit_id}", self.address)
            }
            Place::Modbus { unit_id, .. } => {
                format!("rtu://{} unit {unit_id}", self.bus.display())
            }
        })
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
                .replace("\"@bus@\"", &bus)
                .replace("@press@", &self.press.url());
            fs::write(maps.join(format!("{name}.toml")), map)?;
        }
        fs::copy(self.press.certificate(), maps.join(format!("{PRESS}.der")))?;
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
    /// No such machine, or none that can have such a fault.
    pub fn fault(&self, machine: &str, fault: Fault) -> Result<(), FaultRefused> {
        let machine = self.machine(machine)?;
        let kinds = machine.place.faults();
        let same = |kind: &FaultKind| discriminant(kind) == discriminant(&fault.kind);
        if !kinds.iter().any(same) {
            let machine = machine.name;
            return Err(FaultRefused::NotHere { machine, kinds });
        }
        match &machine.place {
            Place::Modbus { device, .. } if fault.kind.is_of_link() => device.fault(fault),
            Place::Modbus { unit, .. } => unit.fault(fault),
            Place::OpcUa(press) => press.fault(fault),
        }
        Ok(())
    }

    /// Nothing is wrong with a machine or its link any more.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn clear(&self, machine: &str) -> Result<(), UnknownMachine> {
        match &self.machine(machine)?.place {
            Place::Modbus { device, unit, .. } => {
                device.clear();
                unit.clear();
            }
            Place::OpcUa(press) => press.clear(),
        }
        Ok(())
    }

    /// What is wrong with a machine, its link included.
    ///
    /// # Errors
    ///
    /// No such machine.
    pub fn faults(&self, machine: &str) -> Result<Vec<Fault>, UnknownMachine> {
        Ok(match &self.machine(machine)?.place {
            Place::Modbus { device, unit, .. } => {
                let mut faults = device.faults();
                faults.extend(unit.faults());
                faults
            }
            Place::OpcUa(press) => press.faults(),
        })
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

/// A machine before its life begins: its name, its place, its body, its day and where in it it begins.
type Role = (&'static str, Place, Moved, Vec<State>, usize);

/// The machines. Each begins elsewhere in its day, so that the first minute shows every state.
fn cast(plc: &Arc<Device>, bus: &Arc<Device>, press: &Arc<Press>) -> [Role; 4] {
    let mut serviced = DAY.to_vec();
    serviced.push(State::Maint);
    let modbus = |name, device: &Arc<Device>, unit_id, plant, day, begin| {
        let unit = device.unit(unit_id);
        let moved = Moved::Modbus(plant, unit.clone());
        let device = Arc::clone(device);
        let place = Place::Modbus {
            device,
            unit,
            unit_id,
        };
        (name, place, moved, day, begin)
    };
    let extruder = Plant::Extruder(Extruder::default());
    let furnace = Plant::Furnace(Furnace::default());
    let mixer = Plant::Mixer(Mixer::default());
    let pressed = Moved::Press {
        body: Body::default(),
        press: Arc::clone(press),
        steps: PRESS_STEPS,
    };
    let place = Place::OpcUa(Arc::clone(press));
    [
        modbus("extruder-01", plc, 1, extruder, DAY.to_vec(), 0),
        modbus("furnace-01", bus, 1, furnace, DAY.to_vec(), 11),
        modbus("mixer-01", bus, 2, mixer, serviced.clone(), 7),
        (PRESS, place, pressed, serviced, 2),
    ]
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

impl Place {
    /// The kinds of faults that can be had here.
    fn faults(&self) -> Vec<FaultKind> {
        match self {
            Self::Modbus { .. } => {
                let kinds = FaultKind::ALL.into_iter();
                kinds.filter(|kind| !kind.is_of_nodes()).collect()
            }
            Self::OpcUa(_) => Press::FAULTS.to_vec(),
        }
    }
}

impl Moved {
    fn step(&mut self, state: State, seconds: f64, rng: &mut Rng) {
        match self {
            Self::Modbus(plant, unit) => {
                plant.step(state, seconds, rng);
                plant.show(state, unit);
            }
            Self::Press { body, press, steps } => {
                body.step(state, seconds, rng);
                *steps += 1;
                if *steps >= PRESS_STEPS {
                    *steps = 0;
                    press.show(body, state);
                }
            }
        }
    }
}

impl Being {
    fn step(&mut self, seconds: f64, rng: &mut Rng) {
        self.life.advance(seconds);
        let state = self.life.state();
        self.moved.step(state, seconds, rng);
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
mod tests;
