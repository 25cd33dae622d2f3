//! The command line: one file a subcommand, thin.

mod against;
pub mod apply;
pub mod archive;
pub mod booking;
pub mod browse;
pub mod check;
mod columns;
mod confirm;
pub mod correct;
pub mod demo;
mod failure;
mod help;
mod interrupt;
pub mod keys;
pub mod ledger;
pub mod probe;
pub mod run;
pub mod schema;
pub mod session;
pub mod sim;
pub mod status;
pub mod table;
pub mod trust;
pub mod usage;
pub mod watch;
mod words;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use failure::{Failure, Outcome};

use crate::config::{self, Loaded};
use crate::text;
use crate::text::{Language, Text};

/// Where the gateway file lies unless a command says otherwise.
const CONFIG_PATH: &str = "/etc/lineside/gateway.toml";

/// The agent beside the line: reads shared machines, works out their true state, keeps everything
/// safe while the network is down and publishes it to the city.
#[derive(Parser, Debug)]
#[command(
    name = "lineside",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Example: lineside demo --for 60s")]
struct Arguments {
    /// The gateway file
    #[arg(short, long, global = true, env = "LINESIDE_CONFIG", default_value = CONFIG_PATH)]
    config: PathBuf,

    /// The language to speak: en or zh-CN (else the configuration's, else the locale's)
    #[arg(long, global = true, value_parser = language)]
    lang: Option<Language>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// A virtual pilot line, a broker and the agent in one process: see it work, without any set-up
    Demo(demo::Args),
    /// The daemon: reads the configured machines until it is told to stop
    Run(run::Args),
    /// Every fault of every configuration file at once
    Check(check::Args),
    /// Makes the running agent take up changed machine maps; shows the difference first
    Apply(apply::Args),
    /// Reads a machine now: raw words, values in every byte order, the state and why
    Probe(probe::Args),
    /// The address space of an OPC UA server as a tree, or a machine map from it
    Browse(browse::Args),
    /// Shows the certificate of a machine's OPC UA server, and writes that it is trusted
    Trust(trust::Args),
    /// The health of the running agent
    Status(status::Args),
    /// Check-in and check-out at the machine
    Session(session::Args),
    /// Says that a leaf of the ledger is wrong; what was written stays
    Correct(correct::Args),
    /// The ledger's signing key, and the card by which the city gets to know it
    Keys(keys::Args),
    /// Verifies the ledger on disk; begins a new epoch where it can't be continued
    Ledger(ledger::Args),
    /// An evaluator's steps: a period's evidence fetched, verified, and counted
    Usage(usage::Args),
    /// The city's copy of every ledger: verified, kept as static files, cosigned
    Archive(archive::Args),
    /// Live availability of a whole site, as a portal sees it
    Watch(watch::Args),
    /// JSON Schemas, the AsyncAPI and the OpenAPI document of everything that Lineside sends
    Schema(schema::Args),
    /// Keys and tokens of bookings, for whoever builds or tries a portal
    Booking(booking::Args),
    /// The virtual pilot line alone, with faults on request
    Sim(sim::Args),
}

/// What every command knows.
#[derive(Clone, Debug)]
pub struct Context {
    /// The gateway file (`-c`, else `LINESIDE_CONFIG`, else `/etc/lineside/gateway.toml`).
    pub config: PathBuf,
    /// The language to speak.
    pub language: Language,
}

impl Context {
    /// Loads the configuration, with its warnings.
    ///
    /// # Errors
    ///
    /// [`Failure::Configuration`] with every fault, rendered.
    pub fn load(&self) -> Result<Loaded, Failure> {
        config::load(&self.config).map_err(|faults| {
            let report = faults.render(self.language, false, terminal_width());
            let hint = text!(
                "`lineside check -c {}` shows the same",
                "可用 `lineside check -c {}` 查看",
                self.config.display()
            );
            Failure::Configuration(format!("{report}\n{}\n", hint.say(self.language)))
        })
    }
}

