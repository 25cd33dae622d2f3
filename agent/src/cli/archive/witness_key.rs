//! `lineside archive witness-key`: the key of a witness, and what gateways and evaluators write to trust it.

use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

use super::super::{Context, Failure, Outcome, write_json};
use crate::archive::witness::{Witness, WitnessError};
use crate::ledger::KeyError;
use crate::logs::chain;
use crate::text;
use crate::text::Text;

/// Arguments of `lineside archive witness-key`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside archive witness-key /etc/lineside/keys/witness.key --name city.example/w1"
)]
pub(super) struct Args {
    /// The key's file
    #[arg(value_name = "FILE")]
    key: PathBuf,
    /// Make the key, for a witness of this name: a host name, perhaps with a path. It is part of the key for ever
    #[arg(long)]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is told of a key.
#[derive(Serialize)]
struct Shown {
    name: String,
    vkey: String,
    /// As topics of cosignatures end.
    hash: String,
    /// Whether it was made now.
    made: bool,
}

/// Runs the command.
///
/// # Errors
///
/// A key that is there already, or can't be used.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let witness = match &args.name {
        Some(name) => Witness::create(&args.key, name),
        None => Witness::open(&args.key),
    };
    let witness = witness.map_err(|error| witness_failure(&error))?;
    let key = witness.key();
    let [a, b, c, d] = key.hash();
    let shown = Shown {
        name: key.name().to_owned(),
        vkey: key.to_string(),
        hash: format!("{a:02x}{b:02x}{c:02x}{d:02x}"),
        made: args.name.is_some(),
    };
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &shown)?;
        return Ok(Outcome::Done);
    }
    if shown.made {
        let file = args.key.display();
        let made = text!(
            "made {file}, and {file}.cosigned for what it cosigns: both belong together, and neither may be put back from \
             an older copy while a newer one exists",
            "已生成 {file}，以及记录其会签内容的 {file}.cosigned：两者须一并保存，存有较新副本时不得恢复较旧的副本"
        );
        writeln!(out, "{}\n", made.say(context.language))?;
    }
    let key = toml::Value::String(shown.vkey);
    let lines = [
        (
            text!(
                "in gateway.toml of each gateway:",
                "写入各网关的 gateway.toml："
            ),
            format!("[ledger]\nwitnesses = [{key}]"),
        ),
        (
            text!(
                "in trust.toml of whoever verifies:",
                "写入核验方的 trust.toml："
            ),
            format!("[[witness]]\nkey = {key}"),
        ),
    ];
    for (place, (where_to, what)) in lines.into_iter().enumerate() {
        let gap = if place == 0 { "" } else { "\n" };
        writeln!(out, "{gap}# {}\n{what}", where_to.say(context.language))?;
    }
    Ok(Outcome::Done)
}

/// A witness that can't be opened, for a person.
pub(super) fn witness_failure(error: &WitnessError) -> Failure {
    let said = chain(error);
    let text: Text = match error {
        WitnessError::Key(KeyError::Exists(path)) => {
            let path = path.display();
            return Failure::Negative(text!(
                "there is a key already: {path}; nothing was changed. Without --name it is shown",
                "密钥已存在：{path}；未作任何改动。不带 --name 即可查看"
            ));
        }
        WitnessError::Key(KeyError::Missing(path)) => missing(path),
        WitnessError::Key(KeyError::Disk { path, source })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            missing(path)
        }
        WitnessError::Key(KeyError::Disk { path, source }) => {
            let (path, why) = (path.display(), source.to_string());
            if source.kind() == io::ErrorKind::PermissionDenied {
                return Failure::Correct(text!(
                    "the key {path} can't be used: {why}; it, its directory and what is beside it must belong to the archive's account: `chown -R ACCOUNT DIR`",
                    "无法使用密钥 {path}（系统报告：{why}）；密钥、其目录及同目录文件须属于存证库账户：`chown -R 账户 目录`"
                ));
            }
            return Failure::Store(text!(
                "the key {path} can't be used: {why}",
                "无法使用密钥 {path}（系统报告：{why}）"
            ));
        }
        WitnessError::Key(error) => {
            let failure = super::super::keys::key_failure(error);
            return if let Failure::Store(text) = failure {
                Failure::Correct(text)
            } else {
                failure
            };
        }
        WitnessError::Name(name) => {
            return Failure::Usage(text!(
                "`{name}` can't be the name of a witness: no blanks, no `+`, 255 bytes at most",
                "“{name}” 不能用作见证方名称：不得含空格或 “+”，至多 255 字节"
            ));
        }
        WitnessError::Unnamed(path) => {
            let path = path.display();
            text!(
                "{path} is no witness's key: it names no witness. `lineside archive witness-key FILE --name NAME` makes one",
                "{path} 不是见证方密钥：其中没有名称。可用 `lineside archive witness-key FILE --name NAME` 生成"
            )
        }
        WitnessError::Forgotten(dir) => {
            let dir = dir.display();
            text!(
                "{dir} is missing: nobody knows what was cosigned with this key. Put it back, or make a new key; where this \
                 one never cosigned anything, `mkdir -m 700 {dir}`",
                "缺少 {dir}：无从知晓此密钥会签过什么。请将其恢复，或生成新密钥；若此密钥从未会签，请执行 `mkdir -m 700 {dir}`"
            )
        }
        WitnessError::Memory(_) => {
            let why = text!("{said}", "无法读取会签记录（{said}）");
            return Failure::Store(why);
        }
    };
    Failure::Correct(text)
}

fn missing(path: &std::path::Path) -> Text {
    let path = path.display();
    text!(
        "there is no key {path}; `lineside archive witness-key {path} --name NAME` makes one",
        "没有密钥 {path}；可用 `lineside archive witness-key {path} --name NAME` 生成"
    )
}
