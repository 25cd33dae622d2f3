//! What was refused, to be read: the folders below `alarms/`, the newest first.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use lineside_proto::Identifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alarm::AlarmDocument;

/// Folders that are looked at: more than an archive makes.
const FOLDERS_MAX: usize = 50_000;
/// Bytes of an alarm's document at most.
const DOCUMENT_BYTES_MAX: u64 = 64 << 10;

/// Something that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The folder with the proof, below `alarms/` in the archive's directory.
    pub proof: String,
    /// What was refused, and why.
    #[serde(flatten)]
    pub alarm: AlarmDocument,
}

impl Refused {
    /// Those of a site and a gateway, or of all where none is named, so many at most. `dir` is `alarms/`.
    ///
    /// # Errors
    ///
    /// The folder can't be listed.
    pub fn list(
        dir: &Path,
        site: Option<&Identifier>,
        gateway: Option<&Identifier>,
        limit: usize,
    ) -> io::Result<Vec<Self>> {
        let listed = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let names = listed.take(FOLDERS_MAX).flatten();
        let mut names: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        // They begin with the time.
        names.sort_unstable_by(|one, other| other.cmp(one));
        let found = names.into_iter().filter_map(|proof| {
            let alarm = document(&dir.join(&proof).join("alarm.json"))?;
            let is = |wanted: Option<&Identifier>, name: &str| {
                wanted.is_none_or(|wanted| wanted.as_str() == name)
            };
            let is_wanted = is(site, &alarm.site) && is(gateway, &alarm.gateway);
            is_wanted.then_some(Self { proof, alarm })
        });
        Ok(found.take(limit).collect())
    }
}

/// An alarm's document; none where it is not written yet, or none of ours.
fn document(path: &Path) -> Option<AlarmDocument> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
