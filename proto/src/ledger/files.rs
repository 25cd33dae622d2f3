//! A check of a log by its static files alone, wherever they are: a directory, a web server, a copy.
//!
//! Every leaf is read and hashed, every tile that the checkpoint's size asks for is compared with what the
//! leaves give. In memory: one bundle and the right edge of the tree.

use super::LEAF_BYTES_MAX;
use super::checkpoint::Checkpoint;
use super::edge::Edge;
use super::note::{NOTE_BYTES_MAX, NoteError, VerifierKey};
use super::tile::{Kind, TILE_BYTES_MAX, Tile, TileError, WIDTH, entries, hashes};
use super::tree::Hash;
use super::verify::{self, Replay, VerifyError};

/// Bytes of a bundle at most: as many of the longest leaves as it holds.
pub const BUNDLE_BYTES_MAX: usize = 256 * (2 + LEAF_BYTES_MAX);

/// What is wrong with a log's files. `E` is what can go wrong while they are fetched.
#[derive(Debug, thiserror::Error)]
pub enum FilesError<E: std::error::Error + 'static> {
    /// A file can't be fetched.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: E,
    },
    /// A file is not there.
    #[error(
        "{path} is missing, but the checkpoint commits to {size} leaves: the log was cut off, or the file was lost"
    )]
    Missing {
        /// The file.
        path: String,
        /// Leaves that must be there.
        size: u64,
    },
    /// There is no checkpoint.
    #[error("there is no checkpoint: nothing was signed yet, or the file was lost")]
    NoCheckpoint,
    /// A file is no tile and no bundle.
    #[error("{path} is damaged, or leaves were dropped from it")]
    Form {
        /// The file.
        path: String,
        /// Why.
        source: TileError,
    },
    /// A leaf is not the one that the tree was built over, nor is the tree.
    #[error("leaf {index} is not the one that its tile commits to: the leaf was changed")]
    Leaf {
        /// Its place.
        index: u64,
    },
    /// The leaves are right, and a tile is not.
    #[error("{path} does not hold the hashes of the leaves: the tile was replaced or damaged")]
    Tile {
        /// The file.
        path: String,
    },
    /// The log is not what was signed, or not what was seen of it before.
    #[error(transparent)]
    Log(#[from] VerifyError),
}

/// Checks a log: that its newest checkpoint is signed, that the leaves are those that it commits to, that the tiles
/// are those of the leaves, and that it continues the heads that were seen of it before. `read` gives
/// at most so many bytes of the file at a path (`checkpoint`, `tile/…`), or none where there is no such file.
///
/// # Errors
///
/// [`FilesError`] names what is wrong.
pub fn check<E: std::error::Error + 'static>(
    read: impl FnMut(&str, usize) -> Result<Option<Vec<u8>>, E>,
    keys: &[VerifierKey],
    origin: &str,
    seen: &[Checkpoint],
) -> Result<Checkpoint, FilesError<E>> {
    let mut files = Files { read };
    let note = files
        .read("checkpoint", NOTE_BYTES_MAX)?
        .ok_or(FilesError::NoCheckpoint)?;
    let note = String::from_utf8(note).map_err(|_| VerifyError::from(NoteError::Form))?;
    let head = verify::checkpoint(&note, keys, origin)?;
    let newest = seen.iter().max_by_key(|seen| seen.size);
    if let Some(newer) = newest.filter(|newest| newest.size > head.size) {
        return Err(FilesError::Log(VerifyError::Stale {
            size: head.size,
            seen: newer.size,
        }));
    }
    let mut walk = Walk {
        files,
        size: head.size,
        replay: Replay::new(seen.iter().map(|seen| (seen.size, seen.root))),
        edge: Edge::default(),
        changed: None,
        replaced: None,
    };
    let walked = walk.leaves().and_then(|()| Ok(walk.replay.finish(&head)?));
    match (walked, walk.changed, walk.replaced) {
        // Which leaf it is says more than that one is.
        (
            Err(FilesError::Log(VerifyError::Fork { .. } | VerifyError::Root { .. })),
            Some(index),
            _,
        ) => Err(FilesError::Leaf { index }),
        (Err(error), _, _) => Err(error),
        (Ok(()), _, Some(tile)) => Err(FilesError::Tile {
            path: tile.to_string(),
        }),
        (Ok(()), _, None) => Ok(head),
    }
}

