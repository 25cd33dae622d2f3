//! The parts of an answer: each fits what the standard of our documents and the broker allow. Pure.

use lineside_proto::{ANSWER_BYTES_MAX, Answer, AnswerError, CheckpointsResult, EntriesResult};
use lineside_proto::{KeptCheckpoint, MapResult, TokenResult};
use serde::Serialize;
use serde_json::Value;

use super::question::{Code, Failure};

/// Bytes of one part's payload at most, whoever answers: of a log of before both the gateway and an archive may, and
/// whoever asked takes the parts that come first, so that both must cut alike. With what surrounds it, it fits packets
/// of 128 KiB, the most that some brokers take.
const PART_BYTES_MAX: usize = 120 << 10;
const _: () = assert!(PART_BYTES_MAX <= ANSWER_BYTES_MAX);
/// Parts of one answer at most: 2 MiB. Four answers are made at once, so that this bounds memory, too.
pub(super) const PARTS_MAX: usize = 16;
/// What the fields beside the leaves or the text take at most: numbers of up to 20 digits, a hash.
const FIELDS_BYTES: usize = 160;
/// Below this a part has no room for anything.
const ROOM_BYTES_MIN: usize = 256;

/// How many bytes a part's result may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room(usize);

impl Room {
    /// Of an answer to `id`, where the broker takes at most so many bytes of payload.
    pub fn of(id: &str, payload_bytes_max: usize) -> Self {
        let bare = Answer {
            id: id.to_owned(),
            part: u32::MAX,
            parts: u32::MAX,
            result: Some(Value::Null),
            error: None,
        };
        let envelope = bytes(&bare);
        Self(
            payload_bytes_max
                .min(PART_BYTES_MAX)
                .saturating_sub(envelope),
        )
    }

    /// Bytes for what has a variable length.
    fn for_content(self) -> Result<usize, Failure> {
        self.0
            .checked_sub(FIELDS_BYTES)
            .filter(|room| *room >= ROOM_BYTES_MIN)
            .ok_or_else(too_small)
    }
}

impl Room {
    /// Refuses where so many bytes have no room.
    pub(super) fn holds(self, content: usize) -> Result<(), Failure> {
        if content <= self.for_content()? {
            return Ok(());
        }
        Err(too_small())
    }
}

fn too_small() -> Failure {
    Failure::new(
        Code::Unavailable,
        "the broker takes only packets too small for this: raise its maximum packet size",
    )
}

fn bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |text| text.len())
}

/// Collects leaves into parts.
#[derive(Debug)]
pub(super) struct Entries {
    room: usize,
    parts: Vec<EntriesResult>,
    /// What the newest part's leaves take.
    used: usize,
}

impl Entries {
    /// Begins with the leaf `first`.
    ///
    /// # Errors
    ///
    /// Parts too small for anything.
    pub(super) fn new(room: Room, first: u64) -> Result<Self, Failure> {
        Ok(Self {
            room: room.for_content()?,
            parts: vec![EntriesResult {
                first,
                next: first,
                leaves: Vec::new(),
            }],
            used: 0,
        })
    }

    /// Adds the next leaf. Returns whether it had room.
    ///
    /// # Errors
    ///
    /// A leaf that no part has room for.
    pub(super) fn add(&mut self, leaf: String) -> Result<bool, Failure> {
        // The text in its quotes, and a comma.
        let size = text_bytes(&leaf) + 3;
        if size > self.room {
            return Err(too_small());
        }
        if self.used + size > self.room {
            let next = self.parts.last().map_or(0, |part| part.next);
            if self.parts.len() >= PARTS_MAX {
                return Ok(false);
            }
            self.used = 0;
            self.parts.push(EntriesResult {
                first: next,
                next,
                leaves: Vec::new(),
            });
        }
        if let Some(part) = self.parts.last_mut() {
            self.used += size;
            part.next += 1;
            part.leaves.push(leaf);
        }
        Ok(true)
    }

    /// The parts, at least one.
    pub(super) fn finish(self) -> Vec<Value> {
        self.parts.iter().map(value).collect()
    }
}

/// Collects kept notes into parts.
#[derive(Debug)]
pub(super) struct Noted {
    room: usize,
    parts: Vec<Vec<KeptCheckpoint>>,
    /// What the newest part's notes take.
    used: usize,
}

