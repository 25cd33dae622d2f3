//! What the page's text may and may not hold.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lineside_proto::evidence::PAGE;
use sha2::{Digest, Sha256};

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Result<&'a str> {
    let (_, rest) = text.split_once(begin).with_context(|| begin.to_owned())?;
    Ok(rest.split_once(end).with_context(|| end.to_owned())?.0)
}

/// The policy allows these three texts by their hashes, and nothing else that could run.
#[test]
fn the_policy_is_that_of_the_scripts_and_the_style() -> Result<()> {
    let source = |begin, end| -> Result<String> {
        let hash = Sha256::digest(between(PAGE, begin, end)?);
        Ok(format!("'sha256-{}'", STANDARD.encode(hash)))
    };
    let core = source("<script id=\"core\">", "</script>")?;
    let page = source("<script id=\"page\">", "</script>")?;
    let style = source("<style>", "</style>")?;
    let expected = format!(
        "default-src 'none'; script-src {core} {page}; style-src {style}; worker-src blob:; img-src data:; base-uri 'none'; form-action 'none'"
    );
    let policy = between(
        PAGE,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"",
        "\"",
    )?;
    assert_eq!(policy, expected, "put the new hashes into the page");
    Ok(())
}

/// What comes out of files can become text only.
#[test]
fn nothing_in_the_page_makes_markup_of_texts_or_asks_the_network() {
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "createContextualFragment",
        "srcdoc",
        "eval(",
        "setTimeout(\"",
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "EventSource",
        "sendBeacon",
        "importScripts",
        "import(",
        "http://www.w3.org/1999",
        "https://",
        "localStorage",
        "indexedDB",
        "document.cookie",
    ] {
        assert!(!PAGE.contains(word), "{word}");
    }
    // The name of SVG's elements; nobody asks for it.
    assert_eq!(
        PAGE.matches("http://").count(),
        PAGE.matches("http://www.w3.org/2000/svg").count()
    );
}
