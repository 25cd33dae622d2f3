//! What is to be seen: the verdict in words, in both languages, with names as mere text; a trust file that is pasted
//! or wrong; files that are no bundles.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lineside_proto::evidence::sample::{Sample, zip};
use lineside_tests::browser::Browser;
use lineside_tests::subscriber::root;
use serde_json::json;
use std::fs;

use crate::desk::{WIDTH, hand_in, open};
use crate::golden;

const HOSTILE: &str =
    "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";

/// The page down to its first sessions, as a picture for the READMEs, where somebody asks for it.
fn picture(browser: &Browser, language: &str) -> Result<()> {
    if std::env::var_os("LINESIDE_PICTURES").is_none() {
        return Ok(());
    }
    let to = "return Math.ceil(document.querySelector('[data-session]:nth-child(2)').getBoundingClientRect().top + scrollY);";
    let height = browser.run(to)?.as_u64().context("no sessions")?;
    let png = STANDARD.decode(browser.picture((WIDTH, u32::try_from(height)?))?)?;
    assert!(png.len() < 300_000, "a picture of {} bytes", png.len());
    let name = if language == "zh-CN" {
        "verify.zh-CN.png"
    } else {
        "verify.png"
    };
    fs::write(root().join("deploy/pictures").join(name), png)?;
    Ok(())
}

#[test]
fn the_verdict_and_the_report_are_shown_in_the_readers_language() -> Result<()> {
    for (language, title, verdict, other) in [
        (
            "en-US",
            "Lineside · Verify usage evidence",
            "Verified",
            "已核实",
        ),
        (
            "zh-CN",
            "线边 Lineside · 核验机时证据",
            "已核实",
            "Verified",
        ),
    ] {
        let browser = open(language)?;
        hand_in(&browser, &["honest.zip", "trust.toml"].map(golden), 1)?;
        picture(&browser, language)?;
        let shown = browser.run(
            "const all = (selector) => [...document.querySelectorAll(selector)]; return {
               title: document.querySelector('h1').textContent, verdict: document.querySelector('.verdict h2').textContent,
               checks: all('.checks > li').map((row) => row.dataset.status), machines: all('.machine').map((part) => part.dataset.machine),
               sessions: all('[data-session]').length, alive: document.querySelector('[role=status]').textContent,
               unnamed: all('button, input, textarea, [role=img]').filter((one) => !one.closest('[hidden]')).length,
             };",
        )?;
        assert_eq!(shown["title"], title);
        assert_eq!(shown["verdict"], verdict);
        assert_eq!(shown["checks"].as_array().map(Vec::len), Some(13));
        assert_eq!(
            shown["machines"],
            json!(["extruder-01", "mixer-01", "press-01"])
        );
        assert!(shown["sessions"].as_u64() > Some(3), "{shown}");
        assert_eq!(shown["alive"], format!("honest.zip: {verdict}"));
        let button = if language == "en-US" { "#zh" } else { "#en" };
        browser.click(button)?;
        assert_eq!(
            browser.run("return document.querySelector('.verdict h2').textContent;")?,
            other
        );
        assert_eq!(browser.console()?, Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn names_out_of_bundles_are_mere_text() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sample = Sample::new();
    let (mut manifest, mut files) = sample.seal(&sample.whole())?;
    manifest.by = HOSTILE.to_owned();
    manifest.origin = HOSTILE.to_owned();
    files.insert("report.json".to_owned(), HOSTILE.as_bytes().to_vec());
    let path = folder.path().join("<b onclick=alert(1)>'&amp;.zip");
    fs::write(&path, zip(&manifest, &files)?)?;
    let browser = open("en-US")?;
    let results = hand_in(&browser, &[path], 1)?;
    assert_eq!(results[0]["result"]["verdict"], "failed");
    let shown = browser.run(
        "return { text: document.querySelector('article').textContent, title: document.title,
           markup: document.querySelectorAll('article img, article script, article b').length };",
    )?;
    assert!(
        shown["text"]
            .as_str()
            .is_some_and(|text| text.contains(HOSTILE.get(..60).unwrap_or(""))),
        "{shown}"
    );
    assert_eq!(
        (&shown["markup"], &shown["title"]),
        (&json!(0), &json!("Lineside: verify usage evidence"))
    );
    assert_eq!(browser.console()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_trust_file_may_be_pasted_and_what_is_wrong_is_said() -> Result<()> {
    let browser = open("en-US")?;
    let folder = tempfile::tempdir()?;
    let wrong = folder.path().join("trust.toml");
    fs::write(&wrong, "# mine\n[[gatway]]\n")?;
    let results = hand_in(&browser, &[golden("honest.zip"), wrong], 1)?;
    assert_eq!(results[0]["result"]["verdict"], "self-consistent");
    let line = browser.run("return document.getElementById('trust-line').textContent;")?;
    assert!(
        line.as_str()
            .is_some_and(|line| line.contains("line 2") && line.contains("[gatway]")),
        "{line}"
    );
    let text = fs::read_to_string(golden("trust.toml"))?;
    browser.run("document.getElementById('trust-text').value = ''; return null;")?;
    browser.type_into("#trust-text", &text)?;
    browser.click("#trust-use")?;
    browser.wait("const [one] = Page.results(); return !Page.isBusy() && one.result !== null && one.result.verdict === 'verified';")?;
    Ok(())
}

#[test]
fn files_that_are_no_bundles_are_refused_in_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, bytes: &[u8]| -> Result<_> {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    };
    let honest = fs::read(golden("honest.zip"))?;
    let files = [
        write("empty.zip", b"")?,
        write("text.zip", b"not a zip file at all")?,
        write(
            "half.zip",
            honest.get(..honest.len() / 2).unwrap_or_default(),
        )?,
        root().join("README.md"),
    ];
    let browser = open("en-US")?;
    for said in hand_in(&browser, &files, files.len())? {
        assert_eq!(said["result"]["verdict"], "failed", "{said}");
        let words = said["result"]["checks"][0]["said"][0]["en"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            words.starts_with("no zip file, or a damaged one"),
            "{words}"
        );
        assert_eq!(said["result"]["checks"][12]["said"][0]["en"], "not run");
    }
    Ok(())
}
