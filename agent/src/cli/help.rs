//! Help and usage errors in Chinese.
//!
//! The English texts stand beside the arguments that they describe; here stand the Chinese ones, by
//! command and argument, and those that clap itself would say in English. The parsing is not touched:
//! what is accepted does not depend on the language.

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

/// The Chinese text of an argument of a command, or of the command itself.
fn chinese(command: &str, argument: &str) -> Option<&'static str> {
    TEXTS
        .iter()
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
mod tests {
    use super::super::Arguments;
    use super::{ITSELF, PROGRAM, TEXTS, chinese, complaint, framed, in_chinese, place};
    use clap::{Command, CommandFactory};
    use std::collections::BTreeSet;
    use unicode_width::UnicodeWidthStr;

    /// What a reader of the help can see of the tree: each command and each of its own arguments.
    fn described(above: &str, command: &Command, found: &mut BTreeSet<(String, String)>) {
        let name = place(above, command);
        let shown = command.get_arguments().filter(|a| !a.is_hide_set());
        found.extend(shown.map(|a| (name.clone(), a.get_id().to_string())));
        found.insert((name.clone(), ITSELF.to_owned()));
        for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            described(&name, below, found);
        }
    }

    #[test]
    fn everything_that_exists_has_one_chinese_text_and_nothing_else_has() {
        let mut exists = BTreeSet::new();
        described("", &Arguments::command(), &mut exists);
        let texts = TEXTS.map(|(command, argument, _)| (command.to_owned(), argument.to_owned()));
        assert_eq!(texts.len(), BTreeSet::from(texts.clone()).len(), "twice");
        assert_eq!(BTreeSet::from(texts), exists);
        assert!(chinese(PROGRAM, "lang").is_some());
    }

    /// The help of a command by its path, as it is printed.
    fn help(arguments: &[&str]) -> String {
        let all = ["lineside"].iter().chain(arguments).chain(&["--help"]);
        let error = in_chinese(Arguments::command())
            .term_width(100)
            .try_get_matches_from(all)
            .unwrap_err();
        framed(&error.to_string())
    }

    /// Three small words in a row, as English has them and neither options nor Chinese do.
    fn is_english(line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let small = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        !line.contains("lineside ") && words.windows(3).any(|three| three.iter().all(small))
    }

    #[test]
    fn no_help_is_in_english_or_too_wide() {
        let command = Arguments::command();
        let mut paths = vec![vec![]];
        for above in command.get_subcommands() {
            paths.push(vec![above.get_name()]);
            let below = above.get_subcommands().map(Command::get_name);
            paths.extend(below.map(|name| vec![above.get_name(), name]));
        }
        for path in paths {
            let text = help(&path);
            for word in ["用法：", "示例：", "选项：", "显示帮助"] {
                assert!(text.contains(word), "{path:?}: {word}\n{text}");
            }
            for line in text.lines() {
                assert!(!is_english(line), "{path:?}: {line}");
                // Clap breaks lines at spaces, of which Chinese has none; the environment may hold anything.
                let fits = line.width() <= 100 || line.contains("LINESIDE_CONFIG");
                assert!(fits, "{path:?}: {line}");
            }
            for word in ["Usage", "Options", "Print", "[default", "[env", "Example"] {
                assert!(!text.contains(word), "{path:?}: {word}\n{text}");
            }
        }
    }

    #[test]
    fn wrong_usage_is_told_in_chinese() {
        for (arguments, told) in [
            (&["demo", "--prot", "1"][..], "没有参数“--prot”"),
            (&["demo", "--prot", "1"], "相近的有 --port"),
            (&["demo", "--speed", "0"], "：应为 0.01 到 100 之间的数"),
            (&["--lang", "en"], "请给出一个命令：demo, run"),
            (&["demoo"], "没有命令“demoo”"),
            (&["demoo"], "相近的有 demo"),
            (&["demo", "--port", "x"], "“--port <PORT>”的值“x”无效"),
            (&["demo", "--seed"], "“--seed <N>”的值“”无效"),
            (&["probe"], "缺少必需的参数：<MACHINE>"),
            (&["check", "--plan", "--json"], "不能与“--json”同时使用"),
            (&["probe"], "用法： lineside probe"),
            (&["probe"], "详情请用“--help”"),
            (&["schema", "a", "b"], "“b”"),
        ] {
            let all = ["lineside"].iter().chain(arguments);
            let error = Arguments::command().try_get_matches_from(all).unwrap_err();
            let text = complaint(&error);
            assert!(text.contains(told), "{arguments:?}: {told}\n{text}");
        }
    }
}
