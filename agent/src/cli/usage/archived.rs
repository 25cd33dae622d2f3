//! `lineside usage pull --archive`, and `--broker` where archives answer for a gateway that is off: from the city's copy, which
//! has what its gateway may have lost.

use lineside_proto::{Identifier, Period};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::pull::{Args, Given, Job, failure, is_folder, no_answer, not_all, summed};
use super::several::Made;
use super::shown::Lack;
use super::{several, shown, sources};
use crate::archive::{Held, Library, Shelf, Standing};
use crate::cli::{Failure, Outcome};
use crate::evidence::epochs::{Cited, cites};
use crate::evidence::http::Archive;
use crate::evidence::inquiry::Rhythm;
use crate::evidence::named::Named;
use crate::evidence::shelved::Shelved;
use crate::evidence::wire::{Broker, Wire};
use crate::evidence::{Informant, Inquiry, PullError, Trouble};
use crate::text;

/// Where an archive is.
enum Source {
    Directory(Arc<Library>),
    Server(Archive),
    /// It answers for gateways that are off.
    Broker(Over),
}

/// Archives at a broker, of one gateway.
pub(super) struct Over {
    pub(super) broker: Arc<Broker>,
    pub(super) rhythm: Rhythm,
    /// How many answer.
    pub(super) archives: u32,
}

impl Over {
    /// Asks about a log, of which one archive may have more than another where several are heard.
    fn log(&self, log: &Standing, gathers: bool) -> Named<Wire> {
        let wire = if gathers {
            Wire::gathering(&self.broker, &log.site, &log.gateway, Some(self.archives))
        } else {
            Wire::new(&self.broker, &log.site, &log.gateway)
        };
        Named::new(&Arc::new(wire), &log.origin)
    }
}

/// Fetches it.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn run(job: &Job<'_>, whence: &str) -> Result<Outcome, Failure> {
    job.whose()?;
    let args = job.args;
    let source = Source::of(whence)?;
    let all = source.held(args, whence).await?;
    // Whoever is asked may say more than was wanted.
    let wanted = all
        .into_iter()
        .filter(|held| is_wanted(args, &held.site, &held.gateway));
    let parts: Vec<(Held, Vec<Standing>)> = wanted
        .map(|held| {
            let logs = chosen(&held.logs, job.period);
            (held, logs)
        })
        .collect();
    if parts.is_empty() {
        return Err(Failure::Negative(text!(
            "the archive has no ledger of such a gateway: check --site and --gateway",
            "存证库中没有这样的网关的台账：请检查 --site 和 --gateway"
        )));
    }
    let files: usize = parts.iter().map(|(_, logs)| logs.len()).sum();
    if files > 1 && !is_folder(&args.output) {
        return Err(one_file(job, parts.len(), files));
    }
    let alone = parts.len() == 1;
    let mut worst = None;
    let mut is_whole = true;
    for (held, logs) in &parts {
        let got = gateway(job, &source, held, logs).await;
        not_read(job, held)?;
        match got {
            Ok(all) => is_whole &= all && held.is_readable(),
            Err(failure) if alone => return Err(failure),
            Err(failure) => {
                let named = (held.site.clone(), held.gateway.clone());
                shown::not_got(&named, &failure, args.json, job.context.language)?;
                worst = worst.or(Some(failure));
            }
        }
    }
    match worst {
        None if is_whole => Ok(Outcome::Done),
        // It may be there again when the archive has fetched it anew.
        None => Err(Failure::Unreachable(not_all())),
        Some(failure) => Err(summed(failure)),
    }
}

fn is_wanted(args: &Args, site: &Identifier, gateway: &Identifier) -> bool {
    let is = |wanted: &Option<Identifier>, named: &Identifier| {
        wanted.as_ref().is_none_or(|wanted| wanted == named)
    };
    is(&args.site, site) && is(&args.gateway, gateway)
}

impl Source {
    fn of(whence: &str) -> Result<Self, Failure> {
        if whence.contains("://") {
            return Ok(Self::Server(sources::archive(whence)?));
        }
        let shelf = Shelf::of(Path::new(whence));
        if !shelf.logs_dir().is_dir() {
            return Err(Failure::Negative(text!(
                "{whence} holds no archive: say the folder that holds `logs`, or http://HOST:PORT",
                "{whence} 中没有存证库：请指定包含 `logs` 的文件夹，或 http://主机:端口"
            )));
        }
        let library = Library::of(shelf, CancellationToken::new());
        Ok(Self::Directory(Arc::new(library)))
    }

