//! MQTT 5 packets, as far as one who only watches a connection must know them.

use std::collections::VecDeque;

/// A packet: its type (the high half of the first byte), its flags and what follows the length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The packet type, 1 to 15.
    pub kind: u8,
    /// The four flags.
    pub flags: u8,
    /// What follows the fixed header.
    pub body: Vec<u8>,
}

/// Packet type of PUBLISH.
pub const PUBLISH: u8 = 3;
/// Packet type of PUBACK.
pub const PUBACK: u8 = 4;

/// Cuts a stream of bytes into packets.
#[derive(Debug, Default)]
pub struct Cutter {
    bytes: VecDeque<u8>,
}

impl Cutter {
    /// Takes in what came next and gives the packets that are now whole.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Packet> {
        self.bytes.extend(bytes);
        std::iter::from_fn(|| self.next()).collect()
    }

    fn next(&mut self) -> Option<Packet> {
        let first = *self.bytes.front()?;
        let (length, header) = variable(self.bytes.iter().skip(1).copied())?;
        let start = 1 + header;
        if self.bytes.len() < start + length {
            return None;
        }
        let body = self.bytes.drain(..start + length).skip(start).collect();
        Some(Packet {
            kind: first >> 4,
            flags: first & 0x0f,
            body,
        })
    }
}

/// A variable byte integer and how many bytes it took.
fn variable(bytes: impl Iterator<Item = u8>) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

/// A PUBLISH of quality 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// The packet id.
    pub id: u16,
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Packet {
    /// The packet as a PUBLISH of quality 1.
    pub fn publish(&self) -> Option<Publish> {
        if self.kind != PUBLISH || self.flags & 0b0110 != 0b0010 {
            return None;
        }
        let (length, rest) = word(&self.body)?;
        let (topic, rest) = rest.split_at_checked(usize::from(length))?;
        let (id, rest) = word(rest)?;
        let (properties, header) = variable(rest.iter().copied())?;
        let payload = rest.get(header + properties..)?;
        Some(Publish {
            id,
            topic: String::from_utf8_lossy(topic).into_owned(),
            payload: payload.to_vec(),
        })
    }

    /// The packet as a PUBACK: the packet id and the reason code.
    pub fn puback(&self) -> Option<(u16, u8)> {
        if self.kind != PUBACK {
            return None;
        }
        let (id, rest) = word(&self.body)?;
        Some((id, rest.first().copied().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cutter, Publish};

    #[test]
    fn packets_are_cut_wherever_the_bytes_are_split() {
        // PUBLISH, quality 1, topic "a/b", id 7, one property (content type "x"), payload "hi"; PUBACK of 7 with 0x10.
        let mut stream = vec![
            0x32, 14, 0, 3, b'a', b'/', b'b', 0, 7, 4, 3, 0, 1, b'x', b'h', b'i',
        ];
        stream.extend([0x40, 3, 0, 7, 0x10]);
        for split in 0..=stream.len() {
            let mut cutter = Cutter::default();
            let mut packets = cutter.take(&stream[..split]);
            packets.extend(cutter.take(&stream[split..]));
            assert_eq!(packets.len(), 2, "split at {split}");
            let publish = Publish {
                id: 7,
                topic: "a/b".to_owned(),
                payload: b"hi".to_vec(),
            };
            assert_eq!(packets[0].publish(), Some(publish));
            assert_eq!(packets[0].puback(), None);
            assert_eq!(packets[1].puback(), Some((7, 0x10)));
            assert_eq!(packets[1].publish(), None);
        }
    }
}
