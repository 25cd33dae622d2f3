//! What is asked for behind the `?` of a path.

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::openapi::ENDPOINTS;
use crate::serve::problem::Problem;
use crate::text;

/// Reads it. What an endpoint does not know is refused, rather than passed over: a name that is mistyped would give
/// more than was asked for.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let Query(pairs): Query<Vec<(String, String)>> =
        Query::try_from_uri(uri).map_err(|error| refused(&error.to_string()))?;
    let endpoint = ENDPOINTS.iter().find(|known| known.path == uri.path());
    let known = endpoint.map_or(&[][..], |endpoint| endpoint.query);
    for (name, _) in &pairs {
        if !known.iter().any(|query| query.name == name) {
            let names: Vec<_> = known.iter().map(|query| query.name).collect();
            let name: String = name.chars().take(64).collect();
            return Err(refused(&format!("`{name}`? {}", names.join(", "))));
        }
    }
    let Query(read) = Query::try_from_uri(uri).map_err(|error| refused(&error.to_string()))?;
    Ok(read)
}

/// What is asked for makes no sense.
pub(super) fn refused(why: &str) -> Problem {
    let text = text!(
        "what is asked for can't be read: {why}",
        "无法读取查询参数：{why}"
    );
    Problem::new(StatusCode::BAD_REQUEST, "query", text)
}
