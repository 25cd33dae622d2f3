//! The command line: one file a subcommand, thin.

pub mod apply;
pub mod check;
pub mod demo;
mod failure;
mod interrupt;
pub mod probe;
pub mod run;
pub mod schema;
pub mod sim;
pub mod status;
pub mod table;
pub mod watch;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use failure::{Failure, Outcome};

use crate::config::{self, Loaded};
use crate::text;
use crate::text::Language;

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
    /// The health of the running agent
    Status(status::Args),
    /// Live availability of a whole site, as a portal sees it
    Watch(watch::Args),
    /// JSON Schemas and the AsyncAPI document of everything that Lineside sends
    Schema(schema::Args),
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
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed terminal is no reason to complain.
            drop(error.print());
            return ExitCode::from(code);
        }
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
        Command::Status(args) => status::run(args, &context),
        Command::Watch(args) => watch::run(args, &context),
        Command::Schema(args) => schema::run(args, &context),
        Command::Sim(args) => sim::run(args, &context),
    };
    match result {
        Ok(outcome) => outcome.code(),
        Err(failure) => failure.report(language),
    }
}

fn language(text: &str) -> Result<Language, String> {
    text.parse().map_err(|()| "en or zh-CN".to_owned())
}

/// The language of the gateway file, else of the locale. Reads one key only: a file with faults
/// still says in which language its faults should be told.
fn configured_language(config: &Path) -> Language {
    let configured = || -> Option<Language> {
        let text = std::fs::read_to_string(config).ok()?;
        let table: toml::Table = text.parse().ok()?;
        table
            .get("gateway")?
            .get("language")?
            .as_str()?
            .parse()
            .ok()
    };
    configured().unwrap_or_else(|| {
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
