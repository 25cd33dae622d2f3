//! Questions whose answers are waited for, and the answers as they come in parts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lineside_proto::{ANSWER_BYTES_MAX, Answer, Request, Topics};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::{self, Instant};

use super::informant::{Parts, Trouble};
use crate::uplink::mqtt::answers::{Answers, Reply};

/// Values of one part of an answer at most, texts with all that is in them as one: leaves and hashes are texts, and some
/// hundred of them fill a part. Numbers by the ten thousand take twenty times their bytes when they are read.
const VALUES_MAX: usize = 2_048;

/// Whole answers to one question that are gathered at most: a city has two archives or three.
const ANSWERS_MAX: u32 = 8;

/// How long is waited for whoever is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// From one part of an answer to the next at most; one that came before brings nothing new.
    pub part: Duration,
    /// For the whole answer at most.
    pub whole: Duration,
    /// After a refusal, for an answer of somebody else: of two who answer for one gateway, the one that has nothing is
    /// the quicker.
    pub refusal: Duration,
    /// After the first whole answer, for those of others, all of which count then; nothing where the first does.
    pub others: Duration,
    /// What a silence is called.
    pub silence: &'static str,
}

/// The questions of one connection.
#[derive(Debug)]
pub struct Questions {
    /// Tells answers to this connection from those to others.
    name: String,
    asked: AtomicU64,
    waiting: Mutex<HashMap<Vec<u8>, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    /// Where its answer must come.
    topic: String,
    parts: Parts,
    /// Those of whole answers that came, and how many answers still may.
    results: Vec<Value>,
    open: u32,
    heard: watch::Sender<Heard>,
    done: oneshot::Sender<Result<Vec<Value>, Trouble>>,
}

/// What was heard last of whoever was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Heard {
    at: Instant,
    /// The first whole answer, where others are waited for.
    answered: Option<Instant>,
    /// The first refusal.
    refused: Option<(Instant, Trouble)>,
}

