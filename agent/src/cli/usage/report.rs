//! `lineside usage report`: hours by machine, class and grade, with every figure's coverage.

use lineside_proto::report::Report;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{brought, summary};
use crate::cli::{Context, Failure, Outcome, terminal_width};
use crate::report::{csv, html};
use crate::text;
use crate::text::Language;

/// Arguments of `lineside usage report`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:
  lineside usage report january.zip --trust trust.toml
  lineside usage report *.zip --trust trust.toml --assets assets.csv --format html -o report.html")]
pub(super) struct Args {
    /// Bundles, of any gateways and periods; none may tell a time twice
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    brought: brought::Lists,
    /// In which form: a table, CSV with Chinese columns, JSON, or one HTML page
    #[arg(long, value_enum, hide_possible_values = true, default_value_t = Format::Table)]
    format: Format,
    /// The file to write; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A form of a report.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    // For a terminal
    Table,
    // For a spreadsheet: Chinese columns, a machine a row
    Csv,
    // For programs; `lineside schema report` describes it
    Json,
    // For people and printers: one page that needs nothing else
    Html,
}

/// Runs the command.
///
/// # Errors
///
/// Files that have faults or can't be read; bundles that don't verify, or tell a time twice.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let report = brought::report(&args.files, &args.brought, context)?;
    let text = written(&report, args.format, context.language)?;
    match &args.output {
        Some(path) => save(path, &text)?,
        None => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
    }
    Ok(Outcome::Done)
}

fn written(report: &Report, format: Format, language: Language) -> Result<String, Failure> {
    Ok(match format {
        Format::Table => summary::text(report, language, terminal_width()),
        Format::Csv => csv::table(report).map_err(anyhow::Error::from)?,
        Format::Json => format!(
            "{}\n",
            serde_json::to_string_pretty(report).map_err(anyhow::Error::from)?
        ),
        Format::Html => html::page(report, language),
    })
}

/// Writes a file that is either the old one or whole.
fn save(path: &Path, text: &str) -> Result<(), Failure> {
    // What is no file, as /dev/stdout, is written to and never replaced.
    let is_other = fs::metadata(path).is_ok_and(|there| !there.is_file());
    let saved = if is_other {
        fs::write(path, text)
    } else {
        let mut part = OsString::from(path);
        part.push(".part");
        let saved = fs::write(&part, text).and_then(|()| fs::rename(&part, path));
        if saved.is_err() {
            // Half a report is of no use to anybody; where even this fails, the error above says why.
            drop(fs::remove_file(&part));
        }
        saved
    };
    saved.map_err(|error| {
        let path = path.display();
        Failure::Store(text!(
            "{path} can't be written: {error}",
            "无法写入 {path}：{error}"
        ))
    })
}

#[cfg(test)]
mod tests;
