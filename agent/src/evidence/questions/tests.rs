//! What is heard of those who are asked, in what order and how long it is waited for.

use super::{ANSWERS_MAX, Patience, Questions, Reply, Trouble, VALUES_MAX, part, values};
use lineside_proto::{ANSWER_BYTES_MAX, Answer, AnswerError, Topics};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time;

/// Longer than any test.
const EVER: Duration = Duration::from_secs(3_600);
const PATIENCE: Patience = Patience {
    part: EVER,
    whole: EVER,
    refusal: EVER,
    others: Duration::ZERO,
    expected: None,
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
    // A copy that can't be read may stay so.
    let unavailable = || answer(1, 1, Some("unavailable"));
    for said in [vec![one(), unavailable()], vec![unavailable(), one()]] {
        assert_eq!(ask(patience, &said).await, Ok(vec![json!(1)]));
    }
    // Whoever is busy is asked again.
    let busy = || answer(1, 1, Some("busy"));
    for said in [vec![one(), busy()], vec![no(), busy(), one()]] {
        let result = ask(patience, &said).await;
        assert!(matches!(result, Err(Trouble::Later(_))), "{result:?}");
    }
}

/// As many as are known to answer have said what they say: nobody else is waited for.
#[tokio::test(start_paused = true)]
async fn when_all_have_spoken_nobody_is_waited_for() {
    let patience = Patience {
        refusal: Duration::from_secs(45),
        others: Duration::from_secs(3),
        expected: Some(2),
        ..PATIENCE
    };
    let one = || answer(1, 1, None);
    let no = || answer(1, 1, Some("not-found"));
    let busy = || answer(1, 1, Some("busy"));
    for (said, at_once) in [
        (vec![one(), one()], true),
        (vec![no(), one()], true),
        (vec![one(), no()], true),
        (vec![no(), no()], true),
        (vec![busy(), busy()], true),
        (vec![no(), busy()], true),
        (vec![one()], false),
        (vec![busy()], false),
        // One has begun, and goes on.
        (vec![no(), answer(1, 2, None), no()], false),
    ] {
        let begun = time::Instant::now();
        drop(ask(patience, &said).await);
        let took = begun.elapsed();
        assert_eq!(took < Duration::from_secs(1), at_once, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_no_answer_that_comes() {
    let questions = Questions::new("me".to_owned());
    let topics = Topics::new("p/v1", &"s".parse().unwrap(), &"g".parse().unwrap());
    let patience = Patience {
        refusal: Duration::from_secs(3),
        part: Duration::from_secs(45),
        ..PATIENCE
    };
    let posed = questions.pose(&topics, ("state", json!({})), patience);
    let (posed, pending) = posed.unwrap();
    let say = |payload: Vec<u8>| questions.take(to(&posed), which(&posed), &payload);
    let speaks = async {
        say(answer(1, 1, Some("not-found")));
        for part in 1..=3 {
            say(answer(part, 3, None));
            time::sleep(Duration::from_secs(20)).await;
        }
    };
    let (result, ()) = tokio::join!(pending.answer(), speaks);
    assert_eq!(result, Ok(vec![json!(1), json!(2), json!(3)]));
    // One that breaks off is lost, and no refusal.
    let (posed, pending) = questions
        .pose(&topics, ("state", json!({})), patience)
        .unwrap();
    for payload in [answer(1, 1, Some("not-found")), answer(1, 3, None)] {
        questions.take(to(&posed), which(&posed), &payload);
    }
    assert!(matches!(pending.answer().await, Err(Trouble::Lost(_))));
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
