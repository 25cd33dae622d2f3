mod hostile;
mod kept;

use super::{Book, Received};
use crate::booking::{BOOKINGS_MAX, IssuerSecret, MESSAGE_BYTES_MAX, TOKEN_BYTES_MAX, Trust, sign};
use crate::{Class, ClockStatus, Identifier, RefusalCode, Time};
use RefusalCode::*;
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;

/// The time of the tests: 2026-11-23T08:00:00Z.
fn now() -> Time {
    "2026-11-23T08:00:00.000Z".parse().unwrap()
}

fn at(hours: i64) -> Time {
    now().plus_millis(hours * HOUR)
}

fn name(text: &str) -> Identifier {
    text.parse().unwrap()
}

fn portal() -> IssuerSecret {
    IssuerSecret::from_seed(&[1; 32], Some("portal")).unwrap()
}

fn trust(signed: bool) -> Trust {
    let keys = if signed {
        vec![portal().public()]
    } else {
        Vec::new()
    };
    Trust {
        keys,
        own: ["own-org".to_owned()].into(),
        affiliates: ["sister".to_owned()].into(),
    }
}

fn book(signed: bool) -> Book {
    Book::new(name("s"), name("g"), trust(signed))
}

/// Claims of a booking from and to so many hours from now.
fn claims(id: &str, from: i64, to: i64) -> Value {
    let seconds = now().as_millis() / 1000;
    json!({
        "site": "s", "gateway": "g", "id": id, "machines": ["m", "n"], "start": at(from), "end": at(to),
        "class": "EXT", "org": "other-org", "user": "u", "data": {"points": ["speed"]}, "iss": "portal",
        "iat": seconds - 60, "exp": seconds + 60,
    })
}

fn with(mut claims: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(key);
        } else {
            claims[key] = value.clone();
        }
    }
    claims
}

fn token(claims: &Value) -> Value {
    sign(&portal(), claims.to_string().as_bytes()).into()
}

fn message(revision: u64, bookings: Vec<Value>) -> Value {
    json!({
        "v": 1, "site": "s", "gateway": "g", "machine": "m", "revision": revision, "bookings": bookings,
    })
}

fn signed(revision: u64, all: &[Value]) -> Vec<u8> {
    let tokens = all.iter().map(token).collect();
    sign(&portal(), message(revision, tokens).to_string().as_bytes()).into_bytes()
}

fn receive(book: &mut Book, payload: &[u8]) -> Received {
    book.receive(&name("m"), payload, now(), ClockStatus::S)
}

/// The codes of what was refused, with the ids.
fn refused(received: &Received) -> Vec<(Option<&str>, RefusalCode)> {
    let all = received.ack.refused.iter();
    all.map(|one| (one.id.as_deref(), one.code)).collect()
}

fn ids(book: &Book) -> Vec<String> {
    let all = book.in_force(&name("m")).into_iter();
    all.map(|booking| booking.id).collect()
}

#[test]
fn signed_bookings_are_taken_and_acknowledged() {
    let mut book = book(true);
    let first = receive(
        &mut book,
        &signed(1, &[claims("b", 4, 5), claims("a", 1, 2)]),
    );
    assert_eq!(first.ack.revision, Some(1));
    assert_eq!(first.ack.accepted, ["a", "b"]);
    assert!(first.record_changed && refused(&first).is_empty());
    let bookings = first.changed.clone().unwrap();
    assert_eq!(bookings, book.in_force(&name("m")));
    assert_eq!((bookings[0].start, bookings[0].end), (at(1), at(2)));
    assert_eq!(bookings[0].class, Class::Ext);
    assert_eq!(bookings[0].issued, now().plus_millis(-60_000));
    assert!(bookings[0].token.as_ref().unwrap().starts_with("sha256:"));
    // The same again, later: the same answer, and nothing changes.
    let later = book.receive(&name("m"), &signed(1, &[]), at(1), ClockStatus::S);
    assert_eq!((&later.ack, &later.changed), (&first.ack, &None));
    assert!(!later.record_changed);
    // Cleared by the broker: likewise.
    let cleared = receive(&mut book, b"");
    assert_eq!((&cleared.ack, &cleared.changed), (&first.ack, &None));
    // A newer revision without a booking that has not begun calls it off.
    let newer = receive(&mut book, &signed(3, &[claims("a", 1, 2)]));
    assert_eq!(newer.ack.accepted, ["a"]);
    assert_eq!(newer.changed.unwrap().len(), 1);
    let older = receive(&mut book, &signed(2, &[]));
    assert_eq!(refused(&older), [(None, OldRevision)]);
    assert_eq!((older.ack.revision, older.changed), (Some(3), None));
    assert_eq!(ids(&book), ["a"]);
    assert_eq!(book.in_force(&name("n")), []);
}

