//! Who can be asked what a gateway's ledger says: over the broker, over HTTP, or from a copy of its files.

use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use lineside_proto::{Answer, AnswerError};

/// Parts of one answer at most: as many as a gateway makes. Bounds what is collected.
pub const PARTS_MAX: u32 = 16;

/// What whoever is at work for others says: the answer comes when it is asked again.
pub(super) const BUSY: &str = "busy";

/// One gateway, and a way to ask it. Nothing that it says is verified.
pub trait Informant: Send + Sync + 'static {
    /// Asks once. Gives the results of all parts of the answer, in order, at least one.
    fn ask(
        &self,
        method: &'static str,
        params: Value,
    ) -> impl Future<Output = Result<Vec<Value>, Trouble>> + Send;
}

impl<I: Informant> Informant for Arc<I> {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        I::ask(self, method, params).await
    }
}

/// Why an answer is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Ask again later: it is busy, or has nothing yet. In its own words.
    Later(String),
    /// It answered, and says no.
    No(AnswerError),
    /// No answer, for this reason: the way there is cut, or it says nothing.
    Lost(String),
    /// It answered what is no answer.
    Nonsense(String),
    /// It does not want us: a password is wrong.
    Refused(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No(error) => write!(f, "{}: {}", error.code, error.text),
            Self::Later(why) | Self::Lost(why) | Self::Nonsense(why) | Self::Refused(why) => {
                f.write_str(why)
            }
        }
    }
}

impl From<AnswerError> for Trouble {
    fn from(error: AnswerError) -> Self {
        match error.code.as_str() {
            BUSY | "unavailable" => Self::Later(error.text),
            _ => Self::No(error),
        }
    }
}

/// An answer whose parts come one after the other, in any order and perhaps more than once.
#[derive(Debug, Default)]
pub struct Parts {
    results: Vec<Option<Value>>,
    missing: usize,
}

impl Parts {
    /// Parts that are still to come; none known before the first.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Takes in a part. Gives the whole when it is there.
    ///
    /// # Errors
    ///
    /// What the answer says instead, or that it makes no sense.
    pub fn take(&mut self, answer: Answer) -> Result<Option<Vec<Value>>, Trouble> {
        if let Some(error) = answer.error {
            return Err(error.into());
        }
        let Answer {
            part,
            parts,
            result: Some(result),
            ..
        } = answer
        else {
            return Err(Trouble::Nonsense("an answer without a result".to_owned()));
        };
        let count = usize::try_from(parts).unwrap_or(usize::MAX);
        if self.results.is_empty() && (1..=PARTS_MAX).contains(&parts) {
            self.results.resize(count, None);
            self.missing = count;
        }
        let place = usize::try_from(part).unwrap_or(usize::MAX).wrapping_sub(1);
        let known = self.results.len();
        let Some(slot) = self.results.get_mut(place).filter(|_| known == count) else {
            let words = format!("part {part} of {parts} of an answer");
            return Err(Trouble::Nonsense(words));
        };
        // At least once is what the broker promises.
        if slot.is_none() {
            *slot = Some(result);
            self.missing -= 1;
        }
        if self.missing > 0 {
            return Ok(None);
        }
        Ok(Some(self.results.drain(..).flatten().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::{PARTS_MAX, Parts, Trouble};
    use lineside_proto::{Answer, AnswerError};
    use serde_json::{Value, json};

    fn part(part: u32, parts: u32) -> Answer {
        Answer {
            id: "1".to_owned(),
            part,
            parts,
            result: Some(json!(part)),
            error: None,
        }
    }

    #[test]
    fn parts_come_in_any_order_and_more_than_once() {
        for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
            let mut parts = Parts::default();
            let [first, second, third] = order;
            assert_eq!(parts.take(part(first, 3)), Ok(None));
            assert_eq!(parts.take(part(first, 3)), Ok(None));
            assert_eq!(parts.take(part(second, 3)), Ok(None));
            let whole: Vec<Value> = vec![json!(1), json!(2), json!(3)];
            assert_eq!(parts.take(part(third, 3)), Ok(Some(whole)));
        }
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        for wrong in [
            part(0, 1),
            part(2, 1),
            part(1, 0),
            part(1, PARTS_MAX + 1),
            part(1, u32::MAX),
        ] {
            let said = Parts::default().take(wrong);
            assert!(matches!(said, Err(Trouble::Nonsense(_))), "{said:?}");
        }
        let mut parts = Parts::default();
        assert_eq!(parts.take(part(1, 2)), Ok(None));
        assert!(matches!(parts.take(part(2, 3)), Err(Trouble::Nonsense(_))));
        let empty = Answer {
            result: None,
            ..part(1, 1)
        };
        assert!(matches!(
            Parts::default().take(empty),
            Err(Trouble::Nonsense(_))
        ));
        for (code, later) in [
            ("busy", true),
            ("unavailable", true),
            ("not-found", false),
            ("x", false),
        ] {
            let answer = Answer {
                result: None,
                error: Some(AnswerError {
                    code: code.to_owned(),
                    text: "words".to_owned(),
                }),
                ..part(1, 1)
            };
            let said = Parts::default().take(answer);
            assert_eq!(matches!(said, Err(Trouble::Later(_))), later, "{said:?}");
        }
    }
}
