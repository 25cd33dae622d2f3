//! Names that are not told: what a person enters becomes the same 16 hex digits each time on this
//! gateway, and others on every other gateway.
//!
//! The digits are the first 8 bytes of SHA-256 over a salt of this gateway and the name. The salt stays
//! here; without it nobody can try names, and without this directory nobody can link two gateways.

use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a salt.
const SALT_BYTES: usize = 32;

/// Bytes of the hash that are told.
const TOLD_BYTES: usize = 8;

/// Makes pseudonyms by the salt of one state directory.
#[derive(Clone, Debug)]
pub struct Pseudonyms {
    salt: PathBuf,
}

impl Pseudonyms {
    /// Those of this state directory. The salt is made when the first is wanted.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            salt: state_dir.join("salt"),
        }
    }

    /// The pseudonym of a name: 16 hex digits.
    ///
    /// # Errors
    ///
    /// The salt can't be read or made, or is none: a new one would give people new pseudonyms unseen.
    pub fn of(&self, name: &str) -> io::Result<String> {
        let salt = match read(&self.salt) {
            Err(error) if error.kind() == ErrorKind::NotFound => make(&self.salt)?,
            other => other?,
        };
        let mut hash = Sha256::new();
        hash.update(salt);
        hash.update(name.as_bytes());
        let told = hash.finalize().into_iter().take(TOLD_BYTES);
        Ok(told.map(|byte| format!("{byte:02x}")).collect())
    }
}

fn read(path: &Path) -> io::Result<[u8; SALT_BYTES]> {
    let bytes = fs::read(path)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| {
        let path = path.display();
        let text =
            format!("{path} has {length} bytes, not {SALT_BYTES}: put it back from a backup");
        io::Error::new(ErrorKind::InvalidData, text)
    })
}

/// Makes a salt that is whole before it has its name; of two at once, the first stands.
fn make(path: &Path) -> io::Result<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    // So few bytes come at once or not at all.
    if getrandom(&mut salt, GetRandomFlags::empty())? != SALT_BYTES {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = tempfile::Builder::new()
        .prefix(".salt-")
        .make_in(dir, |path| options.open(path))?;
    file.write_all(&salt)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(dir)?.sync_all()?,
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    read(path)
}

#[cfg(test)]
mod tests {
    use super::Pseudonyms;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_name_has_one_pseudonym_on_a_gateway_and_others_elsewhere() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (Pseudonyms::new(here.path()), Pseudonyms::new(there.path()));
        let told = ours.of("王伟").unwrap();
        assert_eq!(told.len(), 16);
        assert!(told.chars().all(|c| c.is_ascii_hexdigit()), "{told}");
        assert_eq!(Pseudonyms::new(here.path()).of("王伟").unwrap(), told);
        assert_ne!(ours.of("王伟 ").unwrap(), told);
        assert_ne!(theirs.of("王伟").unwrap(), told);
        let mode = fs::metadata(here.path().join("salt"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1, "left behind");
    }

    #[test]
    fn the_digits_are_those_of_salt_and_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("salt"), [0x5a; 32]).unwrap();
        // printf 'Z%.0s' {1..32} | cat - <(printf 'li') | sha256sum
        let told = Pseudonyms::new(dir.path()).of("li").unwrap();
        assert_eq!(told, "8fcb2e4a99d417b5");
    }

    #[test]
    fn a_damaged_salt_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("salt"), [1; 31]).unwrap();
        let error = Pseudonyms::new(dir.path())
            .of("li")
            .unwrap_err()
            .to_string();
        assert!(error.contains("31 bytes"), "{error}");
        assert_eq!(fs::read(dir.path().join("salt")).unwrap(), [1; 31]);
    }
}
