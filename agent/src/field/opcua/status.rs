//! An OPC UA status code as a reason: its name, and whether the value beside it stands.
//!
//! The low half of a code tells how a value was made, not whether it is good; of it only the overflow
//! of a queue is looked at.

use opcua::types::StatusCode;
use opcua::types::status_code::SubStatusCode;

use crate::sample::{Bad, OpcStatus};

/// The half of a code that says what is wrong.
const REASON: u32 = 0xFFFF_0000;

/// A status code as plain data.
pub(super) fn plain(code: StatusCode) -> OpcStatus {
    let bits = code.bits() & REASON;
    OpcStatus {
        code: bits,
        name: SubStatusCode::from_value(bits).map_or("", |known| known.name()),
    }
}

/// Whether the value beside this code is good.
///
/// # Errors
///
/// The code as the reason why it is not.
pub(super) fn judge(code: StatusCode) -> Result<(), Bad> {
    if code.is_good() {
        Ok(())
    } else if code.is_uncertain() {
        Err(Bad::Uncertain(plain(code)))
    } else {
        Err(Bad::Status(plain(code)))
    }
}

/// Whether the server had to drop values before this one: its queue was full. The standard wants the
/// code marked as that of a data value, too; some servers forget that.
pub(super) fn overflowed(code: StatusCode) -> bool {
    code.overflow()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_judged_by_its_severity_and_told_by_its_name() {
        for (bits, expected) in [
            (0x0000_0000, None),
            (0x0000_0480, None),
            (0x00A2_0000, None),
            (0x4090_0000, Some("uncertain:UncertainLastUsableValue")),
            (0x4090_0480, Some("uncertain:UncertainLastUsableValue")),
            (0x8034_0000, Some("bad:BadNodeIdUnknown")),
            (0x8000_0000, Some("bad:Bad")),
            (0x8FFF_0000, Some("bad:0x8FFF0000")),
            (0xC000_0000, Some("bad:0xC0000000")),
        ] {
            let bad = judge(StatusCode::from(bits)).err();
            let text = bad.map(|bad| bad.to_string());
            assert_eq!(text.as_deref(), expected, "{bits:08X}");
        }
    }

    #[test]
    fn an_overflow_is_seen_with_and_without_the_mark_of_a_value() {
        for (bits, expected) in [(0, false), (0x80, true), (0x400, false), (0x480, true)] {
            assert_eq!(overflowed(StatusCode::from(bits)), expected, "{bits:08X}");
        }
    }
}
