//! `lineside archive`: the city's copy of every ledger.

mod export;
mod index;
mod keep;
mod standings;
mod status;
mod verify;
mod witness_key;

use std::fs;
use std::io;
use std::path::Path;

use super::{Context, Failure, Outcome};
use crate::text;

/// Arguments of `lineside archive`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Example: lineside archive --broker mqtt://mqtt.example --dir /srv/archive --witness-key witness/w.key"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    keep: keep::Args,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// How every log stands: leaves, how old its head is, what is cosigned, what was refused (exit code 1: a
    /// gateway's newest log stands still, one can't be read, or a card is missing or does not count)
    Status(status::Args),
    /// Verifies every log anew from its files
    Verify(verify::Args),
    /// Takes one log out, as a folder that an auditor can take away
    Export(export::Args),
    /// The index for queries: compared with the tiles, or made anew from them
    Index(index::Args),
    /// Makes or shows the key of a witness, and what others write to trust it
    WitnessKey(witness_key::Args),
}

/// Runs the command.
///
/// # Errors
///
/// Those of its parts.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        None => keep::run(&args.keep, context),
        Some(Command::Status(args)) => status::run(args, context),
        Some(Command::Verify(args)) => verify::run(args, context),
        Some(Command::Export(args)) => export::run(args, context),
        Some(Command::Index(args)) => index::run(args, context),
        Some(Command::WitnessKey(args)) => witness_key::run(args, context),
    }
}

/// There is no such folder of enrolment cards.
fn no_cards(dir: &Path) -> Failure {
    let dir = dir.display();
    Failure::Usage(text!(
        "there is no folder {dir}: say where the enrolment cards are",
        "没有目录 {dir}：请指明登记卡所在目录"
    ))
}

/// A directory that holds no archive.
fn none_there(dir: &Path) -> Failure {
    let about = fs::metadata(dir.join("logs"));
    let dir = dir.display();
    if about.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        return Failure::Correct(text!(
            "{dir} may not be entered: do this as the archive's own account, as `sudo -u ACCOUNT lineside archive …`",
            "无权进入 {dir}：请以存证库自己的账户执行，如 `sudo -u 账户 lineside archive …`"
        ));
    }
    Failure::Usage(text!(
        "{dir} holds no archive: say the folder that holds `logs`",
        "{dir} 中没有存证库：请指定包含 `logs` 的文件夹"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Args, run};
    use crate::cli::{Context, Failure};
    use crate::text::Language;
    use clap::{Args as _, Command, FromArgMatches};
    use std::path::PathBuf;

    /// A mistyped directory is no bad news of an archive.
    #[test]
    fn a_directory_without_an_archive_is_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context {
            config: PathBuf::new(),
            language: Language::En,
        };
        let log = ["--site", "s", "--gateway", "g", "-o", "out"];
        for place in [dir.path().to_owned(), dir.path().join("nosuch")] {
            let place = place.display().to_string();
            for (words, more) in [
                (&["status"][..], &[][..]),
                (&["verify"], &[]),
                (&["export"], &log),
                (&["index", "--check"], &[]),
                (&["index", "--rebuild"], &[]),
            ] {
                let words = [&["archive"], words, &["--dir", &place], more].concat();
                let found = Args::augment_args(Command::new("archive")).get_matches_from(&words);
                let ended = run(&Args::from_arg_matches(&found).unwrap(), &context);
                let Err(Failure::Usage(text)) = ended else {
                    panic!("{words:?}: {ended:?}");
                };
                assert!(text.en.contains("holds no archive"), "{words:?}: {text}");
            }
        }
    }
}
