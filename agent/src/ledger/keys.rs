//! The signing keys on disk.
//!
//! A key is a private JWK (RFC 8037) that nobody but us may read, in a directory that only we may change.
//! Beside it lies `{key}.head`, the record of what was signed last. While a key is being changed, the one
//! before lies beside it as `{key}.old`, and both sign.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lineside_proto::Time;
use lineside_proto::ledger::KeyLeaf;
use lineside_proto::ledger::note::{
    KeyKind, NoteError, Signature, SignerKey, VerifierKey, change_text,
};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::disk;

/// Bytes of a key file at most.
const KEY_BYTES_MAX: u64 = 4096;

/// Bytes of a key file that is written here: it has 138, and its holder's name where it says it.
const KEY_FILE_BYTES: usize = 1024;

/// The name of the credential that systemd may hand over (`LoadCredential=ledger.key:…`).
const CREDENTIAL: &str = "ledger.key";

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a key already: nothing was changed.
    #[error("there is a key already: {}", .0.display())]
    Exists(PathBuf),
    /// There is none.
    #[error("there is no key {}: `lineside keys init` makes one", .0.display())]
    Missing(PathBuf),
    /// Others may read the key.
    #[error("others may read the key {0}: chmod 600 {0}", .path.display())]
    Open {
        /// The key.
        path: PathBuf,
    },
    /// Others may look into or change the key's directory.
    #[error("others may enter the directory {0} of the key: chmod 700 {0}, or give the key a folder of its own", .dir.display())]
    OpenDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// The file is no key.
    #[error("{} is no Ed25519 key as a private JWK", .0.display())]
    Form(PathBuf),
    /// The key is not ours to change.
    #[error("the key is handed over by systemd: change it where that gets it from")]
    Credential,
    /// The origin can't name a key.
    #[error("the ledger's origin can't name a key")]
    Name(#[from] NoteError),
    /// The disk refused.
    #[error("the key {} can't be used", .path.display())]
    Disk {
        /// The key or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    d: Option<String>,
    /// The name of its holder; a ledger's key has its origin's instead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    kid: Option<String>,
}

impl Drop for Jwk {
    fn drop(&mut self) {
        self.d.zeroize();
    }
}

/// The keys that sign a ledger.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    current: SignerKey,
    /// The one before, which signs too as long as the change is not finished.
    old: Option<SignerKey>,
}

impl Keys {
    /// Makes a new key; durable on return.
    ///
    /// # Errors
    ///
    /// There is one, its directory is open to others, or the disk refuses.
    pub fn init(path: &Path) -> Result<(), KeyError> {
        make(path, None)
    }

