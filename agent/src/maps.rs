//! Every version of every machine map, by its hash: what a leaf says of a machine can be understood years
//! later. One file a version, written once; they are small, and change when a technician changes them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::canonical_text;
use crate::config::model::MachineMap;
use crate::hashed::digits;

/// Bytes of a map's text that are read at most: one of twenty thousand points has a few megabytes.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// The maps on disk.
#[derive(Clone, Debug)]
pub struct Maps {
    dir: PathBuf,
}

impl Maps {
    /// Opens the folder, making it where there is none.
    ///
    /// # Errors
    ///
    /// It can't be made.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("maps");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// The maps of a state directory that may be a copy, to be read only.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("maps"),
        }
    }

    /// Keeps a map's text; durable on return. One that is kept already is not touched.
    ///
    /// # Errors
    ///
    /// The disk refuses it.
    pub fn keep(&self, map: &MachineMap) -> io::Result<()> {
        self.keep_text(&map.hash, &canonical_text(map))
    }

    /// Keeps a text under its hash, which whoever calls has checked; durable on return.
    ///
    /// # Errors
    ///
    /// The disk refuses it, or it is no hash.
    pub fn keep_text(&self, hash: &str, text: &str) -> io::Result<()> {
        let Some(path) = self.path(hash) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.exists() {
            return Ok(());
        }
        let draft = path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// The text of the map with this hash (`sha256:…`), if it was ever configured here.
    pub fn text(&self, hash: &str) -> Option<String> {
        let path = self.path(hash)?;
        let about = fs::metadata(&path).ok()?;
        let fits = about.is_file() && about.len() <= TEXT_BYTES_MAX;
        fits.then(|| fs::read_to_string(path).ok()).flatten()
    }

    /// Whether the map with this hash is here.
    pub fn has(&self, hash: &str) -> bool {
        self.path(hash).is_some_and(|path| path.is_file())
    }

    /// Only what is a hash names a file.
    fn path(&self, hash: &str) -> Option<PathBuf> {
        let digits = digits(hash)?;
        Some(self.dir.join(format!("{digits}.json")))
    }
}

#[cfg(test)]
mod tests {
    use super::Maps;
    use crate::config::canonical_text;
    use crate::machine::testing;

    #[test]
    fn every_version_is_found_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let maps = Maps::open(dir.path()).unwrap();
        let mut map = testing::bare();
        map.hash = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(maps.text(&map.hash), None);
        maps.keep(&map).unwrap();
        maps.keep(&map).unwrap();
        assert_eq!(maps.text(&map.hash), Some(canonical_text(&map)));
        assert!(maps.has(&map.hash) && !maps.has("sha256:../x"));
        for hash in ["sha256:../../etc/passwd", "", "sha256:ab", &map.hash[..70]] {
            assert_eq!(maps.text(hash), None, "{hash}");
        }
        map.hash = "sha256:../x".to_owned();
        assert!(maps.keep(&map).is_err());
    }
}
