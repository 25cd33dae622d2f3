//! The check of a finished bundle, before it gets its name.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lineside_proto::Language;
use lineside_proto::evidence::{Check, Status, verify};

use super::inquiry::PullError;
use crate::text;

/// Checks a bundle as one who trusts nobody. Gives, in words, what the ledger itself breaks: it is signed so, and
/// an evaluator must see it.
///
/// # Errors
///
/// [`PullError::Lies`] where the bundle does not prove its leaves, whatever they say.
pub(super) fn check(path: &Path) -> Result<Vec<String>, PullError> {
    let file = File::open(path).map_err(PullError::file(path))?;
    let verification = verify(BufReader::new(file), None, Language::En);
    let mut found = Vec::new();
    for result in verification.checks {
        if result.status != Status::Failed {
            continue;
        }
        let (name, first) = (
            name(result.check),
            result.said.first().cloned().unwrap_or_default(),
        );
        match result.check {
            Check::Period
            | Check::Time
            | Check::Sessions
            | Check::Tokens
            | Check::Maps
            | Check::Witness => found.push(format!("check `{name}` fails: {first}")),
            Check::Bundle
            | Check::Signature
            | Check::Tree
            | Check::Consistency
            | Check::Tiles
            | Check::Leaves
            | Check::Totals => {
                return Err(PullError::Lies(text!(
                    "what it gave makes no sound bundle: check `{name}`: {first}",
                    "所给内容无法构成完好的数据包：检查 `{name}`：{first}"
                )));
            }
        }
    }
    Ok(found)
}

/// A check as its documents name it.
fn name(check: Check) -> String {
    let name = serde_json::to_value(check).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}
