//! `lineside usage pull`: the evidence of a period, one file a gateway.

use clap::ArgGroup;
use jiff::tz::Offset;
use lineside_proto::{Identifier, Period, Time, Topics};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shown::Lack;
use super::{archived, off, several, shown, sources};
use crate::archive::Standing;
use crate::cli::{Context, Failure, Outcome, runtime};
use crate::clock::{Clock, SystemClock};
use crate::evidence::copied::Copied;
use crate::evidence::fetch::Progress;
use crate::evidence::inquiry::Rhythm;
use crate::evidence::period::{self, Moment, PeriodError};
use crate::evidence::plan::Wanted;
use crate::evidence::pull::{self, Making, Pulled};
use crate::evidence::wire::{Broker, Gateways, Scope, Seen, Wire};
use crate::evidence::{Informant, Inquiry, PullError};
use crate::text;
use crate::text::Text;

/// Arguments of `lineside usage pull`.
#[derive(clap::Args, Clone, Debug)]
#[command(group(ArgGroup::new("source").required(true).args(["broker", "api", "state", "archive"])))]
#[command(
    override_usage = "lineside usage pull --from <TIME> --broker|--api|--state|--archive <WHERE> [OPTIONS]"
)]
#[command(group(ArgGroup::new("many").args(["broker", "archive"])))]
#[command(after_help = "Example:
  lineside usage pull --broker mqtt://mqtt.example:1883 --site zs-polymer --gateway gw-01 --from 2026-01 -o january.zip
  lineside usage pull --broker mqtt://mqtt.example:1883 --all --from 2026-Q3 -o evidence/
  lineside usage pull --api http://gw-01:8080 --password-file console.password --from 2026-01-01 --to 2026-02-01
  lineside usage pull --state /media/stick/lineside --from 2026 -o year.zip
  lineside usage pull --archive http://archive.example:8610 --site zs-polymer --from 2026-Q3 -o evidence/")]
pub(super) struct Args {
    /// Where the period begins: 2026, 2026-Q3, 2026-09, 2026-09-01 or a time at a full hour; in
    /// Asia/Shanghai unless it says an offset
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Moment,
    /// Where it ends, itself not in it; without it, the period is all that --from names
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Moment>,
    /// The file, or a folder in which each gateway's is named by gateway and period. After a cut, the same
    /// command goes on where it ended
    #[arg(short, long, value_name = "PATH", default_value = ".")]
    pub(super) output: PathBuf,
    /// Over the city's broker, mqtt://HOST:PORT
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// From the gateway's own API, http://HOST:PORT
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// From a copy of the gateway's state directory
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// From the city's archive, which has it also when the gateway is off: its directory, or http://HOST:PORT
    #[arg(long, value_name = "DIR|URL")]
    archive: Option<String>,
    /// This site's gateways
    #[arg(long, requires = "many", conflicts_with_all = ["api", "state"])]
    pub(super) site: Option<Identifier>,
    /// This gateway
    #[arg(long, requires = "many", conflicts_with_all = ["api", "state"])]
    pub(super) gateway: Option<Identifier>,
    /// Every gateway that the broker or the archive knows of
    #[arg(long, requires = "many", conflicts_with_all = ["site", "gateway", "api", "state"])]
    all: bool,
    /// User name at the broker
    #[arg(long, requires = "broker", conflicts_with_all = ["api", "state", "archive"])]
    user: Option<String>,
    /// File with the password, of the broker's user or of the API
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "archive"])]
    password_file: Option<PathBuf>,
    /// Topic prefix
    #[arg(long, default_value = Topics::PREFIX)]
    prefix: String,
    /// Requests on their way at once; fewer are gentler
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    window: u8,
    /// Begin anew, and forget what an earlier attempt received
    #[arg(long)]
    fresh: bool,
    /// Print one JSON object a line for each gateway
    #[arg(long)]
    pub(super) json: bool,
}

fn moment(text: &str) -> Result<Moment, Text> {
    period::moment(text).map_err(period_words)
}

