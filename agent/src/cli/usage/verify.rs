//! `lineside usage verify`: the checks of `lineside-verify`, which needs nothing but the files.

use lineside_proto::evidence::{self, PAGE, TRUST_BYTES_MAX, Trust, Verdict};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::{Context, Failure, Outcome, write_json};
use crate::text;
use crate::text::Text;

/// Arguments of `lineside usage verify`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside usage verify january.zip --trust trust.toml")]
pub(super) struct Args {
    /// The evidence
    #[arg(required_unless_present = "page", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whom to trust: keys of gateways, witnesses and issuers, approved maps; without it, nobody is known
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Print one JSON object a line for each file
    #[arg(long)]
    json: bool,
    /// Write the verifier as a page, which a browser opens from disk, offline
    #[arg(long, value_name = "HTML")]
    page: Option<PathBuf>,
}

/// Runs the command. Negative unless every file is verified, which needs a trust file.
///
/// # Errors
///
/// [`Failure::Usage`] for a trust file that is none, and, once the others are verified, for files that can't be opened; [`Failure::Store`] for a page that can't be written.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    if let Some(path) = &args.page {
        fs::write(path, PAGE).map_err(|error| unwritable(path, &error))?;
    }
    let trust = args.trust.as_deref().map(trust).transpose()?;
    let language = context.language;
    let mut outcome = Outcome::Done;
    let mut unread: Option<Text> = None;
    for path in &args.files {
        if let Err(error) = readable(path) {
            let said = not_read(path, &error);
            unread = Some(match unread {
                None => said,
                Some(before) => Text::new(
                    format!("{}\n{}", before.en, said.en),
                    format!("{}\n{}", before.zh, said.zh),
                ),
            });
            continue;
        }
        let said = evidence::verify_file(path, trust.as_ref(), language);
        let mut text = Vec::new();
        if args.json {
            write_json(&mut text, &said)?;
        } else {
            text = evidence::tell(&path.display().to_string(), &said, language).into_bytes();
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
    match unread {
        None => Ok(outcome),
        Some(said) => Err(Failure::Usage(said)),
    }
}

/// Whether there is a file that may be read.
fn readable(path: &Path) -> io::Result<()> {
    // A folder can be opened, too.
    if File::open(path)?.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Store(text!(
        "{path} can't be written: {error}",
        "无法写入 {path}：{error}"
    ))
}

fn not_read(path: &Path, error: &io::Error) -> Text {
    let path = path.display();
    text!("can't read {path}: {error}", "无法读取 {path}：{error}")
}

fn trust(path: &Path) -> Result<Trust, Failure> {
    // One byte more than may be, so that a longer one is seen to be so.
    let room = TRUST_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(room).read_to_string(&mut text));
    read.map_err(|error| Failure::Usage(not_read(path, &error)))?;
    Trust::parse(&text).map_err(|fault| {
        let (path, fault) = (path.display(), crate::logs::chain(&fault));
        Failure::Usage(text!(
            "{path} is no trust file: {fault}",
            "{path} 不是有效的信任文件：{fault}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{Args, run};
    use crate::cli::{Context, Failure, Outcome};
    use crate::text::Language;
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn what_is_no_file_is_a_line_and_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context {
            config: PathBuf::new(),
            language: Language::En,
        };
        let other = dir.path().join("other.zip");
        fs::write(&other, "no bundle").unwrap();
        let missing = dir.path().join("nosuch.zip");
        let ended = |files: &[&PathBuf], json| {
            let args = Args {
                files: files.iter().map(|path| (*path).clone()).collect(),
                trust: None,
                json,
                page: None,
            };
            run(&args, &context)
        };
        for json in [false, true] {
            let folder = dir.path().to_owned();
            for (files, lines) in [
                (&[&missing][..], 1),
                (&[&folder], 1),
                (&[&missing, &other, &folder], 2),
            ] {
                let Err(Failure::Usage(text)) = ended(files, json) else {
                    panic!("{files:?}");
                };
                assert_eq!(text.en.lines().count(), lines, "{text}");
                assert!(text.en.lines().all(|line| line.starts_with("can't read")));
            }
            // One that can be read is judged.
            assert_eq!(ended(&[&other], json).unwrap(), Outcome::Negative);
        }
    }
}
