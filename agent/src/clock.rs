//! Time: the boot clock for durations, the wall clock for people.

mod discipline;

pub use discipline::{Discipline, discipline};

use lineside_proto::Time;
use rustix::time::{ClockId, clock_gettime};
use std::fs;

/// One moment on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Milliseconds since the kernel booted, suspended time included (CLOCK_BOOTTIME). Never goes back.
    pub boot_ms: u64,
    /// Wall time. May step.
    pub wall: Time,
}

impl Stamp {
    /// The wall time, by this stamp's clocks, of a moment on the boot clock; negative: before the boot.
    pub fn wall_at(&self, boot_ms: i64) -> Time {
        self.wall.plus_millis(boot_ms.saturating_sub(self.millis()))
    }

    /// [`boot_ms`](Self::boot_ms), signed.
    pub fn millis(&self) -> i64 {
        i64::try_from(self.boot_ms).unwrap_or(i64::MAX)
    }
}

/// Where time comes from: the kernel in production, the script in a simulation.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Stamp;
}

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        let boot = clock_gettime(ClockId::Boottime);
        let wall = clock_gettime(ClockId::Realtime);
        let millis = |spec: rustix::time::Timespec| {
            spec.tv_sec.saturating_mul(1000) + spec.tv_nsec / 1_000_000
        };
        Stamp {
            boot_ms: u64::try_from(millis(boot)).unwrap_or(0),
            wall: Time::from_millis(millis(wall)),
        }
    }
}

/// The kernel's boot id, a new one each boot; empty where the kernel shows none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
