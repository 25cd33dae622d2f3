//! The machines of the sample year: what they draw, and what they show.

use lineside_proto::{Identifier, NameError, State};

use super::script::Phase;
use crate::config::model::MachineMap;
use crate::sample::{Bad, Sample, Value};

/// What a machine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// With a meter, and switched off at night.
    Extruder,
    /// With a meter, and kept warm at night.
    Furnace,
    /// Without a meter; its portal signs nothing.
    Press,
}

/// A machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) name: Identifier,
    pub(super) kind: Kind,
    number: u32,
}

/// RUN begins above so much, by the maps of the begin.
const THRESHOLD: &str = "5.0";
/// And by the one that somebody made of it.
const THRESHOLD_LOWERED: &str = "0.5";

/// The value of a machine that does its work.
const VALUE_RUN: f64 = 180.0;
/// The value of a screw that turns slowly and makes nothing.
pub(super) const VALUE_TURNING: f64 = 1.2;

impl Machine {
    /// So many machines: an extruder, a furnace, a press, and again.
    pub(super) fn all(count: u32) -> Result<Vec<Self>, NameError> {
        let all = (0..count).map(|place| {
            let (word, kind) = match place % 3 {
                0 => ("extruder", Kind::Extruder),
                1 => ("furnace", Kind::Furnace),
                _ => ("press", Kind::Press),
            };
            let number = place / 3 + 1;
            let name = format!("{word}-{number:02}").parse()?;
            Ok(Self { name, kind, number })
        });
        all.collect()
    }

    /// Whether it is the first of its kind: the one at which somebody cheats.
    pub(super) fn is_first(&self) -> bool {
        self.number == 1
    }

    /// Its map as a technician writes it; `is_lowered`: after somebody lowered the bound of RUN.
    pub(super) fn map(&self, is_lowered: bool) -> String {
        let text = match self.kind {
            Kind::Extruder => include_str!("config/extruder.toml"),
            Kind::Furnace => include_str!("config/furnace.toml"),
            Kind::Press => include_str!("config/press.toml"),
        };
        let threshold = if is_lowered {
            THRESHOLD_LOWERED
        } else {
            THRESHOLD
        };
        text.replace("@name@", self.name.as_str())
            .replace("@unit@", &self.number.to_string())
            .replace("@port@", &(4840 + self.number).to_string())
            .replace("@threshold@", threshold)
    }

    /// What it draws, in watts.
    pub(super) fn watts(&self, state: State) -> i64 {
        let all = match self.kind {
            Kind::Extruder => [40, 300, 200, 900, 9_000, 14_000, 5_000],
            Kind::Furnace => [60, 400, 200, 1_000, 12_000, 16_000, 6_000],
            Kind::Press => [30, 200, 100, 600, 3_000, 7_000, 2_000],
        };
        let place = match state {
            State::Unknown | State::Off => 0,
            State::Down => 1,
            State::Maint => 2,
            State::Idle => 3,
            State::Setup => 4,
            State::Run => 5,
            State::Hold => 6,
        };
        all.get(place).copied().unwrap_or(0)
    }

    /// How much it is asked for, in percent of the extruder.
    pub(super) fn demand(&self) -> u32 {
        match self.kind {
            Kind::Extruder => 100,
            Kind::Furnace => 90,
            Kind::Press => 65,
        }
    }

    /// Its state at night and on days of rest.
    pub(super) fn night(&self) -> State {
        match self.kind {
            Kind::Furnace => State::Idle,
            Kind::Extruder | Kind::Press => State::Off,
        }
    }

    /// The value that it shows in a state.
    pub(super) fn value(state: State) -> f64 {
        if state == State::Run { VALUE_RUN } else { 0.0 }
    }
}

/// What the meters of a machine have counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Watt-milliseconds.
    pub(super) energy: i64,
    /// Milliseconds.
    pub(super) run: i64,
}

const HOUR_MS: i64 = 3_600_000;

/// What the points of a map give; nothing where the link is broken.
pub(super) fn samples(
    map: &MachineMap,
    phase: &Phase,
    counted: Counted,
    is_linked: bool,
) -> Vec<Sample> {
    let count = u16::try_from(map.points.len()).unwrap_or(u16::MAX);
    let points = (0..count).zip(&map.points);
    let samples = points.map(|(point, said)| {
        let value = value(said.name.as_str(), phase, counted);
        let reading = if is_linked {
            Ok(value)
        } else {
            Err(Bad::Timeout)
        };
        Sample { point, reading }
    });
    samples.collect()
}

fn value(point: &str, phase: &Phase, counted: Counted) -> Value {
    let is = |state: State| Value::Bool(phase.state == state);
    let number = |number: i64| Value::Uint(u64::try_from(number).unwrap_or(0));
    match point {
        "main_power" => Value::Bool(phase.state != State::Off),
        "service_key" => is(State::Maint),
        "running" => is(State::Run),
        "warming_up" => is(State::Setup),
        "job_active" => is(State::Hold),
        "fault_word" => number(if phase.state == State::Down { 4 } else { 0 }),
        "energy_wh" => number(1_250_000 + counted.energy / HOUR_MS),
        // Hundredths, as the device counts; as a text a decimal of two places.
        "hours" => hundredths(812_000 + counted.run / (HOUR_MS / 100)),
        _ => Value::Float(phase.value),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an hour counter is far below 2^53"
)]
fn hundredths(number: i64) -> Value {
    Value::Float(number as f64 / 100.0)
}