#[test]
fn each_token_is_judged_by_itself() {
    let seconds = now().as_millis() / 1000;
    let good = claims("good", 1, 2);
    let check = |changes: Value, code: Option<RefusalCode>| {
        let mut book = book(true);
        let one = with(claims("one", 3, 4), changes.clone());
        let received = receive(&mut book, &signed(1, &[one.clone(), good.clone()]));
        let id = one
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty() && id.len() < 129);
        let expected: Vec<_> = code.map(|code| (id, code)).into_iter().collect();
        assert_eq!(refused(&received), expected, "{changes}");
        let count = if code.is_some() { 1 } else { 2 };
        assert_eq!(book.in_force(&name("m")).len(), count, "{changes}");
    };
    check(json!({"unknown": 1}), None);
    check(json!({"site": "t"}), Some(WrongSite));
    check(json!({"gateway": "h"}), Some(WrongGateway));
    check(json!({"machines": ["n"]}), Some(WrongMachine));
    check(json!({"machines": []}), Some(WrongMachine));
    check(json!({"exp": seconds}), None);
    check(json!({"exp": seconds - 1}), Some(Expired));
    check(json!({"iat": seconds + 300}), None);
    check(json!({"iat": seconds + 301}), Some(NotYetValid));
    check(json!({"iat": i64::MAX}), Some(NotYetValid));
    check(json!({"exp": null}), Some(Malformed));
    check(json!({"iat": null}), Some(Malformed));
    check(json!({"end": at(3)}), Some(BadTimes));
    check(json!({"end": at(2)}), Some(BadTimes));
    check(json!({"end": at(3 + 31 * 24)}), None);
    check(
        json!({"end": at(3 + 31 * 24).plus_millis(1)}),
        Some(BadTimes),
    );
    check(json!({"start": at(-9), "end": at(-8)}), None);
    check(json!({"end": "tomorrow"}), Some(Malformed));
    check(json!({"id": "x".repeat(129)}), Some(Malformed));
    check(json!({"id": ""}), Some(Malformed));
    check(json!({"user": "a\nb"}), Some(Malformed));
    check(json!({"class": "UNB"}), Some(Malformed));
    check(json!({"class": "XXX"}), Some(Malformed));
    check(json!({"org": null}), Some(Malformed));
    let mut book = book(true);
    let machines = vec!["m"; TOKEN_BYTES_MAX / 4];
    let long = with(claims("long", 1, 2), json!({"machines": machines}));
    let received = receive(&mut book, &signed(1, &[long, json!(["s", "g"])]));
    assert_eq!(refused(&received), [(None, Malformed), (None, Malformed)]);
}

#[test]
fn what_is_no_token_is_refused_and_the_others_count() {
    let mut book = book(true);
    let other = IssuerSecret::from_seed(&[2; 32], Some("portal")).unwrap();
    let stranger = IssuerSecret::from_seed(&[2; 32], Some("stranger")).unwrap();
    let forged = sign(&other, claims("forged", 1, 2).to_string().as_bytes());
    let unknown = sign(&stranger, claims("unknown", 1, 2).to_string().as_bytes());
    let bookings = vec![
        forged.into(),
        unknown.into(),
        claims("bare", 1, 2),
        json!(null),
        json!("a.b.c"),
        token(&json!({"id": 7})),
        token(&claims("good", 1, 2)),
        token(&claims("late", 1, 3)),
        token(&with(claims("good", 5, 6), json!({}))),
        token(&claims("next", 2, 3)),
    ];
    let payload = sign(&portal(), message(1, bookings).to_string().as_bytes());
    let received = receive(&mut book, payload.as_bytes());
    assert_eq!(
        refused(&received),
        [
            (Some("forged"), BadSignature),
            (Some("unknown"), UnknownKey),
            (Some("bare"), Unsigned),
            (None, Malformed),
            (None, Malformed),
            (None, Malformed),
            (Some("late"), Overlap),
            (Some("good"), Duplicate),
        ]
    );
    assert_eq!(received.ack.accepted, ["good", "next"]);
}

