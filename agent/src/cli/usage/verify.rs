//! `lineside usage verify`: the checks of `lineside-verify`, which needs nothing but the files.

use lineside_proto::evidence::{self, PAGE, Status, TRUST_BYTES_MAX, Trust, Verdict, Verification};
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::{Context, Failure, Outcome, write_json};
use crate::text;
use crate::text::Language;

/// Arguments of `lineside usage verify`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside usage verify january.zip --trust trust.toml")]
pub(super) struct Args {
    /// The evidence
    #[arg(required_unless_present = "page", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the verifier as a page, which a browser opens from disk, and verify nothing without files
    #[arg(long, value_name = "HTML")]
    page: Option<PathBuf>,
    /// Whom to trust: keys of gateways, witnesses and issuers, approved maps; without it, nobody is known
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Print one JSON object a line for each file
    #[arg(long)]
    json: bool,
}

/// Runs the command. Negative unless every file is verified, which needs a trust file.
///
/// # Errors
///
/// [`Failure::Usage`] for a file that can't be opened, or a trust file that is none.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let trust = args.trust.as_deref().map(trust).transpose()?;
    let language = context.language;
    let spoken = match language {
        Language::En => evidence::Language::En,
        Language::ZhCn => evidence::Language::ZhCn,
    };
    if let Some(path) = &args.page {
        fs::write(path, PAGE).map_err(|error| unwritable(path, &error))?;
    }
    let mut outcome = Outcome::Done;
    for path in &args.files {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let said = evidence::verify(BufReader::new(file), trust.as_ref(), spoken);
        let mut text = Vec::new();
        if args.json {
            write_json(&mut text, &said)?;
        } else {
            tell(&mut text, path, &said, language)?;
        }
        // Whoever reads may stop when they have seen enough: the exit code is that of the bundles all the same.
        match io::stdout().lock().write_all(&text) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written?,
        }
        if said.verdict != Verdict::Verified {
            outcome = Outcome::Negative;
        }
    }
    Ok(outcome)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Usage(text!(
        "can't read {path}: {error}",
        "无法读取 {path}：{error}"
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Store(text!(
        "{path} can't be written: {error}",
        "无法写入 {path}：{error}"
    ))
}

fn trust(path: &Path) -> Result<Trust, Failure> {
    // One byte more than may be, so that a longer one is seen to be so.
    let room = TRUST_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(room).read_to_string(&mut text));
    read.map_err(|error| unreadable(path, &error))?;
    Trust::parse(&text).map_err(|fault| {
        let (path, fault) = (path.display(), crate::logs::chain(&fault));
        Failure::Usage(text!(
            "{path} is no trust file: {fault}",
            "{path} 不是有效的信任文件：{fault}"
        ))
    })
}

fn tell(
    out: &mut impl Write,
    path: &Path,
    said: &Verification,
    language: Language,
) -> io::Result<()> {
    let verdict = match said.verdict {
        Verdict::Verified => text!("verified", "核验通过"),
        Verdict::SelfConsistent => text!(
            "self-consistent, signer unknown: say whom to trust by --trust",
            "自洽，签名者未知：请用 --trust 指定信任文件"
        ),
        Verdict::Failed => text!("FAILED", "核验未通过"),
    };
    writeln!(out, "{}: {}", path.display(), verdict.say(language))?;
    for result in &said.checks {
        let status = match result.status {
            Status::Ok => text!("ok    ", "通过  "),
            Status::Note => text!("note  ", "注意  "),
            Status::Failed => text!("FAILED", "未通过"),
        };
        let name = serde_json::to_value(result.check).unwrap_or_default();
        let name = name.as_str().unwrap_or_default().to_owned();
        for (place, line) in result.said.iter().enumerate() {
            let (status, name) = if place == 0 {
                (status.say(language), name.as_str())
            } else {
                ("      ", "")
            };
            writeln!(out, "  {status} {name:<12} {line}")?;
        }
        let more = result.found.saturating_sub(result.said.len() as u64);
        if more > 0 {
            let more = text!("and {more} more", "另有 {more} 项");
            writeln!(out, "         {:<12} {}", "", more.say(language))?;
        }
    }
    Ok(())
}
