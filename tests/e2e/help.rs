//! Help and wrong usage in the reader's language: by the option, else the configuration, else the locale.

use anyhow::{Result, ensure};
use lineside_tests::agent::binary;
use lineside_tests::site::Site;
use std::process::Command;

const CHINESE: &str = "zh_CN.UTF-8";

/// Runs the binary under a locale; gives its exit code and all it printed.
fn printed(arguments: &[&str], locale: &str) -> Result<(Option<i32>, String)> {
    let output = Command::new(binary()?)
        .args(arguments)
        .env_remove("LINESIDE_CONFIG")
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .env("LANG", locale)
        .output()?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(printed)?))
}

#[test]
fn help_speaks_the_language_that_is_asked_for() -> Result<()> {
    // The file of a site says English.
    let site = Site::new(1)?;
    let config = site.config().display().to_string();
    let check = |arguments: &[&str], locale: &str, code: i32, word: &str| -> Result<()> {
        let (ended, text) = printed(arguments, locale)?;
        let right = ended == Some(code) && text.contains(word) && !text.contains('\x1b');
        ensure!(right, "{arguments:?} in {locale}: {ended:?}\n{text}");
        Ok(())
    };
    check(&["--help"], "C", 0, "Usage: lineside")?;
    check(&["--help"], CHINESE, 0, "用法： lineside")?;
    check(&["--lang", "zh-CN", "--help"], "C", 0, "一次列出所有")?;
    check(
        &["check", "--help", "--lang", "zh-CN"],
        "C",
        0,
        "显示每个采集组",
    )?;
    check(
        &["check", "--help", "--lang=en"],
        CHINESE,
        0,
        "Show the requests",
    )?;
    check(&["check", "--help", "-c", &config], CHINESE, 0, "Options:")?;
    check(&["help", "demo"], CHINESE, 0, "相同的种子")?;
    check(&[], CHINESE, 2, "用法： lineside")?;
    check(&["check", "--plam"], "C", 2, "unexpected argument '--plam'")?;
    check(&["check", "--plam"], CHINESE, 2, "没有参数“--plam”")?;
    check(&["check", "--lang", "fr"], CHINESE, 2, "应为 en 或 zh-CN")?;
    check(&["--version"], CHINESE, 0, "lineside 0.")
}
