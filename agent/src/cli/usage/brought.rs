//! What reports and explanations are made from: bundles, and the files that an evaluator brings.

use lineside_proto::evidence::{TRUST_BYTES_MAX, Trust};
use lineside_proto::report::{
    Assets, Bookings, Brought, Evidence, InputFaults, ListFile, ListKind, Report, ReportError,
    Rules,
};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::{Context, Failure};
use crate::clock::{Clock, SystemClock};
use crate::report::evidence;
use crate::text;

/// Bytes of a file that somebody brings at most; each kind has its own bound below it.
const FILE_BYTES_MAX: u64 = 65 << 20;

/// Bundles of a report at most: a city's gateways for some years of months.
const BUNDLES_MAX: usize = 10_000;

/// What both commands take.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Lists {
    /// Whom to trust; without it no bundle is verified
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Takes in bundles that don't verify, and marks everything
    #[arg(long)]
    unverified: bool,
    /// A rule file; without it, national quotas and no score
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// A CSV file with numbers, names, values and quotas of machines
    #[arg(long, value_name = "FILE")]
    assets: Option<PathBuf>,
    /// A CSV file with bookings that nobody signed: they give EXT at grade D
    #[arg(long, value_name = "FILE")]
    bookings: Option<PathBuf>,
}

/// Makes the report.
///
/// # Errors
///
/// [`Failure::Configuration`] with every fault of a file; [`Failure::Negative`] for bundles that are refused.
pub(super) fn report(
    files: &[PathBuf],
    args: &Lists,
    context: &Context,
) -> Result<Report, Failure> {
    let mut lists = Vec::new();
    let rules = rules(args, context)?;
    let trust = match &args.trust {
        Some(path) => Some(trusted(path, &mut lists)?),
        None => None,
    };
    let mut assets = None;
    if let Some(path) = &args.assets {
        let (bytes, name) = listed(path, ListKind::Assets, &mut lists)?;
        let read = Assets::read(&bytes, &name, &rules);
        assets = Some(read.map_err(|faults| refused(&faults, context))?);
    }
    let mut bookings = None;
    if let Some(path) = &args.bookings {
        let (bytes, name) = listed(path, ListKind::Bookings, &mut lists)?;
        let read = Bookings::read(&bytes, &name);
        bookings = Some(read.map_err(|faults| refused(&faults, context))?);
    }
    let bundles = bundles(files, trust.as_ref(), &rules, context)?;
    let (own, affiliates) = trust
        .map(|trust| (trust.own, trust.affiliates))
        .unwrap_or_default();
    let brought = Brought {
        rules,
        assets,
        bookings,
        own,
        affiliates,
        lists,
        takes_unverified: args.unverified,
        by: format!("lineside {}", env!("CARGO_PKG_VERSION")),
        made: SystemClock.now().wall,
    };
    lineside_proto::report::report(bundles, &brought).map_err(|error| negative(&error))
}

fn negative(error: &ReportError) -> Failure {
    Failure::Negative(error.said())
}

fn bundles(
    files: &[PathBuf],
    trust: Option<&Trust>,
    rules: &Rules,
    context: &Context,
) -> Result<Vec<Evidence>, Failure> {
    if files.len() > BUNDLES_MAX {
        return Err(Failure::Usage(text!(
            "at most {BUNDLES_MAX} bundles at once",
            "一次最多 {BUNDLES_MAX} 个证据包"
        )));
    }
    let read = |path: &PathBuf| {
        let evidence = evidence::read(path, trust, &rules.thresholds, context.language);
        evidence.map_err(|error| unreadable(path, &error))
    };
    files.iter().map(read).collect()
}

fn rules(args: &Lists, context: &Context) -> Result<Rules, Failure> {
    let read = match &args.rules {
        Some(path) => Rules::read(&bytes(path)?, &path.display().to_string()),
        None => Rules::national(),
    };
    read.map_err(|faults| refused(&faults, context))
}

fn trusted(path: &Path, lists: &mut Vec<ListFile>) -> Result<Trust, Failure> {
    let (bytes, name) = listed(path, ListKind::Trust, lists)?;
    let text = String::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= TRUST_BYTES_MAX);
    let Some(text) = text else {
        return Err(Failure::Configuration(format!(
            "{name}: not UTF-8, or more than {TRUST_BYTES_MAX} bytes\n"
        )));
    };
    Trust::parse(&text).map_err(|error| Failure::Configuration(format!("{name}: {error}\n")))
}

fn listed(
    path: &Path,
    kind: ListKind,
    lists: &mut Vec<ListFile>,
) -> Result<(Vec<u8>, String), Failure> {
    let bytes = bytes(path)?;
    let name = path.display().to_string();
    let digest = Sha256::digest(&bytes);
    lists.push(ListFile {
        kind,
        file: name.clone(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    });
    Ok((bytes, name))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error: std::io::Error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::Usage(text!(
        "{path} can't be read: {error}",
        "无法读取 {path}：{error}"
    ))
}

fn refused(faults: &InputFaults, context: &Context) -> Failure {
    let said = faults.said(|said| context.language.pick(&said.en, &said.zh));
    Failure::Configuration(format!("{said}\n"))
}