    /// Loads the keys for a ledger of this origin: systemd's credential where there is one, else the file,
    /// which is made if it is missing.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn load_or_init(path: &Path, origin: &str) -> Result<Self, KeyError> {
        if credential().is_some() {
            // What was signed last is remembered there all the same.
            make_directory(&directory(path))?;
        } else if !path.exists() {
            Self::init(path)?;
            tracing::info!(key = %path.display(), "a signing key was made for the ledger: enrol it with `lineside keys show`");
        }
        Self::load(path, origin)
    }

    /// Loads the keys for a ledger of this origin.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn load(path: &Path, origin: &str) -> Result<Self, KeyError> {
        let (seed, _) = match credential() {
            Some(credential) => read(&credential)?,
            None => open(path)?,
        };
        let current = SignerKey::new(origin, KeyKind::Ed25519, &seed)?;
        let old = old_path(path);
        let old = if old.exists() {
            check_file(&old)?;
            let (seed, _) = read(&old)?;
            Some(SignerKey::new(origin, KeyKind::Ed25519, &seed)?)
        } else {
            None
        };
        Ok(Self {
            path: path.to_owned(),
            // The same key twice is a change that was interrupted before the new one had its place.
            old: old.filter(|old| old.public() != current.public()),
            current,
        })
    }

    /// The key that signs.
    pub fn public(&self) -> &VerifierKey {
        self.current.public()
    }

    /// The key before, while the change is not finished.
    pub fn old(&self) -> Option<&VerifierKey> {
        self.old.as_ref().map(SignerKey::public)
    }

    /// Every key whose signature counts.
    pub fn all(&self) -> Vec<VerifierKey> {
        let keys = [Some(self.public()), self.old()];
        keys.into_iter().flatten().cloned().collect()
    }

    /// Where what was signed last is remembered.
    pub(super) fn head_path(&self) -> PathBuf {
        head_path(&self.path)
    }

    /// The signature lines over a note's text.
    pub(super) fn sign(&self, text: &str) -> Vec<Signature> {
        let signers = [Some(&self.current), self.old.as_ref()];
        let signers = signers.into_iter().flatten();
        // Only cosignatures carry a time.
        signers.map(|key| key.sign(text, Time::default())).collect()
    }

    /// Replaces the key by a new one; both sign from now on. Durable on return. The leaf says so, signed by
    /// both over [`change_text`].
    ///
    /// # Errors
    ///
    /// A change that is not finished ([`KeyError::Exists`]), or the disk.
    pub fn rotate(&mut self) -> Result<KeyLeaf, KeyError> {
        let (old_path, new_path) = (old_path(&self.path), beside(&self.path, ".next"));
        if credential().is_some() {
            return Err(KeyError::Credential);
        }
        if self.old.is_some() {
            return Err(KeyError::Exists(old_path));
        }
        // What an interrupted change left was never used.
        drop(fs::remove_file(&old_path));
        drop(fs::remove_file(&new_path));
        write_new(&new_path, None)?;
        let origin = self.current.public().name().to_owned();
        let (seed, _) = read(&new_path)?;
        let next = SignerKey::new(&origin, KeyKind::Ed25519, &seed)?;
        let failed = |source| KeyError::Disk {
            path: self.path.clone(),
            source,
        };
        fs::hard_link(&self.path, &old_path).map_err(failed)?;
        disk::sync(&directory(&self.path)).map_err(failed)?;
        fs::rename(&new_path, &self.path).map_err(failed)?;
        disk::sync(&directory(&self.path)).map_err(failed)?;
        let old = std::mem::replace(&mut self.current, next);
        let leaf = change(&old, &self.current);
        self.old = Some(old);
        Ok(leaf)
    }

    /// The leaf of the change that is not finished, always the same: a crash may have come before it was
    /// appended.
    pub fn change(&self) -> Option<KeyLeaf> {
        self.old.as_ref().map(|old| change(old, &self.current))
    }

    /// Ends a change: the key before signs no more, and is removed.
    ///
    /// # Errors
    ///
    /// There is no change ([`KeyError::Missing`]), or the disk refuses.
    pub fn finish_rotation(&mut self) -> Result<(), KeyError> {
        let path = old_path(&self.path);
        if self.old.is_none() {
            return Err(KeyError::Missing(path));
        }
        let removed = fs::remove_file(&path).and_then(|()| disk::sync(&directory(&self.path)));
        removed.map_err(|source| KeyError::Disk { path, source })?;
        self.old = None;
        Ok(())
    }
}

/// Makes a new key that says who holds it, where that is given; durable on return.
pub(crate) fn make(path: &Path, name: Option<&str>) -> Result<(), KeyError> {
    if path.exists() {
        return Err(KeyError::Exists(path.to_owned()));
    }
    make_directory(&directory(path))?;
    write_new(path, name)
}

/// The seed in a key file that nobody else may read, and who holds it, where it says so.
pub(crate) fn open(path: &Path) -> Result<(Zeroizing<[u8; 32]>, Option<String>), KeyError> {
    // Whoever mistyped the path need not change the rights of another folder first.
    if matches!(path.try_exists(), Ok(false)) {
        return Err(KeyError::Missing(path.to_owned()));
    }
    check_directory(&directory(path))?;
    check_file(path)?;
    read(path)
}

fn change(old: &SignerKey, new: &SignerKey) -> KeyLeaf {
    let text = change_text(old.public().name(), old.public(), new.public());
    let base64 = |bytes: [u8; 64]| base64::engine::general_purpose::STANDARD.encode(bytes);
    KeyLeaf {
        old: old.public().to_string(),
        new: new.public().to_string(),
        old_signature: base64(old.sign_bytes(text.as_bytes())),
        new_signature: base64(new.sign_bytes(text.as_bytes())),
    }
}

/// Where what was signed last by a key is remembered.
pub(super) fn head_path(key: &Path) -> PathBuf {
    beside(key, ".head")
}

