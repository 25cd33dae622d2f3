//! The bookings on disk: what was accepted is there before the portal is told, so that it works while the
//! network is down and after a power cut.
//!
//! A two-slot CRC file in the state directory. One that can't be read is set aside: bookings are retained by
//! the broker and come again. Whose tokens count comes from the configuration, never from the file.

use lineside_proto::booking::{Book, BookRecord, Booking, Received, Trust};
use lineside_proto::{BookingsAck, ClockStatus, Identifier, Time};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::config::model;
use crate::slots::{RECORD_BYTES_MAX, Slots};
use crate::tokens::Tokens;

const NAME: &str = "bookings";

/// The bookings of this gateway.
#[derive(Debug)]
pub struct Bookings {
    slots: Slots,
    tokens: Tokens,
    book: Book,
    in_force: BTreeMap<Identifier, Arc<[Booking]>>,
    opened: Time,
    refused: u64,
    record_bytes_max: usize,
}

impl Bookings {
    /// Opens the bookings in a state directory; there are none in a new one.
    ///
    /// # Errors
    ///
    /// When the files can't be created, read or set aside.
    pub fn open(
        dir: &Path,
        site: Identifier,
        gateway: Identifier,
        bookings: &model::Bookings,
        sessions: &model::Sessions,
    ) -> io::Result<Self> {
        let path = dir.join(NAME);
        let mut slots = Slots::open(&path)?;
        let trust = Trust {
            keys: bookings.issuer_keys.clone(),
            own: sessions.own.clone(),
            affiliates: sessions.affiliates.clone(),
        };
        let mut book = Book::new(site, gateway, trust);
        let kept = slots.read();
        let record = kept
            .as_ref()
            .map(|bytes| serde_json::from_slice::<BookRecord>(bytes));
        match record {
            Some(Ok(record)) => book = book.restore(record),
            None if !slots.is_damaged() => {}
            Some(Err(_)) | None => {
                tracing::warn!(
                    path = %path.display(),
                    "the bookings on disk can't be read and were set aside; they come again from the broker"
                );
                set_aside(&path)?;
                slots = Slots::open(&path)?;
            }
        }
        let machines = book.machines();
        let in_force = machines
            .map(|machine| (machine.clone(), book.in_force(machine).into()))
            .collect();
        Ok(Self {
            slots,
            tokens: Tokens::open(dir)?,
            book,
            in_force,
            opened: SystemClock.now().wall,
            refused: 0,
            record_bytes_max: RECORD_BYTES_MAX,
        })
    }

    /// Takes what came on `bookings/{machine}`, for a machine that is configured. When this returns, what the
    /// acknowledgement says is on disk, and so are the tokens themselves, by their hashes.
    ///
    /// # Errors
    ///
    /// When the disk refuses the record: nothing was taken, and nothing may be acknowledged.
    pub fn receive(
        &mut self,
        machine: &Identifier,
        payload: &[u8],
        now: Time,
        clock: ClockStatus,
    ) -> io::Result<Received> {
        let mut book = self.book.clone();
        let received = book.receive(machine, payload, now, clock);
        // The same message comes at every reconnect: what is known of it is said once.
        if received.ack != self.ack(machine) {
            self.tell(machine, &received.ack);
        }
        if received.record_changed {
            let record = serde_json::to_vec(&book.record()).map_err(io::Error::other)?;
            if record.len() > self.record_bytes_max {
                return Ok(self.book.without_room(machine, now));
            }
            self.tokens.keep(&received.tokens)?;
            self.slots.write(&record)?;
            self.book = book;
            let in_force = self.book.in_force(machine).into();
            self.in_force.insert(machine.clone(), in_force);
        }
        Ok(received)
    }

    /// The bookings of a machine, by their start.
    pub fn in_force(&self, machine: &Identifier) -> Arc<[Booking]> {
        let all = self.in_force.get(machine).cloned();
        all.unwrap_or_else(|| Arc::from([]))
    }

    /// What the portal is to read of a machine's bookings; without a revision before any were accepted.
    pub fn ack(&self, machine: &Identifier) -> BookingsAck {
        self.book.ack(machine, self.opened)
    }

    /// Bookings and messages that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn tell(&mut self, machine: &Identifier, ack: &BookingsAck) {
        let Some(first) = ack.refused.first() else {
            return;
        };
        let count = ack.refused.len();
        self.refused = self
            .refused
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        tracing::warn!(
            %machine,
            count,
            id = first.id.as_deref().unwrap_or("-"),
            code = ?first.code,
            why = first.text,
            "bookings were refused; bookings-ack names all of them"
        );
    }
}

