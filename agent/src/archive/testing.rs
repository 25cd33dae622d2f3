//! An archive's directory for tests: logs that real ledgers have written, laid out as an archive keeps them.

use std::fs;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::note::{KeyKind, SignerKey};
use lineside_proto::ledger::{Audit, ConfigLeaf, LeafBody};
use lineside_proto::{Identifier, Time};
use tempfile::TempDir;

use super::{Cosigned, Place, Record, Shelf};
use crate::clock::Stamp;
use crate::ledger::notes::Notes;
use crate::ledger::{Ledger, Opened, Testimony, new_epoch};
use crate::record::Entry;
use crate::slots::Slots;

/// The first moment.
pub(crate) const START_MS: i64 = 1_795_420_800_000;
/// An hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// A city: gateways, and their copies.
#[derive(Debug)]
pub(crate) struct City {
    dir: TempDir,
    pub(crate) witness: SignerKey,
}

/// A gateway with its ledger.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) ledger: Ledger,
    pub(crate) opened: Opened,
    pub(crate) place: Place,
    pub(crate) state: PathBuf,
    pub(crate) key: PathBuf,
}

pub(crate) fn name(text: &str) -> Identifier {
    text.parse().unwrap()
}

/// So many hours after the first moment.
pub(crate) fn at(hours: i64) -> Time {
    Time::from_millis(START_MS + hours * HOUR_MS)
}

impl City {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("archive/logs")).unwrap();
        let witness = SignerKey::new("city.example/w", KeyKind::Cosignature, &[9; 32]).unwrap();
        Self { dir, witness }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::of(&self.dir())
    }

    /// A gateway that begins its ledger.
    pub(crate) fn gateway(&self, site: &str, gateway: &str) -> Gateway {
        let home = self.dir.path().join(format!("{site}-{gateway}"));
        let state = home.join("state");
        fs::create_dir_all(&state).unwrap();
        Gateway::open(&state, &home.join("keys/ledger.key"), site, gateway)
    }

    /// Its enrolment card, in a folder of cards.
    pub(crate) fn card(&self, of: &Gateway) -> PathBuf {
        let dir = self.dir().join("gateways");
        fs::create_dir_all(&dir).unwrap();
        let (site, gateway) = (&of.place.site, &of.place.gateway);
        let (origin, vkey) = (&of.opened.origin, &of.opened.key);
        let card = serde_json::json!({"v": 1, "site": site, "gateway": gateway, "origin": origin, "vkey": vkey});
        let path = dir.join(format!("{site}-{gateway}.json"));
        fs::write(path, card.to_string()).unwrap();
        dir
    }

    /// Copies what a gateway has signed, as an archive that has verified it would, and cosigns it at a time.
    pub(crate) fn keep(&self, of: &Gateway, cosigned: Option<Time>) {
        let shelf = self.shelf();
        let from = of.state.join("ledger");
        let dir = shelf.log_dir(&of.place);
        copy(&from.join("tile"), &dir.join("tile"));
        copy(
            &from.join("notes"),
            &shelf.kept_dir(&of.place).join("notes"),
        );
        let texts = shelf.gateway_dir(&of.place.site, &of.place.gateway);
        for folder in ["maps", "tokens"] {
            copy(&of.state.join(folder), &texts.join(folder));
        }
        fs::copy(from.join("checkpoint"), dir.join("checkpoint")).unwrap();
        let (note, head) = shelf.head(&of.place).unwrap().unwrap();
        let mut record = Record {
            origin: head.origin.clone(),
            keys: vec![of.opened.key.clone()],
            size: head.size,
            root: head.root.to_string(),
            newest: None,
            heard: Some(at(1000)),
            ..Record::default()
        };
        if let Some(time) = cosigned {
            let (text, _) = note.split_once("\n\n").unwrap();
            let line = self.witness.sign(&format!("{text}\n"), time);
            let kept = shelf.kept_dir(&of.place);
            let mut notes = Notes::open(&kept, &head.origin);
            notes.put(time, &format!("{note}{line}\n")).unwrap();
            record.cosigned = Some(Cosigned {
                size: head.size,
                root: head.root.to_string(),
                at: time,
            });
        }
        self.record(&of.place, &record);
    }

    pub(crate) fn record(&self, place: &Place, record: &Record) {
        let kept = self.shelf().kept_dir(place);
        fs::create_dir_all(&kept).unwrap();
        let mut slots = Slots::open(&kept.join("record")).unwrap();
        slots.write(&serde_json::to_vec(record).unwrap()).unwrap();
    }
}

impl Gateway {
    fn open(state: &Path, key: &Path, site: &str, gateway: &str) -> Self {
        let base = format!("lineside/{site}/{gateway}");
        let (ledger, opened) = Ledger::open(state, key, &base).unwrap();
        let place = Place {
            site: name(site),
            gateway: name(gateway),
            epoch: opened.epoch,
        };
        let this = Self {
            ledger,
            opened,
            place,
            state: state.to_owned(),
            key: key.to_owned(),
        };
        if this.opened.size == 0 {
            let (site, gateway) = (&this.place.site, &this.place.gateway);
            this.append(0, &[this.opened.genesis(site, gateway)]);
        }
        this
    }

    fn append(&self, hours: i64, bodies: &[LeafBody]) {
        let entries = bodies.iter().map(|body| Entry {
            at: Stamp {
                boot_ms: 1,
                wall: at(hours),
            },
            body: body.clone(),
        });
        let entries: Vec<Entry> = entries.collect();
        self.ledger.append("boot", &entries).unwrap();
    }

    /// Writes so many leaves, an hour apart from a first one on, and signs.
    pub(crate) fn grow(&self, count: i64, first_hour: i64) {
        for hour in first_hour..first_hour + count {
            let audit = Audit {
                who: "li".to_owned(),
                action: "apply".to_owned(),
                what: hour.to_string(),
            };
            self.append(hour, &[LeafBody::Audit(audit)]);
        }
        self.ledger.sign().unwrap();
    }

    /// Another key takes over, and signs alone from then on.
    pub(crate) fn rotate(&self, hour: i64) {
        let leaf = self.ledger.rotate_key().unwrap();
        self.append(hour, &[LeafBody::Key(leaf)]);
        self.ledger.sign().unwrap();
        self.ledger.finish_rotation().unwrap();
    }

    /// Names the map of a machine.
    pub(crate) fn names(&self, hour: i64, map: &str) {
        let leaf = ConfigLeaf {
            machine: name("mill"),
            map: map.to_owned(),
            files: map.to_owned(),
        };
        self.append(hour, &[LeafBody::Config(leaf)]);
        self.ledger.sign().unwrap();
    }

    /// The gateway after its ledger was given up; its first leaf is of this hour.
    pub(crate) fn next_epoch(self, hour: i64) -> Self {
        let Self {
            ledger,
            opened,
            place,
            state,
            key,
        } = self;
        drop(ledger);
        let base = opened.origin.split("/e").next().unwrap().to_owned();
        let known = Testimony::default();
        new_epoch(&state, &key, &base, "the disk was lost", &known).unwrap();
        let (ledger, opened) = Ledger::open(&state, &key, &base).unwrap();
        let next = Self {
            ledger,
            place: Place {
                epoch: opened.epoch,
                ..place
            },
            opened,
            state,
            key,
        };
        let (site, gateway) = (&next.place.site, &next.place.gateway);
        next.append(hour, &[next.opened.genesis(site, gateway)]);
        next.ledger.sign().unwrap();
        next
    }
}

/// Copies a folder; one that is not there is empty.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let Ok(entries) = fs::read_dir(from) else {
        return;
    };
    for entry in entries.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}
