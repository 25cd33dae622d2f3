//! The life of a simulated machine: which state comes after which, and for how long.
//!
//! Pure: seconds go in, the state comes out.

use fastrand::Rng;
use lineside_proto::State;

/// A phase lasts between these many seconds, drawn evenly.
const PHASE_S: std::ops::Range<f64> = 5.0..15.0;

/// A day of a machine, to be repeated. A fault strikes in every other round only.
pub(super) const DAY: [State; 12] = [
    State::Idle,
    State::Setup,
    State::Run,
    State::Hold,
    State::Run,
    State::Idle,
    State::Setup,
    State::Run,
    State::Down,
    State::Idle,
    State::Off,
    State::Off,
];

/// Where a machine is in its life.
#[derive(Debug)]
pub(super) struct Life {
    rng: Rng,
    day: Vec<State>,
    place: usize,
    round: u32,
    left_s: f64,
}

impl Life {
    /// A life that repeats a day, from a place in it on.
    pub(super) fn new(seed: u64, day: Vec<State>, place: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let left_s = phase(&mut rng);
        Self {
            rng,
            day,
            place,
            round: 0,
            left_s,
        }
    }

    /// The state that the machine is truly in.
    pub(super) fn state(&self) -> State {
        self.day.get(self.place).copied().unwrap_or(State::Off)
    }

    /// Lets time pass; at most one phase ends, so that none is skipped.
    pub(super) fn advance(&mut self, seconds: f64) {
        self.left_s -= seconds;
        if self.left_s > 0.0 {
            return;
        }
        self.step();
        if self.state() == State::Down && self.round % 2 == 1 {
            self.step();
        }
        self.left_s = phase(&mut self.rng);
    }

    fn step(&mut self) {
        self.place += 1;
        if self.place >= self.day.len() {
            self.place = 0;
            self.round = self.round.wrapping_add(1);
        }
    }
}

fn phase(rng: &mut Rng) -> f64 {
    PHASE_S.start + rng.f64() * (PHASE_S.end - PHASE_S.start)
}

#[cfg(test)]
mod tests {
    use super::{DAY, Life};
    use lineside_proto::State;

    #[test]
    fn a_day_has_every_state_and_phases_last_as_promised() {
        for seed in 0..20 {
            let mut life = Life::new(seed, DAY.to_vec(), 0);
            let mut turns = vec![(State::Idle, 0_u32)];
            // A fifth of a second at a time, for ten minutes.
            for _ in 0..3000 {
                life.advance(0.2);
                match turns.last_mut() {
                    Some((state, steps)) if *state == life.state() => *steps += 1,
                    _ => turns.push((life.state(), 1)),
                }
            }
            turns.pop();
            for state in [
                State::Off,
                State::Down,
                State::Idle,
                State::Setup,
                State::Run,
                State::Hold,
            ] {
                assert!(
                    turns.iter().any(|(seen, _)| *seen == state),
                    "{seed}: {state}"
                );
            }
            for (state, steps) in turns {
                // OFF is two phases long.
                let most = if state == State::Off { 151 } else { 76 };
                assert!(
                    (24..=most).contains(&steps),
                    "{seed}: {state} for {steps} steps"
                );
            }
        }
    }

    #[test]
    fn a_fault_strikes_in_every_other_round() {
        let mut life = Life::new(3, DAY.to_vec(), 0);
        let mut downs = 0;
        for _ in 0..DAY.len() * 2 - 1 {
            downs += usize::from(life.state() == State::Down);
            life.advance(15.0);
        }
        assert_eq!(downs, 1);
        assert_eq!(life.state(), State::Idle);
    }

    #[test]
    fn the_same_seed_lives_the_same_life() {
        let states = |seed| {
            let mut life = Life::new(seed, DAY.to_vec(), 0);
            let step = |_| {
                life.advance(1.0);
                life.state()
            };
            (0..200).map(step).collect::<Vec<_>>()
        };
        assert_eq!(states(7), states(7));
        assert_ne!(states(7), states(8));
    }
}
