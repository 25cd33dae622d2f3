//! The program `lineside-verify`, but for its `main`.

use crate::text::Language;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{PAGE, TRUST_BYTES_MAX, Trust, Verdict, Verification, tell, verify};
use crate::text;
use crate::text::Text;

/// Every bundle is verified.
pub const EXIT_VERIFIED: u8 = 0;
/// A bundle is not.
pub const EXIT_OTHERWISE: u8 = 1;
/// The program was not called as it must be, or the trust file can't be used.
pub const EXIT_USAGE: u8 = 2;

/// What the program was asked for.
#[derive(Debug, Default)]
struct Asked {
    bundles: Vec<PathBuf>,
    trust: Option<PathBuf>,
    page: Option<PathBuf>,
    json: bool,
    help: bool,
    version: bool,
}

/// What is said of a bundle where a program reads it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// The file.
    file: String,
    /// What came of it.
    #[serde(flatten)]
    verification: &'a Verification,
}

/// Runs the program with its arguments, its own name left out; `locale` is the language of whoever runs it, if it
/// is known. Gives the exit code.
pub fn command(
    arguments: impl IntoIterator<Item = OsString>,
    locale: Option<&str>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let mut language = Language::of_locale(locale.unwrap_or_default());
    let asked = match asked(arguments, &mut language) {
        Ok(asked) => asked,
        Err(fault) => return refuse(fault.say(language), language, err),
    };
    if asked.help {
        return say(out, help().say(language));
    }
    if asked.version {
        return say(out, concat!("lineside-verify ", env!("CARGO_PKG_VERSION")));
    }
    if let Some(path) = &asked.page {
        if let Err(fault) = write_page(path) {
            return refuse(fault.say(language), language, err);
        }
        if asked.bundles.is_empty() {
            return EXIT_VERIFIED;
        }
    }
    if asked.bundles.is_empty() {
        let fault = text!("no bundle is named", "没有指定证据包");
        return refuse(fault.say(language), language, err);
    }
    let trust = match asked.trust.as_deref().map(trust).transpose() {
        Ok(trust) => trust,
        Err(fault) => return refuse(fault.say(language), language, err),
    };
    run(&asked, trust.as_ref(), language, out)
}

fn run(asked: &Asked, trust: Option<&Trust>, language: Language, out: &mut dyn Write) -> u8 {
    let mut code = EXIT_VERIFIED;
    let mut all = Vec::new();
    for path in &asked.bundles {
        let verification = verify_file(path, trust, language);
        if verification.verdict != Verdict::Verified {
            code = EXIT_OTHERWISE;
        }
        if asked.json {
            all.push((path.display().to_string(), verification));
        } else {
            let text = tell(&path.display().to_string(), &verification, language);
            if out.write_all(text.as_bytes()).is_err() {
                return EXIT_OTHERWISE;
            }
        }
    }
    if asked.json {
        let told = all.iter().map(|(file, verification)| Told {
            file: file.clone(),
            verification,
        });
        let told: Vec<Told<'_>> = told.collect();
        let written = serde_json::to_writer_pretty(&mut *out, &told);
        if written.is_err() || writeln!(out).is_err() {
            return EXIT_OTHERWISE;
        }
    }
    code
}

/// Verifies the bundle in a file; one that can't be opened fails check `bundle`.
pub fn verify_file(path: &Path, trust: Option<&Trust>, language: Language) -> Verification {
    let opened = File::open(path).and_then(|file| {
        // A folder can be opened, and has a length that says nothing.
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        Ok(file)
    });
    match opened {
        Ok(file) => verify(BufReader::new(file), trust, language),
        Err(error) => verify(Unreadable(Some(error)), trust, language),
    }
}

/// A file that could not be opened, and why.
struct Unreadable(Option<std::io::Error>);

impl Unreadable {
    fn why(&mut self) -> std::io::Error {
        let gone = || std::io::ErrorKind::NotFound.into();
        self.0.take().unwrap_or_else(gone)
    }
}

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(self.why())
    }
}

