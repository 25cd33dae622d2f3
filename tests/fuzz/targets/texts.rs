//! Times, names and words.

use lineside_proto::Language;
use lineside_proto::evidence::Entry;
use lineside_proto::{CheckIn, Class, Identifier, Outcome, PointName, State, Time, Topics};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::text;

pub(crate) fn time(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(time) = text.parse::<Time>() else {
        return;
    };
    let written = time.to_string();
    assert_eq!(written.parse::<Time>().ok(), Some(time), "{text} {written}");
    assert_eq!(Time::from_millis(time.as_millis()), time);
    let far = time.plus_millis(i64::MAX).to_string();
    assert!(far.parse::<Time>().is_ok(), "{far}");
    let json = serde_json::to_string(&time).expect("a text");
    assert_eq!(serde_json::from_str::<Time>(&json).ok(), Some(time));
}

pub(crate) fn name(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    same::<Identifier>(text);
    same::<PointName>(text);
    same::<State>(text);
    word::<Class>(text);
    word::<Outcome>(text);
    word::<CheckIn>(text);
    if let Some(entry) = Entry::from_path(text) {
        assert_eq!(entry.to_string(), text);
        assert!(entry.bytes_max() > 0);
        assert!(!text.contains("..") && !text.starts_with('/'), "{text}");
    }
    if let Ok(machine) = text.parse::<Identifier>() {
        let topics = Topics::new("lineside/v1", &machine, &machine);
        let topic = topics.availability(&machine);
        assert!(!topic.contains(['#', '+', '\0']), "{topic}");
        assert_eq!(topic.split('/').count(), 6, "{topic}");
    }
    std::hint::black_box(text.parse::<Language>().is_ok());
}

/// What is read from a text is written as that text.
fn same<T: FromStr + Display + Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    let json = serde_json::to_string(text).expect("a text");
    match text.parse::<T>() {
        Ok(value) => {
            assert_eq!(value.to_string(), text);
            assert_eq!(serde_json::from_str::<T>(&json).ok(), Some(value));
        }
        Err(_) => assert!(serde_json::from_str::<T>(&json).is_err(), "{text}"),
    }
}

/// A word of a closed list.
fn word<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    let json = serde_json::to_string(text).expect("a text");
    if let Ok(value) = serde_json::from_str::<T>(&json) {
        assert_eq!(serde_json::to_string(&value).expect("a word"), json);
    }
}
