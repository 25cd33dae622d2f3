//! Asking a gateway's local API: `POST /api/v1/request`, over HTTP/1.1 without encryption.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use lineside_proto::{ANSWER_BYTES_MAX, Answer, Request};
use serde_json::Value;
use std::time::Duration;

use super::informant::{Informant, PARTS_MAX, Parts, Trouble};
use super::post::{Post, PostError, Reply};

/// From the request to the whole answer: half a minute of work, and the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of an answer at most.
const BODY_BYTES_MAX: usize = ANSWER_BYTES_MAX * (PARTS_MAX as usize + 1);

/// A gateway's local API.
#[derive(Clone, Debug)]
pub struct Http {
    host: String,
    port: u16,
    password: Option<String>,
}

impl Http {
    /// At this address, with the console's password if it has one.
    pub fn new(host: String, port: u16, password: Option<String>) -> Self {
        Self {
            host,
            port,
            password,
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<Reply, Trouble> {
        let told = |password: &String| STANDARD.encode(format!("lineside:{password}"));
        let password = self.password.as_ref();
        let post = Post {
            host: &self.host,
            port: self.port,
            path: "/api/v1/request",
            content_type: "application/json",
            authorization: password.map(|password| format!("Basic {}", told(password))),
            body,
            answer_bytes_max: BODY_BYTES_MAX,
            timeout: ANSWER_TIMEOUT,
        };
        post.send().await.map_err(|error| match error {
            PostError::Lost(why) => Trouble::Lost(why),
            PostError::Request(why) => Trouble::Refused(why),
        })
    }
}

impl Informant for Http {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        let request = Request {
            id: "pull".to_owned(),
            method: method.to_owned(),
            params,
        };
        let body =
            serde_json::to_vec(&request).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        let reply = self.post(body).await?;
        let status = StatusCode::from_u16(reply.status);
        let status = status.map_err(|error| Trouble::Nonsense(error.to_string()))?;
        read(status, &reply.body)
    }
}

/// What an answer says.
fn read(status: StatusCode, body: &[u8]) -> Result<Vec<Value>, Trouble> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let words = "the gateway wants its console's password: --password-file FILE";
            return Err(Trouble::Refused(words.to_owned()));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            return Err(Trouble::Later("the gateway is busy".to_owned()));
        }
        _ => {}
    }
    if status != StatusCode::OK {
        let words = format!("it answers {status}: is this a gateway's console?");
        return Err(Trouble::Refused(words));
    }
    let mut parts = Parts::default();
    // A document a line.
    for line in body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let answer: Answer =
            serde_json::from_slice(line).map_err(|fault| Trouble::Nonsense(fault.to_string()))?;
        if let Some(whole) = parts.take(answer)? {
            return Ok(whole);
        }
    }
    Err(Trouble::Nonsense(
        "an answer in which parts are missing".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::informant::Trouble;
    use super::read;
    use hyper::StatusCode;
    use serde_json::json;

    #[test]
    fn an_answer_is_a_document_a_line() {
        let body = concat!(
            r#"{"id":"pull","part":1,"parts":2,"result":1}"#,
            "\n",
            r#"{"id":"pull","part":2,"parts":2,"result":2}"#,
            "\n"
        );
        let answer = read(StatusCode::OK, body.as_bytes());
        assert_eq!(answer, Ok(vec![json!(1), json!(2)]));
        let (half, _) = body.split_once('\n').unwrap();
        for (status, body, expected) in [
            (200, half, "nonsense"),
            (200, "", "nonsense"),
            (200, "<html>", "nonsense"),
            (
                200,
                r#"{"id":"","part":1,"parts":1,"error":{"code":"busy","text":"x"}}"#,
                "later",
            ),
            (
                200,
                r#"{"id":"","part":1,"parts":1,"error":{"code":"not-found","text":"x"}}"#,
                "no",
            ),
            (401, "", "refused"),
            (404, "", "refused"),
            (503, "", "later"),
        ] {
            let said = match read(StatusCode::from_u16(status).unwrap(), body.as_bytes()) {
                Ok(_) => "answer",
                Err(Trouble::Later(_)) => "later",
                Err(Trouble::No(_)) => "no",
                Err(Trouble::Lost(_)) => "lost",
                Err(Trouble::Nonsense(_)) => "nonsense",
                Err(Trouble::Refused(_)) => "refused",
            };
            assert_eq!(said, expected, "{status} {body}");
        }
    }
}
