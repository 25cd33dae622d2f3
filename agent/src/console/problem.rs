//! What the console says where it does not do what is asked.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::BODY_BYTES_MAX;
use crate::run::Refused;
use crate::text;
use crate::text::Text;

/// What makes a browser ask for the password.
const CHALLENGE: &str = "Basic realm=\"lineside\", charset=\"UTF-8\"";

/// Why a request was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    said: ProblemDocument,
}

/// Why a request was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub(super) struct ProblemDocument {
    /// Why, as a word.
    error: String,
    /// Why, in English.
    en: String,
    /// Why, in Chinese.
    zh: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: &str, text: Text) -> Self {
        let said = ProblemDocument {
            error: error.to_owned(),
            en: text.en,
            zh: text.zh,
        };
        Self { status, said }
    }

    /// There is nothing at this place.
    pub(super) fn nothing() -> Self {
        let text = text!("there is nothing here", "此处没有内容");
        Self::new(StatusCode::NOT_FOUND, "nothing", text)
    }

    /// The agent gives no answer.
    pub(super) fn stopping() -> Self {
        let text = text!("the agent is stopping", "程序正在停止");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", text)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (status, error) = match refused {
            Refused::UnknownMachine(_) => (StatusCode::NOT_FOUND, "unknown-machine"),
            Refused::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            Refused::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Refused::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, error, refused.text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json(&self.said);
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(CHALLENGE);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A document as an answer.
pub(super) fn json(document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "a document of the console can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A body that is too long, or broke off.
pub(super) fn too_long() -> Problem {
    let text = text!(
        "the body broke off, or has more than {BODY_BYTES_MAX} bytes",
        "请求体中断，或超过 {BODY_BYTES_MAX} 字节"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", text)
}

/// Answers what nothing else does.
pub(super) async fn nothing() -> Problem {
    Problem::nothing()
}
