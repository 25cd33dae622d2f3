//! The physics of three machines, coarse but plausible, and the registers in which they show it. The
//! machine maps beside this file say the same to the agent.

use fastrand::Rng;
use lineside_proto::State;

use super::device::Unit;
use crate::config::model::{Order, Table};

/// The temperature of the hall, °C.
const HALL: f64 = 22.0;

/// A machine of the line.
#[derive(Debug)]
pub(super) enum Plant {
    /// A twin-screw extruder.
    Extruder(Extruder),
    /// A chamber furnace.
    Furnace(Furnace),
    /// A planetary mixer.
    Mixer(Mixer),
}

impl Plant {
    /// Lets time pass in a state.
    pub(super) fn step(&mut self, state: State, seconds: f64, rng: &mut Rng) {
        match self {
            Self::Extruder(extruder) => extruder.step(state, seconds, rng),
            Self::Furnace(furnace) => furnace.step(state, seconds, rng),
            Self::Mixer(mixer) => mixer.step(state, seconds, rng),
        }
    }

    /// Writes what the machine shows.
    pub(super) fn show(&self, state: State, unit: &Unit) {
        match self {
            Self::Extruder(extruder) => extruder.show(state, unit),
            Self::Furnace(furnace) => furnace.show(state, unit),
            Self::Mixer(mixer) => mixer.show(state, unit),
        }
    }
}

/// Moves a value towards a target, most of the way in `tau` seconds.
pub(super) fn approach(value: &mut f64, target: f64, tau: f64, seconds: f64) {
    *value += (target - *value) * (1.0 - (-seconds / tau).exp());
}

/// Noise of about this size around zero.
pub(super) fn noise(rng: &mut Rng, size: f64) -> f64 {
    (rng.f64() + rng.f64() - 1.0) * size
}

/// A value as an unsigned register.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what the register holds"
)]
fn unsigned(value: f64) -> u16 {
    value.round().clamp(0.0, f64::from(u16::MAX)) as u16
}

/// A value as a signed register.
#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to what the register holds"
)]
fn signed(value: f64) -> u16 {
    let value = value
        .round()
        .clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
    u16::from_ne_bytes(value.to_ne_bytes())
}

/// A value as a 32-bit counter.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what the registers hold"
)]
fn counter(value: f64) -> u32 {
    value.clamp(0.0, f64::from(u32::MAX)) as u32
}

/// A value as a 32-bit float.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the machine's own precision"
)]
fn float(value: f64) -> f32 {
    value as f32
}

/// A twin-screw extruder.
#[derive(Debug)]
pub(super) struct Extruder {
    screw_rpm: f64,
    zones: [f64; 4],
    melt: f64,
    pressure: f64,
    hours: f64,
}

/// The extruder's hours begin with what it has behind it.
const EXTRUDER_HOURS: f64 = 18_240.0;
/// What its zones are set to, °C.
const EXTRUDER_ZONES: [f64; 4] = [170.0, 190.0, 205.0, 210.0];
/// What is written on it, two bytes a register.
const EXTRUDER_SERIAL: &str = "TSE-35-2019-0417";

impl Default for Extruder {
    fn default() -> Self {
        Self {
            screw_rpm: 0.0,
            zones: EXTRUDER_ZONES,
            melt: 205.0,
            pressure: 1.0,
            hours: EXTRUDER_HOURS,
        }
    }
}

impl Extruder {
    fn step(&mut self, state: State, seconds: f64, rng: &mut Rng) {
        let running = state == State::Run;
        let target = if running {
            182.0 + noise(rng, 3.0)
        } else {
            0.0
        };
        approach(&mut self.screw_rpm, target, 0.2, seconds);
        let heated = !matches!(state, State::Off | State::Down);
        for (zone, set) in self.zones.iter_mut().zip(EXTRUDER_ZONES) {
            let target = if heated { set + noise(rng, 1.5) } else { HALL };
            approach(zone, target, if heated { 4.0 } else { 30.0 }, seconds);
        }
        let [.., die] = self.zones;
        approach(&mut self.melt, die + self.screw_rpm * 0.03, 3.0, seconds);
        approach(
            &mut self.pressure,
            1.0 + self.screw_rpm * 0.35,
            0.8,
            seconds,
        );
        if running {
            self.hours += seconds / 3600.0;
        }
    }

