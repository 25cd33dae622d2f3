//! The agent's own certificate and key: made at first use, kept readable by the agent alone.
//!
//! It does not tell servers to trust it: their operators do. Bounds: two small files.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lineside_proto::Time;
use opcua::crypto::{PrivateKey, X509, X509Data};

use super::Own;
use super::certificate::Certificate;
use super::fault::OwnFault;

/// Bits of the key: what every policy that we offer accepts.
const KEY_BITS: u32 = 2048;

/// How long a certificate is valid: longer than most gateways stay untouched.
const VALID_DAYS: u32 = 5 * 365;

/// From when on the end of a certificate is announced: long enough for an outside operator to act.
pub(super) const WARNING_MS: i64 = 60 * 24 * 3600 * 1000;

/// Permission bits that others than the owner hold.
const OTHERS: u32 = 0o077;

impl Own {
    /// Where the certificate lies.
    pub fn certificate_path(&self) -> PathBuf {
        self.directory.join("own.der")
    }

    /// Where its key lies.
    pub(super) fn key_path(&self) -> PathBuf {
        self.directory.join("own.pem")
    }

    /// The certificate, made with its key where it is missing. Blocks, for seconds where a key is made.
    ///
    /// # Errors
    ///
    /// A file can't be used, or others may read the key, or it has expired by `now`.
    pub(super) fn prepare(&self, now: Time) -> Result<Certificate, OwnFault> {
        make_directory(&self.directory)?;
        let key_path = self.key_path();
        if !key_path.exists() {
            let key = PrivateKey::new(KEY_BITS).map_err(|_| OwnFault::Make)?;
            place(&key_path, pem(&key)?.as_bytes(), Place::IfAbsent)?;
        }
        let path = self.certificate_path();
        if !path.exists() {
            let der = self.sign(&self.key()?)?;
            place(&path, &der, Place::IfAbsent)?;
        }
        let certificate = self.read()?;
        self.key()?;
        if now > certificate.until {
            return Err(OwnFault::Expired(path));
        }
        Ok(certificate)
    }

    /// Makes a new certificate for the key that there is; servers must trust it anew.
    ///
    /// # Errors
    ///
    /// A file can't be used, or others may read the key.
    pub fn renew(&self, now: Time) -> Result<Certificate, OwnFault> {
        make_directory(&self.directory)?;
        if !self.key_path().exists() {
            return self.prepare(now);
        }
        let der = self.sign(&self.key()?)?;
        place(&self.certificate_path(), &der, Place::Over)?;
        self.read()
    }

    fn read(&self) -> Result<Certificate, OwnFault> {
        let path = self.certificate_path();
        let der = fs::read(&path).map_err(|error| file(&path, error))?;
        Certificate::read(&der).ok_or(OwnFault::Content(path))
    }

    fn key(&self) -> Result<PrivateKey, OwnFault> {
        let path = self.key_path();
        let metadata = fs::metadata(&path).map_err(|error| file(&path, error))?;
        if metadata.mode() & OTHERS != 0 {
            return Err(OwnFault::Exposed(path));
        }
        let pem = fs::read(&path).map_err(|error| file(&path, error))?;
        PrivateKey::from_pem(&pem).map_err(|_| OwnFault::Content(path))
    }

    fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, OwnFault> {
        let host = rustix::system::uname();
        let host = host
            .nodename()
            .to_str()
            .ok()
            .filter(|host| !host.is_empty());
        let hosts = host.map(|host| vec![host.to_owned()]);
        let data = X509Data {
            key_size: KEY_BITS,
            common_name: "Lineside".to_owned(),
            organization: String::new(),
            // Tells the certificates of several gateways apart in a server's list.
            organizational_unit: self.uri.clone(),
            country: String::new(),
            state: String::new(),
            alt_host_names: X509Data::alt_host_names(&self.uri, hosts, false, false, false),
            certificate_duration_days: VALID_DAYS,
        };
        let certificate = X509::from_pkey(key, &data).map_err(|_| OwnFault::Make)?;
        certificate.to_der().map_err(|_| OwnFault::Make)
    }
}

