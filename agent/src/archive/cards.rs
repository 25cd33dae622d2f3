//! Enrolment cards: which key signs for which gateway, as the city was told it when the gateway was installed.
//!
//! A folder of JSON files, each what `lineside keys show --json` prints, or its `card` alone. A gateway may have
//! several, of keys that follow one another. Nothing else makes a key known, but a change that a known key has signed.
//!
//! Bounds: `CARDS_MAX` files of `CARD_BYTES_MAX`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lineside_proto::Identifier;
use lineside_proto::ledger::note::{KeyKind, VerifierKey};
use serde::Deserialize;
use serde_json::Value;

use super::place::Place;

/// Cards that are read at most: ten times the gateways of a large city.
const CARDS_MAX: usize = 20_000;
/// Bytes of a card at most.
const CARD_BYTES_MAX: u64 = 64 << 10;

/// A key that signs for a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enrolled {
    /// The origin of the gateway's first epoch.
    pub base: String,
    /// The key.
    pub key: VerifierKey,
    /// The last epoch that it signs for; every one if none is named. What a key in other hands has signed before stays
    /// readable, and it begins nothing new.
    pub last_epoch: Option<u32>,
}

/// The cards of a folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cards {
    gateways: BTreeMap<(Identifier, Identifier), Vec<Enrolled>>,
}

/// What is wrong with a card; the others count.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}", path = path.display())]
pub struct CardFault {
    /// The file.
    pub path: PathBuf,
    /// Why it is no card.
    pub fault: Fault,
}

