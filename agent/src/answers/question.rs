//! What may be asked, and how it is read. Pure.
//!
//! The methods are a closed set, and each only tells something: nothing here changes a machine, the
//! configuration or the ledger.

use lineside_proto::ledger::tile::{LEVELS_MAX, WIDTH};
use lineside_proto::{
    AnswerError, CheckpointsWanted, LeafPlace, LeafRange, MapWanted, Period, Request, TileWanted,
    TokenWanted,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::hashed::digits;

/// Bytes of a request at most; the longest that makes sense has some hundred.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request's id at most.
const ID_BYTES_MAX: usize = 128;

/// Every method.
pub const METHODS: [&str; 10] = [
    "ledger.checkpoint",
    "ledger.checkpoints",
    "ledger.entries",
    "ledger.consistency",
    "ledger.inclusion",
    "ledger.tile",
    "config.get",
    "token.get",
    "usage.bundle",
    "status",
];

/// A request that makes sense.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// Chosen by who asks.
    pub id: String,
    /// What is asked.
    pub call: Call,
}

/// A method with its parameters.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    /// The newest signed checkpoint.
    Checkpoint,
    /// Kept signed checkpoints.
    Checkpoints(CheckpointsWanted),
    /// Leaves.
    Entries(LeafRange),
    /// That a newer tree continues an older.
    Consistency(LeafRange),
    /// That a leaf is in a tree.
    Inclusion(LeafPlace),
    /// Hashes of the tree.
    Tile(TileWanted),
    /// The text of a machine map, `sha256:` and hex digits.
    Map(String),
    /// The text of a booking's token, likewise.
    Token(String),
    /// The leaves of a period.
    Bundle(Period),
    /// The gateway's status.
    Status,
    /// One of those about the ledger, where whoever asks says which log is meant: gateways begin new epochs, and the
    /// same places of another log are other leaves.
    Of {
        /// The log's origin, its epoch included.
        origin: String,
        /// What is asked.
        call: Box<Call>,
    },
}

/// Why there is no answer, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Why, as a kind.
    pub code: Code,
    /// Why, and what to do, in words.
    pub text: String,
}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// There is no such method.
    UnknownMethod,
    /// It takes other parameters.
    BadParams,
    /// It is not here.
    NotFound,
    /// It is more than an answer may have.
    TooMuch,
    /// Ask again soon.
    Busy,
    /// It can't be had, for now or in this way.
    Unavailable,
}

impl Code {
    /// As the wire says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownMethod => "unknown-method",
            Self::BadParams => "bad-params",
            Self::NotFound => "not-found",
            Self::TooMuch => "too-much",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Failure {
    /// What is told whoever asked.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }
}

impl From<Failure> for AnswerError {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code.word().to_owned(),
            text: failure.text,
        }
    }
}

/// Reads a request.
///
/// # Errors
///
/// The request's id, empty where it can't be read, and why it can't be answered.
pub fn read(payload: &[u8]) -> Result<Question, (String, Failure)> {
    let bad = |text: String| (String::new(), Failure::new(Code::BadParams, text));
    if payload.len() > REQUEST_BYTES_MAX {
        let bytes = payload.len();
        return Err(bad(format!(
            "a request of {bytes} bytes: send at most {REQUEST_BYTES_MAX}"
        )));
    }
    let request: Request = serde_json::from_slice(payload).map_err(|fault| {
        bad(format!(
            "no request: {fault}; send {{\"id\":…,\"method\":…,\"params\":…}}"
        ))
    })?;
    if request.id.len() > ID_BYTES_MAX {
        return Err(bad(format!("the id is longer than {ID_BYTES_MAX} bytes")));
    }
    match call(&request.method, request.params) {
        Ok(call) => Ok(Question {
            id: request.id,
            call,
        }),
        Err(failure) => Err((request.id, failure)),
    }
}

