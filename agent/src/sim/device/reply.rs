//! What goes onto the wire in answer to a request, right or wrong: pure, so that every fault is
//! tested byte by byte.

use fastrand::Rng;
use std::time::Duration;

use super::bank::exception;
use super::fault::FaultKind;
use super::frame::{Framing, Request};

/// Bytes to send, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Reply {
    /// How long to wait before the first byte; other replies go out meanwhile.
    pub(super) delay: Duration,
    /// What is sent at one go each.
    pub(super) chunks: Vec<Vec<u8>>,
    /// The pause between chunks.
    pub(super) pause: Duration,
    /// Close the connection afterwards. A serial line can't be closed.
    pub(super) close: bool,
}

/// The most random bytes in place of an answer.
const GARBAGE_BYTES_MAX: usize = 64;

impl Reply {
    /// Just these bytes.
    pub(super) fn of(frame: Vec<u8>) -> Self {
        Self {
            chunks: vec![frame],
            ..Self::default()
        }
    }

    fn closing(frame: Vec<u8>) -> Self {
        Self {
            close: true,
            ..Self::of(frame)
        }
    }

    /// The reply to a request whose right answer is `pdu`, spoiled by a fault; none: silence.
    pub(super) fn plan(
        framing: Framing,
        request: &Request,
        pdu: &[u8],
        fault: Option<FaultKind>,
        rng: &mut Rng,
    ) -> Option<Self> {
        let wrap = |unit: u8, pdu: &[u8]| framing.wrap(request.transaction, unit, pdu);
        let right = wrap(request.unit, pdu);
        let next_unit = request.unit.wrapping_add(1);
        let Some(fault) = fault else {
            return Some(Self::of(right));
        };
        Some(match fault {
            FaultKind::Silent => return None,
            FaultKind::Late(delay) => Self {
                delay,
                ..Self::of(right)
            },
            FaultKind::WrongTransaction if framing == Framing::Tcp => {
                let foreign = request.transaction ^ 0x5555;
                Self::of(framing.wrap(foreign, request.unit, pdu))
            }
            FaultKind::WrongTransaction | FaultKind::WrongUnit => Self::of(wrap(next_unit, pdu)),
            FaultKind::WrongFunction => Self::of(wrap(request.unit, &other_function(pdu))),
            FaultKind::Short => Self::of(wrap(request.unit, &resized(pdu, false))),
            FaultKind::Long => Self::of(wrap(request.unit, &resized(pdu, true))),
            FaultKind::BadCrc => Self::of(spoiled(framing, right)),
            FaultKind::Garbage => {
                let bytes = rng.usize(1..=GARBAGE_BYTES_MAX);
                Self::of(std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect())
            }
            FaultKind::Cut => Self::of(half(right)),
            FaultKind::CloseMidFrame => Self::closing(half(right)),
            FaultKind::Close => Self {
                close: true,
                ..Self::default()
            },
            FaultKind::Split(pause) => Self {
                chunks: right.into_iter().map(|byte| vec![byte]).collect(),
                pause,
                ..Self::default()
            },
            FaultKind::Exception(code) => {
                let function = request.pdu.first().copied().unwrap_or(0);
                Self::of(wrap(request.unit, &exception(function, code)))
            }
            FaultKind::Refuse
            | FaultKind::Frozen
            | FaultKind::Unsolicited(_)
            | FaultKind::Chatter(_)
            | FaultKind::NodeGone
            | FaultKind::BadStatus
            | FaultKind::Uncertain => Self::of(right),
        })
    }
}

/// The same answer under the function of the kind's other table: 1 and 2, 3 and 4.
fn other_function(pdu: &[u8]) -> Vec<u8> {
    let mut pdu = pdu.to_vec();
    if let Some(function) = pdu.first_mut() {
        *function = (function.wrapping_sub(1) ^ 1).wrapping_add(1);
    }
    pdu
}

/// The same answer with a register, or eight bits, more or less; exceptions as they are.
fn resized(pdu: &[u8], longer: bool) -> Vec<u8> {
    let mut pdu = pdu.to_vec();
    let step = match pdu.first() {
        Some(1 | 2) => 1,
        Some(3 | 4) => 2,
        _ => return pdu,
    };
    let length = pdu.len();
    let length = if longer {
        length + step
    } else {
        length.saturating_sub(step).max(2)
    };
    pdu.resize(length, 0);
    if let Some(bytes) = pdu.get_mut(1) {
        *bytes = u8::try_from(length - 2).unwrap_or(u8::MAX);
    }
    pdu
}