/// Moves both files out of the way, over those of a time before.
fn set_aside(path: &Path) -> io::Result<()> {
    for turn in ["0", "1"] {
        let file = path.with_extension(turn);
        fs::rename(&file, path.with_extension(format!("{turn}.damaged")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Bookings, Tokens};
    use crate::config::model;
    use lineside_proto::booking::{IssuerSecret, sign};
    use lineside_proto::{ClockStatus, Identifier, RefusalCode, Time};
    use serde_json::json;
    use std::fs;
    use std::path::Path;

    fn name(text: &str) -> Identifier {
        text.parse().unwrap()
    }

    fn portal() -> IssuerSecret {
        IssuerSecret::from_seed(&[1; 32], Some("portal")).unwrap()
    }

    fn open(dir: &Path) -> Bookings {
        let settings = model::Bookings {
            issuer_keys: vec![portal().public()],
            ..model::Bookings::default()
        };
        let sessions = model::Sessions::default();
        Bookings::open(dir, name("s"), name("g"), &settings, &sessions).unwrap()
    }

    fn now() -> Time {
        "2026-11-23T08:00:00.000Z".parse().unwrap()
    }

    /// A message with one booking.
    fn message(revision: u64) -> String {
        let seconds = now().as_millis() / 1000;
        let claims = json!({
            "site": "s", "gateway": "g", "id": "a", "machines": ["m"], "start": now(),
            "end": now().plus_millis(3_600_000), "class": "EXT", "org": "o", "iat": seconds, "exp": seconds,
        });
        let token = sign(&portal(), claims.to_string().as_bytes());
        let message = json!({
            "v": 1, "site": "s", "gateway": "g", "machine": "m", "revision": revision, "bookings": [token],
        });
        sign(&portal(), message.to_string().as_bytes())
    }

    fn receive(bookings: &mut Bookings, text: &str) -> lineside_proto::booking::Received {
        let (machine, clock) = (name("m"), ClockStatus::S);
        bookings
            .receive(&machine, text.as_bytes(), now(), clock)
            .unwrap()
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut bookings = open(dir.path());
        assert_eq!(bookings.ack(&name("m")).revision, None);
        assert!(bookings.in_force(&name("m")).is_empty());
        let received = receive(&mut bookings, &message(3));
        let in_force = bookings.in_force(&name("m"));
        assert_eq!(received.changed.as_deref(), Some(&*in_force));
        let hash = in_force[0].token.clone().unwrap();
        let token = Tokens::of(dir.path()).text(&hash).unwrap();
        assert_eq!(received.tokens, [(hash, token.clone())]);
        assert_eq!(token.split('.').count(), 3);
        drop(bookings);
        let mut bookings = open(dir.path());
        assert_eq!(bookings.ack(&name("m")), received.ack);
        assert_eq!(bookings.in_force(&name("m")), in_force);
        let old = receive(&mut bookings, &message(2));
        assert_eq!(old.ack.refused[0].code, RefusalCode::OldRevision);
        assert_eq!(bookings.refused(), 1);
        let again = receive(&mut bookings, &message(3));
        assert_eq!((again.ack, bookings.refused()), (received.ack, 1));
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_bookings_come_again() {
        let damage: [&[u8]; 2] = [b"LSR1 and nothing", b""];
        for (place, bytes) in damage.into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("bookings");
            if bytes.is_empty() {
                // Whole, but of something else.
                let mut slots = crate::slots::Slots::open(&path).unwrap();
                slots.write(b"[]").unwrap();
            } else {
                drop(receive(&mut open(dir.path()), &message(3)));
                for turn in ["0", "1"] {
                    fs::write(path.with_extension(turn), bytes).unwrap();
                }
            }
            let mut bookings = open(dir.path());
            assert!(bookings.in_force(&name("m")).is_empty(), "{place}");
            assert!(path.with_extension("0.damaged").exists());
            let received = receive(&mut bookings, &message(3));
            assert_eq!(received.ack.accepted, ["a"]);
            assert_eq!(open(dir.path()).ack(&name("m")), received.ack);
        }
    }

    #[test]
    fn more_than_the_file_holds_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let settings = model::Bookings::default();
        let sessions = model::Sessions::default();
        let mut bookings =
            Bookings::open(dir.path(), name("s"), name("g"), &settings, &sessions).unwrap();
        bookings.record_bytes_max = 10_000;
        let booking = json!({
            "site": "s", "gateway": "g", "id": "a", "machines": (0..20).map(|n| format!("m{n}")).collect::<Vec<_>>(),
            "start": now(), "end": now().plus_millis(60_000), "class": "OWN", "user": "u".repeat(100),
        });
        let mut refused = 0;
        for n in 0..20 {
            let machine = name(&format!("m{n}"));
            let message = json!({
                "v": 1, "site": "s", "gateway": "g", "machine": machine, "revision": 1, "bookings": [booking],
            });
            let payload = message.to_string();
            let received = bookings
                .receive(&machine, payload.as_bytes(), now(), ClockStatus::S)
                .unwrap();
            let code = received.ack.refused.first().map(|first| first.code);
            assert!(code.is_none_or(|code| code == RefusalCode::TooMany));
            let held = bookings.in_force(&machine).len();
            assert_eq!(held, usize::from(code.is_none()));
            refused += usize::from(code.is_some());
        }
        assert!((1..20).contains(&refused), "{refused}");
        let again = Bookings::open(dir.path(), name("s"), name("g"), &settings, &sessions).unwrap();
        assert_eq!(again.in_force(&name("m0")).len(), 1);
    }
}