/// A method with its parameters. Those about the ledger may name the log that is meant, by `origin`.
///
/// # Errors
///
/// There is no such method, or it takes other parameters.
pub fn call(method: &str, mut params: Value) -> Result<Call, Failure> {
    let is_about_log = method.starts_with("ledger.") || method == "usage.bundle";
    let named = params
        .get_mut("origin")
        .filter(|_| is_about_log)
        .map(Value::take);
    let call = Box::new(plain(method, params)?);
    match named {
        None | Some(Value::Null) => Ok(*call),
        Some(Value::String(origin)) => Ok(Call::Of { origin, call }),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Failure::new(
                Code::BadParams,
                format!("{method} takes the log's origin, a text, as `origin`"),
            ))
        }
    }
}

fn plain(method: &str, params: Value) -> Result<Call, Failure> {
    match method {
        "ledger.checkpoint" => Ok(Call::Checkpoint),
        "ledger.checkpoints" => {
            let wanted: CheckpointsWanted = typed(method, params, NOTES)?;
            let is_some = wanted.limit.is_none_or(|limit| limit >= 1);
            ordered(is_some && wanted.from <= wanted.to, method, NOTES)?;
            Ok(Call::Checkpoints(wanted))
        }
        "ledger.entries" => {
            let range: LeafRange = typed(method, params, RANGE)?;
            ordered(range.from <= range.to, method, RANGE)?;
            Ok(Call::Entries(range))
        }
        "ledger.consistency" => {
            let range: LeafRange = typed(method, params, RANGE)?;
            ordered(1 <= range.from && range.from <= range.to, method, SIZES)?;
            Ok(Call::Consistency(range))
        }
        "ledger.inclusion" => {
            let place: LeafPlace = typed(method, params, PLACE)?;
            ordered(place.index < place.size, method, PLACE)?;
            Ok(Call::Inclusion(place))
        }
        "ledger.tile" => {
            let wanted: TileWanted = typed(method, params, TILE)?;
            let fits = wanted.level < LEVELS_MAX && (1..=WIDTH).contains(&u64::from(wanted.width));
            ordered(fits, method, TILE)?;
            Ok(Call::Tile(wanted))
        }
        "config.get" => {
            let MapWanted { hash } = typed(method, params, HASH)?;
            ordered(digits(&hash).is_some(), method, HASH)?;
            Ok(Call::Map(hash))
        }
        "token.get" => {
            let TokenWanted { hash } = typed(method, params, HASH)?;
            ordered(digits(&hash).is_some(), method, HASH)?;
            Ok(Call::Token(hash))
        }
        "usage.bundle" => {
            let period: Period = typed(method, params, PERIOD)?;
            ordered(period.from < period.to, method, PERIOD)?;
            Ok(Call::Bundle(period))
        }
        "status" => Ok(Call::Status),
        _ => Err(Failure::new(
            Code::UnknownMethod,
            format!("there is no such method; there are {}", METHODS.join(", ")),
        )),
    }
}

const RANGE: &str =
    r#"{"from":n,"to":n} with from not above to: leaves from `from` on, below `to`"#;
const SIZES: &str = r#"{"from":n,"to":n} with from at least 1 and not above to: two tree sizes"#;
const NOTES: &str = r#"{"from":n,"to":n} with from not above to, and perhaps "limit":n from 1 and "newest":true: kept notes of at least `from` and fewer than `to` leaves"#;
const TILE: &str = r#"{"level":n,"index":n,"width":n} with level 0 to 7 and width 1 to 256"#;
const PLACE: &str = r#"{"index":n,"size":n} with index below size"#;
const HASH: &str = r#"{"hash":"sha256:…"} with 64 hexadecimal digits, lower case"#;
const PERIOD: &str = r#"{"from":time,"to":time} in RFC 3339 with from before to"#;

fn typed<T: DeserializeOwned>(method: &str, params: Value, shape: &str) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(|fault| {
        Failure::new(
            Code::BadParams,
            format!("{method} takes {shape}; here: {fault}"),
        )
    })
}

