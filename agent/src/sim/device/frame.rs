//! Modbus frames as bytes: cutting requests out of what arrives, and framing answers.
//!
//! It does not judge what a request asks for; that is the registers' part.

/// How frames are delimited on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// A header with transaction and length: Modbus TCP.
    Tcp,
    /// Address first, CRC last, silence between: a serial line, or one carried over TCP.
    Rtu,
}

/// A request as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// The transaction of a TCP header; 0 on a serial line.
    pub(super) transaction: u16,
    /// The unit asked.
    pub(super) unit: u8,
    /// Function code and what follows it.
    pub(super) pdu: Vec<u8>,
}

/// What the bytes so far amount to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// Nothing whole yet.
    More,
    /// A request; its bytes are gone from the buffer.
    Frame(Request),
    /// No request can begin like this; the buffer is empty now.
    Broken,
}

/// The longest frame of the standard: 253 bytes and the TCP header.
const FRAME_BYTES_MAX: usize = 260;

const HEADER_BYTES: usize = 7;

impl Framing {
    /// Cuts the next request out of the buffer. `silent`: the sender has paused, so that on a serial
    /// line what is there is all there is.
    pub(super) fn take(self, buffer: &mut Vec<u8>, silent: bool) -> Taken {
        let taken = match self {
            Self::Tcp => take_tcp(buffer),
            Self::Rtu => take_rtu(buffer, silent),
        };
        if taken == Taken::Broken {
            buffer.clear();
        }
        taken
    }

    /// A whole frame around a protocol data unit.
    pub(super) fn wrap(self, transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(pdu.len().saturating_add(HEADER_BYTES));
        match self {
            Self::Tcp => {
                let length = u16::try_from(pdu.len().saturating_add(1)).unwrap_or(u16::MAX);
                frame.extend_from_slice(&transaction.to_be_bytes());
                frame.extend_from_slice(&[0, 0]);
                frame.extend_from_slice(&length.to_be_bytes());
                frame.push(unit);
                frame.extend_from_slice(pdu);
            }
            Self::Rtu => {
                frame.push(unit);
                frame.extend_from_slice(pdu);
                let crc = crc(&frame);
                frame.extend_from_slice(&crc.to_le_bytes());
            }
        }
        frame
    }
}

fn take_tcp(buffer: &mut Vec<u8>) -> Taken {
    let Some(&[t1, t0, p1, p0, l1, l0, unit]) = buffer.first_chunk::<HEADER_BYTES>() else {
        return Taken::More;
    };
    let length = usize::from(u16::from_be_bytes([l1, l0]));
    let whole = length.saturating_add(HEADER_BYTES - 1);
    if (p1, p0) != (0, 0) || length < 2 || whole > FRAME_BYTES_MAX {
        return Taken::Broken;
    }
    if buffer.len() < whole {
        return Taken::More;
    }
    let pdu = buffer.drain(..whole).skip(HEADER_BYTES).collect();
    Taken::Frame(Request {
        transaction: u16::from_be_bytes([t1, t0]),
        unit,
        pdu,
    })
}

fn take_rtu(buffer: &mut Vec<u8>, silent: bool) -> Taken {
    // Only some functions say how long their request is; the others end with the silence.
    let known = match (buffer.get(1), buffer.get(6)) {
        (Some(1..=6), _) => Some(8),
        (Some(15 | 16), Some(bytes)) => Some(usize::from(*bytes).saturating_add(9)),
        _ => None,
    };
    let whole = match known {
        Some(length) if buffer.len() >= length => length,
        _ if silent => buffer.len(),
        _ if buffer.len() > FRAME_BYTES_MAX => return Taken::Broken,
        _ => return Taken::More,
    };
    if !(4..=FRAME_BYTES_MAX).contains(&whole) {
        return Taken::Broken;
    }
    let frame: Vec<u8> = buffer.drain(..whole).collect();
    let Some((body, tail)) = frame.split_last_chunk::<2>() else {
        return Taken::Broken;
    };
    match body.split_first() {
        Some((unit, pdu)) if crc(body).to_le_bytes() == *tail => Taken::Frame(Request {
            transaction: 0,
            unit: *unit,
            pdu: pdu.to_vec(),
        }),
        _ => Taken::Broken,
    }
}

