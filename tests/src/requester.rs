//! A portal that asks, by paho: an MQTT 5 client that is not ours.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use crate::process::Process;
use crate::subscriber::{peer, python};
use crate::wait;

const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Somebody who asks a gateway.
#[derive(Debug)]
pub struct Requester {
    process: Process,
    asked: u32,
}

/// What was heard below `response/`.
#[derive(Debug, Deserialize)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// Its correlation data.
    pub correlation: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// The document.
    pub answer: Value,
}

impl Requester {
    /// Connects, and waits until answers would be heard.
    ///
    /// # Errors
    ///
    /// When it can't.
    pub fn start(port: u16, root: &str) -> Result<Self> {
        let settings = json!({"port": port, "root": root, "name": "evaluator"});
        let arguments = [&*peer("requester.py"), &*settings.to_string()];
        let process = Process::start("the requester", &python()?, &arguments)?;
        let ready = || {
            let mut lines = process.output.lock();
            let at = lines.iter().position(|line| line.contains("\"ready\""));
            Ok(at.map(|at| lines.remove(at)))
        };
        wait::until("the requester", ANSWER_MAX, ready)?;
        Ok(Self { process, asked: 0 })
    }

    /// Sends a request as the requester's own help says.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn say(&mut self, request: &Value) -> Result<()> {
        self.process.say(&request.to_string())
    }

    /// Sends a text to a topic below the root, to be kept by the broker.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn send(&mut self, topic: &str, payload: &str) -> Result<()> {
        self.say(&json!({"topic": topic, "payload": payload, "retain": true}))
    }

    /// The next thing that is heard.
    ///
    /// # Errors
    ///
    /// When nothing comes.
    pub fn hear(&mut self) -> Result<Heard> {
        let line = wait::until("an answer", ANSWER_MAX, || {
            let mut lines = self.process.output.lock();
            Ok((!lines.is_empty()).then(|| lines.remove(0)))
        })?;
        serde_json::from_str(&line).with_context(|| line.clone())
    }

    /// Asks, and gives the results of all parts, or the error.
    ///
    /// # Errors
    ///
    /// When the answer does not come, or not in its parts.
    pub fn ask(&mut self, method: &str, params: &Value) -> Result<Result<Vec<Value>, Value>> {
        self.asked += 1;
        let id = format!("r{}", self.asked);
        self.say(&json!({"id": id, "method": method, "params": params}))?;
        let mut results = Vec::new();
        loop {
            let heard = self.hear()?;
            let answer = &heard.answer;
            ensure!(heard.correlation == id && answer["id"] == id, "{heard:?}");
            ensure!(heard.content_type.as_deref() == Some("application/json"));
            if let Some(error) = answer.get("error") {
                return Ok(Err(error.clone()));
            }
            ensure!(answer["part"] == results.len() + 1, "{answer}");
            results.push(answer["result"].clone());
            if answer["part"] == answer["parts"] {
                return Ok(Ok(results));
            }
        }
    }
}