/// The file that one process at a time holds while it signs.
pub(super) fn lock_path(key: &Path) -> PathBuf {
    beside(key, ".lock")
}

fn credential() -> Option<PathBuf> {
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    let path = Path::new(&dir).join(CREDENTIAL);
    path.exists().then_some(path)
}

/// The path of what belongs to a key and lies beside it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn old_path(path: &Path) -> PathBuf {
    beside(path, ".old")
}

/// The directory of a file.
pub(crate) fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Makes a directory that is ours alone; durable on return. One that is there must be.
pub(crate) fn make_directory(dir: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return check_directory(dir);
    }
    let missing: Vec<&Path> = dir.ancestors().take_while(|one| !one.is_dir()).collect();
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    let synced = made.and_then(|()| {
        // A key that a power cut takes away with its folder ends the ledger.
        let mut parents = missing.into_iter().map(directory);
        parents.try_for_each(|parent| disk::sync(&parent))
    });
    synced.map_err(|source| KeyError::Disk {
        path: dir.to_owned(),
        source,
    })
}

/// Checks that nobody else may enter a directory.
pub(crate) fn check_directory(dir: &Path) -> Result<(), KeyError> {
    let data = fs::metadata(dir).map_err(|source| KeyError::Disk {
        path: dir.to_owned(),
        source,
    })?;
    if data.mode() & 0o077 != 0 {
        return Err(KeyError::OpenDirectory {
            dir: dir.to_owned(),
        });
    }
    Ok(())
}

fn check_file(path: &Path) -> Result<(), KeyError> {
    let data = match fs::metadata(path) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyError::Missing(path.to_owned()));
        }
        Err(source) => {
            let path = path.to_owned();
            return Err(KeyError::Disk { path, source });
        }
    };
    if data.mode() & 0o077 != 0 {
        return Err(KeyError::Open {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// The seed in a key file, and the name in it.
fn read(path: &Path) -> Result<(Zeroizing<[u8; 32]>, Option<String>), KeyError> {
    let failed = |source| KeyError::Disk {
        path: path.to_owned(),
        source,
    };
    let form = || KeyError::Form(path.to_owned());
    if fs::metadata(path).map_err(failed)?.len() > KEY_BYTES_MAX {
        return Err(form());
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    let jwk: Option<Jwk> = serde_json::from_slice(&bytes).ok();
    let mut jwk = jwk
        .filter(|jwk| jwk.kty == "OKP" && jwk.crv == "Ed25519")
        .ok_or_else(form)?;
    let mut seed = Zeroizing::new([0; 32]);
    let length = jwk
        .d
        .as_deref()
        .and_then(|secret| URL_SAFE_NO_PAD.decode_slice(secret, &mut *seed).ok());
    if length != Some(seed.len()) {
        return Err(form());
    }
    // The public half is what people compare: it must be that of this key.
    let public = SignerKey::new("key", KeyKind::Ed25519, &seed)?;
    if URL_SAFE_NO_PAD.encode(public.public().key()) != jwk.x {
        return Err(form());
    }
    Ok((seed, jwk.kid.take()))
}

fn write_new(path: &Path, name: Option<&str>) -> Result<(), KeyError> {
    let failed = |source| KeyError::Disk {
        path: path.to_owned(),
        source,
    };
    let mut seed = Zeroizing::new([0_u8; 32]);
    let filled = getrandom(&mut *seed, GetRandomFlags::empty());
    if filled.map_err(|error| failed(error.into()))? != seed.len() {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    let public = SignerKey::new("key", KeyKind::Ed25519, &seed)?;
    let jwk = Jwk {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x: URL_SAFE_NO_PAD.encode(public.public().key()),
        d: Some(URL_SAFE_NO_PAD.encode(*seed)),
        kid: name.map(str::to_owned),
    };
    // Large enough from the start: what grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES));
    serde_json::to_writer(&mut *text, &jwk).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    // Whole or not there: half a key would keep the agent from ever starting.
    let draft = beside(path, ".draft");
    drop(fs::remove_file(&draft));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&draft, path))
        .and_then(|()| disk::sync(&directory(path)));
    drop(fs::remove_file(&draft));
    written.map_err(failed)
}
