use super::super::Arguments;
use super::{ITSELF, PROGRAM, chinese, complaint, framed, in_chinese, place, texts};
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
    let texts: Vec<(String, String)> = texts()
        .map(|(command, argument, _)| ((*command).to_owned(), (*argument).to_owned()))
        .collect();
    let known: BTreeSet<_> = texts.iter().cloned().collect();
    assert_eq!(texts.len(), known.len(), "twice");
    assert_eq!(known, exists);
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
fn the_help_of_an_archives_status_says_what_its_exit_code_tells() {
    let english = Arguments::command()
        .try_get_matches_from(["lineside", "archive", "status", "--help"])
        .unwrap_err()
        .to_string();
    let english = english.split_whitespace().collect::<Vec<_>>().join(" ");
    let chinese = help(&["archive", "status"]);
    for word in [
        "exit code 1",
        "newest log stands still",
        "can't be read",
        "card is missing",
    ] {
        assert!(english.contains(word), "{word}: {english}");
    }
    for word in ["退出码 1", "最新日志停止", "不可读", "登记卡缺失"] {
        assert!(chinese.contains(word), "{word}: {chinese}");
    }
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
