//! The ledger as C2SP static files: `checkpoint`, and `tile/…` as tlog-tiles names them.

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

use super::desk::Desk;
use super::problem::Problem;

/// Bytes of a file: an entry bundle has 256 entries of at most 65,535 bytes, each after two bytes of length.
const FILE_BYTES_MAX: u64 = 256 * (65_535 + 2);

/// Entries of a full tile or bundle.
const FULL: u16 = 256;

/// Levels of a tree of 2^64 leaves, eight to a tile.
const LEVEL_MAX: u8 = 63;

/// Answers with one file of the ledger. What is asked for is read, never joined to a path.
pub(super) async fn file(State(desk): State<Arc<Desk>>, uri: Uri) -> Result<Response, Problem> {
    let asked = uri.path().strip_prefix("/ledger/").unwrap_or_default();
    if asked == "checkpoint" {
        let text = read(desk.ledger.join("checkpoint")).await?;
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return Ok((kind, text).into_response());
    }
    let tile = Tile::read(asked).ok_or_else(Problem::nothing)?;
    if tile.width != FULL {
        let full = Tile {
            width: FULL,
            ..tile
        };
        // Whoever holds an older checkpoint takes the full tile and as much of it as they need.
        if tokio::fs::try_exists(desk.ledger.join(full.path()))
            .await
            .unwrap_or(false)
        {
            return Err(Problem::nothing());
        }
    }
    let bytes = read(desk.ledger.join(tile.path())).await?;
    let kind = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "max-age=31536000, immutable"),
    ];
    Ok((kind, bytes).into_response())
}

async fn read(path: PathBuf) -> Result<Vec<u8>, Problem> {
    let bytes = async {
        let file = tokio::fs::File::open(&path).await?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).await?;
        io::Result::Ok(bytes)
    };
    bytes.await.map_err(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(path = %path.display(), %error, "a file of the ledger can't be read");
        }
        Problem::nothing()
    })
}

/// A tile of hashes, or a bundle of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tile {
    /// The level of a tile of hashes; none for a bundle of entries.
    level: Option<u8>,
    index: u64,
    /// 256, or fewer for a partial one.
    width: u16,
}

impl Tile {
    /// Reads `tile/<L>/<N>[.p/<W>]`; there is one way to write each.
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("tile/")?;
        let (level, rest) = rest.split_once('/')?;
        let level = match level {
            "entries" => None,
            level => Some(number(level).filter(|level| *level <= LEVEL_MAX)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (
                index,
                number::<u16>(width).filter(|w| (1..FULL).contains(w))?,
            ),
            None => (rest, FULL),
        };
        let mut groups = index.split('/').peekable();
        let mut digits = String::new();
        while let Some(group) = groups.next() {
            let last = groups.peek().is_none();
            let group = if last {
                group
            } else {
                group.strip_prefix('x')?
            };
            let is_group = group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
            if !is_group || digits.len() > 18 {
                return None;
            }
            digits += group;
        }
        let index = digits.parse().ok()?;
        let tile = Self {
            level,
            index,
            width,
        };
        // Leading groups of zeros would be a second name.
        (tile.path() == text).then_some(tile)
    }

    /// Its path below the ledger's directory.
    fn path(&self) -> String {
        let mut index = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            index = format!("x{:03}/{index}", rest % 1000);
            rest /= 1000;
        }
        let level = self
            .level
            .map_or_else(|| "entries".to_owned(), |level| level.to_string());
        let partial = match self.width {
            FULL => String::new(),
            width => format!(".p/{width}"),
        };
        format!("tile/{level}/{index}{partial}")
    }
}

/// A decimal number without sign or leading zeros.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    (plain && !leading).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{FULL, Tile};

    #[test]
    fn a_tile_has_one_name() {
        let check = |text: &str, expected: Option<(Option<u8>, u64, u16)>| {
            let tile = Tile::read(text).map(|tile| (tile.level, tile.index, tile.width));
            assert_eq!(tile, expected, "{text:?}");
        };
        check("tile/0/000", Some((Some(0), 0, FULL)));
        check("tile/1/067.p/5", Some((Some(1), 67, 5)));
        check("tile/entries/x001/x234/067", Some((None, 1_234_067, FULL)));
        check("tile/63/x001/000.p/255", Some((Some(63), 1000, 255)));
        check(
            "tile/0/x018/x446/x744/x073/x709/x551/615",
            Some((Some(0), u64::MAX, FULL)),
        );
        for text in [
            "",
            "tile",
            "tile/",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/+1/000",
            "tile/64/000",
            "tile/data/000",
            "tile/0/x000/001",
            "tile/0/x001",
            "tile/0/001/002",
            "tile/0/x1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000.p/1/2",
            "tile/0/000/",
            "tile//000",
            "tile/0/../000",
            "tile/0/x001/../../../checkpoint",
            "tile/0/%30%30%30",
            "tile/0/٠٠٠",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/000",
            "../checkpoint",
            "checkpoint/",
            "journal",
            "delivered",
        ] {
            check(text, None);
        }
    }
}
