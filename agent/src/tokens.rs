//! Every booking's token that was accepted, by its hash: leaves name tokens only by that, and who checks hours of
//! another company wants to see the portal's signature itself.
//!
//! In `tokens/` below the state directory: folders `000001` and on, each with at most `FOLDER_TOKENS_MAX` files
//! `{64 hexadecimal digits}.jws`, written once. Of more than `FOLDERS_MAX` folders the oldest goes, a few files with each
//! token that comes, so that nobody waits for it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use lineside_proto::booking::TOKEN_BYTES_MAX;

use crate::hashed::digits;

/// Tokens of one folder: few enough to be listed at a start.
const FOLDER_TOKENS_MAX: usize = 4_096;
/// Folders: in all 262,144 tokens, which is three years of 240 bookings a day. Each takes a block of the disk,
/// together 1 GiB. Whoever books more than that loses the oldest here, and has them in the city's copies.
const FOLDERS_MAX: usize = 64;
/// Folders of a copy that outlives the gateway: so much longer.
const COPY_FOLDERS_MAX: usize = 4 * FOLDERS_MAX;
/// Files of a folder too many that go with each token that comes.
const GONE_AT_ONCE: usize = 8;

/// The tokens on disk.
#[derive(Debug)]
pub struct Tokens {
    dir: PathBuf,
    /// The numbers of the folders, oldest first.
    folders: VecDeque<u32>,
    /// Tokens in the newest folder.
    count: usize,
    folder_tokens_max: usize,
    folders_max: usize,
}

impl Tokens {
    /// Opens the folder of a state directory, making it where there is none.
    ///
    /// # Errors
    ///
    /// It can't be made or listed.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("tokens");
        if !dir.is_dir() {
            fs::create_dir_all(&dir)?;
            File::open(state_dir)?.sync_all()?;
        }
        let mut tokens = Self::of(state_dir);
        if let Some(newest) = tokens.folders.back() {
            let entries = fs::read_dir(tokens.folder(*newest))?;
            tokens.count = entries.take(FOLDER_TOKENS_MAX).count();
        }
        Ok(tokens)
    }

    /// The same for who keeps a gateway's tokens when that has them no more: four times as many.
    pub fn of_city(self) -> Self {
        Self {
            folders_max: COPY_FOLDERS_MAX,
            ..self
        }
    }

    /// The tokens of a state directory that may be a copy, to be read only.
    pub fn of(state_dir: &Path) -> Self {
        let dir = state_dir.join("tokens");
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let mut folders: Vec<u32> = entries
            .take(2 * COPY_FOLDERS_MAX)
            .filter_map(|entry| number(entry.file_name().to_str()?))
            .collect();
        folders.sort_unstable();
        Self {
            dir,
            folders: folders.into(),
            count: 0,
            folder_tokens_max: FOLDER_TOKENS_MAX,
            folders_max: FOLDERS_MAX,
        }
    }

    /// Keeps tokens under their hashes (`sha256:…`); durable on return. What is kept already is not touched.
    ///
    /// # Errors
    ///
    /// The disk refuses one; those before it are kept.
    pub fn keep(&mut self, tokens: &[(String, String)]) -> io::Result<()> {
        let mut touched = Vec::new();
        for (hash, text) in tokens {
            let name = digits(hash).ok_or(ErrorKind::InvalidInput)?;
            if self.find(name).is_some() {
                continue;
            }
            let folder = self.room()?;
            write(&folder.join(format!("{name}.jws")), text)?;
            self.count += 1;
            if touched.last() != Some(&folder) {
                touched.push(folder);
            }
            self.tidy();
        }
        for folder in touched {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// The token with this hash (`sha256:…`), if it was ever accepted here.
    pub fn text(&self, hash: &str) -> Option<String> {
        let path = self.find(digits(hash)?)?;
        let about = fs::metadata(&path).ok()?;
        let fits = usize::try_from(about.len()).is_ok_and(|bytes| bytes <= TOKEN_BYTES_MAX);
        (about.is_file() && fits).then(|| fs::read_to_string(path).ok())?
    }

    /// Whether the token with this hash is here.
    pub fn has(&self, hash: &str) -> bool {
        digits(hash).and_then(|name| self.find(name)).is_some()
    }

    /// The folder that the next token goes into.
    fn room(&mut self) -> io::Result<PathBuf> {
        let newest = self.folders.back().copied();
        if let Some(newest) = newest.filter(|_| self.count < self.folder_tokens_max) {
            return Ok(self.folder(newest));
        }
        let next = newest.unwrap_or(0).saturating_add(1);
        let folder = self.folder(next);
        fs::create_dir_all(&folder)?;
        File::open(&self.dir)?.sync_all()?;
        self.folders.push_back(next);
        self.count = 0;
        Ok(folder)
    }

    /// Removes a little of what is too much.
    fn tidy(&mut self) {
        if self.folders.len() <= self.folders_max {
            return;
        }
        let Some(oldest) = self.folders.front().copied() else {
            return;
        };
        let folder = self.folder(oldest);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.take(GONE_AT_ONCE) {
            // What stays is tried again with the next token.
            drop(fs::remove_file(entry.path()));
        }
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {}
            Ok(()) | Err(_) => {
                self.folders.pop_front();
                tracing::info!(folder = %folder.display(), "the oldest tokens have gone");
            }
        }
    }

    fn folder(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:06}"))
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let folders = self.folders.iter().rev();
        let mut paths = folders.map(|folder| self.folder(*folder).join(format!("{name}.jws")));
        paths.find(|path| path.exists())
    }
}

