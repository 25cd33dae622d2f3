//! A browser that is not ours: headless Chromium, driven by its own driver over the WebDriver protocol.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

use crate::wait;

/// Where Debian puts the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// How long a condition of a page may take to come about: a debug build's machine is shared.
const WAIT: Duration = Duration::from_secs(60);

/// The port that a driver names in its first lines.
const STARTED: &str = "started successfully on port ";

/// A browser with one window. Its profile is new, and gone afterwards.
pub struct Browser {
    driver: Child,
    server: SocketAddr,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// Starts a browser whose user reads this language (`en-US`, `zh-CN`), with a window of this size.
    ///
    /// # Errors
    ///
    /// Where `chromium` or `chromedriver` is missing (`tests/setup.sh` installs both) or does not start.
    pub fn start(language: &str, (width, height): (u32, u32)) -> Result<Self> {
        let profile = TempDir::new()?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver: tests/setup.sh installs it")?;
        let port = port(&mut driver);
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, *port.as_ref().unwrap_or(&0)));
        let mut browser = Self {
            driver,
            server,
            session: String::new(),
            profile,
        };
        port?;
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(str::to_owned)
        .to_vec();
        let path = browser.profile.path().display();
        arguments.push(format!("--user-data-dir={path}/profile"));
        arguments.push(format!("--log-net-log={path}/net.json"));
        // Whatever the browser itself would look up: nothing of it is found.
        arguments.push("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned());
        arguments.push(format!("--lang={language}"));
        arguments.push(format!("--window-size={width},{height}"));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": CHROMIUM,
                "args": arguments,
                "prefs": { "intl.accept_languages": language },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let answer = call(browser.server, "POST", "/session", Some(&wanted))?;
        let session = answer.get("sessionId").and_then(Value::as_str);
        session
            .context("no session")?
            .clone_into(&mut browser.session);
        Ok(browser)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        call(
            self.server,
            method,
            &format!("/session/{}{path}", self.session),
            body,
        )
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// When it can't be loaded.
    pub fn open(&self, path: &Path) -> Result<()> {
        let url = format!("file://{}", path.canonicalize()?.display());
        self.ask("POST", "/url", Some(&json!({ "url": url })))?;
        Ok(())
    }

    /// Runs a script before those of every page that is opened from now on.
    ///
    /// # Errors
    ///
    /// When the browser refuses.
    pub fn before_pages(&self, script: &str) -> Result<()> {
        let parameters = json!({ "source": script });
        self.command("Page.addScriptToEvaluateOnNewDocument", &parameters)?;
        Ok(())
    }

    /// A command of the DevTools protocol.
    ///
    /// # Errors
    ///
    /// When the browser refuses.
    pub fn command(&self, name: &str, parameters: &Value) -> Result<Value> {
        let body = json!({ "cmd": name, "params": parameters });
        self.ask("POST", "/goog/cdp/execute", Some(&body))
    }

    /// The value of a script's `return`.
    ///
    /// # Errors
    ///
    /// When it throws.
    pub fn run(&self, script: &str) -> Result<Value> {
        let body = json!({ "script": script, "args": [] });
        self.ask("POST", "/execute/sync", Some(&body))
    }

    /// Waits until a script returns true.
    ///
    /// # Errors
    ///
    /// When it throws, or does not in a minute.
    pub fn wait(&self, script: &str) -> Result<()> {
        wait::until(script, WAIT, || {
            Ok((self.run(script)? == Value::Bool(true)).then_some(()))
        })
    }

    fn element(&self, selector: &str) -> Result<String> {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.ask("POST", "/element", Some(&body))?;
        let id = found.as_object().and_then(|found| found.values().next());
        let id = id.and_then(Value::as_str);
        Ok(id.context("no such element")?.to_owned())
    }

    /// Clicks on an element, as a person would: it must be in sight.
    ///
    /// # Errors
    ///
    /// When it is not there, or can't be clicked.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        let path = format!("/element/{element}/click");
        self.ask("POST", &path, Some(&json!({})))?;
        Ok(())
    }

    /// Types into an element; into a file input, the paths of files that a person would choose, one a line.
    ///
    /// # Errors
    ///
    /// When it is not there, or takes no text.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        let path = format!("/element/{element}/value");
        self.ask("POST", &path, Some(&json!({ "text": text })))?;
        Ok(())
    }

    /// What the page and its workers wrote to the console since this was asked last, blocked requests included.
    ///
    /// # Errors
    ///
    /// When the driver keeps no log.
    pub fn console(&self) -> Result<Vec<String>> {
        let log = self.ask("POST", "/se/log", Some(&json!({ "type": "browser" })))?;
        let lines = log.as_array().context("no log")?.iter();
        let lines = lines.filter_map(|line| line.get("message").and_then(Value::as_str));
        Ok(lines.map(str::to_owned).collect())
    }

    /// A picture of a part of the page, as base64 of a PNG: this many pixels from its top.
    ///
    /// # Errors
    ///
    /// When the browser refuses.
    pub fn picture(&self, (width, height): (u32, u32)) -> Result<String> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true,
            "clip": { "x": 0, "y": 0, "width": width, "height": height, "scale": 1 } });
        let picture = self.command("Page.captureScreenshot", &parameters)?;
        let data = picture.get("data").and_then(Value::as_str);
        Ok(data.context("no picture")?.to_owned())
    }

    /// Ends the browser. Gives what it wrote of all that it did in the network, itself included.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub fn end(mut self) -> Result<String> {
        self.ask("DELETE", "", None)?;
        self.session.clear();
        let path: PathBuf = self.profile.path().join("net.json");
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // The driver ends the browser with the session.
            drop(self.ask("DELETE", "", None));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

fn port(driver: &mut Child) -> Result<u16> {
    let out = driver.stdout.take().context("no output")?;
    for line in BufReader::new(out).lines() {
        let line = line?;
        if let Some((_, port)) = line.split_once(STARTED) {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
    bail!("chromedriver ended before it named its port")
}

/// Asks the driver, which leaves the connection open after its answer, whatever it is asked.
fn call(server: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    answer.read_line(&mut status)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut said = vec![0; length];
    answer.read_exact(&mut said)?;
    let said: Value = serde_json::from_slice(&said)?;
    let value = said.get("value").cloned().unwrap_or_default();
    let why = value.get("message").unwrap_or(&Value::Null);
    ensure!(status.contains(" 200 "), "{method} {path}: {why}");
    Ok(value)
}
