//! What an archive answers to those who want to check a log: the same requests as its gateway, with the same answers,
//! also while that is off.
//!
//! Opened logs are kept, so many at most, those asked last. One that has grown is opened anew; what was learnt of the
//! times of its leaves is kept where the newer tree continues the older.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lineside_proto::Identifier;
use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Checkpoint, Hash};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::standing::Held;
use super::{Place, Shelf};
use crate::answers::{Answers, Call, Code, Copied, Failure, Room, Source};

/// Logs that are kept open. Each has the leaves of one bundle in memory, and where its kept notes stand: a year of them
/// takes half a megabyte.
const OPENED_MAX: usize = 32;

/// A log that is written while it is opened may not fit together for a moment.
const OPENINGS_MAX: usize = 3;

/// Answers about every log of an archive.
#[derive(Debug)]
pub struct Library {
    shelf: Shelf,
    /// Those asked last stand at the end.
    opened: Mutex<Vec<Opened>>,
    closed: CancellationToken,
}

/// A log as it was when it was opened.
#[derive(Clone, Debug)]
struct Opened {
    place: Place,
    size: u64,
    root: Hash,
    answers: Arc<Answers>,
}

impl Library {
    /// Answers from the archive in a directory, until `closed` is cancelled.
    pub fn of(shelf: Shelf, closed: CancellationToken) -> Self {
        Self {
            shelf,
            opened: Mutex::new(Vec::new()),
            closed,
        }
    }

    /// The directory.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Whether there is a log of this gateway. Blocks.
    pub fn holds(&self, site: &Identifier, gateway: &Identifier) -> bool {
        self.place(site, gateway, None).is_ok()
    }

    /// Whether a call names a log that is held here and that another epoch of the gateway has followed. Blocks.
    pub fn is_of_before(&self, site: &Identifier, gateway: &Identifier, call: &Call) -> bool {
        let Call::Of { origin, .. } = call else {
            return false;
        };
        let named = self.epoch_of(site, gateway, origin);
        let newest = self.place(site, gateway, None);
        named.is_ok_and(|named| newest.is_ok_and(|newest| named < newest.epoch))
    }

    /// Answers about a gateway's log: of its newest epoch, or of one that is named. Blocks.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and what to do.
    pub fn answer(
        &self,
        (site, gateway): (&Identifier, &Identifier),
        epoch: Option<u32>,
        call: &Call,
        room: Room,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        // A log that is named may be that of an epoch before.
        let epoch = match call {
            Call::Of { origin, .. } => Some(self.epoch_of(site, gateway, origin)?),
            Call::Checkpoint
            | Call::Checkpoints(_)
            | Call::Entries(_)
            | Call::Consistency(_)
            | Call::Inclusion(_)
            | Call::Tile(_)
            | Call::Map(_)
            | Call::Token(_)
            | Call::Bundle(_)
            | Call::Status => epoch,
        };
        let place = self.place(site, gateway, epoch)?;
        if *call == Call::Status {
            let held = self.held(&place, epoch.is_some())?;
            return Ok(vec![value(&held)?]);
        }
        self.answers(&place)?.answer(call, room, deadline)
    }

    /// The epoch whose log has this origin.
    fn epoch_of(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        origin: &str,
    ) -> Result<u32, Failure> {
        let epochs = self.shelf.epochs(site, gateway);
        let epochs = epochs.map_err(|error| unreadable(&error))?;
        let of = |epoch: &u32| {
            // Only the first has an origin that does not tell its epoch.
            let may_be = *epoch == 1 || origin.ends_with(&format!("/e{epoch}"));
            let place = Place {
                site: site.clone(),
                gateway: gateway.clone(),
                epoch: *epoch,
            };
            let head = may_be.then(|| self.shelf.head(&place).ok().flatten());
            head.flatten()
                .is_some_and(|(_, head)| head.origin == origin)
        };
        let found = epochs.iter().copied().find(|epoch| of(epoch));
        found.ok_or_else(|| absent(&epochs))
    }

