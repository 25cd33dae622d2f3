//! How a log stands in an archive: what its newest signed head covers, and what the archive knows of it beside.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use lineside_proto::ledger::tile::{Kind, Tile, WIDTH, entries};
use lineside_proto::ledger::{LEAF_BYTES_MAX, Leaf};
use lineside_proto::{Identifier, Period, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{Uncosigned, Unproved};
use super::{Cosigned, Place, Shelf, Stopped};

/// Bytes of a bundle at most: 256 leaves, and the length of each.
const BUNDLE_BYTES_MAX: u64 = 256 * (LEAF_BYTES_MAX as u64 + 2);

/// How a log stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// The platform.
    pub site: Identifier,
    /// Its gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger, from 1.
    pub epoch: u32,
    /// The log's origin, its epoch included.
    pub origin: String,
    /// Leaves that the newest signed head covers. All are here, and verified.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// When the first of them was established; null where it can't be read.
    pub first: Option<Time>,
    /// When the newest was; null where it can't be read.
    pub newest: Option<Time>,
    /// When a head of this log was last taken in, by the archive's clock; null where its record can't be read.
    pub heard: Option<Time>,
    /// The newest head that this archive cosigned.
    pub cosigned: Option<Cosigned>,
    /// Why nothing of this log is taken or cosigned any more; null while all is well.
    pub stopped: Option<Stopped>,
    /// What was refused of it in all.
    pub alarms: u64,
    /// A head that nobody proves to continue what is held: it is neither taken nor cosigned. Null while all that was
    /// shown is here.
    #[serde(default)]
    pub unproved: Option<Unproved>,
    /// Why the newest head is not cosigned; null while it is, or where nobody cosigns.
    #[serde(default)]
    pub uncosigned: Option<Uncosigned>,
}

/// What an archive holds of a gateway: its answer to `status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The platform.
    pub site: Identifier,
    /// Its gateway.
    pub gateway: Identifier,
    /// Its logs, oldest epoch first.
    pub logs: Vec<Standing>,
    /// Epochs of which there was a log, and whose head can't be read now: damaged, or to be fetched anew.
    #[serde(default)]
    pub unreadable: Vec<u32>,
    /// Whether an archive can't tell now which logs there are, so that there may be others.
    #[serde(default)]
    pub unlisted: bool,
}

impl Standing {
    /// How a log stands; none where it has no signed head.
    ///
    /// # Errors
    ///
    /// Its head can't be read.
    pub fn of(shelf: &Shelf, place: &Place) -> io::Result<Option<Self>> {
        let Some((_, head)) = shelf.head(place)? else {
            return Ok(None);
        };
        // Without its record a log is as good as with it: it only says less.
        let record = shelf.record(place).unwrap_or_else(|error| {
            tracing::warn!(%place, %error, "the record of a log can't be read");
            None
        });
        let record = record.unwrap_or_default();
        let last = head.size.checked_sub(1);
        let newest = record.newest.filter(|_| record.size == head.size);
        Ok(Some(Self {
            site: place.site.clone(),
            gateway: place.gateway.clone(),
            epoch: place.epoch,
            first: last.and_then(|_| first(shelf, place, head.size)),
            newest: newest.or_else(|| at(shelf, place, head.size, last?)),
            origin: head.origin,
            size: head.size,
            root: head.root.to_string(),
            heard: record.heard,
            cosigned: record.cosigned,
            stopped: record.stopped,
            alarms: record.alarms,
            unproved: record.unproved,
            uncosigned: record.uncosigned,
        }))
    }

    /// Leaves of it that there are, as far as anybody says it, whether or not they are here; so many of them the next epoch
    /// cites, if that is known.
    pub(crate) fn known(&self, cited: Option<u64>) -> u64 {
        // What a log that is stopped shows is of another history, and what goes beyond the citation was given up.
        let is_open = self.stopped.is_none() && cited.is_none();
        let unproved = self.unproved.as_ref().filter(|_| is_open);
        let others = [
            cited,
            unproved.map(|unproved| unproved.size),
            self.cosigned.as_ref().map(|cosigned| cosigned.size),
            self.uncosigned.as_ref().and_then(|why| why.beyond),
        ];
        others.into_iter().flatten().fold(self.size, u64::max)
    }