fn pem(key: &PrivateKey) -> Result<String, OwnFault> {
    let der = key.to_der().map_err(|_| OwnFault::Make)?;
    let pem = der.to_pem("PRIVATE KEY", Default::default());
    pem.map(|pem| pem.to_string()).map_err(|_| OwnFault::Make)
}

/// A directory that its owner alone can enter.
pub(super) fn make_directory(path: &Path) -> Result<(), OwnFault> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| file(path, error))?;
    hand_over(path).map_err(|error| file(path, error))?;
    let metadata = fs::metadata(path).map_err(|error| file(path, error))?;
    if metadata.mode() & OTHERS != 0 {
        let only_us = fs::Permissions::from_mode(0o700);
        fs::set_permissions(path, only_us).map_err(|error| file(path, error))?;
    }
    Ok(())
}

/// What happens where there is a file already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It stays: another process was faster, and its file is as good.
    IfAbsent,
    /// It is replaced.
    Over,
}

/// Writes a file in one step, readable by its owner alone.
pub(super) fn place(path: &Path, bytes: &[u8], how: Place) -> Result<(), OwnFault> {
    let write = || -> io::Result<()> {
        let beside = path.with_extension(format!("{:016x}", fastrand::u64(..)));
        let mut options = OpenOptions::new();
        let mut created = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        let written = created.write_all(bytes).and_then(|()| created.sync_all());
        let written = written.and_then(|()| hand_over(&beside));
        let placed = written.and_then(|()| match how {
            Place::IfAbsent => match fs::hard_link(&beside, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            },
            Place::Over => fs::rename(&beside, path),
        });
        if placed.is_err() || how == Place::IfAbsent {
            drop(fs::remove_file(&beside));
        }
        placed
    };
    write().map_err(|error| file(path, error))
}

/// Gives what was made to whom its folder belongs: a command may run as root, the agent does not.
fn hand_over(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let (folder, made) = (fs::metadata(folder)?, fs::metadata(path)?);
    let is_root = rustix::process::geteuid().is_root();
    if is_root && (made.uid(), made.gid()) != (folder.uid(), folder.gid()) {
        chown(path, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

fn file(path: &Path, error: io::Error) -> OwnFault {
    OwnFault::File {
        path: path.to_owned(),
        error: Arc::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_key_is_ours_alone_and_outlives_its_certificates() {
        let state = tempfile::tempdir().unwrap();
        let own = Own {
            directory: state.path().join("opc-ua"),
            uri: "urn:lineside:s:g".to_owned(),
        };
        let now = SystemClock.now().wall;
        let made = own.prepare(now).unwrap();
        assert_eq!(made.application.as_deref(), Some("urn:lineside:s:g"));
        assert_eq!(made.key_bits, 2048);
        assert_eq!(mode(&own.directory), 0o700);
        assert_eq!(mode(&own.key_path()), 0o600);
        assert_eq!(own.prepare(now).unwrap(), made);

        let key = fs::read(own.key_path()).unwrap();
        fs::remove_file(own.certificate_path()).unwrap();
        let again = own.prepare(now).unwrap();
        let renewed = own.renew(now).unwrap();
        assert_eq!(renewed.application, again.application);
        assert_eq!(fs::read(own.key_path()).unwrap(), key);
        // Nothing is left beside what is used.
        assert_eq!(fs::read_dir(&own.directory).unwrap().count(), 2);

        let later = again.until.plus_millis(86_400_000);
        let fault = own.prepare(later).unwrap_err();
        assert!(matches!(fault, OwnFault::Expired(_)), "{fault}");
        fs::set_permissions(own.key_path(), fs::Permissions::from_mode(0o640)).unwrap();
        for fault in [own.prepare(now).unwrap_err(), own.renew(now).unwrap_err()] {
            assert!(matches!(fault, OwnFault::Exposed(_)), "{fault}");
        }
        fs::set_permissions(own.key_path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(own.key_path(), "no key").unwrap();
        let fault = own.prepare(now).unwrap_err();
        assert!(matches!(fault, OwnFault::Content(_)), "{fault}");
    }
}