    fn place(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        epoch: Option<u32>,
    ) -> Result<Place, Failure> {
        let epochs = self.shelf.epochs(site, gateway);
        let epochs = epochs.map_err(|error| unreadable(&error))?;
        let epoch = match epoch {
            None => epochs.last().copied(),
            Some(epoch) => epochs.contains(&epoch).then_some(epoch),
        };
        let epoch = epoch.ok_or_else(|| absent(&epochs))?;
        Ok(Place {
            site: site.clone(),
            gateway: gateway.clone(),
            epoch,
        })
    }

    /// What there is of a gateway, or of one epoch.
    fn held(&self, place: &Place, only: bool) -> Result<Held, Failure> {
        let held = Held::of(&self.shelf, &place.site, &place.gateway);
        let held = held.map_err(|error| unreadable(&error))?;
        let mut held = held.ok_or_else(|| absent(&[]))?;
        if only {
            held.logs.retain(|log| log.epoch == place.epoch);
            held.unreadable.retain(|epoch| *epoch == place.epoch);
        }
        Ok(held)
    }

    /// The answers of a log as it is now.
    fn answers(&self, place: &Place) -> Result<Arc<Answers>, Failure> {
        let head = self.shelf.head(place).map_err(|error| unreadable(&error))?;
        let (_, head) = head.ok_or_else(|| absent(&[]))?;
        let known = self.known(place);
        if let Some(known) = known.as_ref().filter(|known| known.is_at(&head)) {
            return Ok(Arc::clone(&known.answers));
        }
        // Without the lock: others are answered meanwhile.
        let opened = self.open(place, known.as_ref())?;
        let answers = Arc::clone(&opened.answers);
        self.keep(opened);
        Ok(answers)
    }

    fn open(&self, place: &Place, known: Option<&Opened>) -> Result<Opened, Failure> {
        let mut opening = self.source(place);
        for _ in 1..OPENINGS_MAX {
            if opening.is_ok() {
                break;
            }
            opening = self.source(place);
        }
        let (source, head) = opening?;
        let goes_on = |known: &&Opened| known.goes_on_as(&source, &head);
        let answers = match known.filter(goes_on) {
            Some(known) => known.answers.onwards(source),
            None => Answers::new(source, self.closed.clone()),
        };
        Ok(Opened {
            place: place.clone(),
            size: head.size,
            root: head.root,
            answers: Arc::new(answers),
        })
    }

    /// A log's files, and the head that they are of.
    fn source(&self, place: &Place) -> Result<(Copied, Checkpoint), Failure> {
        let source = self.shelf.source(place).map_err(|error| {
            tracing::warn!(%place, %error, "a log of the archive can't be read");
            Failure::new(
                Code::Unavailable,
                "the archive's copy of this log can't be read: ask again in a minute, then let the archive be verified",
            )
        })?;
        let head = source
            .checkpoint()
            .and_then(|note| super::shelf::head(&note));
        let head = head.ok_or_else(|| absent(&[]))?;
        Ok((source, head))
    }

    /// A log as it was opened before. It is among those asked last now.
    fn known(&self, place: &Place) -> Option<Opened> {
        let mut opened = self.opened();
        let found = opened.iter().position(|known| known.place == *place)?;
        let known = opened.remove(found);
        opened.push(known.clone());
        Some(known)
    }

    fn keep(&self, known: Opened) {
        let mut opened = self.opened();
        opened.retain(|other| other.place != known.place);
        if opened.len() >= OPENED_MAX {
            opened.remove(0);
        }
        opened.push(known);
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Opened>> {
        // Each change of it is one step.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    fn is_at(&self, head: &Checkpoint) -> bool {
        (self.size, self.root) == (head.size, head.root)
    }

    /// Whether these leaves are the first of a newer tree: a directory may have been put back from a backup.
    fn goes_on_as(&self, source: &impl Source, head: &Checkpoint) -> bool {
        if self.size == 0 || self.size > head.size {
            return false;
        }
        let proof = source.consistency(self.size, head.size);
        proof.is_ok_and(|proof| {
            check_consistency(self.size, head.size, &proof, self.root, head.root).is_ok()
        })
    }
}

fn value(document: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document)
        .map_err(|error| Failure::new(Code::Unavailable, format!("it can't be written: {error}")))
}

