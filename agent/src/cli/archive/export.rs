//! `lineside archive export`: one log as a folder that an auditor can take away.

use lineside_proto::Identifier;
use std::io::{self, Write};
use std::path::PathBuf;

use super::none_there;
use crate::archive::export::{ExportError, export};
use crate::archive::{Place, Shelf};
use crate::cli::against::Against;
use crate::cli::{Context, Failure, Outcome, write_json};
use crate::logs::chain;
use crate::text;

/// Arguments of `lineside archive export`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside archive export --dir /srv/archive --site zs-polymer --gateway gw-01 -o gw-01/"
)]
pub(super) struct Args {
    /// The archive's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The site
    #[arg(long)]
    site: Identifier,
    /// Its gateway
    #[arg(long)]
    gateway: Identifier,
    /// The epoch of its ledger; without it, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epoch: Option<u32>,
    /// The folder, which must be empty or not be there: laid out as a state directory, so that `usage pull --state` reads
    /// it, too
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such log, it can't be read, or the folder can't be written.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    taken(args, context, &mut io::stderr())
}

fn taken(args: &Args, context: &Context, err: &mut impl Write) -> Result<Outcome, Failure> {
    let shelf = Shelf::of(&args.dir);
    if !shelf.logs_dir().is_dir() {
        return Err(none_there(&args.dir));
    }
    let epochs = shelf.epochs(&args.site, &args.gateway)?;
    let epoch = args.epoch.or(epochs.last().copied()).unwrap_or(1);
    let place = Place {
        site: args.site.clone(),
        gateway: args.gateway.clone(),
        epoch,
    };
    let standing = export(&shelf, &place, &args.output).map_err(failure)?;
    // With its alarms: JSON has them, too.
    Against::of(&standing).say(err, &place, context.language)?;
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &standing)?;
        return Ok(Outcome::Done);
    }
    let (size, root, folder) = (standing.size, &standing.root, args.output.display());
    let done = text!(
        "{folder}: the log {place}, {size} leaves, root {root}\n\
         ledger/ is a C2SP tiled log for any tool; `lineside usage pull --state {folder}` reads all of it",
        "{folder}：日志 {place}，{size} 条记录，根哈希 {root}\n\
         ledger/ 为 C2SP 分块日志，任何工具均可读取；`lineside usage pull --state {folder}` 可读取全部内容"
    );
    writeln!(out, "{}", done.say(context.language))?;
    let others: Vec<String> = epochs
        .iter()
        .filter(|other| **other != epoch)
        .map(|other| format!("--epoch {other}"))
        .collect();
    if !others.is_empty() {
        let others = others.join(", ");
        let line = text!(
            "its ledger has other epochs: {others}",
            "该台账还有其他各期：{others}"
        );
        writeln!(out, "{}", line.say(context.language))?;
    }
    Ok(Outcome::Done)
}

fn failure(error: ExportError) -> Failure {
    let said = chain(&error);
    match error {
        ExportError::Missing(place) => Failure::Negative(text!(
            "the archive has no log {place}",
            "存证库中没有日志 {place}"
        )),
        ExportError::Occupied(path) => {
            let path = path.display();
            Failure::Usage(text!(
                "{path} is not empty: name another folder",
                "{path} 不是空文件夹：请指定其他文件夹"
            ))
        }
        ExportError::Files(_) => Failure::Negative(text!("{said}", "导出的内容未通过校验：{said}")),
        ExportError::Log(_) | ExportError::Disk { .. } => {
            Failure::Store(text!("{said}", "无法导出：{said}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, taken};
    use crate::archive::Record;
    use crate::archive::testing::City;
    use crate::cli::{Context, Outcome};
    use crate::text::Language;
    use std::path::PathBuf;

    #[test]
    fn whoever_takes_out_a_log_is_told_of_its_alarms() {
        let city = City::new();
        let held = city.gateway("zs", "gw");
        held.grow(3, 0);
        city.keep(&held, None);
        let context = Context {
            config: PathBuf::new(),
            language: Language::En,
        };
        let outs = tempfile::tempdir().unwrap();
        let check = |name: &str, expected: &str| {
            let args = Args {
                dir: city.dir(),
                site: held.place.site.clone(),
                gateway: held.place.gateway.clone(),
                epoch: None,
                output: outs.path().join(name),
                json: true,
            };
            let mut err = Vec::new();
            assert_eq!(taken(&args, &context, &mut err).unwrap(), Outcome::Done);
            let err = String::from_utf8(err).unwrap();
            assert!(err.starts_with(expected), "{err}");
            assert_eq!(err.is_empty(), expected.is_empty(), "{err}");
        };
        check("a", "");
        let record = city.shelf().record(&held.place).unwrap().unwrap();
        city.record(
            &held.place,
            &Record {
                alarms: 3,
                ..record
            },
        );
        check("b", "zs/gw e1: the archive has raised 3 alarms");
    }
}