    fn show(&self, state: State, unit: &Unit) {
        let down = state == State::Down;
        unit.set_bit(Table::Discrete, 0, state != State::Off);
        unit.set_bit(Table::Discrete, 3, down);
        unit.set_bit(Table::Coil, 0, state == State::Run);
        unit.set_bit(Table::Coil, 1, matches!(state, State::Run | State::Hold));
        unit.set_bit(Table::Coil, 2, state == State::Setup);
        let rpm = self.screw_rpm;
        unit.set_f32(Table::Holding, 100, float(rpm), Order::Cdab);
        unit.set_f32(Table::Holding, 102, float(rpm * 0.14), Order::Cdab);
        unit.set(Table::Holding, 104, &[unsigned(rpm * 3.1)]);
        // Bit 4: emergency stop; bit 3 of the status word: the guard is open.
        let (fault, status) = if down { (0x0010, 1 << 3) } else { (0, 0) };
        unit.set(Table::Holding, 110, &[fault, status]);
        let tenth = |value: f64| signed(value * 10.0);
        unit.set(Table::Input, 20, &[tenth(self.melt), tenth(self.pressure)]);
        unit.set(Table::Input, 30, &self.zones.map(tenth));
        let serial: Vec<u16> = EXTRUDER_SERIAL
            .as_bytes()
            .chunks_exact(2)
            .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
            .map(u16::from_be_bytes)
            .collect();
        unit.set(Table::Holding, 300, &serial);
        unit.set_u32(Table::Holding, 320, counter(self.hours), Order::Abcd);
    }
}

/// A chamber furnace.
#[derive(Debug)]
pub(super) struct Furnace {
    chamber: f64,
    set: f64,
    power: f64,
    energy_wh: f64,
}

/// What a program holds, °C.
const FURNACE_SOAK: f64 = 850.0;
/// What the furnace waits at, °C.
const FURNACE_STANDBY: f64 = 60.0;
/// What its heaters take at full power, W.
const FURNACE_WATTS: f64 = 18_000.0;

impl Default for Furnace {
    fn default() -> Self {
        Self {
            chamber: HALL,
            set: 0.0,
            power: 0.0,
            energy_wh: 4_310_000.0,
        }
    }
}

impl Furnace {
    fn step(&mut self, state: State, seconds: f64, rng: &mut Rng) {
        self.set = match state {
            State::Setup | State::Run | State::Hold => FURNACE_SOAK,
            State::Idle => FURNACE_STANDBY,
            State::Off | State::Down | State::Maint | State::Unknown => 0.0,
        };
        let heating = self.set > self.chamber;
        let target = self.set.max(HALL) + noise(rng, 2.0);
        approach(
            &mut self.chamber,
            target,
            if heating { 3.0 } else { 12.0 },
            seconds,
        );
        let wanted = if self.set > 0.0 {
            (self.set - self.chamber) / 4.0 + self.set / 25.0
        } else {
            0.0
        };
        approach(&mut self.power, wanted.clamp(0.0, 100.0), 0.5, seconds);
        self.energy_wh += FURNACE_WATTS * self.power / 100.0 * seconds / 3600.0;
    }

    fn show(&self, state: State, unit: &Unit) {
        let segment = match state {
            State::Off | State::Unknown => 0,
            State::Idle | State::Down | State::Maint => 1,
            State::Setup => 2,
            State::Run | State::Hold => 3,
        };
        let down = state == State::Down;
        let paused = u16::from(state == State::Hold) << 1;
        let program = u16::from(segment > 1);
        let alarm = if down { 7 } else { 0 };
        unit.set(Table::Holding, 10, &[segment, alarm, program | paused]);
        unit.set_bit(Table::Discrete, 0, down);
        let [chamber, set] = [self.chamber, self.set].map(signed);
        unit.set(
            Table::Input,
            0,
            &[chamber, set, unsigned(self.power * 10.0)],
        );
        unit.set_u32(Table::Input, 10, counter(self.energy_wh), Order::Abcd);
    }
}