struct Files<R> {
    read: R,
}

impl<R> Files<R> {
    fn read<E: std::error::Error + 'static>(
        &mut self,
        path: &str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, FilesError<E>>
    where
        R: FnMut(&str, usize) -> Result<Option<Vec<u8>>, E>,
    {
        // One more, so that what is too long is no file of its kind.
        (self.read)(path, bytes_max + 1).map_err(|source| FilesError::Read {
            path: path.to_owned(),
            source,
        })
    }

    /// A tile's or bundle's parts. A partial one may have gone since the full one is there.
    fn parts<E: std::error::Error + 'static, T>(
        &mut self,
        tile: Tile,
        size: u64,
        parse: impl Fn(&[u8], u64) -> Result<Vec<T>, TileError>,
    ) -> Result<Vec<T>, FilesError<E>>
    where
        R: FnMut(&str, usize) -> Result<Option<Vec<u8>>, E>,
    {
        let full = Tile {
            width: WIDTH,
            ..tile
        };
        let bytes_max = match tile.kind {
            Kind::Hashes(_) => TILE_BYTES_MAX,
            Kind::Entries => BUNDLE_BYTES_MAX,
        };
        for found in [tile, full] {
            let path = found.to_string();
            if let Some(bytes) = self.read(&path, bytes_max)? {
                let parts = parse(&bytes, found.width);
                let mut parts = parts.map_err(|source| FilesError::Form { path, source })?;
                parts.truncate(usize::try_from(tile.width).unwrap_or(usize::MAX));
                return Ok(parts);
            }
        }
        let path = tile.to_string();
        Err(FilesError::Missing { path, size })
    }
}

struct Walk<R> {
    files: Files<R>,
    size: u64,
    replay: Replay,
    edge: Edge,
    /// The first leaf that its tile does not know.
    changed: Option<u64>,
    /// The first tile that is not that of the leaves.
    replaced: Option<Tile>,
}

impl<R> Walk<R> {
    fn leaves<E: std::error::Error + 'static>(&mut self) -> Result<(), FilesError<E>>
    where
        R: FnMut(&str, usize) -> Result<Option<Vec<u8>>, E>,
    {
        let size = self.size;
        for index in 0..size.div_ceil(WIDTH) {
            let bundle = Tile {
                kind: Kind::Entries,
                index,
                width: (size - index * WIDTH).min(WIDTH),
            };
            let kind = Kind::Hashes(0);
            let known = self.files.parts(Tile { kind, ..bundle }, size, hashes)?;
            let leaves = self.files.parts(bundle, size, owned)?;
            for (leaf, known) in leaves.iter().zip(known) {
                let hash = Hash::of_leaf(leaf);
                if hash != known {
                    self.changed = self.changed.or(Some(self.replay.size()));
                    self.replaced = self.replaced.or(Some(Tile { kind, ..bundle }));
                }
                self.replay.push(leaf)?;
                for (tile, bytes) in self.edge.push(hash) {
                    self.compare(tile, &bytes)?;
                }
            }
        }
        let partial: Vec<_> = self.edge.partial().collect();
        for (tile, bytes) in partial {
            self.compare(tile, &bytes)?;
        }
        Ok(())
    }

    fn compare<E: std::error::Error + 'static>(
        &mut self,
        tile: Tile,
        bytes: &[u8],
    ) -> Result<(), FilesError<E>>
    where
        R: FnMut(&str, usize) -> Result<Option<Vec<u8>>, E>,
    {
        // Tiles of leaves were compared leaf by leaf.
        if tile.kind != Kind::Hashes(0) {
            let found = self.files.parts(tile, self.size, hashes)?;
            if !found
                .iter()
                .flat_map(|hash| hash.0)
                .eq(bytes.iter().copied())
            {
                self.replaced = self.replaced.or(Some(tile));
            }
        }
        Ok(())
    }
}

fn owned(bundle: &[u8], width: u64) -> Result<Vec<Vec<u8>>, TileError> {
    let leaves = entries(bundle, width)?;
    Ok(leaves.into_iter().map(<[u8]>::to_vec).collect())
}
