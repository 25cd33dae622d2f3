//! Requests as they are read and answered.

use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use proptest::prelude::*;

use super::{Desk, Log, NAME, ORIGIN, at};
use crate::archive::witness::{
    AddCheckpoint, Answer, BODY_BYTES_MAX, RequestError, answer, latest,
};

fn known(origin: &str) -> Vec<VerifierKey> {
    let logs = [ORIGIN, "example.com/other"];
    if logs.contains(&origin) {
        Log::new().keys()
    } else {
        Vec::new()
    }
}

/// The request for five leaves after three, and the cosignature of a second later: by programs of other people, from
/// the same keys and leaves.
const REQUEST: &str = "old 3
+mHj3sNDlYn0eEyJO/Mh0AhPBMVyx68raOPzNgo1tIY=
kGxdJIXK5yIHOkMPTQT+F2dQdZLO8iZimurbhaLskJ0=
ywCYnZSlacCmeK4EK2Pc1GJduWRAUX83put5duok7Us=
EeH1WCI/THG2vhzs/R8N6HFG0llId8J7KexRn5BAITw=

example.com/log
5
tnSPbtepnefahP2X4aO6xvq4mZ9KQ2lcq5Uoot5DEUc=

— example.com/log cC88cFTrMguffLF8dfLmj925tLsjBtw+mUJXcT0xvchIuqKpnRKarizyEQfOaNa7gb9+JfDO/34xpPVchA6rd/cx1wM=
";
const LINE: &str = "— witness.example/w1 63YswgAAAABrA/KBGM15sjGUGLYMmH26rpEsufCAOeAiPukatB/b23S6KPPY9F37x0v1+iKdUQOlIy3iLCtxJwoFw1oP4GDvv8GdBw==\n";

#[test]
fn a_cosignature_is_what_the_standard_says_to_the_byte() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let say = |asked: &AddCheckpoint, millis| {
        answer(&witness, &known, asked.to_string().as_bytes(), at(millis))
    };
    let first = say(&log.request(0, 3), 0);
    assert_eq!(first.status, 200, "{first:?}");
    let asked = log.request(3, 5).to_string();
    assert_eq!(asked, REQUEST);
    assert_eq!(
        AddCheckpoint::parse(asked.as_bytes()),
        Ok(log.request(3, 5))
    );
    let second = answer(&witness, &known, asked.as_bytes(), at(1_999));
    assert_eq!((second.status, second.body.as_str()), (200, LINE));
    assert_eq!(second.content_type, "text/plain; charset=utf-8");
    // As monitors see it: the log's signature and the witness's.
    let name = super::super::memory::name(ORIGIN);
    let shown = latest(&witness, &name).unwrap().unwrap();
    assert_eq!(shown, format!("{}{LINE}", log.note(5)));
    for unknown in [
        "",
        "checkpoint",
        &name.to_uppercase(),
        &name[1..],
        &"0".repeat(64),
    ] {
        assert_eq!(latest(&witness, unknown).unwrap(), None, "{unknown}");
    }
    let third = say(&log.request(3, 5), 0);
    let expected = Answer {
        status: 409,
        content_type: "text/x.tlog.size",
        body: "5\n".to_owned(),
    };
    assert_eq!(third, expected);
}

#[test]
fn each_request_gets_the_status_of_the_standard() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let asked = log.request(0, 3).to_string();
    let check = |body: &str, status: u16| {
        let answer = answer(&witness, &known, body.as_bytes(), at(0));
        assert_eq!(answer.status, status, "{body}\n{}", answer.body);
        assert!(
            answer.body.ends_with('\n') && answer.body.len() < 600,
            "{}",
            answer.body
        );
    };
    let change = |from: &str, to: &str, status| check(&asked.replacen(from, to, 1), status);
    check("", 400);
    change("old 0", "old 00", 400);
    change("old 0", "old -1", 400);
    change("old 0", "old +0", 400);
    change("old 0", "old  0", 400);
    change("old 0", "old 18446744073709551616", 400);
    change("old 0", "new 0", 400);
    change("old 0\n", "", 400);
    change("old 0\n\n", "old 0\n", 400);
    change("old 0\n", "old 0\nAAAA\n", 400);
    change("\n3\n", "\n03\n", 400);
    change("=\n\n", "=\n", 400);
    check(asked.trim_end(), 400);
    check(&asked.replace('\n', "\r\n"), 400);
    check(&"x".repeat(BODY_BYTES_MAX + 1), 413);
    change("old 0", "old 4", 400);
    let hash = format!("{}\n", Hash([1; 32]));
    change("old 0\n", &format!("old 0\n{}", hash.repeat(63)), 422);
    change("old 0\n", &format!("old 0\n{}", hash.repeat(64)), 400);
    // Unknown logs, and those that did not sign.
    change(ORIGIN, "example.com/stranger", 404);
    change("\n3\n", "\n4\n", 403);
    let stranger = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[8; 32]).unwrap();
    let text = log.head(3).to_string();
    let note = |signatures| Note {
        text: text.clone(),
        signatures,
    };
    let by = |signatures| AddCheckpoint {
        note: note(signatures),
        ..log.request(0, 3)
    };
    check(&by(vec![stranger.sign(&text, at(0))]).to_string(), 403);
    // The witness's own cosignature is no log's signature, and one that does not fit is none.
    let mut wrong = log.signer().sign(&text, at(0));
    wrong.bytes[3] ^= 1;
    check(&by(vec![wrong.clone()]).to_string(), 403);
    let right = log.signer().sign(&text, at(0));
    check(&by(vec![right.clone(), wrong]).to_string(), 403);
    check(
        &by(vec![stranger.sign(&text, at(0)), right]).to_string(),
        200,
    );
    // Sizes that nobody can count.
    for size in [1 << 63, u64::MAX] {
        let head = Checkpoint {
            size,
            ..log.head(3)
        };
        let text = head.to_string();
        let signatures = vec![log.signer().sign(&text, at(0))];
        let note = Note { text, signatures };
        check(
            &AddCheckpoint {
                old: 3,
                note,
                proof: Vec::new(),
            }
            .to_string(),
            400,
        );
    }
    check(&log.request(3, 9).to_string(), 200);
    check(&Log::forked('b', 5).request(9, 9).to_string(), 422);
    check(&Log::forked('b', 5).request(9, 12).to_string(), 422);
    check(&Log::forked('b', 5).request(0, 9).to_string(), 409);
    check(&log.request(9, 12).to_string(), 200);
}

