//! Other people's logs that are cosigned here: a file with a verifier key a line.

use std::collections::BTreeMap;
use std::path::Path;

use lineside_proto::ledger::note::{KeyKind, VerifierKey};

use super::list::{self, ListError};

/// Logs and their keys. A line is a verifier key, which has the log's origin as its name; another origin stands after
/// it. A log may have several keys, a line each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ForeignLogs {
    logs: BTreeMap<String, Vec<VerifierKey>>,
}

impl ForeignLogs {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`ListError`] names the line and what is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ListError> {
        let entries = list::load(path, |key, origin| {
            let key: VerifierKey = key.parse().map_err(|error| format!("{error}"))?;
            if key.kind() != KeyKind::Ed25519 {
                return Err("this is a witness's key: write the key of a log".to_owned());
            }
            let origin = origin.unwrap_or(key.name()).to_owned();
            Ok((origin, key))
        })?;
        let mut logs: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for (origin, key) in entries {
            let keys = logs.entry(origin).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(Self { logs })
    }

    /// The keys of a log; none where it is not in the file.
    pub fn keys(&self, origin: &str) -> &[VerifierKey] {
        self.logs.get(origin).map_or(&[], Vec::as_slice)
    }

    /// The origins of the logs, in order.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }
}
