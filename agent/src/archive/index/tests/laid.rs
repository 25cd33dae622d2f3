//! An archive's directory, laid out from ledgers: the static files below `logs`, texts and notes below `kept`.

use jiff::civil::date;
use lineside_proto::ledger::{Leaf, LeafBody};
use lineside_proto::{Identifier, Time};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

use crate::archive::{Place, Shelf};
use crate::clock::Stamp;
use crate::ledger::{Ledger, View};
use crate::record::Entry;
use crate::sim::year::{Year, YearSettings, make};

/// An archive's directory, and the ledgers behind it.
pub(super) struct Laid {
    dir: TempDir,
}

/// A ledger that grows.
pub(super) struct Grown {
    ledger: Ledger,
    pub(super) place: Place,
}

pub(super) fn place(gateway: &str, epoch: u32) -> Place {
    Place {
        site: "sample".parse().unwrap(),
        gateway: gateway.parse().unwrap(),
        epoch,
    }
}

pub(super) fn machine(name: &str) -> Identifier {
    name.parse().unwrap()
}

impl Laid {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// With the log of a sample year.
    pub(super) fn year(days: usize) -> (Self, Year) {
        let laid = Self::new();
        let settings = YearSettings {
            from: date(2025, 3, 1),
            days,
            machines: 3,
            seed: 1,
        };
        let year = make(&laid.dir.path().join("year"), settings, &mut |_| {}).unwrap();
        laid.lay(&laid.dir.path().join("year/state"), &place("gw-sample", 1));
        (laid, year)
    }

    /// Where the archive keeps everything.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn shelf(&self) -> Shelf {
        Shelf::of(self.dir())
    }

    /// A ledger of its own.
    pub(super) fn grown(&self, place: Place, key: &str) -> Grown {
        let (state, key) = (self.state(&place), self.dir().join("keys").join(key));
        let origin = format!("lineside/{}/{}", place.site, place.gateway);
        let (ledger, _) = Ledger::open(&state, &key, &origin).unwrap();
        Grown { ledger, place }
    }

    fn state(&self, place: &Place) -> PathBuf {
        self.dir().join("states").join(place.to_string())
    }

    /// Signs what there is of a ledger, and lays it out.
    pub(super) fn publish(&self, grown: &Grown) {
        grown.ledger.sign().unwrap();
        self.lay(&self.state(&grown.place), &grown.place);
    }

    /// Lays out a state directory's ledger; what lay there before goes.
    pub(super) fn lay(&self, state: &Path, place: &Place) {
        let (ledger, shelf) = (state.join("ledger"), self.shelf());
        let log = shelf.log_dir(place);
        if log.exists() {
            fs::remove_dir_all(&log).unwrap();
        }
        copy(&ledger.join("tile"), &log.join("tile"));
        copy(&ledger.join("notes"), &shelf.kept_dir(place).join("notes"));
        for texts in ["maps", "tokens"] {
            let kept = shelf.gateway_dir(&place.site, &place.gateway).join(texts);
            copy(&state.join(texts), &kept);
        }
        fs::copy(ledger.join("checkpoint"), log.join("checkpoint")).unwrap();
    }
}

impl Grown {
    pub(super) fn grow(&self, boot: &str, mono_ms: u64, bodies: Vec<LeafBody>) -> u64 {
        let at = Stamp {
            boot_ms: mono_ms,
            wall: at(mono_ms),
        };
        let entries = bodies.into_iter().map(|body| Entry { at, body });
        let entries: Vec<Entry> = entries.collect();
        self.ledger.append(boot, &entries).unwrap().start
    }

    /// Writes leaves of another ledger once more.
    pub(super) fn repeat(&self, leaves: &[Leaf]) {
        for part in leaves.chunk_by(|one, other| one.head.boot == other.head.boot) {
            let entries = part.iter().map(|leaf| Entry {
                at: Stamp {
                    boot_ms: leaf.head.mono_ms,
                    wall: leaf.head.at,
                },
                body: leaf.body.clone(),
            });
            let entries: Vec<Entry> = entries.collect();
            self.ledger.append(&part[0].head.boot, &entries).unwrap();
        }
    }
}

/// The wall time of a moment of grown ledgers.
pub(super) fn at(mono_ms: u64) -> Time {
    let begin: Time = "2025-03-01T00:00:00.000Z".parse().unwrap();
    begin.plus_millis(i64::try_from(mono_ms).unwrap())
}

/// All leaves of a log.
pub(super) fn leaves(shelf: &Shelf, place: &Place) -> Vec<Leaf> {
    let view: View = shelf.view(place).unwrap();
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < view.size() {
        for (_, bytes) in view.read(leaves.len() as u64, 1 << 20).unwrap() {
            leaves.push(Leaf::from_bytes(&bytes).unwrap());
        }
    }
    leaves
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let Ok(listed) = fs::read_dir(from) else {
        return;
    };
    for entry in listed.map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
