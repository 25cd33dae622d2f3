//! Several logs of one gateway in a period: its ledger was begun anew in it, and each epoch is a file.

use lineside_proto::{Identifier, Period};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::pull::{Job, is_folder};
use super::shown::{self, Lack};
use crate::archive::Standing;
use crate::cli::Failure;
use crate::evidence::epochs::{Log, Logs};
use crate::evidence::inquiry::Rhythm;
use crate::evidence::named::Named;
use crate::evidence::{Informant, Inquiry, PullError};
use crate::text;

/// What is of an epoch.
pub(super) trait OfEpoch {
    /// Which.
    fn epoch(&self) -> u32;
    /// Whether it is known to have leaves of a period.
    fn tells(&self, period: Period) -> bool;
}

/// What came of several logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Got {
    /// Files that were made.
    pub(super) files: usize,
    /// Whether nothing is lacking.
    pub(super) is_whole: bool,
}

impl OfEpoch for Standing {
    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn tells(&self, period: Period) -> bool {
        self.is_of(period)
    }
}

impl OfEpoch for Log {
    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn tells(&self, _: Period) -> bool {
        false
    }
}

/// Fetches each of these logs; `others` are those that can't be fetched.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn each<L: OfEpoch>(
    job: &Job<'_>,
    named: &(Identifier, Identifier),
    (logs, others): (&[L], usize),
    fail: impl Fn(PullError) -> Failure,
    pull: impl AsyncFn(&L, &Path) -> Result<Result<(), Failure>, PullError>,
) -> Result<Got, Failure> {
    // Files are named alike when those that can't be fetched now are there again.
    let several = logs.len() + others > 1;
    if logs.len() > 1 {
        let (site, gateway) = named;
        let epochs = logs.iter().map(|log| format!("e{}", log.epoch()));
        let epochs = epochs.collect::<Vec<_>>().join(", ");
        let line = text!(
            "{site}/{gateway}: its ledger was begun anew in this period; one file for each epoch: {epochs}. A report takes them together",
            "{site}/{gateway}：台账在此时段内重新建立；每期一个文件：{epochs}。制作报告时须一并提供"
        );
        writeln!(io::stderr(), "{}", line.say(job.context.language))?;
    }
    let (mut files, mut is_whole) = (0, true);
    for log in logs {
        let bundle = job.file(named, several.then_some(log.epoch()))?;
        match pull(log, &bundle).await {
            Ok(said) => {
                said?;
                files += 1;
            }
            Err(PullError::Nothing) if log.tells(job.period) => {
                is_whole = false;
                let lack = (log.epoch(), Lack::Withheld);
                shown::lacks(named, lack, job.args.json, job.context.language)?;
            }
            // Of several epochs, one may have its leaves beside the period only.
            Err(PullError::Nothing) if several => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(Got { files, is_whole })
}

/// Several files, and a place for one.
pub(super) fn one_file(job: &Job<'_>, files: usize) -> Failure {
    let path = job.args.output.display();
    Failure::Usage(text!(
        "the gateway's ledger was begun anew in this period: there are {files} epochs, and `{path}` is one file; say a folder, as `-o {path}/`",
        "该网关的台账在此时段内重新建立：共有 {files} 期，而 `{path}` 是单个文件；请指定文件夹，如 `-o {path}/`"
    ))
}

/// Fetches all logs of the period from whoever answers for a gateway, or has its files: of `named`, if that is known. Whether
/// that is all of them.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn pull<I: Informant>(
    job: &Job<'_>,
    (informant, named): (I, Option<&(Identifier, Identifier)>),
    rhythm: Rhythm,
    fail: fn(PullError) -> Failure,
) -> Result<bool, Failure> {
    let informant = Arc::new(informant);
    let asked = Logs::ask(&informant, rhythm, job.period).await;
    let Logs {
        gateway,
        logs,
        missing,
    } = asked.map_err(fail)?;
    let gateway = named.cloned().unwrap_or(gateway);
    if logs.len() > 1 && !is_folder(&job.args.output) {
        return Err(one_file(job, logs.len()));
    }
    let pull = async |log: &Log, bundle: &Path| {
        let inquiry = Inquiry::new(Named::new(&informant, &log.origin), rhythm);
        job.make(inquiry, gateway.clone(), bundle, None).await
    };
    let others = usize::from(missing.is_some());
    let got = each(job, &gateway, (&logs, others), fail, pull).await?;
    if let Some(epoch) = missing {
        shown::lacks(
            &gateway,
            (epoch, Lack::Nowhere),
            job.args.json,
            job.context.language,
        )?;
    } else if got.files == 0 {
        return Err(fail(PullError::Nothing));
    }
    Ok(missing.is_none())
}
