//! The physics of a hydraulic press, coarse but plausible.
//!
//! It knows nothing of OPC UA: seconds and a state go in, what the press shows comes out. What does not
//! move is exactly what it was, so that a press that rests has nothing to tell.

use fastrand::Rng;
use lineside_proto::State;

use crate::sim::plant::{approach, noise};

/// The ram at the top of its stroke, mm.
const TOP_MM: f64 = 400.0;
/// The ram where the mould closes, mm.
const CLOSED_MM: f64 = 12.0;
/// Where the ram waits while a mould is set up, mm.
const SETUP_MM: f64 = 180.0;
/// What the press presses with, kN.
const FORCE_KN: f64 = 850.0;
/// What the mould is heated to, °C.
const MOULD_C: f64 = 165.0;
/// The temperature of the hall, °C.
const HALL_C: f64 = 22.0;
/// How long a stroke takes, seconds.
const STROKE_S: f64 = 2.5;
/// The press's hours begin with what it has behind it.
const HOURS: f64 = 6_120.0;
/// Its strokes likewise.
const STROKES: u32 = 1_204_330;
/// The fault that it shows when it is down: the light curtain was broken.
const LIGHT_CURTAIN: u16 = 21;

/// A hydraulic press.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Body {
    stroke: f64,
    position_mm: f64,
    force_kn: f64,
    mould_c: [f64; 4],
    strokes: u32,
    hours: f64,
}

/// The switch on the press, as its enumeration has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Switch {
    Off = 0,
    Manual = 1,
    Setup = 2,
    Automatic = 3,
}

impl Switch {
    /// The texts, by number.
    pub(super) const TEXTS: [&'static str; 4] = ["Off", "Manual", "Setup", "Automatic"];
}

/// What the press shows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Shown {
    pub(super) state: State,
    pub(super) force_kn: f64,
    pub(super) position_mm: f64,
    pub(super) mould_c: [f64; 4],
    pub(super) strokes: u32,
    pub(super) hours: f64,
    pub(super) fault: u16,
    pub(super) switch: Switch,
    pub(super) paused: bool,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            stroke: 0.0,
            position_mm: TOP_MM,
            force_kn: 0.0,
            mould_c: [MOULD_C; 4],
            strokes: STROKES,
            hours: HOURS,
        }
    }
}

/// A value as it is shown: to a tenth.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl Body {
    /// Lets time pass in a state.
    pub(in crate::sim) fn step(&mut self, state: State, seconds: f64, rng: &mut Rng) {
        match state {
            State::Run => self.press(seconds, rng),
            State::Down => self.force_kn = 0.0,
            State::Setup => self.rest(SETUP_MM, seconds),
            State::Unknown | State::Off | State::Maint | State::Idle | State::Hold => {
                self.rest(TOP_MM, seconds);
            }
        }
        let heated = !matches!(state, State::Off | State::Maint);
        for zone in &mut self.mould_c {
            let (target, tau) = if heated {
                (MOULD_C + noise(rng, 1.5), 4.0)
            } else {
                (HALL_C, 30.0)
            };
            approach(zone, target, tau, seconds);
        }
    }

    fn rest(&mut self, at_mm: f64, seconds: f64) {
        self.stroke = 0.0;
        self.force_kn = 0.0;
        approach(&mut self.position_mm, at_mm, 0.3, seconds);
    }

    /// Down in the first half of a stroke, up in the second, with force while the mould is closed.
    fn press(&mut self, seconds: f64, rng: &mut Rng) {
        self.hours += seconds / 3600.0;
        self.stroke += seconds / STROKE_S;
        if self.stroke >= 1.0 {
            self.stroke = self.stroke.fract();
            self.strokes = self.strokes.wrapping_add(1);
        }
        let open = (self.stroke * std::f64::consts::TAU)
            .cos()
            .mul_add(0.5, 0.5);
        self.position_mm = (TOP_MM - CLOSED_MM).mul_add(open, CLOSED_MM);
        self.force_kn = if open < 0.1 {
            FORCE_KN * (1.0 - open * 10.0) + noise(rng, 4.0)
        } else {
            0.0
        };
    }

    /// What the press shows in a state.
    pub(super) fn shown(&self, state: State) -> Shown {
        Shown {
            state,
            force_kn: tenth(self.force_kn.max(0.0)),
            position_mm: tenth(self.position_mm),
            mould_c: self.mould_c.map(tenth),
            strokes: self.strokes,
            hours: (self.hours * 100.0).floor() / 100.0,
            fault: if state == State::Down {
                LIGHT_CURTAIN
            } else {
                0
            },
            switch: match state {
                State::Off | State::Unknown => Switch::Off,
                State::Maint => Switch::Manual,
                State::Setup => Switch::Setup,
                State::Idle | State::Run | State::Hold | State::Down => Switch::Automatic,
            },
            paused: state == State::Hold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, CLOSED_MM, FORCE_KN, STROKES, TOP_MM};
    use fastrand::Rng;
    use lineside_proto::State;

    #[test]
    fn it_presses_when_it_runs_and_shows_nothing_new_when_it_rests() {
        let mut body = Body::default();
        let mut rng = Rng::with_seed(5);
        let (mut lowest, mut strongest) = (TOP_MM, 0.0_f64);
        for _ in 0..100 {
            body.step(State::Run, 0.1, &mut rng);
            let shown = body.shown(State::Run);
            lowest = lowest.min(shown.position_mm);
            strongest = strongest.max(shown.force_kn);
        }
        assert!(lowest < CLOSED_MM + 10.0, "{lowest}");
        assert!(
            (FORCE_KN * 0.8..FORCE_KN * 1.1).contains(&strongest),
            "{strongest}"
        );
        assert_eq!(body.shown(State::Run).strokes, STROKES + 4);
        body.step(State::Idle, 10.0, &mut rng);
        let rested = body.shown(State::Idle);
        body.step(State::Idle, 10.0, &mut rng);
        let mut later = body.shown(State::Idle);
        later.mould_c = rested.mould_c;
        assert_eq!(later, rested);
        assert_eq!((later.force_kn, later.position_mm), (0.0, TOP_MM));
    }

    #[test]
    fn it_shows_its_fault_only_when_it_is_down() {
        let body = Body::default();
        assert_eq!(body.shown(State::Down).fault, 21);
        assert_eq!(body.shown(State::Run).fault, 0);
        assert!(body.shown(State::Hold).paused);
    }
}