/// The CRC of serial Modbus; sent low byte first.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xA001
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Framing, Request, Taken, crc};
    use proptest::prelude::*;

    #[test]
    fn crc_is_the_one_of_the_standard() {
        // A request known from every manual: unit 1, function 3, register 0, ten of them.
        assert_eq!(crc(&[1, 3, 0, 0, 0, 10]).to_le_bytes(), [0xC5, 0xCD]);
    }

    #[test]
    fn broken_frames_are_refused_and_forgotten() {
        let check = |framing: Framing, bytes: &[u8], silent: bool, taken: Taken, left: usize| {
            let mut buffer = bytes.to_vec();
            assert_eq!(framing.take(&mut buffer, silent), taken, "{bytes:02x?}");
            assert_eq!(buffer.len(), left, "{bytes:02x?}");
        };
        let read = [1, 3, 0, 0, 0, 10, 0xC5, 0xCD];
        check(Framing::Rtu, &read[..7], false, Taken::More, 7);
        check(Framing::Rtu, &read[..7], true, Taken::Broken, 0);
        check(
            Framing::Rtu,
            &[1, 3, 0, 0, 0, 11, 0xC5, 0xCD],
            false,
            Taken::Broken,
            0,
        );
        check(Framing::Rtu, &[1], true, Taken::Broken, 0);
        check(Framing::Rtu, &[0x55; 300], false, Taken::Broken, 0);
        check(
            Framing::Tcp,
            &[0, 1, 0, 0, 0, 6, 1, 3],
            false,
            Taken::More,
            8,
        );
        check(
            Framing::Tcp,
            &[0, 1, 0, 9, 0, 6, 1, 3],
            false,
            Taken::Broken,
            0,
        );
        check(
            Framing::Tcp,
            &[0, 1, 0, 0, 9, 6, 1, 3],
            false,
            Taken::Broken,
            0,
        );
        check(
            Framing::Tcp,
            &[0, 1, 0, 0, 0, 1, 1],
            false,
            Taken::Broken,
            0,
        );
    }

    proptest! {
        #[test]
        fn a_frame_that_was_wrapped_is_taken_whole_however_it_arrives(
            transaction: u16, unit: u8, rtu: bool, function in 1_u8..=127,
            tail in proptest::collection::vec(any::<u8>(), 4), cut in 0_usize..8,
        ) {
            let framing = if rtu { Framing::Rtu } else { Framing::Tcp };
            // Writes of many carry a length of their own; here they would only be cut short.
            prop_assume!(!matches!(function, 15 | 16));
            let pdu: Vec<u8> = std::iter::once(function).chain(tail).collect();
            let frame = framing.wrap(transaction, unit, &pdu);
            let mut buffer = frame[..cut].to_vec();
            prop_assert_eq!(framing.take(&mut buffer, false), Taken::More);
            buffer.extend_from_slice(&frame[cut..]);
            let transaction = if rtu { 0 } else { transaction };
            let silent = rtu && function > 6;
            prop_assert_eq!(
                framing.take(&mut buffer, silent),
                Taken::Frame(Request { transaction, unit, pdu })
            );
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn whatever_arrives_is_used_up_or_waited_for(
            bytes in proptest::collection::vec(any::<u8>(), 0..600), rtu: bool, silent: bool,
        ) {
            let framing = if rtu { Framing::Rtu } else { Framing::Tcp };
            let mut buffer = bytes;
            loop {
                let before = buffer.len();
                match framing.take(&mut buffer, silent) {
                    Taken::More => break,
                    Taken::Frame(request) => {
                        prop_assert!(buffer.len() < before);
                        prop_assert!(!request.pdu.is_empty());
                    }
                    Taken::Broken => {
                        prop_assert!(buffer.is_empty());
                        break;
                    }
                }
            }
            prop_assert!(buffer.len() <= 263, "no more waits than one frame can be");
        }
    }
}
