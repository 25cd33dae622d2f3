//! Which messages of the command connection are what, and where an answer may go. Pure.

use lineside_proto::{Identifier, Topics};

/// Bytes of a response topic at most.
const RESPONSE_BYTES_MAX: usize = 256;
/// Bytes of correlation data at most.
const CORRELATION_BYTES_MAX: usize = 256;

/// What a topic says of its message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    /// A machine's bookings.
    Bookings(Identifier),
    /// A request.
    Request,
    /// Our own checkpoint.
    Checkpoint,
    /// What a witness says of the ledger.
    Cosignature,
    /// Nothing that was asked for.
    Foreign,
}

/// The filters to subscribe to, with what witnesses say or without.
pub(super) fn filters(topics: &Topics, is_witnessed: bool) -> Vec<String> {
    let mut filters = vec![format!("{}/bookings/+", topics.root()), topics.request()];
    if is_witnessed {
        // The newest of any stands at the level itself, which this matches, too.
        filters.push(format!("{}/#", topics.cosignature()));
    }
    filters.push(topics.checkpoint());
    filters
}

/// Whether a filter is for what the broker keeps of the ledger.
pub(super) fn is_of_ledger(topics: &Topics, filter: &str) -> bool {
    filter == topics.checkpoint() || filter.starts_with(&topics.cosignature())
}

/// Sorts a message by its topic.
pub(super) fn sort(topics: &Topics, topic: &str) -> Sort {
    if topic == topics.request() {
        return Sort::Request;
    }
    if topic == topics.checkpoint() {
        return Sort::Checkpoint;
    }
    let cosigned = topic.strip_prefix(&topics.cosignature());
    if cosigned.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Sort::Cosignature;
    }
    topic
        .strip_prefix(topics.root())
        .and_then(|rest| rest.strip_prefix("/bookings/"))
        .and_then(|machine| machine.parse().ok())
        .map_or(Sort::Foreign, Sort::Bookings)
}

/// Where the answer to a request may go.
///
/// # Errors
///
/// Why it may go nowhere.
pub(crate) fn response(
    topics: &Topics,
    topic: Option<&str>,
    correlation: Option<&[u8]>,
) -> Result<String, &'static str> {
    let topic = topic.ok_or("a request without a response topic")?;
    let rest = topic
        .strip_prefix(&topics.response())
        .ok_or("a response topic outside the gateway's response/")?;
    if rest.is_empty() || topic.len() > RESPONSE_BYTES_MAX {
        return Err("a response topic that is empty or too long");
    }
    if rest.contains(|letter: char| matches!(letter, '+' | '#') || letter.is_control()) {
        return Err("a response topic with wildcards or control characters");
    }
    if correlation.is_some_and(|data| data.len() > CORRELATION_BYTES_MAX) {
        return Err("correlation data that is too long");
    }
    Ok(topic.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Sort, filters, response, sort};
    use lineside_proto::Topics;

    fn topics() -> Topics {
        Topics::new("p/v1", &"s".parse().unwrap(), &"g".parse().unwrap())
    }

    #[test]
    fn messages_are_sorted_by_their_exact_topic() {
        for (topic, expected) in [
            (
                "p/v1/s/g/bookings/press",
                Sort::Bookings("press".parse().unwrap()),
            ),
            ("p/v1/s/g/request", Sort::Request),
            ("p/v1/s/g/ledger/checkpoint", Sort::Checkpoint),
            ("p/v1/s/g/ledger/cosignature", Sort::Cosignature),
            ("p/v1/s/g/ledger/cosignature/0a1b2c3d", Sort::Cosignature),
            ("p/v1/s/g/ledger/cosignatures", Sort::Foreign),
            ("p/v1/s/g/bookings/", Sort::Foreign),
            ("p/v1/s/g/bookings/Press", Sort::Foreign),
            ("p/v1/s/g/bookings/a/b", Sort::Foreign),
            ("p/v1/s/g2/bookings/press", Sort::Foreign),
            ("p/v1/s/g/request/x", Sort::Foreign),
            ("x/p/v1/s/g/request", Sort::Foreign),
            ("", Sort::Foreign),
        ] {
            assert_eq!(sort(&topics(), topic), expected, "{topic}");
        }
        let expected = [
            "p/v1/s/g/bookings/+",
            "p/v1/s/g/request",
            "p/v1/s/g/ledger/checkpoint",
        ];
        assert_eq!(filters(&topics(), false), expected);
        let mut witnessed = expected.to_vec();
        witnessed.insert(2, "p/v1/s/g/ledger/cosignature/#");
        assert_eq!(filters(&topics(), true), witnessed);
    }

    #[test]
    fn answers_go_below_response_and_nowhere_else() {
        let long = format!("p/v1/s/g/response/{}", "x".repeat(300));
        let check = |topic: Option<&str>, correlation: usize| {
            response(&topics(), topic, Some(&vec![0; correlation])).is_ok()
        };
        for topic in ["p/v1/s/g/response/me", "p/v1/s/g/response/a/b/c"] {
            assert!(check(Some(topic), 256), "{topic}");
        }
        for topic in [
            "p/v1/s/g/response/",
            "p/v1/s/g/response",
            "p/v1/s/g/responses/me",
            "p/v1/s/other/response/me",
            "p/v1/s/g/availability/press",
            "p/v1/s/g/response/+",
            "p/v1/s/g/response/a/#",
            "p/v1/s/g/response/a\u{0}b",
            "p/v1/s/g/response/../status\n",
            "$SYS/response/x",
            "",
            &long,
        ] {
            assert!(!check(Some(topic), 0), "{topic}");
        }
        assert!(!check(None, 0));
        assert!(!check(Some("p/v1/s/g/response/me"), 257));
        assert_eq!(
            response(&topics(), Some("p/v1/s/g/response/me"), None).unwrap(),
            "p/v1/s/g/response/me"
        );
    }
}
