//! Asking a gateway's local API, `POST /api/v1/request`, or an archive, over HTTP/1.1 without encryption: what is answered
//! is checked, and is no secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use lineside_proto::{ANSWER_BYTES_MAX, Answer, Identifier, Request};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

use super::informant::{Informant, PARTS_MAX, Parts, Trouble};
use super::post::{Post, PostError, Reply};
use crate::archive::{Held, Place, Standing};

/// From the request to the whole answer: half a minute of work, and the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of an answer at most.
const BODY_BYTES_MAX: usize = ANSWER_BYTES_MAX * (PARTS_MAX as usize + 1);
/// Bytes of the list of all gateways at most: some 400 for each log of each, of more than a city has.
const LISTING_BYTES_MAX: usize = 64 << 20;

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whom {
    Gateway,
    Archive,
}

/// A gateway's local API, or what an archive says of one log.
#[derive(Clone, Debug)]
pub struct Http {
    server: Server,
    path: String,
    whom: Whom,
}

/// A server by its address.
#[derive(Clone, Debug)]
struct Server {
    host: String,
    port: u16,
    password: Option<String>,
}

/// An archive's API.
#[derive(Clone, Debug)]
pub struct Archive {
    server: Server,
    base: String,
}

/// What an archive lists: a gateway and its logs. What else it says is passed over.
#[derive(Deserialize)]
struct Listed {
    site: Identifier,
    gateway: Identifier,
    logs: Vec<Standing>,
    /// Archives of earlier versions leave such logs out.
    #[serde(default)]
    unreadable: Vec<u32>,
}

impl Http {
    /// A gateway's, at this address, with the console's password if it has one.
    pub fn new(host: String, port: u16, password: Option<String>) -> Self {
        let server = Server {
            host,
            port,
            password,
        };
        Self {
            server,
            path: "/api/v1/request".to_owned(),
            whom: Whom::Gateway,
        }
    }
}

impl Archive {
    /// At this address; `base` is what comes before the paths of its API, where a proxy has put it below its own.
    pub fn new(host: String, port: u16, base: String) -> Self {
        let server = Server {
            host,
            port,
            password: None,
        };
        Self { server, base }
    }

    /// What it holds of all gateways, or of those of a site or of a name.
    ///
    /// # Errors
    ///
    /// There is no answer, or none that makes sense.
    pub async fn held(
        &self,
        site: Option<&Identifier>,
        gateway: Option<&Identifier>,
    ) -> Result<Vec<Held>, Trouble> {
        let path = listing(&self.base, site, gateway);
        let request = Post {
            answer_bytes_max: LISTING_BYTES_MAX,
            ..self.server.request(&path, Vec::new())
        };
        let reply = request.get().await.map_err(trouble)?;
        judge(status(&reply)?, Whom::Archive)?;
        let listed: Vec<Listed> = serde_json::from_slice(&reply.body)
            .map_err(|fault| Trouble::Nonsense(fault.to_string()))?;
        let held = listed.into_iter().map(|listed| Held {
            v: 1,
            site: listed.site,
            gateway: listed.gateway,
            logs: listed.logs,
            unreadable: listed.unreadable,
            unlisted: false,
        });
        Ok(held.collect())
    }

    /// One of its logs.
    pub fn log(&self, place: &Place) -> Http {
        let Place {
            site,
            gateway,
            epoch,
        } = place;
        let base = &self.base;
        Http {
            server: self.server.clone(),
            path: format!("{base}/api/v1/gateways/{site}/{gateway}/e{epoch}/request"),
            whom: Whom::Archive,
        }
    }
}