/// Why a file is no card.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It can't be read.
    #[error("can't be read: {0}")]
    Read(#[from] io::Error),
    /// It is longer than a card.
    #[error("longer than a card can be: is it what `lineside keys show --json` printed?")]
    TooLong,
    /// Not the JSON of a card.
    #[error("no card: {0}; it is what `lineside keys show --json` prints")]
    Form(#[from] serde_json::Error),
    /// The key is none that signs a ledger.
    #[error("`vkey` is no verifier key of a ledger")]
    Key,
    /// Two gateways can't have one ledger.
    #[error("its origin {0} is that of another gateway's card")]
    Origin(String),
}

#[derive(Deserialize)]
struct Card {
    site: Identifier,
    gateway: Identifier,
    origin: String,
    vkey: String,
    /// Written by a person, when the key is in other hands.
    last_epoch: Option<u32>,
}

impl Card {
    /// Whether its origin names its gateway, as an agent makes it.
    fn is_named(&self) -> bool {
        let name = format!("/{}/{}", self.site, self.gateway);
        base_of(&self.origin).ends_with(&name)
    }
}

impl Cards {
    /// Reads the cards of a folder, and says which files are none. A folder that is not there holds none.
    ///
    /// # Errors
    ///
    /// The folder can't be listed.
    pub fn load(dir: &Path) -> io::Result<(Self, Vec<CardFault>)> {
        let mut paths: Vec<PathBuf> = match fs::read_dir(dir) {
            Ok(entries) => entries
                .take(CARDS_MAX)
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        paths.sort();
        let (mut cards, mut faults) = (Self::default(), Vec::new());
        let mut found = Vec::new();
        for path in paths {
            match read(&path) {
                Ok(card) => found.push((path, card)),
                Err(fault) => faults.push(CardFault { path, fault }),
            }
        }
        // Of two that name one origin, the one whose gateway the origin names counts: another's is mistyped.
        found.sort_by_key(|(_, card)| !card.is_named());
        for (path, card) in found {
            if let Err(fault) = cards.take(card) {
                faults.push(CardFault { path, fault });
            }
        }
        faults.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((cards, faults))
    }

    fn take(&mut self, card: Card) -> Result<(), Fault> {
        let key: VerifierKey = card.vkey.parse().map_err(|_| Fault::Key)?;
        if key.kind() != KeyKind::Ed25519 {
            return Err(Fault::Key);
        }
        let base = base_of(&card.origin).to_owned();
        let owner = (card.site, card.gateway);
        let mut others = self.gateways.iter().filter(|(known, _)| **known != owner);
        if others.any(|(_, keys)| keys.iter().any(|known| known.base == base)) {
            return Err(Fault::Origin(base));
        }
        let keys = self.gateways.entry(owner).or_default();
        let last_epoch = card.last_epoch;
        let mut same = keys.iter_mut();
        let same = same.find(|known| known.base == base && known.key.key() == key.key());
        match same {
            // Of two cards of one key, the one that ends it counts.
            Some(known) => {
                let ends = [known.last_epoch, last_epoch].into_iter().flatten();
                known.last_epoch = ends.min();
            }
            None => keys.push(Enrolled {
                base,
                key,
                last_epoch,
            }),
        }
        Ok(())
    }

    /// The keys of a gateway; none if it is not enrolled.
    pub fn of(&self, site: &Identifier, gateway: &Identifier) -> &[Enrolled] {
        let keys = self.gateways.get(&(site.clone(), gateway.clone()));
        keys.map_or(&[], Vec::as_slice)
    }

    /// The enrolled gateways, in order.
    pub fn gateways(&self) -> impl Iterator<Item = (&Identifier, &Identifier)> {
        self.gateways.keys().map(|(site, gateway)| (site, gateway))
    }

    /// Whether a key of the gateway has ended before this epoch: then only keys that cards name begin it, since who has
    /// one key may have handed over to another.
    pub fn is_ended(&self, place: &Place) -> bool {
        let keys = self.of(&place.site, &place.gateway).iter();
        let mut ends = keys.filter_map(|known| known.last_epoch);
        ends.any(|last| last < place.epoch)
    }

    /// The keys that a log's card names, and the log's origin; none if no card is of this gateway. Where cards name
    /// several origins, that of the newest file counts.
    pub fn log(&self, place: &Place) -> Option<(String, Vec<VerifierKey>)> {
        let keys = self.of(&place.site, &place.gateway);
        let base = &keys.last()?.base;
        let origin = origin(base, place.epoch);
        let signs = |known: &&Enrolled| known.last_epoch.is_none_or(|last| place.epoch <= last);
        let of_base = keys.iter().filter(|known| known.base == *base);
        let of_base = of_base.filter(signs);
        let named = of_base.filter_map(|known| named(&known.key, &origin));
        let named = named.collect();
        Some((origin, named))
    }
}

/// The same key under the name of another epoch's log: a gateway signs each by the log's own name.
pub(in crate::archive) fn named(key: &VerifierKey, origin: &str) -> Option<VerifierKey> {
    VerifierKey::new(origin, KeyKind::Ed25519, key.key()).ok()
}

/// The origin of an epoch.
pub fn origin(base: &str, epoch: u32) -> String {
    crate::ledger::head::origin(base, epoch)
}

/// The epoch that an origin is of, if it is one of this base.
pub fn epoch_of(base: &str, origin: &str) -> Option<u32> {
    crate::ledger::head::epoch_of(base, origin)
}

/// The origin of the first epoch: a card that was made later names a later one.
pub fn base_of(origin: &str) -> &str {
    let Some((base, _)) = origin.rsplit_once("/e") else {
        return origin;
    };
    match epoch_of(base, origin) {
        Some(epoch) if epoch > 1 && !base.is_empty() => base,
        Some(_) | None => origin,
    }
}

fn read(path: &Path) -> Result<Card, Fault> {
    let about = fs::metadata(path)?;
    if !about.is_file() || about.len() > CARD_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let mut text = String::new();
    File::open(path)?
        .take(CARD_BYTES_MAX)
        .read_to_string(&mut text)?;
    let mut document: Value = serde_json::from_str(&text)?;
    let card = document.get_mut("card").map(Value::take);
    Ok(serde_json::from_value(card.unwrap_or(document))?)
}

#[cfg(test)]
mod tests {
    use super::{Cards, base_of};
    use lineside_proto::ledger::note::{KeyKind, SignerKey};
    use std::fs;

    fn card(site: &str, gateway: &str, origin: &str, seed: u8) -> String {
        let key = SignerKey::new(origin, KeyKind::Ed25519, &[seed; 32]).unwrap();
        format!(
            r#"{{"v":1,"site":"{site}","gateway":"{gateway}","origin":"{origin}","vkey":"{}"}}"#,
            key.public()
        )
    }

    #[test]
    fn the_base_is_what_stands_before_the_epoch() {
        for (origin, base) in [
            ("a/b/c", "a/b/c"),
            ("a/b/c/e2", "a/b/c"),
            ("a/b/c/e10", "a/b/c"),
            ("a/b/c/e1", "a/b/c/e1"),
            ("a/b/c/e02", "a/b/c/e02"),
            ("a/e2e", "a/e2e"),
            ("/e2", "/e2"),
        ] {
            assert_eq!(base_of(origin), base, "{origin}");
        }
    }

    #[test]
    fn good_cards_count_and_others_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put("a.json", &card("zs", "gw-1", "lineside/zs/gw-1", 1));
        let whole = format!(
            r#"{{"card":{},"jwk":{{}}}}"#,
            card("zs", "gw-1", "lineside/zs/gw-1/e2", 2)
        );
        put("b.json", &whole);
        put("0.json", &card("zs", "gw-2", "lineside/zs/gw-1", 3));
        put("d.json", "{}");
        put("e.json", &card("zs", "Gw", "x", 3));
        put("f.json", &" ".repeat(70_000));
        put("notes.txt", "nothing");
        let (cards, faults) = Cards::load(dir.path()).unwrap();
        let names: Vec<_> = faults
            .iter()
            .map(|fault| fault.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["0.json", "d.json", "e.json", "f.json"]);
        let (site, gateway) = ("zs".parse().unwrap(), "gw-1".parse().unwrap());
        assert_eq!(cards.of(&site, &gateway).len(), 2);
        assert_eq!(cards.gateways().count(), 1);
        let place = super::Place {
            site,
            gateway,
            epoch: 3,
        };
        let (origin, keys) = cards.log(&place).unwrap();
        assert_eq!((origin.as_str(), keys.len()), ("lineside/zs/gw-1/e3", 2));
        assert!(keys.iter().all(|key| key.name() == origin));
        // A key in other hands signs for the epochs of before.
        let ended = card("zs", "gw-1", "lineside/zs/gw-1", 1)
            .replace("\"v\":1", "\"v\":1,\"last_epoch\":1");
        put("g.json", &ended);
        let (cards, _) = Cards::load(dir.path()).unwrap();
        for (epoch, count, is_ended) in [(1, 2, false), (2, 1, true), (3, 1, true)] {
            let place = super::Place {
                epoch,
                ..place.clone()
            };
            let (_, keys) = cards.log(&place).unwrap();
            assert_eq!(
                (keys.len(), cards.is_ended(&place)),
                (count, is_ended),
                "{epoch}"
            );
        }
        let (none, _) = Cards::load(&dir.path().join("nowhere")).unwrap();
        assert_eq!(none, Cards::default());
    }
}
