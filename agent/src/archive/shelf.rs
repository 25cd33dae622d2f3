//! The directory of an archive, to be read: by its own server, by whoever pulls evidence from it, by commands.
//!
//! Nothing is locked and nothing written here, so that any number may read while one writes.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lineside_proto::Identifier;
use lineside_proto::ledger::note::{NOTE_BYTES_MAX, Note};
use lineside_proto::ledger::tile::WIDTH;
use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Checkpoint, Hash};
use ulid::Ulid;

use super::place::{Place, epoch_of};
use super::record::Record;
use crate::answers::Copied;
use crate::ledger::tiles::Tiles;
use crate::ledger::{LedgerError, View};
use crate::slots;

/// Entries of one folder that are looked at: far more than a city has sites, or a site gateways.
const ENTRIES_MAX: usize = 100_000;

/// An archive's directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// The archive in a directory; nothing is read yet.
    pub fn of(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the archive calls itself, the same for ever; none while no process has worked on it.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn name(&self) -> io::Result<Option<Ulid>> {
        match fs::read_to_string(self.dir.join("name")) {
            Ok(name) => Ok(name.trim().parse().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The static files of all logs: what a web server may serve.
    pub fn logs_dir(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The static files of a log.
    pub fn log_dir(&self, place: &Place) -> PathBuf {
        self.logs_dir().join(place.to_string())
    }

    /// What is kept of a gateway beside its logs: `maps/` and `tokens/`.
    pub fn gateway_dir(&self, site: &Identifier, gateway: &Identifier) -> PathBuf {
        let (site, gateway) = (site.as_str(), gateway.as_str());
        self.dir.join("kept").join(site).join(gateway)
    }

    /// What is kept of a log beside its static files: `record` and `notes/`.
    pub fn kept_dir(&self, place: &Place) -> PathBuf {
        self.dir.join("kept").join(place.to_string())
    }

    /// The proofs of what was refused.
    pub fn alarms_dir(&self) -> PathBuf {
        self.dir.join("alarms")
    }

    /// All logs that have a signed head, in order.
    ///
    /// # Errors
    ///
    /// A folder can't be listed.
    pub fn logs(&self) -> io::Result<Vec<Place>> {
        let dir = self.logs_dir();
        Self::found(&dir, &|site, gateway| self.epochs(site, gateway))
    }

    /// All logs that ever had one, in order: those, too, of which no more than the record is left, or whose files were set
    /// aside as damaged.
    ///
    /// # Errors
    ///
    /// A folder can't be listed.
    pub fn recorded(&self) -> io::Result<Vec<Place>> {
        let dir = self.dir.join("kept");
        let mut places = Self::found(&dir, &|site, gateway| {
            epochs(&self.gateway_dir(site, gateway), &|_| true)
        })?;
        places.retain(|place| self.had_head(place));
        places.extend(self.logs()?);
        places.sort();
        places.dedup();
        Ok(places)
    }

    /// The epochs of a gateway that ever had a signed head, oldest first: as [`Shelf::recorded`].
    ///
    /// # Errors
    ///
    /// A folder can't be listed.
    pub fn recorded_epochs(&self, site: &Identifier, gateway: &Identifier) -> io::Result<Vec<u32>> {
        let mut found = epochs(&self.gateway_dir(site, gateway), &|_| true)?;
        found.retain(|epoch| {
            self.had_head(&Place {
                site: site.clone(),
                gateway: gateway.clone(),
                epoch: *epoch,
            })
        });
        found.extend(self.epochs(site, gateway)?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Whether a log has a signed head, or once had one.
    fn had_head(&self, place: &Place) -> bool {
        if self.has_head(place) {
            return true;
        }
        let record = self.record(place).ok().flatten();
        // A record is of no head yet while the leaves below the first one are being fetched.
        let had = record.is_some_and(|record| {
            record.cosigned.is_some() || record.size > 0 && record.reaching.is_none()
        });
        had || self.aside_dir(place).is_dir()
    }

    /// Where copies of a log lie whose parts did not fit together.
    pub fn aside_dir(&self, place: &Place) -> PathBuf {
        self.dir.join("damaged").join(place.to_string())
    }

    fn found(
        dir: &Path,
        epochs: &dyn Fn(&Identifier, &Identifier) -> io::Result<Vec<u32>>,
    ) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for site in names(dir)? {
            for gateway in names(&dir.join(site.as_str()))? {
                places.extend(epochs(&site, &gateway)?.into_iter().map(|epoch| Place {
                    site: site.clone(),
                    gateway: gateway.clone(),
                    epoch,
                }));
            }
        }
        Ok(places)
    }

    /// The epochs of a gateway that have a signed head, oldest first.
    ///
    /// # Errors
    ///
    /// The folder can't be listed.
    pub fn epochs(&self, site: &Identifier, gateway: &Identifier) -> io::Result<Vec<u32>> {
        let dir = self.logs_dir().join(site.as_str()).join(gateway.as_str());
        epochs(&dir, &|epoch| epoch.join("checkpoint").is_file())
    }

    /// The epochs of a gateway of which anything was ever kept, oldest first.
    ///
    /// # Errors
    ///
    /// A folder can't be listed.
    pub fn known_epochs(&self, site: &Identifier, gateway: &Identifier) -> io::Result<Vec<u32>> {
        let mut known = epochs(&self.gateway_dir(site, gateway), &|_| true)?;
        known.extend(self.epochs(site, gateway)?);
        known.sort_unstable();
        known.dedup();
        Ok(known)
    }

    /// Whether a log has a signed head.
    pub fn has_head(&self, place: &Place) -> bool {
        self.log_dir(place).join("checkpoint").is_file()
    }

    /// The newest signed note of a log, and the head that it commits to; none before the first. Its signatures are not
    /// checked here: they were before it was written.
    ///
    /// # Errors
    ///
    /// It can't be read, or is no checkpoint.
    pub fn head(&self, place: &Place) -> io::Result<Option<(Arc<str>, Checkpoint)>> {
        let path = self.log_dir(place).join("checkpoint");
        let most = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(about) if about.is_file() && about.len() <= most => {}
            Ok(_) => return Err(ErrorKind::InvalidData.into()),
            Err(error) => return Err(error),
        }
        let note = fs::read_to_string(&path)?;
        let head = head(&note).ok_or(ErrorKind::InvalidData)?;
        Ok(Some((note.into(), head)))
    }

    /// What the archive knows of a log; none where its record can't be read.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn record(&self, place: &Place) -> io::Result<Option<Record>> {
        let bytes = slots::look(&self.kept_dir(place).join("record"))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// A log as it is now: its leaves, tiles and proofs.
    ///
    /// # Errors
    ///
    /// What lies there does not fit together.
    pub fn view(&self, place: &Place) -> Result<View, LedgerError> {
        View::of_log(&self.log_dir(place), &self.kept_dir(place))
    }

    /// The root over the first leaves of a log, proved by the head that lies here or, while a first long stretch is fetched, by
    /// the leaves in tiles that are recorded: what went bad on this disk tells against nobody.
    ///
    /// # Errors
    ///
    /// The files can't be read, do not fit together, or there are not so many leaves.
    pub(super) fn proved_root(&self, place: &Place, size: u64) -> Result<Hash, LedgerError> {
        let dir = self.log_dir(place);
        let head = self.head(place).map_err(LedgerError::disk(&dir))?;
        let (root, proof, (held, signed)) = if let Some((_, head)) = head {
            let view = self.view(place)?;
            let proof = view.consistency(size, head.size)?;
            (view.root_at(size)?, proof, (head.size, head.root))
        } else {
            let record = self.record(place).map_err(LedgerError::disk(&dir))?;
            let part = record.and_then(|it| Some((it.size, Hash::from_base64(&it.root)?)));
            let part = part.filter(|(held, _)| held % WIDTH == 0);
            let (held, recorded) = part.ok_or(LedgerError::Beyond {
                place: size,
                size: 0,
            })?;
            let tiles = Tiles::open(&dir, held)?;
            let proof = tiles.consistency(size, held)?;
            (tiles.root_at(size)?, proof, (held, recorded))
        };
        let proved = check_consistency(size, held, &proof, root, signed);
        proved.map(|()| root).map_err(|error| {
            let what = format!("its tiles are not those of its head: {error}");
            LedgerError::damaged(dir, what)
        })
    }

    /// A log as it is now, and the texts that it names, as a source of answers.
    ///
    /// # Errors
    ///
    /// What lies there does not fit together.
    pub fn source(&self, place: &Place) -> Result<Copied, LedgerError> {
        let texts = self.gateway_dir(&place.site, &place.gateway);
        let record = self.record(place).ok().flatten();
        let keys = record.map_or_else(Vec::new, |record| record.keys);
        Ok(Copied::of(self.view(place)?, &texts).signed_by(keys))
    }
}

/// The head that a note commits to.
pub(super) fn head(note: &str) -> Option<Checkpoint> {
    let note = Note::parse(note).ok()?;
    Checkpoint::parse(&note.text).ok()
}

/// The epochs below a gateway's folder of which something is there, oldest first.
fn epochs(dir: &Path, is_there: &dyn Fn(&Path) -> bool) -> io::Result<Vec<u32>> {
    let mut epochs: Vec<u32> = entries(dir)?
        .filter(|name| is_there(&dir.join(name)))
        .filter_map(|name| epoch_of(&name))
        .collect();
    epochs.sort_unstable();
    Ok(epochs)
}

/// The names of a folder's entries, so many at most; none where there is no such folder.
fn entries(dir: &Path) -> io::Result<impl Iterator<Item = String> + use<>> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => Some(listed),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let entries = listed.into_iter().flatten().take(ENTRIES_MAX).flatten();
    Ok(entries.filter_map(|entry| entry.file_name().into_string().ok()))
}

/// Those of a folder's entries that are identifiers, in order.
fn names(dir: &Path) -> io::Result<Vec<Identifier>> {
    let mut names: Vec<Identifier> = entries(dir)?.filter_map(|name| name.parse().ok()).collect();
    names.sort();
    Ok(names)
}