impl std::io::Seek for Unreadable {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Err(self.why())
    }
}

fn write_page(path: &Path) -> Result<(), Text> {
    let shown = path.display();
    std::fs::write(path, PAGE).map_err(|error| {
        text!(
            "the page can't be written to {shown}: {error}",
            "网页无法写入 {shown}：{error}"
        )
    })
}

fn trust(path: &Path) -> Result<Trust, Text> {
    let shown = path.display();
    let read = File::open(path).and_then(|file| {
        let mut text = String::new();
        let room = TRUST_BYTES_MAX as u64 + 1;
        file.take(room).read_to_string(&mut text)?;
        Ok(text)
    });
    let text = read.map_err(|error| {
        text!(
            "the trust file {shown} can't be read: {error}",
            "信任文件 {shown} 无法读取：{error}"
        )
    })?;
    Trust::parse(&text).map_err(|error| text!("{shown}: {error}", "{shown}:{error}"))
}

fn asked(
    arguments: impl IntoIterator<Item = OsString>,
    language: &mut Language,
) -> Result<Asked, Text> {
    let mut asked = Asked::default();
    let mut arguments = arguments.into_iter();
    let mut only_files = false;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        if only_files || !text.starts_with('-') || text == "-" {
            asked.bundles.push(argument.into());
            continue;
        }
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (text.as_str(), None),
        };
        let mut value = || {
            let value = inline.clone().or_else(|| arguments.next());
            value.ok_or_else(|| text!("{name} needs a value", "{name} 后面缺少值"))
        };
        match name {
            "--" => only_files = true,
            "--trust" => asked.trust = Some(value()?.into()),
            "--page" => asked.page = Some(value()?.into()),
            "--lang" => {
                let word = value()?.to_string_lossy().into_owned();
                let known = word.parse::<Language>();
                *language = known.map_err(|_| {
                    text!(
                        "--lang is en or zh-CN, not {word}",
                        "--lang 只能是 en 或 zh-CN，不是 {word}"
                    )
                })?;
            }
            "--json" if inline.is_none() => asked.json = true,
            "-h" | "--help" => asked.help = true,
            "-V" | "--version" => asked.version = true,
            _ => return Err(text!("there is no option {name}", "没有选项 {name}")),
        }
    }
    Ok(asked)
}

fn say(out: &mut dyn Write, text: &str) -> u8 {
    match writeln!(out, "{text}") {
        Ok(()) => EXIT_VERIFIED,
        Err(_) => EXIT_OTHERWISE,
    }
}

fn refuse(fault: &str, language: Language, err: &mut dyn Write) -> u8 {
    let hint = text!(
        "see lineside-verify --help",
        "用法见 lineside-verify --help"
    );
    let hint = hint.say(language).to_owned();
    // Where even that can't be said, the exit code says it.
    drop(writeln!(err, "lineside-verify: {fault}\n{hint}"));
    EXIT_USAGE
}

fn help() -> Text {
    text!(
        "Verifies evidence bundles, offline: who signed, that no leaf is missing or changed, and what the hours add up to.

Usage: lineside-verify BUNDLE… [--trust trust.toml] [--json] [--lang en|zh-CN]
       lineside-verify --page verify.html

  BUNDLE…          evidence bundles (.zip)
  --trust FILE     whom you trust: keys of gateways, witnesses and issuers, approved maps, organisations;
                   without it a bundle is at best self-consistent
  --json           a JSON list, one object a bundle
  --page FILE      write the verifier as a page, which a browser opens from disk, offline
  --lang LANGUAGE  en or zh-CN
  -h, --help       this text
  -V, --version    the version

Exit code: 0 if every bundle is verified, 1 if not, 2 if called wrongly or the trust file can't be used.

Example: lineside-verify --trust trust.toml gateway-01-2026.zip",
        "离线核验证据包：谁签的名，记录有没有缺失或改动，小时数合计是多少。

用法：lineside-verify 证据包… [--trust trust.toml] [--json] [--lang en|zh-CN]
      lineside-verify --page verify.html

  证据包…          证据包文件（.zip）
  --trust 文件     您信任谁：网关、见证方、签发方的密钥，批准的设备点表，单位名单；
                   不给出时，结论至多是“内容自洽”
  --json           输出 JSON 列表，每个证据包一个对象
  --page 文件      写出核验网页，用浏览器从本地打开即可离线核验
  --lang 语言      en 或 zh-CN
  -h, --help       显示本说明
  -V, --version    显示版本

退出码：0 全部核验通过；1 有未通过的；2 用法有误或信任文件不可用。

示例：lineside-verify --trust trust.toml gateway-01-2026.zip"
    )
}