    async fn held(&self, args: &Args, whence: &str) -> Result<Vec<Held>, Failure> {
        match self {
            Self::Directory(library) => {
                let held = Held::all(library.shelf(), |site, gateway| {
                    is_wanted(args, site, gateway)
                });
                held.map_err(|error| {
                    Failure::Store(text!("{whence}: {error}", "{whence}：{error}"))
                })
            }
            Self::Server(server) => {
                let held = server.held(args.site.as_ref(), args.gateway.as_ref()).await;
                held.map_err(|trouble| no_list(whence, &trouble))
            }
            // Each gateway is asked for by itself there.
            Self::Broker(..) => Ok(Vec::new()),
        }
    }

    /// Makes a bundle of a log.
    async fn pull(
        &self,
        job: &Job<'_>,
        log: &Standing,
        bundle: &Path,
    ) -> Result<Result<Given, Failure>, PullError> {
        let (place, usual) = (log.place(), job.rhythm());
        match self {
            Self::Directory(library) => {
                let shelved = Shelved::new(library, place);
                one(job, shelved, usual, log, bundle).await
            }
            Self::Server(server) => one(job, server.log(&place), usual, log, bundle).await,
            Self::Broker(over) => {
                // One that has nothing of the period anyway says so at once.
                let gathers = over.archives > 1 && log.may_be_of(job.period);
                one(job, over.log(log, gathers), over.rhythm, log, bundle).await
            }
        }
    }

    /// The epoch before that a log cites, where that may tell of the period, too.
    async fn cites(&self, job: &Job<'_>, log: &Standing) -> Result<Option<Cited>, PullError> {
        let (place, usual, period) = (log.place(), job.rhythm(), job.period);
        match self {
            Self::Directory(library) => {
                cites(&Inquiry::new(Shelved::new(library, place), usual), period).await
            }
            Self::Server(server) => cites(&Inquiry::new(server.log(&place), usual), period).await,
            Self::Broker(over) => {
                cites(&Inquiry::new(over.log(log, false), over.rhythm), period).await
            }
        }
    }

    fn failure(&self, error: PullError) -> Failure {
        match self {
            Self::Broker(..) => no_answer(error),
            Self::Directory(_) | Self::Server(_) => failure(error),
        }
    }
}

/// Fetches over the broker what archives there say that they hold of a gateway. Whether that is all of it.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn over(job: &Job<'_>, source: Over, held: &Held) -> Result<bool, Failure> {
    let logs = chosen(&held.logs, job.period);
    if logs.len() > 1 && !is_folder(&job.args.output) {
        return Err(one_file(job, 1, logs.len()));
    }
    let got = gateway(job, &Source::Broker(source), held, &logs).await;
    not_read(job, held)?;
    got.map(|all| all && held.is_readable())
}

/// Says what the archive can't read of a gateway.
fn not_read(job: &Job<'_>, held: &Held) -> Result<(), Failure> {
    let named = (held.site.clone(), held.gateway.clone());
    for epoch in &held.unreadable {
        shown::lacks(
            &named,
            (*epoch, Lack::Unreadable),
            job.args.json,
            job.context.language,
        )?;
    }
    if held.unlisted {
        shown::unlisted(&named, job.args.json, job.context.language)?;
    }
    Ok(())
}

/// The list of what an archive holds did not come.
fn no_list(whence: &str, trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Nonsense(_) | Trouble::Refused(_) | Trouble::No(_) => Failure::Negative(text!(
            "{whence} does not answer as an archive does: {trouble}",
            "{whence} 的应答不是存证库的应答：{trouble}"
        )),
        Trouble::Lost(_) | Trouble::Later(_) => Failure::Unreachable(text!(
            "can't reach {whence}: {trouble}; check the address, and that the archive runs",
            "无法连接 {whence}：{trouble}；请检查地址以及存证库是否在运行"
        )),
    }
}

/// The logs of a gateway that tell of a period; where none does, the one that may: the newest that had begun, else the oldest.
fn chosen(logs: &[Standing], period: Period) -> Vec<Standing> {
    let inside = logs.iter().filter(|log| log.may_be_of(period));
    let inside: Vec<Standing> = inside.cloned().collect();
    if !inside.is_empty() {
        return inside;
    }
    let newest = logs.iter().rev().find(|log| log.has_begun(period));
    newest.or(logs.first()).cloned().into_iter().collect()
}

fn one_file(job: &Job<'_>, gateways: usize, files: usize) -> Failure {
    if gateways > 1 {
        let path = job.args.output.display();
        return Failure::Usage(text!(
            "there are {gateways} gateways, and `{path}` is one file: say a folder, as `-o {path}/`",
            "共有 {gateways} 个网关，而 `{path}` 是单个文件：请指定文件夹，如 `-o {path}/`"
        ));
    }
    several::one_file(job, files)
}

