//! One log, taken out of an archive: whole, at one signed head, with what its leaves name and what its witnesses said.
//!
//! The folder is laid out as a gateway's state directory, so that whatever reads one reads it, too: `ledger/` (a C2SP tiled
//! log for any tool, and `notes/`, the kept heads with their cosignatures), `maps/`, `tokens/`. Beside them: `standing.json`,
//! what the archive knew of the log, and `alarms/`, the proofs of what was refused of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::files::FilesError;
use lineside_proto::ledger::tile::{Kind, Tile, WIDTH, put_entry};

use super::{Place, Refused, Shelf, Standing};
use crate::ledger::{LedgerError, View, verify_files};

/// Files of one folder that are copied at most, and folders below one another: more than an archive keeps of a gateway.
const FILES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 3;
/// Alarms that go with a log: an archive writes fewer.
const ALARMS_MAX: usize = 1_000;
/// Bytes of leaves that are read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// Why a log was not taken out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The archive has no such log.
    #[error("the archive has no log {0}")]
    Missing(Place),
    /// There is something already.
    #[error("{0} is not empty")]
    Occupied(PathBuf),
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[from] LedgerError),
    /// What was written is not what was signed.
    #[error("what was written does not hold")]
    Files(#[from] FilesError<io::Error>),
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    move |source| ExportError::Disk { path, source }
}

/// Takes a log out into a folder that is not there yet, or is empty. What was written is checked against its head, by
/// the key that the log itself names.
///
/// # Errors
///
/// See [`ExportError`]; what was written by then stays.
pub fn export(shelf: &Shelf, place: &Place, out: &Path) -> Result<Standing, ExportError> {
    let missing = || ExportError::Missing(place.clone());
    let standing = Standing::of(shelf, place).map_err(disk(&shelf.log_dir(place)))?;
    let standing = standing.ok_or_else(missing)?;
    let view = shelf.view(place)?;
    let note = view.checkpoint().ok_or_else(missing)?;
    let head = super::shelf::head(&note).ok_or_else(missing)?;
    // An older head than that of the view, if it has grown: what is said of a log is of what is there.
    let standing = Standing {
        size: head.size,
        root: head.root.to_string(),
        ..standing
    };
    fs::create_dir_all(out).map_err(disk(out))?;
    if fs::read_dir(out).map_err(disk(out))?.next().is_some() {
        return Err(ExportError::Occupied(out.to_owned()));
    }
    let ledger = out.join("ledger");
    for tile in Tile::of_log(head.size) {
        let bytes = bytes(&view, tile)?.ok_or_else(missing)?;
        put(&ledger.join(tile.to_string()), &bytes)?;
    }
    put(&ledger.join("checkpoint"), note.as_bytes())?;
    copy(
        &shelf.kept_dir(place).join("notes"),
        &ledger.join("notes"),
        0,
    )?;
    let texts = shelf.gateway_dir(&place.site, &place.gateway);
    for folder in ["maps", "tokens"] {
        copy(&texts.join(folder), &out.join(folder), 0)?;
    }
    let path = out.join("standing.json");
    let said = serde_json::to_vec_pretty(&standing).map_err(io::Error::from);
    put(&path, &said.map_err(disk(&path))?)?;
    alarms(shelf, place, out)?;
    check(&view, &ledger, &head)?;
    Ok(standing)
}

/// The bytes of a tile or bundle, as the view's head has it: it may be full by now.
fn bytes(view: &View, tile: Tile) -> Result<Option<Vec<u8>>, ExportError> {
    if tile.kind != Kind::Entries {
        return Ok(view.tile(tile)?);
    }
    let mut bytes = Vec::new();
    let (mut next, end) = (tile.index * WIDTH, tile.index * WIDTH + tile.width);
    while next < end {
        let leaves = view.read(next, READ_BYTES_MAX)?;
        if leaves.is_empty() {
            return Ok(None);
        }
        for (index, leaf) in leaves.into_iter().take_while(|(index, _)| *index < end) {
            if put_entry(&mut bytes, &leaf).is_err() {
                return Ok(None);
            }
            next = index + 1;
        }
    }
    Ok(Some(bytes))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(disk(parent))?;
    }
    fs::write(path, bytes).map_err(disk(path))
}