impl Noted {
    /// Begins without any.
    ///
    /// # Errors
    ///
    /// Parts too small for anything.
    pub(super) fn new(room: Room) -> Result<Self, Failure> {
        Ok(Self {
            room: room.for_content()?,
            parts: vec![Vec::new()],
            used: 0,
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Bytes of notes that have room in whatever order they are added: two parts that follow one another hold more
    /// than one part's worth.
    pub(super) fn budget(&self) -> usize {
        self.room.saturating_mul((PARTS_MAX - 1) / 2)
    }

    /// What a note takes.
    pub(super) fn bytes(note: &KeptCheckpoint) -> usize {
        bytes(note) + 1
    }

    /// Adds the next note. Returns whether it had room.
    ///
    /// # Errors
    ///
    /// A note that no part has room for.
    pub(super) fn add(&mut self, note: KeptCheckpoint) -> Result<bool, Failure> {
        let size = Self::bytes(&note);
        if size > self.room {
            return Err(too_small());
        }
        if self.used + size > self.room {
            if self.parts.len() >= PARTS_MAX {
                return Ok(false);
            }
            self.used = 0;
            self.parts.push(Vec::new());
        }
        self.used += size;
        if let Some(part) = self.parts.last_mut() {
            part.push(note);
        }
        Ok(true)
    }

    /// The parts, at least one; whoever asked goes on with `next`.
    pub(super) fn finish(self, next: u64) -> Vec<Value> {
        let firsts = self.parts.iter().skip(1);
        let firsts = firsts.map(|part| part.first().map_or(next, |note| note.size));
        let nexts: Vec<u64> = firsts.chain([next]).collect();
        let parts = self.parts.into_iter().zip(nexts);
        parts
            .map(|(checkpoints, next)| value(&CheckpointsResult { checkpoints, next }))
            .collect()
    }
}

/// Cuts the text of a map into parts, at least one.
///
/// # Errors
///
/// More than [`PARTS_MAX`], or parts too small for anything.
pub(super) fn map_parts(room: Room, hash: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let parts = pieces(room, text)?.into_iter().map(|text| {
        value(&MapResult {
            hash: hash.to_owned(),
            text,
        })
    });
    Ok(parts.collect())
}

/// Cuts the text of a token into parts, at least one.
///
/// # Errors
///
/// More than [`PARTS_MAX`], or parts too small for anything.
pub(super) fn token_parts(room: Room, hash: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let parts = pieces(room, text)?.into_iter().map(|text| {
        value(&TokenResult {
            hash: hash.to_owned(),
            text,
        })
    });
    Ok(parts.collect())
}

fn pieces(room: Room, text: &str) -> Result<Vec<String>, Failure> {
    let room = room.for_content()?;
    let mut pieces = vec![String::new()];
    // The quotes.
    let mut used = 2;
    for letter in text.chars() {
        let size = written(letter);
        if used + size > room {
            pieces.push(String::new());
            used = 2;
        }
        used += size;
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
    }
    if pieces.len() > PARTS_MAX {
        return Err(Failure::new(
            Code::TooMuch,
            format!("it makes more than {PARTS_MAX} parts: fetch it at the gateway"),
        ));
    }
    Ok(pieces)
}

/// Bytes of a text inside a JSON text.
fn text_bytes(text: &str) -> usize {
    let more = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..=31 => 5,
        _ => 0,
    });
    more.sum::<usize>() + text.len()
}

/// Bytes of a letter inside a JSON text.
fn written(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => letter.len_utf8(),
    }
}

/// A result as JSON; it has only texts and numbers, so that this can't fail.
pub(super) fn value(result: &impl Serialize) -> Value {
    serde_json::to_value(result).unwrap_or_default()
}