/// What epochs cite of those before them.
#[derive(Default)]
struct Citations {
    /// Epochs that may tell of the period, and how many leaves of them are cited.
    cited: BTreeMap<u32, u64>,
    /// Those of them that are not held.
    missing: BTreeSet<u32>,
    /// Epochs that don't say what they cite.
    untold: BTreeSet<u32>,
    /// Epochs that end before the period as they are held, and of which more leaves are cited.
    short: Vec<(u32, Lack)>,
}

impl Citations {
    /// By the logs that are chosen; and, where these end before the period does, by the next one.
    async fn of(job: &Job<'_>, source: &Source, held: &Held, logs: &[Standing]) -> Self {
        let mut all = Self::default();
        let last = logs.iter().map(|log| log.epoch).max();
        let is_next = |log: &&Standing| Some(log.epoch) > last;
        let next = held.logs.iter().find(is_next);
        let next = next.filter(|_| !logs.iter().any(|log| log.goes_beyond(job.period)));
        // The first continues none.
        for log in logs.iter().chain(next).filter(|log| log.epoch > 1) {
            match source.cites(job, log).await {
                Ok(cited) => {
                    let cited = cited.map(|cited| (cited.epoch, cited.size));
                    let missing = cited.filter(|(epoch, _)| !held.knows(*epoch));
                    all.missing.extend(missing.map(|(epoch, _)| epoch));
                    all.cited.extend(cited);
                }
                Err(error) => {
                    tracing::debug!("epoch {} does not say what it cites: {error}", log.epoch);
                    all.untold.insert(log.epoch);
                }
            }
        }
        let passed = held.logs.iter();
        let passed = passed.filter(|log| !logs.iter().any(|chosen| chosen.epoch == log.epoch));
        let passed = passed.filter(|log| all.cited.contains_key(&log.epoch));
        let short = passed.filter_map(|log| Some((log.epoch, all.withheld(job.period, log)?)));
        all.short = short.collect();
        all
    }

    /// Leaves of a log that there are, as far as anybody says it.
    fn known(&self, log: &Standing) -> u64 {
        log.known(self.cited.get(&log.epoch).copied())
    }

    /// Says what is lacking; whether anything is.
    fn say(&self, job: &Job<'_>, named: &(Identifier, Identifier)) -> Result<bool, Failure> {
        let missing = self.missing.iter().map(|epoch| (*epoch, Lack::Nowhere));
        let untold = self.untold.iter().map(|epoch| (*epoch, Lack::Untold));
        let short = self.short.iter().cloned();
        for lack in missing.chain(untold).chain(short) {
            shown::lacks(named, lack, job.args.json, job.context.language)?;
        }
        Ok(self.lacking() > 0)
    }

    /// Epochs of which something is lacking, besides those that are fetched.
    fn lacking(&self) -> usize {
        self.missing.len() + self.untold.len() + self.short.len()
    }

    /// What is lacking of a log that gives nothing of the period.
    fn withheld(&self, period: Period, log: &Standing) -> Option<Lack> {
        if log.is_of(period) {
            return Some(Lack::Withheld);
        }
        let (given, known) = (log.size, self.known(log));
        let is_short = given < known && !log.goes_beyond(period);
        is_short.then_some(Lack::Short { given, known })
    }
}

/// Fetches what there is of one gateway. Whether that is all that its logs cite.
async fn gateway(
    job: &Job<'_>,
    source: &Source,
    held: &Held,
    logs: &[Standing],
) -> Result<bool, Failure> {
    let named = (held.site.clone(), held.gateway.clone());
    let fail = |error| source.failure(error);
    let citations = Citations::of(job, source, held, logs).await;
    let pull = async |log: &Standing, bundle: &Path| match source.pull(job, log, bundle).await {
        Ok(given) => Ok(given.map(|given| Made::file(given.short_of(citations.known(log))))),
        Err(PullError::Nothing) => Ok(Ok(Made::nothing(citations.withheld(job.period, log)))),
        Err(error) => Err(error),
    };
    let others = held.unreadable.len() + citations.lacking();
    let is_lacking = citations.say(job, &named)?;
    let got = several::each(job, &named, (logs, others), fail, pull).await?;
    // What is not here may have it.
    if got.files == 0 && got.is_whole && !is_lacking && held.is_readable() {
        return Err(failure(PullError::Nothing));
    }
    Ok(got.is_whole && !is_lacking)
}

async fn one<I: Informant>(
    job: &Job<'_>,
    informant: I,
    rhythm: Rhythm,
    log: &Standing,
    bundle: &Path,
) -> Result<Result<Given, Failure>, PullError> {
    let named = (log.site.clone(), log.gateway.clone());
    let inquiry = Inquiry::new(informant, rhythm);
    job.make(inquiry, named, bundle, Some(log)).await
}

#[cfg(test)]
mod tests;