/// Copies a folder's files, and those of its folders. One that is not there has none.
fn copy(from: &Path, to: &Path, depth: usize) -> Result<(), ExportError> {
    let listed = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(disk(from))?,
    };
    fs::create_dir_all(to).map_err(disk(to))?;
    for entry in listed.take(FILES_MAX) {
        let entry = entry.map_err(disk(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(disk(&path))?;
        if kind.is_dir() && depth < DEPTH_MAX {
            copy(&path, &target, depth + 1)?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(disk(&path))?;
        }
    }
    Ok(())
}

/// Copies the proofs of what was refused of a log.
fn alarms(shelf: &Shelf, place: &Place, out: &Path) -> Result<(), ExportError> {
    let dir = shelf.alarms_dir();
    let (site, gateway) = (Some(&place.site), Some(&place.gateway));
    let refused = Refused::list(&dir, site, gateway, ALARMS_MAX).map_err(disk(&dir))?;
    for Refused { proof, alarm } in refused {
        if alarm.epoch == place.epoch {
            copy(
                &dir.join(&proof),
                &out.join("alarms").join(&proof),
                DEPTH_MAX,
            )?;
        }
    }
    Ok(())
}

/// Checks what was written by the keys that the log's own leaves name.
fn check(view: &View, ledger: &Path, head: &Checkpoint) -> Result<(), ExportError> {
    let keys = super::inspection::own_keys(view, &head.origin);
    verify_files(ledger, &keys, &head.origin, std::slice::from_ref(head))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ExportError, export};
    use crate::answers::Answers;
    use crate::archive::testing::{City, at};
    use crate::archive::{Place, Standing};
    use lineside_proto::ledger::tile::Tile;
    use serde_json::json;
    use std::fs;

    #[test]
    fn what_is_taken_out_is_the_log_and_all_that_speaks_for_it() {
        let city = City::new();
        let gateway = city.gateway("zs", "gw");
        gateway.grow(300, 0);
        let maps = gateway.state.join("maps");
        fs::create_dir_all(&maps).unwrap();
        fs::write(maps.join("x.toml"), "x").unwrap();
        city.keep(&gateway, Some(at(299)));
        let alarms = city.shelf().alarms_dir();
        for (folder, epoch) in [("2026-a", 1), ("2026-b", 2)] {
            let document = json!({"v": 1, "at": at(0), "site": "zs", "gateway": "gw", "epoch": epoch,
                "kind": "fork", "text": "x", "stopped": true, "known": null, "shown": null});
            fs::create_dir_all(alarms.join(folder)).unwrap();
            fs::write(alarms.join(folder).join("alarm.json"), document.to_string()).unwrap();
            fs::write(alarms.join(folder).join("shown.note"), "note").unwrap();
        }
        let out = city.dir().join("../out");
        let standing = export(&city.shelf(), &gateway.place, &out).unwrap();
        assert_eq!(standing.size, 301);
        let said = fs::read(out.join("standing.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Standing>(&said).unwrap(), standing);
        for tile in Tile::of_log(301) {
            let path = tile.to_string();
            let own = fs::read(gateway.state.join("ledger").join(&path)).unwrap();
            assert_eq!(
                fs::read(out.join("ledger").join(&path)).unwrap(),
                own,
                "{path}"
            );
        }
        assert!(out.join("alarms/2026-a/shown.note").is_file());
        assert!(!out.join("alarms/2026-b").exists());
        assert!(out.join("maps/x.toml").is_file());
        // As a copied state directory, with the cosigned heads.
        let copy = Answers::of_copy(&out).unwrap();
        let kept = copy
            .ask("ledger.checkpoints", json!({"from": 0, "to": 400}))
            .unwrap();
        let note = kept[0]["checkpoints"][0]["checkpoint"].as_str().unwrap();
        assert!(note.contains("city.example/w"), "{note}");
        let leaves = json!({"from": 0, "to": 301});
        let own = Answers::of_copy(&gateway.state).unwrap();
        assert_eq!(
            copy.ask("ledger.entries", leaves.clone()),
            own.ask("ledger.entries", leaves)
        );
        let again = export(&city.shelf(), &gateway.place, &out);
        assert!(matches!(again, Err(ExportError::Occupied(_))));
        let other = Place {
            epoch: 2,
            ..gateway.place.clone()
        };
        let none = export(&city.shelf(), &other, &out.join("none"));
        assert!(matches!(none, Err(ExportError::Missing(_))));
    }

    #[test]
    fn what_is_damaged_is_not_taken_out_as_sound() {
        let city = City::new();
        let gateway = city.gateway("zs", "gw");
        gateway.grow(300, 0);
        city.keep(&gateway, None);
        let path = city.shelf().log_dir(&gateway.place).join("tile/0/000");
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
        let out = city.dir().join("../out");
        let found = export(&city.shelf(), &gateway.place, &out);
        assert!(matches!(found, Err(ExportError::Files(_))), "{found:?}");
    }
}
