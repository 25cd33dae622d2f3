//! Several logs of one gateway in a period: its ledger was begun anew in it, and each epoch is a file.

use lineside_proto::{Identifier, Period, Time};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::pull::{Job, is_folder, summed};
use super::shown::{self, Lack};
use crate::answers::Code;
use crate::archive::Standing;
use crate::cli::Failure;
use crate::evidence::epochs::{Ends, Log, Logs};
use crate::evidence::inquiry::Rhythm;
use crate::evidence::named::Named;
use crate::evidence::{Informant, Inquiry, PullError};
use crate::text;

/// Logs one after the other that are put off until nobody would wait longer; then no others are tried.
const PUT_OFF_MAX: u32 = 2;

/// What is of an epoch.
pub(super) trait OfEpoch {
    /// Which.
    fn epoch(&self) -> u32;
}

/// What came of one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Made {
    /// Whether there is a file: a log may have no leaf of the period.
    is_file: bool,
    /// What is lacking all the same.
    lack: Option<Lack>,
}

impl Made {
    /// A file.
    pub(super) fn file(lack: Option<Lack>) -> Self {
        Self {
            is_file: true,
            lack,
        }
    }

    /// No leaf of the period was given.
    pub(super) fn nothing(lack: Option<Lack>) -> Self {
        Self {
            is_file: false,
            lack,
        }
    }
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
}

impl OfEpoch for Log {
    fn epoch(&self) -> u32 {
        self.epoch
    }
}

/// Fetches each of these logs; `others` are those that can't be fetched. What is wrong with one of several keeps no other from
/// being fetched. There may be no file, and nothing be lacking.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn each<L: OfEpoch>(
    job: &Job<'_>,
    named: &(Identifier, Identifier),
    (logs, others): (&[L], usize),
    fail: impl Fn(PullError) -> Failure,
    pull: impl AsyncFn(&L, &Path) -> Result<Result<Made, Failure>, PullError>,
) -> Result<Got, Failure> {
    // Files are named alike when those that can't be fetched now are there again.
    let several = logs.len() + others > 1;
    if logs.len() > 1 {
        announce(job, named, logs)?;
    }
    let (mut files, mut is_whole) = (0, true);
    let (mut put_off, mut worst) = (0, None);
    for log in logs {
        let bundle = job.file(named, several.then_some(log.epoch()))?;
        let lack = match pull(log, &bundle).await {
            Ok(made) => {
                let made = made?;
                put_off = 0;
                files += usize::from(made.is_file);
                made.lack
            }
            Err(error) if several && is_of_log(&error, put_off) => {
                put_off += u32::from(matches!(error, PullError::PutOff(_)));
                let may_come = may_come(&error);
                let failure = fail(error);
                let why = shown::reason(&failure);
                if !may_come {
                    worst.get_or_insert(failure);
                }
                Some(Lack::Failed(why))
            }
            Err(error) => return Err(fail(error)),
        };
        if let Some(lack) = lack {
            is_whole = false;
            shown::lacks(
                named,
                (log.epoch(), lack),
                job.args.json,
                job.context.language,
            )?;
        }
    }
    match worst {
        Some(failure) => Err(summed(failure)),
        None => Ok(Got { files, is_whole }),
    }
}

/// Says that there is a file for each epoch.
fn announce<L: OfEpoch>(
    job: &Job<'_>,
    (site, gateway): &(Identifier, Identifier),
    logs: &[L],
) -> io::Result<()> {
    let epochs = logs.iter().map(|log| format!("e{}", log.epoch()));
    let epochs = epochs.collect::<Vec<_>>().join(", ");
    let line = text!(
        "{site}/{gateway}: its ledger was begun anew in this period; one file for each epoch: {epochs}. A report takes them together",
        "{site}/{gateway}：台账在此时段内重新建立；每期一个文件：{epochs}。制作报告时须一并提供"
    );
    writeln!(io::stderr(), "{}", line.say(job.context.language))
}