#[test]
fn a_witness_is_nobodys_log() {
    let desk = Desk::new();
    let witness = desk.open();
    let text = Log::new().head(3).to_string();
    // Its key as that of a log, of both kinds.
    let key = witness.key().clone();
    let plain = VerifierKey::new(NAME, KeyKind::Ed25519, key.key()).unwrap();
    let known = |_: &str| vec![key.clone(), plain.clone()];
    let signatures = vec![witness.key.sign(&text, at(0))];
    let asked = AddCheckpoint {
        old: 0,
        proof: Vec::new(),
        note: Note { text, signatures },
    };
    let answer = answer(&witness, &known, asked.to_string().as_bytes(), at(0));
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[test]
fn a_request_says_which_line_is_wrong() {
    let check = |body: &[u8], expected| {
        assert_eq!(AddCheckpoint::parse(body).unwrap_err(), expected);
    };
    check(b"old 1\n\xff\n\n", RequestError::Text);
    check(b"old 1\nAAAA\n\nx", RequestError::Hash(1));
    check(b"old 1", RequestError::Form);
    check(b"\n\nold 1", RequestError::Old);
    let hash = Hash([1; 32]);
    let body = format!("old 1\n{hash}\n{hash}\n\u{a0}\n\nx");
    check(body.as_bytes(), RequestError::Hash(3));
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_or_sign(
        start in "(old [0-9]{0,21}\n)?([A-Za-z0-9+/]{43}=\n){0,3}\n?",
        rest in "(example.com/log\n[0-9]{1,20}\n[A-Za-z0-9+/]{43}=\n)?\n?(\u{2014} [a-z./]{1,16} [A-Za-z0-9+/]{0,96}={0,2}\n){0,2}",
        noise in prop::collection::vec(any::<u8>(), 0..40),
        place in any::<prop::sample::Index>(),
    ) {
        let desk = Desk::new();
        let mut body = format!("{start}{rest}").into_bytes();
        let cut = place.index(body.len() + 1);
        body.splice(cut..cut, noise);
        let answer = answer(&desk.open(), &known, &body, at(0));
        prop_assert!([400, 403, 404].contains(&answer.status), "{answer:?}");
    }

    #[test]
    fn a_request_is_read_as_it_was_written(old in 0_u64..40, more in 0_u64..40) {
        let asked = Log::new().request(old, old + more);
        let read = AddCheckpoint::parse(asked.to_string().as_bytes());
        prop_assert_eq!(read, Ok(asked));
    }

    #[test]
    fn a_changed_byte_never_gets_another_head_cosigned(
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (desk, log) = (Desk::new(), Log::new());
        let witness = desk.open();
        let first = log.request(0, 5).to_string();
        prop_assert_eq!(answer(&witness, &known, first.as_bytes(), at(0)).status, 200);
        let mut body = log.request(5, 11).to_string().into_bytes();
        let place = place.index(body.len());
        body[place] ^= 1 << bit;
        let answer = answer(&witness, &known, &body, at(0));
        // Only what nobody reads may differ: a line of a key that is not known.
        prop_assert!(answer.status >= 400, "{answer:?}\n{}", String::from_utf8_lossy(&body));
        prop_assert_eq!(witness.cosigned(ORIGIN).unwrap().unwrap().size, 5);
    }
}
