//! `lineside ledger`: a check of the whole log on disk, and a new epoch where it can't be continued.

use lineside_proto::ledger::note::NOTE_BYTES_MAX;
use lineside_proto::ledger::{Audit, LeafBody, PriorHead};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::confirm::confirmed;
use super::keys::{ledger_failure, load};
use super::{Context, Failure, Outcome, write_json};
use crate::clock::{Clock, SystemClock, boot_id};
use crate::config::model::Gateway;
use crate::control::user_name;
use crate::entered;
use crate::ledger::{self, CheckError, Checked, Ledger, LedgerError, Testimony};
use crate::logs::chain;
use crate::record::Entry;
use crate::text;
use crate::text::Text;

/// Arguments of `lineside ledger`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example: lineside ledger check")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// Verifies the whole ledger on disk: leaves, tiles, checkpoint; also while the agent runs
    Check(Check),
    /// Gives the ledger up and begins a new one that cites it; only with the agent stopped
    NewEpoch(NewEpoch),
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside ledger check --json")]
struct Check {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside ledger new-epoch --reason \"the disk was replaced\"")]
struct NewEpoch {
    /// Why the ledger can't be continued; becomes part of the new one
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// The last head that the city has, as a signed note from its archive: where nothing here remembers it, or a single witness has more
    #[arg(long, value_name = "FILE")]
    prior: Option<PathBuf>,
    /// Cite what this gateway alone remembers, though nothing of what the city has was heard: archives stop it if they have cosigned more.
    /// With --prior: the city has nothing of an epoch whose leaves are not here
    #[arg(long)]
    unheard: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// What a check says, for programs.
#[derive(Serialize)]
struct Said {
    sound: bool,
    origin: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    leaves: Option<u64>,
    files: Option<u64>,
    error: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// A ledger that is not sound, or can't be read; `new-epoch`: an agent that runs.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let gateway = context.load()?.config.gateway;
    match &args.command {
        Command::Check(args) => check(args, &gateway, context),
        Command::NewEpoch(args) => new_epoch(args, &gateway, context),
    }
}

fn check(args: &Check, gateway: &Gateway, context: &Context) -> Result<Outcome, Failure> {
    let settings = &gateway.ledger;
    let checked = ledger::check(&gateway.state_dir, &settings.key, &settings.origin);
    let mut out = io::stdout().lock();
    match checked {
        Ok(checked) if args.json => {
            write_json(&mut out, &sound(checked))?;
            Ok(Outcome::Done)
        }
        Ok(checked) => {
            writeln!(out, "{}", in_words(&checked).say(context.language))?;
            Ok(Outcome::Done)
        }
        Err(error) if args.json && is_verdict(&error) => {
            write_json(&mut out, &unsound(&error))?;
            Ok(Outcome::Negative)
        }
        Err(error) => Err(failure(error)),
    }
}

fn sound(checked: Checked) -> Said {
    let head = checked.checkpoint;
    Said {
        sound: true,
        size: Some(head.as_ref().map_or(0, |head| head.size)),
        root: head.as_ref().map(|head| head.root.to_string()),
        origin: head.map(|head| head.origin),
        leaves: Some(checked.leaves),
        files: Some(checked.files),
        error: None,
    }
}

fn unsound(error: &CheckError) -> Said {
    Said {
        sound: false,
        origin: None,
        size: None,
        root: None,
        leaves: None,
        files: None,
        error: Some(chain(error)),
    }
}

fn in_words(checked: &Checked) -> Text {
    let Checked {
        checkpoint,
        leaves,
        files,
    } = checked;
    match checkpoint {
        None => text!(
            "the ledger is sound; nothing was signed yet, {leaves} leaves wait",
            "台账完好；尚未签名，待签 {leaves} 条记录"
        ),
        Some(head) => text!(
            "the ledger is sound\norigin: {}\nsize: {}\nroot: {}\nleaves on disk: {leaves}\nfiles compared: {files}",
            "台账完好\norigin：{}\n已签名记录：{}\n根哈希：{}\n磁盘上的记录：{leaves}\n已核对文件：{files}",
            head.origin,
            head.size,
            head.root
        ),
    }
}

/// Whether something is said of the ledger, rather than that it could not be looked at.
fn is_verdict(error: &CheckError) -> bool {
    match error {
        CheckError::Files { .. }
        | CheckError::Leaf { .. }
        | CheckError::Journal { .. }
        | CheckError::Missing(_) => true,
        CheckError::Ledger(error) => matches!(error, LedgerError::Damaged { .. }),
    }
}

fn failure(error: CheckError) -> Failure {
    if let CheckError::Missing(dir) = &error {
        let dir = dir.display();
        return Failure::Negative(text!(
            "there is no ledger in {dir} yet; `lineside run` begins one",
            "{dir} 中还没有台账；`lineside run` 会建立"
        ));
    }
    if is_verdict(&error) {
        let said = chain(&error);
        return Failure::Negative(text!(
            "the ledger is not sound: {said}",
            "台账校验未通过：{said}"
        ));
    }
    match error {
        CheckError::Ledger(error) => ledger_failure(error),
        CheckError::Missing(_)
        | CheckError::Files { .. }
        | CheckError::Leaf { .. }
        | CheckError::Journal { .. } => Failure::Other(error.into()),
    }
}

fn new_epoch(args: &NewEpoch, gateway: &Gateway, context: &Context) -> Result<Outcome, Failure> {
    let settings = &gateway.ledger;
    let (key, base) = (&settings.key, &settings.origin);
    let dir = gateway.state_dir.join("ledger");
    let prior = args.prior.as_deref().map(note).transpose()?;
    // Whoever brings the last head needs no ledger that was begun in ignorance of it.
    if !dir.is_dir() && prior.is_none() {
        return Err(failure(CheckError::Missing(dir)));
    }
    let origin = ledger::origin(key, base).map_err(ledger_failure)?;
    // A key that is not there must not be made here: it would be another one.
    load(key, &origin)?;
    let shown = dir.display();
    let explained = text!(
        "The ledger {origin} in {shown} will be given up: it is moved aside and kept, and nothing in it changes.\n\
         A new one begins; its first leaf cites the last head that the city has or that was signed, and the reason.\n\
         Do this only where it can't be continued: its disk was lost, or an old copy was restored.",
        "将放弃 {shown} 中的台账 {origin}：它会被移到一旁并保留，其内容不变。\n\
         随后建立新台账；其第一条记录引用城市平台掌握的或最后一次签名的存证点，并写明原因。\n\
         仅当台账无法延续时才这样做：磁盘丢失，或恢复了旧的副本。"
    );
    if !args.yes {
        writeln!(io::stdout(), "{}", explained.say(context.language))?;
        if !confirmed(&text!("Begin a new epoch?", "建立新台账？"), context)? {
            let not = text!("nothing was changed", "未作任何改动");
            writeln!(io::stdout(), "{}", not.say(context.language))?;
            return Ok(Outcome::Negative);
        }
    }
    let testimony = Testimony {
        witnesses: &settings.witnesses.keys,
        quorum: settings.witnesses.quorum,
        prior: prior.as_deref(),
        unheard: args.unheard,
    };
    let aside = ledger::new_epoch(&gateway.state_dir, key, base, &args.reason, &testimony);
    // Whoever signs with this key is the agent of this ledger.
    let aside = aside.map_err(|error| {
        if matches!(error, LedgerError::KeyHeld { .. }) {
            ledger_failure(LedgerError::Held { dir: dir.clone() })
        } else {
            ledger_failure(error)
        }
    })?;
    let kept = aside.file_name().unwrap_or_default().to_string_lossy();
    let unheard = if args.unheard { ", by --unheard" } else { "" };
    let what = format!("{origin} kept in {kept}{unheard}");
    let (next, cited) = begin(gateway, what).map_err(ledger_failure)?;
    let cited = citation(cited.as_ref());
    let done = text!(
        "the old ledger is kept in {}\nthe new one is {next}: evaluators need its line (`lineside keys show --trust`), the city a card only where the key is new\n{cited}",
        "旧台账保留在 {}\n新台账为 {next}：请把它的一行交给评估人（`lineside keys show --trust`）；仅当密钥为新密钥时，才需向城市平台登记新卡\n{cited}",
        aside.display()
    );
    writeln!(io::stdout(), "{}", done.say(context.language))?;
    Ok(Outcome::Done)
}

/// What the new ledger cites, in words.
fn citation(cited: Option<&PriorHead>) -> Text {
    match cited {
        Some(head) => text!(
            "it cites {} with {} leaves",
            "它引用 {} 的 {} 条记录",
            head.origin,
            head.size
        ),
        None => text!(
            "it cites nothing: no head of the old one is known here; an archive that has cosigned any of it stops the new one with an alarm",
            "它没有引用：此处不知道旧台账的任何存证点；若存证库曾会签旧台账，则会告警并停止新台账"
        ),
    }
}

/// A signed note from a file.
fn note(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let refuse = |why: String| {
        Failure::Usage(text!(
            "the note {shown} can't be read: {why}",
            "无法读取签名存证点 {shown}：{why}"
        ))
    };
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut text = String::new();
    let most = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    let read = file.take(most).read_to_string(&mut text);
    read.map_err(|error| refuse(error.to_string()))?;
    Ok(text)
}

/// Writes the first leaves of the new ledger: what it continues, and who did what to begin it. Gives its origin, and the
/// head that it cites.
fn begin(gateway: &Gateway, what: String) -> Result<(String, Option<PriorHead>), LedgerError> {
    let settings = &gateway.ledger;
    let (ledger, opened) = Ledger::open(&gateway.state_dir, &settings.key, &settings.origin)?;
    let at = SystemClock.now();
    let audit = Audit {
        who: user_name(rustix::process::getuid().as_raw()),
        action: "new-epoch".to_owned(),
        what,
    };
    let genesis = opened.genesis(&gateway.site, &gateway.id);
    let entries = [genesis, LeafBody::Audit(audit)].map(|body| Entry { at, body });
    ledger.append(&boot_id(), &entries)?;
    Ok((opened.origin, opened.prior))
}

fn reason(text: &str) -> Result<String, Text> {
    entered::reason(text)
}