#[test]
fn messages_are_refused_as_a_whole() {
    let good = message(1, Vec::new());
    let check = |payload: &[u8], code: RefusalCode| {
        let mut book = book(true);
        let received = receive(&mut book, payload);
        assert_eq!(refused(&received), [(None, code)]);
        assert_eq!(received.ack.revision, None);
        assert!(!received.record_changed && received.changed.is_none());
        assert_eq!(
            book.record(),
            super::Book::new(name("s"), name("g"), trust(true)).record()
        );
    };
    let sealed = |message: &Value| sign(&portal(), message.to_string().as_bytes()).into_bytes();
    for (changes, code) in [
        (json!({"v": 2}), Malformed),
        (json!({"site": "t"}), WrongSite),
        (json!({"gateway": "h"}), WrongGateway),
        (json!({"machine": "n"}), WrongMachine),
        (json!({"revision": -1}), Malformed),
        (json!({"revision": null}), Malformed),
        (json!({"bookings": null}), Malformed),
        (json!({"bookings": vec![1; BOOKINGS_MAX + 1]}), TooMany),
    ] {
        check(&sealed(&with(good.clone(), changes)), code);
    }
    check(good.to_string().as_bytes(), Unsigned);
    check(b"nonsense", Malformed);
    check(&[0xff; 9], Malformed);
    check(&vec![b'{'; MESSAGE_BYTES_MAX + 1], Malformed);
    check(&vec![b'.'; MESSAGE_BYTES_MAX + 1], Malformed);
    let stranger = IssuerSecret::from_seed(&[1; 32], None).unwrap();
    check(
        sign(&stranger, good.to_string().as_bytes()).as_bytes(),
        UnknownKey,
    );
    // A booking's token is no message.
    check(
        token(&claims("a", 1, 2)).as_str().unwrap().as_bytes(),
        Malformed,
    );
}

#[test]
fn a_known_token_does_not_expire_and_an_unknown_clock_does_not_judge() {
    let all = [claims("a", 1, 2)];
    let late = at(5);
    let mut known = book(true);
    receive(&mut known, &signed(1, &all));
    let again = known.receive(&name("m"), &signed(2, &all), late, ClockStatus::S);
    assert_eq!(
        (again.ack.accepted, again.changed),
        (vec!["a".to_owned()], None)
    );
    // Called off, and back again.
    let mut back = book(true);
    receive(&mut back, &signed(1, &all));
    receive(&mut back, &signed(2, &[]));
    assert_eq!(ids(&back), [] as [String; 0]);
    back.receive(&name("m"), &signed(3, &all), late, ClockStatus::S);
    assert_eq!(ids(&back), ["a"]);
    for (clock, count) in [
        (ClockStatus::S, 0),
        (ClockStatus::I, 0),
        (ClockStatus::U, 1),
        (ClockStatus::R, 1),
    ] {
        let mut book = book(true);
        let received = book.receive(&name("m"), &signed(1, &all), late, clock);
        assert_eq!(received.ack.accepted.len(), count, "{clock:?}");
        let mut early = super::Book::new(name("s"), name("g"), trust(true));
        let epoch = Time::from_millis(0);
        let received = early.receive(&name("m"), &signed(1, &all), epoch, clock);
        assert_eq!(received.ack.accepted.len(), count, "{clock:?}");
    }
}

#[test]
fn what_has_begun_stays_though_it_is_left_out() {
    let mut book = book(true);
    receive(
        &mut book,
        &signed(1, &[claims("runs", -1, 1), claims("next", 2, 3)]),
    );
    let received = receive(&mut book, &signed(2, &[claims("other", 0, 2)]));
    assert_eq!(refused(&received), [(Some("other"), Overlap)]);
    assert_eq!(received.ack.accepted, ["runs"]);
    // Its end can be moved by another token with its id; one that is refused changes nothing.
    let bad = with(claims("runs", -1, 4), json!({"site": "t"}));
    receive(&mut book, &signed(3, &[bad]));
    assert_eq!(book.in_force(&name("m"))[0].end, at(1));
    receive(&mut book, &signed(4, &[claims("runs", -1, 2)]));
    assert_eq!(book.in_force(&name("m"))[0].end, at(2));
    // A day after its end it goes.
    book.receive(&name("m"), &signed(5, &[]), at(25), ClockStatus::S);
    assert_eq!(ids(&book), ["runs"]);
    book.receive(&name("m"), &signed(6, &[]), at(27), ClockStatus::S);
    assert_eq!(ids(&book), [] as [String; 0]);
}

