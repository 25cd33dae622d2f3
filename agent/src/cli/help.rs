//! Help and usage errors in Chinese.
//!
//! The English texts stand beside the arguments that they describe; here stand the Chinese ones, by
//! command and argument, and those that clap itself would say in English. The parsing is not touched:
//! what is accepted does not depend on the language.

mod usage;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use std::error::Error as _;

use crate::text::Text;

mod texts;

use texts::{ITSELF, PROGRAM, TEXTS};

/// What clap says around our texts.
const FRAME: [(&str, &str); 13] = [
    ("Usage:", "用法："),
    ("Commands:", "命令："),
    ("Arguments:", "参数："),
    ("Options:", "选项："),
    ("Example:", "示例："),
    ("[OPTIONS]", "[选项]"),
    ("[COMMAND]", "[命令]"),
    ("<COMMAND>", "<命令>"),
    ("[env: ", "[环境变量："),
    ("[default: ", "[默认："),
    (
        "Print this message or the help of the given subcommand(s)",
        "显示本帮助或某个命令的帮助",
    ),
    ("Print help", "显示帮助"),
    ("Print version", "显示版本"),
];

/// What was wrong with the arguments.
const COMPLAINTS: [(ErrorKind, &str); 8] = [
    (ErrorKind::MissingSubcommand, "请给出一个命令：{commands}"),
    (ErrorKind::UnknownArgument, "没有参数“{argument}”"),
    (ErrorKind::InvalidSubcommand, "没有命令“{command}”"),
    (ErrorKind::InvalidValue, "“{argument}”的值“{value}”无效"),
    (
        ErrorKind::ValueValidation,
        "“{argument}”的值“{value}”无效：{cause}",
    ),
    (
        ErrorKind::MissingRequiredArgument,
        "缺少必需的参数：{argument}",
    ),
    (
        ErrorKind::ArgumentConflict,
        "“{argument}”不能与“{prior}”同时使用",
    ),
    (
        ErrorKind::TooManyValues,
        "“{argument}”的值“{value}”是多余的",
    ),
];

/// All texts.
fn texts() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    TEXTS.iter().chain(&usage::TEXTS)
}

/// The Chinese text of an argument of a command, or of the command itself.
fn chinese(command: &str, argument: &str) -> Option<&'static str> {
    texts()
        .find(|(of, name, _)| (*of, *name) == (command, argument))
        .map(|(_, _, text)| *text)
}

/// The command and all below it, described in Chinese. What has no Chinese text keeps its own.
pub(super) fn in_chinese(command: Command) -> Command {
    described_below("", command)
}

/// The name of a command in the table, below that of the command above it.
fn place(above: &str, command: &Command) -> String {
    match (above, command.get_name()) {
        ("" | PROGRAM, name) => name.to_owned(),
        (above, name) => format!("{above} {name}"),
    }
}

fn described_below(above: &str, command: Command) -> Command {
    let name = place(above, &command);
    let command = command
        .mut_args(
            |argument| match chinese(&name, argument.get_id().as_str()) {
                Some(text) => argument.help(text),
                None => argument,
            },
        )
        .mut_subcommands(|below| described_below(&name, below));
    match chinese(&name, ITSELF) {
        Some(text) => command.about(text).long_about(None),
        None => command,
    }
}

/// What clap wrote, with its own words in Chinese.
pub(super) fn framed(text: &str) -> String {
    FRAME
        .iter()
        .fold(text.to_owned(), |text, (english, chinese)| {
            text.replace(english, chinese)
        })
}

/// Wrong usage, told in Chinese: what is wrong, what is near, how it is used.
pub(super) fn complaint(error: &Error) -> String {
    let sentence = COMPLAINTS.iter().find(|(kind, _)| *kind == error.kind());
    let Some((_, sentence)) = sentence else {
        return framed(&error.to_string());
    };
    let named = |kind| error.get(kind).map(ContextValue::to_string);
    let cause = error
        .source()
        .map(|cause| match cause.downcast_ref::<Text>() {
            Some(text) => text.zh.clone(),
            None => cause.to_string(),
        });
    let mut text = format!("错误：{sentence}\n");
    for (place, said) in [
        ("{argument}", named(ContextKind::InvalidArg)),
        ("{command}", named(ContextKind::InvalidSubcommand)),
        ("{commands}", named(ContextKind::ValidSubcommand)),
        ("{prior}", named(ContextKind::PriorArg)),
        ("{cause}", cause),
        // Last, since it may hold anything.
        ("{value}", named(ContextKind::InvalidValue)),
    ] {
        text = text.replace(place, &said.unwrap_or_default());
    }
    let near = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    for near in near.into_iter().filter_map(named) {
        text += &format!("\n  提示：相近的有 {near}\n");
    }
    if let Some(usage) = named(ContextKind::Usage) {
        text += &format!("\n{}\n", framed(&usage));
    }
    text + "\n详情请用“--help”。\n"
}

#[cfg(test)]
mod tests;
