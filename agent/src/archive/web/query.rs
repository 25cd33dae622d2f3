//! What is asked for behind the `?` of a path.

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use lineside_proto::{Class, Identifier, Time};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::figures::By;
use super::openapi::ENDPOINTS;
use crate::serve::problem::Problem;
use crate::text;
use crate::text::Text;

/// Characters of a name or a value that are said again.
const SAID_MAX: usize = 64;

/// Reads it. What an endpoint does not know is refused, rather than passed over: a name that is mistyped would give
/// more than was asked for.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let Query(pairs): Query<Vec<(String, String)>> =
        Query::try_from_uri(uri).map_err(|_| refused(&coded()))?;
    let endpoint = ENDPOINTS.iter().find(|known| known.path == uri.path());
    let known = endpoint.map_or(&[][..], |endpoint| endpoint.query);
    for (place, (name, value)) in pairs.iter().enumerate() {
        if !known.iter().any(|query| query.name == name) {
            let names: Vec<_> = known.iter().map(|query| query.name).collect();
            return Err(refused(&unknown(name, &names)));
        }
        if pairs.iter().take(place).any(|(before, _)| before == name) {
            let text = text!("`{name}` is said twice", "`{name}` 出现了两次");
            return Err(refused(&text));
        }
        if let Some(form) = misfit(name, value) {
            return Err(refused(&form));
        }
        // No name, booking or place has one, and not every store takes it in a text.
        if value.contains('\0') {
            let text = text!(
                "`{name}` has a zero character in it",
                "`{name}` 中含有零字符"
            );
            return Err(refused(&text));
        }
    }
    let Query(read) = Query::try_from_uri(uri).map_err(|_| refused(&coded()))?;
    Ok(read)
}

/// What is asked for makes no sense.
pub(super) fn refused(why: &Text) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query", why.clone())
}

fn coded() -> Text {
    text!(
        "what stands behind the `?` can't be read: write name=value&name=value, in percent-encoded UTF-8",
        "无法读取 `?` 之后的内容：请写作 名称=值&名称=值，使用 UTF-8 百分号编码"
    )
}

fn unknown(name: &str, names: &[&str]) -> Text {
    let name = said(name);
    if names.is_empty() {
        return text!(
            "nothing can be asked for here, and `{name}` is",
            "此处不接受查询参数，却给出了 `{name}`"
        );
    }
    let names = names.join(", ");
    text!(
        "`{name}` can't be asked for here; these can: {names}",
        "此处没有查询参数 `{name}`；可用的有：{names}"
    )
}

/// Why a parameter's value is none, with the form that it has; none where it is one. What is not named here is a plain
/// text.
fn misfit(name: &str, value: &str) -> Option<Text> {
    fn is<T: DeserializeOwned>(value: &str) -> bool {
        serde_json::from_value::<T>(Value::String(value.to_owned())).is_ok()
    }
    let (fits, form) = match name {
        "site" | "gateway" | "machine" => (
            is::<Identifier>(value),
            text!(
                "a name of a-z, 0-9, `_` and `-`, such as `gw-01`",
                "由 a-z、0-9、`_`、`-` 组成的名称，如 `gw-01`"
            ),
        ),
        "from" | "to" => (
            is::<Time>(value),
            text!(
                "a time in UTC, such as 2026-11-23T08:00:00.000Z",
                "UTC 时间，如 2026-11-23T08:00:00.000Z"
            ),
        ),
        "class" => (
            is::<Class>(value),
            text!(
                "EXT, OWN, AFF, TRN, MNT or UNB",
                "EXT、OWN、AFF、TRN、MNT 或 UNB"
            ),
        ),
        "by" => (
            is::<By>(value),
            text!(
                "machine, gateway, site, day or all",
                "machine、gateway、site、day 或 all"
            ),
        ),
        "limit" => (
            value
                .parse::<u16>()
                .is_ok_and(|limit| (1..=1000).contains(&limit)),
            text!("a number from 1 to 1000", "1 至 1000 的整数"),
        ),
        _ => return None,
    };
    let Text { en, zh } = form;
    let value = said(value);
    (!fits).then(|| {
        Text::new(
            format!("`{name}` is {en}, and not `{value}`"),
            format!("`{name}` 应为 {zh}，而不是 `{value}`"),
        )
    })
}

fn said(text: &str) -> String {
    text.chars().take(SAID_MAX).collect()
}