#[test]
fn classes_are_granted_by_signature_and_organisation() {
    let check = |is_signed: bool, asked: &str, org: &str, granted: Class| {
        let mut book = book(is_signed);
        let claims = with(claims("a", 1, 2), json!({"class": asked, "org": org}));
        let payload = if is_signed {
            signed(1, &[claims])
        } else {
            message(1, vec![claims]).to_string().into_bytes()
        };
        let received = receive(&mut book, &payload);
        let class = received.changed.unwrap()[0].class;
        assert_eq!(class, granted, "{is_signed} {asked} {org}");
    };
    for (asked, org, by_signature, unsigned) in [
        ("EXT", "other-org", Class::Ext, Class::Own),
        ("EXT", "own-org", Class::Own, Class::Own),
        ("EXT", "sister", Class::Aff, Class::Own),
        ("AFF", "sister", Class::Aff, Class::Own),
        ("AFF", "own-org", Class::Own, Class::Own),
        ("AFF", "other-org", Class::Aff, Class::Own),
        ("OWN", "other-org", Class::Own, Class::Own),
        ("TRN", "other-org", Class::Trn, Class::Trn),
        ("MNT", "own-org", Class::Mnt, Class::Mnt),
    ] {
        check(true, asked, org, by_signature);
        check(false, asked, org, unsigned);
    }
}

#[test]
fn unsigned_bookings_count_only_without_keys() {
    let mut book = book(false);
    let bare = with(
        claims("a", 1, 2),
        json!({"iat": null, "exp": null, "org": null}),
    );
    let payload = message(1, vec![bare.clone(), token(&claims("b", 3, 4))]);
    let received = receive(&mut book, payload.to_string().as_bytes());
    assert_eq!(refused(&received), [(Some("b"), UnknownKey)]);
    let booking = &received.changed.unwrap()[0];
    assert_eq!((booking.issued, &booking.token), (now(), &None));
    // It came first when it came first.
    let payload = message(2, vec![bare]);
    book.receive(
        &name("m"),
        payload.to_string().as_bytes(),
        at(1),
        ClockStatus::S,
    );
    assert_eq!(book.in_force(&name("m"))[0].issued, now());
    assert_eq!(
        refused(&receive(&mut book, &signed(3, &[]))),
        [(None, UnknownKey)]
    );
}

#[test]
fn a_check_in_is_for_a_booking_in_its_window() {
    let seconds = now().as_millis() / 1000;
    let mut book = book(true);
    receive(
        &mut book,
        &signed(1, &[claims("a", 0, 1), claims("b", 5, 6)]),
    );
    let base = json!({
        "site": "s", "gateway": "g", "machines": ["m"], "checkin": "a", "iat": seconds, "exp": seconds + 60,
    });
    let mut check = |changes: Value, code: Option<RefusalCode>| {
        let claims = with(base.clone(), changes);
        let token = token(&claims);
        let before = book.record();
        let received = receive(&mut book, token.as_str().unwrap().as_bytes());
        assert_eq!(before, book.record());
        let id = claims["checkin"].as_str().filter(|id| id.len() < 129);
        let expected: Vec<_> = code.map(|code| (id, code)).into_iter().collect();
        assert_eq!(refused(&received), expected, "{claims}");
        assert_eq!(received.ack.revision, Some(1));
        assert_eq!(received.check_in.is_some(), code.is_none());
        if let Some(check_in) = received.check_in {
            assert_eq!(check_in.booking.id, "a");
            assert_eq!(check_in.issued.as_millis() / 1000, claims["iat"]);
            assert!(check_in.token.unwrap().starts_with("sha256:"));
        }
    };
    check(json!({}), None);
    check(json!({}), None);
    check(json!({"checkin": "b"}), Some(NoBooking));
    check(json!({"checkin": "c"}), Some(NoBooking));
    check(json!({"checkin": "x".repeat(200)}), Some(Malformed));
    check(json!({"iat": seconds - 1800}), None);
    check(json!({"iat": seconds - 1801}), Some(NoBooking));
    check(json!({"exp": seconds - 1}), Some(Expired));
    check(json!({"iat": seconds + 400}), Some(NotYetValid));
    check(json!({"machines": ["n"]}), Some(WrongMachine));
    check(json!({"gateway": "h"}), Some(WrongGateway));
    // As claims objects only where there are no keys.
    let bare = base.to_string();
    let received = receive(&mut book, bare.as_bytes());
    assert_eq!(refused(&received), [(None, Unsigned)]);
    let mut open = super::Book::new(name("s"), name("g"), trust(false));
    receive(
        &mut open,
        message(1, vec![claims("a", 0, 1)]).to_string().as_bytes(),
    );
    let check_in = receive(&mut open, bare.as_bytes()).check_in.unwrap();
    assert_eq!((check_in.booking.id.as_str(), check_in.token), ("a", None));
}
