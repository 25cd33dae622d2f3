//! Whether the wall clock can be trusted, as the kernel says it.
//!
//! The kernel's word (`ntp_gettime(3)`: synchronised or not, and the maximum error) has no safe call in Rust
//! that builds with our minimum version. `logger` of util-linux, which every Debian has, asks the kernel for
//! it and writes it into the `timeQuality` element of RFC 5424 (section 7.1); with `--no-act` it sends
//! nothing. Where there is no such program, nothing better than I is ever said.

use lineside_proto::ClockStatus;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Stamp;

/// Wall time before this was never set: 2026-01-01.
const WALL_PLAUSIBLE_MS: i64 = 1_767_225_600_000;

/// How long the answer may take; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether the answer is there.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Bytes of the answer that are read.
const ANSWER_BYTES_MAX: u64 = 4096;

/// How far wall time can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Discipline {
    /// The letter.
    pub status: ClockStatus,
    /// The kernel's bound of its error; none while it is not synchronised.
    pub error_ms: Option<u64>,
}

/// What the kernel says now. Takes milliseconds, at most two seconds.
pub fn discipline(now: Stamp) -> Discipline {
    judge(now, ask().as_deref())
}

fn judge(now: Stamp, answer: Option<&str>) -> Discipline {
    let plausible = now.wall.as_millis() >= WALL_PLAUSIBLE_MS;
    let synchronised = answer.is_some_and(|answer| said(answer, "isSynced") == Some("1"));
    match (plausible, synchronised) {
        (false, _) => Discipline {
            status: ClockStatus::U,
            error_ms: None,
        },
        (true, false) => Discipline {
            status: ClockStatus::I,
            error_ms: None,
        },
        (true, true) => Discipline {
            status: ClockStatus::S,
            // In microseconds.
            error_ms: answer
                .and_then(|answer| said(answer, "syncAccuracy"))
                .and_then(|accuracy| accuracy.parse::<u64>().ok())
                .map(|accuracy_us| accuracy_us.div_ceil(1000)),
        },
    }
}

/// The value of a parameter of the `timeQuality` element.
fn said<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (_, element) = answer.split_once("[timeQuality ")?;
    let (element, _) = element.split_once(']')?;
    let (_, value) = element.split_once(&format!("{name}=\""))?;
    value.split_once('"').map(|(value, _)| value)
}

fn ask() -> Option<String> {
    let mut child = Command::new("logger")
        .args(["--rfc5424", "--stderr", "--no-act", "--socket-errors=off"])
        .args(["--tag", "lineside", "clock"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let ended = wait(&mut child);
    if !ended {
        // Nothing is wanted of it any more; it may have ended meanwhile.
        drop(child.kill());
        drop(child.wait());
        return None;
    }
    let mut answer = String::new();
    let said = child.stderr.take()?;
    said.take(ANSWER_BYTES_MAX)
        .read_to_string(&mut answer)
        .ok()?;
    Some(answer)
}

fn wait(child: &mut Child) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) => thread::park_timeout(LOOK_EVERY),
            Err(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{ask, judge, said};
    use crate::clock::Stamp;
    use lineside_proto::{ClockStatus, Time};

    #[test]
    fn the_letter_follows_the_kernel() {
        let check = |wall_ms: i64, answer: Option<&str>, status: ClockStatus, error_ms| {
            let now = Stamp {
                boot_ms: 0,
                wall: Time::from_millis(wall_ms),
            };
            let word = judge(now, answer);
            assert_eq!((word.status, word.error_ms), (status, error_ms));
        };
        let set = 1_795_420_800_000;
        let synced = r#"<13>1 2026-11-29T14:25:01Z h l - - [timeQuality tzKnown="1" isSynced="1" syncAccuracy="12001"] x"#;
        let free = r#"<13>1 2026-11-29T14:25:01Z h l - - [timeQuality tzKnown="1" isSynced="0"] x"#;
        check(set, Some(synced), ClockStatus::S, Some(13));
        check(set, Some(free), ClockStatus::I, None);
        check(set, Some("isSynced=\"1\""), ClockStatus::I, None);
        check(set, None, ClockStatus::I, None);
        check(0, Some(synced), ClockStatus::U, None);
    }

    #[test]
    fn the_system_has_a_word_on_it() {
        // An empty line says nothing in some versions; what matters is that whatever comes can be read.
        if let Some(answer) = ask() {
            assert!(
                answer.is_empty() || said(&answer, "isSynced").is_some(),
                "{answer}"
            );
        }
    }
}