fn spoiled(framing: Framing, mut frame: Vec<u8>) -> Vec<u8> {
    let place = match framing {
        Framing::Tcp => frame.get_mut(5),
        Framing::Rtu => frame.last_mut(),
    };
    if let Some(byte) = place {
        *byte ^= 1;
    }
    frame
}

fn half(mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(frame.len().div_ceil(2));
    frame
}

#[cfg(test)]
mod tests {
    use super::Reply;
    use crate::sim::device::fault::Fault;
    use crate::sim::device::frame::{Framing, Request, crc};
    use fastrand::Rng;
    use std::time::Duration;

    fn plan(framing: Framing, fault: &str, question: &[u8], answer: &[u8]) -> Option<Reply> {
        let request = Request {
            transaction: 0x0102,
            unit: 9,
            pdu: question.to_vec(),
        };
        let fault = (!fault.is_empty()).then(|| fault.parse::<Fault>().unwrap().kind);
        Reply::plan(framing, &request, answer, fault, &mut Rng::with_seed(1))
    }

    #[test]
    fn each_fault_spoils_a_tcp_answer_in_its_way() {
        let check = |fault: &str, frame: &[u8]| {
            let reply = plan(Framing::Tcp, fault, &[3, 0, 0, 0, 2], &[3, 4, 0, 1, 0, 2]).unwrap();
            assert_eq!(reply.chunks.concat(), frame, "{fault}");
            reply
        };
        let right = [1, 2, 0, 0, 0, 7, 9, 3, 4, 0, 1, 0, 2];
        check("", &right);
        assert_eq!(check("late=20ms", &right).delay, Duration::from_millis(20));
        assert_eq!(check("split=1ms", &right).chunks.len(), right.len());
        check(
            "wrong-transaction",
            &[0x54, 0x57, 0, 0, 0, 7, 9, 3, 4, 0, 1, 0, 2],
        );
        check("wrong-unit", &[1, 2, 0, 0, 0, 7, 10, 3, 4, 0, 1, 0, 2]);
        check("wrong-function", &[1, 2, 0, 0, 0, 7, 9, 4, 4, 0, 1, 0, 2]);
        check("short", &[1, 2, 0, 0, 0, 5, 9, 3, 2, 0, 1]);
        check("long", &[1, 2, 0, 0, 0, 9, 9, 3, 6, 0, 1, 0, 2, 0, 0]);
        check("bad-crc", &[1, 2, 0, 0, 0, 6, 9, 3, 4, 0, 1, 0, 2]);
        check("cut", &right[..7]);
        assert!(!check("cut", &right[..7]).close);
        assert!(check("close-mid-frame", &right[..7]).close);
        assert!(check("close", &[]).close);
        check("exception=6", &[1, 2, 0, 0, 0, 3, 9, 0x83, 6]);
        check("frozen", &right);
        assert_eq!(
            plan(
                Framing::Tcp,
                "silent",
                &[3, 0, 0, 0, 2],
                &[3, 4, 0, 1, 0, 2]
            ),
            None
        );
    }

    #[test]
    fn a_spoiled_serial_answer_keeps_a_valid_crc_unless_the_crc_is_the_fault() {
        let check = |fault: &str, body: &[u8], valid: bool| {
            let reply = plan(Framing::Rtu, fault, &[1, 0, 0, 0, 9], &[1, 2, 0xFF, 1]).unwrap();
            let frame = reply.chunks.concat();
            let (start, tail) = frame.split_last_chunk::<2>().unwrap();
            assert_eq!(start, body, "{fault}");
            assert_eq!(crc(start).to_le_bytes() == *tail, valid, "{fault}");
        };
        check("", &[9, 1, 2, 0xFF, 1], true);
        check("wrong-transaction", &[10, 1, 2, 0xFF, 1], true);
        check("wrong-function", &[9, 2, 2, 0xFF, 1], true);
        check("short", &[9, 1, 1, 0xFF], true);
        check("long", &[9, 1, 3, 0xFF, 1, 0], true);
        check("exception=11", &[9, 0x81, 11], true);
        check("bad-crc", &[9, 1, 2, 0xFF, 1], false);
        let garbage = plan(Framing::Rtu, "garbage", &[1, 0, 0, 0, 9], &[1, 2, 0xFF, 1]);
        assert!((1..=64).contains(&garbage.unwrap().chunks.concat().len()));
    }
}