/// A planetary mixer.
#[derive(Debug, Default)]
pub(super) struct Mixer {
    rpm: f64,
    torque: f64,
    revolutions: f64,
}

/// The recipe shown, as decimal digits.
const MIXER_RECIPE: u16 = 0x0427;

impl Mixer {
    fn step(&mut self, state: State, seconds: f64, rng: &mut Rng) {
        let target = match state {
            State::Run => 48.0 + noise(rng, 1.0),
            State::Setup => 6.0,
            State::Unknown
            | State::Off
            | State::Down
            | State::Maint
            | State::Idle
            | State::Hold => 0.0,
        };
        approach(&mut self.rpm, target, 0.2, seconds);
        approach(
            &mut self.torque,
            self.rpm * 1.9 + noise(rng, 1.0),
            0.3,
            seconds,
        );
        self.revolutions += self.rpm * seconds / 60.0;
    }

    fn show(&self, state: State, unit: &Unit) {
        let coils = [
            state != State::Off,
            state == State::Run,
            matches!(state, State::Run | State::Hold),
            state == State::Maint,
            state == State::Setup,
        ];
        unit.set(Table::Coil, 0, &coils.map(u16::from));
        unit.set_bit(
            Table::Discrete,
            0,
            matches!(state, State::Setup | State::Maint),
        );
        let [rpm, torque] = [unsigned(self.rpm), signed(self.torque * 10.0)];
        unit.set(Table::Holding, 0, &[rpm, torque, MIXER_RECIPE]);
        unit.set_u32(Table::Holding, 4, counter(self.revolutions), Order::Dcba);
        unit.set(
            Table::Holding,
            8,
            &[if state == State::Down { 3 } else { 0 }],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Extruder, Furnace, Mixer, Plant, signed, unsigned};
    use crate::config::model::Table;
    use crate::sim::device::Unit;
    use fastrand::Rng;
    use lineside_proto::State;

    #[test]
    fn registers_hold_what_they_can() {
        assert_eq!(unsigned(-1.0), 0);
        assert_eq!(unsigned(70_000.0), u16::MAX);
        assert_eq!(signed(-1.0), 0xFFFF);
        assert_eq!(signed(-1e9), 0x8000);
        assert_eq!(signed(f64::NAN), 0);
    }

    #[test]
    fn an_extruder_turns_when_it_runs_and_stops_when_it_does_not() {
        let mut rng = Rng::with_seed(1);
        let mut plant = Plant::Extruder(Extruder::default());
        let unit = Unit::default();
        let mut live = |state| {
            for _ in 0..100 {
                plant.step(state, 0.05, &mut rng);
            }
            plant.show(state, &unit);
            let [low, high] =
                [100, 101].map(|address| u32::from(unit.get(Table::Holding, address)));
            f32::from_bits(high << 16 | low)
        };
        assert!((170.0..195.0).contains(&live(State::Run)));
        assert!(live(State::Hold) < 1.0);
        assert_eq!(unit.get(Table::Coil, 1), 1);
        live(State::Down);
        assert_eq!(unit.get(Table::Holding, 110), 0x10);
        assert_eq!(unit.get(Table::Discrete, 3), 1);
        live(State::Off);
        assert_eq!(unit.get(Table::Discrete, 0), 0);
        assert_eq!(unit.get(Table::Holding, 300), u16::from_be_bytes(*b"TS"));
    }

    #[test]
    fn a_furnace_heats_up_and_a_mixer_turns() {
        let mut rng = Rng::with_seed(1);
        let mut furnace = Plant::Furnace(Furnace::default());
        let mut mixer = Plant::Mixer(Mixer::default());
        let (f, m) = (Unit::default(), Unit::default());
        for _ in 0..400 {
            furnace.step(State::Setup, 0.05, &mut rng);
            mixer.step(State::Run, 0.05, &mut rng);
        }
        furnace.show(State::Setup, &f);
        mixer.show(State::Run, &m);
        assert!((820..870).contains(&f.get(Table::Input, 0)));
        assert_eq!(f.get(Table::Holding, 10), 2);
        assert!((45..52).contains(&m.get(Table::Holding, 0)));
        assert!(m.get(Table::Holding, 4) > 0, "low word first");
    }
}
