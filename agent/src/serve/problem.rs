//! What is said where what is asked is not done, and how documents are answered.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::BODY_BYTES_MAX;
use crate::text;
use crate::text::Text;

/// What makes a browser ask for the password.
const CHALLENGE: &str = "Basic realm=\"lineside\", charset=\"UTF-8\"";

/// Why a request was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    status: StatusCode,
    said: ProblemDocument,
}

/// Why a request was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct ProblemDocument {
    /// Why, as a word.
    error: String,
    /// Why, in English.
    en: String,
    /// Why, in Chinese.
    zh: String,
}

impl Problem {
    /// Not done, by this status, for this reason.
    pub fn new(status: StatusCode, error: &str, text: Text) -> Self {
        let said = ProblemDocument {
            error: error.to_owned(),
            en: text.en,
            zh: text.zh,
        };
        Self { status, said }
    }

    /// There is nothing at this place.
    pub fn nothing() -> Self {
        let text = text!("there is nothing here", "此处没有内容");
        Self::new(StatusCode::NOT_FOUND, "nothing", text)
    }

    /// What is there is not asked for by this method.
    pub fn method() -> Self {
        let text = text!(
            "there is something here, and not by this method: `Allow` says by which",
            "此处不支持该方法：支持的方法见 `Allow` 标头"
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", text)
    }

    /// Nobody answers any more.
    pub fn stopping() -> Self {
        let text = text!("the program is stopping", "程序正在停止");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", text)
    }

    /// It took too long.
    pub fn slow() -> Self {
        let text = text!(
            "the request or its answer took too long",
            "请求或应答耗时过长"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "slow", text)
    }

    /// A body that is too long, or broke off.
    pub fn too_long() -> Self {
        let text = text!(
            "the body broke off, or has more than {BODY_BYTES_MAX} bytes",
            "请求体中断，或超过 {BODY_BYTES_MAX} 字节"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body", text)
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
pub fn json(document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "a document can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Answers what nothing else does.
pub async fn nothing() -> Problem {
    Problem::nothing()
}

/// Answers a method that a path does not have.
pub async fn method_not_allowed() -> Problem {
    Problem::method()
}