fn ordered(is_so: bool, method: &str, shape: &str) -> Result<(), Failure> {
    if is_so {
        return Ok(());
    }
    Err(Failure::new(
        Code::BadParams,
        format!("{method} takes {shape}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Call, Code, METHODS, REQUEST_BYTES_MAX, read};
    use lineside_proto::{CheckpointsWanted, LeafPlace, LeafRange, TileWanted};
    use proptest::prelude::*;

    fn code(payload: &str) -> Option<(String, Code)> {
        let refused = read(payload.as_bytes()).err();
        refused.map(|(id, failure)| (id, failure.code))
    }

    #[test]
    fn every_method_is_read() {
        let hash = format!("sha256:{}", "0a".repeat(32));
        let map = format!(r#"{{"hash":"{hash}"}}"#);
        let range = LeafRange { from: 1, to: 9 };
        for (method, params, expected) in [
            ("ledger.checkpoint", "null", Call::Checkpoint),
            (
                "ledger.entries",
                r#"{"from":1,"to":9,"later":true}"#,
                Call::Entries(range),
            ),
            (
                "ledger.consistency",
                r#"{"from":1,"to":9}"#,
                Call::Consistency(range),
            ),
            (
                "ledger.inclusion",
                r#"{"index":0,"size":1}"#,
                Call::Inclusion(LeafPlace { index: 0, size: 1 }),
            ),
            ("config.get", map.as_str(), Call::Map(hash.clone())),
            ("token.get", map.as_str(), Call::Token(hash.clone())),
            (
                "ledger.checkpoints",
                r#"{"from":0,"to":9,"limit":1,"newest":true}"#,
                Call::Checkpoints(CheckpointsWanted {
                    from: 0,
                    to: 9,
                    limit: Some(1),
                    newest: true,
                }),
            ),
            (
                "ledger.tile",
                r#"{"level":7,"index":0,"width":256}"#,
                Call::Tile(TileWanted {
                    level: 7,
                    index: 0,
                    width: 256,
                }),
            ),
            ("status", r#"{"anything":1}"#, Call::Status),
            ("status", r#"{"origin":"x"}"#, Call::Status),
            (
                "ledger.checkpoint",
                r#"{"origin":"x/e2"}"#,
                Call::Of {
                    origin: "x/e2".to_owned(),
                    call: Box::new(Call::Checkpoint),
                },
            ),
        ] {
            let payload = format!(r#"{{"id":"7","method":"{method}","params":{params}}}"#);
            let question = read(payload.as_bytes()).unwrap();
            assert_eq!((question.id.as_str(), &question.call), ("7", &expected));
            assert!(METHODS.contains(&method));
        }
        let bundle = r#"{"id":"","method":"usage.bundle","params":
            {"from":"2026-11-01T00:00:00+08:00","to":"2026-12-01T00:00:00.000Z"}}"#;
        assert!(matches!(
            read(bundle.as_bytes()).unwrap().call,
            Call::Bundle(_)
        ));
        assert!(
            matches!(read(br#"{"id":"a","method":"status"}"#), Ok(q) if q.call == Call::Status)
        );
    }

    #[test]
    fn what_can_t_be_answered_says_why() {
        let bad = Code::BadParams;
        for (method, params) in [
            ("ledger.entries", r#"{"from":2,"to":1}"#),
            ("ledger.entries", r#"{"from":-1,"to":1}"#),
            ("ledger.entries", r#"{"from":1.5,"to":3}"#),
            ("ledger.entries", "null"),
            ("ledger.entries", r#"{"from":0}"#),
            ("ledger.entries", r#"{"from":0,"to":18446744073709551616}"#),
            ("ledger.consistency", r#"{"from":0,"to":1}"#),
            ("ledger.inclusion", r#"{"index":1,"size":1}"#),
            ("config.get", r#"{"hash":"sha256:../../../etc/passwd"}"#),
            ("config.get", r#"{"hash":"0a"}"#),
            ("token.get", r#"{"hash":"sha256:../../../etc/passwd"}"#),
            ("token.get", r#"{"hash":["sha256"]}"#),
            ("ledger.checkpoints", r#"{"from":2,"to":1}"#),
            ("ledger.checkpoints", r#"{"from":0,"to":1,"limit":0}"#),
            ("ledger.checkpoints", r#"{"from":0,"to":1,"limit":-1}"#),
            ("ledger.checkpoints", r#"{"from":0,"to":1,"newest":1}"#),
            ("ledger.tile", r#"{"level":8,"index":0,"width":1}"#),
            ("ledger.tile", r#"{"level":-1,"index":0,"width":1}"#),
            ("ledger.tile", r#"{"level":0,"index":0,"width":0}"#),
            ("ledger.tile", r#"{"level":0,"index":0,"width":257}"#),
            ("ledger.tile", r#"{"level":"entries","index":0,"width":1}"#),
            ("ledger.tile", r#"{"level":0,"index":0}"#),
            ("usage.bundle", r#"{"from":"yesterday","to":"today"}"#),
            (
                "usage.bundle",
                r#"{"from":"2026-12-01T00:00:00Z","to":"2026-12-01T00:00:00Z"}"#,
            ),
            ("ledger.entries", r#"{"from":0,"to":1,"origin":7}"#),
        ] {
            let payload = format!(r#"{{"id":"7","method":"{method}","params":{params}}}"#);
            assert_eq!(code(&payload), Some(("7".to_owned(), bad)), "{payload}");
        }
        for payload in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"id":7,"method":"status"}"#,
            "\u{0}",
        ] {
            assert_eq!(code(payload), Some((String::new(), bad)), "{payload:?}");
        }
        assert_eq!(
            code(&"[".repeat(REQUEST_BYTES_MAX)),
            Some((String::new(), bad))
        );
        assert_eq!(
            code(&" ".repeat(REQUEST_BYTES_MAX + 1)),
            Some((String::new(), bad))
        );
        let long = format!(r#"{{"id":"{}","method":"status"}}"#, "x".repeat(129));
        assert_eq!(code(&long), Some((String::new(), bad)));
    }

    /// Nothing that changes a machine or the configuration exists here, by whatever name.
    #[test]
    fn there_is_nothing_that_changes_anything() {
        for method in [
            "config.set",
            "config.put",
            "config.apply",
            "apply",
            "reload",
            "machine.write",
            "point.write",
            "write",
            "session.start",
            "session.stop",
            "ledger.append",
            "ledger.correct",
            "ledger.sign",
            "keys.rotate",
            "restart",
            "shutdown",
            "exec",
            "Status",
            "status ",
            "",
        ] {
            let payload = format!(r#"{{"id":"7","method":"{method}","params":{{}}}}"#);
            let expected = Some(("7".to_owned(), Code::UnknownMethod));
            assert_eq!(code(&payload), expected, "{method}");
        }
        let sources = [
            include_str!("answer.rs"),
            include_str!("copied.rs"),
            include_str!("gateway.rs"),
            include_str!("question.rs"),
            include_str!("source.rs"),
            include_str!("../uplink/commands/desk.rs"),
            include_str!("../uplink/commands/mod.rs"),
        ];
        let shipped = sources.map(|text| text.split("\nmod tests {").next().unwrap_or_default());
        for word in [
            concat!(".app", "end("),
            concat!(".si", "gn("),
            concat!(".acknow", "ledge("),
            concat!("fs", "::"),
            concat!("crate::", "machine"),
            concat!("crate::", "config::Config"),
            concat!("Ord", "er"),
            concat!("As", "k::"),
        ] {
            let found = shipped.iter().any(|text| text.contains(word));
            assert!(!found, "{word} has no place where requests are answered");
        }
    }

    proptest! {
        #[test]
        fn junk_is_never_more_than_refused(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&payload).is_err());
        }

        #[test]
        fn junk_parameters_are_never_more_than_refused(
            method in prop::sample::select(METHODS.to_vec()),
            params in "\\PC{0,40}",
        ) {
            let request = serde_json::json!({"id": "1", "method": method, "params": params});
            let takes_none = matches!(method, "status" | "ledger.checkpoint");
            prop_assert_eq!(read(request.to_string().as_bytes()).is_ok(), takes_none);
        }
    }
}
