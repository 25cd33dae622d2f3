//! The files of a configuration: each is read once, and a path means the same wherever it is said.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::fault::{Fault, Report};
use super::source::{FILE_BYTES_MAX, Place, ReadError, Source, bytes};
use super::tree::{Table, parse};
use crate::text;

/// Files that were read, in the order in which they were.
pub(super) struct Files {
    root: PathBuf,
    ranks: RefCell<BTreeMap<PathBuf, usize>>,
    parsed: RefCell<BTreeMap<PathBuf, Rc<Toml>>>,
}

/// A parsed TOML file.
pub(super) struct Toml {
    /// The file as a whole.
    pub(super) at: Place,
    /// What it says.
    pub(super) table: Table,
}

impl Files {
    /// The files around a gateway file in this folder.
    pub(super) fn around(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ranks: RefCell::default(),
            parsed: RefCell::default(),
        }
    }

    /// The paths of all files that were read or asked for, in that order.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let ranks = self.ranks.borrow();
        let mut paths: Vec<_> = ranks.iter().collect();
        paths.sort_by_key(|(_, rank)| **rank);
        paths.into_iter().map(|(path, _)| path.clone()).collect()
    }

    /// A path as it is meant where it is written: relative to that file's folder.
    pub(super) fn beside(&self, at: &Place, path: &str) -> PathBuf {
        let folder = at.file.path().parent().unwrap_or(Path::new(""));
        folder.join(path)
    }

    /// A path said in a machine map: beside the map, else beside the gateway file, where the
    /// folder of templates usually is.
    pub(super) fn near(&self, at: &Place, path: &str) -> PathBuf {
        let beside = self.beside(at, path);
        let above = self.root.join(path);
        if !beside.exists() && above.exists() {
            above
        } else {
            beside
        }
    }

    /// A TOML file, or the faults that it has; `asked_at` is where it was named, if anywhere.
    pub(super) fn toml(
        &self,
        path: &Path,
        asked_at: Option<&Place>,
        report: &Report,
    ) -> Option<Rc<Toml>> {
        if let Some(known) = self.parsed.borrow().get(path) {
            return Some(Rc::clone(known));
        }
        let parsed = self.text(path, asked_at, report).map(|source| {
            let table = parse(&source, report);
            Rc::new(Toml {
                at: Place::whole(&source),
                table,
            })
        });
        if let Some(toml) = &parsed {
            self.parsed
                .borrow_mut()
                .insert(path.to_owned(), Rc::clone(toml));
        }
        parsed
    }

    /// A file's text, or a fault.
    pub(super) fn text(
        &self,
        path: &Path,
        asked_at: Option<&Place>,
        report: &Report,
    ) -> Option<Arc<Source>> {
        let (source, outcome) = Source::read(path, self.rank(path));
        let source = Arc::new(source);
        match outcome {
            Ok(()) => Some(source),
            Err(error) => {
                let whole = Place::whole(&source);
                let at = match (&error, asked_at) {
                    (ReadError::NotUtf8(_), _) | (_, None) => &whole,
                    (_, Some(at)) => at,
                };
                report.add(error.fault(path, at));
                None
            }
        }
    }

    /// A secret file's text; it is never part of a report.
    pub(super) fn secret(&self, path: &Path) -> Result<String, ReadError> {
        let (source, outcome) = Source::read(path, self.rank(path));
        match outcome {
            Ok(()) => Ok(source.text().to_owned()),
            // Without an excerpt: the place of a byte says something about a secret.
            Err(ReadError::NotUtf8(_)) => {
                let what = "not UTF-8 text";
                Err(ReadError::Io(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    what,
                )))
            }
            Err(error) => Err(error),
        }
    }

    /// A file's bytes.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        self.rank(path);
        bytes(path)
    }

    /// Whether the file may be read by everybody on this host.
    pub(super) fn is_open_to_others(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
    }

    /// The rank of a path; the same each time, so that a fault found twice is told once.
    fn rank(&self, path: &Path) -> usize {
        let mut ranks = self.ranks.borrow_mut();
        let next = ranks.len();
        *ranks.entry(path.to_owned()).or_insert(next)
    }
}

impl ReadError {
    /// The fault that a file can't be read, reported at `at`.
    pub(super) fn fault(&self, path: &Path, at: &Place) -> Fault {
        let shown = path.display();
        match self {
            Self::Missing => {
                let message = text!("there is no file {shown}", "没有文件 {shown}");
                Fault::error("missing-file", at, message)
            }
            Self::NotAFile => {
                let message = text!("{shown} is not a regular file", "{shown} 不是普通文件");
                Fault::error("unreadable-file", at, message)
            }
            Self::TooLarge => {
                let mebibytes = FILE_BYTES_MAX >> 20;
                let message = text!(
                    "{shown} is larger than {mebibytes} MiB",
                    "{shown} 超过 {mebibytes} MiB"
                );
                Fault::error("file-too-large", at, message)
            }
            Self::NotUtf8(offset) => {
                let end = offset + char::REPLACEMENT_CHARACTER.len_utf8();
                let at = Place::of(&at.file, *offset..end);
                let message = text!("the file is not UTF-8 text", "文件不是 UTF-8 编码");
                let fault = Fault::error("not-utf8", &at, message);
                if path.extension().is_some_and(|extension| extension == "csv") {
                    fault.hint(text!(
                        "save as UTF-8 CSV (in a spreadsheet: \"CSV UTF-8\")",
                        "请另存为 UTF-8 CSV（表格软件中选择“CSV UTF-8”）"
                    ))
                } else {
                    fault.hint(text!("save the file as UTF-8", "请将文件另存为 UTF-8 编码"))
                }
            }
            Self::Io(error) => {
                let message = text!(
                    "{shown} can't be read: {error}",
                    "无法读取 {shown}：{error}"
                );
                Fault::error("unreadable-file", at, message)
            }
        }
    }
}
