//! Our logs shown to a witness that says what it is told to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lineside_proto::Identifier;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::{Checkpoint, Correction, LeafBody};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Desk, at};
use crate::archive::witness::{
    AddCheckpoint, Answer, ForeignWitness, SubmitError, Target, answer, with_signature,
};
use crate::archive::{Place, Shelf};
use crate::clock::Stamp;
use crate::ledger::Ledger;
use crate::record::Entry;

const ORIGIN: &str = "lineside/site/gw";

/// An archive with one log, which can grow.
struct City {
    dir: TempDir,
    ledger: Ledger,
    place: Place,
}

impl City {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (state, key) = (dir.path().join("state"), dir.path().join("keys/ledger.key"));
        let word = |word: &str| word.parse::<Identifier>().unwrap();
        Self {
            ledger: Ledger::open(&state, &key, ORIGIN).unwrap().0,
            place: Place {
                site: word("site"),
                gateway: word("gw"),
                epoch: 1,
            },
            dir,
        }
    }

    fn shelf(&self) -> Shelf {
        Shelf::of(&self.dir.path().join("archive"))
    }

    /// Appends leaves, signs, and lays the log where the archive has it.
    fn grow(&self, count: u64) {
        let size = self.ledger.size();
        let entry = |refers| Entry {
            at: Stamp {
                boot_ms: refers,
                wall: at(0),
            },
            body: LeafBody::Correction(Correction {
                refers,
                reason: "r".to_owned(),
                by: "p".to_owned(),
            }),
        };
        let entries: Vec<Entry> = (size..size + count).map(entry).collect();
        self.ledger.append("boot", &entries).unwrap();
        self.ledger.sign().unwrap();
        let log = self.shelf().log_dir(&self.place);
        copy(&self.ledger.dir().join("tile"), &log.join("tile"));
        fs::copy(self.ledger.dir().join("checkpoint"), log.join("checkpoint")).unwrap();
    }

    async fn submit(&self, witness: &mut ForeignWitness) -> Result<u64, String> {
        let submitted = witness.submit(&self.shelf(), &self.place, at(0)).await;
        let told = |error: SubmitError| match error {
            SubmitError::Nothing => "nothing".to_owned(),
            SubmitError::Later { words, .. } => format!("later: {words}"),
            SubmitError::Refused { status, words } => format!("refused: {status} {words}"),
            SubmitError::Contradicted { words } => format!("contradicted: {words}"),
            SubmitError::Ahead { its, ours } => format!("ahead: {its} {ours}"),
            SubmitError::Nonsense(what) => format!("nonsense: {what}"),
            SubmitError::Files(error) => format!("files: {error}"),
            SubmitError::Proof(error) => format!("proof: {error}"),
        };
        let submitted = submitted.map_err(told)?;
        assert_eq!(submitted.note.text, submitted.head.to_string());
        // As it is published: whoever gets it knows whose log that is.
        assert_eq!(submitted.note.signatures.len(), 2);
        let (note, head) = self.shelf().head(&self.place).unwrap().unwrap();
        assert_eq!(head, submitted.head);
        let note = with_signature(&Note::parse(&note).unwrap(), &submitted.signature);
        let keys = [witness.target().key().clone()];
        let verified = note.verify(&keys).unwrap();
        assert_eq!(verified[0].cosigned, Some(submitted.at));
        Ok(head.size)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Serves answers that a function makes of the requests' bodies; gives the address, and the old sizes that were asked.
async fn serve(
    say: impl Fn(&AddCheckpoint) -> (Answer, &'static str) + Send + 'static,
) -> (String, Arc<Mutex<Vec<u64>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let body = loop {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).await.unwrap();
                assert!(length > 0, "the request broke off");
                bytes.extend_from_slice(&part[..length]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                assert!(
                    head.starts_with("POST /w/add-checkpoint HTTP/1.1\r\n"),
                    "{head}"
                );
                let length = head.to_lowercase();
                let (_, length) = length.split_once("content-length: ").unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    break body.to_owned();
                }
            };
            let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
            assert_eq!(request.to_string(), body);
            seen.lock().unwrap().push(request.old);
            let (answer, more) = say(&request);
            let (status, kind, body) = (answer.status, answer.content_type, answer.body);
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\r\n{body}"
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    (format!("http://{address}/w/"), asked)
}

#[tokio::test]
async fn a_log_that_grows_is_cosigned_from_whatever_the_witness_has() {
    let (city, desk) = (City::new(), Desk::new());
    let keys = city.ledger.keys();
    let witness = desk.open();
    let key = witness.key().to_string();
    let say = move |request: &AddCheckpoint| {
        let known = |origin: &str| {
            if origin == ORIGIN {
                keys.clone()
            } else {
                Vec::new()
            }
        };
        (
            answer(&witness, &known, request.to_string().as_bytes(), at(0)),
            "",
        )
    };
    let (url, asked) = serve(say).await;
    let new = || ForeignWitness::new(Target::parse(&url, &key).unwrap());
    let mut foreign = new();
    assert_eq!(city.submit(&mut foreign).await, Err("nothing".to_owned()));
    city.grow(5);
    assert_eq!(city.submit(&mut foreign).await, Ok(5));
    city.grow(300);
    assert_eq!(city.submit(&mut foreign).await, Ok(305));
    // Again, with the time of now.
    assert_eq!(city.submit(&mut foreign).await, Ok(305));
    assert_eq!(foreign.wait(ORIGIN), Duration::ZERO);
    city.grow(1);
    // After a start nothing is remembered here.
    let mut foreign = new();
    assert_eq!(city.submit(&mut foreign).await, Ok(306));
    assert_eq!(*asked.lock().unwrap(), [0, 5, 305, 0, 305]);
}

/// A witness that always says the same.
async fn stubborn(answer: Answer, more: &'static str) -> ForeignWitness {
    let (url, _) = serve(move |_| (answer.clone(), more)).await;
    let key = Desk::new().open().key().to_string();
    ForeignWitness::new(Target::parse(&url, &key).unwrap())
}

/// Has a head submitted to a witness that says this, and checks what is told of it and how long it is left alone.
async fn check(
    city: &City,
    (answer, more): (Answer, &'static str),
    expected: Result<u64, &str>,
    wait_s: u64,
) {
    let what = format!("{answer:?}");
    let mut foreign = stubborn(answer, more).await;
    let told = city.submit(&mut foreign).await;
    match (&told, expected) {
        (Ok(size), Ok(expected)) => assert_eq!(*size, expected, "{what}"),
        (Err(told), Err(expected)) => assert!(told.starts_with(expected), "{what}: {told}"),
        _ => panic!("{what}: {told:?}"),
    }
    let wait = Duration::from_secs(wait_s);
    assert_eq!(foreign.wait(ORIGIN), wait, "{what}");
}

#[tokio::test]
async fn what_a_witness_says_is_told_apart_by_what_to_do() {
    let city = City::new();
    city.grow(5);
    let size = |body: &str| Answer {
        status: 409,
        content_type: "text/x.tlog.size",
        body: body.to_owned(),
    };
    let text = Answer::text;
    for (answer, expected) in [
        (text(404, "what\u{1} log?"), "refused: 404 what  log?"),
        (text(403, "no"), "refused: 403 no"),
        (text(400, "no"), "refused: 400 no"),
        (text(302, ""), "refused: 302 "),
        (text(422, "no"), "contradicted: no"),
        (text(409, "5"), "contradicted: 5"),
        (size("x\n"), "contradicted: x"),
        (size("0\n"), "contradicted: 0"),
        (size("6\n"), "ahead: 6 5"),
        (text(503, "busy"), "later: 503 busy"),
    ] {
        check(&city, (answer, ""), Err(expected), 5).await;
    }
    let patient = (text(429, "busy"), "Retry-After: 77\r\n");
    check(&city, patient, Err("later: 429 busy"), 77).await;
    let never = (text(503, ""), "Retry-After: 99999\r\n");
    check(&city, never, Err("later: 503"), 600).await;
}

#[tokio::test]
async fn only_the_line_of_the_witness_that_was_named_counts() {
    let city = City::new();
    city.grow(5);
    let (note, head) = city.shelf().head(&city.place).unwrap().unwrap();
    let text = Note::parse(&note).unwrap().text;
    let witness = Desk::new().open();
    let line = |text: &str, millis| format!("{}\n", witness.key.sign(text, at(millis)));
    let lines = |body: &str| Answer {
        body: body.to_owned(),
        ..Answer::text(200, "")
    };
    let other = Checkpoint { size: 6, ..head }.to_string();
    let stranger = SignerKey::new("w.example/other", KeyKind::Cosignature, &[3; 32]).unwrap();
    let stranger = format!("{}\n", stranger.sign(&text, at(0)));
    let right = line(&text, 0);
    for (body, expected) in [
        (right.clone(), Ok(5)),
        (format!("{stranger}{right}"), Ok(5)),
        (line(&text, 300_000), Ok(5)),
        (line(&text, 301_000), Err("nonsense: its clock is wrong")),
        (stranger, Err("nonsense: it is signed by another key")),
        (line(&other, 0), Err("nonsense: the signature of")),
        ("<html>".to_owned(), Err("nonsense: no signed note")),
        (right.trim_end().to_owned(), Err("nonsense: no signed note")),
        (String::new(), Err("nonsense")),
    ] {
        let wait_s = if expected.is_ok() { 0 } else { 5 };
        check(&city, (lines(&body), ""), expected, wait_s).await;
    }
}

#[tokio::test]
async fn a_witness_that_names_ever_other_sizes_is_left_alone() {
    let city = City::new();
    city.grow(20);
    let next = Mutex::new(0);
    let say = move |_: &AddCheckpoint| {
        let mut next = next.lock().unwrap();
        *next += 1;
        let body = format!("{next}\n");
        let answer = Answer {
            status: 409,
            content_type: "text/x.tlog.size",
            body,
        };
        (answer, "")
    };
    let (url, asked) = serve(say).await;
    let key = Desk::new().open().key().to_string();
    let mut foreign = ForeignWitness::new(Target::parse(&url, &key).unwrap());
    let told = city.submit(&mut foreign).await.unwrap_err();
    assert!(told.starts_with("later: it named"), "{told}");
    assert_eq!(*asked.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn waits_double_while_nobody_answers() {
    let city = City::new();
    city.grow(1);
    // A port that was given back a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let key = Desk::new().open().key().to_string();
    let mut foreign = ForeignWitness::new(Target::parse(&url, &key).unwrap());
    for wait_s in [5, 10, 20, 40, 80, 160, 320, 600, 600, 600] {
        let told = city.submit(&mut foreign).await.unwrap_err();
        assert!(told.starts_with("later: "), "{told}");
        assert_eq!(foreign.wait(ORIGIN), Duration::from_secs(wait_s));
        // It is the witness that is away.
        assert_eq!(foreign.wait("another"), Duration::from_secs(wait_s));
    }
}
