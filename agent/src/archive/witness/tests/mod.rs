//! The witness against logs that are made up here, forks of them among these.

mod cosign;
mod damage;
mod files;
mod race;
mod requests;
mod submit;

use std::convert::Infallible;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_proto::ledger::tree;
use lineside_proto::ledger::{Checkpoint, Hash};
use tempfile::TempDir;

use super::{AddCheckpoint, Witness};

const ORIGIN: &str = "example.com/log";
const NAME: &str = "witness.example/w1";

/// The witness's key: the first of RFC 8032, in base64url.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// So many milliseconds after the moment at which these tests play.
fn at(millis: i64) -> Time {
    Time::from_millis(1_795_420_800_000 + millis)
}

/// A directory with the witness's key.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let desk = Self { dir };
        let jwk = format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{PUBLIC}","d":"{SEED}","kid":"{NAME}"}}"#
        );
        fs::write(desk.key(), jwk).unwrap();
        fs::set_permissions(desk.key(), fs::Permissions::from_mode(0o600)).unwrap();
        let folder = desk.folder();
        DirBuilder::new().mode(0o700).create(folder).unwrap();
        desk
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("witness.key")
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("witness.key.cosigned")
    }

    fn open(&self) -> Witness {
        Witness::open(&self.key()).unwrap()
    }

    /// A slot of the record of the log.
    fn slot(&self, turn: u8) -> PathBuf {
        let name = super::memory::name(ORIGIN);
        self.folder().join(format!("{name}.{turn}"))
    }
}

/// A log whose leaves are told by their index and, from a place on, by its history.
#[derive(Clone, Copy, Debug)]
struct Log {
    origin: &'static str,
    history: char,
    /// The first leaf in which the histories differ.
    fork: u64,
}

impl Log {
    const fn new() -> Self {
        Self::forked('a', u64::MAX)
    }

    const fn forked(history: char, fork: u64) -> Self {
        Self {
            origin: ORIGIN,
            history,
            fork,
        }
    }

    fn node(self, level: u8, index: u64) -> Hash {
        match level.checked_sub(1) {
            Some(below) => Hash::of_node(
                &self.node(below, 2 * index),
                &self.node(below, 2 * index + 1),
            ),
            None if index >= self.fork => {
                Hash::of_leaf(format!("{index}{}", self.history).as_bytes())
            }
            None => Hash::of_leaf(index.to_string().as_bytes()),
        }
    }

    fn read(self) -> impl FnMut(u8, u64) -> Result<Hash, Infallible> {
        move |level, index| Ok(self.node(level, index))
    }

    fn head(self, size: u64) -> Checkpoint {
        Checkpoint {
            origin: self.origin.to_owned(),
            size,
            root: tree::root(size, self.read()).unwrap(),
        }
    }

    fn proof(self, old: u64, new: u64) -> Vec<Hash> {
        if old == 0 || old >= new {
            return Vec::new();
        }
        tree::consistency(old, new, self.read()).unwrap()
    }

    fn signer(self) -> SignerKey {
        SignerKey::new(self.origin, KeyKind::Ed25519, &[7; 32]).unwrap()
    }

    fn keys(self) -> Vec<VerifierKey> {
        vec![self.signer().public().clone()]
    }

    fn note(self, size: u64) -> Note {
        let text = self.head(size).to_string();
        let signatures = vec![self.signer().sign(&text, Time::default())];
        Note { text, signatures }
    }

    /// A request with the right proof.
    fn request(self, old: u64, size: u64) -> AddCheckpoint {
        AddCheckpoint {
            old,
            proof: self.proof(old, size),
            note: self.note(size),
        }
    }
}
