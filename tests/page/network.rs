//! The page has no use for a network, and no way to it; nor has it use for the browser's Ed25519.

use anyhow::{Context, Result};
use lineside_proto::evidence::Trust;
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::desk::{gist, hand_in, open, ours};
use crate::golden;
use crate::page_path;

/// Takes Ed25519 away from the page and from its worker, as in browsers before Chrome 137, and counts who asks.
const NO_ED25519: &str = r#"
  const away = `{
    const real = SubtleCrypto.prototype.importKey;
    SubtleCrypto.prototype.importKey = function (format, key, algorithm, ...rest) {
      if ((algorithm.name || algorithm) === "Ed25519") {
        self.asked = (self.asked || 0) + 1;
        return Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"));
      }
      return real.call(this, format, key, algorithm, ...rest);
    };
  }`;
  (0, eval)(away);
  const RealBlob = Blob;
  self.Blob = class extends RealBlob {
    constructor(parts, options) { super(options && options.type === "text/javascript" ? [away, "\n", ...parts] : parts, options); }
  };
"#;

/// The same, and no workers either, as in browsers that give none to a page from a file.
const NO_WORKER: &str = "delete self.Worker; self.Worker = undefined;";

#[test]
fn without_the_browsers_ed25519_and_without_workers_it_says_the_same() -> Result<()> {
    let files = ["honest.zip", "middle.zip", "trust.toml"].map(golden);
    let trust = Trust::parse(&fs::read_to_string(golden("trust.toml"))?)?;
    for script in [NO_ED25519.to_owned(), format!("{NO_ED25519}{NO_WORKER}")] {
        let browser = open("en-US")?;
        browser.before_pages(&script)?;
        browser.open(&page_path())?;
        let results = hand_in(&browser, &files, 2)?;
        for (path, said) in files.iter().zip(&results) {
            let mine = gist(&serde_json::to_value(ours(path, Some(&trust))?)?);
            assert_eq!(mine["verdict"], "verified", "{mine}");
            assert_eq!(gist(said.get("result").context("no result")?), mine);
        }
        let has_worker = browser.run("return Page.hasWorker();")?;
        assert_eq!(has_worker, json!(!script.contains(NO_WORKER)));
        if has_worker == json!(false) {
            let asked = browser.run("return self.asked;")?;
            assert!(
                asked.as_u64() >= Some(1),
                "the page never asked for Ed25519: {asked}"
            );
        }
    }
    Ok(())
}

/// What a page that was taken over might try; the policy stops each.
const ATTEMPTS: &str = r#"
  const to = (path) => `http://127.0.0.1:PORT/${path}`;
  const tries = {
    fetch: () => fetch(to("fetch"), { mode: "no-cors" }),
    request: () => { const request = new XMLHttpRequest(); request.open("GET", to("request")); request.send(); },
    image: () => { document.body.append(Object.assign(new Image(), { src: to("image") })); },
    beacon: () => navigator.sendBeacon(to("beacon"), "x"),
    socket: () => new WebSocket(to("socket").replace("http", "ws")),
    events: () => new EventSource(to("events")),
    frame: () => { document.body.append(Object.assign(document.createElement("iframe"), { src: to("frame") })); },
    script: () => { document.body.append(Object.assign(document.createElement("script"), { src: to("script") })); },
    style: () => { document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: to("style") })); },
    form: () => { const form = Object.assign(document.createElement("form"), { action: to("form"), method: "post" }); document.body.append(form); form.submit(); },
    worker: () => new Worker(URL.createObjectURL(new Blob([`fetch("${to("worker")}", { mode: "no-cors" }).catch(() => {})`]))),
  };
  for (const attempt of Object.values(tries)) { try { const out = attempt(); if (out && out.catch) out.catch(() => {}); } catch (error) { /* as it must be */ } }
  return Object.keys(tries).length;
"#;

/// Requests that pages made, by the browser's own log. Those that the browser makes for itself, of its maker's servers,
/// have no origin; the resolver's rules keep them from getting anywhere.
fn requests(log: &str) -> Result<Vec<String>> {
    let log: Value = serde_json::from_str(log).context("the browser's log")?;
    let events = log.get("events").and_then(Value::as_array);
    let by_pages = events.context("no events")?.iter().filter_map(|event| {
        let said = event.get("params")?;
        let origin = said.get("initiator")?.as_str()?;
        let url = said.get("url")?.as_str()?;
        let is_outside = ![
            "file:",
            "blob:",
            "data:",
            "chrome:",
            "chrome-extension:",
            "devtools:",
        ]
        .iter()
        .any(|scheme| url.starts_with(scheme));
        (origin != "not an origin" && is_outside).then(|| format!("{origin}: {url}"))
    });
    Ok(by_pages.collect())
}

/// What came in, the browser having ended: for frames and forms Chromium opens a connection ahead, before it asks the
/// policy, and closes it again.
fn arrived(listener: &TcpListener) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(bytes),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Without the policy an attempt arrives, so that both ways of looking see what there is to be seen.
#[test]
fn from_a_page_without_the_policy_something_would_leave() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let folder = tempfile::tempdir()?;
    let page = folder.path().join("open.html");
    fs::write(&page, "<!doctype html><title>open</title>")?;
    let browser = open("en-US")?;
    browser.open(&page)?;
    let attempt =
        "fetch('http://127.0.0.1:PORT/', { mode: 'no-cors' }).catch(() => {}); return null;";
    browser.run(&attempt.replace("PORT", &port.to_string()))?;
    let end = Instant::now() + Duration::from_secs(60);
    let mut bytes = Vec::new();
    while bytes.is_empty() {
        assert!(Instant::now() < end, "nothing arrived");
        browser.run("return null;")?;
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(Duration::from_millis(200)))?;
            // A connection that was opened ahead says nothing, or not yet.
            drop(stream.read_to_end(&mut bytes));
        }
    }
    assert!(!requests(&browser.end()?)?.is_empty());
    Ok(())
}

#[test]
fn nothing_leaves_the_page() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let browser = open("en-US")?;
    let files = ["honest.zip", "trust.toml"].map(golden);
    hand_in(&browser, &files, 1)?;
    let tried = browser.run(&ATTEMPTS.replace("PORT", &port.to_string()))?;
    assert_eq!(tried, json!(11));
    // Each is told of in the console before anything would be sent; the worker's comes last.
    let mut console: Vec<String> = Vec::new();
    for _ in 0..100 {
        console.extend(browser.console()?);
        if console.iter().any(|line| line.contains("worker")) && console.len() >= 10 {
            break;
        }
        browser.wait("return document.readyState === \"complete\";")?;
    }
    let refused = console
        .iter()
        .filter(|line| line.contains("Content Security Policy"))
        .count();
    assert!(refused >= 10, "{console:#?}");
    let outside = requests(&browser.end()?)?;
    assert!(outside.is_empty(), "{outside:?}");
    assert_eq!(arrived(&listener)?, b"", "on {port}");
    Ok(())
}