/// The path of the list.
fn listing(base: &str, site: Option<&Identifier>, gateway: Option<&Identifier>) -> String {
    let asked: Vec<String> = [("site", site), ("gateway", gateway)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
        .collect();
    let mark = if asked.is_empty() { "" } else { "?" };
    format!("{base}/api/v1/gateways{mark}{}", asked.join("&"))
}

impl Server {
    fn request<'a>(&'a self, path: &'a str, body: Vec<u8>) -> Post<'a> {
        let told = |password: &String| STANDARD.encode(format!("lineside:{password}"));
        let password = self.password.as_ref();
        Post {
            host: &self.host,
            port: self.port,
            path,
            content_type: "application/json",
            authorization: password.map(|password| format!("Basic {}", told(password))),
            body,
            answer_bytes_max: BODY_BYTES_MAX,
            timeout: ANSWER_TIMEOUT,
        }
    }
}

fn trouble(error: PostError) -> Trouble {
    match error {
        PostError::Lost(why) => Trouble::Lost(why),
        PostError::Request(why) => Trouble::Refused(why),
    }
}

fn status(reply: &Reply) -> Result<StatusCode, Trouble> {
    let status = StatusCode::from_u16(reply.status);
    status.map_err(|error| Trouble::Nonsense(error.to_string()))
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
        let request = self.server.request(&self.path, body);
        let reply = request.send().await.map_err(trouble)?;
        read(status(&reply)?, &reply.body, self.whom)
    }
}

/// Whether there is an answer, by its status.
fn judge(status: StatusCode, whom: Whom) -> Result<(), Trouble> {
    let (busy, words) = match (status, whom) {
        (StatusCode::OK, _) => return Ok(()),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Whom::Gateway) => {
            let words = "the gateway wants its console's password: --password-file FILE";
            return Err(Trouble::Refused(words.to_owned()));
        }
        (_, Whom::Gateway) => ("the gateway is busy", "is this a gateway's console?"),
        (_, Whom::Archive) => (
            "the archive is busy",
            "is this an archive, and of this log?",
        ),
    };
    let later = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if later.contains(&status) {
        return Err(Trouble::Later(busy.to_owned()));
    }
    Err(Trouble::Refused(format!("it answers {status}: {words}")))
}

/// What an answer says.
fn read(status: StatusCode, body: &[u8], whom: Whom) -> Result<Vec<Value>, Trouble> {
    judge(status, whom)?;
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
    use super::{Archive, Whom, read};
    use hyper::StatusCode;
    use serde_json::json;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    /// Lists so many gateways once; gives what was asked.
    async fn lists(count: usize, asked: (Option<&str>, Option<&str>)) -> (usize, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut asked, mut line) = (String::new(), String::new());
            stream.read_line(&mut asked).await.unwrap();
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).await.unwrap();
            }
            let about = "x".repeat(400);
            let one = |number| json!({"site": "zs", "gateway": format!("g{number}"), "logs": [], "more": about});
            let body = serde_json::Value::Array((0..count).map(one).collect()).to_string();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            asked
        });
        let archive = Archive::new("127.0.0.1".to_owned(), port, "/city".to_owned());
        let [site, gateway] = [asked.0, asked.1].map(|name| name.map(|name| name.parse().unwrap()));
        let held = archive.held(site.as_ref(), gateway.as_ref()).await;
        (held.unwrap().len(), serving.await.unwrap())
    }

    #[tokio::test]
    async fn the_list_of_a_whole_city_is_read_and_only_what_is_wanted_asked_for() {
        for (count, asked, path) in [
            (30_000, (None, None), "/city/api/v1/gateways "),
            (1, (Some("zs"), None), "/city/api/v1/gateways?site=zs "),
            (1, (None, Some("gw")), "/city/api/v1/gateways?gateway=gw "),
            (
                1,
                (Some("zs"), Some("gw")),
                "/city/api/v1/gateways?site=zs&gateway=gw ",
            ),
        ] {
            let (held, line) = lists(count, asked).await;
            assert_eq!(held, count);
            assert!(line.starts_with(&format!("GET {path}")), "{line}");
        }
    }

    #[test]
    fn an_answer_is_a_document_a_line() {
        let body = concat!(
            r#"{"id":"pull","part":1,"parts":2,"result":1}"#,
            "\n",
            r#"{"id":"pull","part":2,"parts":2,"result":2}"#,
            "\n"
        );
        let answer = read(StatusCode::OK, body.as_bytes(), Whom::Gateway);
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
            let status_code = StatusCode::from_u16(status).unwrap();
            let said = match read(status_code, body.as_bytes(), Whom::Archive) {
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