/// The documents of an answer.
pub fn documents(id: &str, result: Result<Vec<Value>, Failure>) -> Vec<Vec<u8>> {
    let answer = |part: usize, parts: usize, result, error: Option<AnswerError>| {
        let answer = Answer {
            id: id.to_owned(),
            part: u32::try_from(part).unwrap_or(u32::MAX),
            parts: u32::try_from(parts).unwrap_or(u32::MAX),
            result,
            error,
        };
        serde_json::to_vec(&answer).unwrap_or_default()
    };
    match result {
        Ok(results) => {
            let count = results.len();
            let results = (1..).zip(results);
            results
                .map(|(part, result)| answer(part, count, Some(result), None))
                .collect()
        }
        Err(failure) => vec![answer(1, 1, None, Some(failure.into()))],
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Entries, PART_BYTES_MAX, PARTS_MAX, Room, documents, map_parts};
    use lineside_proto::{ANSWER_BYTES_MAX, Answer, EntriesResult, MapResult};
    use proptest::prelude::*;
    use serde_json::Value;

    fn read<T: serde::de::DeserializeOwned>(documents: &[Vec<u8>]) -> Vec<T> {
        let count = u32::try_from(documents.len()).unwrap();
        let read = (1..).zip(documents).map(|(part, document)| {
            let answer: Answer = serde_json::from_slice(document).unwrap();
            assert_eq!((answer.part, answer.parts), (part, count));
            serde_json::from_value(answer.result.unwrap()).unwrap()
        });
        read.collect()
    }

    #[test]
    fn a_backlog_of_large_leaves_is_cut_and_can_be_paged() {
        let room = Room::of("id", usize::MAX);
        let mut entries = Entries::new(room, 1000).unwrap();
        let leaf = format!("{{\"x\":\"{}\"}}", "\"".repeat(4000));
        let mut taken = 0_u64;
        while entries.add(leaf.clone()).unwrap() {
            taken += 1;
        }
        let documents = documents("id", Ok(entries.finish()));
        assert_eq!(documents.len(), PARTS_MAX);
        assert!(documents.iter().all(|part| part.len() <= PART_BYTES_MAX));
        assert!(
            documents
                .iter()
                .all(|part| part.len() > PART_BYTES_MAX * 9 / 10)
        );
        let parts: Vec<EntriesResult> = read(&documents);
        assert_eq!(parts[PARTS_MAX - 1].next, 1000 + taken);
    }

    /// Who answers for a gateway may reach the broker by another way: the parts are the same.
    #[test]
    fn parts_are_cut_alike_wherever_the_broker_takes_128_kib() {
        let surroundings = 1 << 10;
        let gateway = Room::of("id", (128 << 10) - surroundings);
        assert_eq!(gateway, Room::of("id", usize::MAX));
        assert_ne!(gateway, Room::of("id", 100 << 10));
    }

    #[test]
    fn small_packets_are_refused_with_a_word() {
        let room = Room::of("id", 300);
        assert_eq!(Entries::new(room, 0).unwrap_err().code, Code::Unavailable);
        assert_eq!(
            map_parts(room, "h", "x").unwrap_err().code,
            Code::Unavailable
        );
        let mut entries = Entries::new(Room::of("id", 1000), 0).unwrap();
        assert_eq!(entries.add("x".repeat(100)), Ok(true));
        assert_eq!(
            entries.add("x".repeat(900)).unwrap_err().code,
            Code::Unavailable
        );
        let large = "x".repeat(ANSWER_BYTES_MAX * PARTS_MAX);
        let refused = map_parts(Room::of("id", usize::MAX), "h", &large);
        assert_eq!(refused.unwrap_err().code, Code::TooMuch);
        let nothing = Entries::new(Room::of("id", 1000), 5).unwrap().finish();
        assert_eq!(
            nothing,
            [serde_json::json!({"first": 5, "next": 5, "leaves": []})]
        );
    }

    proptest! {
        /// Whatever the id and the leaves are: no document is larger than allowed, and put together they are
        /// the leaves.
        #[test]
        fn parts_fit_and_lose_nothing(
            id in "\\PC{0,128}",
            leaves in prop::collection::vec("[ -~\n\t\u{1}试验]{0,300}", 0..40),
            limit in 3000_usize..9000,
        ) {
            let mut entries = Entries::new(Room::of(&id, limit), 7).unwrap();
            let mut taken = Vec::new();
            for leaf in &leaves {
                if !entries.add(leaf.clone()).unwrap() {
                    break;
                }
                taken.push(leaf.clone());
            }
            let documents = documents(&id, Ok(entries.finish()));
            prop_assert!(documents.iter().all(|part| part.len() <= limit));
            let parts: Vec<EntriesResult> = read(&documents);
            let mut next = 7;
            for part in &parts {
                prop_assert_eq!(part.first, next);
                next += u64::try_from(part.leaves.len()).unwrap();
                prop_assert_eq!(part.next, next);
            }
            let all: Vec<String> = parts.into_iter().flat_map(|part| part.leaves).collect();
            prop_assert_eq!(all, taken);
        }

        #[test]
        fn a_map_is_put_together_again(text in "[ -~\n\t\u{1}试验]{0,3000}", limit in 1000_usize..9000) {
            let hash = format!("sha256:{}", "0a".repeat(32));
            let parts = map_parts(Room::of("i", limit), &hash, &text).unwrap();
            let documents = documents("i", Ok(parts));
            prop_assert!(documents.iter().all(|part| part.len() <= limit));
            let parts: Vec<MapResult> = read(&documents);
            let all: String = parts.into_iter().map(|part| part.text).collect();
            prop_assert_eq!(all, text);
        }
    }

    #[test]
    fn a_failure_is_one_part() {
        let failure = super::Failure::new(Code::Busy, "ask again");
        let documents = documents("a", Err(failure));
        let answer: Value = serde_json::from_slice(&documents[0]).unwrap();
        let expected = serde_json::json!({"id": "a", "part": 1, "parts": 1,
            "error": {"code": "busy", "text": "ask again"}});
        assert_eq!((answer, documents.len()), (expected, 1));
    }
}