/// The number of a folder's name.
fn number(name: &str) -> Option<u32> {
    let number = name.parse().ok().filter(|number| *number > 0)?;
    (format!("{number:06}") == name).then_some(number)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::Tokens;
    use std::fs;

    fn hash(number: usize) -> String {
        format!("sha256:{number:064x}")
    }

    #[test]
    fn every_token_is_found_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let mut tokens = Tokens::open(dir.path()).unwrap();
        assert_eq!(tokens.text(&hash(1)), None);
        let all: Vec<_> = (1..4).map(|n| (hash(n), format!("a.b.{n}"))).collect();
        tokens.keep(&all).unwrap();
        tokens.keep(&[(hash(2), "another".to_owned())]).unwrap();
        for tokens in [
            &tokens,
            &Tokens::of(dir.path()),
            &Tokens::open(dir.path()).unwrap(),
        ] {
            assert_eq!(tokens.text(&hash(2)).as_deref(), Some("a.b.2"));
            for junk in [
                "",
                "sha256:",
                "sha256:../../etc/passwd",
                &hash(2)[..70],
                &hash(9),
            ] {
                assert_eq!(tokens.text(junk), None, "{junk}");
            }
        }
        assert!(
            tokens
                .keep(&[("sha256:../x".to_owned(), String::new())])
                .is_err()
        );
    }

    #[test]
    fn of_too_many_the_oldest_go_bit_by_bit() {
        let dir = tempfile::tempdir().unwrap();
        let mut tokens = Tokens::open(dir.path()).unwrap();
        (tokens.folder_tokens_max, tokens.folders_max) = (4, 3);
        for number in 1..=100 {
            tokens.keep(&[(hash(number), format!("{number}"))]).unwrap();
            let kept = (1..=number)
                .filter(|n| tokens.text(&hash(*n)).is_some())
                .count();
            assert!(kept >= number.min(8) && kept <= 16, "{kept} of {number}");
            assert!(fs::read_dir(dir.path().join("tokens")).unwrap().count() <= 4);
            if number % 7 == 0 {
                tokens = Tokens::open(dir.path()).unwrap();
                (tokens.folder_tokens_max, tokens.folders_max) = (4, 3);
            }
        }
        assert_eq!(tokens.text(&hash(100)).as_deref(), Some("100"));
        assert_eq!(tokens.text(&hash(1)), None);
    }

    #[test]
    fn what_lies_there_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tokens/000001");
        fs::create_dir_all(folder.join(format!("{:064x}.jws", 1))).unwrap();
        fs::write(folder.join(format!("{:064x}.jws", 2)), vec![b'x'; 1 << 20]).unwrap();
        fs::write(folder.join(format!("{:064x}.jws", 3)), b"\xff").unwrap();
        for name in ["1", "0000001", "-00001", "x"] {
            fs::create_dir_all(dir.path().join("tokens").join(name)).unwrap();
        }
        let tokens = Tokens::of(dir.path());
        assert_eq!(tokens.folders, [1]);
        for number in 1..4 {
            assert_eq!(tokens.text(&hash(number)), None, "{number}");
        }
    }
}