impl Questions {
    /// Those of a connection that hears what comes to `…/response/{name}`.
    pub fn new(name: String) -> Self {
        Self {
            name,
            asked: AtomicU64::new(0),
            waiting: Mutex::new(HashMap::new()),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for all parts of the answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn ask(
        &self,
        answers: &Answers,
        topics: &Topics,
        (method, params): (&str, Value),
        patience: Patience,
    ) -> Result<Vec<Value>, Trouble> {
        let (question, pending) = self.pose(topics, (method, params), patience)?;
        if !answers.send(question).await {
            return Err(Trouble::Lost("the connection is closed".to_owned()));
        }
        pending.answer().await
    }

    /// Makes a question of it, and waits for its answer from now on.
    fn pose(
        &self,
        topics: &Topics,
        (method, params): (&str, Value),
        patience: Patience,
    ) -> Result<(Reply, Pending<'_>), Trouble> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed).to_string();
        let request = Request {
            id: id.clone(),
            method: method.to_owned(),
            params,
        };
        let payload =
            serde_json::to_vec(&request).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        let topic = format!("{}{}", topics.response(), self.name);
        let correlation = id.into_bytes();
        let (done, answer) = oneshot::channel();
        let (heard, hears) = watch::channel(Heard {
            at: Instant::now(),
            answered: None,
            refused: None,
        });
        let gathers = !patience.others.is_zero();
        let waiting = Waiting {
            topic: topic.clone(),
            parts: Parts::default(),
            results: Vec::new(),
            open: if gathers { ANSWERS_MAX } else { 1 },
            heard,
            done,
        };
        self.waiting().insert(correlation.clone(), waiting);
        let pending = Pending {
            questions: self,
            patience,
            correlation: correlation.clone(),
            heard: hears,
            answer,
        };
        let question = Reply {
            topic: topics.request(),
            correlation: Some(correlation),
            response_topic: Some(topic),
            payload,
        };
        Ok((question, pending))
    }

    /// Takes in what came to a response topic.
    pub fn take(&self, topic: &str, correlation: &[u8], payload: &[u8]) {
        let mut all = self.waiting();
        let Some(waiting) = all.get_mut(correlation) else {
            return;
        };
        if waiting.topic != topic {
            return;
        }
        let now = Instant::now();
        let missing = waiting.parts.missing();
        let taken = match part(payload) {
            Ok(answer) => waiting.parts.take(answer),
            Err(fault) => Err(Trouble::Nonsense(fault)),
        };
        let results = match taken {
            Ok(Some(results)) => results,
            Ok(None) => {
                if waiting.parts.missing() != missing {
                    waiting.heard.send_modify(|heard| heard.at = now);
                }
                return;
            }
            Err(trouble) => {
                waiting.heard.send_modify(|heard| {
                    heard.refused.get_or_insert((now, trouble));
                });
                return;
            }
        };
        waiting.results.extend(results);
        waiting.open = waiting.open.saturating_sub(1);
        if waiting.open > 0 {
            waiting.parts = Parts::default();
            waiting.heard.send_modify(|heard| {
                heard.answered.get_or_insert(now);
            });
            return;
        }
        if let Some(waiting) = all.remove(correlation) {
            // Whoever asked may have gone.
            drop(waiting.done.send(Ok(waiting.results)));
        }
    }

    /// Tells everybody who waits that nothing comes any more.
    pub fn end(&self, trouble: &Trouble) {
        for (_, waiting) in self.waiting().drain() {
            drop(waiting.done.send(Err(trouble.clone())));
        }
    }
}

/// Reads a part of an answer. Anybody whom the broker lets may have sent it.
fn part(payload: &[u8]) -> Result<Answer, String> {
    if payload.len() > ANSWER_BYTES_MAX || values(payload) > VALUES_MAX {
        return Err("a part of an answer that is larger than any".to_owned());
    }
    serde_json::from_slice(payload).map_err(|fault| fault.to_string())
}

/// How many values a document may hold: what stands between its marks, outside of texts.
fn values(document: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for letter in document {
        match letter {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

/// A question whose answer is waited for. Forgotten when it is dropped.
#[derive(Debug)]
struct Pending<'a> {
    questions: &'a Questions,
    patience: Patience,
    correlation: Vec<u8>,
    heard: watch::Receiver<Heard>,
    answer: oneshot::Receiver<Result<Vec<Value>, Trouble>>,
}

impl Pending<'_> {
    /// Waits for all parts of the answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    async fn answer(mut self) -> Result<Vec<Value>, Trouble> {
        let patience = self.patience;
        let last = Instant::now() + patience.whole;
        loop {
            let Heard {
                at,
                answered,
                refused,
            } = self.heard.borrow_and_update().clone();
            let silence = || Trouble::Lost(patience.silence.to_owned());
            let (until, trouble) = match (answered, refused) {
                (Some(at), _) => (at + patience.others, silence()),
                (None, Some((at, trouble))) => (at + patience.refusal, trouble),
                (None, None) => (last.min(at + patience.part), silence()),
            };
            tokio::select! {
                biased;
                answer = &mut self.answer => {
                    let closed = |_| Err(Trouble::Lost("the connection is closed".to_owned()));
                    return answer.unwrap_or_else(closed);
                }
                // Gone with the answer, which is there then.
                Ok(()) = self.heard.changed() => {}
                () = time::sleep_until(until) => return self.gathered().ok_or(trouble),
            }
        }
    }

    /// What whole answers have brought, if there are any.
    fn gathered(&self) -> Option<Vec<Value>> {
        let waiting = self.questions.waiting().remove(&self.correlation)?;
        (!waiting.results.is_empty()).then_some(waiting.results)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.questions.waiting().remove(&self.correlation);
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWERS_MAX, Patience, Questions, Reply, Trouble, VALUES_MAX, part, values};
    use lineside_proto::{ANSWER_BYTES_MAX, Answer, AnswerError, Topics};
    use serde_json::{Value, json};
    use std::time::Duration;

    /// Longer than any test.
    const EVER: Duration = Duration::from_secs(3_600);
    const PATIENCE: Patience = Patience {
        part: EVER,
        whole: EVER,
        refusal: EVER,
        others: Duration::ZERO,
        silence: "nobody answers",
    };

    fn to(question: &Reply) -> &str {
        question.response_topic.as_deref().unwrap()
    }

    fn which(question: &Reply) -> &[u8] {
        question.correlation.as_deref().unwrap()
    }

    fn answer(part: u32, parts: u32, no: Option<&str>) -> Vec<u8> {
        let answer = Answer {
            id: "0".to_owned(),
            part,
            parts,
            result: no.is_none().then(|| json!(part)),
            error: no.map(|code| AnswerError {
                code: code.to_owned(),
                text: "words".to_owned(),
            }),
        };
        serde_json::to_vec(&answer).unwrap()
    }

    /// Asks, hears all of these, and gives what comes of it.
    async fn ask(patience: Patience, said: &[Vec<u8>]) -> Result<Vec<Value>, Trouble> {
        let questions = Questions::new("me".to_owned());
        let topics = Topics::new("p/v1", &"s".parse().unwrap(), &"g".parse().unwrap());
        let posed = questions.pose(&topics, ("state", json!({})), patience);
        let (posed, pending) = posed.unwrap();
        assert_eq!(posed.topic, topics.request());
        assert!(to(&posed).ends_with("/response/me"));
        for payload in said {
            // What is for others changes nothing.
            questions.take("p/v1/s/x/response/me", which(&posed), payload);
            questions.take(to(&posed), b"77", payload);
            questions.take(to(&posed), which(&posed), payload);
        }
        let result = pending.answer().await;
        assert!(questions.waiting().is_empty());
        result
    }

    #[tokio::test]
    async fn an_answer_is_waited_for_part_by_part() {
        let parts = [answer(2, 2, None), answer(1, 2, None)];
        assert_eq!(ask(PATIENCE, &parts).await, Ok(vec![json!(1), json!(2)]));
        let hasty = Patience {
            part: Duration::from_millis(20),
            ..PATIENCE
        };
        let silence = || Err(Trouble::Lost("nobody answers".to_owned()));
        assert_eq!(ask(hasty, &[]).await, silence());
        assert_eq!(ask(hasty, &parts[..1]).await, silence());
        // However often new parts come, there is an end.
        let bounded = Patience {
            whole: Duration::from_millis(20),
            ..PATIENCE
        };
        assert_eq!(ask(bounded, &parts[..1]).await, silence());
    }

    #[tokio::test]
    async fn the_same_part_again_keeps_nobody_waiting() {
        let questions = Questions::new("me".to_owned());
        let topics = Topics::new("p/v1", &"s".parse().unwrap(), &"g".parse().unwrap());
        let patience = Patience {
            part: Duration::from_millis(50),
            ..PATIENCE
        };
        let posed = questions.pose(&topics, ("state", json!({})), patience);
        let (posed, pending) = posed.unwrap();
        let first = answer(1, 3, None);
        let say = |payload: &[u8]| {
            questions.take(to(&posed), which(&posed), payload);
            pending.heard.borrow().at
        };
        let at = say(&first);
        assert_eq!(say(&first), at);
        assert!(say(&answer(2, 3, None)) > at);
        assert!(matches!(pending.answer().await, Err(Trouble::Lost(_))));
    }

    #[tokio::test]
    async fn of_two_who_answer_the_one_that_knows_counts() {
        let no = || answer(1, 1, Some("not-found"));
        for said in [
            vec![no(), answer(1, 1, None)],
            vec![answer(1, 2, None), no(), answer(2, 2, None)],
            vec![b"no answer".to_vec(), answer(1, 1, None)],
        ] {
            let result = ask(PATIENCE, &said).await;
            assert!(result.is_ok(), "{result:?}");
        }
        // Nobody else says anything: the refusal is the answer, and the first of several.
        for refusal in [Duration::ZERO, Duration::from_millis(20)] {
            let patience = Patience {
                refusal,
                ..PATIENCE
            };
            let result = ask(patience, &[no(), b"no answer".to_vec()]).await;
            assert!(matches!(result, Err(Trouble::No(_))), "{result:?}");
        }
    }

    #[tokio::test]
    async fn of_several_who_know_all_are_heard() {
        let patience = Patience {
            others: Duration::from_millis(20),
            ..PATIENCE
        };
        let one = || answer(1, 1, None);
        let no = || answer(1, 1, Some("not-found"));
        for (said, expected) in [
            (vec![one()], 1),
            (vec![no(), one(), b"no answer".to_vec(), one()], 2),
            (vec![one(), answer(1, 2, None)], 1),
            (vec![one(); 100], ANSWERS_MAX as usize),
        ] {
            assert_eq!(ask(patience, &said).await.unwrap().len(), expected);
        }
        let hasty = Patience {
            refusal: Duration::ZERO,
            ..patience
        };
        assert!(matches!(ask(hasty, &[no()]).await, Err(Trouble::No(_))));
    }

    #[tokio::test]
    async fn an_end_is_told_to_everybody_who_waits() {
        let questions = Questions::new("me".to_owned());
        let topics = Topics::new("p/v1", &"s".parse().unwrap(), &"g".parse().unwrap());
        let pose = || questions.pose(&topics, ("state", json!({})), PATIENCE);
        let (first, second) = (pose().unwrap().1, pose().unwrap().1);
        questions.end(&Trouble::Lost("cut".to_owned()));
        for pending in [first, second] {
            assert_eq!(pending.answer().await, Err(Trouble::Lost("cut".to_owned())));
        }
    }

    #[test]
    fn a_part_that_would_take_many_times_its_bytes_is_not_read() {
        for (document, expected) in [
            ("1", 1),
            ("[]", 2),
            ("[1,2,3]", 4),
            (r#"{"a":[1],"b":"x,[{"}"#, 4),
            (r#"["\",[",1]"#, 3),
        ] {
            assert_eq!(values(document.as_bytes()), expected, "{document}");
        }
        let of = |result: Value| {
            let answer = json!({"id": "0", "part": 1, "parts": 1, "result": result});
            part(&serde_json::to_vec(&answer).unwrap()).is_ok()
        };
        let leaves = |count| of(json!({"first": 0, "leaves": vec!["{\"a\":[1,2]}"; count]}));
        assert!(leaves(1_000) && leaves(VALUES_MAX - 16));
        assert!(!leaves(VALUES_MAX));
        assert!(!of(json!("x".repeat(ANSWER_BYTES_MAX))));
    }
}