#[cfg(test)]
mod tests {
    use super::{EXIT_OTHERWISE, EXIT_USAGE, EXIT_VERIFIED, command};
    use crate::evidence::Verification;
    use std::path::Path;

    fn run(arguments: &[&str]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let arguments = arguments.iter().map(|argument| {
            let is_file = argument.ends_with(".zip") || argument.ends_with(".toml");
            if is_file {
                golden.join(argument).into()
            } else {
                argument.into()
            }
        });
        let code = command(arguments, Some("C"), &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }

    #[test]
    fn the_exit_code_says_what_came_of_it() {
        let check = |arguments: &[&str], code: u8, out: &str, err: &str| {
            let found = run(arguments);
            assert_eq!(found.0, code, "{arguments:?}: {found:?}");
            assert!(found.1.contains(out) && found.2.contains(err), "{found:?}");
        };
        let trusted = ["honest.zip", "middle.zip", "--trust", "trust.toml"];
        check(&trusted, EXIT_VERIFIED, "honest.zip: verified", "");
        check(&["honest.zip"], EXIT_OTHERWISE, "self-consistent", "");
        check(
            &["--lang=zh-CN", "honest.zip"],
            EXIT_OTHERWISE,
            "签名者身份不明",
            "",
        );
        check(
            &["absent.zip", "--trust", "trust.toml"],
            EXIT_OTHERWISE,
            "FAILED",
            "",
        );
        check(&["trust.toml"], EXIT_OTHERWISE, "no zip file", "");
        check(&[], EXIT_USAGE, "", "no bundle");
        check(&["--trust"], EXIT_USAGE, "", "needs a value");
        check(
            &["--turst", "trust.toml"],
            EXIT_USAGE,
            "",
            "no option --turst",
        );
        check(&["--lang", "fr", "honest.zip"], EXIT_USAGE, "", "fr");
        check(
            &["--trust", "honest.zip", "honest.zip"],
            EXIT_USAGE,
            "",
            "can't be read",
        );
        check(&["--page"], EXIT_USAGE, "", "needs a value");
        check(
            &["--page", "/nowhere/at/all/page"],
            EXIT_USAGE,
            "",
            "can't be written",
        );
        check(&["--help"], EXIT_VERIFIED, "Usage", "");
        check(&["--lang", "zh-CN", "--help"], EXIT_VERIFIED, "用法", "");
        check(&["--version"], EXIT_VERIFIED, "lineside-verify 0", "");
    }

    #[test]
    fn the_page_is_written_where_it_is_asked_for() {
        let name = format!("lineside-page-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let asked = path.display().to_string();
        assert_eq!(
            run(&["--page", &asked]),
            (EXIT_VERIFIED, String::new(), String::new())
        );
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(written, crate::evidence::PAGE);
    }

    #[test]
    fn json_is_a_list_that_can_be_read_back() {
        let (code, out, _) = run(&["--json", "honest.zip", "absent.zip"]);
        assert_eq!(code, EXIT_OTHERWISE);
        let all: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
        assert!(all[0]["file"].as_str().unwrap().ends_with("honest.zip"));
        for one in all {
            serde_json::from_value::<Verification>(one).unwrap();
        }
    }
}
