//! Bundles from disk, verified and surveyed: what reports are made from.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use lineside_proto::evidence::{self, Bundle, Entry, Trust};
use lineside_proto::ledger::Leaf;
use lineside_proto::report::{Evidence, Observed, Survey, Thresholds};
use std::collections::{BTreeMap, BTreeSet};

use crate::text::Language;

/// Bytes of a map at most whose difference is shown: far more than anyone writes.
const MAP_BYTES_MAX: u64 = 4 << 20;

/// Maps that are read for their differences: as many as an evaluator would look at.
const MAPS_MAX: usize = 200;

/// Verifies a bundle, and looks through its leaves.
///
/// # Errors
///
/// The file can't be opened. What is wrong with a bundle stands in its verification.
pub fn read(
    path: &Path,
    trust: Option<&Trust>,
    thresholds: &Thresholds,
    language: Language,
) -> io::Result<Evidence> {
    let file = File::open(path)?;
    let verification = evidence::verify(&file, trust, language);
    let mut made = Evidence {
        file: path.display().to_string(),
        verification,
        observed: Observed::default(),
        maps: BTreeMap::new(),
    };
    // What can't be opened has failed above, and is told there.
    let totals = made.verification.totals.as_ref();
    let bundle = totals.and_then(|totals| Some((Bundle::open(&file).ok()?, totals)));
    if let Some((mut bundle, totals)) = bundle {
        let survey = Survey::new(totals.from, totals.to, thresholds);
        made.observed = surveyed(&mut bundle, survey);
        made.maps = maps(&mut bundle, &made.observed);
    }
    Ok(made)
}

/// One pass over the leaves. Leaves were checked by the verifier; those of a bundle that failed are passed over where they
/// can't be read.
fn surveyed<R: Read + Seek>(bundle: &mut Bundle<R>, mut survey: Survey) -> Observed {
    let is_part = |path: &&str| matches!(Entry::from_path(path), Some(Entry::Leaves(_)));
    let parts: Vec<String> = bundle.paths().filter(is_part).map(str::to_owned).collect();
    for part in parts {
        let Ok(bytes) = bundle.read(&part) else {
            continue;
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            if let Ok(leaf) = Leaf::from_bytes(line) {
                survey.take(&leaf);
            }
        }
    }
    survey.finish()
}

/// The texts of the maps that changed.
fn maps<R: Read + Seek>(bundle: &mut Bundle<R>, observed: &Observed) -> BTreeMap<String, String> {
    let changes = observed.machines.values().flat_map(|seen| &seen.maps.first);
    let named: BTreeSet<&String> = changes
        .flat_map(|change| [&change.from, &change.to])
        .collect();
    let mut maps = BTreeMap::new();
    for hash in named.into_iter().take(MAPS_MAX) {
        let Some(digits) = hash.strip_prefix("sha256:") else {
            continue;
        };
        let path = Entry::Map(digits.to_owned()).to_string();
        let is_fit = bundle
            .file(&path)
            .is_some_and(|file| file.bytes <= MAP_BYTES_MAX);
        let bytes = is_fit.then(|| bundle.read(&path).ok()).flatten();
        if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            maps.insert(hash.clone(), text);
        }
    }
    maps
}

#[cfg(test)]
mod tests {
    use lineside_proto::evidence::sample::{Sample, zip};
    use lineside_proto::evidence::{Trust, Verdict};
    use lineside_proto::report::Thresholds;

    use super::read;
    use crate::text::Language;

    #[test]
    fn a_bundle_is_verified_and_surveyed() {
        let sample = Sample::new();
        let (manifest, files) = sample.seal(&sample.whole()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.zip");
        std::fs::write(&path, zip(&manifest, &files).unwrap()).unwrap();
        let trust = Trust::parse(&sample.trust()).unwrap();
        let seen = read(&path, Some(&trust), &Thresholds::default(), Language::En).unwrap();
        assert_eq!(seen.verification.verdict, Verdict::Verified);
        let totals = seen.verification.totals.unwrap();
        assert_eq!(seen.observed.machines.len(), totals.machines.len());
        let changes = seen
            .observed
            .machines
            .values()
            .map(|seen| seen.maps.first.len());
        assert!(changes.sum::<usize>() > 0 && seen.maps.len() >= 2);
        std::fs::write(&path, b"PK").unwrap();
        let seen = read(&path, None, &Thresholds::default(), Language::En).unwrap();
        assert_eq!(seen.verification.verdict, Verdict::Failed);
        assert!(
            read(
                &folder.path().join("none"),
                None,
                &Thresholds::default(),
                Language::En
            )
            .is_err()
        );
    }
}