/// Runs the command line.
pub fn main<I>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
{
    let words: Vec<OsString> = arguments.into_iter().collect();
    let spoken = spoken_language(&words);
    let command = match spoken {
        Language::En => Arguments::command(),
        Language::ZhCn => help::in_chinese(Arguments::command()),
    };
    let arguments = command
        .try_get_matches_from(words)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => return answer(&error, spoken),
    };
    let language = arguments
        .lang
        .unwrap_or_else(|| configured_language(&arguments.config));
    let context = Context {
        config: arguments.config,
        language,
    };
    let result = match &arguments.command {
        Command::Demo(args) => demo::run(args, &context),
        Command::Run(args) => run::run(args, &context),
        Command::Check(args) => check::run(args, &context),
        Command::Apply(args) => apply::run(args, &context),
        Command::Probe(args) => probe::run(args, &context),
        Command::Browse(args) => browse::run(args, &context),
        Command::Trust(args) => trust::run(args, &context),
        Command::Status(args) => status::run(args, &context),
        Command::Session(args) => session::run(args, &context),
        Command::Correct(args) => correct::run(args, &context),
        Command::Keys(args) => keys::run(args, &context),
        Command::Ledger(args) => ledger::run(args, &context),
        Command::Usage(args) => usage::run(args, &context),
        Command::Archive(args) => archive::run(args, &context),
        Command::Watch(args) => watch::run(args, &context),
        Command::Schema(args) => schema::run(args, &context),
        Command::Booking(args) => booking::run(args, &context),
        Command::Sim(args) => sim::run(args, &context),
    };
    match result {
        Ok(outcome) => outcome.code(),
        Err(failure) => failure.report(language),
    }
}

/// Says what clap has to say: the help, the version or what is wrong with the arguments.
fn answer(error: &clap::Error, language: Language) -> ExitCode {
    // A closed terminal is no reason to complain.
    drop(match (language, error.use_stderr()) {
        (Language::En, _) => error.print(),
        (Language::ZhCn, false) => {
            let text = error.render();
            let plain = !io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
            let text = if plain {
                text.to_string()
            } else {
                text.ansi().to_string()
            };
            io::stdout().write_all(help::framed(&text).as_bytes())
        }
        (Language::ZhCn, true) => io::stderr().write_all(help::complaint(error).as_bytes()),
    });
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// The language before anything is parsed, for the help and for wrong usage.
fn spoken_language(words: &[OsString]) -> Language {
    let lang = said(words, &["--lang"]).and_then(|lang| lang.parse().ok());
    lang.unwrap_or_else(|| {
        let config = said(words, &["-c", "--config"]).map(OsString::from);
        let config = config.or_else(|| std::env::var_os("LINESIDE_CONFIG"));
        configured_language(Path::new(&config.unwrap_or_else(|| CONFIG_PATH.into())))
    })
}

/// The value of an option by any of its names, as far as that can be said without parsing.
fn said(words: &[OsString], names: &[&str]) -> Option<String> {
    let words = words.iter().map(|word| word.to_string_lossy());
    let mut words = words.take_while(|word| word != "--");
    while let Some(word) = words.next() {
        if names.contains(&&*word) {
            return words.next().map(Cow::into_owned);
        }
        let assigned = word.split_once('=');
        if let Some((_, value)) = assigned.filter(|(name, _)| names.contains(name)) {
            return Some(value.to_owned());
        }
    }
    None
}

fn language(text: &str) -> Result<Language, Text> {
    let wanted = |_| text!("en or zh-CN is wanted", "应为 en 或 zh-CN");
    text.parse().map_err(wanted)
}

/// The language of the gateway file, else of the locale.
fn configured_language(config: &Path) -> Language {
    config::language(config).unwrap_or_else(|| {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        Language::of_locale(&locale.unwrap_or_default())
    })
}

/// The terminal's width, or a fair one where there is none.
pub fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

/// One line of JSON, for programs.
fn write_json(out: &mut impl Write, document: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(document).map_err(anyhow::Error::from)?;
    Ok(writeln!(out, "{line}")?)
}

/// A runtime for a command.
///
/// # Errors
///
/// The system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(error.into()))
}

#[cfg(test)]
mod tests {
    use super::{Arguments, said};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_option_is_found_before_anything_is_parsed() {
        let check = |words: &[&str], expected: Option<&str>| {
            let words: Vec<_> = words.iter().map(Into::into).collect();
            assert_eq!(said(&words, &["-c", "--config"]).as_deref(), expected);
        };
        check(&["lineside"], None);
        check(
            &["lineside", "check", "-c", "a.toml", "--help"],
            Some("a.toml"),
        );
        check(&["lineside", "--config=a=b", "check"], Some("a=b"));
        check(&["lineside", "check", "--config"], None);
        check(&["lineside", "probe", "--", "-c", "a"], None);
        check(&["lineside", "--configs=a"], None);
    }
}