/// Whether it says something of one log, and nothing of others: whoever answers is there, and there is room on this disk.
/// So many were put off before this one.
fn is_of_log(error: &PullError, put_off: u32) -> bool {
    match error {
        PullError::Refused { .. } | PullError::Lies(_) => true,
        PullError::PutOff(_) => put_off < PUT_OFF_MAX,
        PullError::Unreachable(_)
        | PullError::Nothing
        | PullError::File { .. }
        | PullError::Other(_)
        | PullError::Held(_) => false,
    }
}

/// Whether asking again may help: a copy that can't be read is fetched anew.
fn may_come(error: &PullError) -> bool {
    match error {
        PullError::PutOff(_) => true,
        PullError::Refused { code, .. } => code == Code::Unavailable.word(),
        PullError::Lies(_)
        | PullError::Unreachable(_)
        | PullError::Nothing
        | PullError::File { .. }
        | PullError::Other(_)
        | PullError::Held(_) => false,
    }
}

/// Several files, and a place for one.
pub(super) fn one_file(job: &Job<'_>, files: usize) -> Failure {
    let path = job.args.output.display();
    Failure::Usage(text!(
        "the gateway's ledger was begun anew in this period: there are {files} epochs, and `{path}` is one file; say a folder, as `-o {path}/`",
        "该网关的台账在此时段内重新建立：共有 {files} 期，而 `{path}` 是单个文件；请指定文件夹，如 `-o {path}/`"
    ))
}

/// What may be lacking of a log that gives nothing of the period: it has leaves of that all the same; or it ends before that, and
/// the next one cites more of it.
async fn withheld<I: Informant>(
    job: &Job<'_>,
    log: &Log,
    inquiry: &Inquiry<I>,
) -> Result<Option<Lack>, PullError> {
    let Period { from, to } = job.period;
    let Ends { size, first, last } = Ends::ask(inquiry).await?;
    let (given, known) = (size, log.cited);
    let is_of = |at: Time| from <= at && at < to;
    Ok(if is_of(first) || is_of(last) {
        Some(Lack::Withheld)
    } else if given < known && last < to {
        Some(Lack::Short { given, known })
    } else {
        None
    })
}

/// Fetches all logs of the period from whoever answers for a gateway, or has its files: of `named`, if that is known. `before` is
/// asked about its epochs before, of which others may have more. Whether that is all of them.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn pull<I: Informant>(
    job: &Job<'_>,
    (informant, before, named): (I, I, Option<&(Identifier, Identifier)>),
    rhythm: Rhythm,
    fail: fn(PullError) -> Failure,
) -> Result<bool, Failure> {
    let (informant, before) = (Arc::new(informant), Arc::new(before));
    let asked = Logs::ask(&before, rhythm, job.period).await;
    let Logs {
        gateway,
        logs,
        missing,
        newest,
    } = asked.map_err(fail)?;
    let gateway = named.cloned().unwrap_or(gateway);
    if logs.len() > 1 && !is_folder(&job.args.output) {
        return Err(one_file(job, logs.len()));
    }
    let pull = async |log: &Log, bundle: &Path| {
        let whom = if log.epoch == newest {
            &informant
        } else {
            &before
        };
        let inquiry = || Inquiry::new(Named::new(whom, &log.origin), rhythm);
        match job.make(inquiry(), gateway.clone(), bundle, None).await {
            Ok(given) => Ok(given.map(|given| Made::file(given.short_of(log.cited)))),
            Err(PullError::Nothing) => {
                let lack = withheld(job, log, &inquiry()).await?;
                Ok(Ok(Made::nothing(lack)))
            }
            Err(error) => Err(error),
        }
    };
    for epoch in &missing {
        let lack = (*epoch, Lack::Nowhere);
        shown::lacks(&gateway, lack, job.args.json, job.context.language)?;
    }
    let got = each(job, &gateway, (&logs, missing.len()), fail, pull).await?;
    let is_whole = got.is_whole && missing.is_empty();
    if got.files == 0 && is_whole {
        return Err(fail(PullError::Nothing));
    }
    Ok(is_whole)
}