    /// The log.
    pub fn place(&self) -> Place {
        Place {
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            epoch: self.epoch,
        }
    }

    /// The times at its ends that can be read. A clock may have been wrong at either, and set back between them.
    fn ends(&self) -> impl Iterator<Item = Time> + use<> {
        self.first.into_iter().chain(self.newest)
    }

    /// Whether it may have begun before a period is over.
    pub(crate) fn has_begun(&self, period: Period) -> bool {
        self.first.is_none() || self.ends().min().is_some_and(|first| first < period.to)
    }

    /// Whether it may have leaves of a period.
    pub(crate) fn may_be_of(&self, period: Period) -> bool {
        let last = self.ends().max();
        let goes_on = self.newest.is_none() || last.is_some_and(|last| last >= period.from);
        goes_on && self.has_begun(period)
    }

    /// Whether it is known to have leaves of a period: one of its ends is in it.
    pub(crate) fn is_of(&self, period: Period) -> bool {
        self.ends().any(|end| period.from <= end && end < period.to)
    }

    /// Whether it is known to go on after a period.
    pub(crate) fn goes_beyond(&self, period: Period) -> bool {
        self.ends().max().is_some_and(|last| last >= period.to)
    }
}

impl Held {
    /// What there is of a gateway; none where it never had a log with a signed head.
    ///
    /// # Errors
    ///
    /// A folder can't be listed.
    pub fn of(shelf: &Shelf, site: &Identifier, gateway: &Identifier) -> io::Result<Option<Self>> {
        let epochs = shelf.recorded_epochs(site, gateway)?.into_iter();
        let places = epochs.map(|epoch| Place {
            site: site.clone(),
            gateway: gateway.clone(),
            epoch,
        });
        Ok(Self::gathered(shelf, places).pop())
    }

    /// All gateways that `wanted` picks. What can't be read of one hides no other.
    ///
    /// # Errors
    ///
    /// The folder of all logs can't be listed.
    pub fn all(
        shelf: &Shelf,
        wanted: impl Fn(&Identifier, &Identifier) -> bool,
    ) -> io::Result<Vec<Self>> {
        let places = shelf.recorded()?.into_iter();
        let places = places.filter(|place| wanted(&place.site, &place.gateway));
        Ok(Self::gathered(shelf, places))
    }

    /// Whether there is a log of this epoch, be it one that can't be read.
    pub(crate) fn knows(&self, epoch: u32) -> bool {
        self.logs.iter().any(|log| log.epoch == epoch) || self.unreadable.contains(&epoch)
    }

    /// Takes in what another archive holds of the same gateway: of each log the copy that has more, and what either has
    /// against it.
    pub(crate) fn join(&mut self, other: Self) {
        for log in other.logs {
            let Some(known) = self.logs.iter_mut().find(|known| known.epoch == log.epoch) else {
                self.logs.push(log);
                continue;
            };
            let (less, mut more) = if log.size > known.size {
                (known.clone(), log)
            } else {
                (log, known.clone())
            };
            more.stopped = more.stopped.or(less.stopped);
            more.alarms = more.alarms.max(less.alarms);
            // What either knows of, and neither has.
            more.cosigned = [more.cosigned, less.cosigned]
                .into_iter()
                .flatten()
                .max_by_key(|cosigned| cosigned.size);
            more.unproved = [more.unproved, less.unproved]
                .into_iter()
                .flatten()
                .filter(|unproved| unproved.size > more.size)
                .max_by_key(|unproved| unproved.size);
            let beyond = less.uncosigned.as_ref().and_then(|why| why.beyond);
            let beyond = beyond.filter(|beyond| *beyond > more.size);
            more.uncosigned = match (more.uncosigned, beyond) {
                (Some(why), beyond) => Some(Uncosigned {
                    beyond: why.beyond.max(beyond),
                    ..why
                }),
                (None, Some(_)) => less.uncosigned,
                (None, None) => None,
            };
            // Whichever says less of the time may be right.
            let both = |one: Option<Time>, other: Option<Time>| one.zip(other);
            more.first = both(more.first, less.first).map(|(one, other)| one.min(other));
            more.newest = both(more.newest, less.newest).map(|(one, other)| one.max(other));
            *known = more;
        }
        self.logs.sort_by_key(|log| log.epoch);
        self.unreadable.extend(other.unreadable);
        let logs = &self.logs;
        let is_there = |epoch: &u32| logs.iter().any(|log| log.epoch == *epoch);
        self.unreadable.retain(|epoch| !is_there(epoch));
        self.unreadable.sort_unstable();
        self.unreadable.dedup();
        self.unlisted |= other.unlisted;
    }

