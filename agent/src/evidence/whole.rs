//! The check of a finished bundle, before it gets its name.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lineside_proto::evidence::Bundle;

use super::inquiry::PullError;
use crate::text;

/// Checks a bundle. Gives what an evaluator should know.
pub(super) fn check(path: &Path) -> Result<Vec<String>, PullError> {
    let file = File::open(path).map_err(PullError::file(path))?;
    let bundle = Bundle::open(BufReader::new(file));
    bundle.map_err(|fault| {
        PullError::Lies(text!(
            "what it gave makes no sound bundle: {fault}",
            "所给内容无法构成完好的数据包：{fault}"
        ))
    })?;
    Ok(Vec::new())
}
