//! Signs of another master on a serial line, where there may be only one.

use std::collections::VecDeque;
use std::time::Duration;

use super::schedule::Moment;

/// So many times bytes may come unasked within [`WITHIN`] before they mean another master: once
/// may be a very late answer, twice bad luck.
const STRIKES_MAX: usize = 3;

/// How long a sign is remembered.
const WITHIN: Duration = Duration::from_secs(60);

/// The shortest frame on a serial line: unit, function, checksum. Fewer bytes are noise, as drivers
/// make when they switch.
pub(super) const FRAME_BYTES_MIN: u32 = 4;

/// When bytes came unasked. Bounded by [`STRIKES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Strikes(VecDeque<Moment>);

impl Strikes {
    /// Bytes came unasked; whether another master must be behind it by now.
    pub(super) fn add(&mut self, now: Moment) -> bool {
        self.0.retain(|then| now.saturating_sub(*then) < WITHIN);
        self.0.push_back(now);
        let enough = self.0.len() >= STRIKES_MAX;
        if enough {
            self.0.clear();
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::Strikes;
    use std::time::Duration;

    #[test]
    fn three_signs_within_a_minute_mean_another_master() {
        let check = |seconds: &[u64], expected: &[bool]| {
            let mut strikes = Strikes::default();
            let got: Vec<bool> = seconds
                .iter()
                .map(|at| strikes.add(Duration::from_secs(*at)))
                .collect();
            assert_eq!(got, expected, "{seconds:?}");
        };
        check(&[0, 10, 59], &[false, false, true]);
        check(&[0, 10, 60, 69, 70], &[false, false, false, true, false]);
        check(&[0, 61, 122, 183], &[false; 4]);
    }
}
