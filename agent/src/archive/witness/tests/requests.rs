//! Requests as they are read and answered.

use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use lineside_proto::ledger::{Checkpoint, Hash};
use proptest::prelude::*;

use super::{Desk, Log, NAME, ORIGIN, at};
use crate::archive::witness::{
    AddCheckpoint, Answer, BODY_BYTES_MAX, RequestError, Witness, answer, latest,
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

fn check(witness: &Witness, body: &str, status: u16) {
    let answer = answer(witness, &known, body.as_bytes(), at(0));
    assert_eq!(answer.status, status, "{body}\n{}", answer.body);
    let said = &answer.body;
    assert!(said.ends_with('\n') && said.len() < 600, "{said}");
}

#[test]
fn a_body_that_is_none_is_told_so() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let asked = log.request(0, 3).to_string();
    for (from, to) in [
        ("old 0", "old 00"),
        ("old 0", "old -1"),
        ("old 0", "old +0"),
        ("old 0", "old  0"),
        ("old 0", "old 18446744073709551616"),
        ("old 0", "new 0"),
        ("old 0\n", ""),
        ("old 0\n\n", "old 0\n"),
        ("old 0\n", "old 0\nAAAA\n"),
        ("\n3\n", "\n03\n"),
        ("=\n\n", "=\n"),
        // Beyond the head.
        ("old 0", "old 4"),
    ] {
        check(&witness, &asked.replacen(from, to, 1), 400);
    }
    check(&witness, "", 400);
    check(&witness, asked.trim_end(), 400);
    check(&witness, &asked.replace('\n', "\r\n"), 400);
    check(&witness, &"x".repeat(BODY_BYTES_MAX + 1), 413);
    for (lines, status) in [(63, 422), (64, 400)] {
        let hashes = format!("{}\n", Hash([1; 32])).repeat(lines);
        let asked = asked.replacen("old 0\n", &format!("old 0\n{hashes}"), 1);
        check(&witness, &asked, status);
    }
    // Sizes that nobody can count.
    for size in [1 << 63, u64::MAX] {
        let head = Checkpoint {
            size,
            ..log.head(3)
        };
        let text = head.to_string();
        let signatures = vec![log.signer().sign(&text, at(0))];
        let note = Note { text, signatures };
        let asked = AddCheckpoint {
            note,
            ..log.request(0, 3)
        };
        check(&witness, &asked.to_string(), 400);
    }
    assert_eq!(witness.cosigned(ORIGIN).unwrap(), None);
}

#[test]
fn only_what_a_known_log_signed_is_cosigned() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let asked = log.request(0, 3).to_string();
    let strange = asked.replacen(ORIGIN, "example.com/stranger", 1);
    check(&witness, &strange, 404);
    check(&witness, &asked.replacen("\n3\n", "\n4\n", 1), 403);
    let text = log.head(3).to_string();
    let by = |signatures| {
        let text = text.clone();
        let note = Note { text, signatures };
        let asked = AddCheckpoint {
            note,
            ..log.request(0, 3)
        };
        asked.to_string()
    };
    let stranger = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[8; 32]).unwrap();
    let stranger = stranger.sign(&text, at(0));
    let right = log.signer().sign(&text, at(0));
    let mut wrong = right.clone();
    wrong.bytes[3] ^= 1;
    check(&witness, &by(vec![stranger.clone()]), 403);
    check(&witness, &by(vec![wrong.clone()]), 403);
    check(&witness, &by(vec![right.clone(), wrong]), 403);
    assert_eq!(witness.cosigned(ORIGIN).unwrap(), None);
    check(&witness, &by(vec![stranger, right]), 200);
    // From here on only what continues it.
    let fork = Log::forked('b', 5);
    for (asked, status) in [
        (log.request(3, 9), 200),
        (fork.request(9, 9), 422),
        (fork.request(9, 12), 422),
        (fork.request(0, 9), 409),
        (log.request(9, 12), 200),
    ] {
        check(&witness, &asked.to_string(), status);
    }
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
