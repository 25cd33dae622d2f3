//! What the console says where the agent does not do what is asked.

use axum::http::StatusCode;

use crate::run::Refused;
use crate::serve::problem::Problem;

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
