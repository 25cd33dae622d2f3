//! A log as C2SP static files: `checkpoint`, and `tile/…` as tlog-tiles names them.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use lineside_proto::ledger::tile::{Tile, WIDTH};
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;

use super::problem::Problem;

/// Bytes of a file: an entry bundle has 256 entries of at most 65,535 bytes, each after two bytes of length.
const FILE_BYTES_MAX: u64 = 256 * (65_535 + 2);

/// Answers with one file of the log in a directory. What is asked for is read, never joined to a path.
///
/// # Errors
///
/// There is no such file.
pub async fn file(dir: &Path, asked: &str) -> Result<Response, Problem> {
    if asked == "checkpoint" {
        let text = read(dir.join("checkpoint")).await?;
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return Ok((kind, text).into_response());
    }
    let tile = Tile::from_path(asked).ok_or_else(Problem::nothing)?;
    if !tile.is_full() {
        let full = Tile {
            width: WIDTH,
            ..tile
        };
        let full = dir.join(full.to_string());
        // Whoever holds an older checkpoint takes the full tile and as much of it as they need.
        if tokio::fs::try_exists(full).await.unwrap_or(false) {
            return Err(Problem::nothing());
        }
    }
    let bytes = read(dir.join(tile.to_string())).await?;
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

#[cfg(test)]
mod tests {
    use lineside_proto::ledger::tile::Tile;

    #[test]
    fn what_is_asked_for_never_leads_elsewhere() {
        for path in ["tile/0/000", "tile/1/067.p/5", "tile/entries/x001/x234/067"] {
            let tile = Tile::from_path(path);
            assert_eq!(tile.map(|tile| tile.to_string()).as_deref(), Some(path));
        }
        for path in [
            "",
            "tile/",
            "tile/0/0",
            "tile/00/000",
            "tile/+1/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/+1",
            "tile/0/000/",
            "tile//000",
            "tile/0/../000",
            "tile/0/x001/../../../checkpoint",
            "tile/0/%30%30%30",
            "tile/0/٠٠٠",
            "../checkpoint",
            "journal",
            "delivered",
        ] {
            assert_eq!(Tile::from_path(path), None, "{path:?}");
        }
    }
}