fn period_words(error: PeriodError) -> Text {
    match error {
        PeriodError::Form(text) => text!(
            "`{text}` is no time: write 2026, 2026-Q3, 2026-09, 2026-09-01 or 2026-09-01T08:00",
            "`{text}` 不是有效的时间：请写作 2026、2026-Q3、2026-09、2026-09-01 或 2026-09-01T08:00"
        ),
        PeriodError::Hour(time) => text!(
            "{time} is no full hour: periods begin and end at full hours",
            "{time} 不是整点：时段须在整点开始和结束"
        ),
        PeriodError::End => text!("say the end, too: --to TIME", "还需指定结束时刻：--to 时间"),
        PeriodError::Order { from, to } => text!(
            "the period ends ({to}) before it has begun ({from}): --to is not in the period; without it, the period is all that --from names",
            "时段的结束（{to}）不晚于开始（{from}）：--to 不含在时段内；不指定时，时段即 --from 所指的整段"
        ),
        PeriodError::Length => text!(
            "the period is longer than ten years: ask for less",
            "时段超过十年：请缩短"
        ),
    }
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure::Usage`]; [`Failure::Unreachable`] where nobody answers; [`Failure::Negative`] where what was answered
/// does not hold together; [`Failure::Store`] where it can't be written.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let period = period::period(args.from, args.to)
        .map_err(period_words)
        .map_err(Failure::Usage)?;
    let job = Job {
        args,
        context,
        period,
    };
    let runtime = runtime()?;
    runtime.block_on(async {
        if let Some(url) = &args.broker {
            return job.broker(url).await;
        }
        if let Some(url) = &args.api {
            let informant = sources::api(url, args.password_file.as_ref())?;
            return job.single(informant).await;
        }
        if let Some(archive) = &args.archive {
            return archived::run(&job, archive).await;
        }
        let Some(dir) = &args.state else {
            return Err(Failure::Other(anyhow::anyhow!("no source")));
        };
        job.single(copied(dir)?).await
    })
}

fn copied(dir: &Path) -> Result<Copied, Failure> {
    Copied::open(dir).map_err(|error| {
        let dir = dir.display();
        Failure::Negative(text!(
            "{dir} holds no ledger that can be read: {error}; say the folder that holds `ledger`",
            "{dir} 中没有可读取的台账：{error}；请指定包含 `ledger` 的文件夹"
        ))
    })
}

/// A pull.
pub(super) struct Job<'a> {
    pub(super) args: &'a Args,
    pub(super) context: &'a Context,
    pub(super) period: Period,
}

impl Job<'_> {
    pub(super) fn rhythm(&self) -> Rhythm {
        Rhythm {
            window: usize::from(self.args.window),
            ..Rhythm::default()
        }
    }

    /// From the one gateway that answers there.
    async fn single<I: Informant + Clone>(&self, informant: I) -> Result<Outcome, Failure> {
        let got = several::pull(
            self,
            (informant.clone(), informant, None),
            self.rhythm(),
            failure,
        )
        .await;
        whole(got?)
    }

    async fn broker(&self, url: &str) -> Result<Outcome, Failure> {
        let args = self.args;
        let peer = sources::broker(url, args.user.as_deref(), args.password_file.as_ref())?;
        self.whose()?;
        sources::prefix(&args.prefix)?;
        let scope = Scope {
            prefix: args.prefix.clone(),
            site: args.site.clone(),
            gateway: args.gateway.clone(),
        };
        let connected = Broker::connect(peer, &scope).await;
        let broker = connected.map_err(|fault| sources::not_connected(url, &fault))?;
        let broker = Arc::new(broker);
        let gateways = broker.gateways().await;
        if let (Some(site), Some(gateway)) = (&args.site, &args.gateway) {
            let gateway = (site.clone(), gateway.clone());
            // This user may not be allowed to read its status.
            let seen = gateways.get(&gateway).copied();
            return self.alone(&broker, &gateway, seen).await;
        }
        self.several(&broker, gateways).await
    }

    /// Whose evidence is wanted must be said where there may be that of many.
    pub(super) fn whose(&self) -> Result<(), Failure> {
        let args = self.args;
        if args.site.is_none() && args.gateway.is_none() && !args.all {
            return Err(Failure::Usage(text!(
                "say whose evidence: --site, --gateway or --all",
                "请指定取谁的证据：--site、--gateway 或 --all"
            )));
        }
        Ok(())
    }

    async fn several(&self, broker: &Arc<Broker>, gateways: Gateways) -> Result<Outcome, Failure> {
        if gateways.is_empty() {
            return Err(Failure::Unreachable(text!(
                "the broker knows of no such gateway: check --site, --gateway and --prefix, and that this user may read `status`",
                "消息服务器上没有这样的网关：请检查 --site、--gateway 和 --prefix，以及该用户是否可读取 `status`"
            )));
        }
        if let (Some((gateway, seen)), 1) = (gateways.first_key_value(), gateways.len()) {
            return self.alone(broker, gateway, Some(*seen)).await;
        }
        if !is_folder(&self.args.output) {
            let (count, path) = (gateways.len(), self.args.output.display());
            return Err(Failure::Usage(text!(
                "there are {count} gateways, and `{path}` is one file: say a folder, as `-o {path}/`",
                "共有 {count} 个网关，而 `{path}` 是单个文件：请指定文件夹，如 `-o {path}/`"
            )));
        }
        let mut missing = Missing::default();
        // Those that are there don't wait for strangers of whom nobody knows.
        let (online, off) = off::parted(gateways);
        for gateway in online {
            let done = self.over(broker, &gateway, self.rhythm()).await;
            missing.note(self, &gateway, done)?;
        }
        let ask = async |gateway: &(_, _), patience| broker.is_answered(gateway, patience).await;
        let asked = off::answered(off, usize::from(self.args.window), ask).await;
        let mut lost = off::Lost::default();
        for (gateway, answered) in asked {
            let done = match off::refusal(answered, &lost) {
                Some(failure) => Err(failure),
                None => {
                    let rhythm = off::rhythm(self.rhythm(), Some(Seen { online: false }));
                    let done = off::pull(self, broker, &gateway, rhythm).await;
                    lost.note(&done);
                    done
                }
            };
            missing.note(self, &gateway, done)?;
        }
        match missing.0 {
            None => Ok(Outcome::Done),
            Some(failure) => Err(summed(failure)),
        }
    }

    /// The only gateway that is wanted, and what the broker keeps of it.
    async fn alone(
        &self,
        broker: &Arc<Broker>,
        gateway: &(Identifier, Identifier),
        seen: Option<Seen>,
    ) -> Result<Outcome, Failure> {
        if seen.is_some_and(|seen| seen.online) {
            return whole(self.over(broker, gateway, self.rhythm()).await?);
        }
        let rhythm = off::rhythm(self.rhythm(), seen);
        whole(off::pull(self, broker, gateway, rhythm).await?)
    }

    /// From whoever answers for the gateway, which may be itself. Whether that is all of the period.
    pub(super) async fn over(
        &self,
        broker: &Arc<Broker>,
        gateway: &(Identifier, Identifier),
        rhythm: Rhythm,
    ) -> Result<bool, Failure> {
        let wire = Wire::new(broker, &gateway.0, &gateway.1);
        // Archives may answer about them, too.
        let before = Wire::of_before(broker, &gateway.0, &gateway.1);
        several::pull(self, (wire, before, Some(gateway)), rhythm, no_answer).await
    }

    /// Makes a bundle, and says what was got; of an archive's log, what the archive holds against it as well.
    pub(super) async fn make<I: Informant>(
        &self,
        inquiry: Inquiry<I>,
        gateway: (Identifier, Identifier),
        bundle: &Path,
        log: Option<&Standing>,
    ) -> Result<Result<Given, Failure>, PullError> {
        let language = self.context.language;
        let progress = Arc::new(Progress::default());
        let name = format!("{}/{}", gateway.0, gateway.1);
        let watch = shown::watch(name, Arc::clone(&progress), language);
        let wanted = Wanted {
            gateway,
            period: self.period,
        };
        let making = Making {
            wanted: &wanted,
            bundle,
            fresh: self.args.fresh,
            made: SystemClock.now().wall,
            by: concat!("lineside ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let pulled = pull::pull(inquiry, making, &progress).await;
        drop(watch);
        let pulled = pulled?;
        let (mut out, mut err) = (io::stdout().lock(), io::stderr());
        let to = (&mut out, &mut err);
        let said = shown::got(to, (bundle, &pulled), log, self.args.json, language);
        Ok(said.map(|()| Given(pulled)))
    }

    /// The file of a gateway's evidence, or of one epoch of several. Makes the folder where one is named.
    pub(super) fn file(
        &self,
        (site, gateway): &(Identifier, Identifier),
        epoch: Option<u32>,
    ) -> Result<PathBuf, Failure> {
        let output = &self.args.output;
        if !is_folder(output) {
            return Ok(output.clone());
        }
        std::fs::create_dir_all(output).map_err(|error| {
            let path = output.display();
            Failure::Store(text!(
                "the folder {path} can't be made: {error}",
                "无法建立文件夹 {path}：{error}"
            ))
        })?;
        let Period { from, to } = self.period;
        let epoch = epoch.map_or_else(String::new, |epoch| format!("-e{epoch}"));
        let (from, to) = (in_name(from), in_name(to));
        let name = format!("{site}-{gateway}-{from}-{to}{epoch}.zip");
        Ok(output.join(name))
    }
}

/// What was given of a log.
#[derive(Debug)]
pub(super) struct Given(Pulled);

impl Given {
    /// What is lacking, where so many leaves are known.
    pub(super) fn short_of(&self, known: u64) -> Option<Lack> {
        let given = self.0.short_of(known)?;
        Some(Lack::Short { given, known })
    }
}

/// What is missing of several gateways: the first failure.
#[derive(Default)]
struct Missing(Option<Failure>);

impl Missing {
    /// Takes in how it went with one, and says it; whether all of it was got.
    fn note(
        &mut self,
        job: &Job<'_>,
        gateway: &(Identifier, Identifier),
        done: Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let failure = match done {
            Ok(true) => return Ok(()),
            // What is missing was said.
            Ok(false) => Failure::Unreachable(not_all()),
            Err(failure) => {
                shown::not_got(gateway, &failure, job.args.json, job.context.language)?;
                failure
            }
        };
        self.0.get_or_insert(failure);
        Ok(())
    }
}

/// Whether a path is that of a folder: it is one, or ends as one.
pub(super) fn is_folder(path: &Path) -> bool {
    let ends_so = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    ends_so || path == OsStr::new(".") || path.is_dir()
}

/// A moment of Asia/Shanghai as a part of a file's name.
fn in_name(time: Time) -> String {
    let civil = jiff::Timestamp::from_millisecond(time.as_millis())
        .map(|stamp| Offset::constant(8).to_datetime(stamp));
    match civil {
        Ok(civil) if civil.hour() == 0 => civil.strftime("%Y%m%d").to_string(),
        Ok(civil) => civil.strftime("%Y%m%dT%H").to_string(),
        Err(_) => time.as_millis().to_string(),
    }
}

/// What came of one gateway, of which all was got or not.
fn whole(is_whole: bool) -> Result<Outcome, Failure> {
    if is_whole {
        return Ok(Outcome::Done);
    }
    Err(Failure::Unreachable(not_all()))
}

/// Something is missing, which was said before.
pub(super) fn not_all() -> Text {
    text!(
        "not every gateway's evidence was got: see above; the same command goes on with what is missing",
        "并非所有网关的证据都已取得：见上文；再次运行同一命令即可继续"
    )
}

/// What the first of several failures was, for the exit code.
pub(super) fn summed(failure: Failure) -> Failure {
    let words = not_all();
    match failure {
        Failure::Unreachable(_) => Failure::Unreachable(words),
        Failure::Correct(_) => Failure::Correct(words),
        Failure::Store(_) => Failure::Store(words),
        Failure::Usage(_) => Failure::Usage(words),
        Failure::Negative(_) | Failure::Configuration(_) | Failure::Other(_) => {
            Failure::Negative(words)
        }
    }
}

/// The same over a broker, where the archive may be asked instead.
pub(super) fn no_answer(error: PullError) -> Failure {
    if let PullError::Unreachable(why) | PullError::PutOff(why) = error {
        return Failure::Unreachable(text!(
            "no answer: {why}; what has come is kept, and the same command goes on with it. The city's archive has it also when the gateway is off: --archive DIR or URL",
            "没有应答：{why}；已取得的部分会保留，再次运行同一命令即可继续。网关离线时可向城市存证库索取：--archive 目录或网址"
        ));
    }
    failure(error)
}

pub(super) fn failure(error: PullError) -> Failure {
    match error {
        PullError::Unreachable(why) | PullError::PutOff(why) => Failure::Unreachable(text!(
            "no answer: {why}; what has come is kept, and the same command goes on with it",
            "没有应答：{why}；已取得的部分会保留，再次运行同一命令即可继续"
        )),
        PullError::Refused { method, code, text } => Failure::Negative(text!(
            "{method} is refused: {text} ({code})",
            "{method} 被拒绝：{text}（{code}）"
        )),
        PullError::Lies(what) => Failure::Negative(Text {
            en: format!("this source can't be believed: {}", what.en),
            zh: format!("此来源不可信：{}", what.zh),
        }),
        PullError::Nothing => Failure::Negative(text!(
            "the ledger has no signed leaf of that period",
            "台账中没有该时段的已签名记录"
        )),
        PullError::File { path, source } => {
            let path = path.display();
            Failure::Store(text!("{path}: {source}", "{path}：{source}"))
        }
        PullError::Other(path) => {
            let path = path.display();
            Failure::Usage(text!(
                "{path} holds what another pull received: take another --output, or begin anew with --fresh",
                "{path} 中是另一次获取的内容：请改用其他 --output，或以 --fresh 重新开始"
            ))
        }
        PullError::Held(path) => {
            let path = path.display();
            Failure::Store(text!(
                "another process works in {path}: wait for it, or end it",
                "另一个进程正在使用 {path}：请等待其结束，或将其停止"
            ))
        }
    }
}
