//! `lineside archive --broker URL --dir D`: keeps the copy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lineside_proto::Topics;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::archive::run::{self, ArchiveError, Settings};
use crate::archive::witness::{ForeignLogs, ListError, Target, Witness};
use crate::cli::usage::sources;
use crate::cli::{Context, Failure, Outcome, runtime};
use crate::config::model::Log;
use crate::logs::{self, chain};
use crate::text;

/// Arguments of `lineside archive` itself.
#[derive(clap::Args, Clone, Debug)]
#[group(id = "keep")]
pub(super) struct Args {
    /// The city's broker, mqtt://HOST:PORT
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// The archive's directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder with a card for each gateway, as `lineside keys show --json` prints it; else `gateways` in the directory
    #[arg(long, value_name = "DIR")]
    gateways: Option<PathBuf>,
    /// Cosign what is verified, with the key of `lineside archive witness-key`
    #[arg(long, value_name = "FILE")]
    witness_key: Option<PathBuf>,
    /// Seconds from one cosignature of a gateway to the next at least: a trial can't wait for a minute
    #[arg(long, value_name = "S", default_value_t = 60, hide = true)]
    cosign_every: u32,
    /// Share the directory with other processes that are given the same name
    #[arg(long, value_name = "GROUP")]
    share: Option<String>,
    /// User name at the broker
    #[arg(long)]
    user: Option<String>,
    /// File with the password of the broker's user
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Topic prefix
    #[arg(long, default_value = Topics::PREFIX)]
    prefix: String,
    /// Where the API listens, such as 127.0.0.1:8610; nowhere unless it is told
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Keep the index in PostgreSQL instead of the directory's own
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// File with other people's logs that the witness cosigns when they are shown to it: a verifier key a line
    #[arg(long, value_name = "FILE", requires = "witness_key")]
    witness_logs: Option<PathBuf>,
    /// File with other people's witnesses that our logs are shown to: an address and a verifier key a line
    #[arg(long, value_name = "FILE")]
    submit: Option<PathBuf>,
    /// How the log is written: human or json to standard error, or journald
    #[arg(long, value_enum, default_value_t = Form::Human, hide_possible_values = true)]
    log: Form,
}

/// The forms of the log.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Human,
    Json,
    Journald,
}

/// Keeps an archive until SIGTERM or SIGINT.
///
/// # Errors
///
/// See [`Failure`].
pub(super) fn run(args: &Args, _context: &Context) -> Result<Outcome, Failure> {
    let (Some(broker), Some(dir)) = (&args.broker, &args.dir) else {
        return Err(Failure::Usage(text!(
            "an archive needs --broker URL and --dir DIR, or one of its commands: `lineside archive --help`",
            "存证库需要 --broker URL 和 --dir 目录，或其子命令：`lineside archive --help`"
        )));
    };
    let is_plain = |group: &String| !group.is_empty() && !group.contains(['/', '+', '#']);
    if args.share.as_ref().is_some_and(|group| !is_plain(group)) {
        return Err(Failure::Usage(text!(
            "--share is a name without / + #",
            "--share 的名称不能含 / + #"
        )));
    }
    let peer = sources::broker(broker, args.user.as_deref(), args.password_file.as_ref())?;
    let witness = args.witness_key.as_deref().map(Witness::open).transpose();
    let witness = witness.map_err(|error| {
        let why = chain(&error);
        Failure::Store(text!("the witness's key: {why}", "见证密钥：{why}"))
    })?;
    let listed = |error: ListError| {
        let why = chain(&error);
        Failure::Usage(text!("{why}", "{why}"))
    };
    let foreign_logs = args.witness_logs.as_deref().map(ForeignLogs::load);
    let foreign_logs = foreign_logs.transpose().map_err(listed)?;
    let submit = args.submit.as_deref().map(Target::load);
    let submit = submit.transpose().map_err(listed)?;
    let form = match args.log {
        Form::Human => Log::Human,
        Form::Json => Log::Json,
        Form::Journald => Log::Journald,
    };
    logs::start(form)?;
    let settings = Settings {
        broker: peer,
        prefix: args.prefix.clone(),
        cards: args
            .gateways
            .clone()
            .unwrap_or_else(|| dir.join("gateways")),
        dir: dir.clone(),
        witness,
        cosign_every: Duration::from_secs(args.cosign_every.into()),
        share: args.share.clone(),
        listen: args.listen,
        postgres: args.postgres.clone(),
        foreign_logs: foreign_logs.unwrap_or_default(),
        submit: submit.unwrap_or_default(),
    };
    runtime()?.block_on(async {
        let cancel = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = cancel.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "the archive runs");
        run::run(settings, cancel).await.map_err(failure)?;
        tracing::info!("stopped");
        Ok(Outcome::Done)
    })
}

/// For a person.
fn failure(error: ArchiveError) -> Failure {
    let why = chain(&error);
    Failure::Store(text!("{why}", "{why}"))
}