fn absent(epochs: &[u32]) -> Failure {
    let text = match epochs {
        [] => "the archive has no ledger of that gateway: check the names; what no head covers yet is not here".to_owned(),
        epochs => {
            let epochs: Vec<String> = epochs.iter().map(ToString::to_string).collect();
            format!("the archive has other epochs of that ledger: {}", epochs.join(", "))
        }
    };
    Failure::new(Code::NotFound, text)
}

fn unreadable(error: &io::Error) -> Failure {
    tracing::warn!(%error, "the archive can't be read");
    Failure::new(
        Code::Unavailable,
        "the archive can't be read at the moment: ask again in a minute",
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{City, Gateway, at, copy, name};
    use super::{Library, OPENED_MAX};
    use crate::answers::{Answers, Code, Failure, Room, call};
    use serde_json::{Value, json};
    use std::fs;
    use std::time::{Duration, Instant};
    use tokio_util::sync::CancellationToken;

    fn library(city: &City) -> Library {
        Library::of(city.shelf(), CancellationToken::new())
    }

    fn ask(
        library: &Library,
        gateway: &str,
        epoch: Option<u32>,
        (method, params): (&str, Value),
    ) -> Result<Vec<Value>, Failure> {
        let (site, gateway) = (name("zs"), name(gateway));
        let call = call(method, params).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let room = Room::of("", usize::MAX);
        library.answer((&site, &gateway), epoch, &call, room, deadline)
    }

    fn period(from: i64, to: i64) -> (&'static str, Value) {
        ("usage.bundle", json!({"from": at(from), "to": at(to)}))
    }

    fn questions(size: u64) -> Vec<(&'static str, Value)> {
        vec![
            ("ledger.entries", json!({"from": 0, "to": size})),
            ("ledger.consistency", json!({"from": 3, "to": size})),
            ("ledger.inclusion", json!({"index": 2, "size": size})),
            ("ledger.tile", json!({"level": 0, "index": 0, "width": 5})),
            period(5, 9),
        ]
    }

    /// The same answers as from the gateway's own directory.
    fn agrees(library: &Library, gateway: &Gateway, epoch: Option<u32>) {
        let own = Answers::of_copy(&gateway.state).unwrap();
        for (method, params) in questions(gateway.ledger.size()) {
            let answer = ask(library, "gw", epoch, (method, params.clone())).unwrap();
            assert_eq!(answer, own.ask(method, params).unwrap(), "{method}");
        }
    }

    #[test]
    fn an_archive_answers_as_the_gateway_did_whichever_epoch_is_asked_for() {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(600, 0);
        city.keep(&first, None);
        let library = library(&city);
        agrees(&library, &first, None);
        let checkpoint = ask(&library, "gw", None, ("ledger.checkpoint", json!(null))).unwrap();
        assert_eq!(checkpoint[0]["keys"], json!([first.opened.key]));
        let old = tempfile::tempdir().unwrap();
        let (place, from) = (first.place.clone(), first.state.clone());
        let leaves = ask(&library, "gw", Some(1), questions(600).remove(0)).unwrap();
        let second = first.next_epoch(700);
        second.grow(20, 701);
        city.keep(&second, None);
        // The gateway is gone.
        fs::rename(from, old.path().join("gone")).unwrap();
        let again = ask(&library, "gw", Some(1), questions(600).remove(0)).unwrap();
        assert_eq!(again, leaves);
        let newest = ask(&library, "gw", None, ("ledger.checkpoint", json!(null))).unwrap();
        let text = newest[0]["checkpoint"].as_str().unwrap();
        assert!(text.starts_with("lineside/zs/gw/e2\n"), "{text}");
        let held = ask(&library, "gw", None, ("status", json!(null))).unwrap();
        let logs = held[0]["logs"].as_array().unwrap();
        let told: Vec<_> = logs
            .iter()
            .map(|log| (&log["epoch"], &log["size"]))
            .collect();
        assert_eq!(told, [(&json!(1), &json!(601)), (&json!(2), &json!(21))]);
        assert_eq!(
            (&logs[0]["first"], &logs[0]["newest"]),
            (&json!(at(0)), &json!(at(599)))
        );
        // Whoever names a log gets that log's leaves, and no other's.
        let of = |origin: &str| {
            let params = json!({"from": 0, "to": 9, "origin": origin});
            ask(&library, "gw", None, ("ledger.entries", params))
        };
        let plain = json!({"from": 0, "to": 9});
        for (origin, epoch) in [("lineside/zs/gw", 1), ("lineside/zs/gw/e2", 2)] {
            let plain = ("ledger.entries", plain.clone());
            assert_eq!(of(origin), ask(&library, "gw", Some(epoch), plain));
        }
        assert_ne!(of("lineside/zs/gw"), of("lineside/zs/gw/e2"));
        for origin in ["lineside/zs/gw/e1", "lineside/zs/gw/e3", "x", ""] {
            assert_eq!(of(origin).unwrap_err().code, Code::NotFound, "{origin}");
        }
        for (origin, is_of_before) in [
            ("lineside/zs/gw", true),
            ("lineside/zs/gw/e2", false),
            ("x", false),
        ] {
            let params = json!({"from": 0, "to": 9, "origin": origin});
            let call = call("ledger.entries", params).unwrap();
            let told = library.is_of_before(&name("zs"), &name("gw"), &call);
            assert_eq!(told, is_of_before, "{origin}");
        }
        let one = ask(&library, "gw", Some(1), ("status", json!(null))).unwrap();
        assert_eq!(one[0]["logs"].as_array().unwrap().len(), 1);
        for (gateway, epoch, words) in [
            ("gx", None, "no ledger"),
            ("gw", Some(3), "other epochs of that ledger: 1, 2"),
        ] {
            let refused = ask(&library, gateway, epoch, ("status", json!(null))).unwrap_err();
            assert_eq!(refused.code, Code::NotFound);
            assert!(refused.text.contains(words), "{refused:?}");
        }
        assert_eq!(place.epoch, 1);
    }

    #[test]
    fn a_log_that_grows_or_is_put_back_is_answered_as_it_is() {
        let city = City::new();
        let gateway = city.gateway("zs", "gw");
        gateway.grow(300, 0);
        city.keep(&gateway, None);
        let library = library(&city);
        let found = |from, to| ask(&library, "gw", None, period(from, to));
        assert_eq!(found(290, 400).unwrap()[0]["last"], 300);
        let backup = city.dir().join("backup");
        copy(&city.dir().join("logs"), &backup);
        gateway.grow(500, 300);
        city.keep(&gateway, None);
        agrees(&library, &gateway, None);
        assert_eq!(found(290, 400).unwrap()[0]["last"], 400);
        fs::remove_dir_all(city.dir().join("logs")).unwrap();
        fs::rename(backup, city.dir().join("logs")).unwrap();
        assert_eq!(found(290, 400).unwrap()[0]["last"], 300);
        assert_eq!(found(400, 500).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn so_many_logs_are_open_and_no_more() {
        let city = City::new();
        let library = library(&city);
        let names: Vec<String> = (0..OPENED_MAX + 3)
            .map(|number| format!("g{number}"))
            .collect();
        for gateway in &names {
            let of = city.gateway("zs", gateway);
            of.grow(1, 0);
            city.keep(&of, None);
        }
        for _ in 0..2 {
            for gateway in &names {
                ask(&library, gateway, None, period(0, 1)).unwrap();
                assert!(library.opened().len() <= OPENED_MAX);
            }
        }
    }
}