    /// What is of one epoch.
    pub(crate) fn only(mut self, epoch: u32) -> Self {
        self.logs.retain(|log| log.epoch == epoch);
        self.unreadable.retain(|other| *other == epoch);
        self
    }

    /// Whether all of it can be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.unreadable.is_empty() && !self.unlisted
    }

    /// What is said of a gateway where its logs can't be listed.
    pub(crate) fn unlisted(site: Identifier, gateway: Identifier) -> Self {
        Self {
            v: 1,
            site,
            gateway,
            logs: Vec::new(),
            unreadable: Vec::new(),
            unlisted: true,
        }
    }

    /// The logs at these places, which come in order, by gateway.
    fn gathered(shelf: &Shelf, places: impl Iterator<Item = Place>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for place in places {
            let standing = Standing::of(shelf, &place).unwrap_or_else(|error| {
                tracing::warn!(%place, %error, "a log of the archive can't be read");
                None
            });
            let Place {
                site,
                gateway,
                epoch,
            } = place;
            let is_last = |last: &Self| (&last.site, &last.gateway) == (&site, &gateway);
            if !all.last().is_some_and(is_last) {
                all.push(Self {
                    v: 1,
                    site,
                    gateway,
                    logs: Vec::new(),
                    unreadable: Vec::new(),
                    unlisted: false,
                });
            }
            let Some(held) = all.last_mut() else { continue };
            match standing {
                Some(standing) => held.logs.push(standing),
                None => held.unreadable.push(epoch),
            }
        }
        all
    }
}

/// The bundle with a leaf, of a log of so many: the partial one that its head names, else the full one.
fn bundle(
    shelf: &Shelf,
    place: &Place,
    size: u64,
    index: u64,
    most: u64,
) -> Option<(Vec<u8>, u64)> {
    let tile = Tile {
        kind: Kind::Entries,
        index: index / WIDTH,
        width: size.saturating_sub(index / WIDTH * WIDTH).min(WIDTH),
    };
    let full = Tile {
        width: WIDTH,
        ..tile
    };
    [tile, full].into_iter().find_map(|tile| {
        let path = shelf.log_dir(place).join(tile.to_string());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "a bundle can't be read");
                }
                return None;
            }
        };
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).ok()?;
        Some((bytes, tile.width))
    })
}

/// When the first leaf was established: of its bundle, only as much is read as it needs.
fn first(shelf: &Shelf, place: &Place, size: u64) -> Option<Time> {
    let most = u64::try_from(LEAF_BYTES_MAX).ok()? + 2;
    let (bytes, _) = bundle(shelf, place, size, 0, most)?;
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    time(rest.get(..usize::from(u16::from_be_bytes(*length)))?)
}

/// When a leaf was established.
fn at(shelf: &Shelf, place: &Place, size: u64, index: u64) -> Option<Time> {
    let (bytes, width) = bundle(shelf, place, size, index, BUNDLE_BYTES_MAX)?;
    let leaves = entries(&bytes, width).ok()?;
    time(leaves.get(usize::try_from(index % WIDTH).ok()?)?)
}

fn time(leaf: &[u8]) -> Option<Time> {
    Some(Leaf::from_bytes(leaf).ok()?.head.at)
}
